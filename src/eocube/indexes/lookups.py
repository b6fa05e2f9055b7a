"""Which rows may fit a query, told from columns alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ..periods import Period
from .columns import CORNERS

_OPERATIONS = {
    "=": pc.equal, "<>": pc.not_equal, "<": pc.less, "<=": pc.less_equal,
    ">": pc.greater, ">=": pc.greater_equal,
}  # fmt: skip

EXACT = 2**53
"""Whole numbers from here on are not exact as float64, which the columns hold."""


def groups_within(file: pq.ParquetFile, bounds: tuple[float, ...] | None, when: Period | None) -> list[int]:
    """Return the row groups that may hold something, by their statistics."""
    meta = file.metadata
    if bounds is None and when is None:
        return list(range(meta.num_row_groups))
    where = {meta.schema.column(i).path: i for i in range(meta.num_columns)}
    found = []
    for group in range(meta.num_row_groups):
        row = meta.row_group(group)
        limits = {
            name: _limits(row.column(where[name]).statistics)
            for name in ("bbox.xmin", "bbox.ymin", "bbox.xmax", "bbox.ymax", "datetime")
        }
        if bounds is not None and not _overlap(limits, bounds):
            continue
        if when is None or _during(limits["datetime"], when):
            found.append(group)
    return found


def _limits(statistics: Any) -> tuple[Any, Any]:
    """Return least and greatest of a column; None where not every row says."""
    if statistics is None or not statistics.has_min_max or statistics.null_count:
        return None, None
    return statistics.min, statistics.max


def _overlap(limits: Mapping[str, tuple[Any, Any]], bounds: tuple[float, ...]) -> bool:
    west, south, east, north = bounds
    lowest = (limits["bbox.xmin"][0], limits["bbox.ymin"][0])
    highest = (limits["bbox.xmax"][1], limits["bbox.ymax"][1])
    if None in (*lowest, *highest):
        return True
    return bool(lowest[0] <= east and lowest[1] <= north and highest[0] >= west and highest[1] >= south)


def _during(limits: tuple[Any, Any], when: Period) -> bool:
    return limits[0] is None or (limits[0] <= when.end and limits[1] >= when.start)


def near(table: pa.Table, bounds: tuple[float, ...] | None, when: Period | None) -> NDArray[np.bool_]:
    """Return which rows' bboxes and times meet those asked for."""
    kept = np.ones(len(table), bool)
    if bounds is not None:
        box = table["bbox"].combine_chunks()
        xmin, ymin, xmax, ymax = (pc.struct_field(box, name).to_numpy() for name in CORNERS)
        west, south, east, north = bounds
        kept &= (xmin <= east) & (ymin <= north) & (xmax >= west) & (ymax >= south)
    if when is not None:
        start, end = spans(table)
        low, high = (np.datetime64(edge.replace(tzinfo=None), "us") for edge in (when.start, when.end))
        kept &= (start <= high.astype("int64")) & (end >= low.astype("int64"))
    return kept


def spans(table: pa.Table) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return first and last moment of each row, microseconds since 1970."""
    start = end = table["datetime"]
    if "start_datetime" in table.column_names:
        start = pc.coalesce(start, table["start_datetime"])
    if "end_datetime" in table.column_names:
        end = pc.coalesce(end, table["end_datetime"])
    end = pc.coalesce(end, start)
    first, last = (column.cast(pa.int64()).to_numpy() for column in (start, end))
    return first, last


def properties_in(where: Mapping[str, Any] | None) -> set[str]:
    """Return the properties that a CQL2 condition names."""
    if not isinstance(where, Mapping):
        return set()
    if "property" in where:
        return {str(where["property"])}
    return {name for part in where.get("args", ()) for name in properties_in(part)}


def may_meet(table: pa.Table, where: Mapping[str, Any] | None) -> NDArray[np.bool_]:
    """Return which rows may meet a CQL2 condition; never drops one that does.

    Parameters
    ----------
    table : pyarrow.Table
        The columns that can be searched.
    where : mapping, optional
        CQL2 JSON: and, or, isNull, in, and comparisons of a property with a value. What is not known
        here, or cannot be compared, is met by every row.
    """
    every = np.ones(len(table), bool)
    if where is None:
        return every
    op, args = where.get("op"), where.get("args", [])
    if op in ("and", "or") and args:
        parts = [may_meet(table, part) for part in args]
        return np.asarray(np.logical_and.reduce(parts) if op == "and" else np.logical_or.reduce(parts))
    name = args[0].get("property") if args and isinstance(args[0], Mapping) else None
    if name not in table.column_names:
        return every
    column = table[name]
    if op == "isNull":
        return np.asarray(column.is_null().to_numpy())
    if len(args) != 2:
        return every
    try:
        met = _compared(column, str(op), args[1])
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        return every
    return every if met is None else np.asarray(pc.fill_null(met, False).to_numpy())


def _compared(column: pa.ChunkedArray, op: str, wanted: Any) -> pa.ChunkedArray | None:
    values = list(wanted) if op == "in" else [wanted]
    kind = column.type
    alike = str if pa.types.is_string(kind) else bool if pa.types.is_boolean(kind) else (int, float)
    fits = all(isinstance(v, alike) and (alike is bool or not isinstance(v, bool)) for v in values)
    if not fits or any(kind != pa.string() and not abs(value) < EXACT for value in values):
        return None
    if pa.types.is_integer(kind):
        column, kind = column.cast(pa.float64(), safe=False), pa.float64()
    if not (pa.types.is_string(kind) or pa.types.is_boolean(kind) or pa.types.is_floating(kind)):
        return None
    if op == "in":
        return pc.is_in(column, value_set=pa.array(values, kind))
    return _OPERATIONS[op](column, pa.scalar(values[0], kind)) if op in _OPERATIONS else None
