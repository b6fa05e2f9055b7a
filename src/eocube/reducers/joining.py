"""Several reducers in one pass over a block."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..codes import Coding
from ..errors import InputError
from .base import Block, Reducer
from .observing import Observations, reduce_observations


@dataclass(frozen=True)
class Join:
    """Several reducers, their bands one after the other.

    Where two would give bands of one name, each name gets its reducer: ``red_median``, ``red_p25``.

    Parameters
    ----------
    parts : tuple of Reducer
    """

    parts: tuple[Reducer, ...]

    @property
    def picks(self) -> bool:
        """Whether any part says from which scene a pixel is."""
        return any(getattr(part, "picks", False) for part in self.parts)

    def __call__(self, block: Block) -> Block:
        """Reduce (time, band, y, x) to (all bands out, y, x)."""
        return self.of_observations(Observations(block))

    def of_codes(self, codes: Block, coding: Coding) -> Block:
        """Reduce codes (time, band, y, x) to values (all bands out, y, x)."""
        return self.of_observations(Observations(codes, coding))

    def of_observations(self, seen: Observations) -> Block:
        """Reduce observations to values (all bands out, y, x)."""
        dtype = self.dtype_out(seen.dtype)
        bands = seen.bands or tuple(map(str, range(seen.block.shape[1])))
        found = [_in(dtype, reduce_observations(part, seen), part.bands_out(bands)) for part in self.parts]
        return np.concatenate(found)

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


def _in(dtype: np.dtype[Any], found: Block, names: tuple[str, ...]) -> Block:
    """Return layers in another dtype: no data of integers becomes NaN; a count of 0 stays, and bits."""
    if dtype.kind != "f" or found.dtype.kind == "f":
        return found.astype(dtype, copy=False)
    out = found.astype(dtype)
    for layer, name in zip(out, names, strict=True):
        if name != "count" and not name.startswith("used"):
            layer[layer == 0] = np.nan
    return out


def _label(part: Reducer) -> str:
    label = getattr(part, "label", None)
    if label is not None:
        return str(label)
    q = getattr(part, "q", None)
    return type(part).__name__.lower() if q is None else f"p{q:g}"
