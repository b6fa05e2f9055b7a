"""Loader ``"rio"``: rasterio (GDAL), right for anything GDAL opens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import rasterio
import rasterio.errors
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from rasterio.enums import Resampling
from rasterio.vrt import WarpedVRT
from rasterio.windows import Window

from ..errors import ReadError
from ..signing import sign
from ..trust import settled
from .base import Source, none_wanted, read_error
from .sampling import cut, scales

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
        with rasterio.Env(**GDAL):
            for index, source in enumerate(sources):
                skip = none_wanted(wanted, index)
                out[index] = source.nodata if skip else self._read(source, geobox)
        return out

    def _read(self, source: Source, geobox: GeoBox) -> NDArray[Any]:
        try:
            with self._open(source) as file:
                return _read_from(file, source, geobox)
        except ReadError:
            raise
        except (rasterio.errors.RasterioError, OSError, ValueError) as error:
            failure = read_error(source, error)
        # Raised out here: rasterio's error as its context could not be sent from a worker.
        raise failure

    def _open(self, source: Source, **options: Any) -> rasterio.DatasetReader:
        drivers = list(self.drivers) if self.drivers is not None else None
        href = settled(sign(source.href, source.signer), source.origin)
        return rasterio.DatasetReader(href, driver=drivers, sharing=False, **options)


def _read_from(file: rasterio.DatasetReader, source: Source, geobox: GeoBox) -> NDArray[Any]:
    if file.count != 1:
        raise read_error(source, f"it has {file.count} bands, one is expected.")
    if np.dtype(file.dtypes[0]).kind not in "ui" or np.dtype(file.dtypes[0]).itemsize > 2:
        raise read_error(source, f"its numbers are {file.dtypes[0]}, unsigned 8 or 16 bits are expected.")
    grid = _grid_of(file, source)
    level = _overview(file, grid, geobox) if source.overviews else None
    if level is None:
        return _take(file, grid, source, geobox)
    name, driver = file.name, file.driver
    with rasterio.open(name, driver=driver, sharing=False, overview_level=level) as smaller:
        return _take(smaller, grid.zoom_to(smaller.shape), source, geobox)


def _grid_of(file: rasterio.DatasetReader, source: Source) -> GeoBox:
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
