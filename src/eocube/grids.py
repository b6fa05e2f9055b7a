"""Grids: an odc-geo GeoBox is the one argument that says CRS, resolution, place and size."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from odc.geo.crs import CRS
from odc.geo.geobox import GeoBox
from odc.geo.geom import Geometry

from .areas import area as to_area
from .errors import GridError

if TYPE_CHECKING:
    from pyproj import Transformer

MAX_PIXELS = 10**12
"""A grid of more pixels is taken for a mistake (the land of the whole world at 10 m has 1.5e12)."""


def grid_for(where: Any, *, crs: Any = "utm", resolution: float | None = None) -> GeoBox:
    """Make the grid of an area, or the native grid of Items.

    Parameters
    ----------
    where : area or Items
        Anything :func:`eocube.area` takes; or Items, whose union of footprints is covered on their
        own lattice (the most common one).
    crs : optional
        ``"utm"``, the UTM zone of the area's middle (or of most Items), or any CRS.
    resolution : float, optional
        Pixel in units of the CRS. Default 10 m, or the finest of the Items.

    Returns
    -------
    odc.geo.geobox.GeoBox
        North up; corners on multiples of the resolution, which at 10 and 20 m is the lattice of
        Sentinel-2's own files.

    Raises
    ------
    GridError
        If the resolution is not one, or the grid too large.

    Examples
    --------
    >>> grid = grid_for((5.0, 49.5, 5.1, 49.6), resolution=10)
    >>> str(grid.crs), grid.shape
    ('EPSG:32631', Shape2d(x=755, y=1132))
    """
    if resolution is not None and not (math.isfinite(resolution) and resolution > 0):
        raise GridError(f"resolution={resolution} is not a pixel size: give a number above 0.")
    if _are_items(where):
        return _grid_of_items(where, crs, resolution)
    return _grid_of_area(to_area(where), crs, resolution)


def check_grid(grid: object) -> GeoBox:
    """Return the grid, or say why it cannot be used.

    Raises
    ------
    GridError
        No GeoBox, no CRS, no pixels, rotated, or far too large.
    """
    if not isinstance(grid, GeoBox):
        raise GridError(
            f"The grid is a {type(grid).__name__}, not an odc.geo GeoBox: make one with "
            "eocube.grid_for(area, resolution=10)."
        )
    rows, columns = grid.shape
    crs_of(grid)
    if rows < 1 or columns < 1:
        raise GridError(f"The grid has no pixels: {rows} x {columns} (rows x columns).")
    if grid.affine.b or grid.affine.d or grid.affine.a <= 0 or grid.affine.e >= 0:
        raise GridError(f"The grid is rotated or not north up: {tuple(grid.affine)[:6]}.")
    if rows * columns > MAX_PIXELS:
        raise GridError(
            f"The grid has {rows} x {columns} pixels, more than {MAX_PIXELS:.0e}: is the resolution "
            f"({grid.affine.a:g}) in the units of the CRS ({grid.crs})?"
        )
    return grid


def crs_of(grid: GeoBox) -> CRS:
    """Return the grid's CRS.

    Raises
    ------
    GridError
        If it has none.
    """
    if grid.crs is None:
        raise GridError("The grid has no CRS: make it with eocube.grid_for(area, crs='utm').")
    return grid.crs


def is_utm(crs: CRS | None) -> bool:
    """Tell whether a CRS is a UTM zone of WGS 84, whose metres are true to 0.1 %."""
    epsg = crs.epsg if crs is not None else None
    return epsg is not None and (32601 <= epsg <= 32660 or 32701 <= epsg <= 32760)


def asset_grid(properties: Mapping[str, Any], asset: Mapping[str, Any]) -> GeoBox | None:
    """Return the grid that an Item states for an asset (projection extension v1 or v2), if any."""

    def stated(key: str) -> Any:
        return asset.get(key, properties.get(key))

    code, shape, transform = stated("proj:code"), stated("proj:shape"), stated("proj:transform")
    if code is None and stated("proj:epsg") is not None:
        code = f"EPSG:{stated('proj:epsg')}"
    if code is None or not shape or not transform:
        return None
    try:
        rows, columns = (int(number) for number in shape)
        numbers = [float(t) for t in transform[:6]]
        if not all(map(math.isfinite, numbers)) or rows < 1 or columns < 1 or numbers[0] <= 0:
            return None
        return _shared_grid(str(code), rows, columns, *numbers)
    except (TypeError, ValueError, ArithmeticError, LookupError, RuntimeError):
        return None


@lru_cache(maxsize=1024)
def _shared_grid(code: str, rows: int, columns: int, *transform: float) -> GeoBox:
    """Thousands of files share a few grids: one object for each keeps a plan small."""
    return GeoBox((rows, columns), Affine(*transform), code)


def metres_of(grid: GeoBox) -> float:
    """Return the metres of a unit of the grid's CRS; of a degree those along a meridian."""
    return 1.0 if crs_of(grid).projected else 111_320.0


def nests(src: GeoBox, dst: GeoBox) -> bool:
    """Whether the output shares the file's lattice, or each of its pixels lies within one."""
    ratio = src.affine.a / dst.affine.a
    return ratio > 0.5 and abs(ratio - round(ratio)) < 1e-6 and aligned(src, dst)


def aligned(src: GeoBox, dst: GeoBox) -> bool:
    """Whether the file's corner is a corner of pixels of the output."""
    square = abs(src.affine.a + src.affine.e) < 1e-6 and abs(dst.affine.a + dst.affine.e) < 1e-6
    if src.crs != dst.crs or not square:
        return False
    shift_x = (src.affine.c - dst.affine.c) / dst.affine.a
    shift_y = (src.affine.f - dst.affine.f) / dst.affine.e
    return abs(shift_x - round(shift_x)) < 1e-3 and abs(shift_y - round(shift_y)) < 1e-3


def lattice_around(window: GeoBox, resolution: float, reach: float, crs: CRS) -> GeoBox:
    """Return the grid on which a mask sees a window and ``reach`` metres around it.

    Parameters
    ----------
    window : GeoBox
        What is to be masked.
    resolution : float
        Pixel of the mask in metres.
    reach : float
        Metres the mask looks around itself.
    crs : CRS
        In which the mask works.

    Returns
    -------
    GeoBox
        The window's own lattice where its pixel is the mask's; else a lattice of multiples of
        ``resolution``, so that every window of a grid sees the same pixels.
    """
    square = abs(window.affine.a + window.affine.e) < 1e-6 * resolution
    if window.crs == crs and square and abs(window.affine.a - resolution) < 1e-6 * resolution:
        rim = math.ceil(reach / resolution)
        return window.pad(rim) if rim else window
    left, bottom, right, top = window.extent.to_crs(crs, resolution=_edge_step(window)).boundingbox.bbox
    left, right = (math.floor((left - reach) / resolution), math.ceil((right + reach) / resolution))
    bottom, top = (math.floor((bottom - reach) / resolution), math.ceil((top + reach) / resolution))
    affine = Affine(resolution, 0, left * resolution, 0, -resolution, top * resolution)
    return GeoBox((top - bottom, right - left), affine, crs)


def _edge_step(window: GeoBox) -> float:
    """Length of the pieces into which a window's edges are cut before they are transformed."""
    rows, columns = window.shape
    return float(max(rows * abs(window.affine.e), columns * window.affine.a) / 16)


def pixel_coordinates(src: GeoBox, dst: GeoBox) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return where the pixel centres of ``dst`` lie in ``src``, as fractional rows and columns.

    Returns
    -------
    rows, columns : float64 arrays
        In pixels of ``src``, 0.5 being the middle of the first. Of shape (y, 1) and (1, x) where
        both share a CRS, else (y, x). Rounded to 2**-20 of a pixel, so that they do not depend on
        the window that was asked for.
    """
    height, width = dst.shape
    a = dst.affine
    x = (np.arange(width) + 0.5) * a.a + a.c
    y = (np.arange(height) + 0.5) * a.e + a.f
    if src.crs != dst.crs:
        to_src = transformer(dst.crs, src.crs)
        gx, gy = np.broadcast_arrays(x[None, :], y[:, None])
        sx, sy = to_src.transform(gx, gy)
    else:
        sx, sy = x[None, :], y[:, None]
    b = src.affine
    return _rounded((sy - b.f) / b.e), _rounded((sx - b.c) / b.a)


def transformer(source: Any, target: Any) -> Transformer:
    """Return the way from one CRS to another, x before y.

    Raises
    ------
    ValueError
        If there is none: a damaged header may hold a CRS that PROJ can read and not use.
    """
    import pyproj
    from pyproj.exceptions import ProjError

    try:
        return pyproj.Transformer.from_crs(source.proj, target.proj, always_xy=True)
    except ProjError as error:
        raise ValueError(f"no way leads from CRS {source} to {target}: {error}") from None


def _rounded(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.rint(values * 2**20) / 2**20, dtype=np.float64)


def _are_items(where: object) -> bool:
    if isinstance(where, str | bytes | Mapping) or not hasattr(where, "__len__"):
        return False
    first = next(iter(where), None) if isinstance(where, Iterable) else None
    return hasattr(first, "assets") or (isinstance(first, Mapping) and "assets" in first)


def _grid_of_area(where: Geometry, crs: Any, resolution: float | None) -> GeoBox:
    target = CRS.utm(where) if crs == "utm" else _crs(crs)
    if resolution is None:
        resolution = 10.0
    if target.geographic and resolution >= 1:
        raise GridError(f"resolution={resolution:g} with {target} means degrees: 10 m is about 0.00009.")
    box = where.to_crs(target, resolution=1000 if where.crs and where.crs.projected else 0.01)
    return _snapped(box.boundingbox.bbox, target, resolution, (0.0, 0.0))


def _grid_of_items(items: Iterable[Any], crs: Any, resolution: float | None) -> GeoBox:
    grids: list[GeoBox] = []
    for item in items:
        if isinstance(item, Mapping):
            found = [asset_grid(item.get("properties", {}), asset) for asset in item["assets"].values()]
        else:
            found = [asset_grid(item.properties, asset.extra_fields) for asset in item.assets.values()]
        grids += sorted((g for g in found if g is not None), key=lambda g: g.affine.a)[:1]
    grids.sort(key=lambda g: (str(g.crs), tuple(g.affine)))
    if not grids:
        raise GridError(
            "The Items do not state their grids (proj:code, proj:shape, proj:transform): give an area."
        )
    target = Counter(crs_of(g) for g in grids).most_common(1)[0][0] if crs == "utm" else _crs(crs)
    own = [g for g in grids if g.crs == target]
    finest = min((g.affine.a for g in own), default=10.0)
    if not own and resolution is None:
        raise GridError(f"Give resolution= in units of {target}: no Item is in that CRS.")
    pixel = resolution or finest
    origins = Counter((g.affine.c % pixel, g.affine.f % pixel) for g in own)
    origin = origins.most_common(1)[0][0] if origins else (0.0, 0.0)
    boxes = [g.extent.to_crs(target, resolution=10_000).boundingbox.bbox for g in grids]
    lows, highs = np.min(boxes, axis=0), np.max(boxes, axis=0)
    return _snapped((lows[0], lows[1], highs[2], highs[3]), target, pixel, origin)


def _crs(crs: Any) -> CRS:
    try:
        return CRS(crs)
    except Exception as error:
        raise GridError(f"{crs!r} is not a CRS: write 'utm', 'EPSG:32631' or the like.") from error


def _snapped(bbox: Iterable[float], crs: CRS, resolution: float, origin: tuple[float, float]) -> GeoBox:
    """Return the grid that covers a bbox, its corners on the lattice through ``origin``."""
    left, bottom, right, top = bbox
    tiny = 1e-6  # of a pixel: do not add a row because of rounding
    first = math.floor((left - origin[0]) / resolution + tiny)
    last = max(math.ceil((right - origin[0]) / resolution - tiny), first + 1)
    low = math.floor((bottom - origin[1]) / resolution + tiny)
    high = max(math.ceil((top - origin[1]) / resolution - tiny), low + 1)
    x0, y0 = first * resolution + origin[0], high * resolution + origin[1]
    return check_grid(GeoBox((high - low, last - first), Affine(resolution, 0, x0, 0, -resolution, y0), crs))
