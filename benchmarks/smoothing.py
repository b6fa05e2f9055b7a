"""Smoothing: eocube's Whittaker smoother beside a library for one series and a dense solve.

    python -m benchmarks.smoothing                # whittaker-eilers is left out where it is not installed

Series of one year with a date every five days, 40 % of them cloudy, on a grid of days. The variants take
turns; the median of the rounds counts. One thread each.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from eocube import Linear, SavitzkyGolay, Whittaker
from eocube.phenology import metrics_of
from eocube.smoothers import smoothed

_LAM = 1000.0
_YEAR = np.arange(365)


def main() -> None:
    """Print microseconds per series."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--series", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    days = np.arange(2, 365, 5)
    values = np.random.default_rng(0).random((len(days), options.series))
    values[np.random.default_rng(1).random(values.shape) < 0.4] = np.nan
    variants = _variants(values, days)
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(options.rounds):
        for name, (work, count) in variants.items():
            started = time.perf_counter()
            work()
            seconds[name].append((time.perf_counter() - started) / count)
    ours = statistics.median(seconds["eocube Whittaker"])
    lines = [f"{'variant':36} {'us per series':>14} {'times eocube':>13}"]
    for name, own in seconds.items():
        middle = statistics.median(own)
        lines.append(f"{name:36} {middle * 1e6:14.1f} {middle / ours:13.1f}")
    sys.stdout.write("\n".join(lines) + "\n")


def _variants(values: Any, days: Any) -> dict[str, tuple[Callable[[], Any], int]]:
    many = values.shape[1]
    few, single = min(many, 1000), min(many, 10)
    curves = smoothed(values[:, :few], None, days, _YEAR, Whittaker(_LAM))
    season = np.ones((1, len(_YEAR)), dtype=bool)
    found: dict[str, tuple[Callable[[], Any], int]] = {
        "eocube Whittaker": (lambda: smoothed(values, None, days, days, Whittaker(_LAM)), many),
        "eocube Whittaker, robust=3": (
            lambda: smoothed(values, None, days, days, Whittaker(_LAM, robust=3)), many),
        "eocube SavitzkyGolay(61)": (lambda: smoothed(values, None, days, days, SavitzkyGolay(61)), many),
        "eocube Linear": (lambda: smoothed(values, None, days, days, Linear()), many),
        "eocube season metrics of curves": (lambda: metrics_of(curves, _YEAR, season), few),
        "numpy, dense solve": (lambda: _dense(values[:, :single], days), single),
    }  # fmt: skip
    try:
        from whittaker_eilers import WhittakerSmoother
    except ImportError:
        sys.stderr.write("whittaker-eilers is not installed: left out\n")
        return found
    full, weights = np.zeros((len(_YEAR), few)), np.zeros((len(_YEAR), few))
    full[days], weights[days] = np.nan_to_num(values[:, :few]), np.isfinite(values[:, :few])
    lists = [(full[:, k].tolist(), weights[:, k].tolist()) for k in range(few)]

    def theirs() -> None:
        for own, heavy in lists:
            WhittakerSmoother(_LAM, 2, len(_YEAR), weights=heavy).smooth(own)

    return {**found, "whittaker-eilers (lists at hand)": (theirs, few)}


def _dense(values: Any, days: Any) -> Any:
    differences = np.diff(np.eye(len(_YEAR)), 2, axis=0)
    penalty = _LAM * differences.T @ differences
    found = []
    for own in values.T:
        total, right = np.zeros(len(_YEAR)), np.zeros(len(_YEAR))
        total[days], right[days] = np.isfinite(own), np.nan_to_num(own)
        found.append(np.linalg.solve(np.diag(total) + penalty, right))
    return found


if __name__ == "__main__":
    main()
