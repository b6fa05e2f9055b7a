"""One call opens or joins a cluster; leaving the block closes what was opened."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from typing import Any
from urllib.parse import urlsplit

from ..errors import ClusterError, EocubeWarning, InputError
from ..ledgers import remember
from ..runs import size, table_of
from ..watches import join, listening
from ..workers import share_of
from .checks import check_versions, wait_for_workers, workers_of
from .failures import explained
from .kinds import check, joined, local, of_gateway
from .settings import Secrets, Settings, check_preload, credentials_of, settings_of
from .versions import versions_here


class Cluster:
    """An open cluster; made by :func:`cluster`.

    Attributes
    ----------
    client : distributed.Client
        What computes within the block, unless a scheduler is named.
    what : str
        What it is, for people.
    """

    def __init__(self, client: Any, what: str, stack: ExitStack, backend: Any = None) -> None:
        self.client, self.what, self._stack, self._backend = client, what, stack, backend

    @property
    def dashboard(self) -> str:
        """Link of Dask's dashboard; it shows pages where the scheduler has bokeh."""
        own = getattr(self._backend, "dashboard_link", None)
        return str(own or self.client.dashboard_link or "")

    @property
    def workers(self) -> int:
        """Workers that are there now."""
        return len(workers_of(self.client))

    def close(self) -> None:
        """Close what was opened, and leave what was joined as it was."""
        self._stack.close()

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        better = None if error is None else explained(error, self.client, self.what)
        try:
            self.close()
        except Exception:
            if error is None:
                raise
        if better is not None:
            raise better from error

    def lines(self) -> list[tuple[str, str]]:
        """Return what it says of itself: pairs of a word and its meaning."""
        if self.client.status != "running":
            return [("cluster", f"{self.what}, closed")]
        found = list(workers_of(self.client).values())
        threads = sum(each["nthreads"] for each in found)
        memory = sum(each["memory_limit"] or 0 for each in found)
        share = share_of(found)
        each = "" if share is None else f"; about {size(share)} for a task"
        return [
            ("cluster", self.what),
            ("workers", f"{len(found)} with {threads} threads"),
            ("memory", (f"{size(memory)}" if memory else "no limit") + each),
            ("dashboard", self.dashboard or "none"),
        ]

    def __repr__(self) -> str:
        body = "\n".join(f"  {word:<10}{meaning}" for word, meaning in self.lines())
        return f"<eocube.Cluster>\n{body}"

    def _repr_html_(self) -> str:
        return table_of("eocube.Cluster", self.lines())


def cluster(
    workers: int | None = None,
    *,
    memory: int | str | None = None,
    threads: int = 1,
    gateway: Any = None,
    address: Any = None,
    options: Mapping[str, Any] | None = None,
    credentials: bool | Iterable[str] = False,
    preload: Any = None,
    spill: str | os.PathLike[str] | None = None,
    timeout: float = 60.0,
) -> Cluster:
    """Open a cluster on this machine or of a dask-gateway, or join one; a context manager.

    Within the block all that Dask computes runs there. Workers, also those that come later, are told
    how files are read (GDAL's and eocube's settings in this process's environment) and checked for
    their versions.

    Parameters
    ----------
    workers : int, optional
        Processes on this machine (default: one per core and thread), or workers to ask a gateway
        for (default: 2).
    memory : int or str, optional
        What each process on this machine may take, ``"4GB"``. Default: an equal share of all.
    threads : int
        Tasks beside each other in a process on this machine.
    gateway : str, True or dask_gateway.Gateway, optional
        Address; True for the one of Dask's configuration, as Pangeo's and the Planetary Computer's
        hubs have it. Needs the extra ``gateway``.
    address : str or distributed.Client, optional
        Of a running scheduler, ``"tcp://..."``; or a client of any kind of cluster (Coiled,
        dask-jobqueue ...). It is joined, and not closed.
    options : mapping, optional
        Of the gateway's cluster, by the names it knows.
    credentials : bool or iterable of str
        Whether the environment's credentials travel to the workers: all that are known
        (``eocube.clusters.settings.CREDENTIALS``), or the variables that are named.
    preload : mask or callable, optional
        Applied once in each worker before the first task, so that its model is there.
    spill : path, optional
        Folder on this machine where results go that do not fit into memory.
    timeout : float
        Seconds to wait for the scheduler and the first worker.

    Returns
    -------
    Cluster
        Shows workers, memory and the dashboard's link.

    Raises
    ------
    ClusterError
        If it cannot be reached, refuses, no worker comes in time, or versions differ. On the way
        out of the block: if workers died or the scheduler was lost.
    InputError
        If the request does not make sense.
    MissingExtraError
        If dask-gateway is needed and not installed.

    Examples
    --------
    >>> import eocube
    >>> world = eocube.sample.cached()
    >>> cube = eocube.load(eocube.search(world.items_path), world.grid, bands=["red"])
    >>> with eocube.cluster(workers=2, memory="2GB") as cluster:  # doctest: +SKIP
    ...     best = eocube.composite(cube, eocube.Median()).compute()
    """
    kinds = [
        name for name, value in (("gateway", gateway), ("address", address)) if value not in (None, False)
    ]
    if len(kinds) > 1:
        raise InputError(
            "Give gateway= or address=, not both: the first opens a cluster, the second joins one."
        )
    kind = kinds[0] if kinds else "local"
    check(
        kind, threads,
        {"workers": workers, "memory": memory, "options": options, "spill": spill}, timeout,
    )  # fmt: skip
    secrets = credentials_of(os.environ, credentials)
    preload = check_preload(preload)
    with ExitStack() as stack:
        if kind == "gateway":
            client, what, backend = of_gateway(stack, gateway, options, workers or 2, timeout)
        elif kind == "address":
            client, what, backend = joined(stack, address, timeout)
        else:
            client, what, backend = local(stack, workers, memory, threads, spill)
        wait_for_workers(client, workers or 0, timeout, what)
        check_versions(client, what)
        plugin = Settings(settings_of(os.environ), Secrets(secrets), preload, versions=versions_here())
        _prepare(stack, client, what, plugin, stays=backend is None)
        join(client)
        stack.enter_context(listening(remember))
        return Cluster(client, what, stack.pop_all(), backend)


def _prepare(stack: ExitStack, client: Any, what: str, plugin: Settings, *, stays: bool) -> None:
    """Register the plugin, and take it away in the end where the cluster goes on."""
    parts = urlsplit(client.scheduler_info(n_workers=0)["address"])
    open_way = parts.scheme == "tcp" and parts.hostname not in ("127.0.0.1", "localhost", "::1")
    if plugin.secrets.values and open_way:
        warnings.warn(
            f"Credentials go to {parts.netloc} unencrypted (tcp): give them to the workers by another "
            "way, or let the cluster use tls.",
            EocubeWarning,
            stacklevel=3,
        )
    try:
        client.register_plugin(plugin, name=plugin.name)
    except Exception as error:
        raise ClusterError(f"The workers of {what} could not be prepared: {error}") from error

    def undo() -> None:
        if client.status == "running":
            client.unregister_worker_plugin(plugin.name)

    if stays:
        stack.callback(undo)
