"""Reducers that pick one observation per pixel, and say which: first, latest, greatest index."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..codes import Coding
from ..errors import BandError, InputError, did_you_mean
from .base import Block
from .observing import Observations, place_of

SOURCE = "source"
"""The band that says which scene a pixel is from."""

Layers = Mapping[str, NDArray[np.floating[Any]]]

DIFFERENCES = {
    "mndwi": ("green", "swir16"),
    "nbr": ("nir", "swir22"),
    "ndmi": ("nir", "swir16"),
    "ndsi": ("green", "swir16"),
    "ndvi": ("nir", "red"),
    "ndwi": ("green", "nir"),
}
"""Normalised differences (a - b) / (a + b) that :class:`MaxIndex` knows by name."""


@dataclass(frozen=True)
class Pick:
    """Base of the reducers that pick one clear observation per pixel.

    Behind the cube's bands comes a band ``source``: the number of the scene in the cube, counted
    from 1, and no data where there is none. A tie goes to the earliest.
    """

    picks: ClassVar[bool] = True

    def choose(self, seen: Observations) -> NDArray[np.intp]:  # noqa: ARG002
        """Return the place of the chosen date (y, x), -1 where none is clear."""
        raise InputError(f"{type(self).__name__} does not say what it picks.")

    def __call__(self, block: Block) -> Block:
        """Reduce (time, band, y, x), dates in order of time, to (band + 1, y, x)."""
        return self.of_observations(Observations(block))

    def of_codes(self, codes: Block, coding: Coding) -> Block:
        """Reduce codes (time, band, y, x) to values (band + 1, y, x)."""
        return self.of_observations(Observations(codes, coding))

    def of_observations(self, seen: Observations) -> Block:
        """Reduce observations to values (band + 1, y, x)."""
        chosen = self.choose(seen)
        dtype = np.dtype(self.dtype_out(seen.dtype))
        numbers = np.arange(1, len(seen) + 1) if seen.numbers is None else seen.numbers
        source = np.where(chosen < 0, np.nan if dtype.kind == "f" else 0, numbers[np.maximum(chosen, 0)])
        return np.concatenate([seen.take(chosen).astype(dtype, copy=False), source[None].astype(dtype)])

    def bands_out(self, bands: tuple[str, ...]) -> tuple[str, ...]:
        """Return the bands themselves, and ``source``."""
        if SOURCE in bands:
            raise BandError(
                f"The cube has a band {SOURCE!r} already, which {self!r} would give: leave it out with .sel."
            )
        return (*bands, SOURCE)

    def dtype_out(self, dtype: np.dtype[Any]) -> np.dtype[Any]:
        """Return the dtype itself; of a byte one that can number the scenes."""
        return dtype if dtype.itemsize > 1 else np.promote_types(dtype, np.uint16)


def greatest(seen: Observations, score: Callable[[int], NDArray[Any]]) -> NDArray[np.intp]:
    """Return the clear date of the greatest score (y, x), -1 where none is; a tie goes to the earliest.

    A score that is no number counts as the least.
    """
    chosen = np.full(seen.shape, -1, dtype=np.intp)
    best = np.full(seen.shape, -np.inf)
    for date in range(len(seen)):
        clear = seen.clear(date)
        if not clear.any():
            continue
        found = score(date)
        better = clear & ((chosen < 0) | (found > best))  # NaN is not greater
        chosen[better] = date
        np.copyto(best, np.where(np.isnan(found), -np.inf, found), where=better)
    return chosen


@dataclass(frozen=True)
class First(Pick):
    """The earliest clear observation, with its ``source``.

    Examples
    --------
    >>> import numpy as np
    >>> block = np.array([np.nan, 2, 5], "float32").reshape(3, 1, 1, 1)
    >>> First()(block)[:, 0, 0].tolist()
    [2.0, 2.0]
    """

    def choose(self, seen: Observations) -> NDArray[np.intp]:
        """Return the place of the chosen date (y, x), -1 where none is clear."""
        return greatest(seen, lambda date: np.zeros(seen.shape))  # noqa: ARG005


@dataclass(frozen=True)
class Latest(Pick):
    """The latest clear observation, with its ``source``.

    Examples
    --------
    >>> import numpy as np
    >>> block = np.array([np.nan, 2, 5], "float32").reshape(3, 1, 1, 1)
    >>> Latest()(block)[:, 0, 0].tolist()
    [5.0, 3.0]
    """

    def choose(self, seen: Observations) -> NDArray[np.intp]:
        """Return the place of the chosen date (y, x), -1 where none is clear."""
        return greatest(seen, lambda date: np.full(seen.shape, float(date)))


@dataclass(frozen=True)
class MaxIndex(Pick):
    """The clear observation whose spectral index is greatest, with its ``source``.

    Parameters
    ----------
    index : str or callable
        ``"ndvi"``, ``"ndwi"``, ``"mndwi"``, ``"ndmi"``, ``"ndsi"``, ``"nbr"``; or a function of a
        mapping that gives one date of a band by its name, ``float (y, x)``, reflectance from 0 to 1.
        What is no number counts as the least. It must be picklable to run on a cluster.

    Raises
    ------
    InputError
        If an index is not known by name, or a function returns something else than (y, x).
    BandError
        If the cube lacks a band that the index needs; before a pixel is read.

    Examples
    --------
    >>> import eocube, numpy as np, xarray as xr
    >>> red, nir = [0.1, 0.3], [0.3, 0.4]
    >>> values = np.array([red, nir]).T.reshape(2, 2, 1, 1)
    >>> cube = xr.DataArray(values, dims=("time", "band", "y", "x"), coords={"band": ["red", "nir"]})
    >>> eocube.composite(cube, MaxIndex("ndvi")).sel(band="source").item()
    1.0
    >>> ratio = MaxIndex(lambda px: px["nir"] - px["red"])
    """

    index: str | Callable[[Layers], NDArray[Any]]

    def __post_init__(self) -> None:
        if isinstance(self.index, str) and self.index.lower() not in DIFFERENCES:
            raise InputError(
                f"MaxIndex knows no index {self.index!r}.{did_you_mean(self.index, DIFFERENCES)} It knows "
                f"{', '.join(DIFFERENCES)}, or give a function: MaxIndex(lambda px: px['nir'] / px['red'])."
            )
        if not isinstance(self.index, str) and not callable(self.index):
            raise InputError(f"MaxIndex({self.index!r}) needs the name of an index or a function.")

    @property
    def label(self) -> str:
        """What bands are called after where names clash."""
        return f"max_{getattr(self.index, '__name__', self.index)}"

    def __repr__(self) -> str:
        named = getattr(self.index, "__name__", None)  # no address: the same recipe, the same words
        return f"MaxIndex({named or repr(self.index)})"

    def choose(self, seen: Observations) -> NDArray[np.intp]:
        """Return the place of the chosen date (y, x), -1 where none is clear."""
        return greatest(seen, lambda date: self._index(seen, date))

    def _index(self, seen: Observations, date: int) -> NDArray[Any]:
        layers = _Layers(seen, date)
        with np.errstate(divide="ignore", invalid="ignore"):
            if isinstance(self.index, str):
                one, other = (layers[name] for name in DIFFERENCES[self.index.lower()])
                return np.asarray((one - other) / (one + other))
            found = np.asarray(self.index(layers))
        if found.shape != seen.shape:
            raise InputError(
                f"{self.index!r} returned an array of shape {found.shape}, not {seen.shape}."
            )
        return found

    def bands_out(self, bands: tuple[str, ...]) -> tuple[str, ...]:
        """Return the bands themselves, and ``source``."""
        for name in DIFFERENCES[self.index.lower()] if isinstance(self.index, str) else ():
            place_of(name, bands)
        return super().bands_out(bands)


@dataclass(frozen=True)
class MaxNDVI(MaxIndex):
    """The clear observation of greatest NDVI, with its ``source``.

    Holben 1986, *Characteristics of maximum-value composite images from temporal AVHRR data*, doi
    10.1080/01431168608948945.

    Examples
    --------
    >>> MaxNDVI()
    MaxNDVI()
    """

    index: str = field(default="ndvi", init=False, repr=False)


class _Layers(Mapping[str, NDArray[Any]]):
    """One date of a cube, band by band."""

    def __init__(self, seen: Observations, date: int) -> None:
        self._seen, self._date = seen, date

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self._seen.named(self._date, name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._seen.bands)

    def __len__(self) -> int:
        return len(self._seen.bands)
