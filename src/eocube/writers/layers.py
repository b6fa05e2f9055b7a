"""What a written band is: reflectance, classes, an index; its scale and no data."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from odc.geo.geobox import GeoBox

from ..errors import BandError, InputError
from ..sentinel2 import BANDS, Band, band_name

CLASSES = ("scl", "count", "source", "used", "rung", "class", "doy", "date")
"""Names of layers of which a mean means nothing, whatever their dtype."""


def geobox_of(array: xr.DataArray | xr.Dataset) -> GeoBox:
    """Return the grid of an array.

    Raises
    ------
    InputError
        If it has none.
    """
    import odc.geo.xr  # noqa: F401  (gives arrays their .odc)

    found = array.odc.geobox
    if not isinstance(found, GeoBox) or found.crs is None:
        raise InputError("The array has no CRS: its coordinates and spatial_ref must say one.")
    return found


def crs_text(grid: GeoBox) -> str:
    """Return the CRS of a grid as ``"EPSG:32633"``, as WKT where it has no code."""
    assert grid.crs is not None
    return f"EPSG:{grid.crs.epsg}" if grid.crs.epsg else str(grid.crs.to_wkt())


def spectral(name: str) -> Band | None:
    """Return the reflectance band that a layer is made of: of ``red``, ``B04`` and ``red_p25`` red.

    Examples
    --------
    >>> spectral("red_p25").esa, spectral("count")
    ('B04', None)
    """
    for part in (name, name.partition("_")[0]):
        try:
            band = BANDS[band_name(part)]
        except BandError:
            continue
        return band if band.kind == "reflectance" else None
    return None


def is_class(name: str, attrs: Any) -> bool:
    """Whether a layer holds classes, counts or places: what is never averaged."""
    flagged = "flag_values" in attrs and attrs.get("flag_band", name) == name
    return flagged or any(name == word or name.startswith(f"{word}_") for word in CLASSES)


def scale_of(array: xr.DataArray, name: str) -> float | None:
    """Return what the whole numbers of a layer are multiplied by to be reflectance; None: they are none."""
    scale = array.attrs.get("reflectance_scale")
    if scale is None or array.dtype.kind not in "ui" or spectral(name) is None:
        return None
    return float(scale)


def nodata_of(array: xr.DataArray) -> float:
    """Return the number that means no data: what the array says, else NaN, or 0 in integers."""
    if array.dtype.kind == "f":
        return float("nan")
    said = [array.encoding.get("_FillValue"), array.attrs.get("_FillValue"), array.attrs.get("nodata")]
    stated = [float(value) for value in said if value is not None]
    return stated[0] if stated else 0


def averaged(array: xr.DataArray, name: str) -> bool:
    """Whether overviews of a layer are means: of floats and reflectance they are, of classes never."""
    if is_class(name, array.attrs):
        return False
    return array.dtype.kind == "f" or scale_of(array, name) is not None


def as_layers(array: xr.DataArray, verb: str) -> xr.DataArray:
    """Return an array as (band, y, x).

    Raises
    ------
    InputError
        If it has other dims or no CRS.
    """
    if set(array.dims) == {"y", "x"}:
        name = str(array["band"].item() if "band" in array.coords else array.name or "value")
        array = array.drop_vars("band", errors="ignore").expand_dims(band=[name])
    if set(array.dims) != {"band", "y", "x"}:
        raise InputError(
            f"{verb} takes (band, y, x) or (y, x), found {tuple(array.dims)}: choose one time with "
            ".isel(time=0), or write all with write_zarr."
        )
    if "band" not in array.coords:
        array = array.assign_coords(band=[f"band{i + 1}" for i in range(array.sizes["band"])])
    geobox_of(array)
    if array.dtype == np.bool_:
        array = array.astype("uint8")
    return array.transpose("band", "y", "x")
