"""Cells: which MGRS tiles of Sentinel-2 an area touches."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from .areas import lonlat, wide_area
from .errors import AreaError
from .tiles import square_name, square_tile, zone_lonlat, zone_middle, zones_at

TOLERANCE = 25.0
"""Metres by which outlines are widened, since their edges are straight between points 9 km apart."""

_ROWS = 94  # of 100 km, from the equator to 84 degrees
_COLUMNS = 8
_PIECES = 12  # of a tile's edge
_TURNS = (-360, 0, 360)  # what lies beyond the antimeridian lies on the other side of the world
_FAR = 30  # degrees; no tile of a zone lies as far from its middle, even in the north


def cells_of(where: Any, *, crs: Any = None, radius: float | None = None) -> tuple[str, ...]:
    """Return the MGRS tiles of Sentinel-2 that an area touches.

    A tile is 109.8 km wide and overlaps its neighbours, so a point lies in up to four tiles of a UTM zone,
    and in more where zones meet. A tile counts as one if some of its 100 km square lies in its own UTM
    zone (with the exceptions of Norway and Svalbard) and between 80 S and 84 N. ESA leaves out some of
    them, at the borders of the zones where its other tiles cover the ground, and takes no pictures of the
    open sea; so not every cell has scenes.

    Parameters
    ----------
    where : many
        Anything that :func:`eocube.area` takes, and also what spans the world: a bbox of 360 degrees, one
        across the antimeridian (its west above 0, its east below), or polygons on both sides of it.
    crs : optional
        CRS of ``where`` when it carries none. Default: longitude and latitude (EPSG:4326).
    radius : float, optional
        Metres around a point (or around any geometry).

    Returns
    -------
    tuple of str
        Their names, ``"33TWL"``, sorted. Tiles up to 25 m away may be among them.

    Raises
    ------
    AreaError
        If it is no area, an edge of a polygon crosses the antimeridian, or it touches no tile.

    Examples
    --------
    >>> cells_of((15.2, 45.5, 15.4, 45.6))
    ('33TWL',)
    """
    shape = lonlat(wide_area(where, crs=crs, radius=radius))
    shapely.prepare(shape)
    found = [name for zone in range(1, 61) for name in _touched(zone, shape)]
    if not found:
        raise AreaError(
            f"The area {tuple(round(edge, 3) for edge in shape.bounds)} touches no tile: Sentinel-2's lie "
            "between 80 S and 84 N."
        )
    return tuple(sorted(found))


def zone_cells(zone: int) -> tuple[str, ...]:
    """Return the names of all tiles of a UTM zone."""
    return tuple(square_name(zone, *square) for square in _squares(zone))


def _touched(zone: int, shape: BaseGeometry) -> list[str]:
    """Return the tiles of one zone that touch a geometry in longitude and latitude."""
    west, south, east, north = shape.bounds
    turns = [t for t in _TURNS if west - _FAR < zone_middle(zone) + t < east + _FAR]
    if not turns:
        return []
    squares, rings = _squares(zone), _rings(_kind(zone))
    touched = np.zeros(len(squares), dtype=bool)
    for turn in turns:
        x, y = rings[..., 0] + (zone_middle(zone) + turn), rings[..., 1]
        near = (x.max(1) >= west) & (x.min(1) <= east) & (y.max(1) >= south) & (y.min(1) <= north) & ~touched
        if near.any():
            outlines = shapely.polygons(np.stack([x[near], y[near]], axis=-1))
            touched[near] = shapely.intersects(shape, outlines)
    return [square_name(zone, *squares[index]) for index in np.flatnonzero(touched)]


def _kind(zone: int) -> int:
    """Zones are alike but for their longitude; 31 to 37 have exceptions in the north."""
    return zone if 31 <= zone <= 37 else 1


def _squares(zone: int) -> tuple[tuple[int, int], ...]:
    """Return column (1 to 8) and row (from the equator, negative in the south) of a zone's squares."""
    return _all_squares()[_kind(zone)]


@lru_cache(maxsize=1)
def _all_squares() -> dict[int, tuple[tuple[int, int], ...]]:
    """Return the squares of each kind of zone that have ground in it."""
    column, row = (n.ravel() for n in np.meshgrid(np.arange(1, _COLUMNS + 1), np.arange(_ROWS)))
    # Zones are larger than squares: if some ground of a square is in its zone, some of its rim is.
    rim = shapely.get_coordinates(shapely.segmentize(shapely.box(0, 0, 1, 1), 1 / 50))
    east, lat = zone_lonlat(
        (column[:, None] + rim[:, 0]) * 100_000, (row[:, None] + rim[:, 1]) * 100_000
    )
    # The south is the north's mirror image, but has no exceptions, and ends at 80 degrees.
    in_south = ((np.abs(east) < 3) & (lat < 80)).any(axis=1)
    south = tuple(zip(column[in_south].tolist(), (-1 - row[in_south]).tolist(), strict=True))
    found = {}
    for kind in {_kind(zone) for zone in range(1, 61)}:
        in_zone = zones_at(east + zone_middle(kind), lat) == kind
        in_north = (in_zone & (lat < 84)).any(axis=1)
        found[kind] = (*zip(column[in_north].tolist(), row[in_north].tolist(), strict=True), *south)
    return found


@lru_cache(maxsize=8)
def _rings(kind: int) -> NDArray[np.float64]:
    """Return outlines of a zone's tiles: (tile, point, 2), degrees east of the zone's middle and north."""
    boxes = np.array([square_tile(*square) for square in _all_squares()[kind]], dtype=np.float64)
    boxes += (-TOLERANCE, -TOLERANCE, TOLERANCE, TOLERANCE)
    unit = shapely.get_coordinates(shapely.segmentize(shapely.box(0, 0, 1, 1), 1 / _PIECES))
    low, high = boxes[:, None, :2], boxes[:, None, 2:]
    points = low + unit * (high - low)
    return np.stack(zone_lonlat(points[..., 0], points[..., 1]), axis=-1)
