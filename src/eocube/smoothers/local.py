"""Smoothers that look at what lies near a day: Savitzky-Golay, straight lines."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import InputError
from .base import Days, Floats


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
