"""What a plan will cost: files, bytes to read, memory of a task."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import shapely

from .counts import counts_of, spans_of
from .errors import InputError
from .grids import metres_of, nests
from .loaders.base import WINDOW
from .sentinel2 import BANDS

if TYPE_CHECKING:
    from .plans import Plan

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12,
          "ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40}  # fmt: skip


@dataclass(frozen=True)
class Cost:
    """What computing a plan once takes.

    Attributes
    ----------
    files : int
        Files that are opened, each band of each granule counted once.
    read_bytes : float
        How much is read at most, compressed, in whole blocks of the files: what lies under clouds alone is
        not read.
    tasks : int
        Blocks of the cube; each is one Dask task.
    task_bytes : float
        About how much memory a task takes at most.
    rim : int
        Pixels around a block that the mask looks at, on the mask's grid.
    """

    files: int
    read_bytes: float
    tasks: int
    task_bytes: float
    rim: int


def as_bytes(text: int | str) -> int:
    """Return a number of bytes: ``"2GB"``, ``"500 MiB"`` or a plain number.

    Raises
    ------
    InputError
        If it is not one.

    Examples
    --------
    >>> as_bytes("1.5GB")
    1500000000
    """
    match = re.fullmatch(r"\s*([\d.]+)\s*([kmgt]?i?)b?\s*", str(text).lower())
    try:
        found = int(float(match[1]) * _UNITS[match[2]]) if match else 0
    except (ValueError, KeyError):
        found = 0
    if found <= 0:
        raise InputError(f"memory={text!r} is not a size: write '2GB', '500MB' or a number of bytes.")
    return found


def cost_of(plan: Plan) -> Cost:
    """Return what computing the whole plan once will read and take."""
    need = plan.need
    files = sum(len(granule.every_source) for own in plan.used for granule in own)
    counts = counts_of(plan, reduced=False)
    rim = 0 if need is None else math.ceil(need.reach / need.resolution)
    return Cost(files, counts.bytes, counts.tasks, task_bytes(plan, plan.chunk), rim)


def task_bytes(plan: Plan, chunk: int, *, reduced: bool = False) -> float:
    """Return about how much memory a task of this chunk takes at most.

    The codes of the dates that have data in the block, for what is never written to takes nothing;
    where another granule of the same Scene may be needed, as much again; the masks of those dates; the
    values of all dates that are made of the codes. A task that is ``reduced`` to a composite at once
    has those of the composite instead.
    """
    rows, columns = (min(chunk, int(size)) for size in plan.grid.shape)
    pixels, bands = rows * columns, len(plan.bands)
    dates = _dates(plan, chunk)
    codes = dates * bands * pixels * 2
    more = any(len(own) > 1 for own in plan.used)
    keep = dates * pixels * (2 if plan.mask is not None or more else 1)
    across = 0 if _same_lattice(plan) else 200 * pixels + _window_bytes(plan, pixels)
    layer = pixels * np.dtype(plan.coding.dtype).itemsize
    # A composite: what a reducer makes, and the result, which has the count too.
    values = (2 * bands + 1 if reduced else len(plan.scenes) * bands) * layer
    masks = _mask_bytes(plan, rows, columns, dates)
    return float(codes + max(codes if more else 0, values) + keep + across + masks)


def _dates(plan: Plan, chunk: int) -> int:
    """Return how many Scenes may have data in one block of this size, at most."""
    if len(plan.scenes) == 1:
        return 1
    edges = [np.cumsum((0, *sizes)) for sizes in plan.cut(chunk)]
    scene_of = np.repeat(np.arange(len(plan.scenes)), [len(own) for own in plan.outlines])
    outlines = [outline for own in plan.outlines for outline in own]
    spans = spans_of(shapely.bounds(outlines), plan.grid, edges)
    seen = np.zeros((len(edges[0]), len(edges[1])), dtype=np.int64)
    alone = np.bincount(scene_of)[scene_of] == 1
    # Scenes of one granule all at once: a rectangle of blocks is counted by its corners.
    top, bottom, left, right = spans[alone].T
    for rows, columns, sign in ((top, left, 1), (bottom, left, -1), (top, right, -1), (bottom, right, 1)):
        np.add.at(seen, (rows, columns), sign)
    seen = seen.cumsum(axis=0).cumsum(axis=1)
    for scene in np.unique(scene_of[~alone]):
        own = np.zeros(seen.shape, dtype=bool)
        for top, bottom, left, right in spans[scene_of == scene]:
            own[top:bottom, left:right] = True
        seen += own
    return int(seen[:-1, :-1].max(initial=0))


def _window_bytes(plan: Plan, pixels: int) -> float:
    """Return the bytes of a file's window under so many pixels, where the file is read at full resolution.

    Of classes, that is; files of values have overviews, which are not more than twice as fine.
    """
    pixel = abs(plan.grid.affine.a * plan.grid.affine.e)
    finest = 1.0
    for granule in (granule for own in plan.used for granule in own):
        for source in granule.every_source.values():
            if source.grid is not None and not source.overviews:
                finest = max(finest, pixel * metres_of(plan.grid) ** 2 / source.grid.affine.a**2)
    return min(pixels * finest, float(WINDOW))


def _same_lattice(plan: Plan) -> bool:
    return all(nests(grid, plan.grid) for grid in plan.files)


def _mask_bytes(plan: Plan, rows: int, columns: int, dates: int) -> float:
    need = plan.need
    if need is None:
        return 0.0
    factor = 1.0
    if plan.grid.crs is not None and plan.grid.crs.projected:
        factor = plan.grid.affine.a / need.resolution
    rim = 2 * math.ceil(need.reach / need.resolution)
    pixels = (rows * factor + rim) * (columns * factor + rim)
    codes = sum(1 if BANDS[band].kind == "class" else 2 for band in need.bands) * dates
    values = sum(1 if BANDS[band].kind == "class" else 14 for band in need.bands)
    return float(pixels * (2 * codes + values + (24 if need.reach else 2)))


def fitting_chunk(plan: Plan, limit: float, *, reduced: bool = False, most: int = 1024) -> int | None:
    """Return the largest power of two whose task fits, or None."""
    for chunk in (1024, 512, 256, 128, 64):
        if chunk <= most and task_bytes(plan, chunk, reduced=reduced) <= limit:
            return chunk
    return None
