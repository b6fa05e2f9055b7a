"""Filters are a value: tested here, or pushed down as CQL2, with the same result."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eocube.errors import AreaError, EocubeError, InputError
from eocube.filters import Filters, filters

from .servers import holds


def item(name="S2A_22KFV_20181214_0_L2A", **properties):
    base = {
        "datetime": "2018-12-14T13:42:01Z", "platform": "sentinel-2a", "grid:code": "MGRS-22KFV",
        "eo:cloud_cover": 12.0, "sat:relative_orbit": 124, "sat:orbit_state": "descending",
        "s2:processing_baseline": "02.11",
    }  # fmt: skip
    return {"id": name, "properties": {k: v for k, v in (base | properties).items() if v is not None}}


class TestKeeps:
    @pytest.mark.parametrize(
        ("wanted", "properties", "kept"),
        [
            ({"max_cloud": 12}, {}, True),
            ({"max_cloud": 11.9}, {}, False),
            ({"max_cloud": 0}, {"eo:cloud_cover": None}, True),
            ({"max_cloud": 100}, {"eo:cloud_cover": "much"}, False),
            ({"orbit": 124}, {}, True),
            ({"orbit": [22, "R124"]}, {}, True),
            ({"orbit": 22}, {}, False),
            ({"orbit": 124}, {"sat:relative_orbit": None}, False),
            ({"orbit": 22}, {"sat:relative_orbit": None, "s2:product_uri": "S2A_MSIL2A_20181214T134201_N0211_R022_T22KFV_x.SAFE"}, True),
            ({"orbit": "descending"}, {}, True),
            ({"orbit": "ascending"}, {}, False),
            ({"orbit": "ascending"}, {"sat:orbit_state": None}, True),
            ({"orbit": ["descending", 124]}, {}, True),
            ({"platform": "S2A"}, {}, True),
            ({"platform": ["sentinel-2b", "C"]}, {}, False),
            ({"platform": "sentinel-2a"}, {"platform": "Sentinel-2A"}, True),
            ({"platform": "sentinel-2a"}, {"platform": None}, True),
            ({"baseline": "02.11"}, {}, True),
            ({"baseline": "02.12"}, {}, False),
            ({"baseline": ("", "02.10")}, {}, False),
            ({"baseline": ("02.00", "04.00")}, {}, True),
            ({"baseline": "02.00"}, {"s2:processing_baseline": None, "processing:version": "05.10"}, True),
            ({"baseline": "02.00"}, {"s2:processing_baseline": None}, False),
            ({"months": 12}, {}, True),
            ({"months": range(5, 10)}, {}, False),
            ({"tiles": "T22KFV"}, {}, True),
            ({"tiles": "MGRS-22KFU"}, {}, False),
            ({"tiles": ["1KAB"]}, {"grid:code": None, "s2:mgrs_tile": "01KAB"}, True),
            ({"query": {"eo:cloud_cover": {"lt": 13, "gt": 11}}}, {}, True),
            ({"query": {"eo:cloud_cover": {"neq": 12}}}, {"eo:cloud_cover": None}, False),
            ({"query": {"platform": {"in": ["sentinel-2b"]}}}, {}, False),
            ({"query": {"platform": {"lt": 5}}}, {}, False),
        ],
    )  # fmt: skip
    def test_rules(self, wanted, properties, kept):
        assert filters(**wanted).keeps(item(**properties)) is kept

    def test_a_value(self):
        one, two = (filters(max_cloud=60, orbit=[22], months=range(6, 8)) for _ in range(2))
        assert one == two == pickle.loads(pickle.dumps(one))
        assert hash(one) == hash(two)
        assert str(one) == "max_cloud 60 %; orbit 22; months 6, 7"
        assert filters() == Filters()
        assert filters().cql2() is None
        assert filters(months=6, baseline="04.00").cql2() is None


@pytest.mark.parametrize(
    ("wanted", "kind", "message"),
    [
        ({"max_cloud": float("nan")}, InputError, "not a percentage"),
        ({"max_cloud": "60"}, InputError, "not a percentage"),
        ({"orbit": 144}, InputError, r"1 to 143"),
        ({"orbit": "sideways"}, InputError, "not an orbit of Sentinel-2"),
        ({"orbit": True}, InputError, "not an orbit"),
        ({"platform": "landsat-8"}, InputError, "platform='landsat-8' is not known"),
        ({"baseline": "four"}, InputError, "write '04.00'"),
        ({"baseline": ("05.00", "04.00")}, InputError, "not a limit"),
        ({"months": 13}, InputError, "numbers from 1 to 12"),
        ({"months": ["June"]}, InputError, "numbers from 1 to 12"),
        ({"tiles": "22KF"}, AreaError, "not an MGRS tile"),
        ({"query": {"eo:cloud_cover": 3}}, InputError, "write {'eo:cloud_cover': {'eq': 3}}"),
        ({"query": {"eo:cloud_cover": {"less": 3}}}, InputError, "no operator 'less'"),
        ({"query": {"platform": {"in": "S2A"}}}, InputError, "'in' needs a list"),
        ({"query": [1]}, InputError, "not a mapping"),
    ],
)
def test_mistakes(wanted, kind, message):
    with pytest.raises(kind, match=message):
        filters(**wanted)


VALUES = {
    "eo:cloud_cover": st.none() | st.floats(0, 100) | st.just("much"),
    "sat:relative_orbit": st.none() | st.sampled_from([22, 124, 22.0]),
    "sat:orbit_state": st.none() | st.sampled_from(["descending", "ascending", "Ascending"]),
    "platform": st.none() | st.sampled_from(["sentinel-2a", "Sentinel-2B", "SENTINEL-2A"]),
    "grid:code": st.none() | st.sampled_from(["MGRS-22KFV", "MGRS-01KAB", "MGRS-1KAB"]),
    "s2:mgrs_tile": st.none() | st.sampled_from(["22KFV", "01KAB"]),
    "s2:processing_baseline": st.none() | st.sampled_from(["02.11", "05.09", "5.9", 3]),
}
WANTED = st.fixed_dictionaries(
    {},
    optional={
        "max_cloud": st.floats(0, 100),
        "orbit": st.lists(st.sampled_from([22, 124, "ascending", "descending"]), min_size=1, max_size=3),
        "platform": st.sampled_from(["S2A", "S2B"]),
        "baseline": st.sampled_from(["02.00", "04.00", ("02.11", "05.00")]),
        "months": st.sampled_from([6, 12]),
        "tiles": st.sampled_from(["22KFV", "01KAB"]),
        "query": st.sampled_from([{"eo:cloud_cover": {"lte": 50}}, {"platform": {"in": ["sentinel-2a"]}},
                                  {"sat:relative_orbit": {"neq": 22}}, {"grid:code": {"eq": "MGRS-22KFV"}}]),
    },
)  # fmt: skip


@settings(max_examples=300)
@given(properties=st.fixed_dictionaries(VALUES), wanted=WANTED)
def test_an_api_never_hides_what_would_be_kept(properties, wanted):
    """CQL2 in SQL's logic keeps everything that ``keeps`` does."""
    made = filters(**wanted)
    if properties["grid:code"] and properties["s2:mgrs_tile"]:
        properties["s2:mgrs_tile"] = properties["grid:code"].removeprefix("MGRS-").zfill(5)
    record = item(**properties)
    for key, value in properties.items():
        if value is None:
            record["properties"].pop(key, None)
    asked = made.cql2()
    if made.keeps(record) and asked is not None:
        assert holds(asked, record["properties"]) is True


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=4,
)


@settings(max_examples=300)
@given(properties=st.dictionaries(st.sampled_from([*VALUES, "datetime"]), ANY) | ANY, wanted=WANTED)
def test_whatever_an_item_holds_keeps_answers(properties, wanted):
    try:
        made = filters(**wanted)
    except EocubeError:
        return
    assert made.keeps({"id": "x", "properties": properties}) in (True, False)
