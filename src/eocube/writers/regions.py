"""Regions: a raster written part by part, each by the process that computed it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .workplaces import Workplace


@dataclass(frozen=True)
class Raster:
    """One array of a store.

    Attributes
    ----------
    name : str
        Of the variable.
    metadata : bytes
        Its ``zarr.json``.
    offset : int
        At which index of its first axis the data begin; not 0 where dates are appended.
    place : Workplace
    """

    name: str
    metadata: bytes = field(repr=False)
    offset: int
    place: Workplace

    def write(self, block: NDArray[Any], start: Sequence[int]) -> None:
        """Encode a block that begins at an index of the data, and write its chunks.

        The block covers whole chunks, so no two regions touch one; done twice, it is the same.
        """
        import zarr
        from zarr.core.buffer import default_buffer_prototype
        from zarr.storage import MemoryStore

        kept = {"zarr.json": default_buffer_prototype().buffer.from_bytes(self.metadata)}
        array: Any = zarr.open_array(
            MemoryStore(kept), mode="r+", zarr_format=3, config={"write_empty_chunks": True}
        )
        first = (start[0] + self.offset, *start[1:])
        array[tuple(slice(a, a + n) for a, n in zip(first, block.shape, strict=True))] = block
        for name, content in kept.items():
            if name != "zarr.json":
                self.place.put(f"{self.name}/{name}", content.to_bytes())


def write_regions(rasters: Sequence[tuple[Raster, Any]], done: set[str]) -> None:
    """Write all regions of some lazy arrays that are not done yet, by the workers of a cluster if any.

    Parameters
    ----------
    rasters : sequence of (Raster, dask array)
        Cut so that each block covers whole chunks.
    done : set of str
        Regions to leave out.
    """
    import dask.array as da
    from dask.base import compute_as_if_collection
    from dask.highlevelgraph import HighLevelGraph

    steps, keys = [], []
    for raster, data in rasters:
        written = da.map_blocks(
            _write, data, raster, dtype=np.uint8, chunks=tuple((1,) * n for n in data.numblocks),
            meta=np.empty((0,) * data.ndim, dtype=np.uint8), name=f"eocube-write-{raster.name}-{data.name}",
        )  # fmt: skip
        steps.append(written)
        every = np.ndindex(*data.numblocks)
        keys += [(written.name, *index) for index in every if region(raster.name, index) not in done]
    if keys:
        graph = HighLevelGraph.merge(*(step.dask for step in steps))
        compute_as_if_collection(da.Array, graph, keys)


def region(name: str, index: Sequence[int]) -> str:
    """Return the name of a region."""
    return f"{name}/{'.'.join(map(str, index))}"


def _write(block: NDArray[Any], raster: Raster, block_info: Any = None) -> NDArray[np.uint8]:
    said = block_info[0]
    raster.write(block, [start for start, _ in said["array-location"]])
    raster.place.done(region(raster.name, said["chunk-location"]))
    return np.zeros((1,) * block.ndim, dtype=np.uint8)
