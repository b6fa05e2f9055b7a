"""Cutting a window of the output out of a file's pixels.

Exact and independent of the window: the coordinates of every output pixel are computed, not
approximated, so that two windows of one grid always agree where they meet. Nearest and bilinear
follow GDAL's warper (`gdalwarpkernel.cpp`): nearest is the pixel a point falls into; bilinear
weighs the valid ones of the four around the point, of more where the output is coarser, and gives
a value only where the pixel it falls into is valid.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import lru_cache, reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from ..grids import nests, pixel_coordinates, transformer
from .base import WINDOW

_SAME = 1e-6  # of a pixel
_SUMS = 24  # bytes of a pixel of the window while bilinear adds it up

FOUR = 0.95
"""GDAL's bilinear takes four pixels as long as an output pixel is at most 1 / 0.95 of the file's
(`bUse4SamplesFormula`); beyond, the kernel grows with the output pixel."""


@dataclass(frozen=True)
class Cut:
    """How a window of the output is taken from a file.

    Attributes
    ----------
    rows, columns : float64 arrays
        Where the output's pixel centres lie in the file's pixels; (y, 1) and (1, x), or (y, x).
    window : tuple of int
        First and one past last row, first and one past last column to be read; empty if the file
        does not reach.
    method : str
        Resampling, never ``auto``.
    reach : pair of float
        Pixels of the file, across and down, that the bilinear kernel reaches to each side.
    """

    rows: NDArray[np.float64]
    columns: NDArray[np.float64]
    window: tuple[int, int, int, int]
    method: str
    reach: tuple[float, float]

    @property
    def empty(self) -> bool:
        """Whether the file does not touch the window at all."""
        top, bottom, left, right = self.window
        return top >= bottom or left >= right

    def take(self, block: NDArray[Any], nodata: int) -> NDArray[Any]:
        """Return the output window from the pixels that were read (``window`` of the file)."""
        rows, columns = self.rows - self.window[0], self.columns - self.window[2]
        if self.method == "nearest":
            return _nearest(block, rows, columns, nodata)
        return _bilinear(block, rows, columns, nodata, self.reach)


def parts(how: Cut, itemsize: int) -> int:
    """Return in how many parts, by rows, the output is made so that no window is too large."""
    top, bottom, left, right = how.window
    each = itemsize + (0 if how.method == "nearest" else _SUMS)
    wanted = -(-(bottom - top) * (right - left) * each // WINDOW)
    return max(1, min(wanted, int(how.rows.shape[0])))


def rows_of(geobox: GeoBox, count: int) -> list[slice]:
    """Return the rows of so many parts."""
    rows = int(geobox.shape[0])
    return [slice(rows * part // count, rows * (part + 1) // count) for part in range(count)]


def cut(src: GeoBox, dst: GeoBox, resampling: str) -> Cut:
    """Plan how ``dst`` is taken from a file with the grid ``src``."""
    method = resampling
    if resampling == "auto":
        method = "nearest" if nests(src, dst) else "bilinear"
    rows, columns = _coordinates(src, dst)
    across, down = (size if FOUR * size > 1 else 1.0 for size in scales(src, dst))
    rim = 0.0 if method == "nearest" else max(across, down) + 1
    window = (*_span(rows, src.shape[0], rim), *_span(columns, src.shape[1], rim))
    return Cut(rows, columns, window, method, (across, down))


def scales(src: GeoBox, dst: GeoBox) -> tuple[float, float]:
    """Width and height of an output pixel in pixels of the file, in the middle of the file.

    Of the file, not of the window: windows of one grid must choose the same overview and kernel.
    """
    if src.crs == dst.crs:
        return abs(dst.affine.a / src.affine.a), abs(dst.affine.e / src.affine.e)
    return _scales_across(src, dst.crs, (dst.affine.a, dst.affine.e))


@lru_cache(maxsize=256)
def _scales_across(src: GeoBox, crs: Any, pixel: tuple[float, float]) -> tuple[float, float]:
    height, width = src.shape
    x = src.affine.c + src.affine.a * width / 2
    y = src.affine.f + src.affine.e * height / 2
    forth, back = transformer(src.crs, crs), transformer(crs, src.crs)
    cx, cy = forth.transform(x, y)
    px, py = back.transform([cx, cx + pixel[0], cx], [cy, cy, cy + pixel[1]])
    across = np.hypot(px[1] - px[0], py[1] - py[0])
    down = np.hypot(px[2] - px[0], py[2] - py[0])
    return float(across / src.affine.a), float(down / abs(src.affine.e))


_kept = threading.local()


def _coordinates_across(src: GeoBox, dst: GeoBox) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Across two CRSs they cost a projection per pixel; all dates and bands of a window share them.

    Kept by thread: a window is one thread's, and windows must not push out each other's.
    """
    if getattr(_kept, "window", None) != dst:
        _kept.window, _kept.found = dst, {}
    if src not in _kept.found:
        _kept.found[src] = pixel_coordinates(src, dst)
    found: tuple[NDArray[np.float64], NDArray[np.float64]] = _kept.found[src]
    return found


def _coordinates(src: GeoBox, dst: GeoBox) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return pixel_coordinates(src, dst) if src.crs == dst.crs else _coordinates_across(src, dst)


def _span(coordinates: NDArray[np.float64], size: int, rim: float) -> tuple[int, int]:
    finite = coordinates[np.isfinite(coordinates)]
    if finite.size == 0:
        return 0, 0
    first = int(np.floor(finite.min() + _SAME - rim))
    last = int(np.floor(finite.max() + _SAME + rim)) + 1
    return max(first, 0), min(max(last, 0), size)


def _nearest(
    block: NDArray[Any], rows: NDArray[np.float64], columns: NDArray[np.float64], nodata: int
) -> NDArray[Any]:
    (r, r_in), (c, c_in) = _pixel(rows, block.shape[0]), _pixel(columns, block.shape[1])
    if rows.shape[1] == 1 and columns.shape[0] == 1:
        out = np.full((r.size, c.size), nodata, dtype=block.dtype)
        if r_in.any() and c_in.any():
            to, at = zip(_places(r.ravel(), r_in.ravel()), _places(c.ravel(), c_in.ravel()), strict=True)
            if all(isinstance(place, slice) for place in at):
                out[to] = block[at]  # the same lattice: a plain copy
            else:
                out[to] = block[at[0]][:, at[1]]
        return out
    return np.where(r_in & c_in, block[r, c], np.asarray(nodata, dtype=block.dtype))


def _places(index: NDArray[np.intp], inside: NDArray[np.bool_]) -> tuple[slice, slice | NDArray[np.intp]]:
    """Return which pixels of the output are inside, and where they lie in the block.

    Coordinates run one way along an axis, so those inside are neighbours.
    """
    first, last = int(np.argmax(inside)), len(inside) - int(np.argmax(inside[::-1]))
    at = index[first:last]
    one_by_one = at[-1] - at[0] + 1 == len(at) and (np.diff(at) == 1).all()
    return slice(first, last), slice(int(at[0]), int(at[-1]) + 1) if one_by_one else at


def _pixel(coordinates: NDArray[np.float64], size: int) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Return the pixel each point falls into, clipped, and whether it lies inside."""
    with np.errstate(invalid="ignore"):
        index = np.floor(np.where(np.isfinite(coordinates), coordinates, -1) + _SAME).astype(np.intp)
    return np.clip(index, 0, size - 1), (index >= 0) & (index < size)


def _bilinear(
    block: NDArray[Any],
    rows: NDArray[np.float64],
    columns: NDArray[np.float64],
    nodata: int,
    reach: tuple[float, float],
) -> NDArray[Any]:
    valid = block != nodata
    value = np.where(valid, block, 0).astype(np.float64)
    total = _weighted(value, rows, columns, reach)
    weight = _weighted(valid.astype(np.float64), rows, columns, reach)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(weight == 1, total, total / weight)
    here = _nearest(block, rows, columns, nodata) != nodata
    # A valid pixel may not round to the number that means no data (GDAL: avoid nodata).
    rounded = np.floor(np.where(here, mean, 0) + 0.5)
    rounded = np.where(rounded == nodata, nodata + 1, rounded) if nodata == 0 else rounded
    return np.where(here, rounded, nodata).astype(block.dtype)


def _weighted(
    values: NDArray[np.float64],
    rows: NDArray[np.float64],
    columns: NDArray[np.float64],
    reach: tuple[float, float],
) -> NDArray[np.float64]:
    """Sum of the pixels around each point times their weights; outside counts as 0.

    The kernel is a triangle, ``reach`` pixels to each side (columns, rows): 1 for the usual four
    pixels. Added up in a fixed order, so that the sum does not depend on the window.
    """
    down, across = _taps(rows, reach[1]), _taps(columns, reach[0])
    margin = (len(down) // 2 + 1, len(across) // 2 + 1)
    padded = np.pad(values, [(m, m) for m in margin])
    height, width = padded.shape
    downs = [((r + margin[0]).clip(0, height - 1), w) for r, w in down]
    acrosses = [((c + margin[1]).clip(0, width - 1), w) for c, w in across]
    if rows.shape[1] == 1 and columns.shape[0] == 1:
        first = reduce(np.add, (padded.take(r.ravel(), axis=0) * w for r, w in downs))
        return reduce(np.add, (first.take(c.ravel(), axis=1) * w for c, w in acrosses))
    return reduce(np.add, (padded[r, c] * (w * v) for r, w in downs for c, v in acrosses))


def _taps(
    coordinates: NDArray[np.float64], reach: float
) -> list[tuple[NDArray[np.intp], NDArray[np.float64]]]:
    """Return the pixels around each point and their weights, one pair for each place in the kernel."""
    middle = np.where(np.isfinite(coordinates), coordinates, -10) - 0.5
    first = np.floor(middle)
    half = int(np.ceil(reach))
    places = range(1 - half, half + 1)
    weights = [np.maximum(0, 1 - np.abs(first + place - middle) / reach) for place in places]
    if reach != 1:
        total = sum(weights)
        weights = [weight / total for weight in weights]
    return [((first + place).astype(np.intp), weight) for place, weight in zip(places, weights, strict=True)]
