"""Evidence: what pixels say of the offset of baseline 04.00. Plain arrays, no files.

From baseline 04.00 on a digital number is reflectance * 10000 + 1000, unless an archive has taken
the 1000 off. What is dark (vegetation, clear water, shadow) then lies just above 1000, and hardly
anything below; without the offset it lies between 1 and about 500. Bright ground, snow and cloud
look alike in both cases and are no evidence.

The numbers below were chosen on made-up landscapes and real scenes, see docs/offsets.md; the
command ``python -m benchmarks.offsets`` measures how often they are wrong.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from .sentinel2 import SCL_CLASSES

State = Literal["in", "gone", "undecided"]

DARK = tuple(SCL_CLASSES[name] for name in ("dark", "shadow", "vegetation", "water"))
"""Classes that hold what is dark in red. Values far below 1000 in them mean that the offset is gone."""

KNOWN = SCL_CLASSES["vegetation"]
"""The class that is surely dark in red AND blue; muddy water and a shadow on sand are not."""

BELOW = 500
"""Numbers below it would be a reflectance under -0.05, if the offset were still in."""

FLOOR = (920, 1400, 1500)
"""While the offset is in, the darkest hundredth of vegetation lies between the first two
(reflectance -0.008 to 0.04), and the darkest tenth below the third (0.05)."""

PART = 0.03
"""Vegetation has to be at least this part of the valid pixels: what shows through the gaps
of a cloud is not clear."""

LEAST = 64
"""Pixels of a class that are needed."""

SHARE = 0.1
"""Of the dark pixels so many have to lie below ``BELOW``: a few may be faults of the correction."""

STRAY = 0.002, 700
"""Of vegetation at most such a share may lie below such a number while the offset is in."""

APART = -150, 300
"""Blue's floor less red's while the offset is in. Haze lifts blue more, sparse grass red."""


@dataclass(frozen=True)
class Finding:
    """What the pixels of one file say.

    Attributes
    ----------
    state : {"in", "gone", "undecided"}
        Whether 1000 is still in the digital numbers.
    why : str
        The figures behind it.
    floor : float
        The digital number at the darkest hundredth of vegetation, where that was looked at.
    """

    state: State
    why: str
    floor: float = float("nan")


def judge(numbers: NDArray[Any], classes: NDArray[Any] | None, band: str = "red") -> Finding:
    """Tell whether the digital numbers of one band still carry the offset.

    Parameters
    ----------
    numbers : array (y, x)
        Digital numbers of red or blue, 0 for no data; of an overview, averaged or not.
    classes : array (y, x), optional
        SCL on the same lattice. Its overview may hold averages of class codes: only pixels whose
        eight neighbours are of the same class are looked at. Without it only ``gone`` can be told.
    band : str
        For the words.

    Returns
    -------
    Finding
        One band alone is no proof of ``in``: see :func:`agree`.

    Examples
    --------
    >>> import numpy as np
    >>> forest = np.full((20, 20), 1250)
    >>> judge(forest, np.full((20, 20), 4)).state
    'in'
    >>> judge(forest - 1000, np.full((20, 20), 4)).state
    'gone'
    >>> judge(forest, np.full((20, 20), 5)).state
    'undecided'
    """
    inner = _inner(numbers > 0)
    if classes is None:
        dark, name = numbers[inner], "valid"
    else:
        inner &= _uniform(classes)
        dark, name = numbers[inner & np.isin(classes, DARK)], "dark"
    if dark.size < LEAST:
        return Finding("undecided", f"{dark.size} {name} px are too few")
    share = float((dark < BELOW).mean())
    if share >= SHARE:
        return Finding("gone", f"{band}: {share:.0%} of {dark.size} {name} px are below {BELOW}")
    if classes is None:
        return Finding("undecided", f"{band}: no SCL, and {share:.1%} of the px are below {BELOW}")
    return _floor(numbers[inner & (classes == KNOWN)], int((numbers > 0).sum()), band)


def _floor(known: NDArray[Any], valid: int, band: str) -> Finding:
    """Look whether the darkest vegetation lies just above 1000."""
    if known.size < max(LEAST, PART * valid):
        return Finding("undecided", f"{band}: {known.size} px of vegetation are too few")
    low, tenth = np.quantile(known, (0.01, 0.1))
    stray = float((known < STRAY[1]).mean())
    said = f"{band}: the darkest of {known.size} px of vegetation are at {low:.0f} to {tenth:.0f}"
    within = FLOOR[0] <= low <= FLOOR[1] and tenth <= FLOOR[2] and stray <= STRAY[0]
    return Finding("in" if within else "undecided", said, float(low))


def agree(red: Finding, blue: Finding) -> Finding:
    """Join what red and blue say where red says ``in``: both have to.

    Haze can lift one band to 1000; that it lifts both to the same number is not to be expected.
    """
    if red.state != "in":
        return red
    if blue.state == "in" and APART[0] <= blue.floor - red.floor <= APART[1]:
        return Finding("in", f"{red.why}; {blue.why}", red.floor)
    return Finding("undecided", f"{red.why}, but {blue.why}")


def _inner(valid: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return where all of 5 x 5 pixels are valid: averages at a swath's edge mix in no data."""
    return _all_around(_all_around(valid))


def _uniform(classes: NDArray[Any]) -> NDArray[np.bool_]:
    """Return where all of 3 x 3 pixels are of one class."""
    padded = np.pad(classes, 1, constant_values=255)
    return np.asarray(np.logical_and.reduce([part == classes for part in _shifts(padded)]))


def _all_around(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    padded = np.pad(mask, 1, constant_values=False)
    return np.asarray(np.logical_and.reduce(_shifts(padded)))


def _shifts(padded: NDArray[Any]) -> list[NDArray[Any]]:
    rows, columns = padded.shape[0] - 2, padded.shape[1] - 2
    return [padded[i : i + rows, j : j + columns] for i in range(3) for j in range(3)]
