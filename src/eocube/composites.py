"""Composites: a cube reduced over time, one Dask task per block."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from .errors import BandError, InputError
from .reducers import Join, Reducer, as_reducer, reduce_codes

DIMS = ("time", "band", "y", "x")


def composite(
    cube: xr.DataArray, reducer: Reducer | Sequence[Reducer], *, by: str | None = None
) -> xr.DataArray:
    """Reduce a cube over time.

    Parameters
    ----------
    cube : xarray.DataArray
        Dims (time, band, y, x), of eocube or of any other library; lazy or not. No data is NaN, or
        0 in an integer cube.
    reducer : Reducer or sequence of Reducer
        ``Median()``, ``Mean()``, ``Percentile(25)``, ``Count()`` or your own. Several are made
        in one pass, their bands one after the other.
    by : str, optional
        A period, any frequency xarray knows: ``"MS"`` (months), ``"QS-DEC"`` (seasons), ``"YS"``,
        ``"10D"``. One composite each, periods without a date being all no data. None: one
        composite of all dates.

    Returns
    -------
    xarray.DataArray
        Dims (band, y, x), or (time, band, y, x) with ``by``, time being the start of each period.

    Raises
    ------
    InputError
        If the cube has no such dims, the frequency is not known, or the reducer is none.
    BandError
        If the cube holds classes, of which a median means nothing.

    Examples
    --------
    >>> import eocube
    >>> world = eocube.sample.cached()
    >>> items = eocube.search(world.items_path)
    >>> cube = eocube.load(items, world.grid, bands=["red"], mask=eocube.SCLMask())
    >>> best = eocube.composite(cube, eocube.Median())
    >>> months = eocube.composite(cube, eocube.Median(), by="MS")
    """
    how = _reducer(reducer)
    cube = _checked(cube, how)
    bands = tuple(str(band) for band in cube["band"].values)
    names = how.bands_out(bands)
    dtype = np.dtype(how.dtype_out(cube.dtype))
    labels, starts = _periods(cube, by)
    count = 1 if starts is None else len(starts)
    data = _reduced(cube.data, how, labels, (count, len(names)), dtype)
    keep = {name: c for name, c in cube.coords.items() if not {"time", "band"} & {name, *c.dims}}
    attrs = {**cube.attrs, "reducer": repr(how), "scenes": int(cube.sizes["time"])}
    result = xr.DataArray(
        data, dims=DIMS, coords={"band": np.asarray(names), **keep}, attrs=attrs, name=cube.name
    )
    return result.isel(time=0) if starts is None else result.assign_coords(time=starts)


def _reducer(reducer: Reducer | Sequence[Reducer]) -> Reducer:
    if isinstance(reducer, list | tuple):
        if not reducer:
            raise InputError("No reducer was given: take eocube.Median() or the like.")
        parts = tuple(as_reducer(part) for part in reducer)
        return parts[0] if len(parts) == 1 else Join(parts)
    return as_reducer(reducer)


def _checked(cube: xr.DataArray, how: Reducer) -> xr.DataArray:
    if not isinstance(cube, xr.DataArray) or set(cube.dims) != set(DIMS):
        found = tuple(cube.dims) if isinstance(cube, xr.DataArray) else type(cube).__name__
        raise InputError(f"A DataArray with dims {DIMS} is needed, found {found}.")
    if cube.dtype.kind not in "fu" and not np.issubdtype(cube.dtype, np.integer):
        raise InputError(f"A cube of numbers is needed, found {cube.dtype}.")
    if cube.sizes["time"] == 0:
        raise InputError("The cube has no dates.")
    classes = cube.attrs.get("flag_band")
    if classes in cube["band"].values and set(how.bands_out(("x",))) != {"count"}:
        raise BandError(
            f"{classes!r} holds classes, of which {how!r} means nothing: leave it out with "
            f"cube.sel(band=[...])."
        )
    nodata = cube.attrs.get("nodata", 0)
    if cube.dtype.kind != "f" and nodata not in (0, None):
        raise InputError(f"In an integer cube 0 is no data, this one says nodata={nodata}: convert it first.")
    return cube.transpose(*DIMS)


def _periods(cube: xr.DataArray, by: str | None) -> tuple[NDArray[np.intp], NDArray[Any] | None]:
    """Return the period of each date, and the starts of the periods."""
    if by is None:
        return np.zeros(cube.sizes["time"], dtype=np.intp), None
    from xarray.groupers import TimeResampler

    times = xr.DataArray(np.sort(cube["time"].values), dims="time", name="time")
    times = times.assign_coords(time=times)
    try:
        encoded = TimeResampler(freq=by).factorize(times["time"])
    except (ValueError, TypeError) as error:
        raise InputError(
            f"by={by!r} is not a frequency ({error}): write 'MS' for months, 'QS-DEC' for seasons, "
            "'YS' for years, '10D' for ten days."
        ) from error
    in_order = np.asarray(encoded.codes.values, dtype=np.intp)
    labels = np.empty_like(in_order)
    labels[np.argsort(cube["time"].values, kind="stable")] = in_order
    return labels, np.asarray(encoded.full_index)


def _reduced(
    data: Any, how: Reducer, labels: NDArray[np.intp], size: tuple[int, int], dtype: np.dtype[Any]
) -> Any:
    if isinstance(data, np.ndarray):
        return _reduce_block(data, how, labels, size, dtype)
    import dask.array as da
    from dask.base import tokenize

    from .lazy import codes_under

    under = codes_under(data)
    data, coding = (data, None) if under is None else under
    if data.numblocks[:2] != (1, 1):
        data = data.rechunk({0: -1, 1: -1})
    return da.map_blocks(
        _timed_block, data, how, labels, size, dtype, coding, dtype=dtype,
        chunks=((size[0],), (size[1],), *data.chunks[2:]), meta=np.empty((0, 0, 0, 0), dtype=dtype),
        name="composite-" + tokenize(data.name, how, labels, size, str(dtype), coding),
    )  # fmt: skip


def _timed_block(*args: Any) -> NDArray[Any]:
    from .lazy import in_time

    return in_time(_reduce_block, *args)


def _reduce_block(
    block: NDArray[Any],
    how: Reducer,
    labels: NDArray[np.intp],
    size: tuple[int, int],
    dtype: Any,
    coding: Any = None,
) -> NDArray[Any]:
    """Reduce (time, band, y, x) to (period, band out, y, x); a period without dates is no data."""
    out = np.zeros((*size, *block.shape[2:]), dtype=dtype)
    for period in range(size[0]):
        chosen = labels == period
        part = block if chosen.all() else block[chosen] if chosen.any() else _nothing(block)
        out[period] = how(part) if coding is None else reduce_codes(how, part, coding)
    return out


def _nothing(block: NDArray[Any]) -> NDArray[Any]:
    """One date without data, so that each reducer says itself what nothing gives."""
    return np.full_like(block[:1], np.nan if block.dtype.kind == "f" else 0)
