"""Headers of tiled TIFFs: where each block lies, and on which grid.

A header comes from outside and may lie. What it says is checked against the length of the file
before anything is allocated; what lies is :class:`Broken`. What is a TIFF of another kind than
ours is :class:`Foreign`, and GDAL's business.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from .directories import Broken, Bytes, Directory, Foreign, directories, shape
from .geokeys import grid_of

LARGEST_BLOCK = 64 * 2**20
"""Bytes of a decoded block; a larger one is taken for a bomb."""

_MOST_BLOCKS = 4_000_000
_COMPRESSIONS = {1: "none", 5: "lzw", 8: "deflate", 32946: "deflate", 50000: "zstd"}


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
    try:
        return _parsed(Bytes(read, front, size))
    except (ValueError, ArithmeticError, LookupError, struct.error) as error:
        reason = f"an odd header: {error}"
    raise Foreign(reason)


def _parsed(data: Bytes) -> Tiff:
    first, *rest = directories(data)
    if first.number(254, 0) != 0:
        raise Foreign("it does not begin with the full resolution")
    nodata = _nodata(first)
    levels = [_level(first, grid_of(first))]
    for other in rest:
        kind = other.number(254, 0)
        if kind & 4:  # a mask
            continue
        if not kind & 1:
            raise Foreign("several pages")
        level = _level(other, levels[0].grid.zoom_to(shape(other)))
        if (level.dtype, _nodata(other)) != (levels[0].dtype, nodata):
            raise Foreign("an overview of another kind")
        levels.append(level)
    _check_nodata(nodata, levels[0].dtype)
    return Tiff(data.size, None if nodata is None else int(nodata), tuple(levels))


def _level(directory: Directory, grid: GeoBox) -> Level:
    plain = {262: (1,), 266: (1,), 277: (1,), 284: (1, 2), 339: (1,)}
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
    rows, columns = (-(-size // side) for size, side in zip(shape(directory), block, strict=True))
    offsets, counts = (_places(directory, tag, rows, columns) for tag in (324, 325))
    return Level(
        grid, block, np.dtype(f"{directory.order}u{bits // 8}"), compression, predictor, offsets, counts
    )


def _places(directory: Directory, tag: int, rows: int, columns: int) -> NDArray[np.uint64]:
    found = directory.fields[tag][1]
    if found < rows * columns:
        raise Broken(f"it has {rows} x {columns} blocks, but its header places {found}")
    if found > min(rows * columns, _MOST_BLOCKS):
        raise Foreign("more blocks than pixels, or very many")
    return directory.array(tag, _MOST_BLOCKS).astype(np.uint64).reshape(rows, columns)


def _nodata(directory: Directory) -> float | None:
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
