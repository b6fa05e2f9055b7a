"""Best available pixel and mean by distance to cloud: hand-worked scores, distances by brute force."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import eocube as eo
from eocube.distances import distances
from eocube.errors import BandError, InputError, MaskError
from eocube.reducers import Observations, Weights

from .reducing import BANDS, cube_of, run, spectra


def pixel(rows):
    """One pixel of a cube: rows of (date, blue, red, metres to the nearest cloud)."""
    times = np.array([row[0] for row in rows], "datetime64[ns]")
    values = np.array([row[1:] for row in rows], "float32")[:, :, None, None]
    bands = ["blue", "red", "cloud_distance"]
    return xr.DataArray(values, dims=("time", "band", "y", "x"), coords={"time": times, "band": bands})


def scores(how, cube):
    seen = Observations(cube.values, None, tuple(cube.band.values), cube.time.values)
    return [float(how.score(seen, date)[0, 0]) for date in range(len(seen))]


ROWS = [
    ("2023-07-15", 0.03, 0.04, 3000),  # day 196: the wanted one; far from clouds, clear
    ("2023-06-15", 0.05, 0.06, 1500),  # day 166
    ("2023-09-13", 0.11, 0.08, 300),  # day 256: 60 days off
    ("2022-07-15", 0.06, 0.05, 2000),  # day 196 of the year before
]

# Worked by hand from FORCE's formulas: sigma = 60 / sqrt(-2 ln(0.01 / 0.99)) = 19.7917.
#   day:   0.99 exp(-d^2 / (2 sigma^2)), d = 0, 30, 60, 0
#   year:  the same of 26 days a year: 0, 0, 0, 1 year off
#   cloud: 1 / (1 + exp(-(metres - 1500) / 300)): (5), (0), (-4), (1.6667)
#   haze:  hot = 1e4 (blue - red / 2 - 0.08) = -700, -600, -100, -450; 1 / (1 + exp(0.05 (hot + 150)))
DAY = [0.99, 0.3138503, 0.01, 0.99]
YEAR = [0.99, 0.99, 0.99, 0.4177335]
CLOUD = [0.9933071, 0.5, 0.0179862, 0.8411309]
HAZE = [1.0, 1.0, 0.0758582, 0.9999997]


class TestBestPixel:
    def test_the_hand_worked_table(self):
        cube = pixel(ROWS)
        only = {name: {"day": 0, "year": 0, "cloud": 0, "haze": 0, name: 1} for name in ("day", "year", "cloud", "haze")}
        for name, expected in (("day", DAY), ("year", YEAR), ("cloud", CLOUD), ("haze", HAZE)):
            np.testing.assert_allclose(scores(eo.BestPixel(196, 2023, weights=only[name]), cube), expected, atol=1e-5)
        total = (np.array(DAY) + YEAR + 0.4 * np.array(CLOUD) + 0.3 * np.array(HAZE)) / 2.7
        np.testing.assert_allclose(scores(eo.BestPixel(196, 2023), cube), total, atol=1e-5)
        no_year = (np.array(DAY) + 0.4 * np.array(CLOUD) + 0.3 * np.array(HAZE)) / 1.7
        np.testing.assert_allclose(scores(eo.BestPixel(196), cube), no_year, atol=1e-5)

    @pytest.mark.parametrize(
        ("how", "source"),
        [
            (eo.BestPixel(196), 1),
            (eo.BestPixel(196, 2022), 4),
            (eo.BestPixel(250), 3),
            (eo.BestPixel(196, weights={"day": 0, "haze": 0}), 1),
            (eo.BestPixel(256, weights={"cloud": 3}), 1),
            (eo.BestPixel(166, sigma=3, weights={"cloud": 0, "haze": 0}), 2),
        ],
    )
    def test_what_it_takes(self, how, source):
        best = eo.composite(pixel(ROWS), how, count=False)
        assert best[-1].item() == source
        np.testing.assert_allclose(best[:-1].values.ravel(), ROWS[source - 1][1:], rtol=1e-6)

    def test_days_go_round_the_year(self):
        cube = pixel([("2023-12-30", 0.1, 0.1, 100), ("2023-02-20", 0.1, 0.1, 100)])
        assert eo.composite(cube, eo.BestPixel(5), count=False)[-1].item() == 1
        day = {"weights": {"cloud": 0, "haze": 0, "year": 0}}
        np.testing.assert_allclose(scores(eo.BestPixel(5, **day), cube)[0], 0.99 * np.exp(-(6.25**2) / 2 / 19.7917**2), rtol=1e-5)

    def test_strict_leaves_out_what_force_leaves_out(self):
        cube = pixel([("2023-07-15", 0.03, 0.04, 100), ("2023-10-15", 0.03, 0.04, 3000)])
        assert eo.composite(cube, eo.BestPixel(196), count=False)[-1].item() == 1
        strict = eo.BestPixel(196, strict=True)
        assert np.isnan(eo.composite(cube, strict, count=False)).all()  # too near a cloud, too far off the day
        assert eo.composite(cube, eo.BestPixel(260, strict=True), count=False)[-1].item() == 2

    def test_lean_cubes_choose_the_same(self):
        floats, lean = (run(eo.BestPixel(190), spectra(dtype=dtype))[-1] for dtype in ("float32", "uint16"))
        np.testing.assert_array_equal(np.nan_to_num(floats), lean)

    def test_esa_s_names_do(self):
        values = spectra()
        found = eo.composite(cube_of(values, ("B02", "B04", "B08", "cloud_distance")), eo.BestPixel(190), count=False)
        np.testing.assert_array_equal(found.values, run(eo.BestPixel(190), values))

    def test_mistakes(self):
        cube = cube_of(spectra())
        with pytest.raises(BandError, match=r"needs the band cloud_distance, .* or give weights={'cloud': 0}"):
            eo.composite(cube.drop_sel(band="cloud_distance"), eo.BestPixel(190))
        with pytest.raises(BandError, match=r"Band red is needed, .* Or leave haze out: weights={'haze': 0}"):
            eo.composite(cube.drop_sel(band="red"), eo.BestPixel(190))
        plain = eo.composite(cube.sel(band=["nir"]), eo.BestPixel(190, weights={"cloud": 0, "haze": 0}))
        assert list(plain.band.values) == ["nir", "source", "count"]
        with pytest.raises(InputError, match="needs to know the dates"):
            eo.composite(cube.drop_vars("time"), eo.BestPixel(190))
        with pytest.raises(InputError, match=r"no score 'clouds'. Did you mean 'cloud'\?"):
            eo.BestPixel(190, weights={"clouds": 1})
        with pytest.raises(InputError, match="weights of 0 or more, not all 0"):
            eo.BestPixel(190, weights=Weights(0, 0, 0, 0))
        for options in ({"day": 0}, {"day": 190, "sigma": 0}, {"day": 190, "far": 4000}):
            with pytest.raises(InputError, match="give"):
                eo.BestPixel(**options)


class TestWeightedMean:
    def test_against_plain_numpy(self):
        values = spectra().astype("float64")
        weight = 1 / (1 + np.exp(-10 / 800 * (values[:, 3] - 400)))
        expected = np.nansum(values[:, :3] * weight[:, None], axis=0) / np.nansum(weight, axis=0)
        found = eo.composite(cube_of(spectra()), eo.WeightedMean(far=800), count=False)
        assert list(found.band.values) == list(BANDS[:3])
        np.testing.assert_allclose(found, expected, rtol=1e-5)

    def test_haze_around_a_cloud_hardly_counts(self):
        cube = pixel([("2023-07-15", 0.30, 0.3, 20), ("2023-07-20", 0.05, 0.05, 2500)])
        assert eo.composite(cube, eo.WeightedMean(), count=False)[0].item() == pytest.approx(0.052, abs=1e-3)
        assert eo.composite(cube[:1], eo.WeightedMean(), count=False)[0].item() == pytest.approx(0.3)

    def test_mistakes(self):
        with pytest.raises(BandError, match="WeightedMean needs the band cloud_distance"):
            eo.composite(cube_of(spectra()[:, :3]), eo.WeightedMean())
        with pytest.raises(InputError, match="at most 3000"):
            eo.WeightedMean(far=0)


@given(st.integers(0, 2**32), st.floats(0, 0.2), st.sampled_from([10.0, 20.0, 60.0, 500.0]))
def test_distances_by_brute_force(seed, share, resolution):
    thrown = np.random.default_rng(seed).random((17, 23)) < share
    found = distances(thrown, resolution)
    rows, columns = np.nonzero(thrown)
    y, x = np.mgrid[:17, :23]
    each = np.hypot(y[..., None] - rows, x[..., None] - columns) * resolution
    expected = np.rint(np.clip(each.min(axis=-1, initial=3000), 1, 3000))
    np.testing.assert_array_equal(found, expected)


class TestBand:
    BANDS = ("red", "cloud_distance", "nir")

    def test_says_how_far_the_thrown_away_pixels_are(self, world, items):
        mask = eo.SCLMask()
        cube = eo.load(items, world.grid, bands=self.BANDS, mask=mask).compute()
        scl = eo.load(items, world.grid.pad(0), bands=["scl"]).compute().values[:, 0]
        plain = eo.load(items, world.grid, bands=["red", "nir"], mask=mask).compute()
        np.testing.assert_array_equal(cube.sel(band=["red", "nir"]).values, plain.values)
        metres = cube.sel(band="cloud_distance").values
        np.testing.assert_array_equal(np.isnan(metres), np.isnan(plain.values[:, 0]))
        # At the mask's 20 m, far enough from the edge that no cloud beyond it can be nearer.
        inner = (slice(80, 112), slice(120, 152))
        for own, classes in zip(metres, scl, strict=True):
            thrown = np.isin(classes, [1, 3, 8, 9, 10])
            rows, columns = np.nonzero(thrown)
            for y, x in np.argwhere(~np.isnan(own[inner]))[::37]:
                y, x = y + inner[0].start, x + inner[1].start
                near = np.hypot(y // 2 - rows // 2, x // 2 - columns // 2).min(initial=150) * 20
                if near < 600:
                    assert own[y, x] == np.rint(near)

    @pytest.mark.parametrize("mask", [eo.SCLMask(), eo.SCLMask("cloud_high").dilate(metres=55)], ids=repr)
    def test_does_not_depend_on_how_the_area_is_cut(self, small, small_items, mask):
        options = {"bands": self.BANDS, "mask": mask}
        whole = eo.load(small_items, small.grid, **options).compute(scheduler="sync").values
        cut = eo.load(small_items, small.grid, chunk=31, **options).compute(scheduler="sync").values
        np.testing.assert_array_equal(cut, whole)
        part = eo.load(small_items, small.grid[20:70, 30:80], **options).compute(scheduler="sync").values
        np.testing.assert_array_equal(part, whole[:, :, 20:70, 30:80])

    def test_composites_of_it(self, small, small_items):
        hows = [eo.BestPixel(200), eo.WeightedMean(), eo.Count()]
        found = {}
        for dtype in ("float32", "uint16"):
            cube = eo.load(
                small_items, small.grid, bands=["blue", *self.BANDS], mask=eo.SCLMask(), dtype=dtype, chunk=40
            )
            found[dtype] = eo.composite(cube, hows, count=False).compute(scheduler="sync")
            plain = eo.composite(cube.compute(scheduler="sync"), hows, count=False)
            np.testing.assert_array_equal(found[dtype], plain)
        one, two = found["float32"], found["uint16"]
        np.testing.assert_array_equal(np.nan_to_num(one.sel(band="source")), two.sel(band="source"))

    def test_the_plan_knows_the_rim(self, small, small_items):
        made = eo.plan(small_items, small.grid, bands=self.BANDS, mask=eo.SCLMask().dilate(metres=40))
        assert "rim 3040 m (152 px)" in repr(made)
        assert made.read_bands == ("red", "nir")
        bare = eo.plan(small_items, small.grid, bands=["red", "nir"], mask=eo.SCLMask().dilate(metres=40))
        assert made.cost.files == bare.cost.files
        assert made.cost.task_bytes > bare.cost.task_bytes

    def test_one_task_per_chunk(self, small, small_items):
        from .test_fusion import graph_of, real_tasks

        cube = eo.load(small_items, small.grid, bands=["blue", *self.BANDS], mask=eo.SCLMask(), chunk=32)
        for how in (eo.BestPixel(200), [eo.Medoid(), eo.GeoMedian(mads=True), eo.MaxNDVI()]):
            assert len(real_tasks(graph_of(eo.composite(cube, how).data))) == cube.data.npartitions > 4

    def test_mistakes(self, small, small_items):
        with pytest.raises(MaskError, match="give a mask"):
            eo.plan(small_items, small.grid, bands=self.BANDS)
        with pytest.raises(BandError, match="ask for one of a file, too"):
            eo.plan(small_items, small.grid, bands="cloud_distance", mask=eo.SCLMask())
