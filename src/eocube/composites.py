"""Composites: a cube reduced over time, one Dask task per block."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from .calendars import By, Calendar, calendar_of
from .errors import BandError, InputError
from .provenance import Dates, dates_of, table_of
from .reducers import SOURCE, Count, Join, Observations, Reducer, as_reducer, reduce_observations

DIMS = ("time", "band", "y", "x")
COUNT = "count"
"""The band that says of how many clear observations a pixel is made."""


def composite(
    cube: xr.DataArray,
    reducer: Reducer | Sequence[Reducer],
    *,
    by: By | None = None,
    count: bool = True,
) -> xr.DataArray:
    """Reduce a cube over time.

    Parameters
    ----------
    cube : xarray.DataArray
        Dims (time, band, y, x), of eocube or of any other library; lazy or not. No data is NaN, or
        0 in an integer cube. One of (time, y, x), as an index gives it, has one band of its name.
    reducer : Reducer or sequence of Reducer
        ``Median()``, ``Percentile(25)``, ``GeoMedian()``, ``Medoid()``, ``BestPixel(196)``, ``Count()``
        ... or your own. Several are made in one pass, their bands one after the other.
    by : str, Rolling or Climatology, optional
        Periods: ``"month"``, ``"season"``, ``"year"``, ``"dekad"``, any frequency xarray knows
        (``"10D"``, ``"YS-OCT"``), ``Rolling(60, "month")``, ``Climatology("month")``. One composite
        each, periods without a date being all no data. None: one composite of all dates.
    count : bool
        Whether a last band ``count`` says of how many clear observations a pixel is made, as ``Count()``
        at the end of the list would; it is not added twice.

    Returns
    -------
    xarray.DataArray
        Dims (band, y, x), or (time, band, y, x) with ``by``, time being pandas' label of each period:
        its start, for frequencies like ``"ME"`` its end. Coordinates ``time_start`` and ``time_end`` (not
        in it), ``period`` (its name) and ``dates`` (how many). With a climatology ``month``, ``season``
        or ``dekad`` takes the place of ``time``.
        The bands are the values; of a reducer that picks one observation then ``source``, the number of
        the scene in the whole cube, counted from 1, no data where there is none (see
        :func:`eocube.sources`); at last ``count``, the dates on which all bands have data, 0 where there
        is none. All are of one dtype: a count in a float cube is a float. The attributes ``items`` (along
        time with ``by``), ``first_date`` and ``last_date`` say of what.

    Raises
    ------
    InputError
        If the cube has no such dims, or the reducer is none; ``PeriodError`` if ``by`` is not known.
    BandError
        If the cube holds classes, of which a median means nothing, lacks a band that the reducer needs,
        or is a composite by periods that has a band ``count`` already.

    Examples
    --------
    >>> import eocube
    >>> world = eocube.sample.cached()
    >>> items = eocube.search(world.items_path)
    >>> cube = eocube.load(items, world.grid, bands=["red"], mask=eocube.SCLMask())
    >>> best = eocube.composite(cube, eocube.Median())
    >>> best.band.values.tolist()
    ['red', 'count']
    >>> months = eocube.composite(cube, eocube.Median(), by="MS", count=False)
    """
    asked = one_reducer(reducer)
    cube = checked(cube, asked)
    dates = dates_of(cube)
    how = counted(asked, dates.bands) if count else asked
    names = how.bands_out(dates.bands)
    dtype = np.dtype(how.dtype_out(cube.dtype))
    _try(how, dates, cube)
    calendar = None if by is None else calendar_of(by, cube["time"].values)
    members = np.ones((1, cube.sizes["time"]), dtype=bool) if calendar is None else calendar.members
    data = _reduced(cube.data, how, members, len(names), dtype, dates)
    keep = {name: c for name, c in cube.coords.items() if not {"time", "band"} & {name, *c.dims}}
    attrs = {**cube.attrs, "reducer": repr(asked), "scenes": int(cube.sizes["time"]), **made_of(cube)}
    attrs |= table_of(cube) if getattr(how, "picks", False) else {}
    if dtype.kind == "f":
        attrs.pop("nodata", None)  # it is NaN
    result = xr.DataArray(
        data, dims=DIMS, coords={"band": np.asarray(names), **keep}, attrs=attrs, name=cube.name
    )
    if calendar is None:
        return result.isel(time=0)
    return _dated(result, cube, calendar)


def _dated(result: xr.DataArray, cube: xr.DataArray, calendar: Calendar) -> xr.DataArray:
    """Add the periods, and of each the Items that it was made of."""
    result = result.rename(time=calendar.dim).assign_coords(calendar.coords)
    if result.attrs.pop("items", None) is None:
        return result
    return result.assign_coords(items=(calendar.dim, _items_of(cube, calendar.members)))


def _items_of(cube: xr.DataArray, members: NDArray[np.bool_]) -> NDArray[np.str_]:
    """Return the ids of the Items of each period, given which dates (period, time) belong to it."""
    own = cube["items"].values.astype("O").astype(str)  # text of a Zarr store is StringDType
    return np.asarray([" ".join(sorted(set(" ".join(own[dates]).split()))) for dates in members])


def made_of(cube: xr.DataArray) -> dict[str, Any]:
    """Return what a composite was made of, as far as the cube says it: Items, first and last date."""
    found: dict[str, Any] = {}
    if "items" in cube.coords:
        found["items"] = sorted(set(" ".join(cube["items"].values.astype("O").astype(str)).split()))
    if cube["time"].dtype.kind == "M":
        times = cube["time"].values.astype("datetime64[s]")
        found |= {"first_date": f"{times.min()}Z", "last_date": f"{times.max()}Z"}
    return found


def one_reducer(reducer: Reducer | Sequence[Reducer]) -> Reducer:
    """Return a reducer, or one that is all of several; raise an error if it is none."""
    if isinstance(reducer, list | tuple):
        if not reducer:
            raise InputError("No reducer was given: take eocube.Median() or the like.")
        parts = tuple(as_reducer(part) for part in reducer)
        return parts[0] if len(parts) == 1 else Join(parts)
    return as_reducer(reducer)


def counted(how: Reducer, bands: tuple[str, ...]) -> Reducer:
    """Add the count of clear observations to what a reducer gives, if it is not among it."""
    if COUNT in bands:
        found = [name for name in bands if name in (SOURCE, COUNT, "rung") or name.startswith("used")]
        raise BandError(
            f"The cube is a composite itself, with {', '.join(found)} among its bands: leave out what is no "
            f"reflectance with cube.drop_sel(band={found}), or say count=False."
        )
    if COUNT in how.bands_out(bands):
        return how
    return Join((*(how.parts if isinstance(how, Join) else (how,)), Count()))


def checked(cube: xr.DataArray, how: Reducer) -> xr.DataArray:
    """Return a cube as (time, band, y, x); raise an error if it cannot be reduced."""
    if not isinstance(cube, xr.DataArray) or set(cube.dims) not in (set(DIMS), set(DIMS) - {"band"}):
        found = tuple(cube.dims) if isinstance(cube, xr.DataArray) else type(cube).__name__
        said = "" if isinstance(cube, xr.DataArray) else " eocube.load makes one of a plan or of Items."
        raise InputError(
            f"A DataArray with dims {DIMS} or ('time', 'y', 'x') is needed, found {found}.{said}"
        )
    if "band" not in cube.dims:
        name = str(cube["band"].item() if "band" in cube.coords else cube.name or "value")
        cube = cube.drop_vars("band", errors="ignore").expand_dims(band=[name], axis=1)
    if cube.dtype.kind not in "fu" and not np.issubdtype(cube.dtype, np.integer):
        raise InputError(f"A cube of numbers is needed, found {cube.dtype}.")
    if cube.sizes["time"] == 0:
        raise InputError("The cube has no dates.")
    classes = cube.attrs.get("flag_band")
    if classes in cube["band"].values and set(how.bands_out(_names(cube))) != {"count"}:
        raise BandError(
            f"{classes!r} holds classes, of which {how!r} means nothing: leave it out with "
            f"cube.sel(band=[...])."
        )
    nodata = cube.attrs.get("nodata", 0)
    if cube.dtype.kind != "f" and nodata not in (0, None):
        raise InputError(f"In an integer cube 0 is no data, this one says nodata={nodata}: convert it first.")
    return cube.transpose(*DIMS)


def _names(cube: xr.DataArray) -> tuple[str, ...]:
    return tuple(str(band) for band in cube["band"].values)


def _try(how: Reducer, dates: Dates, cube: xr.DataArray) -> None:
    """Let a reducer that picks say now, on one made-up observation, what it misses."""
    made_up = np.ones((1, cube.sizes["band"], 1, 1), dtype=np.float32)
    times = None if dates.times is None else dates.times[:1]
    for part in getattr(how, "parts", (how,)):
        if getattr(part, "picks", False):
            reduce_observations(part, Observations(made_up, bands=dates.bands, times=times))


def _reduced(
    data: Any,
    how: Reducer,
    members: NDArray[np.bool_],
    bands: int,
    dtype: np.dtype[Any],
    dates: Dates,
) -> Any:
    if isinstance(data, np.ndarray):
        return _reduce_block(data, how, members, bands, dtype, dates)
    import dask.array as da
    from dask.base import tokenize

    from .lazy import codes_under

    under = codes_under(data)
    data, coding = (data, None) if under is None else under
    if data.numblocks[:2] != (1, 1):
        data = data.rechunk({0: -1, 1: -1})
    return da.map_blocks(
        _timed_block, data, how, members, bands, dtype, dates, coding, dtype=dtype,
        chunks=((len(members),), (bands,), *data.chunks[2:]), meta=np.empty((0, 0, 0, 0), dtype=dtype),
        name="composite-" + tokenize(data.name, how, members, bands, str(dtype), dates, coding),
    )  # fmt: skip


def _timed_block(*args: Any) -> NDArray[Any]:
    from .lazy import in_time

    return in_time(_reduce_block, *args)


def _reduce_block(
    block: NDArray[Any],
    how: Reducer,
    members: NDArray[np.bool_],
    bands: int,
    dtype: Any,
    dates: Dates,
    coding: Any = None,
) -> NDArray[Any]:
    """Reduce (time, band, y, x) to (period, band out, y, x); a period without dates is no data."""
    out = np.zeros((len(members), bands, *block.shape[2:]), dtype=dtype)
    order = np.arange(len(block)) if dates.order is None else dates.order
    for period, chosen in enumerate(members):
        places = order[chosen[order]]
        whole = len(places) == len(block) and dates.order is None
        part = block if whole else block[places] if len(places) else _nothing(block)
        places = places if len(places) else order[:1]
        times = None if dates.times is None else dates.times[places]
        seen = Observations(part, coding, dates.bands, times, places + 1)
        if isinstance(how, Join):
            how.fill(out[period], seen)
        else:
            out[period] = reduce_observations(how, seen)
    return out


def _nothing(block: NDArray[Any]) -> NDArray[Any]:
    """One date without data, so that each reducer says itself what nothing gives."""
    return np.full_like(block[:1], np.nan if block.dtype.kind == "f" else 0)
