"""Reducers that pick one observation, and the provenance they give."""

from __future__ import annotations

import pickle

import numpy as np
import odc.geo.xr  # noqa: F401
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import eocube as eo
from eocube.codes import Coding
from eocube.errors import BandError, InputError
from eocube.reducers import Join, Observations, reduce_observations

from .reducing import BANDS, OTHERS, PICKS, cube_of, dark, days, run, spectra

EVERY = [*PICKS, *OTHERS]
DTYPES = pytest.mark.parametrize("dtype", ["float32", "uint16"])
ALL = pytest.mark.parametrize("how", EVERY, ids=repr)


@st.composite
def blocks(draw):
    """Small blocks with few different values, so that ties are common, and many gaps."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    dates, size = draw(st.integers(1, 9)), (draw(st.integers(1, 4)), draw(st.integers(1, 4)))
    dtype = draw(st.sampled_from(["float32", "uint16"]))
    if draw(st.booleans()):
        return spectra(dates, draw(st.floats(0, 1)), size, int(rng.integers(99)), dtype)
    whole = rng.integers(1, 4, (dates, 4, *size)) * 1000
    gone = rng.random((dates, 1, *size)) < draw(st.floats(0, 1))
    if dtype == "uint16":
        return np.where(gone, 0, whole).astype("uint16")
    return np.where(gone, np.nan, whole / np.array([1e4, 1e4, 1e4, 1])[:, None, None]).astype("float32")


def seen_in(values):
    return (~np.isnan(values) if values.dtype.kind == "f" else values != 0).all(axis=1)


@ALL
@DTYPES
class TestContract:
    def test_shape_dtype_names(self, how, dtype):
        values = spectra(dtype=dtype)
        before = values.copy()
        found, names = run(how, values), how.bands_out(BANDS)
        assert found.shape == (len(names), 9, 7)
        assert found.dtype == how.dtype_out(values.dtype)
        np.testing.assert_array_equal(values, before)
        assert pickle.loads(pickle.dumps(how)) == how

    def test_codes_give_what_their_values_give(self, how, dtype):
        codes = spectra(dtype="uint16")
        codes[:, :3] += np.where(codes[:, :3] > 0, 400, 0).astype("uint16")
        coding = Coding((1000, 1000, 1000, 0), (10_000.0,) * 3 + (1.0,), dtype)
        known = {"bands": BANDS, "times": days(len(codes))}
        by_codes = reduce_observations(how, Observations(codes, coding, **known))
        by_values = reduce_observations(how, Observations(coding.decode(codes), None, **known))
        assert by_codes.dtype == by_values.dtype
        np.testing.assert_array_equal(by_codes, by_values)

    def test_nothing_at_all_is_no_data(self, how, dtype):
        found = run(how, np.full_like(spectra(dtype=dtype), np.nan if dtype == "float32" else 0))
        assert np.isnan(found).all() if found.dtype.kind == "f" else (found == 0).all()

    def test_a_date_without_data_changes_nothing(self, how, dtype):
        cube = cube_of(spectra(dtype=dtype))
        empty = cube.isel(time=[0]).copy(data=np.full_like(cube[:1], np.nan if dtype == "float32" else 0))
        empty["time"] = cube["time"].values[-1:] + np.timedelta64(10, "D")
        more = xr.concat([cube, empty], "time")
        np.testing.assert_array_equal(eo.composite(more, how, count=False), eo.composite(cube, how, count=False))

    def test_neither_chunks_nor_the_order_of_dates_matter(self, how, dtype):
        cube = cube_of(spectra(dtype=dtype))
        expected = eo.composite(cube, how, count=False)
        cut = eo.composite(cube.chunk({"time": 5, "band": 1, "y": 4, "x": 3}), how, count=False).compute()
        np.testing.assert_array_equal(cut, expected)
        order = np.random.default_rng(1).permutation(cube.sizes["time"])
        shuffled = cube.isel(time=order)
        found = eo.composite(shuffled, how, count=False)
        if "source" in found.band.values:
            ids = [eo.sources(which)["scene"].to_dict() for which in (found, expected)]
            for mine, plain in zip(*(w.sel(band="source").values.ravel() for w in (found, expected)), strict=True):
                assert ids[0].get(mine) == ids[1].get(plain)
            found, expected = (which.drop_sel(band="source") for which in (found, expected))
        np.testing.assert_array_equal(found, expected)


@given(blocks(), st.sampled_from(PICKS))
def test_source_points_at_the_observation_whose_values_are_the_result(values, how):
    found = run(how, values)
    some = seen_in(values).any(axis=0)
    source = np.nan_to_num(found[-1]).astype(int)
    np.testing.assert_array_equal(source > 0, some)
    for y, x in np.argwhere(some):
        np.testing.assert_array_equal(found[:-1, y, x], values[source[y, x] - 1, :, y, x])


@given(blocks(), st.sampled_from(PICKS), st.integers(0, 99))
def test_ties_go_to_the_earliest_whatever_the_order(values, how, seed):
    cube = cube_of(values)
    order = np.random.default_rng(seed).permutation(len(values))
    plain, shuffled = eo.composite(cube, how, count=False), eo.composite(cube.isel(time=order), how, count=False)
    np.testing.assert_array_equal(plain[:-1], shuffled[:-1])
    one, two = (np.nan_to_num(which[-1].values).astype(int) for which in (plain, shuffled))
    np.testing.assert_array_equal(one, np.where(two > 0, order[two - 1] + 1, 0))


@given(blocks())
def test_first_and_latest(values):
    seen = seen_in(values)
    numbers = np.where(seen, np.arange(1, len(values) + 1)[:, None, None], 0)
    first = np.where(seen.any(axis=0), seen.argmax(axis=0) + 1, 0)
    np.testing.assert_array_equal(np.nan_to_num(eo.First()(values)[-1]), first)
    np.testing.assert_array_equal(np.nan_to_num(eo.Latest()(values)[-1]), numbers.max(axis=0))


@given(blocks())
def test_max_ndvi_is_the_greatest(values):
    seen = seen_in(values)
    red, nir = (np.where(seen, values[:, band], 1).astype("float32") for band in (1, 2))
    ndvi = np.where(seen, (nir - red) / (nir + red), -9)
    found = run(eo.MaxNDVI(), values)
    some = seen.any(axis=0)
    own = ((found[2] - found[1].astype("float32")) / (found[2] + found[1].astype("float32")))[some]
    np.testing.assert_allclose(own, ndvi.max(axis=0)[some], rtol=1e-5, atol=1e-6)


def test_any_index():
    values = spectra()
    by_name = run(eo.MaxIndex("ndvi"), values)
    by_hand = run(eo.MaxIndex(lambda px: (px["nir"] - px["B04"]) / (px["nir"] + px["red"])), values)
    np.testing.assert_array_equal(by_name, by_hand)
    lean = run(eo.MaxIndex(dark), spectra(dtype="uint16"))
    np.testing.assert_array_equal(lean[-1], np.nan_to_num(run(eo.MaxIndex(dark), values)[-1]))


def test_an_index_that_is_no_number_counts_least():
    values = np.zeros((3, 2, 1, 1), "float32")
    values[1] = 0.1
    found = run(eo.MaxNDVI(), values, ("red", "nir"))
    assert found[-1, 0, 0] == 2
    assert run(eo.MaxNDVI(), values[:1], ("red", "nir"))[-1, 0, 0] == 1


class TestProvenance:
    def test_numbers_stay_those_of_the_cube_in_periods(self):
        cube = cube_of(spectra())
        years = eo.composite(cube, eo.Latest(), by="YS")
        whole = eo.sources(years)
        assert list(whole.index) == list(range(1, 13))
        for when in years.time.values:
            own = years.sel(time=when, band="source").values
            dates = whole.loc[np.unique(own[~np.isnan(own)]).astype(int), "time"]
            assert set(dates.dt.year) == {np.datetime64(when, "Y").astype(int) + 1970}

    def test_an_empty_period_has_no_source(self):
        months = eo.composite(cube_of(spectra(share=0)), eo.First(), by="MS").sel(band="source")
        assert np.isnan(months.sel(time="2023-06-01")).all()
        assert (months.sel(time="2023-05-01") == 1).all()

    def test_table(self):
        found = eo.sources(eo.composite(cube_of(spectra()), eo.Medoid()))
        assert found.loc[1, "scene"] == "S2_20230501"
        assert str(found.loc[2, "time"]) == "2023-07-01 10:00:00"
        assert found.loc[1, "platform"] == ""

    def test_several_and_names(self):
        cube = cube_of(spectra(dtype="uint16"))
        both = eo.composite(cube, [eo.Medoid(), eo.First(), eo.Count()])
        assert list(both.band.values)[4::5] == ["source_medoid", "source_first"]
        assert both.dtype == np.uint16
        np.testing.assert_array_equal(both.sel(band="source_first"), eo.composite(cube, eo.First(), count=False)[-1])
        two = eo.composite(cube, [eo.MaxNDVI(), eo.MaxIndex(dark)])
        assert "red_max_dark" in two.band.values
        assert len(eo.sources(both)) == 12

    def test_mixed_with_floats_no_data_is_nan_and_a_count_stays_0(self):
        values = spectra(dtype="uint16")
        values[:, :, 0, 0] = 0
        found = eo.composite(cube_of(values).assign_attrs(nodata=0), [eo.Median(), eo.Latest(), eo.GeoMedian(mads=True), eo.Count()])
        assert found.dtype == np.float32
        assert "nodata" not in found.attrs
        assert np.isnan(found.isel(y=0, x=0).values[:-1]).all()
        assert (found.sel(band="count") == found.sel(band="count").astype(int)).all()
        assert found.sel(band="count")[0, 0] == 0

    def test_a_byte_can_number_scenes(self):
        values = np.full((300, 1, 1, 1), 7, "uint8")
        cube = xr.DataArray(values, dims=("time", "band", "y", "x"), coords={"band": ["aot"]})
        assert eo.composite(cube, eo.Latest(), count=False)[-1].item() == 300

    def test_through_a_store(self, tmp_path):
        best = eo.composite(cube_of(spectra()), eo.First())
        places = {dim: np.arange(best.sizes[dim]) * step for dim, step in (("y", -10.0), ("x", 10.0))}
        eo.write_zarr(best.assign_coords(places).odc.assign_crs("EPSG:32633"), tmp_path / "best.zarr")
        again = xr.open_zarr(tmp_path / "best.zarr", consolidated=False)["eocube"]
        assert eo.sources(again).equals(eo.sources(best))

    def test_not_said(self):
        with pytest.raises(InputError, match=r"does not say its scenes .*source_scenes"):
            eo.sources(eo.composite(cube_of(spectra()), eo.Median()))


class TestMistakes:
    def test_missing_bands_are_said_before_anything_is_read(self):
        cube = cube_of(spectra()).sel(band=["blue", "red"]).chunk()
        with pytest.raises(BandError, match="Band nir is needed, the cube has: blue, red"):
            eo.composite(cube, eo.MaxNDVI())
        with pytest.raises(BandError, match="Band swir16 is needed"):
            eo.composite(cube, eo.MaxIndex(lambda px: px["swir16"]))
        with pytest.raises(InputError, match=r"returned an array of shape \(\)"):
            eo.composite(cube, [eo.Median(), eo.MaxIndex(lambda px: px["red"].max())])

    def test_a_bare_block_has_no_names(self):
        with pytest.raises(InputError, match="a bare block has no names"):
            eo.MaxNDVI()(spectra())

    def test_a_cube_with_a_source(self):
        best = eo.composite(cube_of(spectra()), eo.First(), by="YS")
        with pytest.raises(BandError, match="has a band 'source' already"):
            eo.composite(best, eo.Latest(), count=False)
        with pytest.raises(BandError, match=r"with source, count among .*drop_sel\(band=\['source', 'count'\]\)"):
            eo.composite(best, eo.Latest())
        again = eo.composite(best.drop_sel(band=["source", "count"]), eo.Latest())
        assert list(again.band.values) == [*BANDS, "source", "count"]

    def test_arguments(self):
        with pytest.raises(InputError, match=r"knows no index 'ndvj'. Did you mean 'ndvi'\?"):
            eo.MaxIndex("ndvj")
        with pytest.raises(InputError, match="name of an index or a function"):
            eo.MaxIndex(3)
        with pytest.raises(InputError, match="Choose of: mean, lower"):
            eo.Median(method="upper")
        with pytest.raises(InputError, match="A reducer is given twice"):
            Join((eo.First(), eo.First())).bands_out(("red",))


@given(blocks())
def test_lower_median_is_numpy_s(values):
    masked = np.where(values == 0, np.nan, values.astype("float64")) if values.dtype.kind == "u" else values
    some = ~np.isnan(masked).all(axis=0)
    expected = np.nanpercentile(np.where(some, masked, 1), 50, axis=0, method="lower")
    found = eo.Median(method="lower")(values)
    np.testing.assert_array_equal(found[some], expected[some])
    assert np.isnan(found[~some]).all() if found.dtype.kind == "f" else (found[~some] == 0).all()


@given(blocks(), st.floats(0, 100))
def test_count_and_bounds(values, q):
    found = run(Join((eo.Count(), eo.Min(), eo.Percentile(q), eo.Max())), values).astype("float64")
    np.testing.assert_array_equal(found[0], seen_in(values).sum(axis=0))
    low, middle, high = found[1:5], found[5:9], found[9:]
    seen = ~np.isnan(low)
    assert (low[seen] <= middle[seen]).all()
    assert (middle[seen] <= high[seen]).all()


class TestThroughTheFiles:
    HOWS = (eo.BestPixel(200), eo.Medoid(), eo.MaxNDVI(), eo.GeoMedian(mads=True), eo.Median(method="lower"), eo.Count())

    def made(self, items, small, dtype, **options):
        bands = ["blue", "red", "nir", "cloud_distance"]
        cube = eo.load(items, small.grid, bands=bands, mask=eo.SCLMask().dilate(metres=30), dtype=dtype, **options)
        return eo.composite(cube, self.HOWS).compute(scheduler="sync")

    @pytest.fixture(scope="class")
    def whole(self, small, small_items):
        return {dtype: self.made(small_items, small, dtype) for dtype in ("float32", "uint16")}

    @settings(max_examples=4)
    @given(chunk=st.integers(24, 120), seed=st.integers(0, 99), dtype=st.sampled_from(["float32", "uint16"]))
    def test_neither_chunks_nor_the_order_of_items_matter(self, small, small_items, whole, chunk, seed, dtype):
        order = np.random.default_rng(seed).permutation(len(small_items))
        shuffled = [small_items[int(index)] for index in order]
        found = self.made(shuffled, small, dtype, chunk=chunk)
        np.testing.assert_array_equal(found, whole[dtype])
        assert eo.sources(found).equals(eo.sources(whole[dtype]))

    def test_both_kinds_of_cube_agree(self, whole):
        floats, lean = whole["float32"], whole["uint16"]
        assert lean.dtype == np.float32  # for the deviations
        for name in ("red_median_lower", "blue_bestpixel", "nir_medoid"):
            same = np.isclose(lean.sel(band=name), floats.sel(band=name) * 10_000, atol=1.001, equal_nan=True)
            # Sums of distances that are equal in whole numbers may not be in reflectance.
            assert same.mean() > (0.999 if "medoid" in name else 0.999999)
        np.testing.assert_array_equal(lean.sel(band="source_bestpixel"), floats.sel(band="source_bestpixel"))
        np.testing.assert_array_equal(lean.sel(band="count"), floats.sel(band="count"))


def test_any_of_our_indices_can_be_the_greatest(small, small_items):
    cube = eo.load(small_items, small.grid, bands=["blue", "red", "nir"], mask=eo.SCLMask()).compute()
    best = eo.composite(cube, eo.MaxIndex(eo.evi))
    np.testing.assert_allclose(eo.evi(best), eo.evi(cube).max("time"), rtol=1e-5)
    assert best.attrs["reducer"] == "MaxIndex(evi)"
    with pytest.raises(BandError, match="blue"):
        eo.composite(cube.sel(band=["red", "nir"]), eo.MaxIndex(eo.evi))
