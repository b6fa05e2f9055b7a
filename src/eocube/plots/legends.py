"""Legends: what the numbers of a band stand for, and in which colours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ..errors import InputError
from ..extras import needed
from ..sentinel2 import SCL_CLASSES, SCL_COLOURS

MOST = 24
"""Entries of a legend; of more classes than that only those that are there are shown."""

_SET = (
    "#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#bbbbbb",
)  # fmt: skip
"""Paul Tol's bright scheme, told apart by colour-blind people too."""


@dataclass(frozen=True)
class Legend:
    """Codes, what they mean, their colours.

    Attributes
    ----------
    codes : tuple of int
    labels : tuple of str
    colours : tuple of str
    """

    codes: tuple[int, ...]
    labels: tuple[str, ...]
    colours: tuple[str, ...]

    def only(self, present: NDArray[Any]) -> Legend:
        """Return the legend of what is there."""
        there = set(present.tolist())
        keep = [k for k, code in enumerate(self.codes) if code in there]
        return Legend(
            tuple(self.codes[k] for k in keep),
            tuple(self.labels[k] for k in keep),
            tuple(self.colours[k] for k in keep),
        )


def legend_of(array: xr.DataArray, name: str, values: NDArray[Any]) -> Legend | None:
    """Return the legend of a band of classes, provenance or counts; None for other numbers.

    Parameters
    ----------
    array : xarray.DataArray
        Whose attributes and coordinates say what the numbers mean.
    name : str
        Of the band.
    values : float array
        NaN for no data.
    """
    present = np.unique(values[np.isfinite(values)])
    if name == "scl":
        return Legend(tuple(SCL_CLASSES.values()), tuple(SCL_CLASSES), SCL_COLOURS).only(present)
    if name == "source":
        return _scenes(array, present)
    if "flag_values" in array.attrs and array.attrs.get("flag_band", name) == name:
        return _flags(array, name).only(present)
    if name == "count":
        return _counts(present)
    if name == "rung":
        return _rungs(array, present)
    return None


def _flags(array: xr.DataArray, name: str) -> Legend:
    """Return what CF's attributes say."""
    codes = [int(code) for code in np.atleast_1d(array.attrs["flag_values"])]
    said = array.attrs.get("flag_meanings", "")
    labels = said.split() if isinstance(said, str) else [str(label) for label in said]
    if len(labels) != len(codes):
        raise InputError(
            f"{name!r} has {len(codes)} flag_values and {len(labels)} flag_meanings: "
            "as many of both are needed."
        )
    colours = array.attrs.get("flag_colors", array.attrs.get("flag_colours"))
    own = colours.split() if isinstance(colours, str) else list(colours or ())
    if len(own) != len(codes):
        own = (
            [_SET[k % len(_SET)] for k in range(len(codes))]
            if len(codes) <= len(_SET)
            else _ramp(len(codes), "turbo")
        )
    return Legend(tuple(codes), tuple(label.replace("_", " ") for label in labels), tuple(own))


def _scenes(array: xr.DataArray, present: NDArray[Any]) -> Legend:
    """Return the scenes that a composite's pixels are from: code 1 is the first, 0 none."""
    codes = [int(code) for code in present if code > 0]
    names, days = _table(array, max(codes, default=0))
    colours = _ramp(len(names), "turbo") if len(names) > len(_SET) else list(_SET)
    labels = [
        " ".join(part for part in (days[code - 1], names[code - 1]) if part) or f"scene {code}"
        for code in codes
    ]
    return Legend(tuple(codes), tuple(labels), tuple(colours[code - 1] for code in codes))


def _table(array: xr.DataArray, least: int) -> tuple[list[str], list[str]]:
    """Return ids and days of the scenes, as :func:`eocube.composite` writes them into the attributes."""
    if "source_scenes" in array.attrs:
        names = [str(name) for name in np.atleast_1d(array.attrs["source_scenes"])]
        times = [str(when)[:10] for when in np.atleast_1d(array.attrs.get("source_times", [""] * len(names)))]
    else:
        names, times = [], []
    most = max(least, len(names))
    names, times = ([*own, *[""] * (most - len(own))] for own in (names, times))
    # The id of a scene holds its day.
    return [
        "" if day and day.replace("-", "") in name.replace("-", "") else name
        for name, day in zip(names, times, strict=True)
    ], times


def _counts(present: NDArray[Any]) -> Legend | None:
    codes = [int(code) for code in present]
    if len(codes) > MOST or not codes:
        return None
    most = max(codes)
    shades = ["#7f0000", *_ramp(most, "YlGnBu", 0.15)]  # 0 in a colour of its own
    return Legend(tuple(codes), tuple(map(str, codes)), tuple(shades[code] for code in codes))


def _rungs(array: xr.DataArray, present: NDArray[Any]) -> Legend:
    """Return the rungs of a ladder with the masks they have; 0 is a hole."""
    codes = [int(code) for code in present]
    masks = [str(mask) for mask in np.atleast_1d(array.attrs.get("rungs", []))]
    labels = [_rung(code, masks) for code in codes]
    shades = ["#7f0000", *_ramp(max([*codes, len(masks)], default=1), "viridis_r", 0.1)]
    return Legend(tuple(codes), tuple(labels), tuple(shades[code] for code in codes))


def _rung(code: int, masks: list[str]) -> str:
    if code == 0:
        return "0: hole"
    said = masks[code - 1] if code <= len(masks) else ""
    return f"{code}: {said}" if said else str(code)


def _ramp(count: int, name: str, first: float = 0.0) -> list[str]:
    colours = needed("matplotlib.colors", "A legend", "plot")
    maps = needed("matplotlib", "A legend", "plot").colormaps
    return [colours.to_hex(maps[name](place)) for place in np.linspace(first, 1.0, max(count, 1))]
