"""Zonal statistics of one chunk: what a task of a time series does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from .errors import EocubeError, InputError
from .losses import Window
from .moments import Moments, median_of, moments_of
from .plans import Plan
from .zones import Weights, Zones, zones_in

Index = Callable[[xr.DataArray], xr.DataArray]
_DIMS = ("time", "band", "pixel")
_VALUES = 2**21
"""Values that are worked on at once: 8 MB."""


@dataclass(frozen=True)
class How:
    """What is done to the pixels of fields.

    Attributes
    ----------
    bands, stats : tuple of str
    of : callable or None
        Makes (time, pixel) or (time, band, pixel) of (time, band, pixel).
    weights : {"exact", "centre", "all"}
    """

    bands: tuple[str, ...]
    stats: tuple[str, ...]
    of: Index | None
    weights: Weights

    def names(self, times: NDArray[Any]) -> list[str]:
        """Return the names of the bands that ``of`` makes; tries it on two pixels without data."""
        assert self.of is not None
        nothing = np.full((len(times), len(self.bands), 2), np.nan, dtype=np.float32)
        made = self._made(nothing, times)
        if "band" in made.coords and made["band"].ndim == 1:
            return [str(band) for band in made["band"].values]
        name = made.name or getattr(self.of, "__name__", "value")
        several = made.sizes["band"] > 1
        return [f"{name}_{n}" if several else str(name) for n in range(made.sizes["band"])]

    def values(self, bands: NDArray[Any], times: NDArray[Any]) -> NDArray[np.floating[Any]]:
        """Return (time, band, pixel) of what is asked for."""
        return bands if self.of is None else np.asarray(self._made(bands, times).values)

    def _made(self, bands: NDArray[Any], times: NDArray[Any]) -> xr.DataArray:
        assert self.of is not None
        coords = {"time": times, "band": np.asarray(self.bands)}
        try:
            made = self.of(xr.DataArray(bands, dims=_DIMS, coords=coords))
        except EocubeError:
            raise
        except Exception as error:
            raise InputError(
                f"of={named(self.of)} failed ({type(error).__name__}: {error}). It is given a DataArray "
                f"(time, band, pixel) with the bands {', '.join(self.bands)}: take one by "
                f".sel(band={self.bands[0]!r})."
            ) from error
        if isinstance(made, xr.DataArray) and "band" not in made.dims:
            made = made.expand_dims("band")
        wanted = {"time": len(times), "pixel": bands.shape[-1]}
        fits = isinstance(made, xr.DataArray) and made.ndim == 3
        if not fits or any(made.sizes.get(dim) != size for dim, size in wanted.items()):
            shown = dict(made.sizes) if isinstance(made, xr.DataArray) else type(made).__name__
            raise InputError(
                f"of={named(self.of)} was given (time, band, pixel) and has to return (time, pixel) or "
                f"(time, band, pixel), it returned {shown}."
            )
        return made.transpose(*_DIMS)


@dataclass(frozen=True)
class Job:
    """A chunk with fields.

    Attributes
    ----------
    index : tuple of int
        Of the chunk.
    window : tuple of int
        First and one past last row, first and one past last column of the grid.
    numbers : int array (field,)
    shapes : array of geometries (field,)
        In pixels of the grid.
    whole : bool array (field,)
        Whether the field lies in no other chunk.
    """

    index: tuple[int, int]
    window: tuple[int, int, int, int]
    numbers: NDArray[np.intp]
    shapes: NDArray[Any]
    whole: NDArray[np.bool_]


@dataclass
class Piece:
    """What a task returns.

    Attributes
    ----------
    numbers : int array (field,)
    sizes : float64 array (field,)
        Sum of the weights.
    moments : Moments or None
        (time, band, field); None if there are none.
    medians : dict of array (time, band)
        By field; of those that lie whole in the chunk.
    values : dict of arrays (time, band, pixel) and (pixel,)
        By field; the values and weights of those that do not, for the median.
    """

    numbers: NDArray[np.intp]
    sizes: NDArray[np.float64]
    moments: Moments | None
    medians: dict[int, NDArray[np.float64]]
    values: dict[int, tuple[NDArray[np.floating[Any]], NDArray[np.float64]]]


def named(function: Any) -> str:
    """Return what a function is called, without where it lies in memory."""
    return str(getattr(function, "__name__", repr(function)))


_NOTHING = Piece(np.zeros(0, dtype=np.intp), np.zeros(0), None, {}, {})
Read = Callable[[Window, NDArray[np.bool_]], NDArray[Any]]
_Taken = tuple[NDArray[np.bool_], NDArray[np.floating[Any]]]
"""Which dates have a clear pixel, and the values (clear date, band, pixel)."""
_Take = Callable[[NDArray[np.intp]], _Taken]


def of_plan(plan: Plan, times: NDArray[Any], how: How, job: Job, read: Read) -> NDArray[Any]:
    """Read one chunk of a plan: only the rows and columns of its fields, only the pixels under them.

    ``read`` gives the codes of a window of the plan, and is told which pixels are looked at.
    """
    zones = zones_in(job.shapes, job.window, how.weights)
    if not len(zones.cells):
        return _boxed(_NOTHING)
    top, _, left, right = job.window
    rows, columns = np.divmod(zones.cells, right - left)
    y, x, bottom, past = int(rows.min()), int(columns.min()), int(rows.max()) + 1, int(columns.max()) + 1
    look = np.zeros((bottom - y, past - x), dtype=bool)
    look[rows - y, columns - x] = True
    codes = read((top + y, top + bottom, left + x, left + past), look)
    del look
    flat = codes.reshape(*codes.shape[:2], -1)
    cells = (rows - y) * (past - x) + columns - x
    tight = Zones(zones.numbers, zones.starts, cells, zones.weights)

    def take(some: NDArray[np.intp]) -> _Taken:
        found = flat.take(some, axis=-1)
        clear = np.asarray(found.any(axis=(1, 2)))
        clear[0] |= not clear.any()  # one date at least, so that an index has something to work on
        values = plan.coding.decode(found[clear][:, :, None])[:, :, 0]
        return clear, _floating(values, plan.coding.nothing)

    return _boxed(_summary(tight, job, how, times, take))


def of_block(block: NDArray[Any], times: NDArray[Any], nodata: float, how: How, job: Job) -> NDArray[Any]:
    """Take one chunk of a cube."""
    flat = np.ascontiguousarray(block).reshape(*block.shape[:2], -1)
    zones = zones_in(job.shapes, job.window, how.weights)
    if not len(zones.cells):
        return _boxed(_NOTHING)

    def take(some: NDArray[np.intp]) -> _Taken:
        return np.ones(len(times), dtype=bool), _floating(flat.take(some, axis=-1), nodata)

    return _boxed(_summary(zones, job, how, times, take))


_Part = tuple[
    Moments,
    dict[int, NDArray[np.float64]],
    dict[int, tuple[NDArray[np.floating[Any]], NDArray[np.float64]]],
]


def _floating(values: NDArray[Any], nodata: float) -> NDArray[Any]:
    if values.dtype.kind == "f":
        return values
    return np.where(values == nodata, np.float64(np.nan), values)


def _boxed(piece: Piece) -> NDArray[Any]:
    box = np.empty(1, dtype=object)
    box[0] = piece
    return box


def _summary(zones: Zones, job: Job, how: How, times: NDArray[Any], take: _Take) -> Piece:
    """Reduce the pixels of the zones, a few zones at a time: what is made on the way stays small."""
    limit = _VALUES // (len(times) * len(how.bands))
    parts = [_part(zones, slice(*run), job, how, times, take) for run in _batches(zones, limit)]
    joined = Moments.joined([moments for moments, _, _ in parts])
    ranked = {number: found for _, own, _ in parts for number, found in own.items()}
    values = {number: pair for _, _, own in parts for number, pair in own.items()}
    return Piece(job.numbers[zones.numbers], zones.sizes, joined, ranked, values)


def _batches(zones: Zones, limit: int) -> list[tuple[int, int]]:
    """Cut the zones into runs of at most so many pixels, or of one zone that has more."""
    found, first, ends = [], 0, zones.ends
    for zone in range(len(zones.starts)):
        if ends[zone] - zones.starts[first] > limit and zone > first:
            found.append((first, zone))
            first = zone
    return [*found, (first, len(zones.starts))]


def _part(zones: Zones, run: slice, job: Job, how: How, times: NDArray[Any], take: _Take) -> _Part:
    begin, end = zones.starts[run.start], zones.ends[run.stop - 1]
    own = Zones(
        zones.numbers[run], zones.starts[run] - begin, zones.cells[begin:end], zones.weights[begin:end]
    )
    clear, bands = take(own.cells)
    values = how.values(bands, times[clear])
    moments = Moments.empty((len(times), values.shape[1], len(own.starts)))
    moments.put(clear, moments_of(values, own, how.stats))
    ranked, kept = {}, {}
    if "median" in how.stats:
        for number, start, stop in zip(own.numbers, own.starts, own.ends, strict=True):
            field, pixels = int(job.numbers[number]), values[..., start:stop]
            if job.whole[number]:
                median = median_of(pixels, own.weights[start:stop], exact=how.weights == "exact")
                ranked[field] = _spread(median, clear)
            else:
                kept[field] = (_spread(pixels, clear), own.weights[start:stop].copy())
    return moments, ranked, kept


def _spread(values: NDArray[Any], clear: NDArray[np.bool_]) -> NDArray[Any]:
    """Return values of all dates; NaN on those that are not clear."""
    found = np.full((len(clear), *values.shape[1:]), np.nan, dtype=values.dtype)
    found[clear] = values
    return found


def own_part(box: NDArray[Any]) -> NDArray[Any]:
    """Return a task's answer without the values that another one takes."""
    piece = box[0]
    return _boxed(replace(piece, values={}))


def across(fields: NDArray[np.intp], how: How, boxes: list[NDArray[Any]]) -> NDArray[Any]:
    """Return the medians of fields that lie in several chunks, of all their values."""
    found = {}
    for field in fields.tolist():
        pairs = [box[0].values[field] for box in boxes if field in box[0].values]
        if pairs:
            values = np.concatenate([values for values, _ in pairs], axis=-1)
            shares = np.concatenate([weights for _, weights in pairs])
            found[field] = median_of(values, shares, exact=how.weights == "exact")
    return _boxed(Piece(np.zeros(0, dtype=np.intp), np.zeros(0), None, found, {}))
