"""Ladders: the first rung with enough observations, nothing mixed, nothing read in vain."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import pytest
import rasterio
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import eocube as eo
from eocube.errors import InputError

from .test_fusion import graph_of, real_tasks

MASKS = (eo.SCLMask("strict").dilate(metres=60), eo.SCLMask(), eo.SCLMask("cloud_high"))


def by_hand(cubes, reducer, least):
    """Pixel by pixel, with the composites of each rung."""
    out = None
    for number, cube in enumerate(cubes, 1):
        made = eo.composite(cube, reducer, count=False).compute()
        count = cube.notnull().all("band").sum("time").compute()
        rung = xr.where(count >= least, number, 0)
        layers = [made, count.expand_dims(band=["count"]), rung.expand_dims(band=["rung"])]
        own = xr.concat([layer.astype("float32") for layer in layers], "band", coords="minimal", compat="override")
        own = own.where(count >= least)
        out = own if out is None else out.fillna(own)
    for band in ("count", "rung"):
        out.loc[{"band": band}] = out.sel(band=band).fillna(0)
    return out


def plans_of(items, grid, masks=MASKS, **options):
    options = {"bands": ["red", "nir"], "chunk": 40, **options}
    return [eo.plan(items, grid, mask=mask, **options) for mask in masks]


@pytest.mark.parametrize("least", [1, 2, 3, 5])
def test_each_pixel_is_of_the_first_rung_that_has_enough(small, small_items, least):
    plans = plans_of(small_items, small.grid)
    found = eo.fill_ladder(plans, eo.Median(), min_count=least).compute()
    expected = by_hand([eo.load(plan) for plan in plans], eo.Median(), least)
    np.testing.assert_array_equal(found.values, expected.values)
    rungs = set(np.unique(found.sel(band="rung")).tolist())
    assert rungs >= ({1.0, 2.0} if least < 5 else {0.0})  # else the test says nothing
    holes = found.sel(band="rung").values == 0
    assert np.isnan(found.sel(band=["red", "nir"]).values[:, holes]).all()
    assert (found.sel(band="count").values[~holes] >= least).all()


def test_plans_cubes_and_arrays_in_memory_give_the_same(small, small_items):
    plans = plans_of(small_items, small.grid)
    expected = eo.fill_ladder(plans, eo.Median(), min_count=2).compute()
    cubes = [eo.load(plan) for plan in plans]
    for sources in (
        cubes,
        [cube.compute() for cube in cubes],
        [cube * np.float32(1) for cube in cubes],  # no longer eocube's own
        [plans[0], cubes[1].compute(), cubes[2].chunk(time=1, band=1, y=31, x=50)],
    ):
        found = eo.fill_ladder(sources, eo.Median(), min_count=2)
        np.testing.assert_array_equal(found.compute().values, expected.values)
        assert found.odc.geobox == small.grid


def test_lean_cubes(small, small_items):
    wide = eo.fill_ladder(plans_of(small_items, small.grid), eo.Max(), min_count=2).compute()
    lean = eo.fill_ladder(plans_of(small_items, small.grid, dtype="uint16"), eo.Max(), min_count=2).compute()
    assert lean.dtype == np.uint16
    np.testing.assert_array_equal(lean.sel(band=["count", "rung"]), wide.sel(band=["count", "rung"]))
    seen = (wide.sel(band="rung") > 0).values
    values = wide.sel(band=["red", "nir"]).values[:, seen] * 10_000
    np.testing.assert_allclose(lean.sel(band=["red", "nir"]).values[:, seen], values.clip(1), atol=0.51)


def test_one_task_per_chunk_also_with_what_follows(small, small_items):
    plans = plans_of(small_items, small.grid, chunk=32)
    found = eo.fill_ladder(plans, eo.Median())
    assert len(real_tasks(graph_of(found.data))) == found.data.npartitions > 4
    assert len(real_tasks(graph_of(eo.ndvi(found).data))) == found.data.npartitions
    mixed = eo.fill_ladder([plans[0], eo.load(plans[1]) * np.float32(1)], eo.Median())
    assert len(real_tasks(graph_of(mixed.data))) == found.data.npartitions
    again = eo.fill_ladder(plans_of(small_items, small.grid, chunk=32), eo.Median())
    assert again.data.name == found.data.name
    assert eo.fill_ladder(plans, eo.Median(), min_count=2).data.name != found.data.name


@dataclass
class Spying:
    """Reads nothing twice, and remembers how many pixels were wanted."""

    wanted: list = field(default_factory=list)

    def __call__(self, sources, geobox, wanted=None):
        from eocube.loaders.base import loader_named

        looks = [geobox.shape[0] * geobox.shape[1] if look is None else int(look.sum()) for look in wanted]
        self.wanted += [n for n, source in zip(looks, sources, strict=True) if source.asset == "red"]
        return loader_named("rio")(sources, geobox, wanted)

    def __dask_tokenize__(self):
        return "spying", id(self)


class TestHigherRungs:
    def test_are_not_read_where_nothing_is_open(self, small, small_items):
        first, second = Spying(), Spying()
        plans = [eo.plan(small_items, small.grid, bands=["red"], loader=spy, chunk=40) for spy in (first, second)]
        counts = eo.composite(eo.load(plans[0]), eo.Count())
        assert counts.min() >= 1
        first.wanted.clear()
        found = eo.fill_ladder(plans, eo.Median()).compute(scheduler="sync")
        assert first.wanted
        assert not second.wanted
        assert (found.sel(band="rung") == 1).all()

    def test_are_read_under_open_pixels_only(self, small, small_items):
        spy = Spying()
        (strict,) = plans_of(small_items, small.grid, MASKS[:1], chunk=32)
        plain = eo.plan(small_items, small.grid, bands=["red", "nir"], chunk=32, loader=spy)
        found = eo.fill_ladder([strict, plain], eo.Median(), min_count=3).compute(scheduler="sync")
        open_pixels = int((found.sel(band="rung") != 1).sum())
        dates = len(plain.scenes)
        assert 0 < open_pixels < found.sizes["y"] * found.sizes["x"]
        # At most once per granule of each date; tiles overlap, so a date may be read from two.
        most = max(len(scene.granules) for scene in plain.scenes)
        assert 0 < sum(spy.wanted) <= open_pixels * dates * most


class TestPeriods:
    @pytest.fixture
    def cubes(self):
        rng = np.random.default_rng(5)
        dates = pd.date_range("2020-01-03", "2022-12-28", freq="9D").values
        values = rng.random((len(dates), 1, 6, 5)).astype("float32")
        strict, loose = (np.where(rng.random(values.shape) < share, np.nan, values) for share in (0.8, 0.4))
        return [
            xr.DataArray(v.astype("float32"), dims=("time", "band", "y", "x"), coords={"time": dates, "band": ["red"]})
            for v in (strict, loose)
        ]

    def test_neighbouring_months_and_years(self, cubes):
        strict, loose = cubes
        rungs = [strict, loose, eo.Rung(loose, days=15), eo.Rung(loose, years=1)]
        found = eo.fill_ladder(rungs, eo.Mean(), by="month", min_count=3)
        assert found.sizes["time"] == 36
        times = strict["time"].values
        used = set()
        for step, start in enumerate(pd.date_range("2020-01-01", periods=36, freq="MS")):
            end = start + pd.DateOffset(months=1)
            around, years = pd.Timedelta(days=15), [pd.DateOffset(years=k) for k in (-1, 0, 1)]
            inside = (times >= start) & (times < end)
            wide = (times >= start - around) & (times < end + around)
            others = np.any([(times >= start + k) & (times < end + k) for k in years], axis=0)
            for y, x in np.ndindex(6, 5):
                ours = found.isel(time=step, y=y, x=x)
                choices = [(strict, inside), (loose, inside), (loose, wide), (loose, others)]
                taken = [cube.values[dates, 0, y, x] for cube, dates in choices]
                taken = [(n, own[~np.isnan(own)]) for n, own in enumerate(taken, 1)]
                number, values = next((pair for pair in taken if len(pair[1]) >= 3), (0, np.array([])))
                used.add(number)
                assert ours.sel(band="rung") == number
                assert ours.sel(band="count") == len(values)
                if number:
                    assert float(ours.sel(band="red")) == pytest.approx(values.mean(), rel=1e-5)
                else:
                    assert np.isnan(ours.sel(band="red"))
        assert used >= {1, 2, 3, 4}

    def test_periods_are_those_of_the_first_rung(self, cubes):
        strict, loose = cubes
        short = strict.sel(time=slice("2021-03", "2021-05"))
        found = eo.fill_ladder([short, eo.Rung(loose, years=1)], eo.Median(), by="month", min_count=2)
        assert found["period"].values.tolist() == ["2021-03", "2021-04", "2021-05"]
        assert (found.sel(band="rung") == 2).any()

    def test_lazy(self, cubes):
        rungs = [eo.Rung(cube, days=10) for cube in cubes]
        eager = eo.fill_ladder(rungs, eo.Median(), by="season", min_count=4)
        lazy = [eo.Rung(cube.chunk(time=7, y=4, x=3), days=10) for cube in cubes]
        xr.testing.assert_identical(eo.fill_ladder(lazy, eo.Median(), by="season", min_count=4).compute(), eager)


@settings(max_examples=15)
@given(
    seed=st.integers(0, 2**20), least=st.integers(1, 3), dates=st.integers(1, 5), rungs=st.integers(1, 4),
    gaps=st.floats(0, 1),
)  # fmt: skip
def test_any_gaps(seed, least, dates, rungs, gaps):
    rng = np.random.default_rng(seed)
    cubes = []
    for _ in range(rungs):
        values = rng.random((dates, 2, 4, 3)).astype("float32")
        values[rng.random(values.shape) < gaps] = np.nan
        coords = {"time": pd.date_range("2024-01-01", periods=dates), "band": ["red", "nir"]}
        cubes.append(xr.DataArray(values, dims=("time", "band", "y", "x"), coords=coords))
    found = eo.fill_ladder(cubes, eo.Median(), min_count=least)
    np.testing.assert_array_equal(found.values, by_hand(cubes, eo.Median(), least).values)
    turned = [cube.isel(time=rng.permutation(dates)) for cube in cubes]
    np.testing.assert_array_equal(eo.fill_ladder(turned, eo.Median(), min_count=least), found)


def test_losses_of_all_rungs_are_told(small, small_items):
    plans = plans_of(small_items, small.grid, MASKS[:2], on_error="skip")
    found = eo.fill_ladder(plans, eo.Median(), min_count=2).compute()
    assert not len(eo.lost(found))
    assert eo.lost(found).windows > 9  # of both plans


def test_it_is_written_and_says_of_what_it_was_made(small, small_items, tmp_path):
    plans = plans_of(small_items, small.grid, MASKS[:2])
    found = eo.fill_ladder(plans, eo.Median())
    assert found.attrs["items"] == sorted({granule.id for own in plans[0].used for granule in own})
    assert found.attrs["rungs"] == [repr(mask) for mask in MASKS[:2]]
    eo.write_cog(found, tmp_path / "best.tif")
    with rasterio.open(tmp_path / "best.tif") as file:
        assert file.descriptions == ("red", "nir", "count", "rung")
        np.testing.assert_array_equal(file.read(4), found.sel(band="rung").values)
    months = eo.fill_ladder(plans, eo.Median(), by="season")
    scenes = eo.load(plans[0])
    for step, period in enumerate(months["period"].values):
        inside = (scenes.time >= months["time_start"][step]) & (scenes.time < months["time_end"][step])
        expected = sorted(" ".join(scenes["items"].values[inside.values]).split())
        assert months["items"].values[step].split() == expected, period
    eo.write_zarr(months, tmp_path / "months.zarr")


class TestMistakes:
    def test_rungs(self, small, small_items):
        first, second = plans_of(small_items, small.grid, MASKS[:2])
        with pytest.raises(InputError, match="is a list of plans or cubes"):
            eo.fill_ladder([], eo.Median())
        with pytest.raises(InputError, match="is a list of plans or cubes"):
            eo.fill_ladder(first, eo.Median())
        with pytest.raises(InputError, match="min_count=0: a whole number"):
            eo.fill_ladder([first], eo.Median(), min_count=0)
        with pytest.raises(InputError, match="Rung 2 has another y than rung 1"):
            eo.fill_ladder([first, eo.plan(small_items, small.grid[:50], bands=["red", "nir"])], eo.Median())
        with pytest.raises(InputError, match="Rung 2 has another band than rung 1: red"):
            eo.fill_ladder([first, eo.plan(small_items, small.grid, bands=["red"])], eo.Median())
        with pytest.raises(InputError, match="Rung 2 is uint16"):
            eo.fill_ladder([first, *plans_of(small_items, small.grid, MASKS[:1], dtype="uint16")], eo.Median())
        with pytest.raises(InputError, match="write Median"):
            eo.fill_ladder([first, second], eo.Median)
        with pytest.raises(InputError, match="gives a band 'count'"):
            eo.fill_ladder([first, second], eo.Count())
        with pytest.raises(InputError, match="dims"):
            eo.fill_ladder([eo.load(first).isel(time=0)], eo.Median())

    def test_periods(self, small, small_items):
        (plan,) = plans_of(small_items, small.grid, MASKS[:1])
        with pytest.raises(InputError, match="say by='month'"):
            eo.fill_ladder([eo.Rung(plan, days=3)], eo.Median())
        with pytest.raises(InputError, match="both are 0 or more"):
            eo.Rung(plan, days=-1)
        with pytest.raises(InputError, match="no climatology"):
            eo.fill_ladder([plan], eo.Median(), by="climatology")
        with pytest.raises(InputError, match="is not a frequency"):
            eo.fill_ladder([plan], eo.Median(), by="often")


def test_reducers_that_pick_say_which_scene_of_all_rungs(small, small_items):
    plans = [eo.plan(small_items, small.grid, bands=["red", "nir"], mask=mask)
             for mask in (eo.SCLMask("strict"), eo.SCLMask())]  # fmt: skip
    cubes = [eo.load(plan).compute() for plan in plans]
    best = eo.fill_ladder(plans, eo.Medoid(), min_count=2).compute()
    table = eo.sources(best)
    assert len(table) == sum(cube.sizes["time"] for cube in cubes)
    source, rung = (np.nan_to_num(best.sel(band=name).values) for name in ("source", "rung"))
    assert (source[rung == 0] == 0).all()
    assert set(np.unique(rung)) >= {1.0}
    every = np.concatenate([cube.values for cube in cubes])
    rows, columns = np.nonzero(rung > 0)
    picked = every[source[rows, columns].astype(int) - 1, :, rows, columns]
    np.testing.assert_array_equal(picked, best.sel(band=["red", "nir"]).values[:, rows, columns].T)
    assert (source[rung == 2] > cubes[0].sizes["time"]).all()


def test_several_reducers_in_one_pass(small, small_items):
    plans = plans_of(small_items, small.grid)
    both = eo.fill_ladder(plans, [eo.Median(), eo.Percentile(10)], min_count=2).compute()
    names = ["red_median", "nir_median", "red_p10", "nir_p10", "count", "rung"]
    assert both.band.values.tolist() == names
    for how, own in ((eo.Median(), names[:2]), (eo.Percentile(10), names[2:4])):
        one = eo.fill_ladder(plans, how, min_count=2).compute()
        np.testing.assert_array_equal(both.sel(band=own).values, one.sel(band=["red", "nir"]).values)
        np.testing.assert_array_equal(both.sel(band=["count", "rung"]), one.sel(band=["count", "rung"]))
