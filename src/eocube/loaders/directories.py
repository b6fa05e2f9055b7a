"""Directories (IFDs) of TIFFs: which tags there are, and what they hold.

What a directory says is checked against the length of the file before it is believed.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

FRONT = 32 * 1024
"""Bytes of the first read: the whole header of a usual COG."""

_CHUNK = 16 * 1024
_MOST_LEVELS = 64
_NUMBERS = {1: "u1", 3: "u2", 4: "u4", 12: "f8", 16: "u8"}
_SIZES = {3: 2, 4: 4, 5: 8, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}  # the others: 1


class Foreign(Exception):  # noqa: N818 - not an error: GDAL reads it
    """A file of another kind than ours."""


class Broken(Exception):  # noqa: N818 - becomes a ReadError where the source is known
    """A header that lies."""


class Bytes:
    """The file's bytes, fetched where needed."""

    def __init__(self, read: Callable[[int, int], bytes], front: bytes, size: int) -> None:
        self.read, self.size = read, size
        self.chunks = [(0, front)]

    def get(self, start: int, length: int) -> bytes:
        """Return bytes; Broken if the file ends before them."""
        if start + length > self.size:
            raise Broken(f"its header points to byte {start + length}, but it ends at byte {self.size}")
        for first, chunk in self.chunks:
            if first <= start and start + length <= first + len(chunk):
                return chunk[start - first : start - first + length]
        chunk = self.read(start, min(start + max(length, _CHUNK), self.size))
        self.chunks.append((start, chunk))
        return chunk[:length]


_Field = tuple[int, int, int]  # type, count, where its value lies


class Directory:
    """One IFD."""

    def __init__(self, data: Bytes, order: str, big: bool, start: int) -> None:
        self.data, self.order = data, order
        self.fields: dict[int, _Field] = {}
        (count,) = struct.unpack(order + ("Q" if big else "H"), data.get(start, 8 if big else 2))
        if count > 4096:
            raise Broken(f"its directory at byte {start} has {count} entries")
        entry, inline = (20, 8) if big else (12, 4)
        first = start + (8 if big else 2)
        table = data.get(first, count * entry + inline)
        for at in range(0, count * entry, entry):
            tag, kind, number = struct.unpack_from(order + ("HHQ" if big else "HHI"), table, at)
            if tag in self.fields:
                raise Foreign(f"tag {tag} twice")
            here = at + entry - inline
            (value,) = struct.unpack_from(order + ("Q" if big else "I"), table, here)
            fits = number * _SIZES.get(kind, 1) <= inline
            self.fields[tag] = (kind, number, first + here if fits else value)
        (self.next,) = struct.unpack_from(order + ("Q" if big else "I"), table, count * entry)

    def array(self, tag: int, most: int = 8192) -> NDArray[Any]:
        """Return the numbers of a tag; checked to lie within the file before they are read."""
        kind, count, where = self.fields[tag]
        if kind not in _NUMBERS or count > most:
            raise Foreign(f"tag {tag} of type {kind}, {count} values")
        raw = self.data.get(where, count * _SIZES.get(kind, 1))
        return np.frombuffer(raw, dtype=self.order + _NUMBERS[kind])

    def number(self, tag: int, default: int) -> int:
        """Return the one number of a tag."""
        if tag not in self.fields:
            return default
        found = self.array(tag)
        if found.size != 1 or found.dtype.kind != "u":
            raise Foreign(f"tag {tag} with {found.size} values of type {found.dtype}")
        return int(found[0])

    def text(self, tag: int) -> str:
        """Return the text of a tag, or an empty one."""
        if tag not in self.fields:
            return ""
        kind, count, where = self.fields[tag]
        if kind != 2 or count > 8192:
            raise Foreign(f"tag {tag} of type {kind}")
        found = self.data.get(where, count).decode("latin-1").rstrip("\0")
        if "\0" in found:
            raise Foreign(f"tag {tag} with a null in its text")  # GDAL cuts it, and may doubt the rest
        return found


def directories(data: Bytes) -> Iterator[Directory]:
    """Yield the directories of a TIFF; Foreign if it is none."""
    front = data.get(0, min(16, data.size))
    order = {b"II": "<", b"MM": ">"}.get(front[:2])
    if order is None or len(front) < 16:
        raise Foreign("not a TIFF")
    (magic,) = struct.unpack_from(order + "H", front, 2)
    if magic == 43 and struct.unpack_from(order + "HH", front, 4) == (8, 0):
        big, (start,) = True, struct.unpack_from(order + "Q", front, 8)
    elif magic == 42:
        big, (start,) = False, struct.unpack_from(order + "I", front, 4)
    else:
        raise Foreign("not a TIFF")
    seen: set[int] = set()
    while start or not seen:
        if start in seen or len(seen) >= _MOST_LEVELS:
            raise Broken("its directories run in a circle, or are more than 64")
        seen.add(start)
        directory = Directory(data, order, big, start)
        yield directory
        start = directory.next


def shape(directory: Directory) -> tuple[int, int]:
    """Return height and width."""
    width, height = directory.number(256, 0), directory.number(257, 0)
    if not (0 < width < 2**31 and 0 < height < 2**31):
        raise Broken(f"it says to be {width} x {height} pixels")
    return height, width
