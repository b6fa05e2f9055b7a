"""The scene classification of Sen2Cor as a mask."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import MaskError, did_you_mean
from ..pixels import Pixels
from ..sentinel2 import SCL_CLASSES, SCL_DEFAULT, SCL_SNOW, SCL_STRICT
from .algebra import Mask

PRESETS = {"default": SCL_DEFAULT, "strict": SCL_STRICT, "snow": SCL_SNOW}
"""Names that stand for several classes."""


@dataclass(frozen=True, init=False, repr=False)
class SCLMask(Mask):
    """Throw away classes of the scene classification (SCL, 20 m).

    Parameters
    ----------
    *classes : str or int
        Class names (``"cloud_high"``, ``"cirrus"``, ``"shadow"`` ...), codes 0-11, or a preset:
        ``"default"`` (no data, saturated, shadow, medium and high cloud, cirrus), ``"strict"``
        (also dark and unclassified), ``"snow"`` (default and snow). None given: the default.

    Attributes
    ----------
    classes : frozenset of int
        Codes that are thrown away. Unknown codes in a file (above 11) always are.

    Raises
    ------
    MaskError
        If a class is not known.

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
    """

    classes: frozenset[int]
    bands: tuple[str, ...] = ("scl",)
    resolution: float | None = 20.0

    def __init__(self, *classes: str | int) -> None:
        codes: set[int] = set()
        for wanted in classes or ("default",):
            codes |= _codes(wanted)
        object.__setattr__(self, "classes", frozenset(codes))
        object.__setattr__(self, "bands", ("scl",))
        object.__setattr__(self, "resolution", 20.0)

    def __call__(self, px: Pixels) -> NDArray[np.bool_]:
        """Return bool (y, x), True where the class is thrown away."""
        table = np.ones(256, dtype=bool)
        table[: len(SCL_CLASSES)] = [code in self.classes for code in SCL_CLASSES.values()]
        return np.asarray(table[px["scl"]])

    def __repr__(self) -> str:
        for name, codes in PRESETS.items():
            if codes == self.classes:
                return "SCLMask()" if name == "default" else f"SCLMask({name!r})"
        return f"SCLMask({', '.join(repr(n) for n, c in SCL_CLASSES.items() if c in self.classes)})"


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
