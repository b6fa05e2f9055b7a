"""Appending: whether later dates fit a Zarr store, and what it is with them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from ..errors import InputError, OutputError
from .conventions import pixels_of
from .layers import crs_text, geobox_of
from .remotes import Remote

_OF_DATES = (
    "items", "first_date", "last_date", "scenes", "offsets_applied", "left_out", "skipped", "recipe",
    "losses",
    "source", "eocube_plan",
)  # fmt: skip
"""Attributes that may differ from date to date."""


@dataclass(frozen=True)
class Joined:
    """A store as it will be.

    Attributes
    ----------
    dataset : Dataset
        All dates; its rasters are never computed.
    offset : int
        How many dates are there.
    chunks : dict
        The store's chunks by dim; empty for a new one.
    """

    dataset: xr.Dataset
    offset: int
    chunks: dict[str, int] = field(default_factory=dict)


def opened(target: Path | Remote) -> xr.Dataset:
    """Open a store as it lies there: whole numbers stay whole.

    Raises
    ------
    OutputError
        If there is none.
    """
    from zarr.storage import LocalStore, ObjectStore

    store: Any = LocalStore(target) if isinstance(target, Path) else ObjectStore(target.store(below=True))
    try:
        found: xr.Dataset = xr.open_zarr(store, decode_coords="all", mask_and_scale=False)
        return found
    except Exception as error:
        raise OutputError(
            f"append=True: there is no Zarr store at {target} that can be opened ({type(error).__name__}). "
            "Write it first without append."
        ) from error


def joined(old: xr.Dataset, new: xr.Dataset, path: str) -> Joined:
    """Return a store and later dates as one.

    Raises
    ------
    InputError
        Lists all that differs.
    """
    differs = list(_differences(old, new))
    if differs:
        raise InputError(f"{path} cannot be appended to: " + "; ".join(differs) + ". Write another store.")
    rasters = pixels_of(new)
    chunks: dict[str, int] = {}
    for name in rasters:
        chunks |= dict(zip(map(str, old[name].dims), old[name].encoding["chunks"], strict=True))
    small = _joined_coordinates(old, new)
    before = old.sizes["time"]
    variables = {}
    for name in rasters:
        shape = tuple(
            before + n if dim == "time" else n for dim, n in zip(new[name].dims, new[name].shape, strict=True)
        )
        import dask.array as da

        variables[name] = (new[name].dims, da.zeros(shape, dtype=new[name].dtype, chunks=-1), new[name].attrs)
    attrs = {**old.attrs, **{k: v for k, v in new.attrs.items() if k not in old.attrs}}
    attrs.pop("losses", None)
    return Joined(xr.Dataset(variables, coords=small, attrs=attrs), before, chunks)


def _differences(old: xr.Dataset, new: xr.Dataset) -> Any:
    if "time" not in new.dims or "time" not in old.dims:
        yield f"no dim time ({', '.join(map(str, old.dims))} there, {', '.join(map(str, new.dims))} here)"
        return
    if set(pixels_of(old)) != set(pixels_of(new)):
        yield f"variables {sorted(pixels_of(old))} there, {sorted(pixels_of(new))} here"
        return
    for name in pixels_of(new):
        a, b = old[name], new[name]
        if a.dims != b.dims:
            yield f"dims {a.dims} there, {b.dims} here"
        if a.dtype != b.dtype:
            yield f"dtype {a.dtype} there, {b.dtype} here"
        keys = (set(a.attrs) | set(b.attrs)) - {"grid_mapping", "coordinates", *_OF_DATES}
        for key in sorted(keys):
            if not _same(a.attrs.get(key), b.attrs.get(key)):
                yield f"attribute {key} {a.attrs.get(key)!r} there, {b.attrs.get(key)!r} here"
    there, here = geobox_of(old), geobox_of(new)
    if there.crs != here.crs:
        yield f"CRS {crs_text(there)} there, {crs_text(here)} here"
    elif there != here:
        yield f"grid {_words(there)} there, {_words(here)} here"
    bands = [
        [str(b) for b in np.atleast_1d(d["band"].values)] if "band" in d.coords else [] for d in (old, new)
    ]
    if bands[0] != bands[1]:
        yield f"bands {', '.join(bands[0])} there, {', '.join(bands[1])} here"
    last, first = old["time"].values.max(), new["time"].values.min()
    if first <= last:
        yield f"dates until {str(last)[:19]} there, from {str(first)[:19]} here: only later ones are appended"


def _same(a: Any, b: Any) -> bool:
    """Whether two attributes say the same; they come back from a store as lists and plain numbers."""
    one, other = np.asarray(a), np.asarray(b)
    floats = one.dtype.kind == "f" and other.dtype.kind == "f"
    return bool(np.array_equal(one, other, equal_nan=floats))


def _words(grid: Any) -> str:
    rows, columns = grid.shape
    return f"{columns} x {rows} px of {grid.affine.a:g} from ({grid.affine.c:.12g}, {grid.affine.f:.12g})"


def _joined_coordinates(old: xr.Dataset, new: xr.Dataset) -> dict[str, Any]:
    """Return all coordinates, those along time with the new ones behind."""
    found: dict[str, Any] = {}
    for name, variable in new.coords.items():
        if "time" not in variable.dims:
            found[str(name)] = variable
            continue
        if name not in old.coords:
            continue
        before = old.coords[name]
        if before.dims != variable.dims:
            raise InputError(
                f"Coordinate {name} has dims {before.dims} there, {variable.dims} here: write another store."
            )
        values = np.concatenate([_values(before), _values(variable)])
        found[str(name)] = xr.Variable(variable.dims, values, variable.attrs, variable.encoding)
    return found


def _values(variable: xr.DataArray) -> Any:
    values = variable.values
    return values.astype(object) if values.dtype.kind in "UOT" else values
