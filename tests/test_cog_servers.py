"""The block reader and servers: what it asks for, and what it makes of bad answers."""

from __future__ import annotations

import os
import pickle
import re
import threading
from collections import Counter
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest

from eocube.errors import ReadError
from eocube.loaders import headers as kept
from eocube.loaders import places, ranges

from .servers import Quiet, serving
from .test_cog import COG, OWN, RIO, box, source, write


@contextmanager
def files(folder, fault=None):
    """Serve a folder with byte ranges; yields the url and what was asked.

    ``fault(handler, name, start, body)`` may answer itself (returns None) or change the body.
    """
    asked: list[tuple[str, int, int]] = []

    class Handler(Quiet):
        protocol_version = "HTTP/1.1"
        etag = '"1"'

        def do_GET(self):
            name = self.path.partition("?")[0].rsplit("/", 1)[-1]
            path = Path(folder) / name
            if not path.exists():
                self.send_response(404)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            content = path.read_bytes()
            start, stop = (
                int(n)
                for n in re.match(r"bytes=(\d+)-(\d+)", self.headers["Range"] or "bytes=0-99999999").groups()
            )
            stop = min(stop + 1, len(content))
            asked.append((self.path, start, stop))
            body = content[start:stop]
            if fault is not None:
                body = fault(self, name, start, body)
            if body is not None and not self.headers["Range"]:  # GDAL asks so for the size, and hangs up
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                with suppress(OSError):
                    self.wfile.write(body)
                self.close_connection = True
            elif body is not None:
                self.part(body, start, stop, len(content))

        def part(self, body, start, stop, size, length=None):
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{size}")
            self.send_header("Content-Length", str(len(body) if length is None else length))
            self.send_header("ETag", self.etag)
            self.end_headers()
            self.wfile.write(body)

    with serving(Handler) as url:
        yield url, asked


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setenv("EOCUBE_PATIENCE", "1.5")


@pytest.fixture
def hosted(tmp_path):
    """A file whose blocks do not fit into the first read."""
    values = write(tmp_path / "B04.tif", (1000, 1000), predictor=2, blockxsize=128, blockysize=128)
    return tmp_path, values


class TestServers:
    def test_blocks_by_http(self, hosted):
        folder, values = hosted
        with files(folder) as (url, asked):
            own = box(rows=1000, columns=1000)
            found = OWN([source(f"{url}/a/b/B04.tif", grid=own)] * 2, own)
            np.testing.assert_array_equal(found[0], values)
            np.testing.assert_array_equal(found[1], values)
            assert sum(start == 0 for _, start, _ in asked) == 2  # the header: once for both, and again as no overview vouches for it
            before = len(asked)
            OWN([source(f"{url}/a/b/B04.tif")], box(200, 200, 5, 5))
            assert len(asked) == before + 1  # the header is known; one block
            for geobox in (
                box(500, 500, 300, 300, 20.0),
                box(3, 3, 100, 100, 23.0),
                box(0, 0, 90, 90, 10, "EPSG:32632"),
            ):
                expected = RIO([source(folder / "B04.tif")], geobox)
                np.testing.assert_array_equal(OWN([source(f"{url}/B04.tif")], geobox), expected)

    def test_neighbours_are_one_request(self, hosted):
        folder, _ = hosted
        with files(folder) as (url, asked):
            OWN([source(f"{url}/B04.tif")], box(rows=1000, columns=1000))
        assert len(asked) <= 4

    def test_only_wanted_blocks_are_fetched(self, hosted):
        folder, values = hosted
        size = (folder / "B04.tif").stat().st_size
        with files(folder) as (url, asked):
            look = np.zeros((1000, 1000), dtype=bool)
            look[130:140, 700:720] = look[900, 20] = True
            nothing = np.zeros_like(look)
            found = OWN(
                [source(f"{url}/B04.tif"), source(f"{url}/gone.tif")],
                box(rows=1000, columns=1000),
                [look, nothing],
            )
            np.testing.assert_array_equal(found[0][look], values[look])
            assert not found[1].any()
            assert not any("gone" in path for path, _, _ in asked)
            assert sum(stop - start for _, start, stop in asked if start) < 0.1 * size
            assert (found[0] != 0).sum() <= 2 * 128 * 128

    def test_the_query_is_kept_and_never_shown(self, hosted):
        folder, values = hosted
        with files(folder) as (url, asked):
            found = OWN([source(f"{url}/B04.tif?sv=1&sig=a%2Bb")], box(rows=300, columns=300))
            np.testing.assert_array_equal(found[0], values[:300, :300])
            assert {path for path, _, _ in asked} == {"/B04.tif?sv=1&sig=a%2Bb"}
            with pytest.raises(ReadError, match=r"404|not found") as caught:
                OWN([source(f"{url}/gone.tif?sv=1&sig=SECRET")], box())
        assert "SECRET" not in str(caught.value)
        assert "SECRET" not in repr(caught.value.__cause__) + repr(caught.value.__context__)
        assert pickle.loads(pickle.dumps(caught.value)).item == "item-1"

    def test_range_ignored(self, hosted, monkeypatch):
        folder, values = hosted

        def whole(handler, name, start, body):
            content = (folder / name).read_bytes()
            handler.send_response(200)
            handler.send_header("Content-Length", str(len(content)))
            handler.end_headers()
            handler.wfile.write(content)

        with files(folder, whole) as (url, _):
            # A small file is taken as a whole.
            np.testing.assert_array_equal(
                OWN([source(f"{url}/B04.tif")], box(rows=99, columns=99))[0], values[:99, :99]
            )
            monkeypatch.setattr(ranges, "_SMALL", 1000)
            with pytest.raises(
                ReadError, match=r"B04\.tif: block \(row 1, column 0\): .*ignores byte ranges"
            ):
                OWN([source(f"{url}/B04.tif")], box(0, 1400, 9, 9))

    @pytest.mark.parametrize("times", [1, 99])
    @pytest.mark.parametrize("kind", ["short", "cut", "reset", "busy"])
    def test_faults(self, hosted, kind, times):
        folder, values = hosted
        seen: Counter[int] = Counter()

        def fault(handler, name, start, body):
            seen[start] += 1
            if start == 0 or seen[start] > times:
                return body
            if kind == "short":  # a whole answer, of too few bytes
                return body[:-5]
            if kind == "cut":
                handler.part(body[:100], start, start + len(body), 10**6, len(body))
            elif kind == "reset":
                handler.connection.shutdown(2)
            else:
                handler.send_response(503)
                handler.send_header("Content-Length", "0")
                handler.end_headers()
            handler.close_connection = True
            return None

        with files(folder, fault) as (url, _):
            wish = [source(f"{url}/B04.tif")], box(1400, 2600, 99, 99)
            if times == 1:
                np.testing.assert_array_equal(OWN(*wish)[0], values[260:359, 140:239])
            else:
                with pytest.raises(ReadError, match=r"B04\.tif: block \(row 2, column 1\)"):
                    OWN(*wish)

    def test_an_answer_without_end_is_left(self, hosted):
        folder, _ = hosted
        sent = []

        def fault(handler, name, start, body):
            if start == 0:
                return body
            handler.part(body, start, start + len(body), (folder / name).stat().st_size, 10**10)
            with suppress(OSError):
                for _ in range(2000):
                    handler.wfile.write(bytes(2**20))
                    sent.append(1)
            handler.close_connection = True
            return None

        with files(folder, fault) as (url, _), pytest.raises(ReadError, match=r"B04\.tif: block"):
            OWN([source(f"{url}/B04.tif")], box(1400, 2600, 99, 99))
        assert len(sent) < 200

    def test_signed_when_it_is_opened(self, hosted, monkeypatch):
        folder, values = hosted
        monkeypatch.setattr(places, "sign", lambda href, signer: f"{href}?sig=TOKEN" if signer else href)
        with files(folder) as (url, asked):
            found = OWN([source(f"{url}/B04.tif", signer="planetary-computer")], box(rows=99, columns=99))
            np.testing.assert_array_equal(found[0], values[:99, :99])
            assert all(path.endswith("?sig=TOKEN") for path, _, _ in asked)
            assert not [key for key in kept._KEPT.found if "TOKEN" in key]

    @pytest.mark.parametrize("what", ["etag", "size"])
    def test_changed_while_it_was_read(self, hosted, what):
        folder, _ = hosted

        def fault(handler, name, start, body):
            if start == 0:
                handler.etag = '"1"'  # a connection may be used again
                return body
            size = (folder / name).stat().st_size
            if what == "etag":
                handler.etag = '"2"'
            handler.part(body, start, start + len(body), size + (what == "size"))
            return None

        with (
            files(folder, fault) as (url, _),
            pytest.raises(ReadError, match=r"B04\.tif: it was changed while"),
        ):
            OWN([source(f"{url}/B04.tif")], box(1400, 2600, 99, 99))

    def test_changed_between_two_calls_is_read_anew(self, hosted):
        folder, _ = hosted
        state = ['"1"']

        def fault(handler, name, start, body):
            handler.etag = state[0]
            return body

        with files(folder, fault) as (url, _):
            wish = [source(f"{url}/B04.tif")], box(1400, 2600, 99, 99)
            OWN(*wish)
            values = write(folder / "B04.tif", (999, 999), compress="lzw", seed=5)
            state[0] = '"2"'
            np.testing.assert_array_equal(OWN(*wish)[0], values[260:359, 140:239])

    def test_a_garbled_block(self, hosted):
        folder, _ = hosted

        def fault(handler, name, start, body):
            return body if start == 0 else bytes(len(body) - 1) + b"x"

        with (
            files(folder, fault) as (url, _),
            pytest.raises(ReadError, match=r"B04\.tif: block \(row 2, column 1\)"),
        ):
            OWN([source(f"{url}/B04.tif")], box(1400, 2600, 99, 99))

    def test_gdal_reads_beside(self, hosted):
        folder, _ = hosted
        write(folder / "p.tif", (400, 400), compress="packbits")
        with files(folder) as (url, _):
            wish = [source(f"{url}/{name}") for name in ("B04.tif", "p.tif", "B04.tif")]
            np.testing.assert_array_equal(
                COG(wish, box(500, 500)),
                RIO([source(folder / n) for n in ("B04.tif", "p.tif", "B04.tif")], box(500, 500)),
            )

    def test_s3_with_its_environment(self, hosted, monkeypatch):
        folder, values = hosted
        with files(folder) as (url, asked):
            for name, value in {
                "AWS_NO_SIGN_REQUEST": "YES", "AWS_REGION": "eu-central-1", "AWS_HTTPS": "NO",
                "AWS_S3_ENDPOINT": url.removeprefix("http://"), "AWS_VIRTUAL_HOSTING": "FALSE",
            }.items():  # fmt: skip
                monkeypatch.setenv(name, value)
            found = OWN([source("s3://bucket/a/B04.tif")], box(rows=99, columns=99))
            np.testing.assert_array_equal(found[0], values[:99, :99])
            assert asked[0][0] == "/bucket/a/B04.tif"

    def test_a_forked_child_reads_with_gdal(self, hosted):
        folder, values = hosted
        with files(folder) as (url, _):
            wish = [source(f"{url}/B04.tif")], box(rows=99, columns=99)
            OWN(*wish)
            child = os.fork()
            if child == 0:
                try:
                    ok = (COG(*wish)[0] == values[:99, :99]).all() and places._STATE.forked
                    ok = ok and (OWN([source(folder / "B04.tif")], wish[1])[0] == values[:99, :99]).all()
                    os._exit(0 if ok else 1)
                except BaseException:
                    os._exit(2)
            assert os.waitpid(child, 0)[1] == 0


def test_requests_under_way_are_bounded(monkeypatch):
    running, most, lock = [0], [0], threading.Lock()

    def call(number):
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        threading.Event().wait(0.005)
        with lock:
            running[0] -= 1
        return number

    calls = ((2**20, lambda n=n: call(n)) for n in range(200))
    assert sorted(ranges.in_flight(calls)) == list(range(200))
    assert 1 < most[0] <= 32


def test_merged():
    asked = [(100_000, 100_100), (0, 50), (60, 90), (100_050, 100_200), (ranges.MERGED, 2 * ranges.MERGED)]
    assert ranges.merged(asked) == [
        ((0, 90), [1, 2]), ((100_000, 100_200), [0, 3]), ((ranges.MERGED, 2 * ranges.MERGED), [4]),
    ]  # fmt: skip
