"""Reducers on real scenes: eo-learn's stored composites, a month by every reducer."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import eocube as eo
from eocube.distances import distances

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def patch(real):
    """NDVI of 68 dates, and which of it is valid, with what eo-learn made of it."""
    folder = real / "eolearn_l1c" / "TestEOPatch"
    names = {"ndvi": "data/NDVI", "valid": "mask/IS_VALID", "most": "data_timeless/MAX_NDVI",
             "count": "mask_timeless/VALID_COUNT"}  # fmt: skip
    return {name: np.load(folder / f"{path}.npy") for name, path in names.items()}


def ndvi_cube(patch, masked):
    values = patch["ndvi"][..., 0].astype("float32")
    if masked:
        values = np.where(patch["valid"][..., 0], values, np.float32(np.nan))
    times = pd.date_range("2015-07-11", periods=len(values), freq="13D")
    cube = xr.DataArray(values[:, None], dims=("time", "band", "y", "x"), coords={"time": times, "band": ["ndvi"]})
    return cube.chunk({"y": 40, "x": 33})


def test_max_ndvi_and_valid_count_of_eo_learn(patch):
    cube = ndvi_cube(patch, masked=False)
    most = patch["most"][..., 0]
    np.testing.assert_array_equal(eo.composite(cube, eo.Max(), count=False)[0], most)
    picked = eo.composite(cube, eo.MaxIndex(lambda px: px["ndvi"]), count=False).compute()
    np.testing.assert_array_equal(picked[0], most)
    own = np.take_along_axis(cube.values[:, 0], picked[1].values.astype(int)[None] - 1, axis=0)[0]
    np.testing.assert_array_equal(own, most)
    count = eo.composite(ndvi_cube(patch, masked=True), eo.Count())
    assert not np.isnan(cube.values).any()
    np.testing.assert_array_equal(count[0], patch["count"][..., 0])


BANDS = ["blue", "green", "red", "nir"]


@pytest.fixture(scope="module")
def month(real):
    items = eo.search(real / "l2a_33T_2023-08")
    made = eo.plan(items, eo.grid_for(items), bands=[*BANDS, "cloud_distance"], mask=eo.SCLMask(), resampling="nearest")
    return eo.load(made).persist()


@pytest.fixture(scope="module")
def block(month):
    return month.values


PICKS = [eo.First(), eo.Latest(), eo.Medoid(), eo.MaxNDVI(), eo.BestPixel(227)]


@pytest.mark.parametrize("how", PICKS, ids=repr)
def test_every_pixel_is_that_of_its_source(month, block, how):
    found = eo.composite(month, how, count=False).compute()
    source = np.nan_to_num(found.sel(band="source").values).astype(int)
    assert set(np.unique(source)) == {0, 1, 2, 3, 4, 5}
    np.testing.assert_array_equal(source > 0, ~np.isnan(block).any(axis=1).all(axis=0))
    own = np.take_along_axis(block, np.maximum(source - 1, 0)[None, None], axis=0)[0]
    np.testing.assert_array_equal(found.values[:-1], np.where(source > 0, own, np.nan))
    days = eo.sources(found)["time"].dt.strftime("%m-%d")
    assert list(days) == ["08-10", "08-13", "08-15", "08-18", "08-20"]


def test_max_ndvi_by_hand(month, block):
    with np.errstate(invalid="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        greatest = np.nanmax((block[:, 3] - block[:, 2]) / (block[:, 3] + block[:, 2]), axis=0)
    best = eo.composite(month, eo.MaxNDVI(), count=False).compute()
    np.testing.assert_allclose(eo.ndvi(best), greatest, rtol=1e-4, atol=1e-5)


def test_the_distances_are_those_of_the_mask(real, month, block):
    """The whole mosaic at once, at the mask's own pixel."""
    items = eo.search(real / "l2a_33T_2023-08")
    scl = eo.load(items, eo.grid_for(items), bands=["scl"]).compute().values[:, 0]
    for own, classes in zip(block[:, 4], scl, strict=True):
        thrown = np.isin(classes, (1, 3, 8, 9, 10)) | (classes > 11)
        found, seen = distances(thrown, 120.0), ~np.isnan(own)
        np.testing.assert_array_equal(own[seen], found[seen])


def test_geomedian_is_odc_algo_s(month):
    from .test_spectra import of_odc, sums

    part = np.ascontiguousarray(month.values[:, :4, 300:420, 300:420])
    ours, (theirs, _, count) = eo.GeoMedian()(part), of_odc(part, eps=1e-9)
    apart = (np.abs(ours - theirs).max(axis=0) > 1e-4) & (count > 2)
    assert apart.mean() < 0.01
    assert (sums(part, ours) <= sums(part, theirs) + 1e-7).all()  # float32


def test_what_is_hazy_is_left_by_those_that_should(month, block):
    """Pixels beside a cloud are brighter in blue; who looks at the distance avoids them."""
    near = eo.composite(month, [eo.BestPixel(227), eo.First()], count=False).compute()
    best, first = (near.sel(band=f"cloud_distance_{name}").values for name in ("bestpixel", "first"))
    assert np.nanmean(best < 500) < 0.6 * np.nanmean(first < 500)
    means = eo.composite(month, [eo.Mean(), eo.WeightedMean()], count=False).compute()
    gain = means.sel(band="blue_mean") - means.sel(band="blue_weightedmean")
    assert float(gain.mean()) > 0.001
