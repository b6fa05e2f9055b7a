"""Runs: cells taken from the ledger one by one, made, and written down."""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from ..bars import progress
from ..clusters.failures import explained
from ..errors import (
    ArchiveError,
    ClusterError,
    EocubeError,
    MissingExtraError,
    NoItemsError,
    OutputError,
    shorten,
)
from ..workers import current_client
from ..writers.fullness import disk_is_full
from .leases import Lease
from .ledgers import Ledger, Outcome
from .places import Place
from .recipes import Recipe
from .works import make_cell, scenes_for

log = logging.getLogger("eocube.archive")

WHY = 500
"""Characters of a cause that are kept."""


_QUERY = re.compile(r"(?<=[^\s?'\"])\?[^\s'\"<>)]*[&=][^\s'\"<>)]*|(?<=://)[^\s/@]+@")
"""What may be a token in a message: the query of an address, a user and a password."""


class LostError(Exception):
    """Another runner has taken the cell over; what was made of it is thrown away."""


@dataclass
class Run:
    """What one run did.

    Attributes
    ----------
    done, empty, failed, lost : list of str
        Cells: made; without scenes; failed; taken over by another runner meanwhile.
    seconds : float
    read_bytes, requests : int
    """

    done: list[str] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    seconds: float = 0.0
    read_bytes: int = 0
    requests: int = 0

    @property
    def cells(self) -> int:
        """How many were dealt with."""
        return len(self.done) + len(self.empty) + len(self.failed) + len(self.lost)

    def __repr__(self) -> str:
        from ..runs import size

        lines = [f"  {name:<8}{len(own):,}{f': {shorten(own, 5)}' if own else ''}"
                 for name, own in (("done", self.done), ("empty", self.empty), ("failed", self.failed),
                                   ("lost", self.lost)) if own or name in ("done", "failed")]  # fmt: skip
        lines.append(f"  {'read':<8}{size(self.read_bytes)} in {self.seconds:,.1f} s")
        return "\n".join(["<eocube.archives.Run>", *lines])


@dataclass(frozen=True)
class Runner:
    """Makes the cells of one archive.

    Attributes
    ----------
    recipe, catalog, place, ledger
        What, of what, where to, and who else is at work.
    cells : collection of str
        Of the ledger's cells only these are made.
    memory : int or str
        What a task may take.
    """

    recipe: Recipe
    catalog: Any
    place: Place
    ledger: Ledger
    cells: Collection[str]
    memory: int | str = "1GB"

    def run(
        self, *, max_cells: int | None = None, told: Callable[[str, Outcome | None], None] = lambda *_: None
    ) -> Run:
        """Make cells until none is left; see :meth:`eocube.Archive.run`."""
        done, began = Run(), time.monotonic()
        try:
            while max_cells is None or done.cells < max_cells:
                lease = self._next()
                if lease is None:
                    break
                outcome, kept = self._deal(lease, told)
                getattr(done, outcome.state if kept else "lost").append(lease.cell)
                done.read_bytes += outcome.read_bytes
                done.requests += outcome.requests
                told(lease.cell, outcome)
        finally:
            done.seconds = time.monotonic() - began
        return done

    def _next(self) -> Lease | None:
        """Take a cell; wait as long as a lease if some are held by runners that may be gone."""
        until = time.monotonic() + 1.5 * self.ledger.lease
        while True:
            lease = self.ledger.claim(self.cells)
            if lease is not None or not self.ledger.waiting(self.cells) or time.monotonic() > until:
                return lease
            time.sleep(min(1.0, self.ledger.lease / 10))

    def _deal(self, lease: Lease, told: Callable[[str, Outcome | None], None]) -> tuple[Outcome, bool]:
        """Make one cell and write it down; give it back if the run is stopped, by whatever it is."""
        try:
            told(lease.cell, None)
            outcome = self._make(lease)
            return outcome, self.ledger.finish(lease, outcome)
        except BaseException as error:
            self._give_back(lease)
            if isinstance(error, Exception) and disk_is_full(error):
                raise OutputError(
                    f"There is no room left at {self.place} (or for temporary files): {lease.cell} was given "
                    "back. Make room and run again with resume."
                ) from error
            raise

    def _make(self, lease: Lease) -> Outcome:
        """Make one cell; whatever goes wrong with it is its outcome, but what stops the whole is raised."""
        began = time.monotonic()
        identity = self.recipe.identity(lease.cell)
        report: Any = None
        try:
            with self._beating(lease) as still_mine, progress(bar=False) as watched:
                scenes = scenes_for(self.recipe, lease.cell, self.catalog, relaxed=lease.relaxed)
                with self.place.cell(identity) as folder:
                    made = make_cell(
                        self.recipe, lease.cell, scenes, folder, memory=self.memory, still_mine=still_mine
                    )
                    still_mine()
                report = watched.report
        except NoItemsError as error:
            return Outcome("empty", why=_cause(error), seconds=time.monotonic() - began)
        except LostError:
            log.warning("%s was taken over by another runner", lease.cell)
            return Outcome("failed", why="taken over")
        except (ClusterError, ArchiveError, MissingExtraError):  # none of this cell alone
            raise
        except Exception as error:
            if disk_is_full(error):
                raise
            _check_cluster(error)
            if not isinstance(error, EocubeError):
                log.exception("%s failed", lease.cell)
            return Outcome("failed", why=_cause(error), seconds=time.monotonic() - began)
        return Outcome(
            "done", good=made.good, scenes=made.scenes, seconds=time.monotonic() - began,
            read_bytes=int(report.bytes), requests=int(report.requests),
        )  # fmt: skip

    def _give_back(self, lease: Lease) -> None:
        try:
            self.ledger.finish(lease, Outcome("planned"))
        except (EocubeError, OSError):  # what stopped the run is what should be heard
            log.warning("%s could not be given back; it will be when this process is gone", lease.cell)

    @contextmanager
    def _beating(self, lease: Lease) -> Iterator[Callable[[], None]]:
        """Hold a lease; give what raises if it was lost."""
        over, lost = threading.Event(), threading.Event()

        def hold() -> None:
            while not over.wait(self.ledger.lease / 6):
                try:
                    if not self.ledger.beat(lease):
                        lost.set()
                        return
                except ArchiveError as error:  # perhaps it is back at the next beat
                    log.warning("%s", error)

        def still_mine() -> None:
            if lost.is_set() or not self.ledger.beat(lease):
                raise LostError(lease.cell)

        thread = threading.Thread(target=hold, name=f"eocube-lease-{lease.cell}", daemon=True)
        thread.start()
        try:
            yield still_mine
        finally:
            over.set()
            thread.join()


def _check_cluster(error: Exception) -> None:
    """Raise an error if the cluster is lost: the next cell would fail as well.

    Workers that died of one task are no such thing: that is the cell's own failure.
    """
    client = current_client()
    if client is None or type(error).__name__ == "KilledWorker":
        return
    if said := explained(error, client, "the cluster"):
        raise said from error
    if client.status != "running" and not isinstance(error, EocubeError):
        raise ClusterError(f"The cluster was lost: {_cause(error)}. The cell was given back.") from error


def _cause(error: BaseException) -> str:
    """Return what an error says, in one line, without tokens."""
    said = str(error).replace("\0", "").encode(errors="replace").decode()  # of names that are no text
    text = " ".join(said.split()) or type(error).__name__
    return f"{type(error).__name__}: {_QUERY.sub('', text)}"[:WHY]
