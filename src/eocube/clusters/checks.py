"""Before a job: whether there are workers, and whether they fit."""

from __future__ import annotations

import logging
import sys
import time
from contextlib import nullcontext
from typing import Any

from ..errors import ClusterError
from . import versions

log = logging.getLogger(__name__)


def wait_for_workers(client: Any, wanted: int, timeout: float, what: str) -> int:
    """Wait until there is a worker, and show that; return how many there are.

    Raises
    ------
    ClusterError
        If none has come when the time is over.
    """
    end = time.monotonic() + timeout
    with _status(f"waiting for workers of {what}, up to {timeout:g} s"):
        while True:
            count = len(workers_of(client))
            if count:
                if count < wanted:
                    log.info(
                        "%d of %d workers of %s are there; the others may join later", count, wanted, what
                    )
                return count
            if time.monotonic() >= end:
                asked = f"asked for {wanted}; " if wanted else ""
                raise ClusterError(
                    f"No worker of {what} came within {timeout:g} s ({asked}timeout={timeout:g}). Perhaps "
                    "there is no room for them: ask for fewer or smaller ones, or wait longer with timeout=."
                )
            time.sleep(0.1)


def _status(text: str) -> Any:
    log.info(text)
    if not sys.stderr.isatty():
        return nullcontext()
    from rich.console import Console

    return Console(stderr=True).status(text)


def workers_of(client: Any) -> dict[str, Any]:
    """Return what the scheduler says of its workers, by address."""
    found: dict[str, Any] = client.scheduler_info(n_workers=-1)["workers"]
    return found


def check_versions(client: Any, what: str) -> None:
    """Compare the versions of client, scheduler and workers.

    Raises
    ------
    ClusterError
        If they do not fit; says who has what.
    """
    import cloudpickle

    cloudpickle.register_pickle_by_value(versions)  # so that it runs where eocube is not installed
    try:
        own = versions.versions_here()
        theirs = {"the scheduler": client.run_on_scheduler(versions.versions_here)}
        every = client.run(versions.versions_here, on_error="return")
        # A worker that has just gone answers with an error; if it comes back, the plugin looks at it.
        theirs |= {f"worker {at}": said for at, said in every.items() if isinstance(said, dict)}
    finally:
        cloudpickle.unregister_pickle_by_value(versions)
    wrong: dict[str, list[str]] = {}
    for who, said in theirs.items():
        lines = "; ".join(versions.mismatches(own, said))
        if lines:
            wrong.setdefault(lines, []).append(who)
    if wrong:
        told = ". ".join(f"{_several(who)}: {lines}" for lines, who in wrong.items())
        raise ClusterError(
            f"The cluster does not fit this process ({what}). {told}. "
            "Install the same versions in both places."
        )


def _several(who: list[str]) -> str:
    return who[0] if len(who) == 1 else f"{who[0]} and {len(who) - 1} more"
