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

    def __repr__(self) -> str:
        return f"[{', '.join(map(repr, self.parts))}]"

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
        bands = self.bands_out(_names(seen))
        out = np.empty((len(bands), *seen.shape), dtype=self.dtype_out(seen.dtype))
        self.fill(out, seen)
        return out

    def fill(self, out: Block, seen: Observations) -> None:
        """Reduce observations into ``out`` (all bands out, y, x): only one part is held beside it."""
        first = 0
        for part in self.parts:
            found = reduce_observations(part, seen)
            layers = out[first : first + len(found)]
            layers[...] = found
            if out.dtype.kind == "f" and found.dtype.kind != "f":
                _no_data(layers, part.bands_out(_names(seen)))
            first += len(found)

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


def _names(seen: Observations) -> tuple[str, ...]:
    return seen.bands or tuple(map(str, range(seen.block.shape[1])))


def _no_data(layers: Block, names: tuple[str, ...]) -> None:
    """Make no data of whole numbers NaN; but a count of 0 stays, and bits."""
    for layer, name in zip(layers, names, strict=True):
        if name != "count" and not name.startswith("used"):
            layer[layer == 0] = np.nan


def _label(part: Reducer) -> str:
    label = getattr(part, "label", None)
    if label is not None:
        return str(label)
    q = getattr(part, "q", None)
    return type(part).__name__.lower() if q is None else f"p{q:g}"
