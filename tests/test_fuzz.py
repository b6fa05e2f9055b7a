"""Items as strangers may write them: fields missing, of the wrong type, NaN, huge. Only our own errors come out.

500 examples; ``EOCUBE_FUZZ=20000 pytest tests/test_fuzz.py`` looks longer.
"""

from __future__ import annotations

import json
import os
import warnings
from contextlib import suppress
from copy import deepcopy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import eocube as eo
from eocube.errors import EocubeError

EXAMPLES = int(os.environ.get("EOCUBE_FUZZ", "500"))

HUGE = st.sampled_from(
    [1e308, -1e308, 10**30, -(10**30), 2**63, float("inf"), float("-inf"), float("nan"), "9" * 400]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6) | HUGE,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
NUMBERS = st.lists(st.floats() | st.integers(-(10**12), 10**12) | HUGE, max_size=9)
GEOMETRY = st.fixed_dictionaries(
    {
        "type": st.sampled_from(
            ["Polygon", "MultiPolygon", "Point", "GeometryCollection", "LineString", "Nonsense"]
        )
    },
    optional={"coordinates": st.lists(st.lists(NUMBERS, max_size=5), max_size=3) | JSON, "geometries": JSON},
)
RASTER = st.lists(
    st.fixed_dictionaries({}, optional={"scale": JSON | st.floats(), "offset": JSON | st.floats()}),
    max_size=2,
)
HREF = st.sampled_from(
    ["../../x", "file:///etc/passwd", "http://[::1", "", "\x00", "s3://", "//", "C:\\x", "http://0x7f.1/a"]
)
TIME = st.sampled_from(
    ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "2021-02-30", "2021", "now", ""]
)

PLACES = {
    ("id",): JSON | st.text(max_size=300),
    ("type",): JSON,
    ("links",): JSON | st.just([{"rel": "self", "href": 3}, {"rel": "self", "href": "https://x.org/a"}, 7]),
    ("geometry",): JSON | GEOMETRY,
    ("bbox",): JSON | NUMBERS,
    ("collection",): JSON,
    ("properties",): JSON,
    ("assets",): JSON,
    ("eocube:layout",): JSON
    | st.fixed_dictionaries({}, optional={"assets": JSON, "offsets": JSON, "signer": JSON}),
    ("eocube:origin",): JSON | st.just("https://93.184.216.34/"),
    ("eocube:catalog",): JSON,
    ("stac_version",): JSON,
    ("stac_extensions",): JSON,
    ("properties", "datetime"): JSON | TIME,
    ("properties", "start_datetime"): JSON | TIME,
    ("properties", "platform"): JSON,
    ("properties", "grid:code"): JSON,
    ("properties", "s2:processing_baseline"): JSON | st.text("0123456789.\u0664", max_size=6),
    ("properties", "s2:generation_time"): JSON | TIME,
    ("properties", "eo:cloud_cover"): JSON,
    ("properties", "sat:relative_orbit"): JSON,
    ("properties", "view:sun_azimuth"): JSON | st.floats(),
    ("properties", "view:sun_elevation"): JSON | st.floats(),
    ("properties", "proj:epsg"): JSON | st.integers(0, 40_000),
    ("properties", "proj:code"): JSON | st.just("EPSG:999999"),
    ("properties", "statistics"): JSON,
    ("assets", "red"): JSON,
    ("assets", "red", "href"): JSON | HREF,
    ("assets", "red", "proj:shape"): JSON | NUMBERS,
    ("assets", "red", "proj:transform"): JSON | NUMBERS,
    ("assets", "red", "raster:bands"): JSON | RASTER,
    ("assets", "red", "bands"): JSON | RASTER,
    ("assets", "scl"): JSON,
}
GONE = object()


@pytest.fixture(scope="module")
def base(small):
    found = [item.to_dict(include_self_link=False, transform_hrefs=False) for item in small.items()]
    return [{**feature, "links": []} for feature in found[:3]]


@st.composite
def damages(draw):
    where = draw(st.lists(st.sampled_from(sorted(PLACES)), min_size=1, max_size=3, unique=True))
    return {place: draw(PLACES[place] | st.just(GONE)) for place in where}


def damaged(base, changes):
    records = deepcopy(base)
    for place, value in changes.items():
        at = records[0]
        for key in place[:-1]:
            at = at.get(key) if isinstance(at, dict) else None
        if not isinstance(at, dict):
            continue
        if value is GONE:
            at.pop(place[-1], None)
        else:
            at[place[-1]] = value
    return records


@settings(max_examples=EXAMPLES)
@given(changes=damages())
def test_plan(base, small, changes):
    records = damaged(base, changes)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            made = eo.plan(records, small.grid, bands=["red"], mask=eo.SCLMask())
        except EocubeError:
            return
        assert repr(made)
        assert made._repr_html_()


@settings(max_examples=EXAMPLES)
@given(changes=damages())
def test_search_and_choose(base, small, changes):
    records = damaged(base, changes)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with suppress(EocubeError):
            found = eo.search(
                records, small.bbox, "2021/2022", max_cloud=99, platform="S2A", orbit="descending"
            )
            assert repr(found)
            assert len(eo.best(found, n=2)) <= len(found)


@settings(max_examples=EXAMPLES // 5)
@given(changes=damages())
def test_a_file(base, small, tmp_path, changes):
    path = tmp_path / "items.json"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": damaged(base, changes)}))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with suppress(EocubeError):
            assert len(eo.search(path, small.bbox)) <= 3
