"""Planes: where the pixels of a plan or a cube lie, whoever made it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import xarray as xr
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from .errors import GridError, InputError
from .grids import check_grid
from .plans import Plan

CHUNK = 2048
"""Rows and columns of the pieces into which a cube in memory is cut."""

_DIMS = ("time", "band", "y", "x")


@dataclass(frozen=True)
class Plane:
    """A plan or a cube, and where its pixels lie.

    Attributes
    ----------
    source : Plan or DataArray
        A cube has dims (time, band, y, x), y downwards.
    grid : GeoBox
    bands : tuple of str
    times : datetime64 array
        UTC.
    chunks : tuple of tuple of int
        Heights and widths.
    nodata : float
        Of a cube of whole numbers.
    classes : str
        The band that holds classes, if any.
    """

    source: Plan | xr.DataArray
    grid: GeoBox
    bands: tuple[str, ...]
    times: NDArray[Any]
    chunks: tuple[tuple[int, ...], tuple[int, ...]]
    nodata: float = 0
    classes: str = ""


def plane_of(source: Any) -> Plane:
    """Return where the pixels of a plan or a cube lie.

    Raises
    ------
    InputError
        If it is neither.
    GridError
        If a cube has no CRS, or its pixels lie on no regular grid.
    """
    if isinstance(source, Plan):
        times = np.array([s.time.replace(tzinfo=None) for s in source.scenes], dtype="datetime64[ns]")
        classes = "scl" if "scl" in source.bands else ""
        pieces = source.cut(source.chunk_reduced)
        return Plane(source, source.grid, source.bands, times, pieces, classes=classes)
    cube = _four_dims(source)
    grid = _grid(cube)
    if grid.affine.e > 0:
        cube = cube.isel(y=slice(None, None, -1))
        grid = grid.flipy()
    chunks = cube.chunks[2:] if cube.chunks else tuple(_pieces(int(size)) for size in cube.shape[2:])
    bands = tuple(str(band) for band in cube["band"].values)
    nodata = cube.attrs.get("nodata", cube.attrs.get("_FillValue", 0))
    classes = str(cube.attrs.get("flag_band", ""))
    return Plane(
        cube, check_grid(grid), bands, cube["time"].values, (chunks[0], chunks[1]),
        0 if nodata is None else float(nodata), classes,
    )  # fmt: skip


def _four_dims(cube: Any) -> xr.DataArray:
    if not isinstance(cube, xr.DataArray) or set(cube.dims) not in (set(_DIMS), set(_DIMS) - {"band"}):
        found = tuple(cube.dims) if isinstance(cube, xr.DataArray) else type(cube).__name__
        flat = isinstance(cube, xr.DataArray) and set(cube.dims) <= {"band", "y", "x"}
        said = " A composite of all dates has no time: make one by periods, by='month'." if flat else ""
        raise InputError(
            f"A plan, or a DataArray with dims {_DIMS} or ('time', 'y', 'x') is needed, found {found}.{said}"
        )
    if cube.dtype.kind not in "fui":
        raise InputError(f"A cube of numbers is needed, found {cube.dtype}.")
    if not all(cube.sizes.values()):
        raise InputError(f"The cube is empty: {dict(cube.sizes)}.")
    if "time" not in cube.coords or cube["time"].dtype.kind != "M":
        raise InputError("The cube has no dates along time: give it a coordinate of datetime64.")
    if "band" not in cube.dims:
        name = str(cube["band"].item() if "band" in cube.coords else cube.name or "value")
        cube = cube.drop_vars("band", errors="ignore").expand_dims(band=[name], axis=1)
    elif "band" not in cube.coords:
        cube = cube.assign_coords(band=[str(n) for n in range(cube.sizes["band"])])
    made: xr.DataArray = cube.transpose(*_DIMS)
    return made


def _grid(cube: xr.DataArray) -> GeoBox:
    """Return a cube's grid: by odc-geo, or as stackstac writes it."""
    if "epsg" in cube.coords and "spatial_ref" not in cube.coords and cube["epsg"].ndim == 0:
        return _stackstac_grid(cube)
    import odc.geo.xr  # noqa: F401  (makes .odc)

    found = cube.odc.geobox
    if not isinstance(found, GeoBox):
        raise GridError("The cube's pixels lie on no regular grid of x and y, or x and y are missing.")
    if found.crs is None:
        raise GridError("The cube has no CRS: give it one, for instance by cube.rio.write_crs('EPSG:32631').")
    return found


def _stackstac_grid(cube: xr.DataArray) -> GeoBox:
    """Return the grid of stackstac's coordinates, which are corners by default and centres if asked."""
    transform = cube.attrs.get("transform")
    if transform is None:
        raise GridError("The cube has no spatial_ref and no transform: give it a CRS by cube.rio.write_crs.")
    a = Affine(*tuple(transform)[:6])
    x, y = float(cube["x"].values[0]), float(cube["y"].values[0])
    # The transform is that of the array before it was cut; the coordinates were cut with it.
    column, row = (x - a.c) / a.a, (y - a.f) / a.e
    half = 0.5 if abs(column % 1 - 0.5) < 0.25 else 0.0
    corner = a * Affine.translation(round(column - half), round(row - half))
    return GeoBox((cube.sizes["y"], cube.sizes["x"]), corner, f"EPSG:{int(cube['epsg'])}")


def _pieces(size: int) -> tuple[int, ...]:
    edges = [*range(0, size, CHUNK), size]
    return tuple(high - low for low, high in pairwise(edges))
