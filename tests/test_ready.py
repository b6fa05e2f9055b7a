"""Ready masks: taken where they lie, refused where they do not."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import xarray as xr

import eocube as eo
from eocube.errors import GridError, InputError, MaskError


@pytest.fixture(scope="module")
def red(small, small_items):
    return eo.load(small_items, small.grid, bands=["red"]).sel(band="red", drop=True).compute()


@pytest.fixture(scope="module")
def bright(red):
    return (red.max("time") > 0.4).rename("roofs")


def masked(small, small_items, mask, grid=None, **options):
    made = eo.plan(small_items, small.grid if grid is None else grid, bands=["red"], mask=mask, **options)
    return eo.load(made).compute(scheduler="sync").values[:, 0]


def test_thrown_away_is_what_it_says(small, small_items, red, bright):
    assert 0.01 < bright.mean() < 0.9
    found = masked(small, small_items, eo.mask_from(bright))
    np.testing.assert_array_equal(found, np.where(bright, np.nan, red))
    flipped = eo.mask_from(bright.isel(y=slice(None, None, -1)))
    np.testing.assert_array_equal(masked(small, small_items, flipped), found)


def test_one_for_each_day(small, small_items, red):
    own = red > red.mean("time")
    found = masked(small, small_items, eo.mask_from(own))
    np.testing.assert_array_equal(found, np.where(own, np.nan, red))


@pytest.mark.parametrize("chunk", [40, 64])
def test_chunks_and_cuts_do_not_matter(small, small_items, bright, chunk):
    mask = eo.vote(eo.SCLMask(), eo.mask_from(bright, outside=False).dilate(metres=40), at_least=1)
    whole = masked(small, small_items, mask)
    np.testing.assert_array_equal(masked(small, small_items, mask, chunk=chunk), whole)
    part = masked(small, small_items, mask, grid=small.grid[20:60, 33:70])
    np.testing.assert_array_equal(part, whole[:, 20:60, 33:70])


def test_coarser_pixels(small, small_items, red):
    grid = small.grid
    coarse = eo.load(small_items, grid.zoom_out(2), bands=["red"]).sel(band="red", drop=True).max("time") > 0.4
    found = masked(small, small_items, eo.mask_from(coarse.compute()))
    fine = coarse.values.repeat(2, axis=0).repeat(2, axis=1)
    np.testing.assert_array_equal(np.isnan(found), fine | np.isnan(red))


def test_manners(bright):
    mask = eo.mask_from(bright)
    assert repr(mask | eo.SCLMask()) == "(roofs | SCLMask())"
    assert repr(pickle.loads(pickle.dumps(mask))) == "roofs"
    assert not mask.bands


class TestMistakes:
    def test_another_grid(self, small, small_items, bright):
        shifted = bright.assign_coords(x=bright.x + 5)
        with pytest.raises(MaskError, match=r"Mask roofs lies on another grid \(EPSG:32633, pixels of 10 from"):
            masked(small, small_items, eo.mask_from(shifted, outside=False))
        other = eo.grid_for(small.grid.extent, crs="EPSG:32632", resolution=10)
        with pytest.raises(MaskError, match=r"EPSG:32633.*masks work here \(EPSG:32632"):
            masked(small, small_items, eo.mask_from(bright, outside=False), grid=other)
        coarse = small.grid.zoom_out(3)
        with pytest.raises(MaskError, match="lies on another grid"):
            masked(small, small_items, eo.mask_from(bright, outside=False), grid=coarse)

    def test_it_ends_within_the_area(self, small, small_items, bright):
        half = bright.isel(x=slice(0, 50))
        with pytest.raises(MaskError, match=r"Mask roofs ends within the area.*outside=False"):
            masked(small, small_items, eo.mask_from(half))
        kept = masked(small, small_items, eo.mask_from(half, outside=False))
        gone = masked(small, small_items, eo.mask_from(half, outside=True))
        assert np.isfinite(kept[..., 50:]).any()
        assert np.isnan(gone[..., 50:]).all()
        np.testing.assert_array_equal(kept[..., :50], gone[..., :50])

    def test_a_day_that_is_missing(self, small, small_items, red):
        with pytest.raises(MaskError, match=r"Mask red has no date 2021-06-24 \(sentinel-2b_2021-06-24\)"):
            masked(small, small_items, eo.mask_from((red > 1).rename("red").isel(time=[0, 2])))

    def test_what_is_no_mask(self, red, bright):
        with pytest.raises(MaskError, match="holds bools"):
            eo.mask_from(red)
        with pytest.raises(MaskError, match="found ndarray"):
            eo.mask_from(bright.values)
        with pytest.raises(MaskError, match="with dims"):
            eo.mask_from(bright.expand_dims("band"))
        with pytest.raises(GridError, match="no CRS"):
            eo.mask_from(xr.DataArray(bright.values, dims=("y", "x"), coords={"y": bright.y.values, "x": bright.x.values}))
        with pytest.raises(InputError, match="outside='no'"):
            eo.mask_from(bright, outside="no")
        with pytest.raises(MaskError, match="a day twice"):
            eo.mask_from((red > 1).isel(time=[0, 0]))
