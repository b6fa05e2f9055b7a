"""Pictures in a figure: one, one per date, or several beside each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from ..errors import InputError
from ..extras import needed
from .pictures import COLOURS, GAMMA, PERCENTILES, check_stretch, limits_of, rgb
from .shrinking import dates_in, small

MOST = 60
"""Pictures in one figure."""

NOTHING = "#d9d9d9"
"""Behind what has no data."""


def plot_rgb(
    what: Any,
    *,
    bands: Sequence[str] = COLOURS,
    percentiles: tuple[float, float] = PERCENTILES,
    limits: tuple[float, float] | None = None,
    gamma: float = GAMMA,
    each: bool = False,
    size: int = 800,
    columns: int | None = None,
    ax: Any = None,
) -> Any:
    """Show an array in three colours: one picture, one per date, or several beside each other.

    Parameters
    ----------
    what : Plan, xarray.DataArray or mapping
        As :func:`eocube.rgb` takes it. Of a cube or plan, each date is a picture. A mapping of titles
        and arrays shows them beside each other in one stretch, for instance before and after:
        ``{"before": a, "after": b}``.
    bands, percentiles, limits, gamma
        See :func:`eocube.rgb`. Of a mapping, the percentiles are those of its darkest array.
    each : bool
        Each picture has the percentiles of its own.
    size : int
        Pixels of the longer side of a picture at most.
    columns : int, optional
        Pictures in a row. Default: 4, and all of a mapping up to 4.
    ax : matplotlib.axes.Axes, optional
        Where to draw; for one picture.

    Returns
    -------
    matplotlib.axes.Axes or numpy.ndarray of them
        The second if there are several pictures. The figure is ``axes.figure``. Grey: no data.

    Raises
    ------
    BandError, InputError
        As :func:`eocube.rgb`; or if there are too many pictures.
    MissingExtraError
        If matplotlib is not installed.

    Examples
    --------
    >>> import eocube
    >>> world = eocube.sample.cached()
    >>> items = eocube.search(world.items_path)
    >>> cube = eocube.load(items, world.grid, bands=["red", "green", "blue"])
    >>> axes = eocube.plot_rgb(cube[:2])                                   # doctest: +SKIP
    """
    check_stretch(percentiles, limits, gamma)
    titled = what if isinstance(what, Mapping) else {"": what}
    if not titled:
        raise InputError("There is nothing to show: the mapping is empty.")
    check_count(sum(max(1, dates_in(array)) for array in titled.values()), ax)
    if limits is None and not each and len(titled) > 1:
        limits = _common(titled, bands, percentiles)
    shown = [
        (title, picture)
        for name, array in titled.items()
        for title, picture in _dated(
            str(name),
            rgb(
                array, bands=bands, percentiles=percentiles, limits=limits, gamma=gamma, each=each, size=size
            ),
        )
    ]
    return _drawn(shown, columns or min(len(shown), 4), ax)


def _common(
    titled: Mapping[Any, Any], bands: Sequence[str], percentiles: tuple[float, float]
) -> tuple[float, float]:
    """Return the limits of the array that is the darkest, from a coarse look at each: not those of clouds."""
    every = [small(array, 300, tuple(bands)).values for array in titled.values()]
    found = np.array([limits_of(np.moveaxis(values, -3, -1), percentiles, None) for values in every])
    low, high = found[found[:, 1].argmin()]
    return float(low), float(high)


def _dated(name: str, picture: xr.DataArray) -> list[tuple[str, xr.DataArray]]:
    if "time" not in picture.dims:
        return [(name, picture)]
    days = [day_of(when) for when in picture["time"].values]
    return [(f"{name} {day}".strip(), picture.isel(time=k)) for k, day in enumerate(days)]


def day_of(when: Any) -> str:
    """Return the day of a date of numpy, any other label as it is."""
    return str(when)[:10] if isinstance(when, np.datetime64) else str(when)


def _drawn(shown: list[tuple[str, xr.DataArray]], columns: int, ax: Any) -> Any:
    axes = [ax] if ax is not None else grid_of_axes([picture for _, picture in shown], columns)
    for axis, (title, picture) in zip(axes, shown, strict=True):
        put(axis, picture, title, edges=len(shown) == 1)
    return axes[0] if len(shown) == 1 else np.array(axes, dtype=object)


def check_count(count: int, ax: Any) -> None:
    """Refuse more pictures than a figure, or the axes given, can hold.

    Raises
    ------
    InputError
        Says how many there are.
    """
    if ax is not None and count > 1:
        raise InputError(f"ax= takes one picture, and there are {count}: choose a date, or leave ax out.")
    if count > MOST:
        raise InputError(
            f"{count} pictures are too many for one figure (at most {MOST}): choose dates, or make a film of "
            "them with eocube.timelapse."
        )


def grid_of_axes(pictures: Sequence[Any], columns: int, each: float = 3.2) -> list[Any]:
    """Make a figure with a place for each picture (y, x, ...), in the shape of the first.

    Raises
    ------
    InputError
        If ``columns`` is no number of pictures.
    """
    count = len(pictures)
    if isinstance(columns, bool) or not isinstance(columns, int) or columns < 1:
        raise InputError(f"columns={columns!r} is not a number of pictures: give 1 or more.")
    pyplot = needed("matplotlib.pyplot", "A figure", "plot")
    columns = min(columns, count)
    rows = -(-count // columns)
    height, width = (int(size) for size in pictures[0].shape[:2])
    wide, beside, below = (6.0, 1.2, 0.6) if count == 1 else (each, 0.0, 0.3)  # room for labels
    tall = min(max(wide * height / width, 0.4 * wide), 2.0 * wide)
    _, found = pyplot.subplots(
        rows, columns, figsize=((wide + beside) * columns, (tall + below) * rows), squeeze=False,
        layout="constrained",
    )  # fmt: skip
    axes = list(found.ravel())
    for axis in axes[count:]:
        axis.set_axis_off()
    return axes[:count]


def put(axis: Any, picture: xr.DataArray, title: str = "", *, edges: bool = True) -> Any:
    """Draw a picture (y, x, band) or values (y, x) at its place."""
    axis.set_facecolor(NOTHING)
    drawn = axis.imshow(
        picture.values, extent=extent_of(picture), interpolation="nearest", aspect=_aspect(picture)
    )
    if title:
        axis.set_title(title, fontsize="medium", parse_math=False)
    if edges:
        axis.ticklabel_format(useOffset=False, style="plain")
        axis.tick_params(labelsize="small")
        axis.locator_params(nbins=5)
        axis.set(xlabel=_label(picture, "x"), ylabel=_label(picture, "y"))
    else:
        axis.set(xticks=[], yticks=[])
    return drawn


def extent_of(picture: xr.DataArray) -> tuple[float, float, float, float]:
    """Return left, right, bottom, top of an array's edges, in the units of its coordinates."""
    found: list[float] = []
    for dim in ("x", "y"):
        size = picture.sizes[dim]
        at = picture[dim].values.astype(float) if dim in picture.coords else np.arange(size) + 0.5
        other = picture["y" if dim == "x" else "x"]
        alone = float(abs(other[1] - other[0])) if len(other) > 1 else 1.0
        step = float(at[-1] - at[0]) / (size - 1) if size > 1 else (alone if dim == "x" else -alone)
        found += [float(at[0]) - step / 2, float(at[-1]) + step / 2]
    left, right, top, bottom = found
    return left, right, bottom, top


def _is_lonlat(picture: xr.DataArray) -> bool:
    return str(picture["x"].attrs.get("units", "")).startswith("degree") if "x" in picture.coords else False


def _aspect(picture: xr.DataArray) -> Any:
    """Return equal; of degrees, as long as they are at that latitude."""
    if not _is_lonlat(picture):
        return "equal"
    return 1 / max(0.05, float(np.cos(np.radians(picture["y"].values.mean()))))


def _label(picture: xr.DataArray, dim: str) -> str:
    if dim not in picture.coords:
        return f"{dim} (pixels)"
    if _is_lonlat(picture):
        return {"x": "longitude", "y": "latitude"}[dim] + " (degrees)"
    crs = (
        str(picture["spatial_ref"].attrs.get("projected_crs_name", ""))
        if "spatial_ref" in picture.coords
        else ""
    )
    units = str(picture[dim].attrs.get("units", ""))
    unit = {"metre": "m", "meter": "m"}.get(units, units)
    return f"{dim}" + (f" ({unit})" if unit else "") + (f", {crs}" if crs and dim == "x" else "")
