"""Reducers that count and add: number of clear observations, mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..codes import Coding
from .base import Block, settle, valid


@dataclass(frozen=True)
class Count:
    """The number of clear observations: dates on which every band has data.

    The result has one band, ``count``, uint16; 0 where there is none.
    """

    def __call__(self, block: Block) -> Block:
        """Reduce (time, band, y, x) to (1, y, x)."""
        count = np.zeros(block.shape[2:], dtype=np.uint16)
        for date in block:
            count += _clear(date)
        return count[None]

    def of_codes(self, codes: Block, coding: Coding) -> Block:  # noqa: ARG002
        """Reduce codes (time, band, y, x) to (1, y, x)."""
        return self(codes)

    def bands_out(self, bands: tuple[str, ...]) -> tuple[str, ...]:  # noqa: ARG002
        """Return ``("count",)``."""
        return ("count",)

    def dtype_out(self, dtype: np.dtype[Any]) -> np.dtype[Any]:  # noqa: ARG002
        """Return uint16."""
        return np.dtype(np.uint16)


def _clear(layers: Block) -> NDArray[np.bool_]:
    """Return where all bands (band, y, x) of a date have data."""
    if layers.dtype.kind == "u":
        return np.asarray(np.minimum.reduce(layers, axis=0) != 0)
    found = valid(layers[0])
    for layer in layers[1:]:
        found &= valid(layer)
    return found


@dataclass(frozen=True)
class Mean:
    """The mean of the clear observations, per band, added up in float64."""

    def __call__(self, block: Block) -> Block:
        """Reduce (time, band, y, x) to (band, y, x)."""
        total = np.zeros(block.shape[1:], dtype=np.float64)
        count = np.zeros(block.shape[1:], dtype=np.intp)
        for values in block:  # date by date: no float64 copy of the block
            has_data = valid(values)
            np.add(total, values, out=total, where=has_data)
            count += has_data
        return settle(total / np.maximum(count, 1), count, block.dtype)

    def of_codes(self, codes: Block, coding: Coding) -> Block:
        """Reduce codes (time, band, y, x) to values (band, y, x)."""
        if coding.dtype != "float32":  # lean values are cut off at 1, each for itself
            return self(coding.decode(codes))
        count = np.zeros(codes.shape[1:], dtype=np.uint32)
        for date in codes:
            count += date != 0
        total = codes.sum(axis=0, dtype=np.float64)
        for band, (bias, divisor) in enumerate(zip(coding.biases, coding.divisors, strict=True)):
            total[band] = (total[band] - bias * count[band].astype(np.float64)) / divisor
        return settle(total / np.maximum(count, 1), count, np.dtype(np.float32))

    def bands_out(self, bands: tuple[str, ...]) -> tuple[str, ...]:
        """Return the bands themselves."""
        return bands

    def dtype_out(self, dtype: np.dtype[Any]) -> np.dtype[Any]:
        """Return the dtype itself."""
        return dtype
