"""Rays: moving rasters of bools along a direction, and disks around what is set.

All results depend on a pixel's surroundings alone, not on where a raster is cut.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Bools = NDArray[np.bool_]
Offset = tuple[int, int]
Places = NDArray[np.intp]
T = TypeVar("T", bound=np.generic)


def ray(azimuth: float, nearest: float, farthest: float, pixel: float) -> list[Offset]:
    """Return the pixels under a ray, as rows and columns from where it starts.

    Parameters
    ----------
    azimuth : float
        Degrees clockwise from the raster's upward direction.
    nearest, farthest : float
        Metres from the start; both ends count.
    pixel : float
        Metres.

    Returns
    -------
    list of (int, int)
        One pixel per step along the steeper axis, so that neighbours touch: no gaps.

    Examples
    --------
    >>> ray(90, 20, 60, 20)
    [(0, 1), (0, 2), (0, 3)]
    """
    down, right = -math.cos(math.radians(azimuth)), math.sin(math.radians(azimuth))
    most = max(abs(down), abs(right))
    step = pixel / most
    first, last = math.ceil(nearest / step - 1e-9), math.floor(farthest / step + 1e-9)
    if nearest <= farthest and first > last:  # between two pixels: the nearer one
        first = last = _nearest((nearest + farthest) / 2 / step)
    return [(_nearest(k * down / most), _nearest(k * right / most)) for k in range(first, last + 1)]


def _nearest(place: float) -> int:
    # Not sensitive to the last bit of a sine: halves go up.
    return math.floor(round(place, 6) + 0.5)


def moved(found: NDArray[T], offset: Offset) -> NDArray[T]:
    """Return at each pixel what lies ``offset`` rows and columns from it; nothing from beyond the rim."""
    out = np.zeros_like(found)
    here, there = _overlap(found.shape, offset)
    out[here] = found[there]
    return out


def _overlap(shape: tuple[int, ...], offset: Offset) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Return the part of a raster of which the pixels ``offset`` away exist, and those."""
    here, there = [], []
    for size, by in zip(shape, offset, strict=True):
        first, last = max(0, -by), max(0, min(size, size - by))
        here.append(slice(first, max(first, last)))
        there.append(slice(first + by, max(first, last) + by))
    return (here[0], here[1]), (there[0], there[1])


def add_moved(out: Bools, found: Bools, offset: Offset) -> None:
    """Set in ``out`` what is set ``offset`` rows and columns away."""
    here, there = _overlap(found.shape, offset)
    out[here] |= found[there]


def seen_along(found: Bools, offsets: list[Offset]) -> Bools:
    """Return where anything is set at one of the offsets: exactly the union, in few steps.

    Parts of a straight line repeat: a part is made of its two halves, each kind once. A line of n
    pixels takes about 2 sqrt(n) steps instead of n.

    Parameters
    ----------
    found : bool array (y, x)
    offsets : list of (int, int)
        Rows and columns; best from :func:`ray`.

    Examples
    --------
    >>> seen_along(np.array([[False, False, True]]), [(0, 1), (0, 2)]).tolist()
    [[True, True, False]]
    """
    if not offsets or not found.any():
        return np.zeros_like(found)
    known: dict[tuple[Offset, ...], Bools] = {((0, 0),): found}

    def part(shape: tuple[Offset, ...]) -> Bools:
        if shape not in known:
            # Halves of 2**k pixels, so that they come again.
            half = 1 << ((len(shape) - 1).bit_length() - 1)
            out = part(shape[:half]).copy()
            start = shape[half]
            add_moved(out, part(_from(shape[half:], start)), start)
            known[shape] = out
        return known[shape]

    line = _from(tuple(offsets), offsets[0])
    return moved(part(line), offsets[0])


def _from(offsets: tuple[Offset, ...], start: Offset) -> tuple[Offset, ...]:
    return tuple((row - start[0], column - start[1]) for row, column in offsets)


@dataclass(frozen=True, eq=False)
class Sight:
    """A raster along which few rays are followed in leaps: nothing is met within the distance to the nearest.

    Attributes
    ----------
    away : int32 array (y, x)
        Pixels to the nearest that is set, the longer of rows and columns.
    """

    away: NDArray[np.int32]

    @classmethod
    def of(cls, found: Bools) -> Sight:
        """Return it for what is set in a raster."""
        if not found.any():
            return cls(np.full(found.shape, max(found.shape) + 1, dtype=np.int32))
        from scipy.ndimage import distance_transform_cdt

        return cls(distance_transform_cdt(~found, metric="chessboard"))

    def meets(self, rows: Places, columns: Places, line: list[Offset], near: int = 0) -> Bools:
        """Tell which pixels meet something set on a line of sight, or pass it within ``near`` pixels.

        Exactly what trying each pixel of the line would tell, in few steps.

        Parameters
        ----------
        rows, columns : int arrays (pixel,)
        line : list of (int, int)
            From :func:`ray`, as rows and columns from the pixel: a step goes one pixel, not more.
        near : int

        Returns
        -------
        bool array (pixel,)

        Examples
        --------
        >>> sight = Sight.of(np.array([[False, False, True]]))
        >>> sight.meets(np.zeros(3, int), np.arange(3), [(0, 1), (0, 2)]).tolist()
        [True, True, False]
        """
        found = np.zeros(len(rows), dtype=bool)
        height, width = self.away.shape
        down, right = np.array(line, dtype=np.int32).T
        left = np.arange(len(rows))
        step = np.zeros(len(rows), dtype=np.int32)
        while len(left):
            row, column = rows[left] + down[step], columns[left] + right[step]
            inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
            if not inside.all():  # a line that has left does not come back, but may not have entered yet
                row, column = row.clip(0, height - 1), column.clip(0, width - 1)
            leap = self.away[row, column] - near
            met = (leap <= 0) & inside
            found[left[met]] = True
            step = step + np.maximum(leap, 1)
            on = ~met & (step < len(line))
            left, step = left[on], step[on]
        return found


def dilated(found: Bools, radius: float) -> Bools:
    """Return what lies within ``radius`` pixels (from middle to middle) of anything set."""
    if radius < 1 or not found.any():
        return found
    from scipy.ndimage import distance_transform_edt

    return np.asarray(distance_transform_edt(~found) <= radius * (1 + 1e-9))


def eroded(found: Bools, radius: float, known: Bools | None = None) -> Bools:
    """Return what has nothing unset within ``radius`` pixels; what is not ``known`` counts as set."""
    inside = found if known is None else found | ~known
    if radius < 1 or inside.all():
        return found
    from scipy.ndimage import distance_transform_edt

    return np.asarray(found & (distance_transform_edt(inside) > radius * (1 + 1e-9)))
