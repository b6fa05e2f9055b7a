"""Trying again: how long, how often, after which pause.

What may be over in a moment is tried until the file's patience ends; what another try seldom helps
against, a few times; the rest not at all.
"""

from __future__ import annotations

import os
import random
import threading
import time
from email.utils import parsedate_to_datetime

PATIENCE = 120.0
"""Seconds a file may be in trouble during one read; ``EOCUBE_PATIENCE`` changes it."""

FIRST_PAUSE = 0.05
LONGEST_PAUSE = 8.0
"""Seconds: each pause is twice the one before, less up to a half by chance."""

TRIES = {404: 3, 401: 3, 403: 4, 416: 4}
"""Tries after an answer that is seldom over in a moment; 401 and 403 with a new token."""

WRONG = 6
"""Tries after answers that are no answer: too short, another range, a web page, other bytes."""

SAME = 1
"""How often damaged bytes may come again as they were, before the file is taken to be damaged: zeros, for
instance, are alike however they came about."""

PASSING = frozenset({408, 409, 425, 429})
"""Refusals that pass, as all of 500 and more do."""


class Fault(Exception):  # noqa: N818 - becomes Unreadable when patience ends
    """One try that failed.

    Attributes
    ----------
    status : int
        What the server answered; 0: nothing, or something wrong.
    tries : int, optional
        After how many of its kind to give up; None: when patience ends.
    after : float
        Seconds the server asks to wait (Retry-After).
    """

    def __init__(self, why: str, status: int = 0, *, wrong: bool = False, after: float = 0.0) -> None:
        super().__init__(why)
        self.status, self.after = status, after
        self.tries: int | None = WRONG if wrong else None
        if status in TRIES:
            self.tries = TRIES[status]
        elif 300 <= status < 500 and status not in PASSING:
            self.tries = 1


class Clock:
    """How long a file has been in trouble: the time in which at least one of its requests was failing."""

    def __init__(self, patience: float | None = None) -> None:
        self.patience = _patience() if patience is None else patience
        self._lock = threading.Lock()
        self._failing = 0
        self._since = self._spent = 0.0

    def enter(self, since: float) -> None:
        """Note that a request is failing since then (``time.monotonic``)."""
        with self._lock:
            if not self._failing:
                self._since = since
            self._failing += 1

    def leave(self) -> None:
        """Note that it is over."""
        with self._lock:
            self._failing -= 1
            if not self._failing:
                self._spent += time.monotonic() - self._since

    def left(self) -> float:
        """Return the seconds that are left."""
        with self._lock:
            running = time.monotonic() - self._since if self._failing else 0.0
        return self.patience - self._spent - running


class Attempts:
    """The tries of one request."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.count = 0
        self._counts: dict[int, int] = {}
        self._began = time.monotonic()
        self._failing = False

    def __enter__(self) -> Attempts:
        return self

    def __exit__(self, *_: object) -> None:
        if self._failing:
            self.clock.leave()

    def failed(self, fault: Fault) -> str:
        """Wait until the next try; return why there is none, else nothing."""
        if not self._failing:
            self._failing = True
            self.clock.enter(self._began)
        self.count += 1
        self._counts[fault.status] = self._counts.get(fault.status, 0) + 1
        busy = fault.status or not fault.tries  # else nothing says that it needs a rest
        pause = max(pause_before(self.count) if busy or self.count > 1 else 0.0, fault.after)
        if fault.tries is not None and self._counts[fault.status] >= fault.tries:
            return self._said(fault)
        if pause > self.clock.left():
            asks = f", which asks to wait {fault.after:.0f} s" if fault.after > pause_before(20) else ""
            return f"{self._said(fault)}{asks}"
        time.sleep(pause)
        return ""

    def _said(self, fault: Fault) -> str:
        if self.count == 1:
            return str(fault)
        return f"{fault} ({self.count} tries in {time.monotonic() - self._began:.1f} s)"


def pause_before(attempt: int) -> float:
    """Return seconds to wait before the n-th repetition; the first is 1."""
    full = min(FIRST_PAUSE * 2.0 ** min(attempt - 1, 30), LONGEST_PAUSE)
    return full * random.uniform(0.5, 1.0)  # noqa: S311 - spreads those who wait


def retry_after(said: str | None) -> float:
    """Return the seconds of a Retry-After header: a number or a date; 0 if it says nothing."""
    if not said:
        return 0.0
    try:
        return max(0.0, float(said))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(said).timestamp() - time.time())
    except (TypeError, ValueError):
        return 0.0


def _patience() -> float:
    try:
        return max(0.0, float(os.environ.get("EOCUBE_PATIENCE") or PATIENCE))
    except ValueError:
        return PATIENCE
