"""Geometric median and medoid: against odc-algo, against brute force."""

from __future__ import annotations

import sys

import geomad
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import eocube as eo
from eocube.errors import BandError, MissingExtraError

from .reducing import BANDS, cube_of, run, spectra
from .test_picks import blocks, seen_in


def sums(values, points):
    """Sum of distances (y, x) of points (band, y, x) to the observations (time, band, y, x)."""
    apart = np.sqrt(((values.astype("float64") - points) ** 2).sum(axis=1))
    return np.nansum(apart, axis=0)


def of_odc(values, **options):
    """odc-algo's (geomedian (band, y, x), deviations (3, y, x), count)."""
    import dask.array as da
    import xarray as xr
    from odc.algo import geomedian_with_mads

    array = xr.DataArray(da.from_array(values.transpose(2, 3, 1, 0)), dims=("y", "x", "band", "time"))
    array = array.assign_coords(band=list("abcdefgh"[: values.shape[1]]))
    found = geomedian_with_mads(array, maxiters=10_000, **options).compute(scheduler="sync")
    stats = np.stack([found[name].values for name in ("emad", "smad", "bcmad")])
    return np.stack([found[str(name)].values for name in array.band.values]), stats, found["count"].values


@pytest.mark.parametrize(("dates", "bands", "share"), [(24, 3, 0.5), (7, 3, 0.2), (60, 2, 0.6), (12, 3, 0.0)])
def test_geomedian_and_deviations_are_odc_algo_s(dates, bands, share):
    values = spectra(dates, share, (60, 50), seed=dates)[:, :bands]
    found = eo.GeoMedian(mads=True)(values)
    points, stats, count = of_odc(values, eps=1e-9)
    np.testing.assert_array_equal(eo.Count()(values)[0], count)
    gap = sums(values, points) - sums(values, found[:bands])
    assert (gap > -1e-9).all()
    two = count == 2  # any point between two is one; odc-algo starts from the neighbouring pixel's
    apart = (np.abs(found[:bands] - points).max(axis=0) > 1e-4) & ~two
    assert apart.mean() < 0.01
    assert (gap[apart] > 1e-10).all()  # its steps are float32, and end too soon: ours is the median
    same = (np.abs(found[:bands] - points).max(axis=0) < 3e-5) & ~two
    assert same.mean() > 0.8
    np.testing.assert_allclose(found[bands:, same], stats[:, same], atol=1e-4, rtol=0)
    # And its deviations from our points, everywhere.
    yxbt, own = np.ascontiguousarray(values.transpose(2, 3, 1, 0)), found[:bands].transpose(1, 2, 0).copy()
    for deviation, kernel in zip(found[bands:], (geomad.emad_pcm, geomad.smad_pcm, geomad.bcmad_pcm), strict=True):
        np.testing.assert_allclose(deviation, kernel(yxbt, own, num_threads=1), atol=2e-6, rtol=0)
    np.testing.assert_allclose(found[:bands, two], eo.Mean()(values)[:, two], atol=1e-6)


def test_nearer_to_the_minimum_than_odc_algo_by_default():
    values = spectra(24, 0.5, (60, 50), seed=5)[:, :3]
    ours, theirs = eo.GeoMedian()(values), of_odc(values)[0]
    assert np.nanmax(sums(values, ours) - sums(values, theirs)) < 1e-6


@given(blocks())
def test_no_point_is_nearer(values):
    """Neither an observation, nor the mean, nor what a long plain iteration finds."""
    values = values[:, :3]
    scale = 1 if values.dtype.kind == "f" else 10_000
    missing = np.where(seen_in(values)[:, None], values, np.nan) / np.float32(scale)
    found = eo.GeoMedian()(np.asarray(missing, "float32"))
    best = sums(missing, found)
    y = np.nan_to_num(np.where(seen_in(values).any(axis=0), np.nansum(missing, axis=0) / np.maximum(seen_in(values).sum(axis=0), 1), 0))
    for _ in range(300):
        weight = 1 / np.maximum(np.sqrt(((missing - y) ** 2).sum(axis=1)), 1e-9)
        y = np.nansum(missing * weight[:, None], axis=0) / np.maximum(np.nansum(weight, axis=0), 1e-9)
    some = seen_in(values).any(axis=0)
    for other in [y, *missing]:
        have = some & ~np.isnan(other).any(axis=0)
        assert (best[have] <= sums(missing, other)[have] * (1 + 1e-6) + 1e-6).all()


def test_no_point_is_nearer_for_many_pixels():
    """Of few observations that lie nearly on a line, too, where Newton's steps go far astray."""
    for dates, bands, flat in [(3, 3, 0.01), (3, 3, 1), (4, 2, 0.001), (5, 3, 0.01), (9, 3, 0.1), (24, 3, 0.01), (6, 2, 1e-5)]:
        rng = np.random.default_rng(dates)
        line = rng.normal(size=(1, bands, 100, 100)) * rng.normal(size=(dates, 1, 100, 100))
        values = (0.3 + 0.1 * line + flat * 0.1 * rng.normal(size=(dates, bands, 100, 100))).astype("float32")
        best = sums(values, eo.GeoMedian()(values))
        for other in [values.mean(axis=0), np.median(values, axis=0), *values, of_odc(values, eps=1e-7)[0]]:
            assert (best - sums(values, other)).max() < 1e-6


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        ([[3, 4]], [3, 4]),
        ([[0, 0], [2, 2]], [1, 1]),
        ([[0, 0], [0, 0], [6, 0]], [0, 0]),
        ([[0, 0], [1, 0], [0, 1], [1, 1]], [0.5, 0.5]),
        ([[0, 0], [4, 0], [2, 1], [2, 50]], [2, 1]),  # inside the others' triangle: the observation itself
        ([[-1, 0], [1, 0], [0, 0], [0, 30], [0, -30]], [0, 0]),  # the mean is an observation
        ([[0, 0], [0, 0], [0, 0], [1, 5], [7, 2]], [0, 0]),
        ([[1, 0], [-1, 0], [0, 3], [0, 1], [0, -4]], None),  # the mean is (0, 0), nothing is there
    ],
)
def test_worked_geomedians(points, expected):
    block = np.array(points, "float32").reshape(len(points), 2, 1, 1)
    found = eo.GeoMedian()(block)[:, 0, 0]
    if expected is None:
        grid = np.stack(np.meshgrid(np.linspace(-2, 2, 401), np.linspace(-2, 2, 401)))
        assert sums(block, found[:, None, None]) <= sums(block, grid).min() + 1e-6
    else:
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_the_mean_on_an_observation_that_is_not_the_median():
    """Weiszfeld's iteration stops at an observation it starts from, right or wrong."""
    points = np.array([[0, 0], [1, 0], [1, 0], [1, 0], [-3, 0.1], [0, -0.1]], "float32")
    block = points.reshape(-1, 2, 1, 1)
    assert np.allclose(points.mean(axis=0), points[0], atol=1e-7)
    found = eo.GeoMedian()(block)
    assert sums(block, found) < sums(block, points[0][:, None, None]) - 0.05


def test_lean_cubes_and_other_bands():
    lean = spectra(dtype="uint16")
    found = run(eo.GeoMedian(), lean)
    assert eo.GeoMedian().bands_out(BANDS) == BANDS[:3]
    floats = run(eo.GeoMedian(), spectra())
    np.testing.assert_allclose(found, np.nan_to_num(floats) * 10_000, atol=0.6)
    stats = run(eo.GeoMedian(mads=True), lean)
    np.testing.assert_allclose(stats[3], run(eo.GeoMedian(mads=True), spectra())[3] * 10_000, rtol=1e-3, atol=0.1)
    with pytest.raises(BandError, match="A band of reflectance is needed, the cube has: aot"):
        eo.GeoMedian().bands_out(("aot",))


def test_a_spectrum_with_one_band_missing_does_not_count():
    values = spectra()[:, :3]
    broken = values.copy()
    broken[3, 1] = np.nan
    whole = values.copy()
    whole[3] = np.nan
    for how in (eo.GeoMedian(mads=True), eo.Medoid()):
        np.testing.assert_array_equal(how(broken), how(whole))
    # Also if the band is none of the spectrum.
    far = spectra()
    far[3, 3] = np.nan
    gone = spectra()
    gone[3] = np.nan
    np.testing.assert_array_equal(run(eo.GeoMedian(), far), run(eo.GeoMedian(), gone))


def test_without_numba(monkeypatch):
    monkeypatch.setattr("eocube.extras.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'eocube\[numba\]'"):
        eo.GeoMedian()


def test_numba_is_imported_late():
    import subprocess

    code = "import sys, eocube as eo; eo.GeoMedian(), eo.Medoid(); print('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


@given(blocks())
def test_medoid_is_the_observation_of_least_summed_distance(values):
    found = run(eo.Medoid(), values)
    seen = seen_in(values)
    own = values[:, :3].astype("float64")
    for y, x in np.argwhere(seen.any(axis=0)):
        dates = np.flatnonzero(seen[:, y, x])
        points = own[dates, :, y, x]
        each = np.linalg.norm(points[:, None] - points[None], axis=2).sum(axis=1)
        chosen = np.searchsorted(dates, found[-1, y, x] - 1)
        assert dates[chosen] == found[-1, y, x] - 1
        assert each[chosen] <= each.min() + 1e-9 * len(dates)  # sums this near are a tie


@given(st.integers(1, 30), st.integers(0, 99))
def test_medoid_of_many_dates(dates, seed):
    values = spectra(dates, 0.3, (6, 5), seed)[:, :3]
    each = np.linalg.norm(values[:, None].astype("float64") - values[None], axis=2)
    total = np.where(seen_in(values), np.nansum(each, axis=1), np.inf)
    some = np.isfinite(total.min(axis=0))
    np.testing.assert_array_equal(eo.Medoid()(values)[-1][some], total.argmin(axis=0)[some] + 1)


def test_by_composite():
    cube = cube_of(spectra()).chunk({"x": 3})
    found = eo.composite(cube, eo.GeoMedian(mads=True), count=False).compute()
    assert list(found.band.values) == ["blue", "red", "nir", "emad", "smad", "bcmad"]
