"""Watches: what each computed window took, brought home from threads and workers.

A window tells what it took when it is done: to whoever listens in its process; from a worker of a
cluster to the scheduler, which hands it to the clients that listen. A record weighs a few hundred
bytes, a window takes tenths of a second, so it is told whether somebody listens or not.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np
import shapely

from .ledgers import this_worker
from .losses import Loss, Losses, Window, as_message, of_message
from .plans import Plan
from .runs import Report
from .tallies import COUNTS, tallied, timed
from .workers import current_client

TOPIC = "eocube-windows"
"""Under which workers tell the scheduler."""

Record = dict[str, Any]


class _Listeners:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.found: list[Callable[[Record], None]] = []
        self.clients: list[Any] = []

    def tell(self, record: Record) -> None:
        """Hand a record to all who listen in this process."""
        for listener in tuple(self.found):
            listener(record)


_LISTENERS = _Listeners()


@contextmanager
def window_told(plan: Plan, token: str, window: Window, *, part: bool) -> Iterator[list[Loss]]:
    """Tell what the reading of a window takes; yields a list for what is lost.

    ``part``: only some windows of the plan will be read, it is not known how many.
    """
    losses: list[Loss] = []
    began = time.perf_counter()
    with tallied() as tally:
        yield losses
    top, bottom, left, right = window
    box = shapely.box(*plan.grid[top:bottom, left:right].extent.boundingbox.bbox)
    seen = [bool(own) for own in plan.touching(box)]
    record: Record = {
        "token": token, "skip": plan.on_error == "skip", "window": list(window),
        "of": 0 if part else _windows(plan, window), "lost": as_message(tuple(losses)),
        "scenes": hex(sum(1 << index for index, own in enumerate(seen) if own)),
        "stages": tally.seconds(), "seconds": round(time.perf_counter() - began, 4), "process": _process(),
    }  # fmt: skip
    _tell(record | {name: tally.found.get(name, 0) for name in COUNTS})


@contextmanager
def reducing() -> Iterator[None]:
    """Tell how long the reducing of a block takes."""
    with tallied() as tally, timed("reducing"):
        yield
    _tell({"stages": tally.seconds()})


def _tell(record: Record) -> None:
    worker = this_worker()
    if worker is None:
        _LISTENERS.tell(record)
    else:
        worker.log_event(TOPIC, record)


@cache
def _process() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_process.cache_clear)


def _windows(plan: Plan, window: Window) -> int:
    """Return how many windows there are of the kind of this one; 0 if it is of none."""
    top, bottom, left, right = window
    for chunk in (plan.chunk_reduced, plan.chunk):
        cut = plan.cut(chunk)
        places = [np.cumsum((0, *sizes)) for sizes in cut]
        if all(
            {a, b} <= set(own.tolist())
            for own, (a, b) in zip(places, ((top, bottom), (left, right)), strict=True)
        ):
            return len(cut[0]) * len(cut[1])
    return 0


class Run:
    """What has been told so far, while something is computed; see :func:`eocube.progress`.

    Attributes
    ----------
    report : Report
        Of what is known now.
    """

    def __init__(self, estimate: Any = None) -> None:
        self.estimate = estimate
        self._lock = threading.Lock()
        self._began = time.monotonic()
        self._ended: float | None = None
        self._windows: dict[tuple[str, Window], tuple[Loss, ...]] = {}
        self._totals: dict[str, int] = {}
        self._scenes: dict[str, int] = {}
        self._stages: dict[str, float] = {}
        self._counts = dict.fromkeys(COUNTS, 0.0)
        self._processes: set[str] = set()
        self._again = 0

    def add(self, record: Record) -> None:
        """Take what a window tells."""
        with self._lock:
            for name, seconds in record["stages"].items():
                self._stages[name] = self._stages.get(name, 0.0) + seconds
            if "window" not in record:
                return
            token, window = record["token"], tuple(record["window"])
            self._again += (token, window) in self._windows
            self._windows[token, window] = of_message(record["lost"])
            self._totals[token] = max(self._totals.get(token, 0), record["of"])
            self._scenes[token] = self._scenes.get(token, 0) | int(record["scenes"], 16)
            self._processes.add(record["process"])
            for name in COUNTS:
                self._counts[name] += record[name]

    def end(self) -> None:
        """Stop the clock."""
        self._ended = time.monotonic()

    @property
    def report(self) -> Report:
        """Return what is known now."""
        with self._lock:
            found = {loss for losses in self._windows.values() for loss in losses}
            ordered = sorted(found, key=lambda loss: (loss.item, loss.asset, loss.window))
            return Report(
                seconds=(self._ended or time.monotonic()) - self._began,
                windows=len(self._windows),
                total=sum(self._totals.values()) if all(self._totals.values()) else 0,
                again=self._again,
                scenes=sum(bits.bit_count() for bits in self._scenes.values()),
                bytes=self._counts["bytes"],
                requests=int(self._counts["requests"]),
                retries=int(self._counts["retries"]),
                stages=dict(self._stages),
                workers=len(self._processes),
                losses=Losses(tuple(ordered), len(self._windows)),
                estimate=self.estimate,
            )

    def __repr__(self) -> str:
        return repr(self.report)

    def _repr_html_(self) -> str:
        return self.report._repr_html_()


@contextmanager
def listening(listener: Callable[[Record], None]) -> Iterator[None]:
    """Call a listener with each record, from threads of this process and from the current cluster."""
    client = current_client()
    with _LISTENERS.lock:
        _LISTENERS.found.append(listener)
    try:
        if client is not None:
            _hear(client)
        yield
    finally:
        with _LISTENERS.lock:
            _LISTENERS.found.remove(listener)
            clients = [] if _LISTENERS.found else _LISTENERS.clients
            _LISTENERS.clients = [] if clients else _LISTENERS.clients
        for one in clients:
            if one.status == "running":
                one.unsubscribe_topic(TOPIC)


def _hear(client: Any) -> None:
    """Let a client hand on what it hears from now on."""
    with _LISTENERS.lock:
        if client not in _LISTENERS.clients:
            _LISTENERS.clients.append(client)
            client.subscribe_topic(TOPIC, lambda event: _LISTENERS.tell(event[1]))


def join(client: Any) -> None:
    """Let a client that was opened while somebody listens hand on what it hears."""
    if _LISTENERS.found:
        _hear(client)
