"""The workloads: which data, which area, which task, which variants."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from odc.geo.geobox import GeoBox

from . import metadata, worlds
from .jobs import Job

_MEDIANS = (
    "eocube", "eocube-uint16", "odc-bottleneck", "odc-algo", "odc-time", "odc", "lazycogs", "stackstac",
)  # fmt: skip


@dataclass(frozen=True)
class Workload:
    """What is measured under one name.

    Attributes
    ----------
    name, title : str
    variants : tuple of str
        In the order of the table; the first is ours, to which the others are compared.
    quick : tuple of str
        Those that ``--quick`` runs.
    task : str
        See :class:`~benchmarks.jobs.Job`.
    area : {"part", "whole", "region"}
    latency : float
        Seconds per request if over HTTP; 0 for local files.
    cluster : bool
    zones : int
        Fields of a zonal task.
    rounds : int
        At most; 0 for no limit.
    """

    name: str
    title: str
    variants: tuple[str, ...]
    quick: tuple[str, ...] = ("eocube", "odc")
    task: str = "median"
    area: str = "part"
    latency: float = 0.0
    cluster: bool = False
    zones: int = 60
    rounds: int = 0


_ALL = (
    Workload(
        "W1", "Median of 24 dates, 4 bands, masked by SCL, local files", (*_MEDIANS, "decode"),
        quick=("eocube", "odc-bottleneck", "stackstac", "decode"),
    ),
    Workload(
        "W2", "The same over HTTP, 30 ms per request",
        ("eocube", "odc-bottleneck", "odc-algo", "odc", "lazycogs", "stackstac"), latency=0.03,
    ),
    Workload(
        "W3", "Mean NDVI per date of 60 fields", ("eocube", "odc", "stackstac"), task="zonal",
    ),
    Workload(
        "W3H", "W3 over HTTP, 30 ms per request", ("eocube", "odc", "stackstac"), quick=("eocube",),
        task="zonal", latency=0.03,
    ),
    Workload(
        "W3M", "W3 with 10,000 fields over the whole file", ("eocube", "odc"), quick=("eocube",),
        task="zonal", area="whole", zones=10_000, rounds=3,
    ),
    Workload(
        "W4", "Graph of many Items, nothing is computed", ("eocube", "odc-time", "odc", "stackstac"),
        quick=("eocube", "odc"), task="graph",
    ),
    Workload(
        "W5", "W1 on a LocalCluster of 2 workers with 1 thread each",
        ("eocube", "odc-bottleneck", "odc-algo", "odc", "stackstac"), quick=("eocube",), cluster=True,
    ),
    Workload(
        "W6", "W1 for the whole file: memory",
        ("eocube", "odc-bottleneck", "odc-algo", "odc"), quick=("eocube",), area="whole", rounds=3,
    ),
    Workload(
        "W7", "600 km x 400 km, 2 months, 4 bands at 10 m: plan and graph",
        ("eocube", "odc-time", "odc", "stackstac"), quick=("eocube",), task="region", area="region", rounds=3,
    ),
)  # fmt: skip
WORKLOADS = {workload.name: workload for workload in _ALL}


@dataclass(frozen=True)
class Scale:
    """How large everything is: the real thing, or ``--quick``."""

    world: worlds.World
    items: int


FULL = Scale(worlds.FULL, 5000)
QUICK = Scale(worlds.QUICK, 200)


def items_for(workload: Workload, scale: Scale, data: Path) -> Path:
    """Make the Items of a workload, or find them; return the path of the ItemCollection."""
    data.mkdir(parents=True, exist_ok=True)
    if workload.task == "graph":
        return metadata.many_items(worlds.TILE, partial(worlds.tile_of, scale.world), scale.items, data)
    if workload.task == "region":
        return metadata.region_items(data)
    return worlds.made(scale.world, data)


def job_for(workload: Workload, scale: Scale, items: Path) -> Job:
    """Return the job, local and without a variant."""
    grid = _grid(workload, scale)
    bands = ("red", "nir") if workload.task == "zonal" else worlds.BANDS
    return Job(
        workload=workload.name,
        variant="",
        items=str(items),
        base=str(items.parent),
        crs=str(grid.crs),
        shape=(int(grid.shape[0]), int(grid.shape[1])),
        affine=tuple(float(number) for number in list(grid.affine)[:6]),
        bands=bands,
        task=workload.task,
        cluster=workload.cluster,
        zones=workload.zones,
    )


def _grid(workload: Workload, scale: Scale) -> GeoBox:
    if workload.area == "region":
        return metadata.region()
    return worlds.tile_of(scale.world) if workload.area == "whole" else worlds.area_of(scale.world)
