"""Kinds of clusters: processes of this machine, a dask-gateway's, one that runs already."""

from __future__ import annotations

import tempfile
from concurrent.futures import TimeoutError as Late
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import dask

from ..costs import as_bytes
from ..errors import ClusterError, InputError
from ..runs import size
from .gateways import in_time, new_cluster, reachable

Opened = tuple[Any, str, Any]
"""A client, what the cluster is called in messages, and what was started for it, if anything."""

_LOCAL = {
    "distributed.scheduler.no-workers-timeout": "5 minutes",
    "distributed.admin.low-level-log-length": 20_000,
    "distributed.admin.tick.interval": "500ms",
    "distributed.worker.profile.interval": "100ms",
}
"""Of processes on this machine, where nobody has set another value: tasks do not wait for ever, more windows
are remembered than 1000, and the clocks by which Dask watches itself, every 20 and 10 ms, go slower: they
take 3 to 5 % of a core in each process."""


def _settings() -> dict[str, Any]:
    """Return those of our settings of which Dask's own default stands."""
    defaults = dask.config.merge(*dask.config.defaults)
    return {
        name: value
        for name, value in _LOCAL.items()
        if dask.config.get(name, None) == dask.config.get(name, None, config=defaults)
    }


def check(kind: str, threads: Any, given: dict[str, Any], timeout: float) -> None:
    """Refuse what does not make sense for a cluster of this kind.

    Raises
    ------
    InputError
        Names what.
    """
    for name, value in (("workers", given["workers"]), ("threads", threads)):
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
            raise InputError(f"{name}={value!r} is not a number of {name}: give a whole number above 0.")
    takes = {
        "local": {"workers", "memory", "spill"}, "gateway": {"workers", "options"}, "address": set()
    }[kind]  # fmt: skip
    wrong = [name for name, value in given.items() if value is not None and name not in takes]
    if wrong or (threads != 1 and kind != "local"):
        names = ", ".join(wrong or ["threads"])
        advice = {
            "local": "it is for gateway=", "gateway": "say it in options=, by the gateway's names",
            "address": "what is joined is as it is",
        }[kind]  # fmt: skip
        raise InputError(f"{names}= is not for a cluster of this kind ({kind}): {advice}.")
    if not timeout > 0:
        raise InputError(f"timeout={timeout!r} is not a time: give seconds above 0.")


def local(stack: ExitStack, workers: int | None, memory: Any, threads: int, spill: Any) -> Opened:
    """Start processes on this machine."""
    from dask.system import CPU_COUNT
    from distributed import Client, LocalCluster
    from distributed.system import MEMORY_LIMIT

    count = workers or max(1, CPU_COUNT // threads)
    each = MEMORY_LIMIT // count if memory is None else as_bytes(memory)
    folder = None if spill is None else str(_writable(Path(spill)))
    with dask.config.set(_settings()):
        try:
            backend = LocalCluster(
                n_workers=count, threads_per_worker=threads, memory_limit=each, local_directory=folder,
                dashboard_address="127.0.0.1:0",
            )  # fmt: skip
        except (OSError, RuntimeError) as error:
            raise ClusterError(f"The workers of this machine did not start: {error}") from error
    stack.enter_context(backend)
    what = f"this machine ({count} x {threads} threads, {size(each)} each)"
    return stack.enter_context(Client(backend)), what, backend


def _writable(folder: Path) -> Path:
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"\0" * 4096)
            file.flush()
    except OSError as error:
        raise InputError(
            f"spill={str(folder)!r}: nothing can be written there ({error.strerror})."
        ) from error
    return folder.resolve()


def of_gateway(stack: ExitStack, gateway: Any, options: Any, workers: int, timeout: float) -> Opened:
    """Start a cluster of a dask-gateway."""
    backend, what = new_cluster(stack, gateway, options, timeout)
    backend.scale(workers)
    try:
        client = stack.enter_context(backend.get_client())
    except OSError as error:
        raise ClusterError(
            f"The scheduler behind the {what} does not answer at {backend.scheduler_address} ({error}). "
            "Where a gateway has an address of its own for schedulers, give gateway=dask_gateway.Gateway("
            "address, proxy_address=...), or set DASK_GATEWAY__PROXY_ADDRESS."
        ) from error
    return client, f"{what}, cluster {backend.name}", backend


def joined(stack: ExitStack, address: Any, timeout: float) -> Opened:
    """Join a cluster that runs."""
    from distributed import Client

    if isinstance(address, Client):
        stack.enter_context(address.as_current())
        return address, f"client of {address.scheduler_info(n_workers=0)['address']}", None
    if not isinstance(address, str):
        raise InputError(f"address={address!r}: give a scheduler's address, 'tcp://host:8786', or a Client.")
    reachable(address if "://" in address else f"tcp://{address}", "address=")
    try:
        # First by a client that is nobody's default: what is no scheduler lets it hang, and Dask would
        # wait for it with all that is computed from then on.
        in_time(lambda: Client(address, timeout=timeout, set_as_default=False).close(), timeout + 1)
        client = Client(address, timeout=timeout)
    except Late:
        raise ClusterError(
            f"The scheduler at {address} (address=) does not answer as one within {timeout:g} s (timeout=)."
        ) from None
    except (OSError, ValueError) as error:
        raise ClusterError(
            f"The scheduler at {address} (address=) does not answer as one: {error}"
        ) from error
    return stack.enter_context(client), f"scheduler {address}", None
