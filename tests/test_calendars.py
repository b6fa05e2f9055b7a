"""Periods of composites: xarray's own, and those that it does not know."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import rioxarray  # noqa: F401  (makes .rio)
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import eocube as eo
from eocube.calendars import calendar_of
from eocube.errors import InputError, PeriodError

FREQUENCIES = [
    "MS", "2MS", "QS-DEC", "YS", "YS-OCT", "10D", "45D", "36h", "ME", "QE", "YE", "W", "W-WED", "SMS",
]  # fmt: skip
BY = [*FREQUENCIES, "month", "season", "year", "dekad"]

dates_of = st.lists(
    st.datetimes(pd.Timestamp("2019-11-05").to_pydatetime(), pd.Timestamp("2022-03-20").to_pydatetime()),
    min_size=1,
    max_size=30,
    unique=True,
).map(lambda found: np.array(found, dtype="datetime64[ns]"))


def cube_of(dates, size=2):
    values = np.random.default_rng(len(dates)).random((len(dates), 1, size, size)).astype("float32")
    values[values < 0.2] = np.nan
    return xr.DataArray(values, dims=("time", "band", "y", "x"), coords={"time": dates, "band": ["red"]})


@settings(max_examples=25)
@given(dates=dates_of, by=st.sampled_from(BY))
def test_each_date_lies_in_the_one_period_around_it(dates, by):
    calendar = calendar_of(by, dates)
    assert (calendar.members.sum(axis=0) == 1).all()
    first, last = calendar.members[0], calendar.members[-1]
    assert first.any()
    assert last.any()
    np.testing.assert_array_equal(calendar.starts[1:], calendar.ends[:-1])
    for number, time in enumerate(dates):
        (period,) = np.flatnonzero(calendar.members[:, number])
        assert calendar.starts[period] <= time < calendar.ends[period]


@settings(max_examples=25)
@given(dates=dates_of, frequency=st.sampled_from([f for f in FREQUENCIES if f != "SMS"]))
def test_frequencies_are_xarray_s(dates, frequency):
    cube = cube_of(dates)
    ours = eo.composite(cube, eo.Mean(), by=frequency, count=False)
    plain = cube.sortby("time").resample(time=frequency).mean()
    np.testing.assert_array_equal(ours.time, plain.time)
    np.testing.assert_allclose(ours, plain, rtol=1e-5)


@settings(max_examples=25)
@given(dates=dates_of, of=st.sampled_from(["month", "season"]))
def test_a_climatology_is_xarray_s(dates, of):
    cube = cube_of(dates)
    ours = eo.composite(cube, eo.Mean(), by=eo.Climatology(of), count=False)
    plain = cube.groupby(f"time.{of}").mean()
    assert ours.dims == (of, "band", "y", "x")
    assert ours.sizes[of] == {"month": 12, "season": 4}[of]
    for label in ours[of].values:
        if label in plain[of]:
            np.testing.assert_allclose(ours.sel({of: label}), plain.sel({of: label}), rtol=1e-5)
        else:
            assert np.isnan(ours.sel({of: label})).all()
            assert ours["dates"].sel({of: label}) == 0


def test_dekads_by_hand():
    days = ["2024-01-31T23:59:59", "2024-02-01", "2024-02-10T12:00", "2024-02-11", "2024-02-20", "2024-02-21",
            "2024-02-29T10:00", "2024-03-10"]  # fmt: skip
    calendar = calendar_of("dekad", np.array(days, "datetime64[ns]"))
    assert calendar.names.tolist() == ["2024-01-D3", "2024-02-D1", "2024-02-D2", "2024-02-D3", "2024-03-D1"]
    assert calendar.members.sum(axis=1).tolist() == [1, 2, 2, 2, 1]
    assert (calendar.ends - calendar.starts).astype("timedelta64[D]").astype(int).tolist() == [11, 10, 10, 9, 10]
    year = pd.date_range("2023-01-01", "2023-12-31").values
    assert len(calendar_of("dekad", year).labels) == 36
    cycle = calendar_of(eo.Climatology("dekad"), year)
    assert cycle.labels.tolist() == list(range(1, 37))
    np.testing.assert_array_equal(cycle.members, calendar_of("dekad", year).members)


def test_names_of_seasons():
    calendar = calendar_of("season", np.array(["2023-12-31", "2024-02-29", "2024-11-30"], "datetime64[ns]"))
    assert calendar.names.tolist() == ["2024-DJF", "2024-MAM", "2024-JJA", "2024-SON"]
    assert calendar.members.sum(axis=1).tolist() == [2, 0, 0, 1]
    assert str(calendar.starts[0])[:10] == "2023-12-01"
    assert str(calendar.ends[0])[:10] == "2024-03-01"


@settings(max_examples=20)
@given(dates=dates_of, days=st.floats(0.5, 400), step=st.sampled_from(["month", "dekad", "10D", "QS"]))
def test_rolling_windows_by_brute_force(dates, days, step):
    calendar, steps = calendar_of(eo.Rolling(days, step), dates), calendar_of(step, dates)
    np.testing.assert_array_equal(calendar.labels, steps.labels)
    half = pd.Timedelta(milliseconds=round(days * 43_200_000))
    for row, start, end in zip(calendar.members, steps.starts, steps.ends, strict=True):
        middle = start + (end - start) // 2
        assert row.tolist() == [middle - half <= time < middle + half for time in dates]


def test_a_date_counts_in_several_windows():
    dates = pd.date_range("2024-01-01", "2024-12-31", freq="5D").values
    cube = cube_of(dates)
    wide = eo.composite(cube, eo.Count(), by=eo.Rolling(90, "month"))
    plain = eo.composite(cube, eo.Count(), by="month")
    assert wide.sizes == plain.sizes
    assert wide.sum() > 2.5 * plain.sum()
    low, high = wide["time_start"].values[5], wide["time_end"].values[5]
    expected = cube.isel(time=(dates >= low) & (dates < high)).notnull().sum("time")
    np.testing.assert_array_equal(wide.isel(time=5).values, expected.values)


def test_coordinates_say_what_a_period_is(small, small_items, tmp_path):
    cube = eo.load(small_items, small.grid, bands=["red"], mask=eo.SCLMask())
    seasons = eo.composite(cube, eo.Median(), by="season")
    assert {"time_start", "time_end", "period", "dates"} <= set(seasons.coords)
    assert int(seasons["dates"].sum()) == cube.sizes["time"]
    eo.write_zarr(seasons, tmp_path / "s.zarr")
    again = xr.open_zarr(tmp_path / "s.zarr", decode_coords="all", consolidated=False)["eocube"]
    np.testing.assert_array_equal(again["time_end"].values, seasons["time_end"].values)
    np.testing.assert_array_equal(again["period"].values, seasons["period"].values)


@pytest.mark.parametrize("by", ["dekad", eo.Climatology("month"), eo.Rolling(60, "10D")])
def test_lazy_equals_eager_and_the_order_of_dates_does_not_matter(small, small_items, by):
    cube = eo.load(small_items, small.grid, bands=["red", "nir"], mask=eo.SCLMask(), chunk=32)
    lazy = eo.composite(cube, eo.Median(), by=by)
    eager = eo.composite(cube.compute(), eo.Median(), by=by)
    xr.testing.assert_identical(lazy.compute(), eager)
    turned = eo.composite(cube.isel(time=[4, 0, 3, 1, 2]), eo.Median(), by=by)
    xr.testing.assert_identical(turned.compute(), eager)


@pytest.mark.real
def test_twelve_months_with_two_empty_ones_are_twelve_rows(real):
    with xr.open_dataset(real / "worldcereal" / "worldcereal_preprocessed_inputs.nc") as file:
        bands = file[["S2-L2A-B04", "S2-L2A-B08"]].rename({"S2-L2A-B04": "red", "S2-L2A-B08": "nir"})
        cube = bands.to_array("band").rename(t="time").transpose("time", "band", "y", "x").load()
    cube = cube.where(cube < 65535).astype("float32") / 10_000
    cube = cube.rio.write_crs("EPSG:32631")
    months = eo.composite(cube, eo.Median(), by="month")
    assert months.sizes["time"] == 12
    assert months["period"].values[[0, -1]].tolist() == ["2020-11", "2021-10"]
    assert list(months.band.values) == ["red", "nir", "count"]
    empty = np.isnan(months.sel(band=["red", "nir"])).all(["band", "y", "x"]).values
    np.testing.assert_array_equal((months.sel(band="count") == 0).all(["y", "x"]), empty)
    assert months["period"].values[empty].tolist() == ["2020-12", "2021-01"]
    # The same where those dates are missing from the file altogether.
    xr.testing.assert_allclose(
        eo.composite(cube.isel(time=~empty), eo.Median(), by="month").drop_vars("dates"), months.drop_vars("dates")
    )
    x, y = cube["x"].values, cube["y"].values
    import shapely

    field = {"all": shapely.box(x.min(), y.min(), x.max(), y.max())}
    table = eo.timeseries(months, field, of=eo.ndvi, crs="EPSG:32631")
    assert len(table) == 12
    assert table["mean"].isna().to_numpy().tolist() == empty.tolist()
    assert (table["clear"].to_numpy()[empty] == 0).all()
    assert table["clear"].to_numpy()[~empty].min() > 0.5


@pytest.mark.parametrize(
    ("by", "message"),
    [
        ("fortnight", "by='fortnight' is not a frequency.*Understood are 'month', 'season'"),
        ("seasons", "Did you mean 'season'"),
        ("", "is not a frequency"),
        (7, "by=7 is not a frequency"),
        ("1ms", "periods of these dates: take longer ones"),
        ("0D", "longer than nothing|is not a frequency"),
    ],
)
def test_what_is_not_understood(by, message):
    dates = np.array(["2024-01-01", "2024-03-01"], "datetime64[ns]")
    with pytest.raises(PeriodError, match=message):
        eo.composite(cube_of(dates), eo.Median(), by=by)


def test_windows_and_cycles_that_make_no_sense():
    with pytest.raises(InputError, match="more than 0 days"):
        eo.Rolling(0)
    with pytest.raises(InputError, match="write 'month', 'dekad'"):
        eo.Rolling(30, step=eo.Climatology())
    with pytest.raises(InputError, match=r"Climatology\('months'\) is not known. Did you mean 'month'"):
        eo.Climatology("months")
    with pytest.raises(PeriodError, match="with NaT"):
        calendar_of("month", np.array(["NaT", "2024-01-01"], "datetime64[ns]"))
    with pytest.raises(PeriodError, match="found int64"):
        calendar_of("month", np.array([1, 2]))
