"""Areas: a geometry with a CRS, from whatever a user has at hand."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import shapely
import shapely.geometry
from odc.geo.crs import CRS
from odc.geo.geom import Geometry
from shapely.geometry.base import BaseGeometry

from .errors import AreaError
from .extras import needed
from .tiles import tile_grid

LONLAT = "EPSG:4326"


def area(where: Any, *, crs: Any = None, radius: float | None = None) -> Geometry:
    """Make an area: a geometry with a CRS.

    Parameters
    ----------
    where : many
        A bbox ``(west, south, east, north)``; a point ``(lon, lat)`` with ``radius``; a shapely or
        odc-geo geometry; GeoJSON as a dict; a GeoDataFrame or GeoSeries (anything with
        ``__geo_interface__``); an MGRS tile ``"MGRS-31UFR"``; or the path of a GeoJSON or any
        other vector file (the latter needs the extra ``vector``). Several features are united.
    crs : optional
        CRS of ``where`` when it carries none. Default: longitude and latitude (EPSG:4326).
    radius : float, optional
        Metres around a point (or around any geometry).

    Returns
    -------
    odc.geo.geom.Geometry
        ``.geom`` is the shapely geometry, ``.crs`` its CRS.

    Raises
    ------
    AreaError
        If the area is empty, has no width, crosses itself, lies outside the world or crosses the
        antimeridian.

    Examples
    --------
    >>> area((5.0, 49.5, 6.0, 50.0)).boundingbox.bbox
    (5.0, 49.5, 6.0, 50.0)
    """
    return _area(where, crs, radius, wide=False)


def _area(where: Any, crs: Any, radius: float | None, wide: bool) -> Geometry:
    geometry = _geometry(where, crs)
    _check(geometry, wide)
    if radius is not None:
        geometry = _around(geometry, radius)
    if geometry.geom.area == 0:
        raise AreaError(
            f"The area {geometry.geom.wkt[:80]} has no width: give a polygon, or a point with radius= "
            "(metres)."
        )
    return geometry


def wide_area(where: Any, *, crs: Any = None, radius: float | None = None) -> Geometry:
    """Make an area that may span the world, for what needs no one grid; else as :func:`area`.

    A bbox whose west is more than 180 degrees beyond its east crosses the antimeridian (RFC 7946, 5.2).

    Raises
    ------
    AreaError
        As :func:`area`; what crosses the antimeridian is told by its edges, of more than 180 degrees.
    """
    if isinstance(where, tuple | list) and len(where) == 4 and (crs is None or CRS(crs) == LONLAT):
        west, south, east, north = where
        if all(isinstance(edge, int | float) for edge in where) and west - east > 180 and south < north:
            sides = [shapely.box(west, south, 180, north), shapely.box(-180, south, east, north)]
            where = shapely.union_all(sides)
    return _area(where, crs, radius, wide=True)


def lonlat(geometry: Geometry) -> BaseGeometry:
    """Return an area's shapely geometry in longitude and latitude."""
    if geometry.crs is None:
        raise AreaError("The area has no CRS: make it with eocube.area(geometry, crs='EPSG:...').")
    if geometry.crs == LONLAT:
        return geometry.geom
    return geometry.to_crs(LONLAT, resolution=10_000 if geometry.crs.projected else 0.1).geom


def _geometry(where: Any, crs: Any) -> Geometry:
    if isinstance(where, Geometry):
        return where if where.crs is not None else Geometry(where.geom, crs or LONLAT)
    if isinstance(where, BaseGeometry):
        return Geometry(where, crs or LONLAT)
    if isinstance(where, str | os.PathLike):
        return _named(str(where), crs)
    if isinstance(where, Mapping):
        return _geojson(where, crs)
    if hasattr(where, "__geo_interface__"):
        return _geojson(where.__geo_interface__, crs or getattr(where, "crs", None))
    if isinstance(where, Iterable):
        return _numbers(where, crs)
    raise AreaError(f"Cannot make an area of a {type(where).__name__}: give a bbox, a geometry or a file.")


def _numbers(where: Iterable[Any], crs: Any) -> Geometry:
    try:
        numbers = [float(number) for number in where]
    except (TypeError, ValueError) as error:
        raise AreaError(f"{where!r} is not a bbox (west, south, east, north).") from error
    if not all(map(math.isfinite, numbers)):
        raise AreaError(f"{numbers} holds numbers that are not finite.")
    if len(numbers) == 2:
        return Geometry(shapely.Point(*numbers), crs or LONLAT)
    if len(numbers) != 4:
        raise AreaError(
            f"{numbers} has {len(numbers)} numbers: a bbox has four (west, south, east, north), a point two."
        )
    west, south, east, north = numbers
    if west > east and (crs is None or CRS(crs) == LONLAT):
        raise AreaError(
            f"The bbox {numbers} has its west ({west}) beyond its east ({east}): either they are "
            "swapped, or it crosses the antimeridian; then ask for both sides one after the other."
        )
    if south > north or west > east:
        raise AreaError(f"The bbox {numbers} is upside down: write (west, south, east, north).")
    if west == east or south == north:
        raise AreaError(f"The bbox {numbers} has no width: give a point with radius= (metres) instead.")
    return Geometry(shapely.box(west, south, east, north), crs or LONLAT)


def _named(where: str, crs: Any) -> Geometry:
    """Read a path, or the name of a tile."""
    path = Path(where)
    if path.suffix.lower() in (".json", ".geojson") and path.is_file():
        try:
            return _geojson(json.loads(path.read_text()), crs)
        except json.JSONDecodeError as error:
            raise AreaError(f"{where} is not JSON: {error}.") from error
    if path.is_file():
        return _vector_file(path, crs)
    if path.suffix or os.sep in where:
        raise AreaError(f"There is no file {where}.")
    return tile_grid(where).extent


def _vector_file(path: Path, crs: Any) -> Geometry:
    geopandas = needed("geopandas", f"Reading {path.name}", "vector", "GeoJSON works without.")
    try:
        frame = geopandas.read_file(path)
    except Exception as error:
        raise AreaError(f"{path} cannot be read as a vector file: {error}") from error
    return _geojson(frame.__geo_interface__, crs or frame.crs)


def _geojson(found: Mapping[str, Any], crs: Any) -> Geometry:
    kind = found.get("type")
    named = found.get("crs", {}) if crs is None else {}
    crs = crs or (named or {}).get("properties", {}).get("name")
    try:
        if kind == "FeatureCollection":
            shapes = [shapely.geometry.shape(f["geometry"]) for f in found["features"] if f["geometry"]]
            for shape in shapes:
                _check(Geometry(shape, crs or LONLAT), wide=True)
            return Geometry(shapely.union_all(shapes), crs or LONLAT)
        geometry: Any = found["geometry"] if kind == "Feature" else found
        return Geometry(shapely.geometry.shape(geometry), crs or LONLAT)
    except (KeyError, TypeError, AttributeError, shapely.errors.ShapelyError) as error:
        raise AreaError(f"Not a GeoJSON geometry, Feature or FeatureCollection: type {kind!r}.") from error


def _around(geometry: Geometry, radius: float) -> Geometry:
    if not radius > 0:
        raise AreaError(f"radius={radius} is not a length: give metres above 0.")
    middle = Geometry(lonlat(geometry).centroid, LONLAT)
    utm = CRS.utm(middle)
    return Geometry(geometry.to_crs(utm).geom.buffer(radius), utm)


def _check(geometry: Geometry, wide: bool) -> None:
    shape = geometry.geom
    if shape.is_empty:
        raise AreaError("The area is empty: it holds no geometry.")
    if not shapely.is_valid(shape):
        why = shapely.is_valid_reason(shape)
        raise AreaError(f"The area crosses itself ({why}): mend it, for instance by shapely.make_valid.")
    if not all(map(math.isfinite, shape.bounds)):
        raise AreaError(f"The area has no finite bounds: {shape.bounds}.")
    west, south, east, north = lonlat(geometry).bounds
    if not (-180 <= west <= east <= 180 and -90 <= south <= north <= 90):
        raise AreaError(
            f"The area lies outside the world in longitude and latitude: {(west, south, east, north)}. "
            "If its numbers are metres, give their CRS: crs='EPSG:...'. If it crosses the "
            "antimeridian, ask for both sides one after the other."
        )
    if _turns(lonlat(geometry)) if wide else east - west > 180:
        raise AreaError(
            f"The area spans {east - west:.0f} degrees of longitude, from {west:.2f} to {east:.2f}: it "
            "crosses the antimeridian. Ask for both sides one after the other."
        )


def _turns(shape: BaseGeometry) -> bool:
    """Tell whether an edge spans more than half the world and less than all of it."""
    rings = shapely.get_rings(shapely.get_parts(shapely.get_parts(shape)))
    points, ring = shapely.get_coordinates(rings, return_index=True)
    spans = np.abs(np.diff(points[:, 0]))[np.diff(ring) == 0]
    return bool(((spans > 180) & (spans < 359.999)).any())
