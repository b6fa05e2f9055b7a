"""One run of one variant, in a process of its own: ``python -m benchmarks.child job.json``.

The clock runs around the making of the graph and around the computing, not around imports or the
reading of Items.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import json
import pkgutil
import sys
import time
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import dask
import numpy as np
from dask._task_spec import Alias, DataNode

from .jobs import Job
from .variants import VARIANTS, Finish, Variant

_NOT_USED = ("eocube.__main__", "eocube.cli", "eocube.sample", "eocube.writers", "eocube.loaders.stack")


def main(path: str) -> None:
    """Run the job in a file, write its answer."""
    job = Job.read(path)
    if job.variant == "decode":
        from .decoding import decode

        answer = decode(job)
        job.done.touch()
    else:
        variant = VARIANTS[job.variant]
        preload(job)
        variant.prepare(job)
        answer = graph(job, variant) if job.task in ("graph", "region") else computed(job, variant)
    job.result.write_text(json.dumps(answer))


def preload(job: Job) -> None:
    """Import what would be imported while the clock runs, here or in a worker."""
    variant = VARIANTS[job.variant]
    modules = [*variant.needs, "dask.array", "xarray", "rasterio", "pyproj", "xarray.groupers", "distributed"]
    modules += ["flox.xarray", "exactextract.raster"] * (job.task == "zonal")
    for module in modules:
        with contextlib.suppress(ImportError):
            importlib.import_module(module)
    if "eocube" in variant.needs:
        import eocube

        for found in pkgutil.walk_packages(eocube.__path__, "eocube."):
            if not found.name.startswith(_NOT_USED):
                with contextlib.suppress(ImportError):
                    importlib.import_module(found.name)
        with contextlib.suppress(ImportError, AttributeError):
            import imagecodecs

            _ = imagecodecs.deflate_decode, imagecodecs.delta_decode
            importlib.import_module("obstore.store")


def graph(job: Job, variant: Variant) -> dict[str, Any]:
    """Time the making of the graph and its optimisation (W4, W7); nothing is computed."""
    start = time.perf_counter()
    array, _ = variant.build(job)
    built = time.perf_counter()
    (optimised,) = dask.optimize(array)
    tasks = dict(optimised.__dask_graph__())  # a lazy graph is made here at last
    end = time.perf_counter()
    job.done.touch()
    found: dict[str, Any] = {
        "graph": built - start, "seconds": end - start, "tasks": count_tasks(tasks),
        "chunks": int(np.prod(array.numblocks[-2:])),
    }  # fmt: skip
    if "eocube" in variant.needs:
        found |= _plan_cost(job)
    if job.details and job.task == "graph":
        import cloudpickle

        start = time.perf_counter()
        found["pickled"] = len(cloudpickle.dumps(optimised))
        found["pickle_seconds"] = time.perf_counter() - start
    return found


def _plan_cost(job: Job) -> dict[str, Any]:
    import eocube as eo

    more: dict[str, Any] = {"loader": job.loader} if job.loader else {}
    made = eo.plan(job.pystac_items, job.grid, bands=list(job.bands), mask=eo.SCLMask(), **more)
    return {
        "task_bytes": made.cost.task_bytes, "read_bytes": made.cost.read_bytes, "chunk": made.chunk,
        "scenes": len(made.scenes), "items": len(job.records),
    }  # fmt: skip


def computed(job: Job, variant: Variant) -> dict[str, Any]:
    """Time the making of the graph and the computing."""
    threads = {"num_workers": job.threads} if job.threads else {}
    with _cluster(job), dask.config.set(threads):
        start = time.perf_counter()
        array, finish = variant.build(job)
        built = time.perf_counter()
        before, spent = bytes_read(), time.process_time()
        values = array.compute()
        end, spent = time.perf_counter(), time.process_time() - spent
        fetched = bytes_read()
        job.done.touch()
    found: dict[str, Any] = {"graph": built - start, "seconds": end - built}
    if not job.cluster:
        found["cpu"] = spent
        found["read"] = None if before is None or fetched is None else fetched - before
    return found | _output(job, array, values, finish)


def _output(job: Job, array: Any, values: Any, finish: Finish) -> dict[str, Any]:
    result = np.ascontiguousarray(finish(values))
    result[np.isnan(result)] = np.nan  # one NaN, so that equal arrays have equal hashes
    found: dict[str, Any] = {"hash": hashlib.blake2b(result.tobytes()).hexdigest()[:16]}
    if job.details:
        np.save(job.output, result)
        if dask.is_dask_collection(array):
            (optimised,) = dask.optimize(array)
            found["tasks"] = count_tasks(dict(optimised.__dask_graph__()))
            found["chunks"] = int(np.prod(array.numblocks[-2:]))
    return found


def count_tasks(graph: dict[Any, Any]) -> int:
    """Return how many tasks of an optimised graph do something: not aliases, not plain data."""
    return sum(not isinstance(task, Alias | DataNode) for task in graph.values())


def _cluster(job: Job) -> AbstractContextManager[Any]:
    if not job.cluster:
        return nullcontext()
    from distributed import Client, LocalCluster

    stack = contextlib.ExitStack()
    cluster = stack.enter_context(
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, memory_limit=0)
    )
    client = stack.enter_context(Client(cluster))
    client.run(preload, job)
    return stack


def bytes_read() -> int | None:
    """Return what this process has read so far, cached or not (Linux), else None."""
    try:
        lines = Path("/proc/self/io").read_text().splitlines()
    except OSError:
        return None
    return int(next(line.split()[1] for line in lines if line.startswith("rchar")))


if __name__ == "__main__":
    main(sys.argv[1])
