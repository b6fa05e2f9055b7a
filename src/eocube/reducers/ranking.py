"""Reducers that take values by their rank: median, percentiles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .base import Block, settle, valid
from .network import sort_ranks

_STRIP = 1 << 15
"""Pixels sorted at a time: 24 dates of them as uint16 stay in the second level cache."""


@dataclass(frozen=True)
class Percentile:
    """A percentile of the clear observations, per band.

    Between two ranks it is interpolated linearly, as :func:`numpy.nanpercentile` does by default.

    Parameters
    ----------
    q : float
        0 to 100.

    Raises
    ------
    InputError
        If ``q`` is outside 0 to 100.

    Examples
    --------
    >>> import numpy as np
    >>> block = np.array([1, 2, np.nan, 4], "float32").reshape(4, 1, 1, 1)
    >>> float(Percentile(50)(block)[0, 0, 0])
    2.0
    """

    q: float

    def __post_init__(self) -> None:
        if not 0 <= self.q <= 100:
            raise InputError(f"Percentile({self.q}) is outside 0 to 100.")

    def __call__(self, block: Block) -> Block:
        """Reduce (time, band, y, x) to (band, y, x)."""
        return _by_rank(block, self.q / 100)

    def bands_out(self, bands: tuple[str, ...]) -> tuple[str, ...]:
        """Return the bands themselves."""
        return bands

    def dtype_out(self, dtype: np.dtype[Any]) -> np.dtype[Any]:
        """Return the dtype itself."""
        return dtype


@dataclass(frozen=True)
class Median:
    """The median of the clear observations, per band: the mean of the two middle ones if even.

    Equals :func:`numpy.nanmedian` and ``cube.median("time")`` bit for bit on float32. On an
    integer cube the mean of the two middle ones is rounded half up.

    Examples
    --------
    >>> import numpy as np
    >>> block = np.array([1, 2, np.nan, 4, 9], "float32").reshape(5, 1, 1, 1)
    >>> float(Median()(block)[0, 0, 0])
    3.0
    """

    def __call__(self, block: Block) -> Block:
        """Reduce (time, band, y, x) to (band, y, x)."""
        return _by_rank(block, 0.5)

    def bands_out(self, bands: tuple[str, ...]) -> tuple[str, ...]:
        """Return the bands themselves."""
        return bands

    def dtype_out(self, dtype: np.dtype[Any]) -> np.dtype[Any]:
        """Return the dtype itself."""
        return dtype


def _by_rank(block: Block, share: float) -> Block:
    flat = block.reshape(len(block), -1)
    out = np.empty(flat.shape[1], dtype=block.dtype)
    for first in range(0, flat.shape[1], _STRIP):
        strip = slice(first, first + _STRIP)
        out[strip] = _strip(flat[:, strip], share)
    return out.reshape(block.shape[1:])


def _strip(values: NDArray[Any], share: float) -> Block:
    """Reduce (time, pixel): no data sorts to the end, the ranks are taken from the front."""
    has_data = valid(values)
    count = has_data.sum(axis=0, dtype=np.intp)
    top = int(count.max(initial=0))
    if top == 0:
        return settle(np.zeros(values.shape[1]), count, values.dtype)
    if values.dtype.kind == "f":
        work = np.where(has_data, values, np.inf)
    else:
        work = np.where(has_data, values, np.iinfo(values.dtype).max)
    place = (count - 1).clip(0) * share
    low = np.floor(place).astype(np.intp)
    high = np.minimum(low + 1, (count - 1).clip(0))
    wanted = tuple(range(int(low[count > 0].min()), int(high.max()) + 1))
    sort_ranks(work, wanted)
    a = np.take_along_axis(work, low[None], axis=0)[0]
    b = np.take_along_axis(work, high[None], axis=0)[0]
    return settle(_between(a, b, place - low, count), count, values.dtype)


def _between(a: Block, b: Block, t: NDArray[np.float64], count: NDArray[np.intp]) -> NDArray[Any]:
    """Interpolate as numpy's percentile does (symmetric, so that t = 0.5 gives the exact mean)."""
    if a.dtype.kind != "f":
        a, b = a.astype(np.float64), b.astype(np.float64)
    t = t.astype(a.dtype)
    a, b = np.where(count > 0, a, 0), np.where(count > 0, b, 0)
    step = b - a
    mean = (a + b) / 2
    return np.where(t == 0.5, mean, np.where(t < 0.5, a + step * t, b - step * (1 - t)))
