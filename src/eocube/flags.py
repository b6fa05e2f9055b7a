"""Flags: the masks of a plan as a lazy cube, one Dask task per block; no value band is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr
from dask.blockwise import blockwise
from dask.highlevelgraph import HighLevelGraph, MaterializedLayer
from numpy.typing import NDArray
from odc.geo.xr import xr_coords

from .errors import InputError, MaskError
from .lazy import Shared, token_of, windows_of
from .ledgers import ATTRIBUTE, record
from .losses import Loss, Window
from .masks.parts import Flags, flags_of
from .plans import Plan
from .reading import read_flags

DIMS = ("time", "y", "x")


def masks_of(plan: Plan, masks: Mapping[str, Any] | None = None, *, flags: bool = False) -> xr.DataArray:
    """Make a lazy cube of what is thrown away, and by which mask.

    Parameters
    ----------
    plan : Plan
        From :func:`eocube.plan`. Its mask is looked at, on the very pixels on which it works when the
        plan is loaded.
    masks : mapping of str to mask, optional
        Other masks, by name. The plan has to hold their bands.
    flags : bool
        Return flags instead of bools.

    Returns
    -------
    xarray.DataArray
        Dims (time, y, x), lazy, all times of a block in one Dask task. Without ``flags``: bool, True
        where a pixel is thrown away, or where a band of the masks has no data. With ``flags``: uint8, uint16
        from 8 masks on, uint32 from 16 on; bit 1 alone is no data, the others are the parts of the
        mask (of ``a | b``, ``a & b`` and ``vote(a, b)``: ``a`` and ``b``), set where the whole throws
        away and the part does too, or the masks that were given. CF's attributes ``flag_masks`` and
        ``flag_meanings`` name them, ``masks`` says them in full. Flags above 0 are the bools.

    Raises
    ------
    MaskError
        If there is no mask, or the plan does not hold a band that one needs.
    InputError
        If it is not a plan.

    Examples
    --------
    >>> import eocube
    >>> world = eocube.sample.cached()
    >>> items = eocube.search(world.items_path)
    >>> bad = eocube.SCLMask("shadow") | eocube.SCLMask("cloud_high").dilate(metres=60)
    >>> plan = eocube.plan(items, world.grid, bands=["red"], mask=bad)
    >>> found = eocube.masks_of(plan, flags=True)
    >>> found.attrs["flag_meanings"]
    'no_data SCLMask_shadow SCLMask_cloud_high_.dilate_metres_60'
    """
    if not isinstance(plan, Plan):
        raise InputError(f"masks_of needs a plan made by eocube.plan, not a {type(plan).__name__}.")
    if masks is None and plan.mask is None:
        raise MaskError("The plan has no mask: give plan(..., mask=...), or masks by name.")
    table = flags_of(plan.mask if masks is None else masks)
    if masks is not None:
        _check_bands(plan, table)
    made = replace(plan, mask=table)
    data = _flags(made)
    attrs: dict[str, Any] = {"grid_mapping": "spatial_ref", "masks": [repr(part) for part in table.parts]}
    if flags:
        bits = np.array(list(table.meanings.values()), dtype=table.dtype)
        attrs |= {"long_name": "what throws a pixel away", "flag_masks": bits}
        attrs["flag_meanings"] = " ".join(table.meanings)
    else:
        data = data != 0
        attrs["long_name"] = "thrown away, or no data"
    if plan.on_error == "skip":
        attrs |= {"on_error": "skip", ATTRIBUTE: token_of(made)}
    return xr.DataArray(data, dims=DIMS, coords=_coordinates(plan), attrs=attrs, name="masks")


def _check_bands(plan: Plan, table: Flags) -> None:
    held = set.intersection(*(set(g.every_source) for scene in plan.scenes for g in scene.granules))
    for part in table.parts:
        missing = [band for band in part.bands if band not in held]
        if missing:
            raise MaskError(
                f"Mask {part!r} needs {', '.join(part.bands)}, the plan holds no {', '.join(missing)}: add "
                f"{missing} to the bands of the plan."
            )


def _coordinates(plan: Plan) -> dict[str, Any]:
    times = np.array([scene.time.replace(tzinfo=None) for scene in plan.scenes], dtype="datetime64[ns]")
    said = {"standard_name": "time", "long_name": "sensing time (UTC)"}
    return {
        "time": ("time", times, said),
        "scene": ("time", np.array([scene.id for scene in plan.scenes])),
        **{str(name): found for name, found in xr_coords(plan.grid, dims=("y", "x")).items()},
    }


def _flags(plan: Plan) -> da.Array:
    rows, columns = plan.chunks
    token = token_of(plan)
    name, table = f"eocube-flags-{token}", f"eocube-plan-{token}"
    layer = blockwise(
        _read, name, "tyx", table, "", windows_of(rows, columns, (0,)), "tyx", numblocks={table: ()},
        concatenate=True,
    )  # fmt: skip
    layers = {name: layer, table: MaterializedLayer({(table,): Shared(plan, token)})}
    graph = HighLevelGraph(layers, {name: {table}, table: set()})
    return da.Array(graph, name, ((len(plan.scenes),), rows, columns), dtype=plan.mask.dtype)


def _read(shared: Shared, window: Window) -> NDArray[Any]:
    return read_window_flags(shared.plan, window, shared.token)


def read_window_flags(plan: Plan, window: Window, token: str) -> NDArray[Any]:
    """Read one window in a task; see :func:`eocube.reading.read_flags`."""
    if plan.on_error == "raise":
        return read_flags(plan, window)
    losses: list[Loss] = []
    found = read_flags(plan, window, losses)
    record(token, window, tuple(losses))
    return found
