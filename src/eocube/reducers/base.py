"""The seam: what a reducer is."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ..codes import Coding
from ..errors import InputError

Block = NDArray[Any]


@runtime_checkable
class Reducer(Protocol):
    """Reduces a block over time.

    No data is NaN in a floating block and 0 in an integer one, in the input and in the result.
    The result may depend neither on the order of the dates nor on how the block is cut in space.
    """

    def __call__(self, block: Block) -> Block:
        """Reduce (time, band, y, x) to (band out, y, x)."""
        ...  # pragma: no cover

    def bands_out(self, bands: tuple[str, ...]) -> tuple[str, ...]:
        """Return the names of the bands of the result."""
        ...  # pragma: no cover

    def dtype_out(self, dtype: np.dtype[Any]) -> np.dtype[Any]:
        """Return the dtype of the result for a block of this dtype."""
        ...  # pragma: no cover


@runtime_checkable
class OfCodes(Protocol):
    """A reducer that can work on codes, without the values having been made of them all."""

    def of_codes(self, codes: Block, coding: Coding) -> Block:
        """Reduce codes (time, band, y, x) to what ``__call__`` makes of their values."""
        ...  # pragma: no cover


def reduce_codes(how: Reducer, codes: Block, coding: Coding) -> Block:
    """Reduce codes, through their values if the reducer knows only those."""
    return how.of_codes(codes, coding) if isinstance(how, OfCodes) else how(coding.decode(codes))


def as_reducer(found: Any) -> Reducer:
    """Return the reducer, or say why it is none."""
    if isinstance(found, type):
        raise InputError(f"{found.__name__} is a class: write {found.__name__}() with its brackets.")
    if not isinstance(found, Reducer):
        raise InputError(f"{found!r} is not a reducer: take eocube.Median() or the like.")
    return found


def valid(block: Block) -> NDArray[np.bool_]:
    """Return where a block has data."""
    return ~np.isnan(block) if block.dtype.kind == "f" else block != 0


def settle(values: NDArray[Any], count: NDArray[Any], dtype: np.dtype[Any]) -> Block:
    """Return reduced values in the block's dtype, no data where nothing was counted."""
    if dtype.kind == "f":
        return np.where(count, values, dtype.type(np.nan)).astype(dtype, copy=False)
    # A valid value may not become 0, which means no data.
    whole = np.clip(np.floor(values + 0.5), 1, np.iinfo(dtype).max)
    return np.where(count > 0, whole, 0).astype(dtype)
