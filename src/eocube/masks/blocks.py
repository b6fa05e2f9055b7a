"""Blocks: a window seen on larger pixels, those of a lattice that no window decides over."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..pixels import Pixels


@dataclass(frozen=True, eq=False)
class Blocks:
    """Which pixels of a window make up a block.

    A block holds the pixels whose centres lie in the same square of a lattice of multiples of the
    resolution: every window of a mosaic sees the same blocks, but for those that it cuts.

    Attributes
    ----------
    rows, columns : int array
        Of each row and column of the window, the number of its block.
    """

    rows: NDArray[np.intp] = field(repr=False)
    columns: NDArray[np.intp] = field(repr=False)

    def mean(self, layer: NDArray[Any]) -> NDArray[np.float32]:
        """Return the mean of the pixels with data, float32; NaN for a block without any."""
        valid = ~np.isnan(layer)
        total, count = self._sum(np.where(valid, layer, 0)), self._sum(valid)
        with np.errstate(invalid="ignore"):
            return np.asarray(total / count, dtype=np.float32)

    def spread(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return for each pixel of the window the value of its block."""
        return np.asarray(values[np.ix_(self.rows, self.columns)])

    def _sum(self, layer: NDArray[Any]) -> NDArray[np.float64]:
        rows, columns = (np.flatnonzero(np.diff(own, prepend=-1)) for own in (self.rows, self.columns))
        down = np.add.reduceat(layer.astype(np.float64), rows, axis=0)
        return np.asarray(np.add.reduceat(down, columns, axis=1))


def blocks_of(px: Pixels, resolution: float) -> Blocks | None:
    """Return the blocks of a window, or None where its pixels are not smaller than the resolution."""
    if px.resolution > resolution * (1 - 1e-6):
        return None
    a = px.geobox.affine
    height, width = px.shape
    found = []
    for size, step, start in ((height, a.e, a.f), (width, a.a, a.c)):
        places = np.floor((start + (np.arange(size) + 0.5) * step) / resolution + 1e-9).astype(np.intp)
        found.append(np.abs(places - places[0]))
    return Blocks(*found)
