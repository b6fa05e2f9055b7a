"""What is written for others: tags of COGs, NetCDF, STAC Items, Collections; and read back as a catalog."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from datetime import UTC, datetime

import numpy as np
import pystac
import pytest
import rasterio
import xarray as xr
from odc.geo.geobox import GeoBox
from odc.geo.xr import wrap_xr
from rio_cogeo import cog_validate

import eocube as eo
from eocube.errors import EocubeError, InputError, ItemsError, MissingExtraError, OutputError
from eocube.writers.cogs import write_cogs
from eocube.writers.layers import averaged

WHEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture(scope="module")
def lean(small, small_items):
    return eo.load(small_items, small.grid, bands=["red", "nir"], mask=eo.SCLMask(), dtype="uint16")


@pytest.fixture(scope="module")
def best(lean):
    return eo.composite(lean, eo.Median())



class TestCog:
    def test_says_what_its_numbers_are(self, best, small, tmp_path):
        path = eo.write_cog(best.sel(band=["red", "nir"]), tmp_path / "b.tif")
        with rasterio.open(path) as file:
            assert (file.scales, file.offsets, file.nodata) == ((1e-4, 1e-4), (0, 0), 0)
            tags, band = file.tags(), file.tags(1)
            values = file.read(1)
        assert tags["eocube_version"] == eo.__version__
        assert (tags["mask"], tags["reducer"]) == ("SCLMask()", "Median()")
        assert json.loads(tags["items"]) == best.attrs["items"]
        assert set(best.attrs["items"]) <= set(small.item_ids)
        assert len(tags["recipe"]) == 64
        assert float(band["STATISTICS_MEAN"]) == pytest.approx(values[values > 0].mean())
        assert float(band["STATISTICS_VALID_PERCENT"]) == pytest.approx((values > 0).mean() * 100, abs=0.01)
        assert band["esa_band"] == "B04"
        assert cog_validate(path, strict=True) == (True, [], [])

    def test_a_file_per_band(self, best, tmp_path):
        folder = eo.write_cog(best, tmp_path / "f", per_band=True)
        assert sorted(p.name for p in folder.iterdir()) == ["count.tif", "nir.tif", "red.tif"]
        for name in ("red", "nir", "count"):
            assert cog_validate(folder / f"{name}.tif", strict=True)[0]
            with rasterio.open(folder / f"{name}.tif") as file:
                assert file.descriptions == (name,)
                assert file.scales == ((1.0,) if name == "count" else (1e-4,))
                assert ("units" in file.tags()) == (name != "count")
                np.testing.assert_array_equal(file.read(1), best.sel(band=name).values)
        with pytest.raises(OutputError, match=r"red\.tif exists"):
            eo.write_cog(best, folder, per_band=True)
        odd = best.assign_coords(band=["../red", "nir", "count"])
        with pytest.raises(InputError, match="names files after bands"):
            eo.write_cog(odd, tmp_path / "g", per_band=True)
        (tmp_path / "h").touch()
        with pytest.raises(OutputError, match="need a folder"):
            eo.write_cog(best, tmp_path / "h", per_band=True)

    def test_same_recipe_same_bytes(self, best, lean, tmp_path):
        first, again, other = (
            eo.write_cog(array, tmp_path / f"{i}.tif").read_bytes()
            for i, array in enumerate((best, best.compute(), eo.composite(lean, eo.Mean())))
        )
        assert first == again
        assert first != other

    @pytest.mark.parametrize(
        ("name", "dtype", "attrs", "expected"),
        [
            ("red", "float32", {}, True),
            ("red_p25", "uint16", {"reflectance_scale": 1e-4}, True),
            ("red", "uint16", {}, False),
            ("count", "uint16", {"reflectance_scale": 1e-4}, False),
            ("count", "float32", {}, False),
            ("source_medoid", "float32", {}, False),
            ("scl", "uint8", {"flag_values": [1]}, False),
        ],
    )
    def test_which_overviews_are_means(self, name, dtype, attrs, expected):
        assert averaged(xr.DataArray(np.zeros(1, dtype), attrs=attrs), name) == expected

    def test_overviews(self, tmp_path):
        grid = eo.grid_for((11.9, 47.0, 12.02, 47.1), resolution=10)[:1024, :800]
        values = np.random.default_rng(0).integers(1, 5000, (2, *grid.shape)).astype("uint16")
        array = wrap_xr(values, grid, axis=1).assign_attrs(reflectance_scale=1e-4)
        array = array.rename({array.dims[0]: "band"}).assign_coords(band=["red", "source"])
        red, source = tmp_path / "red.tif", tmp_path / "source.tif"
        write_cogs(array, {red: ["red"], source: ["source"]})
        cells = values.reshape(2, 512, 2, 400, 2).astype(float)
        with rasterio.open(red, overview_level=0) as file:
            np.testing.assert_allclose(file.read(1), cells[0].mean(axis=(1, 3)), atol=0.6)
        with rasterio.open(source, overview_level=0) as file:
            assert (file.read(1)[:, None, :, None] == cells[1]).any(axis=(1, 3)).all()
        with pytest.raises(InputError, match="choose of auto, average"):
            eo.write_cog(array, tmp_path / "x.tif", overviews="cubic")


def test_writing_takes_no_more_memory_for_a_larger_mosaic(tmp_path):
    """Peak memory of a process that writes 8 and 128 MB, and of one that writes 256 MB as a store."""
    script = """
import resource, sys
import dask.array as da, numpy as np, eocube as eo
from affine import Affine
from odc.geo.geobox import GeoBox
from odc.geo.xr import xr_coords
import xarray as xr
write, out, side = getattr(eo, sys.argv[1]), sys.argv[2], int(sys.argv[3])
grid = GeoBox((side, side), Affine(10, 0, 3e5, 0, -10, 5e6), "EPSG:32633")
def ramp(zeros):
    return zeros + np.arange(zeros.shape[-1], dtype="uint16")
data = da.map_blocks(ramp, da.zeros((4, side, side), dtype="uint16", chunks=(4, 512, 512)), dtype="uint16")
array = xr.DataArray(data, dims=("band", "y", "x"), coords={"band": list("abcd"), **xr_coords(grid)})
write(array[..., :512, :512], out + "-warm")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
write(array, out)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""

    def peak(verb, name, side):
        words = [sys.executable, "-W", "ignore", "-c", script, verb, str(tmp_path / name), str(side)]
        return float(subprocess.run(words, check=True, capture_output=True, text=True).stdout)

    # A mosaic of 512 MB; the blocks under way, GDAL's cache and compression are what is left.
    assert peak("write_zarr", "a.zarr", 8192) < 200
    assert peak("write_cog", "a.tif", 8192) < 512 - 100


class TestNetcdf:
    @pytest.mark.parametrize("options", [{"dtype": "uint16"}, {}, {"bands": "scl", "mask": None}], ids=["lean", "float", "scl"])
    def test_round_trip(self, small, small_items, tmp_path, options):
        cube = eo.load(small_items, small.grid, **{"bands": ["red", "nir"], "mask": eo.SCLMask(), "chunk": 40} | options)
        path = eo.write_netcdf(cube, tmp_path / "c.nc")
        with xr.open_dataset(path, engine="h5netcdf", decode_coords="all", mask_and_scale=False) as plain:
            np.testing.assert_array_equal(plain.eocube.values, cube.compute().values)
            assert plain.odc.geobox == small.grid
            assert plain.attrs["Conventions"] == "CF-1.11"
            np.testing.assert_array_equal(plain.time.values, cube.time.values)
            assert list(plain.scene.values) == list(cube.scene.values)
        if options == {"dtype": "uint16"}:
            with xr.open_dataset(path, engine="h5netcdf", decode_coords="all") as decoded:
                assert decoded.eocube.dtype.kind == "f"
                expected = np.where(cube.values == 0, np.nan, cube.values * 1e-4)
                np.testing.assert_allclose(decoded.eocube.values, expected, rtol=1e-6)

    def test_chunks_and_errors(self, best, tmp_path, monkeypatch):
        import h5py

        path = eo.write_netcdf(best, tmp_path / "b.nc")
        with h5py.File(path) as file:
            assert (file["eocube"].compression, file["eocube"].chunks[0]) == ("gzip", 2)
        with pytest.raises(OutputError, match="exists"):
            eo.write_netcdf(best, path)
        with pytest.raises(InputError, match="found ndarray"):
            eo.write_netcdf(np.ones(3), tmp_path / "x.nc")
        monkeypatch.setattr("eocube.extras.find_spec", lambda name: None)
        with pytest.raises(MissingExtraError, match=r"eocube\[netcdf\]"):
            eo.write_netcdf(best, tmp_path / "y.nc")
        assert sorted(p.name for p in tmp_path.iterdir()) == ["b.nc"]


class TestItem:
    @pytest.fixture
    def made(self, best, small_items, tmp_path):
        folder = tmp_path / "shelf" / "one"
        folder.parent.mkdir()
        eo.write_cog(best, folder, per_band=True)
        return eo.write_item(best, folder / "one.json", folder, items=small_items, collection="mine", created=WHEN)

    def test_is_valid_and_true(self, made, best, small, small_items, validator):
        eo.write_collection(made.parents[1], "mine")
        item = pystac.Item.from_file(str(made))
        checked = item.validate()
        assert {url.split("/")[3] for url in checked if "extensions" in url} == {"eo", "file", "processing", "projection", "raster"}
        said = item.properties
        values = best.sel(band="red").values
        assert said["good_pxl_pct"] == pytest.approx((values > 0).mean(), abs=1e-6)
        assert said["proj:code"] == f"EPSG:{small.grid.crs.epsg}"
        assert said["proj:shape"] == list(small.grid.shape)
        assert said["created"] == "2026-01-02T03:04:05Z"
        assert said["start_datetime"] == best.attrs["first_date"]
        assert said["processing:software"] == {"eocube": eo.__version__}
        assert "Median()" in said["processing:lineage"]
        sources = [link for link in item.links if link.rel == "derived_from"]
        assert [link.title for link in sources] == best.attrs["items"] == said["eocube:items"]
        own = {one.id: one.get_self_href() for one in small_items}
        assert [link.href for link in sources] == [own[name] for name in best.attrs["items"]]
        west, south, east, north = item.bbox
        assert west < small.bbox[2]
        assert south < small.bbox[3]
        assert east > small.bbox[0]
        assert north > small.bbox[1]

    def test_assets_say_size_and_checksum(self, made, best):
        item = json.loads(made.read_text())
        assert set(item["assets"]) == {"red", "nir", "count"}
        for key, asset in item["assets"].items():
            assert asset["href"] == f"./{key}.tif"
            data = (made.parent / asset["href"]).read_bytes()
            assert asset["file:size"] == len(data)
            assert asset["file:checksum"] == "1220" + hashlib.sha256(data).hexdigest()
            (band,) = asset["raster:bands"]
            values = best.sel(band=key).values
            assert band["statistics"]["maximum"] == values.max()
            assert (band["data_type"], band["nodata"]) == ("uint16", 0)
            assert band.get("scale") == (None if key == "count" else 1e-4)
        assert item["assets"]["red"]["eo:bands"][0]["common_name"] == "red"
        assert item["assets"]["count"]["roles"] == ["metadata"]

    def test_same_recipe_same_bytes(self, made, best, small_items, tmp_path):
        again = tmp_path / "again" / "one"
        again.parent.mkdir()
        eo.write_cog(best.compute(), again, per_band=True)
        item = eo.write_item(best.compute(), again / "one.json", again, items=small_items, collection="mine", created=WHEN)
        assert item.read_bytes() == made.read_bytes()

    def test_collection_and_catalog(self, made, best, small, validator):
        shelf = made.parents[1]
        catalog = eo.write_collection(shelf, "mine", title="Mine", description="Mosaics", license="CC-BY-4.0")
        root = pystac.Catalog.from_file(str(catalog))
        found = list(root.get_items(recursive=True))
        assert [item.id for item in found] == ["one"]
        collection = found[0].get_collection()
        assert (collection.id, collection.license, collection.title) == ("mine", "CC-BY-4.0", "Mine")
        for one in (root, collection, found[0]):
            assert one.validate()
        text = "".join(p.read_text() for p in (catalog, shelf / "collection.json"))
        assert str(shelf) not in text
        with pytest.raises(OutputError, match="exists"):
            eo.write_collection(shelf, "mine")
        with pytest.raises(InputError, match="is of another Collection than 'other'"):
            eo.write_collection(shelf, "other", overwrite=True)

    @pytest.mark.parametrize("name", ["", "catalog.json"])
    def test_is_a_catalog_of_ours(self, made, best, small, name):
        """Search and load give back what was written: scale, offset, no data, grid."""
        shelf = made.parents[1]
        eo.write_collection(shelf, "mine")
        found = eo.search(shelf / name, small.bbox, "2021/2022")
        assert [item.id for item in found] == ["one"]
        assert eo.grid_for(found) == small.grid
        cube = eo.load(found, small.grid, bands=["red", "nir"], verify_offset=False)
        assert list(cube.offset_source.values) == ["raster:bands of the Item"]
        expected = best.sel(band=["red", "nir"]).values.astype("float32")
        np.testing.assert_allclose(cube.values[0], np.where(expected == 0, np.nan, expected / np.float32(10000)), rtol=1e-6)
        lean = eo.load(found, small.grid, bands=["red", "nir"], dtype="uint16", verify_offset=False)
        np.testing.assert_array_equal(lean.values[0], best.sel(band=["red", "nir"]).values)

    def test_floats_are_refused_as_a_catalog(self, small, small_items, tmp_path):
        best = eo.composite(eo.load(small_items, small.grid, bands=["red"]), eo.Median())
        folder = eo.write_cog(best, tmp_path / "f", per_band=True)
        eo.write_item(best, folder / "f.json", folder)
        with pytest.raises(ItemsError, match=r"'red' of Item 'f' holds float32.*dtype='uint16'"):
            eo.plan(eo.search(folder), small.grid, bands="red")

    def test_other_files(self, best, small_items, tmp_path, validator):
        cog = eo.write_cog(best.sel(band=["red", "nir"]), tmp_path / "best.tif")
        store = eo.write_zarr(best, tmp_path / "best.zarr")
        netcdf = eo.write_netcdf(best, tmp_path / "best.nc")
        path = eo.write_item(best, tmp_path / "best.json", [cog, store, netcdf], period=("2021-01-01", "2021-12-31"))
        item = pystac.Item.from_file(str(path))
        item.validate()
        assert set(item.assets) == {"best", "zarr", "netcdf"}
        assert len(item.assets["best"].extra_fields["raster:bands"]) == 2
        assert "file:checksum" in item.assets["netcdf"].extra_fields
        assert item.properties["start_datetime"] == "2021-01-01T00:00:00Z"
        named = eo.write_item(best, tmp_path / "n.json", {"mosaic": cog}, properties={"good_pxl_pct": 0.5, "x": 1})
        said = json.loads(named.read_text())
        assert set(said["assets"]) == {"mosaic"}
        assert (said["properties"]["good_pxl_pct"], said["properties"]["x"]) == (0.5, 1)

    def test_what_cannot_be_said(self, best, small_items, tmp_path):
        cog = eo.write_cog(best, tmp_path / "best.tif")
        bare = best.assign_attrs(first_date=None)
        with pytest.raises(InputError, match="does not say its period"):
            eo.write_item(bare, tmp_path / "a.json", cog)
        with pytest.raises(InputError, match="start of the period is no date: 'soon'"):
            eo.write_item(bare, tmp_path / "a.json", cog, period=("soon", "2021"))
        with pytest.raises(OutputError, match="is not there: write it before the Item"):
            eo.write_item(best, tmp_path / "a.json", tmp_path / "none.tif")
        with pytest.raises(InputError, match=r"made of .*, which items= does not hold"):
            eo.write_item(best, tmp_path / "a.json", cog, items=list(small_items)[:1])
        with pytest.raises(InputError, match="is no id for an Item"):
            eo.write_item(best, tmp_path / "-a b.json", cog)
        (tmp_path / "s").mkdir()
        twin = eo.write_cog(best, tmp_path / "s" / "best.tif")
        with pytest.raises(InputError, match="Two assets would be called"):
            eo.write_item(best, tmp_path / "a.json", [cog, twin])
        (tmp_path / "b.json").write_text("precious")
        with pytest.raises(OutputError, match="exists"):
            eo.write_item(best, tmp_path / "b.json", cog)
        with pytest.raises(InputError, match="There is no Item in"):
            eo.write_collection(tmp_path, "mine")
        assert not (tmp_path / "a.json").exists()
        assert issubclass(OutputError, EocubeError)

    def test_tokens_stay_out(self, best, small_items, tmp_path):
        cog = eo.write_cog(best, tmp_path / "best.tif")
        records = [item.to_dict(include_self_link=False) for item in small_items]
        for record in records:
            record["links"] = [{"rel": "self", "href": f"https://account.blob.core.windows.net/c/{record['id']}.json?sig=CANARY"}]
        path = eo.write_item(best, tmp_path / "b.json", cog, items=records)
        assert "CANARY" not in path.read_text()
        assert "derived_from" in path.read_text()


def test_what_was_lost_is_in_the_item(small, small_items, tmp_path):
    records = [item.to_dict(transform_hrefs=False) for item in small_items]
    records[-1]["assets"]["red"]["href"] = str(tmp_path / "gone.tif")
    best = eo.composite(eo.load(records, small.grid, bands=["red"], on_error="skip"), eo.Median())
    with pytest.warns(eo.errors.LossWarning):
        cog = eo.write_cog(best, tmp_path / "b.tif")
    item = json.loads(eo.write_item(best, tmp_path / "b.json", cog, items=records).read_text())
    assert [one["item"] for one in item["properties"]["eocube:losses"]["granules"]] == [records[-1]["id"]]


def test_a_grid_without_a_code(tmp_path, validator):
    grid = GeoBox.from_bbox((0, 0, 2000, 1000), "+proj=laea +lat_0=47 +lon_0=12 +ellps=GRS80 +units=m", resolution=100)
    array = wrap_xr(np.ones(grid.shape, "float32"), grid).rename("ndvi")
    cog = eo.write_cog(array, tmp_path / "a.tif")
    item = pystac.Item.from_file(str(eo.write_item(array, tmp_path / "a.json", cog, period=("2021-01-01", "2021-02-01"))))
    item.validate()
    assert item.properties["proj:code"] is None
    assert "Lambert Azimuthal" in item.properties["proj:wkt2"]
    again = xr.open_zarr(eo.write_zarr(array, tmp_path / "a.zarr"), decode_coords="all")
    assert again.odc.geobox == grid
    assert "proj:wkt2" in again.attrs


@pytest.mark.real
def test_a_real_month_is_written_and_read_back(real, tmp_path, validator):
    """Both tiles, five dates: files, Item, Collection; all ten source scenes are named."""
    found = eo.search(real / "l2a_33T_2023-08")
    grid = eo.grid_for(found)
    cube = eo.load(found, grid, bands=["red", "nir"], mask=eo.SCLMask(), dtype="uint16")
    best = eo.composite(cube, eo.Median())
    cell = tmp_path / "shelf" / "33T_2023-08"
    cell.parent.mkdir()
    eo.write_cog(best, cell, per_band=True)
    eo.write_item(best, cell / f"{cell.name}.json", cell, items=found, collection="real")
    catalog = eo.write_collection(cell.parent, "real")
    (item,) = pystac.Catalog.from_file(str(catalog)).get_items(recursive=True)
    item.validate()
    assert sorted(link.title for link in item.links if link.rel == "derived_from") == sorted(one.id for one in found)
    expected = best.sel(band=["red", "nir"]).values
    assert item.properties["good_pxl_pct"] == pytest.approx((expected[0] > 0).mean(), abs=1e-6)
    assert 0.5 < item.properties["good_pxl_pct"] < 1
    assert (item.properties["start_datetime"][:10], item.properties["end_datetime"][:10]) == ("2023-08-10", "2023-08-20")
    again = eo.load(eo.search(catalog), grid, bands=["red", "nir"], dtype="uint16", verify_offset=False)
    np.testing.assert_array_equal(again.values[0], expected)
    for name in ("red", "count"):
        assert cog_validate(cell / f"{name}.tif", strict=True)[0]
