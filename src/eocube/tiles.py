"""MGRS tiles of Sentinel-2: from an id to a grid, and from a place to an id.

Source: the tiling grid of Sentinel-2 follows the US Military Grid Reference System (NGA.STND.0037,
*Universal Grids*): 100 km squares, each widened to 109.8 km, its upper left corner moved outward
to a multiple of 60 m so that the 10, 20 and 60 m bands share it. A square that lies in two latitude
bands has one name, that of the band of its middle (so 50TMK and 23KLP, of which parts lie in the bands
S and J; in MGRS proper the parts have names of their own).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from functools import lru_cache

import numpy as np
import shapely
from affine import Affine
from numpy.typing import ArrayLike, NDArray
from odc.geo.geobox import GeoBox
from pyproj import Transformer
from shapely.affinity import translate
from shapely.geometry.base import BaseGeometry

from .errors import AreaError

_TILE = re.compile(r"^(?:MGRS-|T)?(\d{1,2})([C-HJ-NP-X])([A-HJ-NP-Z])([A-HJ-NP-V])$")
_BANDS = "CDEFGHJKLMNPQRSTUVWX"
_ROWS = "ABCDEFGHJKLMNPQRSTUV"
_COLUMNS = ("STUVWXYZ", "ABCDEFGH", "JKLMNPQR")
_SIZE = 109_800


def tile_name(text: str) -> str:
    """Return the tile's plain name, zero-padded: ``"MGRS-1KAB"`` and ``"T01KAB"`` give ``"01KAB"``.

    Raises
    ------
    AreaError
        If it is not the name of an MGRS tile.
    """
    match = _TILE.match(text.strip().upper())
    if not match or not 1 <= int(match[1]) <= 60:
        raise AreaError(
            f"{text!r} is not an MGRS tile: write it like 'MGRS-31UFR' (zone, latitude band, square)."
        )
    return f"{int(match[1]):02d}{match[2]}{match[3]}{match[4]}"


def tile_grid(text: str, resolution: float = 10) -> GeoBox:
    """Return the grid of a Sentinel-2 tile.

    Parameters
    ----------
    text : str
        ``"31UFR"``, ``"MGRS-31UFR"`` or ``"T31UFR"``.
    resolution : float
        Pixel in metres: 10, 20 or 60 for the lattices of the real files.

    Returns
    -------
    GeoBox
        UTM, 109.8 km wide and high.

    Raises
    ------
    AreaError
        If there is no such tile.

    Examples
    --------
    >>> tile_grid("33TWL").affine.c, tile_grid("33TWL").affine.f
    (499980.0, 5100000.0)
    """
    name = tile_name(text)
    zone, band, column, row = int(name[:2]), name[2], name[3], name[4]
    columns = _COLUMNS[zone % 3]
    if column not in columns:
        raise AreaError(f"There is no tile {name}: zone {zone} has the columns {columns}.")
    # Rows repeat every 2000 km; in even zones they start five letters later. The latitude band
    # (8 degrees high) tells which repetition is meant.
    shift = 5 if zone % 2 == 0 else 0
    in_cycle = (_ROWS.index(row) - shift) % 20 * 100_000
    south = -80 + 8 * _BANDS.index(band)
    northing = _nearest_repetition(in_cycle, south)
    left, _, _, top = square_tile(columns.index(column) + 1, northing // 100_000)
    if band < "N":
        top += 10_000_000
    pixels = round(_SIZE / resolution)
    epsg = (32600 if band >= "N" else 32700) + zone
    affine = Affine(resolution, 0, left, 0, -resolution, top)
    return GeoBox((pixels, pixels), affine, f"EPSG:{epsg}")


def tile_at(lon: float, lat: float) -> str:
    """Return the name of the tile in whose 100 km square a point lies.

    Tiles are wider than their squares, so up to five others hold the point, too.

    Parameters
    ----------
    lon, lat : float
        Degrees; latitude from -80 to 84.

    Raises
    ------
    AreaError
        If there are no tiles at this latitude.

    Examples
    --------
    >>> tile_at(14.5, 46.5), tile_at(116.381, 39.977)
    ('33TVM', '50TMK')
    """
    if not (-80 <= lat <= 84 and math.isfinite(lon)):
        raise AreaError(f"There is no tile at {lon}, {lat}: Sentinel-2's tiles lie between 80 S and 84 N.")
    zone = int(zones_at(lon, lat))
    x, y = _any_zone().transform(lon - zone_middle(zone), lat, direction="INVERSE")
    return square_name(zone, math.floor(x / 100_000), math.floor(y / 100_000))


def zone_middle(zone: int) -> int:
    """Return the longitude of a UTM zone's central meridian."""
    return 6 * zone - 183


def zone_lonlat(x: ArrayLike, y: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return degrees east of a zone's middle, and latitude; the south has negative northings."""
    lon, lat = _any_zone().transform(np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64))
    return np.asarray(lon), np.asarray(lat)


@lru_cache(maxsize=1)
def _any_zone() -> Transformer:
    """All zones are alike: this one is around the meridian of Greenwich."""
    utm = "+proj=tmerc +k=0.9996 +x_0=500000 +ellps=WGS84"
    return Transformer.from_crs(utm, "+proj=longlat +ellps=WGS84", always_xy=True)


def zones_at(lon: ArrayLike, lat: ArrayLike) -> NDArray[np.int64]:
    """Return the UTM zone of points, with the exceptions of Norway (32V) and Svalbard (31X to 37X)."""
    x = (np.asarray(lon, dtype=np.float64) + 180) % 360 - 180
    y = np.asarray(lat, dtype=np.float64)
    zone = np.minimum(np.floor((x + 180) / 6) + 1, 60)
    zone = np.where((y >= 56) & (y < 64) & (x >= 3) & (x < 12), 32, zone)
    svalbard = (y >= 72) & (x >= 0) & (x < 42)
    return np.where(svalbard, 31 + 2 * np.floor((x + 3) / 12), zone).astype(np.int64)


def square_name(zone: int, column: int, row: int) -> str:
    """Return the name of a square: columns from 1 to 8, rows from the equator, negative in the south."""
    shift = 5 if zone % 2 == 0 else 0
    return f"{zone:02d}{_band(column, row)}{_COLUMNS[zone % 3][column - 1]}{_ROWS[(row + shift) % 20]}"


@lru_cache(maxsize=2048)
def _band(column: int, row: int) -> str:
    """Return the latitude band of a square's middle."""
    lat = float(zone_lonlat((column + 0.5) * 100_000, (row + 0.5) * 100_000)[1])
    return _BANDS[min(max(math.floor((lat + 80) / 8), 0), len(_BANDS) - 1)]


def square_tile(column: int, row: int) -> tuple[int, int, int, int]:
    """Return left, bottom, right and top of the tile of a square, in metres from the equator."""
    left = math.floor(column * 100_000 / 60) * 60
    top = math.ceil((row + 1) * 100_000 / 60) * 60
    return left, top - _SIZE, left + _SIZE, top


def tiles_outline(names: Iterable[str]) -> BaseGeometry:
    """Return where tiles are, in longitude and latitude; cut in two at the antimeridian.

    Raises
    ------
    AreaError
        If there is no such tile.
    """
    parts = []
    for name in names:
        grid = tile_grid(name)
        to_lonlat = Transformer.from_crs(str(grid.crs), "EPSG:4326", always_xy=True)
        ring = shapely.get_coordinates(shapely.segmentize(grid.extent.geom, 10_000))
        x, y = to_lonlat.transform(*ring.T)
        if np.ptp(x) > 180:
            x = np.where(x < 0, x + 360, x)
            whole = shapely.Polygon(np.column_stack([x, y]))
            east = shapely.intersection(whole, shapely.box(180, -90, 360, 90))
            parts += [shapely.intersection(whole, shapely.box(0, -90, 180, 90)), translate(east, -360)]
        else:
            parts.append(shapely.Polygon(np.column_stack([x, y])))
    return shapely.union_all(parts)


def _nearest_repetition(in_cycle: int, south: int) -> int:
    """Northing (negative in the south) of the row's repetition that lies nearest to the band."""
    height = 12 if south == 72 else 8
    middle = (south + height / 2) * 110_900  # metres of meridian per degree, good to 1 %
    cycle = round((middle - in_cycle - 50_000) / 2_000_000)
    return in_cycle + cycle * 2_000_000
