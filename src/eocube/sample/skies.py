"""The sky of one pass: cumulus, thin cirrus, and the shadows that the sun casts of the cumulus."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from scipy.ndimage import map_coordinates

from .frames import MAIN_CRS, border, centres, ground_box, make_tiles
from .noise import fractal, generator, smoothstep
from .passes import Pass
from .sun import grid_azimuth

_STEP = 20.0
_MARGIN = 2400.0
_FAINT = 0.03

# In the order of spectra.REFLECTANCE: how bright cloud and cirrus are, what is left in a shadow.
# fmt: off
_CLOUD = np.array([.97, .98, 1, 1, 1, 1, 1, .99, .98, .80, .64, .50], np.float32)
_CIRRUS = np.array([.60, .57, .53, .50, .49, .48, .47, .46, .45, .25, .27, .20], np.float32)
_SHADE = np.array([.55, .52, .48, .45, .42, .40, .38, .37, .36, .36, .38, .40], np.float32)
# fmt: on


@dataclass(frozen=True, eq=False)
class Sky:
    """Clouds over the world at one moment, seen from straight above.

    Attributes
    ----------
    box : odc.geo.geobox.GeoBox
        Raster of the fields: 20 m, wider than the world by the longest shadow.
    opacity, brightness, cirrus : array of shape (y, x), float32
        Opacity and reflectance of the cumulus, opacity of the cirrus.
    height : float
        Of the cumulus, metres above ground.
    toward_sun : (float, float)
        Metres east and north (of the main zone's grid) from a shadow to its cloud.
    """

    box: GeoBox
    opacity: NDArray[np.float32]
    brightness: NDArray[np.float32]
    cirrus: NDArray[np.float32]
    height: float
    toward_sun: tuple[float, float]

    def over(self, geobox: GeoBox) -> Overhead:
        """Return what hangs over, and what is cast on, each pixel of any grid."""
        east, north = centres(geobox)
        here = self._positions(east, north)
        sunward = self._positions(east + self.toward_sun[0], north + self.toward_sun[1])
        cloud = _sample(self.opacity, here)
        cirrus = _sample(self.cirrus, here)
        shadow = _sample(self.opacity, sunward)
        return Overhead(cloud, cirrus, shadow, _sample(self.brightness, here, faint=0))

    def _positions(self, east: NDArray[np.float64], north: NDArray[np.float64]) -> NDArray[np.float64]:
        affine = self.box.affine
        return np.array([(north - affine.f) / affine.e - 0.5, (east - affine.c) / affine.a - 0.5])


@dataclass(frozen=True, eq=False)
class Overhead:
    """The sky on one grid: opacities of cloud, cirrus and shadow, and the cloud's brightness.

    Where an opacity is 0 it is so exactly: the ground there is seen, and lit, as on a clear day.
    """

    cloud: NDArray[np.float32]
    cirrus: NDArray[np.float32]
    shadow: NDArray[np.float32]
    brightness: NDArray[np.float32]

    def seen_through(self, clear: NDArray[np.float32], places: list[int]) -> NDArray[np.float32]:
        """Return what the sensor sees of a clear-sky ``(band, y, x)``.

        ``places`` are the indices of its bands in ``spectra.REFLECTANCE``.
        """

        def band(weights: NDArray[np.float32]) -> NDArray[np.float32]:
            chosen: NDArray[np.float32] = weights[places][:, None, None]
            return chosen

        lit = clear * (1 - self.shadow * (1 - band(_SHADE)))
        veiled = lit + self.cirrus * (band(_CIRRUS) - lit)
        seen: NDArray[np.float32] = veiled + self.cloud * (self.brightness * band(_CLOUD) - veiled)
        return seen


def _sample(
    field: NDArray[np.float32], positions: NDArray[np.float64], faint: float = _FAINT
) -> NDArray[np.float32]:
    """Bilinear, with nothing where it is too faint to see; so rims do not fade for ever."""
    values = map_coordinates(field, positions, np.float32, order=1, mode="nearest")
    return np.where(values < faint, np.float32(0), values)


@lru_cache(maxsize=64)
def make_sky(seed: int, size: int, flight: Pass) -> Sky:
    """Return the sky of a pass over its place, in the world of a seed and size."""
    box = ground_box(make_tiles(size, flight.place), margin=_MARGIN, step=_STEP)
    rng = generator(seed, "sky", flight.date)
    azimuth, elevation = flight.sun()
    tangent = math.tan(math.radians(elevation))
    # The shadow falls 600 to 1700 m away, by clouds as high as the season allows.
    height = float(np.clip(rng.uniform(600, 1700) * tangent, 600, 2500))
    bearing = math.radians(grid_azimuth(azimuth, MAIN_CRS, *border(flight.place)))
    reach = height / tangent
    toward = (reach * math.sin(bearing), reach * math.cos(bearing))
    shape = (box.shape[0], box.shape[1])
    puffs = fractal(shape, rng, longest=rng.uniform(32, 60), shortest=3, slope=1.7)
    core = int(_MARGIN / _STEP)
    threshold = float(np.quantile(puffs[core:-core, core:-core], 1 - min(flight.cloud, 0.97)))
    opacity = smoothstep(threshold, threshold + 0.45, puffs)
    relief = np.gradient(puffs)
    lit = relief[1] * math.sin(bearing) - relief[0] * math.cos(bearing)
    brightness = 0.46 + 0.40 * smoothstep(threshold, threshold + 2.2, puffs) - 0.22 * lit
    if flight.cloud >= 1:
        opacity = np.ones(shape, np.float32)
        brightness = 0.62 + 0.06 * puffs
    cirrus = np.zeros(shape, np.float32)
    if flight.cirrus:
        streaks = fractal(shape, rng, longest=160, shortest=6, slope=1.9)
        cirrus = 0.30 * smoothstep(0.1, 2.4, streaks)
    bright = np.clip(brightness, 0.30, 1.0).astype(np.float32)
    return Sky(box, opacity, bright, cirrus, height, toward)
