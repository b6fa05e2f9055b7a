"""A small picture beside a mosaic."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from .layers import spectral
from .outputs import check_output, whole

SIZE = 1200
"""Greatest width and height of a preview in pixels."""

_RAMP = np.array(
    [[140, 100, 70], [226, 203, 150], [240, 234, 170], [150, 190, 95], [40, 120, 45], [5, 60, 25]]
)
"""Brown over sand to dark green, for indices from -0.2 to 0.9."""


def write_preview(array: xr.DataArray, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
    """Write a PNG of a mosaic: true colour if it has red, green and blue, else its first band.

    Parameters
    ----------
    array : xarray.DataArray
        Dims (band, y, x) or (y, x), computed. No data becomes transparent.
    path : path
        Ends in ``.png``.
    overwrite : bool
        Replace what is there.

    Returns
    -------
    Path

    Raises
    ------
    OutputError
        If the path exists or cannot be written.
    """
    import rasterio
    import rasterio.errors

    place = check_output(path, overwrite=overwrite)
    picture = _picture(array)
    with whole(place) as final:
        _, height, width = picture.shape
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
            with rasterio.open(
                final, "w", driver="PNG", width=width, height=height, count=4, dtype="uint8"
            ) as file:
                file.write(picture)
        final.with_name(f"{final.name}.aux.xml").unlink(missing_ok=True)
    return place


def preview_of(cog: str | os.PathLike[str], path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
    """Write a PNG of a file that :func:`write_cog` made, from its overviews."""
    import rasterio

    with rasterio.open(cog) as file:
        step = max(1, -(-max(file.shape) // SIZE))
        shape = (file.count, -(-file.height // step), -(-file.width // step))
        names = [name or str(index) for index, name in enumerate(file.descriptions)]
        values = file.read(out_shape=shape)
    array = xr.DataArray(values, dims=("band", "y", "x"), coords={"band": names})
    return write_preview(array if len(names) > 1 else array[0], path, overwrite=overwrite)


def _picture(array: xr.DataArray) -> NDArray[np.uint8]:
    step = max(1, -(-max(array.sizes["y"], array.sizes["x"]) // SIZE))
    small = array.isel(y=slice(None, None, step), x=slice(None, None, step))
    values = small.values.astype(np.float32)
    if small.dtype.kind != "f":
        values = np.where(values == 0, np.nan, values)
    if small.ndim == 2:
        return _ramp(values)
    names = [_name(band) for band in small["band"].values]
    if {"red", "green", "blue"} <= set(names):
        return _colour(np.stack([values[names.index(band)] for band in ("red", "green", "blue")]))
    return _colour(np.stack([values[0]] * 3))


def _name(band: Any) -> str:
    """Return what a layer is of: ``red_p25``, as one of several reducers gives it, is red."""
    found = spectral(str(band))
    return str(band) if found is None else found.name


def _colour(rgb: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Stretch between the 1st and 99th percentile of all three bands together, gamma 1.4."""
    clear = np.asarray(np.isfinite(rgb).all(axis=0))
    if not clear.any():
        return np.zeros((4, *clear.shape), dtype=np.uint8)
    low, high = np.percentile(rgb[:, clear], [1, 99])
    scaled = np.clip((np.nan_to_num(rgb) - low) / max(high - low, 1e-6), 0, 1) ** (1 / 1.4)
    return np.concatenate([scaled * 255, clear[None] * 255.0]).astype(np.uint8)


def _ramp(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    clear = np.isfinite(values)
    place = np.clip((np.nan_to_num(values) + 0.2) / 1.1, 0, 1)
    stops = np.linspace(0, 1, len(_RAMP))
    layers = [np.interp(place, stops, _RAMP[:, channel]) for channel in range(3)]
    return np.stack([*layers, clear * 255.0]).astype(np.uint8)
