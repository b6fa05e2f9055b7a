"""Pictures of masks (extra ``plot``)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ..cubes import load
from ..errors import BandError, GridError, InputError, shorten
from ..extras import check_needed
from ..flags import masks_of
from ..masks.parts import NO_DATA
from ..plans import Plan

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RGB = ("red", "green", "blue")

# Okabe and Ito's colours (jfly.uni-koeln.de/color), which colour-blind people can tell apart; the
# brighter ones first, for they are drawn on ground.
COLOURS = ("#E69F00", "#56B4E9", "#F0E442", "#CC79A7", "#D55E00", "#009E73", "#0072B2", "#FFFFFF")

_MOST = 24

_SHADE = (0.0, 0.0, 0.0, 0.45)
"""Beside lines."""


def plot_masks(
    what: Plan | xr.DataArray,
    masks: Mapping[str, Any] | xr.DataArray | None = None,
    *,
    dates: str | Iterable[str] | None = None,
    style: Literal["outline", "fill"] = "outline",
    columns: int = 3,
    white: float = 0.3,
    pixels: int = 800,
) -> Figure:
    """Draw masks over the picture, one panel per date.

    Parameters
    ----------
    what : Plan or DataArray
        A plan that holds red, green and blue; or a cube of them without a mask, dims (time, band, y, x).
    masks : mapping of str to mask, or DataArray, optional
        Of a plan: masks by name; default are the parts of the plan's mask, as in
        :func:`eocube.masks_of`. Of a plan or a cube: what :func:`eocube.masks_of` gave, bools or flags.
    dates : str or iterable of str, optional
        Days (``"2023-08-20"``). Default: all, at most 24.
    style : {"outline", "fill"}
        Lines around what is thrown away, or translucent colour over it.
    columns : int
        Panels side by side.
    white : float
        Reflectance that is drawn white.
    pixels : int
        Rows and columns of a panel at most; of a larger grid every n-th pixel is drawn. The masks still
        work on all of them.

    Returns
    -------
    matplotlib.figure.Figure
        ``figure.savefig("masks.png")``. It belongs to no window; a notebook shows it.

    Raises
    ------
    BandError
        If red, green or blue is missing.
    GridError
        If the masks do not lie on the pixels of the picture.
    InputError
        If a date is missing, or there are too many.
    MissingExtraError
        If matplotlib is not installed.

    Examples
    --------
    >>> import eocube
    >>> world = eocube.sample.cached()
    >>> items = eocube.search(world.items_path)
    >>> bad = eocube.SCLMask("shadow") | eocube.SCLMask("cloud_high", "cloud_medium", "cirrus")
    >>> plan = eocube.plan(items, world.grid, bands=["red", "green", "blue"], mask=bad)
    >>> figure = eocube.plot_masks(plan, dates="2021-06-24")
    >>> figure.axes[0].get_title()
    '2021-06-24   41 % clear'
    """
    check_needed(("matplotlib",), "plot_masks", "plot")
    if style not in ("outline", "fill"):
        raise InputError(f"style={style!r} is not known: 'outline' or 'fill'.")
    picture = _picture(what)
    found = _masks(what, masks)
    _same_pixels(picture, found)
    places = _places(picture, dates)
    step = math.ceil(max(picture.sizes["y"], picture.sizes["x"]) / pixels)
    small = {"y": slice(None, None, step), "x": slice(None, None, step)}
    import dask

    colours, flags = dask.compute(
        picture.isel(time=places, **small).transpose("time", "y", "x", "band"),  # type: ignore[arg-type]
        found.isel(time=places, **small).transpose("time", "y", "x"),  # type: ignore[arg-type]
    )
    return _drawn(colours, flags, style, columns, white)


def _picture(what: Plan | xr.DataArray) -> xr.DataArray:
    if isinstance(what, Plan):
        missing = [band for band in RGB if band not in what.bands]
        if not missing:
            return load(replace(what, mask=None, bands=RGB, dtype="float32"))
        raise BandError(f"The plan holds no {', '.join(missing)}: a picture needs red, green and blue.")
    if not isinstance(what, xr.DataArray) or set(what.dims) != {"time", "band", "y", "x"}:
        raise InputError(f"plot_masks needs a plan or a cube (time, band, y, x), not {type(what).__name__}.")
    missing = [band for band in RGB if band not in what["band"].values]
    if missing:
        raise BandError(f"The cube holds no {', '.join(missing)}: a picture needs red, green and blue.")
    if what.dtype.kind != "f":
        what = what.where(what != what.attrs.get("nodata", 0)) * what.attrs.get("reflectance_scale", 1e-4)
    found: xr.DataArray = what.sel(band=list(RGB))  # type: ignore[union-attr]
    return found


def _masks(what: Plan | xr.DataArray, masks: Any) -> xr.DataArray:
    if isinstance(masks, xr.DataArray):
        if set(masks.dims) != {"time", "y", "x"} or masks.dtype.kind not in "bu":
            raise InputError(
                f"Masks are bools or flags (time, y, x), as masks_of gives them, found {masks.dtype} "
                f"{tuple(masks.dims)}."
            )
        return masks
    if isinstance(what, Plan):
        return masks_of(what, masks, flags=True)
    raise InputError("A cube does not know its masks: give what eocube.masks_of gave, or a plan.")


def _same_pixels(picture: xr.DataArray, masks: xr.DataArray) -> None:
    for dim in ("time", "y", "x"):
        here, there = picture[dim].values, masks[dim].values
        if here.shape != there.shape or not (here == there).all():
            raise GridError(
                f"The masks lie on other pixels than the picture: {dim} has {len(there)} values from "
                f"{there[0]}, the picture {len(here)} from {here[0]}. Make both of one plan."
            )


def _places(picture: xr.DataArray, dates: str | Iterable[str] | None) -> list[int]:
    days = [str(day) for day in np.datetime_as_string(picture["time"].values, "D")]
    if dates is None:
        places = list(range(len(days)))
    else:
        wanted = [dates] if isinstance(dates, str) else [str(day)[:10] for day in dates]
        missing = [day for day in wanted if day not in days]
        if missing or not wanted:
            raise InputError(f"No date {', '.join(missing)}: there are {shorten(days, 12)}.")
        places = [place for place, day in enumerate(days) if day in wanted]
    if len(places) > _MOST:
        raise InputError(f"{len(places)} dates are too many for a picture: choose at most {_MOST} by dates=.")
    return places


def _layers(flags: xr.DataArray) -> dict[str, int]:
    """Return the bit of each mask."""
    if flags.dtype.kind == "b":
        return {"thrown away": 1}
    names = str(flags.attrs.get("flag_meanings", "")).split()
    bits = np.atleast_1d(flags.attrs.get("flag_masks", [])).tolist()
    if not names or len(names) != len(bits):
        raise InputError("Flags need the attributes flag_masks and flag_meanings, as masks_of gives them.")
    return {name: int(bit) for name, bit in zip(names, bits, strict=True) if name != NO_DATA}


def _drawn(colours: xr.DataArray, flags: xr.DataArray, style: str, columns: int, white: float) -> Figure:
    from matplotlib import pyplot
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    layers = _layers(flags)
    tints = [COLOURS[place % len(COLOURS)] for place in range(len(layers))]
    count, wide = flags.sizes["time"], min(max(1, columns), flags.sizes["time"])
    high = math.ceil(count / wide)
    shape = flags.sizes["y"] / flags.sizes["x"]
    across = 4.2 if wide > 1 else 7.0
    legend = 0.15 + 0.19 * math.ceil(len(layers) / (2 * wide))
    size = (across * wide, (across * shape + 0.3) * high + legend)
    figure = pyplot.figure(figsize=size, layout="constrained")
    pyplot.close(figure)  # a notebook shows what is returned, and would show it twice
    panels = np.atleast_1d(figure.subplots(high, wide, squeeze=False)).ravel()
    for axes in panels[count:]:
        axes.remove()
    for place, axes in enumerate(panels[:count]):
        _panel(axes, colours.values[place], flags.values[place], list(layers.values()), tints, style, white)
        day = np.datetime_as_string(flags["time"].values[place], "D")
        axes.set_title(f"{day}   {_clear(flags.values[place], flags.dtype.kind == 'b')}", fontsize=10)
    handles = [
        Line2D([], [], color=tint, lw=2, label=name) if style == "outline" else Patch(
            facecolor=tint, alpha=0.6, label=name) for name, tint in zip(layers, tints, strict=True)
    ]  # fmt: skip
    side = min(len(handles), 2 * wide)
    box = figure.legend(handles=handles, loc="outside lower center", ncols=side, fontsize=9)
    box.get_frame().set_facecolor("#777777")  # bright lines are seen on it
    for text in box.get_texts():
        text.set_color("white")
    return figure


def _clear(flags: NDArray[Any], bools: bool) -> str:
    """Say what share of the pixels that have data is left; bools do not say which have."""
    seen = flags.size if bools else int((flags != 1).sum())
    return f"{(flags == 0).sum() / seen:.0%} clear".replace("%", " %") if seen else "no data"


def _panel(
    axes: Any, colour: NDArray[Any], flags: NDArray[Any], bits: list[int], tints: list[str], style: str,
    white: float,
) -> None:  # fmt: skip
    from matplotlib.colors import to_rgba
    from matplotlib.patheffects import withStroke

    there = np.isfinite(colour).all(axis=-1)
    # Gamma 1.5: forests and shadows stay apart.
    image = np.clip(np.nan_to_num(colour) / white, 0, 1) ** (1 / 1.5)
    image[~there] = 0.85
    axes.imshow(image, interpolation="nearest")
    for bit, tint in zip(bits, tints, strict=True):
        thrown = (flags & bit > 0) if flags.dtype.kind == "u" else flags
        if not thrown.any():
            continue
        if style == "fill":
            axes.imshow(np.where(thrown[..., None], to_rgba(tint, 0.45), 0.0), interpolation="nearest")
        else:
            # Padded, so that a line closes at the edge of the picture.
            rows, cols = (np.arange(-1, size + 1) for size in thrown.shape)
            lines = axes.contour(cols, rows, np.pad(thrown, 1), [0.5], colors=[tint], linewidths=1.0)
            lines.set_path_effects([withStroke(linewidth=2.2, foreground=_SHADE)])  # seen on clouds, too
    axes.set_xlim(-0.5, flags.shape[1] - 0.5)
    axes.set_ylim(flags.shape[0] - 0.5, -0.5)
    axes.set_xticks([])
    axes.set_yticks([])
