"""Real Sentinel-2: both tiles, five dates; equal to plain numpy and to odc-stac, pixel for pixel."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest
import rasterio
from click.testing import CliRunner
from rio_cogeo import cog_validate

import eocube as eo
from eocube.cli import main

pytestmark = pytest.mark.real

BANDS = ["red", "green", "blue", "nir"]
FILES = {"red": "B04", "green": "B03", "blue": "B02", "nir": "B08", "scl": "SCL"}
BAD = (0, 1, 3, 8, 9, 10)


@pytest.fixture(scope="module")
def folder(real):
    return real / "l2a_33T_2023-08"


@pytest.fixture(scope="module")
def found(folder):
    return eo.search(folder)


@pytest.fixture(scope="module")
def grid(found):
    return eo.grid_for(found)


@pytest.fixture(scope="module")
def best(found, grid):
    cube = eo.load(found, grid, bands=BANDS, mask=eo.SCLMask(), resampling="nearest")
    return eo.composite(cube, eo.Median()).compute()


def placed(folder, name, band, grid):
    """One file's pixels on the grid, by plain numpy: the pixel that a centre falls into."""
    with rasterio.open(folder / name / f"{FILES[band]}.tif") as file:
        values, transform = file.read(1), file.transform
    rows = (transform.f - (grid.affine.f - 120 * (np.arange(grid.shape[0]) + 0.5))) / 120
    columns = ((grid.affine.c + 120 * (np.arange(grid.shape[1]) + 0.5)) - transform.c) / 120
    rows, columns = np.floor(rows + 1e-6).astype(int), np.floor(columns + 1e-6).astype(int)
    out = np.zeros(grid.shape, values.dtype)
    inside = np.ix_((rows >= 0) & (rows < values.shape[0]), (columns >= 0) & (columns < values.shape[1]))
    chosen = np.ix_(rows[inside[0].ravel()], columns[inside[1].ravel()])
    out[inside] = values[chosen]
    return out


def plain_median(folder, grid):
    """The whole job once more in numpy: the northern tile of a pass is sensed first and goes first."""
    dates = []
    for day, platform in (("20230810", "S2B"), ("20230813", "S2B"), ("20230815", "S2A"), ("20230818", "S2A"),
                          ("20230820", "S2B")):  # fmt: skip
        values = np.zeros((4, *grid.shape), "float64")
        classes = np.zeros(grid.shape, "uint8")
        for tile in ("33TWM", "33TWL"):
            name = f"{platform}_{tile}_{day}_0_L2A"
            own = np.stack([placed(folder, name, band, grid) for band in BANDS])
            take = (own > 0).all(axis=0) & (values == 0).all(axis=0)
            values[:, take] = own[:, take]
            scl = placed(folder, name, "scl", grid)
            classes = np.where(classes == 0, scl, classes)
        keep = (values > 0).all(axis=0) & ~np.isin(classes, BAD) & (classes <= 11)
        dates.append(np.where(keep, values / 10_000, np.nan))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return np.nanmedian(np.array(dates), axis=0)


def test_equals_plain_numpy(best, folder, grid):
    expected = plain_median(folder, grid)
    ours = best.sel(band=BANDS).values
    np.testing.assert_array_equal(np.isnan(ours), np.isnan(expected))
    assert np.nanmax(np.abs(ours - expected)) <= 1e-6


@pytest.mark.parametrize("resampling", ["nearest", "bilinear"])
def test_equals_odc_stac_and_xarray(found, grid, resampling):
    """Each Item by odc-stac; mosaicked, masked and reduced by plain xarray."""
    import odc.stac
    import xarray as xr

    cube = eo.load(found, grid, bands=BANDS, mask=eo.SCLMask(), resampling=resampling)
    ours = eo.composite(cube, eo.Median(), count=False).compute()
    data = odc.stac.load(
        list(found), bands=[*BANDS, "scl"], geobox=grid, groupby="id",
        resampling={"scl": "nearest", "*": resampling},
    )  # fmt: skip
    data = data.assign_coords(day=("time", data.time.dt.strftime("%Y%m%d").values))
    dates = []
    for _, same in data.sortby("time").groupby("day"):
        whole = sum(xr.zeros_like(same[band], dtype=int) + (same[band] > 0) for band in BANDS) == len(BANDS)
        first = whole & (whole.astype(int).cumsum("time") == 1)
        bands = xr.concat([same[band].where(first).max("time") for band in BANDS], "band") / 10_000
        known = same.scl > 0
        scl = same.scl.where(known & (known.astype(int).cumsum("time") == 1)).max("time").fillna(0)
        dates.append(bands.where(~scl.isin(BAD) & (scl <= 11)))
    expected = xr.concat(dates, "time").median("time").transpose("band", "y", "x").values
    np.testing.assert_array_equal(np.isnan(ours.values), np.isnan(expected))
    assert np.nanmax(np.abs(ours.values - expected)) <= 1e-6


def test_equals_plain_xarray_on_the_cube(found, grid, best):
    cube = eo.load(found, grid, bands=BANDS, mask=eo.SCLMask(), resampling="nearest")
    np.testing.assert_array_equal(cube.median("time").compute().values, best.sel(band=BANDS).values)


def test_no_cloud_is_left(found, grid, best):
    bare = eo.composite(eo.load(found, grid, bands=["blue"]), eo.Median(), count=False).compute()
    blue = best.sel(band="blue").values
    assert np.isnan(blue).mean() < 0.006
    assert np.nanpercentile(blue, 99.9) < 0.25 < 0.7 < np.nanpercentile(bare, 99.9)


def test_no_seam_between_the_tiles_and_no_line_at_the_swath_edge(best):
    """Rows where one tile ends differ from their neighbours no more than any other rows do."""
    blue = best.sel(band="blue").values
    steps = np.nanmedian(np.abs(np.diff(blue, axis=0)), axis=1)
    seam = slice(820, 930)  # the tiles overlap between rows 833 and 916
    assert steps[seam].max() < 2.5 * np.median(steps)


def test_by_command(folder, found, grid, tmp_path):
    out = tmp_path / "m.tif"
    words = ["mosaic", "--catalog", str(folder), "--mask", "scl", "--out", str(out)]
    result = CliRunner().invoke(main, words, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert cog_validate(out, strict=True) == (True, [], [])
    cube = eo.load(found, grid, bands=BANDS, mask=eo.SCLMask())
    with rasterio.open(out) as file:
        assert file.descriptions == tuple(BANDS)
        np.testing.assert_array_equal(file.read(), eo.composite(cube, eo.Median(), count=False).compute().values)


def test_loaders_agree_on_the_real_files(found, grid):
    ours = [item for item in found if "33TWL" in item.id][:2]
    one, two = (
        eo.load(ours, grid, bands=["red", "scl"], mask=eo.SCLMask(), loader=name).compute()
        for name in ("rio", "stackstac")
    )
    np.testing.assert_array_equal(one.values, two.values)


def test_mixed_resolutions_and_overviews(real):
    """Bands of 10, 20 and 60 m on one grid; a coarse grid is served by overviews, classes are not."""
    folder = real / "multires_scenes" / "derived_items"
    items = eo.search(folder)
    record = json.loads(next(folder.glob("*.json")).read_text())
    grid = eo.grid_for(items)
    assert grid.affine.a == 100
    cube = eo.load(items, grid, bands=["red", "swir16", "coastal", "scl"]).compute()
    assert record["id"] in str(cube["items"].values[0])
    files = {band: items[0].assets[band].href for band in ("red", "swir16", "coastal", "scl")}
    for band, repeat in (("red", 1), ("swir16", 2), ("coastal", 6)):
        with rasterio.open(files[band]) as file:
            expected = file.read(1).repeat(repeat, 0).repeat(repeat, 1)[:1098, :1098] / 10_000
        ours = cube.sel(band=band).values[0]
        seen = np.isfinite(ours)
        np.testing.assert_allclose(ours[seen], expected[: ours.shape[0], : ours.shape[1]][seen], atol=1e-6)
    coarse = eo.load(items, grid.zoom_out(2), bands=["red", "scl"]).compute()
    with rasterio.open(files["red"], overview_level=0) as file:
        overview = file.read(1) / 10_000
    ours = coarse.sel(band="red").values[0]
    seen = np.isfinite(ours)
    np.testing.assert_allclose(ours[seen], overview[seen], atol=1e-6)
    classes = coarse.sel(band="scl").values
    assert set(np.unique(classes[np.isfinite(classes)])) <= set(range(12))
