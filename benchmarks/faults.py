"""Reads through a store that misbehaves, by eocube and its peers: ``python -m benchmarks.faults``.

The store is ``tests/proxy.py``. Each read is a window of a file; every pixel is compared with what was
written. Peers are run with GDAL's settings as their users have them, and once with GDAL's own retries.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import click
import numpy as np
import rasterio
import rasterio.shutil
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from rich.logging import RichHandler

log = logging.getLogger("benchmarks")

GRID = GeoBox((1024, 1024), Affine(10, 0, 500_000, 0, -10, 5_200_000), "EPSG:32633")
FILES = 20
WINDOW = 300
THREADS = 8

_PROJECTION = "https://stac-extensions.github.io/projection/v{}/schema.json"

Reader = Callable[[str, GeoBox], NDArray[Any]]


@dataclass
class Row:
    """What came of the reads of one reader.

    Attributes
    ----------
    name : str
    reads, right, wrong, lost, raised : int
        Wrong: a pixel is another number. Lost: pixels are no data, and nothing says so.
    seconds, calm : float
        With faults, and without.
    requests : int
    spoilt : dict
        How often each kind was met.
    errors : dict
        First words of the errors, counted.
    """

    name: str
    reads: int = 0
    right: int = 0
    wrong: int = 0
    lost: int = 0
    raised: int = 0
    seconds: float = 0.0
    calm: float = 0.0
    requests: int = 0
    spoilt: dict[str, int] = field(default_factory=dict)
    errors: dict[str, int] = field(default_factory=dict)


def make(folder: Path, count: int = FILES) -> list[NDArray[np.uint16]]:
    """Write COGs of 1024 x 1024 px (DEFLATE, blocks of 256, overviews); return their pixels."""
    values = []
    for number in range(count):
        rng = np.random.default_rng(number)
        own = (rng.normal(size=GRID.shape).cumsum(axis=1) * 20 + 5000).clip(1, 10_000).astype(np.uint16)
        values.append(own)
        plain = folder / "plain.tif"
        profile = {"driver": "GTiff", "height": 1024, "width": 1024, "count": 1, "dtype": "uint16"}
        place = {"crs": "EPSG:32633", "transform": GRID.affine, "nodata": 0}
        with rasterio.open(plain, "w", **profile, **place) as file:
            file.write(own, 1)
        rasterio.shutil.copy(
            plain, folder / f"{number}.tif", driver="COG", compress="DEFLATE", predictor="YES", blocksize=256
        )
        plain.unlink()
    return values


def windows(reads: int, seed: int) -> Iterator[tuple[int, int, int]]:
    """Yield number of file, first row and column of each read."""
    rng = np.random.default_rng(seed)
    for _ in range(reads):
        number, row, column = rng.integers(0, [FILES, 1024 - WINDOW, 1024 - WINDOW])
        yield int(number), int(row), int(column)


def eocube(loader: str) -> Reader:
    """Return a reader by one of eocube's loaders; its memory of headers is cleared before each read."""
    from eocube.loaders import Source, handles, headers, loader_named

    reading = loader_named(loader)

    def read(href: str, geobox: GeoBox) -> NDArray[Any]:
        headers.forget(href)
        handles.forget_front(href)
        return reading([Source(href, "item", "red", grid=GRID)], geobox)[0]

    return read


def plain_rasterio(href: str, geobox: GeoBox) -> NDArray[Any]:
    """Read as one does with rasterio."""
    top = round((GRID.affine.f - geobox.affine.f) / 10)
    left = round((geobox.affine.c - GRID.affine.c) / 10)
    height, width = geobox.shape
    with rasterio.open(href) as file:
        return np.asarray(file.read(1, window=((top, top + height), (left, left + width))))


def _item(href: str, *, epsg: bool) -> dict[str, Any]:
    west, south, east, north = GRID.geographic_extent.boundingbox.bbox
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    proj: dict[str, Any] = {"proj:epsg": 32633} if epsg else {"proj:code": "EPSG:32633"}
    return {
        "type": "Feature", "stac_version": "1.0.0", "id": href.rpartition("/")[2], "collection": "c",
        "bbox": [west, south, east, north], "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": {"datetime": "2024-06-01T10:00:00Z", **proj}, "links": [],
        "stac_extensions": [_PROJECTION.format("1.1.0" if epsg else "2.0.0")],
        "assets": {"red": {
            "href": href, "type": "image/tiff; application=geotiff; profile=cloud-optimized",
            "roles": ["data"],
            "proj:shape": [1024, 1024], "proj:transform": list(GRID.affine)[:6],
        }},
    }  # fmt: skip


def odc_stac(*, fail: bool) -> Reader:
    """Return a reader by odc-stac, which fails on an error or not."""
    import odc.stac
    import pystac

    def read(href: str, geobox: GeoBox) -> NDArray[Any]:
        items = [pystac.Item.from_dict(_item(href, epsg=False))]
        found = odc.stac.load(
            items,
            bands=["red"],
            geobox=geobox,
            chunks={"x": 512, "y": 512},
            dtype="uint16",
            nodata=0,
            fail_on_error=fail,
        )
        return np.asarray(found.red.isel(time=0).compute(scheduler="synchronous").values)

    return read


def stackstac(href: str, geobox: GeoBox) -> NDArray[Any]:
    """Read with stackstac."""
    import stackstac as theirs
    from rasterio.enums import Resampling

    found = theirs.stack(
        [_item(href, epsg=True)], assets=["red"], epsg=32633, resolution=10,
        bounds=tuple(geobox.extent.boundingbox.bbox), dtype="uint16", fill_value=np.uint16(0),
        rescale=False, resampling=Resampling.nearest,
    )  # fmt: skip
    return np.asarray(found[0, 0].compute(scheduler="synchronous").values)


def readers() -> dict[str, tuple[Callable[[], Reader], dict[str, str]]]:
    """Return who reads, and with which settings of GDAL."""
    retry = {"GDAL_HTTP_MAX_RETRY": "4", "GDAL_HTTP_RETRY_DELAY": "0.1", "GDAL_HTTP_RETRY_CODES": "ALL"}
    return {
        "eocube cog": (lambda: eocube("cog"), {}),
        "eocube rio": (lambda: eocube("rio"), {}),
        "rasterio": (lambda: plain_rasterio, {}),
        "rasterio, GDAL retries": (lambda: plain_rasterio, retry),
        "odc-stac": (lambda: odc_stac(fail=True), {}),
        "odc-stac, fail_on_error=False": (lambda: odc_stac(fail=False), {}),
        "stackstac": (lambda: stackstac, {}),
        "stackstac, GDAL retries": (lambda: stackstac, retry),
    }


def storm(name: str, read: Reader, url: str, values: list[NDArray[np.uint16]], reads: int, seed: int) -> Row:
    """Read so many windows and compare every pixel."""
    row, lock = Row(name, reads), threading.Lock()

    def one(where: tuple[int, int, int]) -> None:
        number, top, left = where
        window = np.s_[top : top + WINDOW, left : left + WINDOW]
        try:
            found = read(f"{url}/{number}.tif", GRID[window])
        except Exception as error:  # noqa: BLE001 - whatever a peer raises is counted
            with lock:
                row.raised += 1
                words = f"{type(error).__name__}: {error}".split()
                text = " ".join("URL" if word.startswith("http") else word for word in words)[:200]
                row.errors[text] = row.errors.get(text, 0) + 1
            return
        same = found == values[number][window]
        with lock:
            row.right += bool(same.all())
            row.lost += bool(not same.all() and (found[~same] == 0).all())
            row.wrong += bool((found[~same] != 0).any())

    began = time.perf_counter()
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(one, windows(reads, seed)))
    row.seconds = time.perf_counter() - began
    return row


def both(name: str, served: Any, values: Any, reads: int, seed: int, rate: float, latency: float) -> Row:
    """Read without faults and with them, at the same latency."""
    make_reader, settings = readers()[name]
    os.environ.update(settings)
    read = make_reader()
    served.set(latency=latency)
    storm(name, read, served.url, values, THREADS, seed)  # imports and connections
    served.stats()
    calm = storm(name, read, served.url, values, reads, seed)
    served.set(latency=latency, rate=rate, seed=seed)
    served.stats()
    row = storm(name, read, served.url, values, reads, seed)
    stats = served.stats()
    row.calm, row.requests = calm.seconds, stats.pop("requests")
    row.spoilt = {kind: stats[kind] for kind in sorted(stats) if kind not in ("good", "bytes")}
    return row


def table(rows: list[Row]) -> str:
    """Return the rows as Markdown."""
    lines = [
        "| reader | reads | right | raised | lost without a word | wrong | seconds | without faults "
        "| ratio | requests |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {r.name} | {r.reads} | {r.right} | {r.raised} | {r.lost} | {r.wrong} | {r.seconds:.1f} "
        f"| {r.calm:.1f} | {r.seconds / max(r.calm, 1e-9):.2f} | {r.requests} |"
        for r in rows
    ]
    return "\n".join(lines) + "\n"


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.option("--reads", default=1000, help="Reads per reader.")
@click.option("--rate", default=0.2, help="Share of the requests that are spoilt.")
@click.option("--latency", default=0.05, help="Seconds before each answer.")
@click.option("--seeds", default="1", help="Seeds, as 1,2,3; each is a run of its own.")
@click.option("--only", default="", help="Readers, separated by ';'; all if left out.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("benchmark-results"))
@click.option("--child", hidden=True, default="")
@click.option("--url", hidden=True, default="")
@click.option("--data", hidden=True, default="")
def main(
    reads: int, rate: float, latency: float, seeds: str, only: str, out: Path, child: str, url: str, data: str
) -> None:  # fmt: skip
    """Read through a store that spoils some of its answers; write one table."""
    from tests.proxy import Served, store

    if child:
        values = list(np.load(data))
        row = both(child, Served(url), values, reads, int(seeds), rate, latency)
        sys.stdout.write(json.dumps(asdict(row)))
        return
    logging.basicConfig(level=logging.WARNING, format="%(message)s", handlers=[RichHandler(show_path=False)])
    log.setLevel(logging.INFO)
    known = readers()
    names = [name.strip() for name in only.split(";") if name.strip()] or list(known)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        values = make(Path(folder))
        np.save(f"{folder}/values.npy", np.stack(values))
        with store(Path(folder)) as served:
            for seed in seeds.split(","):
                for name in names:
                    rows.append(_in_child(name, served.url, folder, reads, rate, latency, seed))
                    log.info("seed %s, %s: %s", seed, name, rows[-1])
    total = _summed(rows, names)
    out.mkdir(parents=True, exist_ok=True)
    (out / "faults.md").write_text(table(total))
    (out / "faults.json").write_text(json.dumps([asdict(row) for row in rows], indent=1))
    log.info("wrote %s", out / "faults.md")


def _in_child(
    name: str, url: str, folder: str, reads: int, rate: float, latency: float, seed: str
) -> Row:  # fmt: skip
    """Run one reader in a fresh process: GDAL and others keep what they saw."""
    import subprocess

    said = {"child": name, "url": url, "data": f"{folder}/values.npy", "reads": reads, "rate": rate,
            "latency": latency, "seeds": seed}  # fmt: skip
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.faults"]
    command += [f"--{key}={value}" for key, value in said.items()]
    done = subprocess.run(  # noqa: S603
        command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[1]
    )
    if done.returncode:
        log.warning("%s did not end: %s", name, done.stderr[-500:])
        return Row(name, errors={"the process did not end well": 1})
    return Row(**json.loads(done.stdout))


def _summed(rows: list[Row], names: list[str]) -> list[Row]:
    """Add up the rows of all seeds."""
    total = []
    for name in names:
        sums: Counter[str] = Counter()
        for row in rows:
            if row.name == name:
                sums.update({k: v for k, v in asdict(row).items() if isinstance(v, int | float)})
        total.append(Row(name, **sums))  # type: ignore[arg-type]
    return total


if __name__ == "__main__":
    main()
