"""Smoothers: a curve through observations with gaps of any shape.

Arrays are (time, series), float64, NaN where nothing was seen; days are whole numbers, ascending.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from .errors import InputError

Floats = NDArray[np.float64]
Days = NDArray[np.int64]

_FLOATS = 1 << 20
"""Numbers of one array that are worked on at once: 8 MB."""

_ENVELOPE = 10
"""Rounds of asymmetric weights: enough for the signs to settle (as in modape)."""


@runtime_checkable
class Smoother(Protocol):
    """Makes curves of observations."""

    @property
    def need(self) -> int:
        """On how many days a series has to be seen at least."""
        ...  # pragma: no cover

    def __call__(self, values: Floats, weights: Floats, days: Days, out: Days) -> Floats:
        """Return the curves (day out, series).

        Parameters
        ----------
        values, weights : float64 array (day, series)
            No NaN; a weight of 0 where nothing was seen.
        days, out : int array (day,)
            Ascending, no two alike. ``out`` may go beyond ``days``; what is given there is not used.
        """
        ...  # pragma: no cover


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


@dataclass(frozen=True)
class SavitzkyGolay:
    """Savitzky-Golay for days that are not evenly spread, and with gaps.

    The value of a day is that of the polynomial fitted by weighted least squares to what was seen not
    more than ``days`` / 2 before or after it. With a value on every day this is the classic filter, but
    at the ends, where the window is cut off. NaN where the window holds too few days, or all of them lie
    on one side.

    Parameters
    ----------
    days : float
        Length of the window.
    degree : int
        Of the polynomial, 0 to 5; ``degree`` + 1 days have to be seen in the window.

    Raises
    ------
    InputError
        If a number is out of range.

    Notes
    -----
    Savitzky and Golay 1964, doi 10.1021/ac60214a047; by least squares instead of fixed weights.
    """

    days: float = 61.0
    degree: int = 2

    def __post_init__(self) -> None:
        if not self.days > 0 or self.degree not in range(6):
            raise InputError(f"{self!r}: days above 0 and a degree from 0 to 5 are needed.")

    @property
    def need(self) -> int:
        """Return how many points decide the polynomial."""
        return self.degree + 1

    def __call__(self, values: Floats, weights: Floats, days: Days, out: Days) -> Floats:
        """Return the curves (day out, series)."""
        found = np.full((len(out), values.shape[1]), np.nan)
        size, half = self.degree + 1, self.days / 2
        products = weights * values
        unit = np.eye(size)
        for place, day in enumerate(out):
            near = slice(*np.searchsorted(days, [day - half, day + half + 1e-9]))
            seen, past = weights[near] > 0, (days[near] <= day)[:, None]
            both = (seen & past).any(axis=0) & (seen & (days[near] >= day)[:, None]).any(axis=0)
            enough = both & (np.count_nonzero(seen, axis=0) >= size)
            if not enough.any():
                continue
            powers = ((days[near] - day) / half)[None, :] ** np.arange(2 * size - 1)[:, None]
            sums = powers @ weights[near][:, enough]
            matrix = np.moveaxis(sums[np.add.outer(np.arange(size), np.arange(size))], -1, 0)
            # A trace of the unit matrix keeps days that lie close together from being singular.
            matrix = matrix + 1e-14 * sums[0][:, None, None] * unit
            right = (powers[:size] @ products[near][:, enough]).T
            found[place, enough] = np.linalg.solve(matrix, right[..., None])[:, 0, 0]
        return found


@dataclass(frozen=True)
class Linear:
    """Straight lines from each observation to the next."""

    @property
    def need(self) -> int:
        """Return 1: an observation stands for its own day."""
        return 1

    def __call__(self, values: Floats, weights: Floats, days: Days, out: Days) -> Floats:
        """Return the curves (day out, series)."""
        seen = weights > 0
        step = np.arange(len(days))[:, None]
        before = np.maximum.accumulate(np.where(seen, step, -1), axis=0)
        after = np.minimum.accumulate(np.where(seen, step, len(days))[::-1], axis=0)[::-1]
        each = np.arange(values.shape[1])
        found = np.full((len(out), values.shape[1]), np.nan)
        for place, day in enumerate(out):
            at = int(np.searchsorted(days, day, "right")) - 1
            to = int(np.searchsorted(days, day, "left"))
            if at < 0 or to >= len(days):
                continue
            low, high = before[at], after[to]
            fine = (low >= 0) & (high < len(days))
            low, high, own = low[fine], high[fine], each[fine]
            first, last = values[low, own], values[high, own]
            span = days[high] - days[low]
            part = np.divide(day - days[low], span, out=np.zeros(len(low)), where=span > 0)
            found[place, fine] = first + part * (last - first)
        return found


def as_smoother(found: Any) -> Smoother:
    """Return the smoother, or say why it is none."""
    if isinstance(found, type) or not isinstance(found, Smoother):
        raise InputError(
            f"{found!r} is no smoother: take eocube.Whittaker(), eocube.SavitzkyGolay() or eocube.Linear()."
        )
    return found


def smoothed(
    values: NDArray[Any],
    weights: NDArray[Any] | None,
    days: Days,
    out: Days,
    how: Smoother,
    max_gap: float | None = None,
) -> Floats:
    """Return curves (day out, series) of observations in any order.

    Parameters
    ----------
    values : array (time, series)
        NaN where nothing was seen.
    weights : array (time, series), optional
        0 or more; NaN counts as 0.
    days, out : int array
        Several observations of a day are one, their weighted mean.
    how : Smoother
    max_gap : float, optional
        Days: within gaps that are longer there is nothing.

    Returns
    -------
    float64 array
        NaN before the first and after the last day that was seen, and where too few days were seen.
    """
    own, places = np.unique(days, return_inverse=True)
    wanted, back = np.unique(out, return_inverse=True)
    found = np.full((len(wanted), values.shape[1]), np.nan)
    reach = max(own[-1], wanted[-1]) - min(own[0], wanted[0]) + 1
    strip = max(64, _FLOATS // int(reach))
    for first in range(0, values.shape[1], strip):
        part = slice(first, first + strip)
        heavy = None if weights is None else weights[:, part]
        daily, load = _by_day(values[:, part], heavy, places, len(own))
        enough = np.count_nonzero(load, axis=0) >= how.need
        if enough.any():
            daily, load = daily[:, enough], load[:, enough]
            curves = how(daily, load, own, wanted)
            curves[~_covered(load > 0, own, wanted, max_gap)] = np.nan
            found[:, part][:, enough] = curves
    return np.asarray(found[back])


def _by_day(
    values: NDArray[Any], weights: NDArray[Any] | None, places: NDArray[np.intp], size: int
) -> tuple[Floats, Floats]:
    """Return the weighted mean and the weight of each day."""
    seen = np.isfinite(values)
    heavy = seen.astype(np.float64) if weights is None else np.where(seen, np.nan_to_num(weights), 0.0)
    plain = np.where(seen, values, 0.0).astype(np.float64)
    if size == len(values):  # no day twice
        order = np.argsort(places)
        return plain[order], heavy[order]
    total, load = np.zeros((size, values.shape[1])), np.zeros((size, values.shape[1]))
    for place, value, weight in zip(places, plain, heavy, strict=True):
        total[place] += weight * value
        load[place] += weight
    return np.divide(total, load, out=np.zeros_like(total), where=load > 0), load


def _covered(seen: NDArray[np.bool_], days: Days, out: Days, max_gap: float | None) -> NDArray[np.bool_]:
    """Return bool (day out, series): not outside what was seen, and in no gap that is too long."""
    none = np.int64(1) << 40
    before = np.maximum.accumulate(np.where(seen, days[:, None], -none), axis=0)
    after = np.minimum.accumulate(np.where(seen, days[:, None], none)[::-1], axis=0)[::-1]
    at, to = np.searchsorted(days, out, "right") - 1, np.searchsorted(days, out, "left")
    inside = (at >= 0) & (to < len(days))
    low, high = before[np.maximum(at, 0)], after[np.minimum(to, len(days) - 1)]
    limit = float(none) / 2 if max_gap is None else max_gap
    return np.asarray(inside[:, None] & (high - low <= limit))
