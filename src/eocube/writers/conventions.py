"""What a Zarr store or a NetCDF file says of itself: CF, and GeoZarr's conventions.

CF-1.11, https://cfconventions.org. GeoZarr (https://github.com/zarr-developers/geozarr-spec) is by now a
set of Zarr conventions that stand in attributes; written are version 1 of ``proj``
(https://github.com/zarr-conventions/geo-proj) and of ``spatial``
(https://github.com/zarr-conventions/spatial), both proposals. GDAL and rioxarray read CF's.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from ..errors import InputError
from .layers import geobox_of, scale_of
from .provenance import VALUES, recipe_hash, version

_ZARR = "https://raw.githubusercontent.com/zarr-conventions"
_HUB = "https://github.com/zarr-conventions"

CONVENTIONS: tuple[dict[str, str], ...] = (
    {
        "schema_url": f"{_ZARR}/geo-proj/refs/tags/v1/schema.json",
        "spec_url": f"{_HUB}/geo-proj/blob/v1/README.md",
        "uuid": "f17cb550-5864-4468-aeb7-f3180cfb622f",
        "name": "proj",
        "description": "Coordinate reference system information for geospatial data",
    },
    {
        "schema_url": f"{_ZARR}/spatial/refs/tags/v1/schema.json",
        "spec_url": f"{_HUB}/spatial/blob/v1/README.md",
        "uuid": "689b58e2-cf7b-45e0-9fff-9cfc0883d6b4",
        "name": "spatial",
        "description": "Spatial coordinate information",
    },
)
"""What ``zarr_conventions`` lists."""

SPATIAL = {"y", "x"}


def as_dataset(data: Any, verb: str) -> xr.Dataset:
    """Return an array or Dataset as a Dataset that says in CF's words what it is, still lazy.

    Values stay as they are: what whole numbers stand for is said by ``scale_factor``.

    Raises
    ------
    InputError
        If it is no xarray object, has no CRS, or holds what cannot be written.
    """
    if not isinstance(data, xr.DataArray | xr.Dataset):
        raise InputError(f"{verb} takes a DataArray or Dataset, found {type(data).__name__}.")
    found = _variables(data) if isinstance(data, xr.DataArray) else data.copy()
    if not pixels_of(found):
        raise InputError(
            f"{verb} writes rasters: no variable has the dims y and x, found {dict(found.sizes)}."
        )
    grid_mapping = _grid_mapping(found)
    for name in found.variables:
        variable = found[name]
        variable.attrs, variable.encoding = dict(variable.attrs), {}
        if variable.dtype.kind in "UOT":
            found[name] = variable.astype(object)
    for name in pixels_of(found):
        found[name] = _pixels(found[name], grid_mapping)
    _axes(found)
    inner = ("grid_mapping", "eocube_plan")
    found.attrs = {
        **{k: _plain(v) for k, v in found.attrs.items() if k not in inner},
        "Conventions": "CF-1.11", "source": f"eocube {version()}", "recipe": recipe_hash(data),
    }  # fmt: skip
    return found


def _variables(array: xr.DataArray) -> xr.Dataset:
    """Return an array as variables: one, but layers without the scale of the others each as its own.

    So whole numbers that stand for reflectance can carry their scale, with a count beside them.
    """
    name = str(array.name or "eocube")
    names = [str(band) for band in np.atleast_1d(array["band"].values)] if "band" in array.dims else []
    apart = [i for i, band in enumerate(names) if scale_of(array, band) is None]
    own = {names[i] for i in apart}
    if not 0 < len(apart) < len(names) or len(own | {name}) <= len(apart):
        return array.to_dataset(name=name)
    values = array.isel(band=[i for i in range(len(names)) if i not in apart])
    layers = {names[i]: array.isel(band=i, drop=True) for i in apart}
    for layer in layers.values():
        layer.attrs = {k: v for k, v in array.attrs.items() if k not in VALUES}
    values.attrs = {k: v for k, v in array.attrs.items() if not str(k).startswith("flag_")}
    return xr.Dataset({name: values, **layers})


def pixels_of(dataset: xr.Dataset) -> list[str]:
    """Return the names of the variables that are rasters."""
    return [str(name) for name, variable in dataset.data_vars.items() if set(variable.dims) >= SPATIAL]


def geozarr(dataset: xr.Dataset) -> dict[str, Any]:
    """Return the attributes of GeoZarr's conventions for a group."""
    grid = geobox_of(dataset)
    assert grid.crs is not None
    box = grid.extent.boundingbox
    rows, columns = grid.shape
    code = f"EPSG:{grid.crs.epsg}" if grid.crs.epsg else None
    return {
        "zarr_conventions": [dict(one) for one in CONVENTIONS],
        **({"proj:code": code} if code else {"proj:wkt2": grid.crs.to_wkt()}),
        "spatial:dimensions": ["y", "x"],
        "spatial:bbox": [box.left, box.bottom, box.right, box.top],
        "spatial:transform_type": "affine",
        "spatial:transform": list(grid.affine)[:6],
        "spatial:shape": [int(rows), int(columns)],
        "spatial:registration": "pixel",
    }


def _pixels(array: xr.DataArray, grid_mapping: str) -> xr.DataArray:
    if array.dtype.kind == "b":
        array = array.astype("uint8")
    if array.dtype.kind not in "fiu":
        raise InputError(
            f"Rasters of numbers are written, {array.name!r} is {array.dtype}: convert it with .astype."
        )
    names = (
        [str(name) for name in np.atleast_1d(array["band"].values)]
        if "band" in array.coords
        else [str(array.name)]
    )
    scales = {scale_of(array, name) for name in names}
    attrs = {k: _plain(v) for k, v in array.attrs.items() if k not in ("grid_mapping", "eocube_plan")}
    nodata = attrs.pop("_FillValue", attrs.get("nodata"))
    if len(scales) == 1 and (scale := scales.pop()) is not None:
        del attrs["reflectance_scale"]
        nodata = attrs.pop("nodata", 0)
        attrs |= {"scale_factor": scale, "_FillValue": array.dtype.type(nodata), "units": "1"}
    elif array.dtype.kind == "f":
        attrs["_FillValue"] = array.dtype.type("nan")
        attrs.pop("nodata", None)
    elif "flag_values" not in attrs:
        attrs["nodata"] = 0 if nodata is None else nodata  # an attribute: whole numbers stay whole
    if "flag_values" in attrs and names == [attrs.pop("flag_band", names[0])]:
        attrs["flag_values"] = np.asarray(attrs["flag_values"], dtype=array.dtype)
    made = array.copy(data=array.data)
    made.attrs = {**attrs, "grid_mapping": grid_mapping}
    return made


def _axes(dataset: xr.Dataset) -> None:
    for name, axis in (("x", "X"), ("y", "Y"), ("time", "T")):
        if name in dataset.coords and name in dataset.dims:
            dataset[name].attrs["axis"] = axis
    if "time" in dataset.coords and dataset["time"].dtype.kind == "M":
        dataset["time"].attrs.setdefault("standard_name", "time")
        # Always the same unit, so that later dates can be appended; sensing times have milliseconds.
        dataset["time"].encoding = {
            "units": "milliseconds since 1970-01-01", "calendar": "proleptic_gregorian", "dtype": "int64",
        }  # fmt: skip
    if "band" in dataset.coords:
        dataset["band"].attrs.setdefault("long_name", "band")


def _grid_mapping(dataset: xr.Dataset) -> str:
    geobox_of(dataset)
    said = {
        str(v.attrs.get("grid_mapping", v.encoding.get("grid_mapping", "")))
        for v in dataset.data_vars.values()
    }
    names = [name for name in (*sorted(said), "spatial_ref") if name in dataset.coords]
    if not names:
        raise InputError(
            "The data have a grid but no coordinate that says its CRS: add one with .odc.assign_crs(...)."
        )
    return names[0]


def _plain(value: Any) -> Any:
    """Return an attribute as numbers, text or lists of them."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, tuple | list | np.ndarray):
        return [_plain(one) for one in value]
    return value if isinstance(value, str | int | float) else str(value)
