"""The footprint of an Item."""

from __future__ import annotations

import marshal
import math
from collections.abc import Mapping
from typing import Any

import shapely
import shapely.errors
import shapely.geometry
from shapely.geometry.base import BaseGeometry

from .errors import ItemsError


def footprint_of(record: Mapping[str, Any]) -> BaseGeometry:
    """Return where an Item has valid pixels, in longitude and latitude.

    Raises
    ------
    ItemsError
        If it does not say so in a usable way.
    """
    key = _key(record)
    if key in _KNOWN:
        return _KNOWN[key]
    try:
        found = _footprint(record)
    except (shapely.errors.ShapelyError, TypeError, ValueError, LookupError, AttributeError) as error:
        raise ItemsError(f"Item {record.get('id')!r} has no usable geometry: {error!r}.") from error
    west, south, east, north = found.bounds if not found.is_empty else (math.nan,) * 4
    # Footprints at the antimeridian may go a little beyond 180.
    if not (-540 <= west <= east <= 540 and -90.001 <= south <= north <= 90.001):
        raise ItemsError(f"Item {record.get('id')!r} has a geometry outside the world: {found.bounds}.")
    if key:
        if len(_KNOWN) >= _MOST:
            _KNOWN.clear()
        _KNOWN[key] = found
    return found


_KNOWN: dict[bytes, BaseGeometry] = {}
_MOST = 1024
"""Footprints that are kept: the whole passes over a tile all say the same."""


def _key(record: Mapping[str, Any]) -> bytes:
    """Return what tells a geometry from others, much quicker than it is made; b"" where it is odd."""
    try:
        return marshal.dumps((record.get("geometry"), record.get("bbox")), 2)
    except ValueError:
        return b""


def _footprint(record: Mapping[str, Any]) -> BaseGeometry:
    if record.get("geometry"):
        return shapely.make_valid(shapely.geometry.shape(record["geometry"]))
    if record.get("bbox"):
        bbox = record["bbox"]
        half = len(bbox) // 2  # it may hold heights too
        west, south, east, north = (float(bbox[i]) for i in (0, 1, half, half + 1))
        return shapely.geometry.box(west, south, east, north)
    raise ItemsError(f"Item {record['id']!r} has neither geometry nor bbox.")
