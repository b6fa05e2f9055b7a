"""Counts: what the tasks of a plan will read, block by block of the files, from metadata alone."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
from numpy.typing import NDArray

from .grids import metres_of
from .sentinel2 import BANDS

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox

    from .plans import Plan

PACKED = {"reflectance": 0.6, "number": 0.3, "class": 0.08}
"""Size of a compressed file over its pixels: measured 0.55-0.67 on reflectance (DEFLATE,
predictor 2); class bands compress far better."""

BLOCK = 1024
"""Rows and columns of a file's blocks: Earth Search's. Planetary Computer's are of 512."""

MERGED = 1.0
"""Blocks that are one request, on average; only neighbours in a file are joined."""


@dataclass(frozen=True)
class Counts:
    """What is counted in a plan.

    Attributes
    ----------
    tasks : int
    files : int
        Files that are opened, once for each task that does.
    decoded, classes : float
        Millions of pixels of values, and of classes, in whole blocks.
    values : float
        Millions of values (date, band, pixel) of the cube.
    bytes : float
        Compressed, in whole blocks, if no cloud spares anything.
    requests : int
        If they come from servers.
    remote : float
        GB that do.
    """

    tasks: int
    files: int
    decoded: float
    classes: float
    values: float
    bytes: float
    requests: int
    remote: float


def counts_of(plan: Plan, *, reduced: bool = True) -> Counts:
    """Return what a plan's tasks will do, block by block of its files, without looking at them."""
    chunk = plan.chunk_reduced if reduced else plan.chunk
    known: dict[int, Counts] = plan.__dict__.setdefault("_counts", {})
    return known.get(chunk) or known.setdefault(chunk, _counted(plan, chunk))


def _counted(plan: Plan, chunk: int) -> Counts:
    cut = plan.cut(chunk)
    edges = [np.cumsum((0, *sizes)) for sizes in cut]
    pairs = [(g, o) for own, outlines in zip(plan.scenes, plan.outlines, strict=True)
             for g, o in zip(own.granules, outlines, strict=True)]  # fmt: skip
    spans = spans_of(shapely.bounds([outline for _, outline in pairs]), plan.grid, edges)
    found = dict.fromkeys(("files", "decoded", "classes", "values", "bytes", "requests"), 0.0)
    known: dict[Any, _Cover] = {}
    areas = [np.diff(own) for own in edges]
    for (granule, _), (top, bottom, left, right) in zip(pairs, spans.tolist(), strict=True):
        windows = (bottom - top) * (right - left)
        if not windows:
            continue
        inside = float(areas[0][top:bottom].sum() * areas[1][left:right].sum()) / 1e6
        for band, source in granule.every_source.items():
            own = source.grid
            native = float(own.affine.a) if own is not None else BANDS[band].resolution
            key = id(own), native, source.overviews
            if key not in known:
                known[key] = _Cover.of(own, native, plan.grid, edges, overviews=source.overviews)
            cover, kind = known[key], BANDS[band].kind
            pixels, blocks, once = cover.within(top, bottom, left, right)
            small = kind == "class"
            found["files"] += windows
            found["classes" if small else "decoded"] += pixels / 1e6
            found["values"] += inside * (band in plan.bands)
            found["bytes"] += (once if small else pixels) * np.dtype(source.dtype).itemsize * PACKED[kind]
            found["requests"] += (once / BLOCK**2 + 1 if small else blocks / MERGED) + 1
    tasks = len(cut[0]) * len(cut[1])
    remote = any("://" in source.href for granule, _ in pairs for source in granule.every_source.values())
    return Counts(
        tasks, int(found["files"]), found["decoded"], found["classes"], found["values"], found["bytes"],
        round(found["requests"]), found["bytes"] / 1e9 if remote else 0.0,
    )  # fmt: skip


@dataclass(frozen=True)
class _Cover:
    """Which pixels of a file the blocks under each row and column of windows hold.

    ``rows[i]``, ``columns[j]``: first and one past last pixel for a window.
    """

    rows: NDArray[Any]
    columns: NDArray[Any]

    @classmethod
    def of(
        cls, file: GeoBox | None, native: float, grid: GeoBox, edges: list[NDArray[Any]], *, overviews: bool
    ) -> _Cover:
        """Lay the windows over a file.

        How they lie on one in another CRS is not known: on average a window touches a block more, in each
        direction, than fit into it.
        """
        pixels = [abs(float(size)) * metres_of(grid) for size in (grid.affine.e, grid.affine.a)]
        step = native
        if overviews:
            step *= 2 ** math.floor(math.log2(max(min(pixels) / native, 1)))
        same = file is not None and file.crs == grid.crs
        sizes = (math.inf, math.inf)
        offsets = (0.0, 0.0)
        if file is not None:
            sizes = tuple(float(number) * native / step for number in file.shape)  # type: ignore[assignment]
        if same and file is not None:
            a, b = grid.affine, file.affine
            offsets = ((a.f - b.f) / b.e * native / step, (a.c - b.c) / b.a * native / step)
        found = []
        for own, pixel, offset, whole in zip(edges, pixels, offsets, sizes, strict=True):
            at = own * pixel / step + offset
            if same:
                first = np.floor(at[:-1] / BLOCK + 1e-9) * BLOCK
                last = np.ceil(at[1:] / BLOCK - 1e-9) * BLOCK
                found.append(np.stack([first.clip(0, whole), last.clip(0, whole)]))
            else:  # where it begins is not known, but that it is no wider than it is
                found.append(np.stack([at[:-1], np.minimum(at[1:] + BLOCK, at[:-1] + whole)]))
        return cls(*found)

    def within(self, top: int, bottom: int, left: int, right: int) -> tuple[float, float, float]:
        """Return pixels and blocks of all windows of a rectangle, and the pixels counted once."""
        down, across = self.rows[:, top:bottom], self.columns[:, left:right]
        lengths = [(own[1] - own[0]) for own in (down, across)]
        pixels = float(lengths[0].sum() * lengths[1].sum())
        blocks = float(np.prod([np.ceil(own / BLOCK).sum() for own in lengths]))
        once = float(np.prod([max(0.0, own[1].max() - own[0].min()) for own in (down, across)]))
        return pixels, blocks, once


def spans_of(bounds: NDArray[Any], grid: Any, edges: list[NDArray[Any]]) -> NDArray[np.intp]:
    """Return first and one past last row and column of blocks under bounds (x, y, x, y) in the CRS."""
    a = grid.affine
    columns = np.sort((bounds[:, [0, 2]] - a.c) / a.a, axis=1)
    rows = np.sort((bounds[:, [1, 3]] - a.f) / a.e, axis=1)
    found = []
    for (low, high), own in zip((rows.T, columns.T), edges, strict=True):
        size = len(own) - 1
        found.append(np.clip(np.searchsorted(own, low, side="right") - 1, 0, size))
        found.append(np.clip(np.searchsorted(own, high, side="left"), 0, size))
    return np.stack(found, axis=1)
