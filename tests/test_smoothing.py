"""Smoothers against their definitions, written out; gaps anywhere; tables, arrays and cubes alike."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import savgol_filter

import eocube as eo
from eocube.errors import EocubeWarning, InputError
from eocube.smoothers import smoothed

from .test_fusion import graph_of, real_tasks

SMOOTHERS = [
    eo.Whittaker(500), eo.Whittaker(50, order=1), eo.Whittaker(1e5, order=3), eo.Whittaker(500, robust=3),
    eo.Whittaker(500, envelope=0.9), eo.Whittaker(20, step=5), eo.SavitzkyGolay(45, 2), eo.SavitzkyGolay(90, 0),
    eo.Linear(),
]  # fmt: skip


def dense(values, weights, days, lam, order):
    """Whittaker's curve on each day, by a dense linear solve."""
    size = days.max() - days.min() + 1
    total, right = np.zeros(size), np.zeros(size)
    np.add.at(total, days - days.min(), weights)
    np.add.at(right, days - days.min(), weights * np.nan_to_num(values))
    differences = np.diff(np.eye(size), order, axis=0)
    return np.linalg.solve(np.diag(total) + lam * differences.T @ differences, right)


def some_series(seed, dates=40, series=5, gaps=0.4, span=300):
    rng = np.random.default_rng(seed)
    days = np.sort(rng.choice(span, dates, replace=False)).astype(np.int64)
    values = rng.normal(0.5, 0.2, (dates, series)) + np.sin(days / 40)[:, None]
    values[rng.random(values.shape) < gaps] = np.nan
    return values, days


class TestWhittaker:
    @pytest.mark.parametrize("order", [1, 2, 3])
    @pytest.mark.parametrize("lam", [0.1, 30.0, 5000.0])
    @pytest.mark.parametrize("weighted", [False, True])
    def test_equals_a_dense_solve(self, order, lam, weighted):
        values, days = some_series(order)
        heavy = np.random.default_rng(1).uniform(0.05, 1, values.shape) if weighted else None
        found = smoothed(values, heavy, days, np.arange(300), eo.Whittaker(lam, order))
        for k in range(values.shape[1]):
            seen = ~np.isnan(values[:, k])
            own = seen * (1.0 if heavy is None else heavy[:, k])
            expected = dense(values[:, k], own, days, lam, order)
            inside = np.arange(days[seen].min(), days[seen].max() + 1)
            np.testing.assert_allclose(found[inside, k], expected[inside - days[0]], rtol=0, atol=1e-8)
            assert np.isnan(np.delete(found[:, k], inside)).all()

    def test_short_grids(self):
        for days in ([0, 1], [0, 2], [3, 4, 6]):
            own = np.array(days, dtype=np.int64)
            values = np.random.default_rng(2).random((len(own), 3))
            found = smoothed(values, None, own, own, eo.Whittaker(7.0, 1))
            for k in range(3):
                expected = dense(values[:, k], np.ones(len(own)), own, 7.0, 1)[own - own[0]]
                np.testing.assert_allclose(found[:, k], expected, atol=1e-10)

    def test_several_observations_of_a_day_all_count(self):
        days = np.array([0, 5, 5, 5, 20, 30], dtype=np.int64)
        values = np.array([[0.1, 0.4, 0.5, np.nan, 0.2, 0.3]]).T
        found = smoothed(values, None, days, days, eo.Whittaker(100))[:, 0]
        expected = dense(values[:, 0], ~np.isnan(values[:, 0]), days, 100, 2)[days]
        np.testing.assert_allclose(found, expected, atol=1e-10)

    def test_robust_by_hand(self):
        values, days = some_series(3, series=1, gaps=0.2)
        values[10] = 9.0
        seen = ~np.isnan(values[:, 0])
        weights = seen.astype(float)
        for _ in range(4):
            residuals = (values[:, 0] - dense(values[:, 0], weights, days, 800, 2)[days - days[0]])[seen]
            limit = 6 * np.median(np.abs(residuals))
            weights[seen] = np.clip(1 - (residuals / limit) ** 2, 0, None) ** 2
        expected = dense(values[:, 0], weights, days, 800, 2)[days - days[0]]
        found = smoothed(values, None, days, days, eo.Whittaker(800, robust=4))[:, 0]
        known = ~np.isnan(found)
        np.testing.assert_allclose(found[known], expected[known], atol=1e-8)
        plain = smoothed(values, None, days, days, eo.Whittaker(800))[:, 0]
        assert abs(found[10] - plain[10]) > 0.3  # the spike pulls the plain curve only

    def test_an_envelope_lies_above(self):
        values, days = some_series(4)
        low, mid, high = (
            smoothed(values, None, days, days, eo.Whittaker(500, envelope=p)) for p in (0.1, 0.5, 0.9)
        )
        assert np.nanmean(low) < np.nanmean(mid) - 0.03 < np.nanmean(high) - 0.06
        np.testing.assert_allclose(mid, smoothed(values, None, days, days, eo.Whittaker(500)), atol=1e-12)

    def test_a_coarse_grid(self):
        """On dates of the grid the same as days that are 5 times as long."""
        values, days = some_series(5, span=60)
        found = smoothed(values, None, days * 5, days * 5, eo.Whittaker(30, step=5))
        np.testing.assert_allclose(found, smoothed(values, None, days, days, eo.Whittaker(30)), atol=1e-10)


class TestSavitzkyGolay:
    def test_equals_scipy_s_on_every_day(self):
        values = np.random.default_rng(0).random((80, 4))
        days = np.arange(80, dtype=np.int64)
        for window, degree in ((11, 2), (21, 3), (7, 0), (15, 5)):
            found = smoothed(values, None, days, days, eo.SavitzkyGolay(window - 1, degree))
            expected = savgol_filter(values, window, degree, axis=0)
            inner = slice(window // 2, -(window // 2))
            np.testing.assert_allclose(found[inner], expected[inner], atol=1e-8)

    def test_equals_polyfit_in_gaps(self):
        values, days = some_series(6)
        heavy = np.random.default_rng(2).uniform(0.1, 1, values.shape)
        out = np.arange(300)
        found = smoothed(values, heavy, days, out, eo.SavitzkyGolay(60, 2))
        checked = 0
        for k in range(values.shape[1]):
            seen = np.flatnonzero(~np.isnan(values[:, k]))
            for day in out[days[seen[0]] : days[seen[-1]] + 1]:
                near = seen[np.abs(days[seen] - day) <= 30]
                if len(near) < 3 or not (days[near].min() <= day <= days[near].max()):
                    assert np.isnan(found[day, k])
                    continue
                weights = np.sqrt(heavy[near, k])  # polyfit squares them
                fit = np.polyfit(days[near] - day, values[near, k], 2, w=weights)
                np.testing.assert_allclose(found[day, k], fit[-1], atol=1e-5)
                checked += 1
        assert checked > 500


def test_linear_equals_numpy_s():
    values, days = some_series(7)
    out = np.arange(-10, 320)
    found = smoothed(values, None, days, out, eo.Linear())
    for k in range(values.shape[1]):
        seen = ~np.isnan(values[:, k])
        expected = np.interp(out, days[seen], values[seen, k], left=np.nan, right=np.nan)
        np.testing.assert_allclose(found[:, k], expected, atol=1e-12)


@pytest.mark.parametrize("how", SMOOTHERS, ids=repr)
class TestAllSmoothers:
    @settings(max_examples=8)
    @given(data=st.data())
    def test_gaps_anywhere(self, how, data):
        seed = data.draw(st.integers(0, 2**20))
        dates = data.draw(st.integers(3, 40))
        gaps = data.draw(st.floats(0, 1))
        values, days = some_series(seed, dates=dates, gaps=gaps)
        values[:, 0] = np.nan
        values[:, 1] = np.where(np.isnan(values[:, 1]), np.nan, 0.37)
        out = np.arange(-5, 310)
        found = smoothed(values, None, days, out, how)
        assert np.isnan(found[:, 0]).all()
        np.testing.assert_allclose(found[:, 1][~np.isnan(found[:, 1])], 0.37, atol=1e-7)
        for k in range(values.shape[1]):
            seen = days[~np.isnan(values[:, k])]
            if len(seen) < how.need:
                assert np.isnan(found[:, k]).all()
                continue
            outside = (out < seen[0]) | (out > seen[-1])
            assert np.isnan(found[outside, k]).all()
            if not isinstance(how, eo.SavitzkyGolay):
                assert np.isfinite(found[~outside, k]).all()
        # Neither the order of the dates, nor other series, nor dates on which nothing was seen matter.
        order = np.random.default_rng(seed).permutation(dates)
        np.testing.assert_allclose(smoothed(values[order], None, days[order], out, how), found, atol=1e-6)
        alone = smoothed(values[:, 2:3], None, days, out, how)
        np.testing.assert_allclose(alone[:, 0], found[:, 2], atol=1e-6)
        more = np.vstack([values, np.full((1, values.shape[1]), np.nan)])
        with_empty = smoothed(more, None, np.append(days, 301), out, how)
        np.testing.assert_allclose(with_empty, found, atol=1e-5)

    def test_tables_arrays_and_lazy_cubes_agree(self, how):
        values, days = some_series(9, series=12)
        dates = np.datetime64("2023-02-01", "ns") + days * np.timedelta64(1, "D") + np.timedelta64(37_000, "s")
        array = xr.DataArray(
            values.T.reshape(3, 4, -1).astype("float64"), dims=("y", "x", "time"), coords={"time": dates},
            name="ndvi", attrs={"grid_mapping": "spatial_ref"},
        ).transpose("time", "y", "x")  # fmt: skip
        table = array.stack(field=["y", "x"]).drop_vars(["field", "y", "x"], errors="ignore")
        table = table.assign_coords(field=range(12)).to_dataframe("mean").reset_index()[["field", "time", "mean"]]
        for to in (None, "10D"):
            found = eo.smooth(array, how, to=to)
            assert found.dims == array.dims
            lazy = eo.smooth(array.chunk(time=7, y=2, x=1), how, to=to)
            assert lazy.chunks is not None
            np.testing.assert_allclose(lazy.compute(), found, atol=1e-12)
            rows = eo.smooth(table.sample(frac=1, random_state=1), how, to=to)
            cube = rows.set_index(["time", "field"])["mean"].to_xarray()
            expected = found.stack(field=["y", "x"]).transpose("time", "field").values
            np.testing.assert_allclose(cube.sel(field=range(12)).values, expected, atol=1e-9)
        assert found["time"].values[0] == np.datetime64(dates[0], "D")


@pytest.mark.parametrize(
    "how", [eo.Whittaker(500), eo.Whittaker(500, robust=3), eo.Whittaker(500, envelope=0.9), eo.Linear(),
            eo.SavitzkyGolay(45, 2), eo.SavitzkyGolay(45, 1)], ids=repr)  # fmt: skip
def test_a_line_stays_a_line(how):
    _, days = some_series(8)
    whole = (0.2 + 0.003 * days)[:, None] * np.ones(3)
    line = whole.copy()
    line[5:20, 1] = np.nan
    found = smoothed(line, None, days, days, how)
    known = np.isfinite(found)
    assert known.mean() > 0.8
    np.testing.assert_allclose(found[known], whole[known], atol=1e-6)


class TestSmooth:
    def test_one_task_per_chunk_from_the_plan(self, small, small_items):
        plan = eo.plan(small_items, small.grid, bands=["red", "nir"], mask=eo.SCLMask(), chunk=40)
        curve = eo.smooth(eo.ndvi(eo.load(plan)), eo.Whittaker(100, order=1), to="10D")
        assert len(real_tasks(graph_of(curve.data))) == curve.data.npartitions > 4
        assert curve.dtype == np.float32
        assert curve.odc.geobox == small.grid
        eager = eo.smooth(eo.ndvi(eo.load(plan)).compute(), eo.Whittaker(100, order=1), to="10D")
        np.testing.assert_allclose(curve.compute(), eager, atol=1e-6)

    def test_the_table_of_fields(self, small, small_items):
        plan = eo.plan(small_items, small.grid, bands=["red", "nir"], mask=eo.SCLMask())
        fields = {"a": small.grid.extent, "b": small.grid.extent.centroid.buffer(60)}
        table = eo.timeseries(plan, fields, stat=["mean", "std"])
        found = eo.smooth(table, eo.Linear(), to="5D", weights="clear")
        assert list(found.columns) == ["field", "time", "band", "mean"]
        assert set(zip(found["field"], found["band"], strict=True)) == {(f, b) for f in "ab" for b in ("red", "nir")}
        assert found["mean"].notna().any()
        assert list(eo.smooth(table, eo.Linear(), value="std").columns)[-1] == "std"

    def test_weights(self):
        values, days = some_series(11, series=2)
        dates = np.datetime64("2023-01-01", "ns") + days * np.timedelta64(1, "D")
        array = xr.DataArray(values, dims=("time", "x"), coords={"time": dates})
        heavy = xr.DataArray(np.random.default_rng(0).random(len(days)), dims="time", coords={"time": dates})
        found = eo.smooth(array, eo.Whittaker(100), weights=heavy)
        expected = smoothed(values, heavy.values[:, None] * np.ones(2), days, days, eo.Whittaker(100))
        np.testing.assert_allclose(found, expected, atol=1e-10)
        none = eo.smooth(array, eo.Whittaker(100), weights=heavy * 0)
        assert np.isnan(none).all()

    def test_long_gaps_stay_open(self):
        dates = pd.to_datetime(["2024-01-01", "2024-01-11", "2024-03-01", "2024-03-06"])
        array = xr.DataArray([0.1, 0.2, 0.3, 0.4], {"time": dates}, "time")
        found = eo.smooth(array, eo.Linear(), to="1D", max_gap=30)
        known = found.notnull()
        assert known.sel(time=slice("2024-01-01", "2024-01-11")).all()
        assert not known.sel(time=slice("2024-01-12", "2024-02-29")).any()
        assert known.sel(time=slice("2024-03-01", "2024-03-06")).all()

    def test_too_few(self):
        dates = pd.date_range("2024-01-01", periods=5, freq="10D")
        values = np.full((5, 3), np.nan)
        values[:, 0], values[1, 1] = 0.5, 0.5
        array = xr.DataArray(values, dims=("time", "x"), coords={"time": dates})
        with pytest.warns(EocubeWarning, match=r"fewer than 2 days, which Whittaker\(.*needs: they are NaN"):
            found = eo.smooth(array, eo.Whittaker())
        assert np.isnan(found[:, 1:]).all()
        hours = pd.to_datetime(["2024-01-01 08:00", "2024-01-01 09:00", "2024-01-05 08:00", "2024-01-09 08:00", "2024-01-20 08:00"])
        one_day = xr.DataArray([[0.1, 0.2, np.nan, np.nan, np.nan]], {"time": hours}, ("x", "time"))
        with pytest.warns(EocubeWarning, match="fewer than 2 days"):
            assert np.isnan(eo.smooth(one_day, eo.Whittaker())).all()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            eo.smooth(array.isel(x=[0, 2]), eo.Whittaker())  # never seen at all: nothing to warn of
        with pytest.raises(InputError, match="2 days are too few: 3 are needed"):
            eo.smooth(array.isel(time=[0, 1]), eo.SavitzkyGolay())
        twice = array.isel(time=[0, 0, 0, 1]).assign_coords(time=dates[[0, 0, 0, 1]] + pd.to_timedelta([0, 1, 2, 0], "h"))
        with pytest.raises(InputError, match="2 days are too few"):
            eo.smooth(twice, eo.Whittaker(order=3))

    @pytest.mark.parametrize(
        ("make", "message"),
        [
            (lambda a, t: eo.smooth(a, eo.Whittaker), "is no smoother: take eocube.Whittaker"),
            (lambda a, t: eo.smooth(a, eo.Median()), "is no smoother"),
            (lambda a, t: eo.smooth(a, eo.Linear(), max_gap=0), "max_gap=0"),
            (lambda a, t: eo.smooth(a, eo.Linear(), to="often"), "to='often' is no frequency"),
            (lambda a, t: eo.smooth(a, eo.Linear(), to=[]), "gives no dates"),
            (lambda a, t: eo.smooth(a, eo.Linear(), weights="clear"), "an array has none"),
            (lambda a, t: eo.smooth(a, eo.Linear(), weights=a.isel(time=[0])), "do not fit"),
            (lambda a, t: eo.smooth(a, eo.Linear(), weights=-a), "below 0"),
            (lambda a, t: eo.smooth(a.astype("uint16"), eo.Linear()), "found uint16: make an index"),
            (lambda a, t: eo.smooth(a.drop_vars("time"), eo.Linear()), "with dates of datetime64"),
            (lambda a, t: eo.smooth(a.rename(time="t"), eo.Linear()), r"found dims \('t',\)"),
            (lambda a, t: eo.smooth(t, eo.Linear(), value="median"), "no column 'median'; there are: field"),
            (lambda a, t: eo.smooth(t, eo.Linear(), weights="clear"), "no column 'clear'"),
            (lambda a, t: eo.smooth(pd.concat([t, t]), eo.Linear()), "has a date twice"),
            (lambda a, t: eo.smooth(t.iloc[:0], eo.Linear()), "has no rows"),
            (lambda a, t: eo.smooth([1, 2], eo.Linear()), "found list"),
            (lambda a, t: eo.Whittaker(0), "a number above 0"),
            (lambda a, t: eo.Whittaker(order=4), "1, 2 or 3"),
            (lambda a, t: eo.Whittaker(envelope=1), "between 0 and 1"),
            (lambda a, t: eo.SavitzkyGolay(0), "days above 0"),
        ],
    )
    def test_mistakes(self, make, message):
        dates = pd.date_range("2024-01-01", periods=4, freq="10D")
        array = xr.DataArray([0.1, 0.2, 0.3, 0.4], {"time": dates}, "time")
        table = pd.DataFrame({"field": 1, "time": dates, "mean": array.values})
        with pytest.raises(InputError, match=message):
            make(array, table)


def test_the_benchmark_runs():
    root = Path(__file__).parents[1]
    paths = [str(root / "src"), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.smoothing", "--series", "30", "--rounds", "1"], cwd=root, text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}, capture_output=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert "eocube Whittaker " in done.stdout
    assert "numpy, dense solve" in done.stdout


@pytest.mark.real
def test_ndvi_through_its_clouds(real):
    """What is left out as if it were cloud comes back closer than by straight lines."""
    import json

    patch = real / "eolearn_l1c" / "TestEOPatch"
    dates = np.array(json.loads((patch / "timestamps.json").read_text()), dtype="datetime64[ns]")
    ndvi = np.load(patch / "data" / "NDVI.npy")[..., 0].astype("float32")
    clear = np.load(patch / "mask" / "CLM_S2C.npy")[..., 0] == 0
    array = xr.DataArray(np.where(clear, ndvi, np.nan), dims=("time", "y", "x"), coords={"time": dates})
    array = array.isel(y=slice(0, 101, 4), x=slice(0, 100, 4))
    hidden = (np.random.default_rng(0).random(array.shape) < 0.15) & array.notnull().values
    seen = array.where(~hidden)
    errors = {}
    for how in (eo.Whittaker(1000, robust=2), eo.SavitzkyGolay(90, 2), eo.Linear()):
        curve = eo.smooth(seen, how)
        assert curve.shape == array.shape
        residuals = np.abs((curve - array).values[hidden])
        assert np.isfinite(residuals).mean() > (0.4 if isinstance(how, eo.SavitzkyGolay) else 0.9)
        errors[type(how).__name__] = np.nanmedian(residuals)
        inside = seen.notnull().cumsum("time").astype(bool) & seen.notnull()[::-1].cumsum("time")[::-1].astype(bool)
        if not isinstance(how, eo.SavitzkyGolay):
            assert np.isfinite(curve.values[inside.values]).all()
    assert errors["Whittaker"] < 0.06
    assert errors["Whittaker"] < 1.05 * errors["Linear"]
