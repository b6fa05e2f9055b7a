"""Pieces of an index, and how they become one sorted file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from .columns import CORNERS, fit_table, merged_schema
from .files import ROWS, Summary, writer
from .lookups import spans

ORDER = 9
"""The Hilbert curve has 2**9 cells along each side of the world: 0.7 by 0.35 degrees."""


@dataclass
class Keys:
    """What orders and tells apart the rows of a piece.

    Attributes
    ----------
    names : list of tuple of str
        (collection, id).
    updated : list of int or None
        Microseconds since 1970.
    cell : array of uint32
        Along the Hilbert curve.
    time : array of int64
        Microseconds since 1970.
    boxes : array of float64 (rows, 4)
        West, south, east, north in degrees.
    """

    names: list[tuple[str, str]]
    updated: list[int | None]
    cell: NDArray[np.uint32]
    time: NDArray[np.int64]
    boxes: NDArray[np.float64]

    @classmethod
    def of(cls, table: pa.Table) -> Keys:
        """Read them off a table."""
        names = table.column_names
        updated = table["updated"].cast(pa.int64()).to_pylist() if "updated" in names else [None] * len(table)
        collections = (name or "" for name in table["collection"].to_pylist())
        box = table["bbox"].combine_chunks()
        boxes = np.stack([pc.struct_field(box, corner).to_numpy() for corner in CORNERS], axis=1)
        west, south, east, north = boxes.T
        return cls(
            list(zip(collections, table["id"].to_pylist(), strict=True)),
            updated, hilbert((west + east) / 2, (south + north) / 2), spans(table)[0], boxes,
        )  # fmt: skip

    @classmethod
    def columns(cls, schema: pa.Schema) -> list[str]:
        """Return the columns that they are read off."""
        wanted = ("id", "collection", "bbox", "updated", "datetime", "start_datetime", "end_datetime")
        return [name for name in wanted if name in schema.names]


@dataclass
class Piece:
    """A sorted file of rows, read front to back.

    Attributes
    ----------
    file : pyarrow.parquet.ParquetFile
    keys : Keys
    """

    file: pq.ParquetFile
    keys: Keys
    _starts: NDArray[np.int64] = field(init=False)
    _last: tuple[int, pa.Table] | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        meta = self.file.metadata
        counts = [meta.row_group(group).num_rows for group in range(meta.num_row_groups)]
        self._starts = np.cumsum([0, *counts])

    def take(self, rows: NDArray[np.int64], schema: pa.Schema) -> pa.Table:
        """Return rows, given in ascending order, with a wider schema."""
        groups = np.searchsorted(self._starts, rows, side="right") - 1
        parts = []
        for group in np.unique(groups):
            if self._last is None or self._last[0] != group:
                self._last = None  # room for the next one first
                self._last = (int(group), self.file.read_row_group(int(group)))
            parts.append(self._last[1].take(pa.array(rows[groups == group] - self._starts[group])))
        return fit_table(pa.concat_tables(parts), schema)


def hilbert(lon: NDArray[np.float64], lat: NDArray[np.float64]) -> NDArray[np.uint32]:
    """Return the place of points (degrees) along a Hilbert curve over the world.

    After J. Skilling, Programming the Hilbert curve, AIP Conf. Proc. 707 (2004), for two dimensions.
    """
    side = 1 << ORDER
    x = np.clip((lon + 180) / 360 * side, 0, side - 1).astype("int64")
    y = np.clip((lat + 90) / 180 * side, 0, side - 1).astype("int64")
    place = np.zeros(x.shape, "int64")
    step = side >> 1
    while step:
        right, upper = (x & step) > 0, (y & step) > 0
        place += step * step * ((3 * right) ^ upper)
        flip = ~upper & right
        x, y = np.where(flip, side - 1 - x, x), np.where(flip, side - 1 - y, y)
        x, y = np.where(upper, x, y), np.where(upper, y, x)
        step >>= 1
    return place.astype("uint32")


def sort_rows(keys: Keys) -> NDArray[np.int64]:
    """Return the order of rows: by space, then by time."""
    return np.lexsort((keys.time, keys.cell))


def winners(
    pieces: Sequence[Piece], old: int
) -> tuple[dict[tuple[str, str], tuple[int, int]], list[list[str]]]:
    """Return (piece, row) per Item, and the ids of those added, replaced and kept.

    Parameters
    ----------
    pieces : sequence of Piece
        The first ``old`` of them are the index as it was; later ones are newer.
    old : int
        0 or 1.
    """
    best: dict[tuple[str, str], tuple[int, int]] = {}
    fates: dict[tuple[str, str], int] = {}
    for number, piece in enumerate(pieces):
        for row, name in enumerate(piece.keys.names):
            before = best.get(name)
            if before is None:
                best[name] = (number, row)
                if number >= old:
                    fates[name] = 0
                continue
            is_newer = _newer(piece.keys.updated[row], pieces[before[0]].keys.updated[before[1]])
            if is_newer:
                best[name] = (number, row)
            if fates.get(name) != 0:
                fates[name] = 1 if is_newer else fates.get(name, 2)
    return best, [[name[1] for name, fate in fates.items() if fate == kind] for kind in range(3)]


def _newer(one: int | None, two: int | None) -> bool:
    return one is not None and (two is None or one > two)


def write_merged(
    pieces: Sequence[Piece], chosen: Sequence[tuple[int, int]], summary: Summary, path: Path
) -> None:
    """Write the chosen rows of all pieces, sorted, to one file."""
    schema, loose = merged_schema([piece.file.schema_arrow.remove_metadata() for piece in pieces])
    of, row = np.array(chosen, "int64").T
    first = np.cumsum([0, *(len(piece.keys.names) for piece in pieces)])[of] + row
    cell, time = (np.concatenate([getattr(p.keys, n) for p in pieces])[first] for n in ("cell", "time"))
    boxes = np.concatenate([piece.keys.boxes for piece in pieces])[first]
    summary.loose = sorted(loose.union(summary.loose))
    summary.bounds = [float(n) for n in (*boxes[:, :2].min(axis=0), *boxes[:, 2:].max(axis=0))]
    summary.period = [str(np.datetime64(int(edge), "us")) + "Z" for edge in (time.min(), time.max())]
    summary.collections = dict(sorted(Counter(pieces[i].keys.names[j][0] for i, j in chosen).items()))
    order = np.lexsort((row, of, time, cell))
    of, row = of[order], row[order]
    with writer(path, schema, summary) as out:
        for first in range(0, len(of), ROWS):
            part_of, part_row = of[first : first + ROWS], row[first : first + ROWS]
            numbers = np.unique(part_of)
            parts = [pieces[number].take(part_row[part_of == number], schema) for number in numbers]
            # Where each row of the group is in the parts, which follow one another by piece.
            places = np.empty(len(part_of), "int64")
            places[np.argsort(part_of, kind="stable")] = np.arange(len(part_of))
            out.write_table(pa.concat_tables(parts).take(pa.array(places)), row_group_size=ROWS)
