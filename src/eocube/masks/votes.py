"""Masks that vote."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np

from ..errors import MaskError
from ..pixels import Pixels
from .algebra import Bools, Joined, Mask, apply, as_mask


@dataclass(frozen=True)
class Vote(Joined):
    """Thrown away by at least so many of the parts, made by :func:`vote`."""

    at_least: int = 2

    def __call__(self, px: Pixels) -> Bools:
        """Return bool (y, x)."""
        votes = np.zeros(px.shape, dtype=np.uint16)
        for part in self.parts:
            votes += apply(part, px)
        return np.asarray(votes >= self.at_least)

    def __repr__(self) -> str:
        return f"vote({', '.join(map(repr, self.parts))}, at_least={self.at_least})"


def vote(*masks: Any, at_least: int = 2) -> Mask:
    """Join masks by vote: throw away what at least so many of them throw away.

    Parameters
    ----------
    *masks : mask
        The same mask given twice has two votes.
    at_least : int
        From 1, which is ``a | b | c``, to the number of masks, which is ``a & b & c``.

    Returns
    -------
    Mask
        Its needs are those of all: every band, the farthest reach, the finest resolution.

    Raises
    ------
    MaskError
        If one is not a mask, or there are not so many.

    Examples
    --------
    >>> import eocube
    >>> @eocube.mask(bands=["blue"])
    ... def too_bright(px):
    ...     return px["blue"] > 0.4
    >>> vote(eocube.SCLMask(), too_bright, eocube.SCLMask("strict"), at_least=2)
    vote(SCLMask(), too_bright, SCLMask('strict'), at_least=2)
    """
    parts = tuple(as_mask(found) for found in masks)
    whole = isinstance(at_least, Integral) and not isinstance(at_least, bool)
    if not whole or not 1 <= at_least <= len(parts):
        raise MaskError(
            f"vote(at_least={at_least!r}) of {len(parts)} masks: give a whole number from 1 to the number "
            "of masks."
        )
    return Vote(parts, int(at_least))
