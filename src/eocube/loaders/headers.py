"""Headers of files, read once per process."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from concurrent.futures import Future
from dataclasses import dataclass

from ..errors import UntrustedError
from ..signing import sign, unsigned
from ..trust import settled
from .base import Source
from .directories import Foreign
from .places import place_of
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
    place = place_of(_signed(source))
    key = unsigned(source.href)
    kept = _KEPT.get(key)
    # Files on the disk change, and asking costs nothing. Remote ones are checked with each answer.
    if kept and (isinstance(place, RemoteFile) or place.version() == kept[0]):
        return Header(place, *kept, kept=True)
    if isinstance(place, LocalFile):
        place.version()
    front, size, version = place.front()
    try:
        tiff = parse(lambda start, stop: bytes(place.read(start, stop, version)), front, size)
    except Foreign:
        tiff = None
    _KEPT.put(key, version, tiff)
    return Header(place, version, tiff)


def header_later(source: Source) -> Future[Header] | None:
    """Ask for the header of a remote file that is not known yet; None for the others."""
    key = unsigned(source.href)
    kept = _KEPT
    if "://" not in source.href or kept.get(key) is not None:
        return None
    with kept.lock:
        if key not in kept.coming:
            kept.coming[key] = future = submit(header, source)
        else:
            return kept.coming[key]
    future.add_done_callback(lambda _: kept.coming.pop(key, None))
    return future


def _signed(source: Source) -> str:
    try:
        return settled(sign(source.href, source.signer), source.origin)
    except UntrustedError as error:
        reason = str(error)
    except (OSError, ValueError) as error:
        reason = f"it could not be signed: {error}"
    raise Unreadable(reason)
