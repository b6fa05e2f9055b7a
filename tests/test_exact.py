"""The whole way, from files to a composite, against plain numpy: bit for bit, at every odd edge."""

from __future__ import annotations

import warnings
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
import rasterio
from affine import Affine
from benchmarks.metadata import item, outline_of
from odc.geo.geobox import GeoBox

import eocube as eo

TOP, LEFT, CRS = 5_000_000, 600_000, "EPSG:32631"
ROWS, COLUMNS, BLOCK = 150, 134, 64
CLEAR, CLOUD = 4, 9


def grid_of(step: float) -> GeoBox:
    shape = round(ROWS * 10 / step), round(COLUMNS * 10 / step)
    return GeoBox(shape, Affine(step, 0, LEFT, 0, -step, TOP), CRS)


def archive(folder, dates: int, clear: float, nodata: float, seed: int = 0):
    """Write scenes of noise; return the Items and the values that are clear (time, band, y, x)."""
    rng = np.random.default_rng(seed)
    items, clean = [], []
    for date in range(dates):
        numbers = rng.integers(1, 12_000, (2, ROWS, COLUMNS)).astype("uint16")
        numbers[rng.random(numbers.shape) < nodata] = 0
        classes = np.where(rng.random((ROWS // 2, COLUMNS // 2)) < clear, CLEAR, CLOUD).astype("uint8")
        here = folder / f"{date:03d}"
        here.mkdir(parents=True)
        for name, values, step in (("B04", numbers[0], 10), ("B08", numbers[1], 10), ("SCL", classes, 20)):
            with rasterio.open(
                here / f"{name}.tif", "w", driver="GTiff", height=values.shape[0], width=values.shape[1],
                count=1, dtype=values.dtype, crs=CRS, transform=grid_of(step).affine, nodata=0, tiled=True,
                blockxsize=BLOCK, blockysize=BLOCK, compress="deflate", predictor=2,
            ) as file:  # fmt: skip
                file.write(values, 1)
        when = datetime(2022, 3, 1, 10, tzinfo=UTC) + timedelta(days=date)
        outline = outline_of(grid_of(10))
        items.append(item(f"S2A_{date:03d}", when, "S2A", "31UFR", outline, grid_of, f"{here}/"))
        bad = np.repeat(np.repeat(classes != CLEAR, 2, axis=0), 2, axis=1)
        missing = bad | (numbers == 0).any(axis=0)
        values = (numbers.astype("float32") - np.float32(1000)) / np.float32(10_000)
        clean.append(np.where(missing, np.float32(np.nan), values))
    return items, np.stack(clean)


@pytest.mark.parametrize(
    ("dates", "clear", "nodata"),
    [(1, 0.5, 0.1), (2, 0.5, 0.1), (7, 0.6, 0.0), (24, 0.5, 0.05), (200, 0.4, 0.05), (5, 0.0, 0.1), (5, 0.9, 1.0)],
    ids=["one date", "two", "seven", "twenty-four", "two hundred", "all masked", "no data only"],
)
@pytest.mark.parametrize("loader", ["cog", "rio"])
def test_median_is_numpy_s_bit_for_bit(tmp_path, dates, clear, nodata, loader):
    if dates == 200 and loader == "rio":
        dates = 60  # GDAL opens 600 files for each chunk: it takes a minute
    items, clean = archive(tmp_path, dates, clear, nodata)
    windows = [(slice(0, ROWS), slice(0, COLUMNS), None), (slice(13, 150), slice(7, 120), 48)]
    for rows, columns, chunk in windows:
        grid = grid_of(10)[rows, columns]
        cube = eo.load(items, grid, bands=["red", "nir"], mask=eo.SCLMask(), chunk=chunk, loader=loader)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            expected = np.nanmedian(clean[:, :, rows, columns], axis=0)
        np.testing.assert_array_equal(eo.composite(cube, eo.Median(), count=False).values, expected)
        count = (~np.isnan(clean[:, 0, rows, columns])).sum(axis=0)
        np.testing.assert_array_equal(eo.composite(cube, eo.Count()).values[0], count)


@pytest.mark.parametrize("how", [eo.Mean(), eo.Percentile(30), eo.Min(), eo.Max()], ids=repr)
def test_other_reducers_are_numpy_s(tmp_path, how):
    items, clean = archive(tmp_path, 24, 0.5, 0.05)
    grid = grid_of(10)[5:77, 3:120]
    cube = eo.load(items, grid, bands=["red", "nir"], mask=eo.SCLMask())
    values = clean[:, :, 5:77, 3:120].astype("float64")
    plain = {
        "Mean()": np.nanmean, "Min()": np.nanmin, "Max()": np.nanmax,
        "Percentile(q=30)": lambda block, axis: np.nanpercentile(block, 30, axis=axis),
    }  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        expected = plain[repr(how)](values, axis=0)
    np.testing.assert_allclose(eo.composite(cube, how, count=False).values, expected, rtol=1e-6, atol=1e-7)


def test_uint16_cube(tmp_path):
    items, clean = archive(tmp_path, 9, 0.5, 0.05)
    cube = eo.load(items, grid_of(10), bands=["red", "nir"], mask=eo.SCLMask(), dtype="uint16")
    whole = np.where(np.isnan(clean), 0, np.maximum(np.round(clean * 10_000), 1)).astype("uint16")
    np.testing.assert_array_equal(cube.values, whole)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        middle = np.nanmedian(np.where(whole == 0, np.nan, whole), axis=0)
    expected = np.nan_to_num(np.floor(middle + 0.5)).astype("uint16")
    np.testing.assert_array_equal(eo.composite(cube, eo.Median(), count=False).values, expected)
