"""Seasons of analytic curves, to a day; the same of tables, arrays and cubes."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.optimize import brentq, minimize_scalar

import eocube as eo
from eocube.errors import EocubeWarning, InputError
from eocube.phenology import METRICS

from .test_fusion import graph_of, real_tasks

DATES = ("start", "end", "middle", "peak_time")


def logistic(day, middle, width):
    return 1 / (1 + np.exp(-(day - middle) / width))


def curve_of(low, high, last, up, down, width, fall):
    """A double logistic curve of the day of the year, from one base to another."""
    return lambda day: low + (high - low) * logistic(day, up, width) - (high - last) * logistic(day, down, fall)


def by_hand(curve, first=0.0, end=365.0, level=0.5):
    """TIMESAT's definitions, by root finding and quadrature on the curve itself."""
    peak = minimize_scalar(lambda day: -curve(day), bounds=(first, end), method="bounded", options={"xatol": 1e-8}).x
    top, left, right = curve(peak), curve(first), curve(end)

    def rising(share):
        return brentq(lambda day: curve(day) - left - share * (top - left), first, peak)

    def falling(share):
        return brentq(lambda day: curve(day) - right - share * (top - right), peak, end)

    start, stop, base = rising(level), falling(level), (left + right) / 2
    area = quad(curve, start, stop)[0]
    return {
        "start": start, "end": stop, "length": stop - start, "base": base, "peak": top, "peak_time": peak,
        "middle": (rising(0.8) + falling(0.8)) / 2, "amplitude": top - base,
        "rise": 0.6 * (top - left) / (rising(0.8) - rising(0.2)),
        "fall": 0.6 * (top - right) / (falling(0.2) - falling(0.8)),
        "large_integral": area, "small_integral": area - base * (stop - start),
        "start_value": curve(start), "end_value": curve(stop),
    }  # fmt: skip


def day_of(date, year="2023"):
    return (np.asarray(date) - np.datetime64(f"{year}-01-01", "ns")) / np.timedelta64(1, "D")


def daily(curve, year="2023"):
    dates = pd.date_range(f"{year}-01-01", f"{year}-12-31").values
    return xr.DataArray(curve(day_of(dates, year)), {"time": dates}, "time")


shapes = st.builds(
    curve_of, st.floats(0.05, 0.25), st.floats(0.5, 0.95), st.floats(0.05, 0.25), st.floats(90, 150),
    st.floats(220, 290), st.floats(4, 10), st.floats(4, 10),
)  # fmt: skip


@settings(max_examples=25)
@given(curve=shapes, level=st.sampled_from([0.2, 0.5, 0.8]))
def test_double_logistic_curves_to_a_day(curve, level):
    found = eo.season_metrics(daily(curve), level=level).isel(time=0)
    expected = by_hand(curve, end=364.0, level=level)
    assert set(found.data_vars) == set(METRICS) == set(expected)
    for name in ("start", "end", "middle"):
        assert float(day_of(found[name])) == pytest.approx(expected[name], abs=0.1)
    assert float(found["length"]) == pytest.approx(expected["length"], abs=0.1)
    for name in ("base", "peak", "amplitude", "start_value", "end_value"):
        assert float(found[name]) == pytest.approx(expected[name], abs=0.005)
    for name in ("rise", "fall", "large_integral", "small_integral"):
        assert float(found[name]) == pytest.approx(expected[name], rel=0.02)
    # The top may be so flat that its day says nothing; the value there does not differ.
    assert curve(float(day_of(found["peak_time"]))) == pytest.approx(expected["peak"], abs=1e-3)


@settings(max_examples=10)
@given(curve=shapes, seed=st.integers(0, 1000))
def test_seen_every_few_days_through_clouds_to_a_day(curve, seed):
    rng = np.random.default_rng(seed)
    seen = daily(curve).isel(time=np.arange(rng.integers(0, 3), 365, 3))
    keep = rng.random(seen.sizes["time"]) > 0.25
    keep[[0, -1]] = True
    seen = seen.where(keep)
    found = eo.season_metrics(seen, eo.Whittaker(10)).isel(time=0)
    expected = by_hand(curve, end=364.0)
    for name in ("start", "end", "middle"):
        assert float(day_of(found[name])) == pytest.approx(expected[name], abs=1.0)
    assert float(found["large_integral"]) == pytest.approx(expected["large_integral"], rel=0.02)
    curve_first = eo.season_metrics(eo.smooth(seen, eo.Whittaker(10), to="1D"))
    for name in METRICS:
        np.testing.assert_array_equal(found[name], curve_first[name].isel(time=0))


class TestSeveralSeasons:
    def test_each_year_has_its_own(self):
        curves = [curve_of(0.1, 0.6 + 0.1 * k, 0.1, 100 + 10 * k, 250 + 5 * k, 7, 8) for k in range(3)]
        long = xr.concat([daily(curve, year) for curve, year in zip(curves, ("2021", "2022", "2023"), strict=True)], "time")
        found = eo.season_metrics(long)
        assert found["period"].values.tolist() == ["2021", "2022", "2023"]
        for k, year in enumerate(("2021", "2022", "2023")):
            for name in ("start", "end"):
                expected = by_hand(curves[k], end=364.0)[name]
                assert float(day_of(found[name].isel(time=k), year)) == pytest.approx(expected, abs=0.2)

    def test_a_season_over_the_new_year(self):
        dates = pd.date_range("2021-05-01", "2023-08-31").values
        day = day_of(dates, "2021")
        values = 0.1 + sum(
            0.6 * (logistic(day, up, 8) - logistic(day, up + 120, 8)) for up in (300.0, 300.0 + 365)
        )
        found = eo.season_metrics(xr.DataArray(values, {"time": dates}, "time"), by="YS-JUL")
        assert [str(time)[:7] for time in found.time.values] == ["2020-07", "2021-07", "2022-07", "2023-07"]
        starts, ends = day_of(found["start"].values, "2021"), day_of(found["end"].values, "2021")
        np.testing.assert_allclose(starts, [np.nan, 300, 665, np.nan], atol=0.2)
        np.testing.assert_allclose(ends, [np.nan, 420, 785, np.nan], atol=0.2)

    def test_two_crops_a_year(self):
        dates = pd.date_range("2023-01-01", "2023-12-31").values
        day = day_of(dates)
        values = 0.2 + 0.5 * np.exp(-(((day - 90) / 25) ** 2)) + 0.3 * np.exp(-(((day - 250) / 25) ** 2))
        found = eo.season_metrics(xr.DataArray(values, {"time": dates}, "time"), by="6MS", level=(0.2, 0.3))
        np.testing.assert_allclose(day_of(found["peak_time"]), [90, 250], atol=0.5)
        half = 25 * np.sqrt(-np.log([0.2, 0.3]))
        np.testing.assert_allclose(day_of(found["start"]), [90 - half[0], 250 - half[0]], atol=0.6)
        np.testing.assert_allclose(day_of(found["end"]), [90 + half[1], 250 + half[1]], atol=0.6)
        few = eo.season_metrics(xr.DataArray(values, {"time": dates}, "time"), by="6MS", min_amplitude=0.4)
        assert np.isnat(few["start"].values).tolist() == [False, True]
        assert np.isnan(few["amplitude"].values).tolist() == [False, True]


class TestNoSeason:
    @pytest.mark.parametrize("value", [np.nan, 0.0, 0.4])
    def test_nothing_and_constants(self, value):
        curve = daily(lambda day: np.full(len(day), value))
        for how in (None, eo.Whittaker(1000)):
            found = eo.season_metrics(curve, how)
            for name in METRICS:
                missing = np.isnat if name in DATES else np.isnan
                assert missing(found[name].values).all()

    def test_a_rise_without_a_peak(self):
        found = eo.season_metrics(daily(lambda day: 0.1 + 0.001 * day))
        assert np.isnat(found["peak_time"].values).all()

    def test_gaps_in_the_season_are_not_bridged(self):
        curve = curve_of(0.1, 0.8, 0.1, 120, 260, 8, 8)
        whole = daily(curve)
        gap = whole.where((day_of(whole.time.values) < 200) | (day_of(whole.time.values) > 220))
        found = eo.season_metrics(gap).isel(time=0)
        assert float(day_of(found["start"])) == pytest.approx(by_hand(curve)["start"], abs=0.2)
        assert np.isnan(found["large_integral"])
        edge = whole.where((day_of(whole.time.values) < 110) | (day_of(whole.time.values) > 130))
        assert np.isnat(eo.season_metrics(edge)["start"].values).all()
        with_gap = gap.where(gap.notnull(), drop=True)
        assert np.isnan(eo.season_metrics(with_gap, eo.Whittaker(100), max_gap=15)["large_integral"]).all()
        assert np.isfinite(eo.season_metrics(with_gap, eo.Whittaker(100))["large_integral"]).all()


class TestSources:
    @pytest.fixture
    def world(self):
        rng = np.random.default_rng(1)
        dates = pd.date_range("2022-01-01", "2023-12-31", freq="5D").values
        day = day_of(dates, "2022")[:, None] % 365
        series = curve_of(0.1, rng.uniform(0.5, 0.9, 12), 0.15, rng.uniform(90, 150, 12), 260, 8, 9)(day)
        series = series + rng.normal(0, 0.01, series.shape)
        series[rng.random(series.shape) < 0.4] = np.nan
        array = xr.DataArray(series.reshape(-1, 3, 4), dims=("time", "y", "x"), coords={"time": dates})
        table = pd.DataFrame(
            {"field": np.tile(np.arange(12), len(dates)), "time": np.repeat(dates, 12), "mean": series.ravel()}
        )
        return SimpleNamespace(array=array, table=table)

    def test_tables_arrays_and_lazy_arrays_agree(self, world):
        how = eo.Whittaker(200)
        eager = eo.season_metrics(world.array, how)
        assert eager["start"].dims == ("time", "y", "x")
        lazy = eo.season_metrics(world.array.chunk(time=30, y=2, x=3), how)
        xr.testing.assert_identical(lazy.compute(), eager)
        rows = eo.season_metrics(world.table.sample(frac=1, random_state=0), how)
        assert len(rows) == 12 * 2
        assert list(rows.columns) == ["field", "time", *METRICS]
        rows = rows.sort_values(["field", "time"])
        for name in METRICS:
            expected = eager[name].transpose("y", "x", "time").values.ravel()
            if name in DATES:
                np.testing.assert_array_equal(rows[name].to_numpy(), expected)
            else:
                np.testing.assert_allclose(rows[name], expected, rtol=1e-5)

    def test_the_order_of_dates_does_not_matter(self, world):
        order = np.random.default_rng(0).permutation(world.array.sizes["time"])
        for source, how in ((world.array, eo.Whittaker(200)), (world.array.fillna(0.2), None)):
            xr.testing.assert_allclose(
                eo.season_metrics(source.isel(time=order), how), eo.season_metrics(source, how)
            )

    def test_from_a_plan(self, small, small_items):
        plan = eo.plan(small_items, small.grid, bands=["red", "nir"], mask=eo.SCLMask(), chunk=40)
        cube = eo.ndvi(eo.load(plan))
        lazy = eo.season_metrics(cube, eo.Linear())
        assert len(real_tasks(graph_of(lazy["amplitude"].data))) == cube.data.npartitions > 4
        assert lazy.odc.geobox == small.grid
        eager = eo.season_metrics(cube.compute(), eo.Linear())
        np.testing.assert_allclose(lazy["amplitude"].compute(), eager["amplitude"], rtol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"level": 0}, "level=0: a share above 0"),
        ({"level": (0.2, 1.2)}, "a share above 0"),
        ({"by": "climatology"}, "has no seasons of its own"),
        ({"by": "often"}, "is not a frequency"),
        ({"how": eo.Whittaker}, "is no smoother"),
    ],
)
def test_mistakes(options, message):
    with pytest.raises(InputError, match=message):
        eo.season_metrics(daily(np.sin), **options)
    with pytest.raises(InputError, match="2 days are too few"):
        eo.season_metrics(daily(np.sin).isel(time=[0, 1]))
    with pytest.raises(InputError, match="has a day twice"):
        eo.season_metrics(daily(np.sin).isel(time=[0, 0, 1, 2]))


def test_series_that_were_hardly_seen_are_told():
    curves = xr.concat([daily(np.sin)] * 2, "field").transpose("field", "time").copy()
    curves[0, 2:] = np.nan
    with pytest.warns(EocubeWarning, match="fewer than 3 days, which SavitzkyGolay") as told:
        found = eo.season_metrics(curves, eo.SavitzkyGolay(61, 2))
    assert len(told) == 1
    assert np.isnat(found["start"].isel(field=0)).all()


@pytest.mark.real
def test_a_forest_greens_in_spring(real):
    """Slovenia, 2017: the start lies in spring, the end in autumn, for nearly all pixels."""
    import json

    patch = real / "eolearn_l1c" / "TestEOPatch"
    dates = np.array(json.loads((patch / "timestamps.json").read_text()), dtype="datetime64[ns]")
    clear = np.load(patch / "mask" / "CLM_S2C.npy")[..., 0] == 0
    ndvi = np.where(clear, np.load(patch / "data" / "NDVI.npy")[..., 0], np.nan)
    array = xr.DataArray(ndvi, dims=("time", "y", "x"), coords={"time": dates}).isel(y=slice(0, 101, 3), x=slice(0, 100, 3))
    found = eo.season_metrics(array, eo.Whittaker(5000, robust=2), min_amplitude=0.2).sel(time="2017-01-01")
    start, end = day_of(found["start"].values, "2017"), day_of(found["end"].values, "2017")
    assert np.isfinite(start).mean() > 0.9
    assert 75 < np.nanmedian(start) < 125
    assert 270 < np.nanmedian(end) < 330
    assert (end > start)[np.isfinite(start)].all()
