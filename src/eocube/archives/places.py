"""Places of an archive: a folder, or a prefix on S3; a cell appears there whole, its Item last."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..errors import OutputError
from ..writers.outputs import whole
from ..writers.remotes import Remote, as_remote

SHELF = ("catalog.json", "collection.json", "items.parquet", "recipe.json")
"""What lies beside the cells."""


@dataclass(frozen=True)
class Place:
    """Where an archive lies.

    Attributes
    ----------
    root : Path or Remote
    """

    root: Path | Remote

    @property
    def local(self) -> Path | None:
        """The folder, None on S3."""
        return self.root if isinstance(self.root, Path) else None

    def __str__(self) -> str:
        return str(self.root)

    @contextmanager
    def cell(self, identity: str) -> Iterator[Path]:
        """Give an empty folder; what is in it when the work is done becomes the cell, all at once.

        On S3 the files are sent first, and the Item when they are all there.
        """
        if isinstance(self.root, Path):
            with whole(self.root / identity) as folder:
                folder.mkdir()
                yield folder
            return
        with tempfile.TemporaryDirectory(prefix="eocube-cell-") as scratch:
            folder = Path(scratch) / identity
            folder.mkdir()
            yield folder
            self._send(folder, f"{identity}.json")

    @contextmanager
    def shelf(self) -> Iterator[Path]:
        """Give a folder in which ``<id>/<id>.json`` of all cells can be read, and the shelf be written."""
        if isinstance(self.root, Path):
            yield self.root
            return
        with tempfile.TemporaryDirectory(prefix="eocube-shelf-") as scratch:
            yield Path(scratch)
            for name in ("items.parquet", "recipe.json", "collection.json", "catalog.json"):
                if (Path(scratch) / name).is_file():
                    (self.root / name).send(Path(scratch) / name)

    def fetch_item(self, identity: str, folder: Path) -> None:
        """Bring the Item of a cell into a folder given by :meth:`shelf`."""
        if isinstance(self.root, Remote):
            (folder / identity).mkdir(exist_ok=True)
            (self.root / identity / f"{identity}.json").fetch(folder / identity / f"{identity}.json")

    def _send(self, folder: Path, last: str) -> None:
        assert isinstance(self.root, Remote)
        files = [file for file in folder.rglob("*") if file.is_file()]
        for file in sorted(files, key=lambda file: (file.name == last, str(file))):
            (self.root / f"{folder.name}/{file.relative_to(folder).as_posix()}").send(file)

    def sweep(self, kept: set[str]) -> list[str]:
        """Remove what runs that were killed have left of cells; return what it was.

        Only of processes of this machine that are no more, and never a cell.
        """
        import psutil

        gone = []
        for left in sorted(self.root.glob(".*")) if isinstance(self.root, Path) else []:
            name, _, rest = left.name.removeprefix(".").rpartition(".")
            pid = rest.partition("-")[2].partition("-")[0]
            own = name.removesuffix(".json").removesuffix(".parquet") and (name in kept or name in SHELF)
            if own and left.is_dir() and pid.isdecimal() and not psutil.pid_exists(int(pid)):
                if rest.partition("-")[0] != _host():
                    continue
                shutil.rmtree(left, ignore_errors=True)
                gone.append(left.name)
        return gone


def _host() -> str:
    import socket
    import zlib

    return f"{zlib.crc32(socket.gethostname().encode()):08x}"


def place_of(out: str | os.PathLike[str] | Remote) -> Place:
    """Return the place of an archive; a folder is made if need be.

    Raises
    ------
    OutputError
        If it cannot be.
    """
    remote = as_remote(out)
    if remote is not None:
        return Place(remote)
    folder = Path(os.fspath(out)).resolve()  # type: ignore[arg-type]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder} cannot be made: {error.strerror}.") from error
    return Place(folder)
