"""Headers of files: read once, for all threads of a process."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from concurrent.futures import Future
from dataclasses import dataclass, replace

import numpy as np

from ..errors import UntrustedError
from ..retries import WRONG
from ..signing import Unsigned, unsigned
from .base import Source
from .directories import Broken, Foreign
from .places import place_of, where
from .ranges import LocalFile, RemoteFile, Unreadable, Version, submit
from .tiffs import Tiff, parse

_MOST = 4096
_MOST_BYTES = 64 * 2**20


@dataclass(frozen=True)
class Header:
    """What is known of a file before its blocks are read.

    Attributes
    ----------
    place : LocalFile or RemoteFile
        Where it is, signed.
    version : tuple
        Of the file whose header it is.
    found : Tiff, optional
        None for a file of another kind.
    kept : bool
        Whether it was read by an earlier call.
    """

    place: LocalFile | RemoteFile
    version: Version
    found: Tiff | None
    kept: bool = False

    @property
    def tiff(self) -> Tiff:
        """The parsed header."""
        if self.found is None:
            raise Foreign("a file of another kind")
        return self.found


class _Kept:
    """The headers of this process, those used last."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.found: OrderedDict[str, tuple[Version, Tiff | None]] = OrderedDict()
        self.nbytes = 0
        self.coming: dict[str, Future[Header]] = {}

    def get(self, key: str) -> tuple[Version, Tiff | None] | None:
        with self.lock:
            if key in self.found:
                self.found.move_to_end(key)
            return self.found.get(key)

    def put(self, key: str, version: Version, tiff: Tiff | None) -> None:
        self.drop(key)
        with self.lock:
            self.found[key] = version, tiff
            self.nbytes += _size(tiff)
            while len(self.found) > _MOST or (self.nbytes > _MOST_BYTES and len(self.found) > 1):
                self.nbytes -= _size(self.found.popitem(last=False)[1][1])

    def begin(self, key: str) -> tuple[Future[Header], bool]:
        """Return the header that is to come, and whether it is the caller who has to read it."""
        with self.lock:
            begun = key not in self.coming
            return self.coming.setdefault(key, Future()), begun

    def end(self, key: str) -> None:
        """Forget what was to come: it has."""
        with self.lock:
            self.coming.pop(key, None)

    def drop(self, key: str) -> None:
        with self.lock:
            if key in self.found:
                self.nbytes -= _size(self.found.pop(key)[1])


def _size(tiff: Tiff | None) -> int:
    return 200 if tiff is None else tiff.nbytes


_KEPT = _Kept()


def _after_fork() -> None:
    global _KEPT
    found, nbytes = _KEPT.found, _KEPT.nbytes
    _KEPT = _Kept()  # another thread may have held the lock
    _KEPT.found, _KEPT.nbytes = found, nbytes


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def forget(href: str) -> None:
    """Drop the header of a file."""
    _KEPT.drop(unsigned(href))


def header(source: Source) -> Header:
    """Return the header of a file, read if it is not known yet.

    Raises
    ------
    Foreign
        If GDAL should read the file.
    Broken, Unreadable
        If nobody can.
    """
    place = _place(source)
    key = unsigned(source.href)
    kept = _KEPT.get(key)
    # Files on the disk change, and asking costs nothing. Remote ones are checked with each answer.
    if kept and (isinstance(place, RemoteFile) or place.version() == kept[0]):
        return Header(place, *kept, kept=True)
    future, begun = _KEPT.begin(key)
    if begun:
        _bring(future, source)
        return future.result()
    # It was begun before this call: a file that was replaced meanwhile is not one that changes under us.
    return replace(future.result(), kept=True)


def _bring(future: Future[Header], source: Source) -> None:
    """Read a header for all who wait for it."""
    kept, key = _KEPT, unsigned(source.href)
    try:
        place = _place(source)
        if isinstance(place, LocalFile):
            place.version()
        tiff, version = _read(place, source)
        kept.put(key, version, tiff)
    except BaseException as error:  # noqa: BLE001 - all who wait are told
        kept.end(key)
        future.set_exception(error)
    else:
        kept.end(key)
        future.set_result(Header(place, version, tiff))


def still_so(source: Source, header: Header) -> bool:
    """Whether a header says the same when it is read again; for when a block is damaged."""
    if isinstance(header.place, LocalFile):
        return True
    tiff, version = _read(header.place, source)
    return version == header.version and tiff is not None and _same(tiff, header.tiff)


def _read(place: LocalFile | RemoteFile, source: Source) -> tuple[Tiff | None, Version]:
    """Read a header; one that says something unexpected is read until it says the same twice.

    A header carries no checksum, and bytes may be damaged on their way. What the Item says as well is
    believed at once.
    """
    before: list[bytes] = []
    for _ in range(WRONG):
        found: Tiff | Broken | None
        front, size, version = place.front()
        seen = [front]

        def read(start: int, stop: int, version: Version = version, seen: list[bytes] = seen) -> bytes:
            seen.append(bytes(place.read(start, stop, version)))
            return seen[-1]

        try:
            found = parse(read, front, size)
        except Foreign:
            found = None
        except Broken as broken:
            found = broken
        if isinstance(place, LocalFile) or seen == before or _as_said(found, source):
            if isinstance(found, Broken):
                raise found
            return found, version
        before = seen
    raise Unreadable("each time its header is read, it is another")


def _as_said(found: Tiff | Broken | None, source: Source) -> bool:
    """Whether a header is vouched for: by the Item, which says the grid, and by its overviews."""
    if not isinstance(found, Tiff) or len(found.levels) < 2:
        return False
    how = {(level.compression, level.predictor) for level in found.levels}
    return len(how) == 1 and source.grid is not None and found.levels[0].grid == source.grid


def _same(one: Tiff, two: Tiff) -> bool:
    if (one.size, one.nodata, len(one.levels)) != (two.size, two.nodata, len(two.levels)):
        return False
    return all(
        (a.block, a.dtype, a.compression, a.predictor) == (b.block, b.dtype, b.compression, b.predictor)
        and np.array_equal(a.offsets, b.offsets) and np.array_equal(a.counts, b.counts)
        for a, b in zip(one.levels, two.levels, strict=True)
    )  # fmt: skip


def header_later(source: Source) -> Future[Header] | None:
    """Ask for the header of a remote file that is not known yet; None for the others."""
    key = unsigned(source.href)
    if "://" not in source.href or _KEPT.get(key) is not None:
        return None
    future, begun = _KEPT.begin(key)
    if begun:
        try:
            submit(_bring, future, source)
        except BaseException as error:  # no more threads, or the interpreter ends
            _KEPT.end(key)
            future.set_exception(error)
            raise
    return future


def _place(source: Source) -> LocalFile | RemoteFile:
    try:
        return place_of(*where(source))
    except UntrustedError as error:
        reason = str(error)
    except (Unsigned, ValueError) as error:
        reason = f"it could not be signed: {error}"
    raise Unreadable(reason)
