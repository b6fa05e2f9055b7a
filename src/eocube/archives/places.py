"""Places of an archive: a folder, or a prefix on S3; a cell appears there whole, its Item last."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..errors import ArchiveError, OutputError
from ..processes import is_gone, mark
from ..writers.outputs import clear_left, mark_of, name_of, whole
from ..writers.remotes import Remote, as_remote

SHELF = ("catalog.json", "collection.json", "items.parquet", "recipe.json")
"""What lies beside the cells."""

_SCRATCH = "eocube-cell-"
"""How the temporary folders begin in which cells are made that go to S3."""


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
        here = Path.cwd()
        if isinstance(self.root, Path) and self.root != here and self.root.is_relative_to(here):
            return str(self.root.relative_to(here))
        return str(self.root)

    @contextmanager
    def cell(self, identity: str) -> Iterator[Path]:
        """Give an empty folder; what is in it when the work is done becomes the cell, all at once.

        On S3 the files are sent first, and the Item when they are all there; an earlier Item goes before
        them, for it says the checksums of other files.
        """
        if isinstance(self.root, Path):
            with whole(self.root / identity) as folder:
                folder.mkdir()
                yield folder
            return
        with tempfile.TemporaryDirectory(prefix=f"{_SCRATCH}{mark()}-") as scratch:
            folder = Path(scratch) / identity
            folder.mkdir()
            yield folder
            self._send(folder, f"{identity}.json")

    def make(self) -> None:
        """Make the folder, if it is not there.

        Raises
        ------
        OutputError
            If it cannot be made.
        """
        if isinstance(self.root, Path):
            try:
                self.root.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise OutputError(f"{self.root} cannot be made: {error.strerror}.") from error

    def recipe(self) -> str:
        """Return the text of the recipe whose cells lie here; empty if there is none."""
        file = self.root / "recipe.json"
        if isinstance(file, Path):
            return file.read_text(encoding="utf-8") if file.is_file() else ""
        if not file.exists():
            return ""
        with tempfile.TemporaryDirectory(prefix=f"{_SCRATCH}{mark()}-") as scratch:
            file.fetch(Path(scratch) / "recipe.json")
            return (Path(scratch) / "recipe.json").read_text(encoding="utf-8")

    def lacks(self, identity: str) -> bool:
        """Whether there is no such cell, as far as that is known: on S3 it is not asked."""
        return isinstance(self.root, Path) and not (self.root / identity / f"{identity}.json").is_file()

    @contextmanager
    def shelf(self) -> Iterator[Path]:
        """Give a folder in which ``<id>/<id>.json`` of all cells can be read, and the shelf be written."""
        if isinstance(self.root, Path):
            yield self.root
            return
        with tempfile.TemporaryDirectory(prefix=f"{_SCRATCH}{mark()}-") as scratch:
            yield Path(scratch)
            for name in ("items.parquet", "recipe.json", "collection.json", "catalog.json"):
                if (Path(scratch) / name).is_file():
                    (self.root / name).send(Path(scratch) / name)

    def fetch_item(self, identity: str, folder: Path, *, must: bool = True) -> bool:
        """Bring the Item of a cell into a folder given by :meth:`shelf`; return whether it is there.

        Raises
        ------
        ArchiveError
            If it is not, and ``must``.
        """
        file = folder / identity / f"{identity}.json"
        if isinstance(self.root, Remote):
            source = self.root / identity / file.name
            if source.exists():
                file.parent.mkdir(exist_ok=True)
                source.fetch(file)
        if must and not file.is_file():
            raise ArchiveError(f"{file.name} in {self} is gone, of a cell that is done: run again.")
        return file.is_file()

    def _send(self, folder: Path, last: str) -> None:
        assert isinstance(self.root, Remote)
        files = [file for file in folder.rglob("*") if file.is_file()]
        (self.root / f"{folder.name}/{last}").remove()
        for file in sorted(files, key=lambda file: (file.name == last, str(file))):
            (self.root / f"{folder.name}/{file.relative_to(folder).as_posix()}").send(file)

    def left(self) -> list[Path]:
        """Return what is under way, and what runs that were killed have left."""
        found = sorted(self.root.glob(".*")) if isinstance(self.root, Path) else []
        return [place for place in found if mark_of(place) and place.is_dir()]

    def sweep(self, left: list[Path], holders: Mapping[str, str]) -> list[str]:
        """Remove what runs that were killed have left; return what it was.

        Parameters
        ----------
        left : list of Path
            As :meth:`left` returned it *before* the holders were asked for: so whoever made a folder for a
            cell that it still holds is among them.
        holders : mapping of str to str
            Of each cell, by its identity, which process makes it now (:func:`eocube.processes.mark`), ``""``
            if none does.
        """
        gone = []
        for place in left:
            name, who = name_of(place), mark_of(place)
            known = name in holders
            if (known and holders[name] != who) or ((known or name in SHELF) and is_gone(who)):
                clear_left(place)
                gone.append(place.name)
        for scratch in Path(tempfile.gettempdir()).glob(f"{_SCRATCH}*"):
            if is_gone(scratch.name.removeprefix(_SCRATCH).rpartition("-")[0]):
                shutil.rmtree(scratch, ignore_errors=True)
                gone.append(scratch.name)
        return gone


def place_of(out: str | os.PathLike[str] | Remote) -> Place:
    """Return the place of an archive; nothing is made yet.

    Raises
    ------
    OutputError
        If it is a file, or no place that can be written to.
    """
    remote = as_remote(out)
    if remote is not None:
        return Place(remote)
    folder = Path(os.fspath(out)).resolve()  # type: ignore[arg-type]
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder} is a file: an archive is a folder.")
    return Place(folder)
