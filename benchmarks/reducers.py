"""How long reducers take, as ratios: to the median, and the geometric median to odc-algo's.

    python -m benchmarks.reducers [--rounds 7] [--size 512] [--dates 24] [--bands 4]

One block of made-up spectra, half of the observations missing, float32, in memory; one thread. Each
round runs everything once, one after the other, and a ratio is the median of the rounds' ratios.
odc-algo is given its own layout (y, x, band, time), so that turning is not counted, and its result is
held against ours. Compiling is not counted, and said apart.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

import click
import numpy as np
from rich.console import Console
from rich.table import Table

import eocube as eo
from eocube.reducers import Observations, reduce_observations

NAMES = ("blue", "green", "red", "nir", "rededge1", "rededge2", "rededge3", "nir08", "swir16", "swir22")


def block(dates: int, bands: int, size: int, seed: int = 0) -> np.ndarray:
    """Return spectra (time, band + 1, y, x), the last being ``cloud_distance``."""
    rng = np.random.default_rng(seed)
    shape = (dates, bands, size, size)
    values = rng.uniform(0.02, 0.4, (1, *shape[1:])) * rng.normal(1, 0.12, (dates, 1, size, size))
    values += rng.normal(0, 0.01, shape) + (rng.random((dates, 1, size, size)) < 0.06) * 0.3
    found = np.round(values.clip(1e-4, 1.2), 4).astype(np.float32)
    far = rng.integers(20, 3001, (dates, 1, size, size)).astype(np.float32)
    gone = rng.random((dates, 1, size, size)) < 0.5
    return np.where(gone, np.float32(np.nan), np.concatenate([found, far], axis=1))


def jobs(values: np.ndarray) -> dict[str, Callable[[], Any]]:
    """Return what is timed, by its name."""
    names = (*NAMES[: values.shape[1] - 1], "cloud_distance")
    times = np.datetime64("2023-01-01T10:00", "ns") + np.arange(len(values)) * np.timedelta64(15, "D")
    plain = Observations(np.ascontiguousarray(values[:, :-1]), None, names[:-1], times)
    whole = Observations(values, None, names, times)
    hows = [
        eo.Median(), eo.Median(method="lower"), eo.Mean(), eo.Percentile(25), eo.Min(), eo.Max(), eo.Count(),
        eo.GeoMedian(), eo.GeoMedian(mads=True), eo.Medoid(), eo.MaxNDVI(), eo.First(), eo.Latest(),
    ]  # fmt: skip
    found: dict[str, Callable[[], Any]] = {
        repr(how): lambda how=how: reduce_observations(how, plain) for how in hows
    }
    for name, how in (("BestPixel(196)", eo.BestPixel(196)), ("WeightedMean()", eo.WeightedMean())):
        found[name] = lambda how=how: reduce_observations(how, whole)
    yxbt = np.ascontiguousarray(plain.block.transpose(2, 3, 1, 0))
    for eps in (1e-4, 1e-6):
        for mads in (False, True):
            found[f"odc-algo{' with MADs' if mads else ''}, eps={eps:g}"] = (
                lambda eps=eps, mads=mads: _odc(yxbt, eps, mads)
            )
    return found


def _odc(yxbt: np.ndarray, eps: float, mads: bool) -> np.ndarray:
    """Return odc-algo's (y, x, band + statistics)."""
    from odc.algo._geomedian import _gm_mads_compute_f32

    return _gm_mads_compute_f32(
        yxbt, compute_mads=mads, compute_count=False, eps=eps, maxiters=1000, num_threads=1
    )


def agreement(values: np.ndarray) -> str:
    """Say how far odc-algo's geometric medians are from ours, by its bound."""
    spectra = np.ascontiguousarray(values[:, :-1])
    ours = eo.GeoMedian()(spectra)
    several = eo.Count()(spectra)[0] > 2
    lines = []
    for eps in (1e-4, 1e-6, 1e-9):
        theirs = _odc(spectra.transpose(2, 3, 1, 0).copy(), eps, False).transpose(2, 0, 1)
        apart = np.abs(ours - theirs).max(axis=0)[several]
        one, two = (_sums(spectra, found)[several] for found in (ours, theirs))
        lines.append(
            f"eps={eps:g}: {np.mean(apart > 1e-4):.4%} of pixels more than 1e-4 apart, at most "
            f"{apart.max():.1e}; sum of distances: ours less by up to {np.max(two - one):.1e}, "
            f"more by up to {max(np.max(one - two), 0):.1e}"
        )
    return "\n".join(lines)


def _sums(values: np.ndarray, points: np.ndarray) -> np.ndarray:
    total = np.zeros(values.shape[2:])
    for date in values:
        total += np.nan_to_num(np.sqrt(((date.astype(np.float64) - points) ** 2).sum(axis=0)))
    return total


@click.command()
@click.option("--rounds", type=click.IntRange(1), default=7)
@click.option("--size", type=click.IntRange(16), default=512)
@click.option("--dates", type=click.IntRange(1), default=24)
@click.option("--bands", type=click.IntRange(4, len(NAMES)), default=4)
def main(rounds: int, size: int, dates: int, bands: int) -> None:
    """Print the table."""
    console = Console(width=120)
    start = time.perf_counter()
    eo.GeoMedian(mads=True)(block(2, 2, 16)[:, :-1])
    console.print(f"importing numba and compiling: {time.perf_counter() - start:.1f} s")
    values = block(dates, bands, size)
    todo = jobs(values)
    seconds: dict[str, list[float]] = {name: [] for name in todo}
    for _ in range(rounds):
        for name, job in todo.items():
            start = time.perf_counter()
            job()
            seconds[name].append(time.perf_counter() - start)
    load = os.getloadavg()[0]
    title = f"{dates} dates x {bands} bands x {size} x {size} px, {rounds} rounds, load {load:.1f}"
    table = Table(title=title)
    for column in ("reducer", "million px/s", "times Median()", "GeoMedian() is faster", "with MADs"):
        table.add_column(column, justify="left" if column == "reducer" else "right")
    for name, own in seconds.items():
        row = [name, f"{size**2 / np.median(own) / 1e6:.2f}", f"{_ratio(own, seconds['Median()']):.2f}"]
        if name.startswith("odc"):
            mads = "MADs" in name
            ours = seconds["GeoMedian(mads=True)" if mads else "GeoMedian(mads=False)"]
            row += ["", f"{_ratio(own, ours):.2f}"] if mads else [f"{_ratio(own, ours):.2f}", ""]
        table.add_row(*row)
    console.print(table)
    console.print(agreement(values[:, :, :256, :256]))


def _ratio(one: list[float], other: list[float]) -> float:
    return float(np.median(np.array(one) / np.array(other)))


if __name__ == "__main__":
    main()
