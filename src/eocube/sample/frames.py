"""The two tiles of a place, the ground raster under both, and how any grid finds its place on it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from pyproj import Transformer
from shapely.geometry import Polygon

from ..tiles import tile_at

MAIN_CRS = "EPSG:32633"
"""The UTM zone in which the landscape is made."""

BORDER = (12.0, 47.08)
"""Longitude and latitude where the two tiles meet: on the border of the UTM zones 32 and 33."""

MOST_PLACES = 20
"""How many rows of 100 km there are below the first in which both tiles lie in one column each."""

STEP = 10.0
"""Pixel of the ground raster in metres."""


@dataclass(frozen=True)
class Tile:
    """One small tile: the name of a real one, and a lattice that nests in the real one's.

    Attributes
    ----------
    name : str
        MGRS name, ``"33TTN"``.
    epsg : int
        Its UTM zone.
    left, top : float
        Upper left corner in metres, multiples of 60.
    size : int
        Pixels of 10 m along each side.
    """

    name: str
    epsg: int
    left: float
    top: float
    size: int

    def geobox(self, resolution: float = 10.0) -> GeoBox:
        """Return the tile's lattice at 10, 20 or 60 m."""
        pixels = round(self.size * 10 / resolution)
        transform = Affine(resolution, 0, self.left, 0, -resolution, self.top)
        return GeoBox((pixels, pixels), transform, f"EPSG:{self.epsg}")

    def outline(self) -> Polygon:
        """Return the tile's square in the main zone's metres."""
        side = self.size * 10
        xs = np.array([self.left, self.left + side, self.left + side, self.left])
        ys = np.array([self.top, self.top, self.top - side, self.top - side])
        return Polygon(np.column_stack(to_main(f"EPSG:{self.epsg}", xs, ys)))


@lru_cache(maxsize=32)
def _transformer(source: str, target: str) -> Transformer:
    return Transformer.from_crs(source, target, always_xy=True)


def to_main(
    crs: str, x: NDArray[np.float64], y: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the main zone's eastings and northings of points in any CRS."""
    if crs == MAIN_CRS:
        return x, y
    east, north = _transformer(crs, MAIN_CRS).transform(x, y)
    return np.asarray(east), np.asarray(north)


def border(place: int) -> tuple[float, float]:
    """Return longitude and latitude where a place's two tiles meet.

    Place 0 is ``BORDER``; each of the others is 0.9 degrees, one row of MGRS squares, further south.
    """
    return BORDER[0], BORDER[1] - 0.9 * place


def middle(place: int) -> tuple[float, float]:
    """Return the same in the main zone's metres."""
    east, north = _transformer("EPSG:4326", MAIN_CRS).transform(*border(place))
    return float(east), float(north)


@lru_cache(maxsize=64)
def make_tiles(size: int, place: int = 0) -> tuple[Tile, Tile]:
    """Return a place's main tile (zone 33) and its western neighbour (zone 32).

    The two share about a third of their ground, on both sides of the border of the zones.
    """
    tiles = []
    # The middle of each tile lies a third of a side away from the border, so that the two centres
    # are two thirds apart and a third of the ground is common.
    for epsg, sideways in ((32633, 1 / 3), (32632, -1 / 3)):
        x, y = _transformer("EPSG:4326", f"EPSG:{epsg}").transform(*border(place))
        centre = x + sideways * size * 10
        name = tile_at(*_transformer(f"EPSG:{epsg}", "EPSG:4326").transform(centre, y))
        left = round((centre - size * 5) / 60) * 60.0
        tiles.append(Tile(name, epsg, left, round((y + size * 5) / 60) * 60.0, size))
    return tiles[0], tiles[1]


def ground_box(tiles: tuple[Tile, Tile], margin: float = 120.0, step: float = STEP) -> GeoBox:
    """Return a raster of the main zone that holds both tiles and a margin around them.

    It is aligned with the main tile, so that there each pixel is one pixel of the ground.
    """
    bounds = np.array([tile.outline().bounds for tile in tiles])
    left, bottom = bounds[:, :2].min(axis=0) - margin
    right, top = bounds[:, 2:].max(axis=0) + margin
    main = tiles[0]
    left = main.left - np.ceil((main.left - left) / 60) * 60
    top = main.top + np.ceil((top - main.top) / 60) * 60
    shape = (int(np.ceil((top - bottom) / step)), int(np.ceil((right - left) / step)))
    return GeoBox(shape, Affine(step, 0, float(left), 0, -step, float(top)), MAIN_CRS)


@lru_cache(maxsize=32)
def centres(geobox: GeoBox) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the main zone's eastings and northings of all pixel centres of any grid.

    The arrays are shared between calls: do not write into them.
    """
    rows, columns = geobox.shape
    column, row = np.meshgrid(np.arange(columns) + 0.5, np.arange(rows) + 0.5)
    affine = geobox.affine
    x = affine.a * column + affine.b * row + affine.c
    y = affine.d * column + affine.e * row + affine.f
    return to_main(str(geobox.crs), x, y)


@lru_cache(maxsize=32)
def nearest(geobox: GeoBox, ground: GeoBox) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the flat index of each pixel's ground pixel, and whether it has one."""
    east, north = centres(geobox)
    affine = ground.affine
    # A thousandth of a pixel settles the ties of grids whose centres fall on the ground's edges.
    column = np.floor((east - affine.c) / affine.a + 1e-3).astype(np.int64)
    row = np.floor((north - affine.f) / affine.e + 1e-3).astype(np.int64)
    rows, columns = ground.shape
    inside = (row >= 0) & (row < rows) & (column >= 0) & (column < columns)
    index = np.where(inside, row * columns + column, 0)
    return index, inside


def finer(geobox: GeoBox) -> tuple[GeoBox, int]:
    """Return a grid of about 10 m pixels that subdivides this one, and by how many times."""
    metres = abs(geobox.affine.a) * (111_320.0 if geobox.crs and geobox.crs.geographic else 1.0)
    times = max(1, round(metres / STEP))
    if times == 1:
        return geobox, 1
    rows, columns = geobox.shape
    a = geobox.affine
    affine = Affine(a.a / times, a.b / times, a.c, a.d / times, a.e / times, a.f)
    return GeoBox((rows * times, columns * times), affine, geobox.crs), times


def block_mean(array: NDArray[np.float32], times: int) -> NDArray[np.float32]:
    """Return the means of ``times`` x ``times`` pixels over the last two axes."""
    if times == 1:
        return array
    *front, rows, columns = array.shape
    blocks = array.reshape(*front, rows // times, times, columns // times, times)
    mean: NDArray[np.float32] = blocks.mean(axis=(-3, -1), dtype=np.float32)
    return mean
