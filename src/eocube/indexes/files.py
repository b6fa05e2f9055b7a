"""The file of an index: opened and checked, written whole."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ..errors import CatalogError, shorten
from .columns import PACKED

VERSION = 1
"""Of the layout; a later eocube reads earlier ones."""

OWN = b"eocube:index"
"""Key of the file's metadata that makes it an index."""

ROWS = 8192
"""Rows of a row group: what a search reads at least, and by which it leaves the rest out."""


@dataclass
class Summary:
    """What an index says of itself, kept in the file's metadata.

    Attributes
    ----------
    collections : dict of str to int
        Items per collection.
    period : list of str
        First and last time, RFC 3339; empty for no Items.
    bounds : list of float
        West, south, east, north in degrees.
    loose : list of str
        Columns that cannot be searched.
    dictionaries : list of str
        See :mod:`eocube.indexes.packing`.
    geometry_types : list of str
        As GeoParquet names them.
    version : int
    """

    collections: dict[str, int] = field(default_factory=dict)
    period: list[str] = field(default_factory=list)
    bounds: list[float] = field(default_factory=list)
    loose: list[str] = field(default_factory=list)
    dictionaries: list[str] = field(default_factory=list)
    geometry_types: list[str] = field(default_factory=list)
    version: int = VERSION

    @property
    def count(self) -> int:
        """Items in all."""
        return sum(self.collections.values())

    def metadata(self) -> dict[bytes, bytes]:
        """Return the metadata of the file: GeoParquet's, stac-geoparquet's and ours."""
        covering = {"bbox": {corner: ["bbox", corner] for corner in ("xmin", "ymin", "xmax", "ymax")}}
        geometry = {
            "encoding": "WKB", "geometry_types": self.geometry_types,
            "bbox": self.bounds, "covering": covering,
        }  # fmt: skip
        geo = {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": geometry}}
        return {
            b"geo": json.dumps(geo).encode(),
            b"stac-geoparquet": json.dumps({"version": "1.0.0"}).encode(),
            OWN: json.dumps(self.__dict__).encode(),
        }


@dataclass(frozen=True)
class Opened:
    """The open file of an index; stays the same when another process replaces it.

    Attributes
    ----------
    buffer : pyarrow.Buffer
        The file, mapped into memory.
    file : pyarrow.parquet.ParquetFile
    summary : Summary
    """

    buffer: pa.Buffer
    file: pq.ParquetFile
    summary: Summary

    def again(self) -> pq.ParquetFile:
        """Return a second reader for another thread, which costs nothing."""
        return pq.ParquetFile(pa.BufferReader(self.buffer), metadata=self.file.metadata)


def open_index(path: Path) -> Opened:
    """Open the file of an index.

    Raises
    ------
    CatalogError
        If it is not one, is damaged, or was written by a later eocube.
    """
    try:
        buffer = pa.memory_map(str(path)).read_buffer()
        file = pq.ParquetFile(pa.BufferReader(buffer))
    except FileNotFoundError as error:
        raise CatalogError(f"There is no index at {path} yet: its add(items) makes it.") from error
    except (pa.ArrowException, OSError) as error:
        raise CatalogError(
            f"{path} cannot be read as Parquet: it is cut short, or something else "
            f"({str(error).splitlines()[0]})."
        ) from error
    kept = file.metadata.metadata or {}
    if OWN not in kept:
        raise CatalogError(_foreign(path, file))
    try:
        said: dict[str, Any] = json.loads(kept[OWN])
        version = int(said["version"])
        if version > VERSION:
            raise CatalogError(
                f"{path} was written by a later eocube (layout {version}, this one reads {VERSION}): "
                "update eocube, or build the index anew."
            )
        summary = Summary(**said)
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, CatalogError):
            raise
        raise CatalogError(f"{path} has damaged metadata ({error!r}): build the index anew.") from error
    if PACKED not in file.schema_arrow.names or file.metadata.num_rows != summary.count:
        raise CatalogError(f"{path} was changed by another program: build the index anew.")
    return Opened(buffer, file, summary)


def _foreign(path: Path, file: pq.ParquetFile) -> str:
    names = set(file.schema_arrow.names)
    if {"id", "geometry", "assets"} <= names:
        return (
            f"{path} is stac-geoparquet that another program wrote: read its Items with that program and "
            "add them to an index of eocube's, LocalIndex('new.parquet').add(items)."
        )
    return f"{path} is not stac-geoparquet: its columns are {shorten(sorted(names))}, without Items."


def writer(path: Path, schema: pa.Schema, summary: Summary | None = None) -> pq.ParquetWriter:
    """Return a writer of an index, or of a piece of one when nothing is to be searched in it."""
    leaves = [leaf for one in schema for leaf in _leaves(one.name, one.type)]
    plain = {PACKED, "geometry"}
    if summary is None:  # read once and thrown away
        return pq.ParquetWriter(path, schema, compression="LZ4", use_dictionary=False, write_statistics=False)
    schema = schema.with_metadata(summary.metadata())
    searched = [f"bbox.{corner}" for corner in ("xmin", "ymin", "xmax", "ymax")]
    searched += [one.name for one in schema if not pa.types.is_nested(one.type) and one.name not in plain]
    return pq.ParquetWriter(
        path, schema,
        # Packed texts are deflated already.
        compression={leaf: "NONE" if leaf == PACKED else "ZSTD" for leaf in leaves},
        use_dictionary=[leaf for leaf in leaves if leaf not in plain],
        write_statistics=searched,
    )  # fmt: skip


def _leaves(name: str, kind: pa.DataType) -> Iterable[str]:
    if pa.types.is_struct(kind):
        for inner in kind:
            yield from _leaves(f"{name}.{inner.name}", inner.type)
    elif pa.types.is_list(kind):
        yield from _leaves(f"{name}.list.element", kind.value_type)
    else:
        yield name


def settle(made: Path, path: Path) -> None:
    """Put a written file in its place, in one step; what was there is there until then."""
    with made.open("rb+") as file:
        os.fsync(file.fileno())
    made.replace(path)
