"""Made-up archives of many tiles: are they where their names say, and is their truth true?"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pystac
import pytest
from click.testing import CliRunner
from odc.geo.geobox import GeoBox

import eocube as eo
from eocube import sample
from eocube.cli import main
from eocube.errors import InputError
from eocube.grids import nests
from eocube.sample.frames import MOST_PLACES, block_mean, make_tiles
from eocube.tiles import tile_at, tile_grid

BANDS = ("red", "nir", "scl")


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return sample.write(tmp_path_factory.mktemp("places") / "w", size=60, dates=6, bands=BANDS, places=6)


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_twelve_tiles_in_two_zones(world):
    tiles = {item.properties["grid:code"].removeprefix("MGRS-") for item in world.items()}
    assert len(tiles) == 12
    assert {tile[:3] for tile in tiles} == {"32T", "33T"}
    assert {world.geobox(name).crs.epsg for name in world.item_ids} == {32632, 32633}
    # One row of squares after the other, whatever the letters of the zone.
    tops = [tile_grid(make_tiles(60, place)[0].name).affine.f for place in range(6)]
    assert [round(top / 1e5) for top in tops] == [53, 52, 51, 50, 49, 48]


@pytest.mark.parametrize("size", [60, 3000])
@pytest.mark.parametrize("place", range(MOST_PLACES))
def test_each_lies_in_the_real_tile_and_on_its_lattices(size, place):
    for tile in make_tiles(size, place):
        for resolution in (10, 20, 60):
            small, real = tile.geobox(resolution), tile_grid(tile.name, resolution)
            assert small.crs == real.crs
            assert nests(real, small)
            assert real.extent.geom.covers(small.extent.geom)
        lon, lat = tile.geobox().extent.to_crs("EPSG:4326").geom.centroid.coords[0]
        assert tile_at(lon, lat) == tile.name


def test_no_two_places_have_a_tile_in_common():
    names = [tile.name for place in range(MOST_PLACES) for tile in make_tiles(60, place)]
    assert len(set(names)) == 2 * MOST_PLACES


def test_the_first_place_is_the_world_of_one_place(world, tmp_path):
    one = sample.write(tmp_path / "w", size=60, dates=6, bands=BANDS)
    made = files(world.path)
    alone = files(one.path)
    own = {name for name in alone if name.startswith(("items/", "truth/"))}
    assert len(own) > 30
    assert {name: alone[name] for name in own} == {name: made[name] for name in own}
    assert one.parts == (one,)
    assert b"places" not in alone["world.json"]


def test_every_place_has_its_own_ground_and_sky(world):
    day = "2021-06-24"
    grounds = [part.clear_on(part.grid, day, "nir")[0] for part in world.parts]
    skies = [part.cloud_on(part.grid, day) for part in world.parts]
    for k in range(1, 6):
        shared = np.corrcoef(grounds[0].ravel(), grounds[k].ravel())[0, 1]
        assert abs(shared) < 0.5
        assert (skies[0] != skies[k]).any()
    suns = [part.scenes[0].sun()[1] for part in world.parts]
    # It stands higher further south, a degree per degree.
    assert np.diff(suns) == pytest.approx(0.85, abs=0.1)


def test_the_truth_of_an_item_is_that_of_its_place(world):
    seen = 0
    for item in world.items():
        box = world.geobox(item.id)
        hidden = [world.truth(kind, item.id) for kind in ("cloud", "cirrus", "shadow", "nodata")]
        assert np.array_equal(hidden[0], world.cloud_on(box, item.id))
        assert np.array_equal(hidden[2], world.shadow_on(box, item.id))
        granule = world.granules[item.id]
        red = pixels(world, item.id, "B04")
        clear = ~np.any(hidden, axis=0)
        expected = world.truth("clear", item.id)[world.bands.index("red")]
        error = ((red.astype(float) - granule.carried) / 10_000 - granule.bias - expected)[clear]
        seen += error.size
        assert error.size == 0 or np.abs(error).max() < 3e-3
    assert seen > 100_000


def pixels(world, item_id, name):
    import rasterio

    with rasterio.open(world.items_path / item_id / f"{name}.tif") as file:
        return file.read(1)


def test_on_a_grid_the_nearest_place_counts(world):
    day = "2022-02-24"
    for part in world.parts:
        assert np.array_equal(world.clear_on(part.grid, day, "red"), part.clear_on(part.grid, day, "red"))
        assert np.array_equal(world.classes_on(part.grid, day), part.classes_on(part.grid, day))
        lonlat = GeoBox.from_bbox(part.bbox, "EPSG:4326", shape=50)
        assert np.array_equal(world.cloud_on(lonlat, day), part.cloud_on(lonlat, day))
        assert np.isfinite(part.clear_on(part.grid, day, "red")).all()


def test_parts_know_their_own_items(world):
    own = [name for part in world.parts for name in part.item_ids]
    assert len(own) == len(set(own)) == len(world.item_ids)
    part = world.parts[3]
    assert [item.id for item in part.items()] == list(part.item_ids)
    tiles = {tile.name for tile in make_tiles(60, 3)}
    assert {item.properties["grid:code"][5:] for item in part.items()} == tiles
    item_id = part.item_ids[0]
    assert np.array_equal(part.truth("shadow", item_id), world.truth("shadow", item_id))
    assert part.geobox(item_id) == world.geobox(item_id)


def test_one_catalog_holds_all(world):
    root = pystac.Catalog.from_file(str(world.path / "catalog.json"))
    linked = [item.id for item in root.get_items(recursive=True)]
    together = pystac.ItemCollection.from_file(str(world.path / "items.geojson"))
    assert linked == [item.id for item in together] == list(world.item_ids)
    times = [item.datetime for item in world.items()]
    assert [time.date() for time in times] == sorted(time.date() for time in times)
    assert sample.open(world.path) == world
    west, south, east, north = world.bbox
    assert 4.4 < north - south < 4.7
    assert east - west < 0.1


def test_a_place_is_found_and_composed(world):
    part = world.parts[4]
    tile = make_tiles(60, 4)[0].name
    found = eo.search_tiles(tile, None, world.items_path)
    assert {item.id for item in found} == {n for n in part.item_ids if tile in n}
    items = eo.search(world.items_path, part.bbox)
    assert {item.id for item in items} == set(part.item_ids)
    best = eo.composite(eo.load(items, part.grid, bands="red", mask=eo.SCLMask()), eo.Median()).compute()
    truth = part.clear_on(part.grid, "2021-09-20", "red")[0]
    seen = np.isfinite(best.values[0])
    assert seen.mean() > 0.9
    assert np.corrcoef(best.values[0][seen], truth[seen])[0, 1] > 0.5


def test_coarse_truth_is_the_mean_of_the_fine(world):
    name = world.parts[5].item_ids[0]
    fine = world.clear_on(world.geobox(name, 10), name, "nir")
    assert world.clear_on(world.geobox(name, 20), name, "nir") == pytest.approx(block_mean(fine, 2), abs=1e-6)


def test_level_1c_of_places_lies_together(tmp_path):
    world = sample.write(tmp_path / "w", size=60, dates=1, bands=["red"], places=2)
    south = world.parts[1]
    folder = south.l1c()
    names = {path.name for path in folder.iterdir()}
    assert names == {name.replace("_L2A", "_L1C") for name in south.item_ids}
    before = files(folder)
    assert world.l1c() == folder
    after = files(folder)
    assert {path.split("/")[0] for path in after} == {n.replace("_L2A", "_L1C") for n in world.item_ids}
    assert {path: after[path] for path in before} == before
    alone = sample.write(tmp_path / "alone", size=60, dates=1, bands=["red"])
    assert files(alone.l1c()).items() <= after.items()
    assert not [path for path in world.path.iterdir() if path.name.startswith("tmp")]


@pytest.mark.parametrize("places", [0, MOST_PLACES + 1, 1.5, "2"])
def test_refusals(tmp_path, places):
    with pytest.raises(InputError, match="1 to 20 places"):
        sample.write(tmp_path / "new", places=places)
    assert not (tmp_path / "new").exists()


def test_by_the_command_line(tmp_path):
    words = ["sample", str(tmp_path / "w"), "--places", "2", "--size", "60", "--dates", "1"]
    result = CliRunner().invoke(main, words, catch_exceptions=False)
    assert result.exit_code == 0
    assert "6 Items" in result.output
    assert len(sample.open(tmp_path / "w").parts) == 2
