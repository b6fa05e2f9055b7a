"""Web grids: grids on the lattice of web maps, EPSG:3857 at a zoom.

Zoom z has a pixel of 2 pi 6378137 / 256 / 2**z metres (of the equator), counted from the upper left
corner of the world's square: 9.55 at zoom 14, 19.11 at 13, 38.22 at 12. Source: OGC 17-083r4, *Two
Dimensional Tile Matrix Set and Tile Set Metadata*, annex D.1, WebMercatorQuad.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from odc.geo.crs import CRS
from odc.geo.geobox import GeoBox

from .areas import LONLAT
from .areas import area as to_area
from .errors import GridError
from .grids import check_grid, crs_of, is_utm, transformer
from .tiles import zone_middle

RADIUS = 6_378_137.0
"""Of the sphere of EPSG:3857, metres."""

CORNER = math.pi * RADIUS
"""The world's square reaches from -CORNER to CORNER in x and in y."""

ZOOMS = {10: 14, 20: 13, 60: 12}
"""The zoom for bands by their native pixel in metres."""

_MOST_ZOOM = 24
_PIECES = 1024  # of the longer side of an outline: 107 m of a tile, straight to centimetres


def web_grid(where: Any, zoom: int, *, align: int = 12) -> GeoBox:
    """Return the grid of a zoom of web maps that covers an area or another grid.

    Its corners lie on whole pixels of zoom ``align``, so that the grids of one place at the zooms 14, 13
    and 12 have the same corners, and each pixel of one holds four of the next. They are not widened to
    whole map tiles of 256 pixels: that would add up to 255 rows or columns without data to each side, and
    nothing reads a COG by them.

    Parameters
    ----------
    where : GeoBox, or an area
        What is to be covered: a grid, or anything that :func:`eocube.area` takes. What is in UTM and
        crosses the antimeridian, as some tiles of the zones 1 and 60 do, is cut there, and the side of its
        own zone is kept: both together would span the world. Tiles of the other zone cover the rest.
    zoom : int
        0 to 24: 14 for bands of 10 m, 13 for 20 m, 12 for 60 m.
    align : int
        Zoom of the lattice on which the corners lie; ``zoom`` where that is coarser.

    Returns
    -------
    odc.geo.geobox.GeoBox
        EPSG:3857, north up.

    Raises
    ------
    AreaError
        If it is no area.
    GridError
        If it is no grid, the zoom none, or nothing of it lies in the world's square.

    Examples
    --------
    >>> from eocube.tiles import tile_grid
    >>> web_grid(tile_grid("31NAA"), 12).shape
    Shape2d(x=2872, y=2892)
    """
    for name, value in (("zoom", zoom), ("align", align)):
        if not isinstance(value, int) or not 0 <= value <= _MOST_ZOOM:
            raise GridError(f"{name}={value!r} is not a zoom: give a whole number from 0 to {_MOST_ZOOM}.")
    x, y = _outline(where)
    coarse = min(zoom, align)
    step, most = pixel_of(coarse), 256 * 2**coarse
    left, right = _pixels(x.min() + CORNER, x.max() + CORNER, step, most)
    top, bottom = _pixels(CORNER - y.max(), CORNER - y.min(), step, most)
    pixel, times = pixel_of(zoom), 2 ** (zoom - coarse)
    affine = Affine(pixel, 0, left * step - CORNER, 0, -pixel, CORNER - top * step)
    return check_grid(GeoBox(((bottom - top) * times, (right - left) * times), affine, "EPSG:3857"))


def pixel_of(zoom: int) -> float:
    """Return the pixel of a zoom, in metres of the equator."""
    return math.ldexp(CORNER / 128, -zoom)


def _pixels(low: float, high: float, step: float, most: int) -> tuple[int, int]:
    """Return the first pixel that holds some of a stretch, and one past the last."""
    tiny = 1e-6  # of a pixel: none more because of rounding
    first = min(max(math.floor(low / step + tiny), 0), most - 1)
    return first, min(max(math.ceil(high / step - tiny), first + 1), most)


def _outline(where: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return x and y along the outline, metres of EPSG:3857."""
    if isinstance(where, GeoBox):
        crs, shape = crs_of(where), check_grid(where).extent.geom
    else:
        found = to_area(where)
        crs, shape = CRS(found.crs), found.geom
    west, south, east, north = shape.bounds
    points = shapely.get_coordinates(shapely.segmentize(shape, max(east - west, north - south) / _PIECES))
    lon, lat = transformer(crs, CRS(LONLAT)).transform(*points.T)
    if is_utm(crs):
        middle = zone_middle((crs.epsg or 0) % 100)
        lon = (lon - middle + 180) % 360 - 180 + middle
    outside = lon.max() <= -180 or lon.min() >= 180 or lat.min() >= 85 or lat.max() <= -85
    if outside or not (np.isfinite(lon).all() and np.isfinite(lat).all()):
        raise GridError(f"Nothing of it lies on web maps: {shape.bounds} in {crs}.")
    # The square ends at 85.05 degrees.
    y = RADIUS * np.arctanh(np.sin(np.radians(np.clip(lat, -85.06, 85.06))))
    return RADIUS * np.radians(np.clip(lon, -180, 180)), y
