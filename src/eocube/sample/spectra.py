"""What the ground is made of, how bright that is in each band, and how it changes with the season.

Reflectances are round numbers typical of Sentinel-2 L2A over central Europe, in the manner of the
spectra in USGS Spectral Library Version 7 (Kokaly et al. 2017, doi 10.3133/ds1035).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

REFLECTANCE = (
    "coastal", "blue", "green", "red", "rededge1", "rededge2", "rededge3",
    "nir", "nir08", "nir09", "swir16", "swir22",
)  # fmt: skip
"""The bands that a spectrum has, in its order."""

SPECTRA: dict[str, tuple[float, ...]] = {
    "crop": (.022, .028, .068, .033, .098, .330, .430, .460, .475, .475, .190, .085),
    "grass": (.026, .034, .074, .046, .108, .270, .335, .360, .375, .380, .215, .105),
    "broadleaf": (.016, .020, .046, .024, .076, .270, .350, .375, .390, .395, .165, .072),
    "conifer": (.013, .016, .031, .020, .047, .140, .178, .195, .205, .210, .092, .043),
    "bloom": (.035, .045, .165, .165, .215, .380, .440, .470, .480, .480, .200, .090),
    "straw": (.075, .095, .145, .190, .230, .270, .300, .330, .345, .350, .380, .270),
    "litter": (.040, .048, .070, .090, .115, .150, .175, .195, .210, .215, .220, .150),
    "soil": (.070, .082, .112, .148, .172, .192, .208, .222, .235, .240, .310, .260),
    "dark_soil": (.040, .048, .066, .088, .104, .118, .130, .140, .150, .155, .210, .180),
    "lake": (.034, .040, .042, .020, .016, .010, .008, .006, .005, .004, .001, .0005),
    "river": (.045, .056, .078, .052, .038, .024, .020, .017, .014, .012, .006, .004),
    "gravel": (.200, .235, .285, .315, .332, .342, .350, .358, .365, .368, .395, .365),
    "asphalt": (.072, .082, .092, .102, .110, .118, .124, .130, .135, .138, .150, .138),
    "tiles": (.056, .066, .092, .165, .192, .212, .226, .240, .250, .255, .285, .250),
    "slate": (.090, .100, .112, .122, .130, .138, .144, .150, .155, .158, .170, .160),
    "sand": (.110, .135, .205, .300, .330, .345, .355, .370, .380, .385, .460, .430),
    "rock": (.060, .075, .098, .128, .145, .155, .162, .170, .176, .180, .205, .190),
    "snow": (.880, .900, .900, .880, .870, .860, .850, .820, .800, .750, .100, .080),
    "silt": (.070, .090, .130, .150, .130, .062, .056, .050, .030, .020, .005, .003),
    "bright": (.400, .440, .470, .490, .500, .505, .510, .512, .512, .500, .440, .395),
}  # fmt: skip
"""Reflectance of the pure materials, in the order of ``REFLECTANCE``."""


@dataclass(frozen=True)
class Cover:
    """One kind of ground and its year.

    Attributes
    ----------
    name : str
        What it is.
    ground : str
        The material underneath (a key of ``SPECTRA``).
    living, dead : str
        The materials that cover it while green and while dry.
    year : tuple of (day of year, green share, dry share)
        Corners of the seasonal curve, linear in between, the year closed to a ring.
    bloom : tuple of float
        First and last day of year on which ``"bloom"`` takes the place of ``living``.
    contrast : float
        How strongly brightness varies from place to place inside it.
    """

    name: str
    ground: str
    living: str = "crop"
    dead: str = "straw"
    year: tuple[tuple[float, float, float], ...] = ((0, 0.0, 0.0),)
    bloom: tuple[float, float] = (0.0, 0.0)
    contrast: float = 0.06


COVERS: tuple[Cover, ...] = (
    Cover("wheat", "soil", "crop", "straw",
          ((0, .30, 0), (75, .35, 0), (115, .88, 0), (155, .92, 0), (180, .35, .60),
           (196, .05, .92),
           (206, .02, .55), (232, .04, .30), (262, .02, .02), (300, .12, 0), (330, .28, 0))),
    Cover("maize", "dark_soil", "crop", "straw",
          ((0, 0, .08), (90, 0, .05), (135, .03, 0), (165, .30, 0), (195, .92, 0), (240, .90, 0),
           (268, .35, .55), (283, .05, .65), (295, 0, .15))),
    Cover("rape", "soil", "crop", "straw",
          ((0, .50, 0), (60, .55, 0), (95, .90, 0), (150, .85, .10), (185, .20, .75),
           (200, .02, .50),
           (230, .05, .05), (250, .30, 0), (290, .65, 0)), bloom=(108.0, 138.0)),
    Cover("beet", "dark_soil", "crop", "straw",
          ((0, 0, .05), (105, .02, 0), (150, .35, 0), (180, .95, 0), (285, .88, 0),
           (305, .05, .10))),
    Cover("barley", "soil", "crop", "straw",
          ((0, .05, 0), (85, .05, 0), (120, .55, 0), (150, .90, 0), (178, .15, .78), (190, .0, .90),
           (205, .05, .45), (240, .35, .05), (285, .45, 0), (320, .05, .02))),
    Cover("meadow", "soil", "grass", "litter",
          ((0, .55, .30), (70, .60, .28), (110, .92, .02), (150, .95, 0), (158, .62, .20),
           (185, .92, 0), (200, .65, .20), (235, .90, .02), (290, .82, .08), (335, .62, .25)),
          contrast=.05),
    Cover("fallow", "soil", "grass", "straw",
          ((0, .10, .20), (100, .30, .10), (150, .50, .20), (220, .25, .50), (300, .20, .30))),
    Cover("conifers", "litter", "conifer", "litter", ((0, .93, .05), (180, .97, .0)), contrast=.16),
    Cover("broadleaves", "litter", "broadleaf", "litter",
          ((0, .08, .40), (98, .12, .38), (125, .90, 0), (160, .97, 0), (255, .90, .05),
           (290, .45, .40), (318, .08, .50)), contrast=.13),
    Cover("lake", "lake", contrast=.04),
    Cover("river", "river", contrast=.05),
    Cover("gravel", "gravel", contrast=.07),
    Cover("street", "asphalt", contrast=.05),
    Cover("track", "soil", "grass", "litter", ((0, .35, .1), (150, .45, .1)), contrast=.04),
    Cover("tiled roof", "tiles", contrast=.12),
    Cover("dark roof", "slate", contrast=.10),
    Cover("bright roof", "bright", contrast=.05),
    Cover("garden", "soil", "grass", "litter",
          ((0, .50, .20), (110, .75, .05), (200, .80, .05), (300, .65, .15)), contrast=.14),
    Cover("sand", "sand", contrast=.08),
    Cover("rock", "rock", contrast=.14),
    Cover("steppe", "soil", "grass", "straw",
          ((0, .38, .30), (110, .55, .20), (200, .30, .50), (300, .40, .35)), contrast=.10),
    Cover("snow", "snow", contrast=.05),
    Cover("silt", "silt", contrast=.10),
)  # fmt: skip
"""Every kind of ground of the made-up landscape; maps of ground hold an index into it."""

INDEX: dict[str, int] = {cover.name: number for number, cover in enumerate(COVERS)}
"""Index of each cover by name."""

WATER: tuple[int, ...] = (INDEX["lake"], INDEX["river"], INDEX["silt"])
"""The covers that are water."""

_FARMED = ("wheat", "maize", "rape", "beet", "barley", "meadow", "fallow", "track", "garden")
_OPEN = (*_FARMED, "gravel", "street", "tiled roof", "dark roof", "bright roof")

LANDSCAPES: dict[str, dict[str, str]] = {
    "fields": {},
    "forest": dict.fromkeys(_FARMED, "conifers") | dict.fromkeys(("meadow", "maize"), "broadleaves"),
    "desert": dict.fromkeys(_OPEN, "sand")
    | dict.fromkeys(("conifers", "broadleaves", "lake", "river", "fallow"), "rock"),
    "steppe": dict.fromkeys((*_OPEN, "conifers", "broadleaves"), "steppe")
    | dict.fromkeys(("lake", "river", "fallow"), "sand"),
    "snow": dict.fromkeys((*_OPEN, "lake"), "snow"),
    "water": dict.fromkeys(_OPEN, "lake"),
    "silt": dict.fromkeys((*_OPEN, "lake", "river"), "silt"),
}
"""What becomes of the covers of the ordinary landscape, ``"fields"``, in others."""


def spectrum(cover: int, day: float, shift: float = 0.0, vigour: float = 1.0) -> NDArray[np.float32]:
    """Return the reflectance of a cover on a day of the year.

    Parameters
    ----------
    cover : int
        Index into ``COVERS``.
    day : float
        Day of the year, 1 to 366.
    shift : float
        Days by which this field is later than the others.
    vigour : float
        Factor on the green share, 1 for an average field.

    Returns
    -------
    array of shape (12,), float32
        Reflectance in the order of ``REFLECTANCE``.

    Examples
    --------
    >>> july, january = (spectrum(INDEX["maize"], day) for day in (200, 20))
    >>> bool(july[7] > 2 * january[7])
    True
    """
    kind = COVERS[cover]
    corners = np.array(kind.year)
    today = day - shift
    green = np.interp(today, corners[:, 0], corners[:, 1], period=366) * vigour
    dry = np.interp(today, corners[:, 0], corners[:, 2], period=366)
    green = float(np.clip(green, 0, 1))
    dry = float(np.clip(dry, 0, 1 - green))
    living = "bloom" if kind.bloom[0] < today < kind.bloom[1] else kind.living
    mixed = (
        green * np.array(SPECTRA[living])
        + dry * np.array(SPECTRA[kind.dead])
        + (1 - green - dry) * np.array(SPECTRA[kind.ground])
    )
    return mixed.astype(np.float32)
