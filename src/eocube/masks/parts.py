"""Which of several masks throws a pixel away: flags, one bit each."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import MaskError
from ..pixels import Pixels
from .algebra import Bools, Both, Dilated, Either, Joined, apply, as_mask
from .votes import Vote

NO_DATA = "no_data"
"""Meaning of the first bit."""

_MOST = 31


@dataclass(frozen=True)
class Flags(Joined):
    """Several masks side by side, each with a bit; as a mask it is their union.

    Attributes
    ----------
    parts : tuple of mask
    names : tuple of str
        Of the parts.
    whole : mask or None
        If given, the bits of the parts are set only where this one throws away.
    """

    names: tuple[str, ...] = ()
    whole: Any = None

    @property
    def dtype(self) -> np.dtype[Any]:
        """The smallest unsigned integer that has a bit for each part and one for no data."""
        return np.dtype(np.uint8 if len(self.parts) < 8 else np.uint16 if len(self.parts) < 16 else np.uint32)

    @property
    def meanings(self) -> dict[str, int]:
        """Meaning of each bit: no data, then the parts in their order."""
        return {name: 1 << place for place, name in enumerate((NO_DATA, *self.names))}

    def __call__(self, px: Pixels) -> Bools:
        """Return bool (y, x): thrown away by any part."""
        return np.asarray(self.flags(px) > 1)

    def __repr__(self) -> str:
        return "(" + " | ".join(map(repr, self.parts)) + ")"

    def flags(self, px: Pixels) -> NDArray[Any]:
        """Return bits (y, x): 1 alone where a band has no data, else those of the parts that throw away."""
        found = np.zeros(px.shape, dtype=self.dtype)
        for place, part in enumerate(self.parts, 1):
            found[apply(part, px)] |= self.dtype.type(1 << place)
        if self.whole is not None:
            found[~apply(self.whole, px)] = 0
        found[~px.valid] = 1
        return found


def flags_of(masks: Any) -> Flags:
    """Return the flags of a mask's parts, or of masks with names.

    Parameters
    ----------
    masks : mask, or mapping of str to mask
        The parts of a mask are those of its unions, or of its intersection or vote; what is dilated
        as a union is dilated part by part, which comes to the same. Any other mask is one part.

    Raises
    ------
    MaskError
        If there is no mask, more than 31, or a name is no word of letters, digits, ``_ - . + @``.
    """
    if isinstance(masks, Mapping):
        names = tuple(masks)
        wrong = [n for n in names if not isinstance(n, str) or not re.fullmatch(r"[\w.+@-]+", n, re.ASCII)]
        if wrong or NO_DATA in names:
            raise MaskError(
                f"{wrong[0] if wrong else NO_DATA!r} cannot be the name of a mask: take letters, digits and "
                "_ - . + @ (CF's flag_meanings are parted by spaces)."
            )
        made = Flags(tuple(as_mask(own) for own in masks.values()), names)
    else:
        whole = as_mask(masks)
        parts = flagged(whole)
        made = Flags(parts, _names(parts), None if len(parts) == 1 else whole)
    if not 1 <= len(made.parts) <= _MOST:
        raise MaskError(f"{len(made.parts)} masks cannot be flags: give 1 to {_MOST}.")
    return made


def flagged(found: Any) -> tuple[Any, ...]:
    """Return the masks of which one, or enough, throws away what the whole does."""
    if isinstance(found, Both | Vote):
        return tuple(found.parts)
    return _united(found)


def _united(found: Any) -> tuple[Any, ...]:
    if isinstance(found, Either):
        return tuple(part for own in found.parts for part in _united(own))
    if isinstance(found, Dilated):
        inner = _united(found.of)
        return (found,) if len(inner) == 1 else tuple(replace(found, of=part) for part in inner)
    return (found,)


def _names(parts: Iterable[Any]) -> tuple[str, ...]:
    """Make words of what the masks print, each once."""
    names: list[str] = []
    for part in parts:
        word = re.sub(r"[^A-Za-z0-9.]+", "_", repr(part)).strip("_.") or type(part).__name__
        name, count = word, 1
        while name in (NO_DATA, *names):
            count += 1
            name = f"{word}_{count}"
        names.append(name)
    return tuple(names)
