"""Reads from a store that misbehaves: every pixel right, nothing lost without a word, no token shown."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import pickle
import signal
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from pathlib import Path

import cloudpickle
import numpy as np
import pytest
import rasterio
import xarray as xr
from benchmarks import faults

import eocube as eo
from eocube import retries, signing
from eocube.errors import CatalogError, LossWarning, ReadError
from eocube.loaders import Source, handles, headers, loader_named
from eocube.loaders.natively import access

from .proxy import KINDS, MORE, store

LOADERS = ["cog", "rio"]


@pytest.fixture(scope="module")
def hosted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("store")
    values = faults.make(folder)
    with store(folder) as served:
        yield served, values


@pytest.fixture(scope="module")
def world_store(small):
    with store(Path(small.items_path).parent) as served:
        yield served


def items_at(served, small, small_items, where=""):
    """Return the Items of the small world with hrefs in a store."""
    root = Path(small.items_path).parent
    found = []
    for item in small_items:
        record = deepcopy(item.to_dict(include_self_link=False, transform_hrefs=False))
        for key, asset in item.assets.items():
            path = Path(asset.get_absolute_href()).relative_to(root)
            record["assets"][key]["href"] = f"{served.url}/{where}{path}"
        found.append(record)
    return found


def forget():
    headers._KEPT.found.clear()
    handles._FRONTS.found.clear()


class TestStorm:
    @pytest.mark.parametrize("loader", LOADERS)
    def test_a_thousand_reads(self, hosted, loader, monkeypatch):
        """Faults in a fifth of all requests, of seventeen kinds."""
        monkeypatch.setenv("EOCUBE_PATIENCE", "60")
        monkeypatch.setattr(faults, "THREADS", 24)
        served, values = hosted
        served.set(rate=0.2, seed=7, stall=3.0)
        served.stats()
        row = faults.storm(loader, faults.eocube(loader), served.url, values, 1000, 7)
        stats = served.stats()
        assert (row.wrong, row.lost) == (0, 0), row.errors
        assert row.right >= 998, row.errors  # tries are bounded: one in some thousand may end in an error
        assert all(stats[kind] > 5 for kind in KINDS)
        assert sum(stats[kind] for kind in KINDS) > 0.17 * stats["requests"]

    @pytest.mark.parametrize("loader", LOADERS)
    def test_further_kinds(self, hosted, loader, monkeypatch):
        monkeypatch.setenv("EOCUBE_PATIENCE", "60")
        served, values = hosted
        served.set(rate=0.2, seed=8, kinds=["gzip", "changed", "other-range"])
        row = faults.storm(loader, faults.eocube(loader), served.url, values, 100, 8)
        assert (row.wrong, row.lost) == (0, 0), row.errors
        assert row.right >= 99, row.errors  # tries are bounded here as well

    @pytest.mark.parametrize("loader", LOADERS)
    def test_what_lasts_is_an_error_that_names_it(self, hosted, loader, monkeypatch):
        monkeypatch.setenv("EOCUBE_PATIENCE", "2")
        served, values = hosted
        kinds = (*KINDS, *MORE)
        served.set(bad={f"{number}.tif": kind for number, kind in enumerate(kinds[:20])}, stall=30.0)
        forget()

        def read(number):
            began = time.monotonic()
            try:
                found = loader_named(loader)(
                    [Source(f"{served.url}/{number}.tif", "S2A", "red", grid=faults.GRID)], faults.GRID
                )
            except ReadError as error:
                return str(error), time.monotonic() - began
            return found, time.monotonic() - began

        with ThreadPoolExecutor(20) as pool:
            for (found, seconds), number in zip(pool.map(read, range(20)), range(20), strict=True):
                kind = kinds[number]
                assert seconds < 15, kind
                if kind in (
                    "whole",
                    "changed",
                ):  # a small file is taken as a whole; one other version is a version
                    np.testing.assert_array_equal(found[0], values[number])
                else:
                    assert isinstance(found, str), kind
                    assert found.startswith(
                        f"Cannot read asset 'red' of Item 'S2A' at {served.url}/{number}.tif: "
                    ), found

    @pytest.mark.parametrize("loader", LOADERS)
    @pytest.mark.parametrize("kind", ["404", "403", "flipped", "html", "reset", "429"])
    def test_one_fault_at_the_open_is_got_over(self, hosted, loader, kind):
        served, values = hosted
        served.set(first={"3.tif": kind})
        forget()
        found = loader_named(loader)([Source(f"{served.url}/3.tif", grid=faults.GRID)], faults.GRID)
        np.testing.assert_array_equal(found[0], values[3])

    @pytest.mark.parametrize("loader", LOADERS)
    def test_a_block_that_is_really_damaged(self, loader, tmp_path):
        root = tmp_path / "5.tif"
        values = faults.make(tmp_path, 6)
        header = headers.header(Source(str(root))).tiff.levels[0]
        data = bytearray(root.read_bytes())
        data[int(header.offsets[2, 1]) + 1000] ^= 8
        root.write_bytes(data)
        with store(tmp_path) as damaged:
            began = time.monotonic()
            with pytest.raises(ReadError, match=r"5\.tif: block \(row 2, column 1\)"):
                loader_named(loader)([Source(f"{damaged.url}/5.tif", grid=faults.GRID)], faults.GRID)
            assert time.monotonic() - began < 3
            good = loader_named(loader)(
                [Source(f"{damaged.url}/5.tif", grid=faults.GRID)], faults.GRID[:500, :500]
            )
            np.testing.assert_array_equal(good[0], values[5][:500, :500])
            assert damaged.stats()["requests"] < 25

    @pytest.mark.parametrize("loader", LOADERS)
    def test_a_file_that_changes_is_read_anew(self, tmp_path, loader):
        faults.make(tmp_path, 2)
        with store(tmp_path) as served:
            href = f"{served.url}/0.tif"
            read = loader_named(loader)
            one = read([Source(href, grid=faults.GRID)], faults.GRID)
            (tmp_path / "0.tif").write_bytes((tmp_path / "1.tif").read_bytes())
            served.set()
            two = read([Source(href, grid=faults.GRID)], faults.GRID)
            three = read([Source(f"{served.url}/1.tif", grid=faults.GRID)], faults.GRID)
        assert (one != two).any()
        np.testing.assert_array_equal(two, three)


class TestRetries:
    def test_kinds(self):
        assert retries.Fault("", 400).tries == 1
        assert retries.Fault("", 404).tries == 3
        assert retries.Fault("", 503).tries is retries.Fault("", 429).tries is retries.Fault("").tries is None
        assert retries.Fault("", wrong=True).tries == retries.WRONG

    def test_pauses_grow_and_differ(self):
        pauses = [retries.pause_before(n) for n in range(1, 30)]
        assert 0.025 <= pauses[0] <= 0.05
        assert 4 <= pauses[-1] <= 8
        assert len({retries.pause_before(20) for _ in range(20)}) > 5

    def test_retry_after(self):
        from email.utils import formatdate

        assert retries.retry_after("3") == 3
        assert 8 < retries.retry_after(formatdate(time.time() + 10, usegmt=True)) <= 10
        assert retries.retry_after("soon") == retries.retry_after(None) == retries.retry_after("-4") == 0

    def test_a_clock_counts_trouble_once(self):
        clock = retries.Clock(10)
        now = time.monotonic()
        clock.enter(now - 2)
        clock.enter(now - 1)
        assert 7.5 < clock.left() < 8.1
        clock.leave()
        clock.leave()
        before = clock.left()
        time.sleep(0.05)
        assert clock.left() == before

    def test_it_waits_as_long_as_the_server_asks(self, hosted):
        served, _ = hosted
        forget()
        # The first refusal is met without its headers; the next answer shows them.
        served.set(rate=1.0, kinds=["429"])
        served.stats()
        began = time.monotonic()
        with pytest.raises(ReadError, match="429") as caught:
            loader_named("cog")([Source(f"{served.url}/4.tif", grid=faults.GRID)], faults.GRID)
        assert served.stats()["429"] <= 10  # in three seconds: one each second, not one each 50 ms
        assert time.monotonic() - began < 15
        assert "tries in" in str(caught.value)


class TestSkip:
    def test_exactly_what_is_bad_is_lost_and_listed(self, world_store, small, small_items, tmp_path):
        found = items_at(world_store, small, small_items)
        clearest = sorted(found, key=lambda record: record["properties"]["eo:cloud_cover"])
        tile = clearest[0]["id"].split("_")[1]  # the one that fills first is needed for sure
        bad = [record for record in clearest if tile in record["id"]][:2]
        paths = [record["assets"]["red"]["href"].removeprefix(f"{world_store.url}/") for record in bad[:1]]
        paths += [record["assets"]["scl"]["href"].removeprefix(f"{world_store.url}/") for record in bad[1:]]
        world_store.set(bad=dict.fromkeys(paths, "404"))
        forget()
        mask = eo.SCLMask().dilate(metres=40)
        cube = eo.load(found, small.grid, bands=["red", "nir"], mask=mask, chunk=64, on_error="skip")
        best = eo.composite(cube, [eo.Median(), eo.Count()])
        with pytest.warns(LossWarning, match=r"is left out where it cannot be read .*404"):
            written = eo.write_cog(best, tmp_path / "best.tif")
        rest = [record for record in found if record not in bad]
        expected = eo.composite(
            eo.load(rest, small.grid, bands=["red", "nir"], mask=mask, chunk=64), [eo.Median(), eo.Count()]
        )
        with rasterio.open(written) as file:
            np.testing.assert_array_equal(file.read(), expected.compute().values)
            said = json.loads(file.tags()["losses"])
        assert {record["item"] for record in said["granules"]} == {record["id"] for record in bad}
        assert said["known"]
        assert said["windows_read"] == cube.data.npartitions
        assert all("404" in record["why"] and record["windows"] for record in said["granules"])
        again = eo.lost(best)
        assert {loss.item for loss in again} == {record["id"] for record in bad}
        assert {loss.asset for loss in again} == {"red", "scl"}
        assert bad[0]["id"] in repr(again)

        world_store.set()  # the files are there again: nothing is lost any more
        forget()
        whole = cube.compute()
        assert not len(eo.lost(whole))
        assert eo.lost(whole).windows == cube.data.npartitions

    def test_zarr_and_raise(self, world_store, small, small_items, tmp_path):
        found = items_at(world_store, small, small_items)
        path = found[1]["assets"]["red"]["href"].removeprefix(f"{world_store.url}/")
        world_store.set(bad={path: "404"})
        forget()
        with pytest.raises(ReadError, match="404") as caught:
            eo.load(found, small.grid, bands=["red"]).compute()
        assert caught.value.item == found[1]["id"]
        cube = eo.load(found, small.grid, bands=["red"], on_error="skip", loader="rio")
        with pytest.warns(LossWarning):
            eo.write_zarr(cube, tmp_path / "cube.zarr")
        opened = xr.open_zarr(tmp_path / "cube.zarr", consolidated=False)
        assert json.loads(opened.attrs["losses"])["granules"][0]["item"] == found[1]["id"]

    def test_who_has_no_losses_says_so(self, small, small_items):
        with pytest.raises(eo.InputError, match="on_error='skip'"):
            eo.lost(eo.load(small_items, small.grid, bands=["red"]))
        with pytest.raises(eo.InputError, match="on_error"):
            eo.plan(small_items, small.grid, bands=["red"], on_error="ignore")
        assert "listed" in repr(eo.plan(small_items, small.grid, bands=["red"], on_error="skip"))

    def test_the_command_says_what_was_lost(self, world_store, small, small_items, tmp_path):
        from click.testing import CliRunner

        from eocube.cli import main

        found = items_at(world_store, small, small_items)
        world_store.set(bad={found[1]["assets"]["nir"]["href"].removeprefix(f"{world_store.url}/"): "404"})
        forget()
        (tmp_path / "items.json").write_text(json.dumps({"type": "FeatureCollection", "features": found}))
        options = [
            "mosaic",
            "--catalog",
            str(tmp_path / "items.json"),
            "--out",
            str(tmp_path / "m.tif"),
            "--on-error",
            "skip",
        ]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", LossWarning)
            done = CliRunner().invoke(main, options)
        assert done.exit_code == 0, done.output
        assert "lost" in done.output
        assert found[1]["id"] in "".join(done.output.split())


@pytest.fixture
def cluster(monkeypatch):
    from distributed import Client, LocalCluster

    monkeypatch.setenv("EOCUBE_PATIENCE", "30")
    with (
        LocalCluster(n_workers=2, threads_per_worker=2, dashboard_address=None) as made,
        Client(made) as client,
    ):
        yield made, client


class TestCluster:
    def test_losses_come_home_from_workers(self, world_store, small, small_items, cluster, tmp_path):
        found = items_at(world_store, small, small_items)
        world_store.set(bad={found[2]["assets"]["red"]["href"].removeprefix(f"{world_store.url}/"): "404"})
        cube = eo.load(found, small.grid, bands=["red"], on_error="skip", chunk=48)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", LossWarning)
            written = eo.write_cog(cube.isel(time=0, drop=True), tmp_path / "one.tif")
            values = cube.compute()
        report = eo.lost(values)
        assert {loss.item for loss in report} == {found[2]["id"]}
        assert report.windows == cube.data.npartitions
        with rasterio.open(written) as file:
            assert found[2]["id"] in file.tags()["losses"]

    @pytest.mark.parametrize("loader", LOADERS)
    def test_a_worker_is_killed_in_a_storm(self, world_store, small, small_items, cluster, loader):
        _, client = cluster
        found = items_at(world_store, small, small_items)
        cube = eo.load(found, small.grid, bands=["red", "nir"], mask=eo.SCLMask(), chunk=32, loader=loader)
        world_store.set()
        expected = eo.composite(
            eo.load(small_items, small.grid, bands=["red", "nir"], mask=eo.SCLMask(), chunk=32), eo.Median()
        )
        expected = expected.compute(scheduler="threads")
        world_store.set(rate=0.2, seed=3, latency=0.02)
        future = client.compute(eo.composite(cube, eo.Median()))
        time.sleep(1.0)
        assert not future.done()
        os.kill(next(iter(client.run(os.getpid).values())), signal.SIGKILL)
        np.testing.assert_array_equal(future.result(timeout=120).values, expected.values)

    def test_tokens_of_two_seconds_and_none_is_shown(
        self, world_store, small, small_items, monkeypatch, tmp_path, caplog
    ):
        """A job longer than the life of a token; then every place where one could show up is searched."""
        from distributed import Client, LocalCluster

        root = Path(small.items_path).parent
        (root / "account").mkdir(exist_ok=True)
        with contextlib.suppress(FileExistsError):
            (root / "account" / "container").symlink_to(root)
        monkeypatch.setenv("EOCUBE_BLOB_HOSTS", world_store.url.removeprefix("http://"))
        monkeypatch.setenv("PC_SDK_SAS_URL", f"{world_store.url}/token")
        monkeypatch.setenv("EOCUBE_PATIENCE", "30")
        caplog.set_level(logging.DEBUG)
        found = items_at(world_store, small, small_items, "account/container/")
        for record in found:
            record["eocube:layout"] = {"signer": "planetary-computer"}
            for asset in record["assets"].values():
                asset["href"] += "?se=2001&sig=CANARY0"
        world_store.set(tokens=2.0, latency=0.15)
        world_store.stats()
        log = io.StringIO()
        handler = logging.StreamHandler(log)
        logging.getLogger().addHandler(handler)
        began = time.monotonic()
        with (
            warnings.catch_warnings(record=True) as warned,
            LocalCluster(
                n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=logging.DEBUG
            ) as made,
            Client(made) as client,
        ):
            warnings.simplefilter("always")
            cube = eo.load(
                found, small.grid, bands=["red", "nir"], mask=eo.SCLMask(), chunk=24, on_error="skip"
            )
            best = eo.composite(cube, eo.Median())
            written = [eo.write_cog(best, tmp_path / "b.tif"), eo.write_zarr(best, tmp_path / "b.zarr")]
            seconds = time.monotonic() - began
            assert not len(eo.lost(best))
            logs = str(client.get_worker_logs()) + str(client.get_scheduler_logs()) + str(client.get_events())
            world_store.set(
                tokens=2.0,
                bad={
                    found[1]["assets"]["red"]["href"]
                    .partition("?")[0]
                    .removeprefix(f"{world_store.url}/"): "503"
                },
            )
            client.run(os.environ.update, {"EOCUBE_PATIENCE": "0.5"})
            with pytest.raises(ReadError) as caught:
                eo.load(found, small.grid, bands=["red"]).compute()
            logs += str(client.get_worker_logs())
        logging.getLogger().removeHandler(handler)
        stats = world_store.stats()
        assert seconds > 3  # longer than a token lives
        assert stats["tokens"] <= 4 * (time.monotonic() - began) / 1.0 / 2 + 4
        plan = eo.plan(found, small.grid, bands=["red"], mask=eo.SCLMask())
        shown = [
            repr(cube), str(best.attrs), repr(plan), plan._repr_html_(), logs, log.getvalue(), caplog.text,
            str(caught.value), repr(caught.value), repr(caught.value.__context__), str([w.message for w in warned]),
            cloudpickle.dumps(dict(cube.__dask_graph__())), cloudpickle.dumps(plan), pickle.dumps(caught.value),
            *(path.read_bytes() for place in written for path in (place.rglob("*") if place.is_dir() else [place]) if path.is_file()),
        ]  # fmt: skip
        for text in shown:
            assert b"CANARY" not in (text if isinstance(text, bytes) else text.encode())
        expected = eo.composite(
            eo.load(small_items, small.grid, bands=["red", "nir"], mask=eo.SCLMask(), chunk=24), eo.Median()
        )
        with rasterio.open(written[0]) as file:
            np.testing.assert_array_equal(file.read(), expected.compute(scheduler="threads").values)


class TestSigners:
    @pytest.fixture(autouse=True)
    def no_tokens(self):
        signing._TOKENS.clear()
        yield
        signing._TOKENS.clear()

    @pytest.mark.parametrize("loader", LOADERS)
    def test_a_refusal_renews_the_token(self, hosted, loader, monkeypatch, tmp_path):
        """The server's clock is not ours: it refuses what we think is good."""
        from planetary_computer.settings import Settings

        (tmp_path / "account" / "container").mkdir(parents=True)
        values = faults.make(tmp_path / "account" / "container", 1)
        with store(tmp_path) as served:
            monkeypatch.setenv("EOCUBE_BLOB_HOSTS", served.url.removeprefix("http://"))
            monkeypatch.setenv("PC_SDK_SAS_URL", f"{served.url}/token")
            Settings.get.cache_clear()
            monkeypatch.setattr(signing, "_life", lambda expiry, date: 1000.0)
            served.set(tokens=1.2)
            wish = [
                Source(f"{served.url}/account/container/0.tif", signer="planetary-computer", grid=faults.GRID)
            ]
            for _ in range(3):
                np.testing.assert_array_equal(loader_named(loader)(wish, faults.GRID)[0], values[0])
                time.sleep(1.4)
            stats = served.stats()
            assert stats["tokens"] == 3
            assert stats["refused"] >= 2
        Settings.get.cache_clear()

    def test_where_tokens_go(self):
        for href in (
            "http://a.blob.core.windows.net/c/x.tif", "https://evil.net/c/x.tif", "https://abc.blob.core.windows.net.evil.net/c/x.tif",
            "https://abc.blob.core.windows.net@evil.net/c/x.tif", "https://ai4edatasetspublicassets.blob.core.windows.net/c/x.tif",
            "https://evil.net/abc.blob.core.windows.net/x.tif", "https://abc.blob.core.windows.net:444/c/x.tif",
        ):  # fmt: skip
            assert signing._container(href) is None, href
        assert signing._container("https://abc.blob.core.windows.net/c/x.tif") == ("abc", "c")

    def test_netrc_and_headers(self, tmp_path, monkeypatch):
        (tmp_path / "netrc").write_text("machine data.example.org login me password SECRET\n")
        monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
        found = signing.headers_for("https://data.example.org/x.tif", "basic")
        assert found == {"Authorization": "Basic bWU6U0VDUkVU"}
        with pytest.raises(signing.Unsigned, match=r"no entry for other\.example\.org"):
            signing.headers_for("https://other.example.org/x.tif", "basic")
        with pytest.raises(signing.Unsigned, match="https is needed"):
            signing.headers_for("http://data.example.org/x.tif", "basic")
        monkeypatch.setenv("EOCUBE_HTTP_HEADERS", '{"data.example.org": {"Authorization": "Bearer T"}}')
        assert signing.headers_for("https://data.example.org/x.tif", "headers") == {
            "Authorization": "Bearer T"
        }
        with pytest.raises(signing.Unsigned, match="EOCUBE_HTTP_HEADERS"):
            signing.headers_for("https://data.example.org.evil.net/x.tif", "headers")
        assert access("https://data.example.org/x.tif", "headers")[1] == {
            "GDAL_HTTP_HEADERS": "Authorization: Bearer T"
        }

    @pytest.mark.parametrize("loader", LOADERS)
    def test_headers_reach_the_server(self, tmp_path, monkeypatch, loader):
        from .servers import Quiet, serving

        values, asked = faults.make(tmp_path, 1), []

        class Handler(Quiet):
            def do_GET(self):
                asked.append(self.headers["Authorization"])
                content = (tmp_path / "0.tif").read_bytes()
                first, last = (int(n) for n in self.headers["Range"].removeprefix("bytes=").split("-"))
                body = content[first : last + 1]
                # A refusal with a body that is no text is understood as well.
                self.send_response(206 if asked[-1] == "Bearer SECRET" else 401)
                self.send_header("Content-Range", f"bytes {first}-{first + len(body) - 1}/{len(content)}")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        with serving(Handler) as url:
            wish = [Source(f"{url}/0.tif", "S2A", "red", signer="headers", grid=faults.GRID)]
            with pytest.raises(ReadError, match="could not be signed: EOCUBE_HTTP_HEADERS"):
                loader_named(loader)(wish, faults.GRID)
            monkeypatch.setenv("EOCUBE_HTTP_HEADERS", '{"127.0.0.1": {"Authorization": "Bearer WRONG"}}')
            with pytest.raises(ReadError, match="401") as caught:
                loader_named(loader)(wish, faults.GRID)
            assert "WRONG" not in str(caught.value)
            monkeypatch.setenv("EOCUBE_HTTP_HEADERS", '{"127.0.0.1": {"Authorization": "Bearer SECRET"}}')
            np.testing.assert_array_equal(loader_named(loader)(wish, faults.GRID)[0], values[0])

    def test_s3_options(self):
        assert signing.s3_options("s3:anonymous, region=us-west-2") == {
            "anonymous": "",
            "region": "us-west-2",
        }
        assert access("s3://b/x.tif", "s3:requester-pays,region=r") == (
            "s3://b/x.tif", {"AWS_REGION": "r", "AWS_REQUEST_PAYER": "requester"},
        )  # fmt: skip
        for wrong in ("pc", "s3:key=abc", "basic:me"):
            with pytest.raises(CatalogError, match="not known"):
                eo.Catalog("mine", "", signer=wrong)

    def test_gdal_is_not_given_a_token_in_a_path(self, monkeypatch):
        monkeypatch.setattr(signing._TOKENS, "get", lambda place: "sv=1&sig=CANARY")
        name, options = access("https://abc.blob.core.windows.net/c/a/x.tif", "planetary-computer")
        assert name == "/vsiaz/c/a/x.tif"
        assert options == {"AZURE_STORAGE_ACCOUNT": "abc", "AZURE_STORAGE_SAS_TOKEN": "sv=1&sig=CANARY"}
