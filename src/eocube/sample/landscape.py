"""The ground: fields, woods, a river, a lake and a town, as one raster of the main UTM zone.

Other landscapes have the same shapes, of other things.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree

from .frames import centres, ground_box, make_tiles, middle
from .noise import fractal, generator, lottery, smoothstep
from .spectra import COVERS, INDEX, LANDSCAPES, REFLECTANCE, WATER, spectrum
from .towns import paint_town

CROPS = ("wheat", "maize", "rape", "beet", "barley", "meadow", "fallow")
SHARES = (0.24, 0.22, 0.09, 0.10, 0.11, 0.20, 0.04)


@dataclass(frozen=True, eq=False)
class Ground:
    """The landscape without weather.

    Attributes
    ----------
    box : odc.geo.geobox.GeoBox
        Its raster, 10 m in the main zone.
    unit : array of shape (y, x), int32
        Which field, wood, water ... each pixel belongs to.
    covers, shifts, vigours : array of shape (unit,)
        What each unit is made of (index into ``COVERS``), by how many days it is late, how green.
    tone : array of shape (y, x), float32
        Factor on the brightness of each pixel.
    slope_east, slope_north : array of shape (y, x), float32
        Rise of the terrain per metre.
    """

    box: GeoBox
    unit: NDArray[np.int32]
    covers: NDArray[np.int64]
    shifts: NDArray[np.float64]
    vigours: NDArray[np.float64]
    tone: NDArray[np.float32]
    slope_east: NDArray[np.float32]
    slope_north: NDArray[np.float32]

    def cover(self) -> NDArray[np.int64]:
        """Return the index into ``COVERS`` of each pixel."""
        covers: NDArray[np.int64] = self.covers[self.unit]
        return covers

    def reflectance(
        self, day: float, azimuth: float, elevation: float, bands: tuple[str, ...]
    ) -> NDArray[np.float32]:
        """Return what a perfect sensor sees under a clear sky.

        Parameters
        ----------
        day : float
            Day of the year.
        azimuth, elevation : float
            The sun in degrees, azimuth clockwise from GRID north.
        bands : tuple of str
            Names out of ``REFLECTANCE``.

        Returns
        -------
        array of shape (band, y, x), float32
        """
        rows = zip(self.covers, self.shifts, self.vigours, strict=True)
        table = np.array([spectrum(int(c), day, s, v) for c, s, v in rows])
        light = self.tone * self._illumination(azimuth, elevation)
        chosen = table[:, [REFLECTANCE.index(band) for band in bands]].T
        seen = [gaussian_filter(row[self.unit] * light, 0.5, truncate=2.0) for row in chosen]
        return np.array(seen, np.float32)

    def _illumination(self, azimuth: float, elevation: float) -> NDArray[np.float32]:
        """Cosine of the angle at which the sun falls on the slope, over that on the plain."""
        angle, zenith = np.radians(azimuth), np.radians(90 - elevation)
        toward = self.slope_east * np.sin(angle) + self.slope_north * np.cos(angle)
        # 0.6: the rest of the light is diffuse, or was removed by the terrain correction.
        lit = 1 - 0.6 * toward * min(np.tan(zenith), 2.5)
        light: NDArray[np.float32] = np.clip(lit, 0.45, 1.5).astype(np.float32)
        return light


@lru_cache(maxsize=4)
def make_ground(seed: int, size: int, landscape: str = "fields", place: int = 0) -> Ground:
    """Return the landscape of a seed for a place's tiles of ``size`` pixels; kinds are in ``LANDSCAPES``."""
    box = ground_box(make_tiles(size, place))
    east, north = centres(box)
    x0, y0 = middle(place)
    x, y = east - x0, north - y0
    half = size * 5.0
    relief = fractal(x.shape, generator(seed, "relief"), longest=size / 2, slope=2.2)
    unit, covers, shifts, vigours = _fields(seed, x, y, half)
    kinds = np.full(x.shape, -1, np.int64)
    tone = np.ones(x.shape, np.float32)
    woods = _paint_woods(kinds, seed, x / half, relief)
    paint_town(kinds, tone, seed, x, y, half)
    _paint_waters(kinds, seed, x, y, half, relief)
    special = kinds >= 0
    unit[special] = covers.size + kinds[special]
    number = len(COVERS)
    covers = np.concatenate([covers, np.arange(number)])
    for old, new in LANDSCAPES[landscape].items():
        covers = np.where(covers == INDEX[old], INDEX[new], covers)
    shifts = np.concatenate([shifts, np.zeros(number)])
    vigours = np.concatenate([vigours, np.ones(number)])
    tone *= _texture(seed, covers[unit])
    slopes = _slopes(relief, woods, np.isin(covers[unit], WATER))
    return Ground(box, unit, covers, shifts, vigours, tone, *slopes)


def _fields(
    seed: int, x: NDArray[np.float64], y: NDArray[np.float64], half: float
) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Return parcels: strips of brick-like fields, turned another way in each commune."""
    rng = generator(seed, "communes")
    spacing = max(380.0, half * 0.42)
    reach = half * 1.9
    lattice = np.arange(-reach, reach + spacing, spacing)
    seeds = np.stack(np.meshgrid(lattice, lattice), -1).reshape(-1, 2)
    seeds = seeds + rng.uniform(-0.42, 0.42, seeds.shape) * spacing
    bend = [12 * fractal(x.shape, generator(seed, "bend", k), longest=60, slope=3.0) for k in "xy"]
    points = np.stack([x + bend[0], y + bend[1]], -1)
    distance, commune = cKDTree(seeds).query(points, k=2, workers=-1)
    border = distance[..., 1] - distance[..., 0] < 13
    commune = commune[..., 0]
    angle = rng.normal(0.35, 0.5, len(seeds))[commune]
    across = rng.uniform(65, 135, len(seeds))[commune]
    along = rng.uniform(170, 400, len(seeds))[commune]
    u = points[..., 0] * np.cos(angle) + points[..., 1] * np.sin(angle)
    v = -points[..., 0] * np.sin(angle) + points[..., 1] * np.cos(angle)
    row = np.floor(v / across).astype(np.int64)
    column = np.floor(u / along + lottery(seed, row, commune, 1)).astype(np.int64)
    key = (commune * 2000 + row + 1000) * 2000 + column + 1000
    cells, unit = np.unique(key, return_inverse=True)
    parcels: NDArray[np.int32] = np.asarray(unit).reshape(x.shape).astype(np.int32)
    draw = generator(seed, "crops")
    covers = np.array([INDEX[name] for name in draw.choice(CROPS, cells.size, p=SHARES)])
    shifts, vigours = draw.normal(0, 7, cells.size), draw.normal(1, 0.09, cells.size)
    parcels[border] = cells.size
    covers = np.append(covers, INDEX["track"])
    return parcels, covers, np.append(shifts, 0.0), np.append(vigours, 1.0)


def _paint_woods(
    kinds: NDArray[np.int64], seed: int, u: NDArray[np.float64], relief: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Put woods on the heights, more of them in the west; return a smooth map of where."""
    edge = fractal(kinds.shape, generator(seed, "woods"), longest=40, slope=1.6)
    height = relief + 0.22 * edge - 0.35 * u.astype(np.float32)
    wooded = height > 0.75
    mixture = fractal(kinds.shape, generator(seed, "mixture"), longest=50, slope=1.8)
    kinds[wooded] = np.where(mixture[wooded] > 0.1, INDEX["conifers"], INDEX["broadleaves"])
    return smoothstep(-0.2, 1.6, height)


def _paint_waters(
    kinds: NDArray[np.int64],
    seed: int,
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    half: float,
    relief: NDArray[np.float32],
) -> None:
    """Put in the river with its gravel banks and alluvial wood, the lake, and the road across."""
    rng = generator(seed, "waters")
    phase = rng.uniform(0, 2 * np.pi, 4)
    t = y / half
    course = half * (0.16 * np.sin(2.6 * t + phase[0]) + 0.07 * np.sin(6.5 * t + phase[1]) - 0.05)
    bend = np.sin(6.5 * t + phase[1])
    rough = fractal(x.shape, generator(seed, "banks"), longest=30, slope=1.5)
    side = x - course
    width = 26 + 4 * rough
    bar = 45 * np.clip(bend * np.sign(side), 0, 1) + 6 * rough
    off = np.abs(side)
    kinds[(off < width + bar + 55 + 22 * rough)] = INDEX["broadleaves"]
    kinds[(off < width + bar) & (bar > 8)] = INDEX["gravel"]
    kinds[off < width] = INDEX["river"]
    cx, cy = half * rng.uniform(0.95, 1.15), half * rng.uniform(0.42, 0.58)
    shape = np.hypot((x - cx) / (0.42 * half), (y - cy) / (0.24 * half)) + 0.10 * relief
    reeds = shape + 0.03 * rough
    kinds[reeds < 1.10] = INDEX["meadow"]
    kinds[shape < 1.0] = INDEX["lake"]
    road = half * (-0.28 + 0.09 * np.sin(2.2 * x / half + phase[2]) + 0.04 * np.sin(5 * x / half))
    on_road = np.abs(y - road) < 8
    kinds[on_road & (kinds != INDEX["lake"])] = INDEX["street"]


def _texture(seed: int, cover: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return brightness inside the units: patches of soil and growth, crowns of trees."""
    fine = fractal(cover.shape, generator(seed, "fine"), longest=6, slope=0.8)
    broad = fractal(cover.shape, generator(seed, "broad"), longest=90, shortest=16, slope=2.0)
    contrast = np.array([kind.contrast for kind in COVERS], np.float32)[cover]
    woods = np.isin(cover, (INDEX["conifers"], INDEX["broadleaves"]))
    mix = np.where(woods, 0.5 * fine + 0.4 * broad, 0.03 * fine + broad)
    tone: NDArray[np.float32] = np.clip(1 + contrast * mix, 0.5, 1.6).astype(np.float32)
    return tone


def _slopes(
    relief: NDArray[np.float32], woods: NDArray[np.float32], water: NDArray[np.bool_]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the rise per metre to the east and north: steep in the woods, none on water."""
    smooth = gaussian_filter(relief, 2.5)
    north, east = np.gradient(smooth, 10.0)
    # Scaled so that the steepest twentieth of a wood's ground rises by 1 in 4.
    steep = np.quantile(np.hypot(north, east), 0.95)
    factor = np.where(water, 0, (0.04 + 0.21 * woods) / steep).astype(np.float32)
    # Rows run southward: northward rise is the negative of the gradient along rows.
    return (east * factor).astype(np.float32), (-north * factor).astype(np.float32)
