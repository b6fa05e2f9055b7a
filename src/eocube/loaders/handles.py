"""Remote files for GDAL: it decodes, we fetch.

GDAL's own HTTP remembers failures for the life of the process, believes short and shifted answers,
and shows signed URLs in its messages. So it is given a file whose bytes come by
:class:`~eocube.loaders.ranges.RemoteFile`: retried, checked, signed for each request. What it asks
for in one go (the blocks of a window) is fetched at once.
"""

from __future__ import annotations

import io
import os
import threading
import zlib
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from rasterio.abc import MultiByteRangeResourceContainer

from ..retries import SAME, WRONG
from .blocks import decode
from .directories import Broken, Foreign
from .ranges import RemoteFile, Unreadable, Version, in_flight, merged, submit
from .tiffs import Level, parse

_AHEAD = 16 * 1024
"""Bytes that are fetched at least."""

_KEPT_FILES = 512


class Remote(MultiByteRangeResourceContainer):  # type: ignore[misc]
    """One remote file, in the shape in which rasterio's ``opener`` takes it.

    Attributes
    ----------
    failure : Exception or None
        Why bytes could not be had; GDAL itself only says that something failed.
    failed : int
        Byte at which.
    sums : dict
        Checksums of what was fetched, by range: two reads that got the same bytes were not
        disturbed on the way.
    """

    def __init__(self, file: RemoteFile, key: str) -> None:
        self.file, self.key = file, key
        self.failure: Unreadable | None = None
        self.failed = 0
        self.sums: dict[tuple[int, int], int] = {}
        kept = _FRONTS.get(key)
        self.kept = kept is not None
        self.front, self.nbytes, self.version = kept or file.front()
        self.note(0, self.front)

        # A header carries no checksum, so it is read twice, and believed if it is the same.
        self.again = None if kept else submit(file.front)

    def sure(self) -> bool:
        """Whether the first bytes are right: the same twice, or seen to be so before."""
        if self.again is not None and self.again.result() != (self.front, self.nbytes, self.version):
            return False
        _FRONTS.put(self.key, (self.front, self.nbytes, self.version))
        return True

    def note(self, start: int, data: Any) -> None:
        """Keep the checksum of what was fetched."""
        self.sums[start, start + len(data)] = zlib.crc32(data)

    def where(self) -> str:
        """Name the block that could not be had, if the first bytes tell."""
        for _, row, column, _, _ in self.blocks(self.failed, self.failed + 1):
            return f"block (row {row}, column {column}): "
        return ""

    @cached_property
    def levels(self) -> tuple[Level, ...]:
        """What the first bytes say of the blocks; nothing for a file of another kind."""

        def beyond(*_: int) -> bytes:
            raise Foreign("beyond the first bytes")

        try:
            return parse(beyond, self.front, self.nbytes).levels
        except (Foreign, Broken):
            return ()

    def blocks(self, start: int, stop: int) -> Iterator[_Block]:
        """Yield the blocks that a range touches."""
        for level in self.levels:
            ends = level.offsets + level.counts
            for row, column in np.argwhere((ends > start) & (level.offsets < stop) & (level.counts > 0)):
                yield level, int(row), int(column), int(level.offsets[row, column]), int(ends[row, column])

    def whole(self, start: int, data: bytes) -> bytes:
        """Return what was fetched, each block in it sound.

        GDAL takes a damaged DEFLATE block that unpacks to more than its size for a good one, and does
        not look at its checksum.
        """
        for level, row, column, first, last in self.blocks(start, start + len(data)):
            if first < start or last > start + len(data) or level.compression == "none":
                continue
            block: Any = data[first - start : last - start]
            reason, alike = _damage(block, level), 0
            for _ in range(WRONG):
                if not reason:
                    break
                again = self.file.other(first, last, self.version, block)
                if again is None:
                    if alike == SAME:
                        break
                    alike += 1
                    continue
                alike, block = 0, bytes(again)
                data = data[: first - start] + block + data[last - start :]
                reason = _damage(block, level)
            if reason:
                raise Unreadable(f"block (row {row}, column {column}): {reason}")
        return data

    def fetch(self, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """Return bytes of several ranges, fetched beside each other."""
        parts: list[bytes] = [b""] * len(ranges)
        joined = merged(ranges)

        def call(first: int, last: int, inside: list[int]) -> tuple[int, memoryview, list[int]]:
            try:
                return first, self.file.read(first, last, self.version), inside
            except Unreadable:
                self.failed = first
                raise

        calls = [
            (last - first, lambda first=first, last=last, inside=inside: call(first, last, inside))
            for (first, last), inside in joined
        ]
        for first, data, inside in in_flight(iter(calls)):
            self.note(first, data)
            for index in inside:
                start, stop = ranges[index]
                parts[index] = bytes(data[start - first : stop - first])
        return parts

    def open(self, path: str, mode: str = "r", **_: Any) -> _Handle:  # noqa: ARG002 - as GDAL asks
        """Open it."""
        return _Handle(self)

    def isfile(self, path: str) -> bool:
        """Whether a path is the file."""
        return path.endswith(os.path.basename(self.file.path))  # noqa: PTH119

    def isdir(self, path: str) -> bool:  # noqa: ARG002 - as GDAL asks
        """Whether a path is a folder: none is."""
        return False

    def ls(self, path: str) -> list[str]:  # noqa: ARG002 - as GDAL asks
        """List a folder: nothing is beside the file."""
        return []

    def mtime(self, path: str) -> int:  # noqa: ARG002 - as GDAL asks
        """Return no time: it is opened once."""
        return 0

    def rm(self, path: str) -> None:
        """Do nothing: it is only read."""

    def size(self, path: str) -> int:  # noqa: ARG002 - as GDAL asks
        """Return its bytes."""
        return self.nbytes


_Block = tuple[Level, int, int, int, int]


def _damage(block: Any, level: Level) -> str:
    """Return what is wrong with a block, or nothing."""
    try:
        decode(block, level)
    except Broken as broken:
        return str(broken)
    return ""


class _Handle(io.RawIOBase):
    """The file as GDAL reads it."""

    def __init__(self, remote: Remote) -> None:
        super().__init__()
        self.remote, self.at = remote, 0
        self.chunks: list[tuple[int, bytes]] = [(0, remote.front)]

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.at

    def seek(self, offset: int, whence: int = 0) -> int:
        self.at = offset + (0, self.at, self.remote.nbytes)[whence]
        return self.at

    def read(self, size: int = -1) -> bytes:
        """Return bytes; none after a failure, which is kept."""
        stop = self.remote.nbytes if size < 0 else min(self.at + size, self.remote.nbytes)
        if stop <= self.at or self.remote.failure is not None:
            return b""
        found = self._kept(self.at, stop)
        if found is None:
            ahead = min(max(stop, self.at + _AHEAD), self.remote.nbytes)
            try:
                (chunk,) = self.remote.fetch([(self.at, ahead)])
            except Unreadable as error:
                self.remote.failure = error
                return b""
            if len(self.chunks) > 16:
                del self.chunks[1]
            self.chunks.append((self.at, chunk))
            found = chunk[: stop - self.at]
        try:
            found = self.remote.whole(self.at, found)
        except Unreadable as error:
            self.remote.failure = error
            return b""
        self.at = stop
        return found

    def get_byte_ranges(self, offsets: Sequence[int], sizes: Sequence[int]) -> list[bytes]:
        """Return the blocks of a window."""
        if self.remote.failure is None:
            try:
                if any(start + size > self.remote.nbytes for start, size in zip(offsets, sizes, strict=True)):
                    raise Unreadable(f"a block should end beyond the file's end at byte {self.remote.nbytes}")
                found = self.remote.fetch([(at, at + size) for at, size in zip(offsets, sizes, strict=True)])
                return [self.remote.whole(at, part) for at, part in zip(offsets, found, strict=True)]
            except Unreadable as error:
                self.remote.failure = error
        return [bytes(size) for size in sizes]  # GDAL copies as many as it asked for

    def _kept(self, start: int, stop: int) -> bytes | None:
        for first, chunk in self.chunks:
            if first <= start and stop <= first + len(chunk):
                return chunk[start - first : stop - first]
        return None


_Front = tuple[bytes, int, Version]


class _Fronts:
    """First bytes of the files used last."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.found: OrderedDict[str, _Front] = OrderedDict()

    def get(self, key: str) -> _Front | None:
        with self.lock:
            if key in self.found:
                self.found.move_to_end(key)
            return self.found.get(key)

    def put(self, key: str, front: _Front) -> None:
        with self.lock:
            self.found[key] = front
            while len(self.found) > _KEPT_FILES:
                self.found.popitem(last=False)

    def drop(self, key: str) -> None:
        with self.lock:
            self.found.pop(key, None)


_FRONTS = _Fronts()


def forget_front(key: str) -> None:
    """Drop the first bytes of a file."""
    _FRONTS.drop(key)


def _after_fork() -> None:
    global _FRONTS
    _FRONTS = _Fronts()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
