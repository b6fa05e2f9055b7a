"""Cubes: what they hold, in both dtypes, against the truth of the made-up world."""

from __future__ import annotations

import numpy as np
import pytest
import rioxarray  # noqa: F401
import xarray as xr

import eocube as eo
from eocube import sample
from eocube.errors import InputError

BANDS = ["red", "green", "blue", "nir"]


@pytest.fixture(scope="module")
def cube(world, items):
    return eo.load(items, world.grid, bands=BANDS, mask=eo.SCLMask(), chunk=128)


@pytest.fixture(scope="module")
def computed(cube):
    return cube.compute()


class TestForm:
    def test_dims_and_coordinates(self, cube, world):
        assert cube.dims == ("time", "band", "y", "x")
        assert cube.dtype == np.float32
        assert list(cube.band.values) == BANDS
        assert cube.time.dtype.kind == "M"
        for name in ("scene", "items", "platform", "sun_azimuth", "sun_elevation", "baseline", "offset"):
            assert cube[name].dims == ("time",)
        assert set(cube.offset.values.tolist()) == {0.0, -1000.0}
        assert cube.sizes["time"] == len(world.scenes)

    def test_georeference(self, cube, world):
        assert cube.odc.geobox == world.grid
        assert cube.rio.crs.to_epsg() == 33 + 32600
        assert cube.rio.transform() == world.grid.affine

    def test_one_block_holds_all_times_and_bands(self, cube):
        assert cube.data.numblocks[:2] == (1, 1)
        assert cube.data.chunks[2:] == ((128, 64), (128, 128, 20))

    def test_plan_and_items_give_the_same(self, cube, world, items):
        made = eo.plan(items, world.grid, bands=BANDS, mask=eo.SCLMask(), chunk=128)
        assert eo.load(made).identical(cube)
        with pytest.raises(InputError, match="takes nothing else"):
            eo.load(made, world.grid)
        with pytest.raises(InputError, match="needs a grid and bands"):
            eo.load(items)

    def test_esa_names_are_understood(self, cube, world, items):
        other = eo.load(items, world.grid, bands=["B04", "b3", "B02", "B08"], mask=eo.SCLMask(), chunk=128)
        assert other.identical(cube)

    def test_attributes_say_what_it_is(self, cube):
        assert cube.attrs["units"] == "1"
        assert cube.attrs["mask"] == "SCLMask()"
        assert cube.attrs["left_out"] == ["S2A_33TTN_20210612_0_L2A"]


class TestTruth:
    def test_values_are_the_clear_truth(self, computed, world):
        """Where nothing was thrown away, a value is the ground's reflectance of that day."""
        for index in range(computed.sizes["time"]):
            day = str(computed.time.values[index])[:10]
            truth = world.clear_on(world.grid, day, BANDS)
            error = computed.values[index] - truth
            seen = np.isfinite(error)
            if seen.any():
                # the neighbour's pixels are warped, so parcels' edges differ; the bulk does not
                assert np.median(np.abs(error[seen])) < 0.002, day
                assert np.percentile(np.abs(error[seen]), 90) < 0.02, day

    def test_what_is_hidden_is_thrown_away(self, computed, world):
        for index in range(computed.sizes["time"]):
            day = str(computed.time.values[index])[:10]
            hidden = world.cloud_on(world.grid, day) | world.shadow_on(world.grid, day)
            kept = np.isfinite(computed.values[index]).all(axis=0)
            # the rim of the other zone's tile is warped nearest by half a pixel
            assert (kept & hidden).mean() < 0.005, day

    def test_dark_pixels_stay(self, world, items):
        """After the offset a valid pixel of 0 or less is still a valid pixel."""
        water = eo.load(items, world.grid, bands=["swir22"]).isel(time=0).compute()
        assert float(water.min()) < 0.01
        assert np.isfinite(water).mean() > 0.6


class TestLean:
    def test_uint16_is_the_same_in_half_the_memory(self, computed, world, items):
        lean = eo.load(items, world.grid, bands=BANDS, mask=eo.SCLMask(), dtype="uint16").compute()
        assert lean.dtype == np.uint16
        assert lean.nbytes * 2 == computed.nbytes
        assert lean.attrs["nodata"] == 0
        np.testing.assert_array_equal(lean.values == 0, np.isnan(computed.values))
        expected = np.clip(np.rint(np.nan_to_num(computed.values, nan=1) * 10_000), 1, None)
        np.testing.assert_array_equal(lean.values[lean.values > 0], expected[lean.values > 0])

    def test_composites_agree_up_to_rounding(self, world, items):
        both = [
            eo.load(items, world.grid, bands=BANDS, mask=eo.SCLMask(), dtype=d) for d in ("float32", "uint16")
        ]
        full, lean = (eo.composite(cube, eo.Median(), count=False).compute() for cube in both)
        known = np.isfinite(full.values)
        np.testing.assert_array_equal(known, lean.values > 0)
        assert np.abs(full.values * 10_000 - lean.values)[known & (full.values > 1e-4)].max() <= 0.51


class TestClasses:
    def test_scl_alone_is_uint8_with_flags(self, world, items):
        scl = eo.load(items, world.grid, bands=["scl"])
        assert scl.dtype == np.uint8
        assert scl.attrs["flag_values"] == list(range(12))
        assert scl.attrs["flag_meanings"].split()[9] == "cloud_high"
        assert len(scl.attrs["flag_meanings"].split()) == 12
        values = scl.compute().values
        assert set(np.unique(values)) <= set(range(12))
        assert {4, 5, 6, 9} <= set(np.unique(values))

    def test_scl_is_nearest_on_every_grid(self, items):
        for crs, resolution in (("EPSG:32632", 7), ("EPSG:3857", 33), ("EPSG:4326", 0.0002)):
            grid = eo.grid_for((11.98, 47.075, 12.01, 47.085), crs=crs, resolution=resolution)
            scl = (
                eo.load(items, grid, bands=["scl"], resampling="bilinear").isel(time=[1, 2]).compute().values
            )
            assert set(np.unique(scl)) <= {0, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}

    def test_classes_beside_reflectance_are_never_scaled(self, world, items):
        mixed = eo.load(items, world.grid, bands=["red", "scl"]).isel(time=[1]).compute()
        alone = eo.load(items, world.grid, bands=["scl"]).isel(time=[1]).compute()
        assert mixed.attrs["flag_band"] == "scl"
        classes = mixed.sel(band="scl").values
        known = np.isfinite(classes)
        np.testing.assert_array_equal(classes[known], alone.sel(band="scl").values[known])


class TestScenes:
    def test_overlapping_tiles_never_count_twice(self, world, items):
        count = eo.composite(eo.load(items, world.grid, bands=["red"]), eo.Count()).compute()
        assert int(count.max()) == len(world.scenes)

    def test_the_halves_of_a_pass_make_a_whole(self, world, items):
        whole = eo.load(items, world.grid, bands=["red"]).sel(time="2022-03-24").compute()
        assert float(np.isfinite(whole).mean()) > 0.95

    def test_the_better_twin_is_used(self, world, items):
        day = eo.load(items, world.grid, bands=["red"], mask=eo.SCLMask()).sel(time="2021-06-12").compute()
        truth = world.clear_on(world.grid, "2021-06-12", ["red"])
        assert abs(float(np.nanmedian(day.values[0] - truth))) < 0.001  # the old one is 0.01 off

    def test_the_other_zone_s_tile_fills_what_ours_does_not_reach(self, world, items):
        ours = [item for item in items if "33TTN" in item.id]
        reach = [
            float(np.isfinite(eo.load(i, world.grid, bands=["red"]).max("time")).mean())
            for i in (ours, items)
        ]
        assert reach[1] > reach[0] + 0.05
        assert reach[1] > 0.99

    def test_any_zone_can_be_the_grid_s(self, world, items):
        ours = eo.composite(
            eo.load(items, world.grid, bands=["nir"], mask=eo.SCLMask()), eo.Median()
        ).sel(band="nir").compute()
        grid = eo.grid_for(world.grid.extent, crs="EPSG:32632", resolution=10)
        theirs = eo.composite(eo.load(items, grid, bands=["nir"], mask=eo.SCLMask()), eo.Median()).sel(band="nir").compute()
        back = theirs.odc.reproject(world.grid, resampling="bilinear")
        error = np.abs(back.values - ours.values)
        assert np.nanmedian(error) < 0.005


class TestNamings:
    def test_both_archives_give_the_same_cube(self, tmp_path):
        made = [
            sample.write(tmp_path / naming, seed=5, size=96, dates=5, naming=naming)
            for naming in ("earth-search", "planetary-computer")
        ]
        cubes = [
            eo.load(eo.search(w.items_path), w.grid, bands=["red", "nir"], mask=eo.SCLMask()).compute()
            for w in made
        ]
        np.testing.assert_array_equal(
            cubes[0].time.values.astype("M8[s]"), cubes[1].time.values.astype("M8[s]")
        )
        both = np.isfinite(cubes[0].values) & np.isfinite(cubes[1].values)
        assert both.mean() > 0.4
        assert np.abs(cubes[0].values - cubes[1].values)[both].max() < 0.003
        offsets = cubes[1].offset.values
        assert {0.0, -1000.0} == set(offsets[np.isfinite(offsets)])
        assert np.isnan(offsets[0])  # one tile of that pass was reprocessed, the other was not

    def test_static_catalog_and_loaders_agree(self, small, small_items):
        one = eo.load(small_items, small.grid, bands=["red"], mask=eo.SCLMask()).compute()
        ours = [item for item in small_items if "33TTN" in item.id]
        two = [
            eo.load(ours, small.grid, bands=["red"], loader=name).compute().values
            for name in ("rio", "stackstac")
        ]
        np.testing.assert_array_equal(*two)
        assert isinstance(one, xr.DataArray)


class TestAnyGrid:
    def test_the_mask_s_pixel_does_not_depend_on_the_place(self, world, items):
        """Web mercator stretches with latitude; parts of one grid must still see the same mask."""
        for crs, size in (("EPSG:3857", 58), ("EPSG:4326", 0.0005)):
            found = {
                eo.plan(items, eo.grid_for(world.grid.extent, crs=crs, resolution=size)[rows, :], bands="red",
                        mask=eo.SCLMask()).need.resolution
                for rows in (slice(0, 5), slice(5, 20))
            }  # fmt: skip
            assert len(found) == 1

    def test_sun_and_time_do_not_depend_on_the_part(self, world, items):
        whole = eo.load(items, world.grid, bands=["red"])
        part = eo.load(items, world.grid[:30, -30:], bands=["red"])
        np.testing.assert_array_equal(part.time.values, whole.time.values)
        np.testing.assert_array_equal(part.sun_azimuth.values, whole.sun_azimuth.values)
        assert part["items"].values[1] != whole["items"].values[1]

    def test_pixels_need_not_be_square(self, world, items):
        from affine import Affine
        from odc.geo.geobox import GeoBox

        flat = GeoBox(
            (96, 69), Affine(40, 0, world.grid.affine.c, 0, -20, world.grid.affine.f), world.grid.crs
        )
        mask = eo.SCLMask().dilate(metres=60)
        whole = eo.load(items, flat, bands=["red"], mask=mask).compute()
        parts = [
            eo.load(items, part, bands=["red"], mask=mask).compute()
            for part in (flat[:50, :], flat[50:96, :])
        ]
        np.testing.assert_array_equal(whole.values, np.concatenate([p.values for p in parts], axis=2))

    def test_items_as_a_generator(self, world, items):
        mask = eo.SCLMask()
        one = eo.load((item for item in items), world.grid, bands=["red"], mask=mask)
        assert one.data.name == eo.load(items, world.grid, bands=["red"], mask=mask).data.name


class TestPlan:
    def test_says_what_it_costs(self, world, items):
        made = eo.plan(items, world.grid, bands=BANDS, mask=eo.SCLMask().dilate(metres=60), chunk=128)
        text = repr(made)
        for word in ("scenes    12 from 25 Items", "dates     12, 2021-06-12 to 2022-05-10", "chunks    6 of 128 x 128",
                     "files     ", "MB to read", "MB per task", "rim 60 m (3 px)", "276 x 192 px of 10 m"):  # fmt: skip
            assert word in text, text
        html = made._repr_html_()
        assert "<table>" in html
        assert "S2A_33TTN_20210612_1_L2A" in html
        assert "&lt;" not in text

    def test_estimates_are_near_the_truth(self, world, items):
        import tracemalloc

        from eocube.costs import task_bytes

        made = eo.plan(items, world.grid, bands=BANDS, mask=eo.SCLMask().dilate(metres=60))
        on_disk = sum(
            (world.items_path / g.id / source.href.split("/")[-1]).stat().st_size
            for scene in made.scenes for g in scene.granules for source in g.sources.values()
        )  # fmt: skip
        assert 0.3 < made.cost.read_bytes / on_disk < 3
        assert made.cost.files == sum(len(g.sources) for s in made.scenes for g in s.granules)
        tracemalloc.start()
        eo.composite(eo.load(made), eo.Median()).compute(scheduler="sync")
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak <= task_bytes(made, made.chunk_reduced, reduced=True) < 4 * peak

    def test_scenes_that_do_not_touch_are_left_out(self, world, items):
        corner = world.grid[:20, -20:] if hasattr(world.grid, "shape") else None
        made = eo.plan(items, corner, bands=["red"])
        assert all(len(scene.granules) >= 1 for scene in made.scenes)
        assert made.cost.files < eo.plan(items, world.grid, bands=["red"]).cost.files
