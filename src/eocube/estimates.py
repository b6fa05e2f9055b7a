"""Estimates: how long a plan will take, what it fetches, and what it costs.

A small model: processor time is a sum of what is counted in the plan, each with a coefficient; time by
the clock is processor time over the cores, or bytes over the bandwidth, whichever is longer, and the
rounds in which a task waits for a server. The coefficients were fitted to measured jobs by
``python -m benchmarks.estimates``; docs/scale.md has its error on jobs it was not fitted to.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .costs import as_bytes, task_bytes
from .counts import Counts, counts_of
from .errors import InputError
from .runs import size, table_of
from .workers import PROCESS, current_client

if TYPE_CHECKING:
    from .plans import Plan

COEFFICIENTS = {"tasks": 0.0199, "decoded": 0.00229, "values": 0.00357, "remote": 0.539}
"""Seconds of one core: per task; per million pixels of values that are decoded; per million values (date,
band, pixel) that are coded and ranked; per GB that comes from servers. Classes, files and what masks spare
move with these and are in them."""

ROUNDS = 4.0
"""How often a task waits for a server in turn: headers and blocks of the mask's files, then of the others."""


@dataclass(frozen=True)
class Estimate:
    """What a plan is expected to take; made by :meth:`eocube.Plan.estimate`.

    Attributes
    ----------
    seconds : float
        By the clock.
    core_seconds : float
        Processor time.
    bytes : float
        Fetched, if no cloud spares anything: what lies under clouds alone is not read.
    requests : int
        To servers; 0 for local files.
    tasks : int
    memory : float
        Bytes of all processes together, one thread each.
    money : float or None
        Core-hours that are paid for (the cores for the whole time), times the price.
    cores : int
    limit : {"cores", "bandwidth", "servers", "tasks"}
        What decides over the time: processor time, bytes, waiting for answers, or that there are
        fewer tasks than cores.
    """

    seconds: float
    core_seconds: float
    bytes: float
    requests: int
    tasks: int
    memory: float
    money: float | None
    cores: int
    limit: str

    def lines(self) -> list[tuple[str, str]]:
        """Return what is shown: pairs of a word and its meaning."""
        hours = self.core_seconds / 3600
        busy = f"{hours:,.1f} core-hours" if hours >= 1 else f"{self.core_seconds:,.1f} core-seconds"
        found = [
            ("time", f"about {_time(self.seconds)} on {self.cores} cores, limited by {self.limit}"),
            ("work", f"{self.tasks:,} tasks, {busy}"),
            ("read", f"up to {size(self.bytes)}, {self.requests:,} requests"),
            ("memory", f"about {size(self.memory)} in all"),
        ]
        return found if self.money is None else [*found, ("money", f"about {self.money:,.2f}")]

    def __repr__(self) -> str:
        body = "\n".join(f"  {word:<10}{meaning}" for word, meaning in self.lines())
        return f"<eocube.Estimate>\n{body}"

    def _repr_html_(self) -> str:
        return table_of("eocube.Estimate", self.lines())


def estimate_of(
    plan: Plan,
    *,
    bandwidth: int | str | None,
    cores: int | None,
    price: float | None,
    latency: float | None,
    reduced: bool,
) -> Estimate:
    """Return the estimate; see :meth:`eocube.Plan.estimate`."""
    count = _cores(cores)
    speed = math.inf if bandwidth is None else float(as_bytes(str(bandwidth).removesuffix("/s")))
    for name, value in (("price", price), ("latency", latency)):
        if value is not None and not (value >= 0 and math.isfinite(value)):
            raise InputError(f"{name}={value!r} is not one: give a number, 0 or more.")
    counts = counts_of(plan, reduced=reduced)
    remote = counts.remote > 0
    wait = (0.03 if remote else 0.0) if latency is None else latency
    work = core_seconds(counts)
    waves = math.ceil(counts.tasks / count)
    parts = {
        "cores": work / counts.tasks * waves,
        "bandwidth": counts.bytes / speed,
        "servers": waves * ROUNDS * wait,
    }
    seconds = max(parts["cores"], parts["bandwidth"]) + parts["servers"]
    limit = max(parts, key=lambda name: parts[name])
    if limit == "cores" and counts.tasks < count:
        limit = "tasks"
    chunk = plan.chunk_reduced if reduced else plan.chunk
    memory = min(count, counts.tasks) * task_bytes(plan, chunk, reduced=reduced) + count * PROCESS
    money = None if price is None else seconds * count / 3600 * price
    requests = counts.requests if remote else 0
    return Estimate(seconds, work, counts.bytes, requests, counts.tasks, memory, money, count, limit)


def core_seconds(counts: Counts) -> float:
    """Return the processor time of what is counted."""
    return sum(factor * float(getattr(counts, name)) for name, factor in COEFFICIENTS.items())


def _cores(cores: int | None) -> int:
    if cores is None:
        client = current_client()
        if client is not None and client.status == "running" and not client.asynchronous:
            return max(1, int(sum(client.nthreads().values())))
        return available_cores()
    if isinstance(cores, bool) or not isinstance(cores, int) or cores < 1:
        raise InputError(f"cores={cores!r} is not a number of cores: give a whole number above 0.")
    return cores


def available_cores() -> int:
    """Return the cores this process may use."""
    import os

    known = getattr(os, "sched_getaffinity", None)
    return len(known(0)) if known else os.cpu_count() or 1


def _time(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:,.1f} s"
    return f"{seconds / 60:,.0f} min" if seconds < 7200 else f"{seconds / 3600:,.1f} h"
