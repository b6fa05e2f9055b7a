"""Blocks of a lazy array, one after the other, so that the whole is never in one place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

_BYTES = 512 * 2**20
"""What the blocks that are computed together may take when they are done."""

Place = tuple[int, int, int, int, int, int]
"""Of a block: its row and column among the blocks, first row and column, height, width."""

Found = Iterator[tuple[int, int, NDArray[Any]]]


def blocks_of(data: Any) -> Found:
    """Compute an array (..., y, x) a few blocks at a time.

    Where a cluster's client is open its workers compute, and as many blocks are under way as they have
    threads, and as many again: a slow disk holds the workers up, and fills nobody's memory.

    Yields
    ------
    tuple of int, int, ndarray
        First row and column of a block, and the block. In any order.
    """
    if isinstance(data, np.ndarray):
        yield 0, 0, data
        return
    import dask

    data = data.rechunk(dict.fromkeys(range(data.ndim - 2), -1))
    (data,) = dask.optimize(data)
    places = _places(data.chunks[-2:])
    client = _client()
    most = max(1, _BYTES // max(1, max(height * width for *_, height, width in places) * _pixel(data)))
    if client is None:
        yield from _here(data, places, most)
    else:
        yield from _there(client, data, places, most)


def _places(chunks: Sequence[Sequence[int]]) -> list[Place]:
    """Return the places of all blocks, row by row."""
    rows, columns = ([(i, sum(sizes[:i]), size) for i, size in enumerate(sizes)] for sizes in chunks)
    return [(i, j, top, left, height, width) for (i, top, height), (j, left, width) in product(rows, columns)]


def _pixel(data: Any) -> int:
    return int(np.prod(data.shape[:-2], dtype=np.int64)) * int(data.dtype.itemsize)


def _batched(places: list[Place], size: int) -> Iterator[list[Place]]:
    for first in range(0, len(places), size):
        yield places[first : first + size]


def _block(data: Any, place: tuple[int, ...]) -> Any:
    return data.blocks[(*(0,) * (data.ndim - 2), place[0], place[1])]


def _here(data: Any, places: list[Place], most: int) -> Found:
    import dask
    from dask.system import CPU_COUNT

    threads = int(dask.config.get("num_workers", None) or CPU_COUNT)
    for some in _batched(places, max(threads, min(most, max(16, 2 * threads)))):
        for place, block in zip(some, dask.compute(*(_block(data, place) for place in some)), strict=True):
            yield place[2], place[3], block


def _there(client: Any, data: Any, places: list[Place], most: int) -> Found:
    from distributed import as_completed

    threads = max(1, sum(client.nthreads().values()))
    step = max(1, min(most, threads))
    left = iter(_batched(places, step))
    where: dict[Any, tuple[int, int]] = {}

    def more() -> list[Any]:
        # A batch is one graph: what its blocks share, the plan above all, is sent once.
        some = next(left, [])
        found = client.compute([_block(data, place) for place in some]) if some else []
        where.update((future, (place[2], place[3])) for future, place in zip(found, some, strict=True))
        return list(found)

    try:
        under_way = as_completed([*more(), *more()], with_results=True)
        for future, block in under_way:
            top, left_column = where.pop(future)
            del future
            if isinstance(block, BaseException):  # cancelled: the scheduler is gone
                raise block
            yield top, left_column, block
            del block
            if len(where) <= step:
                under_way.update(more())
    finally:
        if client.status == "running":
            client.cancel(list(where))


def _client() -> Any:
    """Return the client of the cluster that would compute, if one would."""
    from dask.base import get_scheduler

    owner = getattr(get_scheduler(), "__self__", None)
    return owner if type(owner).__module__.startswith("distributed") else None
