"""The seam: what a smoother is, and how it is given observations with gaps.

Arrays are (time, series), float64, NaN where nothing was seen; days are whole numbers.
"""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError

Floats = NDArray[np.float64]
Days = NDArray[np.int64]

_FLOATS = 1 << 20
"""Numbers of one array that are worked on at once: 8 MB."""


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
