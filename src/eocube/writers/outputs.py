"""Output places: checked before the work, whole or not there after it."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import OutputError

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

    A run that is killed leaves nothing under the final name, or what was there before.
    """
    folder = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.resolve().parent))
    try:
        yield folder / path.name
        new, old = folder / path.name, folder / "old"
        if path.is_dir():  # a folder is not replaced in one step: put the old one back if that fails
            path.replace(old)
            try:
                new.replace(path)
            except BaseException:
                old.replace(path)
                raise
        else:
            new.replace(path)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
