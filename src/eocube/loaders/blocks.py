"""Decoding blocks of TIFFs into buffers that are used again.

A fresh array per block costs as much in page faults as half the decoding, so each thread keeps one
buffer for the bytes it read and one for the pixels it decoded.
"""

from __future__ import annotations

import threading
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from .directories import Broken
from .tiffs import Level

_ALL = slice(None)
_KEEP = 16 * 2**20
"""Bytes of a buffer that a thread keeps; larger ones are for one block."""


class _Own(threading.local):
    def __init__(self) -> None:
        self.buffers: dict[str, NDArray[np.uint8]] = {}


_OWN = _Own()


def buffer(name: str, size: int) -> NDArray[np.uint8]:
    """Return a buffer of this thread; what was in it under that name is gone."""
    have = _OWN.buffers.get(name)
    if have is None or have.size < size:
        have = np.empty(size, dtype=np.uint8)
        if size <= _KEEP:
            _OWN.buffers[name] = have
    return have[:size]


def decode(
    data: Any, level: Level, rows: slice = _ALL, columns: slice = _ALL, goal: NDArray[Any] | None = None
) -> NDArray[Any]:
    """Decode a block, or a part of it.

    Parameters
    ----------
    data : buffer
        Its bytes in the file.
    level : Level
    rows, columns : slice
        What is needed of it.
    goal : array (y, x), optional
        Where to put it: of the shape that is needed and of the file's type, in the machine's byte order.

    Returns
    -------
    array (y, x)
        ``goal``; or without one what is needed, only good until this thread decodes the next block.

    Raises
    ------
    Broken
        If the bytes are damaged, or are not a whole block.
    """
    native = level.dtype.newbyteorder("=")
    if level.compression == "none":
        if len(data) < level.raw:
            raise Broken(f"it has {len(data)} bytes instead of {level.raw}")
        stored = np.frombuffer(data, dtype=level.dtype, count=level.raw // level.dtype.itemsize)
        return _given(stored.reshape(level.block)[rows, columns].astype(native, copy=False), goal)
    flat = buffer("pixels", level.raw)
    try:
        got = _inflated(data, level.compression, flat.data)
    except (RuntimeError, ValueError) as error:
        reason = str(error)
    else:
        reason = "" if got == level.raw else f"it decodes to {got} bytes instead of {level.raw}"
    if reason:
        raise Broken(reason)
    # A difference is to the pixel on the left: the rows do not need each other.
    block = flat.view(native).reshape(level.block)[rows, : columns.stop]
    if not level.dtype.isnative:
        block.byteswap(inplace=True)
    first = columns.start or 0
    part = block[:, first:]
    if level.predictor != 2:
        return _given(part, goal)
    if first:
        part[:, 0] += block[:, :first].sum(axis=1, dtype=native)
    # One pass undoes the differences and puts the pixels where they belong.
    imagecodecs.delta_decode(part, axis=-1, out=part if goal is None else goal)
    return part if goal is None else goal


def _given(pixels: NDArray[Any], goal: NDArray[Any] | None) -> NDArray[Any]:
    if goal is None:
        return pixels
    goal[...] = pixels
    return goal


def _inflated(data: Any, compression: str, goal: memoryview) -> int:
    """Decode into a buffer; return the number of bytes."""
    if compression == "deflate":
        # Not raw: the zlib form, whose checksum is verified.
        return len(imagecodecs.deflate_decode(data, raw=False, out=goal))
    if compression == "lzw":
        return len(imagecodecs.lzw_decode(data, out=goal))
    return len(imagecodecs.zstd_decode(data, out=goal))
