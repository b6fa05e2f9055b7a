"""Reading what a search found in an index."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import shapely
from numpy.typing import NDArray

from ..errors import CatalogError
from ..periods import Period
from .columns import PACKED, TOLERANCE
from .files import Opened
from .lookups import groups_within, may_meet, near, properties_in

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry


def candidates(
    opened: Opened,
    bounds: tuple[float, ...] | None,
    when: Period | None,
    collections: Sequence[str],
    where: Mapping[str, Any] | None,
) -> dict[int, NDArray[np.int64]]:
    """Return, per row group, the rows that may fit: all but the geometry is looked at."""
    file, summary = opened.file, opened.summary
    names = file.schema_arrow.names
    asked = {name for name in properties_in(where) if name in names and name not in summary.loose}
    wanted = {"bbox"} if bounds is not None else set()
    wanted |= {"datetime", "start_datetime", "end_datetime"} if when is not None else set()
    wanted |= {"collection"} if collections and set(summary.collections) - set(collections) else set()
    columns = [
        name for name in names
        if name in wanted or (name in asked and not pa.types.is_nested(file.schema_arrow.field(name).type))
    ]  # fmt: skip
    if bounds is not None:
        west, south, east, north = bounds
        bounds = (west - TOLERANCE, south - TOLERANCE, east + TOLERANCE, north + TOLERANCE)
    groups = groups_within(file, bounds, when)
    counts = [file.metadata.row_group(group).num_rows for group in groups]
    if not columns:
        return {group: np.arange(count) for group, count in zip(groups, counts, strict=True)}
    try:
        table = file.read_row_groups(groups, columns=columns) if groups else None
    except (pa.ArrowException, OSError) as error:
        raise CatalogError(f"The index is damaged ({error}): build it anew.") from error
    if table is None:
        return {}
    kept = near(table, bounds, when) & may_meet(table, where)
    if "collection" in wanted:
        kept &= pc.is_in(table["collection"], value_set=pa.array(collections, pa.string())).to_numpy()
    parts = np.split(kept, np.cumsum(counts)[:-1])
    return {group: np.flatnonzero(part) for group, part in zip(groups, parts, strict=True) if part.any()}


def read_rows(
    opened: Opened,
    group: int,
    rows: NDArray[np.int64] | None,
    shape: BaseGeometry | None,
) -> list[str]:
    """Return the packed Items of rows of a group whose geometry intersects a shape."""
    own = opened.again()
    try:
        if shape is not None:
            outlines = own.read_row_group(group, columns=["geometry"], use_threads=False)["geometry"]
            outlines = outlines.to_numpy() if rows is None else outlines.take(pa.array(rows)).to_numpy()
            shapely.prepare(shape)
            met = shapely.intersects(shape, shapely.from_wkb(outlines))
            rows = np.flatnonzero(met) if rows is None else rows[met]
            if not len(rows):
                return []
        texts = own.read_row_group(group, columns=[PACKED], use_threads=False)[PACKED]
        found: list[str] = (texts if rows is None else texts.take(pa.array(rows))).to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise CatalogError(f"The index is damaged ({error}): build it anew.") from error
    return found
