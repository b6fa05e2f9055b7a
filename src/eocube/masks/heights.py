"""Heights: how high the clouds of a place are, told by where their shadows are darkest.

For each distance at which a shadow may lie, the clouds' outlines are moved there. Where they fit, the
ground under them is darker than the ground around. This is judged on blocks of about 100 m, over some
kilometres, in whole numbers: the result does not depend on where a raster is cut.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from .rays import Bools, Offset, add_moved, moved, seen_along

BLOCK = 100.0
"""Metres: about the side of a block."""

AROUND = 1600.0
"""Metres around a place over which clouds are taken to be of one height, or few."""

LEAST = 0.10
"""The least contrast, 1 - darkness under the outlines / brightness around, that counts as a shadow."""

SHARE = 0.6
"""Heights whose contrast is at least this share of the best one count, too: clouds have a depth."""

_FEW = 2
"""Blocks: fewer under the outlines, or around them, tell nothing."""

Ints = NDArray[np.int64]
T = TypeVar("T", bound=np.generic)


@dataclass(frozen=True)
class Blocks:
    """Blocks of a raster, at whole multiples of their size from the origin of its CRS.

    Attributes
    ----------
    side : int
        Pixels.
    top, left : int
        Pixels of the first block that lie before the raster.
    shape : (int, int)
        Of the raster.
    """

    side: int
    top: int
    left: int
    shape: tuple[int, int]

    def sums(self, values: NDArray[np.generic]) -> Ints:
        """Return the sum over each block; pixels beyond the raster are 0."""
        rows, columns = (-(-(size + lead) // self.side) for size, lead in self._sized)
        full = np.zeros((rows * self.side, columns * self.side), dtype=np.int32)
        full[self.top : self.top + self.shape[0], self.left : self.left + self.shape[1]] = values
        across = full[:: self.side].copy()
        for place in range(1, self.side):
            across += full[place :: self.side]
        out = across[:, :: self.side].astype(np.int64)
        for place in range(1, self.side):
            out += across[:, place :: self.side]
        return out

    def spread(self, blocks: NDArray[T]) -> NDArray[T]:
        """Return each pixel's block's value."""
        rows = (np.arange(self.shape[0]) + self.top) // self.side
        columns = (np.arange(self.shape[1]) + self.left) // self.side
        return blocks.take(columns, axis=1).take(rows, axis=0)  # whole rows last: they are copied as they are

    @property
    def _sized(self) -> tuple[tuple[int, int], tuple[int, int]]:
        return (self.shape[0], self.top), (self.shape[1], self.left)


def block_side(pixel: float) -> int:
    """Return the side of a block in pixels."""
    return max(1, round(BLOCK / pixel))


def _half(pixel: float) -> int:
    """Return over how many blocks on each side a place is judged: within ``AROUND`` whatever the pixel."""
    return max(0, math.floor(AROUND / (block_side(pixel) * pixel) + 1e-9) - 1)


def fitting(
    nir: NDArray[np.float32], ground: Bools, casters: Bools, line: list[Offset], blocks: Blocks,
    *, pixel: float, contrast: float,
) -> Bools:  # fmt: skip
    """Return ground in the shadow of clouds at heights at which their outlines fit.

    Parameters
    ----------
    nir : float32 array (y, x)
        Reflectance.
    ground : bool array (y, x)
        What is seen of the ground: no clouds, no water, no holes.
    casters : bool array (y, x)
        The clouds.
    line : list of (int, int)
        Where the cloud of a shadow may lie, as rows and columns from the shadow.
    blocks : Blocks
    pixel : float
        Metres.
    contrast : float
        A pixel is in shadow where it is darker than this share of the ground around.
    """
    bright = np.where(ground, np.nan_to_num(nir), 0) * np.float32(10_000)
    bright = np.clip(np.rint(bright), 0, 32_767).astype(np.int32)
    parts = [line[first : first + blocks.side] for first in range(0, len(line), blocks.side)]
    seen, light, cover = blocks.sums(ground), blocks.sums(bright), blocks.sums(casters)
    judged = _judged(seen, light, cover, parts, blocks.side, _half(pixel))
    best = np.maximum.reduce([score for score, _ in judged])
    lit = np.zeros(best.shape, dtype=np.float32)
    for score, around in judged:
        np.copyto(lit, around, where=score == best)
    dark = ground & (bright < np.float32(contrast) * blocks.spread(lit))
    fits = np.maximum(LEAST, SHARE * best)
    out = np.zeros(ground.shape, dtype=bool)
    passing = seen_along(casters, [_less(offset, parts[0][0]) for offset in parts[0]])
    for part, (score, _) in zip(parts, judged, strict=True):
        here = score >= fits
        if here.any():
            clouds = passing if len(part) == blocks.side else casters
            out |= moved(clouds, part[0]) & blocks.spread(here)
    grown = out.copy()  # an outline is no better known than to a pixel
    for offset in ((-1, 0), (1, 0), (0, -1), (0, 1)):
        add_moved(grown, out, offset)
    return np.asarray(grown & dark)


def _judged(
    seen: Ints, light: Ints, cover: Ints, parts: list[list[Offset]], side: int, half: int
) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Return for each part of the line the contrast, and how bright the ground around is."""
    whole = side * side
    all_seen, all_light = whole * _box(seen, half), whole * _box(light, half)
    few = _FEW * whole * whole
    found = []
    for part in parts:
        row, column = part[len(part) // 2]
        clouds = moved(cover, (_rounded(row, side), _rounded(column, side)))
        under, shade = _box(clouds * seen, half), _box(clouds * light, half)
        beside, shine = all_seen - under, all_light - shade
        around = shine / np.maximum(beside, 1)
        score = 1 - (shade / np.maximum(under, 1)) / np.maximum(around, 1)
        score[(under < few) | (beside < few)] = -1
        found.append((score.astype(np.float32), around.astype(np.float32)))
    return found


def _rounded(pixels: int, side: int) -> int:
    return (2 * pixels + side) // (2 * side)


def _box(values: Ints, half: int) -> Ints:
    """Return sums over squares of 2 * half + 1 blocks, in whole numbers."""
    rows, columns = values.shape
    wide = 2 * half + 1
    down = np.zeros((rows + wide, columns), dtype=np.int64)
    np.cumsum(values, axis=0, out=down[half + 1 : half + 1 + rows])
    down[half + 1 + rows :] = down[half + rows]
    across = np.zeros((rows, columns + wide), dtype=np.int64)
    np.cumsum(down[wide:] - down[:rows], axis=1, out=across[:, half + 1 : half + 1 + columns])
    across[:, half + 1 + columns :] = across[:, half + columns, None]
    return across[:, wide:] - across[:, :columns]


def _less(offset: Offset, start: Offset) -> Offset:
    return offset[0] - start[0], offset[1] - start[1]
