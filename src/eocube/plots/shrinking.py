"""As many pixels as are looked at: how a cube of any size becomes small before it is brought together.

The rule, where a side has more pixels than ``size``:

- A :class:`~eocube.Plan`, or the cube of one as :func:`eocube.load` returned it, is read again on a
  grid whose pixels are k times as large (k whole): from the files' overviews, masked there.
- Anything else keeps every k-th pixel and row. They are chosen in each chunk, before chunks are brought
  together; but each chunk is computed for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ..cubes import load
from ..errors import BandError, InputError, did_you_mean
from ..lazy import plan_of
from ..plans import Plan
from ..sentinel2 import BANDS, band_name


def small(what: Any, size: int, bands: Sequence[str] | None = None) -> xr.DataArray:
    """Return a plan, cube or composite in memory, neither side longer than ``size``.

    Parameters
    ----------
    what : Plan or xarray.DataArray
        Dims (time, band, y, x), without time, without band, or without both; in any order.
    size : int
        Pixels.
    bands : sequence of str, optional
        Only these, by common or ESA's names, in this order.

    Returns
    -------
    xarray.DataArray
        Float, NaN where there is no data; y downwards; dims as before, in the order (time, band, y, x).

    Raises
    ------
    InputError
        If it is none of these, or ``size`` is no number of pixels.
    BandError
        If it lacks a band.
    """
    if isinstance(size, bool) or not isinstance(size, int) or size < 1:
        raise InputError(f"size={size!r} is not a number of pixels: give a whole number above 0.")
    plan = what if isinstance(what, Plan) else plan_of(getattr(what, "data", None))
    if plan is not None:
        array = load(_coarser(plan, size, bands))
        if isinstance(what, xr.DataArray):
            array = array.assign_coords(time=what["time"])  # may have been named anew
    else:
        array = _checked(what)
    if bands is not None:
        array = _with_bands(array, bands)
    step = _step(array.sizes["y"], array.sizes["x"], size)
    if step > 1:
        array = array.isel(
            {dim: slice(min(step // 2, array.sizes[dim] - 1), None, step) for dim in ("y", "x")}
        )
    return _floats(array.compute())


def _step(rows: int, columns: int, size: int) -> int:
    return max(1, -(-max(rows, columns) // size))


def _coarser(plan: Plan, size: int, bands: Sequence[str] | None) -> Plan:
    names = plan.bands if bands is None else tuple(_find(band, plan.bands) for band in bands)
    step = _step(int(plan.grid.shape[0]), int(plan.grid.shape[1]), size)
    grid = plan.grid.zoom_out(step) if step > 1 else plan.grid
    return replace(plan, grid=grid, bands=tuple(dict.fromkeys(names)))


def _checked(what: Any) -> xr.DataArray:
    dims = set(what.dims) if isinstance(what, xr.DataArray) else set()
    if not {"y", "x"} <= dims or not dims <= {"time", "band", "y", "x"}:
        found = tuple(what.dims) if isinstance(what, xr.DataArray) else type(what).__name__
        raise InputError(
            f"A plan or a DataArray with the dims y and x (and time, band) is needed, found {found}."
        )
    if not all(what.sizes.values()):
        raise InputError(f"The array is empty: {dict(what.sizes)}.")
    array: xr.DataArray = what.transpose("time", "band", "y", "x", missing_dims="ignore")
    if "y" in array.coords and array.sizes["y"] > 1 and array["y"].values[0] < array["y"].values[-1]:
        array = array.isel(y=slice(None, None, -1))
    return array


def _with_bands(array: xr.DataArray, bands: Sequence[str]) -> xr.DataArray:
    if "band" not in array.dims or "band" not in array.coords:
        raise BandError(f"The array has no dim 'band' with names, so no {', '.join(bands)}.")
    own = [str(band) for band in array["band"].values]
    return array.isel(band=[own.index(_find(band, own)) for band in bands])


def _find(band: str, own: Sequence[str]) -> str:
    """Return how an array calls a band."""
    known = {common(name): name for name in own} | {name: name for name in own}
    found = known.get(band) or known.get(common(band))
    if found is None:
        raise BandError(
            f"There is no band {band!r} here.{did_you_mean(band, own)} There are: {', '.join(own)}."
        )
    return found


def common(name: str) -> str:
    """Return the common name of a band of Sentinel-2, any other name as it is."""
    try:
        return band_name(name)
    except BandError:
        return name


def dates_in(what: Any) -> int:
    """Return how many dates a plan or an array has; 0 for an array without time."""
    return len(what.scenes) if isinstance(what, Plan) else int(getattr(what, "sizes", {}).get("time", 0))


def check_one_band(what: Any, advice: str) -> None:
    """Refuse several bands, before anything is read.

    Raises
    ------
    InputError
        Names the bands.
    """
    names = _names(what)
    if len(names) > 1:
        raise InputError(f"There are {len(names)} bands ({', '.join(names)}): {advice}")


def lone_band(what: Any) -> str | None:
    """Return the one band that a composite has beside its count; None if there are more, or no count."""
    names = _names(what)
    others = [name for name in names if name != "count"]
    return others[0] if len(names) == 2 and len(others) == 1 else None


def has_colour(what: Any) -> bool:
    """Whether a plan or an array has red, green and blue."""
    return {"red", "green", "blue"} <= {common(name) for name in _names(what)}


def _names(what: Any) -> list[str]:
    if isinstance(what, Plan):
        return list(what.bands)
    if not isinstance(what, xr.DataArray) or "band" not in what.dims:
        return []
    return [str(band) for band in what["band"].values]


def _floats(array: xr.DataArray) -> xr.DataArray:
    if array.dtype.kind == "f":
        return array
    if array.dtype.kind not in "iub":
        raise InputError(f"An array of numbers is needed, found {array.dtype}.")
    nodata = array.attrs.get("nodata", array.attrs.get("_FillValue", array.encoding.get("_FillValue")))
    nodata = 0 if nodata is None and _is_reflectance(array) else nodata
    values: NDArray[Any] = array.values.astype(np.float32)
    if nodata is not None:
        values[array.values == nodata] = np.nan
    return array.copy(data=values)


def _is_reflectance(array: xr.DataArray) -> bool:
    return any(name in BANDS and BANDS[name].kind == "reflectance" for name in map(common, _names(array)))
