"""Moments: weighted statistics of zones, whole or in parts that can be joined.

Arrays are (time, band, pixel) with NaN for no data; a zone is a run of pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import fields as dataclass_fields

import numpy as np
from numpy.typing import NDArray

from .zones import Zones

Floats = NDArray[np.float64]


@dataclass
class Moments:
    """Partial statistics, arrays (time, band, zone).

    Attributes
    ----------
    count : float64
        Sum of the weights of clear pixels.
    mean : float64
        Weighted; 0 where there is no clear pixel.
    square : float64
        Weighted sum of squared deviations from the mean.
    least, most : float64
        NaN where there is no clear pixel.
    """

    count: Floats
    mean: Floats
    square: Floats
    least: Floats
    most: Floats

    @classmethod
    def empty(cls, shape: tuple[int, ...]) -> Moments:
        """Return the moments of no pixels."""
        nothing = np.full(shape, np.nan)
        return cls(np.zeros(shape), np.zeros(shape), np.zeros(shape), nothing, nothing.copy())

    @classmethod
    def joined(cls, parts: Sequence[Moments]) -> Moments:
        """Return the moments of different zones side by side."""
        names = [field.name for field in dataclass_fields(cls)]
        return cls(*(np.concatenate([getattr(part, name) for part in parts], axis=-1) for name in names))

    def put(self, dates: NDArray[np.bool_], other: Moments) -> None:
        """Take the moments of some of the dates."""
        for field in dataclass_fields(self):
            getattr(self, field.name)[dates] = getattr(other, field.name)

    def add(self, at: NDArray[np.intp], other: Moments) -> None:
        """Join other pixels of the zones ``at`` (Chan, Golub and LeVeque 1983)."""
        n, m = self.count[..., at], other.count
        total = n + m
        share = np.divide(m, total, out=np.zeros_like(total), where=total > 0)
        delta = other.mean - self.mean[..., at]
        self.mean[..., at] += delta * share
        self.square[..., at] += other.square + delta**2 * n * share
        self.count[..., at] = total
        self.least[..., at] = np.fmin(self.least[..., at], other.least)
        self.most[..., at] = np.fmax(self.most[..., at], other.most)

    def named(self, stat: str) -> Floats:
        """Return a statistic; NaN where there is no clear pixel."""
        if stat == "count":
            return self.count
        if stat in ("min", "max"):
            return self.least if stat == "min" else self.most
        some = self.count > 0
        if stat == "mean":
            return np.where(some, self.mean, np.nan)
        over = np.divide(self.square, self.count, out=np.full_like(self.count, np.nan), where=some)
        return np.sqrt(over)


def moments_of(values: NDArray[np.floating], zones: Zones, stats: Sequence[str]) -> Moments:
    """Return the moments that the statistics need.

    Parameters
    ----------
    values : floating array (time, band, pixel)
        Of the pixels of the zones, one zone after the other; NaN for no data.
    zones : Zones
    stats : sequence of str
        ``std`` needs the squares, ``min`` and ``max`` the extremes; what is not needed stays empty.
    """
    found = Moments.empty((*values.shape[:2], len(zones.starts)))
    lengths = zones.ends - zones.starts
    for at in np.ndindex(values.shape[:2]):
        own = values[at]
        clear = own == own
        if not clear.any():
            continue
        weights = zones.weights * clear
        plain = np.where(clear, own, 0).astype(np.float64)
        count = np.add.reduceat(weights, zones.starts)
        total = np.add.reduceat(weights * plain, zones.starts)
        mean = np.divide(total, count, out=np.zeros_like(total), where=count > 0)
        found.count[at], found.mean[at] = count, mean
        if "std" in stats:
            plain -= np.repeat(mean, lengths)
            found.square[at] = np.add.reduceat(weights * plain * plain, zones.starts)
        if "min" in stats:
            found.least[at] = np.fmin.reduceat(own, zones.starts)
        if "max" in stats:
            found.most[at] = np.fmax.reduceat(own, zones.starts)
    return found


def median_of(values: NDArray[np.floating], weights: Floats, *, exact: bool) -> Floats:
    """Return the median over the pixels of one zone.

    Parameters
    ----------
    values : floating array (time, band, pixel)
        NaN for no data.
    weights : float64 array (pixel,)
        Above 0.
    exact : bool
        Weighted, as exactextract does it. Else the plain median: all pixels count alike.

    Returns
    -------
    float64 array (time, band)
        NaN where no pixel is clear.

    Notes
    -----
    exactextract (WeightedQuantiles): equal values are one, with the sum of their weights. Value k of
    n, in order, stands at (k - 1) w_k + (n - 1) times the sum of the weights before it; the median
    stands at half of (n - 1) times all weights, and is interpolated between two values.
    """
    rows = values.reshape(-1, values.shape[-1])
    found = _weighted_medians(rows, weights) if exact else _plain_medians(rows)
    return found.reshape(values.shape[:2])


def _plain_medians(rows: NDArray[np.floating]) -> Floats:
    ranked, numbers = np.sort(rows, axis=-1), np.count_nonzero(rows == rows, axis=-1)  # NaN comes last
    last = np.maximum(numbers - 1, 0)
    each = np.arange(len(rows))
    low, high = (ranked[each, at].astype(np.float64) for at in (last // 2, np.minimum(numbers // 2, last)))
    return np.asarray((low + high) / 2)


def _weighted_medians(rows: NDArray[np.floating], weights: Floats) -> Floats:
    out = np.full(len(rows), np.nan)
    rows = rows[some := np.flatnonzero((rows == rows).any(axis=-1))]
    if not len(rows):
        return out
    order = np.argsort(rows, axis=-1)
    ranked = np.take_along_axis(rows, order, axis=-1)
    clear = ranked == ranked  # NaN comes last
    new = clear.copy()
    new[:, 1:] &= ranked[:, 1:] != ranked[:, :-1]
    # From here on only the values that differ, of all rows one after the other.
    row = np.nonzero(new)[0]
    value = ranked[new].astype(np.float64)
    weight = np.add.reduceat(weights[order[clear]], np.flatnonzero(new[clear]))
    number = np.bincount(row)
    first = np.cumsum(number) - number
    upto = np.cumsum(weight)
    base = (upto - weight)[first]
    total = np.add.reduceat(weight, first)
    place = (np.arange(len(row)) - first[row]) * weight + (number[row] - 1) * (upto - weight - base[row])
    wanted = 0.5 * total * (number - 1)
    left = first + np.add.reduceat(place <= wanted[row], first, dtype=np.intp) - 1
    right = np.minimum(left + 1, first + number - 1)
    step = place[right] - place[left]
    part = np.divide(wanted - place[left], step, out=np.zeros_like(step), where=step > 0)
    out[some] = value[left] + part * (value[right] - value[left])
    return out
