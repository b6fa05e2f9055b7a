"""A reducer that writes down which dates each pixel has been made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..codes import Coding
from ..errors import InputError
from .base import Block
from .observing import Observations

BITS = 16
"""Dates that one band can tell."""


@dataclass(frozen=True)
class Used:
    """Which dates are clear: bit ``n - 1`` of band ``used`` is set if scene ``n`` of the cube is.

    A median is made of many scenes; this says of which. Of more than 16 dates there are several bands:
    ``used_1`` tells scenes 1 to 16, ``used_2`` 17 to 32, and so on. The table of scenes is that of
    :func:`eocube.sources`. The result is uint16 (exact in float32 as well); 0 where no date is clear.

    Parameters
    ----------
    dates : int
        How many the cube has.

    Raises
    ------
    InputError
        If ``dates`` is below 1, or the block has a scene of a higher number.

    Examples
    --------
    >>> import numpy as np
    >>> block = np.array([np.nan, 2, 5], "float32").reshape(3, 1, 1, 1)
    >>> [format(bits, "03b") for bits in Used(3)(block)[:, 0, 0]]
    ['110']
    """

    dates: int = BITS
    picks: ClassVar[bool] = True
    """The table of scenes belongs to it."""

    def __post_init__(self) -> None:
        if isinstance(self.dates, bool) or not isinstance(self.dates, int) or self.dates < 1:
            raise InputError(f"Used(dates={self.dates!r}): give the number of dates, from 1.")

    @property
    def words(self) -> int:
        """How many bands there are."""
        return -(-self.dates // BITS)

    def __call__(self, block: Block) -> Block:
        """Reduce (time, band, y, x), dates in order of time, to (words, y, x)."""
        return self.of_observations(Observations(block))

    def of_codes(self, codes: Block, coding: Coding) -> Block:
        """Reduce codes (time, band, y, x) to (words, y, x)."""
        return self.of_observations(Observations(codes, coding))

    def of_observations(self, seen: Observations) -> Block:
        """Reduce observations to (words, y, x)."""
        numbers = np.arange(1, len(seen) + 1) if seen.numbers is None else np.asarray(seen.numbers)
        if len(numbers) and int(numbers.max()) > self.dates:
            raise InputError(f"{self!r}: the cube has {int(numbers.max())} dates or more: give dates=that.")
        found = np.zeros((self.words, *seen.shape), dtype=np.uint16)
        for date, number in enumerate(numbers):
            word, bit = divmod(int(number) - 1, BITS)
            found[word] |= seen.clear(date).astype(np.uint16) << np.uint16(bit)
        return found

    def bands_out(self, bands: tuple[str, ...]) -> tuple[str, ...]:  # noqa: ARG002
        """Return ``("used",)``, or ``("used_1", "used_2", ...)``."""
        return ("used",) if self.words == 1 else tuple(f"used_{word + 1}" for word in range(self.words))

    def dtype_out(self, dtype: np.dtype[Any]) -> np.dtype[Any]:  # noqa: ARG002
        """Return uint16."""
        return np.dtype(np.uint16)
