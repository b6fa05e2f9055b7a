"""dask-gateway with its local backend: clusters are processes of this machine."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from pathlib import Path

import requests

import eocube

from .processes import answers, folder, free_port, process, tool

CONFIG = """
from dask_gateway_server.options import Float, Integer, Options

c.DaskGateway.backend_class = "dask_gateway_server.backends.local.UnsafeLocalBackend"
c.DaskGateway.address = "127.0.0.1:{own}"
c.Proxy.address = "127.0.0.1:{port}"
c.UnsafeLocalBackend.clusters_directory = "{place}"
c.UnsafeLocalBackend.sigint_timeout = 2
c.UnsafeLocalBackend.cluster_heartbeat_period = 2
c.UnsafeLocalBackend.cluster_heartbeat_timeout = 120
c.UnsafeLocalBackend.cluster_start_timeout = 120
c.UnsafeLocalBackend.worker_start_timeout = 120
c.ClusterConfig.scheduler_cmd = {scheduler}
c.ClusterConfig.worker_cmd = {worker}
c.ClusterConfig.worker_cores = 1
c.ClusterConfig.worker_memory = "2 G"
c.Backend.cluster_options = Options(
    Integer("worker_cores", 1, min=1, max=2), Float("worker_memory", 2.0, min=1, max=4),
    handler=lambda options: {{
        "worker_cores": options.worker_cores, "worker_memory": "%f G" % options.worker_memory
    }},
)
{more}
"""


@contextmanager
def serving(worker=None, more=""):
    """Run a gateway; yields its address. ``worker``: what starts a worker; ``more``: of its configuration."""

    def healthy(url: str) -> bool:
        """Tell whether the gateway answers, not its proxy alone."""
        return answers(url) and requests.get(f"{url}/api/health", timeout=5).ok

    with folder() as place:
        own, port = free_port(), free_port()
        # The clusters run in the environment of the tests, the server in its own.
        paths = [str(Path(eocube.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
        dask = ["env", f"PYTHONPATH={os.pathsep.join(filter(None, paths))}", sys.executable, "-m", "dask"]
        text = CONFIG.format(
            own=own, port=port, place=place, more=more,
            scheduler=[*dask, "scheduler"], worker=worker or [*dask, "worker"],
        )  # fmt: skip
        (place / "config.py").write_text(text)
        url = f"http://127.0.0.1:{port}"
        command = [tool("dask-gateway-server"), "-f", place / "config.py"]
        with process(command, place / "log", lambda: healthy(url), env={"PYTHONPATH": ""}):
            yield url
