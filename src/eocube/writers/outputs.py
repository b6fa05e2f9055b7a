"""Output places: checked before the work, whole or not there after it."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import OutputError


def check_output(path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
    """Return the path if it can be written, before any work is done.

    Raises
    ------
    OutputError
        If it exists and may not be overwritten, or its folder does not exist or cannot be
        written to.
    """
    place = Path(path)
    if place.exists() and not overwrite:
        raise OutputError(f"{place} exists: pass overwrite=True (--overwrite), or write elsewhere.")
    folder = place.resolve().parent
    if not folder.is_dir():
        raise OutputError(f"{place} cannot be written: there is no folder {folder}.")
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OutputError(f"{place} cannot be written: {error.strerror} in {folder}.") from error
    return place


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Give a temporary path beside the final one; rename it when the work is done.

    A run that is killed leaves nothing under the final name.
    """
    folder = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.resolve().parent))
    try:
        yield folder / path.name
        if path.is_dir() and not path.is_symlink():
            path.replace(folder / "old")
        (folder / path.name).replace(path)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
