"""Indices: by hand, by spyndex itself, on any object, in one task, and what they refuse."""

from __future__ import annotations

import subprocess
import sys
import warnings

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import eocube as eo
from eocube.errors import BandError, EocubeWarning, InputError, MissingExtraError
from eocube.formulas import Formula
from eocube.sentinel2 import BANDS
from eocube.spyndices import LETTERS, _read

from .test_fusion import graph_of, real_tasks

HAND = {
    "ndvi": lambda b: (b["nir"] - b["red"]) / (b["nir"] + b["red"]),
    "evi": lambda b: 2.5 * (b["nir"] - b["red"]) / (b["nir"] + 6 * b["red"] - 7.5 * b["blue"] + 1),
    "evi2": lambda b: 2.5 * (b["nir"] - b["red"]) / (b["nir"] + 2.4 * b["red"] + 1),
    "savi": lambda b: 1.5 * (b["nir"] - b["red"]) / (b["nir"] + b["red"] + 0.5),
    "ndre": lambda b: (b["nir"] - b["rededge1"]) / (b["nir"] + b["rededge1"]),
    "ndwi": lambda b: (b["green"] - b["nir"]) / (b["green"] + b["nir"]),
    "mndwi": lambda b: (b["green"] - b["swir16"]) / (b["green"] + b["swir16"]),
    "ndmi": lambda b: (b["nir"] - b["swir16"]) / (b["nir"] + b["swir16"]),
    "nbr": lambda b: (b["nir"] - b["swir22"]) / (b["nir"] + b["swir22"]),
    "ndbi": lambda b: (b["swir16"] - b["nir"]) / (b["swir16"] + b["nir"]),
}
SPECTRAL = [name for name, band in BANDS.items() if band.kind == "reflectance" and name != "cirrus"]
NOT_RATIOS = ("evi", "evi2", "savi")


@pytest.fixture
def stack():
    values = np.random.default_rng(0).uniform(0.01, 0.7, (3, len(SPECTRAL), 5, 4)).astype("float32")
    values[0, :, 0, 0] = np.nan
    return xr.DataArray(values, dims=("time", "band", "y", "x"), coords={"band": SPECTRAL})


@pytest.mark.parametrize("name", HAND)
class TestEach:
    def test_by_hand_on_any_object(self, name, stack):
        index = getattr(eo, name)
        plain = HAND[name]({band: stack.sel(band=band, drop=True) for band in SPECTRAL})
        data = stack.to_dataset("band")
        esa = stack.assign_coords(band=[BANDS[band].esa for band in SPECTRAL])
        for cube in (stack, data, esa, esa.to_dataset("band"), stack.transpose("y", "band", "x", "time"),
                     stack.chunk(time=1, y=2), stack.chunk(band=1), data.chunk(x=3), stack.astype("float64")):  # fmt: skip
            found = index(cube)
            np.testing.assert_allclose(found.transpose("time", "y", "x"), plain, rtol=2e-5, atol=1e-6)
            assert found.dtype == np.float32
            assert found.name == name
            assert "band" not in found.coords
            assert np.isnan(found.isel(time=0, y=0, x=0))
        assert index(stack.isel(time=0, y=1, x=1)).ndim == 0

    def test_whole_numbers(self, name, stack):
        index = getattr(eo, name)
        lean = (stack.fillna(0) * 10_000).round().astype("uint16")
        said = lean.assign_attrs(reflectance_scale=1e-4, nodata=0)
        np.testing.assert_allclose(index(said), index(lean.where(lean > 0) / np.float32(10_000)), rtol=1e-4, atol=1e-5)
        assert np.isnan(index(said).isel(time=0, y=0, x=0))
        if name in NOT_RATIOS:
            with pytest.raises(InputError, match=r"uint16 and does not say its scale: load it with dtype='float32'"):
                index(lean)
            with pytest.raises(InputError, match=r"found values up to .*: divide digital numbers by 10000"):
                index(lean.astype("float32"))
        else:
            np.testing.assert_allclose(index(lean), index(said), rtol=1e-5, atol=1e-6)
            np.testing.assert_allclose(index(lean.astype("float32")), index(stack.fillna(0)), atol=0.02)

    def test_no_warning_and_no_infinity(self, name, stack):
        index = getattr(eo, name)
        nothing = xr.zeros_like(stack)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = index(nothing)
            assert np.isnan(found).all() if name not in NOT_RATIOS else (found == 0).all()
            if name not in NOT_RATIOS:
                assert not np.isinf(index(stack * np.float32(np.inf))).any()
            index(nothing.chunk(y=2)).compute()

    def test_a_missing_band_is_named(self, name, stack):
        index = getattr(eo, name)
        with pytest.raises(BandError, match=rf"is needed, the cube has: coastal\. {name.upper()} is made of"):
            index(stack.sel(band=["coastal"]))
        with pytest.raises(BandError, match="the cube has: B01"):
            index(xr.Dataset({"B01": ("x", [0.1])}))

    def test_one_task_per_chunk(self, name, small, small_items):
        bands = ["blue", "green", "red", "nir", "rededge1", "swir16", "swir22"]
        cube = eo.load(small_items, small.grid, bands=bands, mask=eo.SCLMask(), chunk=40)
        for found in (cube.pipe(getattr(eo, name)), getattr(eo, name)(eo.composite(cube, eo.Median()))):
            assert len(real_tasks(graph_of(found.data))) == cube.data.npartitions > 4
        assert getattr(eo, name)(cube).data.name == getattr(eo, name)(cube).data.name


@given(st.lists(st.floats(-0.125, 1.5, width=32), min_size=2, max_size=2))
def test_ndvi_of_any_two_numbers(values):
    found = float(eo.ndvi(xr.DataArray(np.float32(values), {"band": ["red", "nir"]}, "band")))
    red, nir = map(np.float32, values)
    with np.errstate(all="ignore"):
        expected = (nir - red) / (nir + red)
    np.testing.assert_equal(np.float32(found), expected if np.isfinite(expected) else np.float32(np.nan))


def test_soil(stack):
    np.testing.assert_allclose(eo.savi(stack, soil=0), eo.ndvi(stack), rtol=1e-5)


class TestCatalogue:
    def test_every_index_that_sentinel_2_can_make_is_spyndex_s(self, stack):
        """The numbers of spyndex itself, for all but those that need kernels or measured inputs."""
        import spyndex

        single = stack.isel(time=1).astype("float64")
        letters = {letter: single.sel(band=band).values for letter, band in LETTERS.items()}
        made, refused = 0, []
        for name, entry in _read("spectral-indices-dict.json")["SpectralIndices"].items():
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", EocubeWarning)
                    index = eo.index(name)
            except InputError:
                refused.append(name)
                continue
            inputs = {**letters, **dict(index.constants)}
            with np.errstate(all="ignore"):
                expected = spyndex.computeIndex(name, {letter: inputs[letter] for letter in entry["bands"]})
            expected = np.where(np.isfinite(expected), expected, np.nan).astype("float32")
            np.testing.assert_allclose(np.broadcast_to(index(single), (5, 4)), expected, rtol=1e-5, err_msg=name)
            made += 1
        assert made > 220
        assert {"kNDVI", "VHVVR", "NDISIb", "NIRvP"} <= set(refused)

    def test_ours_are_its(self, stack):
        for ours, its in {"ndvi": "NDVI", "evi": "EVI", "evi2": "EVI2", "ndwi": "NDWI", "mndwi": "MNDWI",
                          "ndmi": "NDMI", "nbr": "NBR", "ndbi": "NDBI"}.items():  # fmt: skip
            np.testing.assert_allclose(getattr(eo, ours)(stack), eo.index(its)(stack), rtol=1e-5)
        np.testing.assert_allclose(eo.index("SAVI", constants={"L": 0.5})(stack), eo.savi(stack), rtol=1e-5)

    def test_in_series_and_lazy(self, small, small_items):
        plan = eo.plan(small_items, small.grid, bands=["red", "nir"], mask=eo.SCLMask(), chunk=40)
        field = {"all": small.grid.extent}
        named = eo.timeseries(plan, field, of=eo.index("ndvi"), stat="mean")
        plain = eo.timeseries(plan, field, of=eo.ndvi, stat="mean")
        np.testing.assert_array_equal(named["mean"], plain["mean"])
        assert set(named["band"]) == {"ndvi"}
        lazy = eo.index("OSAVI")(eo.load(plan))
        assert len(real_tasks(graph_of(lazy.data))) == lazy.data.npartitions

    def test_the_two_ratios_called_rvi(self, stack):
        with pytest.warns(EocubeWarning, match=r"RE2 / R .*index\('SR'\)"):
            rvi = eo.index("RVI")
        np.testing.assert_allclose(rvi(stack), stack.sel(band="rededge2") / stack.sel(band="red"), rtol=1e-5)
        np.testing.assert_allclose(eo.index("SR")(stack), stack.sel(band="nir") / stack.sel(band="red"), rtol=1e-5)
        with pytest.raises(BandError, match="Band rededge2 or B06 is needed"):
            rvi(stack.sel(band=["red", "nir"]))

    @pytest.mark.parametrize(
        ("name", "options", "error", "message"),
        [
            ("NDVII", {}, InputError, "no index 'NDVII'. Did you mean 'ndvi'"),
            ("VHVVR", {}, BandError, "needs VH \\(radar\\), VV \\(radar\\), which Sentinel-2 does not have; Sentinel-1"),
            ("kNDVI", {}, InputError, "needs kernels of bands"),
            ("EVI", {"constants": {"H": 1}}, InputError, "has no constant H; it has: g, C1, C2, L"),
            ("NIRvP", {}, InputError, r"needs a value for PAR: constants=\{'PAR'"),
        ],
    )
    def test_what_cannot_be_made(self, name, options, error, message):
        with pytest.raises(error, match=message):
            eo.index(name, **options)

    def test_spyndex_is_neither_needed_nor_imported(self, monkeypatch):
        code = "import sys, eocube as eo; eo.index('EVI'); print('spyndex' in sys.modules, 'matplotlib' in sys.modules)"
        out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        assert out.split() == ["False", "False"]
        monkeypatch.setattr("eocube.extras.find_spec", lambda name: None)
        _read.cache_clear()
        with pytest.raises(MissingExtraError, match=r"eocube\[indices\]"):
            eo.index("EVI")
        _read.cache_clear()


class TestFormulas:
    def test_only_arithmetic(self):
        for text in ("__import__('os')", "N.real", "N if 1 else R", "N[0]", "'a' * N", "N // R", "unknown + 1"):
            with pytest.raises(InputError, match="is not known in a formula"):
                Formula("BAD", text, (("N", "nir"), ("R", "red"))).evaluate({"N": np.ones(1), "R": np.ones(1)})
        with pytest.raises(InputError, match="is no formula"):
            Formula("BAD", "N +", (("N", "nir"),)).evaluate({"N": np.ones(1)})

    def test_it_can_be_pickled_and_compared(self):
        import pickle

        index = eo.index("EVI")
        assert pickle.loads(pickle.dumps(index)) == index

    def test_not_a_cube(self):
        with pytest.raises(InputError, match="found ndarray"):
            eo.ndvi(np.ones(3))
