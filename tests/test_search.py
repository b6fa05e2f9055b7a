"""Searching APIs, tiles and several catalogs: the same Items whatever the API can do."""

from __future__ import annotations

import json
from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest

import eocube as eo
from eocube.errors import CatalogError, EocubeWarning, InputError, NoItemsError, SearchError
from eocube.reports import DroppedTable

from .servers import CONFORMS, CQL2, PLAIN


def ids(items):
    return [item.id for item in items]


@pytest.fixture(scope="module")
def features(small):
    found = [item.to_dict(include_self_link=False, transform_hrefs=False) for item in small.items()]
    return [{**feature, "links": []} for feature in found]


FILTERS = [
    {},
    {"max_cloud": 30},
    {"platform": "S2A"},
    {"platform": ["sentinel-2b"], "max_cloud": 40},
    {"baseline": "04.00"},
    {"baseline": ("", "03.99")},
    {"months": [6, 7, 8]},
    {"query": {"grid:code": {"eq": "MGRS-33TTN"}}},
    {"query": {"eo:cloud_cover": {"gt": 5, "lte": 90}, "grid:code": {"in": ["MGRS-33TTN", "MGRS-32TQT"]}}},
    {"orbit": "descending"},
    {"limit": 2, "platform": "S2A"},
]


@pytest.mark.parametrize("wanted", FILTERS, ids=str)
@pytest.mark.parametrize("conforms", [PLAIN, CONFORMS, CQL2], ids=["plain", "query", "cql2"])
def test_same_items_as_the_folder(serve, small, features, conforms, wanted):
    expected = ids(eo.search(small.items_path, small.bbox, "2021/..", **wanted))
    assert len(expected) < len(features) or not wanted or wanted == {"orbit": "descending"}
    with serve(features, conforms=conforms) as (url, asked):
        assert ids(eo.search(url, small.bbox, "2021/..", **wanted)) == expected
    known = "filter" if conforms is CQL2 else "query"
    if "query" in wanted:
        assert (known in asked[0]) == (conforms is not PLAIN)
    assert ids(eo.search(small.items(), small.bbox, "2021/..", **wanted)) == expected


class TestWhatIsAsked:
    def test_cql2_leaves_the_cloudy_ones_there(self, serve, small, features):
        with serve(features, conforms=CQL2, page=100) as (url, asked):
            eo.search(url, small.bbox, max_cloud=30, platform="S2A")
        text = json.dumps(asked[0]["filter"])
        assert '{"op": "<=", "args": [{"property": "eo:cloud_cover"}, 30.0]}' in text
        assert '"sentinel-2a", "sentinel-2A"' not in text  # spellings are sorted
        assert '"Sentinel-2A"' in text
        assert asked[0]["filter-lang"] == "cql2-json"

    def test_an_api_that_refuses_its_own_filters(self, serve, small, features):
        with serve(features, conforms=CQL2, fault="no filter") as (url, asked):
            found = eo.search(url, small.bbox, max_cloud=30)
        assert ids(found) == ids(eo.search(small.items_path, small.bbox, max_cloud=30))
        assert "filter" in asked[0]
        assert "filter" not in asked[1]

    def test_unsaid_cloud_cover_is_kept_by_all(self, serve, small, features):
        some = deepcopy(features)
        del some[0]["properties"]["eo:cloud_cover"]
        for conforms in (PLAIN, CQL2):
            with (
                serve(some, conforms=conforms) as (url, _),
                pytest.warns(EocubeWarning, match="1 Items do not say"),
            ):
                assert some[0]["id"] in ids(eo.search(url, small.bbox, max_cloud=10))

    def test_limit_counts_what_fits(self, serve, small, features):
        expected = ids(eo.search(small.items_path, max_cloud=30))
        clouds = [i.properties["eo:cloud_cover"] for i in eo.search(small.items_path)]
        assert len(expected) < len(clouds)
        with serve(features) as (url, _):
            assert ids(eo.search(url, small.bbox, max_cloud=30, limit=3)) == expected[:3]

    def test_open_periods(self, serve, small, features):
        every = eo.search(small.items_path)
        middle = every[len(every) // 2].datetime.strftime("%Y-%m-%d")
        with serve(features) as (url, asked):
            late, early = (eo.search(url, small.bbox, p) for p in (f"{middle}/..", f"../{middle}"))
        assert asked[0]["datetime"] == f"{middle}T00:00:00Z/.."
        assert set(ids(late)) | set(ids(early)) == set(ids(every))
        assert ids(eo.search(small.items_path, None, f"{middle}/..")) == ids(late)
        with pytest.raises(eo.errors.PeriodError, match="open at both ends"):
            eo.search(small.items_path, None, "../..")


class TestFaults:
    @pytest.mark.parametrize(
        ("fault", "message"),
        [
            ("loop", "its paging does not end"),
            ("html", "did not answer the search as a STAC API does"),
            ("cut", "did not answer the search as a STAC API does"),
            ("featureless", "without features"),
            ("not items", "did not answer the search as a STAC API does"),
        ],
    )
    def test_nonsense(self, serve, small, features, fault, message):
        with serve(features, fault=fault, page=2) as (url, _), pytest.raises(SearchError, match=message):
            eo.search(eo.EARTH_SEARCH.at(url), small.bbox)

    def test_busy_for_ever(self, serve, small, features, monkeypatch):
        monkeypatch.setattr("urllib3.util.retry.Retry.sleep", lambda *_, **__: None)
        with (
            serve(features, fail_first=99) as (url, asked),
            pytest.raises(SearchError, match="is busy: asked 3 times"),
        ):
            eo.search(replace(eo.EARTH_SEARCH.at(url), retries=2), small.bbox)
        assert len(asked) == 3

    def test_too_slow(self, serve, small, features):
        slow = {"timeout": 0.2, "retries": 0}
        with serve(features, fault="slow") as (url, _), pytest.raises(SearchError, match=r"within 0\.2 s"):
            eo.search(eo.Catalog("slow", url, **slow), small.bbox)

    @pytest.mark.parametrize(
        "options", [{"timeout": 0}, {"retries": -1}, {"offsets": "magic"}, {"assets": ["red"]}]
    )
    def test_bad_catalogs(self, options):
        with pytest.raises(CatalogError):
            eo.Catalog("x", "https://stac.example.org", **options)

    def test_names_in_one_call(self):
        own = eo.Catalog("mine", "https://stac.example.org", "s2", {"B04": "r665", "SCL": "classes"})
        assert own.assets == {"red": "r665", "scl": "classes"}
        with pytest.raises(eo.BandError, match="no band 'rad'"):
            eo.Catalog("mine", "https://stac.example.org", "s2", {"rad": "r665"})


class TestTiles:
    @pytest.mark.parametrize("conforms", [PLAIN, CONFORMS, CQL2], ids=["plain", "query", "cql2"])
    def test_one_tile_on_one_day(self, serve, small, features, conforms):
        day = eo.search(small.items_path)[0].datetime.strftime("%Y-%m-%d")
        with serve(features, conforms=conforms) as (url, _):
            found = eo.search_tiles("T33TTN", day, url)
        assert found
        assert {i.properties["grid:code"] for i in found} == {"MGRS-33TTN"}
        assert {i.datetime.strftime("%Y-%m-%d") for i in found} == {day}
        assert ids(found) == ids(eo.search_tiles(["33TTN"], day, small.items_path))

    def test_planetary_computers_names(self, serve, features):
        renamed = deepcopy(features)
        for record in renamed:
            record["properties"]["s2:mgrs_tile"] = record["properties"].pop("grid:code").removeprefix("MGRS-")
        with serve(renamed, conforms=CQL2) as (url, asked):
            found = eo.search_tiles("33TTN", None, url, max_cloud=80)
        assert found
        assert {i.properties["s2:mgrs_tile"] for i in found} == {"33TTN"}
        assert '"33TTN"' in json.dumps(asked[0]["filter"])

    def test_a_tile_at_the_antimeridian(self):
        from eocube.tiles import tiles_outline

        outline = tiles_outline(["01WCP"])
        west, south, east, north = outline.bounds
        assert outline.area < 12
        assert 65 < south < north < 67
        assert (west, east) == (-180, 180)

    def test_mistakes(self, small):
        with pytest.raises(eo.errors.AreaError, match="not an MGRS tile"):
            eo.search_tiles("33TT", "2021", small.items_path)
        with pytest.raises(InputError, match="No tile was asked for"):
            eo.search_tiles([], "2021", small.items_path)
        with pytest.raises(NoItemsError, match="tiles 22KFV"):
            eo.search_tiles("22KFV", "2018-12-14", small.items_path)


LACKING = ("S2B_33TTN_20210624_0_L2A", "S2A_32TQT_20220224_0_L2A", "S2B_33TTN_20220324_1_L2A")
"""Two whole granules, and one half of a split pass."""


class TestSeveralCatalogs:
    """The first one, and the others where it has gaps."""

    @pytest.fixture
    def gappy(self, features, serve, small):
        """Two APIs: one lacks three Items, the other has all under other ids."""
        whole = deepcopy(features)
        for record in whole:
            record["id"] = f"MIRROR_{record['id']}"
        lacking = [f for f in features if not any(name in f["id"] for name in LACKING)]
        assert len(lacking) == len(features) - 3
        with serve(lacking) as (one, _), serve(whole, conforms=CQL2) as (two, _):
            yield eo.Catalog("first", one, trust=True), eo.Catalog("second", two, trust=True), features

    def test_gaps_are_filled_and_reported(self, gappy, small):
        first, second, features = gappy
        found = eo.search([first, second], small.bbox)
        assert {i.id for i in found if i.extra_fields["eocube:catalog"] == "second"} == {
            f"MIRROR_{name}" for name in LACKING
        }
        counts = found.extra_fields["eocube:found"]
        assert counts == {"first": len(features) - 3, "second": 3}
        dropped = DroppedTable.of(found.extra_fields["eocube:dropped"])
        assert len(dropped) + counts["second"] == len(features)
        assert "in first, which comes before second" in dropped[0].why
        assert all(row.kept for row in dropped)
        assert "eocube:found" not in eo.search(first, small.bbox).extra_fields

    def test_the_cube_is_that_of_a_catalog_without_gaps(self, gappy, small, small_items):
        first, second, _ = gappy

        def pixels(items):
            return eo.load(items, small.grid, bands=["red"], mask=eo.SCLMask()).values

        np.testing.assert_array_equal(pixels(eo.search([first, second], small.bbox)), pixels(small_items))
        assert np.isnan(pixels(eo.search(first, small.bbox))).sum() > np.isnan(pixels(small_items)).sum()

    def test_two_collections_only_if_asked_for(self, gappy, features, serve, small):
        first, _, _ = gappy
        other = [{**f, "id": f"C1_{f['id']}", "collection": "sentinel-2-c1-l2a"} for f in deepcopy(features)]
        with serve(other) as (url, _):
            c1 = eo.Catalog("c1", url, trust=True)
            both = eo.search([first, c1], small.bbox)
            loose = [*eo.search(first, small.bbox), *eo.search(c1, small.bbox)]
        assert eo.plan(both, small.grid, bands=["red"]).scenes
        with pytest.raises(eo.errors.ItemsError, match="several collections"):
            eo.plan(loose, small.grid, bands=["red"])

    def test_one_that_cannot_be_reached(self, gappy, small, monkeypatch):
        monkeypatch.setattr("urllib3.util.retry.Retry.sleep", lambda *_, **__: None)
        _, second, features = gappy
        dead = eo.Catalog("dead", "http://127.0.0.1:9", retries=0)
        with pytest.warns(EocubeWarning, match=r"Left out of the search: dead .* cannot be reached"):
            assert len(eo.search([dead, second], small.bbox)) == len(features)
        with pytest.raises(SearchError, match="dead"):
            eo.search([dead], small.bbox)
        with pytest.raises(CatalogError, match="No catalog was given"):
            eo.search([])


class TestItemsInMemory:
    def test_dicts_and_items(self, small, features, small_items):
        expected = ids(eo.search(small.items_path, small.bbox, max_cloud=30))
        for some in (
            features,
            small_items,
            list(small_items),
            {"type": "FeatureCollection", "features": features},
        ):
            assert ids(eo.search(some, small.bbox, max_cloud=30)) == expected
        with pytest.raises(eo.errors.ItemsError, match="Not a STAC Item"):
            eo.search(iter([{"assets": 3}]))
        with pytest.raises(CatalogError, match="A int is no catalog"):
            eo.search(3)
