"""Comparisons: masks beside each other, and beside the truth where it is known.

Each block becomes a few hundred whole numbers, which are added up: nothing large is gathered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr
from dask.base import tokenize
from dask.blockwise import blockwise
from dask.highlevelgraph import HighLevelGraph, MaterializedLayer
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from .errors import GridError, InputError, MaskError
from .lazy import windows_of
from .loaders.base import Loader
from .losses import Window
from .masks.algebra import need
from .masks.parts import Flags, flags_of
from .planning import plan
from .plans import Plan
from .reading import read_flags
from .scenes import Scene
from .sentinel2 import BANDS

CLASSES = {"clear": 0, "cloud": 1, "shadow": 2}
"""Codes of a truth. Any other code is not known, and not counted."""

KINDS = ("cloud", "shadow", "either")
"""What of a truth a mask is held against."""

Truth = Callable[[GeoBox, Scene], NDArray[Any]]


def compare_masks(
    items: Iterable[Any],
    grid: GeoBox,
    masks: Mapping[str, Any],
    *,
    truth: xr.DataArray | Truth | None = None,
    chunk: int | None = None,
    memory: int | str = "2GB",
    loader: str | Loader = "cog",
) -> xr.Dataset:
    """Compare masks on the same pixels: how much they leave, how they agree, how right they are.

    Each mask works as it does alone in :func:`eocube.plan`, at its own resolution. Counted are the
    pixels of the grid for which the bands of all masks have data. Computes at once, block by block, on
    threads or on the cluster whose client is open.

    Parameters
    ----------
    items : ItemCollection or iterable of Items
        As :func:`eocube.plan` takes them.
    grid : odc.geo.geobox.GeoBox
        On which the masks are compared.
    masks : mapping of str to mask
        By name; a name is one word.
    truth : DataArray or callable, optional
        Codes 0 clear, 1 cloud, 2 shadow; anything else is not known, and not counted. A DataArray has
        dims (time, y, x) and lies on the grid; its dates are those of Scenes (UTC), others are not
        known. A callable is given the GeoBox of a block and a :class:`eocube.scenes.Scene`, and returns
        codes (y, x).
    chunk, memory, loader
        See :func:`eocube.plan`.

    Returns
    -------
    xarray.Dataset
        ``observed`` (time): pixels counted. ``clear`` (mask, time): the share that the mask leaves.
        ``agreement`` (mask, other): the share of pixels on which two masks say the same. ``kappa``
        (mask, other): Cohen's, that is agreement beyond what chance would give. With a truth, of
        cloud, of shadow and of both (``kind``): ``precision``, ``recall``, ``f1`` and ``iou`` (mask,
        kind), ``true`` (kind, time), the share there is of it. Cloud is held against clear ground, the
        shadows left out, and the other way round: a mask that throws both away is not blamed for
        either. NaN where there is nothing to count. ``to_dataframe()`` makes a table.

    Raises
    ------
    MaskError
        If there are no masks, or the truth returns something else; as :func:`eocube.plan`.
    GridError
        If the truth lies on another grid.

    Examples
    --------
    >>> import eocube
    >>> world = eocube.sample.cached()
    >>> items = eocube.search(world.items_path)
    >>> masks = {"scl": eocube.SCLMask(), "strict": eocube.SCLMask("strict")}
    >>> found = eocube.compare_masks(
    ...     items, world.grid, masks, truth=lambda box, scene: world.classes_on(box, scene.time))
    >>> bool(found.recall.sel(mask="strict", kind="cloud") > 0.99)
    True
    """
    if not isinstance(masks, Mapping) or not masks:
        raise MaskError("compare_masks needs masks by name: {'scl': eocube.SCLMask(), ...}.")
    table = flags_of(masks)
    # No value band is read, but a plan wants one.
    band = next((band for band in table.bands if band in BANDS and ":" not in band), "red")
    made = plan(items, grid, bands=band, mask=table, chunk=chunk, memory=memory, loader=loader)
    job = _Job(_grouped(made), table.names, truth if callable(truth) else None)
    codes = _codes(truth, made) if isinstance(truth, xr.DataArray) else None
    if truth is not None and codes is None and job.truth is None:
        raise InputError(f"truth={truth!r} is neither a DataArray nor a function.")
    counted = _counts(job, made, codes, truth is not None).sum(axis=(1, 2)).compute()
    counts = np.asarray(counted).reshape(len(made.scenes), -1)
    return _dataset(counts, made, table, truth is not None)


@dataclass(frozen=True)
class _Job:
    """What a task does: plans whose masks see the same bands at the same resolution."""

    plans: tuple[Plan, ...]
    names: tuple[str, ...]
    truth: Truth | None

    def thrown(self, window: Window) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Return what each mask throws away (mask, time, y, x), and where all have data (time, y, x)."""
        found: dict[str, NDArray[np.bool_]] = {}
        seen: Any = True
        for own in self.plans:
            flags = read_flags(own, window)
            seen = seen & (flags != 1)
            for name, bit in own.mask.meanings.items():
                found[name] = (flags & bit) > 0
        return np.stack([found[name] for name in self.names]), np.asarray(seen)


def _grouped(made: Plan) -> tuple[Plan, ...]:
    """Group masks that see the same: their pixels are read once. The farthest reach does for all."""
    table: Flags = made.mask
    groups: dict[Any, list[int]] = {}
    for place, part in enumerate(table.parts):
        wants = need(part)
        groups.setdefault((frozenset(wants.bands), wants.resolution), []).append(place)
    return tuple(
        replace(made, mask=Flags(tuple(table.parts[p] for p in own), tuple(table.names[p] for p in own)))
        for own in groups.values()
    )


def _codes(truth: xr.DataArray, made: Plan) -> da.Array:
    """Return a truth (time, y, x) of the plan's Scenes in its blocks, 255 where it is not known."""
    from .planes import plane_of

    if set(truth.dims) != {"time", "y", "x"}:
        raise InputError(f"A truth has the dims (time, y, x), found {tuple(truth.dims)}.")
    if truth.dtype.kind not in "ui":
        raise InputError(f"A truth holds the codes {CLASSES} as whole numbers, found {truth.dtype}.")
    there = plane_of(truth)
    if there.grid != made.grid:
        raise GridError(
            f"The truth lies on another grid ({_said(there.grid)}) than the masks ({_said(made.grid)}): "
            "bring it there first."
        )
    days = {str(np.datetime_as_string(time, "D")): place for place, time in enumerate(there.times)}
    wanted = [days.get(scene.time.date().isoformat()) for scene in made.scenes]
    if all(place is None for place in wanted):
        shown = ", ".join(sorted(days)[:5])
        raise InputError(f"The truth has no date of the Scenes: it has {shown}.")
    cube = da.asarray(there.source.transpose("time", "band", "y", "x").data)[:, 0]  # type: ignore[union-attr]
    nothing = da.full(cube.shape[1:], 255, dtype=np.uint8)
    known = da.where((cube >= 0) & (cube <= 2), cube, 255).astype(np.uint8)
    layers = [nothing if place is None else known[place] for place in wanted]
    found: da.Array = da.stack(layers).rechunk((-1, *made.chunks))
    return found


def _said(grid: GeoBox) -> str:
    crs = "no CRS" if grid.crs is None else f"EPSG:{grid.crs.epsg}" if grid.crs.epsg else str(grid.crs)
    (rows, columns), a = grid.shape, grid.affine
    return f"{crs}, {columns} x {rows} px of {a.a:g} from {a.c:.10g}, {a.f:.10g}"


def _counts(job: _Job, made: Plan, codes: da.Array | None, judged: bool) -> da.Array:
    """Return the counts of each block, (time * count, row of blocks, column of blocks)."""
    rows, columns = made.chunks
    token = tokenize(made, job.plans, job.truth, job.names)
    name, table = f"eocube-compare-{token}", f"eocube-job-{token}"
    if codes is not None:
        name += f"-{codes.name}"
    given: list[Any] = [table, "", windows_of(rows, columns, (0,)), "tyx"]
    numblocks: dict[str, tuple[int, ...]] = {table: ()}
    if codes is not None:
        given += [codes.name, "tyx"]
        numblocks[codes.name] = codes.numblocks
    layer = blockwise(_count, name, "tyx", *given, numblocks=numblocks, concatenate=True)
    parts: list[Any] = [] if codes is None else [codes]
    graph = HighLevelGraph.from_collections(name, layer, dependencies=parts)
    layers = {**graph.layers, table: MaterializedLayer({(table,): _Kept(job, judged)})}
    needs = {**graph.dependencies, table: set(), name: {*graph.dependencies[name], table}}
    masks = len(job.names)
    each = 1 + masks * masks + (3 + 3 * masks if judged else 0)
    chunks = ((len(made.scenes) * each,), (1,) * len(rows), (1,) * len(columns))
    return da.Array(HighLevelGraph(layers, needs), name, chunks, dtype=np.int64)


@dataclass(frozen=True)
class _Kept:
    """Keeps Dask from looking into the job for keys."""

    job: _Job
    judged: bool


def _count(kept: _Kept, window: Window, codes: NDArray[Any] | None = None) -> NDArray[np.int64]:
    """Count one block: pixels, pixels that two masks throw away, and the same by true class."""
    job = kept.job
    thrown, seen = job.thrown(window)
    if kept.judged and codes is None:
        codes = _asked(job, window)
    found = []
    for time in range(seen.shape[0]):
        here = seen[time]
        own = thrown[:, time][:, here].astype(np.float64)  # exact up to 2**53
        parts = [np.array([here.sum()]), (own @ own.T).ravel()]
        if codes is not None:
            true = np.stack([codes[time][here] == code for code in CLASSES.values()]).astype(np.float64)
            parts += [true.sum(axis=1), (own @ true.T).ravel()]
        found.append(np.concatenate(parts))
    counts: NDArray[np.int64] = np.rint(np.concatenate(found)).astype(np.int64)
    return counts[:, None, None]


def _asked(job: _Job, window: Window) -> NDArray[Any]:
    """Ask the truth for each Scene."""
    assert job.truth is not None
    own = job.plans[0]
    top, bottom, left, right = window
    box = own.grid[top:bottom, left:right]
    found = []
    for scene in own.scenes:
        codes = np.asarray(job.truth(box, scene))
        if codes.shape != tuple(box.shape) or codes.dtype.kind not in "ui":
            raise MaskError(
                f"The truth {job.truth!r} returned {codes.dtype} of shape {codes.shape} for {scene.id}; it "
                f"must return whole numbers of shape {tuple(box.shape)}: {CLASSES}."
            )
        found.append(codes)
    return np.stack(found)


def _dataset(counts: NDArray[np.int64], made: Plan, table: Flags, judged: bool) -> xr.Dataset:
    """Make shares of counts (time, count)."""
    masks = len(table.names)
    pixels, both = counts[:, 0], counts[:, 1 : 1 + masks * masks].reshape(-1, masks, masks)
    times = np.array([scene.time.replace(tzinfo=None) for scene in made.scenes], dtype="datetime64[ns]")
    names = np.array(table.names)
    coords = {"mask": names, "time": times, "other": names,
              "definition": ("mask", np.array([repr(part) for part in table.parts]))}  # fmt: skip
    with np.errstate(invalid="ignore", divide="ignore"):
        alone = np.diagonal(both, axis1=1, axis2=2)
        agreement, kappa = agreements(both.sum(axis=0), int(pixels.sum()))
        found: dict[str, Any] = {
            "observed": ("time", pixels),
            "clear": (("mask", "time"), 1 - alone.T / pixels),
            "agreement": (("mask", "other"), agreement),
            "kappa": (("mask", "other"), kappa),
        }
        if judged:
            totals = counts[:, 1 + masks * masks :][:, :3]
            hits = counts[:, 4 + masks * masks :].reshape(-1, masks, 3).sum(axis=0)
            scores = judgements(hits, totals.sum(axis=0))
            found |= {name: (("mask", "kind"), score) for name, score in scores.items()}
            parts = np.column_stack([totals[:, 1], totals[:, 2], totals[:, 1:].sum(axis=1)])
            found["true"] = (("kind", "time"), (parts / totals.sum(axis=1, keepdims=True)).T)
            coords["kind"] = np.array(KINDS)
    return xr.Dataset(found, coords)


def agreements(both: NDArray[Any], pixels: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return agreement and Cohen's kappa of masks (mask, mask), of the pixels that two throw away."""
    share = both / pixels
    alone = np.diagonal(share)
    neither = 1 - alone[:, None] - alone[None, :] + share
    agreement = share + neither
    chance = alone[:, None] * alone[None, :] + (1 - alone[:, None]) * (1 - alone[None, :])
    return agreement, (agreement - chance) / (1 - chance)


def judgements(hits: NDArray[Any], totals: NDArray[Any]) -> dict[str, NDArray[np.float64]]:
    """Return scores (mask, kind) of pixels thrown away (mask, class) and of all pixels (class,)."""
    wrong = hits[:, :1]
    right = np.column_stack([hits[:, 1], hits[:, 2], hits[:, 1:].sum(axis=1)])
    there = np.array([totals[1], totals[2], totals[1:].sum()])
    missed = there - right
    return {
        "precision": right / (right + wrong),
        "recall": right / there,
        "f1": 2 * right / (2 * right + wrong + missed),
        "iou": right / (right + wrong + missed),
    }
