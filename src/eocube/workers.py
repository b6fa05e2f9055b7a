"""Workers: what memory a task may take where it will run, if a cluster's client is open.

Asks the client that is there, if Dask's distributed has been imported at all, and imports nothing.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from .errors import MemoryWarning

if TYPE_CHECKING:
    from .plans import Plan

PROCESS = 200e6
"""Bytes of a worker that does nothing: the interpreter and the libraries; 150 to 200 MB were measured."""

USABLE = 0.8
"""Of its limit; there Dask pauses a worker (``distributed.worker.memory.pause``)."""


def current_client() -> Any:
    """Return the client that computes what is computed now, or None."""
    distributed = sys.modules.get("distributed")
    if distributed is None or not hasattr(distributed, "default_client"):
        return None
    try:
        return distributed.default_client()
    except ValueError:
        return None


def share_of(workers: Iterable[Mapping[str, Any]]) -> float | None:
    """Return the bytes that a task may take on the smallest worker; None without a limit."""
    shares = [
        max(0.0, USABLE * worker["memory_limit"] - PROCESS) / max(1, worker["nthreads"])
        for worker in workers
        if worker.get("memory_limit")
    ]
    return min(shares, default=None)


def task_memory() -> float | None:
    """Return the bytes a task may take on the workers of the current client; None where nothing is known."""
    client = current_client()
    if client is None or client.asynchronous or client.status != "running":
        return None
    try:
        return share_of(client.scheduler_info(n_workers=-1)["workers"].values())
    except (OSError, TypeError):
        return None


def warn_of_memory(plan: Plan, *, cube: bool = True, reduced: bool = True) -> None:
    """Warn if tasks of a plan (its cube, composites) may not fit the workers of the current client."""
    share = task_memory()
    if share is None:
        return
    from .costs import task_bytes

    takes = {
        "cube": task_bytes(plan, plan.chunk) if cube else 0.0,
        "composite": task_bytes(plan, plan.chunk_reduced, reduced=True) if reduced else 0.0,
    }
    large = [name for name, size in takes.items() if size > share]
    if large:
        warnings.warn(
            f"A task of the {' and of the '.join(large)} may take {max(takes.values()) / 1e6:,.0f} MB, a "
            f"worker of this cluster has about {share / 1e6:,.0f} MB for one: plan with "
            f"memory='{max(1, int(share / 1e6))}MB', or give workers more memory or fewer threads.",
            MemoryWarning,
            stacklevel=3,
        )
