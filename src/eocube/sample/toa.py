"""The same moment as Level-1C sees it: the ground and the sky of a granule at the top of the atmosphere.

A plain model of one layer: reflectance scattered by air and haze below the sensor, what is left of the
ground's and the clouds' after two ways through the air, and water vapour, which lies low. So band 9
shows the ground darkened and clouds less so, and band 10 (1375 nm) shows cirrus, hardly the cumulus, and
never the ground.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from .frames import make_tiles
from .passes import Granule
from .rendering import _missing, _numbers, clear_at
from .skies import _CIRRUS, _CLOUD, _SHADE, make_sky
from .spectra import REFLECTANCE

L1C_BANDS = (
    "coastal", "blue", "green", "red", "rededge1", "rededge2", "rededge3",
    "nir", "nir08", "nir09", "cirrus", "swir16", "swir22",
)  # fmt: skip
"""The bands of Level-1C, in ESA's order."""

_FROM = [*range(10), -1, 10, 11]
"""Place of each in ``spectra.REFLECTANCE``; there is no ground in band 10."""

# In the order of L1C_BANDS. Path: Rayleigh and a thin haze at a sun of 30 degrees from the zenith, in the
# manner of 6S (Vermote et al. 1997, doi 10.1109/36.581987). Ground: two ways through all of the air, gases
# included. Cloud and cirrus: two ways through what lies above 2 and above 10 km; of water vapour a third
# and nothing.
# fmt: off
_PATH = np.array([.093, .063, .036, .020, .016, .013, .011, .009, .008, .005, .0008, .002, .001], np.float32)
_GROUND = np.array([.77, .82, .86, .90, .91, .92, .94, .93, .96, .42, .0, .93, .91], np.float32)
_ABOVE_CLOUD = np.array([.88, .91, .92, .94, .95, .95, .96, .96, .98, .70, .012, .96, .95], np.float32)
_ABOVE_CIRRUS = np.array([.96, .97, .96, .97, .97, .98, .98, .98, .99, .95, .85, .98, .98], np.float32)
# fmt: on
_CLOUD_TOA = np.insert(_CLOUD, 10, 0.70) * _ABOVE_CLOUD
_CIRRUS_TOA = np.insert(_CIRRUS, 10, 0.42) * _ABOVE_CIRRUS
_SHADE_TOA = np.insert(_SHADE, 10, 1.0)


def render_toa(granule: Granule, seed: int, size: int, landscape: str) -> dict[str, NDArray[np.uint16]]:
    """Return the digital numbers of a granule at Level-1C.

    Parameters
    ----------
    granule : Granule
        Which one; its ``carried`` is what Level-1C carries.
    seed, size : int
        The world.
    landscape : str
        One of ``LANDSCAPES``.

    Returns
    -------
    dict of str to uint16 array (y, x)
        By common name, each on its native lattice; 0 for no data.
    """
    tile = make_tiles(size, granule.flight.place)[granule.tile]
    box = tile.geobox()
    ground = clear_at(seed, size, landscape, granule.flight, REFLECTANCE, box)
    ground = np.concatenate([ground, np.zeros_like(ground[:1])])[_FROM]
    over = make_sky(seed, size, granule.flight).over(box)
    elevation = granule.flight.sun()[1]
    # The lower the sun, the longer the first of the two ways: more light is scattered, and less is left of
    # that, too; less comes down to the ground.
    down, usual = 1 / math.sin(math.radians(elevation)), 1 / math.cos(math.radians(30))
    path = _PATH * (down / usual) ** 0.4
    through = _GROUND ** ((down + 1) / (usual + 1))

    def band(weights: NDArray[np.floating]) -> NDArray[np.float32]:
        return weights.astype(np.float32)[:, None, None]

    lit = ground * (1 - over.shadow * (1 - band(_SHADE_TOA)))
    clear = band(path) + band(through) * lit
    # Half of the air's light comes from below a cloud and is lost with the ground's.
    cloudy = band(path * 0.5) + band(_CLOUD_TOA) * over.brightness
    seen = clear + over.cloud * (cloudy - clear)
    veiled = seen + over.cirrus * (band(_CIRRUS_TOA) - seen)
    invalid = _missing(granule, tile, L1C_BANDS)
    return {
        name: _numbers(granule, tile, seed, name, layer, invalid[name])
        for name, layer in zip(L1C_BANDS, veiled, strict=True)
    }
