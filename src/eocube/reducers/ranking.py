"""Reducers that take values by their rank: median, percentiles."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..codes import Coding
from ..errors import InputError
from .base import Block, settle, valid
from .network import sort_ranks

_STRIP = 1 << 16
"""Pixels sorted at a time: 24 dates of them as uint16 stay in the caches."""

Ranks = tuple[NDArray[Any], NDArray[Any], NDArray[Any] | None]
"""Of each pixel a lower and an upper value, and the weight of the upper one (None: their mean)."""

Strip = Callable[[NDArray[Any]], Ranks]
"""Values (time, pixel), no data being the greatest number, to two of them."""


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
        return _of_values(block, self._strip)

    def of_codes(self, codes: Block, coding: Coding) -> Block:
        """Reduce codes (time, band, y, x) to values (band, y, x)."""
        return _of_codes(codes, coding, self._strip)

    def bands_out(self, bands: tuple[str, ...]) -> tuple[str, ...]:
        """Return the bands themselves."""
        return bands

    def dtype_out(self, dtype: np.dtype[Any]) -> np.dtype[Any]:
        """Return the dtype itself."""
        return dtype

    def _strip(self, values: NDArray[Any]) -> Ranks:
        count = (values != _greatest(values.dtype)).sum(axis=0, dtype=np.int32)
        last = (count - 1).clip(0)
        place = last * (self.q / 100)
        low = np.floor(place).astype(np.intp)
        high = np.minimum(low + 1, last)
        rows = list(values)
        if count.any():
            seen = count > 0
            sort_ranks(rows, tuple(range(int(low[seen].min()), int(high.max()) + 1)))
        ranked = np.stack(rows)
        a, b = (np.take_along_axis(ranked, at[None].astype(np.intp), axis=0)[0] for at in (low, high))
        return a, b, place - low


@dataclass(frozen=True)
class Median:
    """The median of the clear observations, per band: the mean of the two middle ones if even.

    Equals :func:`numpy.nanmedian` and ``cube.median("time")`` bit for bit on float32. On an
    integer cube the mean of the two middle ones is rounded half up.

    Parameters
    ----------
    method : {"mean", "lower"}
        Of an even number: the mean of the two middle ones, or the lower of them, which was observed
        (in this band; another band may take it from another date).

    Raises
    ------
    InputError
        If the method is not known.

    Examples
    --------
    >>> import numpy as np
    >>> block = np.array([1, 2, np.nan, 4, 9], "float32").reshape(5, 1, 1, 1)
    >>> float(Median()(block)[0, 0, 0])
    3.0
    >>> float(Median(method="lower")(block)[0, 0, 0])
    2.0
    """

    method: Literal["mean", "lower"] = "mean"

    def __post_init__(self) -> None:
        if self.method not in ("mean", "lower"):
            raise InputError(f"Median(method={self.method!r}) is not known. Choose of: mean, lower.")

    def __repr__(self) -> str:
        return "Median()" if self.method == "mean" else f"Median(method={self.method!r})"

    @property
    def label(self) -> str:
        """What bands are called after where names clash."""
        return "median" if self.method == "mean" else f"median_{self.method}"

    def __call__(self, block: Block) -> Block:
        """Reduce (time, band, y, x) to (band, y, x)."""
        return _of_values(block, self._strip)

    def of_codes(self, codes: Block, coding: Coding) -> Block:
        """Reduce codes (time, band, y, x) to values (band, y, x)."""
        return _of_codes(codes, coding, self._strip)

    def bands_out(self, bands: tuple[str, ...]) -> tuple[str, ...]:
        """Return the bands themselves."""
        return bands

    def dtype_out(self, dtype: np.dtype[Any]) -> np.dtype[Any]:
        """Return the dtype itself."""
        return dtype

    @property
    def _strip(self) -> Strip:
        return _median_strip if self.method == "mean" else _lower_strip


def _lower_strip(values: NDArray[Any]) -> Ranks:
    """Return the lower of the two middle values of each pixel, twice."""
    low, high, _ = _median_strip(values)
    low = np.where(high == _greatest(values.dtype), high, low)  # there is none at all
    return low, low, None


def _median_strip(values: NDArray[Any]) -> Ranks:
    """Return the two middle values of each pixel.

    Every second missing value is taken for the least number instead of the greatest. Then missing
    ones stand evenly on both sides, and the middle is at the same two ranks for every pixel: the
    network has to get only those right, and nothing has to be looked up per pixel.
    """
    greatest = _greatest(values.dtype)
    rows = []
    odd = np.zeros(values.shape[1], dtype=bool)
    for row in values:
        missing = row == greatest
        if missing.all():
            continue  # an overcast date need not be sorted
        rows.append(row)
        if values.dtype.kind == "u":  # all bits set becomes none: far quicker than a masked copy
            np.bitwise_xor(row, np.multiply(missing & odd, greatest), out=row)
        else:
            np.copyto(row, -greatest, where=missing & odd)
        odd ^= missing
    if not rows:
        return values[0], values[0], None
    dates = len(rows)
    middle = dates // 2
    ranks = (max(middle - 1, 0), middle) if dates % 2 == 0 else (max(middle - 1, 0), middle, middle)
    sort_ranks(rows, tuple(sorted(set(ranks))))
    low, high = rows[ranks[0]], rows[middle]
    # An odd number of missing values leaves one more of them above: the middle moves down by half.
    if dates % 2 == 0:
        a, b = low, np.where(odd, low, high)
    else:
        a, b = np.where(odd, low, high), high
    return a, b, None


def _greatest(dtype: np.dtype[Any]) -> Any:
    return dtype.type(np.inf if dtype.kind == "f" else np.iinfo(dtype).max)


def _of_values(block: Block, strip: Strip) -> Block:
    """Reduce a block of values, a strip of pixels at a time."""
    flat = block.reshape(len(block), -1)
    out = np.empty(flat.shape[1], dtype=block.dtype)
    for first in range(0, flat.shape[1], _STRIP):
        work = _sortable(flat[:, first : first + _STRIP])
        a, b, weight = strip(work)
        top = _greatest(work.dtype)
        count = (a != top) & (b != top)
        low, high = (np.where(count, rank, 0) for rank in (a, b))
        if block.dtype.kind == "u":
            low, high = low.astype(np.float64) + 1, high.astype(np.float64) + 1
        out[first : first + _STRIP] = settle(_between(low, high, weight), count, block.dtype)
    return out.reshape(block.shape[1:])


def _of_codes(codes: Block, coding: Coding, strip: Strip) -> Block:
    """Reduce codes: rank first, and turn only the two ranks into values."""
    shape = codes.shape[1:]
    out = np.empty((shape[0], shape[1] * shape[2]), dtype=coding.dtype)
    for band in range(shape[0]):
        flat = codes[:, band].reshape(len(codes), -1)
        for first in range(0, flat.shape[1], _STRIP):
            a, b, weight = strip(_shifted(flat[:, first : first + _STRIP]))
            low, high = a + 1, b + 1  # the greatest number, for no data, becomes 0 again
            count = (low != 0) & (high != 0)
            found = _between(coding.values(low, band), coding.values(high, band), weight)
            out[band, first : first + _STRIP] = settle(found, count, out.dtype)
    return out.reshape(shape)


def _shifted(values: NDArray[Any]) -> NDArray[Any]:
    """Return a copy, one less: 0 becomes the greatest number, and 65535 stays apart from it."""
    wide = values if values.dtype.kind == "u" else values.astype(np.uint32)
    return np.asarray(np.subtract(wide, wide.dtype.type(1)))


def _sortable(values: NDArray[Any]) -> NDArray[Any]:
    """Return a copy in which no data is the greatest number of its dtype."""
    if values.dtype.kind == "u":
        return _shifted(values)
    if values.dtype.kind == "i":
        values = values.astype(np.int64)
    return np.asarray(np.where(valid(values), values, _greatest(values.dtype)))


def _between(a: Block, b: Block, t: NDArray[Any] | None) -> NDArray[Any]:
    """Interpolate as numpy's percentile does (symmetric, so that t = 0.5 gives the exact mean)."""
    if a.dtype.kind != "f":
        a, b = a.astype(np.float64), b.astype(np.float64)
    mean: NDArray[Any] = (a + b) / 2
    if t is None:
        return mean
    t = t.astype(a.dtype)
    step = b - a
    found = np.where(t == 0.5, mean, np.where(t < 0.5, a + step * t, b - step * (1 - t)))
    return np.asarray(found)
