"""From ground and sky to the digital numbers of a granule, with the truth beside them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from scipy.ndimage import binary_erosion, binary_opening

from ..sentinel2 import BANDS, QUANTIFICATION, SCL_CLASSES
from .frames import (
    MAIN_CRS,
    Tile,
    block_mean,
    border,
    centres,
    make_tiles,
    middle,
    nearest,
)
from .landscape import make_ground
from .noise import generator
from .passes import Granule, Pass
from .skies import Overhead, make_sky
from .spectra import INDEX, REFLECTANCE, WATER
from .sun import grid_azimuth

NOISE = 3.0
"""Standard deviation of the sensor's noise in digital numbers."""


@dataclass(frozen=True, eq=False)
class Rendered:
    """One granule in memory.

    Attributes
    ----------
    pixels : dict of str to array of shape (y, x)
        Digital numbers of each band on its native lattice: uint16, ``scl`` uint8.
    truth : dict of str to array of shape (y, x), bool
        ``cloud``, ``cirrus``, ``shadow`` and ``nodata`` on the 10 m lattice.
    """

    pixels: dict[str, NDArray[np.uint16] | NDArray[np.uint8]]
    truth: dict[str, NDArray[np.bool_]]


@lru_cache(maxsize=24)
def clear_raster(
    seed: int, size: int, landscape: str, flight: Pass, bands: tuple[str, ...]
) -> NDArray[np.float32]:
    """Return the clear-sky reflectance ``(band, y, x)`` of the whole ground raster of a pass's place."""
    day = float(flight.start.timetuple().tm_yday)
    azimuth, elevation = flight.sun()
    azimuth = grid_azimuth(azimuth, MAIN_CRS, *border(flight.place))
    return make_ground(seed, size, landscape, flight.place).reflectance(day, azimuth, elevation, bands)


def clear_at(
    seed: int, size: int, landscape: str, flight: Pass, bands: tuple[str, ...], geobox: GeoBox
) -> NDArray[np.float32]:
    """Return the clear-sky reflectance of a pass at the pixel centres of a grid, NaN outside."""
    raster = clear_raster(seed, size, landscape, flight, bands)
    index, inside = nearest(geobox, make_ground(seed, size, landscape, flight.place).box)
    values = raster.reshape(len(bands), -1)[:, index]
    return values if inside.all() else np.where(inside, values, np.float32(np.nan))


def render(
    granule: Granule,
    seed: int,
    size: int,
    bands: tuple[str, ...],
    scl_faults: bool,
    landscape: str = "fields",
) -> Rendered:
    """Return digital numbers and truth of one granule.

    Parameters
    ----------
    granule : Granule
        Which one.
    seed, size : int
        The world.
    bands : tuple of str
        Common names of the bands to make, ``scl`` included.
    scl_faults : bool
        Give the scene classification its usual faults.
    landscape : str
        One of ``LANDSCAPES``.
    """
    tile = make_tiles(size, granule.flight.place)[granule.tile]
    box = tile.geobox()
    colours = tuple(b for b in REFLECTANCE if b in bands or b in ("blue", "red", "nir"))
    clear = clear_at(seed, size, landscape, granule.flight, colours, box)
    over = make_sky(seed, size, granule.flight).over(box)
    seen = over.seen_through(clear, [REFLECTANCE.index(b) for b in colours]) + granule.bias
    invalid = _missing(granule, tile, bands)
    pixels: dict[str, NDArray[np.uint16] | NDArray[np.uint8]] = {}
    for band, layer in zip(colours, seen, strict=True):
        if band in bands:
            pixels[band] = _numbers(granule, tile, seed, band, layer, invalid[band])
    nodata = np.any([_stretch(mask, size) for mask in invalid.values()], axis=0)
    cloud, shadow = over.cloud > 0, over.shadow > 0
    truth = {"cloud": cloud, "cirrus": over.cirrus > 0, "shadow": shadow & ~cloud, "nodata": nodata}
    if "scl" in bands:
        some = dict(zip(colours, clear, strict=True))
        ground = make_ground(seed, size, landscape, granule.flight.place)
        cover = ground.cover().ravel()[nearest(box, ground.box)[0]]
        scl = _classify(some, cover, over, truth)
        pixels["scl"] = _spoil(scl, some, over, truth) if scl_faults else scl
    return Rendered(pixels, truth)


def _missing(granule: Granule, tile: Tile, bands: tuple[str, ...]) -> dict[str, NDArray[np.bool_]]:
    """Return where each band has no data: its detector ends up to three pixels before the edge."""
    x0, y0 = middle(granule.flight.place)
    masks = {}
    for band in bands:
        box = tile.geobox(BANDS[band].resolution)
        east, north = centres(box)
        mask = np.zeros(box.shape, bool)
        for a, b, c in granule.planes(tile.size * 5.0):
            lag = 10 * generator(0, "edge", granule.flight.date, band).integers(0, 4)
            mask |= a * (east - x0) + b * (north - y0) < c + lag
        masks[band] = mask
    return masks


def _stretch(mask: NDArray[np.bool_], size: int) -> NDArray[np.bool_]:
    """Return a mask on the 10 m lattice."""
    times = size // mask.shape[0]
    return mask.repeat(times, axis=0).repeat(times, axis=1)


def _numbers(
    granule: Granule,
    tile: Tile,
    seed: int,
    band: str,
    layer: NDArray[np.float32],
    missing: NDArray[np.bool_],
) -> NDArray[np.uint16]:
    """Reflectance to digital numbers of the band's lattice. Twins of a pass share their noise."""
    native = block_mean(layer, round(BANDS[band].resolution / 10))
    rng = generator(seed, "noise", granule.flight.date, tile.name, band)
    noise = NOISE * rng.standard_normal(native.shape, dtype=np.float32)
    numbers = np.rint(native * QUANTIFICATION + noise) + granule.carried
    return np.where(missing, 0, np.clip(numbers, 1, 65_535)).astype(np.uint16)


def _any20(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return where any of the four 10 m pixels of a 20 m pixel is set."""
    rows, columns = mask.shape
    return np.asarray(mask.reshape(rows // 2, 2, columns // 2, 2).any(axis=(1, 3)))


def _classify(
    clear: dict[str, NDArray[np.float32]],
    cover: NDArray[np.int64],
    over: Overhead,
    truth: dict[str, NDArray[np.bool_]],
) -> NDArray[np.uint8]:
    """Return the scene classification as it ought to be, at 20 m."""
    codes = SCL_CLASSES
    red, nir = block_mean(clear["red"], 2), block_mean(clear["nir"], 2)
    green = (nir - red) / (nir + red) > 0.36
    wet = block_mean(np.isin(cover, WATER).astype(np.float32), 2) > 0.5
    white = block_mean((cover == INDEX["snow"]).astype(np.float32), 2) > 0.5
    scl = np.where(wet, codes["water"], np.where(green, codes["vegetation"], codes["bare"]))
    scl = np.where(white, codes["snow"], scl)
    scl = np.where(_any20(truth["shadow"]), codes["shadow"], scl)
    scl = np.where(_any20(truth["cirrus"]), codes["cirrus"], scl)
    thick = block_mean(over.cloud, 2) > 0.6
    cloud = np.where(thick, codes["cloud_high"], codes["cloud_medium"])
    scl = np.where(_any20(truth["cloud"]), cloud, scl)
    return np.where(_any20(truth["nodata"]), codes["no_data"], scl).astype(np.uint8)


def _spoil(
    scl: NDArray[np.uint8],
    clear: dict[str, NDArray[np.float32]],
    over: Overhead,
    truth: dict[str, NDArray[np.bool_]],
) -> NDArray[np.uint8]:
    """Return it with the faults of the real one (Baetens et al. 2019, doi 10.3390/rs11040433)."""
    codes = SCL_CLASSES
    red, nir = block_mean(clear["red"], 2), block_mean(clear["nir"], 2)
    ground = np.where((nir - red) / (nir + red) > 0.36, codes["vegetation"], codes["bare"])
    shadow = _any20(truth["shadow"])
    narrow = shadow & ~binary_opening(shadow, np.ones((5, 5)))
    faulty = np.where(narrow & (scl == codes["shadow"]), ground, scl)
    faint = block_mean(over.cirrus, 2) < 0.07
    faulty = np.where(faint & (scl == codes["cirrus"]), ground, faulty)
    cloud = _any20(truth["cloud"])
    inner = binary_erosion(cloud, border_value=1)
    core = binary_erosion(inner, border_value=1)
    faulty = np.where(cloud & ~core, codes["unclassified"], faulty)
    faulty = np.where(cloud & ~inner, ground, faulty)
    blue = block_mean(clear["blue"], 2)
    bright = np.where(blue > 0.27, codes["cloud_high"], codes["cloud_medium"])
    plain = np.isin(faulty, (codes["vegetation"], codes["bare"]))
    faulty = np.where((blue > 0.185) & plain, bright, faulty)
    return np.where(scl == codes["no_data"], scl, faulty).astype(np.uint8)
