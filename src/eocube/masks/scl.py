"""The scene classification of Sen2Cor as a mask."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import MaskError, did_you_mean
from ..pixels import Pixels
from ..sentinel2 import SCL_CLASSES, SCL_DEFAULT, SCL_SNOW, SCL_STRICT
from .algebra import Mask, plain
from .rays import dilated, eroded

PRESETS = {"default": SCL_DEFAULT, "strict": SCL_STRICT, "snow": SCL_SNOW}
"""Names that stand for several classes."""


CLEANUPS = {"odc": (40.0, 100.0)}
"""Radii of opening and dilation, metres. odc-stats, plugin gm-s2: ("opening", 2), ("dilation", 5) on pixels
of 20 m."""

NDSI = 0.4
"""Least (green - swir16) / (green + swir16) of snow; clouds of water stay below (Dozier 1989,
doi 10.1016/0034-4257(89)90101-6; Hall et al. 1995, doi 10.1016/0034-4257(95)00137-P)."""

BRIGHT = 0.11
"""Least B8 of snow; water has a high NDSI, too, and is darker (Hall et al. 1995)."""

_NOT_SEEN = np.ones(256, dtype=bool)
_NOT_SEEN[2 : len(SCL_CLASSES)] = False  # no data, saturated, and codes that do not exist


@dataclass(frozen=True, init=False, repr=False)
class SCLMask(Mask):
    """Throw away classes of the scene classification (SCL, 20 m).

    Parameters
    ----------
    *classes : str or int
        Class names (``"cloud_high"``, ``"cirrus"``, ``"shadow"`` ...), codes 0-11, or a preset:
        ``"default"`` (no data, saturated, shadow, medium and high cloud, cirrus), ``"strict"``
        (also dark and unclassified), ``"snow"`` (default and snow). None given: the default.
    cleanup : (float, float) or "odc", optional
        Radii in metres of an opening, which removes specks, and of a dilation after it. ``"odc"``:
        (40, 100), 2 and 5 pixels of 20 m, as odc-stats does before its geomedian. What is not seen at all
        (no data, saturated) is thrown away as it is, neither removed nor grown.
    snow : {"trust", "check"}
        ``check``: where SCL says snow and the pixel cannot be snow, it is a cloud, and thrown away. Snow has
        an NDSI (green and swir16) of 0.4 or more and B8 of 0.11 or more; clouds of water, and bright ground,
        have not. Clouds of ice may.

    Attributes
    ----------
    classes : frozenset of int
        Codes that are thrown away. Unknown codes in a file (above 11) always are.

    Raises
    ------
    MaskError
        If a class, a radius or a word is not known.

    Notes
    -----
    Known faults of SCL (Baetens et al. 2019, doi 10.3390/rs11040433): bright roofs and sand taken
    for cloud, cloud rims for unclassified or bare, snow against cloud, narrow shadows missed.

    Examples
    --------
    >>> SCLMask()
    SCLMask()
    >>> SCLMask("cloud_high", "cirrus", "shadow")
    SCLMask('shadow', 'cloud_high', 'cirrus')
    >>> SCLMask("strict", cleanup=(40, 100)).reach
    180.0
    """

    classes: frozenset[int]
    cleanup: tuple[float, float] | None = None
    snow: Literal["trust", "check"] = "trust"
    bands: tuple[str, ...] = ("scl",)
    resolution: float | None = 20.0

    def __init__(
        self,
        *classes: str | int,
        cleanup: tuple[float, float] | Literal["odc"] | None = None,
        snow: Literal["trust", "check"] = "trust",
    ) -> None:
        codes: set[int] = set()
        for wanted in classes or ("default",):
            codes |= _codes(wanted)
        if snow not in ("trust", "check"):
            raise MaskError(f"snow={snow!r} is not known. Choose of: 'trust', 'check'.")
        checks = snow == "check" and SCL_CLASSES["snow"] not in codes
        object.__setattr__(self, "classes", frozenset(codes))
        object.__setattr__(self, "cleanup", _radii(cleanup))
        object.__setattr__(self, "snow", snow)
        object.__setattr__(self, "bands", ("scl", "green", "nir", "swir16") if checks else ("scl",))
        object.__setattr__(self, "resolution", 20.0)

    @property
    def reach(self) -> float:  # type: ignore[override]
        """Metres: an opening looks its radius around twice."""
        return 0.0 if self.cleanup is None else 2 * self.cleanup[0] + self.cleanup[1]

    def __call__(self, px: Pixels) -> NDArray[np.bool_]:
        """Return bool (y, x), True where the class is thrown away."""
        scl = px["scl"]
        table = np.ones(256, dtype=bool)
        table[: len(SCL_CLASSES)] = [code in self.classes for code in SCL_CLASSES.values()]
        found = table[scl]
        if "swir16" in self.bands:
            found |= (scl == SCL_CLASSES["snow"]) & ~_may_be_snow(px)
        if self.cleanup is not None:
            opening, dilation = (radius / px.resolution for radius in self.cleanup)
            unseen = _NOT_SEEN[scl]
            cloud = found & ~unseen
            cloud = dilated(eroded(cloud, opening, ~unseen), opening)
            found = (found & unseen) | (dilated(cloud, dilation) & ~unseen)
        return np.asarray(found)

    def __repr__(self) -> str:
        said = [repr(name) for name, code in SCL_CLASSES.items() if code in self.classes]
        for name, codes in PRESETS.items():
            if codes == self.classes:
                said = [] if name == "default" else [repr(name)]
        if self.cleanup is not None:
            said.append(f"cleanup=({plain(self.cleanup[0])}, {plain(self.cleanup[1])})")
        if self.snow != "trust":
            said.append(f"snow={self.snow!r}")
        return f"SCLMask({', '.join(said)})"


def _may_be_snow(px: Pixels) -> NDArray[np.bool_]:
    """Return where the bands allow snow; where they have no data nothing can be said."""
    green, swir, nir = px["green"], px["swir16"], px["nir"]
    unknown = np.isnan(green) | np.isnan(swir) | np.isnan(nir)
    return np.asarray(unknown | ((green - swir >= NDSI * (green + swir)) & (nir >= BRIGHT)))


def _radii(cleanup: object) -> tuple[float, float] | None:
    if isinstance(cleanup, str) and cleanup in CLEANUPS:
        return CLEANUPS[cleanup]
    if cleanup is None:
        return None
    try:
        opening, dilation = (float(radius) for radius in cleanup)  # type: ignore[attr-defined]
    except (TypeError, ValueError):
        opening = math.nan
    if not (math.isfinite(opening) and math.isfinite(dilation) and min(opening, dilation) >= 0):
        raise MaskError(
            f"cleanup={cleanup!r} is not two radii: give metres of opening and dilation, (40, 100) for "
            "instance, or 'odc'."
        )
    return opening, dilation


def _codes(wanted: str | int) -> frozenset[int]:
    if isinstance(wanted, str) and wanted in PRESETS:
        return PRESETS[wanted]
    if isinstance(wanted, str) and wanted in SCL_CLASSES:
        return frozenset({SCL_CLASSES[wanted]})
    if isinstance(wanted, int) and not isinstance(wanted, bool) and wanted in SCL_CLASSES.values():
        return frozenset({wanted})
    known = [*PRESETS, *SCL_CLASSES]
    raise MaskError(
        f"SCL has no class {wanted!r}.{did_you_mean(str(wanted), known)} Known: {', '.join(known)}, "
        "or codes 0-11."
    )
