"""Files behind nginx: the same pixels as on the disk, or an error that says why."""

from __future__ import annotations

import json

import numpy as np
import pytest

import eocube as eo
from eocube.errors import ReadError
from eocube.loaders import ranges

from .services import nginx
from .test_cog import COG, OWN, RIO, box, source, write

pytestmark = pytest.mark.servers

WHOLE = box(rows=1000, columns=1000)
LOADERS = pytest.mark.parametrize("loader", [COG, RIO], ids=["cog", "rio"])


@pytest.fixture(scope="module")
def hosted(tmp_path_factory):
    """A folder with a file of 64 blocks; and its pixels."""
    folder = tmp_path_factory.mktemp("hosted")
    values = write(folder / "B04.tif", (1000, 1000), predictor=2, blockxsize=128, blockysize=128, overviews=[2, 4])
    write(folder / "strips.tif", (300, 300), compress="packbits", tiled=False, blockysize=16)
    return folder, values


@pytest.fixture
def served(hosted):
    """Start nginx with the folder as its root and more directives."""
    running = []

    def start(directives="", **options):
        running.append(nginx.serving(f"root {hosted[0]}; {directives}", **options))
        return running[-1].__enter__()

    yield start
    for server in running:
        server.__exit__(None, None, None)


class TestWorld:
    @pytest.fixture(scope="class")
    def remote(self, small, small_items):
        """The Items of the small world with the hrefs of a server."""
        with nginx.serving(f"root {small.path};") as server:
            records = [item.to_dict(include_self_link=False) for item in small_items]
            yield server, json.loads(json.dumps(records).replace(str(small.path), server.url))

    @pytest.mark.parametrize("loader", ["cog", "rio"])
    @pytest.mark.parametrize("resolution", [10, 20, 37])
    def test_the_cube_is_that_of_the_disk(self, small, small_items, remote, loader, resolution):
        grid = eo.grid_for(small.bbox, resolution=resolution)
        options = {"bands": ["red", "nir", "swir16", "scl"], "mask": eo.SCLMask().dilate(metres=40), "loader": loader}
        found, expected = (eo.load(items, grid, **options).compute() for items in (remote[1], small_items))
        assert found.identical(expected)
        assert found.sel(band="red").notnull().any()

    def test_by_byte_ranges(self, remote, small):
        server, records = remote
        before = len(server.asked())
        eo.load(records, small.grid, bands=["green"]).compute()
        asked = server.asked()[before:]
        assert {(status, path.endswith("B03.tif")) for status, _, path in asked} == {(206, True)}


class TestBlocks:
    @LOADERS
    def test_a_part_is_fetched_not_the_file(self, served, hosted, loader):
        server = served()
        found = loader([source(f"{server.url}/B04.tif")], box(2000, 2000, 90, 90))
        np.testing.assert_array_equal(found[0], hosted[1][200:290, 200:290])
        asked = server.asked()
        assert all(status == 206 for status, span, _ in asked if span != "-")  # GDAL asks once for the size
        assert len(asked) <= 8

    @LOADERS
    @pytest.mark.parametrize("pixel", [10, 40, 23])
    def test_overviews_and_resampling(self, served, hosted, loader, pixel):
        geobox = box(30, 70, 100, 100, pixel)
        found = loader([source(f"{served().url}/B04.tif")], geobox)
        np.testing.assert_array_equal(found, RIO([source(hosted[0] / "B04.tif")], geobox))

    @LOADERS
    def test_what_only_gdal_reads(self, served, hosted, loader):
        found = loader([source(f"{served().url}/strips.tif")], box(rows=300, columns=300))
        np.testing.assert_array_equal(found, RIO([source(hosted[0] / "strips.tif")], box(rows=300, columns=300)))


KINDS = {
    "gzip": "gzip on; gzip_types *; gzip_min_length 1; gzip_proxied any;",
    "connections are closed": "keepalive_timeout 0;",
    "neither etag nor date": "etag off; add_header Last-Modified ''; if_modified_since off;",
    "slow": "limit_rate 2m;",
    "301": "rewrite ^/old/(.*)$ /$1 permanent;",
    "302": "rewrite ^/old/(.*)$ /$1 redirect;",
    "307": "location /old/ { return 307 /B04.tif; }",
    "308": "location /old/ { return 308 /B04.tif; }",
    "a chain": "rewrite ^/old/(.*)$ /older/$1 redirect; rewrite ^/older/(.*)$ /$1 permanent;",
}


class TestHabits:
    """What servers do, and a reader has to bear."""

    @LOADERS
    @pytest.mark.parametrize("kind", KINDS)
    def test_right_pixels(self, served, hosted, loader, kind):
        server = served(KINDS[kind])
        path = "old/B04.tif" if "/old/" in KINDS[kind] else "B04.tif"
        found = loader([source(f"{server.url}/{path}?a=b")] * 2, WHOLE)
        np.testing.assert_array_equal(found, [hosted[1]] * 2)

    @LOADERS
    def test_at_least_four_connections(self, served, hosted, loader):
        server = served("limit_conn all 4;", zones="limit_conn_zone $server_port zone=all:1m;")
        sources = [source(f"{server.url}/B04.tif?{number}") for number in range(12)]
        found = loader(sources, box(rows=300, columns=300))
        assert (found == hosted[1][:300, :300]).all()

    @LOADERS
    @pytest.mark.parametrize("status", [503, 429])
    def test_a_rate_is_borne(self, served, hosted, loader, status):
        server = served(
            f"limit_req zone=all burst=4 nodelay; limit_req_status {status};",
            zones="limit_req_zone $server_port zone=all:1m rate=40r/s;",
        )
        found = loader([source(f"{server.url}/B04.tif?{number}") for number in range(6)], WHOLE)
        assert (found == hosted[1]).all()
        assert {said for said, _, _ in server.asked()} <= {200, 206, status}

    def test_no_ranges_of_a_small_file(self, served, hosted):
        server = served("max_ranges 0;")
        np.testing.assert_array_equal(OWN([source(f"{server.url}/B04.tif")], WHOLE)[0], hosted[1])
        try:
            found, said = RIO([source(f"{server.url}/B04.tif")], WHOLE)[0], "B04.tif"
        except ReadError as error:  # GDAL may give up, but not silently
            found, said = hosted[1], str(error)
        np.testing.assert_array_equal(found, hosted[1])
        assert "B04.tif" in said

    def test_no_ranges_of_a_large_file(self, served, monkeypatch):
        monkeypatch.setattr(ranges, "_SMALL", 1000)
        server = served("max_ranges 0;")
        with pytest.raises(ReadError, match=r"B04\.tif.*ignores byte ranges"):
            OWN([source(f"{server.url}/B04.tif")], WHOLE)


REFUSALS = {
    "404": ("return 404;", "404"),
    "403": ("return 403;", "403"),
    "410": ("return 410;", "410"),
    "login": ("auth_basic closed; auth_basic_user_file {place}/none;", "401|403"),
    "round and round": ("rewrite ^ /again$uri redirect;", "redirect|302|error|HTTP"),
}


class TestRefusals:
    """What cannot be read is said, with the file's name and the server's word."""

    @LOADERS
    @pytest.mark.parametrize("kind", REFUSALS)
    def test_said(self, served, loader, kind):
        directives, said = REFUSALS[kind]
        with pytest.raises(ReadError, match=rf"(?s)'red'.*item-1.*B04\.tif.*({said})"):
            loader([source(f"{served(directives).url}/B04.tif?sig=CANARY")], WHOLE)

    @LOADERS
    def test_a_page_instead_of_a_file(self, served, loader):
        server = served("default_type text/html; location / { return 200 '<html>please log in</html>'; }")
        with pytest.raises(ReadError, match=r"B04\.tif"):
            loader([source(f"{server.url}/B04.tif")], WHOLE)

    @LOADERS
    def test_a_server_that_is_gone(self, served, hosted, loader):
        with nginx.serving(f"root {hosted[0]};") as server:
            loader([source(f"{server.url}/B04.tif")], box())
        with pytest.raises(ReadError, match=r"B04\.tif"):
            loader([source(f"{server.url}/B04.tif")], WHOLE)


class TestPasswords:
    @pytest.fixture
    def closed(self, hosted, served, tmp_path):
        server = served("auth_basic closed; auth_basic_user_file {place}/passwords;")
        (server.place / "passwords").write_text(nginx.encoded("ann", "CANARY"))
        return server.url.removeprefix("http://")

    @LOADERS
    def test_in_the_address(self, closed, hosted, loader):
        np.testing.assert_array_equal(loader([source(f"http://ann:CANARY@{closed}/B04.tif")], WHOLE)[0], hosted[1])

    @LOADERS
    @pytest.mark.parametrize("who", ["", "ann:wrong-CANARY@", "bob:CANARY@"])
    def test_wrong_or_none(self, closed, loader, who):
        with pytest.raises(ReadError, match="401") as caught:
            loader([source(f"http://{who}{closed}/B04.tif")], WHOLE)
        assert "CANARY" not in str(caught.value) + repr(caught.value.__cause__) + repr(caught.value.__context__)

    @LOADERS
    def test_in_the_environment(self, closed, hosted, loader, monkeypatch):
        monkeypatch.setenv("GDAL_HTTP_AUTH", "BASIC")
        monkeypatch.setenv("GDAL_HTTP_USERPWD", "ann:CANARY")
        np.testing.assert_array_equal(loader([source(f"http://{closed}/B04.tif")], WHOLE)[0], hosted[1])

    @LOADERS
    def test_a_header(self, served, hosted, loader, monkeypatch):
        server = served("if ($http_x_key != CANARY) { return 403; }")
        with pytest.raises(ReadError, match="403"):
            loader([source(f"{server.url}/B04.tif")], WHOLE)
        monkeypatch.setenv("GDAL_HTTP_HEADERS", "X-Key: CANARY")
        np.testing.assert_array_equal(loader([source(f"{server.url}/B04.tif?1")], WHOLE)[0], hosted[1])


class TestTls:
    @LOADERS
    def test_a_certificate_of_nobody_is_refused(self, served, loader):
        server = served(tls=" ssl")
        with pytest.raises(ReadError, match=r"B04\.tif"):
            loader([source(f"{server.url}/B04.tif")], WHOLE)
        assert not server.asked()

    @LOADERS
    def test_one_that_the_machine_trusts(self, served, hosted, loader, monkeypatch):
        server = served(tls=" ssl")
        monkeypatch.setenv("SSL_CERT_FILE", str(server.place / "ca.crt"))
        monkeypatch.setenv("GDAL_CURL_CA_BUNDLE", str(server.place / "ca.crt"))
        np.testing.assert_array_equal(loader([source(f"{server.url}/B04.tif")], WHOLE)[0], hosted[1])
