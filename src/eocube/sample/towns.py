"""The town: a grid of streets, roofs of tile and slate, gardens, and bright halls at its edge."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .noise import fractal, generator, lottery
from .spectra import INDEX

_STREET = 11.0
_BLOCK = (96.0, 72.0)
_LOT = 24.0
_HALL = (150.0, 110.0)


def paint_town(
    kinds: NDArray[np.int64],
    tone: NDArray[np.float32],
    seed: int,
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    half: float,
) -> None:
    """Paint the town into a map of covers and a map of brightness, both in place.

    Parameters
    ----------
    kinds : array of shape (y, x), int64
        Index into ``COVERS``, changed where there is town.
    tone : array of shape (y, x), float32
        Factor on brightness, changed from roof to roof.
    seed : int
        The world's seed.
    x, y : array of shape (y, x)
        Metres east and north of the middle of the world.
    half : float
        Half the side of a tile in metres, to which the town is scaled.
    """
    rng = generator(seed, "town")
    cx, cy = half * rng.uniform(0.62, 0.78), half * rng.uniform(-0.5, -0.38)
    angle = rng.uniform(0.2, 0.6)
    u = (x - cx) * np.cos(angle) + (y - cy) * np.sin(angle)
    v = -(x - cx) * np.sin(angle) + (y - cy) * np.cos(angle)
    edge = fractal(x.shape, generator(seed, "town edge"), longest=35, slope=2.0)
    distance = np.hypot(u / 1.25, v) / (0.40 * half) + 0.10 * edge
    halls = (u > 0.22 * half) & (v < 0.05 * half) & (distance < 1.25)
    houses = (distance < 1.0) & ~halls
    _paint_houses(kinds, tone, seed, houses, (u, v), distance)
    _paint_halls(kinds, tone, seed, halls, (u, v))


def _paint_houses(
    kinds: NDArray[np.int64],
    tone: NDArray[np.float32],
    seed: int,
    where: NDArray[np.bool_],
    uv: tuple[NDArray[np.float64], NDArray[np.float64]],
    distance: NDArray[np.float64],
) -> None:
    """Blocks between streets; the closer to the middle, the denser the roofs."""
    u, v = uv
    street = (u % _BLOCK[0] < _STREET) | (v % _BLOCK[1] < _STREET)
    street |= (np.abs(u) < 11) | (np.abs(v) < 11)
    column = np.floor(u / _LOT).astype(np.int64)
    row = np.floor(v / _LOT).astype(np.int64)
    luck = lottery(seed, row, column, 2)
    built = luck < 0.86 - 0.5 * np.clip(distance, 0, 1)
    park = lottery(seed, np.floor(v / _BLOCK[1]).astype(np.int64),
                   np.floor(u / _BLOCK[0]).astype(np.int64), 3) > 0.93  # fmt: skip
    roof = np.select(
        [luck % 0.1 < 0.060, luck % 0.1 < 0.094],
        [INDEX["tiled roof"], INDEX["dark roof"]],
        INDEX["bright roof"],
    )
    kind = np.where(built & ~park, roof, INDEX["garden"])
    kind = np.where(park & (luck < 0.5), INDEX["broadleaves"], kind)
    kind = np.where(street, INDEX["street"], kind)
    kinds[where] = kind[where]
    tone[where] *= (0.78 + 0.4 * lottery(seed, row, column, 4))[where]


def _paint_halls(
    kinds: NDArray[np.int64],
    tone: NDArray[np.float32],
    seed: int,
    where: NDArray[np.bool_],
    uv: tuple[NDArray[np.float64], NDArray[np.float64]],
) -> None:
    """Works and stores: large roofs, most of them bright, on asphalt and grass."""
    u, v = uv
    column = np.floor(u / _HALL[0]).astype(np.int64)
    row = np.floor(v / _HALL[1]).astype(np.int64)
    luck = lottery(seed, row, column, 5)
    inner = (np.abs(u % _HALL[0] - _HALL[0] / 2) < 28 + 36 * luck) & (
        np.abs(v % _HALL[1] - _HALL[1] / 2) < 38
    )
    yard = np.where(lottery(seed, row, column, 6) < 0.6, INDEX["street"], INDEX["garden"])
    roof = np.where(luck < 0.68, INDEX["bright roof"], INDEX["dark roof"])
    road = (u % _HALL[0] < 12) | (v % _HALL[1] < 12)
    kind = np.where(inner, roof, np.where(road, INDEX["street"], yard))
    kinds[where] = kind[where]
    tone[where] *= (0.80 + 0.35 * lottery(seed, row, column, 7))[where]
