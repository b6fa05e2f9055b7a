"""Searching: folders, files, static catalogs and a real API on loopback give the same Items."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pystac
import pytest

import eocube as eo
from eocube.catalogs import recognise
from eocube.errors import CatalogError, InputError, NoItemsError, SearchError

from .servers import stac_api

PERIOD = "2021-06/2021-12"


def ids(items):
    return [item.id for item in items]


@pytest.fixture(scope="module")
def features(small):
    found = [item.to_dict(include_self_link=False, transform_hrefs=False) for item in small.items()]
    return [{**feature, "links": []} for feature in found]


class TestLocal:
    def test_folder(self, small, small_items):
        assert sorted(ids(small_items)) == sorted(small.item_ids)
        times = [item.datetime for item in small_items]
        assert times == sorted(times)
        for item in small_items:
            for asset in item.assets.values():
                assert asset.href.startswith("/")

    def test_all_forms_agree(self, small, small_items, tmp_path):
        one = tmp_path / "items.json"
        small_items.save_object(str(one))
        for where in (small.path / "items.geojson", small.path / "catalog.json", one, str(small.items_path)):
            found = eo.search(where)
            assert ids(found) == ids(small_items)
            assert eo.plan(found, small.grid, bands="red").scenes == (
                eo.plan(small_items, small.grid, bands="red").scenes
            )

    def test_one_item(self, small):
        name = small.item_ids[0]
        assert ids(eo.search(small.items_path / name / f"{name}.json")) == [name]

    def test_filters(self, small, small_items):
        some = eo.search(small.items_path, small.bbox, PERIOD, max_cloud=50)
        assert 0 < len(some) < len(small_items)
        assert all(item.properties["eo:cloud_cover"] <= 50 for item in some)
        tile = eo.search(small.items_path, query={"grid:code": {"eq": "MGRS-33TTN"}})
        assert {item.properties["grid:code"] for item in tile} == {"MGRS-33TTN"}
        assert len(eo.search(small.items_path, limit=2)) == 2
        late = eo.search(small.items_path, query={"s2:processing_baseline": {"gte": "04.00"}})
        assert {item.properties["s2:processing_baseline"] for item in late} >= {"04.00"}

    def test_a_catalog_value_at_a_path(self, small, small_items):
        assert ids(eo.search(eo.EARTH_SEARCH.at(small.items_path))) == ids(small_items)

    def test_what_a_catalog_says_of_offsets_holds(self, small):
        """Also for a changed value of a known catalog, and after the Items went through a list."""
        said = replace(eo.EARTH_SEARCH.at(small.items_path), offsets="baseline")
        found = eo.load(list(eo.search(said)), small.grid, bands=["red"])
        as_it_looks = eo.load(eo.search(small.items_path), small.grid, bands=["red"])
        assert found.offset.values.tolist() != as_it_looks.offset.values.tolist()
        only_offsets = eo.Catalog("mine", str(small.items_path), offsets="baseline")
        assert eo.load(eo.search(only_offsets), small.grid, bands=["red"]).offset.equals(found.offset)

    def test_unknown_cloud_cover_is_kept_and_said(self, small, tmp_path):
        shutil.copytree(small.items_path, tmp_path / "c")
        name = small.item_ids[0]
        path = tmp_path / "c" / name / f"{name}.json"
        record = json.loads(path.read_text())
        del record["properties"]["eo:cloud_cover"]
        path.write_text(json.dumps(record))
        with pytest.warns(eo.errors.EocubeWarning, match=f"1 Items do not say their cloud cover.*{name}"):
            found = eo.search(tmp_path / "c", max_cloud=100)
        assert name in ids(found)

    def test_nothing_found_says_the_query_and_what_the_cloud_limit_cost(self, small):
        with pytest.raises(NoItemsError, match=r"max_cloud 0 %.*Without the cloud limit there are \d+"):
            eo.search(small.items_path, small.bbox, max_cloud=0)
        with pytest.raises(NoItemsError, match=r"period 1999-01-01T00:00:00Z/1999-12-31.*Widen"):
            eo.search(small.items_path, small.bbox, "1999")
        with pytest.raises(NoItemsError, match=r"area \(100\.0, 10\.0"):
            eo.search(small.items_path, (100, 10, 101, 11))

    def test_bad_catalogs(self, tmp_path):
        with pytest.raises(CatalogError, match=r"no catalog 'earth-serch'.*Did you mean 'earth-search'"):
            eo.search("earth-serch", (5, 49, 6, 50))
        with pytest.raises(CatalogError, match="no STAC Item in"):
            eo.search(tmp_path)
        (tmp_path / "broken.json").write_text('{"type": "Feature", ')
        with pytest.raises(CatalogError, match=r"broken\.json cannot be read as JSON"):
            eo.search(tmp_path)
        (tmp_path / "broken.json").write_text('{"type": "Feature", "assets": {}}')
        with pytest.raises(CatalogError, match=r"broken\.json is not a valid STAC object"):
            eo.search(tmp_path)

    def test_other_json_in_the_folder_is_no_matter(self, small, tmp_path):
        shutil.copytree(small.items_path, tmp_path / "c")
        (tmp_path / "c" / "notes.json").write_text('{"type": "shopping list"}')
        (tmp_path / "c" / "list.json").write_text("[1, 2]")
        assert len(eo.search(tmp_path / "c")) == len(small.item_ids)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"max_cloud": 101}, "not a percentage"),
            ({"limit": 0}, "limit=0 would leave nothing"),
            ({"query": {"eo:cloud_cover": {"less": 3}}}, "no operator 'less'"),
        ],
    )
    def test_bad_queries(self, small, options, message):
        with pytest.raises(InputError, match=message):
            eo.search(small.items_path, **options)

    def test_bad_area_and_period_before_anything(self, small):
        with pytest.raises(eo.errors.AreaError, match="antimeridian"):
            eo.search(small.items_path, (179, -1, -179, 1))
        with pytest.raises(eo.errors.PeriodError, match="after it ends"):
            eo.search(small.items_path, None, "2022/2021")


class TestApi:
    """Through pystac-client, as the public APIs are asked."""

    def test_same_items_as_the_folder(self, small, features):
        with stac_api(features) as (url, asked):
            found = eo.search(eo.EARTH_SEARCH.at(url), small.bbox, PERIOD)
        assert ids(found) == ids(eo.search(small.items_path, small.bbox, PERIOD))
        assert len(asked) == -(-len(found) // 4)  # pages
        assert asked[0]["collections"] == ["sentinel-2-l2a"]
        assert asked[0]["datetime"] == "2021-06-01T00:00:00Z/2021-12-31T23:59:59Z"

    def test_cubes_are_the_same(self, small, features, small_items):
        with stac_api(features) as (url, _):
            found = eo.search(eo.Catalog("mine", url, trust=True), small.bbox)
        one, two = (eo.load(i, small.grid, bands=["red"]).compute() for i in (found, small_items))
        assert one.identical(two)

    def test_query_and_cloud_limit(self, small, features):
        with stac_api(features) as (url, asked):
            found = eo.search(
                eo.EARTH_SEARCH.at(url), small.bbox, max_cloud=60, query={"grid:code": {"eq": "MGRS-33TTN"}}
            )
            with pytest.raises(NoItemsError, match=r"earth-search, collection sentinel-2-l2a.*there are \d+"):
                eo.search(eo.EARTH_SEARCH.at(url), small.bbox, max_cloud=0)
        assert asked[0]["query"] == {"grid:code": {"eq": "MGRS-33TTN"}}
        assert {item.properties["grid:code"] for item in found} == {"MGRS-33TTN"}

    def test_a_busy_server_is_asked_again(self, small, features):
        with stac_api(features, page=100, fail_first=2) as (url, asked):
            found = eo.search(url, small.bbox)
        assert len(found) == len(features)
        assert len(asked) == 3

    def test_a_dead_server(self, monkeypatch):
        monkeypatch.setattr("eocube.apis.CONNECT", 0.2)
        monkeypatch.setattr("urllib3.util.retry.Retry.sleep", lambda *_, **__: None)
        with pytest.raises(SearchError, match=r"earth-search \(http://127\.0\.0\.1:9\) cannot be reached"):
            eo.search(eo.EARTH_SEARCH.at("http://127.0.0.1:9"), (5, 49, 6, 50))

    def test_the_whole_world_is_refused(self):
        with pytest.raises(InputError, match="needs an area"):
            eo.search(eo.PLANETARY_COMPUTER)

    def test_own_names_are_kept(self, features, small):
        """Any STAC API with a mapping of names in one call."""
        names = {"red": "r665", "scl": "classes"}
        renamed = [
            {**f, "assets": {"r665": f["assets"]["red"], "classes": f["assets"]["scl"]}} for f in features
        ]
        own = eo.Catalog("mine", "http://x", "sentinel-2-l2a", names, offsets="boa_flag", trust=True)
        with stac_api(renamed) as (url, _):
            found = eo.search(own.at(url), small.bbox)
        again = pystac.ItemCollection.from_dict(json.loads(json.dumps(found.to_dict())))
        for some in (found, again, list(found), [item for item in again if item.id]):
            cube = eo.load(some, small.grid, bands=["red"], mask=eo.SCLMask())
            expected = eo.load(features, small.grid, bands=["red"], mask=eo.SCLMask())
            assert cube.compute().equals(expected.compute())


class TestRecognise:
    def test_sample_namings(self, small, features):
        assert recognise(features[0]) == eo.EARTH_SEARCH

    def test_unknown_assets(self):
        with pytest.raises(eo.errors.ItemsError, match="no known layout of Sentinel-2 bears: thing"):
            recognise({"id": "x", "properties": {}, "assets": {"thing": {}}})
