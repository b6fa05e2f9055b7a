"""Every real Item at hand is recognised: layout, bands, CRS, grid, offset, sun, baseline. None is skipped.

The traps that real metadata hold, and the test of each:

===================================================================  ====================================
trap                                                                 test
===================================================================  ====================================
Planetary Computer has no raster:bands: the baseline decides         TestTable, TestTraps.test_no_raster_bands
old scenes reprocessed: never decide by date                         test_scenes: ..._never_by_date
Earth Search says -0.1 where the offset was applied (flag true)      TestTraps.test_pair_with_opposite_flags
flag false with baseline >= 04.00: -1000                             TestTraps.test_flag_false_at_04_00
flag absent with baseline >= 04.00: -1000                            TestTraps.test_flag_absent
v0's flag and product id                                             TestTraps.test_v0
c1 has no flag, its offset is right                                  TestTable (c1), TestTraps.test_c1
CDSE: raster:offset on the asset, proj:code only, own asset keys     TestTable (cdse), TestTraps.test_cdse
an offset per band (B04 -0.7)                                        TestTraps.test_an_offset_per_band
SCL, AOT and WVP carry no offset                                     TestTable
proj:epsg and proj:code; STAC 1.0 and 1.1; what pystac makes of it   TestTable (dict and pystac)
sun: zenith or elevation                                             TestTable
MGRS zone zero-padded or not                                         test_filters: test_rules
L1C beside L2A: B10, no SCL, an offset of its own                    TestTable (l1c)
reprocessed twins                                                    TestTraps.test_pair_..., test_scenes
halves of one pass, another datastrip                                TestTraps.test_split_pass
one acquisition in three collections                                 TestTraps.test_three_collections
footprints that wrap the world                                       TestTraps.test_antimeridian
===================================================================  ====================================
"""

from __future__ import annotations

import csv
import json
import math
import re

import pystac
import pytest
import shapely
import shapely.geometry

from eocube.catalogs import recognise
from eocube.errors import ItemsError
from eocube.granules import granule_of
from eocube.items import as_dicts, layout_of
from eocube.scenes import scenes_of
from eocube.sentinel2 import BANDS
from eocube.tiles import tile_grid

pytestmark = pytest.mark.real

NOT_HERE = {
    "S2A_MSIL2A_20181229T095411_N0211_R079_T33SVB_20181229T112231",
    "S2A_12RWT_20240106_0_L2A",
}
"""Rows of the index whose files are not among the data."""

SPECTRAL = tuple(name for name, band in BANDS.items() if band.kind == "reflectance")
L2A = (*(name for name in SPECTRAL if name != "cirrus"), "scl", "aot", "wvp")


def walk(found):
    if isinstance(found, dict):
        if found.get("type") == "Feature" and "assets" in found:
            yield found
        found = list(found.values())
    if isinstance(found, list):
        for value in found:
            yield from walk(value)


def from_parquet(path):
    """Return the Items of a stac-geoparquet file as dicts."""
    from pyarrow.parquet import read_table

    top = {
        "type",
        "stac_version",
        "stac_extensions",
        "id",
        "links",
        "assets",
        "collection",
        "bbox",
        "geometry",
    }
    for row in read_table(path).to_pylist():
        record = {key: row.pop(key) for key in top}
        box = record["bbox"]
        row["datetime"] = row["datetime"].isoformat()
        yield record | {
            "properties": {key: value for key, value in row.items() if value is not None},
            "geometry": shapely.geometry.mapping(shapely.from_wkb(record["geometry"])),
            "bbox": [box["xmin"], box["ymin"], box["xmax"], box["ymax"]],
            "assets": {
                name: {key: value for key, value in asset.items() if value is not None}
                for name, asset in record["assets"].items() if asset is not None
            },
        }  # fmt: skip


@pytest.fixture(scope="module")
def records(real):
    found = []
    for path in sorted([*real.rglob("*.json"), *real.rglob("*.geojson")]):
        try:
            found += walk(json.loads(path.read_text()))
        except json.JSONDecodeError:
            continue
    found += from_parquet(real / "stac/rustac/crates/duckdb/data/100-sentinel-2-items.parquet")
    # As a search of the files notes: they are on this machine.
    return [{**record, "eocube:origin": ""} for record in found]


@pytest.fixture(scope="module")
def index(real):
    with (real / "stac/INDEX.csv").open() as file:
        return {(row["id"], row["collection"]): row for row in csv.DictReader(file)}


def expected_layout(record):
    collection, assets = record.get("collection"), record["assets"]
    if collection == "sentinel-s2-l2a-cogs" and "B04" in assets:
        return "earth-search-v0"
    if "B04_10m" in assets:
        return "cdse"
    if "scl" not in assets and "cirrus" in assets:
        return "earth-search-l1c"
    if "B04" in assets:
        return "planetary-computer"
    return "earth-search" if collection == "sentinel-2-l2a" else "earth-search-c1"


def expected_offset(record, layout, baseline):
    """By the words of each catalog's rule, not by the code's way."""
    properties, asset = record["properties"], record["assets"][layout.assets["red"]]
    by_baseline = -1000 if baseline >= "04.00" else 0
    if layout.name == "planetary-computer":
        return by_baseline
    if layout.name in ("earth-search", "earth-search-v0"):
        flags = [properties.get(f"{prefix}:boa_offset_applied") for prefix in ("earthsearch", "sentinel")]
        return 0 if True in flags else by_baseline
    said = asset.get("raster:offset", (asset.get("raster:bands") or [{}])[0].get("offset"))
    return by_baseline if said is None else round(said * 10_000)


class TestTable:
    def test_all_of_the_index_are_here(self, records, index):
        here = {(record["id"], record.get("collection") or "") for record in records}
        missing = {key for key in index if key not in here}
        assert {name for name, _ in missing} == NOT_HERE
        assert len(records) >= 270

    def test_what_is_not_sentinel_2_is_refused(self, records):
        others = [r for r in records if r.get("collection") in ("sentinel-1-grd", "dep_ls_geomad")]
        assert len(others) == 4
        for record in others:
            with pytest.raises(ItemsError, match=r"no known layout|says nowhere that it is Sentinel-2"):
                granule_of(record, ("red",), recognise(record))

    def test_every_item(self, records, index):
        seen: dict[str, int] = {}
        for record in records:
            if record.get("collection") in ("sentinel-1-grd", "dep_ls_geomad"):
                continue
            layout = recognise(record)
            assert layout.name == expected_layout(record), record["id"]
            seen[layout.name] = seen.get(layout.name, 0) + 1
            self.check(record, layout, index.get((record["id"], record.get("collection") or ""), {}))
        assert set(seen) == {
            "earth-search", "earth-search-v0", "earth-search-c1", "earth-search-l1c", "planetary-computer", "cdse",
        }  # fmt: skip
        assert sum(seen.values()) == len(records) - 4

    def check(self, record, layout, row):
        name, properties = record["id"], record["properties"]
        bands = SPECTRAL if layout.name == "earth-search-l1c" else L2A
        if len(record["assets"]) < 10:  # a thinned copy of the data
            bands = ("blue", "green", "red", "nir", "scl")
        granule = granule_of(record, bands, layout)
        assert granule.missing == (), name
        assert set(granule.sources) == set(bands), name

        tile = granule.tile
        assert re.fullmatch(r"\d{2}[A-Z]{3}", tile), name
        assert tile.lstrip("0") in name or tile in str(properties.get("s2:tile_id")), name
        product = re.search(
            r"_N(\d\d)(\d\d)_",
            str(properties.get("s2:product_uri") or properties.get("sentinel:product_id") or name),
        )
        said = row.get("baseline") or (f"{product[1]}.{product[2]}" if product else granule.baseline)
        assert granule.baseline == said, name
        assert re.fullmatch(r"\d\d\.\d\d", granule.baseline), name
        assert granule.platform in ("sentinel-2a", "sentinel-2b", "sentinel-2c"), name
        self.check_grid(granule, tile, row, name)

        assert set(granule.offsets) == {band for band in bands if band in SPECTRAL}, name
        assert granule.offsets["red"] == expected_offset(record, layout, granule.baseline), name
        assert not granule.assumed, name
        assert {round(1 / scale) for scale in granule.scales.values()} == {10_000}, name
        self.check_sun(granule, properties, row, layout, name)
        self.check_through_pystac(record, bands, granule)

    def check_grid(self, granule, tile, row, name):
        for band, source in granule.sources.items():
            if source.grid is None:
                continue
            # One file of an example was made with the metadata of the tile below.
            own = tile_grid("34LBP" if "T34LBQ" in name else tile, 10)
            assert source.grid.crs == own.crs, (name, band)
            assert source.grid.extent.boundingbox.bbox == own.extent.boundingbox.bbox, (name, band)
        stated = {source.grid for source in granule.sources.values()}
        assert None not in stated or "MSIL2A" in name or name.startswith("S2"), name
        assert granule.grid is not None, name
        if row.get("epsg"):
            assert granule.grid.crs.epsg == int(float(row["epsg"].removeprefix("EPSG:"))), name

    def check_sun(self, granule, properties, row, layout, name):
        said = properties.get("view:sun_azimuth", properties.get("s2:mean_solar_azimuth"))
        if said is None:
            # v0, and one Item whose granule metadata lacked the angles.
            assert layout.name == "earth-search-v0" or name == "S2A_T01WCP_20230625T234624_L2A", name
            assert math.isnan(granule.sun_azimuth), name
            assert math.isnan(granule.sun_elevation), name
            return
        assert granule.sun_azimuth == said, name
        if row.get("sun_az"):
            assert granule.sun_azimuth == pytest.approx(float(row["sun_az"])), name
        zenith = properties.get("s2:mean_solar_zenith")
        elevation = properties["view:sun_elevation"] if zenith is None else 90 - zenith
        assert granule.sun_elevation == pytest.approx(elevation), name

    def check_through_pystac(self, record, bands, granule):
        """What pystac makes of it (STAC 1.1, projection v2) is understood in the same way."""
        item = pystac.Item.from_dict({**record, "links": []}, preserve_dict=True)
        for asset in item.assets.values():
            asset.href = f"/{asset.href}" if "://" not in asset.href else asset.href
        (again,) = as_dicts([item])
        found = granule_of(again, bands, layout_of(again))
        for fact in ("tile", "baseline", "platform", "offsets", "scales", "generated", "time"):
            assert getattr(found, fact) == getattr(granule, fact), (record["id"], fact)
        assert found.sun_azimuth == granule.sun_azimuth or math.isnan(granule.sun_azimuth)
        for band in bands:
            one, two = found.sources[band].grid, granule.sources[band].grid
            assert one == two, (record["id"], band)


def by_id(records, name, collection=None):
    found = [r for r in records if r["id"] == name and collection in (None, r.get("collection"))]
    assert found, name
    return found[0]


def offsets(record, *bands):
    return granule_of(record, bands or ("red",), recognise(record)).offsets


class TestTraps:
    def test_no_raster_bands(self, records):
        some = [r for r in records if "B04" in r["assets"] and "blob.core" in r["assets"]["B04"]["href"]]
        assert len(some) > 100
        stated = [r for r in some if "raster:bands" in r["assets"]["B04"]]
        assert len(stated) <= 1
        assert {offsets(r)["red"] for r in some} == {0, -1000}

    def test_pair_with_opposite_flags(self, real):
        path = real / "stac/extracted/earthsearch-v1_T32_2020-03_reprocessed-duplicates.json"
        found = json.loads(path.read_text())["features"]
        for record in found:
            stated = record["assets"]["red"]["raster:bands"][0]["offset"]
            applied = record["properties"]["earthsearch:boa_offset_applied"]
            assert (stated, applied) in ((0, False), (-0.1, True))
            assert offsets(record) == {"red": 0}  # one has none, from the other it was taken off
        table = scenes_of(found, ("red",), longitude=9)
        assert len(table.dropped) == 8
        assert {row.why for row in table.dropped} == {"baseline 02.14 < 05.00"}
        for row in table.dropped:
            assert row.kept == (row.id.replace("_0_", "_1_"),)

    def test_flag_false_at_04_00(self, records):
        assert offsets(by_id(records, "S2B_33TWN_20220226_0_L2A")) == {"red": -1000}

    def test_flag_absent(self, records):
        record = json.loads(json.dumps(by_id(records, "S2B_33TWN_20220226_0_L2A")))
        del record["properties"]["earthsearch:boa_offset_applied"]
        assert recognise(record).name == "earth-search"
        assert offsets(record) == {"red": -1000}

    def test_v0(self, records):
        some = [r for r in records if r.get("collection") == "sentinel-s2-l2a-cogs"]
        flags = {r["properties"].get("sentinel:boa_offset_applied") for r in some}
        assert flags == {None, True}
        for record in some:
            granule = granule_of(record, ("red",), recognise(record))
            assert granule.offsets["red"] == 0
            assert granule.baseline
        late = [r for r in some if r["properties"].get("sentinel:boa_offset_applied")]
        assert all(granule_of(r, ("red",), recognise(r)).baseline >= "04.00" for r in late)

    def test_c1(self, records):
        some = [r for r in records if r.get("collection") == "sentinel-2-c1-l2a"]
        assert len(some) == 16
        assert not any("earthsearch:boa_offset_applied" in r["properties"] for r in some)
        assert {offsets(r)["red"] for r in some} == {-1000}

    def test_cdse(self, records):
        some = [r for r in records if "B04_10m" in r["assets"]]
        for record in some:
            assert "proj:code" in record["assets"]["B04_10m"]
            assert "proj:epsg" not in record["properties"]
            granule = granule_of(record, ("red", "scl"), recognise(record))
            assert granule.offsets == {"red": -1000 if granule.baseline >= "04.00" else 0}
            assert granule.sources["scl"].href.startswith("s3://eodata/")
        assert len(some) >= 5

    def test_an_offset_per_band(self, records):
        (record,) = [r for r in records if "T34LBQ" in r["id"]]
        found = offsets(record, "blue", "green", "red", "nir")
        assert found["red"] == -7000
        stated = {b: record["assets"][b]["raster:bands"][0]["offset"] for b in found}
        assert found == {band: round(offset * 10_000) for band, offset in stated.items()}

    def test_split_pass(self, records):
        some = [r for r in records if "20240530" in r["id"] and "T13TDE" in r["id"]]
        assert len(some) == 2
        assert len({r["properties"]["s2:datastrip_id"] for r in some}) == 2
        table = scenes_of(some, ("red",), longitude=-105)
        assert not table.dropped
        assert len(table.scenes[0].granules) == 2

    def test_three_collections(self, real):
        path = real / "stac/extracted/earthsearch-v1_20EPT_2025-07-31_three-collections.json"
        found = [r for r in json.loads(path.read_text())["features"] if "sentinel-2" in r["collection"]]
        with pytest.raises(
            ItemsError, match=r"several collections: sentinel-2-c1-l2a \(6\), sentinel-2-l1c \(5\)"
        ):
            scenes_of(found, ("red",), longitude=-59)
        asked = [{**r, "eocube:catalog": r["collection"]} for r in found]
        with pytest.raises(ItemsError, match="several collections"):  # L1C is another level, always refused
            scenes_of(asked, ("red",), longitude=-59)
        both = [r for r in asked if r["collection"] != "sentinel-2-l1c"]
        table = scenes_of(both, ("red",), longitude=-59)
        kept = [g for scene in table.scenes for g in scene.granules]
        assert len(kept) == len(table.dropped) == 6
        assert {g.collection for g in kept} == {"sentinel-2-c1-l2a"}
        assert all(
            "the same product in sentinel-2-l2a and sentinel-2-c1-l2a" in row.why for row in table.dropped
        )

    def test_antimeridian(self, records):
        some = [r for r in records if re.search(r"T01[A-Z]|01[A-Z]{3}|T60[A-Z]", r["id"]) and "assets" in r]
        assert len(some) >= 10
        for record in some:
            granule = granule_of(record, ("red",), recognise(record))
            assert granule.grid is None or granule.grid.crs.epsg in (32601, 32701, 32660, 32760)
