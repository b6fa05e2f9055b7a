"""Peak memory of writing: ``python -m benchmarks.writing [side ...]``.

Each figure is of a process of its own, above what it held before it wrote; four bands of uint16 noise.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

KINDS = {"write_cog": "a.tif", "write_zarr": "a.zarr", "write_netcdf": "a.nc"}


def one(kind: str, side: int) -> None:
    """Write one raster, and print peak memory (MB) and seconds."""
    import dask.array as da
    import numpy as np
    import psutil
    import xarray as xr
    from affine import Affine
    from odc.geo.geobox import GeoBox
    from odc.geo.xr import xr_coords

    import eocube

    def noise(block: np.ndarray) -> np.ndarray:
        return (np.random.default_rng(1).random(block.shape, dtype="float32") * 10_000).astype("uint16")

    zeros = da.zeros((4, side, side), dtype="uint16", chunks=(4, 1024, 1024))
    grid = GeoBox((side, side), Affine(10, 0, 3e5, 0, -10, 5e6), "EPSG:32633")
    coords = {"band": list("abcd"), **xr_coords(grid)}
    array = xr.DataArray(da.map_blocks(noise, zeros, dtype="uint16"), dims=("band", "y", "x"), coords=coords)
    me = psutil.Process()
    before = peak = me.memory_info().rss
    ended = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not ended.wait(0.02):
            peak = max(peak, me.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        getattr(eocube, kind)(array, Path(folder) / KINDS[kind])
        seconds = time.perf_counter() - started
    ended.set()
    watcher.join()
    sys.stdout.write(f"{(peak - before) / 2**20:.0f} {seconds:.0f}\n")


def main(sides: list[int]) -> None:
    """Print a table."""
    names = " | ".join(f"`{kind}`" for kind in KINDS)
    sys.stdout.write(f"| mosaic | {names} |\n|---|{'---|' * len(KINDS)}\n")
    for side in sides:
        cells = []
        for kind in KINDS:
            words = [sys.executable, "-W", "ignore", "-m", "benchmarks.writing", "--one", kind, str(side)]
            said = subprocess.run(words, check=True, capture_output=True, text=True).stdout  # noqa: S603
            megabytes, seconds = said.split()
            cells.append(f"{megabytes} MB, {seconds} s")
        sys.stdout.write(f"| {8 * side**2 / 2**20:.0f} MB ({side} px) | {' | '.join(cells)} |\n")
        sys.stdout.flush()


if __name__ == "__main__":
    if "--one" in sys.argv:
        one(sys.argv[2], int(sys.argv[3]))
    else:
        main([int(side) for side in sys.argv[1:]] or [2048, 4096, 8192])
