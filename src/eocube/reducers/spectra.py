"""Reducers of whole spectra: geometric median with its deviations, medoid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..codes import Coding
from ..extras import check_needed
from .base import Block, settle
from .observing import Observations, spectral_of
from .picking import Pick
from .ranking import Median

MADS = ("emad", "smad", "bcmad")
"""Bands behind those of the geometric median: median Euclidean, cosine and Bray-Curtis distance."""

_STRIP = 1 << 20
"""Values worked on at a time, so that what is made on the way stays small."""

_UNIT = 2.0**30
"""Distances are added as whole numbers of 1 / _UNIT: so that a sum does not depend on the order of the
dates, and equal sums are equal. Distances are cut off at 2**20, so that 8192 dates fit."""


@dataclass(frozen=True)
class GeoMedian:
    """The geometric median of the clear observations: of all bands together, as one spectrum.

    The point with the least sum of Euclidean distances to the observations, to about 1e-6 of their
    spread. It keeps the relations between bands, which a median of each band does not. Bands that
    are no reflectance (``cloud_distance``, ``aot`` ...) are left out.

    Parameters
    ----------
    mads : bool
        Also give the bands ``emad``, ``smad`` and ``bcmad``: the median Euclidean distance (in the
        cube's units), cosine distance and Bray-Curtis distance of the observations from it. The
        result is then float32, also of an integer cube.

    Raises
    ------
    MissingExtraError
        If numba is not installed.

    Notes
    -----
    Roberts, Mueller and McIntyre 2017, *High-dimensional pixel composites from earth observation
    time series*, doi 10.1109/TGRS.2017.2723896; Roberts, Dunn and Mueller 2018, *Open Data Cube
    products using high-dimensional statistics of time series*, doi 10.1109/IGARSS.2018.8518312.
    Of two observations it is the mean. The first use in a process takes a second or two, and once
    per machine some seconds more, for compiling.

    Examples
    --------
    >>> import numpy as np
    >>> block = np.array([[0, 0], [4, 0], [2, 1], [2, 50]], "float32").reshape(4, 2, 1, 1)
    >>> GeoMedian()(block)[:, 0, 0].tolist()
    [2.0, 1.0]
    """

    mads: bool = False

    def __post_init__(self) -> None:
        check_needed(("numba",), "GeoMedian", "numba")

    def __call__(self, block: Block) -> Block:
        """Reduce (time, band, y, x) to (band, y, x), or (band + 3, y, x)."""
        return self.of_observations(Observations(block))

    def of_codes(self, codes: Block, coding: Coding) -> Block:
        """Reduce codes (time, band, y, x) to values (band, y, x), or (band + 3, y, x)."""
        return self.of_observations(Observations(codes, coding))

    def of_observations(self, seen: Observations) -> Block:
        """Reduce observations to values (band, y, x), or (band + 3, y, x)."""
        bands = seen.spectral()
        dtype = np.dtype(self.dtype_out(seen.dtype))
        out = np.empty((len(bands) + 3 * self.mads, *seen.shape), dtype=dtype)
        step = _rows(seen, bands)
        for first in range(0, seen.shape[0], step):
            rows = seen.rows(first, first + step)
            out[:, first : first + step] = self._strip(_spectra(rows, bands), rows.shape, dtype)
        return out

    def _strip(
        self, values: NDArray[np.float32], shape: tuple[int, int], dtype: np.dtype[Any]
    ) -> NDArray[Any]:
        dates, bands, pixels = values.shape
        found = np.empty((bands, pixels), dtype=np.float32)
        spread = np.empty((dates, 3, pixels if self.mads else 0), dtype=np.float32)
        from .kernels import geomedians

        geomedians(values, found, spread)
        if self.mads:
            deviations = Median()(spread[:, :, None])[:, 0]
            found = np.concatenate([found, deviations])
        elif dtype.kind != "f":
            found = settle(np.nan_to_num(found), ~np.isnan(found), dtype)
        return found.reshape(len(found), *shape).astype(dtype, copy=False)

    def bands_out(self, bands: tuple[str, ...]) -> tuple[str, ...]:
        """Return the bands of reflectance, and ``emad``, ``smad``, ``bcmad`` if they are asked for."""
        own = tuple(bands[place] for place in spectral_of(bands))
        return (*own, *MADS) if self.mads else own

    def dtype_out(self, dtype: np.dtype[Any]) -> np.dtype[Any]:
        """Return the dtype itself; with ``mads`` a floating one."""
        return np.dtype(np.float32) if self.mads and dtype.kind != "f" else dtype


@dataclass(frozen=True)
class Medoid(Pick):
    """The clear observation with the least sum of distances to the others, with its ``source``.

    An observed spectrum, nearest to all others. Distances are Euclidean, over the bands of
    reflectance. A tie goes to the earliest: of two observations it is the first. The time it takes
    grows with the square of their number.

    Flood 2013, *Seasonal composite Landsat TM/ETM+ images using the medoid*, doi 10.3390/rs5126481.

    Examples
    --------
    >>> import numpy as np
    >>> block = np.array([1, 9, 2, 3], "float32").reshape(4, 1, 1, 1)
    >>> Medoid()(block)[:, 0, 0].tolist()
    [2.0, 3.0]
    """

    def choose(self, seen: Observations) -> NDArray[np.intp]:
        """Return the place of the chosen date (y, x), -1 where none is clear."""
        bands = seen.spectral()
        chosen = np.empty(seen.shape, dtype=np.intp)
        step = _rows(seen, bands)
        for first in range(0, seen.shape[0], step):
            rows = seen.rows(first, first + step)
            chosen[first : first + step] = _medoids(_spectra(rows, bands)).reshape(rows.shape)
        return chosen


def _rows(seen: Observations, bands: list[int]) -> int:
    """Return how many rows are worked on at a time."""
    return max(1, _STRIP // max(len(seen) * len(bands) * seen.shape[1], 1))


def _spectra(seen: Observations, bands: list[int]) -> NDArray[np.float32]:
    """Return values (time, band, pixel), NaN where any band of an observation has no data."""
    values = seen.floats(bands).reshape(len(seen), len(bands), -1)
    if len(bands) < seen.block.shape[1]:
        for date in range(len(seen)):
            values[date, :, ~seen.clear(date).ravel()] = np.nan
    return values


def _medoids(values: NDArray[np.float32]) -> NDArray[np.intp]:
    """Return the place of the medoid of each pixel, -1 where there is none."""
    clear = np.asarray(~np.isnan(values).any(axis=1))
    number = clear.sum(axis=0)
    # The pixels with most observations first, and of each the clear ones first: then no time is spent
    # on what is not clear, for those that have an i-th observation are the first so many pixels.
    order = np.argsort(-number, kind="stable")
    places = np.argsort(~clear[:, order], axis=0, kind="stable")[: number.max(initial=0)]
    bands = np.arange(values.shape[1])
    rows = [values[place, bands[:, None], order].astype(np.float64) for place in places]
    have = np.searchsorted(-number[order], -np.arange(1, len(rows) + 1), side="right")
    sums = np.zeros((len(rows), len(order)), dtype=np.int64)
    for later in range(1, len(rows)):
        some = int(have[later])
        for earlier in range(later):
            apart = rows[later][:, :some] - rows[earlier][:, :some]
            np.multiply(apart, apart, out=apart)
            total = apart[0]
            for layer in apart[1:]:
                total += layer
            np.sqrt(total, out=total)
            np.minimum(total, 2.0**20, out=total)
            whole = np.rint(total * _UNIT).astype(np.int64)
            sums[later, :some] += whole
            sums[earlier, :some] += whole
    chosen = np.full(len(order), -1, dtype=np.intp)
    least = np.full(len(order), np.iinfo(np.int64).max)
    for place, own, some in zip(places, sums, have, strict=True):
        better = own[:some] < least[:some]
        np.copyto(least[:some], own[:some], where=better)
        np.copyto(chosen[:some], place[:some], where=better)
    found = np.empty_like(chosen)
    found[order] = chosen
    return found
