"""Disks that fill up: noticed where GDAL does not say it."""

from __future__ import annotations

import errno
import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import OutputError

_SAID = (os.strerror(errno.ENOSPC), os.strerror(errno.EDQUOT), os.strerror(errno.EFBIG))

_SQLITE = "disk is full"
"""What SQLite says."""

_LEAST = 1 << 16
"""Bytes: who had no room for a block has filled the disk to less than this."""


class _Listening(logging.Handler):
    """Keeps what GDAL says of a disk that is full."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.heard = ""

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if any(said in text for said in _SAID):
            self.heard = text


@contextmanager
def noticing_full(folder: Path) -> Iterator[None]:
    """Raise an error if there was no room left for what GDAL wrote.

    What it writes when it closes a file may fail without an error: it is said in the log alone, and the
    file is a part of one. Other errors of it do not say what was the matter.

    Raises
    ------
    OutputError
        With an OSError of ENOSPC as its cause.
    """
    log, listening = logging.getLogger("rasterio"), _Listening()
    log.addHandler(listening)
    try:
        yield
    except Exception as error:
        if listening.heard or _is_full(folder):
            raise _full(folder, listening.heard or str(error)) from _cause(folder)
        raise
    finally:
        log.removeHandler(listening)
    if listening.heard or _is_full(folder):
        raise _full(folder, listening.heard) from _cause(folder)


def disk_is_full(error: BaseException | None) -> bool:
    """Whether an error comes of a disk that has no room left."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            return True
        if any(word in str(error) for word in (*_SAID, _SQLITE)):
            return True
        error = error.__cause__ or error.__context__
    return False


def _is_full(folder: Path) -> bool:
    if not hasattr(os, "statvfs"):
        return shutil.disk_usage(folder).free < _LEAST
    try:
        said = os.statvfs(folder)
    except OSError:
        return False
    # What is kept for root is room for root. Some file systems of a network say nothing: 0 of 0.
    free = said.f_bfree if os.geteuid() == 0 else said.f_bavail
    return said.f_blocks > 0 and free * said.f_frsize < _LEAST


def _cause(folder: Path) -> OSError:
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))


def _full(folder: Path, said: str) -> OutputError:
    return OutputError(f"There is no room left in {folder}{f' ({said})' if said else ''}: make room.")
