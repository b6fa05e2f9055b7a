"""Spectral indices as plain functions on any xarray object that has the bands."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import xarray as xr

from .errors import BandError
from .sentinel2 import BANDS, band_name

Cube = TypeVar("Cube", xr.DataArray, xr.Dataset)


def ndvi(cube: xr.DataArray | xr.Dataset) -> xr.DataArray:
    """Normalised difference vegetation index, (nir - red) / (nir + red).

    Parameters
    ----------
    cube : xarray.DataArray or Dataset
        With ``nir`` and ``red`` (or ``B08`` and ``B04``) along ``band``, or as variables. Any
        further dims; lazy stays lazy. Integer data: 0 is no data.

    Returns
    -------
    xarray.DataArray
        float32, without ``band``, from -1 to 1 on reflectance of 0 or more; NaN where either band
        has no data or their sum is 0.

    Raises
    ------
    BandError
        If a band is missing; says which there are.

    Notes
    -----
    Rouse et al. 1974, *Monitoring vegetation systems in the Great Plains with ERTS*.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> cube = xr.DataArray(np.float32([0.1, 0.3]), {"band": ["red", "nir"]}, "band")
    >>> round(float(ndvi(cube)), 3)
    0.5
    """
    nir, red = _reflectance(cube, "nir"), _reflectance(cube, "red")
    total = nir + red
    found = ((nir - red) / total.where(total != 0)).astype(np.float32)
    found.attrs = {"long_name": "NDVI", "units": "1", "grid_mapping": "spatial_ref"}
    return found.rename("ndvi")


def _reflectance(cube: xr.DataArray | xr.Dataset, wanted: str) -> xr.DataArray:
    """Return a band as float32 with NaN for no data."""
    found = _band(cube, wanted)
    if found.dtype.kind == "f":
        return found
    # On digital numbers a ratio of sums is the same as on reflectance: only no data matters.
    return found.astype(np.float32).where(found != 0)


def _band(cube: xr.DataArray | xr.Dataset, wanted: str) -> xr.DataArray:
    names = [wanted, BANDS[wanted].esa]
    if isinstance(cube, xr.Dataset):
        known = [str(name) for name in cube.data_vars]
        for name in known:
            if _common(name) == wanted:
                return cube[name]
    else:
        known = [str(name) for name in np.atleast_1d(cube["band"].values)] if "band" in cube.coords else []
        for index, name in enumerate(known):
            if _common(name) == wanted and "band" in cube.dims:
                return cube.isel(band=index, drop=True)
    raise BandError(f"Band {' or '.join(names)} is needed, the cube has: {', '.join(known) or 'no bands'}.")


def _common(name: str) -> str:
    try:
        return band_name(name)
    except BandError:
        return name
