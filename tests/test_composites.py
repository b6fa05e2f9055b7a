"""Composites: equal to plain xarray, by any frequency, on anybody's arrays."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import rioxarray
import xarray as xr

import eocube as eo
from eocube.errors import BandError, InputError


@pytest.fixture(scope="module")
def cube(world, items):
    return eo.load(items, world.grid, bands=["red", "nir"], mask=eo.SCLMask(), chunk=128).persist()


def test_median_equals_plain_xarray(cube):
    ours = eo.composite(cube, eo.Median(), count=False).compute()
    plain = cube.median("time").compute()
    np.testing.assert_array_equal(ours.values, plain.values)
    assert ours.dims == plain.dims == ("band", "y", "x")


def test_mean_count_percentile_equal_plain_xarray(cube):
    np.testing.assert_allclose(eo.composite(cube, eo.Mean(), count=False), cube.mean("time"), rtol=1e-5)
    low = eo.composite(cube, eo.Percentile(25), count=False).compute()
    np.testing.assert_allclose(low, cube.quantile(0.25, "time", skipna=True), rtol=1e-4, atol=1e-6)
    count = eo.composite(cube, eo.Count()).compute()
    np.testing.assert_array_equal(count.values[0], cube.notnull().all("band").sum("time").values)
    assert count.dtype == np.uint16


def test_georeference_and_scalar_coordinates_stay(cube, world):
    best = eo.composite(cube, eo.Median())
    assert best.odc.geobox == world.grid
    assert best.rio.crs.to_epsg() == 32633
    assert "time" not in best.coords
    assert best.attrs["reducer"] == "Median()"
    assert best.attrs["scenes"] == cube.sizes["time"]


def test_several_reducers_in_one_pass(cube):
    both = eo.composite(cube, [eo.Median(), eo.Percentile(25)]).compute()
    assert list(both.band.values) == ["red_median", "nir_median", "red_p25", "nir_p25", "count"]
    assert both.attrs["reducer"] == "[Median(), Percentile(q=25)]"
    plain = eo.composite(cube, eo.Percentile(25)).compute()
    np.testing.assert_array_equal(both.values[2:], plain.values)
    with pytest.raises(InputError, match="A reducer is given twice"):
        eo.composite(cube, [eo.Median(), eo.Median()])


@pytest.mark.parametrize("frequency", ["MS", "QS-DEC", "YS", "45D", "2MS"])
def test_periods_are_xarray_s(cube, frequency):
    ours = eo.composite(cube, eo.Median(), by=frequency, count=False).compute()
    plain = cube.resample(time=frequency).median().compute()
    assert ours.dims == ("time", "band", "y", "x")
    for when in plain.time.values:
        np.testing.assert_array_equal(ours.sel(time=when).values, plain.sel(time=when).values)
    months = pd.date_range(ours.time.values[0], ours.time.values[-1], freq=frequency)
    np.testing.assert_array_equal(ours.time.values, months.values)


def test_empty_periods_stay_as_no_data(cube):
    months = eo.composite(cube, eo.Median(), by="MS").compute()
    months, count = months.sel(band=["red", "nir"]), months.sel(band="count")
    empty = ~np.isin(months.time.values, cube.resample(time="MS").count().time.values)
    assert np.isnan(months.values[empty]).all()
    assert (count.values[empty] == 0).all()
    december = months.sel(time="2021-12-01")
    assert np.isnan(december).all()


def test_dates_in_any_order(cube):
    shuffled = cube.isel(time=[3, 1, 0, 2, *range(11, 3, -1)])
    for by in (None, "QS"):
        ours = eo.composite(shuffled, eo.Median(), by=by).compute()
        assert ours.equals(eo.composite(cube, eo.Median(), by=by).compute())


class TestOthersArrays:
    def test_numpy(self):
        values = np.random.default_rng(0).random((5, 2, 4, 3)).astype("float32")
        cube = xr.DataArray(values, dims=("time", "band", "y", "x"), coords={
            "time": pd.date_range("2024-01-01", periods=5), "band": ["red", "nir"]})  # fmt: skip
        np.testing.assert_array_equal(eo.composite(cube, eo.Median())[:2], np.median(values, axis=0))
        turned = cube.transpose("y", "x", "time", "band")
        assert eo.composite(turned, eo.Median()).dims == ("band", "y", "x")

    def test_odc_stac(self, small, small_items):
        import odc.stac

        data = odc.stac.load(
            list(small_items),
            bands=["red", "nir"],
            geobox=small.grid,
            chunks={"x": 50, "y": 50},
            groupby="id",
        )
        cube = data.to_array("band").where(lambda array: array > 0).astype("float32")
        ours = eo.composite(cube, eo.Median(), count=False).compute()
        np.testing.assert_array_equal(ours.values, cube.median("time").compute().values)

    def test_stackstac(self, small, small_items):
        import stackstac

        ours = [item for item in small_items if "33TTN" in item.id]
        plain = [item.to_dict(include_self_link=False) for item in ours]
        for item in plain:
            item["properties"]["proj:epsg"] = 32633
        cube = stackstac.stack(plain, assets=["red", "nir"], epsg=32633, rescale=False, chunksize=50)
        best = eo.composite(cube.astype("float32"), eo.Median(), count=False).compute()
        expected = cube.astype("float32").median("time").compute()
        np.testing.assert_array_equal(best.values, expected.values)


class TestNdvi:
    def test_values(self, cube):
        best = eo.composite(cube, eo.Median()).compute()
        found = eo.ndvi(best)
        red, nir = (best.sel(band=name).values for name in ("red", "nir"))
        np.testing.assert_allclose(found.values, (nir - red) / (nir + red), rtol=1e-5)
        assert found.dims == ("y", "x")
        assert found.name == "ndvi"
        assert found.dtype == np.float32
        assert found.rio.crs.to_epsg() == 32633

    def test_lazy_on_a_cube_and_lean_on_whole_numbers(self, cube, world, items):
        series = cube.pipe(eo.ndvi)
        assert series.dims == ("time", "y", "x")
        assert series.chunks is not None
        lean = eo.load(items, world.grid, bands=["red", "nir"], mask=eo.SCLMask(), dtype="uint16")
        known = (lean > 0).all("band").compute().values
        difference = np.abs(eo.ndvi(lean).compute().values - series.compute().values)
        assert np.nanmax(difference[known & (lean.sum("band").compute().values > 400)]) < 0.01

    def test_on_a_dataset_with_esa_s_names(self):
        data = xr.Dataset({"B04": ("x", np.float32([0.1, 0.0])), "B08": ("x", np.float32([0.3, 0.0]))})
        found = eo.ndvi(data)
        assert float(found[0]) == pytest.approx(0.5)
        assert np.isnan(found[1])

    def test_missing_band(self, cube):
        with pytest.raises(BandError, match="Band nir or B08 is needed, the cube has: red"):
            eo.ndvi(cube.sel(band=["red"]))
        with pytest.raises(BandError, match="no bands"):
            eo.ndvi(xr.DataArray([1.0]))


class TestMistakes:
    def test_dims(self, cube):
        with pytest.raises(
            InputError, match=r"\('time', 'y', 'x'\) is needed, found \('band', 'y', 'x'\)"
        ):
            eo.composite(cube.isel(time=0, drop=True), eo.Median())
        with pytest.raises(InputError, match="found Dataset"):
            eo.composite(cube.to_dataset("band"), eo.Median())

    def test_reducers(self, cube):
        with pytest.raises(InputError, match=r"write Median\(\) with its brackets"):
            eo.composite(cube, eo.Median)
        with pytest.raises(InputError, match="not a reducer"):
            eo.composite(cube, np.nanmedian)
        with pytest.raises(InputError, match="No reducer"):
            eo.composite(cube, [])

    def test_frequency(self, cube):
        with pytest.raises(InputError, match="by='fortnight' is not a frequency"):
            eo.composite(cube, eo.Median(), by="fortnight")

    def test_classes(self, world, items):
        with pytest.raises(BandError, match="'scl' holds classes"):
            eo.composite(eo.load(items, world.grid, bands=["red", "scl"]), eo.Median())
        one = eo.load(items, world.grid, bands=["red", "scl"]).sel(band="scl")
        with pytest.raises(BandError, match="'scl' holds classes"):
            eo.composite(one, eo.Median())
        count = eo.composite(eo.load(items, world.grid, bands=["scl"]), eo.Count())
        assert count.dtype == np.uint16

    def test_foreign_no_data(self):
        cube = xr.DataArray(np.ones((1, 1, 1, 1), "uint16"), dims=("time", "band", "y", "x"), attrs={"nodata": 65535},
                            coords={"band": ["red"]})  # fmt: skip
        with pytest.raises(InputError, match="says nodata=65535"):
            eo.composite(cube, eo.Median())
        with pytest.raises(InputError, match="has no dates"):
            eo.composite(cube.isel(time=[]), eo.Median())


@pytest.mark.parametrize("dtype", ["float32", "uint16"])
def test_others_write_what_we_make(small, small_items, tmp_path, dtype):
    """By rioxarray and odc-geo as it is: no attribute of ours means something else to them."""
    cube = eo.load(small_items, small.grid, bands=["red", "nir"], mask=eo.SCLMask(), dtype=dtype)
    best = eo.composite(cube, eo.Median()).sel(band=["red", "nir"]).compute()
    best.rio.to_raster(tmp_path / "rio.tif")
    cube.isel(time=0).rio.to_raster(tmp_path / "date.tif")
    best.sel(band="red").odc.write_cog(tmp_path / "odc.tif")
    for name, made in (("rio", best), ("date", cube.isel(time=0).compute()), ("odc", best.sel(band=["red"]))):
        again = rioxarray.open_rasterio(tmp_path / f"{name}.tif")
        np.testing.assert_array_equal(again.values, made.values)
        assert again.odc.geobox == small.grid
