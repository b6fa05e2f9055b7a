"""What a plan will cost: files, bytes to read, memory of a task."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import shapely

from .errors import InputError
from .grids import nests
from .sentinel2 import BANDS

if TYPE_CHECKING:
    from .plans import Plan

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12,
          "ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40}  # fmt: skip

_PACKED = {"reflectance": 0.6, "number": 0.3, "class": 0.08}
"""Size of a compressed file over its pixels: measured 0.55-0.67 on reflectance (DEFLATE,
predictor 2); class bands compress far better."""


@dataclass(frozen=True)
class Cost:
    """What computing a plan once takes.

    Attributes
    ----------
    files : int
        Files that are opened, each band of each granule counted once.
    read_bytes : float
        About how much is read, compressed.
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
    box = shapely.box(*plan.grid.extent.boundingbox.bbox)
    need = plan.need
    pixel = math.sqrt(abs(plan.grid.affine.a * plan.grid.affine.e))
    metre = 1.0 if plan.grid.crs is not None and plan.grid.crs.projected else 111_320.0
    files, size = 0, 0.0
    for scene, outlines in zip(plan.scenes, plan.outlines, strict=True):
        for granule, outline in zip(scene.granules, outlines, strict=True):
            if not outline.intersects(box):
                continue
            area = shapely.intersection(outline, box).area * metre**2
            for band, source in granule.sources.items():
                files += 1
                native = source.grid.affine.a if source.grid is not None else BANDS[band].resolution
                step = max(native, pixel * metre) if source.overviews else native
                size += area / step**2 * np.dtype(source.dtype).itemsize * _PACKED[BANDS[band].kind]
    rows, columns = plan.chunks
    rim = 0 if need is None else math.ceil(need.reach / need.resolution)
    return Cost(files, size, len(rows) * len(columns), task_bytes(plan, plan.chunk), rim)


def task_bytes(plan: Plan, chunk: int, *, reduced: bool = False) -> float:
    """Return about how much memory a task of this chunk takes at most.

    The codes of the block; where another granule of the same Scene may be needed, as much again;
    the masks of all dates; the values that are made of the codes. A task that is ``reduced`` to a
    composite at once does without the latter.
    """
    rows, columns = (min(chunk, int(size)) for size in plan.grid.shape)
    pixels, bands, dates = rows * columns, len(plan.bands), len(plan.scenes)
    codes = dates * bands * pixels * 2
    more = any(len(own) > 1 for own in plan.used)
    keep = dates * pixels * (2 if plan.mask is not None or more else 1)
    across = 0 if _same_lattice(plan) else 200 * pixels  # coordinates, window and sums of a resampled file
    values = 0 if reduced else dates * bands * pixels * np.dtype(plan.coding.dtype).itemsize
    return float(codes + max(codes if more else 0, values) + keep + across + _mask_bytes(plan, rows, columns))


def _same_lattice(plan: Plan) -> bool:
    grids = {id(g.grid): g.grid for own in plan.used for g in own if g.grid is not None}
    return all(nests(grid, plan.grid) for grid in grids.values())


def _mask_bytes(plan: Plan, rows: int, columns: int) -> float:
    need = plan.need
    if need is None:
        return 0.0
    factor = 1.0
    if plan.grid.crs is not None and plan.grid.crs.projected:
        factor = plan.grid.affine.a / need.resolution
    rim = 2 * math.ceil(need.reach / need.resolution)
    pixels = (rows * factor + rim) * (columns * factor + rim)
    codes = sum(1 if BANDS[band].kind == "class" else 2 for band in need.bands) * len(plan.scenes)
    values = sum(1 if BANDS[band].kind == "class" else 14 for band in need.bands)
    return float(pixels * (2 * codes + values + (24 if need.reach else 2)))


def fitting_chunk(plan: Plan, limit: float, *, reduced: float = math.inf) -> int | None:
    """Return the largest power of two (at most 1024) whose task fits, or None.

    ``limit`` holds for a task that returns the cube's block, ``reduced`` for one that reduces it.
    """
    for chunk in (1024, 512, 256, 128, 64):
        fits = task_bytes(plan, chunk) <= limit
        if fits and task_bytes(plan, chunk, reduced=True) <= reduced:
            return chunk
    return None
