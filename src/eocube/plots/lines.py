"""Time series as lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from ..errors import InputError, did_you_mean, shorten
from ..extras import needed

if TYPE_CHECKING:
    import pandas as pd

MOST = 12
"""Fields in one figure."""


def plot_series(
    table: pd.DataFrame | xr.Dataset,
    *,
    value: str | None = None,
    fields: Sequence[Any] | None = None,
    min_clear: float = 0.5,
    spread: bool = True,
    ax: Any = None,
) -> Any:
    """Show the time series of fields: a line each, and one panel per band.

    Parameters
    ----------
    table : pandas.DataFrame or xarray.Dataset
        What :func:`eocube.timeseries` returns, or any table with ``field``, ``time`` and values.
    value : str, optional
        The column that is shown. Default: ``median``, else ``mean``, else the first statistic.
    fields : sequence, optional
        Ids of those that are shown. Default: all, up to 12.
    min_clear : float
        A date on which less of a field is clear (from 0 to 1) is a small hollow point, off the line.
    spread : bool
        Shade one standard deviation around the line, where the table has ``std`` and one
        field is shown.
    ax : matplotlib.axes.Axes, optional
        Where to draw, for one band.

    Returns
    -------
    matplotlib.axes.Axes or numpy.ndarray of them
        The second if there are several bands.

    Raises
    ------
    InputError
        If the table lacks a column, a field is not in it, or there are too many.
    MissingExtraError
        If matplotlib is not installed.

    Examples
    --------
    >>> import eocube, shapely
    >>> world = eocube.sample.cached()
    >>> items = eocube.search(world.items_path)
    >>> plan = eocube.plan(items, world.grid, bands=["red", "nir"], mask=eocube.SCLMask())
    >>> field = world.grid.extent.buffer(-500)
    >>> table = eocube.timeseries(plan, {"all": field}, of=eocube.ndvi, weights="centre")
    >>> axes = eocube.plot_series(table)                                   # doctest: +SKIP
    """
    rows = _rows(table)
    column = _column(rows, value)
    chosen = _fields(rows, fields)
    bands = list(dict.fromkeys(rows["band"])) if "band" in rows else [None]
    if ax is not None and len(bands) > 1:
        raise InputError(f"ax= takes one band, and the table has {len(bands)}: {shorten(map(str, bands))}.")
    if ax is None:
        pyplot = needed("matplotlib.pyplot", "A figure", "plot")
        _, axes = pyplot.subplots(
            len(bands), 1, figsize=(8, 3.2 * len(bands)), squeeze=False, sharex=True, layout="constrained"
        )
        axes = list(axes[:, 0])
    else:
        axes = [ax]
    for axis, band in zip(axes, bands, strict=True):
        own = rows if band is None else rows[rows["band"] == band]
        shaded = spread and "std" in rows and column in ("mean", "median") and len(chosen) == 1
        for field in chosen:
            _line(axis, own[own["field"] == field].sort_values("time"), field, column, min_clear, shaded)
        _finish(axis, band, column, len(chosen))
    return axes[0] if len(axes) == 1 else np.array(axes, dtype=object)


def _rows(table: Any) -> Any:
    if isinstance(table, xr.Dataset):
        table = table.to_dataframe().reset_index()
    if not hasattr(table, "columns") or not {"field", "time"} <= set(table.columns):
        found = shorten(map(str, getattr(table, "columns", [type(table).__name__])))
        raise InputError(f"A table of eocube.timeseries is needed, with field and time; found {found}.")
    if not len(table):
        raise InputError("The table is empty: there is nothing to show.")
    return table


def _column(rows: Any, value: str | None) -> str:
    known = [str(name) for name in rows.columns if name not in ("field", "time", "band", "clear")]
    if value is None:
        found = next((name for name in ("median", "mean", *known) if name in known), None)
        if found is None:
            raise InputError("The table has no values besides field, time, band and clear.")
        return found
    if value not in rows.columns:
        raise InputError(
            f"The table has no column {value!r}.{did_you_mean(value, known)} There are: {shorten(known, 12)}."
        )
    return value


def _fields(rows: Any, fields: Sequence[Any] | None) -> list[Any]:
    there = list(dict.fromkeys(rows["field"]))
    chosen = there if fields is None else list(fields)
    missing = [field for field in chosen if field not in there]
    if missing or not chosen:
        raise InputError(
            f"The table has no field {shorten(map(repr, missing))}; there are {shorten(map(repr, there))}."
        )
    if len(chosen) > MOST:
        raise InputError(
            f"{len(chosen)} fields are too many for one figure (at most {MOST}): choose by fields=[...]."
        )
    return chosen


def _line(axis: Any, rows: Any, field: Any, column: str, min_clear: float, shaded: bool) -> None:
    values = rows[column].to_numpy(dtype=float)
    times = rows["time"].to_numpy()
    clear = rows["clear"].to_numpy(dtype=float) if "clear" in rows else np.ones(len(rows))
    good = np.isfinite(values) & (clear >= min_clear)
    drawn = axis.plot(
        times[good],
        values[good],
        marker="o",
        markersize=4,
        linewidth=1.4,
        label=str(field).replace("$", r"\$"),
    )[0]
    doubtful = np.isfinite(values) & ~good
    axis.plot(
        times[doubtful], values[doubtful], marker="o", markersize=3.5, linestyle="none",
        markerfacecolor="none", color=drawn.get_color(), alpha=0.6,
    )  # fmt: skip
    if shaded:
        std = rows["std"].to_numpy(dtype=float)[good]
        low, high = values[good] - std, values[good] + std
        axis.fill_between(times[good], low, high, color=drawn.get_color(), alpha=0.15, linewidth=0)


def _finish(axis: Any, band: Any, column: str, count: int) -> None:
    dates = needed("matplotlib.dates", "A figure", "plot")
    name = {None: "", "ndvi": "NDVI"}.get(band, str(band))
    axis.set_ylabel(f"{name} ({column})" if name else column)
    locator = dates.AutoDateLocator(minticks=3, maxticks=9)
    axis.xaxis.set_major_locator(locator)
    axis.xaxis.set_major_formatter(dates.ConciseDateFormatter(locator))
    axis.grid(alpha=0.25)
    axis.spines[["top", "right"]].set_visible(False)
    if count > 1:
        axis.legend(  # above the lines, not on them
            frameon=False, fontsize="small", ncols=min(count, 4), loc="lower left", bbox_to_anchor=(0.0, 1.0),
            borderaxespad=0.2,
        )  # fmt: skip
