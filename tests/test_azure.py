"""Files on Azure: signed as Planetary Computer signs them, by key, by token, or by nobody."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

import eocube as eo
from eocube.errors import ReadError
from eocube.loaders import places

from .servers import Quiet, serving
from .services import azure, nginx, proxies
from .test_cog import COG, OWN, RIO, box, source, write

pytestmark = pytest.mark.servers

ACCOUNT = "sentinel2l2a01"
WHOLE = box(rows=500, columns=500)
READERS = pytest.mark.parametrize("loader", [OWN, COG, RIO], ids=["blocks", "cog", "rio"])


@pytest.fixture(scope="module")
def blobs(tmp_path_factory, small):
    """A container of everybody, and one that needs a token or the key."""
    path = tmp_path_factory.mktemp("azure") / "B04.tif"
    values = write(path, (500, 500), predictor=2, blockxsize=128, blockysize=128)
    with azure.serving(ACCOUNT) as server:
        world = {
            f"w/{file.relative_to(small.path)}": file
            for file in small.items_path.rglob("*.tif") if file.stem in ("B04", "B08", "SCL")
        }  # fmt: skip
        server.fill("open", {"33/T/B04.tif": path}, public=True)
        # GDAL remembers for a while who was refused: a file for each test.
        names = ("none", "url", "scheme", "key", "sas", "old", "young")
        server.fill("sentinel2-l2", {**{f"{name}/B04.tif": path for name in names}, **world}, public=False)
        yield server, values


@pytest.fixture(autouse=True)
def env(monkeypatch):
    """Set environment variables, after all others of Azure were taken away."""
    for name in ("STORAGE_CONNECTION_STRING", "STORAGE_ACCOUNT", "STORAGE_ACCESS_KEY", "STORAGE_SAS_TOKEN", "NO_SIGN_REQUEST"):
        monkeypatch.delenv(f"AZURE_{name}", raising=False)

    def given(**values):
        for name, value in values.items():
            monkeypatch.setenv(name, value)

    return given


@READERS
def test_a_token_in_the_address(blobs, loader):
    server, values = blobs
    href = f"{server.endpoint}/sentinel2-l2/url/B04.tif?{server.token('sentinel2-l2')}"
    np.testing.assert_array_equal(loader([source(href)] * 2, WHOLE), [values] * 2)


@READERS
def test_an_open_container(blobs, env, loader):
    server, values = blobs
    np.testing.assert_array_equal(loader([source(f"{server.endpoint}/open/33/T/B04.tif")], WHOLE)[0], values)
    env(AZURE_STORAGE_CONNECTION_STRING=server.connection("X=y"), AZURE_NO_SIGN_REQUEST="YES")
    for href in ("az://open/33/T/B04.tif", f"abfs://open@{ACCOUNT}.dfs.core.windows.net/33/T/B04.tif"):
        np.testing.assert_array_equal(loader([source(href)], WHOLE)[0], values)


@READERS
@pytest.mark.parametrize("href", ["az://sentinel2-l2/{}/B04.tif", f"abfs://sentinel2-l2@{ACCOUNT}.dfs.core.windows.net/{{}}/B04.tif"])
def test_schemes_with_key_and_with_token(blobs, env, loader, href):
    server, values = blobs
    env(AZURE_STORAGE_CONNECTION_STRING=server.connection(f"AccountKey={azure.KEY}"))
    np.testing.assert_array_equal(loader([source(href.format("key"))], WHOLE)[0], values)
    token = server.token("sentinel2-l2")
    env(AZURE_STORAGE_CONNECTION_STRING=server.connection(f"SharedAccessSignature={token}"))
    np.testing.assert_array_equal(loader([source(href.format("sas"))], WHOLE)[0], values)
    env(AZURE_STORAGE_CONNECTION_STRING=server.connection("X=y"))
    np.testing.assert_array_equal(loader([source(f"{href.format('scheme')}?{token}")], WHOLE)[0], values)


@READERS
@pytest.mark.parametrize("token", ["", "old", "garbled"])
def test_refused(blobs, loader, token):
    server, _ = blobs
    said = {"": "", "old": server.token("sentinel2-l2", -60), "garbled": "sv=2018-11-09&sr=c&sp=rl&sig=CANARY"}[token]
    with pytest.raises(ReadError, match=r"none/B04\.tif.*(403|404|Forbidden|[Aa]uth)") as caught:
        loader([source(f"{server.endpoint}/sentinel2-l2/none/B04.tif?{said}")], WHOLE)
    text = str(caught.value) + repr(caught.value.__cause__) + repr(caught.value.__context__)
    assert "sig=" not in text


class TestPlanetaryComputer:
    """Hrefs, signer and token endpoint as they are; only the way to the account leads to loopback."""

    @pytest.fixture
    def tokens(self, blobs, env, monkeypatch):
        """A token endpoint for the account, and a proxy that finds the account; yields what was asked."""
        from planetary_computer import sas
        from planetary_computer.settings import Settings

        server, _ = blobs
        asked = []

        class Tokens(Quiet):
            def do_GET(self):
                asked.append(self.path)
                container = self.path.split("?")[0].rsplit("/", 1)[-1]
                self.answer({"msft:expiry": azure.moment(3600), "token": server.token(container)})

        way = f"location / {{ proxy_pass {server.url}/{ACCOUNT}$request_uri; proxy_set_header Host 127.0.0.1; }}"
        with (
            serving(Tokens) as url,
            nginx.serving(way, tls=" ssl", name=f"{ACCOUNT}.blob.core.windows.net") as gate,
            proxies.leading_to(int(gate.url.rpartition(":")[2])) as (proxy, hosts),
        ):
            env(https_proxy=proxy, no_proxy="127.0.0.1,localhost", PC_SDK_SAS_URL=f"{url}/token")
            env(SSL_CERT_FILE=str(gate.place / "ca.crt"), GDAL_CURL_CA_BUNDLE=str(gate.place / "ca.crt"))
            monkeypatch.setattr(places, "_STATE", places._State())  # the kept stores know another proxy
            Settings.get.cache_clear()
            sas.TOKEN_CACHE.clear()
            yield asked
            assert set(hosts) <= {f"{ACCOUNT}.blob.core.windows.net:443"}
        Settings.get.cache_clear()
        sas.TOKEN_CACHE.clear()

    @READERS
    def test_signed_when_it_is_opened(self, blobs, tokens, loader):
        href = f"https://{ACCOUNT}.blob.core.windows.net/sentinel2-l2/young/B04.tif"
        wish = source(href, signer="planetary-computer")
        np.testing.assert_array_equal(loader([wish, wish], WHOLE), [blobs[1]] * 2)
        assert len(tokens) <= 1  # none, where a token is still kept

    @READERS
    def test_an_expired_token_in_the_item_does_not_matter(self, blobs, tokens, loader):
        old = blobs[0].token("sentinel2-l2", -60)
        href = f"https://{ACCOUNT}.blob.core.windows.net/sentinel2-l2/old/B04.tif?{old}"
        np.testing.assert_array_equal(loader([source(href, signer="planetary-computer")], WHOLE)[0], blobs[1])

    @pytest.mark.parametrize("loader", ["cog", "rio"])
    def test_the_cube_is_that_of_the_disk(self, blobs, tokens, small, small_items, loader, tmp_path):
        place = f"https://{ACCOUNT}.blob.core.windows.net/sentinel2-l2/w"
        said = json.dumps(small_items.to_dict()).replace(str(small.path), place)
        (tmp_path / "items.json").write_text(said)
        signed = replace(eo.EARTH_SEARCH.at(tmp_path / "items.json"), signer="planetary-computer")
        options = {"bands": ["red", "nir"], "mask": eo.SCLMask(), "loader": loader, "verify_offset": False}
        found = eo.load(eo.search(signed), small.grid, **options).compute()
        assert found.identical(eo.load(small_items, small.grid, **options).compute())
        assert {path.split("?")[0] for path in tokens} <= {f"/token/{ACCOUNT}/sentinel2-l2"}
