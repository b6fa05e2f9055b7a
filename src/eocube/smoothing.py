"""Smoothing of time series: tables of fields, arrays, cubes."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from .errors import EocubeWarning, InputError, shorten
from .smoothers import Days, Smoother, as_smoother, smoothed

if TYPE_CHECKING:
    import pandas as pd

_STRIP = 1 << 14
"""Series that are smoothed at a time."""


def smooth(
    source: pd.DataFrame | xr.DataArray,
    how: Smoother,
    *,
    to: Any = None,
    value: str = "mean",
    weights: str | xr.DataArray | None = None,
    max_gap: float | None = None,
) -> pd.DataFrame | xr.DataArray:
    """Smooth time series, and fill their gaps.

    Parameters
    ----------
    source : pandas.DataFrame or xarray.DataArray
        A table of :func:`eocube.timeseries` (each field and band is a series), or an array with ``time``
        and any further dims: the NDVI of a cube, lazy or not. NaN where nothing was seen; dates in any
        order, several a day.
    how : Smoother
        ``Whittaker(1000)``, ``SavitzkyGolay(61)``, ``Linear()`` or your own.
    to : str or dates, optional
        At which dates the curve is given: a frequency (``"1D"``, ``"10D"``, ``"MS"``) from the first to the
        last date, or dates. None: at those of the source.
    value : str
        Of a table: the column that is smoothed.
    weights : str or xarray.DataArray, optional
        How much an observation counts: a column (``"clear"``), or an array that fits to the source.
    max_gap : float, optional
        Days. Within longer gaps without an observation the curve is NaN.

    Returns
    -------
    pandas.DataFrame or xarray.DataArray
        A table with the fields, ``time``, the bands and the value; or an array with the dims of the
        source. A curve belongs to whole days, UTC. NaN before the first and after the last observation of
        a series, and where it has fewer than ``how`` needs.

    Raises
    ------
    InputError
        If there are fewer dates than ``how`` needs, no dates, whole numbers instead of floats, a column is
        missing or a field has a date twice.

    Warns
    -----
    EocubeWarning
        Once, if some series have observations, but on fewer days than ``how`` needs.

    Examples
    --------
    >>> import numpy as np, pandas as pd, xarray as xr
    >>> dates = pd.date_range("2024-01-01", periods=5, freq="10D")
    >>> seen = xr.DataArray([0.2, np.nan, 0.4, np.nan, 0.6], {"time": dates}, "time")
    >>> from eocube import Whittaker
    >>> smooth(seen, Whittaker(10)).round(3).values.tolist()
    [0.2, 0.3, 0.4, 0.5, 0.6]
    """
    how = as_smoother(how)
    if max_gap is not None and not max_gap > 0:
        raise InputError(f"max_gap={max_gap!r}: a number of days above 0 is needed.")
    if isinstance(source, xr.DataArray):
        if isinstance(weights, str):
            raise InputError(f"weights={weights!r} names a column: an array has none, give an array.")
        return _of_array(source, how, to, weights, max_gap)
    array, heavy, keys = from_table(source, value, cast("str | None", weights))
    return to_table(_of_array(array, how, to, heavy, max_gap), keys, value)


def _of_array(
    array: xr.DataArray, how: Smoother, to: Any, weights: xr.DataArray | None, max_gap: float | None
) -> xr.DataArray:
    days = days_of(array, how.need)
    dates = array["time"].values if to is None else _dates(to, array["time"].values)
    options = {"days": days, "out": _days(dates), "how": how, "max_gap": max_gap}
    heavy = [] if weights is None else [_fitting(weights, array)]
    found: xr.DataArray = xr.apply_ufunc(
        _curves, array, *heavy, kwargs=options, input_core_dims=[["time"]] * (1 + len(heavy)),
        output_core_dims=[["time"]], exclude_dims={"time"}, dask="parallelized", keep_attrs=True,
        output_dtypes=[array.dtype],
        dask_gufunc_kwargs={"allow_rechunk": True, "output_sizes": {"time": len(dates)}},
    )  # fmt: skip
    same = {name: c for name, c in array.coords.items() if "time" in c.dims} if to is None else {}
    found = found.transpose(*array.dims).assign_coords({**same, "time": ("time", dates)})
    found.attrs["smoother"] = repr(how)
    return found


def _curves(
    values: NDArray[Any], weights: NDArray[Any] | None = None, *, days: Days, out: Days, how: Smoother,
    max_gap: float | None,
) -> NDArray[Any]:  # fmt: skip
    """Return (..., day out) of (..., time)."""
    flat = values.reshape(-1, values.shape[-1]).T
    heavy = None if weights is None else np.broadcast_to(weights, values.shape).reshape(flat.T.shape).T
    found = np.empty((flat.shape[1], len(out)), dtype=values.dtype)
    for first in range(0, len(found), _STRIP):  # what is made on the way is float64: a strip at a time
        part = slice(first, first + _STRIP)
        own = None if heavy is None else heavy[:, part]
        found[part] = smoothed(flat[:, part], own, days, out, how, max_gap).T
    warn_of_few(flat, days, how)
    return found.reshape(*values.shape[:-1], len(out))


def warn_of_few(flat: NDArray[Any], days: Days, how: Smoother) -> None:
    """Warn if some series (time, series) were seen on fewer days than a smoother needs, but on some."""
    order = np.argsort(days, kind="stable")
    firsts = np.unique(days[order], return_index=True)[1]
    seen = np.logical_or.reduceat(np.isfinite(flat[order]), firsts, axis=0).sum(axis=0)  # days
    if ((seen > 0) & (seen < how.need)).any():
        warnings.warn(
            f"Some series were seen on fewer than {how.need} days, which {how!r} needs: they are NaN.",
            EocubeWarning, stacklevel=2,
        )  # fmt: skip


def days_of(array: xr.DataArray, need: int = 1) -> Days:
    """Return the days since 1970 of an array's dates; raise an error if it is no series of floats."""
    if "time" not in array.dims or "time" not in array.coords or array["time"].dtype.kind != "M":
        raise InputError(f"A series along time with dates of datetime64 is needed, found dims {array.dims}.")
    if "count" in _bands(array):
        raise InputError(
            "The array holds a count beside values, which is no curve: leave it out, with 'source' and "
            "'rung', by .drop_sel(band=...)."
        )
    if array.dtype.kind != "f":
        raise InputError(
            f"A series of floats with NaN for no data is needed, found {array.dtype}: make an index of it "
            "(eocube.ndvi), or load it with dtype='float32'."
        )
    if np.isnat(array["time"].values).any():
        raise InputError("Some dates are missing (NaT): leave them out.")
    days = _days(array["time"].values)
    if len(np.unique(days)) < need:
        raise InputError(f"{len(np.unique(days))} days are too few: {need} are needed.")
    return days


def _bands(array: xr.DataArray) -> list[str]:
    named = "band" in array.dims and "band" in array.coords
    return [str(name) for name in array["band"].values] if named else []


def _days(dates: NDArray[Any]) -> Days:
    return np.asarray(dates.astype("datetime64[D]").astype(np.int64))


def _dates(to: Any, own: NDArray[Any]) -> NDArray[Any]:
    import pandas as pd

    try:
        if isinstance(to, str):
            first, last = pd.Timestamp(own.min()).normalize(), pd.Timestamp(own.max())
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", FutureWarning)  # pandas' guess at a word that it refuses
                found = pd.date_range(first, last, freq=to)
        else:
            found = pd.DatetimeIndex(to)
    except (ValueError, TypeError) as error:
        raise InputError(
            f"to={to!r} is no frequency and no dates: give '1D', '10D', 'MS' or dates."
        ) from error
    if not len(found) or found.hasnans:
        raise InputError(f"to={to!r} gives no dates between {own.min()} and {own.max()}.")
    return np.asarray(found.values.astype("datetime64[ns]"))


def _fitting(weights: Any, array: xr.DataArray) -> xr.DataArray:
    if not isinstance(weights, xr.DataArray) or "time" not in weights.dims:
        raise InputError("weights has to be a DataArray along time that fits to the source.")
    if weights.sizes["time"] != array.sizes["time"] or set(weights.dims) - set(array.dims):
        raise InputError(f"weights {dict(weights.sizes)} do not fit to {dict(array.sizes)}.")
    if weights.chunks is None and float(weights.min()) < 0:
        raise InputError("weights below 0 mean nothing: give shares from 0 to 1.")
    return weights


def from_table(
    table: Any, value: str, weights: str | None
) -> tuple[xr.DataArray, xr.DataArray | None, pd.DataFrame]:
    """Return (series, time) arrays of a table's values and weights, and what names each series."""
    import pandas as pd

    if not isinstance(table, pd.DataFrame):
        raise InputError(f"A table or a DataArray is needed, found {type(table).__name__}.")
    for column in ("time", value, weights):
        if column is not None and column not in table.columns:
            raise InputError(
                f"There is no column {column!r}; there are: {shorten(map(str, table.columns), 12)}."
            )
    names = [name for name in ("field", "band") if name in table.columns]
    if not len(table):
        raise InputError("The table has no rows.")
    if table.duplicated([*names, "time"]).any():
        raise InputError("A series has a date twice: is something but 'field' and 'band' mixed in the table?")
    series: NDArray[Any] = np.zeros(len(table), dtype=np.int64)
    if names:
        series = table.groupby(names, sort=False, dropna=False).ngroup().to_numpy()
    dates, places = np.unique(table["time"].to_numpy(), return_inverse=True)
    arrays = []
    for column in [value] + ([weights] if weights else []):
        grid = np.full((int(series.max()) + 1, len(dates)), np.nan)
        grid[series, places] = table[column].to_numpy(dtype=np.float64)
        arrays.append(xr.DataArray(grid, dims=("series", "time"), coords={"time": dates}))
    firsts = np.unique(series, return_index=True)[1]
    keys: pd.DataFrame = table.take(firsts).reset_index(drop=True)[names]
    return arrays[0], arrays[1] if weights else None, keys


def to_table(array: xr.DataArray, keys: pd.DataFrame, value: str) -> pd.DataFrame:
    """Return the table of an array (series, time)."""
    import pandas as pd

    count = array.sizes["time"]
    made: dict[str, Any] = {name: keys[name].repeat(count).to_numpy() for name in keys.columns}
    made["time"] = np.tile(array["time"].values, array.sizes["series"])
    made[value] = array.transpose("series", "time").values.ravel()
    order = [name for name in ("field", "time", "band", value) if name in made]
    return pd.DataFrame(made)[order]
