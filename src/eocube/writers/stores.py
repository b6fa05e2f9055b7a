"""Zarr stores."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Mapping
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from ..errors import InputError
from ..lazy import check_memory
from ..ledgers import lost, tokens_of
from .appending import Joined, joined, opened
from .conventions import as_dataset, geozarr, pixels_of
from .outputs import check_target
from .regions import Raster, write_regions
from .remotes import Remote
from .workplaces import Workplace

ALONG = 1024
"""Chunk of coordinates along time: they can grow without another layout."""


def write_zarr(
    data: xr.DataArray | xr.Dataset,
    path: str | os.PathLike[str] | Remote,
    *,
    append: bool = False,
    resume: bool = True,
    chunks: Mapping[str, int] | None = None,
    overwrite: bool = False,
) -> Path | Remote:
    """Write a cube or a composite as a Zarr store (version 3), part by part.

    Each region is encoded and written by the process that computed it, a worker of a cluster if one is
    open; it has to reach the place. A run that was killed goes on where it was when the same is written
    again.

    Parameters
    ----------
    data : xarray.DataArray or Dataset
        Lazy or not. A DataArray without a name becomes the variable ``eocube``.
    path : path
        A folder, or ``"s3://bucket/key"``; ends up whole or not at all.
    append : bool
        Add later dates to a store that was written so.
    resume : bool
        Go on with a run of the very same data that was killed, instead of starting anew. Never done with
        ``on_error="skip"``, because what was lost is not known any more.
    chunks : mapping of str to int, optional
        Lengths of the store's chunks. Default: one date, all bands, and rows and columns as they are
        computed.
    overwrite : bool
        Replace what is there.

    Returns
    -------
    Path
        What was written, to be opened by ``xarray.open_zarr(path, decode_coords="all")``. It says in the
        words of CF-1.11, and of GeoZarr's conventions ``proj`` and ``spatial``, what it is. Whole numbers
        that stand for reflectance carry ``scale_factor`` and ``_FillValue``, so xarray opens them as
        reflectance with NaN, or as they are with ``mask_and_scale=False``. With ``on_error="skip"`` the
        attribute ``losses`` of the store (JSON) says what was lost.

    Raises
    ------
    OutputError
        If the path exists or cannot be written, is being written by another process; before any pixel is
        read.
    InputError
        If it is no xarray object; with ``append``, if grid, bands, dtype or anything else is not that of
        the store, or dates are not later: says which.

    Examples
    --------
    >>> import eocube, tempfile
    >>> world = eocube.sample.cached()
    >>> cube = eocube.load(eocube.search(world.items_path), world.grid, bands=["red"])
    >>> first, later = cube[:3], cube[3:]
    >>> written = eocube.write_zarr(first, tempfile.mkdtemp() + "/cube.zarr")
    >>> written = eocube.write_zarr(later, written, append=True)
    """
    if append and overwrite:
        raise InputError("append=True adds to what is there, overwrite=True replaces it: give one.")
    target = check_target(path, overwrite=overwrite or append, store=True)
    dataset = as_dataset(data, "write_zarr")
    check_memory(dataset)
    old = opened(target) if append else None
    whole = Joined(dataset, 0) if old is None else joined(old, dataset, str(path))
    sizes = _chunks(dataset, chunks, whole)
    metadata, small = _described(whole.dataset, sizes)
    place = Workplace(target, append)
    rasters = [
        (Raster(name, metadata[f"{name}/zarr.json"], whole.offset, place), _cut(dataset[name], sizes))
        for name in pixels_of(dataset)
    ]
    job = json.dumps([[r.name, d.name, r.offset, r.metadata.decode()] for r, d in rasters], sort_keys=True)
    done = place.begin(job, resume=resume and not tokens_of(data))
    write_regions(rasters, done)
    for name, content in small.items():
        place.put(name, content)
    place.publish({**metadata, "zarr.json": _with_losses(metadata["zarr.json"], data)})
    return target


def _chunks(dataset: xr.Dataset, asked: Mapping[str, int] | None, whole: Joined) -> dict[str, int]:
    """Return the chunk of each dim of the rasters; those of the store, if there is one."""
    if asked is not None and (odd := set(asked) - set(dataset.dims)):
        raise InputError(f"chunks= names {sorted(map(str, odd))}, the dims are {list(dataset.dims)}.")
    found: dict[str, int] = {}
    for name in pixels_of(dataset):
        array = dataset[name]
        for axis, dim in enumerate(map(str, array.dims)):
            own = max(array.chunks[axis]) if array.chunks is not None else min(ALONG, array.sizes[dim])
            usual = 1 if dim == "time" else own if dim in ("y", "x") else array.sizes[dim]
            found[dim] = min(found.get(dim, usual), usual)
    if (
        whole.chunks
        and asked is not None
        and any(whole.chunks[d] != n for d, n in asked.items() if d in whole.chunks)
    ):
        raise InputError(f"chunks={dict(asked)} are not the store's {whole.chunks}: leave them out.")
    sizes = found | {str(dim): int(n) for dim, n in (asked or {}).items()} | whole.chunks
    if bad := {dim: n for dim, n in sizes.items() if n < 1}:
        raise InputError(f"chunks={bad}: a chunk has a length of 1 or more.")
    if whole.offset % sizes.get("time", 1):
        raise InputError(
            f"The store's chunks hold {sizes['time']} dates and its last one is not full: dates can be "
            "appended to a store that was written with chunks={'time': 1}."
        )
    return sizes


def _cut(array: xr.DataArray, sizes: Mapping[str, int]) -> Any:
    """Return the dask array, cut so that each block covers whole chunks: all of it but along y and x."""
    import dask.array as da

    data = array.data
    if isinstance(data, np.ndarray):
        data = da.from_array(data, chunks=-1)
    cut: dict[int, Any] = {}
    for axis, dim in enumerate(map(str, array.dims)):
        widest = max(data.chunks[axis])
        cut[axis] = sizes[dim] * max(1, ceil(widest / sizes[dim])) if dim in ("y", "x") else -1
    return data.rechunk(cut)


def _described(dataset: xr.Dataset, sizes: Mapping[str, int]) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """Return the metadata of the store, and its small arrays: what is no raster."""
    import dask.array as da
    from zarr.codecs import BloscCodec
    from zarr.storage import MemoryStore

    empty = dataset.copy()
    rasters = pixels_of(dataset)
    encoding: dict[str, dict[str, Any]] = {}
    for name in rasters:
        array = dataset[name]
        zeros = da.zeros(array.shape, dtype=array.dtype, chunks=-1)
        empty[name] = array.copy(data=zeros)
        encoding[name] = {
            "chunks": tuple(sizes[str(dim)] for dim in array.dims),
            "compressors": [
                BloscCodec(cname="zstd", clevel=3, shuffle="shuffle", typesize=array.dtype.itemsize)
            ],
        }
    for label, variable in empty.variables.items():
        name = str(label)
        if name not in rasters and "time" in variable.dims:
            encoding[name] = {"chunks": tuple(
                ALONG if dim == "time" else n for dim, n in zip(variable.dims, variable.shape, strict=True)
            )}  # fmt: skip
    small = [name for name in empty.variables if name not in rasters]
    empty = empty.assign_coords({name: empty[name].compute() for name in small if name in empty.coords})
    empty.attrs |= geozarr(dataset)
    kept: dict[str, Any] = {}
    with warnings.catch_warnings():
        # zarr: consolidated metadata are not in the standard. They make the change to more dates one step.
        warnings.filterwarnings("ignore", message=".*[Cc]onsolidated metadata.*")
        empty.to_zarr(
            MemoryStore(kept), mode="w", zarr_format=3, compute=False, consolidated=True, encoding=encoding,
            safe_chunks=False,
        )  # fmt: skip
    content = {name: buffer.to_bytes() for name, buffer in kept.items()}
    metadata = {name: found for name, found in content.items() if name.endswith("zarr.json")}
    return metadata, {name: found for name, found in content.items() if name not in metadata}


def _with_losses(root: bytes, data: Any) -> bytes:
    if not tokens_of(data):
        return root
    said = json.loads(root)
    said["attributes"]["losses"] = lost(data).as_json()  # known only now
    return json.dumps(said, indent=2).encode()
