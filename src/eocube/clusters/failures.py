"""What went wrong on a cluster, said so that one knows what to do."""

from __future__ import annotations

from concurrent.futures import CancelledError
from typing import Any

from ..errors import ClusterError, EocubeError
from ..runs import size


def explained(error: BaseException, client: Any, what: str) -> ClusterError | None:
    """Return the error that says it better, or None."""
    from distributed.comm import CommClosedError
    from distributed.scheduler import KilledWorker, NoValidWorkerError, NoWorkerError

    if isinstance(error, EocubeError):
        return None
    if isinstance(error, KilledWorker):
        return _killed(error)
    if isinstance(error, NoValidWorkerError | NoWorkerError):
        return ClusterError(
            f"No worker of {what} is left to do the work: {error}. What was written is whole."
        )
    if isinstance(error, CancelledError | CommClosedError) and _lost(error, client):
        return ClusterError(
            f"The connection to the scheduler of {what} was lost, and what was under way with it. No output "
            "was left half written: run it again."
        )
    return None


def _killed(error: Any) -> ClusterError:
    limit = getattr(error.last_worker, "memory_limit", 0) or 0
    had = f" (the last one had {size(limit)} for {error.last_worker.nthreads} threads)" if limit else ""
    return ClusterError(
        f"{error.allowed_failures + 1} workers died while they ran the same task{had}. Mostly that is "
        "memory: print the plan, which says what a task takes, and plan with a smaller memory=, or give "
        f"workers more or fewer threads. The task: {error.task!r}."
    )


def _lost(error: BaseException, client: Any) -> bool:
    reason = str(getattr(error, "reason", ""))
    return "scheduler" in reason or client.status != "running" or "Scheduler" in str(error)
