"""Lazy codes: a cube's values as a step of the graph that a composite can leave out.

A cube is two steps, codes and values. Dask fuses them into one task, so nothing is computed twice;
and a reducer that can work on codes takes them instead of the values, at less memory: so it may take
them in larger blocks, and fewer blocks of the files have to be decoded more than once.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import dask
import dask.array as da
import numpy as np
from dask.base import tokenize
from dask.blockwise import BlockwiseDepDict, blockwise
from dask.highlevelgraph import HighLevelGraph, MaterializedLayer
from dask.system import CPU_COUNT
from numpy.typing import NDArray

from .codes import Coding
from .ledgers import record
from .loaders.crews import limit
from .losses import Window
from .plans import Plan
from .reading import read_codes
from .watches import reducing, window_told
from .workers import warn_of_memory

_CODES, _VALUES, _PLAN = "eocube-codes-", "eocube-values-", "eocube-plan-"


def codes_of(plan: Plan, chunk: int) -> da.Array:
    """Build the graph: the plan is one shared key, a task holds its window and nothing else."""
    rows, columns = plan.cut(chunk)
    table, shared = plan_table(plan)
    name = f"{_CODES}{token_of(plan)}-{chunk}"
    windows = windows_of(rows, columns, (0, 0))
    layer = blockwise(
        read_window, name, "tbyx", table, "", windows, "tbyx", numblocks={table: ()}, concatenate=True
    )
    layers = {name: layer, table: shared}
    graph = HighLevelGraph(layers, {name: {table}, table: set()})
    chunks = ((len(plan.scenes),), (len(plan.bands),), rows, columns)
    return da.Array(graph, name, chunks, dtype=np.uint8 if plan.bands == ("scl",) else np.uint16)


def windows_of(rows: tuple[int, ...], columns: tuple[int, ...], before: tuple[int, ...]) -> BlockwiseDepDict:
    """Return the window of each block, as a step of the graph; ``before`` are a block's other indices."""
    found = {
        (*before, i, j): (top, top + height, left, left + width)
        for i, (top, height) in enumerate(zip(_starts(rows), rows, strict=True))
        for j, (left, width) in enumerate(zip(_starts(columns), columns, strict=True))
    }
    return BlockwiseDepDict(found, numblocks=(*(1 for _ in before), len(rows), len(columns)))


def plan_table(plan: Plan) -> tuple[str, MaterializedLayer]:
    """Return the shared key of a plan, and the step of the graph that holds it."""
    token = token_of(plan)
    table = f"{_PLAN}{token}"
    return table, MaterializedLayer({(table,): Shared(plan, token)})


class Shared:
    """Keeps Dask from looking into the plan for keys."""

    def __init__(self, plan: Plan, token: str) -> None:
        self.plan, self.token = plan, token

    def __reduce__(self) -> Any:
        return Shared, (self.plan, self.token)


def token_of(plan: Plan) -> str:
    """Return what names the blocks of a plan, and what was lost of them."""
    return str(tokenize(plan, plan.mask, plan.loader))


def read_window(shared: Shared, window: Window, look: NDArray[np.bool_] | None = None) -> NDArray[Any]:
    """Read one window in a task; see :func:`eocube.reading.read_codes`."""
    limit(_threads())
    plan, token = shared.plan, shared.token
    with window_told(plan, token, window, part=look is not None) as losses:
        codes = read_codes(plan, window, look, losses)
    if plan.on_error == "skip":
        record(token, window, tuple(losses))
    return codes


def _threads() -> int:
    """Return how many tasks run beside each other in this process, as far as Dask says."""
    distributed = sys.modules.get("distributed.worker")
    if distributed is not None:
        try:
            return int(distributed.get_worker().state.nthreads)
        except (ValueError, AttributeError):
            pass
    if dask.config.get("scheduler", None) in ("sync", "synchronous", "single-threaded"):
        return 1
    return int(dask.config.get("num_workers", None) or CPU_COUNT)


def _starts(sizes: tuple[int, ...]) -> list[int]:
    return [0, *np.cumsum(sizes)[:-1].tolist()]


def decoded(codes: da.Array, coding: Coding) -> da.Array:
    """Return the values of an array of codes."""
    name = codes.name.replace(_CODES, _VALUES)
    meta = np.empty((0, 0, 0, 0), dtype=coding.dtype)
    found: da.Array = da.map_blocks(_decode, codes, coding=coding, name=name, dtype=coding.dtype, meta=meta)
    return found


def codes_under(values: Any) -> tuple[da.Array, Coding] | None:
    """Return the codes that an array of values is made of, if it is just that, in blocks to be reduced."""
    plan = plan_of(values)
    return None if plan is None else (codes_of(plan, plan.chunk_reduced), plan.coding)


def plan_of(values: Any) -> Plan | None:
    """Return the plan that an array holds all values of, if it is just that."""
    name = str(getattr(values, "name", ""))
    source = name.replace(_VALUES, _CODES)
    layers = getattr(getattr(values, "dask", None), "layers", {})
    if not name.startswith(_VALUES) or source not in layers:
        return None
    return _plan_in(layers, values.dask.dependencies.get(source, ()))


def _plan_in(layers: Any, names: Any) -> Plan | None:
    for name in names:
        shared = layers[name].get((name,)) if name.startswith(_PLAN) else None
        if isinstance(shared, Shared):
            return shared.plan
    return None


def check_memory(array: Any) -> None:
    """Warn if tasks of an array that is to be computed may not fit the workers of the current client."""
    for part in [array, *getattr(array, "data_vars", {}).values()]:
        graph = getattr(part, "__dask_graph__", lambda: None)()
        layers = getattr(graph, "layers", None) or {}
        for name, layer in layers.items():
            shared = layer.get((name,)) if str(name).startswith(_PLAN) else None
            if isinstance(shared, Shared):
                values = f"{_VALUES}{str(name).removeprefix(_PLAN)}"
                cube = any(str(other).startswith(values) for other in layers)
                warn_of_memory(shared.plan, cube=cube, reduced=not cube)


def _decode(block: NDArray[Any], coding: Coding) -> NDArray[Any]:
    return coding.decode(block)


def in_time(call: Callable[..., NDArray[Any]], *args: Any) -> NDArray[Any]:
    """Call a reducer's part of a task, and tell how long it takes."""
    with reducing():
        return call(*args)
