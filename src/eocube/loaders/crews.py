"""Sharing the work of one task among the cores that have none.

A cube of a small area is one task, and the last tasks of a large one are few. Threads that decode
are counted over the whole process, and helpers join only while fewer decode than there are cores.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from ..tallies import carried

Calls = Iterator[Callable[[], None]]


def _cores() -> int:
    known = getattr(os, "sched_getaffinity", None)
    return len(known(0)) if known else os.cpu_count() or 1


class _Crew:
    """The threads of this process that decode."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.cores = _cores()
        self.busy = 0
        self.pool: ThreadPoolExecutor | None = None

    def join(self, *, helping: bool) -> bool:
        """Count a thread in; a helper only if a core is idle."""
        with self.lock:
            if helping and self.busy >= self.cores:
                return False
            self.busy += 1
            return True

    def leave(self) -> None:
        """Count a thread out."""
        with self.lock:
            self.busy -= 1

    def crowded(self) -> bool:
        """Say whether a helper should make room."""
        return self.busy > self.cores

    def submit(self, call: Callable[[], None]) -> Future[None]:
        """Run a helper."""
        with self.lock:
            if self.pool is None:
                self.pool = ThreadPoolExecutor(_cores(), thread_name_prefix="eocube-crew")
            return self.pool.submit(carried(call))


_CREW = _Crew()


def _after_fork() -> None:
    global _CREW
    cores = _CREW.cores
    _CREW = _Crew()
    _CREW.cores = cores


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def limit(cores: int) -> None:
    """Say how many threads of this process may decode at once with the help of others."""
    _CREW.cores = max(1, cores)


class _Shared:
    """Calls that several threads take from."""

    def __init__(self, calls: Calls) -> None:
        self.calls = calls
        self.lock = threading.Lock()
        self.over = False

    def take(self) -> Callable[[], None] | None:
        """Return the next call, or None when there are no more or one failed."""
        with self.lock:
            return None if self.over else next(self.calls, None)

    def run(self, call: Callable[[], None]) -> None:
        """Make a call; after one that failed there are no more."""
        try:
            call()
        except BaseException:
            self.over = True
            raise


def spread(calls: Calls) -> None:
    """Make calls, of which none needs another: by this thread, and by helpers while cores are idle.

    Parameters
    ----------
    calls : iterator of callable
        Taken from by one thread at a time.

    Raises
    ------
    Exception
        What the first call that failed raised, after the calls under way have ended.
    """
    crew, shared = _CREW, _Shared(calls)
    helpers: list[Future[None]] = []

    def help_out() -> None:
        try:
            while not crew.crowded() and (call := shared.take()):
                shared.run(call)
        finally:
            crew.leave()

    crew.join(helping=False)
    try:
        while call := shared.take():
            if crew.busy < crew.cores and crew.join(helping=True):
                helpers.append(crew.submit(help_out))
            shared.run(call)
    finally:
        shared.over = True  # also where this thread was interrupted
        crew.leave()
        for helper in helpers:
            if helper.cancel():
                crew.leave()
        failures = [helper.exception() for helper in helpers if not helper.cancelled()]
    for failure in failures:
        if failure is not None:
            raise failure
