"""Whittaker's smoother, for many series at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .base import Days, Floats

_ENVELOPE = 10
"""Rounds of asymmetric weights: enough for the signs to settle (as in modape)."""


@dataclass(frozen=True)
class Whittaker:
    """Whittaker's smoother: near the observations, and smooth.

    The curve z on a grid of ``step`` days minimises sum w (y - z)^2 + lam sum (d z)^2, d being differences
    of ``order``; days without an observation have no weight. Solved as banded LDL^T, all series at once.

    Parameters
    ----------
    lam : float
        Smoothness: the greater, the smoother. On a grid of one day 100 follows weeks, 100,000 seasons.
    order : {1, 2, 3}
        Without observations the curve is a constant, a line or a parabola.
    robust : int
        Rounds of Tukey's bisquare weights: what lies farther from the curve than six times the
        median of the distances does not count (Cleveland 1979, doi 10.1080/01621459.1979.10481038).
    envelope : float
        From 0 to 1: the weight of observations above the curve, 1 - that below it. 0.5: all alike;
        0.9 follows the upper envelope, since clouds and shadows lower NDVI.
    step : int
        Days of the grid. Observations count at the nearest point of it.

    Raises
    ------
    InputError
        If a number is out of range.

    Notes
    -----
    Eilers 2003, *A perfect smoother*, doi 10.1021/ac034173t.
    """

    lam: float = 1000.0
    order: int = 2
    robust: int = 0
    envelope: float = 0.5
    step: int = 1

    def __post_init__(self) -> None:
        if not 0 < self.lam < np.inf:
            raise InputError(f"Whittaker(lam={self.lam}): a number above 0 is needed.")
        if self.order not in (1, 2, 3):
            raise InputError(f"Whittaker(order={self.order}): 1, 2 or 3.")
        if self.robust < 0 or not 0 < self.envelope < 1 or self.step < 1:
            raise InputError(f"{self!r}: robust is 0 or more, envelope between 0 and 1, step 1 or more.")

    @property
    def need(self) -> int:
        """Return the order: so many points decide a polynomial of one degree less."""
        return self.order

    def __call__(self, values: Floats, weights: Floats, days: Days, out: Days) -> Floats:
        """Return the curves (day out, series)."""
        # Around their mean: a constant then stays one to the last digit.
        load = np.maximum(weights.sum(axis=0), 1e-300)
        mean = (weights * values).sum(axis=0) / load
        return np.asarray(self._around(values - mean, weights, days, out) + mean)

    def _around(self, values: Floats, weights: Floats, days: Days, out: Days) -> Floats:
        first, last = min(days[0], out[0]), max(days[-1], out[-1])
        size = max(int(-((first - last) // self.step)) + 1, self.order + 1)
        places = np.rint((days - first) / self.step).astype(np.intp)
        own = weights
        for _ in range(max(self.robust, _ENVELOPE if self.envelope != 0.5 else 0)):
            curve = self._solved(values, own, places, size)[places]
            own = weights * self._trust(values - curve, weights > 0)
        curve = self._solved(values, own, places, size)
        at = (out - first) / self.step
        low = np.minimum(at.astype(np.intp), size - 1)
        part = (at - low)[:, None]
        if not part.any():
            return np.asarray(curve[low])
        return np.asarray(curve[low] * (1 - part) + curve[np.minimum(low + 1, size - 1)] * part)

    def _solved(self, values: Floats, weights: Floats, places: NDArray[np.intp], size: int) -> Floats:
        total = np.zeros((size, values.shape[1]))
        right = np.zeros_like(total)
        for place, value, weight in zip(places, values, weights, strict=True):
            total[place] += weight
            right[place] += weight * value
        return solve_banded(total, right, self.lam * _penalty(size, self.order))

    def _trust(self, residuals: Floats, seen: NDArray[np.bool_]) -> Floats:
        trust = np.ones_like(residuals)
        if self.robust:
            limit = 6 * _median(np.where(seen, np.abs(residuals), np.nan))
            ratio = np.divide(residuals, limit, out=np.zeros_like(residuals), where=limit > 1e-12)
            trust = (1 - np.minimum(ratio * ratio, 1)) ** 2
        return trust * np.where(residuals > 0, self.envelope, 1 - self.envelope) * 2


def _penalty(size: int, order: int) -> Floats:
    """Return the diagonals (order + 1, size) of D'D: entry [k, i] belongs to row i and column i + k."""
    signs = np.array([1.0])
    for _ in range(order):
        signs = np.convolve(signs, [1.0, -1.0])
    found = np.zeros((order + 1, size))
    for a in range(order + 1):
        for b in range(a, order + 1):
            found[b - a, a : a + size - order] += signs[a] * signs[b]
    return found


def solve_banded(total: Floats, right: Floats, bands: Floats) -> Floats:
    """Solve (diag(total) + B) z = right for each series, B being symmetric and banded.

    Parameters
    ----------
    total, right : float64 array (row, series)
        Written over.
    bands : float64 array (diagonal, row)
        Entry [k, i] belongs to row i and column i + k.

    Returns
    -------
    float64 array (row, series)
        Not finite where a system has no single solution.
    """
    width, size = len(bands) - 1, len(total)
    lower = np.empty((width, *total.shape))  # [k - 1, i]: entry of L in row i and column i - k
    inverse = total  # row by row: total becomes 1 / D
    spare, upper = np.empty(total.shape[1]), np.empty((width, total.shape[1]))
    with np.errstate(all="ignore"):
        for i in range(size):
            pivot = inverse[i]
            pivot += bands[0, i]
            for k in range(min(width, i), 0, -1):
                entry = upper[k - 1]
                entry[...] = bands[k, i - k]
                for m in range(k + 1, min(width, i) + 1):
                    np.multiply(upper[m - 1], lower[m - k - 1, i - k], out=spare)
                    entry -= spare
                np.multiply(entry, inverse[i - k], out=lower[k - 1, i])
                np.multiply(entry, lower[k - 1, i], out=spare)
                pivot -= spare
                np.multiply(lower[k - 1, i], right[i - k], out=spare)
                right[i] -= spare
            np.divide(1.0, pivot, out=pivot)
        right *= inverse
        for i in range(size - 2, -1, -1):
            for k in range(1, min(width, size - 1 - i) + 1):
                np.multiply(lower[k - 1, i + k], right[i + k], out=spare)
                right[i] -= spare
    return right


def _median(values: Floats) -> Floats:
    """Return the median over time (series,), NaN left out; 0 where there is nothing."""
    ranked, number = np.sort(values, axis=0), np.count_nonzero(values == values, axis=0)
    each, last = np.arange(values.shape[1]), np.maximum(number - 1, 0)
    middle = (ranked[last // 2, each] + ranked[np.minimum(number // 2, last), each]) / 2
    return np.where(number > 0, middle, 0.0)
