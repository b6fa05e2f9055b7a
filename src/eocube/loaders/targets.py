"""Where the pixels of decoded blocks go.

Nearest on the same CRS needs no more than a block at a time. Bilinear and other CRSs need the
window of the file as a whole; it is made when its first block is there.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from .base import Source
from .directories import Foreign
from .sampling import _SAME, Cut
from .tiffs import Level

Bools = NDArray[np.bool_]


class Block(NamedTuple):
    """Row and column of a block in its file."""

    row: int
    column: int


class Target(Protocol):
    """Takes decoded blocks in any order."""

    def needs(self, block: Block) -> tuple[slice, slice]:
        """Return which rows and columns of a block are needed."""

    def goal(self, block: Block) -> NDArray[Any] | None:
        """Return where what is needed of a block goes as it is, if that is all there is to do."""

    def put(self, block: Block, pixels: NDArray[Any]) -> None:
        """Take what is needed of a block; the pixels are only good until this returns."""

    def finish(self) -> None:
        """All blocks were put."""


class Way:
    """A cut, and what all files that are cut alike share."""

    def __init__(self, how: Cut) -> None:
        self.how = how
        separable = how.rows.shape[1] == 1 and how.columns.shape[0] == 1
        forward = separable and all((np.diff(at.ravel()) >= 0).all() for at in (how.rows, how.columns))
        self.direct = how.method == "nearest" and forward
        self._pieces: dict[tuple[int, int], tuple[dict[int, _Piece], dict[int, _Piece]]] = {}

    def pieces(self, level: Level) -> tuple[dict[int, _Piece], dict[int, _Piece]]:
        """Return what each row and each column of blocks gives to the output."""
        if level.block not in self._pieces:
            rows, columns = (
                _pieces(np.floor(at.ravel() + _SAME).astype(np.intp), size, side)
                for at, size, side in zip(
                    (self.how.rows, self.how.columns), level.grid.shape, level.block, strict=True
                )
            )
            self._pieces[level.block] = rows, columns
        return self._pieces[level.block]

    @cached_property
    def cells(self) -> tuple[NDArray[np.float64], ...]:
        """Lowest and highest row, lowest and highest column under each cell of the output."""
        how = self.how
        rim = how.reach if how.method == "bilinear" else (0.0, 0.0)
        found = []
        for at, reach in ((how.rows, rim[1]), (how.columns, rim[0])):
            known = np.isfinite(at)
            found.append(_celled(np.where(known, at, np.inf), np.minimum) - reach - 1)
            found.append(_celled(np.where(known, at, -np.inf), np.maximum) + reach + 1)
        return tuple(np.broadcast_arrays(*found))


def target(
    level: Level, tag: int | None, way: Way, source: Source, out: NDArray[Any], look: Bools | None
) -> tuple[Target, list[Block]]:
    """Return where blocks go, and which are needed; without those that are no data anyway.

    Parameters
    ----------
    level : Level
    tag : int, optional
        What means no data in the file.
    way : Way
        How the output is cut from the file.
    source : Source
    out : array (y, x)
        The result; filled with no data.
    look : bool array (y, x), optional
        The pixels that are wanted.

    Raises
    ------
    Foreign
        If GDAL has to resample it.
    """
    if way.how.method not in ("nearest", "bilinear"):
        raise Foreign(way.how.method)
    goal: _Direct | _Window
    goal = (_Direct if way.direct else _Window)(level, way, _Numbers(level, tag, source), out)
    blocks = goal.wanted(look)
    blank = 0 if tag is None else tag
    if blank == source.nodata or (tag is not None and source.nodata == 0):
        blocks = [block for block in blocks if level.counts[block]]  # the result is no data already
    return goal, blocks


class _Numbers:
    """Gives numbers of a file the meaning and the type the caller expects."""

    def __init__(self, level: Level, tag: int | None, source: Source) -> None:
        # As the other loaders do: the file's tag counts only where the caller says 0.
        self.tag = None if source.nodata != 0 or tag == 0 else tag
        self.nodata = source.nodata
        self.dtype = np.dtype(source.dtype)
        self.narrow = not np.can_cast(level.dtype, self.dtype)
        self.change = self.narrow or self.tag is not None

    def meant(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """Give no data the number the caller expects."""
        if self.tag is None:
            return pixels
        return np.where(pixels == self.tag, np.asarray(0, dtype=pixels.dtype), pixels)


class _Piece(NamedTuple):
    """What a block gives to the output along one axis."""

    out: slice
    span: slice  # the block's pixels that are needed
    times: int  # each is repeated so often; 0: ``places`` says which is taken
    places: NDArray[np.intp]


def _pieces(index: NDArray[np.intp], size: int, side: int) -> dict[int, _Piece]:
    """Return what each block gives along one axis; ``index`` is the file's pixel of each output pixel."""
    inside = index[(index >= 0) & (index < size)]
    if not inside.size:
        return {}
    first, last = int(inside[0]) // side, int(inside[-1]) // side
    edges = np.minimum(np.arange(first, last + 2) * side, size)
    bounds = np.searchsorted(index, edges).tolist()
    found = {}
    for block, start, stop in zip(range(first, last + 1), bounds[:-1], bounds[1:], strict=True):
        if start < stop:
            own = index[start:stop] - block * side
            low, high = int(own[0]), int(own[-1]) + 1
            times, rest = divmod(stop - start, high - low)
            if rest or not (own == np.repeat(np.arange(low, high), times)).all():
                times = 0
            found[block] = _Piece(slice(start, stop), slice(low, high), times, own - low)
    return found


@dataclass
class _Direct:
    """Nearest on the same CRS: each block goes straight into the result."""

    level: Level
    way: Way
    numbers: _Numbers
    out: NDArray[Any]

    def wanted(self, look: Bools | None) -> list[Block]:
        """Return the blocks under which a wanted pixel lies."""
        rows, columns = self.way.pieces(self.level)
        return [
            Block(row, column)
            for row, y in rows.items()
            for column, x in columns.items()
            if look is None or look[y.out, x.out].any()
        ]

    def needs(self, block: Block) -> tuple[slice, slice]:
        """Return which rows and columns of a block are needed."""
        rows, columns = self.way.pieces(self.level)
        return rows[block.row].span, columns[block.column].span

    def goal(self, block: Block) -> NDArray[Any] | None:
        """Return the part of the result, where it has the file's pixels and numbers."""
        rows, columns = self.way.pieces(self.level)
        y, x = rows[block.row], columns[block.column]
        if self.numbers.change or not y.times == x.times == 1:
            return None
        goal = self.out[y.out, x.out]
        return goal if goal.dtype == self.level.dtype.newbyteorder("=") else None

    def put(self, block: Block, pixels: NDArray[Any]) -> None:
        """Copy, or repeat."""
        rows, columns = self.way.pieces(self.level)
        y, x = rows[block.row], columns[block.column]
        part = self.numbers.meant(pixels)
        if self.numbers.narrow:
            part = part.astype(self.numbers.dtype)
        if x.times != 1:
            part = _widened(part, x.times) if x.times else part.take(x.places, axis=1)
        goal = self.out[y.out, x.out]
        if not y.times:
            goal[...] = part.take(y.places, axis=0)
        for step in range(y.times):
            goal[step :: y.times] = part

    def finish(self) -> None:
        """Nothing is left to do."""


def _widened(part: NDArray[Any], times: int) -> NDArray[Any]:
    """Repeat columns; quicker than numpy's repeat."""
    wide = np.empty((part.shape[0], part.shape[1] * times), dtype=part.dtype)
    for step in range(times):
        wide[:, step::times] = part
    return wide


@dataclass
class _Window:
    """The window of the file, from which the result is sampled at the end."""

    level: Level
    way: Way
    numbers: _Numbers
    out: NDArray[Any]
    window: NDArray[Any] | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)

    def wanted(self, look: Bools | None) -> list[Block]:
        """Return the blocks that a wanted pixel is made of."""
        if self.way.how.empty:
            return []
        top, bottom, left, right = self.way.how.window
        height, width = self.level.block
        first = top // height, left // width
        shape = -(-bottom // height) - first[0], -(-right // width) - first[1]
        needed = _touched(self.way.cells, look, self.level.block, first, shape)
        return [Block(first[0] + row, first[1] + column) for row, column in np.argwhere(needed).tolist()]

    def needs(self, block: Block) -> tuple[slice, slice]:
        """Return which rows and columns of a block lie in the window."""
        top, bottom, left, right = self.way.how.window
        height, width = self.level.block
        y, x = block.row * height, block.column * width
        rows = slice(max(0, top - y), min(height, bottom - y))
        return rows, slice(max(0, left - x), min(width, right - x))

    def goal(self, block: Block) -> NDArray[Any]:
        """Return the part of the window."""
        top, bottom, left, right = self.way.how.window
        with self.lock:
            if self.window is None:
                own = self.level.dtype.newbyteorder("=")
                self.window = np.full((bottom - top, right - left), self.numbers.nodata, dtype=own)
        rows, columns = self.needs(block)
        y, x = block.row * self.level.block[0] - top, block.column * self.level.block[1] - left
        return self.window[y + rows.start : y + rows.stop, x + columns.start : x + columns.stop]

    def put(self, block: Block, pixels: NDArray[Any]) -> None:
        """Copy what lies in the window."""
        self.goal(block)[...] = pixels

    def finish(self) -> None:
        """Sample the window."""
        if self.window is None:
            return
        window = self.numbers.meant(self.window)
        self.window = None
        found = self.way.how.take(window, self.numbers.nodata)
        self.out[...] = found.astype(self.numbers.dtype, copy=False)


_CELL = 16


def _celled(values: NDArray[Any], join: np.ufunc) -> NDArray[Any]:
    """Join the values of each cell of 16 x 16 pixels."""
    for axis in (0, 1):
        if values.shape[axis] > 1:
            values = join.reduceat(values, np.arange(0, values.shape[axis], _CELL), axis=axis)
    return values


def _touched(
    cells: tuple[NDArray[np.float64], ...],
    look: Bools | None,
    block: tuple[int, int],
    first: tuple[int, int],
    shape: tuple[int, int],
) -> Bools:
    """Return which blocks of a window the wanted cells need."""
    wanted = np.ones(cells[0].shape, dtype=bool) if look is None else _celled(look, np.logical_or)
    wanted = wanted & np.isfinite(cells[0]) & np.isfinite(cells[2])
    sides = []
    for low, high, side, start, size in zip(cells[::2], cells[1::2], block, first, shape, strict=True):
        wanted = wanted & (high >= start * side) & (low < (start + size) * side)
        sides.append((low, high, side, start, size))
    # Each cell is a rectangle of blocks: count them by their corners.
    corners = np.zeros((shape[0] + 1, shape[1] + 1), dtype=np.int64)
    (y0, y1), (x0, x1) = (
        [
            np.clip(np.floor(at[wanted] / side).astype(np.int64) - start, 0, size - 1) + past
            for at, past in ((low, 0), (high, 1))
        ]
        for low, high, side, start, size in sides
    )
    for y, x, sign in ((y0, x0, 1), (y1, x0, -1), (y0, x1, -1), (y1, x1, 1)):
        np.add.at(corners, (y, x), sign)
    return corners.cumsum(axis=0).cumsum(axis=1)[:-1, :-1] > 0
