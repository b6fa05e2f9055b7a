"""Loader ``"stackstac"``: the reader of stackstac 0.5.1 behind our seam.

For those who know it. stackstac is no longer maintained (gjoseph92/stackstac#270); it warps with
GDAL's approximate transformer, so that reprojected pixels may differ by an eighth of a pixel.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import numpy as np
import rasterio
import rasterio.errors
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from rasterio.enums import Resampling
from rasterio.windows import Window

from ..errors import InputError, UntrustedError
from ..grids import nests
from ..signing import Unsigned, unsigned
from .base import Source, none_wanted, read_error
from .directories import Foreign
from .handles import Remote
from .natively import access
from .places import place_of, where
from .ranges import LocalFile, RemoteFile, Unreadable
from .rio import grid_of
from .sampling import scales


@dataclass(frozen=True)
class StackstacLoader:
    """Reads with stackstac's ``AutoParallelRioReader``; needs an output CRS with an EPSG code."""

    def __call__(
        self,
        sources: Sequence[Source],
        geobox: GeoBox,
        wanted: Sequence[NDArray[np.bool_] | None] | None = None,
    ) -> NDArray[Any]:
        """Return digital numbers (source, y, x); see :class:`eocube.loaders.Loader`."""
        dtype = np.result_type(*(np.dtype(source.dtype) for source in sources))
        out = np.empty((len(sources), *geobox.shape), dtype=dtype)
        for index, source in enumerate(sources):
            out[index] = source.nodata if none_wanted(wanted, index) else _read(source, geobox)
        return out


def _read(source: Source, geobox: GeoBox) -> NDArray[Any]:
    from stackstac.raster_spec import RasterSpec

    if geobox.crs is None or geobox.crs.epsg is None:
        raise InputError("loader='stackstac' needs a grid with an EPSG code: take loader='rio'.")
    resolution = (geobox.affine.a, -geobox.affine.e)
    spec = RasterSpec(geobox.crs.epsg, geobox.extent.boundingbox.bbox, resolution)
    with _opened(source) as href:
        return _with_stackstac(source, href, spec, geobox)


@contextmanager
def _opened(source: Source) -> Iterator[str]:
    """Give the name under which GDAL opens a file; a remote one's bytes are fetched by us."""
    place: LocalFile | RemoteFile | None = None
    try:
        href, signer = where(source)
        with suppress(Foreign, ValueError):
            place = place_of(href, signer)
    except UntrustedError as error:
        raise read_error(source, error) from None
    except Unsigned as error:
        raise read_error(source, f"it could not be signed: {error}") from None
    if not isinstance(place, RemoteFile):
        name, options = access(href, signer)
        with rasterio.Env(**options):
            yield name
        return
    try:
        remote = Remote(place, unsigned(source.href))
        with rasterio.open(
            f"{uuid4().hex}/{place.path.rpartition('/')[2]}", opener=remote, driver="GTiff"
        ) as file:
            yield file.name
        if remote.failure is not None:
            raise remote.failure
    except (Unreadable, rasterio.errors.RasterioError) as error:
        failure = read_error(source, error)
    else:
        return
    raise failure


def _with_stackstac(source: Source, href: str, spec: Any, geobox: GeoBox) -> NDArray[Any]:
    from stackstac.rio_reader import AutoParallelRioReader

    resampling = _resampling(source, href, geobox)
    try:
        reader = AutoParallelRioReader(
            url=href,
            spec=spec,
            resampling=resampling,
            dtype=np.dtype(source.dtype),
            fill_value=np.dtype(source.dtype).type(source.nodata),
            scale_offset=(1, 0),
            errors_as_nodata=(),  # its default makes a missing file a tile of no data
        )
        height, width = geobox.shape
        found = reader.read(Window(0, 0, width, height))
        reader.close()
        return np.asarray(found, dtype=source.dtype)
    except (RuntimeError, rasterio.errors.RasterioError, OSError) as error:
        failure = read_error(source, error)
    # Raised out here: rasterio's error as its context could not be sent from a worker.
    raise failure


def _resampling(source: Source, href: str, geobox: GeoBox) -> Resampling:
    if source.resampling == "nearest":
        return Resampling.nearest
    try:
        with rasterio.open(href) as file:
            grid, nodata = grid_of(file, source), file.nodata
        scales(grid, geobox)  # whether a way leads from one to the other
    except (rasterio.errors.RasterioIOError, ValueError) as error:
        failure = read_error(source, error)
    else:
        method = source.resampling if source.resampling != "auto" else "bilinear"
        if source.resampling == "auto" and nests(grid, geobox):
            return Resampling.nearest
        if nodata is not None:
            return Resampling[method]
        failure = read_error(
            source, f"it does not tag no data, which stackstac would mix in by {method}: take loader='cog'."
        )
    raise failure
