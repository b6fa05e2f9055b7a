"""Clusters: opened, joined, checked, told, closed."""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager

import numpy as np
import pytest

import eocube as eo
from eocube.clusters.settings import CREDENTIALS, Secrets, Settings, settings_of
from eocube.clusters.versions import mismatches, versions_here
from eocube.errors import ClusterError, InputError, MaskError, MemoryWarning
from eocube.workers import share_of

from .servers import Quiet, serving
from .services.processes import free_port

CANARY = "canary-7f3a"


@pytest.fixture(scope="module")
def opened():
    with eo.cluster(2, memory="1500MB") as found:
        yield found


@contextmanager
def scheduler(workers=0):
    """A scheduler in this process, that is joined by its address."""
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=workers, threads_per_worker=1, processes=False, protocol="tcp", dashboard_address=None
    ) as found:
        yield found.scheduler_address


@contextmanager
def worker(address, folder, code):
    """A worker in another environment: ``code`` is what it finds as eocube."""
    package = folder / "eocube"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(code)
    command = [sys.executable, "-m", "dask", "worker", address, "--nthreads", "1", "--no-dashboard", "--no-nanny"]
    running = subprocess.Popen(
        command, env=os.environ | {"PYTHONPATH": str(folder)}, cwd=folder, stderr=subprocess.PIPE, text=True
    )
    try:
        yield running
    finally:
        running.kill()
        running.communicate()


def best_of(items, grid, **options):
    cube = eo.load(items, grid, bands=["red", "nir"], mask=eo.SCLMask().dilate(metres=40), **options)
    return eo.composite(cube, eo.Median())


class TestOpen:
    def test_the_same_bits_as_threads(self, opened, world, items):
        best = best_of(items, world.grid, chunk=64)
        with eo.progress(bar=False) as run:
            there = best.compute()
        np.testing.assert_array_equal(there.values, best.compute(scheduler="threads").values)
        assert run.report.workers == 2
        assert run.report.windows == run.report.total == best.data.npartitions

    @pytest.mark.real
    def test_the_same_bits_on_real_scenes(self, opened, real):
        items = eo.search(real / "l2a_33T_2023-08")
        best = best_of(items, eo.grid_for(items), chunk=256)
        there = best.compute()
        np.testing.assert_array_equal(there.values, best.compute(scheduler="threads").values)

    def test_it_shows_itself(self, opened):
        shown = repr(opened)
        assert "2 with 2 threads" in shown
        assert "3.0 GB; about 1.0 GB for a task" in shown
        assert opened.dashboard.startswith("http://")
        assert opened.dashboard in shown
        assert opened.dashboard in opened._repr_html_()

    def test_what_was_opened_is_closed_and_what_was_there_is_current_again(self, opened):
        from distributed import default_client

        with eo.cluster(1, memory="1GB") as inner:
            assert default_client() is inner.client
        assert inner.client.status == "closed"
        assert "closed" in repr(inner)
        assert default_client() is opened.client

    def test_losses_of_more_windows_than_a_scheduler_remembers(self, opened, small, small_items, tmp_path):
        broken = [item.clone() for item in small_items]
        (tmp_path / "bad.tif").write_bytes(b"II*\0 nothing")
        broken[1].assets["red"].href = str(tmp_path / "bad.tif")
        cube = eo.load(broken, small.grid, bands=["red"], on_error="skip", chunk=48)
        with pytest.warns(eo.errors.LossWarning), eo.progress(bar=False) as run:
            cube.compute()
        topic = "eocube-plan-" + cube.attrs["eocube_plan"]
        opened.client.run_on_scheduler(lambda dask_scheduler: dask_scheduler._broker.truncate(topic))
        assert {loss.item for loss in eo.lost(cube)} == {broken[1].id}
        assert eo.lost(cube).windows == cube.data.npartitions == run.report.windows
        assert run.report.losses.granules() == eo.lost(cube).granules()


class TestJoin:
    def test_by_client_the_environment_travels_and_secrets_do_not(self, opened, monkeypatch, caplog):
        caplog.set_level(logging.DEBUG)
        monkeypatch.setenv("GDAL_HTTP_MAX_RETRY", "7")
        monkeypatch.setenv("EOCUBE_PATIENCE", "11")
        monkeypatch.setenv("GDAL_NUM_THREADS", "5")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", CANARY)
        monkeypatch.setenv("EARTHDATA_TOKEN", CANARY)
        names = ["GDAL_HTTP_MAX_RETRY", "EOCUBE_PATIENCE", "GDAL_NUM_THREADS", "AWS_SECRET_ACCESS_KEY", "EARTHDATA_TOKEN"]

        def told():
            (found, same) = opened.client.run(lambda: [os.environ.get(name) for name in names]).values()
            assert found == same
            return found

        before = told()
        with eo.cluster(address=opened.client) as joined:
            assert told() == ["7", "11", None, None, None]
            assert joined.client is opened.client
        with eo.cluster(address=opened.client, credentials=["EARTHDATA_TOKEN"]) as joined:
            assert told() == ["7", "11", None, None, CANARY]
            monkeypatch.delenv("EARTHDATA_TOKEN")  # a worker that comes later has it by the plugin alone
            opened._backend.scale(3)
            opened.client.wait_for_workers(3, timeout=60)
            every = opened.client.run(lambda: os.environ.get("EARTHDATA_TOKEN"))
            assert list(every.values()) == [CANARY] * 3
            opened._backend.scale(2)
            while len(opened.client.scheduler_info()["workers"]) > 2:
                time.sleep(0.05)
            shown = [repr(joined), joined._repr_html_(), caplog.text, str(opened.client.get_events())]
            shown += [str(opened.client.get_worker_logs()), str(opened.client.get_scheduler_logs())]
            shown += [str(opened.client.run(lambda dask_worker: repr(dask_worker.plugins)))]
            assert not [text for text in shown if CANARY in text]
        assert told() == before
        assert opened.client.status == "running"

    def test_by_address_and_left_running(self, small, small_items):
        with scheduler(workers=1) as address:
            with eo.cluster(address=address) as joined:
                best = best_of(small_items, small.grid, chunk=48)
                np.testing.assert_array_equal(best.compute(), best.compute(scheduler="threads"))
                assert address in repr(joined)
            with eo.cluster(address=address) as again:
                assert again.workers == 1

    def test_a_mask_is_applied_before_the_first_task(self, tmp_path):
        mark = tmp_path / "applied"

        @eo.mask(bands=["scl", "blue"])
        def model(px):
            mark.write_text(str(px["blue"].shape))
            return px["scl"] == 9

        with scheduler(workers=1) as address, eo.cluster(address=address, preload=model | eo.SCLMask()):
            assert mark.read_text() == "(16, 16)"
        with scheduler(workers=1) as address, eo.cluster(address=address, preload=mark.unlink):
            assert not mark.exists()
        with (
            scheduler(workers=1) as address,
            pytest.raises(ClusterError, match=r"could not be prepared: .*applied"),
        ):
            eo.cluster(address=address, preload=mark.unlink)


class TestRefused:
    def test_an_address_nobody_listens_on(self):
        port, began = free_port(), time.monotonic()
        with pytest.raises(ClusterError, match=rf"tcp://127.0.0.1:{port} cannot be reached: .*refused.* address="):
            eo.cluster(address=f"tcp://127.0.0.1:{port}")
        with pytest.raises(ClusterError, match=rf"http://127.0.0.1:{port} cannot be reached.* gateway="):
            eo.cluster(gateway=f"http://127.0.0.1:{port}")
        assert time.monotonic() - began < 30

    def test_no_gateway_is_configured(self):
        with pytest.raises(ClusterError, match="DASK_GATEWAY__ADDRESS"):
            eo.cluster(gateway=True)

    def test_a_gateway_that_does_not_answer(self):
        with socket.create_server(("127.0.0.1", 0)) as silent:
            url = f"http://127.0.0.1:{silent.getsockname()[1]}"
            with pytest.raises(ClusterError, match=rf"{url} did not answer within 0.5 s \(set by gateway=, timeout=0.5\)"):
                eo.cluster(gateway=url, timeout=0.5)

    @pytest.mark.parametrize("status", [403, 404, 500])
    def test_a_gateway_that_refuses(self, status):
        class Refuses(Quiet):
            def do_GET(self):
                self.answer({"error": "not you"}, status)

        with serving(Refuses) as url, pytest.raises(ClusterError, match=rf"{url} refuses \(set by gateway=\): .*(not you|Forbidden)"):
            eo.cluster(gateway=url)

    def test_what_is_no_scheduler(self):
        import dask

        with serving(Quiet) as url, pytest.raises(ClusterError, match="does not answer as one"):
            eo.cluster(address=url.replace("http", "tcp"), timeout=2)
        assert dask.delayed(1).compute() == 1  # and nobody waits for it later

    def test_no_worker_comes(self, caplog):
        caplog.set_level(logging.INFO, logger="eocube")
        with scheduler() as address, pytest.raises(ClusterError, match=r"No worker of scheduler .* came within 0.3 s"):
            eo.cluster(address=address, timeout=0.3)
        assert "up to 0.3 s" in caplog.text

    def test_without_the_extra(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "dask_gateway", None)
        with pytest.raises(eo.errors.MissingExtraError, match=r"eocube\[gateway\]"):
            eo.cluster(gateway="http://127.0.0.1:1")

    def test_workers_of_another_version_and_without_eocube(self, tmp_path):
        missing = "raise ImportError('not here')"
        with ExitStack() as stack:
            address = stack.enter_context(scheduler())
            for name, code in (("old", "__version__ = '0.0.9'"), ("none", missing)):
                stack.enter_context(worker(address, tmp_path / name, code))
            from distributed import Client

            with Client(address) as client:
                client.wait_for_workers(2, timeout=60)
            with pytest.raises(ClusterError) as caught:
                eo.cluster(address=address)
        text = str(caught.value)
        assert f"eocube 0.0.9 there, {eo.__version__} here" in text
        assert f"eocube is not installed there (the client has {eo.__version__})" in text
        assert text.count("worker tcp://") == 2

    def test_a_worker_that_joins_later_and_does_not_fit_leaves(self, tmp_path):
        with scheduler(workers=1) as address, eo.cluster(address=address) as joined:
            with worker(address, tmp_path / "old", "__version__ = '0.0.9'") as running:
                assert running.wait(60) is not None
            assert joined.workers == 1

    def test_versions_that_differ(self):
        own = versions_here()
        assert mismatches(own, own) == []
        numpy = own["numpy"].split(".")
        assert mismatches(own, own | {"numpy": f"{numpy[0]}.{numpy[1]}.999"}) == []
        assert mismatches(own, own | {"numpy": "1.0.0"}) == [f"numpy 1.0.0 there, {own['numpy']} here"]
        assert mismatches(own, own | {"python": "3.9.1"}) == [f"python 3.9.1 there, {own['python']} here"]

    def test_a_plugin_refuses_its_worker(self):
        class Worker:
            loop = type("Loop", (), {"add_callback": lambda *_, **__: left.append(True)})()
            close = None

        left = []
        plugin = Settings({}, Secrets({}), versions=versions_here() | {"dask": "2000.1.0"})
        with pytest.raises(RuntimeError, match="does not fit the client: dask"):
            plugin.setup(Worker()).send(None)
        assert left == [True]

    @pytest.mark.parametrize(
        ("options", "says"),
        [
            ({"workers": 0}, "workers=0 is not a number of workers"),
            ({"threads": 1.5}, "threads=1.5 is not a number of threads"),
            ({"memory": "much"}, "memory='much' is not a size"),
            ({"gateway": True, "address": "tcp://x"}, "not both"),
            ({"options": {}}, "options= is not for a cluster of this kind"),
            ({"gateway": "http://x", "memory": "2GB"}, r"say it in options="),
            ({"address": "tcp://x", "workers": 2}, "what is joined is as it is"),
            ({"address": 3}, "address=3: give a scheduler's address"),
            ({"timeout": 0}, "timeout=0 is not a time"),
            ({"credentials": ["EOCUBE_NO_SUCH"]}, "not set in this process's environment: EOCUBE_NO_SUCH"),
            ({"spill": "/nowhere/at/all"}, "spill='/nowhere/at/all': nothing can be written there"),
        ],
    )
    def test_bad_input(self, options, says):
        with pytest.raises(InputError, match=says):
            eo.cluster(**options)

    def test_a_preload_that_is_none(self):
        with pytest.raises(MaskError, match="not a mask"):
            eo.cluster(preload=3)

    def test_credentials_when_there_are_none(self, monkeypatch):
        for name in CREDENTIALS:
            monkeypatch.delenv(name, raising=False)
        with pytest.raises(InputError, match=r"credentials=True: not set"):
            eo.cluster(credentials=True)


class TestSettings:
    def test_what_travels(self):
        environment = {
            "GDAL_CACHEMAX": "32", "CPL_VSIL_CURL_USE_HEAD": "NO", "VSI_CACHE": "YES", "AWS_REGION": "eu-central-1",
            "EOCUBE_PATIENCE": "9", "PC_SDK_SAS_URL": "https://x", "HOME": "/root", "PATH": "/bin", "GDAL_DATA": "/d",
            "GDAL_NUM_THREADS": "4", "GDAL_HTTP_PROXY": "u:p@h", **dict.fromkeys(CREDENTIALS, CANARY),
        }  # fmt: skip
        assert set(settings_of(environment)) == {
            "GDAL_CACHEMAX", "CPL_VSIL_CURL_USE_HEAD", "VSI_CACHE", "AWS_REGION", "EOCUBE_PATIENCE", "PC_SDK_SAS_URL",
        }  # fmt: skip
        assert settings_of({}) == {"GDAL_CACHEMAX": "64"}

    def test_secrets_are_not_shown(self):
        plugin = Settings({"AWS_REGION": "x"}, Secrets({"AWS_SECRET_ACCESS_KEY": CANARY}))
        assert CANARY not in repr(plugin) + repr(plugin.secrets) + str(plugin.secrets)


@contextmanager
def small_worker():
    """A worker in this process with 0.16 MB for a task; it is not paused, though this process is larger."""
    import dask
    from distributed import Client, LocalCluster

    never = {f"distributed.worker.memory.{name}": False for name in ("target", "spill", "pause")}
    with (
        dask.config.set(never),
        LocalCluster(
            n_workers=1, processes=False, protocol="tcp", memory_limit="250200kB", dashboard_address=None
        ) as made,
        Client(made),
    ):
        yield


class TestMemory:
    def test_a_plan_warns_of_workers_that_are_too_small(self, small, small_items):
        with small_worker():
            with pytest.warns(MemoryWarning, match=r"A task of the cube and of the composite may take .* plan with memory='1MB'"):
                eo.plan(small_items, small.grid, bands=["red", "nir"], mask=eo.SCLMask())
            eo.plan(small_items, small.grid, bands=["red", "nir"], mask=eo.SCLMask(), chunk=8)  # no warning

    def test_a_composite_is_checked_when_it_is_written(self, small, small_items, tmp_path):
        best = best_of(small_items, small.grid)
        with small_worker():
            for write, name in ((eo.write_cog, "a.tif"), (eo.write_zarr, "a.zarr")):
                with pytest.warns(MemoryWarning, match="A task"):
                    write(best, tmp_path / name)

    def test_the_share_of_a_task(self):
        one = {"memory_limit": 4e9, "nthreads": 2}
        assert share_of([one]) == (0.8 * 4e9 - 200e6) / 2
        assert share_of([one, {"memory_limit": 2e9, "nthreads": 1}]) == 0.8 * 2e9 - 200e6
        assert share_of([{"memory_limit": 0, "nthreads": 1}]) is None
        assert share_of([]) is None


def test_workers_keep_freed_memory_unless_their_environment_says_otherwise(monkeypatch):
    from eocube.clusters.settings import keep_memory

    def told() -> tuple[str | None, bool]:
        import os

        return os.environ.get("MALLOC_TRIM_THRESHOLD_"), keep_memory()

    with eo.cluster(1, memory="2GB") as cluster:
        (found,) = cluster.client.run(told).values()
    assert found == ("65536", True)  # Dask's value, with which the process began, and overridden
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "1000000")
    assert not keep_memory()
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "65536")
    monkeypatch.setattr("ctypes.CDLL", lambda name: (_ for _ in ()).throw(OSError(name)))
    assert not keep_memory()  # another C library


def test_dasks_own_clocks_go_slower_unless_somebody_has_set_them():
    import dask

    def intervals(dask_worker):
        return [dask.config.get(f"distributed.{name}.interval") for name in ("admin.tick", "worker.profile")]

    with dask.config.set({"distributed.worker.profile.interval": "50ms"}), eo.cluster(1, memory="1GB") as found:
        assert list(found.client.run(intervals).values()) == [["500ms", "50ms"]]
    assert dask.config.get("distributed.admin.tick.interval") == "20ms"
