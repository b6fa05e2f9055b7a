"""Signing: at the read, never before."""

from __future__ import annotations

from copy import deepcopy

import cloudpickle
import pytest

import eocube as eo
from eocube import signing

from .servers import token_endpoint

BLOB = "https://sentinel2l2a01.blob.core.windows.net/sentinel2-l2/33/T/B04.tif"


@pytest.fixture
def tokens(monkeypatch):
    from planetary_computer.settings import Settings

    with token_endpoint() as (url, asked):
        monkeypatch.setenv("PC_SDK_SAS_URL", f"{url}/token")
        Settings.get.cache_clear()
        signing._TOKENS.clear()
        yield asked
    Settings.get.cache_clear()
    signing._TOKENS.clear()


def test_signed_by_the_real_package(tokens):
    signed = signing.sign(BLOB, "planetary-computer")
    assert signed == f"{BLOB}?se=2099&sig=TOKEN1"
    signing.sign(BLOB.replace("B04", "B08"), "planetary-computer")
    assert len(tokens) == 1  # cached for the container


def test_an_old_token_is_stripped_first(tokens):
    assert signing.sign(f"{BLOB}?se=2001&sig=OLD", "planetary-computer").endswith("sig=TOKEN1")


def test_other_hrefs_are_left_alone(tokens):
    for href in ("/data/B04.tif", "https://example.org/B04.tif"):
        assert signing.sign(href, "planetary-computer") == href
        assert signing.sign(href, "") == href
    assert not tokens


def test_unsigned_and_shown():
    assert signing.unsigned(f"{BLOB}?x=1&sv=2&sig=S") == f"{BLOB}?x=1"
    assert signing.unsigned(BLOB) == BLOB
    assert signing.shown("https://user:pw@host/x.tif?sig=S#f") == "https://host/x.tif"
    assert signing.shown("/data/a?b.tif") == "/data/a?b.tif"


def test_no_token_in_plan_graph_or_repr(small, small_items):
    found = [deepcopy(item.to_dict(include_self_link=False, transform_hrefs=False)) for item in small_items]
    for record in found:
        record["properties"].pop("earthsearch:boa_offset_applied", None)
        record["assets"] = {
            "B04": {**record["assets"]["red"], "href": f"{BLOB}?se=2001&sig=CANARY"},
            "SCL": {**record["assets"]["scl"], "href": f"{BLOB}?se=2001&sig=CANARY"},
        }
    made = eo.plan(found, small.grid, bands=["red"], mask=eo.SCLMask())
    cube = eo.load(made)
    graph = cloudpickle.dumps(dict(cube.__dask_graph__()))
    for text in (repr(made), made._repr_html_(), repr(cube), str(cube.attrs), cloudpickle.dumps(made), graph):
        assert b"CANARY" not in (text if isinstance(text, bytes) else text.encode())
    assert {s.signer for scene in made.scenes for g in scene.granules for s in g.sources.values()} == {
        "planetary-computer"
    }
