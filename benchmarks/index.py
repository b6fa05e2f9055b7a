"""A local index of many Items: ``python -m benchmarks.index``.

Builds an index of Items that differ from one given Item (by default one of the sample world, better a
real one: ``--like ITEM.json``) in id, tile, place, time, cloud cover and hrefs, and searches it in
fresh processes (cold) and in one that has searched before (warm).
"""

from __future__ import annotations

import json
import os
import platform
import random
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click

QUERIES: dict[str, dict[str, Any]] = {
    "point, one year": {"area": (15.6, 46.9, 15.61, 46.91), "period": "2018"},
    "1 degree, 3 months, cloud < 20 %": {
        "area": (15, 46, 16, 47), "period": "2018-05/2018-07", "max_cloud": 20,
    },
    "5 degrees, one month": {"area": (10, 45, 15, 50), "period": "2018-08"},
    "one tile (query), one year": {"period": "2018", "query": {"grid:code": {"eq": "MGRS-T00500"}}},
    "everywhere, one day": {"period": "2018-03-16"},
    "all of one tile": {"area": (15.6, 46.9, 15.61, 46.91)},
}  # fmt: skip
"""What is searched; the made-up tiles lie between 10 and 50 degrees east, 30 and 60 north."""

COLUMNS, ROWS_OF_TILES = 40, 30
START = datetime(2017, 1, 1, 10, 0, 31, tzinfo=UTC)


def many(like: dict[str, Any], count: int, seed: int = 0) -> Iterator[dict[str, Any]]:
    """Yield Items: each of 1200 tiles every fifth day or less, as ``like`` otherwise."""
    rng = random.Random(seed)  # noqa: S311  (not for secrets)
    tiles = COLUMNS * ROWS_OF_TILES
    for number in range(count):
        tile = number % tiles
        when = START + timedelta(days=number // tiles * 3.3, seconds=tile)
        west, south = 10 + tile % COLUMNS, 30 + tile // COLUMNS
        name = f"S2{'AB'[number % 2]}_T{tile:05d}_{when:%Y%m%dT%H%M%S}_L2A"
        stamp = f"{when:%Y-%m-%dT%H:%M:%S}.{rng.randrange(1000):03d}Z"
        east, north = west + 1.3, south + 0.98
        ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
        yield {
            **like,
            "id": name,
            "bbox": [west, south, east, north],
            "geometry": {"type": "Polygon", "coordinates": [ring]},
            "properties": {
                **like["properties"], "datetime": stamp, "created": stamp, "updated": stamp,
                "eo:cloud_cover": round(rng.uniform(0, 100), 6), "grid:code": f"MGRS-T{tile:05d}",
                "view:sun_azimuth": rng.uniform(100, 200), "view:sun_elevation": rng.uniform(10, 70),
            },
            "assets": {
                key: {**asset, "href": f"https://example.com/s2/{tile}/{when:%Y/%m}/{name}/{key}.tif"}
                for key, asset in like["assets"].items()
            },
        }  # fmt: skip


def build(like: dict[str, Any], count: int, path: Path) -> dict[str, Any]:
    """Build the index; returns seconds and bytes."""
    import eocube

    started = time.perf_counter()
    changes = eocube.LocalIndex(path).add(many(like, count))
    seconds = time.perf_counter() - started
    return {
        "Items": changes.total, "seconds": round(seconds, 1), "GB": round(path.stat().st_size / 1e9, 3),
        "peak GB": round(_peak(), 2),
    }  # fmt: skip


def search(path: Path, name: str, rounds: int) -> dict[str, Any]:
    """Search in this process, several times; returns seconds of the first and the median of the others."""
    begun = time.perf_counter()
    import eocube
    from eocube import queries  # noqa: F401

    imported = time.perf_counter() - begun
    index = eocube.LocalIndex(path)
    seconds = []
    for _ in range(rounds):
        started = time.perf_counter()
        try:
            found = len(eocube.search(index, **QUERIES[name]))
        except eocube.NoItemsError:
            found = 0
        seconds.append(time.perf_counter() - started)
    return {
        "query": name, "found": found, "import": imported, "first": seconds[0],
        "warm": statistics.median(seconds[1:] or seconds),
        "peak": _peak(),
    }  # fmt: skip


def _peak() -> float:
    """Return this process's greatest memory in GB; what is mapped of the file counts."""
    status = Path("/proc/self/status")
    if status.exists():  # getrusage would count the parent before this program started
        said = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(said.split()[1]) / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def _example() -> dict[str, Any]:
    import eocube

    world = eocube.sample.cached()
    found: dict[str, Any] = next(iter(eocube.search(world.items_path))).to_dict(transform_hrefs=False)
    return found


def _cold(path: Path, name: str, rounds: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.index", "--keep", str(path), "--one", name]
    command += ["--rounds", str(rounds)]
    # Compiled modules are kept, as an installed library has them.
    own = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(path.absolute().parent / "pycache")}
    done = subprocess.run(  # noqa: S603  (ourselves)
        command, capture_output=True, text=True, check=True, env={**os.environ, **own}
    )
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.option("--count", default=1_000_000, help="Items.")
@click.option("--like", type=click.Path(path_type=Path), help="An Item (JSON) that all resemble.")
@click.option("--assets", default="", help="Of these assets only, as B04,B08.")
@click.option("--keep", type=click.Path(path_type=Path), default=Path("index-benchmark.parquet"),
              help="The index; built if missing.")
@click.option("--rounds", default=5, help="Searches per process; the first is cold.")
@click.option("--one", default="", hidden=True)
def main(count: int, like: Path | None, assets: str, keep: Path, rounds: int, one: str) -> None:
    """Build an index of many made-up Items and search it; print a table."""
    if one:
        click.echo(json.dumps(search(keep, one, rounds)))
        return
    click.echo(f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    if not keep.exists():
        example = json.loads(like.read_text()) if like else _example()
        if assets:
            example["assets"] = {name: example["assets"][name] for name in assets.split(",")}
        kilobytes = len(json.dumps(example)) / 1000
        click.echo(f"Items of {len(example['assets'])} assets, {kilobytes:.1f} kB as JSON")
        click.echo(f"built: {build(example, count, keep)}")
    click.echo("| query | Items found | cold s | of it import | warm s | peak GB |")
    click.echo("|---|---|---|---|---|---|")
    _cold(keep, next(iter(QUERIES)), 1)  # compiles
    for name in QUERIES:
        row = _cold(keep, name, rounds)
        numbers = (row["import"] + row["first"], row["import"], row["warm"], row["peak"])
        shown = " | ".join(f"{number:.2f}" for number in numbers)
        click.echo(f"| {name} | {row['found']} | {shown} |")


if __name__ == "__main__":
    main()
