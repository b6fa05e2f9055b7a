"""Heights: how high the clouds of a place are, told by where their shadows are darkest.

For each distance at which a shadow may lie, the clouds' outlines are moved there. Where they fit, the
ground under them is darker than the ground around. This is judged on blocks of about 100 m, over some
kilometres, in whole numbers: the result does not depend on where a raster is cut.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .rays import Bools, Offset, Places, Sight, moved

BLOCK = 100.0
"""Metres: about the side of a block."""

AROUND = 1600.0
"""Metres around a place over which clouds are taken to be of one height, or few."""

LEAST = 0.10
"""The least contrast, 1 - darkness under the outlines / brightness around, that counts as a shadow."""

SHARE = 0.6
"""Heights whose contrast is at least this share of the best one count, too: clouds have a depth."""

_HEIGHTS = 30
"""Heights that are tried at most."""

_FEW = 2
"""Blocks: fewer under the outlines, or around them, tell nothing."""

Ints = NDArray[np.int64]


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

    @property
    def _sized(self) -> tuple[tuple[int, int], tuple[int, int]]:
        return (self.shape[0], self.top), (self.shape[1], self.left)


def block_side(pixel: float) -> int:
    """Return the side of a block in pixels."""
    return max(1, round(BLOCK / pixel))


def _half(pixel: float) -> int:
    """Return over how many blocks on each side a place is judged: within ``AROUND`` whatever the pixel."""
    return max(0, math.floor(AROUND / (block_side(pixel) * pixel) + 1e-9) - 1)


class Surroundings:
    """How bright the ground of a window is, block by block, and where clouds hide it.

    Parameters
    ----------
    nir : float32 array (y, x)
        Reflectance.
    ground : bool array (y, x)
        What is seen of the ground: no clouds, no water, no holes.
    casters : bool array (y, x)
        The clouds.
    blocks : Blocks
    pixel : float
        Metres.
    """

    def __init__(
        self, nir: NDArray[np.float32], ground: Bools, casters: Bools, blocks: Blocks, pixel: float
    ) -> None:
        bright = np.where(ground, np.nan_to_num(nir), 0) * np.float32(10_000)
        self.bright = np.clip(np.rint(bright), 0, 32_767).astype(np.int32)
        self.sight = Sight.of(casters)
        self.ground, self.blocks, self.half = ground, blocks, _half(pixel)
        self.seen, self.light, self.cover = map(blocks.sums, (ground, self.bright, casters))

    def fitting(
        self, rows: slice, columns: slice, line: list[Offset], contrast: float
    ) -> tuple[Places, Places]:
        """Return which ground of a part of the window is in the shadow of clouds whose outlines fit there.

        Parameters
        ----------
        rows, columns : slice
        line : list of (int, int)
            Where the cloud of a shadow may lie, as rows and columns from the shadow.
        contrast : float
            A pixel is in shadow where it is darker than this share of the ground around.

        Returns
        -------
        rows, columns : int arrays (pixel,)
        """
        side, (top, left) = self.blocks.side, (self.blocks.top, self.blocks.left)
        length = max(side, math.ceil(len(line) / _HEIGHTS))
        parts = [line[first : first + length] for first in range(0, len(line), length)]
        first: Offset = (rows.start + top) // side, (columns.start + left) // side
        last: Offset = (rows.stop - 1 + top) // side + 1, (columns.stop - 1 + left) // side + 1
        judged = self._judged(parts, first, last)
        best = np.maximum.reduce([score for score, _ in judged])
        lit = np.zeros(best.shape, dtype=np.float32)
        for score, around in judged:
            np.copyto(lit, around, where=score == best)
        row = (np.arange(rows.start, rows.stop) + top) // side - first[0]
        column = (np.arange(columns.start, columns.stop) + left) // side - first[1]
        limit = (np.float32(contrast) * lit).take(column, axis=1).take(row, axis=0)
        dark = self.ground[rows, columns] & (self.bright[rows, columns] < limit)
        y, x = np.nonzero(dark)
        block, y, x = row[y] * best.shape[1] + column[x], y + rows.start, x + columns.start
        fits, found = np.maximum(LEAST, SHARE * best), np.zeros(len(y), dtype=bool)
        unmet = np.arange(len(y))
        for part, (score, _) in zip(parts, judged, strict=True):
            unmet = unmet[~found[unmet]]
            ask = unmet[(score >= fits).ravel().take(block[unmet])]
            # An outline is no better known than to a pixel.
            found[ask] = self.sight.meets(y[ask], x[ask], part, near=1)
        return y[found], x[found]

    def _judged(
        self, parts: list[list[Offset]], first: Offset, last: Offset
    ) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
        """Return contrast and brightness around, of each part of the line, for some of the blocks."""
        side, half = self.blocks.side, self.half
        middles = (part[len(part) // 2] for part in parts)
        offsets = [(_rounded(row, side), _rounded(column, side)) for row, column in middles]
        lows = [max(0, first[a] - half + min(0, *(offset[a] for offset in offsets))) for a in (0, 1)]
        highs = [last[a] + half + max(0, *(offset[a] for offset in offsets)) for a in (0, 1)]
        own = slice(lows[0], highs[0]), slice(lows[1], highs[1])
        inner = tuple(slice(first[a] - lows[a], last[a] - lows[a]) for a in (0, 1))
        found = _judged(self.seen[own], self.light[own], self.cover[own], offsets, side, half)
        return [(score[inner], around[inner]) for score, around in found]


def _judged(
    seen: Ints, light: Ints, cover: Ints, offsets: list[Offset], side: int, half: int
) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Return for each way from the shadow to the clouds, in blocks, the contrast and what is around."""
    whole = side * side
    all_seen, all_light = whole * _box(seen, half), whole * _box(light, half)
    few = _FEW * whole * whole
    found = []
    for offset in offsets:
        clouds = moved(cover, offset)
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
