"""Adding Items to an index: in batches, under a lock, whole or not at all."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import shapely
from filelock import FileLock, Timeout

from ..errors import EocubeError, NoItemsError, OutputError
from .changes import Changes
from .columns import fit_table, merged_schema, table_of
from .files import Summary, open_index, settle, writer
from .merging import Keys, Piece, sort_rows, winners, write_merged
from .packing import Packer

BATCH = 16_384
"""Items that are sorted in memory; more become sorted pieces on disk, and are merged."""

STEP = 512
"""Items that become columns at once: as dicts they take ten times what they take as columns."""


def build(path: Path, records: Iterable[Mapping[str, Any]], wait: float) -> Changes:
    """Add Items to the index at a path; see :meth:`eocube.LocalIndex.add`."""
    with locked(path, wait), _scratch(path) as folder:
        old, summary = [], Summary()
        if path.exists():
            opened = open_index(path)
            summary, file = opened.summary, opened.file
            old = [Piece(file, Keys.of(file.read(Keys.columns(file.schema_arrow))))]
            del opened  # some systems do not replace a file that is mapped
        packer = Packer(summary.dictionaries)
        pieces = [*old, *_pieces(records, packer, summary, folder)]
        try:
            if len(pieces) == len(old):
                raise NoItemsError("There is not a single Item to add: widen the search they come from.")
            best, (added, replaced, kept) = winners(pieces, len(old))
            if added or replaced:
                summary.dictionaries = packer.dictionaries
                write_merged(pieces, list(best.values()), summary, folder / "index")
        finally:
            for piece in pieces:
                piece.file.close(force=True)
        if added or replaced:
            settle(folder / "index", path)
    return Changes(str(path), tuple(added), tuple(replaced), tuple(kept), summary.count)


@contextmanager
def locked(path: Path, wait: float) -> Iterator[None]:
    """Let one process at a time write an index; the lock of a killed one is gone with it.

    Raises
    ------
    OutputError
        If another one is writing for longer than ``wait`` seconds, or the folder cannot be written.
    """
    if not path.parent.is_dir():
        raise OutputError(f"{path} cannot be written: there is no folder {path.parent}.")
    lock = FileLock(path.parent / f".{path.name}.lock", timeout=wait)
    try:
        lock.acquire()
    except Timeout as error:
        raise OutputError(
            f"{path} is being written by another process for more than {wait:g} s: nothing was added. "
            "Try again, or give a longer wait=."
        ) from error
    except (OSError, NotImplementedError) as error:
        raise OutputError(f"{path} cannot be written: {error}.") from error
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _scratch(path: Path) -> Iterator[Path]:
    """Give a folder beside the index; one that a killed run left is removed."""
    prefix = f".{path.name}.part-"
    for left in path.parent.glob(f"{prefix}*"):
        shutil.rmtree(left, ignore_errors=True)
    try:
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir=path.parent))
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror} in {path.parent}.") from error
    try:
        yield folder
    except EocubeError:
        raise
    except (OSError, pa.ArrowException) as error:
        raise OutputError(f"{path} cannot be written: {error}. What was there is unchanged.") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _pieces(
    records: Iterable[Mapping[str, Any]], packer: Packer, summary: Summary, folder: Path
) -> Iterator[Piece]:
    rest = iter(records)
    number = 0
    while tables := list(_tables(islice(rest, BATCH), packer, summary)):
        schema, loose = merged_schema([table.schema for table in tables])
        summary.loose = sorted(loose.union(summary.loose))
        table = pa.concat_tables([fit_table(table, schema) for table in tables])
        table = table.take(pa.array(sort_rows(Keys.of(table))))
        part = folder / str(number)
        with writer(part, schema) as out:
            out.write_table(table, row_group_size=STEP)
        yield Piece(pq.ParquetFile(part), Keys.of(table))
        number += 1


def _tables(records: Iterable[Mapping[str, Any]], packer: Packer, summary: Summary) -> Iterator[pa.Table]:
    rest = iter(records)
    while some := list(islice(rest, STEP)):
        table, loose = table_of(some, [packer.pack(record) for record in some])
        summary.loose = sorted(loose.union(summary.loose))
        shapes = shapely.from_wkb(table["geometry"].to_numpy())
        kinds = {shape.geom_type + (" Z" if shape.has_z else "") for shape in shapes}
        summary.geometry_types = sorted(kinds.union(summary.geometry_types))
        yield table
