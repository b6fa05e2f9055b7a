"""Provenance: what an array was made of, as text that goes into files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from .layers import crs_text, geobox_of, spectral

_INNER = ("grid_mapping", "eocube_plan", "_FillValue", "spatial_ref")
"""Attributes that say nothing outside of xarray."""

VALUES = ("long_name", "standard_name", "units", "reflectance_scale")
"""Attributes of a cube that are true of its spectral bands alone."""


def version() -> str:
    """Return eocube's version."""
    from .. import __version__

    return __version__


def items_of(array: xr.DataArray | xr.Dataset) -> tuple[str, ...]:
    """Return the ids of all Items that an array was made of, as far as it says so; sorted."""
    said = array.attrs.get("items")
    if said is None and "items" in array.coords:
        said = " ".join(np.atleast_1d(array["items"].values).astype("O").astype(str)).split()
    if isinstance(said, str):
        said = said.split()
    return tuple(sorted({str(item) for item in said or ()}))


def recipe_of(array: xr.DataArray | xr.Dataset) -> dict[str, Any]:
    """Return what decides the pixels of an array, and nothing of where the files lie."""
    grid = geobox_of(array)
    attrs = array.attrs
    dtypes = {str(a.dtype) for a in (array.data_vars.values() if isinstance(array, xr.Dataset) else [array])}
    bands = np.atleast_1d(array["band"].values) if "band" in array.coords else [getattr(array, "name", None)]
    said = {
        name: attrs[name]
        for name in ("mask", "reducer", "resampling", "offsets_applied", "skipped")
        if name in attrs
    }
    return {
        "items": list(items_of(array)),
        "bands": [str(band) for band in bands],
        "grid": {
            "crs": crs_text(grid),
            "transform": list(grid.affine)[:6],
            "shape": [int(n) for n in grid.shape],
        },
        "dtype": ", ".join(sorted(dtypes)),
        **{name: as_text(value) for name, value in said.items()},
    }


def recipe_hash(array: xr.DataArray | xr.Dataset) -> str:
    """Return the SHA-256 of :func:`recipe_of`: the same recipe has the same on every machine."""
    text = json.dumps(recipe_of(array), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def tags_of(array: xr.DataArray, names: Sequence[str]) -> dict[str, str]:
    """Return the tags of a file of some bands: the attributes, eocube's version, the recipe's hash.

    No time of day is among them, so that the same recipe gives the same bytes.
    """
    inner = _INNER if any(spectral(name) or name == array.name for name in names) else (*_INNER, *VALUES)
    tags = {str(k): as_text(v) for k, v in array.attrs.items() if str(k) not in inner}
    made = {"eocube_version": version(), "recipe": recipe_hash(array)}
    return {**tags, **({"items": as_text(items)} if (items := items_of(array)) else {}), **made}


def as_text(value: Any) -> str:
    """Return an attribute as text; lists and tables as JSON."""
    if isinstance(value, list | tuple | Mapping | np.ndarray):
        return json.dumps(value.tolist() if isinstance(value, np.ndarray) else value, default=str)
    return str(value)
