"""Masks compared: like counting by hand, whatever the chunks."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import eocube as eo
from eocube.comparisons import agreements, judgements
from eocube.errors import GridError, InputError, MaskError

from .test_votes import around, bright

MASKS = {"scl": eo.SCLMask(), "wide": eo.SCLMask().dilate(metres=45), "around": around, "bright": bright}


def truth_of(world):
    return lambda box, scene: world.classes_on(box, scene.time)


@pytest.fixture(scope="module")
def found(small, small_items):
    return eo.compare_masks(small_items, small.grid, MASKS, truth=truth_of(small))


@pytest.fixture(scope="module")
def by_hand(small, small_items):
    """Each mask in a plan of its own: thrown away and seen (time, y, x); and the truth."""
    cubes = {}
    for name, mask in MASKS.items():
        made = eo.plan(small_items, small.grid, bands=["red"], mask=mask)
        cubes[name] = eo.masks_of(made, flags=True).compute(scheduler="sync").values
    seen = np.all([cube != 1 for cube in cubes.values()], axis=0)
    truth = np.stack([small.classes_on(small.grid, scene.time) for scene in made.scenes])
    return {name: cube > 1 for name, cube in cubes.items()}, seen, truth


class TestNumbers:
    def test_clear_shares(self, found, by_hand):
        thrown, seen, _ = by_hand
        np.testing.assert_array_equal(found.observed, seen.sum(axis=(1, 2)))
        for name, own in thrown.items():
            clear = (~own & seen).sum(axis=(1, 2)) / seen.sum(axis=(1, 2))
            np.testing.assert_allclose(found.clear.sel(mask=name), clear)

    def test_agreement(self, found, by_hand):
        thrown, seen, _ = by_hand
        for one in MASKS:
            for other in MASKS:
                same = (thrown[one] == thrown[other])[seen].mean()
                assert float(found.agreement.sel(mask=one, other=other)) == pytest.approx(same)
        assert (np.diagonal(found.kappa) == 1).all()
        assert 0.3 < float(found.kappa.sel(mask="scl", other="wide")) < 1

    @pytest.mark.parametrize(("kind", "codes"), [("cloud", [1]), ("shadow", [2]), ("either", [1, 2])])
    def test_scores(self, found, by_hand, kind, codes):
        thrown, seen, truth = by_hand
        judged = seen & np.isin(truth, [0, *codes])
        true = np.isin(truth, codes)[judged]
        for name, own in thrown.items():
            said = own[judged]
            score = found.sel(mask=name, kind=kind)
            hits = (said & true).sum()
            assert float(score.precision) == pytest.approx(hits / said.sum())
            assert float(score.recall) == pytest.approx(hits / true.sum())
            assert float(score.f1) == pytest.approx(2 * hits / (said.sum() + true.sum()))
            assert float(score.iou) == pytest.approx(hits / (said | true).sum())

    def test_a_faultless_classification_is_right(self, found):
        """SCL is the truth at 20 m here, but for the rims of the tile of the other zone."""
        assert (found.recall.sel(mask="scl") > 0.99).all()
        assert (found.precision.sel(mask="scl", kind="either") > 0.85).all()

    def test_shares_of_the_truth(self, found, by_hand):
        _, seen, truth = by_hand
        share = [((truth == 1) & own).sum() / own.sum() for truth, own in zip(truth, seen, strict=True)]
        np.testing.assert_allclose(found.true.sel(kind="cloud"), share)

    def test_it_is_a_table(self, found):
        table = found[["precision", "recall", "f1", "iou"]].to_dataframe()
        assert len(table) == len(MASKS) * 3
        assert found.definition.sel(mask="wide").item() == "SCLMask().dilate(metres=45)"


@pytest.mark.parametrize("chunk", [31, 64])
def test_chunks_do_not_matter(small, small_items, found, chunk):
    again = eo.compare_masks(small_items, small.grid, MASKS, truth=truth_of(small), chunk=chunk)
    xr.testing.assert_identical(found, again)


def test_an_array_as_truth(small, small_items, found, by_hand):
    cube = eo.load(small_items, small.grid, bands=["scl"])
    truth = cube.sel(band="scl", drop=True).copy(data=by_hand[2].astype(np.int16))
    xr.testing.assert_identical(eo.compare_masks(small_items, small.grid, MASKS, truth=truth, chunk=50), found)
    part = eo.compare_masks(small_items, small.grid, MASKS, truth=truth.isel(time=[1, 3]))
    assert np.isnan(part.true.isel(time=[0, 2, 4])).all()
    unknown = truth.copy(data=np.where(truth == 2, 77, truth.values))
    assert np.isnan(eo.compare_masks(small_items, small.grid, MASKS, truth=unknown).recall.sel(kind="shadow")).all()


def test_without_a_truth(small, small_items, found):
    bare = eo.compare_masks(small_items, small.grid, MASKS)
    xr.testing.assert_identical(bare, found[["observed", "clear", "agreement", "kappa"]])


def test_masks_that_see_the_same_are_read_together(small, small_items):
    from .test_votes import Recorder

    recorder = Recorder()
    masks = {"a": eo.SCLMask(), "b": eo.SCLMask("strict"), "c": eo.SCLMask("cirrus").dilate(metres=60)}
    part = [item for item in small_items if item.datetime.month == 9]
    eo.compare_masks(part, small.grid[:40, 24:64], masks, loader=recorder)
    hrefs = [href for asset, href, _ in recorder.calls if asset == "scl"]
    assert len(hrefs) == len(set(hrefs)) > 0


class TestMistakes:
    def test_another_grid(self, small, small_items):
        cube = eo.load(small_items, small.grid, bands=["scl"]).sel(band="scl", drop=True)
        with pytest.raises(GridError, match=r"The truth lies on another grid .*bring it there first"):
            eo.compare_masks(small_items, small.grid, MASKS, truth=cube.isel(x=slice(1, None)))
        other = eo.load(small_items, eo.grid_for(small.grid.extent, crs="EPSG:3857"), bands=["scl"])
        with pytest.raises(GridError, match="EPSG:3857"):
            eo.compare_masks(small_items, small.grid, MASKS, truth=other.sel(band="scl", drop=True))

    def test_other_dates_dims_and_kinds(self, small, small_items):
        cube = eo.load(small_items, small.grid, bands=["scl"]).sel(band="scl", drop=True)
        late = cube.assign_coords(time=cube.time + np.timedelta64(5000, "D"))
        with pytest.raises(InputError, match="no date of the Scenes"):
            eo.compare_masks(small_items, small.grid, MASKS, truth=late)
        with pytest.raises(InputError, match="has the dims"):
            eo.compare_masks(small_items, small.grid, MASKS, truth=cube.isel(time=0))
        with pytest.raises(InputError, match="as whole numbers, found float32"):
            eo.compare_masks(small_items, small.grid, MASKS, truth=cube.astype("float32"))
        with pytest.raises(InputError, match="neither a DataArray nor a function"):
            eo.compare_masks(small_items, small.grid, MASKS, truth=3)

    def test_a_truth_that_returns_something_else(self, small, small_items):
        for wrong in (np.zeros((2, 2), np.uint8), 3.5):
            with pytest.raises(MaskError, match=r"The truth .* returned .* of shape .*must return whole numbers"):
                eo.compare_masks(small_items, small.grid, MASKS, truth=lambda box, scene, wrong=wrong: wrong)

    def test_no_masks(self, small, small_items):
        for wrong in ({}, eo.SCLMask(), [eo.SCLMask()]):
            with pytest.raises(MaskError, match="masks by name"):
                eo.compare_masks(small_items, small.grid, wrong)
        with pytest.raises(MaskError, match="not a mask"):
            eo.compare_masks(small_items, small.grid, {"a": 3})


@given(hnp.arrays(bool, (2, 40)))
def test_kappa(pair):
    """Like the usual formula; nothing where both always say the same one thing."""
    one, other = pair
    both = np.array([[one.sum(), (one & other).sum()], [(one & other).sum(), other.sum()]])
    with np.errstate(invalid="ignore"):
        agreement, kappa = agreements(both, 40)
    chance = one.mean() * other.mean() + (1 - one.mean()) * (1 - other.mean())
    assert agreement[0, 1] == pytest.approx((one == other).mean())
    if chance < 1:
        assert kappa[0, 1] == pytest.approx(((one == other).mean() - chance) / (1 - chance))
    else:
        assert np.isnan(kappa[0, 1])


@given(st.lists(st.integers(0, 50), min_size=3, max_size=3), st.lists(st.integers(0, 50), min_size=3, max_size=3))
def test_scores_lie_between_0_and_1(hits, missed):
    totals = np.array(hits) + missed
    with np.errstate(invalid="ignore", divide="ignore"):
        scores = judgements(np.array([hits]), totals)
    for score in scores.values():
        assert ((score >= 0) & (score <= 1) | np.isnan(score)).all()
    assert (np.isnan(scores["f1"]) | (scores["iou"] <= scores["f1"])).all()
