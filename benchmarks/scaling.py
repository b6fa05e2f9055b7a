"""How eocube grows: 1 and 2 workers, 10 times the area, memory over time: ``python -m benchmarks.scaling``.

Strong scaling is a median of 24 dates of 5120 x 5120 px in 100 chunks, by HTTP with 30 ms per request, on
clusters of one and of two workers, of one thread and of two, which take turns and have a core each; the
results stay with them. What server, scheduler and client take of the same cores is counted. The area is
measured on scenes of 5120 x 5120 px at three sizes, each a mosaic of 24 dates written to a COG by two
workers; the memory of workers and client is looked at while it is written.
"""

from __future__ import annotations

import copy
import json
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import click
import psutil
from distributed import wait

from . import workloads, worlds
from .__main__ import _cache
from .servers import serving

AREA = worlds.World(size=5120, dates=6, block=512, corner=(0, 0), area=512)
SHAPES = ((1, 1), (2, 1), (1, 2), (2, 2))
"""Workers, and threads of each."""
ROWS = (512, 1536, 5120)
"""A tenth, three tenths and all of the scenes: 10, 30 and 100 chunks of 512 px."""
QUICK = worlds.World(size=640, dates=3, block=64, corner=(0, 0), area=64)
BANDS = ["blue", "green", "red", "nir"]


@contextmanager
def watched(run: Any, pids: list[int]) -> Iterator[list[tuple[int, float, float]]]:
    """Look at windows done, the workers' largest RSS and this process's, every tenth of a second."""
    over, found, own = threading.Event(), [], psutil.Process()
    workers = [psutil.Process(pid) for pid in pids]

    def look() -> None:
        while not over.wait(0.1):
            largest = max(worker.memory_info().rss for worker in workers) / 1e6
            found.append((run.report.windows, largest, own.memory_info().rss / 1e6))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield found
    finally:
        over.set()
        thread.join()


def dates_of(items: Path, count: int, base: str) -> list[dict[str, Any]]:
    """Return Items of so many dates, whose files are those of a few, time and again."""
    features = json.loads(items.read_text())["features"]
    found = []
    for index in range(count):
        record = copy.deepcopy(features[index % len(features)])
        again = index // len(features)
        when = datetime.fromisoformat(record["properties"]["datetime"]) + timedelta(days=200 * again)
        record["properties"]["datetime"] = when.isoformat().replace("+00:00", "Z")
        record["id"] = f"{record['id']}_{again}"
        for asset in record["assets"].values():
            asset["href"] = f"{base}/{asset['href']}"
        found.append(record)
    return found


def pin(dask_worker: Any) -> None:
    """Give a worker one core, by its number: what one worker more brings is asked, not what one core does."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {int(dask_worker.name) % (os.cpu_count() or 1)})


def warm(_: Any = None) -> None:
    """Import in a worker what a job needs, before the clock runs."""
    from dataclasses import replace

    from .child import preload

    job = workloads.job_for(workloads.WORKLOADS["W1"], workloads.QUICK, Path("none"))
    preload(replace(job, variant="eocube"))


def spent(processes: dict[str, list[psutil.Process]]) -> dict[str, float]:
    """Return the processor time that processes have taken so far, by their kind."""
    return {name: sum(sum(each.cpu_times()[:2]) for each in own) for name, own in processes.items()}


def strong(data: Path, rounds: int, quick: bool) -> list[dict[str, Any]]:
    """Measure the whole scenes by HTTP on clusters of (workers, threads), a core a worker."""
    import eocube as eo

    world = QUICK if quick else AREA
    items = worlds.made(world, data)
    found, own = [], psutil.Process()
    with serving(items.parent, 0.03) as url:
        server = own.children()[-1]
        for _ in range(rounds):
            for workers, threads in SHAPES:
                plan = eo.plan(
                    dates_of(items, 24, url), worlds.tile_of(world), bands=BANDS, mask=eo.SCLMask(),
                    chunk=world.block, verify_offset=False,
                )  # fmt: skip
                best = eo.composite(eo.load(plan), eo.Median())
                with eo.cluster(workers, threads=threads, memory="4GB") as cluster:
                    cluster.client.run(warm)
                    cluster.client.run(pin)
                    pids = cluster.client.run(os.getpid).values()
                    processes = {"server": [server], "client": [own],
                                 "workers_cpu": [psutil.Process(pid) for pid in pids]}  # fmt: skip
                    before = spent(processes)
                    with eo.progress(bar=False) as run:
                        wait(best.persist())
                    after = spent(processes)
                cores = {name: after[name] - before[name] for name in after}
                found.append({"workers": workers, "threads": threads, "seconds": run.report.seconds, **cores})
    return found


def areas(data: Path, rounds: int, quick: bool) -> list[dict[str, Any]]:
    """Measure three sizes of one mosaic, streamed to a COG by two workers."""
    import eocube as eo

    world = QUICK if quick else AREA
    items = worlds.made(world, data)
    chunk, found = world.block, []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(rounds):
            for rows in [size * world.size // AREA.size for size in ROWS]:
                plan = eo.plan(
                    dates_of(items, 24, str(items.parent)), worlds.tile_of(world)[:rows], bands=BANDS,
                    mask=eo.SCLMask(), chunk=chunk, verify_offset=False,
                )  # fmt: skip
                best = eo.composite(eo.load(plan), eo.Median())
                with eo.cluster(2, memory="4GB") as cluster:
                    cluster.client.run(warm)
                    pids = list(cluster.client.run(os.getpid).values())
                    with eo.progress(bar=False) as run, watched(run, pids) as seen:
                        began = time.perf_counter()
                        eo.write_cog(best, Path(folder) / "best.tif", overwrite=True)
                        seconds = time.perf_counter() - began
                    tasks = sum(run.report.stages.values())
                found.append({"rows": rows, "chunks": run.report.windows, "seconds": seconds, "tasks": tasks,
                              "seen": seen})  # fmt: skip
    return found


def show_strong(found: list[dict[str, Any]]) -> str:
    """Return the table of strong scaling: medians, times one worker of as many threads, processor time."""
    lines = [
        "| workers x threads | seconds | times one worker | core-seconds of workers | of server | of client "
        "and scheduler |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    medians = {
        shape: {
            name: statistics.median(e[name] for e in found if (e["workers"], e["threads"]) == shape)
            for name in ("seconds", "workers_cpu", "server", "client")
        }
        for shape in SHAPES
    }
    for (workers, threads), own in medians.items():
        lines.append(
            f"| {workers} x {threads} | {own['seconds']:.2f} | "
            f"{medians[1, threads]['seconds'] / own['seconds']:.2f} | {own['workers_cpu']:.1f} | "
            f"{own['server']:.1f} | {own['client']:.1f} |"
        )
    return "\n".join(lines)


def show_areas(found: list[dict[str, Any]]) -> str:
    """Return the table of areas: time, work and memory at a tenth, half and all of the blocks."""
    lines = [
        "| chunks | seconds | times the smallest | seconds in tasks | times | worker MB at 10 %, 50 %, 100 % "
        "| client MB |",
        "|---:|---:|---:|---:|---:|---|---:|",
    ]
    first: tuple[float, float] | None = None
    for rows in dict.fromkeys(each["rows"] for each in found):
        own = [each for each in found if each["rows"] == rows]
        seconds = statistics.median(each["seconds"] for each in own)
        tasks = statistics.median(each["tasks"] for each in own)
        first = first or (seconds, tasks)
        seen, total = own[-1]["seen"], own[-1]["chunks"]
        peaks = []
        for share in (0.1, 0.5, 1.0):
            until = [rss for done, rss, _ in seen if done <= share * total]
            peaks.append(f"{max(until, default=float('nan')):,.0f}")
        client = max((rss for _, _, rss in seen), default=float("nan"))
        lines.append(
            f"| {total} | {seconds:.1f} | {seconds / first[0]:.2f} | {tasks:.1f} | {tasks / first[1]:.2f} | "
            f"{', '.join(peaks)} | {client:,.0f} |"
        )
    return "\n".join(lines)


def plot(found: list[dict[str, Any]], path: Path) -> None:
    """Draw time and memory over chunks."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2))
    sizes = sorted({each["chunks"] for each in found})
    times = [statistics.median(e["seconds"] for e in found if e["chunks"] == size) for size in sizes]
    left.plot(sizes, times, "o-", label="measured")
    left.plot(sizes, [times[0] * size / sizes[0] for size in sizes], ":", label="in proportion")
    left.set(xlabel="chunks of 512 px", ylabel="seconds")
    left.legend()
    largest = next(each for each in reversed(found) if each["chunks"] == sizes[-1])
    done, worker, client = zip(*largest["seen"], strict=True)
    right.plot(done, worker, label="worker, the larger of two")
    right.plot(done, client, label="client, which writes")
    right.set(xlabel="chunks done", ylabel="MB", ylim=(0, None))
    right.legend()
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})


@click.command(context_settings={"show_default": True})
@click.option("--rounds", default=3)
@click.option("--data", type=click.Path(path_type=Path), default=None)
@click.option("--quick", is_flag=True, help="Small data, one round: checks that it works.")
@click.option("--figure", type=click.Path(path_type=Path), default=None, help="Where to draw, an .svg.")
def main(rounds: int, data: Path | None, quick: bool, figure: Path | None) -> None:
    """Measure, and print the tables."""
    data, rounds = (data or _cache()).absolute(), 1 if quick else rounds
    click.echo(f"load before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores\n")
    found = areas(data, rounds, quick)
    click.echo(show_areas(found) + "\n")
    if figure is not None:
        plot(found, figure)
    click.echo(show_strong(strong(data, rounds, quick)))
    click.echo(f"\nload after: {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
