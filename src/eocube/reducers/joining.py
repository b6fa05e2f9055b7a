"""Several reducers in one pass over a block."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..codes import Coding
from ..errors import InputError
from .base import Block, Reducer, reduce_codes


@dataclass(frozen=True)
class Join:
    """Several reducers, their bands one after the other.

    Where two would give bands of one name, each name gets its reducer: ``red_median``, ``red_p25``.

    Parameters
    ----------
    parts : tuple of Reducer
    """

    parts: tuple[Reducer, ...]

    def __call__(self, block: Block) -> Block:
        """Reduce (time, band, y, x) to (all bands out, y, x)."""
        dtype = self.dtype_out(block.dtype)
        return np.concatenate([part(block).astype(dtype, copy=False) for part in self.parts])

    def of_codes(self, codes: Block, coding: Coding) -> Block:
        """Reduce codes (time, band, y, x) to values (all bands out, y, x)."""
        dtype = self.dtype_out(np.dtype(coding.dtype))
        return np.concatenate(
            [reduce_codes(part, codes, coding).astype(dtype, copy=False) for part in self.parts]
        )

    def bands_out(self, bands: tuple[str, ...]) -> tuple[str, ...]:
        """Return the bands of all parts."""
        names = [(name, part) for part in self.parts for name in part.bands_out(bands)]
        plain = [name for name, _ in names]
        found = tuple(f"{name}_{_label(part)}" if plain.count(name) > 1 else name for name, part in names)
        if len(set(found)) < len(found):
            raise InputError(f"A reducer is given twice: {', '.join(map(repr, self.parts))}.")
        return found

    def dtype_out(self, dtype: np.dtype[Any]) -> np.dtype[Any]:
        """Return the dtype that holds all parts, float32 for a float32 cube."""
        parts = [np.dtype(part.dtype_out(dtype)) for part in self.parts]
        floats = [part for part in parts if part.kind == "f"]
        return np.result_type(*(floats or parts))


def _label(part: Reducer) -> str:
    q = getattr(part, "q", None)
    return type(part).__name__.lower() if q is None else f"p{q:g}"
