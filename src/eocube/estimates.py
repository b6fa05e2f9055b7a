"""Estimates: how long a plan will take, what it fetches, and what it costs.

A small model: processor time is a sum of what is counted in the plan, each with a coefficient; time by
the clock is processor time over the cores, or bytes over the bandwidth, whichever is longer, and the
rounds in which a task waits for a server. The coefficients were fitted to measured jobs by
``python -m benchmarks.estimates``; docs/scale.md has its error on jobs it was not fitted to.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
from numpy.typing import NDArray

from .costs import PACKED, as_bytes, spans_of, task_bytes
from .errors import InputError
from .runs import size, table_of
from .sentinel2 import BANDS
from .workers import PROCESS, current_client

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox

    from .plans import Plan

COEFFICIENTS = {"tasks": 0.0199, "decoded": 0.00229, "values": 0.00357, "remote": 0.539}
"""Seconds of one core: per task; per million pixels of values that are decoded; per million values (date,
band, pixel) that are coded and ranked; per GB that comes from servers. Classes, files and what masks spare
move with these and are in them."""

ROUNDS = 4.0
"""How often a task waits for a server in turn: headers and blocks of the mask's files, then of the others."""

BLOCK = 1024
"""Rows and columns of a file's blocks: Earth Search's. Planetary Computer's are of 512."""

MERGED = 1.0
"""Blocks that are one request, on average; only neighbours in a file are joined."""


@dataclass(frozen=True)
class Estimate:
    """What a plan is expected to take; made by :meth:`eocube.Plan.estimate`.

    Attributes
    ----------
    seconds : float
        By the clock.
    core_seconds : float
        Processor time.
    bytes : float
        Fetched, if no cloud spares anything: what lies under clouds alone is not read.
    requests : int
        To servers; 0 for local files.
    tasks : int
    memory : float
        Bytes of all processes together, one thread each.
    money : float or None
        Core-hours that are paid for (the cores for the whole time), times the price.
    cores : int
    limit : {"cores", "bandwidth", "servers", "tasks"}
        What decides over the time: processor time, bytes, waiting for answers, or that there are
        fewer tasks than cores.
    """

    seconds: float
    core_seconds: float
    bytes: float
    requests: int
    tasks: int
    memory: float
    money: float | None
    cores: int
    limit: str

    def lines(self) -> list[tuple[str, str]]:
        """Return what is shown: pairs of a word and its meaning."""
        hours = self.core_seconds / 3600
        busy = f"{hours:,.1f} core-hours" if hours >= 1 else f"{self.core_seconds:,.1f} core-seconds"
        found = [
            ("time", f"about {_time(self.seconds)} on {self.cores} cores, limited by {self.limit}"),
            ("work", f"{self.tasks:,} tasks, {busy}"),
            ("read", f"up to {size(self.bytes)}, {self.requests:,} requests"),
            ("memory", f"about {size(self.memory)} in all"),
        ]
        return found if self.money is None else [*found, ("money", f"about {self.money:,.2f}")]

    def __repr__(self) -> str:
        body = "\n".join(f"  {word:<10}{meaning}" for word, meaning in self.lines())
        return f"<eocube.Estimate>\n{body}"

    def _repr_html_(self) -> str:
        return table_of("eocube.Estimate", self.lines())


@dataclass(frozen=True)
class Counts:
    """What is counted in a plan: see :data:`COEFFICIENTS`; millions of pixels, bytes, GB from servers."""

    tasks: int
    files: int
    decoded: float
    classes: float
    values: float
    bytes: float
    requests: int
    remote: float

    def core_seconds(self) -> float:
        """Return the processor time."""
        return sum(factor * float(getattr(self, name)) for name, factor in COEFFICIENTS.items())


def estimate_of(
    plan: Plan,
    *,
    bandwidth: int | str | None,
    cores: int | None,
    price: float | None,
    latency: float | None,
    reduced: bool,
) -> Estimate:
    """Return the estimate; see :meth:`eocube.Plan.estimate`."""
    count = _cores(cores)
    speed = math.inf if bandwidth is None else float(as_bytes(str(bandwidth).removesuffix("/s")))
    for name, value in (("price", price), ("latency", latency)):
        if value is not None and not (value >= 0 and math.isfinite(value)):
            raise InputError(f"{name}={value!r} is not one: give a number, 0 or more.")
    known: dict[bool, Counts] = plan.__dict__.setdefault("_counts", {})
    counts = known.get(reduced) or known.setdefault(reduced, counts_of(plan, reduced=reduced))
    remote = counts.remote > 0
    wait = (0.03 if remote else 0.0) if latency is None else latency
    work = counts.core_seconds()
    waves = math.ceil(counts.tasks / count)
    parts = {
        "cores": work / counts.tasks * waves,
        "bandwidth": counts.bytes / speed,
        "servers": waves * ROUNDS * wait,
    }
    seconds = max(parts["cores"], parts["bandwidth"]) + parts["servers"]
    limit = max(parts, key=lambda name: parts[name])
    if limit == "cores" and counts.tasks < count:
        limit = "tasks"
    chunk = plan.chunk_reduced if reduced else plan.chunk
    memory = min(count, counts.tasks) * task_bytes(plan, chunk, reduced=reduced) + count * PROCESS
    money = None if price is None else seconds * count / 3600 * price
    requests = counts.requests if remote else 0
    return Estimate(seconds, work, counts.bytes, requests, counts.tasks, memory, money, count, limit)


def counts_of(plan: Plan, *, reduced: bool = True) -> Counts:
    """Return what a plan's tasks will do, block by block of its files, without looking at them."""
    cut = plan.cut(plan.chunk_reduced if reduced else plan.chunk)
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
        for band, source in granule.sources.items():
            own = source.grid
            native = float(own.affine.a) if own is not None else BANDS[band].resolution
            key = id(own), native
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
    remote = any("://" in source.href for granule, _ in pairs for source in granule.sources.values())
    return Counts(
        tasks, int(found["files"]), found["decoded"], found["classes"], found["values"], found["bytes"],
        round(found["requests"]), found["bytes"] / 1e9 if remote else 0.0,
    )  # fmt: skip


@dataclass(frozen=True)
class _Cover:
    """Which pixels of a file the blocks under each row and column of windows hold.

    ``rows[i]``, ``columns[j]``: first and one past last pixel, whole blocks of the file, for a window.
    """

    rows: NDArray[Any]
    columns: NDArray[Any]

    @classmethod
    def of(
        cls, file: GeoBox | None, native: float, grid: GeoBox, edges: list[NDArray[Any]], *, overviews: bool
    ) -> _Cover:
        """Lay the windows over a file; one in another CRS as if it began where the grid does."""
        pixel = abs(float(grid.affine.a)) * (1.0 if grid.crs is None or grid.crs.projected else 111_320.0)
        step = (
            max(native, 2 ** math.floor(math.log2(max(pixel / native, 1))) * native) if overviews else native
        )
        same = file is not None and file.crs == grid.crs
        sizes = (math.inf, math.inf)
        offsets = (0.0, 0.0)
        if file is not None:
            sizes = tuple(float(number) * native / step for number in file.shape)  # type: ignore[assignment]
        if same and file is not None:
            a, b = grid.affine, file.affine
            offsets = ((a.f - b.f) / b.e * native / step, (a.c - b.c) / b.a * native / step)
        found = []
        for own, offset, whole in zip(edges, offsets, sizes, strict=True):
            at = own * pixel / step + offset
            first = np.floor(at[:-1] / BLOCK + 1e-9) * BLOCK
            last = np.ceil(at[1:] / BLOCK - 1e-9) * BLOCK
            # Where the file begins is known in its own CRS alone; it is never wider than it is.
            found.append(
                np.stack([first.clip(0, whole), last.clip(0, whole)] if same
                         else [first, np.minimum(last, first + whole)])
            )  # fmt: skip
        return cls(*found)

    def within(self, top: int, bottom: int, left: int, right: int) -> tuple[float, float, float]:
        """Return pixels and blocks of all windows of a rectangle, and the pixels counted once."""
        down, across = self.rows[:, top:bottom], self.columns[:, left:right]
        lengths = [(own[1] - own[0]) for own in (down, across)]
        pixels = float(lengths[0].sum() * lengths[1].sum())
        blocks = float(np.prod([np.ceil(own / BLOCK).sum() for own in lengths]))
        once = float(np.prod([max(0.0, own[1].max() - own[0].min()) for own in (down, across)]))
        return pixels, blocks, once


def _cores(cores: int | None) -> int:
    if cores is None:
        client = current_client()
        if client is not None and client.status == "running" and not client.asynchronous:
                return max(1, int(sum(client.nthreads().values())))
        return available_cores()
    if isinstance(cores, bool) or not isinstance(cores, int) or cores < 1:
        raise InputError(f"cores={cores!r} is not a number of cores: give a whole number above 0.")
    return cores


def available_cores() -> int:
    """Return the cores this process may use."""
    import os

    known = getattr(os, "sched_getaffinity", None)
    return len(known(0)) if known else os.cpu_count() or 1


def _time(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:,.1f} s"
    return f"{seconds / 60:,.0f} min" if seconds < 7200 else f"{seconds / 3600:,.1f} h"
