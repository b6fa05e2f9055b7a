"""A real dask-gateway on loopback: the main job from a fresh client, versions, no room."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio
import requests

import eocube as eo
from eocube.clusters.gateways import ended
from eocube.errors import ClusterError, InputError

from .services import gateway, s3

pytestmark = pytest.mark.servers

JOB = """
import sys
import eocube as eo

if __name__ == "__main__":
    items, url, out = sys.argv[1:]
    found = eo.search(items)
    plan = eo.plan(found, eo.grid_for(found), bands=["red", "nir"], mask=eo.SCLMask().dilate(metres=40), chunk={chunk})
    best = eo.composite(eo.load(plan), eo.Median())
    with eo.cluster(2, gateway=url, options={{"worker_memory": 1.5}}) as cluster, eo.progress(plan, bar=False) as run:
        eo.write_cog(best, out)
    assert run.report.workers == 2, run
    assert run.report.windows == run.report.total == best.data.npartitions, run
"""

PAGE = """
import sys
from pathlib import Path
import dask, pytest
from tests import pages

if __name__ == "__main__":
    dask.config.set({"gateway.address": sys.argv[1]})
    with pytest.MonkeyPatch.context() as patch:
        pages.read_here(patch)
        module = pages.run_python(pages.DOCS / "cluster.md", pages.start(), patch, needs="needs a dask-gateway")
    assert type(module.gateway).__name__ == "Gateway"
"""


@pytest.fixture(scope="module")
def url():
    with gateway.serving() as found:
        yield found


def check(items, url, chunk, tmp_path):
    """Run the main job in a process of its own, and compare it with what threads make here."""
    script = tmp_path / "job.py"
    script.write_text(JOB.format(chunk=chunk))
    out = tmp_path / "best.tif"
    done = subprocess.run([sys.executable, script, items, url, out], capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr[-3000:]
    found = eo.search(items)
    mask = eo.SCLMask().dilate(metres=40)
    cube = eo.load(found, eo.grid_for(found), bands=["red", "nir"], mask=mask, chunk=chunk)
    expected = eo.composite(cube, eo.Median()).compute(scheduler="threads")
    with rasterio.open(out) as file:
        np.testing.assert_array_equal(file.read(), expected.values)


def test_the_main_job_from_a_fresh_client(url, world, tmp_path):
    check(world.items_path, url, 64, tmp_path)


@pytest.mark.real
def test_the_main_job_on_real_scenes(url, real, tmp_path):
    check(real / "l2a_33T_2023-08", url, 512, tmp_path)


def test_the_steps_of_the_page(url, tmp_path):
    """docs/cluster.md, in a process of its own, with a bucket: also the blocks that other tests do not run."""
    import xarray as xr

    from .pages import ROOT

    script = tmp_path / "page.py"
    script.write_text(PAGE)
    with s3.serving() as server:
        server.fill("bucket", {}, public=True)
        keys = {**server.environment, **server.user()}
        paths = [str(ROOT), str(Path(eo.__file__).parents[1])]
        env = {**os.environ, **keys, "PYTHONPATH": os.pathsep.join(paths)}
        env.pop("AWS_NO_SIGN_REQUEST", None)
        done = subprocess.run(
            [sys.executable, script, url], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-3000:]
        listed = requests.get(f"{server.url}/bucket?list-type=2", timeout=10).text
    assert "best.zarr/zarr.json" in listed
    assert "best.zarr/eocube/c/" in listed
    files = [xr.open_dataarray(tmp_path / name, engine="rasterio") for name in ("best.tif", "mosaic.tif")]
    assert files[0].shape == files[1].shape
    assert float(files[1].mean()) > 0


def test_an_option_the_gateway_does_not_know(url):
    with pytest.raises(InputError, match=r"knows no option 'worker_memori'\. Did you mean 'worker_memory'"):
        eo.cluster(gateway=url, options={"worker_memori": 2})
    with pytest.raises(InputError, match="does not take it"):
        eo.cluster(gateway=url, options={"worker_cores": "many"})


def test_by_the_configuration_and_no_room_for_workers(monkeypatch):
    """A gateway that starts a scheduler but no worker, as one whose cluster is full."""
    import dask

    with gateway.serving(worker=["sleep", "60"]) as url, dask.config.set({"gateway.address": url}):
        with pytest.raises(ClusterError, match=rf"No worker of gateway {url}, cluster .* came within 20 s \(asked for 1"):
            eo.cluster(1, gateway=True, timeout=20)
        from dask_gateway import Gateway

        asked = Gateway()
        assert asked.list_clusters() == []  # nothing is left behind
        ended(asked)
