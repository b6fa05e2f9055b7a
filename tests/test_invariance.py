"""Any order of Items, any chunk, any split of the area gives the same mosaic."""

from __future__ import annotations

import os
from functools import lru_cache

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import eocube as eo


@eo.mask(bands=["blue", "scl"], reach=70, resolution=20)
def smooth(px):
    """A mask that looks around itself: bright on average within 60 m."""
    from scipy.ndimage import uniform_filter

    side = 2 * int(60 // px.resolution) + 1  # in metres, as its reach: on a coarse grid a pixel is larger
    return uniform_filter(np.nan_to_num(px["blue"]).astype("float64"), side) > 0.2


MASKS = {
    "scl": eo.SCLMask(),
    "dilated": eo.SCLMask().dilate(metres=75),
    "looks around": (smooth | eo.SCLMask("cirrus")).dilate(metres=30),
    "shadows": eo.SCLMask() | eo.ProjectedShadow(of=eo.SCLMask(), distance=600),
    "recipe": eo.ProjectedShadow(of=eo.SCLMask("cloud_high", cleanup=(20, 60)), preset="gee", distance=300),
    "vote": eo.vote(eo.SCLMask("strict"), smooth, eo.SCLMask().dilate(metres=45), at_least=2),
    "joined": (eo.SCLMask() & ~eo.SCLMask("shadow")).dilate(metres=20),
}
GRIDS = {
    "own zone": ("utm", 10),
    "off the lattice": ("utm", 17),
    "coarse": ("utm", 40),
    "other zone": ("EPSG:32632", 10),
    "web mercator": ("EPSG:3857", 20),
    "degrees": ("EPSG:4326", 0.00015),
}


EXAMPLES = int(os.environ.get("EOCUBE_EXAMPLES", "25"))


def mosaic(items, grid, mask, **options):
    cube = eo.load(items, grid, bands=["red", "nir"], mask=MASKS[mask], **options)
    return eo.composite(cube, eo.Median()).compute(scheduler="sync").values


@pytest.fixture(scope="module")
def grids(small):
    area = eo.area(small.grid.extent)
    return {name: eo.grid_for(area, crs=crs, resolution=size) for name, (crs, size) in GRIDS.items()}


@pytest.fixture(scope="module")
def expected(small_items, grids):
    """The mosaic in one piece, made once for each grid and mask."""
    return lru_cache(lambda grid, mask: mosaic(small_items, grids[grid], mask))


@settings(max_examples=EXAMPLES)
@given(
    grid=st.sampled_from(list(GRIDS)),
    mask=st.sampled_from(list(MASKS)),
    chunk=st.integers(24, 120),
    seed=st.integers(0, 99),
)
def test_chunks_and_order(small_items, grids, expected, grid, mask, chunk, seed):
    order = np.random.default_rng(seed).permutation(len(small_items))
    shuffled = [small_items[int(index)] for index in order]
    found = mosaic(shuffled, grids[grid], mask, chunk=chunk)
    np.testing.assert_array_equal(found, expected(grid, mask))


@settings(max_examples=EXAMPLES)
@example(grid="own zone", mask="dilated", share=0.203125, across=True)  # a granule only in the rim
@example(grid="coarse", mask="vote", share=0.5, across=False)
@given(
    grid=st.sampled_from(list(GRIDS)),
    mask=st.sampled_from(list(MASKS)),
    share=st.floats(0.1, 0.9),
    across=st.booleans(),
)
def test_splits_of_the_area(small_items, grids, expected, grid, mask, share, across):
    whole = grids[grid]
    rows, columns = whole.shape
    if across:
        cut = max(1, int(columns * share))
        parts, axis = [whole[:, :cut], whole[:, cut:columns]], 2
    else:
        cut = max(1, int(rows * share))
        parts, axis = [whole[:cut, :], whole[cut:rows, :]], 1
    found = np.concatenate([mosaic(small_items, part, mask) for part in parts], axis=axis)
    np.testing.assert_array_equal(found, expected(grid, mask))


def test_the_rim_is_read_from_beyond_the_grid(world, items):
    """A cloud just outside the grid dilates into it."""
    grid = world.grid
    mask = eo.SCLMask("cloud_high", "cloud_medium").dilate(metres=200)
    whole = eo.load(items, grid, bands=["red"], mask=mask).compute(scheduler="sync").values
    inner = eo.load(items, grid[60:100, 60:100], bands=["red"], mask=mask).compute(scheduler="sync").values
    np.testing.assert_array_equal(inner, whole[:, :, 60:100, 60:100])
    bare = eo.load(items, grid[60:100, 60:100], bands=["red"], mask=mask.of).compute(scheduler="sync").values
    assert np.isnan(inner).sum() > np.isnan(bare).sum()
