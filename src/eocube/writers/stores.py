"""Zarr stores."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

import xarray as xr

from ..errors import InputError
from ..lazy import check_memory
from ..ledgers import lost, tokens_of
from .outputs import check_output, whole


def write_zarr(
    data: xr.DataArray | xr.Dataset, path: str | os.PathLike[str], *, overwrite: bool = False
) -> Path:
    """Write a cube or a composite as a Zarr store.

    Parameters
    ----------
    data : xarray.DataArray or Dataset
        Lazy or not. A DataArray without a name becomes the variable ``eocube``.
    path : path
        A folder; ends up whole or not at all.
    overwrite : bool
        Replace what is there.

    Returns
    -------
    Path
        What was written, to be opened by ``xarray.open_zarr(path, decode_coords="all", consolidated=False)``.
        With ``on_error="skip"`` the attribute ``losses`` of the store (JSON) says what was lost.

    Raises
    ------
    OutputError
        If the path exists or cannot be written; before any pixel is read.
    InputError
        If it is no xarray object.

    Examples
    --------
    >>> import eocube, tempfile
    >>> world = eocube.sample.cached()
    >>> cube = eocube.load(eocube.search(world.items_path), world.grid, bands=["red"])
    >>> written = eocube.write_zarr(cube, tempfile.mkdtemp() + "/cube.zarr")
    """
    place = check_output(path, overwrite=overwrite, store=True)
    if not isinstance(data, xr.DataArray | xr.Dataset):
        raise InputError(f"write_zarr takes a DataArray or Dataset, found {type(data).__name__}.")
    dataset = data.to_dataset(name=data.name or "eocube") if isinstance(data, xr.DataArray) else data
    check_memory(dataset)
    with whole(place) as final, warnings.catch_warnings():
        # Text coordinates have a fixed width; zarr warns that this is not yet in its standard.
        warnings.filterwarnings("ignore", message=".*(FixedLengthUTF32|fixed_length_utf32).*")
        _storable(dataset).to_zarr(final, mode="w", consolidated=False)
        if tokens_of(data):
            import zarr

            zarr.open_group(final, mode="r+").attrs["losses"] = lost(data).as_json()  # known only now
    return place


def _storable(dataset: xr.Dataset) -> xr.Dataset:
    """Return a copy whose chunks are even and whose text has a fixed width."""
    found = dataset.copy()
    for variable in found.variables.values():
        variable.encoding = {k: v for k, v in variable.encoding.items() if k == "grid_mapping"}
    for name in found.data_vars:
        chunks = found[name].chunks
        if chunks is not None:
            widest = {dim: max(sizes) for dim, sizes in zip(found[name].dims, chunks, strict=True)}
            found[name] = found[name].chunk(widest)
            found[name].encoding["chunks"] = tuple(widest.values())
        if found[name].dtype.kind == "u":
            _fill_value(found[name])
    return found


def _fill_value(array: Any) -> None:
    """Integers keep 0 as no data and stay integers when they are opened again."""
    array.attrs.setdefault("nodata", 0)
