"""Phenology: the metrics of seasons, by TIMESAT's definitions, of many curves at once.

TIMESAT 3.3 Software Manual (Eklundh and Jönsson 2017, Lund and Malmö University), section on seasonality
parameters; Jönsson and Eklundh 2004, doi 10.1016/j.cageo.2004.05.006.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .smoothers import Days, Floats

METRICS: dict[str, tuple[str, str]] = {
    "start": ("date", "the left edge has risen to its level, a share of the way from the left minimum"),
    "end": ("date", "the right edge has fallen to its level, a share of the way from the right minimum"),
    "length": ("days", "from start to end"),
    "base": ("value", "mean of the left and the right minimum"),
    "middle": ("date", "mean of the dates at which the left and the right edge are at 80 %"),
    "peak_time": ("date", "of the greatest value (not one of TIMESAT's)"),
    "peak": ("value", "greatest value"),
    "amplitude": ("value", "peak less base"),
    "rise": ("value per day", "left edge: difference of the 20 % and 80 % levels over that of their dates"),
    "fall": ("value per day", "right edge: the same, as a positive number"),
    "large_integral": ("value days", "under the curve from start to end, above 0"),
    "small_integral": ("value days", "under the curve from start to end, above the base"),
    "start_value": ("value", "of the curve at the start"),
    "end_value": ("value", "of the curve at the end"),
}
"""Name, unit and meaning of each metric. Dates are days since 1970-01-01, with a fraction."""


def metrics_of(
    values: Floats,
    days: Days,
    periods: NDArray[np.bool_],
    levels: tuple[float, float] = (0.5, 0.5),
    min_amplitude: float = 0.0,
) -> Floats:
    """Return the metrics of curves.

    Parameters
    ----------
    values : float64 array (day, curve)
        Smooth; NaN where the curve is not known.
    days : int array (day,)
        Ascending.
    periods : bool array (period, day)
        Where the peak of each season is looked for.
    levels : pair of float
        Shares for start and end.
    min_amplitude : float
        Seasons with less are none.

    Returns
    -------
    float64 array (period, metric, curve)
        NaN where there is no season, or where what a metric needs lies beyond the curve.
    """
    found = np.full((len(periods), len(METRICS), values.shape[1]), np.nan)
    peaks = [_peak(values, own) for own in periods]
    for number, peak in enumerate(peaks):
        before, after = np.zeros_like(peak), np.full_like(peak, len(values) - 1)
        for other in peaks[:number]:
            before = np.where(other >= 0, other, before)
        for other in peaks[:number:-1]:
            after = np.where(other >= 0, other, after)
        some = np.flatnonzero(peak >= 0)
        if len(some):
            own = values[:, some]
            season = _season(own, days, peak[some], before[some], after[some], levels)
            season[:, ~(season[_AMPLITUDE] > min_amplitude)] = np.nan
            found[number][:, some] = season
    return found


_AMPLITUDE = list(METRICS).index("amplitude")


def _peak(values: Floats, period: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Return where the greatest local maximum of a period lies; -1 where there is none."""
    top = np.full(values.shape, -np.inf)
    with np.errstate(invalid="ignore"):
        local = (values[1:-1] >= values[:-2]) & (values[1:-1] > values[2:]) & period[1:-1, None]
    top[1:-1][local] = values[1:-1][local]
    place = top.argmax(axis=0)
    return np.where(np.isfinite(top.max(axis=0)), place, -1)


def _season(
    values: Floats,
    days: Days,
    peak: NDArray[np.intp],
    before: NDArray[np.intp],
    after: NDArray[np.intp],
    levels: tuple[float, float],
) -> Floats:
    """Return the metrics (metric, curve) of the season around a peak, between its neighbours."""
    each = np.arange(values.shape[1])
    step = np.arange(len(values))[:, None]
    left, right = (step >= before) & (step <= peak), (step >= peak) & (step <= after)
    top = values[peak, each]
    low = np.where(left & np.isfinite(values), values, np.inf).min(axis=0)
    end_low = np.where(right & np.isfinite(values), values, np.inf).min(axis=0)

    def rising(share: float) -> Floats:
        return _crossing(values, days, left, low + share * (top - low), last=True)

    def falling(share: float) -> Floats:
        return _crossing(values, days, right, end_low + share * (top - end_low), last=False)

    start, end = rising(levels[0]), falling(levels[1])
    base = (low + end_low) / 2
    early, late = rising(0.8), falling(0.8)
    total, start_value, end_value = _integral(values, days, start, end)
    with np.errstate(all="ignore"):
        rise = 0.6 * (top - low) / (early - rising(0.2))
        fall = 0.6 * (top - end_low) / (falling(0.2) - late)
    found = {
        "start": start, "end": end, "length": end - start, "base": base, "middle": (early + late) / 2,
        "peak_time": days[peak].astype(np.float64), "peak": top, "amplitude": top - base, "rise": rise,
        "fall": fall, "large_integral": total, "small_integral": total - base * (end - start),
        "start_value": start_value, "end_value": end_value,
    }  # fmt: skip
    return np.stack([found[name] for name in METRICS])


def _crossing(
    values: Floats, days: Days, side: NDArray[np.bool_], level: Floats, *, last: bool
) -> NDArray[np.float64]:
    """Return the day on which a curve, seen from its peak outwards, first is below a level."""
    below = side & (values < level)
    some = below.any(axis=0)
    size = len(values)
    outer = size - 1 - below[::-1].argmax(axis=0) if last else below.argmax(axis=0)
    inner = np.clip(outer + (1 if last else -1), 0, size - 1)
    each = np.arange(values.shape[1])
    low, high = values[outer, each], values[inner, each]
    with np.errstate(all="ignore"):
        day = days[outer] + (level - low) / (high - low) * (days[inner] - days[outer])
    return np.where(some, day, np.nan)


def _integral(values: Floats, days: Days, start: Floats, end: Floats) -> tuple[Floats, Floats, Floats]:
    """Return the integral of the curve (straight between its days) and its values at both ends."""
    widths = np.diff(days)[:, None].astype(np.float64)
    areas = (values[1:] + values[:-1]) / 2 * widths
    gaps = np.isnan(areas)
    upto = np.vstack([np.zeros((1, values.shape[1])), np.cumsum(np.where(gaps, 0.0, areas), axis=0)])
    holes = np.vstack([np.zeros((1, values.shape[1]), dtype=np.intp), np.cumsum(gaps, axis=0)])
    each = np.arange(values.shape[1])

    def at(day: Floats) -> tuple[Any, Any, Any]:
        place = np.searchsorted(days, np.nan_to_num(day, nan=days[0]), "right") - 1
        place = np.clip(place, 0, len(days) - 2)
        first, last = values[place, each], values[place + 1, each]
        past = day - days[place]
        value = first + (last - first) * past / (days[place + 1] - days[place])
        return upto[place, each] + (first + value) / 2 * past, value, holes[place, each]

    with np.errstate(all="ignore"):
        (begun, start_value, holes_before), (ended, end_value, holes_after) = at(start), at(end)
        total = np.where(holes_before == holes_after, ended - begun, np.nan)
    return total, start_value, end_value
