"""Observations: a block, and what is known of it besides its numbers.

Some reducers choose one observation of a pixel, or weigh them: they have to know the names of the
bands, the times of the dates, or which scene of the whole cube a date is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ..codes import Coding
from ..errors import BandError, InputError
from ..sentinel2 import BANDS, QUANTIFICATION, band_name
from .base import Block, Reducer, reduce_codes, valid

CLOUD_DISTANCE = "cloud_distance"
"""The band that says how far the nearest thrown-away pixel is, in metres."""

Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Observations:
    """A block of values or codes, its dates in order of time.

    An observation is clear where every band has data.

    Attributes
    ----------
    block : array (time, band, y, x)
        Values, or codes if ``coding`` is given.
    coding : Coding, optional
        How codes are read.
    bands : tuple of str
        Names; empty if they are not known.
    times : datetime64 array (time,), optional
        UTC.
    numbers : int array (time,), optional
        Of the scenes in the whole cube, counted from 1. Default: their places in the block.
    """

    block: Block
    coding: Coding | None = None
    bands: tuple[str, ...] = ()
    times: NDArray[np.datetime64] | None = None
    numbers: NDArray[np.intp] | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return int(self.block.shape[2]), int(self.block.shape[3])

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the values."""
        return self.block.dtype if self.coding is None else np.dtype(self.coding.dtype)

    def __len__(self) -> int:
        return len(self.block)

    def clear(self, date: int) -> Bools:
        """Return bool (y, x): where all bands of a date have data."""
        layers = self.block[date]
        has_data = valid(layers) if self.coding is None else layers != 0
        return np.asarray(np.logical_and.reduce(has_data, axis=0))

    def rows(self, first: int, last: int) -> Observations:
        """Return some rows only."""
        return Observations(self.block[:, :, first:last], self.coding, self.bands, self.times, self.numbers)

    def floats(self, bands: list[int]) -> NDArray[np.float32]:
        """Return values of some bands as float32 (time, band, y, x), NaN where there is no data."""
        found = np.empty((len(self), len(bands), *self.shape), dtype=np.float32)
        for date in range(len(self)):
            for place, band in enumerate(bands):
                found[date, place] = self.layer(date, band)
        return found

    def layer(self, date: int, band: int) -> NDArray[np.floating[Any]]:
        """Return the values (y, x) of one date and band, floating, NaN where there is no data."""
        found = self.block[date, band]
        if self.coding is not None:
            found = self.coding.layer(found, band)
        if found.dtype.kind == "f":
            return np.asarray(found)
        return np.asarray(np.where(found == 0, np.float32(np.nan), found.astype(np.float32)))

    def named(self, date: int, name: str) -> NDArray[np.floating[Any]]:
        """Return one date of a band by its name: reflectance as 0 to 1, other bands as they are."""
        found = self.layer(date, self.place(name))
        known = BANDS.get(common(name))
        whole = self.dtype.kind != "f" and (known is None or known.kind == "reflectance")
        return np.asarray(found * np.float32(1 / QUANTIFICATION)) if whole else found

    def place(self, name: str) -> int:
        """Return the place of a band by its common or ESA's name."""
        return place_of(name, self.bands)

    def spectral(self) -> list[int]:
        """Return the places of the bands that make the spectrum: all, if names are not known."""
        return spectral_of(self.bands) if self.bands else list(range(self.block.shape[1]))

    def take(self, chosen: NDArray[np.intp]) -> Block:
        """Return the values (band, y, x) of one date per pixel; no data where it is below 0."""
        found = np.take_along_axis(self.block, np.maximum(chosen, 0)[None, None], axis=0)[0]
        found[:, chosen < 0] = np.nan if found.dtype.kind == "f" else 0
        return found if self.coding is None else self.coding.decode(found)


@runtime_checkable
class OfObservations(Protocol):
    """A reducer that has to know more than the numbers of a block."""

    def of_observations(self, seen: Observations) -> Block:
        """Reduce observations to (band out, y, x)."""
        ...  # pragma: no cover


def reduce_observations(how: Reducer, seen: Observations) -> Block:
    """Reduce observations by any reducer, giving it what it can use."""
    if isinstance(how, OfObservations):
        return how.of_observations(seen)
    return how(seen.block) if seen.coding is None else reduce_codes(how, seen.block, seen.coding)


def common(name: str) -> str:
    """Return the common name of a band, or the name itself."""
    try:
        return band_name(name)
    except BandError:
        return name


def place_of(name: str, bands: tuple[str, ...]) -> int:
    """Return the place of a band among others.

    Raises
    ------
    InputError
        If the names are not known.
    BandError
        If it is not among them.
    """
    if not bands:
        raise InputError(
            f"Band {name} is needed, but a bare block has no names: give the cube to eocube.composite, or "
            "call .of_observations(Observations(block, bands=...))."
        )
    wanted = common(name)
    for place, found in enumerate(bands):
        if common(found) == wanted:
            return place
    raise BandError(f"Band {name} is needed, the cube has: {', '.join(bands)}.")


def spectral_of(bands: tuple[str, ...]) -> list[int]:
    """Return the places of the bands that make a spectrum: what is not known to be something else."""
    names = [common(name) for name in bands]
    found = [i for i, name in enumerate(names) if name not in BANDS or BANDS[name].kind == "reflectance"]
    if not found:
        raise BandError(f"A band of reflectance is needed, the cube has: {', '.join(bands)}.")
    return found
