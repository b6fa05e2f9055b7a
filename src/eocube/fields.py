"""Fields: many geometries with ids, from whatever a user has at hand."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import shapely
import shapely.geometry
from numpy.typing import NDArray
from odc.geo.crs import CRS
from odc.geo.geobox import GeoBox
from odc.geo.geom import Geometry
from pyproj import Transformer
from shapely.geometry.base import BaseGeometry

from .areas import LONLAT
from .errors import AreaError, shorten
from .extras import needed
from .grids import crs_of

_KINDS = ("Point", "MultiPoint", "Polygon", "MultiPolygon")
_ROUND = 2.0**30
"""Pixel coordinates are rounded to 1e-9 of a pixel, so that an edge on an edge leaves no sliver."""


@dataclass(frozen=True)
class Fields:
    """Geometries with ids, in one CRS.

    Attributes
    ----------
    ids : array of object
        One per field; no two are equal.
    shapes : array of object
        Points, multipoints, polygons and multipolygons; none is empty or crosses itself.
    crs : CRS
    """

    ids: NDArray[Any]
    shapes: NDArray[Any]
    crs: CRS

    def in_pixels(self, grid: GeoBox) -> NDArray[Any]:
        """Return the shapes in pixels of a grid: x is the column, y the row, counted downwards.

        Edges are straight in the grid's CRS. Those longer than about a kilometre are cut before
        they are transformed.
        """
        shapes = self.shapes
        target = crs_of(grid)
        if self.crs != target:
            shapes = shapely.segmentize(shapes, 0.01 if self.crs.geographic else 1000.0)
            transformer = Transformer.from_crs(self.crs.proj, target.proj, always_xy=True)
            shapes = shapely.transform(shapes, lambda xy: np.column_stack(transformer.transform(*xy.T)))
        a = grid.affine
        scale, corner = np.array([a.a, a.e]), np.array([a.c, a.f])
        placed = shapely.transform(shapes, lambda xy: np.rint((xy - corner) / scale * _ROUND) / _ROUND)
        return np.asarray(placed)


def fields_of(areas: Any, *, ids: str | Sequence[Any] | None = None, crs: Any = None) -> Fields:
    """Make fields.

    Parameters
    ----------
    areas : many
        The path of a vector file (GeoJSON; any other with the extra ``vector``), a GeoDataFrame or
        GeoSeries, GeoJSON as a dict, a dict of id and geometry, one geometry or a list of them
        (shapely, odc-geo, GeoJSON).
    ids : str or sequence, optional
        Name of the column (GeoJSON: property) that holds the ids, or the ids themselves. Default:
        the index of a GeoDataFrame, the keys of a dict, the ``id`` of GeoJSON features, else
        numbers from 0.
    crs : optional
        CRS of ``areas`` when they carry none. GeoJSON and bare geometries are in longitude and
        latitude by default; a table or a vector file has to say it.

    Raises
    ------
    AreaError
        If a geometry is empty, crosses itself, is a line, or is outside the world; if the CRS is
        missing; if ids are missing or not unique.
    MissingExtraError
        If geopandas is needed and not installed.

    Examples
    --------
    >>> import shapely
    >>> fields_of({"north": shapely.box(5, 50, 5.1, 50.1), "tower": shapely.Point(5, 50)}).ids.tolist()
    ['north', 'tower']
    """
    shapes, own, found_crs = _found(areas, ids if isinstance(ids, str) else None, crs)
    if ids is not None and not isinstance(ids, str):
        own = list(ids)
        if len(own) != len(shapes):
            raise AreaError(f"{len(own)} ids were given for {len(shapes)} fields.")
    names = np.empty(len(shapes), dtype=object)
    names[:] = list(range(len(shapes))) if own is None else own
    try:
        where = CRS(found_crs)
    except Exception as error:
        raise AreaError(f"crs={found_crs!r} is not a CRS: write 'EPSG:32631' or the like.") from error
    array = np.empty(len(shapes), dtype=object)
    array[:] = shapes
    _check_ids(names)
    _check_shapes(names, array, where)
    return Fields(names, np.asarray(shapely.force_2d(array)), where)


_Found = tuple[list[Any], list[Any] | None, Any]


def _found(areas: Any, column: str | None, crs: Any) -> _Found:
    """Return geometries, ids (if they bring any) and CRS."""
    if isinstance(areas, str | os.PathLike):
        return _file(Path(areas), column, crs)
    if hasattr(areas, "geometry") and hasattr(areas, "crs"):
        return _table(areas, column, crs)
    if isinstance(areas, Mapping) and isinstance(areas.get("type"), str):
        return _geojson(areas, column, crs)
    if column is not None:
        raise AreaError(f"ids={column!r}: a {type(areas).__name__} has no columns. Give the ids as a list.")
    if isinstance(areas, Mapping):
        shapes, _, found = _listed(list(areas.values()), crs)
        return shapes, list(areas), found
    if isinstance(areas, BaseGeometry | Geometry):
        return _listed([areas], crs)
    if isinstance(areas, Iterable):
        return _listed(list(areas), crs)
    raise AreaError(f"Cannot make fields of a {type(areas).__name__}: give a file, a table or geometries.")


def _file(path: Path, column: str | None, crs: Any) -> _Found:
    if not path.is_file():
        raise AreaError(f"There is no file {path}.")
    if path.suffix.lower() in (".json", ".geojson"):
        try:
            return _geojson(json.loads(path.read_text()), column, crs)
        except json.JSONDecodeError as error:
            raise AreaError(f"{path} is not JSON: {error}.") from error
    geopandas = needed("geopandas", f"Reading {path.name}", "vector", "GeoJSON works without.")
    try:
        parquet = path.suffix.lower() in (".parquet", ".geoparquet")
        table = geopandas.read_parquet(path) if parquet else geopandas.read_file(path)
    except Exception as error:
        raise AreaError(f"{path} cannot be read as a vector file: {error}") from error
    return _table(table, column, crs)


def _table(table: Any, column: str | None, crs: Any) -> _Found:
    found = table.crs if table.crs is not None else crs
    if found is None:
        raise AreaError("The fields have no CRS: say it, for instance crs='EPSG:4326', or use set_crs.")
    names = list(table.index)
    if column is not None:
        columns = [str(name) for name in getattr(table, "columns", [])]
        if column not in columns:
            raise AreaError(f"There is no column {column!r}; there are: {', '.join(columns) or 'none'}.")
        names = table[column].tolist()
    return list(table.geometry), names, found


def _geojson(found: Mapping[str, Any], column: str | None, crs: Any) -> _Found:
    named = (found.get("crs") or {}).get("properties", {}).get("name")
    features = found.get("features") if found.get("type") == "FeatureCollection" else [found]
    try:
        pairs = [(f, f["geometry"]) if f["type"] == "Feature" else ({}, f) for f in features or []]
        shapes = [None if shape is None else shapely.geometry.shape(shape) for _, shape in pairs]
    except (KeyError, TypeError, AttributeError, ValueError, shapely.errors.ShapelyError) as error:
        raise AreaError(f"Not a GeoJSON geometry, Feature or FeatureCollection: {error}.") from error
    if column is not None:
        names = [(feature.get("properties") or {}).get(column) for feature, _ in pairs]
        if all(name is None for name in names):
            raise AreaError(f"No feature has a property {column!r}.")
    else:
        names = [feature.get("id") for feature, _ in pairs]
        if any(name is None for name in names):
            names = list(range(len(pairs)))
    return shapes, names, named or crs or LONLAT


def _listed(areas: list[Any], crs: Any) -> _Found:
    where = next((a.crs for a in areas if isinstance(a, Geometry) and a.crs is not None), crs or LONLAT)
    shapes: list[Any] = []
    for each in areas:
        if isinstance(each, Geometry):
            shapes.append((each if each.crs in (None, where) else each.to_crs(where)).geom)
        elif isinstance(each, Mapping):
            shapes += _geojson(each, None, where)[0]
        elif each is None or isinstance(each, BaseGeometry):
            shapes.append(each)
        else:
            raise AreaError(
                f"A {type(each).__name__} is no geometry: give shapely ones, such as shapely.Point(lon, lat)."
            )
    return shapes, None, where


def _check_ids(names: NDArray[Any]) -> None:
    if not len(names):
        raise AreaError("There are no fields.")
    missing = sum(name is None or name != name for name in names)
    if missing:
        raise AreaError(f"{missing} of {len(names)} fields have no id: fill the column, or choose another.")
    try:
        twice = [f"{name!r} ({n} times)" for name, n in Counter(names.tolist()).items() if n > 1]
    except TypeError as error:
        raise AreaError(f"An id is not a plain value: {error}.") from error
    if twice:
        raise AreaError(f"Ids are not unique: {shorten(twice)}. Choose another column by ids=.")


def _check_shapes(names: NDArray[Any], shapes: NDArray[Any], crs: CRS) -> None:
    def refuse(found: Any, what: str, advice: str = "") -> None:
        bad = np.asarray(found)
        if bad.any():
            which = shorten([repr(name) for name in names[bad]])
            raise AreaError(f"{int(bad.sum())} of {len(names)} fields {what}: {which}.{advice}")

    refuse(shapely.is_missing(shapes) | shapely.is_empty(shapes), "have no or an empty geometry")
    kinds = np.array([shape.geom_type for shape in shapes])
    refuse(~np.isin(kinds, _KINDS), f"are neither points nor polygons ({shorten(sorted(set(kinds)))})")
    valid = shapely.is_valid(shapes)
    if not valid.all():
        why = shapely.is_valid_reason(shapes[~valid][0])
        refuse(~valid, f"cross themselves ({why})", " Mend them, for instance by shapely.make_valid.")
    bounds = shapely.bounds(shapes)
    refuse(~np.isfinite(bounds).all(axis=1), "have no finite bounds")
    if crs.geographic:
        beyond = (np.abs(bounds[:, ::2]) > 180).any(axis=1) | (np.abs(bounds[:, 1::2]) > 90).any(axis=1)
        refuse(beyond, f"lie outside the world in {crs}", " If their numbers are metres, say crs='EPSG:...'.")
