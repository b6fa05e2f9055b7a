"""Level-1C of the made-up archive: written when asked for, physical, true to the same sky."""

from __future__ import annotations

import filecmp

import numpy as np
import pytest

import eocube as eo
from eocube.facts import level_of
from eocube.sample.toa import L1C_BANDS


@pytest.fixture(scope="module")
def l1c(small):
    return eo.search(small.l1c())


@pytest.fixture(scope="module")
def toa(small, l1c):
    return eo.load(l1c, small.grid.zoom_out(6), bands=list(L1C_BANDS)).compute()


def test_the_items_are_like_earth_searchs(small, l1c):
    assert {item.id for item in l1c} == {name.replace("_L2A", "_L1C") for name in small.item_ids}
    for item in l1c:
        assert item.collection_id == "sentinel-2-l1c"
        assert level_of(item.to_dict()) == "L1C"
        assert set(item.assets) == set(L1C_BANDS)
        assert item.assets["cirrus"].href.endswith("B10.jp2")
        offset = -0.1 if item.properties["s2:processing_baseline"] >= "04.00" else 0
        assert item.assets["red"].extra_fields["raster:bands"][0]["offset"] == offset
        assert "earthsearch:boa_offset_applied" not in item.properties


def test_written_only_when_asked_for_and_only_once(tmp_path):
    world = eo.sample.write(tmp_path / "w", seed=3, size=60, dates=1)
    assert not (world.path / "l1c").exists()
    before = {path: path.stat().st_mtime_ns for path in world.path.rglob("*") if path.is_file()}
    folder = world.l1c()
    assert {path: path.stat().st_mtime_ns for path in before} == before
    first = {path: path.stat().st_mtime_ns for path in folder.rglob("*.jp2")}
    assert len(first) == 13 * len(world.item_ids)
    assert world.l1c() == folder
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*.jp2")} == first
    again = eo.sample.write(tmp_path / "again", seed=3, size=60, dates=1).l1c()
    assert all(filecmp.cmp(path, again / path.relative_to(folder), shallow=False) for path in first)
    assert [path.name for path in world.path.iterdir() if path.name.startswith("tmp")] == []


def test_searching_the_world_does_not_find_it(small):
    small.l1c()
    assert {level_of(item.to_dict()) for item in eo.search(small.items_path)} == {"L2A"}
    assert {level_of(item.to_dict()) for item in eo.search(small.path / "catalog.json")} == {"L2A"}


def test_air_brightens_blue_and_vapour_darkens_band_9(small, toa):
    clear = toa.sel(time="2021-06-12").squeeze()
    ground = small.clear_on(small.grid.zoom_out(6), "2021-06-12", ["coastal", "swir16", "nir09"])
    seen = ~small.cloud_on(small.grid.zoom_out(6), "2021-06-12")
    seen &= ~small.shadow_on(small.grid.zoom_out(6), "2021-06-12") & np.isfinite(clear.values).all(axis=0)
    for band, truth, low, high in (
        ("coastal", ground[0], 0.03, 0.12), ("swir16", ground[1], -0.03, 0.01), ("nir09", ground[2], -0.4, -0.05),
    ):  # fmt: skip
        more = (clear.sel(band=band).values - truth)[seen]
        assert low < np.median(more) < high, band
    assert clear.sel(band="cirrus").values[seen].max() < 0.003  # the ground is never seen there


def test_the_same_sky_as_level_2a(small, toa, small_items):
    """Clouds are bright in both, at the same place; no data too, but for ragged edges."""
    l2a = eo.load(small_items, small.grid.zoom_out(6), bands=["red"]).compute().values[:, 0]
    red = toa.sel(band="red").values
    both = np.isfinite(l2a) & np.isfinite(red)
    assert both.mean() > 0.95 * np.isfinite(l2a).mean()
    assert np.corrcoef(l2a[both], red[both])[0, 1] > 0.98


def test_band_10_shows_cirrus():
    world = eo.sample.cached()
    grid = world.grid.zoom_out(6)
    day = "2021-09-20"
    items = [item for item in eo.search(world.l1c()) if "20210920" in item.id]
    b10 = eo.load(items, grid, bands="cirrus").compute().values[0, 0]
    veil, cumulus = world.cirrus_on(grid, day), world.cloud_on(grid, day)
    seen = np.isfinite(b10)
    assert np.median(b10[veil & seen]) > 0.015
    assert b10[~veil & ~cumulus & seen].max() < 0.003
    assert b10[~veil & cumulus & seen].max() < 0.03


def test_s2cloudless_finds_the_clouds(small, l1c):
    """Of thick clouds nearly all, of clear ground little: the model takes the made-up spectra for real."""
    grid = small.grid.zoom_out(6)
    cube = eo.load(l1c, grid, bands=list(L1C_BANDS)).compute()
    masked = eo.load(l1c, grid, bands="red", mask=eo.S2Cloudless(average_over=1, dilation_size=0)).compute()
    thrown = np.isnan(masked.values[:, 0])
    seen = np.isfinite(cube.values).all(axis=1)
    days = [str(day)[:10] for day in cube.time.values]
    cloud = np.stack([small.cloud_on(grid, day) for day in days])
    shadow = np.stack([small.shadow_on(grid, day) | small.cirrus_on(grid, day) for day in days])
    thick = cloud & (cube.sel(band="blue").values > 0.35)
    assert thrown[thick & seen].mean() > 0.85
    assert thrown[~cloud & ~shadow & seen].mean() < 0.08
