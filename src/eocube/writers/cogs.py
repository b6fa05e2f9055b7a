"""Cloud-optimised GeoTIFF."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from ..errors import InputError
from ..lazy import check_memory
from ..ledgers import lost, tokens_of
from .outputs import check_output, whole

_DTYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64")

BLOCK = 512
"""Width of the blocks of a written file."""


def write_cog(array: xr.DataArray, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
    """Write a mosaic as a cloud-optimised GeoTIFF.

    A lazy array is computed row of blocks by row of blocks, so that memory stays bounded.

    Parameters
    ----------
    array : xarray.DataArray
        Dims (band, y, x) or (y, x), with a CRS.
    path : path
        Ends up whole or not at all.
    overwrite : bool
        Replace what is there.

    Returns
    -------
    Path
        What was written: DEFLATE, blocks of 512, overviews, band names, no data (NaN, or 0 in
        integers), the array's attributes as tags; with ``on_error="skip"`` the tag ``losses``
        (JSON) says what was lost.

    Raises
    ------
    OutputError
        If the path exists or cannot be written; before any pixel is read.
    InputError
        If the array has other dims or no CRS.

    Examples
    --------
    >>> import eocube, tempfile
    >>> world = eocube.sample.cached()
    >>> cube = eocube.load(eocube.search(world.items_path), world.grid, bands=["red"])
    >>> best = eocube.composite(cube, eocube.Median())
    >>> written = eocube.write_cog(best, tempfile.mkdtemp() + "/best.tif")
    """
    layers = _layers(array)
    (written,) = write_cogs(layers, {Path(path): list(layers["band"].values)}, overwrite=overwrite)
    return written


def write_cogs(
    array: xr.DataArray, bands: Mapping[Path, Sequence[str]], *, overwrite: bool = False
) -> list[Path]:
    """Write some bands to one file and some to another, in one pass over the pixels.

    Parameters
    ----------
    array : xarray.DataArray
        Dims (band, y, x).
    bands : mapping of Path to sequence of str
        Which bands go where.
    overwrite : bool
        Replace what is there.

    Raises
    ------
    OutputError, InputError
        As :func:`write_cog`.
    """
    places = [check_output(path, overwrite=overwrite) for path in bands]
    layers = _layers(array)
    check_memory(layers)
    with ExitStack() as stack:
        finals = [stack.enter_context(whole(place)) for place in places]
        plains = dict(zip((f.with_name("plain.tif") for f in finals), bands.values(), strict=True))
        _write_plain(layers, plains)
        for plain, final in zip(plains, finals, strict=True):
            _to_cog(plain, final, layers.dtype)
    return places


def geobox_of(array: xr.DataArray) -> GeoBox:
    """Return the grid of an array.

    Raises
    ------
    InputError
        If it has none.
    """
    import odc.geo.xr  # noqa: F401  (gives arrays their .odc)

    found = array.odc.geobox
    if not isinstance(found, GeoBox) or found.crs is None:
        raise InputError("The array has no CRS: its coordinates and spatial_ref must say one.")
    return found


def _layers(array: xr.DataArray) -> xr.DataArray:
    if set(array.dims) == {"y", "x"}:
        name = str(array["band"].item() if "band" in array.coords else array.name or "value")
        array = array.drop_vars("band", errors="ignore").expand_dims(band=[name])
    if set(array.dims) != {"band", "y", "x"}:
        raise InputError(
            f"write_cog takes (band, y, x) or (y, x), found {tuple(array.dims)}: choose one time with "
            ".isel(time=0), or write all with write_zarr."
        )
    geobox_of(array)
    if array.dtype.kind == "b":
        array = array.astype("uint8")
    if str(array.dtype) not in _DTYPES:
        raise InputError(f"A GeoTIFF holds {', '.join(_DTYPES)}, not {array.dtype}: convert it with .astype.")
    return array.transpose("band", "y", "x")


def _nodata(layers: xr.DataArray) -> float | None:
    """Return the number that means no data: what the array says, else NaN, or 0 in integers."""
    if layers.dtype.kind == "f":
        return float("nan")
    said = [layers.encoding.get("_FillValue"), layers.attrs.get("_FillValue"), layers.attrs.get("nodata")]
    stated = [float(value) for value in said if value is not None]
    return stated[0] if stated else 0


def _write_plain(layers: xr.DataArray, bands: Mapping[Path, Sequence[str]]) -> None:
    """Write tiled GeoTIFFs block by block."""
    known = [str(band) for band in layers["band"].values]
    with ExitStack() as stack:
        files = []
        for path, names in bands.items():
            file = stack.enter_context(_created(layers, path, names))
            files.append((file, [known.index(str(name)) for name in names]))
        for top, left, block in _blocks(layers.data):
            _, height, width = block.shape
            for file, chosen in files:
                file.write(block[chosen], window=((top, top + height), (left, left + width)))
        if tokens_of(layers):
            for file, _ in files:
                file.update_tags(losses=lost(layers).as_json())  # known only now


def _created(layers: xr.DataArray, path: Path, names: Sequence[str]) -> Any:
    import rasterio

    grid = geobox_of(layers)
    rows, columns = grid.shape
    profile: dict[str, Any] = {
        "driver": "GTiff", "count": len(names), "dtype": str(layers.dtype),
        "height": int(rows), "width": int(columns), "crs": str(grid.crs), "transform": grid.affine,
        "nodata": _nodata(layers), "tiled": True, "blockxsize": BLOCK,
        "blockysize": BLOCK, "compress": "zstd", "zstd_level": 1, "bigtiff": "if_safer", "interleave": "band",
    }  # fmt: skip
    file = rasterio.open(path, "w", **profile)
    file.update_tags(**{str(name): str(value) for name, value in layers.attrs.items()})
    for index, name in enumerate(names, start=1):
        file.set_band_description(index, str(name))
    return file


def _blocks(data: Any) -> Iterator[tuple[int, int, NDArray[Any]]]:
    """Compute an array a row of blocks at a time (at least a few blocks)."""
    if isinstance(data, np.ndarray):
        yield 0, 0, data
        return
    import dask

    data = data.rechunk({0: -1})
    (data,) = dask.optimize(data)
    tops = [0, *np.cumsum(data.chunks[1])[:-1].tolist()]
    lefts = [0, *np.cumsum(data.chunks[2])[:-1].tolist()]
    batch = max(1, 16 // len(lefts))
    for _, group in groupby(enumerate(tops), key=lambda pair: pair[0] // batch):
        places = [(i, top, j, left) for i, top in group for j, left in enumerate(lefts)]
        found = dask.compute(*(data.blocks[0, i, j] for i, _, j, _ in places))
        for (_, top, _, left), block in zip(places, found, strict=True):
            yield top, left, block


def _to_cog(plain: Path, final: Path, dtype: np.dtype[Any]) -> None:
    import rasterio
    import rasterio.shutil

    floating = dtype.kind == "f"
    with rasterio.Env(GDAL_NUM_THREADS="ALL_CPUS", GDAL_TIFF_INTERNAL_MASK=False):
        rasterio.shutil.copy(
            plain, final, driver="COG", compress="DEFLATE", predictor="YES", blocksize=BLOCK,
            resampling="AVERAGE" if floating else "NEAREST", overview_resampling="AVERAGE" if floating
            else "NEAREST", bigtiff="IF_SAFER", num_threads="ALL_CPUS",
        )  # fmt: skip
    plain.unlink()
