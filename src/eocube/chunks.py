"""Chunks: in which blocks a plan is computed, so that each fits its memory."""

from __future__ import annotations

from itertools import pairwise
from numbers import Integral
from typing import TYPE_CHECKING

from odc.geo.geobox import GeoBox

from .costs import fitting_chunk, task_bytes
from .errors import GridError, TooLargeError

if TYPE_CHECKING:
    from .plans import Plan


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


def pieces(size: int, chunk: int, first: int) -> tuple[int, ...]:
    """Cut a length at multiples of the chunk, counted from ``first``."""
    edges = [0, *range(first or chunk, size, chunk), size]
    return tuple(high - low for low, high in pairwise(edges))
