"""Fetching byte ranges of files: from the disk, and many at once from servers."""

from __future__ import annotations

import os
import re
import stat
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import obstore
from obstore import exceptions

from .directories import FRONT, Foreign

IN_FLIGHT = 64
"""Requests under way at once in this process."""

IN_FLIGHT_BYTES = 32 * 2**20
"""Bytes that one batch may have asked for and not yet decoded."""

MERGE_GAP = 16 * 1024
MERGED = 2 * 2**20
"""Ranges of a file are one request if no more bytes lie between them, up to this size."""

_RETRIES = 3
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
                return file.read(stop - start)
        except OSError as error:
            raise Unreadable(error.strerror or str(error)) from None


def version_of(found: os.stat_result) -> Version:
    """Return the version of a file on the disk; its size first."""
    return found.st_size, found.st_mtime_ns, found.st_ino


@dataclass(frozen=True)
class RemoteFile:
    """A file in a store of obstore."""

    store: Any
    path: str

    def front(self) -> tuple[bytes, int, Version]:
        """Return the first bytes, the size and the version."""
        data, version = self._get(0, FRONT)
        if len(data) < min(FRONT, version[0]):
            raise Unreadable(f"the server sent {len(data)} bytes instead of {min(FRONT, version[0])}")
        return bytes(data), version[0], version

    def read(self, start: int, stop: int, version: Version) -> memoryview:
        """Return bytes of the file."""
        data, found = self._get(start, stop)
        if found != version:
            raise Changed
        if len(data) != stop - start:
            raise Unreadable(f"the server sent {len(data)} bytes instead of {stop - start}")
        return data

    def _get(self, start: int, stop: int) -> tuple[memoryview, Version]:
        why: Exception | str = ""
        for attempt in range(_RETRIES + 1):
            if attempt:
                time.sleep(0.1 * 2 ** (attempt - 1))
            try:
                found = obstore.get(self.store, self.path, options={"range": (start, stop)})
                data = _bounded(found, stop - start)
            except exceptions.NotSupportedError:
                return self._whole(start, stop)
            except _FINAL as error:
                why = error
                break
            except (exceptions.BaseError, OSError) as error:
                why = error
                if re.search("status code: 4(?!08|29)", str(error)):
                    break
            else:
                if len(data) == min(stop, found.meta["size"]) - start or attempt == _RETRIES:
                    return data, _version(found.meta)
        raise Unreadable(_said(why))

    def _whole(self, start: int, stop: int) -> tuple[memoryview, Version]:
        """Take a small file as a whole from a server that does not serve ranges."""
        why = "the server ignores byte ranges (Range header)"
        try:
            found = obstore.get(self.store, self.path)
            if found.meta["size"] <= _SMALL:
                return _bounded(found, _SMALL)[start:stop], _version(found.meta)
        except (exceptions.BaseError, OSError) as error:
            why = f"{why}; {_said(error)}"
        raise Unreadable(why)


def _bounded(found: obstore.GetResult, most: int) -> memoryview:
    """Return the bytes of an answer; one that does not end is left after little more than was asked for."""
    return memoryview(next(iter(found.stream(min_chunk_size=most + 1)), b""))


_FINAL = (
    FileNotFoundError, exceptions.PermissionDeniedError, exceptions.UnauthenticatedError,
    exceptions.InvalidPathError, exceptions.PreconditionError,
)  # fmt: skip
"""What another try does not help against."""


def _version(meta: Any) -> Version:
    return meta["size"], meta["e_tag"] or meta["last_modified"]


def _said(error: Exception | str) -> str:
    """Return what a server or the network said, without any URL: it may hold a token."""
    text = str(error).split("Debug source")[0]
    status = re.search(r"status code: (\d+[A-Za-z ]*)", text)
    if status:
        return f"the server answered {status[1].strip()}"
    return " ".join(re.sub(r"\S+://\S+|\S*\?\S*", "...", text).split()) or type(error).__name__


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
        return own.pools[threads].submit(call, *args)


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
            future = wait(running, return_when=FIRST_COMPLETED).done.pop()
            del running[future]
            fill()  # the next ones are under way while this one is decoded
            yield future.result()
    finally:
        for future in running:
            future.cancel()
