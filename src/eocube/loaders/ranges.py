"""Fetching byte ranges of files: from the disk, and many at once from servers."""

from __future__ import annotations

import os
import re
import stat
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

import obstore
from obstore import exceptions

from ..retries import Attempts, Clock, Fault
from ..signing import Unsigned
from ..tallies import carried, note, timed
from .directories import FRONT, Foreign
from .plainly import plain_get

IN_FLIGHT = 64
"""Requests under way at once in this process."""

IN_FLIGHT_BYTES = 32 * 2**20
"""Bytes that one batch may have asked for and not yet decoded."""

MERGE_GAP = 16 * 1024
MERGED = 2 * 2**20
"""Ranges of a file are one request if no more bytes lie between them, up to this size."""

_SMALL = 4 * 2**20

Version = tuple[Any, ...]
Range = tuple[int, int]
T = TypeVar("T")


class Unreadable(Exception):  # noqa: N818 - becomes a ReadError where the source is known
    """Bytes could not be had; the message holds no token."""


class Changed(Unreadable):
    """The file is not the one whose header was read."""

    def __init__(self) -> None:
        super().__init__("it was changed while it was read")


@dataclass(frozen=True)
class LocalFile:
    """A file on the disk."""

    path: str

    def version(self) -> Version:
        """Return what changes when the file does."""
        try:
            found = Path(self.path).stat()
        except (OSError, ValueError) as error:
            raise Unreadable(getattr(error, "strerror", None) or str(error)) from None
        if not stat.S_ISREG(found.st_mode):
            raise Foreign("not a file")
        return version_of(found)

    def front(self) -> tuple[bytes, int, Version]:
        """Return the first bytes, the size and the version."""
        try:
            with open(self.path, "rb", buffering=0) as file:  # noqa: PTH123 - as quick as it gets
                data = file.read(FRONT)
                note("bytes", len(data))
                version = version_of(os.fstat(file.fileno()))
        except OSError as error:
            raise Unreadable(error.strerror or str(error)) from None
        return data, version[0], version

    def read(self, start: int, stop: int, version: Version) -> bytes:
        """Return bytes of the file."""
        try:
            with open(self.path, "rb", buffering=0) as file:  # noqa: PTH123
                if version_of(os.fstat(file.fileno())) != version:
                    raise Changed
                file.seek(start)
                data = file.read(stop - start)
                note("bytes", len(data))
                return data
        except OSError as error:
            raise Unreadable(error.strerror or str(error)) from None

    def other(self, start: int, stop: int, version: Version, damaged: Any) -> None:
        """Return None: a disk says the same again."""


def version_of(found: os.stat_result) -> Version:
    """Return the version of a file on the disk; its size first."""
    return found.st_size, found.st_mtime_ns, found.st_ino


class Door(Protocol):
    """The way into a store: opened anew for each request, so that a token is never old."""

    def store(self, patience: int = 0) -> Any:
        """Return obstore's store; the higher the number, the longer it waits for a silent server."""

    def worked(self, patience: int, seconds: float) -> None:
        """Note that such a try worked, and how long it took."""

    def link(self) -> tuple[str, dict[str, str]] | None:
        """Return URL and headers where plain HTTP does, else None."""

    def refused(self) -> None:
        """Drop the token with which the last request went."""


@dataclass(frozen=True)
class RemoteFile:
    """A file in a store, for one read: its clock runs from its first fault.

    Attributes
    ----------
    door : Door
    path : str
        In the store.
    clock : Clock
        How long the file has been in trouble.
    """

    door: Door = field(repr=False)
    path: str
    clock: Clock = field(default_factory=Clock, repr=False, compare=False)

    def front(self) -> tuple[bytes, int, Version]:
        """Return the first bytes, the size and the version."""
        data, version = self._get(0, FRONT)
        return bytes(data), version[0], version

    def read(self, start: int, stop: int, version: Version) -> memoryview:
        """Return bytes of the file."""
        data, found = self._get(start, stop)
        if found != version:  # twice, lest one odd answer looks like another file
            data, found = self._get(start, stop)
        if found != version:
            raise Changed
        if len(data) != stop - start:
            raise Unreadable(f"the server sent {len(data)} bytes instead of {stop - start}")
        return data

    def other(self, start: int, stop: int, version: Version, damaged: Any) -> memoryview | None:
        """Return bytes that turned out damaged once more; None if they are the same again."""
        data = self.read(start, stop, version)
        return None if bytes(data) == bytes(damaged) else data

    def _get(self, start: int, stop: int) -> tuple[memoryview, Version]:
        with Attempts(self.clock) as attempts:
            fault = Fault("")
            while True:
                try:
                    return self._tried(start, stop, attempts.count, fault)
                except Fault as found:
                    fault = found
                except Unsigned as error:
                    fault = Fault(str(error), 400)  # it has had its own tries
                if fault.status in (401, 403):
                    self.door.refused()
                why = attempts.failed(fault)
                if why:
                    raise Unreadable(why)
                note("retries")

    def _tried(self, start: int, stop: int, tries: int, last: Fault) -> tuple[memoryview, Version]:
        note("requests")
        # Only a plain answer shows its headers (Retry-After), and its status whatever comes with it.
        hidden = last.status in (429, 503) or "utf-8" in str(last)
        link = self.door.link() if hidden else None
        if link is not None:
            data, meta = plain_get(*link, start, stop, max(1.0, min(self.clock.left(), 30.0)))
        else:
            began = time.monotonic()
            data, meta = self._answer(self.door.store(tries), start, stop)
            self.door.worked(tries, time.monotonic() - began)
        note("bytes", len(data))
        wants = min(stop, meta["size"]) - start
        if len(data) != wants:
            raise Fault(f"the server sent {len(data)} bytes instead of {wants}", wrong=True)
        return data, _version(meta)

    def _answer(self, store: Any, start: int, stop: int) -> tuple[memoryview, Any]:
        try:
            found = obstore.get(store, self.path, options={"range": (start, stop)})
            _check_kind(found.attributes)
            return _bounded(found, stop - start), found.meta
        except exceptions.NotSupportedError:
            ignored = True
        except (exceptions.BaseError, OSError) as error:
            ignored, fault = False, fault_of(error)
        if ignored:
            return self._whole(store, start, stop)
        raise fault

    def _whole(self, store: Any, start: int, stop: int) -> tuple[memoryview, Any]:
        """Take a small file as a whole from a server that does not serve ranges."""
        why = "the server ignores byte ranges (Range header)"
        try:
            found = obstore.get(store, self.path)
            _check_kind(found.attributes)
            if found.meta["size"] <= _SMALL:
                data = _bounded(found, _SMALL)
                if len(data) == found.meta["size"]:
                    return data[start:stop], found.meta
        except (exceptions.BaseError, OSError) as error:
            why = f"{why}; {fault_of(error)}"
        raise Fault(why, wrong=True)


def _check_kind(attributes: Any) -> None:
    """Refuse what says itself that it is no part of a raster."""
    kind = str(attributes.get("Content-Type") or "").lower()
    if "html" in kind:
        raise Fault("the server sent a web page instead of data", wrong=True)
    if attributes.get("Content-Encoding") not in (None, "", "identity"):
        raise Fault(f"the server sent it packed ({attributes['Content-Encoding']}), unasked", wrong=True)


def _bounded(found: obstore.GetResult, most: int) -> memoryview:
    """Return the bytes of an answer; one that does not end is left after little more than was asked for."""
    return memoryview(next(iter(found.stream(min_chunk_size=most + 1)), b""))


def _version(meta: Any) -> Version:
    return meta["size"], meta["e_tag"] or meta["last_modified"]


def fault_of(error: Exception) -> Fault:
    """Return what an error of obstore means, without any URL: it may hold a token."""
    text = str(error).split("Debug source")[0]
    status = re.search(r"status code: (\d+)([A-Za-z ]*)", text)
    if status:
        return Fault(f"the server answered {status[1]}{status[2].rstrip()}", int(status[1]))
    if isinstance(error, FileNotFoundError):
        return Fault("it is not found", 404)
    text = " ".join(re.sub(r"\S+://\S+|\S*\?\S*", "...", text).split()) or type(error).__name__
    return Fault(text, wrong="Requested" in text)


class _Pools:
    """The threads of this process that wait for servers."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.pools: dict[int, ThreadPoolExecutor] = {}


_POOLS = _Pools()


def _after_fork() -> None:
    global _POOLS
    _POOLS = _Pools()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def submit(call: Callable[..., T], *args: Any, threads: int = IN_FLIGHT) -> Future[T]:
    """Run a call that waits for a server beside the others, in a pool of so many threads."""
    own = _POOLS
    with own.lock:
        if threads not in own.pools:
            own.pools[threads] = ThreadPoolExecutor(threads, thread_name_prefix="eocube-ranges")
        return own.pools[threads].submit(carried(call), *args)


def merged(ranges: Sequence[Range]) -> list[tuple[Range, list[int]]]:
    """Join neighbouring ranges of one file.

    Returns
    -------
    list of (range, list of int)
        What to ask for, and the indices of the ranges within.
    """
    found: list[tuple[Range, list[int]]] = []
    for index in sorted(range(len(ranges)), key=ranges.__getitem__):
        start, stop = ranges[index]
        if found:
            (first, last), inside = found[-1]
            if start - last <= MERGE_GAP and max(stop, last) - first <= MERGED:
                found[-1] = ((first, max(stop, last)), [*inside, index])
                continue
        found.append(((start, stop), [index]))
    return found


def in_flight(calls: Iterator[tuple[int, Callable[[], T]]]) -> Iterator[T]:
    """Run calls, each of so many bytes, beside each other; yield their results as they come."""
    running: dict[Future[T], int] = {}
    waiting = next(calls, None)

    def fill() -> None:
        nonlocal waiting
        while waiting is not None:
            full = len(running) >= IN_FLIGHT or sum(running.values()) + waiting[0] > IN_FLIGHT_BYTES
            if running and full:
                return
            running[submit(waiting[1])] = waiting[0]
            waiting = next(calls, None)

    try:
        fill()
        while running:
            with timed("waiting"):
                future = wait(running, return_when=FIRST_COMPLETED).done.pop()
            del running[future]
            fill()  # the next ones are under way while this one is decoded
            yield future.result()
    finally:
        for future in running:
            future.cancel()
