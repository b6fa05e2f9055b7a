"""Scenes: passes, twins, halves, offsets by metadata."""

from __future__ import annotations

import json

import numpy as np
import pytest

from eocube import sample
from eocube.catalogs import recognise
from eocube.errors import ItemsError, MissingAssetError, NoItemsError
from eocube.granules import granule_of
from eocube.scenes import scenes_of


def records(world):
    return [item.to_dict(include_self_link=False, transform_hrefs=False) for item in world.items()]


class TestSample:
    def test_one_time_step_per_solar_day_and_platform(self, world, items):
        table = scenes_of(items, ("red", "scl"), longitude=12)
        keys = [(scene.platform, scene.day) for scene in table.scenes]
        assert len(keys) == len(set(keys)) == len(world.scenes)
        assert [scene.time for scene in table.scenes] == sorted(scene.time for scene in table.scenes)

    def test_the_twin_is_left_out_and_the_halves_stay(self, world, items):
        table = scenes_of(items, ("red",), longitude=12)
        assert table.twins == ("S2A_33TTN_20210612_0_L2A",)
        halves = next(s for s in table.scenes if str(s.day) == "2022-03-24")
        assert [g.id for g in halves.granules if g.tile == "33TTN"] == [
            "S2B_33TTN_20220324_0_L2A", "S2B_33TTN_20220324_1_L2A",
        ]  # fmt: skip

    def test_order_of_items_does_not_matter(self, items):
        table = scenes_of(items, ("red",), longitude=12)
        shuffled = [list(items)[i] for i in np.random.default_rng(0).permutation(len(items))]
        assert scenes_of(shuffled, ("red",), longitude=12) == table

    def test_items_given_twice_count_once(self, items):
        twice = [*items, *items]
        assert scenes_of(twice, ("red",), longitude=12) == scenes_of(items, ("red",), longitude=12)

    @pytest.mark.parametrize("naming", ["earth-search", "planetary-computer"])
    def test_offsets_are_those_in_the_pixels(self, naming, tmp_path):
        world = sample.write(tmp_path / "w", size=60, dates=5, naming=naming)
        found = {
            g.id: g for s in scenes_of(records(world), ("red",), longitude=12).scenes for g in s.granules
        }
        for name, granule in world.granules.items():
            if name in found:
                assert found[name].offsets["red"] == -granule.carried, name

    def test_sun_and_baseline(self, world, items):
        for scene in scenes_of(items, ("red",), longitude=12).scenes:
            assert 100 < scene.sun_azimuth < 220
            assert 10 < scene.sun_elevation < 70
            assert scene.baseline


def item(name="S2A_33TTN_20210612_0_L2A", **properties):
    base = {
        "datetime": "2021-06-12T10:00:31Z", "platform": "sentinel-2a", "grid:code": "MGRS-33TTN",
        "proj:epsg": 32633, "s2:processing_baseline": "03.00", **properties,
    }  # fmt: skip
    square = [[[12, 47], [13, 47], [13, 48], [12, 48], [12, 47]]]
    return {
        "type": "Feature", "id": name, "collection": "sentinel-2-l2a", "properties": base,
        "geometry": {"type": "Polygon", "coordinates": square},
        "assets": {"red": {"href": "/nowhere/B04.tif"}, "scl": {"href": "/nowhere/SCL.tif"}},
    }  # fmt: skip


def table(*found, longitude=12.0, bands=("red",), **options):
    return scenes_of(found, bands, longitude=longitude, **options)


class TestRules:
    def test_two_platforms_of_one_day_are_two_scenes(self):
        other = item("S2B_33TTN_20210612_0_L2A", platform="sentinel-2b")
        assert len(table(item(), other).scenes) == 2

    def test_solar_day_not_utc_day(self):
        """Off New Zealand a pass just before and one just after midnight UTC are one solar day."""
        before = item("a", datetime="2020-01-01T23:59:58Z", **{"grid:code": "MGRS-01KAB"})
        after = item("b", datetime="2020-01-02T00:00:05Z", **{"grid:code": "MGRS-60KAB"})
        (scene,) = table(before, after, longitude=179.9).scenes
        assert str(scene.day) == "2020-01-02"
        assert len(scene.granules) == 2

    def test_highest_baseline_wins_then_the_newest(self):
        old = item("a", **{"s2:generation_time": "2021-06-13T00:00:00Z"})
        new = item("b", **{"s2:generation_time": "2023-06-13T00:00:00Z"})
        best = item("c", **{"s2:processing_baseline": "05.00", "s2:generation_time": "2020-01-01T00:00:00Z"})
        assert table(old, new).twins == ("a",)
        assert table(new, best, old).twins == ("a", "b")

    def test_a_better_half_does_not_push_out_the_whole(self):
        half = item("b", **{"s2:processing_baseline": "05.00"})
        half["geometry"]["coordinates"] = [[[12, 47], [12.5, 47], [12.5, 48], [12, 48], [12, 47]]]
        (scene,) = table(item("a"), half).scenes
        assert [granule.id for granule in scene.granules] == ["b", "a"]

    def test_mean_azimuth_across_north(self):
        east = item("a", **{"view:sun_azimuth": 2, "view:sun_elevation": 40})
        west = item("b", **{"view:sun_azimuth": 358, "view:sun_elevation": 42, "grid:code": "MGRS-33TUN"})
        (scene,) = table(east, west).scenes
        assert scene.sun_azimuth % 360 == pytest.approx(0, abs=1e-6)
        assert scene.sun_elevation == 41

    @pytest.mark.parametrize(
        ("properties", "collection", "raster", "offset"),
        [
            ({"s2:processing_baseline": "03.01"}, "sentinel-2-l2a", None, 0),
            ({"s2:processing_baseline": "04.00"}, "sentinel-2-l2a", None, -1000),
            ({"s2:processing_baseline": "05.09", "earthsearch:boa_offset_applied": True}, "sentinel-2-l2a", -0.1, 0),
            ({"s2:processing_baseline": "04.00", "earthsearch:boa_offset_applied": False}, "sentinel-2-l2a", -0.1, -1000),
            ({"s2:processing_baseline": "02.14", "earthsearch:boa_offset_applied": False}, "sentinel-2-l2a", 0, 0),
            ({"s2:processing_baseline": "05.11"}, "sentinel-2-c1-l2a", -0.1, -1000),
            ({"s2:processing_baseline": "05.11"}, "sentinel-2-c1-l2a", -0.7, -7000),
            ({"s2:processing_baseline": "05.11"}, "sentinel-2-c1-l2a", None, -1000),
        ],
    )  # fmt: skip
    def test_offset_rules(self, properties, collection, raster, offset):
        record = item(**properties) | {"collection": collection}
        if raster is not None:
            record["assets"]["red"]["raster:bands"] = [{"scale": 0.0001, "offset": raster}]
        (scene,) = table(record).scenes
        assert scene.granules[0].offsets == {"red": offset}
        assert scene.offset == offset

    def test_planetary_computer_goes_by_baseline_never_by_date(self):
        for baseline, offset in (("02.12", 0), ("04.00", -1000), ("05.10", -1000)):
            record = item(**{"s2:processing_baseline": baseline, "datetime": "2018-05-05T10:00:00Z"})
            record["assets"] = {"B04": {"href": "https://x.blob.core.windows.net/c/B04.tif?sig=old"}}
            (scene,) = table(record).scenes
            assert scene.granules[0].offsets == {"red": offset}
            source = scene.granules[0].sources["red"]
            assert source.href == "https://x.blob.core.windows.net/c/B04.tif"
            assert source.signer == "planetary-computer"


class TestMistakes:
    def test_missing_asset_names_item_and_asset(self):
        lacking = item("b", **{"grid:code": "MGRS-33TUN"})
        del lacking["assets"]["red"]
        with pytest.raises(MissingAssetError, match=r"1 of 2 Items lack an asset: b lacks red.*b has: scl"):
            table(item("a"), lacking)
        found = table(item("a"), lacking, skip_missing=True)
        assert found.skipped == ("b: red",)
        assert [g.id for g in found.scenes[0].granules] == ["a"]

    def test_mixed_collections(self):
        other = item("b") | {"collection": "sentinel-2-c1-l2a"}
        with pytest.raises(
            ItemsError, match=r"several collections: sentinel-2-c1-l2a \(1\), sentinel-2-l2a \(1\)"
        ):
            table(item("a"), other)

    def test_no_items(self):
        with pytest.raises(NoItemsError, match="not a single Item"):
            table()

    @pytest.mark.parametrize("wrong", [[3], "items", 7, [{"id": "x"}]])
    def test_not_items(self, wrong):
        with pytest.raises(ItemsError, match="Item"):
            scenes_of(wrong, ("red",), longitude=0)

    def test_another_satellite(self):
        with pytest.raises(ItemsError, match="is of landsat-8; eocube reads Sentinel-2"):
            table(item(platform="landsat-8"))

    def test_unusable_items(self):
        with pytest.raises(ItemsError, match="no usable datetime"):
            table(item(datetime=None))
        with pytest.raises(ItemsError, match="neither geometry nor bbox"):
            table(item() | {"geometry": None})
        boxed = item() | {"geometry": None, "bbox": [12, 47, 0, 13, 48, 900]}
        assert table(boxed).scenes[0].granules[0].footprint.bounds == (12, 47, 13, 48)


@pytest.mark.real
class TestReal:
    """Real Items: the traps of real archives."""

    def test_reprocessed_pairs(self, real):
        path = real / "stac/extracted/earthsearch-v1_T32_2020-03_reprocessed-duplicates.json"
        found = scenes_of(json.loads(path.read_text()), ("red", "scl"), longitude=9)
        assert len(found.scenes) == 2
        assert len(found.twins) == 8
        assert all("_0_L2A" in name for name in found.twins)
        for scene in found.scenes:
            assert scene.baseline == "05.00"
            assert scene.offset == 0  # boa_offset_applied, though raster:bands says -0.1

    def test_one_datatake_over_midnight_and_the_antimeridian(self, real):
        path = real / "stac/extracted/planetarycomputer_2019-01-01_T59-T60.json"
        (scene,) = scenes_of(json.loads(path.read_text()), ("red",), longitude=179).scenes
        assert len(scene.granules) == 33
        assert scene.offset == 0

    def test_a_flag_that_says_not_applied(self, real):
        (path,) = (real / "stac").rglob("*S2B_33TWN_20220226_0_L2A*")
        record = json.loads(path.read_text())
        granule = granule_of(record, ("red",), recognise(record))
        assert granule.baseline == "04.00"
        assert granule.offsets == {"red": -1000}

    def test_every_sentinel_2_l2a_item_is_understood(self, real):
        from .test_places import real_items

        seen = 0
        for record in real_items(real):
            assets = record["assets"]
            known = {"red", "B04", "B04_10m"} & set(assets)
            kind = str(record.get("collection") or "") + record["id"]
            if not known or "L1C" in kind or "l1c" in kind or "geomad" in kind:
                continue
            layout = recognise(record)
            granule = granule_of(record, ("red", "scl"), layout)
            assert not granule.missing, record["id"]
            assert granule.platform.startswith("sentinel-2"), record["id"]
            assert granule.tile[:2].isdigit(), (record["id"], granule.tile)
            assert granule.offsets["red"] in (0, -1000, -7000), record["id"]
            seen += 1
        assert seen > 120
