"""Ladders: where a strict mask leaves a hole, the next source is asked, and only there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from .calendars import By, Calendar, Climatology, calendar_of
from .climbs import Climb
from .composites import DIMS, checked, made_of, one_reducer
from .errors import InputError
from .lazy import Shared, plan_of, plan_table, read_window, windows_of
from .ledgers import ATTRIBUTE
from .plans import Plan
from .provenance import dates_of, table_of
from .reducers import Reducer

Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Rung:
    """One source of a ladder.

    Parameters
    ----------
    source : Plan or xarray.DataArray
        What is read here: a plan, or a cube (time, band, y, x).
    days : float
        With periods: how many days before and after a period are taken too.
    years : int
        With periods: how many years before and after are taken too, the same days of each.
    """

    source: Plan | xr.DataArray
    days: float = 0
    years: int = 0

    def __post_init__(self) -> None:
        if self.days < 0 or self.years < 0:
            raise InputError(f"Rung(days={self.days}, years={self.years}): both are 0 or more.")

    def members(self, calendar: Calendar, times: NDArray[Any]) -> Bools:
        """Return bool (period, time): which dates are taken for a period."""
        assert calendar.starts is not None
        assert calendar.ends is not None
        around = pd.Timedelta(days=self.days)
        found = np.zeros((len(calendar.starts), len(times)), dtype=bool)
        for years in range(-self.years, self.years + 1):
            shift = pd.DateOffset(years=years)
            starts = (pd.DatetimeIndex(calendar.starts) + shift - around).values
            ends = (pd.DatetimeIndex(calendar.ends) + shift + around).values
            found |= (times >= starts[:, None]) & (times < ends[:, None])
        return found


def fill_ladder(
    rungs: Sequence[Rung | Plan | xr.DataArray],
    reducer: Reducer | Sequence[Reducer],
    *,
    by: By | None = None,
    min_count: int = 1,
) -> xr.DataArray:
    """Make a composite whose holes are filled from one source after the other.

    Each pixel is the reducer's result of the first rung in which it has at least ``min_count`` clear
    observations; it is never mixed of two rungs. What no rung can give stays no data. A rung that
    is a plan, or a cube that :func:`eocube.load` made, is read only where pixels are still open.

    Parameters
    ----------
    rungs : sequence of Rung, Plan or xarray.DataArray
        From the best to the last resort, on one grid and of the same bands: for instance the plans of
        a strict mask, of the default mask, of one that lets thin clouds pass, of other years.
    reducer : Reducer or sequence of Reducer
        ``Median()`` or the like, or several; they work pixel by pixel.
    by : str or Rolling, optional
        Periods as :func:`eocube.composite` takes them, of the dates of the first rung. A ``Rung`` may
        take dates around a period, or of the same days of other years.
    min_count : int
        Clear observations a pixel needs.

    Returns
    -------
    xarray.DataArray
        Dims (band, y, x), or (time, band, y, x) with ``by``; lazy if a rung is, one Dask task per
        chunk. After the reducer's bands come ``count``, the clear observations the pixel is made of, and
        ``rung``, from 1; both are 0 in a hole. The band ``source`` of a reducer that picks one
        observation counts the scenes of all rungs, one rung after the other.

    Raises
    ------
    InputError
        If there is no rung, grids, bands or units differ, ``min_count`` is below 1, or a climatology
        is asked for.

    Examples
    --------
    >>> import eocube
    >>> world = eocube.sample.cached()
    >>> items = eocube.search(world.items_path)
    >>> masks = [eocube.SCLMask("strict"), eocube.SCLMask(), eocube.SCLMask("cloud_high")]
    >>> plans = [eocube.plan(items, world.grid, bands=["red"], mask=mask) for mask in masks]
    >>> best = eocube.fill_ladder(plans, eocube.Median(), min_count=2)
    >>> best.band.values.tolist()
    ['red', 'count', 'rung']
    """
    how = one_reducer(reducer)
    steps = _rungs(rungs)
    if not isinstance(min_count, int) or min_count < 1:
        raise InputError(f"min_count={min_count!r}: a whole number of observations is needed, 1 or more.")
    cubes = [_cube(step.source, how) for step in steps]
    _check_alike(cubes)
    calendar = _calendar(by, steps, cubes[0])
    names = how.bands_out(tuple(str(band) for band in cubes[0]["band"].values))
    if {"count", "rung"} & set(names):
        raise InputError(f"{how!r} gives a band 'count' or 'rung', as the ladder does: leave it out.")
    members = [
        np.ones((1, cube.sizes["time"]), dtype=bool) if calendar is None
        else step.members(calendar, cube["time"].values)
        for step, cube in zip(steps, cubes, strict=True)
    ]  # fmt: skip
    dates = tuple(dates_of(cube) for cube in cubes)
    task = Climb(how, tuple(members), dates, min_count, len(names) + 2, _dtype(how, cubes[0]))
    data = _data(task, [step.source for step in steps], cubes)
    made = _labelled(data, how, [*names, "count", "rung"], cubes)
    items = _items(cubes, members)
    if calendar is None:
        return made.isel(time=0).assign_attrs({"items": items[0].split()} if items else {})
    dated = made.assign_coords(calendar.coords)
    return dated.assign_coords(items=("time", np.asarray(items))) if items else dated


def _rungs(rungs: Any) -> list[Rung]:
    if isinstance(rungs, Plan | Rung | xr.DataArray) or not rungs:
        raise InputError("A ladder is a list of plans or cubes, from the best to the last resort.")
    return [step if isinstance(step, Rung) else Rung(step) for step in rungs]


def _cube(source: Any, how: Reducer) -> xr.DataArray:
    if isinstance(source, Plan):
        from .cubes import load

        source = load(source)
    return checked(source, how)


def _check_alike(cubes: list[xr.DataArray]) -> None:
    import odc.geo.xr  # noqa: F401  (makes .odc)

    first = cubes[0]
    for number, cube in enumerate(cubes[1:], 2):
        for name in ("band", "y", "x"):
            if not np.array_equal(first[name].values, cube[name].values):
                said = f": {', '.join(map(str, cube[name].values))}" if name == "band" else ""
                raise InputError(f"Rung {number} has another {name} than rung 1{said}: plan both alike.")
        if first.dtype != cube.dtype or first.odc.crs != cube.odc.crs:
            raise InputError(
                f"Rung {number} is {cube.dtype} in {cube.odc.crs}, rung 1 {first.dtype} in {first.odc.crs}: "
                "plan both alike."
            )


def _calendar(by: By | None, steps: list[Rung], first: xr.DataArray) -> Calendar | None:
    if by is None:
        if any(step.days or step.years for step in steps):
            raise InputError("A Rung's days and years widen periods: say by='month' or the like.")
        return None
    if isinstance(by, Climatology) or by == "climatology":
        raise InputError("A ladder has no climatology: that takes the dates of all years already.")
    return calendar_of(by, first["time"].values)


def _dtype(how: Reducer, cube: xr.DataArray) -> np.dtype[Any]:
    dtype = np.dtype(how.dtype_out(cube.dtype))
    return dtype if dtype.kind == "f" else np.result_type(dtype, np.uint16)


def _data(task: Climb, sources: list[Any], cubes: list[xr.DataArray]) -> Any:
    plans = [source if isinstance(source, Plan) else plan_of(source.data) for source in sources]
    if all(isinstance(cube.data, np.ndarray) for cube in cubes):
        blocks = [cube.data for cube in cubes]
        return task(blocks[0].shape[2:], [partial(_given, block) for block in blocks])
    import dask.array as da
    from dask.base import tokenize
    from dask.blockwise import blockwise
    from dask.highlevelgraph import HighLevelGraph

    known = [made for made in plans if made is not None]
    lazy = next(cube.data for cube in cubes if not isinstance(cube.data, np.ndarray))
    rows, columns = lazy.chunks[2:]
    if known:
        rows, columns = known[0].cut(min(made.chunk_reduced for made in known))
    layers: dict[str, Any] = {}
    dependencies: dict[str, set[str]] = {}
    arguments: list[Any] = []
    numblocks: dict[str, tuple[int, ...]] = {}
    names = []
    for cube, made in zip(cubes, plans, strict=True):
        if made is not None:
            name, layer = plan_table(made)
            layers[name], dependencies[name] = layer, set()
            arguments += [name, ""]
            numblocks[name] = ()
        else:
            array = da.asarray(cube.data).rechunk((-1, -1, rows, columns))
            name = array.name
            layers |= array.dask.layers
            dependencies |= array.dask.dependencies
            arguments += [name, "pcyx"]  # one block deep, as the result is
            numblocks[name] = array.numblocks
        names.append(name)
    parts = task.how, task.members, task.dates, task.least, str(task.dtype)
    name = "ladder-" + tokenize(parts, names, rows, columns)
    layers[name] = blockwise(
        _climb, name, "pcyx", task, None, windows_of(rows, columns, (0, 0)), "pcyx", *arguments,
        numblocks=numblocks, concatenate=True,
    )  # fmt: skip
    dependencies[name] = set(names)
    graph = HighLevelGraph(layers, dependencies)
    chunks = ((len(task.members[0]),), (task.bands,), rows, columns)
    return da.Array(graph, name, chunks, dtype=task.dtype)


def _climb(task: Climb, window: tuple[int, int, int, int], *sources: Any) -> NDArray[Any]:
    top, bottom, left, right = window
    takes = [
        partial(_read, source, window) if isinstance(source, Shared) else partial(_given, source)
        for source in sources
    ]
    return task((bottom - top, right - left), takes)


def _read(shared: Shared, window: tuple[int, int, int, int], look: Bools) -> tuple[NDArray[Any], Any]:
    return read_window(shared, window, None if look.all() else look), shared.plan.coding


def _given(block: NDArray[Any], look: Bools) -> tuple[NDArray[Any], Any]:  # noqa: ARG001
    return block, None


def _items(cubes: list[xr.DataArray], members: Sequence[Bools]) -> list[str]:
    """Return of each period the Items that may be in it; nothing if a cube does not say its own."""
    if not all("items" in cube.coords for cube in cubes):
        return []
    names = [cube["items"].values.astype("O").astype(str) for cube in cubes]
    return [
        " ".join(sorted({item for own, rows in zip(names, members, strict=True)
                         for items in own[rows[period]] for item in items.split()}))
        for period in range(len(members[0]))
    ]  # fmt: skip


def _labelled(data: Any, how: Reducer, bands: list[str], cubes: list[xr.DataArray]) -> xr.DataArray:
    first = cubes[0]
    keep = {name: c for name, c in first.coords.items() if not {"time", "band"} & {name, *c.dims}}
    attrs = {
        **{name: value for name, value in first.attrs.items() if name not in ("mask", "left_out", "skipped")},
        "reducer": repr(how),
        "rungs": [str(cube.attrs.get("mask", "")) for cube in cubes],
        "scenes": int(sum(cube.sizes["time"] for cube in cubes)),
    }
    made = [made_of(cube) for cube in cubes]
    for name, pick in (("first_date", min), ("last_date", max)):
        if all(name in own for own in made):
            attrs[name] = pick(own[name] for own in made)
    if getattr(how, "picks", False):
        tables = [table_of(cube) for cube in cubes]
        attrs |= {name: [own for table in tables for own in table[name]] for name in tables[0]}
    tokens = {str(cube.attrs[ATTRIBUTE]) for cube in cubes if ATTRIBUTE in cube.attrs}
    if tokens:
        attrs |= {"on_error": "skip", ATTRIBUTE: " ".join(sorted(tokens))}
    array = xr.DataArray(data, dims=DIMS, coords={"band": bands, **keep}, attrs=attrs)
    array.name = first.name  # else xarray takes Dask's
    return array
