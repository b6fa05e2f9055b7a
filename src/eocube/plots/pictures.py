"""Colours: reflectance and single bands as what a screen shows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ..errors import InputError
from ..extras import needed
from ..reducers import Percentile
from .shrinking import check_one_band, has_colour, lone_band, small

COLOURS = ("red", "green", "blue")
PERCENTILES = (1.0, 99.0)
GAMMA = 1.4
SIZE = 1200

NDVI = (-0.2, 0.9)
"""First and last colour of an NDVI."""

_SAMPLE = 300
"""Rows and columns of what percentiles of several dates are taken of."""


def rgb(
    what: Any,
    *,
    bands: Sequence[str] = COLOURS,
    percentiles: tuple[float, float] = PERCENTILES,
    limits: tuple[float, float] | None = None,
    gamma: float = GAMMA,
    each: bool = False,
    size: int = SIZE,
) -> xr.DataArray:
    """Make a picture in three colours, of as many pixels as a screen shows.

    Parameters
    ----------
    what : Plan or xarray.DataArray
        A plan; a cube (time, band, y, x), a composite (band, y, x) of eocube or any other library;
        lazy or not. What is larger than ``size`` is read or taken coarser: see
        :mod:`eocube.plots.shrinking`. Of a large area give the plan, or the cube as it was loaded.
    bands : sequence of str
        The three that become red, green and blue: ``("nir", "red", "green")`` for false colour.
    percentiles : pair of float
        Of all three bands together: the darkest and brightest tone. Of several dates, those of their
        lower quartile, so that clouds do not darken the rest.
    limits : pair of float, optional
        The values of the darkest and brightest tone instead, in the units of ``what``.
    gamma : float
        Above 1 brightens what is dark.
    each : bool
        Percentiles of each date by itself, not of all.
    size : int
        Pixels of the longer side at most.

    Returns
    -------
    xarray.DataArray
        uint8, dims (y, x, band) or (time, y, x, band), computed; ``band`` is red, green, blue, alpha.
        Alpha is 0 where one of the bands has no data, else 255. ``limits`` is in the attrs.

    Raises
    ------
    BandError
        If a band is not there.
    InputError
        If percentiles, limits, gamma or size cannot be.

    Examples
    --------
    >>> import eocube
    >>> world = eocube.sample.cached()
    >>> items = eocube.search(world.items_path)
    >>> plan = eocube.plan(items, world.grid, bands=["red", "green", "blue"])
    >>> eocube.rgb(plan, size=100).sizes
    Frozen({'time': 12, 'y': 64, 'x': 92, 'band': 4})
    """
    if len(tuple(bands)) != 3:
        raise InputError(
            f"bands={bands!r}: three bands make a picture, for instance ('red', 'green', 'blue')."
        )
    check_stretch(percentiles, limits, gamma)
    array = small(what, size, tuple(bands))
    values = np.moveaxis(array.values, -3, -1)
    found = limits_of(values, percentiles, limits, each=each and "time" in array.dims)
    coords = {name: coord for name, coord in array.coords.items() if "band" not in coord.dims}
    return xr.DataArray(
        stretched(values, found, gamma),
        dims=(*(dim for dim in array.dims if dim != "band"), "band"),
        coords={**coords, "band": [*COLOURS, "alpha"]},
        attrs={"limits": found.squeeze().tolist(), "bands": list(bands), "grid_mapping": "spatial_ref"},
        name="rgb",
    )


def tinted(
    what: Any,
    *,
    cmap: str,
    limits: tuple[float, float] | None,
    each: bool,
    size: int,
    percentiles: tuple[float, float] = PERCENTILES,
) -> xr.DataArray:
    """Make a picture of one band by a colour map of matplotlib; as :func:`rgb` returns it."""
    check_stretch(percentiles, limits, 1.0)
    lone = lone_band(what)
    if lone is None:
        check_one_band(
            what, "choose one, array.sel(band='nir'), or three as colours, bands=('nir', 'red', 'green')."
        )
    ramp = colour_map(cmap)
    array = one_band(small(what, size, None if lone is None else (lone,)))
    if limits is None and not each and array.name == "ndvi":
        limits = NDVI
    found = limits_of(array.values[..., None], percentiles, limits, each=each and "time" in array.dims)
    picture = np.asarray(ramp(_scaled(array.values[..., None], found)[..., 0], bytes=True), dtype=np.uint8)
    picture[..., 3] = np.where(np.isfinite(array.values), 255, 0)
    coords = {
        name: coord for name, coord in array.coords.items() if "band" not in coord.dims and name != "band"
    }
    return xr.DataArray(
        picture, dims=(*array.dims, "band"), coords={**coords, "band": [*COLOURS, "alpha"]},
        attrs={"limits": found.squeeze().tolist(), "grid_mapping": "spatial_ref"}, name=array.name,
    )  # fmt: skip


def colour_map(cmap: str) -> Any:
    """Return a colour map of matplotlib.

    Raises
    ------
    InputError
        If there is none of that name.
    """
    known = needed("matplotlib", "A colour map", "plot").colormaps
    if cmap not in known:
        raise InputError(f"cmap={cmap!r} is not a colour map of matplotlib: 'YlGn', 'viridis', 'RdYlGn' are.")
    return known[cmap]


def picture_of(
    what: Any, *, limits: tuple[float, float] | None = None, each: bool = False, cmap: str = "YlGn",
    size: int = SIZE, bands: Sequence[str] | None = None,
) -> xr.DataArray:  # fmt: skip
    """Return colours where there are (or ``bands`` are named), else the one band there is."""
    if bands is not None or has_colour(what):
        return rgb(what, bands=bands or COLOURS, limits=limits, each=each, size=size)
    return tinted(what, cmap=cmap, limits=limits, each=each, size=size)


def one_band(array: xr.DataArray) -> xr.DataArray:
    """Return the one band of an array, without the dim; named after the band."""
    if "band" not in array.dims:
        return array
    found = array.isel(band=0)
    return found.rename(str(found["band"].item())) if "band" in found.coords and found.name is None else found


def check_stretch(percentiles: Any, limits: Any, gamma: Any) -> None:
    """Refuse what cannot stretch.

    Raises
    ------
    InputError
        Says what is possible.
    """
    for name, pair, most in (("percentiles", percentiles, 100.0), ("limits", limits, np.inf)):
        if pair is None and name == "limits":
            continue
        try:
            low, high = (float(value) for value in pair)
        except (TypeError, ValueError):
            raise InputError(f"{name}={pair!r}: give a pair of numbers, the lower one first.") from None
        if not (low < high and np.isfinite([low, high]).all()) or (
            name == "percentiles" and not 0 <= low < high <= most
        ):
            raise InputError(f"{name}={pair!r}: the lower one comes first, percentiles lie within 0 and 100.")
    if not (isinstance(gamma, int | float) and np.isfinite(gamma) and gamma > 0):
        raise InputError(f"gamma={gamma!r}: give a number above 0; 1 changes nothing.")


def limits_of(
    values: NDArray[Any],
    percentiles: tuple[float, float],
    limits: tuple[float, float] | None,
    *,
    each: bool = False,
) -> NDArray[np.float64]:
    """Return the darkest and brightest values (2,), or (time, 2) where ``each``.

    Of several dates (time, y, x, band) they are those of their lower quartile: clouds that come and go
    do not darken the rest.
    """
    if limits is not None:
        return np.array(limits, dtype=np.float64)
    if each:
        return np.stack([limits_of(one, percentiles, None) for one in values])
    if values.ndim == 4:
        step = max(1, max(values.shape[1:3]) // _SAMPLE)
        values = _quartile(values[:, ::step, ::step])
    clear = values[np.isfinite(values).all(axis=-1)]
    if not clear.size:
        return np.array([0.0, 1.0])
    low, high = np.percentile(clear, percentiles)
    return np.array([low, high if high > low else low + 1e-6])


def _quartile(values: NDArray[Any]) -> NDArray[Any]:
    return Percentile(25)(values)  # numpy's nanpercentile goes pixel by pixel


def _scaled(values: NDArray[Any], limits: NDArray[np.float64]) -> NDArray[Any]:
    """Return values (..., band) from 0 to 1, by limits (2,) or (time, 2)."""
    low, high = (limits[..., k].reshape(limits.shape[:-1] + (1,) * 3 * (limits.ndim > 1)) for k in (0, 1))
    return np.asarray(np.clip((np.nan_to_num(values) - low) / (high - low), 0, 1))


def stretched(values: NDArray[Any], limits: NDArray[np.float64], gamma: float = GAMMA) -> NDArray[np.uint8]:
    """Turn values (..., 3) into uint8 (..., 4), the last one alpha.

    Parameters
    ----------
    values : float array
        NaN where there is no data.
    limits : array
        (2,), or (time, 2) for values (time, y, x, 3).
    gamma : float
    """
    clear = np.isfinite(values).all(axis=-1)
    tones = _scaled(values, limits) ** (1 / gamma)
    tones[~clear] = 0
    shown = np.concatenate([tones * 255 + 0.5, clear[..., None] * 255.0], axis=-1)
    return np.asarray(shown.astype(np.uint8))
