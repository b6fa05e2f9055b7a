"""Clusters when things go wrong: a run ends right, or with an error that says what to do."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import dask
import numpy as np
import pytest
import rasterio
import xarray as xr

import eocube as eo
from eocube.errors import ClusterError

from .services.processes import free_port, listens


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    monkeypatch.setenv("EOCUBE_PATIENCE", "30")


def expected_of(items, grid, chunk=24):
    cube = eo.load(items, grid, bands=["red", "nir"], mask=eo.SCLMask(), chunk=chunk)
    return eo.composite(cube, eo.Median()).compute(scheduler="threads").values


def best_under(mask, items, grid, chunk=24):
    """The composite whose mask also does something else."""
    cube = eo.load(items, grid, bands=["red", "nir"], mask=eo.SCLMask() | mask, chunk=chunk)
    return eo.composite(cube, eo.Median())


def slow(folder):
    """A mask that throws nothing away, takes its time, and says which processes apply it."""

    @eo.mask(bands=["scl"])
    def mask(px):
        (folder / str(os.getpid())).touch()
        time.sleep(0.03)
        return np.zeros(px.shape, bool)

    return mask


@contextmanager
def killing(folder: Path):
    """Kill a worker in the middle of its first task."""
    killed: list[int] = []

    def run():
        while not killed and not over.is_set():
            for path in folder.iterdir():
                time.sleep(0.2)
                os.kill(int(path.name), signal.SIGKILL)
                killed.append(int(path.name))
                return
            time.sleep(0.01)

    over = threading.Event()
    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield killed
    finally:
        over.set()
        thread.join()


@pytest.mark.parametrize("kind", ["cog", "zarr"])
def test_a_worker_is_killed_while_a_file_is_written(small, small_items, tmp_path, monkeypatch, kind):
    expected = expected_of(small_items, small.grid)
    pids, out = tmp_path / "pids", tmp_path / f"best.{kind}"
    pids.mkdir()
    written: list = []
    write = rasterio.io.DatasetWriter.write

    def noted(self, *args, window=None, **more):
        written.append((self.name, window))
        return write(self, *args, window=window, **more)

    monkeypatch.setattr(rasterio.io.DatasetWriter, "write", noted)
    with eo.cluster(2, memory="1GB"), eo.progress(bar=False) as run, killing(pids) as killed:
        best = best_under(slow(pids), small_items, small.grid)
        (eo.write_cog if kind == "cog" else eo.write_zarr)(best, out)
    assert len(killed) == 1
    assert run.report.windows == run.report.total == best.data.npartitions
    if kind == "cog":
        with rasterio.open(out) as file:
            np.testing.assert_array_equal(file.read(), expected)
        assert len(written) == len(set(written)) > 0
    else:
        found = xr.open_zarr(out, decode_coords="all", consolidated=False)["eocube"]
        np.testing.assert_array_equal(found.values, expected)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["pids", out.name])


def test_a_worker_at_its_memory_limit(small, small_items, tmp_path):
    """Terminated by its nanny: the task runs again elsewhere; time and again: an error that says what to do."""

    def hungry(times):
        @eo.mask(bands=["scl"])
        def mask(px):
            for number in range(times):
                try:
                    (tmp_path / f"{times}-{number}").touch(exist_ok=False)
                except FileExistsError:
                    continue
                held = bytearray(800_000_000)
                held[::4096] = b"x" * len(held[::4096])
                time.sleep(20)
            return np.zeros(px.shape, bool)

        return mask

    expected = expected_of(small_items, small.grid, 48)
    with (  # noqa: PT012
        dask.config.set({"distributed.scheduler.allowed-failures": 1}),
        pytest.raises(ClusterError, match=r"2 workers died while they ran the same task.*memory=") as caught,
        eo.cluster(1, memory="600MB"),
    ):
        np.testing.assert_array_equal(best_under(hungry(1), small_items, small.grid, 48).compute(), expected)
        best_under(hungry(9), small_items, small.grid, 48).compute()
    assert "600.0 MB" in str(caught.value)


def test_the_scheduler_is_lost(small, small_items, tmp_path):
    port = free_port()
    address = f"tcp://127.0.0.1:{port}"
    paths = [str(Path(eo.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
    commands = [
        ["scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard"],
        ["worker", address, "--nthreads", "1", "--no-dashboard", "--no-nanny", "--death-timeout", "5"],
    ]
    running = [
        subprocess.Popen([sys.executable, "-m", "dask", *command], env=environment, cwd=tmp_path, stderr=subprocess.DEVNULL)
        for command in commands
    ]
    pids = tmp_path / "pids"
    pids.mkdir()

    def end():
        while not list(pids.iterdir()):
            time.sleep(0.05)
        running[0].kill()

    try:
        while not listens(port):
            time.sleep(0.1)
        best = best_under(slow(pids), small_items, small.grid)
        with (  # noqa: PT012
            pytest.raises(ClusterError, match=rf"connection to the scheduler of scheduler {address} was lost.*run it again"),
            eo.cluster(address=address),
        ):
            threading.Thread(target=end, daemon=True).start()
            eo.write_cog(best, tmp_path / "best.tif")
        assert sorted(path.name for path in tmp_path.iterdir() if path.suffix == ".tif" or path.name[0] == ".") == []
    finally:
        for process in running:
            process.kill()
            process.wait()


def test_a_full_disk_where_results_are_spilled(small, small_items):
    """What cannot be spilled stays in memory: the result is right."""

    def fill():
        import zict

        def full(*_):
            zict.File.failed += 1
            raise OSError(errno.ENOSPC, "No space left on device")

        zict.File.failed, zict.File.__setitem__ = 0, full

    cube = eo.load(small_items, small.grid, bands=["red", "nir"], chunk=48)
    expected = cube.compute(scheduler="threads")
    memory = {"target": 0.0001, "spill": 0.0001, "pause": 0.9}
    with (
        dask.config.set({f"distributed.worker.memory.{name}": value for name, value in memory.items()}),
        eo.cluster(1, memory="1GB") as opened,
    ):
        opened.client.run(fill)
        kept = cube.persist()
        np.testing.assert_array_equal(kept.compute(), expected)
        assert min(opened.client.run(lambda: __import__("zict").File.failed).values()) > 0
