"""The made-up world: is it what it says it is?"""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime

import numpy as np
import pystac
import pytest
import rasterio
from odc.geo.geobox import GeoBox
from rio_cogeo.cogeo import cog_validate
from shapely.geometry import shape

from eocube import sample
from eocube.catalogs import EARTH_SEARCH, PLANETARY_COMPUTER, recognise
from eocube.errors import BandError, GridError, InputError, ItemsError, OutputError
from eocube.sample.frames import block_mean, make_tiles, to_main
from eocube.sample.landscape import make_ground
from eocube.sample.passes import calendar
from eocube.sample.rendering import NOISE
from eocube.sample.skies import make_sky
from eocube.sample.spectra import COVERS
from eocube.sample.sun import grid_azimuth, solar_position
from eocube.sentinel2 import BANDS


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return sample.write(tmp_path_factory.mktemp("world"), seed=0, size=180)


@pytest.fixture(scope="module")
def faulty(tmp_path_factory):
    folder = tmp_path_factory.mktemp("faulty")
    return sample.write(folder, seed=0, size=180, bands=["red", "scl"], scl_faults=True)


@pytest.fixture(scope="module")
def planetary(tmp_path_factory):
    folder = tmp_path_factory.mktemp("planetary")
    return sample.write(folder, seed=0, size=96, dates=4, naming="planetary-computer")


def read(world, item_id, band):
    with rasterio.open(world.items_path / item_id / f"{BANDS[band].esa}.tif") as file:
        return file.read(1)


def clear_ground(world, item_id):
    """Where, by the truth, nothing is in the way; the lattice of 10 m."""
    hidden = [world.truth(kind, item_id) for kind in ("cloud", "cirrus", "shadow", "nodata")]
    return ~np.any(hidden, axis=0)


def reflectance(world, item_id, band):
    granule = world.granules[item_id]
    return (read(world, item_id, band).astype(float) - granule.carried) / 10_000 - granule.bias


# -- the sun


@pytest.mark.parametrize(
    ("when", "longitude", "latitude", "azimuth", "elevation"),
    # The Item S2A_33TWL_20230815_0_L2A, whose angles are means over its tile of 110 km.
    [("2023-08-15T09:58:11", 15.70, 45.56, 151.832, 55.765)],
)
def test_sun_agrees_with_real_items(when, longitude, latitude, azimuth, elevation):
    found = solar_position(datetime.fromisoformat(when), longitude, latitude)
    assert found == pytest.approx((azimuth, elevation), abs=0.05)


def test_sun_at_noon_of_the_solstice_is_23_degrees_over_the_equator():
    azimuth, elevation = solar_position(datetime(2021, 6, 21, 12, 2, tzinfo=UTC), 0, 0)
    assert elevation == pytest.approx(90 - 23.43, abs=0.05)
    assert min(azimuth, 360 - azimuth) < 1.5


def test_grid_north_leans_west_of_the_central_meridian():
    # Convergence at 3 degrees west of the central meridian is -3 * sin(latitude).
    turned = grid_azimuth(180, "EPSG:32633", 12, 47) - 180
    assert turned == pytest.approx(3 * math.sin(math.radians(47)), abs=0.02)


# -- what is written


def test_same_seed_same_pixels_other_seed_other_pixels(tmp_path):
    made = [
        sample.write(tmp_path / name, seed=seed, size=96, dates=3)
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    ]
    assert made[0].item_ids == made[1].item_ids == made[2].item_ids
    item_id = made[0].item_ids[0]
    for band in made[0].bands:
        one, same, other = (read(world, item_id, band) for world in made)
        assert np.array_equal(one, same)
        assert not np.array_equal(one, other)


def test_a_small_world_has_all_that_is_awkward(tmp_path):
    world = sample.write(tmp_path, size=96, dates=3)
    made = list(world.granules.values())
    assert {granule.tile for granule in made} == {0, 1}
    assert {granule.baseline for granule in made} >= {"03.00", "04.00", "05.00"}
    assert {granule.part for granule in made} == {"", "north", "south"}
    assert any(granule.bias for granule in made)
    assert len(world.scenes) == 3


def test_reopened_world_is_the_same(world):
    assert sample.open(world.path) == world


def test_cached_world_is_written_once(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    first = sample.cached(size=60, dates=1)
    written = (first.path / "world.json").stat().st_mtime_ns
    again = sample.cached(size=60, dates=1)
    assert again == first
    assert (again.path / "world.json").stat().st_mtime_ns == written
    assert sample.cached(size=60, dates=2).path != first.path
    assert len(list((tmp_path / "eocube").iterdir())) == 2


def test_other_bands_and_60_m(tmp_path):
    world = sample.write(tmp_path, size=60, dates=1, bands=["B01", "nir09", "rededge2", "red"])
    assert world.bands == ("coastal", "red", "rededge2", "nir09", "scl")
    item_id = world.item_ids[0]
    assert [read(world, item_id, band).shape[0] for band in world.bands] == [10, 60, 30, 10, 30]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"size": 100}, InputError, "multiple of 6"),
        ({"seed": -1}, InputError, "from 0 on"),
        ({"dates": 0}, InputError, "1 to 140"),
        ({"naming": "earthsearch"}, InputError, "Did you mean 'earth-search'"),
        ({"bands": ["aot"]}, BandError, "cannot make aot"),
    ],
)
def test_refusals(tmp_path, options, error, message):
    with pytest.raises(error, match=message):
        sample.write(tmp_path / "new", **options)
    assert not (tmp_path / "new").exists()


def test_never_writes_over_anything(world, tmp_path):
    with pytest.raises(OutputError, match="choose another"):
        sample.write(world.path)
    with pytest.raises(InputError, match=r"sample\.write"):
        sample.open(tmp_path)


def test_more_dates_than_twelve():
    passes = calendar(0, 60)
    days = [flight.date for flight in passes]
    assert len(set(days)) == 60
    assert days == sorted(days)
    assert {flight.date for flight in calendar(0, 12)} <= set(days)


# -- STAC


def test_items_are_read_by_pystac_and_lie_in_the_catalog(world):
    root = pystac.Catalog.from_file(str(world.path / "catalog.json"))
    linked = {item.id for item in root.get_items(recursive=True)}
    together = pystac.ItemCollection.from_file(str(world.path / "items.geojson"))
    assert linked == {item.id for item in together} == set(world.item_ids)
    for feature in json.loads((world.path / "items.geojson").read_text())["features"]:
        assert (world.path / feature["assets"]["red"]["href"]).is_file()
    for item in world.items():
        assert item.bbox == pytest.approx(shape(item.geometry).bounds)
        assert shape(item.geometry).is_valid
        assert set(item.assets) == {EARTH_SEARCH.assets[band] for band in world.bands}
        assert "created" in item.properties


def test_earth_search_names_are_recognised(world):
    item = json.loads((world.path / "items.geojson").read_text())["features"][0]
    assert recognise(item) == EARTH_SEARCH
    assert item["id"] == "S2A_33TTN_20210612_0_L2A"
    assert item["properties"]["grid:code"] == "MGRS-33TTN"
    assert world.catalog.url == str(world.items_path)


def test_planetary_computer_names_are_recognised(planetary):
    for item in json.loads((planetary.path / "items.geojson").read_text())["features"]:
        assert recognise(item) == PLANETARY_COMPUTER
        assert set(item["assets"]) == {PLANETARY_COMPUTER.assets[band] for band in planetary.bands}
        assert not any("raster:bands" in asset for asset in item["assets"].values())
        late = item["properties"]["s2:processing_baseline"] >= "04.00"
        assert planetary.granules[item["id"]].carried == (1000 if late else 0)
    assert planetary.item_ids[0].startswith("S2A_MSIL2A_20210612T101031_R022_T33TTN_20210612T")


def test_cogs_are_valid_and_on_the_lattice_that_the_item_tells(world):
    for item in world.items()[:4]:
        for band in world.bands:
            asset = item.assets[band]
            valid, errors, _ = cog_validate(asset.href)
            assert valid, errors
            with rasterio.open(asset.href) as file:
                assert list(file.transform)[:6] == asset.extra_fields["proj:transform"]
                assert list(file.shape) == asset.extra_fields["proj:shape"]
                assert file.nodata == 0
                assert file.crs.to_epsg() in (32632, 32633)
                assert file.dtypes[0] == ("uint8" if band == "scl" else "uint16")
        with rasterio.open(item.assets["red"].href) as file:
            assert file.overviews(1)


def test_tiles_nest_in_the_lattices_of_10_20_and_60_m(world):
    for tile in make_tiles(world.size):
        assert tile.left % 60 == tile.top % 60 == 0
        assert tile.size * 10 % 60 == 0


def test_percentages_are_those_of_the_classification(world):
    for item in world.items():
        scl = read(world, item.id, "scl")
        nodata = item.properties["s2:nodata_pixel_percentage"]
        clouds = 100 * np.isin(scl, (8, 9, 10)).sum() / (scl > 0).sum()
        assert nodata == pytest.approx(100 * (scl == 0).mean(), abs=1e-4)
        assert item.properties["eo:cloud_cover"] == pytest.approx(clouds, abs=1e-4)


# -- radiometry


@pytest.mark.parametrize("band", ["red", "nir", "rededge1", "swir16"])
def test_clear_pixels_show_the_clear_ground(world, band):
    seen = 0
    for item_id in world.item_ids:
        clear = clear_ground(world, item_id)
        expected = world.truth("clear", item_id)[world.bands.index(band)]
        times = int(BANDS[band].resolution // 10)
        whole = block_mean(clear.astype("f4"), times) == 1
        error = (reflectance(world, item_id, band) - block_mean(expected, times))[whole]
        seen += error.size
        if error.size:
            # Water may be darker than the noise, and a digital number is at least 1.
            assert np.abs(error).max() < 6 * NOISE / 10_000 + 6e-4
            assert abs(np.median(error)) < 2e-4
    assert seen > 100_000


def test_the_traps_of_the_offset(world):
    states = set()
    for item in world.items():
        granule = world.granules[item.id]
        offset = item.assets["red"].extra_fields["raster:bands"][0]["offset"]
        applied = item.properties["earthsearch:boa_offset_applied"]
        late = item.properties["s2:processing_baseline"] >= "04.00"
        assert offset == (-0.1 if late else 0)
        assert granule.carried == (1000 if late and not applied else 0)
        states.add((late, applied))
    assert states == {(False, False), (True, True), (True, False)}


def test_every_valid_pixel_is_at_least_one(world):
    for item_id in world.item_ids:
        valid = ~world.truth("nodata", item_id)
        assert read(world, item_id, "nir")[valid].min() >= 1
        assert (read(world, item_id, "red") == 0).sum() <= (~valid).sum()


def test_water_soil_and_crops_look_like_themselves(world):
    summer = world.clear_on(world.grid, "2021-07-19", ["red", "nir", "swir16"])
    winter = world.clear_on(world.grid, "2022-01-13", ["red", "nir", "swir16"])
    greenness = [(b[1] - b[0]) / (b[1] + b[0]) for b in (summer, winter)]
    assert np.quantile(greenness[0], 0.95) > 0.8
    assert np.median(greenness[0]) > np.median(greenness[1])
    assert (summer[1] < 0.02).mean() > 0.03
    assert (summer[0] > 0.4).mean() > 0.003


# -- clouds and shadows


def shift_of(cloud, shadow):
    """Rows and columns by which the shadow is off the cloud, by cross-correlation."""
    padded = tuple(2 * n for n in cloud.shape)
    spectrum = np.fft.rfft2(shadow - shadow.mean(), padded)
    spectrum *= np.conj(np.fft.rfft2(cloud - cloud.mean(), padded))
    row, column = np.unravel_index(np.fft.irfft2(spectrum, padded).argmax(), padded)
    return [n - size if n > size // 2 else n for n, size in zip((row, column), padded, strict=True)]


@pytest.mark.parametrize("day", ["2021-06-24", "2021-07-19", "2022-02-24", "2022-05-10"])
def test_shadow_lies_away_from_the_sun_at_the_right_distance(world, day):
    flight = next(scene for scene in world.scenes if scene.date == day)
    azimuth, elevation = flight.sun()
    sky = make_sky(world.seed, world.size, flight)
    distance = sky.height / math.tan(math.radians(elevation))
    assert 500 <= distance <= 2000
    # The whole sky, so that most shadows have their clouds in the picture.
    wide = GeoBox(sky.box.shape, sky.box.affine, sky.box.crs)
    cloud, shadow = world.cloud_on(wide, day), world.shadow_on(wide, day)
    row, column = shift_of(cloud.astype(float), (shadow | cloud).astype(float) - cloud)
    bearing = math.degrees(math.atan2(column, -row)) % 360
    expected = (grid_azimuth(azimuth, "EPSG:32633", 12, 47.08) + 180) % 360
    assert bearing == pytest.approx(expected, abs=4)
    assert math.hypot(row, column) * 20 == pytest.approx(distance, rel=0.08)


def test_shadowed_ground_is_darker_most_of_all_in_the_infrared(world):
    item_id = next(name for name in world.item_ids if "20210624" in name)
    shadow = world.truth("shadow", item_id) & ~world.truth("nodata", item_id)
    clear = world.truth("clear", item_id)
    ratios = {
        band: np.median((reflectance(world, item_id, band) / clear[world.bands.index(band)])[shadow])
        for band in ("blue", "nir")
    }
    assert 0.3 < ratios["nir"] < ratios["blue"] < 0.65


def test_truth_on_file_is_the_truth_on_any_grid(world):
    for item_id in world.item_ids[3:6]:
        box = world.geobox(item_id)
        assert np.array_equal(world.truth("cloud", item_id), world.cloud_on(box, item_id))
        assert np.array_equal(world.truth("shadow", item_id), world.shadow_on(box, item_id))
        assert np.array_equal(world.truth("cirrus", item_id), world.cirrus_on(box, item_id))


def test_weather_of_every_kind(world):
    share = {s.date: world.cloud_on(world.grid, s.date).mean() for s in world.scenes}
    assert share["2021-11-29"] == 1
    assert sum(value < 0.15 for value in share.values()) >= 3
    assert sum(0.15 < value < 0.7 for value in share.values()) >= 4
    assert sum(world.cirrus_on(world.grid, s.date).any() for s in world.scenes) == 2


# -- two tiles, duplicates, splits


def test_both_tiles_see_the_same_ground(world):
    main, other = "S2B_33TTN_20210806_0_L2A", "S2B_32TQT_20210806_0_L2A"
    box = world.geobox(other)
    columns, rows = np.meshgrid(np.arange(world.size) + 0.5, np.arange(world.size) + 0.5)
    x, y = box.affine.c + 10 * columns, box.affine.f - 10 * rows
    east, north = to_main(str(box.crs), x, y)
    corner = world.geobox(main).affine
    column = np.floor((east - corner.c) / 10).astype(int)
    row = np.floor((corner.f - north) / 10).astype(int)
    common = (row >= 0) & (row < world.size) & (column >= 0) & (column < world.size)
    assert 0.25 < common.mean() < 0.45
    common[common] &= clear_ground(world, main)[row[common], column[common]]
    common &= clear_ground(world, other)
    one = read(world, main, "red")[row[common], column[common]].astype(int)
    two = read(world, other, "red")[common].astype(int)
    assert common.sum() > 3000
    # But for centres that fall on the edge of two pixels.
    assert (np.abs(one - two) <= 9 * NOISE).mean() > 0.998


def test_the_reprocessed_duplicate(world):
    old, new = (f"S2A_33TTN_20210612_{n}_L2A" for n in (0, 1))
    items = {item.id: item for item in world.items()}
    assert items[old].properties["datetime"] == items[new].properties["datetime"]
    assert items[old].properties["s2:processing_baseline"] == "03.00"
    assert items[new].properties["s2:processing_baseline"] == "05.00"
    assert items[new].properties["s2:generation_time"] > items[old].properties["s2:generation_time"]
    apart = read(world, old, "red").astype(int) - read(world, new, "red")
    assert np.median(apart) == 100


def test_the_split_pass_has_two_halves(world):
    halves = [f"S2B_33TTN_20220324_{n}_L2A" for n in (0, 1)]
    items = {item.id: item for item in world.items()}
    properties = [items[name].properties for name in halves]
    for key in ("datetime", "s2:processing_baseline"):
        assert properties[0][key] == properties[1][key]
    assert properties[0]["s2:datastrip_id"] != properties[1]["s2:datastrip_id"]
    valid = [~world.truth("nodata", name) for name in halves]
    assert (valid[0] | valid[1]).all()
    assert 0 < (valid[0] & valid[1]).mean() < 0.1
    shapes = [shape(items[name].geometry) for name in halves]
    shared = shapes[0].intersection(shapes[1]).area
    assert 0 < shared < 0.15 * min(part.area for part in shapes)
    both = valid[0] & valid[1]
    assert np.array_equal(*(read(world, name, "red")[both] for name in halves))


def test_ragged_edge_of_the_swath(world):
    name = "S2B_32TQT_20210624_0_L2A"
    bands = ("blue", "green", "red", "nir")
    missing = np.array([(read(world, name, band) == 0) for band in bands])
    nodata = world.truth("nodata", name)
    assert 0.1 < nodata.mean() < 0.7
    assert missing.any(axis=0).sum() > missing.all(axis=0).sum()
    assert not (missing.any(axis=0) & ~nodata).any()
    # The footprint follows the valid data: its share of the whole tile's is theirs of the pixels.
    areas = {item.id: shape(item.geometry).area for item in world.items()}
    share = areas[name] / areas["S2B_32TQT_20210806_0_L2A"]
    assert share == pytest.approx(1 - nodata.mean(), abs=0.03)


# -- the classification


def agreement(world):
    """Share of truly hidden pixels that are masked, and of truly clear ones that are not."""
    hidden_masked = hidden = clear_kept = clear = 0
    for name in world.item_ids:
        free = block_mean(clear_ground(world, name).astype("f4"), 2) == 1
        masked = np.isin(read(world, name, "scl"), (0, 1, 3, 8, 9, 10))
        hidden_masked += (masked & ~free).sum()
        hidden += (~free).sum()
        clear_kept += (~masked & free).sum()
        clear += free.sum()
    return hidden_masked / hidden, clear_kept / clear


def test_classification_is_the_truth_without_faults(world):
    assert agreement(world) == (1.0, 1.0)


def test_classification_errs_with_faults(world, faulty):
    caught, kept = agreement(faulty)
    assert 0.6 < caught < 0.97
    assert 0.95 < kept < 0.999
    assert np.array_equal(read(world, world.item_ids[0], "red"), read(faulty, world.item_ids[0], "red"))


# -- the truth on any grid


def test_clear_ground_on_coarser_and_foreign_grids(world):
    item_id = world.item_ids[0]
    fine = world.clear_on(world.geobox(item_id, 10), item_id, "swir16")
    coarse = world.clear_on(world.geobox(item_id, 20), item_id, "swir16")
    assert coarse == pytest.approx(block_mean(fine, 2), abs=1e-6)
    mercator = GeoBox.from_bbox(world.bbox, "EPSG:4326", shape=100).to_crs("EPSG:3857", resolution=10)
    somewhere = world.clear_on(mercator, "2021-07-01", ["red"])
    assert somewhere.shape == (1, *mercator.shape)
    assert np.isfinite(somewhere).mean() > 0.8


def test_the_default_grid_lies_on_both_tiles(world):
    main, other = (tile.outline() for tile in make_tiles(world.size))
    extent = world.grid.extent.geom
    assert extent.intersection(main).area / main.area > 0.6
    assert extent.difference(main).intersection(other).area / extent.area > 0.1
    assert np.isfinite(world.clear_on(world.grid, "2021-08-06", "red")).all()


def test_truth_refuses_what_it_does_not_know(world):
    item_id = world.item_ids[0]
    with pytest.raises(ItemsError, match=r"Did you mean 'S2A_33TTN_20210612_._L2A'"):
        world.truth("cloud", "S2A_33TTN_20210612_9_L2A")
    with pytest.raises(InputError, match="Did you mean 'cloud'"):
        world.truth("clouds", item_id)
    with pytest.raises(InputError, match="No pass on 2021-06-13"):
        world.cloud_on(world.grid, "2021-06-13")
    with pytest.raises(InputError, match="neither an Item of the sample nor a day"):
        world.clear_on(world.grid, "soon")
    with pytest.raises(BandError, match="no reflectance of scl"):
        world.clear_on(world.grid, item_id, "scl")
    with pytest.raises(GridError, match="GeoBox"):
        world.cloud_on("grid", item_id)


@pytest.fixture(scope="module")
def fields(world):
    return world.fields()


class TestFields:
    """Fields as polygons, with what grows on them."""

    def test_they_lie_in_the_grid_and_apart(self, world, fields):
        assert len(fields) > 10
        assert fields.crs == world.grid.crs
        assert fields.index.name == "field"
        assert fields.index.is_unique
        assert fields.within(world.grid.extent.geom).all()
        assert (fields.area >= 8000).all()
        shapes = fields.geometry.values
        assert all(a.distance(b) >= 20 for k, a in enumerate(shapes) for b in shapes[:k])

    def test_one_thing_grows_on_each(self, world, fields):
        """By the truth: a field has one colour up to the texture, and crops differ through the year."""
        from rasterio.features import geometry_mask

        ground = make_ground(world.seed, world.size)
        cover = ground.cover()
        for name, crop, polygon in fields.itertuples():
            inside = geometry_mask([polygon], cover.shape, ground.box.affine, invert=True, all_touched=True)
            assert {COVERS[kind].name for kind in cover[inside]} == {crop}, name
            assert len(np.unique(ground.unit[inside])) == 1, name
            assert name.startswith(f"{crop} ")

    def test_the_largest_come_first(self, world, fields):
        first = world.fields(each=1)
        assert list(first.crop) == list(fields.crop.drop_duplicates())
        assert first.geometry.equals(fields.geometry.loc[first.index])
        assert first.area.is_monotonic_decreasing
        with pytest.raises(InputError, match="each=0 is not a number of fields"):
            world.fields(each=0)

    def test_where_nothing_is_grown_there_are_none(self, tmp_path):
        desert = sample.write(tmp_path, size=60, dates=1, landscape="desert")
        assert desert.fields().empty
