"""What the public APIs answered: the same Items come out of a search, whatever the paging."""

from __future__ import annotations

import json
from urllib.parse import urlsplit

import pystac_client
import pytest

import eocube as eo
from eocube.errors import NoItemsError

from . import replays
from .services.records import features

pytestmark = pytest.mark.real

CASSETTES = "xcube-stac/test/cassettes/test_store/StacDataStoreTest."
DUPLICATES = "extracted/earthsearch-v1_T32_2020-03_reprocessed-duplicates.json"


def ids(items):
    return [item.id for item in items]


def known(real, name):
    return {record["id"] for record in features(json.loads((real / "stac" / name).read_text()))}


class TestRecorded:
    """Answers as they came, byte for byte but for the host's name."""

    def test_earth_search(self, real):
        cassette = real / "stac" / f"{CASSETTES}test_search_data_searchable_catalog.yaml"
        with replays.recorded(cassette, replays.EARTH_SEARCH) as (url, asked):
            found = eo.search(eo.EARTH_SEARCH.at(url), (9, 47, 10, 48), "2020-03-01/2020-03-05")
        assert set(ids(found)) == known(real, DUPLICATES)
        assert len(found) == 16
        assert [body.get("next", "").split(",")[-2:-1] for body in asked] == [
            [], ["S2A_32TMT_20200302_0_L2A"], ["S2A_32UNU_20200302_0_L2A"],
        ]  # fmt: skip
        grid = eo.grid_for((9.4, 47.4, 9.5, 47.5), resolution=100)
        plan = eo.plan(found, grid, bands=["red"], mask=eo.SCLMask())
        assert len(plan.scenes) == 2
        assert plan.twins

    def test_planetary_computer(self, real):
        cassette = real / "stac" / "pystac-client/tests/cassettes/test_item_search/TestItemSearch.test_datetime_results.yaml"
        with replays.recorded(cassette, replays.PLANETARY_COMPUTER) as (url, _):
            found = eo.search(
                eo.PLANETARY_COMPUTER.at(url), (0, -89, 180, 89), ("2019-01-01T00:00:01Z", "2019-01-01T00:00:10Z")
            )
        assert set(ids(found)) == known(real, "extracted/planetarycomputer_2019-01-01_T59-T60.json")

    def test_cdse(self, real):
        cassette = real / "stac" / f"{CASSETTES}test_search_data_cdse_sentinel_2.yaml"
        catalog = eo.Catalog("cdse", "", "sentinel-2-l2a")
        with replays.recorded(cassette, replays.CDSE) as (url, _):
            found = eo.search(catalog.at(url), (9, 47, 9.1, 47.1), "2020-07-01/2020-07-05")
        assert set(ids(found)) == known(real, "extracted/cdse_T32_2020-07.json")

    def test_paging_with_a_condition(self, real):
        """pystac-client's own recording: conditions as CQL2, the next page by token alone."""
        cassette = real / "stac" / "pystac-client/tests/cassettes/test_cli/TestCLISearch.test_filter[inprocess].yaml"
        condition = {"op": "lte", "args": [{"property": "eo:cloud_cover"}, 40]}
        with replays.recorded(cassette, replays.EARTH_SEARCH) as (url, asked):
            client = pystac_client.Client.open(url)
            client.add_conforms_to("FILTER")
            search = client.search(filter=condition, max_items=20)
            assert len(list(search.items())) == 20
        assert set(asked[1]) == {"next"}

    def test_another_question_is_not_answered(self, real):
        cassette = real / "stac" / f"{CASSETTES}test_search_data_searchable_catalog.yaml"
        with (
            replays.recorded(cassette, replays.EARTH_SEARCH) as (url, _),
            pytest.raises(eo.errors.SearchError, match="NotFound"),
        ):
            eo.search(eo.EARTH_SEARCH.at(url), (9, 47, 10, 48), "2020-03-01/2020-03-06")


@pytest.fixture(scope="module", params=[eo.EARTH_SEARCH, eo.PLANETARY_COMPUTER], ids=lambda catalog: catalog.name)
def api(request, real):
    """All Items of one catalog, served in its form; yields catalog, records and what was asked."""
    catalog = request.param
    form = catalog.url
    hosts = ("sentinel2l2a01.blob.core.windows.net",) if form == replays.PLANETARY_COMPUTER else (
        "sentinel-cogs.s3.us-west-2.amazonaws.com", "e84-earth-search-sentinel-data.s3.us-west-2.amazonaws.com")  # fmt: skip
    found = {}
    for path in sorted((real / "stac").rglob("*json")):
        for record in features(json.loads(path.read_text())):
            places = {urlsplit(asset["href"]).netloc for asset in record["assets"].values()}
            if record.get("collection") and places & set(hosts) and record["properties"].get("datetime"):
                found[record["collection"], record["id"]] = record
    with replays.in_the_form_of(form, list(found.values())) as (url, asked):
        yield catalog.at(url), list(found.values()), asked


class TestForms:
    """Any Items, with the links, tokens and page lengths of the API they came from."""

    HALVES = ((-180, -89, 0, 89), (0, -89, 180, 89))

    def test_all_pages(self, api):
        catalog, records, asked = api
        asked.clear()
        found = {item.id for half in self.HALVES for item in eo.search(catalog, half)}
        expected = {record["id"] for record in records if record["collection"] == catalog.collection}
        assert found == expected
        assert len(expected) > 40
        assert len(asked) > len(expected) / replays.PAGE
        tokens = [body["token" if catalog.signer else "next"] for body in asked if {"token", "next"} & body.keys()]
        assert len(tokens) == len(set(tokens)) == len(asked) - 2

    @pytest.mark.parametrize("period", ["2019", "2020-03/2020-07", "2022-01/2022-02", "2025-07-31"])
    def test_same_as_a_file(self, api, period, tmp_path):
        catalog, records, _ = api
        file = tmp_path / "items.json"
        own = [record for record in records if record["collection"] == catalog.collection]
        file.write_text(json.dumps({"type": "FeatureCollection", "features": own}))
        for half in self.HALVES:
            said = []
            for place in (catalog, catalog.at(file)):
                try:
                    said.append(ids(eo.search(place, half, period)))
                except NoItemsError:
                    said.append([])
            assert said[0] == said[1]

    def test_collection_pages(self, api):
        catalog, records, _ = api
        client = pystac_client.Client.open(catalog.url)
        names = {record["collection"] for record in records}
        assert {collection.id for collection in client.get_collections()} == names
        for name in names:
            found = {item.id for item in client.get_collection(name).get_items()}
            assert found == {record["id"] for record in records if record["collection"] == name}

    def test_signer_and_offsets_are_the_catalogs(self, api):
        catalog, _, _ = api
        found = eo.search(catalog, self.HALVES[1])
        plan = eo.plan([found[0]], eo.grid_for([found[0]], resolution=1000), bands=["red"])
        sources = [s for scene in plan.scenes for g in scene.granules for s in g.sources.values()]
        assert {source.signer for source in sources} == {catalog.signer}
