"""Items of strangers: what they may not point at is refused before anything is opened."""

from __future__ import annotations

import json
from contextlib import suppress
from copy import deepcopy
from pathlib import Path

import pytest

import eocube as eo
from eocube.errors import ItemsError, ReadError, UntrustedError
from eocube.loaders.base import Source, loader_named
from eocube.trust import check_href, settled

from .servers import Quiet, serving

AFAR = "https://93.184.216.34/stac"


@pytest.fixture(scope="module")
def features(small):
    found = [item.to_dict(include_self_link=False, transform_hrefs=False) for item in small.items()]
    return [{**feature, "links": []} for feature in found]


REFUSED = {
    "file url": ("file:///etc/passwd", "no files of this machine"),
    "absolute path": ("/etc/passwd", "no files of this machine"),
    "windows path": ("C:\\Windows\\win.ini", "backslashes"),
    "unc path": ("\\\\server\\share\\x.tif", "backslashes"),
    "climbing": ("../../../etc/passwd", "no files of this machine"),
    "climbing url": ("https://93.184.216.34/a/../../b.tif", r"climbs out of its folder"),
    "climbing url, encoded": ("https://93.184.216.34/a/%2e%2e/b.tif", r"climbs"),
    "climbing url, encoded twice": ("https://93.184.216.34/a/%252e%252e/b.tif", r"climbs"),
    "climbing bucket": ("s3://bucket/../other/b.tif", "climbs"),
    "vsi": ("/vsicurl/http://93.184.216.34/x.tif", "no files of this machine"),
    "vsizip": ("/vsizip//etc/x.zip/x.tif", "no files"),
    "vsi in a url": ("https://93.184.216.34/vsicurl/x.tif", "GDAL"),
    "vrt": ("https://93.184.216.34/x.vrt", "a description that may open anything"),
    "vrt with query": ("https://93.184.216.34/x.VRT?a=b", "a description"),
    "vrt scheme": ("vrt:///etc/passwd", "only web addresses"),
    "inline vrt": ("<VRTDataset rasterXSize='1'/>", "blanks"),
    "zip scheme": ("zip+file:///x.zip!x.tif", "only web addresses"),
    "ftp": ("ftp://93.184.216.34/x.tif", "only web addresses"),
    "data": ("data:image/tiff;base64,AAAA", "only web addresses"),
    "gdal driver": ("NETCDF:/etc/x.nc", "only web addresses"),
    "loopback": ("http://127.0.0.1/x.tif", "a loopback address"),
    "loopback name": ("http://localhost:8080/x.tif", "a loopback address"),
    "loopback 6": ("http://[::1]/x.tif", "a loopback address"),
    "loopback mapped": ("http://[::ffff:127.0.0.1]/x.tif", "a loopback address"),
    "loopback decimal": ("http://2130706433/x.tif", "a loopback address"),
    "loopback hex": ("http://0x7f.1/x.tif", "a loopback address"),
    "loopback octal": ("http://0177.0.0.1/x.tif", "a loopback address"),
    "any": ("http://0.0.0.0/x.tif", "a loopback address"),
    "metadata service": ("http://169.254.169.254/latest/meta-data", "a link-local address"),
    "metadata decimal": ("http://2852039166/x.tif", "a link-local address"),
    "metadata nat64": ("http://[64:ff9b::a9fe:a9fe]/x.tif", "a link-local address"),
    "metadata name": ("http://metadata.google.internal/x.tif", "a private address"),
    "private": ("https://10.0.0.7/x.tif", "a private address"),
    "private 6": ("https://[fd00::1]/x.tif", "a private address"),
    "user": ("https://example.org@93.184.216.34/x.tif", "a user name"),
    "crlf": ("https://93.184.216.34/x.tif\r\nHost: x", "control characters"),
    "no host": ("https:///x.tif", "no host"),
    "bad port": ("https://93.184.216.34:port/x.tif", "not a url"),
}


def made(features, href, **fields):
    record = deepcopy(features[0])
    record["assets"]["red"]["href"] = href
    return record | {"eocube:origin": AFAR} | fields


@pytest.mark.parametrize(("href", "message"), REFUSED.values(), ids=REFUSED)
class TestHrefs:
    def test_refused_when_planned(self, features, small, href, message):
        record = made(features, href, links=[{"rel": "self", "href": f"{AFAR}/items/x"}])
        with pytest.raises(UntrustedError, match=f"Asset 'red' of Item .*{message}.*trust=True"):
            eo.plan([record], small.grid, bands=["red"])

    def test_allowed_by_one_switch(self, features, small, href, message):
        record = made(features, href, links=[{"rel": "self", "href": f"{AFAR}/items/x"}])
        record["eocube:origin"] = "trusted"
        assert eo.plan([record], small.grid, bands=["red"])


@pytest.mark.parametrize(
    "href",
    [
        "https://sentinel-cogs.s3.us-west-2.amazonaws.com/sentinel-s2-l2a-cogs/33/T/TN/2021/6/x/B04.tif",
        "https://sentinel2l2a01.blob.core.windows.net/sentinel2-l2/13/T/DE/x_B04_10m.tif?sig=a%2Fb",
        "s3://eodata/Sentinel-2/MSI/L2A/2020/07/05/x_B04_10m.jp2",
        "https://example.org/x.tif",
    ],
)
def test_what_real_catalogs_hold_is_allowed(href):
    check_href(href, AFAR)


class TestWhereItTravels:
    """The origin is noted by the search, and kept through lists and files."""

    def test_through_an_api(self, serve, features, small, tmp_path):
        with serve(features) as (url, _):
            found = eo.search(url, small.bbox)
            trusted = eo.search(eo.Catalog("mine", url, trust=True), small.bbox)
        found.save_object(str(tmp_path / "kept.json"))
        for items in (found, list(found), found.to_dict(), eo.search(tmp_path / "kept.json")):
            with pytest.raises(UntrustedError, match=r"from http://127\.0\.0\.1:\d+ points at '/.*B04\.tif'"):
                eo.plan(items, small.grid, bands=["red"])
        trusted.save_object(str(tmp_path / "trusted.json"))
        for items in (trusted, trusted.to_dict(), eo.search(tmp_path / "trusted.json")):
            assert eo.plan(items, small.grid, bands=["red"])

    def test_an_api_cannot_trust_itself(self, serve, features, small):
        said = [
            {**f, "eocube:origin": "trusted", "eocube:layout": {"signer": "planetary-computer"}}
            for f in features
        ]
        with serve(said) as (url, _):
            found = eo.search(url, small.bbox)
        assert all("eocube:layout" not in item.extra_fields for item in found)
        with pytest.raises(UntrustedError):
            eo.plan(found, small.grid, bands=["red"])

    def test_items_of_another_client(self, features, small):
        """Their links say where they are from."""
        record = deepcopy(features[0]) | {"links": [{"rel": "self", "href": f"{AFAR}/items/x"}]}
        with pytest.raises(UntrustedError):
            eo.plan([record], small.grid, bands=["red"])

    def test_local_items_hold_local_paths(self, features, small, small_items):
        assert eo.plan(small_items, small.grid, bands=["red"])
        assert eo.plan(features, small.grid, bands=["red"])

    def test_loopback_catalog_loopback_files(self, features, small):
        record = made(features, "http://127.0.0.1:8/B04.tif") | {"eocube:origin": "http://localhost:9/"}
        assert eo.plan([record], small.grid, bands=["red"])
        record = made(features, "http://169.254.169.254/B04.tif") | {"eocube:origin": "http://localhost:9/"}
        with pytest.raises(UntrustedError, match="link-local"):
            eo.plan([record], small.grid, bands=["red"])


@pytest.mark.parametrize("name", ["../../evil", "a/b", "a\\b", "..", "a\x00b", "a\nb", "x" * 300])
def test_ids(features, small, name):
    record = made(features, "https://example.org/x.tif", id=name)
    with pytest.raises(UntrustedError, match=r"holds what no file name may .*trust=True"):
        eo.plan([record], small.grid, bands=["red"])
    assert eo.plan([record | {"eocube:origin": "trusted"}], small.grid, bands=["red"])


@pytest.mark.parametrize("origin", [AFAR, ""])
def test_absurd_shapes(features, small, origin):
    record = made(features, "https://example.org/x.tif", **{"eocube:origin": origin})
    record["assets"]["red"]["proj:shape"] = [10**9, 10**9]
    record["assets"]["red"].setdefault("proj:transform", [10, 0, 300000, 0, -10, 5300040])
    with pytest.raises(UntrustedError, match=r"claims a proj:shape of \(1000000000, 1000000000\)"):
        eo.plan([record], small.grid, bands=["red"])
    assert eo.plan([record | {"eocube:origin": "trusted"}], small.grid, bands=["red"])


class TestVrt:
    """A web address whose bytes are a VRT that reads a file of this machine."""

    @pytest.mark.parametrize("loader", ["cog", "rio"])
    def test_is_not_opened(self, small, small_items, loader):
        secret = small_items[0].assets["red"].href
        vrt = (
            '<VRTDataset rasterXSize="9" rasterYSize="9"><VRTRasterBand dataType="UInt16" band="1"><SimpleSource>'
            f"<SourceFilename>{secret}</SourceFilename></SimpleSource></VRTRasterBand></VRTDataset>"
        )

        class Handler(Quiet):
            def do_GET(self):
                self.answer(vrt)

            do_HEAD = do_GET

        with serving(Handler) as url:
            source = Source(f"{url}/B04.tif", "x", "red", origin=url)
            with pytest.raises(ReadError, match="Item 'x'"):
                loader_named(loader)([source], small.grid)


class TestRedirects:
    """Where a file is opened, every address on the way is checked."""

    @pytest.fixture
    def redirecting(self, small_items):
        data = Path(small_items[0].assets["red"].href).read_bytes()
        to, seen = {}, []

        class Handler(Quiet):
            def do_GET(self):
                seen.append(self.path)
                if self.path in to:
                    self.send_response(302)
                    self.send_header("Location", to[self.path])
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                first, last = 0, len(data) - 1
                if asked := self.headers.get("Range"):
                    first, last = (
                        int(n) if n else len(data) - 1 for n in asked.removeprefix("bytes=").split("-")
                    )
                    last = min(last, len(data) - 1)
                self.send_response(206 if asked else 200)
                self.send_header("Content-Length", str(last - first + 1))
                if asked:
                    self.send_header("Content-Range", f"bytes {first}-{last}/{len(data)}")
                self.send_header("ETag", '"1"')
                self.end_headers()
                with suppress(OSError):
                    self.wfile.write(data[first : last + 1])

        with serving(Handler) as url:
            yield url, to, seen

    @pytest.mark.parametrize("loader", ["cog", "rio", "stackstac"])
    @pytest.mark.parametrize(
        ("onward", "message"),
        [
            ("http://169.254.169.254/latest/meta-data", "link-local"),
            ("http://2852039166/", "link-local"),
            ("file:///etc/passwd", "no files of this machine"),
        ],
    )
    def test_refused(self, redirecting, small, loader, onward, message):
        url, to, _ = redirecting
        to["/B04.tif"] = f"{url}/again"
        to["/again"] = onward
        source = Source(f"{url}/B04.tif", "x", "red", origin=url)
        with pytest.raises((ReadError, UntrustedError), match=message):
            loader_named(loader)([source], small.grid)

    def test_to_loopback_from_afar(self, redirecting, monkeypatch):
        """A public name that leads to this machine, at once or by a redirect."""
        url, _, _ = redirecting
        monkeypatch.setattr(
            "eocube.trust._redirect", lambda href: f"{url}/x.tif" if "93.184" in href else None
        )
        with pytest.raises(UntrustedError, match="a loopback address"):
            settled("http://93.184.216.34/B04.tif", AFAR)
        monkeypatch.setattr("eocube.trust._addresses", lambda host: ("127.0.0.1",))
        with pytest.raises(UntrustedError, match=r"leads into a local network.*loopback"):
            settled("http://rebound.example.org/B04.tif", AFAR)

    def test_without_end(self, redirecting):
        url, to, _ = redirecting
        to["/B04.tif"] = "/B04.tif"
        with pytest.raises(UntrustedError, match="redirects more than 5 times"):
            settled(f"{url}/B04.tif", url)

    @pytest.mark.parametrize("loader", ["cog", "rio"])
    def test_a_harmless_one_is_followed(self, redirecting, small, small_items, loader):
        url, to, _ = redirecting
        to["/B04.tif"] = "/moved/B04.tif"
        here = Source(small_items[0].assets["red"].href, "x", "red")
        there = Source(f"{url}/B04.tif", "x", "red", origin=url)
        load = loader_named(loader)
        assert (load([there], small.grid) == load([here], small.grid)).all()

    def test_asked_once_per_file_and_not_for_local_items(self, redirecting):
        url, _, seen = redirecting
        for _ in range(3):
            assert settled(f"{url}/once.tif", url) == f"{url}/once.tif"
        assert seen == ["/once.tif"]
        assert settled(f"{url}/own.tif", "") == f"{url}/own.tif"
        assert seen == ["/once.tif"]

    def test_no_token_in_the_message(self, redirecting):
        url, to, _ = redirecting
        to["/B04.tif?sig=SECRET"] = "http://169.254.169.254/?sig=SECRET"
        with pytest.raises(UntrustedError, match="link-local") as caught:
            settled(f"{url}/B04.tif?sig=SECRET", url)
        assert "SECRET" not in str(caught.value)


class TestRelative:
    def test_resolved_against_the_self_link(self, small, features):
        path = small.items_path / features[0]["id"] / f"{features[0]['id']}.json"
        record = json.loads(path.read_text())
        assert not record["assets"]["red"]["href"].startswith("/")
        record["links"] = [{"rel": "self", "href": str(path)}]
        (scene,) = eo.plan([record], small.grid, bands=["red"]).scenes
        assert scene.granules[0].sources["red"].href == str(path.parent / "B04.tif")

    def test_against_a_web_address(self, small, features):
        record = made(
            features, "./B04.tif", links=[{"rel": "self", "href": "https://example.org/items/a/a.json"}]
        )
        (scene,) = eo.plan([record], small.grid, bands=["red"]).scenes
        assert scene.granules[0].sources["red"].href == "https://example.org/items/a/B04.tif"

    def test_relative_to_nothing(self, small, features):
        record = made(features, "./B04.tif") | {"eocube:origin": ""}
        with pytest.raises(
            ItemsError, match=r"relative href './B04.tif'.*no self link.*eocube.search\(path\)"
        ):
            eo.plan([record], small.grid, bands=["red"])
