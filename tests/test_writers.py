"""Writers: valid files, whole or not there."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import rasterio
import rasterio.shutil
import rioxarray  # noqa: F401
import xarray as xr
from rio_cogeo import cog_info, cog_validate

import eocube as eo
from eocube.errors import InputError, OutputError
from eocube.writers import write_preview


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture(scope="module")
def cube(world, items):
    return eo.load(items, world.grid, bands=["red", "green", "blue"], mask=eo.SCLMask(), chunk=100)


@pytest.fixture(scope="module")
def best(cube):
    return eo.composite(cube, eo.Median())


class TestCog:
    def test_is_valid_and_says_what_it_is(self, best, world, tmp_path):
        path = eo.write_cog(best, tmp_path / "best.tif")
        assert cog_validate(path, strict=True) == (True, [], [])
        with rasterio.open(path) as file:
            assert file.descriptions == ("red", "green", "blue", "count")
            assert np.isnan(file.nodata)
            assert file.transform == world.grid.affine
            assert file.crs.to_epsg() == 32633
            assert file.compression.name == "deflate"
            assert file.tags()["mask"] == "SCLMask()"
            assert file.tags()["reducer"] == "Median()"
            np.testing.assert_array_equal(file.read(), best.compute().values)
        assert names(tmp_path) == ["best.tif"]

    def test_large_files_get_overviews(self, tmp_path):
        grid = eo.grid_for((11.9, 47.0, 12.1, 47.2), resolution=10)
        values = np.random.default_rng(0).random(grid.shape).astype("float32")
        values[:600] = np.nan
        array = xr.DataArray(values, dims=("y", "x"), coords=xr.Dataset().coords, name="n")
        from odc.geo.xr import wrap_xr

        path = eo.write_cog(wrap_xr(array.values, grid).rename("ndvi"), tmp_path / "n.tif")
        assert [level.Decimation for level in cog_info(path).IFD][:3] == [0, 2, 4]
        with rasterio.open(path, overview_level=0) as file:
            small = file.read(1)
        with rasterio.open(path) as file:
            assert file.descriptions == ("ndvi",)
        whole = values[: values.shape[0] // 2 * 2, : values.shape[1] // 2 * 2]
        means = whole.reshape(whole.shape[0] // 2, 2, -1, 2).mean(axis=(1, 3))
        np.testing.assert_allclose(small[310:400, 10:90], means[310:400, 10:90], atol=0.02)
        assert np.isnan(small[:290]).all()

    def test_neighbours_are_subtracted_where_it_helps(self, world, items, best, tmp_path):
        lean = eo.load(items, world.grid, bands=["red", "green"], dtype="uint16")
        files = {
            None: eo.write_cog(best, tmp_path / "steps.tif"),
            "2": eo.write_cog(eo.composite(lean, eo.Median()), tmp_path / "whole.tif"),
            "3": eo.write_cog(eo.ndvi(eo.composite(eo.load(items, world.grid, bands=["red", "nir"]), eo.Mean())),
                              tmp_path / "ndvi.tif"),
        }  # fmt: skip
        for predictor, path in files.items():
            with rasterio.open(path) as file:
                assert file.tags(ns="IMAGE_STRUCTURE").get("PREDICTOR") == predictor, path

    @pytest.mark.real
    @pytest.mark.parametrize("how", ["Median", "Medoid"])
    def test_reflectance_is_smaller_without(self, real, tmp_path, how):
        found = eo.search(real / "l2a_33T_2023-08")
        grid = eo.grid_for("MGRS-33TWM", crs="EPSG:32633", resolution=120)
        cube = eo.load(found, grid, bands=["red", "nir"], mask=eo.SCLMask())
        path = eo.write_cog(eo.composite(cube, getattr(eo, how)()).isel(band=slice(2)), tmp_path / "a.tif")
        rasterio.shutil.copy(path, tmp_path / "b.tif", driver="COG", compress="DEFLATE", predictor="YES")
        assert path.stat().st_size < 0.9 * (tmp_path / "b.tif").stat().st_size

    def test_lean(self, world, items, tmp_path):
        lean = eo.load(items, world.grid, bands=["red"], mask=eo.SCLMask(), dtype="uint16")
        with rasterio.open(eo.write_cog(eo.composite(lean, eo.Median()), tmp_path / "l.tif")) as file:
            assert file.dtypes == ("uint16", "uint16")
            assert file.nodata == 0

    def test_existing_file_is_kept(self, best, tmp_path):
        path = tmp_path / "x.tif"
        path.write_text("precious")
        with pytest.raises(OutputError, match=r"x\.tif exists: pass overwrite=True"):
            eo.write_cog(best, path)
        assert path.read_text() == "precious"
        eo.write_cog(best, path, overwrite=True)
        assert cog_validate(path)[0]

    def test_a_folder_is_never_overwritten(self, best, tmp_path):
        precious = tmp_path / "precious"
        precious.mkdir()
        (precious / "thesis.txt").write_text("years of work")
        for write in (eo.write_cog, eo.write_zarr):
            with pytest.raises(OutputError, match="never overwritten"):
                write(best, precious, overwrite=True)
        assert (precious / "thesis.txt").read_text() == "years of work"
        (tmp_path / "file").write_text("x")
        with pytest.raises(OutputError, match="which a Zarr store does not overwrite"):
            eo.write_zarr(best, tmp_path / "file", overwrite=True)

    def test_a_link_is_followed(self, best, tmp_path):
        (tmp_path / "real.tif").write_text("old")
        (tmp_path / "link.tif").symlink_to(tmp_path / "real.tif")
        eo.write_cog(best, tmp_path / "link.tif", overwrite=True)
        assert (tmp_path / "link.tif").is_symlink()
        assert cog_validate(tmp_path / "real.tif")[0]

    def test_other_arrays(self, best, tmp_path):
        clear = best.sel(band="red") > 0.05
        with rasterio.open(eo.write_cog(clear, tmp_path / "b.tif")) as file:
            assert file.dtypes == ("uint8",)
            assert file.descriptions == ("red",)
        signed = (best * 100).fillna(-9999).astype("int16").rio.write_nodata(-9999)
        with rasterio.open(eo.write_cog(signed, tmp_path / "s.tif")) as file:
            assert file.nodata == -9999
        with pytest.raises(InputError, match="not complex64"):
            eo.write_cog(best.astype("complex64"), tmp_path / "c.tif")

    def test_no_folder(self, best, tmp_path):
        with pytest.raises(OutputError, match="there is no folder"):
            eo.write_cog(best, tmp_path / "none" / "x.tif")

    def test_no_permission(self, best, monkeypatch, tmp_path):
        def refused(*_, **__):
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr("tempfile.TemporaryFile", refused)
        with pytest.raises(OutputError, match="cannot be written: Permission denied"):
            eo.write_cog(best, tmp_path / "x.tif")

    def test_checked_before_any_pixel_is_read(self, items, world, tmp_path):
        @eo.mask(bands=["scl"])
        def never(px):
            raise AssertionError("a pixel was read")

        cube = eo.load(items, world.grid, bands=["red"], mask=never)
        (tmp_path / "x.tif").touch()
        for write in (eo.write_cog, eo.write_zarr):
            with pytest.raises(OutputError, match="exists"):
                write(eo.composite(cube, eo.Median()), tmp_path / "x.tif")

    def test_dims(self, cube, best, tmp_path):
        with pytest.raises(InputError, match=r"found \('time', 'band', 'y', 'x'\)"):
            eo.write_cog(cube, tmp_path / "x.tif")
        with pytest.raises(InputError, match="no CRS"):
            eo.write_cog(xr.DataArray(np.ones((3, 3)), dims=("y", "x")), tmp_path / "x.tif")

    def test_a_failure_in_the_middle_leaves_nothing(self, items, world, tmp_path):
        @eo.mask(bands=["scl"])
        def fails(px):
            raise RuntimeError("half way")

        cube = eo.load(items, world.grid, bands=["red"], mask=fails)
        old = tmp_path / "old.tif"
        old.write_text("precious")
        for name in ("new.tif", "old.tif"):
            with pytest.raises(RuntimeError, match="half way"):
                eo.write_cog(eo.composite(cube, eo.Median()), tmp_path / name, overwrite=True)
        assert names(tmp_path) == ["old.tif"]
        assert old.read_text() == "precious"

    def test_a_killed_run_leaves_nothing_under_the_final_name(self, world, best, tmp_path):
        script = f"""
import time, eocube as eo
@eo.mask(bands=["scl"])
def slow(px):
    open({str(tmp_path / "started")!r}, "w").close()
    time.sleep(0.3)
    return px["scl"] == 9
items = eo.search({str(world.items_path)!r})
grid = eo.sample.open({str(world.path)!r}).grid
cube = eo.load(items, grid, bands=["red"], mask=slow, chunk=64)
eo.write_cog(eo.composite(cube, eo.Median()), {str(tmp_path / "m.tif")!r})
"""
        process = subprocess.Popen([sys.executable, "-c", script])
        deadline = time.monotonic() + 60
        while not (tmp_path / "started").exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert (tmp_path / "started").exists()
        assert not (tmp_path / "m.tif").exists()
        assert len(names(tmp_path)) == 2
        eo.write_cog(best, tmp_path / "m.tif")
        assert names(tmp_path) == ["m.tif", "started"]


class TestZarr:
    @pytest.mark.filterwarnings("error::UserWarning")
    def test_round_trip(self, cube, tmp_path):
        path = eo.write_zarr(cube, tmp_path / "c.zarr")
        again = xr.open_zarr(path, decode_coords="all", consolidated=False)
        np.testing.assert_array_equal(again.eocube.values, cube.compute().values)
        assert again.eocube.dtype == np.float32
        assert again.rio.crs.to_epsg() == 32633
        assert again.odc.geobox == cube.odc.geobox
        assert list(again.band.values) == ["red", "green", "blue"]
        assert list(again.scene.values) == list(cube.scene.values)
        assert names(tmp_path) == ["c.zarr"]

    def test_classes_stay_whole_numbers(self, world, items, tmp_path):
        cube = eo.load(items, world.grid, bands=["scl"])
        again = xr.open_zarr(eo.write_zarr(cube, tmp_path / "s.zarr"), decode_coords="all").eocube
        assert again.dtype == np.uint8
        assert again.attrs["flag_values"] == list(range(12))
        assert len(again.attrs["flag_meanings"].split()) == 12
        np.testing.assert_array_equal(again.values, cube.compute().values)

    def test_lean_is_reflectance_for_who_opens_it(self, world, items, tmp_path):
        lean = eo.load(items, world.grid, bands=["red"], dtype="uint16", mask=eo.SCLMask())
        path = eo.write_zarr(lean, tmp_path / "l.zarr")
        whole = xr.open_zarr(path, decode_coords="all", mask_and_scale=False).eocube
        assert whole.dtype == np.uint16
        np.testing.assert_array_equal(whole.values, lean.compute().values)
        again = xr.open_zarr(path, decode_coords="all").eocube
        expected = np.where(lean.values == 0, np.nan, lean.values * 1e-4)
        np.testing.assert_allclose(again.values, expected, rtol=1e-12)

    def test_overwrite(self, best, tmp_path):
        path = eo.write_zarr(best, tmp_path / "b.zarr")
        with pytest.raises(OutputError, match="exists"):
            eo.write_zarr(best, path)
        eo.write_zarr(best, path, overwrite=True)
        assert names(tmp_path) == ["b.zarr"]

    def test_not_xarray(self, tmp_path):
        with pytest.raises(InputError, match="found ndarray"):
            eo.write_zarr(np.ones(3), tmp_path / "x.zarr")


class TestPreview:
    def test_no_data_is_transparent(self, best, tmp_path):
        hollow = best.compute().copy()
        hollow[:, :50] = np.nan
        with rasterio.open(write_preview(hollow, tmp_path / "p.png")) as file:
            picture = file.read()
        assert picture.shape == (4, *best.shape[1:])
        assert (picture[3, :50] == 0).all()
        assert (picture[3, 60:] == 255).mean() > 0.9
        assert picture[:3, 60:].std() > 20
        assert names(tmp_path) == ["p.png"]

    def test_one_layer_and_nothing(self, best, tmp_path):
        index = (best.sel(band="red") * 10).compute()
        assert write_preview(index, tmp_path / "i.png").stat().st_size > 1000
        empty = (best * np.nan).compute()
        with rasterio.open(write_preview(empty, tmp_path / "e.png")) as file:
            assert (file.read(4) == 0).all()
