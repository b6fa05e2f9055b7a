"""Calendars: which dates make up which period of a composite.

A period is half open: it begins at ``starts`` and ends before ``ends``, UTC.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .errors import PeriodError, did_you_mean

Bools = NDArray[np.bool_]
Times = NDArray[np.datetime64]

WORDS = {"month": "MS", "season": "QS-DEC", "year": "YS", "dekad": "", "climatology": ""}
"""Periods that have a name, and their frequency."""

_SEASONS = ("DJF", "MAM", "JJA", "SON")
_MOST = 100_000
"""Periods of one composite: more are a slip of the pen."""


@dataclass(frozen=True)
class Calendar:
    """The periods of a series of dates.

    Attributes
    ----------
    members : bool array (period, time)
        Which dates belong to a period: none, or also to several periods.
    dim : str
        What the periods follow one another along: ``time``, or ``month``, ``season``, ``dekad`` of
        the year.
    labels : array (period,)
        Values along ``dim``.
    starts, ends : datetime64 array (period,) or None
        None where a period is no stretch of time.
    names : array of str (period,) or None
        ``"2024-05"``, ``"2024-DJF"`` (of the year of its January), ``"2024-05-D1"``.
    """

    members: Bools
    dim: str
    labels: NDArray[Any]
    starts: Times | None = None
    ends: Times | None = None
    names: NDArray[Any] | None = None

    @property
    def coords(self) -> dict[str, Any]:
        """What is known of the periods, as coordinates of an xarray object."""
        found: dict[str, Any] = {self.dim: self.labels}
        if self.starts is not None and self.ends is not None:
            found["time_start"] = self.dim, self.starts, {"long_name": "start of the period, UTC"}
            found["time_end"] = self.dim, self.ends, {"long_name": "end of the period, UTC, not in it"}
        if self.names is not None:
            found["period"] = self.dim, self.names, {"long_name": "name of the period"}
        dates = self.members.sum(axis=1, dtype=np.int32)
        return {**found, "dates": (self.dim, dates, {"long_name": "dates in the period", "units": "1"})}


@dataclass(frozen=True)
class Rolling:
    """Windows that move on: one period per ``step``, of the dates around its middle.

    Parameters
    ----------
    days : float
        Length of the window. A date belongs to it from half of that before the middle of the step
        to half of it after (which is not in it any more).
    step : str
        How far the window moves: ``"month"``, ``"dekad"``, ``"10D"`` ...

    Raises
    ------
    PeriodError
        If ``days`` is not above 0, or ``step`` is no frequency.

    Examples
    --------
    >>> import pandas as pd
    >>> dates = pd.date_range("2024-01-15", "2024-03-15", freq="15D").values
    >>> calendar_of(Rolling(60, "month"), dates).members.sum(axis=1).tolist()
    [3, 4, 2]
    """

    days: float
    step: str = "month"

    def __post_init__(self) -> None:
        if not self.days > 0:
            raise PeriodError(f"Rolling({self.days!r}): a window of more than 0 days is needed.")
        if not isinstance(self.step, str) or self.step.startswith("climatology"):
            raise PeriodError(f"Rolling(step={self.step!r}): write 'month', 'dekad', '10D' or the like.")


@dataclass(frozen=True)
class Climatology:
    """The same period of all years together: twelve months, four seasons or 36 dekads.

    Parameters
    ----------
    of : {"month", "season", "dekad"}

    Raises
    ------
    PeriodError
        If ``of`` is none of these.
    """

    of: Literal["month", "season", "dekad"] = "month"

    def __post_init__(self) -> None:
        if self.of not in ("month", "season", "dekad"):
            raise PeriodError(
                f"Climatology({self.of!r}) is not known.{did_you_mean(self.of, _CYCLES)} Choose of: "
                "month, season, dekad."
            )


By = str | Rolling | Climatology
"""What a composite may be split by."""


def calendar_of(by: By, times: Any) -> Calendar:
    """Return the periods of dates, those without a date between the first and the last too.

    Parameters
    ----------
    by : str, Rolling or Climatology
        ``"month"``, ``"season"`` (DJF, MAM, JJA, SON), ``"year"``, ``"dekad"`` (days 1-10, 11-20, 21
        to the end of a month: 36 a year), ``"climatology"`` (= ``Climatology("month")``), or any
        frequency pandas and xarray know: ``"MS"``, ``"QS-DEC"``, ``"YS-OCT"``, ``"10D"``.
    times : datetime64 array
        UTC, in any order.

    Raises
    ------
    PeriodError
        If it is none of these, or the dates are no dates; lists what is understood.

    Examples
    --------
    >>> import numpy as np
    >>> dates = np.array(["2024-05-03", "2024-05-28"], "datetime64[ns]")
    >>> calendar_of("dekad", dates).names.tolist()
    ['2024-05-D1', '2024-05-D2', '2024-05-D3']
    """
    dates = _dates(times)
    if by == "climatology":
        by = Climatology()
    if isinstance(by, Climatology):
        cycle = _CYCLES[by.of]
        places = cycle.place(pd.DatetimeIndex(dates))
        members = places[None, :] == np.arange(len(cycle.labels))[:, None]
        return Calendar(members, by.of, np.asarray(cycle.labels))
    if isinstance(by, Rolling):
        steps = calendar_of(by.step, dates)
        assert steps.starts is not None
        assert steps.ends is not None
        middles = steps.starts + (steps.ends - steps.starts) // 2
        half = np.timedelta64(round(by.days * 43_200_000), "ms")
        return _between(steps.labels, middles - half, middles + half, dates, steps.names)
    if not isinstance(by, str):
        raise PeriodError(_unknown(by))
    starts, ends, labels = _dekads(dates) if by == "dekad" else _regular(by, dates)
    return _between(labels, starts, ends, dates, _names(by, labels))


def _dates(times: Any) -> Times:
    found = np.asarray(times)
    if found.dtype.kind != "M" or np.isnat(found).any():
        raise PeriodError(
            f"Periods need dates of datetime64 without gaps, found {found.dtype}"
            f"{' with NaT' if found.dtype.kind == 'M' else ''}."
        )
    return found.astype("datetime64[ns]")


def _between(
    labels: NDArray[Any], starts: Times, ends: Times, dates: Times, names: NDArray[Any] | None
) -> Calendar:
    members = (dates >= starts[:, None]) & (dates < ends[:, None])
    return Calendar(members, "time", labels, starts, ends, names)


def _regular(by: str, dates: Times) -> tuple[Times, Times, Times]:
    """Return starts, ends and labels of periods of a frequency, as xarray's resample makes them."""
    import xarray as xr
    from xarray.groupers import TimeResampler

    frequency = WORDS.get(by) or by
    along = np.sort(dates)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # pandas' guess at what a word it refuses could be
            step = pd.tseries.frequencies.to_offset(frequency)
        _check_number(by, step, along)
        made = TimeResampler(freq=frequency).factorize(xr.DataArray(along, {"time": along}, "time", "time"))
    except PeriodError:
        raise
    except (ValueError, TypeError, KeyError) as error:
        raise PeriodError(_unknown(by)) from error
    labels = pd.DatetimeIndex(np.asarray(made.full_index))
    if _names_its_end(step):  # the last day belongs to the period
        days = labels.normalize()
        starts, ends = (days - step) + pd.Timedelta(days=1), days + pd.Timedelta(days=1)
    else:
        starts, ends = labels, labels + step
    return tuple(index.values.astype("datetime64[ns]") for index in (starts, ends, labels))  # type: ignore[return-value]


def _check_number(by: str, step: Any, dates: Times) -> None:
    nanos = getattr(step, "nanos", None) if isinstance(step, pd.offsets.Tick) else None
    if nanos is None:
        return
    if nanos <= 0:
        raise PeriodError(f"by={by!r}: a period has to be longer than nothing.")
    many = int((dates[-1] - dates[0]).astype(np.int64)) // nanos
    if many > _MOST:
        raise PeriodError(f"by={by!r} makes {many:,} periods of these dates: take longer ones.")


def _names_its_end(step: Any) -> bool:
    """Whether pandas labels such periods by their last day."""
    return type(step).__name__ in (
        "MonthEnd", "BusinessMonthEnd", "QuarterEnd", "BQuarterEnd", "YearEnd", "BYearEnd", "Week",
    )  # fmt: skip


def _dekads(dates: Times) -> tuple[Times, Times, Times]:
    found = pd.DatetimeIndex(dates)
    number = (found.year * 36 + _dekad_of(found)).to_numpy()
    every = np.arange(number.min(), number.max() + 2)
    months = np.array((every // 36 - 1970) * 12 + every % 36 // 3, dtype="datetime64[M]")
    edges = months.astype("datetime64[D]") + every % 3 * 10
    starts = edges.astype("datetime64[ns]")
    return starts[:-1], starts[1:], starts[:-1]


def _names(by: str, labels: Times) -> NDArray[Any] | None:
    found = pd.DatetimeIndex(labels)
    if by in ("month", "MS"):
        return found.strftime("%Y-%m").to_numpy(dtype=str)
    if by in ("year", "YS"):
        return found.strftime("%Y").to_numpy(dtype=str)
    if by in ("season", "QS-DEC"):
        return np.array([f"{t.year + t.month // 12}-{_SEASONS[t.month % 12 // 3]}" for t in found])
    if by == "dekad":
        return np.array([f"{t:%Y-%m}-D{t.day // 10 + 1}" for t in found])
    return None


def _unknown(by: object) -> str:
    return (
        f"by={by!r} is not a frequency.{did_you_mean(str(by), WORDS)} Understood are 'month', 'season', "
        "'year', 'dekad', 'climatology', Rolling(days, step), Climatology('month' | 'season' | 'dekad'), "
        "and frequencies of pandas: 'MS' for months, 'QS-DEC' for seasons, 'YS-OCT' for years, '10D'."
    )


def _dekad_of(found: pd.DatetimeIndex) -> Any:
    """Return the dekad of the year, from 0 to 35."""
    return (found.month - 1) * 3 + np.minimum((found.day - 1) // 10, 2)


@dataclass(frozen=True)
class _Cycle:
    labels: tuple[Any, ...]
    place: Callable[[pd.DatetimeIndex], NDArray[np.intp]] = field(repr=False)


_CYCLES = {
    "month": _Cycle(tuple(range(1, 13)), lambda t: np.asarray(t.month - 1)),
    "season": _Cycle(_SEASONS, lambda t: np.asarray(t.month % 12 // 3)),
    "dekad": _Cycle(tuple(range(1, 37)), lambda t: np.asarray(_dekad_of(t))),
}
