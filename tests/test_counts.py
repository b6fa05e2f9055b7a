"""The count of clear observations: in every composite, and right wherever a composite goes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import rasterio
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from odc.geo.xr import wrap_xr
from rio_cogeo import cog_validate

import eocube as eo
from eocube.errors import BandError, InputError
from eocube.writers.cogs import write_periods

from .reducing import BANDS, OTHERS, PICKS, cube_of, days, spectra
from .test_picks import blocks, seen_in

EVERY = [eo.Median(), eo.Mean(), eo.Percentile(25), eo.Min(), eo.Max(), *OTHERS, *PICKS]
ALL = pytest.mark.parametrize("how", EVERY, ids=repr)
DTYPES = pytest.mark.parametrize("dtype", ["float32", "uint16"])


@ALL
@DTYPES
class TestEveryReducer:
    def test_the_count_is_the_last_band_and_changes_nothing_else(self, how, dtype):
        values = spectra(dtype=dtype)
        cube = cube_of(values)
        found, bare = eo.composite(cube, how), eo.composite(cube, how, count=False)
        assert list(found.band.values) == [*bare.band.values, "count"]
        assert found.dims == bare.dims == ("band", "y", "x")
        assert found.dtype == bare.dtype == how.dtype_out(values.dtype)
        assert found.attrs == bare.attrs
        np.testing.assert_array_equal(found[:-1], bare)
        np.testing.assert_array_equal(found[-1], seen_in(values).sum(axis=0))
        if getattr(how, "picks", False):
            assert list(found.band.values)[-2:] == ["source", "count"]

    def test_lazy_and_by_periods(self, how, dtype):
        values = spectra(dtype=dtype)
        cube = cube_of(values)
        found = eo.composite(cube.chunk(time=5, y=4, x=3), how, by="YS")
        assert found.dims == ("time", "band", "y", "x")
        years = days(len(values)).astype("datetime64[Y]")
        for step, year in enumerate(np.unique(years)):
            own = seen_in(values[years == year]).sum(axis=0)
            np.testing.assert_array_equal(found.sel(band="count")[step], own)


@given(blocks(), st.sampled_from([eo.Median(), eo.Max(), eo.First(), eo.Medoid()]), st.integers(0, 99))
def test_it_counts_the_dates_on_which_all_bands_are_clear(values, how, seed):
    order = np.random.default_rng(seed).permutation(len(values))
    found = eo.composite(cube_of(values).isel(time=order), how)
    np.testing.assert_array_equal(found.sel(band="count"), seen_in(values).sum(axis=0))
    no_data = np.isnan(found[0]) if found.dtype.kind == "f" else found[0] == 0
    np.testing.assert_array_equal(no_data, found.sel(band="count") == 0)


@dataclass(frozen=True)
class Bold:
    """A reducer of somebody else, which counts by itself."""

    def __call__(self, block):
        return np.stack([block[0, 0], np.full(block.shape[2:], 7, block.dtype)])

    def bands_out(self, bands):
        return bands[0], "count"

    def dtype_out(self, dtype):
        return dtype


class TestWhetherItIsThere:
    def test_not_twice(self):
        cube = cube_of(spectra())
        found = eo.composite(cube, [eo.Count(), eo.Median()])
        assert list(found.band.values) == ["count", *BANDS]
        assert list(eo.composite(cube, eo.Count()).band.values) == ["count"]
        assert eo.composite(cube, eo.Count()).dtype == np.uint16
        bold = eo.composite(cube, Bold())
        assert list(bold.band.values) == ["blue", "count"]
        assert (bold[1] == 7).all()
        by_hand = eo.composite(cube, [eo.Medoid(), eo.Count()])
        xr.testing.assert_equal(by_hand, eo.composite(cube, eo.Medoid()))

    def test_a_cube_of_an_index(self, small, small_items):
        cube = eo.load(small_items, small.grid, bands=["red", "nir"], mask=eo.SCLMask(), chunk=40)
        best = eo.composite(cube.pipe(eo.ndvi), eo.Max())
        assert list(best.band.values) == ["ndvi", "count"]
        assert best.odc.geobox == small.grid
        index = eo.ndvi(cube).compute()
        np.testing.assert_array_equal(best.sel(band="ndvi").values, index.max("time"))
        np.testing.assert_array_equal(best.sel(band="count").values, index.notnull().sum("time"))

    def test_a_composite_of_composites_is_asked_about(self, small, small_items):
        cube = eo.load(small_items, small.grid, bands=["red", "nir"], mask=eo.SCLMask())
        months = eo.composite(cube, eo.Median(), by="MS")
        with pytest.raises(BandError, match=r"is a composite itself, with count among .*cube.drop_sel\(band=\['count'\]\)"):
            eo.composite(months, eo.Max())
        most = eo.composite(months.drop_sel(band="count"), eo.Max()).compute()
        clear = (months.sel(band="count") > 0).sum("time")
        np.testing.assert_array_equal(most.sel(band="count"), clear)
        every = eo.composite(months, eo.Max(), count=False).compute()
        np.testing.assert_array_equal(every.sel(band="count"), months.sel(band="count").max("time"))

    def test_a_count_is_no_curve(self, small, small_items):
        cube = eo.load(small_items, small.grid, bands=["red", "nir"], mask=eo.SCLMask())
        months = eo.composite(cube, eo.Median(), by="MS")
        for use in (eo.smooth, eo.season_metrics):
            with pytest.raises(InputError, match=r"holds a count beside values.*drop_sel\(band="):
                use(months, eo.Whittaker(1000))
        curves = eo.smooth(months.drop_sel(band="count"), eo.Whittaker(1000))
        assert curves.dims == months.dims

    def test_a_composite_of_all_dates_is_no_series(self, small, small_items):
        cube = eo.load(small_items, small.grid, bands=["red"], mask=eo.SCLMask())
        with pytest.raises(InputError, match="has no time: make one by periods"):
            eo.timeseries(eo.composite(cube, eo.Median()), {"all": small.grid.extent})

    def test_indices_series_and_sources_do_not_mind(self, small, small_items):
        cube = eo.load(small_items, small.grid, bands=["red", "nir"], mask=eo.SCLMask())
        best = eo.composite(cube, eo.Medoid()).compute()
        bare = eo.composite(cube, eo.Medoid(), count=False).compute()
        xr.testing.assert_equal(eo.ndvi(best), eo.ndvi(bare))
        assert len(eo.sources(best)) == cube.sizes["time"]
        months = eo.composite(cube, eo.Median(), by="MS")
        field = {"all": small.grid.extent.buffer(-200)}
        table = eo.timeseries(months, field, stat=["mean", "count"], weights="centre")
        assert set(table["band"]) == {"red", "nir", "count"}
        plain = eo.timeseries(months.drop_sel(band="count"), field, stat=["mean", "count"], weights="centre")
        assert table[table["band"] != "count"].reset_index(drop=True).equals(plain)


@pytest.fixture(scope="module")
def large():
    """A composite of 1100 x 1300 pixels as noise, with a hole: float32 and uint16."""
    grid = eo.grid_for((11.9, 47.0, 12.1, 47.15), resolution=10)[:1100, :1300]
    rng = np.random.default_rng(0)
    values = rng.integers(1, 5000, (2, *grid.shape)).astype("uint16")
    count = rng.integers(1, 9, grid.shape).astype("uint16")
    values[:, :100], count[:100] = 0, 0
    attrs = {"nodata": 0, "reflectance_scale": 1e-4, "reducer": "Median()"}
    lean = wrap_xr(np.stack([*values, count]), grid, axis=1)
    lean = lean.rename({lean.dims[0]: "band"}).assign_coords(band=["red", "nir", "count"]).assign_attrs(attrs)
    floats = xr.where(lean == 0, np.nan, lean * 1e-4).astype("float32").assign_attrs(reducer="Median()")
    floats.loc[{"band": "count"}] = count
    return {"uint16": lean, "float32": floats.odc.assign_crs(grid.crs)}


@DTYPES
class TestOneFile:
    def test_each_band_has_overviews_of_its_kind(self, large, dtype, tmp_path):
        array = large[dtype]
        path = eo.write_cog(array, tmp_path / "b.tif")
        assert cog_validate(path, strict=True) == (True, [], [])
        with rasterio.open(path) as file:
            assert file.descriptions == ("red", "nir", "count")
            assert file.overviews(1) == file.overviews(3) == [2, 4]
            np.testing.assert_array_equal(file.read(), array.values)
            assert file.scales == ((1e-4, 1e-4, 1) if dtype == "uint16" else (1, 1, 1))
            assert (file.tags()["reducer"], file.tags(1)["esa_band"]) == ("Median()", "B04")
            clear = array.values[0][array.values[0] > 0].astype("float64")
            assert float(file.tags(1)["STATISTICS_MEAN"]) == pytest.approx(clear.mean(), rel=1e-6)
            assert float(file.tags(1)["STATISTICS_MINIMUM"]) == pytest.approx(clear.min(), rel=1e-6)
            assert float(file.tags(1)["STATISTICS_VALID_PERCENT"]) == pytest.approx(100 * 1000 / 1100, abs=0.01)
        with rasterio.open(path, overview_level=0) as file:
            red, _, count = file.read()
        cells = array.values.reshape(3, 550, 2, 650, 2)
        np.testing.assert_allclose(red[60:], cells[0, 60:].mean(axis=(1, 3)), atol=0.6 if dtype == "uint16" else 1e-6)
        assert (count[:, None, :, None] == cells[2]).any(axis=(1, 3)).all()
        assert (count[:50] == 0).all()
        assert sorted(p.name for p in tmp_path.iterdir()) == ["b.tif"]

    def test_the_same_bytes_as_bands_alone_have(self, large, dtype, tmp_path):
        """The pixels of all overviews are those of files with one kind of bands each."""
        array = large[dtype]
        whole = eo.write_cog(array.chunk(y=512, x=512), tmp_path / "b.tif")
        folder = eo.write_cog(array, tmp_path / "f", per_band=True)
        for level in (0, 1):
            for number, name in enumerate(("red", "nir", "count"), 1):
                with (
                    rasterio.open(whole, overview_level=level) as one,
                    rasterio.open(folder / f"{name}.tif", overview_level=level) as other,
                ):
                    np.testing.assert_array_equal(one.read(number), other.read(1))
        again = eo.write_cog(array, tmp_path / "again.tif")
        assert whole.read_bytes() == again.read_bytes()

    def test_who_asks_for_one_kind_gets_it(self, large, dtype, tmp_path):
        path = eo.write_cog(large[dtype], tmp_path / "b.tif", overviews="nearest")
        with rasterio.open(path, overview_level=0) as file:
            small = file.read()
        cells = large[dtype].values.reshape(3, 550, 2, 650, 2)
        same = (small[:, :, None, :, None] == cells) | np.isnan(cells)
        assert same.any(axis=(2, 4)).all()

    def test_periods(self, large, dtype, tmp_path):
        both = xr.concat([large[dtype], large[dtype]], "time")
        paths = [tmp_path / "a.tif", tmp_path / "b.tif"]
        write_periods(both, paths)
        with rasterio.open(paths[1], overview_level=0) as file:
            assert set(np.unique(file.read(3))) == set(range(9))


class Reads:
    """Counts how often pixels are looked at."""

    def __init__(self):
        self.count = 0

    def mask(self):
        @eo.mask(bands=["scl"])
        def counting(px):
            self.count += 1
            return px["scl"] == 9

        return counting


@pytest.fixture
def lean(small, small_items):
    reads = Reads()
    cube = eo.load(small_items, small.grid, bands=["red", "nir"], mask=reads.mask(), dtype="uint16", chunk=40)
    return cube, reads


class TestWholeNumbersInStores:
    """Reflectance keeps its scale; what has none is a variable of its own, and nothing is read twice."""

    @pytest.mark.parametrize(("write", "engine"), [(eo.write_zarr, "zarr"), (eo.write_netcdf, "h5netcdf")])
    def test_round_trip(self, lean, write, engine, tmp_path):
        import dask

        cube, reads = lean
        months = eo.composite(cube, eo.Latest(), by="QS")
        with dask.config.set(scheduler="sync"):
            expected = months.compute()
            once, reads.count = reads.count, 0
            path = write(months, tmp_path / "c.out")
        assert reads.count == once > 0
        with xr.open_dataset(path, engine=engine, decode_coords="all") as found:
            assert list(found.eocube.band.values) == ["red", "nir"]
            values = expected.sel(band=["red", "nir"]).values
            np.testing.assert_allclose(found.eocube, np.where(values == 0, np.nan, values * 1e-4), rtol=1e-6)
            for name in ("source", "count"):
                assert found[name].dtype == np.uint16
                assert found[name].dims == ("time", "y", "x")
                np.testing.assert_array_equal(found[name], expected.sel(band=name))
                assert "scale_factor" not in found[name].encoding
                assert not {"reflectance_scale", "long_name", "units"} & set(found[name].attrs)
            assert found.odc.geobox == cube.odc.geobox
            table = eo.sources(found.eocube)
        assert len(table) == cube.sizes["time"]

    def test_later_periods_are_appended(self, lean, tmp_path):
        cube, _ = lean
        months = eo.composite(cube, eo.Median(), by="MS")
        path = eo.write_zarr(months[:3], tmp_path / "c.zarr")
        eo.write_zarr(months[3:], path, append=True)
        again = xr.open_zarr(path, mask_and_scale=False)
        np.testing.assert_array_equal(again["count"], months.sel(band="count"))
        np.testing.assert_array_equal(again["eocube"], months.sel(band=["red", "nir"]))

    def test_classes_beside_reflectance(self, small, small_items, tmp_path):
        cube = eo.load(small_items, small.grid, bands=["red", "scl"], dtype="uint16")
        again = xr.open_zarr(eo.write_zarr(cube, tmp_path / "c.zarr"), decode_coords="all")
        assert again["eocube"].dtype.kind == "f"
        np.testing.assert_array_equal(again["scl"], cube.sel(band="scl"))
        assert again["scl"].attrs["flag_values"] == list(range(12))
        assert "flag_values" not in again["eocube"].attrs


class TestPictures:
    def test_one_band_and_its_count(self, small, small_items):
        import matplotlib as mpl

        mpl.use("Agg")
        cube = eo.load(small_items, small.grid, bands=["red", "nir"], mask=eo.SCLMask())
        green = eo.composite(cube.pipe(eo.ndvi), eo.Max()).compute()
        axes = eo.plot_map(green)
        assert "NDVI" in [child.get_ylabel() for child in axes.child_axes]
        assert eo.plot_map(green, "count").get_legend().get_title().get_text() == "clear dates"
        eo.explore(green)
        with pytest.raises(InputError, match=r"There are 3 bands \(red, nir, count\)"):
            eo.plot_map(eo.composite(cube, eo.Median()))

    def test_no_date_is_a_number_of_dates_in_whole_numbers_too(self):
        import matplotlib as mpl

        mpl.use("Agg")
        values = spectra(share=0.7, dates=3)
        for dtype in ("float32", "uint16"):
            cube = cube_of(values if dtype == "float32" else spectra(share=0.7, dates=3, dtype=dtype))
            best = eo.composite(cube.assign_attrs(nodata=0), eo.Median())
            best = best.assign_coords(y=-np.arange(9.0), x=np.arange(7.0))
            legend = eo.plot_map(best, "count").get_legend()
            shown = sorted({str(int(n)) for n in best.sel(band="count").values.ravel()})
            assert [text.get_text() for text in legend.get_texts()] == shown
            assert "0" in shown

    def test_rungs_have_the_masks_of_their_plans(self, small, small_items):
        import matplotlib as mpl

        mpl.use("Agg")
        masks = eo.SCLMask("strict").dilate(metres=60), eo.SCLMask()
        plans = [eo.plan(small_items, small.grid, bands=["red"], mask=mask) for mask in masks]
        best = eo.fill_ladder(plans, eo.Median(), min_count=3).compute()
        assert set(np.unique(best.sel(band="rung"))) == {0, 1, 2}
        legend = eo.plot_map(best, "rung").get_legend()
        said = [text.get_text() for text in legend.get_texts()]
        assert said == ["0: hole", *(f"{n}: {mask!r}" for n, mask in enumerate(masks, 1))]

    def test_colours(self, small, small_items):
        cube = eo.load(small_items, small.grid, bands=["red", "green", "blue"], mask=eo.SCLMask())
        with_count, bare = (eo.rgb(eo.composite(cube, eo.Median(), count=count)) for count in (True, False))
        xr.testing.assert_equal(with_count, bare)


def test_the_item_of_one_file_says_it_holds_reflectance(small, small_items, tmp_path):
    import json

    cube = eo.load(small_items, small.grid, bands=["red", "nir"], mask=eo.SCLMask(), dtype="uint16")
    best = eo.composite(cube, eo.Median())
    eo.write_cog(best, tmp_path / "best.tif")
    said = json.loads(eo.write_item(best, tmp_path / "best.json", tmp_path / "best.tif", items=small_items).read_text())
    asset = said["assets"]["best"]
    assert asset["roles"] == ["data", "reflectance"]
    assert [band.get("scale") for band in asset["raster:bands"]] == [1e-4, 1e-4, None]
    assert said["properties"]["eocube:reducer"] == "Median()"
