"""Chunks: in which blocks a plan is computed, so that each fits its memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from numbers import Integral
from typing import TYPE_CHECKING

from odc.geo.geobox import GeoBox

from .costs import fitting_chunk, task_bytes
from .errors import GridError, TooLargeError

if TYPE_CHECKING:
    from .plans import Plan

_LASTS = 4
"""Chunks that a lattice lasts at least, to be worth the cut where it begins."""


def chunk_of(chunk: int | None, grid: GeoBox) -> int | None:
    """Return the chunk that was asked for, never larger than the grid; None if none was."""
    if chunk is None:
        return None
    if isinstance(chunk, bool) or not isinstance(chunk, Integral) or chunk < 1:
        raise GridError(f"chunk={chunk!r} is not a number of pixels: give a whole number above 0.")
    return min(int(chunk), max(int(size) for size in grid.shape))


def sized(made: Plan, *, fixed: bool) -> Plan:
    """Choose the chunk, or refuse the one that was asked for."""
    chunk = made.chunk if fixed else 64
    takes = task_bytes(made, chunk)
    if takes > made.memory:
        best = fitting_chunk(made, made.memory)
        rows, columns = (min(chunk, int(size)) for size in made.grid.shape)
        advice = f"chunk={best} fits" if best else "not even 64 px fit: ask for fewer scenes or bands"
        raise TooLargeError(
            f"A task would take about {takes / 1e6:,.1f} MB ({len(made.scenes)} scenes x "
            f"{len(made.bands)} bands x {rows} x {columns} px, {made.dtype}), more than "
            f"memory={made.memory / 1e6:,.1f} MB: {advice}."
        )
    if not fixed:  # nobody has seen it yet
        reduced = fitting_chunk(made, made.memory, reduced=True)
        object.__setattr__(made, "chunk_reduced", reduced)
        object.__setattr__(made, "chunk", fitting_chunk(made, made.memory, most=reduced or 64))
    return made


def starts(origins: Counter[int], size: int, chunk: int) -> tuple[int, ...]:
    """Return where along an axis blocks begin to be counted anew, each time from the corner of a tile.

    The lattice of a tile holds until the next tile begins. That of the most files always stays; others are
    left out where they would last less than :data:`_LASTS` chunks.

    Parameters
    ----------
    origins : Counter of int
        Of how many files the corner lies at which pixel of the grid.
    size : int
        Pixels of the grid along this axis.
    chunk : int
    """
    kept: list[int] = []
    for origin in sorted(origins, key=lambda origin: (-origins[origin], origin)):
        others = all(abs(max(origin, 0) - max(other, 0)) >= _LASTS * chunk for other in kept)
        if not kept or (others and max(origin, 0) + _LASTS * chunk <= size):
            kept.append(origin)
    return tuple(sorted(kept)) or (0,)


def pieces(size: int, chunk: int, begun: Sequence[int]) -> tuple[int, ...]:
    """Cut a length at multiples of the chunk, counted from where each lattice is begun until the next.

    Examples
    --------
    >>> pieces(2500, 1024, [-24])
    (1000, 1024, 476)
    >>> pieces(5000, 1024, [-24, 2500])
    (1000, 1024, 476, 1024, 1024, 452)
    """
    first = begun[0] % chunk - chunk  # the lattice of the first one begins before it
    edges = {0, size}
    for start, stop in pairwise((first, *begun[1:], size)):
        edges |= {edge for edge in range(start, stop, chunk) if 0 < edge < size}
    return tuple(high - low for low, high in pairwise(sorted(edges)))
