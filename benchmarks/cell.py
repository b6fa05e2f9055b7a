"""One full-size cell of an archive: ``python -m benchmarks.cell``.

16 scenes of a whole MGRS tile (10980 x 10980 px), 12 bands at their own resolution and SCL, with as much
cloud as W1's, are made on the spot and deleted afterwards. The cell is made by ``eocube.Archive`` in a
process of its own, whose peak memory is watched. The scenes of a band are few patterns put together anew,
so that making them takes minutes, not hours; they compress as Sentinel-2's do.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np
import psutil
from numpy.typing import NDArray

from eocube.sentinel2 import BANDS
from eocube.tiles import tile_grid

from .metadata import item, outline_of
from .worlds import TILE, cloud_shares, smooth, write_band

SIDE = 109_800
ESA = {name: band.esa for name, band in BANDS.items() if band.kind == "reflectance" and band.esa != "B10"}
LEVEL = {10.0: 1500, 20.0: 2200, 60.0: 1200}


def make(folder: Path, scenes: int, side: int) -> Path:
    """Make the scenes of a tile, ``side`` metres wide; return their ItemCollection."""
    rng = np.random.default_rng(7)
    ground = {pixel: smooth(rng, round(side / pixel), (512, 64, 8)) for pixel in (10.0, 20.0, 60.0)}
    noise = rng.standard_normal((1024, 1024), dtype=np.float32)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        one = partial(_scene, folder, side, ground, noise, cloud_shares(max(scenes, 6)))
        features = list(pool.map(one, range(scenes)))
    path = folder / "items.json"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return path


def _scene(
    folder: Path, side: int, ground: dict[float, NDArray[np.float32]], noise: NDArray[np.float32],
    shares: list[float], index: int,
) -> dict[str, Any]:  # fmt: skip
    rng = np.random.default_rng([11, index])
    when = datetime(2023, 1, 10, 10, 40, 31, tzinfo=UTC) + timedelta(days=22 * index)
    platform = "AB"[index % 2]
    name = f"S2{platform}_T{TILE}_{when:%Y%m%dT%H%M%S}_L2A"
    (folder / name).mkdir()
    half = round(side / 20)
    field = smooth(rng, half, (256, 64))
    share = shares[index]
    level = float(np.quantile(field[::8, ::8], 1 - share)) if 0 < share < 1 else (9.0 if share == 0 else -9.0)
    scl = np.where(field > level, np.where(field > level + 0.25, 9, 8), 4).astype(np.uint8)
    if index % 6 == 3:  # the edge of a swath
        scl[:, : half // 4] = 0
    write_band(scl, _grid(side, 20), folder / name / "SCL.tif", 1024)
    for band, esa in ESA.items():
        pixel = BANDS[band].resolution
        size = round(side / pixel)
        times = -(-size // 1024)
        rough = np.tile(np.roll(noise, rng.integers(0, 1024, 2), axis=(0, 1)), (times, times))[:size, :size]
        values = LEVEL[pixel] * (1 + 0.3 * ground[pixel]) * (1 + 0.1 * np.sin(index)) + 1000 + 18 * rough
        rows = np.minimum(np.arange(size) * half // size, half - 1)
        classes = scl[rows][:, rows]
        values[classes >= 8] += 4000
        numbers = np.clip(values, 1, 20000).astype(np.uint16)
        numbers[classes == 0] = 0
        write_band(numbers, _grid(side, pixel), folder / name / f"{esa}.tif", 1024)
    cover = 100 * float((scl >= 8).mean())
    outline = outline_of(_grid(side, 10))
    files = ESA | {"scl": "SCL"}
    return item(name, when, platform, TILE, outline, partial(_grid, side), f"{name}/", cover, files)


def _grid(side: int, resolution: float = 10) -> Any:
    size = round(side / resolution)
    return tile_grid(TILE, resolution)[:size, :size]


@contextmanager
def watched(found: dict[str, float]) -> Iterator[None]:
    """Watch the memory of this process."""
    over, me = threading.Event(), psutil.Process()

    def look() -> None:
        while not over.wait(0.05):
            found["peak"] = max(found.get("peak", 0.0), me.memory_info().rss / 1e6)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def run(items: str, out: str, grid: str, pipe: Any) -> None:
    """Make the cell; send what it took."""
    import eocube as eo

    recipe = eo.Recipe("cell", "2023", cells=(TILE,), catalog=items, grid=grid)  # type: ignore[arg-type]
    archive = eo.Archive(out, recipe)
    found: dict[str, float] = {}
    began, busy = time.perf_counter(), time.process_time()
    with watched(found):
        archive.run(bar=False)
    found |= {"seconds": time.perf_counter() - began, "cpu": time.process_time() - busy}
    (row,) = archive.status().to_dict("records")
    pipe.send(found | row)


@click.command(context_settings={"show_default": True})
@click.option("--scenes", default=16)
@click.option("--side", default=SIDE, help="Metres; less for a trial.")
@click.option("--grid", default="utm", type=click.Choice(["utm", "web"]))
@click.option("--where", type=click.Path(path_type=Path), help="A folder with 20 GB of room.")
def main(scenes: int, side: int, grid: str, where: Path | None) -> None:
    """Make the scenes, make the cell, say what it took."""
    folder = Path(tempfile.mkdtemp(prefix="eocube-cell-", dir=where))
    try:
        began = time.perf_counter()
        items = make(folder, scenes, side)
        size = sum(file.stat().st_size for file in folder.rglob("*.tif")) / 1e9
        click.echo(f"made {scenes} scenes, {size:.1f} GB, in {time.perf_counter() - began:.0f} s", err=True)
        here, there = multiprocessing.Pipe(duplex=False)
        child = multiprocessing.get_context("spawn").Process(
            target=run, args=(str(items), str(folder / "archive"), grid, there)
        )
        child.start()
        there.close()
        found = here.recv()
        child.join()
        written = sum(file.stat().st_size for file in (folder / "archive").rglob("*.tif")) / 1e9
        click.echo(
            f"{found['state']} {found['why']}: {found['seconds'] / 60:.1f} minutes, "
            f"{found['cpu'] / 60:.1f} of processor time, {found['read_bytes'] / 1e9:.1f} GB read, "
            f"{written:.2f} GB written, peak RSS {found['peak']:,.0f} MB, good {found['good']}, "
            f"{found['scenes']} scenes"
        )
        sys.exit(found["state"] != "done")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
