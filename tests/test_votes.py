"""Masks that vote: like counting by hand; bands read once, with a rim for the mask's alone."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import eocube as eo
from eocube.errors import MaskError
from eocube.loaders.base import loader_named
from eocube.masks.algebra import apply, need

from .test_masks import pixels

CLASSES = ("shadow", "cloud_medium", "cloud_high", "cirrus", "snow")


@eo.mask(bands=["blue"], resolution=20)
def bright(px):
    return px["blue"] > 0.2


@eo.mask(bands=["blue", "scl"], reach=70, resolution=20)
def around(px):
    from scipy.ndimage import uniform_filter

    return uniform_filter(np.nan_to_num(px["blue"]).astype("float64"), 7) > 0.2


@given(
    scl=hnp.arrays(np.uint8, (6, 7), elements=st.integers(0, 11)),
    parts=st.lists(st.sets(st.sampled_from(CLASSES), min_size=1), min_size=1, max_size=6),
    at_least=st.integers(1, 6),
)
def test_as_counted_by_hand(scl, parts, at_least):
    at_least = min(at_least, len(parts))
    masks = [eo.SCLMask(*sorted(own)) for own in parts]
    px = pixels(scl=scl)
    votes = np.sum([apply(own, px) for own in masks], axis=0)
    np.testing.assert_array_equal(apply(eo.vote(*masks, at_least=at_least), px), votes >= at_least)


def test_ends_are_union_and_intersection():
    px = pixels(scl=np.arange(12).reshape(3, 4))
    a, b, c = eo.SCLMask("shadow", "cirrus"), eo.SCLMask("strict"), ~eo.SCLMask("cirrus")
    np.testing.assert_array_equal(apply(eo.vote(a, b, c, at_least=1), px), apply(a | b | c, px))
    np.testing.assert_array_equal(apply(eo.vote(a, b, c, at_least=3), px), apply(a & b & c, px))


def test_needs_are_united():
    joined = eo.vote(eo.SCLMask(), bright, around.dilate(metres=30), at_least=2)
    assert need(joined) == (("scl", "blue"), 100.0, 20.0)
    assert repr(joined) == "vote(SCLMask(), bright, around.dilate(metres=30), at_least=2)"


@pytest.mark.parametrize("at_least", [0, 4, -1, 1.5, True, None, "2"])
def test_bad_numbers(at_least):
    with pytest.raises(MaskError, match=r"vote\(at_least=.*\) of 3 masks"):
        eo.vote(bright, bright, eo.SCLMask(), at_least=at_least)


def test_bad_masks():
    with pytest.raises(MaskError, match="of 0 masks"):
        eo.vote(at_least=1)
    with pytest.raises(MaskError, match=r"with its brackets"):
        eo.vote(eo.SCLMask, bright)
    with pytest.raises(MaskError, match="not a mask"):
        eo.vote(lambda px: px["blue"] > 1, bright)


@dataclass(frozen=True)
class Recorder:
    """A loader that notes what it is asked for."""

    calls: list = field(default_factory=list, compare=False)

    def __call__(self, sources, geobox, wanted=None):
        self.calls.extend((source.asset, source.href, geobox) for source in sources if source.href)
        return loader_named("cog")(sources, geobox, wanted)


def test_each_file_is_read_once_and_only_masks_have_a_rim(small, small_items):
    bad = eo.vote(eo.SCLMask().dilate(metres=60), bright, around | eo.SCLMask("strict"), at_least=2)
    recorder = Recorder()
    grid = small.grid[10:58, 12:76]
    plan = eo.plan(
        small_items, grid, bands=["red", "nir"], mask=bad, chunk=64, loader=recorder, verify_offset=False
    )
    eo.load(plan).compute(scheduler="sync")
    counts = Counter(href for _, href, _ in recorder.calls)
    assert set(counts.values()) == {1}
    assert {asset for asset, _, _ in recorder.calls} == {"scl", "blue", "red", "nir"}
    rim = 70 / 20
    for asset, _, geobox in recorder.calls:
        if asset in ("red", "nir"):
            assert geobox == grid
        else:
            assert geobox.resolution.x == 20
            inner, outer = grid.extent.boundingbox, geobox.extent.boundingbox
            assert 0 < inner.left - outer.left <= (rim + 1) * 20
            assert inner.left - outer.left >= 70
            assert 70 <= outer.top - inner.top <= (rim + 1) * 20
