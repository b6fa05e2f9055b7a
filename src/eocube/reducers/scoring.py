"""Reducers that weigh observations: best available pixel, mean by distance to cloud.

The scores are those of FORCE (D. Frantz 2019, *FORCE - Landsat + Sentinel-2 analysis ready data and
beyond*, doi 10.3390/rs11091124; the formulas as in its ``src/higher-level/bap-hl.c``, the defaults as
in its parameters of level 3), after Griffiths et al. 2013, doi 10.1109/JSTARS.2012.2228167.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import BandError, InputError, did_you_mean
from .base import Block, settle
from .observing import CLOUD_DISTANCE, Observations, common, place_of
from .picking import Pick, greatest

FAR = 3000.0
"""Metres from a cloud at which the sky is taken for clear (FORCE: DREQ)."""

SIGMA = 60 / math.sqrt(2 * math.log(0.99 / 0.01))
"""Days: 60 days off the score has fallen from 0.99 to 0.01 (FORCE: DOY_STATIC, DOY_SCORE); 19.8."""

PEAK = 0.99
"""Score of the day that is wanted itself (FORCE: DOY_SCORE)."""

YEAR_DAYS = 26
"""Days that a year off counts for: 60 / ((2 + 1) * 0.75), cut off (FORCE: YEAR_NUM, Y_FACTOR)."""

LEAST = 0.01
"""Below this score FORCE leaves an observation out."""

_DAYS = 365.25


@dataclass(frozen=True)
class Weights:
    """How much each score of :class:`BestPixel` counts; 0 leaves it out.

    Attributes
    ----------
    day, year, cloud, haze : float
        FORCE's defaults.
    """

    day: float = 1.0
    year: float = 1.0
    cloud: float = 0.4
    haze: float = 0.3


@dataclass(frozen=True)
class BestPixel(Pick):
    """The clear observation with the best score, with its ``source``: FORCE's best available pixel.

    The score is a weighted mean of up to four, each from 0 to 1:

    - day: ``0.99 exp(-d**2 / (2 sigma**2))``, ``d`` the days to the nearest time the wanted day comes
      round;
    - year: the same of ``year_days`` times the years off, if a ``year`` is wanted;
    - cloud: ``1 / (1 + exp(-10 / far * (distance - far / 2)))``, of the band ``cloud_distance``;
    - haze: ``1 / (1 + exp(10 / 200 * (hot + 150)))``, ``hot = 10000 (blue - 0.5 red - 0.08)``, Zhang et
      al. 2002, doi 10.1016/S0034-4257(02)00034-2, as in Zhu and Woodcock 2012, doi
      10.1016/j.rse.2011.10.028.

    Parameters
    ----------
    day : int
        Day of the year that is wanted, 1 to 366 (UTC).
    year : int, optional
        Year that is wanted. None: no year counts more than another.
    weights : mapping or Weights
        Of ``day``, ``year``, ``cloud`` and ``haze``; default 1, 1, 0.4, 0.3. 0 leaves a score out,
        with the bands it needs.
    sigma : float
        Width of the day's score, days.
    year_days : float
        Days that a year off counts for.
    far : float
        Metres, at most 3000: so far from what the mask threw away the cloud's score is nearly 1.
    strict : bool
        Leave out observations whose score of day, cloud or haze is below 0.01, as FORCE does: pixels
        that have no other get no data.

    Raises
    ------
    InputError
        If a number is out of range, or a weight has an unknown name; or the cube says no dates.
    BandError
        If the cube lacks ``cloud_distance``, or ``blue`` and ``red``, and their weights are not 0.

    Notes
    -----
    FORCE takes the haze from top-of-atmosphere, here it is from what the cube holds.

    Examples
    --------
    >>> import eocube
    >>> world = eocube.sample.cached()
    >>> items = eocube.search(world.items_path)
    >>> bands = ["blue", "red", "cloud_distance"]
    >>> cube = eocube.load(items, world.grid, bands=bands, mask=eocube.SCLMask())
    >>> best = eocube.composite(cube, eocube.BestPixel(196))
    >>> plain = eocube.composite(cube, eocube.BestPixel(196, weights={"cloud": 0, "haze": 0}))
    """

    day: int
    year: int | None = None
    weights: Weights | Mapping[str, float] = Weights()
    sigma: float = SIGMA
    year_days: float = YEAR_DAYS
    far: float = FAR
    strict: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "weights", _weights(self.weights))
        if not 1 <= self.day <= 366:
            raise InputError(f"BestPixel(day={self.day}) is no day of the year: give 1 to 366.")
        if not (self.sigma > 0 and self.year_days >= 0):
            raise InputError(f"sigma={self.sigma}, year_days={self.year_days}: give days above 0.")
        _check_far(self.far)

    @property
    def scores(self) -> Weights:
        """The weights, 0 where a score cannot matter."""
        found = _weights(self.weights)
        return found if self.year is not None else Weights(found.day, 0.0, found.cloud, found.haze)

    def choose(self, seen: Observations) -> NDArray[np.intp]:
        """Return the place of the chosen date (y, x), -1 where none is."""
        if seen.times is None:
            raise InputError("BestPixel needs to know the dates: the cube needs datetimes along 'time'.")
        chosen = greatest(seen, lambda date: self.score(seen, date))
        if self.strict:
            best = np.full(seen.shape, -np.inf)
            for date in range(len(seen)):
                np.copyto(best, self.score(seen, date), where=chosen == date)
            chosen[np.isneginf(best)] = -1
        return chosen

    def score(self, seen: Observations, date: int) -> NDArray[np.floating[Any]]:
        """Return the score (y, x) of one date, from 0 to 1; -inf where it is left out, NaN without data."""
        assert seen.times is not None
        weights = self.scores
        day, year = self._of_time(seen.times[date])
        total = np.full(seen.shape, weights.day * day + weights.year * year)
        if self.strict and weights.day and day < LEAST:
            total[:] = -np.inf
        if weights.cloud:
            total = self._with(total, weights.cloud, _cloud(seen, date, self.far))
        if weights.haze:
            total = self._with(total, weights.haze, _haze(seen, date))
        return total / (weights.day + weights.year + weights.cloud + weights.haze)

    def _with(self, total: NDArray[Any], weight: float, score: NDArray[Any]) -> NDArray[Any]:
        found = total + weight * score
        return np.where(score < LEAST, -np.inf, found) if self.strict else found

    def _of_time(self, time: np.datetime64) -> tuple[float, float]:
        """Return the scores of day and year."""
        own = time.astype("datetime64[Y]")
        days = (time - own.astype("datetime64[D]")) / np.timedelta64(1, "D")
        off = abs(math.floor(days) + 1 - self.day)
        off = min(off, _DAYS - off)
        years = 0 if self.year is None else abs(int(own.astype(int)) + 1970 - self.year)
        return self._bell(off), self._bell(years * self.year_days)

    def _bell(self, days: float) -> float:
        return PEAK * math.exp(-(days**2) / (2 * self.sigma**2))

    def bands_out(self, bands: tuple[str, ...]) -> tuple[str, ...]:
        """Return the bands themselves, and ``source``."""
        if self.scores.cloud:
            _needs_distance(self, bands, "weights={'cloud': 0}")
        for name in ("blue", "red") if self.scores.haze else ():
            try:
                place_of(name, bands)
            except BandError as error:
                raise BandError(f"{error} Or leave haze out: weights={{'haze': 0}}.") from None
        return super().bands_out(bands)


@dataclass(frozen=True)
class WeightedMean:
    """The mean of the clear observations, weighted by how far each is from what the mask threw away.

    The weight is the cloud's score of :class:`BestPixel`: 0.007 beside a cloud, 0.5 at half of
    ``far``, 0.993 at ``far``. So haze and shadow around clouds hardly count where there is anything
    better, and no pixel is lost. The band ``cloud_distance`` itself is left out.

    Parameters
    ----------
    far : float
        Metres, at most 3000.

    Raises
    ------
    InputError
        If ``far`` is out of range.
    BandError
        If the cube has no band ``cloud_distance``.

    Examples
    --------
    >>> import eocube
    >>> world = eocube.sample.cached()
    >>> items = eocube.search(world.items_path)
    >>> cube = eocube.load(items, world.grid, bands=["red", "cloud_distance"], mask=eocube.SCLMask())
    >>> eocube.composite(cube, eocube.WeightedMean(far=1000)).band.values.tolist()
    ['red', 'count']
    """

    far: float = FAR

    def __post_init__(self) -> None:
        _check_far(self.far)

    def __call__(self, block: Block) -> Block:
        """Refuse a bare block: its bands have no names."""
        return self.of_observations(Observations(block))

    def of_observations(self, seen: Observations) -> Block:
        """Reduce observations to values (band, y, x)."""
        distance = seen.place(CLOUD_DISTANCE)
        bands = [band for band in range(seen.block.shape[1]) if band != distance]
        total, weights = np.zeros((len(bands), *seen.shape)), np.zeros(seen.shape)
        for date in range(len(seen)):
            clear = seen.clear(date)
            weight = np.where(clear, _cloud(seen, date, self.far), 0.0)
            weights += weight
            for out, band in zip(total, bands, strict=True):
                out += np.where(clear, seen.layer(date, band), 0.0) * weight
        return settle(total / np.where(weights > 0, weights, 1.0), weights > 0, seen.dtype)

    def bands_out(self, bands: tuple[str, ...]) -> tuple[str, ...]:
        """Return the bands but ``cloud_distance``."""
        _needs_distance(self, bands)
        return tuple(band for band in bands if common(band) != CLOUD_DISTANCE)

    def dtype_out(self, dtype: np.dtype[Any]) -> np.dtype[Any]:
        """Return the dtype itself."""
        return dtype


def _cloud(seen: Observations, date: int, far: float) -> NDArray[np.float64]:
    distance = seen.named(date, CLOUD_DISTANCE).astype(np.float64)
    return np.asarray(1 / (1 + np.exp(-10 / far * (distance - far / 2))))


def _haze(seen: Observations, date: int) -> NDArray[np.float64]:
    blue, red = (seen.named(date, name).astype(np.float64) for name in ("blue", "red"))
    hot = 10_000 * (blue - 0.5 * red - 0.08)
    return np.asarray(1 / (1 + np.exp(np.minimum(10 / 200 * (hot + 150), 700.0))))


def _weights(found: Weights | Mapping[str, float]) -> Weights:
    if isinstance(found, Weights):
        values = found
    else:
        known = [field.name for field in fields(Weights)]
        for name in found:
            if name not in known:
                raise InputError(
                    f"BestPixel has no score {name!r}.{did_you_mean(name, known)} It has {', '.join(known)}."
                )
        values = Weights(**found)
    every = (values.day, values.year, values.cloud, values.haze)
    if not all(weight >= 0 for weight in every) or not sum(every) > 0:
        raise InputError(f"BestPixel needs weights of 0 or more, not all 0; found {values}.")
    return values


def _check_far(far: float) -> None:
    if not 0 < far <= FAR:
        raise InputError(f"far={far}: give metres above 0, at most {FAR:g}; farther no distance is known.")


def _needs_distance(how: Any, bands: tuple[str, ...], instead: str = "") -> None:
    if CLOUD_DISTANCE not in [common(band) for band in bands]:
        raise BandError(
            f"{type(how).__name__} needs the band {CLOUD_DISTANCE}, the cube has: {', '.join(bands)}. Load "
            f"it with the others and a mask: bands=[..., '{CLOUD_DISTANCE}']"
            f"{', or give ' + instead if instead else ''}."
        )
