"""Maps of one band: classes, provenance, counts, indices."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from ..extras import needed
from .figures import NOTHING, check_count, day_of, grid_of_axes, put
from .legends import MOST, Legend, legend_of
from .pictures import NDVI, check_stretch, colour_map, one_band
from .shrinking import check_one_band, common, dates_in, lone_band, small

_TITLES = {"count": "clear dates", "source": "pixels from", "scl": "SCL", "rung": "rung: mask"}


def plot_map(
    what: Any,
    band: str | None = None,
    *,
    cmap: str | None = None,
    limits: tuple[float, float] | None = None,
    size: int = 800,
    columns: int = 4,
    ax: Any = None,
) -> Any:
    """Show one band with its legend.

    Parameters
    ----------
    what : Plan or xarray.DataArray
        Dims (band, y, x) or (y, x), or with time; lazy or not. Larger than ``size``: see
        :mod:`eocube.plots.shrinking`.
    band : str, optional
        Which one. Not needed where there is one alone, or one and its ``count``.
    cmap : str, optional
        Colour map of matplotlib, for values. Default: ``"YlGn"`` for an NDVI, else ``"viridis"``.
    limits : pair of float, optional
        Values of the first and last colour. Default: -0.2 and 0.9 of an NDVI, else the 2nd and 98th
        percentile.
    size : int
        Pixels of the longer side at most.
    columns : int
        Maps in a row, where there are several dates.
    ax : matplotlib.axes.Axes, optional
        Where to draw, for one date.

    Returns
    -------
    matplotlib.axes.Axes or numpy.ndarray of them
        The second if there are several dates. A legend names classes (``scl``, or any band with CF's
        ``flag_values`` and ``flag_meanings``), scenes (``source``, the provenance of a composite that
        picks observations), numbers of clear observations (``count``, up to 24 of them) and the rungs of a
        ladder (``rung``); a colour bar anything else. Grey: no data.

    Raises
    ------
    BandError, InputError
        If the band is not there, none of several was named, or there are too many dates.
    MissingExtraError
        If matplotlib is not installed.

    Examples
    --------
    >>> import eocube
    >>> world = eocube.sample.cached()
    >>> items = eocube.search(world.items_path)
    >>> cube = eocube.load(items, world.grid, bands=["red", "nir"], mask=eocube.SCLMask())
    >>> clear = eocube.composite(cube, eocube.Count())
    >>> axes = eocube.plot_map(clear)                                      # doctest: +SKIP
    """
    if limits is not None:
        check_stretch((0, 100), limits, 1.0)
    band = lone_band(what) if band is None else band
    if band is None:
        check_one_band(what, "name one by band=.")
    check_count(dates_in(what), ax)
    ramp = None if cmap is None else colour_map(cmap)
    array = small(what, size, None if band is None else (band,))
    single = one_band(array)
    name = common(str(single["band"].item() if "band" in single.coords else single.name or ""))
    if name == "scl" or name == "source":
        single = single.where(single != 0)
    if name in ("count", "rung") and getattr(what, "dtype", np.dtype("f")).kind in "iu":
        single = single.fillna(0)  # a number like any other, though 0 is no data of the bands beside it
    if name == "ndvi" and limits is None:
        limits = NDVI
    source = what if isinstance(what, xr.DataArray) else array
    legend = legend_of(source, name, single.values)
    if legend is not None and len(legend.codes) > MOST:
        legend = None
    dates = (
        [single] if "time" not in single.dims else [single.isel(time=k) for k in range(single.sizes["time"])]
    )
    axes = [ax] if ax is not None else grid_of_axes(dates, columns)
    for axis, one in zip(axes, dates, strict=True):
        title = day_of(one["time"].values) if len(dates) > 1 else ""
        drawn = put(axis, _indexed(one, legend), title, edges=len(dates) == 1)
        _colour(drawn, single, legend, ramp or colour_map("YlGn" if name == "ndvi" else "viridis"), limits)
    _explain(axes, drawn, legend, single, name)
    return axes[0] if len(dates) == 1 else np.array(axes, dtype=object)


def _indexed(array: xr.DataArray, legend: Legend | None) -> xr.DataArray:
    """Return the places of codes in the legend, NaN where they are not in it."""
    if legend is None:
        return array
    found = np.full(array.shape, np.nan, dtype=np.float32)
    for k, code in enumerate(legend.codes):
        found[array.values == code] = k
    return array.copy(data=found)


def _colour(drawn: Any, every: xr.DataArray, legend: Legend | None, ramp: Any, limits: Any) -> None:
    colours = needed("matplotlib.colors", "A map", "plot")
    if legend is not None:
        own = legend.colours or (NOTHING,)
        drawn.set_cmap(colours.ListedColormap(list(own)))
        drawn.set_clim(-0.5, len(own) - 0.5)
        return
    drawn.set_cmap(ramp)
    clear = every.values[np.isfinite(every.values)]
    low, high = limits or (np.percentile(clear, [2, 98]) if clear.size else (0.0, 1.0))
    drawn.set_clim(low, high if high > low else low + 1e-6)


def _explain(axes: list[Any], drawn: Any, legend: Legend | None, array: xr.DataArray, name: str) -> None:
    figure = axes[0].figure
    if legend is None:
        place = (
            {"cax": axes[0].inset_axes((1.03, 0.0, 0.03, 1.0))}
            if len(axes) == 1
            else {"ax": axes, "shrink": 0.8}
        )
        bar = figure.colorbar(drawn, extend="both", **place)
        long = {"ndvi": "NDVI", "count": "clear dates"}.get(name, str(array.attrs.get("long_name", name)))
        bar.set_label(long, parse_math=False)
        return
    patches = needed("matplotlib.patches", "A legend", "plot")
    handles = [
        patches.Patch(facecolor=colour, edgecolor="#888888", linewidth=0.5, label=label.replace("$", r"\$"))
        for colour, label in zip(legend.colours, legend.labels, strict=True)
    ]
    title = _TITLES.get(name, name)
    place = axes[0] if len(axes) == 1 else figure
    where = (
        {"loc": "upper left", "bbox_to_anchor": (1.01, 1.0)}
        if len(axes) == 1
        else {"loc": "outside right upper"}
    )
    place.legend(handles=handles, title=title, fontsize="small", frameon=False, **where)
