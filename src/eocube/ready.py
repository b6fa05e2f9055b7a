"""Ready masks: an array of bools, of whatever origin, as a mask."""

from __future__ import annotations

from datetime import date

import numpy as np
import xarray as xr

from .errors import InputError, MaskError
from .masks.arrays import ArrayMask
from .planes import plane_of


def mask_from(array: xr.DataArray, *, outside: bool | None = None) -> ArrayMask:
    """Make a mask of an array that is there already: a lake map, masks of another program.

    Parameters
    ----------
    array : xarray.DataArray
        Bools, True where a pixel is thrown away; dims (y, x), for all dates, or (time, y, x), one for
        each day (UTC). It has a CRS, as odc-geo or rioxarray write it, and lies on the lattice on which
        masks work: that of the grid, or a coarser one in which its pixels are nested. It is loaded, and
        travels with the plan.
    outside : bool, optional
        What is said of pixels beyond the array: False keeps them, True throws them away. Default: an
        error.

    Returns
    -------
    Mask
        To be joined as any other. When it is applied, a ``MaskError`` says if it lies on another grid,
        ends within the area, or lacks a day.

    Raises
    ------
    MaskError
        If it does not hold bools, or has other dims.
    GridError
        If it has no CRS, or no regular pixels.

    Examples
    --------
    >>> import eocube
    >>> world = eocube.sample.cached()
    >>> items = eocube.search(world.items_path)
    >>> red = eocube.load(items, world.grid, bands=["red"]).sel(band="red", drop=True)
    >>> bright = eocube.mask_from((red.max("time") > 0.5).rename("roofs"))
    >>> eocube.SCLMask() | bright
    (SCLMask() | roofs)
    """
    if not isinstance(array, xr.DataArray) or set(array.dims) not in ({"y", "x"}, {"time", "y", "x"}):
        found = tuple(array.dims) if isinstance(array, xr.DataArray) else type(array).__name__
        raise MaskError(f"A ready mask is a DataArray with dims (y, x) or (time, y, x), found {found}.")
    if array.dtype != np.bool_:
        raise MaskError(f"A ready mask holds bools, True = thrown away, found {array.dtype}.")
    if outside not in (None, True, False):
        raise InputError(f"outside={outside!r} is not known: True, False or None.")
    name = str(array.name or "array")
    timed = "time" in array.dims
    bare = array.astype(np.uint8)
    plane = plane_of(bare if timed else bare.expand_dims(time=[np.datetime64(0, "ns")]))
    values = np.asarray(plane.source.values, dtype=bool)[:, 0]  # type: ignore[union-attr]
    every = tuple(date.fromisoformat(str(day)) for day in np.datetime_as_string(plane.times, "D"))
    days = every if timed else None
    if days is not None and len(set(days)) < len(days):
        raise MaskError(f"Mask {name} has a day twice.")
    return ArrayMask(values, plane.grid, days, name, None if outside is None else bool(outside))
