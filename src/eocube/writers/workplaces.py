"""Workplaces: where a store is made until it is whole, and which of its regions are done.

Beside ``best.zarr`` lies ``.best.zarr.partial`` while it is written: what is done (one empty file per
region, so that nothing has to be rewritten), for which job, and by whom. A job that is killed goes on
where it was when it is asked for again; another job starts anew.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import OutputError
from .remotes import Remote, refused

_DONE = "done/"


@dataclass(frozen=True)
class Workplace:
    """Where a job works. Travels to workers: holds no keys, which each process reads for itself.

    Attributes
    ----------
    target : Path or Remote
        Where the store will be.
    append : bool
        Whether chunks are added to a store that is there. They are written into it, and are not seen
        before its metadata say so.
    """

    target: Path | Remote
    append: bool

    @property
    def desk(self) -> Path | Remote:
        """Where notes lie."""
        name = f".{self.target.name}.partial"
        if isinstance(self.target, Path):
            return self.target.with_name(name)
        return Remote(self.target.bucket, f"{self.target.key.rpartition('/')[0]}/{name}".lstrip("/"))

    @property
    def root(self) -> Path | Remote:
        """Where chunks are written."""
        # On S3 nothing can be renamed: chunks lie in their place, and the metadata come last.
        return self.target if self.append or isinstance(self.target, Remote) else self.desk / "store"

    def put(self, name: str, content: bytes) -> None:
        """Write an object below the root, whole."""
        _put(self.root, name, content)

    def note(self, name: str, content: bytes = b"") -> None:
        """Write a note."""
        _put(self.desk, name, content)

    def begin(self, job: str, *, resume: bool) -> set[str]:
        """Take the place; return the regions that an earlier run of the same job has done.

        Raises
        ------
        OutputError
            If another process is at work here.
        """
        notes = self._notes()
        self._check_owner(notes.get("owner"))
        same = resume and notes.get("job") == job.encode()
        if not same:
            self.clear()
            if not self.append and isinstance(self.target, Remote):
                self.target.remove()
        self.note("owner", json.dumps({"host": socket.gethostname(), "pid": os.getpid()}).encode())
        self.note("job", job.encode())
        return {name.removeprefix(_DONE) for name in notes if name.startswith(_DONE)} if same else set()

    def done(self, region: str) -> None:
        """Note that a region is done."""
        self.note(f"{_DONE}{region}")

    def publish(self, metadata: dict[str, bytes]) -> None:
        """Write the metadata, the root's last, and put the store where it belongs."""
        for name in sorted(metadata, key=lambda name: (name == "zarr.json", name)):
            self.put(name, metadata[name])
        if isinstance(self.root, Path):
            for stray in self.root.rglob("*#[0-9]*"):
                stray.unlink()  # obstore's half of a chunk of a run that was killed
        if not self.append and isinstance(self.target, Path):
            _move(Path(str(self.root)), self.target, Path(str(self.desk)) / "old")
        self.clear()

    def clear(self) -> None:
        """Remove the notes, and what was made so far where it is no store yet."""
        if isinstance(self.desk, Path):
            shutil.rmtree(self.desk, ignore_errors=True)
        else:
            self.desk.remove()

    def _notes(self) -> dict[str, bytes]:
        import obstore

        if isinstance(self.desk, Path) and not self.desk.is_dir():
            return {}
        store = _store(self.desk)
        with refused(self.desk):
            names = [str(found["path"]) for page in obstore.list(store) for found in page]
            read = {
                name: bytes(obstore.get(store, name).bytes()) for name in names if name in ("owner", "job")
            }
        return {**dict.fromkeys((name for name in names if name.startswith(_DONE)), b""), **read}

    def _check_owner(self, note: bytes | None) -> None:
        import psutil

        try:
            owner = json.loads(note or b"{}")
            host, pid = str(owner.get("host", "")), int(owner.get("pid", -1))
        except (ValueError, AttributeError, TypeError):
            return
        if host == socket.gethostname() and pid != os.getpid() and psutil.pid_exists(pid):
            raise OutputError(
                f"{self.target} is being written by process {pid}: wait for it, or end it. If it is none of "
                f"eocube's, delete {self.desk}."
            )


def _move(new: Path, target: Path, old: Path) -> None:
    """Rename; an old folder is put back if that fails."""
    if target.exists():
        target.replace(old)
        try:
            new.replace(target)
        except BaseException:
            old.replace(target)
            raise
    else:
        new.replace(target)


def _put(place: Path | Remote, name: str, content: bytes) -> None:
    import obstore

    with refused(place):
        obstore.put(_store(place), name, content)


def _store(place: Path | Remote) -> Any:
    from obstore.store import LocalStore

    if isinstance(place, Path):
        return LocalStore(place, mkdir=True)
    return place.store(below=True)
