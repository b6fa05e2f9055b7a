"""NetCDF files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ..extras import check_needed
from ..lazy import check_memory
from ..ledgers import lost, tokens_of
from .conventions import as_dataset, pixels_of
from .outputs import check_target, delivered
from .remotes import Remote
from .streams import blocks_of

CHUNK = 512
"""Rows and columns of a chunk."""


def write_netcdf(
    data: xr.DataArray | xr.Dataset, path: str | os.PathLike[str] | Remote, *, overwrite: bool = False
) -> Path | Remote:
    """Write a cube or a composite as a NetCDF-4 file, by CF-1.11 (extra ``netcdf``).

    A lazy array is computed a few blocks at a time; the whole of it is never in memory.

    Parameters
    ----------
    data : xarray.DataArray or Dataset
        Lazy or not. A DataArray without a name becomes the variable ``eocube``.
    path : path
        Or ``"s3://bucket/key"``. Ends up whole or not at all.
    overwrite : bool
        Replace what is there.

    Returns
    -------
    Path
        What was written: compressed, in chunks of one date, all bands, 512 rows and columns. Whole
        numbers that stand for reflectance carry ``scale_factor`` and ``_FillValue``. With
        ``on_error="skip"`` the attribute ``losses`` (JSON) says what was lost.

    Raises
    ------
    OutputError
        If the path exists or cannot be written; before any pixel is read.
    InputError
        If it is no xarray object, or holds what a NetCDF file cannot.
    MissingExtraError
        If h5netcdf is not installed.

    Examples
    --------
    >>> import eocube, tempfile
    >>> world = eocube.sample.cached()
    >>> cube = eocube.load(eocube.search(world.items_path), world.grid, bands=["red"])
    >>> written = eocube.write_netcdf(cube, tempfile.mkdtemp() + "/cube.nc")
    """
    target = check_target(path, overwrite=overwrite)
    check_needed(("h5netcdf",), "NetCDF", "netcdf", "A .zarr works without.")
    dataset = as_dataset(data, "write_netcdf")
    check_memory(dataset)
    with delivered(target) as final:
        _describe(dataset, final)
        _fill(dataset, final, data)
    return target


def _describe(dataset: xr.Dataset, final: Path) -> None:
    """Write everything but the rasters."""
    import dask.array as da

    empty = dataset.copy()
    encoding: dict[str, Mapping[str, Any]] = {}
    for name in pixels_of(dataset):
        array = dataset[name]
        empty[name] = array.copy(data=da.zeros(array.shape, dtype=array.dtype, chunks=-1))
        lengths = {"time": 1, "y": CHUNK, "x": CHUNK}
        chunks = tuple(
            min(lengths.get(str(dim), n), n) for dim, n in zip(array.dims, array.shape, strict=True)
        )
        encoding[name] = {"zlib": True, "complevel": 4, "shuffle": True, "chunksizes": chunks}
    empty.attrs = {name: _written(value) for name, value in empty.attrs.items()}
    for variable in empty.variables.values():
        variable.attrs = {name: _written(value) for name, value in variable.attrs.items()}
    empty.to_netcdf(final, engine="h5netcdf", encoding=encoding, compute=False)


def _written(value: Any) -> Any:
    """Return an attribute as NetCDF holds it: numbers, texts, or lists of one of them."""
    kinds = {str if isinstance(one, str) else float for one in value} if isinstance(value, list) else set()
    plain = all(isinstance(one, str | int | float) for one in value) if kinds else True
    if not isinstance(value, list) or (plain and len(kinds) == 1):
        return value
    return " ".join(map(str, value))


def _fill(dataset: xr.Dataset, final: Path, data: Any) -> None:
    import h5netcdf

    with h5netcdf.File(final, "r+") as file:
        for alike in _by_dtype(dataset):
            flat = {name: _flat(dataset[name]) for name in alike}
            # All at once: what several variables are made of is computed once.
            for top, left, block in blocks_of(_stacked(list(flat.values()))):
                first = 0
                for name, layers in flat.items():
                    own = block[first : first + len(layers)]
                    first += len(layers)
                    _put(file.variables[name], dataset[name], own, (top, left))
        if tokens_of(data):
            file.attrs["losses"] = lost(data).as_json()  # known only now


def _by_dtype(dataset: xr.Dataset) -> list[list[str]]:
    found: dict[str, list[str]] = {}
    for name in pixels_of(dataset):
        found.setdefault(str(dataset[name].dtype), []).append(name)
    return list(found.values())


def _flat(array: xr.DataArray) -> Any:
    """Return the layers (layer, y, x) of an array."""
    data = array.transpose(..., "y", "x").data
    return data.reshape(-1, *data.shape[-2:])


def _stacked(layers: list[Any]) -> Any:
    if len(layers) == 1:
        return layers[0]
    if all(isinstance(one, np.ndarray) for one in layers):
        return np.concatenate(layers)
    import dask.array as da

    return da.concatenate(layers)


def _put(variable: Any, array: xr.DataArray, layers: NDArray[Any], start: tuple[int, int]) -> None:
    """Write layers (layer, y, x) that begin at a row and column to their place in a variable."""
    top, left = start
    _, height, width = layers.shape
    dims = [str(dim) for dim in array.dims if dim not in ("y", "x")]
    order = [[*dims, "y", "x"].index(str(dim)) for dim in array.dims]
    spans = {"y": slice(top, top + height), "x": slice(left, left + width)}
    place = tuple(spans.get(str(dim), slice(None)) for dim in array.dims)
    block = layers.reshape(*(array.sizes[dim] for dim in dims), height, width)
    variable[place] = block.transpose(order)
