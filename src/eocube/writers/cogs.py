"""Cloud-optimised GeoTIFF."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Literal

import xarray as xr

from ..errors import InputError
from ..lazy import check_memory
from ..ledgers import lost, tokens_of
from .fullness import noticing_full
from .layers import as_layers, averaged, crs_text, geobox_of, nodata_of, scale_of, spectral
from .outputs import check_folder, check_target, delivered
from .overviews import BLOCK, drafts_of, joined
from .provenance import tags_of
from .remotes import Remote
from .streams import blocks_of

_DTYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64")

_CACHE = 128 * 2**20
"""Bytes that GDAL may keep of a file: by itself it takes a twentieth of the machine's memory."""

Overviews = Literal["auto", "average", "nearest", "mode"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


def write_cog(
    array: xr.DataArray,
    path: str | os.PathLike[str] | Remote,
    *,
    per_band: bool = False,
    overviews: Overviews = "auto",
    overwrite: bool = False,
) -> Path | Remote:
    """Write a mosaic as a cloud-optimised GeoTIFF.

    A lazy array is computed a few blocks at a time, by the workers of a cluster if one is open; the
    whole of it is never in memory.

    Parameters
    ----------
    array : xarray.DataArray
        Dims (band, y, x) or (y, x), with a CRS.
    path : path
        Or ``"s3://bucket/key"``. Ends up whole or not at all.
    per_band : bool
        Write each band into a file of its own, ``<band>.tif`` in the folder ``path``.
    overviews : {"auto", "average", "nearest", "mode"}
        How overviews are made. ``"auto"``: averages of reflectance and floats, and nearest of classes
        and counts (``scl``, ``count``, ``source``) and other whole numbers, each band by itself.
    overwrite : bool
        Replace what is there.

    Returns
    -------
    Path
        Where it was written (an S3 place prints as its URL): DEFLATE, blocks of 512, overviews, band
        names, no data (NaN, or 0 in integers), scale and offset where whole numbers stand for
        reflectance, statistics, and as tags the array's attributes, eocube's version and the hash of
        the recipe; with ``on_error="skip"`` the tag ``losses`` (JSON) says what was lost. The same
        pixels and attributes give the same bytes.

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
    names = [str(name) for name in layers["band"].values]
    if not per_band:
        one = {_as_key(path): names}
        written: Path | Remote = write_cogs(layers, one, overviews=overviews, overwrite=overwrite)[0]
        return written
    if len(set(names)) < len(names) or not all(_NAME.fullmatch(name) for name in names):
        raise InputError(f"per_band=True names files after bands, which these cannot be: {names}.")
    folder = check_folder(path)
    files = {folder / f"{name}.tif": [name] for name in names}
    write_cogs(layers, files, overviews=overviews, overwrite=overwrite)
    return folder


def write_cogs(
    array: xr.DataArray,
    bands: Mapping[Any, Sequence[str]],
    *,
    overviews: Overviews = "auto",
    overwrite: bool = False,
) -> list[Any]:
    """Write some bands to one file and some to another, in one pass over the pixels.

    Parameters
    ----------
    array : xarray.DataArray
        Dims (band, y, x).
    bands : mapping of path to sequence of str
        Which bands go where.
    overviews : {"auto", "average", "nearest", "mode"}
        As in :func:`write_cog`, for each file by its own bands.
    overwrite : bool
        Replace what is there.

    Returns
    -------
    list of Path

    Raises
    ------
    OutputError, InputError
        As :func:`write_cog`.
    """
    if overviews not in ("auto", "average", "nearest", "mode"):
        raise InputError(f"overviews={overviews!r}: choose of auto, average, nearest, mode.")
    layers = _layers(array)
    known = [str(band) for band in layers["band"].values]
    files = {path: [(known.index(str(name)), str(name)) for name in names] for path, names in bands.items()}
    return _write(layers, files, {}, overviews, overwrite)


def write_periods(array: xr.DataArray, paths: Sequence[Any], *, overwrite: bool = False) -> list[Any]:
    """Write each period of a composite to a file of its own, in one pass over the pixels.

    Parameters
    ----------
    array : xarray.DataArray
        Dims (time, band, y, x).
    paths : sequence of path
        As many as there are periods.
    overwrite : bool
        Replace what is there.

    Raises
    ------
    OutputError, InputError
        As :func:`write_cog`.
    """
    array = array.transpose("time", "band", "y", "x")
    names = [str(name) for name in array["band"].values]
    count = len(names)
    flat = array.data.reshape(-1, *array.shape[2:])
    keep = {k: c for k, c in array.coords.items() if not {"time", "band"} & {k, *c.dims}}
    layers = xr.DataArray(flat, dims=("band", "y", "x"), coords=keep, attrs=array.attrs, name=array.name)
    files = {path: [(i * count + j, name) for j, name in enumerate(names)] for i, path in enumerate(paths)}
    tags = {path: tags_of(array.isel(time=i), names) for i, path in enumerate(paths)}
    return _write(_layers(layers), files, tags, "auto", overwrite)


Named = list[tuple[int, str]]
"""Which layers are the bands of a file, and their names."""


def _write(
    layers: xr.DataArray, files: Mapping[Any, Named], tags: Mapping[Any, Any], overviews: str, overwrite: bool
) -> list[Any]:
    if overviews not in ("auto", "average", "nearest", "mode"):
        raise InputError(f"overviews={overviews!r}: choose of auto, average, nearest, mode.")
    places = [check_target(path, overwrite=overwrite) for path in files]
    check_memory(layers)
    with ExitStack() as stack:
        made: dict[Path, tuple[Named, dict[str, str]]] = {}
        finals: list[tuple[Path, dict[Path, tuple[str, list[int]]], str]] = []
        for place, (path, bands) in zip(places, files.items(), strict=True):
            final = stack.enter_context(delivered(place))
            said = tags.get(path) or tags_of(layers, [name for _, name in bands])
            drafts = {}
            for how, own in drafts_of(_methods(layers, bands, overviews), layers.shape[1:]).items():
                draft = stack.enter_context(_scratch(final, how))
                drafts[draft] = (how, own)
                made[draft] = ([bands[place] for place in own], said)
            finals.append((final, drafts, _predictor(layers, bands)))
        with noticing_full(finals[0][0].parent):
            _write_plain(layers, made)
        for final, drafts, predictor in finals:
            _finish(drafts, final, predictor)
    return places


def _methods(layers: xr.DataArray, bands: Named, asked: str) -> list[str]:
    """Return of each band how its overviews are made."""
    if asked != "auto":
        return [asked] * len(bands)
    return ["average" if averaged(layers, name) else "nearest" for _, name in bands]


def _predictor(layers: xr.DataArray, bands: Named) -> str:
    """Return whether neighbours are subtracted: not of reflectance in floats.

    Its values repeat as they are, for files hold steps of 0.0001. GDAL's predictor of floats takes them
    apart into bytes: on real scenes medians become a quarter larger, means a tenth.
    """
    steps = all(name == "count" or spectral(name) for _, name in bands)
    return "NO" if layers.dtype.kind == "f" and steps else "YES"


def _as_key(path: Any) -> Any:
    return path if isinstance(path, Remote) or "://" in str(path) else Path(path)


@contextmanager
def _scratch(final: Path, word: str) -> Iterator[Path]:
    """Give the path of a file that is gone as soon as the work is."""
    draft = final.with_name(f"{word}-{final.name}.tif")
    try:
        yield draft
    finally:
        draft.unlink(missing_ok=True)


def _layers(array: xr.DataArray) -> xr.DataArray:
    layers = as_layers(array, "write_cog")
    if str(layers.dtype) not in _DTYPES:
        raise InputError(
            f"A GeoTIFF holds {', '.join(_DTYPES)}, not {layers.dtype}: convert it with .astype."
        )
    return layers


def _write_plain(layers: xr.DataArray, files: Mapping[Path, tuple[Named, dict[str, str]]]) -> None:
    """Write tiled GeoTIFFs block by block."""
    import rasterio

    with ExitStack() as stack:
        opened = [
            (stack.enter_context(_created(layers, path, bands, tags)), [index for index, _ in bands])
            for path, (bands, tags) in files.items()
        ]
        for top, left, block in blocks_of(layers.data):
            _, height, width = block.shape
            # Here alone: the blocks are computed by others, whose settings are not ours to change.
            with rasterio.Env(GDAL_CACHEMAX=_CACHE):
                for file, chosen in opened:
                    file.write(block[chosen], window=((top, top + height), (left, left + width)))
        if tokens_of(layers):
            for file, _ in opened:
                file.update_tags(losses=lost(layers).as_json())  # known only now


def _created(layers: xr.DataArray, path: Path, bands: Named, tags: Mapping[str, str]) -> Any:
    import rasterio

    grid = geobox_of(layers)
    rows, columns = grid.shape
    profile: dict[str, Any] = {
        "driver": "GTiff", "count": len(bands), "dtype": str(layers.dtype),
        "height": int(rows), "width": int(columns), "crs": crs_text(grid), "transform": grid.affine,
        "nodata": nodata_of(layers), "tiled": True, "blockxsize": BLOCK,
        "blockysize": BLOCK, "compress": "zstd", "zstd_level": 1, "bigtiff": "if_safer", "interleave": "band",
    }  # fmt: skip
    file = rasterio.open(path, "w", **profile)
    file.update_tags(**tags)
    scales = [scale_of(layers, name) for _, name in bands]
    if any(scale is not None for scale in scales):
        file.scales = [1.0 if scale is None else scale for scale in scales]
        file.offsets = [0.0] * len(bands)
    for number, (_, name) in enumerate(bands, start=1):
        file.set_band_description(number, name)
        if band := spectral(name):
            file.update_tags(number, wavelength_nm=f"{band.wavelength:g}", esa_band=band.esa)
    return file


def _finish(drafts: Mapping[Path, tuple[str, list[int]]], final: Path, predictor: str) -> None:
    """Make one file of drafts, each with bands whose overviews are made alike."""
    import rasterio

    (source, (how, _)), *more = drafts.items()
    if more:
        source = source.with_suffix(".vrt")
        with rasterio.Env(GDAL_NUM_THREADS="ALL_CPUS", GDAL_TIFF_INTERNAL_MASK=False, GDAL_CACHEMAX=_CACHE):
            joined(drafts, source)
    to_cog(source, final, how, predictor)
    for draft in drafts:
        draft.unlink(missing_ok=True)


def to_cog(plain: Path, final: Path, overviews: str, predictor: str = "YES") -> None:
    """Turn a tiled GeoTIFF into a cloud-optimised one."""
    import rasterio
    import rasterio.shutil

    settings = {"GDAL_NUM_THREADS": "ALL_CPUS", "GDAL_TIFF_INTERNAL_MASK": False, "GDAL_CACHEMAX": _CACHE}
    with noticing_full(final.parent), rasterio.Env(**settings):
        rasterio.shutil.copy(
            plain, final, driver="COG", compress="DEFLATE", predictor=predictor, blocksize=BLOCK,
            overview_resampling=overviews.upper(), bigtiff="IF_SAFER", statistics="YES",
            num_threads="ALL_CPUS",
        )  # fmt: skip
    plain.unlink()
