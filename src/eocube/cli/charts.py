"""A picture of time series."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import OutputError
from ..extras import check_needed

if TYPE_CHECKING:
    import pandas as pd

LINES = 8
"""So many fields have a line of their own; of more, the spread is drawn."""

_COLOURS = ("#1b6ca8", "#c8553d", "#2a9d5c", "#8e5ea2", "#d39b1e", "#16697a", "#7a4b2a", "#5f6b73")
_ENDINGS = (".png", ".svg", ".pdf")
_CLEAR = 0.5
"""Dates of a smaller clear share are drawn pale, and left out of the lines."""


def check_plot(out: Path) -> None:
    """Refuse a picture that could not be drawn.

    Raises
    ------
    OutputError
        If its ending is not known.
    MissingExtraError
        If matplotlib is not installed.
    """
    if out.suffix.lower() not in _ENDINGS:
        raise OutputError(f"--plot {out}: draw {', '.join(_ENDINGS)}.")
    check_needed(("matplotlib",), "--plot", "plot")


def draw_series(table: pd.DataFrame, out: Path, *, stat: str, title: str) -> None:
    """Draw a table of :func:`eocube.timeseries`, one panel per band.

    Parameters
    ----------
    table : DataFrame
        With ``field``, ``time``, ``band``, ``clear`` and the statistic.
    out : Path
    stat : str
        Which column.
    title : str
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    bands = list(dict.fromkeys(table["band"]))
    figure = Figure(figsize=(9, 1.2 + 2.9 * len(bands)), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(len(bands), 1, sharex=True, squeeze=False)[:, 0]
    fields = list(dict.fromkeys(table["field"]))
    for panel, band in zip(panels, bands, strict=True):
        part = table[table["band"] == band].dropna(subset=[stat])
        if len(fields) <= LINES:
            _lines(panel, part, fields, stat)
            _reach(panel, part.loc[part["clear"] >= _CLEAR, stat])
        else:
            _spread(panel, part, stat)
        panel.set_ylabel(f"{stat} of {band}")
        panel.grid(visible=True, color="#e4e4e4", linewidth=0.7)
        panel.set_axisbelow(True)
        panel.spines[["top", "right"]].set_visible(False)
    panels[0].set_title(title, loc="left", fontsize=11)
    word = "pale: less than" if len(fields) <= LINES else "dates at least"
    note = f"{word}\n{_CLEAR:.0%} clear"
    panels[0].legend(
        loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, fontsize=9, title=note, title_fontsize=8,
        alignment="left",
    )  # fmt: skip
    _dates(panels[-1])
    figure.savefig(out, dpi=150)


def _lines(panel: Any, part: pd.DataFrame, fields: list[Any], stat: str) -> None:
    for field, colour in zip(fields, _COLOURS, strict=False):
        own = part[part["field"] == field].sort_values("time")
        clear = own[own["clear"] >= _CLEAR]
        pale = own[own["clear"] < _CLEAR]
        panel.plot(
            clear["time"],
            clear[stat],
            color=colour,
            linewidth=1.4,
            marker="o",
            markersize=4,
            label=str(field),
        )
        panel.plot(
            pale["time"], pale[stat], color=colour, linestyle="none", marker="o", markersize=4, alpha=0.3
        )


def _reach(panel: Any, clear: pd.Series[float]) -> None:
    """Let the clear dates decide what is shown: the rest may be far off, being cloud."""
    if len(clear):
        low, high = float(clear.min()), float(clear.max())
        margin = max(0.08 * (high - low), 0.01)
        panel.set_ylim(low - margin, high + margin)


def _spread(panel: Any, part: pd.DataFrame, stat: str) -> None:
    """Draw the median of all fields and where the middle half and four fifths of them lie."""
    clear = part[part["clear"] >= _CLEAR]
    wide = clear.groupby("time")[stat].quantile(np.array([0.1, 0.25, 0.5, 0.75, 0.9])).unstack()
    if wide.empty:
        return
    for low, high, alpha, name in ((0.1, 0.9, 0.15, "10-90 %"), (0.25, 0.75, 0.3, "25-75 %")):
        panel.fill_between(
            wide.index,
            wide[low],
            wide[high],
            color=_COLOURS[0],
            alpha=alpha,
            linewidth=0,
            label=f"{name} of fields",
        )
    panel.plot(
        wide.index,
        wide[0.5],
        color=_COLOURS[0],
        linewidth=1.6,
        marker="o",
        markersize=4,
        label="median field",
    )


def _dates(panel: Any) -> None:
    from matplotlib import dates

    locator: Any = dates.AutoDateLocator()  # type: ignore[no-untyped-call]
    formatter: Any = dates.ConciseDateFormatter(locator)  # type: ignore[no-untyped-call]
    panel.xaxis.set_major_locator(locator)
    panel.xaxis.set_major_formatter(formatter)
