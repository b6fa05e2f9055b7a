"""One real Dask task per output chunk, from the file to the composite."""

from __future__ import annotations

import dask
import numpy as np
import pytest
from dask._task_spec import Alias, DataNode

import eocube as eo


def graph_of(array) -> dict:
    (optimised,) = dask.optimize(array)
    return dict(optimised.__dask_graph__())


def real_tasks(graph: dict) -> list:
    """Tasks that do something: neither an alias nor the shared plan."""
    return [
        key
        for key, task in graph.items()
        if not isinstance(task, Alias | DataNode) and "eocube-plan" not in str(key)
    ]


@pytest.fixture
def cube(small, small_items):
    bad = eo.SCLMask().dilate(metres=60)
    return eo.load(small_items, small.grid, bands=["red", "nir"], mask=bad, chunk=32)


@pytest.mark.parametrize(
    "make",
    [
        lambda cube: cube,
        lambda cube: eo.composite(cube, eo.Median()),
        lambda cube: eo.composite(cube, [eo.Median(), eo.Percentile(10)]),
        lambda cube: eo.composite(cube, eo.Median(), count=False),
        lambda cube: eo.composite(cube.pipe(eo.ndvi), eo.Max()),
        lambda cube: eo.composite(cube, eo.Median(), by="QS"),
        lambda cube: cube.median("time"),
        lambda cube: eo.composite(cube, eo.Median()).sel(band="nir") * 2,
    ],
    ids=["cube", "median", "two reducers", "bare", "of an index", "seasons", "plain xarray", "and on"],
)
def test_one_task_per_chunk(cube, make):
    result = make(cube)
    assert len(real_tasks(graph_of(result.data))) == cube.data.npartitions > 4


def test_a_task_is_small_and_the_plan_is_shared(cube):
    import cloudpickle

    graph = graph_of(eo.composite(cube, eo.Median()).data)
    shared = [key for key in graph if "eocube-plan" in str(key)]
    assert len(shared) == 1
    sizes = [len(cloudpickle.dumps(graph[key])) for key in real_tasks(graph)]
    assert max(sizes) < 3_000


def test_threads_and_two_processes_give_the_same_bits(cube):
    from distributed import Client, LocalCluster, get_task_stream, wait

    best = eo.composite(cube, eo.Median())
    here = best.compute(scheduler="threads")
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        with get_task_stream(client) as stream:
            kept = client.persist(best.data)
            wait(kept, timeout=120)
        there = kept.compute()
    # Besides: the shared plan, and aliases under the names that persist gives.
    ran = [record["key"] for record in stream.data if str(record["key"][0]).startswith("composite")]
    np.testing.assert_array_equal(here.values, there)
    assert len(ran) == cube.data.npartitions
    assert len({record["worker"] for record in stream.data}) == 2


def test_the_graph_does_not_depend_on_the_run(small, small_items):
    first = eo.load(small_items, small.grid, bands=["red"])
    again = eo.load(small_items, small.grid, bands=["red"])
    other = eo.load(small_items, small.grid, bands=["nir"])
    assert first.data.name == again.data.name != other.data.name


def test_two_functions_of_one_name_have_two_names_in_the_graph(small, small_items):
    def make(limit):
        @eo.mask(bands=["blue"])
        def bright(px):
            return px["blue"] > limit

        return eo.load(small_items, small.grid, bands=["red"], mask=bright)

    low, high = make(0.05), make(0.9)
    assert low.data.name != high.data.name
    assert np.isnan(low).sum() > np.isnan(high).sum()


def test_a_composite_may_take_larger_blocks(small, small_items):
    sizes = {}
    for memory in ("2GB", "2MB"):
        made = eo.plan(small_items, small.grid, bands=["red", "nir"], mask=eo.SCLMask(), memory=memory)
        best = eo.composite(eo.load(made), eo.Median())
        sizes[memory] = best
        assert best.data.numblocks[1:] == tuple(len(own) for own in made.cut(made.chunk_reduced))
        assert len(real_tasks(graph_of(best.data))) == best.data.npartitions
    assert made.chunk < made.chunk_reduced
    assert "; composites " in repr(made)
    plain = eo.load(made).median("time").compute()
    np.testing.assert_array_equal(sizes["2MB"].compute(), sizes["2GB"].compute())
    np.testing.assert_array_equal(sizes["2MB"].sel(band=["red", "nir"]).compute(), plain)
    fixed = eo.plan(small_items, small.grid, bands=["red"], chunk=32)
    assert fixed.chunk == fixed.chunk_reduced == 32
