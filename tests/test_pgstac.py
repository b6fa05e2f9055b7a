"""The software behind the public APIs, pgstac, gives the same Items and pixels as a folder."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path

import pystac_client
import pytest

import eocube as eo
from eocube.errors import NoItemsError

from .services import nginx, pgstac, records

pytestmark = pytest.mark.servers

L2A = "sentinel-2-l2a"
SLOVENIA, BODENSEE, COLORADO = (12.0, 45.5, 16.5, 48.0), (9.0, 47.0, 10.0, 48.0), (-106.0, 38.9, -104.0, 41.0)
FIJI, EAST, WEST = (179.0, -30.0, 179.99, 75.0), (0.0, -89.0, 180.0, 89.0), (-180.0, -89.0, 0.0, 89.0)
TRIANGLE = {"type": "Polygon", "coordinates": [[[9, 47], [16, 45], [12, 50], [9, 47]]]}


@pytest.fixture(scope="module")
def files(small):
    """The files of the made-up world, served by nginx."""
    with nginx.serving(f"root {small.path};") as found:
        yield found.url


@pytest.fixture(scope="module")
def archive(small, small_items, files, tmp_path_factory):
    """All records there are: the made-up world's, and the real ones where they are at hand."""
    made = json.dumps([item.to_dict(include_self_link=False) for item in small_items])
    found = [records.usable(record) for record in json.loads(made.replace(str(small.path), files))]
    if real := os.environ.get("EOCUBE_REAL_DATA"):
        found += records.real_records(Path(real), tmp_path_factory.mktemp("parquet"))
    return found


@pytest.fixture(scope="module")
def folder(archive, tmp_path_factory):
    """The records as files, a folder for each collection."""
    place = tmp_path_factory.mktemp("archive")
    for number, record in enumerate(archive):
        file = place / record["collection"] / f"{number}.json"
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps(record))
    return place


@pytest.fixture(scope="module")
def url(archive):
    """The records served by stac-fastapi and pgstac."""
    with pgstac.stac_api(archive) as found:
        yield found


def found_in(catalog, *arguments, **options):
    """Return what a search says, or its message."""
    try:
        return [said(item) for item in eo.search(catalog, *arguments, **options)]
    except NoItemsError as error:
        return str(error)


def said(item):
    """Return all that reading an Item depends on."""
    record = item.to_dict(include_self_link=False, transform_hrefs=False)
    # The API leaves out what is null in an asset.
    assets = {
        key: {name: value for name, value in asset.items() if value is not None}
        for key, asset in record["assets"].items()
    }
    rest = {name: record[name] for name in ("id", "collection", "bbox", "geometry", "properties")}
    return {**rest, "assets": assets}


def same(url, folder, collection, *arguments, **options):
    """Return what the API finds, after comparing it with what the folder gives."""
    api = eo.Catalog("mine", url, collection)
    found = found_in(api, *arguments, **options)
    assert found == found_in(api.at(folder / collection), *arguments, **options)
    return found


def described(plan):
    """Return what a plan knows of its scenes; hrefs and where they were found apart."""
    return [
        (scene.id, [(granule.id, granule.baseline, granule.offsets) for granule in scene.granules])
        for scene in plan.scenes
    ]


def paging(monkeypatch, size):
    """Let the client ask for pages of so many Items; yields the bodies that were sent."""
    sent = []
    search, request = pystac_client.Client.search, pystac_client.stac_api_io.StacApiIO.request

    def small(self, *arguments, **options):
        return search(self, *arguments, **{**options, "limit": size})

    def seen(self, href, method=None, headers=None, parameters=None):
        if href.endswith("/search"):
            sent.append(parameters)
        return request(self, href, method, headers, parameters)

    monkeypatch.setattr(pystac_client.Client, "search", small)
    monkeypatch.setattr(pystac_client.stac_api_io.StacApiIO, "request", seen)
    return sent


class TestWorld:
    """The made-up world, whose files can be read."""

    @pytest.mark.parametrize(
        ("period", "options"),
        [
            (None, {}),
            ("2021-06/2021-12", {}),
            ("2021-06-12", {}),
            ("2021-06/2022-12", {"max_cloud": 40}),
            (None, {"query": {"grid:code": {"eq": "MGRS-33TTN"}}}),
            (None, {"query": {"eo:cloud_cover": {"lt": 60, "gte": 5}, "platform": {"eq": "sentinel-2a"}}}),
            (None, {"query": {"s2:processing_baseline": {"gte": "04.00"}}, "limit": 3}),
            ("1999", {}),
        ],
    )
    def test_same_items_as_the_folder(self, small, url, folder, period, options):
        found = same(url, folder, L2A, small.bbox, period, **options)
        assert isinstance(found, str if period == "1999" else list)

    def test_same_plan_and_composite_to_the_bit(self, small, small_items, url):
        found = eo.search(eo.EARTH_SEARCH.at(url), small.bbox)
        made = []
        for items in (found, small_items):
            plan = eo.plan(items, small.grid, bands=["red", "nir"], mask=eo.SCLMask().dilate(metres=60))
            cube = eo.load(plan)
            made.append((described(plan), plan.twins, cube.compute(), eo.composite(cube, eo.Median()).compute()))
        assert made[0][:2] == made[1][:2]
        assert made[0][2].identical(made[1][2])
        assert made[0][3].identical(made[1][3])
        assert made[0][3].notnull().mean() > 0.9

    @pytest.mark.parametrize("size", [1, 3, 100])
    def test_pages(self, small, small_items, url, monkeypatch, size):
        sent = paging(monkeypatch, size)
        found = eo.search(eo.EARTH_SEARCH.at(url), small.bbox)
        assert [item.id for item in found] == [item.id for item in small_items]
        assert len(sent) >= -(-len(small_items) // size)
        assert all(body["limit"] == size for body in sent)

    def test_cql2(self, small, small_items, url):
        condition = {
            "op": "and",
            "args": [
                {"op": "<=", "args": [{"property": "eo:cloud_cover"}, 60]},
                {"op": "=", "args": [{"property": "grid:code"}, "MGRS-33TTN"]},
            ],
        }
        client = pystac_client.Client.open(url)
        assert client.conforms_to("FILTER")
        found = client.search(collections=[L2A], intersects=eo.area(small.bbox).geom, filter=condition)
        query = {"eo:cloud_cover": {"lte": 60}, "grid:code": {"eq": "MGRS-33TTN"}}
        expected = {item.id for item in eo.search(small.items_path, query=query)}
        assert {item.id for item in found.items()} == expected
        assert 0 < len(expected) < len(small_items)

    def test_a_collection_it_does_not_have(self, small, url):
        with pytest.raises(NoItemsError, match="collection nothing"):
            eo.search(eo.Catalog("mine", url, "nothing"), small.bbox)


@pytest.mark.real
class TestRealRecords:
    """What the public APIs answered, served again."""

    def test_all_of_the_index_are_served(self, real, archive, url):
        served = {records.key(record) for record in archive}
        assert records.index(real) <= served
        for name, count in Counter(name for name, _ in served).items():
            found = pystac_client.Client.open(url).search(collections=[name], limit=100)
            assert len({item.id for item in found.items()}) == count

    @pytest.mark.parametrize("collection", [L2A, "sentinel-2-c1-l2a", "sentinel-2-l1c", "sentinel-s2-l2a-cogs", records.NONE])
    @pytest.mark.parametrize("half", [EAST, WEST], ids=["east", "west"])
    @pytest.mark.parametrize("period", [None, "2019", "2020-06/2023-12", "2024-05-30"])
    def test_everywhere(self, url, folder, collection, half, period):
        same(url, folder, collection, half, period)

    @pytest.mark.parametrize("area", [SLOVENIA, BODENSEE, COLORADO, FIJI, TRIANGLE], ids=str)
    @pytest.mark.parametrize("period", [None, "2020", "2024-03/2024-04"])
    def test_areas(self, url, folder, area, period):
        same(url, folder, L2A, area, period, max_cloud=80)
        same(url, folder, "sentinel-2-c1-l2a", area, period)

    @pytest.mark.parametrize(
        "query",
        [
            {"s2:mgrs_tile": {"eq": "35MNM"}},
            {"grid:code": {"eq": "MGRS-33TWN"}},
            {"earthsearch:boa_offset_applied": {"eq": True}},
            {"s2:processing_baseline": {"gte": "04.00"}},
            {"eo:cloud_cover": {"gt": 10, "lte": 90}, "platform": {"neq": "sentinel-2a"}},
            {"platform": {"eq": "Sentinel-2B"}, "s2:processing_baseline": {"lt": "03"}},
        ],
        ids=str,
    )
    def test_queries(self, url, folder, query):
        found = [same(url, folder, L2A, half, query=query) for half in (EAST, WEST)]
        assert any(isinstance(items, list) for items in found)

    def test_pages_of_many(self, url, folder, monkeypatch):
        sent = paging(monkeypatch, 7)
        found = same(url, folder, L2A, EAST)
        assert len(found) > 60
        assert len(sent) >= len(found) / 7

    def test_the_plan_of_real_items(self, url, folder):
        """Twins, split passes and offsets come out alike."""
        grid = eo.grid_for((9.4, 47.4, 9.5, 47.5), resolution=100)
        catalog = eo.EARTH_SEARCH.at(url)
        plans = [
            eo.plan(eo.search(c, BODENSEE, "2020-03"), grid, bands=["red"], mask=eo.SCLMask(), verify_offset=False)
            for c in (catalog, catalog.at(folder / L2A))
        ]
        assert described(plans[0]) == described(plans[1])
        assert plans[0].twins == plans[1].twins
        assert plans[0].twins
