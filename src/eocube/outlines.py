"""Outlines: which scenes touch a grid, where their granules may have data, and in which CRS masks work."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
from numpy.typing import NDArray
from odc.geo.crs import CRS
from odc.geo.geobox import GeoBox
from odc.geo.geom import Geometry
from pyproj import Transformer
from shapely.geometry.base import BaseGeometry

from .areas import LONLAT, lonlat
from .errors import NoItemsError
from .grids import crs_of, is_utm, metres_of
from .scenes import Scene, SceneTable

if TYPE_CHECKING:
    from .granules import Granule

_MARGIN = 0.02
"""Degrees (2 km) by which a footprint is widened before it is believed: they are simplified."""


def over(table: SceneTable, grid: GeoBox) -> tuple[tuple[Scene, ...], tuple[tuple[BaseGeometry, ...], ...]]:
    """Return the scenes that touch the grid, and where each granule may have data."""
    box = shapely.box(*grid.extent.boundingbox.bbox)
    every = _outlines([granule for scene in table.scenes for granule in scene.granules], grid)
    touches = shapely.intersects(every, box)
    scenes, outlines, first = [], [], 0
    for scene in table.scenes:
        here = slice(first, first + len(scene.granules))
        first = here.stop
        if touches[here].any():
            # The Scene stays whole: its sun and time do not depend on which part is looked at, and a
            # mask may look at a granule that lies only around the grid.
            scenes.append(scene)
            outlines.append(tuple(every[here]))
    if not scenes:
        raise NoItemsError(_outside(table, grid))
    return tuple(scenes), tuple(outlines)


def _outlines(granules: list[Granule], grid: GeoBox) -> NDArray[Any]:
    """Where granules may have data: widened footprints within their files, in the grid's CRS."""
    # Many granules of a tile say the same. Grids by identity: equal ones are one object, and to
    # compare two means to compare their CRSs.
    every = [(wkb, id(granule.grid)) for granule, wkb in zip(
        granules, shapely.to_wkb([granule.footprint for granule in granules]), strict=True)]  # fmt: skip
    first = {key: index for index, key in reversed(list(enumerate(every)))}
    own = _outlines_of([granules[index] for index in first.values()], grid)
    places = {key: place for place, key in enumerate(first)}
    return own[[places[key] for key in every]]


def _outlines_of(granules: list[Granule], grid: GeoBox) -> NDArray[Any]:
    crs = crs_of(grid)
    grids = [granule.grid for granule in granules]
    files = {id(own): own for own in grids if own is not None}
    extents = {key: own.extent.to_crs(crs, resolution=20_000).geom for key, own in files.items()}
    footprints = np.array([granule.footprint for granule in granules], dtype=object)
    west, _, east, _ = shapely.bounds(footprints).T
    wide = shapely.segmentize(shapely.buffer(footprints, _MARGIN, quad_segs=2), 0.25)
    to_grid = Transformer.from_crs(LONLAT, crs.proj, always_xy=True)
    moved = shapely.transform(wide, lambda xy: np.column_stack(to_grid.transform(xy[:, 0], xy[:, 1])))
    outlines = np.asarray(shapely.make_valid(moved))
    for index, own in enumerate(grids):
        stated = extents.get(id(own))
        if stated is not None:
            # A footprint that wraps the wrong way round the world says nothing.
            wrapped = east[index] - west[index] > 90
            outlines[index] = stated if wrapped else shapely.intersection(outlines[index], stated)
    return outlines


def _outside(table: SceneTable, grid: GeoBox) -> str:
    if not table.scenes:
        return f"No Item is left: all {len(table.skipped)} lack an asset ({', '.join(table.skipped[:3])})."
    footprints = [g.footprint for scene in table.scenes for g in scene.granules]
    there = tuple(round(b, 3) for b in shapely.union_all(footprints).bounds)
    here = tuple(round(b, 3) for b in lonlat(grid.extent).bounds)
    return (
        f"The grid lies outside all {len(footprints)} Items: it covers (west, south, east, north) "
        f"{here}, they cover {there}. Search with the area of the grid."
    )


def mask_crs(grid: GeoBox, table: SceneTable) -> CRS:
    """Return in which CRS masks work: the grid's if it is UTM, else the one of most granules."""
    if is_utm(grid.crs):
        return crs_of(grid)
    grids = [g.grid for scene in table.scenes for g in scene.granules]
    counts = Counter(str(own.crs) for own in grids if own is not None)
    if counts:
        return CRS(min(counts, key=lambda name: (-counts[name], name)))
    return CRS.utm(Geometry(grid.extent.geom.centroid, grid.crs))


def mask_resolution(native: float, grid: GeoBox) -> float:
    """Return the pixel on which a mask works: its own, or coarser if the output is."""
    pixel = max(float(grid.affine.a), float(-grid.affine.e))
    if is_utm(grid.crs):
        return max(native, pixel)
    # By the CRS alone, not by the place: parts of a grid must come to the same pixel.
    return native * 2.0 ** max(0, math.floor(math.log2(pixel * metres_of(grid) / native)))
