"""Cubes: a plan as a lazy xarray.DataArray, one Dask task per block."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from odc.geo.xr import xr_coords

from .checks import Verify, offsets_of
from .errors import InputError
from .lazy import codes_of, decoded, token_of
from .ledgers import ATTRIBUTE
from .loaders.base import Loader, Resampling
from .planning import plan
from .plans import DType, Plan
from .sentinel2 import BANDS, SCL_CLASSES

DIMS = ("time", "band", "y", "x")


def load(
    what: Plan | Iterable[Any],
    grid: GeoBox | None = None,
    *,
    bands: str | Iterable[str] | None = None,
    mask: Any = None,
    dtype: DType = "float32",
    resampling: Resampling = "auto",
    chunk: int | None = None,
    memory: int | str = "2GB",
    on_missing: str = "raise",
    on_error: str = "raise",
    loader: str | Loader = "cog",
    verify_offset: Verify = "auto",
) -> xr.DataArray:
    """Make a lazy cube of a plan, or of Items as :func:`eocube.plan` takes them.

    Parameters
    ----------
    what : Plan or Items
        With a Plan, nothing else is given.
    grid, bands, mask, dtype, resampling, chunk, memory, on_missing, on_error, loader, verify_offset
        See :func:`eocube.plan`.

    Returns
    -------
    xarray.DataArray
        Dims (time, band, y, x), lazy; all times and bands of a block are one Dask task.
        ``float32``: surface reflectance (1), NaN where there is no data or the mask threw it
        away. ``uint16``: reflectance * 10000, 0 for no data. ``scl`` alone: uint8 classes.
        Coordinates: time (UTC), band, y, x, spatial_ref; along time ``scene``, ``items``,
        ``platform``, ``baseline``, ``offset`` (added to the digital numbers; NaN where granules
        differ; along time and band where bands differ), ``offset_source`` (what says so),
        ``sun_azimuth`` and ``sun_elevation`` (degrees).

    Raises
    ------
    InputError
        As :func:`eocube.plan`. When it is computed: ``ReadError`` names the Item, asset and file;
        with ``on_error="skip"`` a ``LossWarning`` does, and :func:`eocube.lost` lists all.

    Examples
    --------
    >>> import eocube
    >>> world = eocube.sample.cached()
    >>> items = eocube.search(world.items_path)
    >>> cube = eocube.load(items, world.grid, bands=["red", "nir"], mask=eocube.SCLMask())
    >>> cube.dims
    ('time', 'band', 'y', 'x')
    """
    if isinstance(what, Plan):
        given = (
            grid, bands, mask, dtype, resampling, chunk, memory, on_missing, on_error, loader, verify_offset,
        )  # fmt: skip
        if given != (None, None, None, "float32", "auto", None, "2GB", "raise", "raise", "cog", "auto"):
            raise InputError("load(plan) takes nothing else: the plan holds the grid, bands, mask and all.")
        return _cube(what)
    if grid is None or bands is None:
        raise InputError("load(items, ...) needs a grid and bands: load(items, grid, bands=['red']).")
    made = plan(
        what, grid, bands=bands, mask=mask, dtype=dtype, resampling=resampling, chunk=chunk,
        memory=memory, on_missing=on_missing, on_error=on_error, loader=loader,  # type: ignore[arg-type]
        verify_offset=verify_offset,
    )  # fmt: skip
    return _cube(made)


def _cube(made: Plan) -> xr.DataArray:
    array = decoded(codes_of(made, made.chunk), made.coding)
    return xr.DataArray(array, dims=DIMS, coords=_coordinates(made), attrs=_attributes(made), name="eocube")


def _coordinates(made: Plan) -> dict[str, Any]:
    scenes = made.scenes

    def along(values: list[Any], **attrs: Any) -> tuple[str, NDArray[Any], dict[str, Any]]:
        return ("time", np.asarray(values), attrs)

    times = np.array([scene.time.replace(tzinfo=None) for scene in scenes], dtype="datetime64[ns]")
    return {
        "time": ("time", times, {"standard_name": "time", "long_name": "sensing time (UTC)"}),
        "band": ("band", np.asarray(made.bands)),
        **{str(name): found for name, found in xr_coords(made.grid, dims=("y", "x")).items()},
        "scene": along([scene.id for scene in scenes]),
        "items": along([" ".join(granule.id for granule in own) for own in made.used]),
        "platform": along([scene.platform for scene in scenes]),
        "baseline": along([scene.baseline for scene in scenes]),
        "offset": _offsets(made),
        "offset_source": along(["; ".join(scene.offset_sources) for scene in scenes]),
        "sun_azimuth": along(
            [scene.sun_azimuth for scene in scenes], units="degree", standard_name="solar_azimuth_angle"
        ),
        "sun_elevation": along(
            [scene.sun_elevation for scene in scenes], units="degree", standard_name="solar_elevation_angle"
        ),
    }


def _offsets(made: Plan) -> tuple[Any, NDArray[Any], dict[str, Any]]:
    """Return the offset along time; along time and band where the bands of a Scene differ."""
    table = np.array([[scene.offset_of(band) for band in made.bands] for scene in made.scenes])
    known = [BANDS[band].kind == "reflectance" for band in made.bands]
    attrs = {"long_name": "added to the digital numbers"}
    alike = table[:, known]
    if alike.size and not np.array_equal(alike, np.broadcast_to(alike[:, :1], alike.shape), equal_nan=True):
        return ("time", "band"), table, attrs
    return "time", np.array([scene.offset for scene in made.scenes]), attrs


def _attributes(made: Plan) -> dict[str, Any]:
    found: dict[str, Any] = {
        "grid_mapping": "spatial_ref", "mask": repr(made.mask), "resampling": made.resampling,
    }  # fmt: skip
    if any(BANDS[band].kind == "reflectance" for band in made.bands):
        found |= {"long_name": "surface reflectance", "units": "1", "offsets_applied": offsets_of(made.used)}
        if made.dtype == "uint16":
            found |= {"nodata": 0, "reflectance_scale": 1e-4}
    if made.bands == ("scl",):
        found["nodata"] = 0
    if "scl" in made.bands:
        found |= {
            "flag_band": "scl",
            "flag_values": list(SCL_CLASSES.values()),
            "flag_meanings": " ".join(SCL_CLASSES),
        }
    if made.twins:
        found["left_out"] = list(made.twins)
    if made.skipped:
        found["skipped"] = list(made.skipped)
    if made.unmasked:
        found["unmasked"] = list(made.unmasked)
    if made.on_error == "skip":
        found |= {"on_error": "skip", ATTRIBUTE: token_of(made)}
    return found
