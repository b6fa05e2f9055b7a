"""Time series of fields, straight from a plan or from a cube: one Dask task per chunk with fields."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Literal
from uuid import uuid4

import dask.array as da
import numpy as np
import shapely
import xarray as xr
from dask.highlevelgraph import HighLevelGraph
from numpy.typing import NDArray

from .errors import BandError, EocubeWarning, InputError, did_you_mean, shorten
from .fields import Fields, fields_of
from .lazy import Shared, read_window, token_of
from .ledgers import ATTRIBUTE
from .moments import Moments
from .planes import CHUNK, Plane, plane_of
from .plans import Plan
from .zonals import How, Job, across, of_block, of_plan, own_part
from .zones import WEIGHTS, Weights, check_weights

if TYPE_CHECKING:
    import pandas as pd

STATS: tuple[str, ...] = ("mean", "median", "std", "count", "min", "max")


def timeseries(
    source: Plan | xr.DataArray,
    areas: Any,
    *,
    stat: str | Sequence[str] = ("mean", "median", "std", "count"),
    of: Callable[[xr.DataArray], xr.DataArray] | None = None,
    weights: Weights = "exact",
    ids: str | Sequence[Any] | None = None,
    crs: Any = None,
    form: Literal["table", "dataset"] = "table",
) -> pd.DataFrame | xr.Dataset:
    """Compute statistics of fields at each date.

    From a plan, no cube is made: of each chunk that has fields the mask's bands are read, and of the
    others only what lies under a clear pixel of a field.

    Parameters
    ----------
    source : Plan or xarray.DataArray
        A plan; or a cube (time, band, y, x) or (time, y, x), of eocube or of any other library.
    areas : many
        Points and polygons: the path of a vector file, a GeoDataFrame, GeoJSON, a dict of id and
        geometry, one geometry or a list of them. Fields may overlap.
    stat : str or sequence of str
        Of ``"mean"``, ``"median"``, ``"std"`` (of the population), ``"count"``, ``"min"``, ``"max"``.
        With exact weights the median is exactextract's, else the plain one.
    of : callable, optional
        What is made of the bands first, each pixel and date by itself, for instance ``eocube.ndvi``.
        It is given a DataArray (time, band, pixel) and returns one (time, pixel) or (time, band, pixel).
    weights : {"exact", "centre", "all"}
        A pixel counts by the share of it that the field covers (extra ``series``); or fully where its
        centre is covered; or fully where it is touched. A point is the pixel it lies in.
    ids : str or sequence, optional
        Column that holds the ids, or the ids. Default: see :func:`eocube.fields.fields_of`.
    crs : optional
        CRS of ``areas`` when they carry none.
    form : {"table", "dataset"}
        A tidy table, one row per field, time and band; or an xarray.Dataset (field, time, band).

    Returns
    -------
    pandas.DataFrame or xarray.Dataset
        ``field``, ``time`` (UTC), ``band``, the statistics (float64, in the units of the cube; NaN
        where nothing is clear) and ``clear``: the clear share of the field, from 0 to 1. ``count``
        is the sum of the weights of the clear pixels. What lies outside the grid is not clear.

    Raises
    ------
    AreaError
        If a field is empty or crosses itself, ids are not unique, or the CRS is missing.
    InputError
        If a word is not known, the cube is none, or ``of`` does not work pixel by pixel.
    BandError
        If the cube holds classes, of which a mean means nothing.
    MissingExtraError
        If exactextract is needed and not installed.

    Warns
    -----
    EocubeWarning
        Once, if fields lie outside the grid or have no pixel; their rows have a clear share of 0.

    Examples
    --------
    >>> import eocube, shapely
    >>> world = eocube.sample.cached()
    >>> items = eocube.search(world.items_path)
    >>> plan = eocube.plan(items, world.grid, bands=["red", "nir"], mask=eocube.SCLMask())
    >>> field = world.grid.extent.buffer(-500)
    >>> table = eocube.timeseries(plan, {"all": field}, of=eocube.ndvi, stat="mean", weights="centre")
    >>> list(table.columns)
    ['field', 'time', 'band', 'mean', 'clear']
    """
    stats = checked_stats(stat)
    _check_word("weights", weights, WEIGHTS)
    _check_word("form", form, ("table", "dataset"))
    check_weights(weights)
    fields = fields_of(areas, ids=ids, crs=crs)
    plane = plane_of(source)
    how = How(plane.bands, stats, of, weights)
    bands = _bands_out(plane, how)
    shapes = fields.in_pixels(plane.grid)
    pieces = lazy_pieces(plane, jobs_for(shapes, plane.chunks), how)
    result = _result(pieces, shapes, len(bands), plane, how)
    _warn(result.pop("sizes"), fields, weights)
    made = (_dataset if form == "dataset" else _table)(result, fields, plane, bands)
    if isinstance(source, Plan) and source.on_error == "skip":
        made.attrs[ATTRIBUTE] = token_of(source)
    return made


def _result(
    pieces: da.Array | None, shapes: NDArray[Any], bands: int, plane: Plane, how: How
) -> dict[str, NDArray[np.float64]]:
    """Compute, and return the statistics (time, band, field)."""
    found = Moments.empty((len(plane.times), bands, len(shapes)))
    medians, sizes = np.full(found.count.shape, np.nan), np.zeros(len(shapes))
    for piece in [] if pieces is None else pieces.compute():
        if piece.moments is not None:
            found.add(piece.numbers, piece.moments)
            sizes[piece.numbers] += piece.sizes
        for field, values in piece.medians.items():
            medians[..., field] = values
    result = {name: medians if name == "median" else found.named(name) for name in how.stats}
    # What lies outside the grid was not seen: it counts as not clear.
    rows, columns = plane.grid.shape
    left, top, right, bottom = shapely.bounds(shapes).T
    beyond = ~((left >= 0) & (top >= 0) & (right <= columns) & (bottom <= rows))
    dots = shapely.get_type_id(shapes) % 4 == 0  # points and multipoints
    own = np.where(dots, shapely.get_num_coordinates(shapes), shapely.area(shapes))
    full = np.where(beyond, np.maximum(own, sizes), sizes)
    clear = np.divide(found.count, full, out=np.zeros_like(found.count), where=(full > 0) & (sizes > 0))
    return {**result, "clear": clear.clip(0, 1), "sizes": sizes}


def lazy_pieces(plane: Plane, jobs: list[Job], how: How) -> da.Array | None:
    """Return a Dask array (piece,) of :class:`eocube.zonals.Piece`: one task per chunk with fields.

    Only medians of fields that lie in several chunks need more: a task that brings their values together.
    """
    if not jobs:
        return None
    name = f"eocube-series-{uuid4().hex}"
    layer: dict[Any, Any] = {}
    if isinstance(plane.source, Plan):
        token = token_of(plane.source) if plane.source.on_error == "skip" else ""
        layer[name + "-plan",] = Shared(plane.source, token)
        for number, job in enumerate(jobs):
            layer[name, number] = (_read, (name + "-plan",), plane.times, how, job)
        graph = HighLevelGraph({name: layer}, {name: set()})
    else:
        data = _one_block_deep(plane.source)
        for number, job in enumerate(jobs):
            block = (data.name, 0, 0, *job.index)
            layer[name, number] = (of_block, block, plane.times, plane.nodata, how, job)
        graph = HighLevelGraph(data.dask.layers | {name: layer}, data.dask.dependencies | {name: {data.name}})
    pieces = da.Array(graph, name, chunks=((1,) * len(jobs),), dtype=object, meta=_BOX)
    return _with_medians(pieces, jobs, how) if "median" in how.stats else pieces


_BOX = np.empty(0, dtype=object)


def _read(shared: Shared, times: NDArray[Any], how: How, job: Job) -> NDArray[Any]:
    return of_plan(shared.plan, times, how, job, partial(read_window, shared))


def _one_block_deep(cube: xr.DataArray) -> da.Array:
    data: da.Array = cube.data
    if not isinstance(data, da.Array):
        data = da.from_array(cube.values, chunks=(-1, -1, CHUNK, CHUNK), name=False)
    elif data.numblocks[:2] != (1, 1):
        data = data.rechunk({0: -1, 1: -1})
    return data


def _with_medians(pieces: da.Array, jobs: list[Job], how: How) -> da.Array:
    """Add the tasks that join the values of fields across chunks, one for each set of chunks."""
    where: dict[int, list[int]] = {}
    for number, job in enumerate(jobs):
        for field in job.numbers[~job.whole].tolist():
            where.setdefault(field, []).append(number)
    sets: dict[tuple[int, ...], list[int]] = {}
    for field, numbers in where.items():
        sets.setdefault(tuple(numbers), []).append(field)
    if not sets:
        return pieces
    name = f"{pieces.name}-all"
    layer: dict[Any, Any] = {(name, k): (own_part, (pieces.name, k)) for k in range(len(jobs))}
    for k, (places, own) in enumerate(sets.items(), len(jobs)):
        layer[name, k] = (across, np.array(own), how, [(pieces.name, number) for number in places])
    graph = HighLevelGraph(
        pieces.dask.layers | {name: layer}, pieces.dask.dependencies | {name: {pieces.name}}
    )
    return da.Array(graph, name, chunks=((1,) * len(layer),), dtype=object, meta=_BOX)


def jobs_for(shapes: NDArray[Any], chunks: tuple[tuple[int, ...], tuple[int, ...]]) -> list[Job]:
    """Give each chunk the fields that may have pixels in it.

    Parameters
    ----------
    shapes : array of geometries
        In pixels of the grid.
    chunks : tuple of tuple of int
        Heights and widths of the chunks.
    """
    bounds = shapely.bounds(shapes)
    bounds[~np.isfinite(bounds).all(axis=1)] = -1.0  # where the grid's CRS has no place for them
    rows, columns = (np.cumsum([0, *sizes]) for sizes in chunks)
    first_column, first_row, last_column, last_row = (
        np.searchsorted(edges, at, "right") - 1
        for edges, at in zip((columns, rows) * 2, bounds.T, strict=True)
    )
    single = (first_row == last_row) & (first_column == last_column)
    found: dict[tuple[int, int], list[int]] = {}
    for field in range(len(shapes)):
        for i in range(max(0, first_row[field]), min(len(rows) - 2, last_row[field]) + 1):
            for j in range(max(0, first_column[field]), min(len(columns) - 2, last_column[field]) + 1):
                found.setdefault((i, j), []).append(field)
    return [
        Job(
            (i, j), (int(rows[i]), int(rows[i + 1]), int(columns[j]), int(columns[j + 1])),
            np.array(own, dtype=np.intp), shapes[own], single[own],
        )
        for (i, j), own in sorted(found.items())
    ]  # fmt: skip


def checked_stats(stat: str | Sequence[str]) -> tuple[str, ...]:
    """Return the names of statistics; raise an error if one is not known."""
    names = (stat,) if isinstance(stat, str) else tuple(stat)
    for name in names:
        _check_word("stat", name, STATS)
    if not names or len(set(names)) < len(names):
        raise InputError(f"stat={stat!r}: give one statistic or more, each once, of {', '.join(STATS)}.")
    return names


def _check_word(name: str, found: object, known: tuple[str, ...]) -> None:
    if found not in known:
        raise InputError(
            f"{name}={found!r} is not known.{did_you_mean(str(found), known)} Choose of: {', '.join(known)}."
        )


def _bands_out(plane: Plane, how: How) -> list[str]:
    """Return the names of what comes out; try an index on no data first."""
    if how.of is None:
        if plane.classes in plane.bands and set(how.stats) - {"count"}:
            raise BandError(
                f"{plane.classes!r} holds classes, of which {', '.join(how.stats)} mean nothing: leave "
                "it out, or say by of= what is made of it."
            )
        return list(plane.bands)
    return how.names(plane.times)


def _warn(sizes: NDArray[np.float64], fields: Fields, weights: str) -> None:
    none = fields.ids[sizes == 0]
    if len(none):
        why = "lie outside the grid" + (" or cover no pixel's centre" if weights == "centre" else "")
        text = f"{len(none)} of {len(fields.ids)} fields {why}: {shorten(map(repr, none))}. "
        warnings.warn(text + "Their rows have a clear share of 0.", EocubeWarning, stacklevel=3)


def _dataset(result: dict[str, Any], fields: Fields, plane: Plane, bands: list[str]) -> xr.Dataset:
    ids = np.array(fields.ids.tolist())
    coords = {"field": ids, "time": plane.times, "band": np.asarray(bands)}
    layers = {name: (("field", "time", "band"), np.moveaxis(found, -1, 0)) for name, found in result.items()}
    made = xr.Dataset(layers, coords)
    made["clear"].attrs = {"long_name": "clear share of the field", "units": "1"}
    if "count" in made:
        made["count"].attrs = {"long_name": "clear pixels, weighted", "units": "1"}
    return made


def _table(result: dict[str, Any], fields: Fields, plane: Plane, bands: list[str]) -> pd.DataFrame:
    import pandas as pd

    each = len(plane.times) * len(bands)
    columns: dict[str, Any] = {
        "field": pd.Series(fields.ids.tolist()).repeat(each).to_numpy(),
        "time": np.tile(np.repeat(plane.times, len(bands)), len(fields.ids)),
        "band": np.tile(np.asarray(bands, dtype=object), len(fields.ids) * len(plane.times)),
    }
    for name, found in result.items():
        columns[name] = np.moveaxis(found, -1, 0).ravel()
    return pd.DataFrame(columns)
