"""Output places: checked before the work, whole or not there after it."""

from __future__ import annotations

import glob
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import OutputError
from ..processes import is_gone, mark
from .remotes import Remote, as_remote

_LEFT = re.compile(r"\.(?P<name>.+)\.(?P<mark>[0-9a-f]{8}-\d+)-[^.]*")
"""What :func:`whole` calls its hidden folders."""

_OLD = ".replaced"

_STORE = ("zarr.json", ".zgroup", ".zarray", ".zmetadata")
"""What a folder holds that is a Zarr store."""


def check_output(path: str | os.PathLike[str], *, overwrite: bool = False, store: bool = False) -> Path:
    """Return the path if it can be written, before any work is done.

    Parameters
    ----------
    path : path
        Links are followed.
    overwrite : bool
        Whether what is there may be replaced: a file by a file, a Zarr store by a Zarr store.
    store : bool
        Whether a folder (a Zarr store) is to be written.

    Raises
    ------
    OutputError
        If it exists and may not be overwritten, or its folder does not exist or cannot be
        written to.
    """
    place = Path(path).resolve()
    if place.exists() and not overwrite:
        raise OutputError(f"{path} exists: pass overwrite=True (--overwrite), or write elsewhere.")
    if place.is_dir() and not (store and any((place / name).exists() for name in _STORE)):
        kind = "no Zarr store" if store else "a folder"
        raise OutputError(f"{path} is {kind}, which is never overwritten: write elsewhere.")
    if place.is_file() and store:
        raise OutputError(f"{path} is a file, which a Zarr store does not overwrite: write elsewhere.")
    folder = place.parent
    if not folder.is_dir():
        raise OutputError(f"{path} cannot be written: there is no folder {folder}.")
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror} in {folder}.") from error
    return place


def check_target(
    path: str | os.PathLike[str] | Remote, *, overwrite: bool = False, store: bool = False
) -> Path | Remote:
    """Return where an output goes, a path or a place on S3, if it can be written.

    Raises
    ------
    OutputError
        As :func:`check_output`; or if S3 cannot be asked.
    """
    remote = as_remote(path)
    if remote is None:
        return check_output(str(path), overwrite=overwrite, store=store)
    if remote.exists() and not overwrite:
        raise OutputError(f"{remote} exists: pass overwrite=True (--overwrite), or write elsewhere.")
    return remote


def check_folder(path: str | os.PathLike[str] | Remote) -> Path | Remote:
    """Return a folder for several files, made if its parent is there.

    Raises
    ------
    OutputError
        If it is a file, or its parent does not exist.
    """
    remote = as_remote(path)
    if remote is not None:
        return remote
    folder = Path(str(path)).resolve()
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{path} is a file: the files of several bands need a folder.")
    if not folder.parent.is_dir():
        raise OutputError(f"{path} cannot be written: there is no folder {folder.parent}.")
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise OutputError(f"{path} cannot be made: {error.strerror}.") from error
    return folder


@contextmanager
def delivered(target: Path | Remote) -> Iterator[Path]:
    """Give a temporary path; what is there when the work is done becomes the target, whole."""
    if isinstance(target, Path):
        with whole(target) as path:
            yield path
        return
    with tempfile.TemporaryDirectory(prefix="eocube-") as folder:
        path = Path(folder) / target.name
        yield path
        target.send(path)


def check_distinct(paths: Iterable[Path]) -> None:
    """Refuse outputs that would overwrite each other.

    Raises
    ------
    OutputError
        If two of the paths are one.
    """
    places = [path.resolve() for path in paths]
    if len(set(places)) < len(places):
        names = ", ".join(path.name for path in places)
        raise OutputError(f"Two outputs would be one file ({names}): choose another name.")


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Give a temporary path beside the final one; rename it when the work is done.

    A run that is killed leaves nothing under the final name, or what was there before. What it leaves
    beside it is removed when the same is written again. A folder is not replaced in one step: who is killed
    between the two leaves the old one hidden, from where :func:`clear_left` puts it back.
    """
    own, parent = f".{path.name}.", path.resolve().parent
    for left in parent.glob(f"{glob.escape(own)}*"):
        if is_gone(mark_of(left)):
            clear_left(left)
    folder = Path(tempfile.mkdtemp(prefix=f"{own}{mark()}-", dir=parent))
    try:
        yield folder / path.name
        if path.is_dir():
            path.replace(folder / _OLD)
        (folder / path.name).replace(path)
    finally:
        clear_left(folder)


def mark_of(left: Path) -> str:
    """Return which process left a hidden folder that :func:`whole` made; empty if it did not."""
    found = _LEFT.fullmatch(left.name)
    return found["mark"] if found else ""


def name_of(left: Path) -> str:
    """Return of what a hidden folder was left; empty if it is no such folder."""
    found = _LEFT.fullmatch(left.name)
    return found["name"] if found else ""


def clear_left(left: Path) -> None:
    """Remove a hidden folder that :func:`whole` made; put back what it was about to replace."""
    final = left.with_name(name_of(left))
    if (left / _OLD).exists() and not final.exists():
        (left / _OLD).replace(final)
    shutil.rmtree(left, ignore_errors=True)
