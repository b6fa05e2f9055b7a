"""A local index: nothing lost, nothing doubled, the same answers as an API, clear errors."""

from __future__ import annotations

import asyncio
import collections
import copy
import json
import multiprocessing
import pickle
import subprocess
import sys
import threading
import time
from dataclasses import replace

import filelock
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import rustac
import shapely
import shapely.geometry
import stac_geoparquet.arrow
from hypothesis import given, settings
from hypothesis import strategies as st

import eocube as eo
from eocube.errors import CatalogError, ItemsError, MissingExtraError, NoItemsError, OutputError
from eocube.filters import Filters, meets
from eocube.indexes import Changes, LocalIndex, building, columns, files, lookups, merging
from eocube.items import LAYOUT, as_dicts
from eocube.trust import ORIGIN

from .servers import stac_api


def key(record):
    return record.get("collection") or "", record["id"]


def by_key(records):
    return {key(record): record for record in records}


def ids(items):
    return [item.id for item in items]


@pytest.fixture(scope="module")
def records(small_items):
    """Items of the small world, as an API gives them, and more of the same at other places and times."""
    found = []
    for item in as_dicts(small_items):
        for shift in range(6):
            one = copy.deepcopy(item) | {"links": []}
            one["id"] = f"{one['id']}_{shift}"
            east, north = shift % 3 * 0.4, shift // 3 * 0.3
            ring = one["geometry"]["coordinates"][0]
            one["geometry"]["coordinates"] = [[[x + east, y + north] for x, y in ring]]
            one["bbox"] = list(shapely.geometry.shape(one["geometry"]).bounds)
            found.append(one)
    for number, one in enumerate(found):
        one["properties"]["eo:cloud_cover"] = number * 7 % 100 + 1
        if number % 5 == 0:
            one["collection"] = "sentinel-2-c1-l2a"
    return found


@pytest.fixture(scope="module")
def index(records, tmp_path_factory):
    made = LocalIndex(tmp_path_factory.mktemp("index") / "s2.parquet")
    made.add(records)
    return made


@pytest.fixture
def tiny_parts(monkeypatch):
    """Many batches, pieces and row groups of few Items."""
    monkeypatch.setattr(building, "BATCH", 11)
    monkeypatch.setattr(building, "STEP", 4)
    monkeypatch.setattr(merging, "ROWS", 7)


@pytest.fixture(scope="module")
def api(records):
    with stac_api(records, page=1000) as (url, _):
        yield url


class TestAdding:
    def test_what_was_added_replaced_kept(self, records, tmp_path):
        index = LocalIndex(tmp_path / "s2.parquet")
        first = index.add(records[:4])
        assert sorted(first.added) == sorted(record["id"] for record in records[:4])
        assert (first.replaced, first.kept, first.total) == ((), (), 4)
        newer, older, same, none = copy.deepcopy(records[:4])
        newer["properties"]["updated"] = "2099-01-01T00:00:00Z"
        older["properties"]["updated"] = "1999-01-01T00:00:00Z"
        same["properties"]["extra"] = 1
        none["properties"].pop("updated", None)
        second = index.add([newer, older, same, none, records[5]])
        assert second.added == (records[5]["id"],)
        kept = {older["id"], same["id"], none["id"]}
        if "updated" not in records[1]["properties"]:
            kept.remove(older["id"])
        assert set(second.kept) == kept
        assert newer["id"] in second.replaced
        assert second.total == len(index) == 5
        stored = by_key(index)
        assert stored[key(newer)] == newer
        assert stored[key(same)] == records[2]
        assert repr(second).startswith("Changes(1 added, ")
        assert "5 Items in" in repr(second)

    def test_newest_of_one_call_wins_in_any_order(self, records, tmp_path):
        made = [copy.deepcopy(records[0]) for _ in range(3)]
        for one, day in zip(made, ("02", "03", "01"), strict=True):
            one["properties"]["updated"] = f"2024-01-{day}T00:00:00Z"
        for number, order in enumerate(([0, 1, 2], [2, 1, 0], [1, 0, 2])):
            index = LocalIndex(tmp_path / f"{number}.parquet")
            assert index.add([made[i] for i in order]).added == (records[0]["id"],)
            assert list(index) == [made[1]]

    def test_nothing_new_leaves_the_file(self, records, tmp_path):
        index = LocalIndex(tmp_path / "s2.parquet")
        index.add(records[:5])
        before = (index.path.stat().st_ino, index.path.stat().st_mtime_ns)
        assert set(index.add(records[:5]).kept) == {record["id"] for record in records[:5]}
        assert (index.path.stat().st_ino, index.path.stat().st_mtime_ns) == before

    def test_one_id_in_two_collections_are_two_items(self, records, tmp_path):
        other = records[0] | {"collection": "other"}
        index = LocalIndex(tmp_path / "s2.parquet")
        index.add([records[0], other])
        assert by_key(index) == by_key([records[0], other])

    def test_every_way_to_give_items(self, small, small_items, tmp_path):
        other = LocalIndex(tmp_path / "other.parquet")
        other.add(small_items)
        small_items.save_object(str(tmp_path / "items.json"))
        forms = {
            "collection": small_items, "list": list(small_items), "dicts": as_dicts(small_items),
            "folder": small.items_path, "file": tmp_path / "items.json", "str": str(small.items_path),
            "catalog": small.path / "catalog.json", "generator": (item for item in small_items),
            "index": other, "index-path": other.path, "mapping": small_items.to_dict(),
        }  # fmt: skip
        for name, form in forms.items():
            index = LocalIndex(tmp_path / f"{name}.parquet")
            assert len(index.add(form).added) == len(small_items), name
            assert ids(eo.search(index)) == ids(small_items), name

    def test_in_many_pieces(self, records, tmp_path, tiny_parts):
        index = LocalIndex(tmp_path / "s2.parquet")
        index.add(record for record in records[:40])
        index.add(record for record in records[20:])
        assert by_key(index) == by_key(records)
        meta = pq.read_metadata(index.path)
        assert meta.num_rows == len(records)
        assert [meta.row_group(i).num_rows for i in range(meta.num_row_groups - 1)] == [7] * (meta.num_row_groups - 1)
        keys = merging.Keys.of(pq.read_table(index.path))
        assert np.array_equal(merging.sort_rows(keys), np.arange(len(records)))

    def test_the_order_of_adding_does_not_matter_for_answers(self, records, tmp_path, index):
        other = LocalIndex(tmp_path / "s2.parquet")
        for part in (records[30:], records[:30]):
            other.add(part[::-1])
        assert ids(eo.search(other)) == ids(eo.search(index))

    def test_types_that_clash_over_time(self, records, tmp_path):
        values = [1, 2.5, "text", None, [1, "a"], {"a": 1}, True, [], {}, 2**70, [[1], 2], {"a": "x"}, [{"b": 1}, 3]]
        made = []
        for number, value in enumerate(values):
            one = copy.deepcopy(records[number])
            one["properties"]["odd"] = value
            one["assets"]["red"]["odd"] = value
            made.append(one)
        index = LocalIndex(tmp_path / "s2.parquet")
        index.add(made[:6])
        for one in made[6:]:
            index.add([one])
        assert by_key(index) == by_key(made)
        one = LocalIndex(tmp_path / "one.parquet")
        one.add(made)
        assert by_key(one) == by_key(made)
        for value in (1, 2.5, "text", True):  # a loose column is looked at Item by Item
            found = eo.search(one, query={"odd": {"eq": value}})
            assert ids(found) == sorted((m["id"] for m in made if m["properties"]["odd"] == value), key=ids(eo.search(one)).index)

    values = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
        max_leaves=6,
    )

    @given(st.lists(st.dictionaries(st.sampled_from(["a", "eo:b", "c.d", "updated", "id", "links", ""]), values), min_size=1, max_size=6))
    @settings(max_examples=10)
    def test_any_json_comes_back(self, records, tmp_path_factory, drawn):
        made = []
        for number, extra in enumerate(drawn):
            one = copy.deepcopy(records[number])
            one["properties"] |= extra
            one["assets"]["red"] |= extra | {"href": "x"}
            one["foreign"] = extra
            made.append(one)
        index = LocalIndex(tmp_path_factory.mktemp("any") / "s2.parquet")
        index.add(made)
        assert by_key(index) == by_key(made)


class TestSameAsTheApi:
    names = st.sampled_from(["grid:code", "platform", "s2:processing_baseline", "nothing"])

    @given(
        west=st.floats(-0.3, 1.2), south=st.floats(-0.3, 0.7), width=st.floats(0.001, 1), slant=st.floats(0, 0.5),
        start=st.integers(0, 400), days=st.integers(0, 300), cloud=st.none() | st.integers(0, 100),
        collection=st.sampled_from(["", "sentinel-2-l2a", "sentinel-2-c1-l2a"]), seconds=st.integers(0, 86399),
        condition=st.none() | st.tuples(names, st.sampled_from(["MGRS-33TTN", "sentinel-2a", "sentinel-2b", "05.00"])),
        limit=st.none() | st.integers(1, 9),
    )  # fmt: skip
    @settings(max_examples=60)
    def test_same_items_in_the_same_order(
        self, small, api, index, west, south, width, slant, start, days, cloud, collection, seconds, condition, limit
    ):
        x, y = small.bbox[0] + west, small.bbox[1] + south
        area = shapely.Polygon([(x, y), (x + width, y + slant), (x + width, y + width + slant), (x, y + width)])
        first = np.datetime64("2021-05-01T00:00:00") + np.timedelta64(start, "D") + np.timedelta64(seconds, "s")
        period = (f"{first}Z", f"{first + np.timedelta64(days, 'D')}Z")
        options = {"max_cloud": cloud, "limit": limit, "query": condition and {condition[0]: {"eq": condition[1]}}}
        answers = []
        for url in (api, str(index.path)):
            catalog = eo.Catalog("both", url, collection)
            try:
                answers.append([item.to_dict(transform_hrefs=False) for item in eo.search(catalog, area, period, **options)])
            except NoItemsError as error:
                answers.append(str(error))
        for answer in answers:
            for one in answer if isinstance(answer, list) else ():
                one["links"] = []
                one.pop(ORIGIN, None)  # the API is a stranger, the index our own file
        assert answers[0] == answers[1]

    def test_some_of_those_queries_find_something(self, small, api, index):
        found = [eo.search(where, small.bbox, "2021") for where in (api, index, index.path, str(index.path))]
        assert 5 < len(found[0]) < len(index)
        assert all(ids(one) == ids(found[0]) for one in found)

    def test_only_candidates_are_unpacked(self, records, tmp_path, tiny_parts, monkeypatch, small):
        index = LocalIndex(tmp_path / "s2.parquet")
        index.add(records)
        unpacked = []
        real = eo.indexes.packing.Packer.unpack
        monkeypatch.setattr(eo.indexes.packing.Packer, "unpack", lambda self, text: unpacked.append(1) or real(self, text))
        found = eo.search(index, small.bbox, "2021", max_cloud=30, query={"platform": {"eq": "sentinel-2a"}})
        assert len(unpacked) == len(found) < len(records) / 3
        opened = files.open_index(index.path)
        groups = lookups.groups_within(opened.file, (*small.bbox[:2], small.bbox[0] + 0.01, small.bbox[1] + 0.01), None)
        assert 0 < len(groups) < opened.file.metadata.num_row_groups / 2

    def test_how_many_there_are_without_the_cloud_limit(self, small, index, api):
        messages = []
        for where in (eo.Catalog("x", api), eo.Catalog("x", str(index.path))):
            with pytest.raises(NoItemsError) as caught:
                eo.search(where, (small.bbox[0], small.bbox[1], small.bbox[0] + 0.001, small.bbox[1] + 0.001), max_cloud=0)
            messages.append(str(caught.value))
        assert messages[0] == messages[1]
        assert "Without the cloud limit there are" in messages[0]

    def test_unknown_cloud_cover_is_kept_and_said(self, records, tmp_path):
        some = copy.deepcopy(records[:3])
        del some[1]["properties"]["eo:cloud_cover"]
        index = LocalIndex(tmp_path / "s2.parquet")
        index.add(some)
        with pytest.warns(eo.errors.EocubeWarning, match="1 Items do not say"):
            assert some[1]["id"] in ids(eo.search(index, max_cloud=0))

    def test_no_datetime_but_a_span(self, records, tmp_path):
        span, moment = copy.deepcopy(records[0]), copy.deepcopy(records[1])
        span["properties"] |= {"datetime": None, "start_datetime": "2020-03-01T00:00:00Z", "end_datetime": "2020-03-31T12:00:00Z"}
        moment["properties"]["datetime"] = "2020-03-10T10:00:00Z"
        index = LocalIndex(tmp_path / "s2.parquet")
        index.add([span, moment])
        (tmp_path / "items.json").write_text(json.dumps({"type": "FeatureCollection", "features": [span, moment]}))
        for where in (index, tmp_path / "items.json"):
            assert ids(eo.search(where, None, "2020-03-05/2020-03-15")) == [span["id"], moment["id"]]
            assert ids(eo.search(where, None, "2020-03-31")) == [span["id"]]
            with pytest.raises(NoItemsError):
                eo.search(where, None, "2020-04")
        assert by_key(index) == by_key([span, moment])

    def test_a_bbox_that_lies_or_wraps_does_not_hide_an_item(self, records, tmp_path):
        wraps, lies = copy.deepcopy(records[:2])
        halves = [shapely.box(179, 10, 180, 11), shapely.box(-180, 10, -179, 11)]
        wraps |= {"geometry": shapely.geometry.mapping(shapely.MultiPolygon(halves)), "bbox": [179, 10, -179, 11]}
        lies["bbox"] = [0, 0, 1, 1]
        index = LocalIndex(tmp_path / "s2.parquet")
        index.add(json.loads(json.dumps([wraps, lies])))
        assert ids(eo.search(index, (-179.5, 10.2, -179.2, 10.5))) == [wraps["id"]]
        assert ids(eo.search(index, (179.2, 10.2, 179.5, 10.5))) == [wraps["id"]]
        west, south, east, north = shapely.geometry.shape(lies["geometry"]).bounds
        assert ids(eo.search(index, ((west + east) / 2, (south + north) / 2, east, north))) == [lies["id"]]

    def test_what_a_catalog_says_of_layout_is_kept(self, small, tmp_path):
        said = replace(eo.EARTH_SEARCH.at(small.items_path), offsets="baseline")
        found = eo.search(said)
        assert LAYOUT in found[0].extra_fields
        index = LocalIndex(tmp_path / "s2.parquet")
        index.add(found)
        again = eo.search(index)
        assert [item.extra_fields[LAYOUT] for item in again] == [item.extra_fields[LAYOUT] for item in found]
        one, two = (eo.load(i, small.grid, bands=["red"]) for i in (found, again))
        assert one.offset.equals(two.offset)

    def test_the_same_cube(self, small, small_items, tmp_path):
        LocalIndex(tmp_path / "s2.parquet").add(small_items)
        found = eo.search(tmp_path / "s2.parquet")
        one, two = (eo.load(i, small.grid, bands=["red"], mask=eo.SCLMask()).compute() for i in (found, small_items))
        assert one.identical(two)

    def test_offline_an_item_can_be_written(self, records, tmp_path):
        """Links to a root that cannot be reached are not followed."""
        links = [{"rel": rel, "href": "https://example.com/x.json"} for rel in ("root", "parent", "collection", "self", "via")]
        index = LocalIndex(tmp_path / "s2.parquet")
        index.add([records[0] | {"links": links}])
        item = eo.search(index)[0]
        assert [link["rel"] for link in item.to_dict()["links"]] == ["self", "via"]
        assert next(iter(index))["links"] == links

    conditions = st.dictionaries(
        st.sampled_from(["n", "s", "b", "f"]),
        st.dictionaries(
            st.sampled_from(["eq", "neq", "lt", "lte", "gt", "gte"]),
            st.none() | st.integers(-3, 3) | st.integers(2**53 - 1, 2**53 + 2) | st.floats() | st.sampled_from(["", "a", "b"]) | st.booleans(),
            max_size=2,
        ),
        max_size=3,
    )

    @given(conditions, st.data())
    @settings(max_examples=100)
    def test_a_prefilter_never_drops_what_meets_the_conditions(self, conditions, data):
        kinds = {
            "n": st.integers(-3, 3) | st.integers(2**53 - 1, 2**53 + 2), "s": st.sampled_from(["", "a", "b"]),
            "b": st.booleans(), "f": st.floats(-3, 3) | st.just(float("nan")),
        }  # fmt: skip
        rows = [{n: data.draw(st.none() | kind) for n, kind in kinds.items()} for _ in range(6)]
        table = pa.table({n: columns.array_of([row[n] for row in rows])[0] for n in kinds})
        kept = lookups.may_meet(table, Filters(query=conditions).cql2())
        for row, may in zip(rows, kept, strict=True):
            assert may or not meets(row, conditions)


class TestTheFile:
    def test_other_programs_read_it(self, index, records):
        own = by_key(records)
        answers = {
            "stac-geoparquet": list(stac_geoparquet.arrow.stac_table_to_items(pq.read_table(index.path))),
            "rustac": asyncio.run(_rustac(index.path)),
        }
        for name, found in answers.items():
            assert len(found) == len(records), name
            for one in found:
                one["properties"].pop(columns.PACKED)
                assert plain(one) == plain(own[key(one)]), name

    def test_geoparquet_says_where_it_is(self, index):
        kept = pq.read_metadata(index.path).metadata
        geo = json.loads(kept[b"geo"])["columns"]["geometry"]
        assert geo["geometry_types"] == ["Polygon"]
        bounds = geo["bbox"]
        import geopandas

        frame = geopandas.read_parquet(index.path, columns=["id", "geometry"], bbox=tuple(bounds))
        assert len(frame) == len(index)
        assert np.allclose(frame.total_bounds, bounds)
        assert json.loads(kept[b"stac-geoparquet"])["version"] == "1.0.0"
        schema = pq.read_schema(index.path)
        assert schema.field("datetime").type == pa.timestamp("us", tz="UTC")
        assert schema.field("geometry").type == pa.binary()

    def test_repr(self, index, tmp_path, records):
        text = repr(index)
        period = sorted(record["properties"]["datetime"][:10] for record in records)
        for word in (f"Items {len(records)}", "sentinel-2-l2a (", "sentinel-2-c1-l2a (", f"{period[0]} to {period[-1]}", "MB"):
            assert word in text
        assert "<table>" in index._repr_html_()
        assert f"{min(record['bbox'][0] for record in records):.4f}" in text
        empty = LocalIndex(tmp_path / "none.parquet")
        assert "no file yet" in repr(empty)
        assert (len(empty), empty.collections, bool(empty)) == (0, {}, True)
        assert index.collections == dict(sorted(collections.Counter(r["collection"] for r in records).items()))

    def test_it_travels(self, index):
        again = pickle.loads(pickle.dumps(index))
        assert len(again) == len(index)

    def test_a_search_goes_on_while_the_file_is_replaced(self, records, tmp_path):
        index = LocalIndex(tmp_path / "s2.parquet")
        index.add(records[:10])
        reading = iter(index)
        first = next(reading)
        LocalIndex(index.path).add(records[10:])
        assert by_key([first, *reading]) == by_key(records[:10])
        assert len(index) == len(records)
        assert len(eo.search(index)) == len(records)


class TestFaults:
    def test_a_killed_run_leaves_the_old_file(self, records, tmp_path):
        index = LocalIndex(tmp_path / "s2.parquet")
        index.add(records[:5])
        before = index.path.read_bytes()
        (tmp_path / "more.json").write_text(json.dumps({"type": "FeatureCollection", "features": records[5:]}))
        code = (
            "import os, sys, eocube, eocube.indexes.building as building\n"
            "building.settle = lambda made, path: (print(made.stat().st_size, flush=True), os.kill(os.getpid(), 9))\n"
            f"eocube.LocalIndex({str(index.path)!r}).add({str(tmp_path / 'more.json')!r})\n"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert done.returncode == -9
        assert int(done.stdout) > len(before) / 2
        assert index.path.read_bytes() == before
        assert list(tmp_path.glob(".s2.parquet.part-*"))
        assert len(index.add(records[5:], wait=1).added) == len(records) - 5
        assert not list(tmp_path.glob(".s2.parquet.part-*"))

    def test_two_at_once_lose_nothing(self, records, tmp_path):
        path = tmp_path / "s2.parquet"
        parts = [records[i::2] for i in range(2)]
        context = multiprocessing.get_context("spawn")
        ready = context.Barrier(2)
        workers = [context.Process(target=_add, args=(path, part, ready)) for part in parts]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(120)
            assert worker.exitcode == 0
        assert by_key(LocalIndex(path)) == by_key(records)

    def test_threads_at_once_lose_nothing(self, records, tmp_path):
        index = LocalIndex(tmp_path / "s2.parquet")
        threads = [threading.Thread(target=index.add, args=(records[i::4],)) for i in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert by_key(index) == by_key(records)

    def test_one_that_does_not_end_is_said(self, records, tmp_path):
        index = LocalIndex(tmp_path / "s2.parquet")
        index.add(records[:3])
        started = time.perf_counter()
        with filelock.FileLock(tmp_path / ".s2.parquet.lock"), pytest.raises(OutputError, match=r"another process for more than 0\.2 s"):
            index.add(records, wait=0.2)
        assert time.perf_counter() - started < 5
        assert len(index) == 3

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"geometry": None}, "has no geometry"),
            ({"geometry": {"type": "Polygon"}}, "has no geometry"),
            ({"geometry": {"type": "Polygon", "coordinates": []}}, "empty geometry"),
            ({"properties": {"datetime": None}}, "neither a datetime nor"),
            ({"properties": {"datetime": "yesterday"}}, "neither a datetime nor"),
            ({"foreign": {1, 2}}, "cannot be written as JSON"),
            ({"assets": None}, "Not a STAC Item"),
        ],
    )
    def test_a_bad_item_adds_nothing(self, records, tmp_path, change, message):
        index = LocalIndex(tmp_path / "s2.parquet")
        index.add(records[:2])
        before = index.path.read_bytes()
        with pytest.raises(ItemsError, match=message):
            index.add([records[3], records[4] | change])
        assert index.path.read_bytes() == before
        assert sorted(p.name for p in tmp_path.iterdir()) in (["s2.parquet"], [".s2.parquet.lock", "s2.parquet"])

    def test_none_at_all(self, tmp_path):
        index = LocalIndex(tmp_path / "s2.parquet")
        with pytest.raises(NoItemsError, match="not a single Item to add"):
            index.add([])
        assert not index.path.exists()
        with pytest.raises(CatalogError, match=r"There is no index at .*s2\.parquet yet.*add"):
            eo.search(index)
        with pytest.raises(CatalogError, match="There is no catalog at"):
            index.add(tmp_path / "nowhere")

    def test_not_an_index(self, records, tmp_path, small_items):
        path = tmp_path / "s2.parquet"
        path.write_text("hello")
        for act in (eo.search, lambda p: LocalIndex(p).add(records[:1]), lambda p: len(LocalIndex(p))):
            with pytest.raises(CatalogError, match=r"s2\.parquet cannot be read as Parquet"):
                act(path)
        assert path.read_text() == "hello"
        assert "cannot be read as Parquet" in repr(LocalIndex(path))
        pq.write_table(pa.table({"x": [1]}), path)
        with pytest.raises(CatalogError, match="is not stac-geoparquet: its columns are x"):
            eo.search(path)
        stac_geoparquet.arrow.to_parquet(stac_geoparquet.arrow.parse_stac_items_to_arrow(records), path)
        with pytest.raises(CatalogError, match="stac-geoparquet that another program wrote"):
            eo.search(path)
        path.write_bytes(b"")
        with pytest.raises(CatalogError, match="cannot be read as Parquet"):
            eo.search(path)

    def test_cut_short_anywhere(self, records, tmp_path):
        whole = LocalIndex(tmp_path / "whole.parquet")
        whole.add(records)
        data = whole.path.read_bytes()
        for share in (0.0001, 0.3, 0.7, 0.99, 0.99999):
            path = tmp_path / "cut.parquet"
            path.write_bytes(data[: int(len(data) * share)])
            with pytest.raises(CatalogError, match="cannot be read as Parquet"):
                eo.search(path)

    def test_damaged_inside(self, records, tmp_path):
        index = LocalIndex(tmp_path / "s2.parquet")
        index.add(records)
        data = bytearray(index.path.read_bytes())
        column = pq.read_metadata(index.path).row_group(0)
        place = next(column.column(i) for i in range(column.num_columns) if column.column(i).path_in_schema == columns.PACKED)
        first = place.data_page_offset
        data[first : first + 4000] = b"\xff" * 4000
        index.path.write_bytes(bytes(data))
        with pytest.raises(CatalogError, match="damaged"):
            eo.search(index)

    def test_written_by_a_later_eocube(self, records, tmp_path, monkeypatch):
        index = LocalIndex(tmp_path / "s2.parquet")
        with monkeypatch.context() as later:
            later.setattr(files.Summary, "version", files.VERSION + 1)
            later.setattr(files.Summary, "metadata", _later)
            index.add(records[:2])
        for act in (lambda: eo.search(index), lambda: index.add(records)):
            with pytest.raises(CatalogError, match=r"later eocube \(layout 2, this one reads 1\): update"):
                act()

    def test_changed_by_another_program(self, records, tmp_path):
        index = LocalIndex(tmp_path / "s2.parquet")
        index.add(records)
        table = pq.read_table(index.path)
        pq.write_table(table.slice(0, 3), index.path)
        with pytest.raises(CatalogError, match="changed by another program"):
            eo.search(index)

    def test_bad_places(self, records, tmp_path):
        with pytest.raises(CatalogError, match="is a folder"):
            LocalIndex(tmp_path)
        with pytest.raises(CatalogError, match=r"does not end in \.parquet"):
            LocalIndex(tmp_path / "s2.json")
        (tmp_path / "file").touch()
        for folder in ("file", "nowhere"):
            with pytest.raises(OutputError, match="there is no folder"):
                LocalIndex(tmp_path / folder / "s2.parquet").add(records[:1])
        assert not (tmp_path / "nowhere").exists()

    def test_a_folder_that_may_not_be_written(self, records, tmp_path, monkeypatch):
        def refused(*_, **__):
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr("tempfile.mkdtemp", refused)
        with pytest.raises(OutputError, match="cannot be written: Permission denied"):
            LocalIndex(tmp_path / "s2.parquet").add(records[:1])

    def test_a_full_disk(self, records, tmp_path, monkeypatch):
        index = LocalIndex(tmp_path / "s2.parquet")
        index.add(records[:2])

        def full(*_):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(building, "write_merged", full)
        with pytest.raises(OutputError, match=r"No space left on device\. What was there is unchanged"):
            index.add(records)
        assert len(index) == 2

    def test_the_extra_is_named(self, tmp_path, monkeypatch):
        monkeypatch.setitem(sys.modules, "filelock", None)
        with pytest.raises(MissingExtraError, match=r"pip install 'eocube\[index\]'"):
            LocalIndex(tmp_path / "s2.parquet")

    def test_searching_elsewhere_needs_no_extra(self, small):
        code = (
            "import sys; sys.modules['pyarrow'] = sys.modules['filelock'] = None\n"
            f"import eocube; print(len(eocube.search({str(small.items_path)!r})))"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert int(done.stdout) == len(small.item_ids)


@pytest.fixture(scope="module")
def found(real):
    """All real Items, as (collection, id): Item."""
    made = {}
    for path in sorted((real / "stac").rglob("*")):
        if path.suffix in (".json", ".geojson"):
            for one in _features(json.loads(path.read_text())):
                made.setdefault(key(one), one)
        elif path.suffix == ".parquet":
            for one in asyncio.run(_rustac(path)):
                made.setdefault(key(one), json.loads(json.dumps(one)))
    return made


@pytest.mark.real
class TestReal:
    """Every Item of the collection of real ones, of all catalogs and versions."""

    def test_every_item_comes_back(self, found, real, tmp_path):
        listed = [line.split(",")[:2] for line in (real / "stac" / "INDEX.csv").read_text().splitlines()[1:]]
        here = {name for source, name in listed if source.startswith("stac/")}
        assert len(here) > 100
        assert not here - {name for _, name in found}
        versions = {one["stac_version"] for one in found.values()}
        assert {"1.0.0", "1.1.0"} <= versions
        index = LocalIndex(tmp_path / "s2.parquet")
        assert len(index.add(found.values()).added) == len(found)
        assert by_key(index) == found

    def test_others_read_one_collection_of_each_catalog(self, found, tmp_path):
        groups = {}
        for one in found.values():
            kind = (one.get("collection"), *sorted(one["assets"])[:3])
            groups.setdefault(kind, []).append(one)
        assert len(groups) > 5
        for number, group in enumerate(groups.values()):
            path = tmp_path / f"{number}.parquet"
            LocalIndex(path).add(group)
            own = by_key(group)
            for one in stac_geoparquet.arrow.stac_table_to_items(pq.read_table(path)):
                one["properties"].pop(columns.PACKED)
                assert plain(one) == plain(own[key(one)])

    def test_all_in_one_file_are_read_by_rustac(self, found, tmp_path):
        LocalIndex(tmp_path / "s2.parquet").add(found.values())
        read = asyncio.run(_rustac(tmp_path / "s2.parquet"))
        assert {key(one) for one in read} == set(found)
        for one in read:
            theirs = found[key(one)]
            assert {k: a["href"] for k, a in one["assets"].items()} == {k: a["href"] for k, a in theirs["assets"].items()}
            assert one["properties"].get("proj:epsg") == theirs["properties"].get("proj:epsg")
            assert one["properties"].get("proj:code") == theirs["properties"].get("proj:code")


def plain(value, name=""):
    """What remains of JSON in columns: no nulls, times by value, no proj:geometry."""
    if isinstance(value, dict):
        parts = {k: plain(v, k) for k, v in value.items() if k != "proj:geometry"}
        box = parts.get("bbox")
        if isinstance(box, list) and (box[0] > box[2] or box[:3:2] == [-180, 180]):
            del parts["bbox"]  # over the antimeridian: the column has the bounds of both halves
        return {k: v for k, v in parts.items() if v not in (None, {})}
    if isinstance(value, list | tuple):
        return [plain(one, name) for one in value]
    if name in columns.TIMES:
        return columns.moment(value)
    return value


def _features(found):
    if isinstance(found, list):
        found = {"type": "FeatureCollection", "features": found}
    if isinstance(found, dict) and found.get("type") == "Feature" and "assets" in found and "properties" in found:
        yield found
    elif isinstance(found, dict) and found.get("type") == "FeatureCollection":
        for feature in found["features"]:
            yield from _features(feature)


async def _rustac(path):
    return (await rustac.read(str(path)))["features"]


def _add(path, part, ready):
    ready.wait()
    LocalIndex(path).add(part)


def _later(self):
    return {b"geo": b"{}", files.OWN: json.dumps(self.__dict__ | {"version": files.VERSION + 1, "news": 1}).encode()}


def test_changes_are_a_value():
    assert Changes("x", ("a",), (), ("b", "c"), 3) == Changes("x", ("a",), (), ("b", "c"), 3)
    assert repr(Changes("x", ("a",), (), ("b", "c"), 3)) == (
        "Changes(1 added, 0 replaced by newer ones, 2 kept as they were; 3 Items in x)"
    )
