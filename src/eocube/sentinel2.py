"""Sentinel-2 facts: bands, the scene classification, the radiometric offset.

Sources: ESA, *Sentinel-2 Products Specification Document* (S2-PDGS-TAS-DI-PSD, v15), and
*Sentinel-2 L2A Algorithm Theoretical Basis Document* for the scene classification (SCL).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from .errors import BandError, did_you_mean

Kind = Literal["reflectance", "class", "number"]

QUANTIFICATION = 10_000
"""Reflectance 1.0 in digital numbers (PSD: QUANTIFICATION_VALUE)."""

OFFSET_BASELINE = "04.00"
"""First processing baseline (2022-01-25) whose digital numbers carry the offset."""

BOA_ADD_OFFSET = -1000
"""What ESA adds to the digital numbers of baseline 04.00 and later to get reflectance * 10000."""


@dataclass(frozen=True)
class Band:
    """One band of Sentinel-2.

    Attributes
    ----------
    name : str
        The STAC common name, eocube's word for the band.
    esa : str
        ESA's name; empty for what eocube works out itself.
    resolution : float
        Native pixel in metres.
    wavelength : float
        Central wavelength in nm (0 for what is not a spectral band).
    kind : {"reflectance", "class", "number"}
        ``reflectance`` is harmonised and scaled; ``class`` (SCL) is never scaled and always
        sampled nearest; ``number`` (aerosol, water vapour, probabilities) is never scaled.
    nodata : int
        The digital number that means no data. 255 where 0 is a valid value.
    """

    name: str
    esa: str
    resolution: float
    wavelength: float = 0.0
    kind: Kind = "reflectance"
    nodata: int = 0


class _Bands(dict[str, Band]):
    """Bands by name; one with a prefix (``"l1c:blue"``: a mask's own, beside the cube's) is the same band."""

    def __missing__(self, name: str) -> Band:
        prefix, colon, common = name.partition(":")
        if not (prefix and colon and dict.__contains__(self, common)):
            raise KeyError(name)
        return self[common]


BANDS: dict[str, Band] = _Bands(
    (band.name, band)
    for band in (
        Band("coastal", "B01", 60, 443),
        Band("blue", "B02", 10, 490),
        Band("green", "B03", 10, 560),
        Band("red", "B04", 10, 665),
        Band("rededge1", "B05", 20, 704),
        Band("rededge2", "B06", 20, 740),
        Band("rededge3", "B07", 20, 783),
        Band("nir", "B08", 10, 842),
        Band("nir08", "B8A", 20, 865),
        Band("nir09", "B09", 60, 945),
        Band("cirrus", "B10", 60, 1375),
        Band("swir16", "B11", 20, 1610),
        Band("swir22", "B12", 20, 2190),
        Band("scl", "SCL", 20, kind="class"),
        Band("aot", "AOT", 20, kind="number"),
        Band("wvp", "WVP", 20, kind="number"),
        Band("cloud", "CLD", 20, kind="number", nodata=255),
        Band("snow", "SNW", 20, kind="number", nodata=255),
        Band("cloud_distance", "", 20, kind="number"),
    )
)
"""Every band eocube knows, by common name, in ESA's order."""

COMPUTED: frozenset[str] = frozenset({"cloud_distance"})
"""Bands that are in no file. ``cloud_distance``: metres to the nearest pixel that the mask threw away."""

CLOUD_REACH = 3000.0
"""Metres up to which ``cloud_distance`` is known (FORCE: DREQ, beyond which the sky is taken for clear)."""

_BY_ANY_NAME = {
    **{name: name for name in BANDS},
    **{band.esa.lower(): name for name, band in BANDS.items() if band.esa},
    **{band.esa.lower().replace("b0", "b"): name for name, band in BANDS.items() if band.esa},
    "rededge071": "rededge1",
    "rededge075": "rededge2",
    "rededge078": "rededge3",
}


def band_name(name: str) -> str:
    """Return the common name of a band given by its common or ESA's name.

    Parameters
    ----------
    name : str
        ``"red"``, ``"B04"``, ``"b4"``, ``"SCL"`` ...; case does not matter.

    Raises
    ------
    BandError
        If no band bears the name. The message lists the known ones.

    Examples
    --------
    >>> band_name("B04"), band_name("red"), band_name("SCL")
    ('red', 'red', 'scl')
    """
    if isinstance(name, str) and name.lower() in _BY_ANY_NAME:
        return _BY_ANY_NAME[name.lower()]
    raise BandError(
        f"There is no band {name!r}.{did_you_mean(name, _BY_ANY_NAME)} Known bands: "
        + ", ".join(f"{b.name} ({b.esa})" if b.esa else b.name for b in BANDS.values())
        + "."
    )


def band_names(names: str | Iterable[str]) -> tuple[str, ...]:
    """Return common names for one or several bands; refuses none at all and repeats."""
    asked = (names,) if isinstance(names, str) else tuple(names)
    if not asked:
        raise BandError("No band was asked for: name at least one, for instance bands=['red'].")
    found = tuple(band_name(name) for name in asked)
    twice = sorted({name for name in found if found.count(name) > 1})
    if twice:
        raise BandError(f"Bands asked for twice: {', '.join(twice)} (asked: {', '.join(asked)}).")
    return found


SCL_CLASSES: dict[str, int] = {
    "no_data": 0,
    "saturated": 1,
    "dark": 2,
    "shadow": 3,
    "vegetation": 4,
    "bare": 5,
    "water": 6,
    "unclassified": 7,
    "cloud_medium": 8,
    "cloud_high": 9,
    "cirrus": 10,
    "snow": 11,
}
"""Codes of Sen2Cor's scene classification. ``dark`` is "topographic cast shadow" since 04.00."""

SCL_COLOURS: tuple[str, ...] = (
    "#000000", "#ff0000", "#2f2f2f", "#643200", "#00a000", "#ffe65a",
    "#0000ff", "#808080", "#c0c0c0", "#ffffff", "#64c8ff", "#ff96ff",
)  # fmt: skip
"""ESA's colour of each SCL code."""

SCL_DEFAULT: frozenset[int] = frozenset({0, 1, 3, 8, 9, 10})
"""Thrown away by default: no data, saturated, shadow, medium and high cloud, cirrus."""

SCL_STRICT: frozenset[int] = SCL_DEFAULT | {2, 7}
"""Also dark pixels and the unclassified (low cloud probability)."""

SCL_SNOW: frozenset[int] = SCL_DEFAULT | {11}
"""Also snow and ice."""
