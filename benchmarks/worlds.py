"""Scenes with pixels, for W1, W2, W3, W5 and W6.

Everything is made from a fixed seed, once, and kept in a folder under a name that holds the
parameters, so that a changed parameter makes a new world.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import rasterio.shutil
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from rasterio.io import MemoryFile

from eocube.tiles import tile_grid

from .metadata import ESA, item, outline_of

log = logging.getLogger("benchmarks")

BANDS = ("blue", "green", "red", "nir")
TILE = "31UFR"
_LEVEL = {"blue": 500, "green": 800, "red": 900, "nir": 2800}
_VERSION = 1
_SWATH_EDGES = (3, 9, 15, 21)


@dataclass(frozen=True)
class World:
    """Parameters of the scenes with pixels.

    Attributes
    ----------
    size : int
        Rows and columns of a 10 m file.
    dates : int
    block : int
        Rows and columns of a block of a file.
    corner : tuple of int
        First row and column of the area of W1: not on the block lattice.
    area : int
        Rows and columns of the area of W1.
    seed : int
    """

    size: int = 4096
    dates: int = 24
    block: int = 1024
    corner: tuple[int, int] = (700, 900)
    area: int = 2048
    seed: int = 20230601


FULL = World()
QUICK = World(size=512, dates=6, block=128, corner=(70, 90), area=256)


def tile_of(world: World, resolution: float = 10) -> GeoBox:
    """Return the grid of the world's files: the upper left part of an MGRS tile."""
    size = round(world.size * 10 / resolution)
    return tile_grid(TILE, resolution)[:size, :size]


def area_of(world: World) -> GeoBox:
    """Return the grid of W1, "2048u": its corner is off the block lattice."""
    (row, column), size = world.corner, world.area
    return tile_of(world)[row : row + size, column : column + size]


def made(world: World, data: Path) -> Path:
    """Make the scenes, or find those made before; return the path of their ItemCollection."""
    name = hashlib.sha256(json.dumps([_VERSION, asdict(world)]).encode()).hexdigest()[:10]
    folder = data / f"scenes-{world.size}-{world.dates}-{name}"
    if (folder / "items.json").exists():
        return folder / "items.json"
    log.info("making %d scenes of %d x %d pixels, once", world.dates, world.size, world.size)
    unfinished = data / f".{folder.name}-{os.getpid()}"
    unfinished.mkdir(parents=True)
    try:
        shared = _Shared(world)
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            features = list(pool.map(lambda index: _scene(shared, index, unfinished), range(world.dates)))
        (unfinished / "items.json").write_text(
            json.dumps({"type": "FeatureCollection", "features": features})
        )
        if not folder.exists():
            unfinished.rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return folder / "items.json"


def cloud_shares(dates: int) -> list[float]:
    """Return the share of cloud per date, from 0 to 1: a fifth overcast, a sixth clear."""
    overcast, clear = max(1, dates // 5 + 1), max(1, dates // 6)
    between = dates - overcast - clear
    shares = [1.0] * overcast + [0.0] * clear + list(np.linspace(0.04, 0.92, between))
    return [float(shares[index]) for index in np.random.default_rng(7).permutation(dates)]


class _Shared:
    """What all scenes of a world have in common: the ground."""

    def __init__(self, world: World) -> None:
        self.world = world
        rng = np.random.default_rng(world.seed)
        fields = smooth(rng, world.size, (512, 128, 32, 8))
        fine = smooth(rng, world.size, (64, 4))
        self.ground = {
            band: (level * (1 + 0.35 * fields + 0.1 * fine * (1 + index / 4))).astype(np.float32)
            for index, (band, level) in enumerate(_LEVEL.items())
        }


def smooth(rng: np.random.Generator, size: int, spacings: tuple[int, ...]) -> NDArray[np.float32]:
    """Return spatially correlated noise: octaves of linearly interpolated values, deviation 1."""
    total = np.zeros((size, size), dtype=np.float32)
    weight = 1.0
    for spacing in spacings:
        nodes = max(2, math.ceil(size / spacing) + 1)
        values = rng.standard_normal((nodes, nodes), dtype=np.float32)
        where = np.linspace(0, nodes - 1.001, size, dtype=np.float32)
        low = where.astype(np.intp)
        part = where - low
        rows = values[low] * (1 - part)[:, None] + values[low + 1] * part[:, None]
        total += weight * (rows[:, low] * (1 - part) + rows[:, low + 1] * part)
        weight /= 1.7
    return np.asarray(total / total.std(), dtype=np.float32)


def _scene(shared: _Shared, index: int, folder: Path) -> dict[str, Any]:
    world = shared.world
    rng = np.random.default_rng([world.seed, index])
    when = datetime(2023, 4, 1, 10, 40, 31, tzinfo=UTC) + timedelta(days=5 * index)
    platform = "AB"[index % 2]
    name = f"S2{platform}_T{TILE}_{when:%Y%m%dT%H%M%S}_L2A"
    (folder / name).mkdir()
    scl, thickness = _sky(world, rng, index)
    write_band(scl, tile_of(world, 20), folder / name / "SCL.tif", world.block)
    thick = np.repeat(np.repeat(thickness, 2, axis=0), 2, axis=1)
    nothing = np.repeat(np.repeat(scl == 0, 2, axis=0), 2, axis=1)
    gain = 1 + 0.15 * math.sin(index / 4)
    for band in BANDS:
        values = shared.ground[band] * np.float32(gain)
        values += (np.float32(7000) - values) * thick
        values += rng.standard_normal(values.shape, dtype=np.float32) * (4 + 0.009 * values)
        numbers = np.clip(np.rint(values + 1000), 1, 20000).astype(np.uint16)
        numbers[nothing] = 0
        write_band(numbers, tile_of(world), folder / name / f"{ESA[band]}.tif", world.block)
    share = 100 * float(np.isin(scl, (8, 9, 10)).mean())
    outline = outline_of(tile_of(world))
    return item(name, when, platform, TILE, outline, partial(tile_of, world), f"{name}/", cloud=share)


def _sky(
    world: World, rng: np.random.Generator, index: int
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Return SCL and the thickness of cloud (0 to 1) at 20 m."""
    half = world.size // 2
    share = cloud_shares(world.dates)[index]
    field = smooth(rng, half, (256, 64, 16))
    level = float(np.quantile(field, 1 - share)) if 0 < share < 1 else (9.0 if share == 0 else -9.0)
    over = field - np.float32(level)
    scl = np.where(_vegetation(rng, half), 4, 5).astype(np.uint8)
    if share:
        shade = np.roll(over > 0, (12, 9), axis=(0, 1)) & (over > -0.05)
        scl[shade] = 3
        scl[over > 0] = 8
        scl[over > 0.25] = 9
        scl[(over > 0) & (over < 0.06)] = 10
    if index in _SWATH_EDGES:
        row, column = np.ogrid[:half, :half]
        scl[column + 0.25 * row < half * (0.2 + 0.02 * index)] = 0
    return scl, np.clip(over * 2, 0, 1).astype(np.float32) if share else np.zeros_like(field)


def _vegetation(rng: np.random.Generator, half: int) -> NDArray[np.bool_]:
    """Return where the ground counts as vegetation."""
    return np.asarray(smooth(rng, half, (128,)) > 0)


def write_band(array: NDArray[Any], grid: GeoBox, path: Path, block: int) -> None:
    """Write a COG as Earth Search has them: DEFLATE level 6, predictor 2, with overviews."""
    profile = {
        "driver": "GTiff", "count": 1, "dtype": array.dtype, "nodata": 0, "crs": str(grid.crs),
        "transform": grid.affine, "height": array.shape[0], "width": array.shape[1],
    }  # fmt: skip
    with MemoryFile() as memory:
        with memory.open(**profile) as file:
            file.write(array, 1)
        rasterio.shutil.copy(
            memory.name, path, driver="COG", COMPRESS="DEFLATE", LEVEL="6", PREDICTOR="STANDARD",
            BLOCKSIZE=str(block), OVERVIEW_RESAMPLING="NEAREST",
        )  # fmt: skip


def zones_of(grid: GeoBox, count: int = 60) -> NDArray[np.int16]:
    """Return W3's zones: ``count`` fields as numbers from 1 on a grid, 0 elsewhere.

    Up to a hundred lie anywhere, later ones over earlier ones; more are small and lie side by side.
    """
    rng = np.random.default_rng(60)
    labels = np.zeros(grid.shape, dtype=np.int16)
    height, width = labels.shape
    if count > 100:
        along = math.ceil(math.sqrt(count))
        for number in range(1, count + 1):
            i, j = divmod(number - 1, along)
            top, left, bottom, right = (
                at * size // along for at, size in ((i, height), (j, width), (i + 1, height), (j + 1, width))
            )
            y, x = top + int(rng.integers(0, 3)), left + int(rng.integers(0, 3))
            labels[y : max(y + 1, bottom - int(rng.integers(0, 20))), x:right] = number
        return labels
    for number in range(1, count + 1):
        side = int(rng.integers(height // 32, height // 8))
        row, column = int(rng.integers(0, height - side)), int(rng.integers(0, width - side))
        labels[row : row + side, column : column + side] = number
    return labels


def fields_of(grid: GeoBox, count: int = 60) -> dict[int, Any]:
    """Return the same zones as polygons in the grid's CRS, by number; hidden ones are left out."""
    import shapely
    from rasterio.features import shapes

    labels = zones_of(grid, count)
    pieces: dict[int, list[Any]] = {}
    for shape, number in shapes(labels, mask=labels > 0, transform=grid.affine):
        pieces.setdefault(int(number), []).append(shapely.geometry.shape(shape))
    return {number: shapely.union_all(own) for number, own in sorted(pieces.items())}
