"""Files in S3: anonymous, with one's own keys, and where the requester pays."""

from __future__ import annotations

import json

import numpy as np
import pytest

import eocube as eo
from eocube.errors import ReadError

from .services import nginx, s3
from .test_cog import COG, OWN, RIO, box, source, write

pytestmark = pytest.mark.servers

WHOLE = box(rows=500, columns=500)
READERS = pytest.mark.parametrize("loader", [OWN, COG, RIO], ids=["blocks", "cog", "rio"])


@pytest.fixture(scope="module")
def bucket(tmp_path_factory, small):
    """Two buckets, one of everybody and one of its user's; signatures are checked."""
    path = tmp_path_factory.mktemp("s3") / "B04.tif"
    values = write(path, (500, 500), predictor=2, blockxsize=128, blockysize=128)
    with s3.serving() as server:
        world = {f"w/{file.relative_to(small.path)}": file for file in small.items_path.rglob("*.tif") if file.stem in ("B04", "B08", "SCL")}
        server.fill("public", {"33/T/B04.tif": path, **world}, public=True)
        # GDAL remembers for a while who was refused: a file for each test.
        server.fill("private", {f"{name}/B04.tif": path for name in ("none", "own", "wrong", "paid")}, public=False)
        keys = server.user()
        server.check_signatures()
        yield server, keys, values


@pytest.fixture
def env(monkeypatch, tmp_path):
    """Set environment variables, after all others of AWS were taken away."""
    for name in ("KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN", "PROFILE", "REQUEST_PAYER", "NO_SIGN_REQUEST"):
        monkeypatch.delenv(f"AWS_{name}", raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("CPL_AWS_AUTODETECT_EC2", "NO")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))

    def given(values):
        for name, value in values.items():
            monkeypatch.setenv(name, value)

    return given


class TestAnonymous:
    @pytest.fixture
    def anonymous(self, bucket, env):
        server, _, values = bucket
        server.check_signatures(on=False)  # moto fails on requests without one where it checks them
        env({**server.environment, "AWS_NO_SIGN_REQUEST": "YES"})
        yield values
        server.check_signatures()

    @READERS
    def test_what_all_may_read(self, anonymous, loader):
        found = loader([source("s3://public/33/T/B04.tif")] * 2, WHOLE)
        np.testing.assert_array_equal(found, [anonymous] * 2)

    @READERS
    def test_what_not_all_may_read(self, anonymous, loader):
        with pytest.raises(ReadError, match=r"s3://private/none/B04\.tif.*(403|AccessDenied|Access Denied|Forbidden)"):
            loader([source("s3://private/none/B04.tif")], WHOLE)


@READERS
def test_own_keys(bucket, env, loader):
    server, keys, values = bucket
    env({**server.environment, **keys})
    np.testing.assert_array_equal(loader([source("s3://private/own/B04.tif")], WHOLE)[0], values)


@READERS
def test_wrong_keys_then_right_ones(bucket, env, loader):
    server, keys, values = bucket
    env({**server.environment, **keys, "AWS_SECRET_ACCESS_KEY": "CANARY"})
    with pytest.raises(ReadError, match=r"s3://private/wrong/B04\.tif.*(403|[Ss]ignature|Access)") as caught:
        loader([source("s3://private/wrong/B04.tif")], WHOLE)
    assert "CANARY" not in str(caught.value) + repr(caught.value.__cause__) + repr(caught.value.__context__)
    env(keys)
    np.testing.assert_array_equal(loader([source("s3://private/own/B04.tif")], WHOLE)[0], values)


@READERS
def test_no_such_file_or_bucket(bucket, env, loader):
    server, keys, _ = bucket
    env({**server.environment, **keys})
    for href in ("s3://private/33/T/B05.tif", "s3://nothing/B04.tif"):
        with pytest.raises(ReadError, match=rf"{href}.*(404|not found|does not exist|NoSuch)"):
            loader([source(href)], WHOLE)


@READERS
def test_requester_pays(bucket, env, loader):
    """Amazon refuses who does not say that he pays; moto does not, so nginx does it before it."""
    server, keys, values = bucket
    refuse = "if ($http_x_amz_request_payer != requester) { return 403; }"
    with nginx.serving(
        f"location / {{ {refuse} proxy_pass {server.url}; proxy_set_header Host $http_host; }}"
    ) as gate:
        env({**s3.environment(gate.url), **keys})
        with pytest.raises(ReadError, match=r"403|Access|Forbidden"):
            loader([source("s3://private/none/B04.tif")], WHOLE)
        env({"AWS_REQUEST_PAYER": "requester"})
        found = loader([source("s3://private/paid/B04.tif")], WHOLE)
        np.testing.assert_array_equal(found[0], values)


@pytest.mark.parametrize("loader", ["cog", "rio"])
def test_the_cube_is_that_of_the_disk(bucket, env, small, small_items, loader):
    server, keys, _ = bucket
    env({**server.environment, **keys})
    said = json.dumps([item.to_dict(include_self_link=False) for item in small_items])
    remote = json.loads(said.replace(str(small.path), "s3://public/w"))
    options = {"bands": ["red", "nir"], "mask": eo.SCLMask(), "loader": loader, "verify_offset": False}
    found, expected = (eo.load(items, small.grid, **options).compute() for items in (remote, small_items))
    assert found.identical(expected)
