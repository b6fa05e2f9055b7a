"""Seasons: start, peak, end and integrals of time series of fields and cubes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from .calendars import By, Calendar, calendar_of
from .errors import InputError
from .phenology import METRICS, metrics_of
from .smoothers import Days, Smoother, as_smoother, smoothed
from .smoothing import days_of, from_table, warn_of_few

if TYPE_CHECKING:
    import pandas as pd

_FLOATS = 1 << 20


def season_metrics(
    source: pd.DataFrame | xr.DataArray,
    how: Smoother | None = None,
    *,
    by: By = "year",
    level: float | Sequence[float] = 0.5,
    min_amplitude: float = 0.0,
    value: str = "mean",
    max_gap: float | None = None,
) -> pd.DataFrame | xr.Dataset:
    """Tell when seasons start, peak and end, and how strong they are, by TIMESAT's definitions.

    Parameters
    ----------
    source : pandas.DataFrame or xarray.DataArray
        A table of :func:`eocube.timeseries`, or an array with ``time`` and any further dims, lazy or not.
    how : Smoother, optional
        Makes a curve of each series first, a value a day, without the curves being kept: for instance
        ``Whittaker(1000)``. None: the source is smooth already.
    by : str or Rolling
        One season each: its peak is the greatest local maximum in the period. ``"year"``, ``"YS-JUL"``
        where plants grow over the new year, ``"QS"`` for several crops a year.
    level : float or pair of float
        Start and end are where the curve has this share of the way from the minimum to the peak.
    min_amplitude : float
        What rises less is no season.
    value : str
        Of a table: the column that is looked at.
    max_gap : float, optional
        Days. What lies in longer gaps without an observation is not known.

    Returns
    -------
    pandas.DataFrame or xarray.Dataset
        A row for each field, band and period; or a variable for each metric, along ``time`` (the start of
        the period) and the other dims. ``start``, ``end``, ``middle`` and ``peak_time`` are datetime64,
        ``length`` days; ``base``, ``peak``, ``amplitude``, ``start_value`` and ``end_value`` are values of
        the series, ``rise`` and ``fall`` values a day, ``large_integral`` and ``small_integral`` values
        times days. NaT and NaN where there is no season, or a gap in it. Where the curve begins within a
        season, its left minimum is that of the part that is known, and likewise at the end.

    Raises
    ------
    InputError
        If ``level`` is not between 0 and 1, the period is not known or a climatology, or the source is no
        series (see :func:`eocube.smooth`).

    Warns
    -----
    EocubeWarning
        If some series have observations, but on fewer days than ``how`` needs.

    Notes
    -----
    TIMESAT 3.3 Software Manual (Eklundh and Jönsson 2017); see :mod:`eocube.phenology` for each metric. The
    minimum on the left is the lowest value since the peak of the period before (or since the curve begins).
    From the peak outwards the first crossing of a level counts.

    Examples
    --------
    >>> import numpy as np, pandas as pd, xarray as xr
    >>> dates = pd.date_range("2024-01-01", "2024-12-31")
    >>> curve = xr.DataArray(np.exp(-(((dates.dayofyear - 180) / 40.0) ** 2)), {"time": dates}, "time")
    >>> found = season_metrics(curve)
    >>> str(found.start.values[0])[:10], str(found.peak_time.values[0])[:10]
    ('2024-05-25', '2024-06-28')
    """
    levels = _levels(level)
    if isinstance(source, xr.DataArray):
        return _of_array(source, how, by, levels, min_amplitude, max_gap)
    array, _, keys = from_table(source, value, None)
    found = _of_array(array, how, by, levels, min_amplitude, max_gap)
    return _table(found, keys)


def _levels(level: Any) -> tuple[float, float]:
    pair = tuple(level) if isinstance(level, list | tuple) else (level, level)
    if len(pair) != 2 or not all(0 < one <= 1 for one in pair):
        raise InputError(f"level={level!r}: a share above 0 and up to 1, or one each for start and end.")
    return float(pair[0]), float(pair[1])


def _of_array(
    array: xr.DataArray, how: Smoother | None, by: By, levels: tuple[float, float], least: float,
    max_gap: float | None,
) -> xr.Dataset:  # fmt: skip
    smoother = None if how is None else as_smoother(how)
    days = days_of(array, 3 if smoother is None else smoother.need)
    if smoother is None and len(np.unique(days)) < len(days):
        raise InputError("A curve has a day twice: smooth it first, for instance by Whittaker(1000).")
    calendar = calendar_of(by, array["time"].values)
    if calendar.starts is None:
        raise InputError(f"by={by!r}: a climatology has no seasons of its own; take 'year'.")
    daily = np.sort(days) if smoother is None else np.arange(days.min(), days.max() + 1)
    options = {
        "days": days, "daily": daily, "how": smoother, "members": _members(calendar, daily),
        "levels": levels, "least": least, "max_gap": max_gap,
    }  # fmt: skip
    sizes = {"time": len(calendar.labels), "metric": len(METRICS)}
    found = xr.apply_ufunc(
        _seasons, array, kwargs=options, input_core_dims=[["time"]], output_core_dims=[["time", "metric"]],
        exclude_dims={"time"}, dask="parallelized", output_dtypes=[np.float64],
        dask_gufunc_kwargs={"allow_rechunk": True, "output_sizes": sizes},
    )  # fmt: skip
    found = found.transpose(*("time" if dim == "time" else dim for dim in array.dims), "metric")
    layers = {}
    for number, (name, (unit, meaning)) in enumerate(METRICS.items()):
        layer = found.isel(metric=number)
        layer = xr.apply_ufunc(_moments, layer, dask="parallelized", output_dtypes=["datetime64[ns]"]) \
            if unit == "date" else layer.astype(np.float32)  # fmt: skip
        layer.attrs = {"long_name": meaning} | ({} if unit == "date" else {"units": unit})
        layers[name] = layer
    return xr.Dataset(layers).assign_coords(calendar.coords)


def _members(calendar: Calendar, days: Days) -> NDArray[np.bool_]:
    dates = days.astype("datetime64[D]").astype("datetime64[ns]")
    assert calendar.starts is not None
    assert calendar.ends is not None
    return np.asarray((dates >= calendar.starts[:, None]) & (dates < calendar.ends[:, None]))


def _seasons(
    values: NDArray[Any], *, days: Days, daily: Days, how: Smoother | None, members: NDArray[np.bool_],
    levels: tuple[float, float], least: float, max_gap: float | None,
) -> NDArray[np.float64]:  # fmt: skip
    """Return (..., period, metric) of (..., time), a strip of series after the other."""
    flat = values.reshape(-1, values.shape[-1]).T
    found = np.empty((flat.shape[1], len(members), len(METRICS)))
    order = np.argsort(days)
    strip = max(64, _FLOATS // len(daily))
    if how is not None:
        warn_of_few(flat, days, how)
    for first in range(0, flat.shape[1], strip):
        own = flat[:, first : first + strip]
        if how is None:
            curves = own[order].astype(np.float64)
        else:
            curves = smoothed(own, None, days, daily, how, max_gap)
        made = metrics_of(curves, daily, members, levels, least)
        found[first : first + strip] = np.moveaxis(made, -1, 0)
    return found.reshape(*values.shape[:-1], len(members), len(METRICS))


def _moments(days: NDArray[np.float64]) -> NDArray[Any]:
    """Return dates of days since 1970."""
    known = np.isfinite(days)
    whole = np.rint(np.where(known, days, 0) * 86_400).astype("datetime64[s]").astype("datetime64[ns]")
    whole[~known] = np.datetime64("NaT")
    return np.asarray(whole)


def _table(found: xr.Dataset, keys: pd.DataFrame) -> pd.DataFrame:
    import pandas as pd

    count = found.sizes["time"]
    made: dict[str, Any] = {name: keys[name].repeat(count).to_numpy() for name in keys.columns}
    made["time"] = np.tile(found["time"].values, found.sizes["series"])
    for name in METRICS:
        made[name] = found[name].transpose("series", "time").values.ravel()
    return pd.DataFrame(made)
