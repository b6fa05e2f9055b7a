"""MGRS tiles of Sentinel-2: from an id to a grid.

Source: the tiling grid of Sentinel-2 follows the US Military Grid Reference System (NGA.STND.0037,
*Universal Grids*): 100 km squares, each widened to 109.8 km, its upper left corner moved outward
to a multiple of 60 m so that the 10, 20 and 60 m bands share it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

import numpy as np
import shapely
from affine import Affine
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
    easting = (columns.index(column) + 1) * 100_000
    # Rows repeat every 2000 km; in even zones they start five letters later. The latitude band
    # (8 degrees high) tells which repetition is meant.
    shift = 5 if zone % 2 == 0 else 0
    in_cycle = (_ROWS.index(row) - shift) % 20 * 100_000
    south = -80 + 8 * _BANDS.index(band)
    northing = _nearest_repetition(in_cycle, south)
    left = math.floor(easting / 60) * 60
    top = math.ceil((northing + 100_000) / 60) * 60
    if band < "N":
        top += 10_000_000
    pixels = round(_SIZE / resolution)
    epsg = (32600 if band >= "N" else 32700) + zone
    affine = Affine(resolution, 0, left, 0, -resolution, top)
    return GeoBox((pixels, pixels), affine, f"EPSG:{epsg}")


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
