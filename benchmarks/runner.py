"""Runs jobs in fresh processes, interleaved, and watches time, memory and bytes."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from .facts import compared, machine, versions
from .jobs import Job
from .servers import counted, serving
from .variants import VARIANTS
from .workloads import FULL, QUICK, WORKLOADS, Workload, items_for, job_for

log = logging.getLogger("benchmarks")

ENVIRONMENT = {
    "GDAL_CACHEMAX": "64",
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_HTTP_MERGE_CONSECUTIVE_RANGES": "YES",
    "GDAL_INGESTED_BYTES_AT_OPEN": "32768",
    "OMP_NUM_THREADS": "1",
}
"""The same for all: GDAL's block cache cannot fake warm repeats, and its usual cloud settings."""

_STEP = 0.02
_KIDS = 0.5


@dataclass(frozen=True)
class Options:
    """What the command line says.

    Attributes
    ----------
    rounds : int
    only : tuple of str
        Workloads; empty for all.
    variants : tuple of str
        Variants; empty for all.
    quick : bool
    data, out : Path
    loader : str
        Of eocube; empty for its default.
    pythons : mapping of str to str
        Interpreter of a variant that does not install beside the others.
    seconds : float
        After which a process is stopped.
    memory : float
        Bytes at which a process is stopped.
    """

    rounds: int
    only: tuple[str, ...]
    variants: tuple[str, ...]
    quick: bool
    data: Path
    out: Path
    loader: str = ""
    pythons: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 600.0
    memory: float = 12e9


@dataclass
class Row:
    """All rounds of one variant of one workload.

    Attributes
    ----------
    workload, variant : str
    rounds : list of dict
        What each process answered, with ``peak`` (bytes), ``fetched`` and ``requests``.
    note : str
        Why there is nothing, or what is special.
    equal : str
        How the output compares to ours.
    """

    workload: str
    variant: str
    rounds: list[dict[str, Any]] = field(default_factory=list)
    note: str = ""
    equal: str = ""

    def median(self, key: str) -> float | None:
        """Return the median of a number over the rounds that have it."""
        found = [answer[key] for answer in self.rounds if answer.get(key) is not None]
        return statistics.median(found) if found else None


def run(options: Options) -> dict[str, Any]:
    """Run everything that was asked for; return what the tables are made of."""
    start, load = time.time(), os.getloadavg()
    if importlib.util.find_spec("numbagg"):
        log.warning("numbagg is installed: Dask takes it for medians without being asked. Uninstall it.")
    names = options.only or tuple(WORKLOADS)
    rows: dict[str, list[Row]] = {}
    for name in names:
        rows[name], whole = run_workload(WORKLOADS[name], options)
        if not whole:
            log.warning("interrupted in %s: what there is so far goes into the table", name)
            break
    return {
        "when": time.strftime("%Y-%m-%d", time.gmtime(start)), "seconds": time.time() - start,
        "machine": machine(), "load": [load, os.getloadavg()], "versions": versions(options.pythons),
        "rounds": options.rounds, "quick": options.quick, "loader": options.loader or "default",
        "rows": rows,
    }  # fmt: skip


def run_workload(workload: Workload, options: Options) -> tuple[list[Row], bool]:
    """Run all variants of a workload, in turns; also say whether it was not interrupted."""
    scale = QUICK if options.quick else FULL
    items = items_for(workload, scale, options.data)
    job = replace(job_for(workload, scale, items), loader=options.loader)
    names = [
        name
        for name in (workload.quick if options.quick else workload.variants)
        if not options.variants or name in options.variants
    ]
    rows = [Row(workload.name, name, note=_unable(name, options)) for name in names]
    rounds = min(options.rounds, workload.rounds or options.rounds)
    if workload.task in ("median", "zonal"):
        _warm(items.parent)
    server = serving(items.parent, workload.latency) if workload.latency else nullcontext("")
    with server as url, tempfile.TemporaryDirectory(prefix="eocube-benchmarks-") as folder:
        try:
            for turn in range(rounds):
                for row in rows:
                    if not row.note:
                        _turn(row, replace(job, base=url or job.base), turn, Path(folder), options, url)
            whole = True
        except KeyboardInterrupt:
            whole = False
        _compare(rows, Path(folder))
    return rows, whole


def _turn(row: Row, job: Job, turn: int, folder: Path, options: Options, url: str) -> None:
    """Run one variant once."""
    variant = VARIANTS.get(row.variant)
    blocking = variant is not None and (variant.blocking or job.loader == "rio")
    job = replace(
        job, variant=row.variant, details=turn == 0, answer=str(folder / f"{row.variant}-{turn}"),
        threads=16 if url and blocking else 0,
    )  # fmt: skip
    if url:
        counted(url)
    answer = run_job(job, options, folder)
    if url and "note" not in answer:
        found = counted(url)
        answer |= {"fetched": found["bytes"], "requests": found["requests"]}
    elif answer.get("read"):
        answer["fetched"] = answer["read"]
    row.note = answer.pop("note", "")
    if not row.note:
        row.rounds.append(answer)
    said = row.note or f"{answer['seconds']:.2f} s, {answer['peak'] / 1e6:.0f} MB"
    log.info("%s round %d %s: %s", row.workload, turn + 1, row.variant, said)


def run_job(job: Job, options: Options, folder: Path) -> dict[str, Any]:
    """Run a job in a fresh process and watch its memory until it says that it is done."""
    spec = folder / "job.json"
    job.write(spec)
    python = options.pythons.get(job.variant, sys.executable)
    paths = [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    if job.variant in options.pythons:
        paths = paths[:1]
    environment = os.environ | ENVIRONMENT | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
    with (folder / "said.txt").open("w+") as said:
        process = subprocess.Popen(  # noqa: S603
            [python, "-m", "benchmarks.child", str(spec)], env=environment, stdout=said, stderr=said
        )
        try:
            peak, stopped = _watch(process, job.done, options)
        finally:
            _stop(process)
        if stopped:
            return {"note": stopped}
        said.seek(0)
        if process.returncode or not job.result.exists():
            lines = said.read().strip().splitlines() or [f"exit status {process.returncode}"]
            log.debug("\n".join(lines))
            return {"note": f"failed: {lines[-1][:160]}"}
    return {**json.loads(job.result.read_text()), "peak": peak}


def _watch(process: subprocess.Popen[Any], done: Path, options: Options) -> tuple[int, str]:
    """Return the peak of the memory of a process and all its children, and why it was stopped."""
    tree, peak, looked = [psutil.Process(process.pid)], 0, 0.0
    start = time.monotonic()
    while process.poll() is None and not done.exists():
        now = time.monotonic()
        if now - looked > _KIDS:
            with contextlib.suppress(psutil.Error):
                tree = [tree[0], *tree[0].children(recursive=True)]
            looked = now
        total = sum(_resident(each) for each in tree)
        peak = max(peak, total)
        if total > options.memory:
            return peak, f"stopped at {options.memory / 1e9:.0f} GB after {now - start:.0f} s"
        if now - start > options.seconds:
            return peak, f"stopped after {options.seconds:.0f} s at {peak / 1e9:.1f} GB"
        time.sleep(_STEP)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(options.seconds)
    return peak, ""


def _resident(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0


def _stop(process: subprocess.Popen[Any]) -> None:
    """End a process and its children, if they still run."""
    if process.poll() is not None:
        return
    with contextlib.suppress(psutil.Error):
        for child in psutil.Process(process.pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                child.kill()
    process.kill()
    process.wait(10)


def _warm(folder: Path) -> None:
    """Read all files once, so that they come from the page cache for everybody."""
    for path in folder.rglob("*.tif"):
        with path.open("rb") as file:
            while file.read(1 << 24):
                pass


def _unable(name: str, options: Options) -> str:
    if name in options.pythons:
        return ""
    if name == "decode":
        return "" if importlib.util.find_spec("imagecodecs") else "not installed: imagecodecs"
    missing = VARIANTS[name].missing()
    return f"not installed: {', '.join(missing)}" if missing else ""


def _compare(rows: Sequence[Row], folder: Path) -> None:
    """Say how each output compares to the first one, and whether rounds agree."""
    first = folder / f"{rows[0].variant}-0.npy" if rows else folder
    for row in rows:
        own = folder / f"{row.variant}-0.npy"
        if own.exists() and first.is_file():
            row.equal = "ours" if row is rows[0] else compared(np.load(first), np.load(own))
        if len({answer.get("hash") for answer in row.rounds}) > 1:
            row.equal += ", rounds differ"
