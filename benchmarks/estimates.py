"""Fits the model of ``plan.estimate`` to measured jobs: ``python -m benchmarks.estimates``.

Each job runs in a fresh process, which tells its processor time; the model's counts are those of the
plan. Non-negative least squares on relative errors; then the error on jobs that were not fitted.
Processor time depends little on what else runs, but somewhat: do it on an idle machine. The
coefficients go into ``COEFFICIENTS`` of ``src/eocube/estimates.py``.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
from scipy.optimize import nnls

from . import workloads, worlds
from .__main__ import _cache
from .servers import serving

LATENCY = 0.03


@dataclass(frozen=True)
class Case:
    """One measured job: an area of W1's scenes, some of its dates and bands."""

    name: str
    size: int = 2048
    corner: int = 0
    dates: int = 24
    bands: int = 4
    mask: bool = True
    chunk: int | None = None
    http: bool = False


FITTED = (
    Case("one block", size=1024),
    Case("W1", corner=700),
    Case("half the dates", dates=12),
    Case("one band", bands=1),
    Case("no mask", mask=False),
    Case("wide, few dates", size=4096, dates=6),
    Case("small", size=512, corner=300),
    Case("two bands", size=3072, bands=2),
    Case("small chunks", chunk=512),
    Case("smaller chunks", size=1024, chunk=256, dates=12),
    Case("one block by HTTP", size=1024, http=True),
    Case("half the dates by HTTP", dates=12, http=True),
)
HELD_OUT = (
    Case("whole file (W6)", size=4096),
    Case("odd: 18 dates, 3 bands", size=1536, corner=500, dates=18, bands=3),
    Case("W1 by HTTP, 30 ms (W2)", corner=700, http=True),
)


def measured(case: Case, base: str, items: Path) -> dict[str, Any]:
    """Run a case in this process; the clock runs around the computing."""
    import eocube as eo
    from eocube.counts import counts_of

    from .child import preload

    job = workloads.job_for(workloads.WORKLOADS["W1"], workloads.FULL, items)
    records = json.loads(items.read_text())["features"][: case.dates]
    for record in records:
        for asset in record["assets"].values():
            asset["href"] = f"{base}/{asset['href']}"
    grid = worlds.tile_of(worlds.FULL)[
        case.corner : case.corner + case.size, case.corner : case.corner + case.size
    ]
    plan = eo.plan(
        records, grid, bands=list(job.bands[: case.bands]), mask=eo.SCLMask() if case.mask else None,
        chunk=case.chunk, verify_offset=False,
    )  # fmt: skip
    best = eo.composite(eo.load(plan), eo.Median())
    preload(as_eocube(job))
    counts = counts_of(plan)
    before, began = time.process_time(), time.perf_counter()
    with eo.progress(bar=False) as run:
        best.compute()
    seconds, work = time.perf_counter() - began, time.process_time() - before
    expected = plan.estimate(latency=LATENCY if case.http else 0.0)
    return {
        "seconds": seconds, "work": work, "bytes": run.report.bytes, "requests": run.report.requests,
        "counts": asdict(counts), "expected": asdict(expected),
    }  # fmt: skip


def as_eocube(job: Any) -> Any:
    """Return the job with the variant whose modules are imported beforehand."""
    from dataclasses import replace

    return replace(job, variant="eocube")


def run(case: Case, items: Path, rounds: int) -> dict[str, Any]:
    """Run a case some times, each in a fresh process; return the one of the median processor time."""
    with serving(items.parent, LATENCY) if case.http else nullcontext(str(items.parent)) as base:
        command = [
            sys.executable, "-m", "benchmarks.estimates", "--child", json.dumps(asdict(case)), "--base", base,
            "--items", str(items),
        ]  # fmt: skip
        found = []
        for _ in range(rounds):
            said = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603
            found.append(json.loads(said.stdout.splitlines()[-1]))
    middle = statistics.median_low(each["work"] for each in found)
    return next(each for each in found if each["work"] == middle)


def fit(results: list[dict[str, Any]]) -> dict[str, float]:
    """Return the coefficients: least squares of relative errors, none below 0."""
    from eocube.estimates import COEFFICIENTS

    names = list(COEFFICIENTS)
    table = np.array([[float(result["counts"][name]) for name in names] for result in results])
    work = np.array([result["work"] for result in results])
    found, _ = nnls(table / work[:, None], np.ones(len(work)))
    return dict(zip(names, found.tolist(), strict=True))


def line(case: Case, result: dict[str, Any], factors: dict[str, float]) -> str:
    """Return a line of the table."""
    model = sum(factor * float(result["counts"][name]) for name, factor in factors.items())
    share = model / result["work"] - 1
    read = result["counts"]["bytes"] / result["bytes"]
    asked = result["counts"]["requests"] / result["requests"] if result["requests"] else float("nan")
    asked_for = "-" if not result["requests"] else f"{result['requests']} ({asked:.2f})"
    return (
        f"| {case.name} | {result['work']:.2f} | {model:.2f} | {share:+.0%} | {result['seconds']:.2f} | "
        f"{result['bytes'] / 1e6:,.0f} ({read:.2f}) | {asked_for} |"
    )


@click.command(context_settings={"show_default": True})
@click.option("--rounds", default=3)
@click.option("--data", type=click.Path(path_type=Path), default=None)
@click.option("--child", default="", hidden=True)
@click.option("--base", default="", hidden=True)
@click.option("--items", type=click.Path(path_type=Path), default=None, hidden=True)
def main(rounds: int, data: Path | None, child: str, base: str, items: Path | None) -> None:
    """Measure, fit, and print the table and the coefficients."""
    if child and items is not None:
        click.echo(json.dumps(measured(Case(**json.loads(child)), base, items)))
        return
    made = worlds.made(worlds.FULL, (data or _cache()).absolute())
    head = (
        "| job | core s | model | error | clock s | MB read (expected / read) | requests (expected / asked) |"
    )
    click.echo(f"{head}\n|---|---:|---:|---:|---:|---:|---:|")
    fitted = {case: run(case, made, rounds) for case in FITTED}
    factors = fit(list(fitted.values()))
    for case, result in fitted.items():
        click.echo(line(case, result, factors))
    click.echo("| *not fitted:* | | | | | | |")
    for case in HELD_OUT:
        click.echo(line(case, run(case, made, rounds), factors))
    click.echo(json.dumps({name: float(f"{factor:.3g}") for name, factor in factors.items()}, indent=1))


if __name__ == "__main__":
    main()
