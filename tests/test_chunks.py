"""Where blocks are cut: on the lattices of the tiles, one after the other."""

from __future__ import annotations

from collections import Counter
from itertools import accumulate

import numpy as np
import rasterio
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox

import eocube as eo
from eocube import plans
from eocube.chunks import pieces, starts

ORIGINS = st.dictionaries(st.integers(-12_000, 60_000), st.integers(1, 50), max_size=8)


@given(ORIGINS, st.integers(1, 50_000), st.sampled_from([256, 512, 1024, 2048]))
def test_all_is_covered_by_blocks_that_fit(origins, size, chunk):
    kept = starts(Counter(origins), size, chunk)
    found = pieces(size, chunk, kept)
    assert sum(found) == size
    assert all(0 < one <= chunk for one in found)
    edges = {0, *accumulate(found)}
    assert all(start in edges for start in kept[1:] if 0 < start < size)
    assert len(found) <= size // chunk + 2 + len(kept)


@given(ORIGINS.filter(bool), st.integers(1, 50_000))
def test_each_edge_lies_on_the_lattice_that_holds_there(origins, size):
    kept = starts(Counter(origins), size, 1024)
    for edge in [*accumulate(pieces(size, 1024, kept))][:-1]:
        begun = [start for start in kept[1:] if start <= edge] or kept[:1]
        assert (edge - begun[-1]) % 1024 == 0


@given(ORIGINS.filter(bool), st.integers(1, 50_000))
def test_the_lattice_of_most_files_is_among_them(origins, size):
    most = max(origins.values())
    assert any(origins[start] == most for start in starts(Counter(origins), size, 1024))


def test_a_tile_is_a_tile():
    """Without neighbours, or with one that only begins at the grid's end, all is as the tile has it."""
    assert starts(Counter([0, 0]), 10_980, 1024) == (0,)
    assert starts(Counter({0: 5, 10_002: 5}), 10_980, 1024) == (0,)
    assert starts(Counter({0: 5, 10_002: 5}), 20_000, 1024) == (0, 10_002)
    assert starts(Counter({0: 5, 10_002: 5}), 20_000, 4096) == (0,)  # too few of them between
    assert starts(Counter(), 500, 1024) == (0,)
    assert pieces(500, 1024, (0,)) == (500,)


def test_coarser_grids_lie_on_the_lattice_too(small, small_items):
    """Pixels of 20 m on files of 10 m; a corner that is no corner of the files' pixels has none."""
    box = small.grid.extent.boundingbox
    for step, known in ((20, True), (60, True), (35, False)):
        grid = GeoBox.from_bbox(box, resolution=step, anchor="floating")
        plan = eo.plan(small_items, grid, bands=["red"])
        assert bool(plan._origins[0]) is known, step


def test_pixels_do_not_depend_on_where_blocks_are_cut(world, items, monkeypatch, tmp_path):
    """Several tiles beside each other make blocks of uneven sizes: read, masked, reduced and written alike."""
    mask = eo.SCLMask().dilate(metres=60)
    bands = ["red", "nir"]
    whole = eo.composite(eo.load(items, world.grid, bands=bands, mask=mask), eo.Median()).compute()
    monkeypatch.setattr(plans, "starts", lambda *_: (-10, 37, 90))
    plan = eo.plan(items, world.grid, bands=bands, mask=mask, chunk=256)
    assert plan.chunks == ((37, 53, 102), (37, 53, 186))
    best = eo.composite(eo.load(plan), eo.Median())
    assert best.chunks[1:] == plan.chunks
    np.testing.assert_array_equal(best.compute(), whole)
    with eo.progress(plan, bar=False) as run:
        eo.write_cog(best, tmp_path / "best.tif")
    assert (run.report.windows, run.report.total, run.report.again) == (9, 9, 0)
    with rasterio.open(tmp_path / "best.tif") as file:
        np.testing.assert_array_equal(file.read(), whole)
    with eo.progress(plan, bar=False) as run:
        eo.write_zarr(best, tmp_path / "best.zarr")
    assert (run.report.windows, run.report.again) == (9, 0)
    np.testing.assert_array_equal(xr.open_zarr(tmp_path / "best.zarr").eocube.sel(band=bands), whole.sel(band=bands))
    field = {"all": world.grid.extent.buffer(-200)}
    means = [eo.timeseries(one, field, of=eo.ndvi)["mean"] for one in (plan, eo.load(plan))]
    np.testing.assert_allclose(means[0], means[1], rtol=1e-6)
