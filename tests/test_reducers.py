"""Reducers: one contract, parity with numpy."""

from __future__ import annotations

import pickle
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import eocube as eo
from eocube.codes import Coding
from eocube.errors import InputError
from eocube.reducers import Join, Reducer, reduce_codes
from eocube.reducers.network import comparators, sort_ranks

REDUCERS = [
    eo.Median(), eo.Mean(), eo.Percentile(0), eo.Percentile(25), eo.Percentile(100), eo.Count(),
    eo.Min(), eo.Max(),
    Join((eo.Median(), eo.Count())),
]  # fmt: skip

FLOATS = hnp.arrays(
    np.float32,
    st.tuples(st.integers(1, 14), st.integers(1, 3), st.integers(1, 4), st.integers(1, 4)),
    elements=st.one_of(st.just(np.nan), st.floats(-0.125, 2, width=32)),
)
WHOLES = hnp.arrays(
    np.uint16,
    st.tuples(st.integers(1, 14), st.integers(1, 3), st.integers(1, 4), st.integers(1, 4)),
    elements=st.one_of(st.just(0), st.integers(0, 65535)),
)


def block(dates=24, share=0.5, dtype="float32", seed=0, size=(4, 33, 31)):
    rng = np.random.default_rng(seed)
    values = rng.integers(1, 12_000, (dates, *size)).astype("uint16")
    values[rng.random(values.shape) < share] = 0
    if dtype == "uint16":
        return values
    return np.where(values == 0, np.nan, (values.astype("float32") - 1000) / 10_000).astype("float32")


def quiet(function, *args, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return function(*args, **options)


@pytest.mark.parametrize("how", REDUCERS, ids=repr)
@pytest.mark.parametrize("dtype", ["float32", "uint16"])
class TestContract:
    def test_shape_dtype_names(self, how, dtype):
        values = block(dtype=dtype)
        found = how(values)
        names = how.bands_out(("a", "b", "c", "d"))
        assert found.shape == (len(names), 33, 31)
        assert found.dtype == how.dtype_out(values.dtype)
        assert isinstance(how, Reducer)

    def test_order_of_dates_does_not_matter(self, how, dtype):
        values = block(dtype=dtype)
        shuffled = np.random.default_rng(1).permutation(values)
        np.testing.assert_allclose(how(values), how(shuffled), rtol=1e-6)

    def test_a_date_without_data_changes_nothing(self, how, dtype):
        values = block(dtype=dtype)
        empty = np.full_like(values[:1], np.nan if dtype == "float32" else 0)
        np.testing.assert_array_equal(how(values), how(np.concatenate([values, empty])))

    def test_nothing_at_all_is_no_data(self, how, dtype):
        values = np.full((3, 2, 4, 4), np.nan if dtype == "float32" else 0, dtype=dtype)
        found = how(values)
        names = how.bands_out(("a", "b"))
        for layer, name in zip(found, names, strict=True):
            if name == "count" or dtype == "uint16":
                assert (layer == 0).all()
            else:
                assert np.isnan(layer).all()

    def test_leaves_its_input_alone(self, how, dtype):
        values = block(dtype=dtype)
        before = values.copy()
        how(values)
        np.testing.assert_array_equal(values, before)

    def test_pickles(self, how, dtype):
        assert pickle.loads(pickle.dumps(how)) == how


@given(FLOATS)
def test_median_is_numpy_s_bit_for_bit(values):
    np.testing.assert_array_equal(eo.Median()(values), quiet(np.nanmedian, values, axis=0))


@given(WHOLES)
def test_median_of_whole_numbers_rounds_half_up(values):
    exact = quiet(np.nanmedian, np.where(values == 0, np.nan, values.astype(float)), axis=0)
    expected = np.where(np.isnan(exact), 0, np.floor(np.nan_to_num(exact) + 0.5)).astype("uint16")
    np.testing.assert_array_equal(eo.Median()(values), expected)


@pytest.mark.parametrize("dates", [1, 2, 3, 24, 200])
def test_median_of_many_dates(dates):
    values = block(dates, size=(1, 20, 20))
    np.testing.assert_array_equal(eo.Median()(values), quiet(np.nanmedian, values, axis=0))


@given(FLOATS, st.floats(0, 100))
def test_percentile_is_numpy_s(values, q):
    expected = quiet(np.nanpercentile, values.astype(float), q, axis=0)
    np.testing.assert_allclose(eo.Percentile(q)(values), expected, rtol=1e-5, atol=1e-6)


@given(FLOATS)
def test_mean_and_count(values):
    expected = quiet(np.nanmean, values.astype(float), axis=0)
    np.testing.assert_allclose(eo.Mean()(values), expected, rtol=1e-5, atol=1e-7)
    np.testing.assert_array_equal(eo.Count()(values)[0], (~np.isnan(values)).all(axis=1).sum(axis=0))


@given(FLOATS)
def test_min_and_max(values):
    np.testing.assert_array_equal(eo.Min()(values), quiet(np.nanmin, values, axis=0))
    np.testing.assert_array_equal(eo.Max()(values), quiet(np.nanmax, values, axis=0))
    np.testing.assert_array_equal(eo.Min()(values), eo.Percentile(0)(values))
    np.testing.assert_array_equal(eo.Max()(values), eo.Percentile(100)(values))


@given(WHOLES)
def test_min_and_max_of_whole_numbers(values):
    missing = np.where(values == 0, np.nan, values)
    for how, of in ((eo.Min(), np.nanmin), (eo.Max(), np.nanmax)):
        expected = np.nan_to_num(quiet(of, missing, axis=0)).astype("uint16")
        np.testing.assert_array_equal(how(values), expected)


CODES = hnp.arrays(
    np.uint16,
    st.tuples(st.integers(1, 14), st.just(2), st.integers(1, 4), st.integers(1, 4)),
    elements=st.one_of(st.just(0), st.integers(0, 65535), st.sampled_from([1, 999, 1000, 1001, 65535])),
)


@given(CODES, st.sampled_from(["float32", "uint16"]), st.sampled_from([0, 1000]), st.sampled_from(REDUCERS))
def test_codes_are_reduced_to_the_same_as_their_values(codes, dtype, bias, how):
    coding = Coding((bias, bias), (10_000.0, 10_000.0), dtype)
    by_codes = reduce_codes(how, codes, coding)
    by_values = how(coding.decode(codes))
    assert by_codes.dtype == by_values.dtype
    if isinstance(how, eo.Mean):
        np.testing.assert_allclose(by_codes, by_values, rtol=1e-5, atol=1e-7)
    else:
        np.testing.assert_array_equal(by_codes, by_values)


def test_a_valid_value_never_becomes_no_data():
    values = np.full((2, 1, 1, 1), 1, "uint16")
    assert eo.Mean()(values)[0, 0, 0] == eo.Median()(values)[0, 0, 0] == 1


@pytest.mark.parametrize("q", [-1, 100.1, float("nan")])
def test_bad_percentile(q):
    with pytest.raises(InputError, match="outside 0 to 100"):
        eo.Percentile(q)


@pytest.mark.parametrize("size", range(1, 20))
def test_network_sorts_every_pattern(size):
    """By the zero-one principle a network that sorts all rows of 0 and 1 sorts everything."""
    count = min(2**size, 4096)
    patterns = (np.arange(count)[:, None] >> np.arange(size) & 1).astype("uint8").T.copy()
    expected = np.sort(patterns, axis=0)
    rows = list(patterns)
    sort_ranks(rows, tuple(range(size)))
    np.testing.assert_array_equal(np.stack(rows), expected)


def test_a_pruned_network_gets_the_wanted_ranks_right():
    values = np.random.default_rng(0).random((24, 500))
    expected = np.sort(values, axis=0)
    rows = list(values.copy())
    sort_ranks(rows, (11, 12))
    np.testing.assert_array_equal(np.stack(rows[11:13]), expected[11:13])
    assert len(comparators(24, (11, 12))) < len(comparators(24, tuple(range(24))))
