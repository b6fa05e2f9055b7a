"""Headers of tiled TIFFs: where each block lies, and on which grid.

A header comes from outside and may lie. What it says is checked against the length of the file
before anything is allocated; what lies is :class:`Broken`. What is a TIFF of another kind than
ours is :class:`Foreign`, and GDAL's business.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from odc.geo.crs import CRS
from odc.geo.geobox import GeoBox

FRONT = 32 * 1024
"""Bytes of the first read: the whole header of a usual COG."""

LARGEST_BLOCK = 64 * 2**20
"""Bytes of a decoded block; a larger one is taken for a bomb."""

_CHUNK = 16 * 1024
_MOST_BLOCKS = 4_000_000
_MOST_LEVELS = 64
_COMPRESSIONS = {1: "none", 5: "lzw", 8: "deflate", 32946: "deflate", 50000: "zstd"}
_NUMBERS = {1: "u1", 3: "u2", 4: "u4", 12: "f8", 16: "u8"}
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}

_KEYS = {
    1: {1024, 1025, 1026, 2049, 2054, 3072, 3073, 3076},
    2: {1024, 1025, 1026, 2048, 2049, 2054, 2057, 2059},
}
"""GeoKeys of a projected (1) and a geographic (2) CRS that add nothing to its EPSG code."""


class Foreign(Exception):  # noqa: N818 - not an error: GDAL reads it
    """A file of another kind than ours."""


class Broken(Exception):  # noqa: N818 - becomes a ReadError where the source is known
    """A header that lies."""


@dataclass(frozen=True)
class Level:
    """The full resolution of a file, or an overview.

    Attributes
    ----------
    grid : GeoBox
    block : (int, int)
        Height and width of a block.
    dtype : dtype
        Of the stored numbers, with their byte order.
    compression : {"none", "deflate", "lzw", "zstd"}
    predictor : {1, 2}
    offsets, counts : uint64 arrays (block rows, block columns)
        Where a block lies, and its bytes; no bytes: a block without data.
    """

    grid: GeoBox
    block: tuple[int, int]
    dtype: np.dtype[Any]
    compression: str
    predictor: int
    offsets: NDArray[np.uint64]
    counts: NDArray[np.uint64]

    @property
    def raw(self) -> int:
        """Bytes of a decoded block."""
        return self.block[0] * self.block[1] * self.dtype.itemsize


@dataclass(frozen=True)
class Tiff:
    """A parsed header: the levels, the finest first, and the number that means no data."""

    size: int
    nodata: int | None
    levels: tuple[Level, ...]

    @property
    def factors(self) -> list[int]:
        """How many times smaller each overview is, as rasterio says it."""
        width = self.levels[0].grid.shape[1]
        return [round(width / level.grid.shape[1]) for level in self.levels[1:]]

    @property
    def nbytes(self) -> int:
        """Bytes it takes in memory, about."""
        return 2000 + sum(level.offsets.nbytes + level.counts.nbytes for level in self.levels)


class _Bytes:
    """The file's bytes, fetched where needed."""

    def __init__(self, read: Callable[[int, int], bytes], front: bytes, size: int) -> None:
        self.read, self.size = read, size
        self.chunks = [(0, front)]

    def get(self, start: int, length: int) -> bytes:
        if start + length > self.size:
            raise Broken(f"its header points to byte {start + length}, but it ends at byte {self.size}")
        for first, chunk in self.chunks:
            if first <= start and start + length <= first + len(chunk):
                return chunk[start - first : start - first + length]
        chunk = self.read(start, min(start + max(length, _CHUNK), self.size))
        self.chunks.append((start, chunk))
        return chunk[:length]


_Field = tuple[int, int, int]  # type, count, where its value lies


class _Directory:
    """One IFD."""

    def __init__(self, data: _Bytes, order: str, big: bool, start: int) -> None:
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
        raw = self.data.get(where, count * _SIZES[kind])
        return np.frombuffer(raw, dtype=self.order + _NUMBERS[kind])

    def number(self, tag: int, default: int) -> int:
        if tag not in self.fields:
            return default
        found = self.array(tag)
        if found.size != 1:
            raise Foreign(f"tag {tag} with {found.size} values")
        return int(found[0])

    def text(self, tag: int) -> str:
        if tag not in self.fields:
            return ""
        kind, count, where = self.fields[tag]
        if kind != 2 or count > 8192:
            raise Foreign(f"tag {tag} of type {kind}")
        return self.data.get(where, count).decode("latin-1").split("\0")[0]


def parse(read: Callable[[int, int], bytes], front: bytes, size: int) -> Tiff:
    """Read a header.

    Parameters
    ----------
    read : callable
        ``read(start, stop)`` returns the bytes of the file; only asked for what lies beyond
        ``front``.
    front : bytes
        The first bytes of the file.
    size : int
        Bytes of the whole file.

    Raises
    ------
    Foreign
        If it is not the kind of file that is read here.
    Broken
        If the header lies.
    """
    directories = list(_directories(_Bytes(read, front, size)))
    first = directories[0]
    if first.number(254, 0) != 0:
        raise Foreign("it does not begin with the full resolution")
    nodata = _nodata(first)
    levels = [_level(first, _grid(first))]
    for other in directories[1:]:
        kind = other.number(254, 0)
        if kind & 4:  # a mask
            continue
        if not kind & 1:
            raise Foreign("several pages")
        level = _level(other, levels[0].grid.zoom_to(_shape(other)))
        if (level.dtype, _nodata(other)) != (levels[0].dtype, nodata):
            raise Foreign("an overview of another kind")
        levels.append(level)
    _check_nodata(nodata, levels[0].dtype)
    return Tiff(size, nodata, tuple(levels))


def _directories(data: _Bytes) -> Iterator[_Directory]:
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
        directory = _Directory(data, order, big, start)
        yield directory
        start = directory.next


def _shape(directory: _Directory) -> tuple[int, int]:
    width, height = directory.number(256, 0), directory.number(257, 0)
    if not (0 < width < 2**31 and 0 < height < 2**31):
        raise Broken(f"it says to be {width} x {height} pixels")
    return height, width


def _level(directory: _Directory, grid: GeoBox) -> Level:
    plain = {262: (1,), 266: (1,), 277: (1,), 339: (1,)}
    for tag, allowed in plain.items():
        if directory.number(tag, 1) not in allowed:
            raise Foreign(f"tag {tag} is {directory.number(tag, 1)}")
    bits, compression = directory.number(258, 1), _COMPRESSIONS.get(directory.number(259, 1))
    predictor = 1 if compression == "none" else directory.number(317, 1)
    tiled = {322, 323, 324, 325} <= directory.fields.keys()
    if bits not in (8, 16) or compression is None or predictor not in (1, 2) or not tiled:
        raise Foreign(f"{bits} bits, compression {directory.number(259, 1)}, predictor {predictor}")
    if {330, 338} & directory.fields.keys():
        raise Foreign("files within the file, or extra samples")
    block = directory.number(323, 0), directory.number(322, 0)
    raw = block[0] * block[1] * bits // 8
    if not 0 < raw <= LARGEST_BLOCK:
        raise Broken(f"its blocks are said to be {block[1]} x {block[0]} pixels, {raw} bytes each")
    rows, columns = (-(-size // side) for size, side in zip(_shape(directory), block, strict=True))
    offsets, counts = (_places(directory, tag, rows, columns) for tag in (324, 325))
    return Level(
        grid, block, np.dtype(f"{directory.order}u{bits // 8}"), compression, predictor, offsets, counts
    )


def _places(directory: _Directory, tag: int, rows: int, columns: int) -> NDArray[np.uint64]:
    found = directory.fields[tag][1]
    if found < rows * columns:
        raise Broken(f"it has {rows} x {columns} blocks, but its header places {found}")
    if found > min(rows * columns, _MOST_BLOCKS):
        raise Foreign("more blocks than pixels, or very many")
    return directory.array(tag, _MOST_BLOCKS).astype(np.uint64).reshape(rows, columns)


def _nodata(directory: _Directory) -> float | None:
    text = directory.text(42113).strip()
    if not text:
        if 42113 in directory.fields:
            raise Foreign("an empty number for no data")
        return None
    try:
        return float(text)
    except ValueError:
        raise Foreign(f"no data is {text!r}") from None


def _check_nodata(nodata: float | None, dtype: np.dtype[Any]) -> None:
    if nodata is not None and not (nodata.is_integer() and 0 <= nodata < 256**dtype.itemsize):
        raise Foreign(f"no data is {nodata}")


def _grid(directory: _Directory) -> GeoBox:
    if 33550 in directory.fields and 33922 in directory.fields:
        scale, tie = directory.array(33550), directory.array(33922)
        if scale.size < 2 or tie.size != 6 or not (scale[0] > 0 and scale[1] > 0):
            raise Foreign("tie points")
        a, e = float(scale[0]), -float(scale[1])
        affine = Affine(a, 0, float(tie[3]) - float(tie[0]) * a, 0, e, float(tie[4]) - float(tie[1]) * e)
    elif 34264 in directory.fields and not {33550, 33922} & directory.fields.keys():
        m = [float(v) for v in directory.array(34264)]
        if len(m) != 16 or m[1] or m[4] or not (m[0] > 0 > m[5]):
            raise Foreign("turned")
        affine = Affine(m[0], 0, m[3], 0, m[5], m[7])
    else:
        raise Foreign("it does not say where it lies")
    return GeoBox(_shape(directory), affine, _crs(directory))


def _crs(directory: _Directory) -> str:
    if 34735 not in directory.fields:
        raise Foreign("no CRS")
    keys = directory.array(34735).astype(int)
    entries = keys[4 : 4 + 4 * int(keys[3])].reshape(-1, 4) if keys.size >= 4 else keys[:0].reshape(0, 4)
    said = {int(key): int(value) if place == 0 else -1 for key, place, _, value in entries}
    kind = said.get(1024, 0)
    usual = said.get(1025, 1) == 1 and said.get(2054, 9102) == 9102 and said.get(3076, 9001) == 9001
    if kind not in _KEYS or not usual or not said.keys() <= _KEYS[kind] or len(said) != len(entries):
        raise Foreign("a CRS of its own")
    text = directory.text(34737)
    if "ESRI PE" in text or "IMAGINE" in text:
        raise Foreign("a CRS in words")
    code = said.get(3072 if kind == 1 else 2048, 0)
    if not 1024 <= code < 32767 or not _is_known(code, projected=kind == 1):
        raise Foreign(f"CRS {code}")
    return f"EPSG:{code}"


@lru_cache(maxsize=1024)
def _is_known(code: int, *, projected: bool) -> bool:
    try:
        crs = CRS(f"EPSG:{code}")
    except Exception:  # noqa: BLE001 - whatever pyproj says: GDAL shall decide
        return False
    return crs.projected == projected and not crs.proj.is_deprecated
