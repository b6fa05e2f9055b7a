"""CloudProbability: an asset, an array, a folder of rasters; scales that do not fit are refused."""

from __future__ import annotations

import numpy as np
import odc.geo.xr  # noqa: F401  (makes .odc)
import pytest
import rasterio
import xarray as xr
from odc.geo.xr import xr_coords

import eocube as eo
from eocube.errors import MaskError, MaskWarning, MissingAssetError
from eocube.sample.files import write_cog


def percent(small, item_id, resolution=20.0):
    """A probability as good as the truth: 90 under cloud, 5 elsewhere; uint8."""
    box = small.geobox(item_id, resolution)
    found = np.where(small.cloud_on(box, item_id), 90, 5).astype(np.uint8)
    return found, box


def write_raster(path, values, box, nodata=255):
    options = {
        "driver": "GTiff", "height": box.shape[0], "width": box.shape[1], "count": 1, "dtype": values.dtype.name,
        "crs": str(box.crs), "transform": box.affine, "nodata": nodata,
    }  # fmt: skip
    with rasterio.open(path, "w", **options) as file:
        file.write(values, 1)


@pytest.fixture(scope="module")
def with_asset(small, small_items, tmp_path_factory):
    """The Items with Sen2Cor's ``cloud``, as Earth Search's Collection 1 has it."""
    folder = tmp_path_factory.mktemp("cloud")
    found = []
    for item in small_items:
        record = item.to_dict()
        values, box = percent(small, item.id)
        write_cog(folder / f"{item.id}.tif", values, box)
        record["assets"]["cloud"] = {"href": str(folder / f"{item.id}.tif"), "proj:shape": list(box.shape),
                                     "proj:transform": list(box.affine)[:6], "type": "image/tiff"}  # fmt: skip
        found.append(record)
    return found


@pytest.fixture(scope="module")
def array(small, small_items):
    """One layer per pass on the grid of the cube, 0 to 1, floating."""
    grid = small.grid.zoom_out(2)
    cube = eo.load(small_items, grid, bands="scl")
    layers = [np.where(small.cloud_on(grid, str(day)[:10]), 0.9, 0.05) for day in cube.time.values]
    coords = {**xr_coords(grid, dims=("y", "x")), "time": cube.time.values}
    return xr.DataArray(np.stack(layers).astype("float32"), dims=("time", "y", "x"), coords=coords)


def masked(items, grid, mask, **kw):
    return eo.load(items, grid, bands="red", mask=mask, verify_offset=False, **kw).compute().values[:, 0]


def truth(small, items, grid):
    cube = eo.load(items, grid, bands="red", verify_offset=False).compute()
    cloud = np.stack([small.cloud_on(grid, str(day)[:10]) for day in cube.time.values])
    return cloud, np.isfinite(cube.values[:, 0])


def test_an_asset(small, with_asset):
    grid = small.grid.zoom_out(2)
    cloud, seen = truth(small, with_asset, grid)
    found = np.isnan(masked(with_asset, grid, eo.CloudProbability("cloud", 40)))
    # The tile of the other zone is resampled: a pixel more or less at the rims.
    assert (found == cloud)[seen].mean() > 0.97
    assert not np.isnan(masked(with_asset, grid, eo.CloudProbability("cloud", 95)))[seen].any()
    grown = np.isnan(masked(with_asset, grid, eo.CloudProbability("CLD", 40, dilation_size=2)))
    assert (grown & ~found & seen).any()
    assert not (found & ~grown & seen).any()


def test_an_asset_that_is_not_there(small, small_items):
    with pytest.raises(MaskError, match=r"needs cloud, but: None of the .* Items has cloud"):
        eo.plan(small_items, small.grid, bands="red", mask=eo.CloudProbability("cloud", 40))
    with pytest.raises(MissingAssetError):
        eo.plan(small_items, small.grid, bands="cloud")


def test_an_asset_in_a_join_of_any_chunk(small, with_asset):
    mask = eo.SCLMask() | eo.CloudProbability("cloud", 40, average_over=3, dilation_size=60, unit="metres")
    whole = masked(with_asset, small.grid, mask)
    np.testing.assert_array_equal(whole, masked(with_asset, small.grid, mask, chunk=32))


def test_an_array(small, small_items, array):
    grid = small.grid.zoom_out(2)
    cloud, seen = truth(small, small_items, grid)
    for source, threshold in ((array, 0.4), ((array * 100).astype("uint8"), 40), (array * 100, 40)):
        found = np.isnan(masked(small_items, grid, eo.CloudProbability(source, threshold)))
        np.testing.assert_array_equal(found[seen], cloud[seen])
    upside_down = array.isel(y=slice(None, None, -1)).transpose("x", "y", "time")
    found = np.isnan(masked(small_items, grid, eo.CloudProbability(upside_down, 0.4)))
    np.testing.assert_array_equal(found[seen], cloud[seen])
    joined = eo.CloudProbability(array, 0.4).dilate(metres=40) | eo.SCLMask()
    np.testing.assert_array_equal(
        masked(small_items, small.grid, joined), masked(small_items, small.grid, joined, chunk=32)
    )


def test_an_array_of_days(small, small_items, array):
    days = array.assign_coords(time=array.time.values.astype("datetime64[D]").astype("datetime64[ns]"))
    grid = small.grid.zoom_out(2)
    np.testing.assert_array_equal(
        masked(small_items, grid, eo.CloudProbability(days, 0.4)),
        masked(small_items, grid, eo.CloudProbability(array, 0.4)),
    )


def test_an_array_without_one_of_the_times(small, small_items, array):
    with pytest.raises(MaskError, match=r"has nothing of S2._.*on_missing='skip_mask'"):
        eo.plan(small_items, small.grid, bands="red", mask=eo.CloudProbability(array[1:], 0.4))
    mask = eo.CloudProbability(array[1:], 0.4, on_missing="skip_mask")
    with pytest.warns(MaskWarning, match="is blind"):
        plan = eo.plan(small_items, small.grid, bands="red", mask=mask)
    assert plan.unmasked
    found = eo.load(plan).compute().values
    bare = eo.load(small_items, small.grid, bands="red").compute().values
    np.testing.assert_array_equal(found[0], bare[0])
    assert np.isnan(found[1:]).sum() > np.isnan(bare[1:]).sum()


def test_beyond_an_array_is_thrown_away_or_kept(small, small_items, array):
    part = array[:, :20]
    grid = small.grid.zoom_out(2)
    _, seen = truth(small, small_items, grid)
    gone = np.isnan(masked(small_items, grid, eo.CloudProbability(part, 0.4)))
    assert gone[:, 20:].all()
    kept = np.isnan(masked(small_items, grid, eo.CloudProbability(part, 0.4, on_missing="skip_mask")))
    assert not kept[:, 20:][seen[:, 20:]].any()


def test_an_array_elsewhere(small, small_items, array):
    moved = array.assign_coords(x=array.x + 50_000)
    with pytest.raises(MaskError, match="lies elsewhere"):
        eo.plan(small_items, small.grid, bands="red", mask=eo.CloudProbability(moved, 0.4))


@pytest.mark.parametrize("earth_engine", [False, True])
def test_a_folder(small, small_items, with_asset, tmp_path, earth_engine):
    for item in small_items:
        values, box = percent(small, item.id)
        when, tile = item.datetime, item.properties["grid:code"].removeprefix("MGRS-")
        name = f"{when:%Y%m%dT%H%M%S}_{when:%Y%m%dT%H%M%S}_T{tile}" if earth_engine else f"{item.id}_clouds"
        if earth_engine and (tmp_path / f"{name}.tif").exists():
            continue  # two versions of one acquisition bear one name there
        write_raster(tmp_path / f"{name}.tif", values, box)
    mask = eo.CloudProbability(tmp_path, 40)
    grid = small.grid.zoom_out(2)
    expected = masked(with_asset, grid, eo.CloudProbability("cloud", 40))
    if earth_engine:  # of a split pass there is one raster, with no data in the other half
        found = masked(small_items, grid, mask)
        assert (np.isnan(found) == np.isnan(expected)).mean() > 0.9
    else:
        np.testing.assert_array_equal(masked(small_items, grid, mask), expected)
    plan = eo.plan(small_items, grid, bands="red", mask=mask)
    assert "probability of" in repr(plan)
    np.testing.assert_array_equal(
        masked(small_items, small.grid, mask), masked(small_items, small.grid, mask, chunk=32)
    )


def test_no_data_of_a_raster_is_thrown_away_or_kept(small, small_items, tmp_path):
    for item in small_items:
        values, box = percent(small, item.id)
        write_raster(tmp_path / f"{item.id}.tif", np.full_like(values, 255), box)
    bare = masked(small_items, small.grid, None)
    assert np.isnan(masked(small_items, small.grid, eo.CloudProbability(tmp_path, 40))).all()
    kept = eo.CloudProbability(tmp_path, 40, on_missing="skip_mask")
    np.testing.assert_array_equal(masked(small_items, small.grid, kept), bare)


def test_a_folder_that_lacks_a_scene(small, small_items, tmp_path):
    items = list(small_items)
    for item in items[1:]:
        write_raster(tmp_path / f"{item.id}.tif", *percent(small, item.id))
    if any(items[0].id == name for name in eo.plan(small_items, small.grid, bands="red").twins):
        items = items[1:]
        (tmp_path / f"{items[0].id}.tif").unlink()
    with pytest.raises(MaskError, match=f"has nothing of {items[0].id}"):
        eo.plan(small_items, small.grid, bands="red", mask=eo.CloudProbability(tmp_path, 40))


def test_a_folder_of_other_rasters(small, small_items, tmp_path):
    with pytest.raises(MaskError, match="There is no TIFF"):
        eo.plan(small_items, small.grid, bands="red", mask=eo.CloudProbability(tmp_path, 40))
    for item in small_items:
        values, box = percent(small, item.id)
        write_raster(tmp_path / f"{item.id}.tif", values.astype("float32") / 100, box, nodata=None)
    with pytest.raises(MaskError, match=r"1 bands of float32; .* open it as a DataArray"):
        eo.plan(small_items, small.grid, bands="red", mask=eo.CloudProbability(tmp_path, 40))


def test_values_that_are_no_probability(small, small_items, tmp_path):
    for item in small_items:
        values, box = percent(small, item.id)
        write_raster(tmp_path / f"{item.id}.tif", np.where(values == 90, 200, values).astype("uint8"), box)
    plan = eo.plan(small_items, small.grid, bands="red", mask=eo.CloudProbability(tmp_path, 40))
    with pytest.raises(MaskError, match=r"values up to 200; they go from 0 to 100"):
        eo.load(plan).compute()


@pytest.mark.parametrize(
    ("source", "threshold", "message"),
    [
        ("cloud", 0.4, "whole numbers from 0 to 100: did you mean 40"),
        ("cloud", 0, "0 to 100, or 0 to 1"),
        ("cloud", 100, "0 to 100, or 0 to 1"),
        ("cloud", -5, "0 to 100, or 0 to 1"),
        ("cloud", float("nan"), "0 to 100, or 0 to 1"),
        ("no such folder", 40, "is no probability: give 'cloud'"),
        ("fraction", 40, "values from 0 to 0.9: did you mean 0.4"),
        ("percent", 0.4, "values up to 90: did you mean 40"),
        ("whole", 0.4, "whole numbers up to 90: did you mean 40"),
        ("beyond", 40, "goes from 0 to 180"),
        ("negative", 40, "goes from -"),
        ("one date", 40, "needs the dims"),
        ("no dates", 40, "needs the dims"),
        ("no grid", 0.4, "grid with a CRS"),
        ("bool", 0.4, "of numbers, found bool"),
    ],
)
def test_scales_and_shapes_that_do_not_fit(array, source, threshold, message):
    sources = {
        "fraction": lambda: array,
        "percent": lambda: array * 100,
        "whole": lambda: (array * 100).astype("uint8"),
        "beyond": lambda: array * 200,
        "negative": lambda: array * 100 - 50,
        "one date": lambda: array[0] * 100,
        "no dates": lambda: (array * 100).assign_coords(time=range(len(array))),
        "no grid": lambda: xr.DataArray(array.values, dims=array.dims, coords={"time": array.time}),
        "bool": lambda: array > 0.4,
    }
    with pytest.raises(MaskError, match=message):
        eo.CloudProbability(sources[source]() if source in sources else source, threshold)


def test_other_parameters():
    with pytest.raises(MaskError, match="raise, skip_mask"):
        eo.CloudProbability("cloud", on_missing="no")
    with pytest.raises(MaskError, match="not a radius"):
        eo.CloudProbability("cloud", average_over=-2)
    with pytest.raises(MaskError, match="not a pixel size"):
        eo.CloudProbability("cloud", resolution=0)


@pytest.mark.real
def test_real_probabilities_of_sen2cor(real):
    """Equal to plain numpy on the grid of one tile; the catalog calls the asset otherwise."""
    folder = real / "l2a_33T_2023-08"
    assets = {**eo.EARTH_SEARCH.assets, "cloud": "cloud_probability"}
    catalog = eo.Catalog("mine", str(folder), assets=assets, offsets="boa_flag")
    items = [item for item in eo.search(catalog) if "33TWL" in item.id]
    grid = eo.grid_for(items)
    cube = eo.load(
        items, grid, bands="red", mask=eo.CloudProbability("cloud", 40), verify_offset=False
    ).compute()
    bare = eo.load(items, grid, bands="red", verify_offset=False).compute()
    assert len(cube.time) == len(items) == 5
    for step, item in enumerate(sorted(items, key=lambda item: item.datetime)):
        with rasterio.open(folder / item.id / "MSK_CLDPRB_20m.tif") as file:
            assert (file.width, file.height) == (grid.shape[1], grid.shape[0])
            cloud = file.read(1) > 40
        seen = np.isfinite(bare.values[step, 0])
        np.testing.assert_array_equal(np.isnan(cube.values[step, 0])[seen], cloud[seen])
        assert cloud[seen].any() or item.properties["eo:cloud_cover"] < 1
