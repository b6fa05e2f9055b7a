"""Tallies: what a task has fetched, waited and worked, counted where it happens.

Whoever wants to know opens a tally; what runs for it, in this thread or in helping ones, counts into
it. Where nobody has opened one, counting does nothing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from typing import Any, TypeVar

T = TypeVar("T")

COUNTS = ("bytes", "requests", "retries")
"""What is counted: bytes of files, requests to servers, requests that had to be repeated."""

STAGES = ("waiting", "reading", "masking", "reducing")
"""What seconds are counted of: waiting for servers; decoding and placing pixels; masks; reducers."""


class Tally:
    """Counts of one task."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.thread = threading.get_ident()
        self.found: dict[str, float] = {}

    def add(self, name: str, amount: float) -> None:
        """Count something."""
        with self._lock:
            self.found[name] = self.found.get(name, 0) + amount

    def seconds(self) -> dict[str, float]:
        """Return the seconds of the stages; what was waited for while reading is not reading."""
        found = {name: self.found[name] for name in STAGES if name in self.found}
        if "waiting" in found:
            found["reading"] = max(0.0, found.get("reading", 0.0) - found["waiting"])
        return {name: round(value, 4) for name, value in found.items()}


_OPEN: ContextVar[Tally | None] = ContextVar("eocube-tally", default=None)


@contextmanager
def tallied() -> Iterator[Tally]:
    """Open a tally for what runs within."""
    tally = Tally()
    before = _OPEN.set(tally)
    try:
        yield tally
    finally:
        _OPEN.reset(before)


def note(name: str, amount: float = 1) -> None:
    """Count something into the tally that is open, if one is."""
    tally = _OPEN.get()
    if tally is not None:
        tally.add(name, amount)


@contextmanager
def timed(stage: str) -> Iterator[None]:
    """Count the seconds of what runs within; those of the task's own thread, not of its helpers."""
    began = time.perf_counter()
    try:
        yield
    finally:
        tally = _OPEN.get()
        if tally is not None and tally.thread == threading.get_ident():
            tally.add(stage, time.perf_counter() - began)


def carried(call: Callable[..., T]) -> Callable[..., T]:
    """Return a call that counts into the tally open here, whichever thread makes it; for one call."""
    context = copy_context()

    def run(*args: Any) -> T:
        return context.run(call, *args)

    return run
