"""Reducers that take the least or the greatest value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..codes import Coding
from .base import Block, valid


@dataclass(frozen=True)
class _Extreme:
    def bands_out(self, bands: tuple[str, ...]) -> tuple[str, ...]:
        """Return the bands themselves."""
        return bands

    def dtype_out(self, dtype: np.dtype[Any]) -> np.dtype[Any]:
        """Return the dtype itself."""
        return dtype


@dataclass(frozen=True)
class Max(_Extreme):
    """The greatest of the clear observations, per band.

    Examples
    --------
    >>> import numpy as np
    >>> block = np.array([1, 2, np.nan, 4], "float32").reshape(4, 1, 1, 1)
    >>> float(Max()(block)[0, 0, 0])
    4.0
    """

    def __call__(self, block: Block) -> Block:
        """Reduce (time, band, y, x) to (band, y, x)."""
        if block.dtype.kind == "f":
            return np.asarray(np.fmax.reduce(block, axis=0))
        least = np.iinfo(block.dtype).min
        found = np.where(valid(block), block, least).max(axis=0)
        return np.where(valid(block).any(axis=0), found, 0).astype(block.dtype)

    def of_codes(self, codes: Block, coding: Coding) -> Block:
        """Reduce codes (time, band, y, x) to values (band, y, x)."""
        return coding.decode(codes.max(axis=0))  # no data is 0, the least


@dataclass(frozen=True)
class Min(_Extreme):
    """The least of the clear observations, per band.

    Examples
    --------
    >>> import numpy as np
    >>> block = np.array([1, 2, np.nan, 4], "float32").reshape(4, 1, 1, 1)
    >>> float(Min()(block)[0, 0, 0])
    1.0
    """

    def __call__(self, block: Block) -> Block:
        """Reduce (time, band, y, x) to (band, y, x)."""
        if block.dtype.kind == "f":
            return np.asarray(np.fmin.reduce(block, axis=0))
        greatest = np.iinfo(block.dtype).max
        found = np.where(valid(block), block, greatest).min(axis=0)
        return np.where(valid(block).any(axis=0), found, 0).astype(block.dtype)

    def of_codes(self, codes: Block, coding: Coding) -> Block:
        """Reduce codes (time, band, y, x) to values (band, y, x)."""
        wide = codes if codes.dtype.kind == "u" else codes.astype(np.uint32)
        one = wide.dtype.type(1)
        found = np.full(wide.shape[1:], np.iinfo(wide.dtype).max, dtype=wide.dtype)
        for date in wide:  # one less, no data is the greatest number; and 0 again when 1 is added
            np.minimum(found, date - one, out=found)
        return coding.decode(found + one)
