"""Leases: the right to make a cell, and whether its holder is still at work.

A lease is a token in the cell's row, and a beat that its holder counts up while it works. It is broken by
others only if its process is known to be gone, or if its beat has stood still for as long as a lease lasts
*by the watcher's own monotonic clock*. No two clocks are ever compared, so clocks that jump do no harm.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import Any

from ..processes import born, host

LEASE = 60.0
"""Seconds that a beat may stand still before another runner takes the cell."""

HELD: set[str] = set()
"""Tokens of the leases that runners of this process hold."""


@dataclass(frozen=True)
class Lease:
    """The right of one runner to make one cell."""

    cell: str
    token: str
    attempts: int
    relaxed: bool


class Watch:
    """What one watcher has seen of running cells; their rows are those of a ledger.

    Parameters
    ----------
    lease : float
        Seconds.
    """

    def __init__(self, lease: float) -> None:
        self.lease = lease
        self._seen: dict[str, _Seen] = {}

    def gone(self, row: Any) -> bool:
        """Whether the holder of a cell is gone, or stands still for as long as a lease lasts.

        To be asked of all that are running, each time: so the time that a beat stands still is known.
        """
        if row.host == host():
            if row.pid == os.getpid() and row.born == born(row.pid):
                return row.token not in HELD  # this process has given up on it, but could not say so
            if not _lives_here(row):
                return True
        seen = self._seen.get(row.cell)
        if seen is None or seen.token != row.token:
            self._seen[row.cell] = _Seen(row.token, row.beat, row.beat, time.monotonic())
        elif seen.beat != row.beat:
            self._seen[row.cell] = _Seen(row.token, seen.first, row.beat, time.monotonic())
        else:
            return time.monotonic() - seen.since > self.lease
        return False

    def lives(self, row: Any) -> bool:
        """Whether the holder of a cell is at work: its process lives here, or its beat was seen to go on."""
        seen = self._seen.get(row.cell)
        return _lives_here(row) or (seen is not None and seen.goes_on(row))


@dataclass(frozen=True)
class _Seen:
    """What a watcher has seen of a running cell: token, first and last beat, and since when that stands."""

    token: str
    first: int
    beat: int
    since: float

    def goes_on(self, row: Any) -> bool:
        """Whether its beat was seen to go on."""
        return self.token == row.token and self.beat != self.first


def _lives_here(row: Any) -> bool:
    """Whether a process of this machine makes a cell, and is the same that began it."""
    return row.host == host() and bool(born(row.pid) == row.born != 0)
