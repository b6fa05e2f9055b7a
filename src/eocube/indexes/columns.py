"""Items as the columns of stac-geoparquet.

Names and types are those of the specification 1.0: properties beside ``id`` and ``collection``,
times as timestamps, geometries as WKB, ``bbox`` as a struct. Where two Items have values of types
that do not go together under one name, the column holds JSON texts and is *loose*: it is there to
be looked at, not to be searched.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import shapely
import shapely.geometry

from ..errors import ItemsError

PACKED = "eocube:item"
"""Column that holds each Item as it came; see :mod:`eocube.indexes.packing`."""

TOP = ("type", "stac_version", "stac_extensions", "id", "geometry", "bbox", "links", "assets", "collection")
TIMES = (
    "datetime", "start_datetime", "end_datetime", "created", "updated", "expires", "published", "unpublished",
)  # fmt: skip
"""Columns of timestamps, as the specification asks for."""

SHAPES = "proj:geometry"
"""Left out of the columns: readers of stac-geoparquet trip over Items that have none."""

TOLERANCE = 0.001
"""Degrees by which an Item's bbox may miss its geometry (catalogs round it); a search looks so much wider."""

MOMENT = pa.timestamp("us", tz="UTC")
CORNERS = ("xmin", "ymin", "xmax", "ymax")

_Clash = (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError, ValueError)


def table_of(records: Sequence[Mapping[str, Any]], packed: list[str]) -> tuple[pa.Table, set[str]]:
    """Return Items as a table, and the names of its loose columns.

    Parameters
    ----------
    records : sequence of mapping
        Items as dicts.
    packed : list of str
        The same as texts.

    Raises
    ------
    ItemsError
        If an Item has no geometry or no time.
    """
    shapes = [_shape(record) for record in records]
    columns: dict[str, pa.Array] = {
        name: pa.array([_text(record.get(name)) for record in records], pa.string())
        for name in ("type", "stac_version", "id", "collection")
    }
    extensions = [[str(one) for one in record.get("stac_extensions") or []] for record in records]
    columns["stac_extensions"] = pa.array(extensions, pa.list_(pa.string()))
    columns["geometry"] = pa.array(shapely.to_wkb(shapes, flavor="iso"), pa.binary())
    corners = np.array([_corners(record, shape) for record, shape in zip(records, shapes, strict=True)])
    columns["bbox"] = pa.StructArray.from_arrays(
        [pa.array(corners[:, i], pa.float64()) for i in range(4)], list(CORNERS)
    )
    loose: set[str] = set()
    columns["links"], _ = array_of([record.get("links") or [] for record in records])
    columns["assets"], _ = array_of([_assets(record) for record in records])
    names = dict.fromkeys(name for record in records for name in record["properties"])
    for name in ("datetime", *names):
        values = [record["properties"].get(name) for record in records]
        if name in TIMES:
            columns[name] = pa.array([moment(value) for value in values], MOMENT)
        elif name not in (*TOP, PACKED, SHAPES) and name:
            columns[name], clash = array_of(values)
            loose |= {name} if clash else set()
    _check_times(columns, records)
    columns[PACKED] = pa.array(packed, pa.string())
    return pa.table({name: column for name, column in columns.items() if _holds(column.type)}), loose


def array_of(values: list[Any]) -> tuple[pa.Array, bool]:
    """Return JSON values as an array, and whether types clashed and texts were made of them."""
    try:
        return tidy(pa.array(values)), False
    except _Clash:
        some = [value for value in values if value is not None]
    none = pa.array([value is None for value in values])
    if some and all(isinstance(value, Mapping) for value in some):
        names = list(dict.fromkeys(name for value in some for name in value))
        fields = [array_of([None if v is None else v.get(name) for v in values])[0] for name in names]
        return tidy(pa.StructArray.from_arrays(fields, names, mask=none)), True
    if some and all(isinstance(value, list) for value in some):
        ends = np.cumsum([0, *(len(value or ()) for value in values)])
        flat, _ = array_of([one for value in some for one in value])
        return tidy(pa.ListArray.from_arrays(pa.array(ends, pa.int32()), flat, mask=none)), True
    return pa.array([None if value is None else _json(value) for value in values], pa.string()), True


def tidy(array: pa.Array) -> pa.Array:
    """Leave out what Parquet has no type for: fields that are always null, structs without fields."""
    wanted = tidy_type(array.type)
    return array if wanted == array.type else fit(array, wanted)


def tidy_type(kind: pa.DataType) -> pa.DataType:
    """Return a type without empty parts; null where nothing is left."""
    if pa.types.is_struct(kind):
        fields = [(field.name, tidy_type(field.type)) for field in kind]
        fields = [(name, inner) for name, inner in fields if name and not pa.types.is_null(inner)]
        return pa.struct(fields) if fields else pa.null()
    if pa.types.is_list(kind):
        inner = tidy_type(kind.value_type)
        return pa.list_(pa.string() if pa.types.is_null(inner) else inner)
    return kind


def merged(one: pa.DataType, two: pa.DataType) -> tuple[pa.DataType, bool]:
    """Return a type that holds the values of both, and whether that is a text because they clash."""
    if one == two or pa.types.is_null(two):
        return one, False
    if pa.types.is_null(one):
        return two, False
    if pa.types.is_struct(one) and pa.types.is_struct(two):
        fields = {field.name: (field.type, False) for field in one}
        for field in two:
            before = fields.get(field.name)
            fields[field.name] = merged(before[0], field.type) if before else (field.type, False)
        return pa.struct([(n, kind) for n, (kind, _) in fields.items()]), any(c for _, c in fields.values())
    if pa.types.is_list(one) and pa.types.is_list(two):
        inner, clash = merged(one.value_type, two.value_type)
        return pa.list_(inner), clash
    if all(pa.types.is_integer(kind) or pa.types.is_floating(kind) for kind in (one, two)):
        return pa.float64(), False
    return pa.string(), True


def merged_schema(schemas: Sequence[pa.Schema]) -> tuple[pa.Schema, set[str]]:
    """Return a schema that holds tables of all the others, and its loose columns."""
    kinds: dict[str, pa.DataType] = {}
    loose: set[str] = set()
    for schema in schemas:
        for field in schema:
            kinds[field.name], clash = merged(kinds.get(field.name, pa.null()), field.type)
            loose |= {field.name} if clash else set()
    last = kinds.pop(PACKED)
    return pa.schema([*kinds.items(), (PACKED, last)]), loose


def fit_table(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return a table with another, wider schema."""
    rows = len(table)
    columns = [
        fit(table[field.name].combine_chunks(), field.type)
        if field.name in table.column_names else pa.nulls(rows, field.type)
        for field in schema
    ]  # fmt: skip
    return pa.Table.from_arrays(columns, schema=schema)


def fit(array: pa.Array, kind: pa.DataType) -> pa.Array:
    """Return an array as a wider type, or without what the type leaves out."""
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks() if array.num_chunks != 1 else array.chunk(0)
    if array.type == kind:
        return array
    if pa.types.is_null(array.type) or pa.types.is_null(kind):
        return pa.nulls(len(array), kind)
    if pa.types.is_struct(kind) and pa.types.is_struct(array.type):
        own = {field.name: part for field, part in zip(array.type, array.flatten(), strict=True)}
        parts = [
            fit(own[field.name], field.type) if field.name in own else pa.nulls(len(array), field.type)
            for field in kind
        ]
        return pa.StructArray.from_arrays(parts, fields=list(kind), mask=array.is_null())
    if pa.types.is_list(kind) and pa.types.is_list(array.type):
        lengths = np.nan_to_num(array.value_lengths().to_numpy(zero_copy_only=False)).astype("int32")
        ends = pa.array(np.concatenate([[0], np.cumsum(lengths)]), pa.int32())
        return pa.ListArray.from_arrays(ends, fit(array.flatten(), kind.value_type), mask=array.is_null())
    if pa.types.is_string(kind):
        return pa.array([None if value is None else _json(value) for value in array.to_pylist()], kind)
    return array.cast(kind)


def moment(value: Any) -> datetime | None:
    """Return an RFC 3339 time in UTC; None where it is none."""
    if not isinstance(value, str):
        return None
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        import pystac.utils

        try:
            found = pystac.utils.str_to_datetime(value)
        except (ValueError, OverflowError):
            return None
    return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)


def _shape(record: Mapping[str, Any]) -> Any:
    try:
        shape = shapely.geometry.shape(record["geometry"])
    except (KeyError, TypeError, AttributeError, ValueError, shapely.errors.ShapelyError) as error:
        raise ItemsError(
            f"Item {record.get('id')!r} has no geometry that can be read: an index needs one to find it."
        ) from error
    if shape.is_empty or not np.isfinite(shape.bounds).all():
        raise ItemsError(f"Item {record.get('id')!r} has an empty geometry: an index needs one to find it.")
    return shape


def _corners(record: Mapping[str, Any], shape: Any) -> tuple[float, ...]:
    """Return the Item's own bbox if it covers the geometry, as a search by bbox needs; else the bounds."""
    bounds: tuple[float, ...] = shape.bounds
    said = record.get("bbox")
    if not isinstance(said, list | tuple) or len(said) not in (4, 6):
        return bounds
    try:
        west, south, east, north = (float(said[i]) for i in (0, 1, len(said) // 2, len(said) // 2 + 1))
    except (TypeError, ValueError):
        return bounds
    low, high = (TOLERANCE + edge for edge in bounds[:2]), (edge - TOLERANCE for edge in bounds[2:])
    covers = all(a <= b for a, b in zip((west, south), low, strict=True))
    covers &= all(a >= b for a, b in zip((east, north), high, strict=True))
    return (west, south, east, north) if covers else bounds


def _check_times(columns: Mapping[str, pa.Array], records: Sequence[Mapping[str, Any]]) -> None:
    known = columns["datetime"].is_valid()
    if "start_datetime" in columns:
        known = pc.or_(known, columns["start_datetime"].is_valid())
    if known.true_count != len(records):
        name = records[known.to_pylist().index(False)].get("id")
        raise ItemsError(f"Item {name!r} has neither a datetime nor a start_datetime that can be read.")


def _assets(record: Mapping[str, Any]) -> dict[str, Any]:
    assets: dict[str, Any] = record["assets"]
    if all(type(asset) is dict and SHAPES not in asset for asset in assets.values()):
        return assets
    return {
        str(key): {name: value for name, value in asset.items() if name != SHAPES}
        for key, asset in assets.items()
        if isinstance(asset, Mapping)
    }


def _holds(kind: pa.DataType) -> bool:
    return not pa.types.is_null(kind)


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _json(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)
