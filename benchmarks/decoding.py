"""The limit: how long it takes only to decode the blocks that W1 needs.

Needed are the blocks of SCL that touch the area, and of the other bands those with a clear pixel.
Read from the page cache before the clock starts; decoded by libdeflate into reused buffers on two
threads, the predictor undone in place.
"""

from __future__ import annotations

import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .jobs import BAD_CLASSES, Job

_TYPES = {3: "H", 4: "I", 12: "d", 16: "Q"}


@dataclass(frozen=True)
class Tiled:
    """What the header of a tiled TIFF (little-endian, not BigTIFF) says of the full resolution."""

    block: int
    columns: int
    itemsize: int
    offsets: tuple[int, ...]
    counts: tuple[int, ...]


def header(path: Path) -> Tiled:
    """Read the first directory of a TIFF that :mod:`benchmarks.worlds` wrote."""
    data = path.read_bytes()
    if data[:4] != b"II*\0":
        raise ValueError(f"{path.name} is not a little-endian TIFF")
    (start,) = struct.unpack_from("<I", data, 4)
    (entries,) = struct.unpack_from("<H", data, start)
    tags: dict[int, tuple[int, ...]] = {}
    for index in range(entries):
        tag, kind, count = struct.unpack_from("<HHI", data, start + 2 + 12 * index)
        if kind not in _TYPES:
            continue
        layout = f"<{count}{_TYPES[kind]}"
        at = start + 10 + 12 * index
        if struct.calcsize(layout) > 4:
            (at,) = struct.unpack_from("<I", data, at)
        tags[tag] = struct.unpack_from(layout, data, at)
    block = tags[322][0]
    return Tiled(block, -(-tags[256][0] // block), tags[258][0] // 8, tags[324], tags[325])


def decode(job: Job) -> dict[str, Any]:
    """Time the decoding of the blocks that W1 needs."""
    blocks = [block for record in job.records for block in _needed(job, record)]
    shapes = {(size, itemsize) for size, itemsize, _ in blocks}
    own = threading.local()

    def one(block: tuple[int, int, bytes]) -> None:
        import imagecodecs

        size, itemsize, data = block
        if not hasattr(own, "buffers"):
            own.buffers = {
                shape: np.empty((shape[0], shape[0]), dtype=f"<u{shape[1]}") for shape in shapes
            }
        out = own.buffers[size, itemsize]
        imagecodecs.deflate_decode(data, out=out.reshape(-1).view("u1"))
        imagecodecs.delta_decode(out, axis=1, out=out)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(one, blocks[:8]))
        start, spent = time.perf_counter(), time.process_time()
        list(pool.map(one, blocks))
        seconds, spent = time.perf_counter() - start, time.process_time() - spent
    pixels = sum(size**2 for size, itemsize, _ in blocks if itemsize == 2)
    read = sum(len(data) for _, _, data in blocks)
    return {
        "seconds": seconds, "cpu": spent, "graph": 0.0, "read": read, "blocks": len(blocks), "pixels": pixels,
    }  # fmt: skip


def _needed(job: Job, record: dict[str, Any]) -> list[tuple[int, int, bytes]]:
    import rasterio
    from rasterio.windows import Window

    assets = record["assets"]
    left, top = assets["scl"]["proj:transform"][2], assets["scl"]["proj:transform"][5]
    column, row = round((job.affine[2] - left) / 10), round((top - job.affine[5]) / 10)
    height, width = job.shape
    with rasterio.open(assets["scl"]["href"]) as file:
        window = Window(column // 2, row // 2, -(-width // 2), -(-height // 2))
        clear = ~np.isin(file.read(1, window=window), BAD_CLASSES)
    clear = clear.repeat(2, axis=0).repeat(2, axis=1)[:height, :width]
    found = []
    for band in ("scl", *job.bands):
        path = Path(assets[band]["href"])
        tiled, step = header(path), 2 if band == "scl" else 1
        first_row, first_column, size = row // step, column // step, tiled.block
        with path.open("rb") as file:
            for i in range(first_row // size, (first_row + height // step - 1) // size + 1):
                for j in range(first_column // size, (first_column + width // step - 1) // size + 1):
                    part = clear[
                        max(0, i * size - row) : (i + 1) * size - row,
                        max(0, j * size - column) : (j + 1) * size - column,
                    ]
                    index = i * tiled.columns + j
                    if tiled.counts[index] and (band == "scl" or part.any()):
                        file.seek(tiled.offsets[index])
                        found.append((size, tiled.itemsize, file.read(tiled.counts[index])))
    return found
