"""Loader ``"rio"``: rasterio (GDAL), right for anything GDAL opens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import numpy as np
import rasterio
import rasterio.errors
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from rasterio.enums import Resampling
from rasterio.vrt import WarpedVRT
from rasterio.windows import Window

from ..errors import ReadError, UntrustedError
from ..retries import SAME, WRONG
from ..signing import Unsigned, unsigned
from .base import Source, none_wanted, read_error
from .directories import Foreign
from .handles import Remote, forget_front
from .natively import persistently, remote
from .places import place_of, where
from .ranges import Changed, LocalFile, RemoteFile, Unreadable, submit
from .sampling import cut, parts, rows_of, scales

GDAL = {
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",  # no side-car files: one request less per file
    "GDAL_NUM_THREADS": "1",  # GDAL's threads switch its HTTP retries off (OSGeo/gdal#12426)
    "GDAL_HTTP_MAX_RETRY": "4",
    "GDAL_HTTP_RETRY_DELAY": "0.5",
    "GDAL_HTTP_CONNECTTIMEOUT": "10",
    "GDAL_HTTP_TIMEOUT": "60",
    "GDAL_HTTP_MERGE_CONSECUTIVE_RANGES": "YES",
    "GDAL_INGESTED_BYTES_AT_OPEN": "16384",  # the header of a COG in one request
    "CPL_VSIL_CURL_USE_HEAD": "NO",
}
"""GDAL's settings while a file is read. They hold inside the loader only."""

_GDAL_ERRORS = (rasterio.errors.RasterioError,)
_MAGIC = {
    b"II*\0": "GTiff", b"MM\0*": "GTiff", b"II+\0": "GTiff", b"MM\0+": "GTiff",
    b"\0\0\0\x0cjP  ": "JP2OpenJPEG", b"\xffO\xffQ": "JP2OpenJPEG",
}  # fmt: skip
"""First bytes of the files of drivers."""

_AT_ONCE = 8
"""Remote files that are read beside each other."""


@dataclass(frozen=True)
class RioLoader:
    """Reads with rasterio.

    Attributes
    ----------
    drivers : tuple of str or None
        GDAL drivers that may open a file; None for all of GDAL's. GeoTIFF and JPEG 2000 by
        default: what is called a TIFF may be a VRT, which reads any file of this machine.
    """

    drivers: tuple[str, ...] | None = ("GTiff", "JP2OpenJPEG")

    def __call__(
        self,
        sources: Sequence[Source],
        geobox: GeoBox,
        wanted: Sequence[NDArray[np.bool_] | None] | None = None,
    ) -> NDArray[Any]:
        """Return digital numbers (source, y, x); see :class:`eocube.loaders.Loader`."""
        dtype = np.result_type(*(np.dtype(source.dtype) for source in sources))
        out = np.empty((len(sources), *geobox.shape), dtype=dtype)
        chosen = []
        for index, source in enumerate(sources):
            if none_wanted(wanted, index):
                out[index] = source.nodata
            else:
                chosen.append(index)
        later = [index for index in chosen if remote(sources[index].href)] if len(chosen) > 1 else []
        calls = [(i, submit(self._read, sources[i], geobox, threads=_AT_ONCE)) for i in later]
        try:
            for index in chosen:
                if index not in later:
                    out[index] = self._read(sources[index], geobox)
            for index, call in calls:
                out[index] = call.result()
        finally:
            for _, call in calls:
                call.cancel()
        return out

    def _read(self, source: Source, geobox: GeoBox) -> NDArray[Any]:
        try:
            href, signer = where(source)
            place = _place_of(href, signer)
        except UntrustedError as error:
            raise read_error(source, error) from None
        except Unsigned as error:
            raise read_error(source, f"it could not be signed: {error}") from None
        if isinstance(place, RemoteFile):
            return self._fetched(place, source, geobox)
        try:
            return persistently(
                lambda name, options: self._natively(name, options, source, geobox),
                href, signer, _GDAL_ERRORS,
            )  # fmt: skip
        except ReadError:
            raise
        except (*_GDAL_ERRORS, OSError, ValueError) as error:
            failure = read_error(source, error)
        # Raised out here: rasterio's error as its context could not be sent from a worker.
        raise failure

    def _natively(self, name: str, options: dict[str, str], source: Source, geobox: GeoBox) -> NDArray[Any]:
        """Read a file that GDAL finds itself."""
        drivers = None if self.drivers is None else list(self.drivers)
        with (
            rasterio.Env(**GDAL, **options),
            rasterio.DatasetReader(name, driver=drivers, sharing=False) as file,
        ):
            return _read_from(file, source, geobox)

    def _fetched(self, place: RemoteFile, source: Source, geobox: GeoBox) -> NDArray[Any]:
        """Read a file whose bytes we fetch; once more where they were damaged on the way."""
        key = unsigned(source.href)
        before: dict[tuple[int, int], int] = {}
        changes = alike = 0
        failure: Exception = read_error(source, "each time it is read, it is another")
        for _ in range(WRONG):
            try:
                file = Remote(place, key)
                found, failure = self._decoded(file, source, geobox)
                sound = file.sure()
                if found is not None and sound:
                    return found
            except Unreadable as error:
                raise read_error(source, error) from None
            forget_front(key)
            if not sound:
                continue  # its first bytes were others when they were read again
            changes += isinstance(file.failure, Changed)
            if file.failure is not None and (changes > 2 or not isinstance(file.failure, Changed)):
                break
            own = file.sums.items()
            same = file.failure is None and all(before.get(part) == value for part, value in own)
            if same and alike == SAME:
                break  # the same bytes again and again: it is the file that is damaged
            alike = alike + 1 if same else 0
            before = file.sums
        raise failure

    def _decoded(
        self, remote: Remote, source: Source, geobox: GeoBox
    ) -> tuple[NDArray[Any] | None, Exception]:
        """Return the pixels, or None and why there are none."""
        name = f"{uuid4().hex}/{remote.file.path.rpartition('/')[2]}"
        failure: Exception = read_error(source, "it could not be read")
        try:
            with (
                rasterio.Env(**GDAL),
                rasterio.open(name, driver=self._driver(remote), sharing=False, opener=remote) as file,
            ):
                found = _read_from(file, source, geobox)
            if remote.failure is None:
                return found, failure
        except ReadError as error:
            failure = error
        except (*_GDAL_ERRORS, OSError, ValueError) as error:
            failure = read_error(source, error)
        if remote.failure is not None:
            failure = read_error(source, _blamed(remote))
        return None, failure

    def _driver(self, remote: Remote) -> str | None:
        """Tell the driver from the first bytes; only those that are allowed."""
        if self.drivers is None:
            return None
        found = next((name for magic, name in _MAGIC.items() if remote.front.startswith(magic)), "")
        others = [name for name in self.drivers if name not in _MAGIC.values()]
        if found in self.drivers:
            return found
        if not others:
            raise ValueError(f"it is no file of {' or '.join(self.drivers)}")
        return others[0]


def _place_of(href: str, signer: str) -> LocalFile | RemoteFile | None:
    """Return where a file is, or None for a place only GDAL knows."""
    try:
        return place_of(href, signer)
    except (Foreign, ValueError):
        return None


def _blamed(remote: Remote) -> str:
    why = str(remote.failure)
    return why if why.startswith("block") else f"{remote.where()}{why}"


def _read_from(file: rasterio.DatasetReader, source: Source, geobox: GeoBox) -> NDArray[Any]:
    if file.count != 1:
        raise read_error(source, f"it has {file.count} bands, one is expected.")
    if np.dtype(file.dtypes[0]).kind not in "ui" or np.dtype(file.dtypes[0]).itemsize > 2:
        raise read_error(source, f"its numbers are {file.dtypes[0]}, unsigned 8 or 16 bits are expected.")
    grid = grid_of(file, source)
    level = _overview(file, grid, geobox) if source.overviews else None
    if level is None:
        return _take(file, grid, source, geobox)
    name, driver = file.name, file.driver
    with rasterio.open(name, driver=driver, sharing=False, overview_level=level) as smaller:
        return _take(smaller, grid.zoom_to(smaller.shape), source, geobox)


def grid_of(file: rasterio.DatasetReader, source: Source) -> GeoBox:
    """Return the grid of a file; that of its Item where the file has no CRS."""
    if file.crs is not None:
        return GeoBox(
            file.shape,
            file.transform,
            file.crs.to_wkt() if file.crs.to_epsg() is None else f"EPSG:{file.crs.to_epsg()}",
        )
    if source.grid is not None and tuple(source.grid.shape) == file.shape:
        return source.grid
    raise read_error(source, "it has no CRS, and its Item does not state one that fits.")


def _overview(file: rasterio.DatasetReader, grid: GeoBox, geobox: GeoBox) -> int | None:
    """Return the coarsest overview that is not coarser than the output."""
    size = min(scales(grid, geobox)) * (1 + 1e-6)
    fitting = [index for index, factor in enumerate(file.overviews(1)) if factor <= size]
    return fitting[-1] if fitting else None


def _take(file: rasterio.DatasetReader, grid: GeoBox, source: Source, geobox: GeoBox) -> NDArray[Any]:
    how = cut(grid, geobox, source.resampling)
    if how.empty:
        return np.full(geobox.shape, source.nodata, dtype=source.dtype)
    if how.method not in ("nearest", "bilinear"):
        return _warp(file, grid, how.method, source, geobox)
    count = parts(how, np.dtype(file.dtypes[0]).itemsize)
    if count > 1:
        return np.concatenate([_take(file, grid, source, geobox[rows, :]) for rows in rows_of(geobox, count)])
    top, bottom, left, right = how.window
    block = file.read(1, window=Window(left, top, right - left, bottom - top))
    block = _with_nodata(block, file.nodata, source)
    return how.take(block, source.nodata).astype(source.dtype, copy=False)


def _with_nodata(block: NDArray[Any], tag: float | None, source: Source) -> NDArray[Any]:
    """Give no data the number the caller expects, if the file marks it by another."""
    if tag is None or tag == source.nodata or source.nodata != 0:
        return block
    return np.where(block == tag, np.asarray(0, dtype=block.dtype), block)


def _warp(
    file: rasterio.DatasetReader, grid: GeoBox, method: str, source: Source, geobox: GeoBox
) -> NDArray[Any]:
    """Leave other methods to GDAL's warper.

    The transformer's tolerance is a millionth of a pixel (GDAL's default, an eighth, makes results
    depend on the window) and the kernel's size is fixed by the file, not by the window. What is
    left are roundings: two windows may differ by one digital number in rare pixels.
    """
    across, down = scales(grid, geobox)
    height, width = geobox.shape
    with WarpedVRT(
        file,
        src_crs=str(grid.crs),
        crs=str(geobox.crs),
        transform=geobox.affine,
        height=height,
        width=width,
        src_nodata=source.nodata if file.nodata is None or source.nodata else file.nodata,
        nodata=source.nodata,
        resampling=Resampling[method],
        tolerance=1e-6,
        XSCALE=min(1.0, 1 / across),
        YSCALE=min(1.0, 1 / down),
    ) as warped:
        return np.asarray(warped.read(1), dtype=source.dtype)
