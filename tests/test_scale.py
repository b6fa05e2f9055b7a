"""Country-sized plans: without a pixel, in little memory; and what they are estimated to take."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import pairwise

import dask
import numpy as np
import pytest
from benchmarks.metadata import item, outline_of, region, region_items
from dask._task_spec import Alias, DataNode
from hypothesis import given, settings
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox

import eocube as eo
from eocube.costs import task_bytes
from eocube.counts import BLOCK, counts_of
from eocube.errors import InputError
from eocube.estimates import COEFFICIENTS, core_seconds
from eocube.tiles import tile_grid

BANDS = ["blue", "green", "red", "nir"]


@pytest.fixture(scope="module")
def country(tmp_path_factory):
    """600 km x 400 km at 10 m, two months, two UTM zones: the job that failed on 400 cores elsewhere."""
    path = region_items(tmp_path_factory.mktemp("items"))
    records = json.loads(path.read_text())["features"]
    return records, eo.plan(records, region(), bands=BANDS, mask=eo.SCLMask())


def test_a_country_is_one_task_per_chunk(country):
    records, plan = country
    assert len(records) > 1000
    assert set(Counter(record["properties"]["proj:epsg"] for record in records)) == {32631, 32632}
    best = eo.composite(eo.load(plan), eo.Median())
    (optimised,) = dask.optimize(best)
    graph = dict(optimised.__dask_graph__())
    tasks = [task for task in graph.values() if not isinstance(task, Alias | DataNode)]
    assert best.shape == (5, 40_000, 60_000)
    assert len(tasks) == best.data.npartitions == 40 * 60
    assert task_bytes(plan, plan.chunk_reduced, reduced=True) < 1e9


def test_a_chunk_knows_its_own_granules_alone(country):
    _, plan = country
    every = sum(len(own) for own in plan.used)
    corner = plan.grid[:1024, :1024].extent.geom
    seen = [granule for own in plan.touching(corner) for granule in own]
    assert 0 < len(seen) < every / 5
    assert len({granule.grid.crs for granule in seen}) == 2  # the seam of the zones runs there


def test_tiles_beside_each_other_are_read_once(country):
    """Tiles lie 10,000 px apart, which is no multiple of their blocks: chunks begin anew with each."""
    records = [record for record in country[0] if record["properties"]["proj:epsg"] == 32632]
    grid = region()[5000:25_000, 31_000:52_000]
    plan = eo.plan(records, grid, bands=["red"])
    seen = grid.extent.geom
    pixels = sum(o.intersection(seen).area for own in plan.outlines for o in own) / 1e8
    found = counts_of(plan)
    assert pixels < found.decoded < 1.5 * pixels  # blocks that are cut by the rim of the grid, by overlaps
    shifted = eo.plan(records, grid, bands=["red"], chunk=1000)
    assert counts_of(shifted).decoded > 4 * pixels


def test_a_country_is_estimated(country):
    _, plan = country
    found = plan.estimate(cores=100, bandwidth="1GB/s", price=0.05)
    assert found.tasks == 2400
    assert found.bytes == plan.cost.read_bytes
    assert found.requests > 2400
    assert found.money == pytest.approx(found.seconds * 100 / 3600 * 0.05)
    assert found.limit == "bandwidth"
    assert found.seconds >= found.bytes / 1e9
    for words in ("on 100 cores, limited by bandwidth", "2,400 tasks", "requests", "money"):
        assert words in repr(found)
        assert words in found._repr_html_()
    assert plan.estimate(cores=100).limit in ("cores", "servers")
    assert plan.estimate(cores=100, latency=30.0).limit == "servers"
    times = [plan.estimate(cores=cores).seconds for cores in (1, 10, 100, 1000)]
    assert times == sorted(times, reverse=True)
    assert plan.estimate(cores=10, reduced=False).memory > plan.estimate(cores=10).memory


def test_more_cores_than_tasks(small, small_items):
    plan = eo.plan(small_items, small.grid, bands=["red"])
    found = plan.estimate(cores=50)
    assert found.limit == "tasks"
    assert found.requests == 0  # local files
    assert plan.estimate().cores >= 1


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"cores": 0}, "cores=0 is not a number of cores"),
        ({"price": -1.0}, "price=-1.0 is not one"),
        ({"latency": float("nan")}, "latency=nan is not one"),
        ({"bandwidth": "fast"}, "is not a size"),
    ],
)
def test_bad_input(small, small_items, options, says):
    plan = eo.plan(small_items, small.grid, bands=["red"])
    with pytest.raises(InputError, match=says):
        plan.estimate(**options)


def records_of(tile, dates):
    grid_of = partial(tile_grid, tile)
    start = datetime(2023, 6, 1, 10, 40, 31, tzinfo=UTC)
    outline = outline_of(grid_of(10))
    return [
        item(f"S2A_{n}", start + timedelta(days=n), "A", tile, outline, grid_of, f"https://example.com/{n}/")
        for n in range(dates)
    ]


@settings(max_examples=15)
@given(
    top=st.integers(0, 8000), left=st.integers(0, 8000), rows=st.integers(1, 3000), columns=st.integers(1, 3000),
    chunk=st.sampled_from([256, 512, 1024]),
)  # fmt: skip
def test_blocks_are_counted_as_a_reader_meets_them(top, left, rows, columns, chunk):
    """Against a loop over chunks and bands: which blocks of a file lie under each."""
    tile = tile_grid("31UFR")
    plan = eo.plan(
        records_of("31UFR", 2), tile[top : top + rows, left : left + columns], bands=["red"], mask=eo.SCLMask(), chunk=chunk
    )
    found = counts_of(plan)
    cut = [np.cumsum((0, *sizes)) for sizes in plan.cut(plan.chunk_reduced)]
    decoded = classes = files = 0
    for y0, y1 in zip(cut[0][:-1], cut[0][1:], strict=True):
        for x0, x1 in zip(cut[1][:-1], cut[1][1:], strict=True):
            for step, size in ((1, 10980), (2, 5490)):
                spans = []
                for first, last, offset in ((y0, y1, top), (x0, x1, left)):
                    low = (first + offset) // step // BLOCK
                    high = -(-(last + offset) // step) if step == 2 else last + offset
                    high = min(-(-high // BLOCK) * BLOCK, size)
                    spans.append(high - low * BLOCK)
                pixels = spans[0] * spans[1]
                decoded += 2 * pixels * (step == 1)
                classes += 2 * pixels * (step == 2)
                files += 2
    assert found.files == files
    assert found.decoded == pytest.approx(decoded / 1e6)
    assert found.classes == pytest.approx(classes / 1e6, rel=1e-6)
    assert found.values == pytest.approx(2 * plan.grid.shape[0] * plan.grid.shape[1] / 1e6)


def test_classes_are_never_counted_as_overviews():
    """A band of 20 m and SCL share a grid: the one has overviews that serve, the other's do not."""
    grid = tile_grid("31UFR")
    grid = GeoBox((1000, 1000), grid.affine * grid.affine.scale(8), grid.crs)
    records = records_of("31UFR", 2)
    for record in records:
        record["assets"]["swir16"] = {**record["assets"]["scl"], "href": "https://example.com/swir16.tif"}
    alone = [counts_of(eo.plan(records, grid, bands=[band])) for band in ("swir16", "scl")]
    both = counts_of(eo.plan(records, grid, bands=["swir16"], mask=eo.SCLMask()))
    assert both.bytes == pytest.approx(sum(one.bytes for one in alone))
    assert both.classes > 3 * both.decoded


def test_files_in_another_zone_are_not_taken_to_be_aligned():
    """Their blocks lie anywhere under the chunks: against the blocks that each chunk's outline meets."""
    tile = tile_grid("31UFR")
    centre = tile[4000:7000, 4000:7000].to_crs("EPSG:32632")
    grid = GeoBox.from_bbox(centre.extent.boundingbox, resolution=10)
    plan = eo.plan(records_of("31UFR", 1), grid, bands=["red"], chunk=1024)
    met = 0
    rows, columns = (np.cumsum((0, *sizes)) for sizes in plan.chunks)
    for top, bottom in pairwise(rows):
        for left, right in pairwise(columns):
            window = plan.grid[top:bottom, left:right].extent.to_crs(tile.crs).geom
            for y, x in np.ndindex(-(-10_980 // BLOCK), -(-10_980 // BLOCK)):
                block = tile[y * BLOCK : (y + 1) * BLOCK, x * BLOCK : (x + 1) * BLOCK]
                met += block.extent.geom.intersects(window) * int(np.prod(block.shape))
    assert counts_of(plan).decoded == pytest.approx(met / 1e6, rel=0.35)


def test_the_model_counts_what_it_has_coefficients_for(small, small_items):
    counts = counts_of(eo.plan(small_items, small.grid, bands=["red"], mask=eo.SCLMask()))
    assert set(COEFFICIENTS) <= set(vars(counts))
    assert core_seconds(counts) > 0


def test_no_more_of_a_file_is_counted_than_there_is(small, small_items):
    """Files smaller than a block; half of them in another UTM zone, where it is not known how they lie."""
    plan = eo.plan(small_items, small.grid, bands=["red", "nir"], chunk=32)
    found = counts_of(plan)
    assert len({source.grid.crs for scene in plan.scenes for g in scene.granules for source in g.sources.values()}) == 2
    assert found.decoded <= found.files * small.size**2 / 1e6 + 1e-9
