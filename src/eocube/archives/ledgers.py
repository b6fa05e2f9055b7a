"""The ledger of an archive: which cells are planned, running, done or failed, and who is at work on which.

A runner holds a cell by a lease (:mod:`eocube.archives.leases`). Each change is one statement that names the
state it expects; whoever comes second changes nothing.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from ..errors import ArchiveError, RecipeError
from ..processes import born, host, mark
from .files import recipe_from
from .leases import HELD, LEASE, Lease, Watch
from .recipes import Recipe
from .tables import Tables

VERSION = 1
"""Of the tables."""

STATES = ("planned", "running", "done", "empty", "failed")


@dataclass(frozen=True)
class Outcome:
    """What became of a cell.

    Attributes
    ----------
    state : {"done", "empty", "failed", "planned"}
        ``empty``: there are no scenes. ``planned``: given back.
    why : str
        Of a failure; of an empty cell what was searched.
    good : float or None
        Share of pixels with data.
    scenes : int
        Passes it is made of.
    seconds, read_bytes, requests : float, int, int
    """

    state: str
    why: str = ""
    good: float | None = None
    scenes: int = 0
    seconds: float = 0.0
    read_bytes: int = 0
    requests: int = 0


@dataclass
class Ledger:
    """A ledger: SQLite in a file, or PostgreSQL for runners on many machines. Made by :meth:`begin`.

    Parameters
    ----------
    url : str
        ``"sqlite:///path"`` or ``"postgresql+psycopg://user@host/database"``.
    name : str
        Of the archive: one database may hold several. Empty: the only one there is.
    lease : float
        Seconds.
    """

    url: str
    name: str
    lease: float = LEASE
    tables: Tables = field(init=False, repr=False)
    _watch: Watch = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.tables, self._watch = Tables(self.url), Watch(self.lease)

    # -- opening ---------------------------------------------------------------------------------

    def recipe(self) -> Recipe | None:
        """Return the recipe that is kept here, None if there is none yet.

        Raises
        ------
        ArchiveError
            If the ledger is of another version of eocube, or cannot be read.
        """
        sa, notes = self.tables.sa, self.tables.notes
        if self.tables.absent():
            return None
        # The version first: tables of another one may have other columns.
        of = sa.select(notes.c.archive, notes.c.version).order_by(notes.c.archive)
        with self.tables.work() as link:
            if not sa.inspect(link).has_table(notes.name):
                return None
            rows = list(link.execute(of.where(notes.c.archive == self.name) if self.name else of))
        if not rows:
            return None
        if len(rows) > 1:
            names = ", ".join(row.archive for row in rows)
            raise ArchiveError(
                f"{self.tables.shown} holds several archives ({names}): give the recipe of one."
            )
        (row,) = rows
        if row.version != VERSION:
            raise ArchiveError(
                f"The ledger {self.tables.shown} is of version {row.version}, this eocube writes version "
                f"{VERSION}: finish it with the eocube that began it, or make the archive anew elsewhere."
            )
        self.name = row.archive
        with self.tables.work() as link:
            text = link.execute(sa.select(notes.c.recipe).where(notes.c.archive == self.name)).scalar_one()
        try:
            return recipe_from(json.loads(text))
        except (RecipeError, ValueError, AttributeError) as error:
            said = f"The recipe in the ledger {self.tables.shown} cannot be read: {error}"
            raise ArchiveError(said) from error

    def begin(self, recipe: Recipe, cells: Collection[str]) -> None:
        """Keep a recipe, and add its cells; those that are there stay as they are.

        Raises
        ------
        ArchiveError
            If another recipe is kept here; it says which fields differ.
        """
        self._check(recipe, self.recipe())
        self.name = recipe.name
        self.tables.make()
        sa, notes, table = self.tables.sa, self.tables.notes, self.tables.cells
        text = json.dumps(recipe.as_dict())
        with self.tables.work() as link:
            self.tables.insert(link, notes, [{"archive": self.name, "version": VERSION, "recipe": text}])
        self._check(recipe, self.recipe())  # of two runners that begin at once, one was first
        with self.tables.work() as link:
            link.execute(sa.update(notes).where(notes.c.archive == self.name).values(recipe=text))
            there = set(link.execute(sa.select(table.c.cell).where(table.c.archive == self.name)).scalars())
            new = [cell for cell in cells if cell not in there]
            self.tables.insert(
                link, table, [{"archive": self.name, "cell": cell, "state": "planned"} for cell in new]
            )

    def _check(self, recipe: Recipe, kept: Recipe | None) -> None:
        if kept is not None and kept.hash != recipe.hash:
            raise ArchiveError(
                f"The archive {kept.name!r} was begun with another recipe: "
                f"{'; '.join(recipe.differences(kept))}. Take that recipe, or another folder."
            )

    # -- leases ----------------------------------------------------------------------------------

    def claim(self, cells: Collection[str] | None = None) -> Lease | None:
        """Take a cell: a planned one; else one whose runner is gone. None if there is none now.

        Parameters
        ----------
        cells : collection of str, optional
            Only of these. Default: any.
        """
        while True:
            row = self._free(None if cells is None else frozenset(cells))
            if row is None:
                return None
            lease = Lease(row.cell, uuid.uuid4().hex, row.attempts + 1, bool(row.relaxed))
            HELD.add(lease.token)
            try:
                taken = self._change(
                    row.cell, row.state, row.token,
                    state="running", token=lease.token, beat=0, attempts=lease.attempts, started=_now(),
                    ended="", host=host(), pid=os.getpid(), born=born(os.getpid()),
                )  # fmt: skip
            except BaseException:
                HELD.discard(lease.token)
                raise
            if taken:
                return lease
            HELD.discard(lease.token)  # another runner was faster

    def _free(self, cells: frozenset[str] | None) -> Any:
        """Return the row of a cell that may be taken."""
        sa, table = self.tables.sa, self.tables.cells
        wanted = sa.select(table).where(table.c.archive == self.name).order_by(table.c.attempts, table.c.cell)
        with self.tables.work() as link:
            for row in link.execute(wanted.where(table.c.state == "planned")):
                if cells is None or row.cell in cells:
                    return row
            running = list(link.execute(wanted.where(table.c.state == "running")))
        gone = [row for row in running if self._watch.gone(row)]
        return next((row for row in gone if cells is None or row.cell in cells), None)

    def waiting(self, cells: Collection[str] | None = None) -> bool:
        """Whether a cell is running whose runner may be gone, which only time will tell.

        Not if its process is known to live, or its beat was seen to go on.
        """
        return any(
            not self._watch.lives(row)
            for row in self._rows("running")
            if cells is None or row.cell in cells
        )

    def beat(self, lease: Lease) -> bool:
        """Count up; return whether the cell is still held."""
        sa, table = self.tables.sa, self.tables.cells
        with self.tables.work() as link:
            done = link.execute(sa.update(table).where(*self._held(lease)).values(beat=table.c.beat + 1))
        return bool(done.rowcount == 1)

    def finish(self, lease: Lease, outcome: Outcome) -> bool:
        """Write down what became of a cell; return False if another runner had taken it over.

        Of a cell that was made before, and now was not, what is known of the earlier one stays.
        """
        made = {"good": outcome.good, "scenes": outcome.scenes} if outcome.state == "done" else {}
        try:
            return self._change(
                lease.cell, "running", lease.token, state=outcome.state, token="", ended=_now(),
                why=outcome.why, seconds=outcome.seconds, read_bytes=outcome.read_bytes,
                requests=outcome.requests, **made,
            )  # fmt: skip
        finally:
            HELD.discard(lease.token)

    def again(
        self,
        *,
        failed: bool = False,
        below: float | None = None,
        relax: bool = False,
        cells: Collection[str] | None = None,
    ) -> list[str]:
        """Plan cells anew: those that failed or were empty, or that are done with a smaller good share.

        Parameters
        ----------
        failed, relax : bool
        below : float, optional
        cells : collection of str, optional
            Only of these. Default: any.

        Returns
        -------
        list of str
            Which.
        """
        chosen = []
        for row in self._rows():
            if cells is not None and row.cell not in cells:
                continue
            worse = row.state == "done" and below is not None and (row.good or 0.0) < below
            # What was relaxed already would come out the same.
            if (failed and row.state in ("failed", "empty")) or (worse and relax and not row.relaxed):
                values: dict[str, Any] = {"relaxed": True} if worse else {}
                if self._change(row.cell, row.state, row.token, state="planned", why="", **values):
                    chosen.append(row.cell)
        return chosen

    def anew(self, cell: str) -> bool:
        """Plan a cell anew that is done, and of which nothing is there."""
        return self._change(cell, "done", "", state="planned", good=None, scenes=0)

    # -- looking ---------------------------------------------------------------------------------

    def rows(self) -> list[dict[str, Any]]:
        """Return all cells, sorted by their names."""
        return [dict(row._mapping) for row in self._rows()]

    def counts(self) -> dict[str, int]:
        """Return how many cells are in each state."""
        sa, table = self.tables.sa, self.tables.cells
        asked = sa.select(table.c.state, sa.func.count()).where(table.c.archive == self.name)
        with self.tables.work() as link:
            return {state: int(count) for state, count in link.execute(asked.group_by(table.c.state))}

    def made(self) -> dict[str, tuple[str, str, int]]:
        """Return the cells that are there, their state, and which making of them it is.

        Those that were done and are being made anew are among them.
        """
        return {
            row.cell: (row.state, row.ended, row.attempts) for row in self._rows() if _is_there(row)
        }

    def holders(self) -> dict[str, str]:
        """Return of each cell the mark of the process that makes it now, ``""`` if none does."""
        return {
            row.cell: mark(row.host, row.pid) if row.state == "running" else "" for row in self._rows()
        }

    def _rows(self, state: str = "") -> list[Any]:
        sa, table = self.tables.sa, self.tables.cells
        if self.tables.absent():
            return []
        wanted = sa.select(table).where(table.c.archive == self.name).order_by(table.c.cell)
        with self.tables.work() as link:
            if not sa.inspect(link).has_table(table.name):
                return []
            return list(link.execute(wanted.where(table.c.state == state) if state else wanted))

    # -- how -------------------------------------------------------------------------------------

    def _held(self, lease: Lease) -> tuple[Any, ...]:
        table = self.tables.cells
        return (
            table.c.archive == self.name, table.c.cell == lease.cell, table.c.state == "running",
            table.c.token == lease.token,
        )  # fmt: skip

    def _change(self, cell: str, state: str, token: str, /, **values: Any) -> bool:
        """Change a cell that is in this state and held by this token; return whether it was."""
        sa, table = self.tables.sa, self.tables.cells
        with self.tables.work() as link:
            done = link.execute(
                sa.update(table)
                .where(table.c.archive == self.name, table.c.cell == cell)
                .where(table.c.state == state, table.c.token == token)
                .values(**values)
            )
        return bool(done.rowcount == 1)

    def close(self) -> None:
        """Close all connections."""
        self.tables.close()


def _now() -> str:
    """Return the time, for people: nothing is decided by it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _is_there(row: Any) -> bool:
    """Whether a cell was made, now or before."""
    return row.state == "done" or row.good is not None
