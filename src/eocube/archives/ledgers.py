"""The ledger of an archive: which cells are planned, running, done or failed, and who is at work on which.

A runner holds a cell by a lease: a token in the cell's row, and a beat that it counts up while it works. A
lease is broken by others only if its process is known to be gone, or if its beat has stood still for as long
as a lease lasts *by the watcher's own monotonic clock*. No two clocks are ever compared, so clocks that jump
do no harm. Each change is one statement that names the state it expects; whoever comes second changes
nothing.
"""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..errors import ArchiveError, RecipeError
from ..extras import needed
from ..processes import born, host, mark
from .recipes import Recipe, recipe_from

VERSION = 1
"""Of the tables."""

LEASE = 60.0
"""Seconds that a beat may stand still before another runner takes the cell."""

STATES = ("planned", "running", "done", "empty", "failed")

_TRIES = 5
"""How often tables are made that another runner makes at the same moment."""

_HELD: set[str] = set()
"""Tokens of the leases that runners of this process hold."""


@dataclass(frozen=True)
class Lease:
    """The right of one runner to make one cell."""

    cell: str
    token: str
    attempts: int
    relaxed: bool


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
    _seen: dict[str, _Seen] = field(default_factory=dict, repr=False)
    """Of running cells: what was last seen of them."""

    def __post_init__(self) -> None:
        sa = needed("sqlalchemy", "A ledger", "archive")
        self._sa = sa
        self._file, url, options = None, self.url, {}
        if self.url.startswith(_SQLITE):  # not read as a URL: a path may hold '?' and '%'
            self._file = Path(self.url.removeprefix(_SQLITE))
            url = sa.engine.URL.create("sqlite", database=str(self._file))
            options = {"connect_args": {"timeout": 60}}
        try:
            self._engine = sa.create_engine(url, pool_pre_ping=True, **options)
        except (sa.exc.ArgumentError, ImportError, ValueError) as error:
            raise ArchiveError(f"The ledger {_shown(self.url)} cannot be opened: {error}.") from error
        if self._engine.dialect.name not in ("sqlite", "postgresql"):
            raise ArchiveError(
                f"A ledger is a file of SQLite or a database of PostgreSQL, not {self._engine.dialect.name}."
            )
        meta = sa.MetaData()
        self._notes = sa.Table(
            "eocube_archives", meta,
            sa.Column("archive", sa.String(200), primary_key=True),
            sa.Column("version", sa.Integer, nullable=False),
            sa.Column("recipe", sa.Text, nullable=False),
        )  # fmt: skip
        self._cells = sa.Table(
            "eocube_cells", meta,
            sa.Column("archive", sa.String(200), primary_key=True),
            sa.Column("cell", sa.String(8), primary_key=True),
            sa.Column("state", sa.String(10), nullable=False, index=True),
            sa.Column("attempts", sa.Integer, nullable=False, default=0),
            sa.Column("relaxed", sa.Boolean, nullable=False, default=False),
            sa.Column("token", sa.String(40), nullable=False, default=""),
            sa.Column("beat", sa.Integer, nullable=False, default=0),
            sa.Column("host", sa.String(200), nullable=False, default=""),
            sa.Column("pid", sa.Integer, nullable=False, default=0),
            sa.Column("born", sa.Float, nullable=False, default=0.0),
            sa.Column("started", sa.String(40), nullable=False, default=""),
            sa.Column("ended", sa.String(40), nullable=False, default=""),
            sa.Column("seconds", sa.Float, nullable=False, default=0.0),
            sa.Column("good", sa.Float),
            sa.Column("scenes", sa.Integer, nullable=False, default=0),
            sa.Column("read_bytes", sa.BigInteger, nullable=False, default=0),
            sa.Column("requests", sa.Integer, nullable=False, default=0),
            sa.Column("why", sa.Text, nullable=False, default=""),
        )  # fmt: skip
        self._meta = meta

    # -- opening ---------------------------------------------------------------------------------

    def recipe(self) -> Recipe | None:
        """Return the recipe that is kept here, None if there is none yet.

        Raises
        ------
        ArchiveError
            If the ledger is of another version of eocube, or cannot be read.
        """
        sa, notes = self._sa, self._notes
        if self._absent():
            return None
        # The version first: tables of another one may have other columns.
        of = sa.select(notes.c.archive, notes.c.version).order_by(notes.c.archive)
        with self._work() as link:
            if not sa.inspect(link).has_table(notes.name):
                return None
            rows = list(link.execute(of.where(notes.c.archive == self.name) if self.name else of))
        if not rows:
            return None
        if len(rows) > 1:
            names = ", ".join(row.archive for row in rows)
            raise ArchiveError(
                f"{_shown(self.url)} holds several archives ({names}): give the recipe of one."
            )
        (row,) = rows
        if row.version != VERSION:
            raise ArchiveError(
                f"The ledger {_shown(self.url)} is of version {row.version}, this eocube writes version "
                f"{VERSION}: finish it with the eocube that began it, or make the archive anew elsewhere."
            )
        self.name = row.archive
        with self._work() as link:
            text = link.execute(sa.select(notes.c.recipe).where(notes.c.archive == self.name)).scalar_one()
        try:
            return recipe_from(json.loads(text))
        except (RecipeError, ValueError, AttributeError) as error:
            said = f"The recipe in the ledger {_shown(self.url)} cannot be read: {error}"
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
        self._make_tables()
        sa, notes, table = self._sa, self._notes, self._cells
        text = json.dumps(recipe.as_dict())
        with self._work() as link:
            self._insert(link, notes, [{"archive": self.name, "version": VERSION, "recipe": text}])
        self._check(recipe, self.recipe())  # of two runners that begin at once, one was first
        with self._work() as link:
            link.execute(sa.update(notes).where(notes.c.archive == self.name).values(recipe=text))
            there = set(link.execute(sa.select(table.c.cell).where(table.c.archive == self.name)).scalars())
            new = [cell for cell in cells if cell not in there]
            self._insert(
                link, table, [{"archive": self.name, "cell": cell, "state": "planned"} for cell in new]
            )

    def _check(self, recipe: Recipe, kept: Recipe | None) -> None:
        if kept is not None and kept.hash != recipe.hash:
            raise ArchiveError(
                f"The archive {kept.name!r} was begun with another recipe: "
                f"{'; '.join(recipe.differences(kept))}. Take that recipe, or another folder."
            )

    def _make_tables(self) -> None:
        for left in reversed(range(_TRIES)):
            try:
                with self._work() as link:
                    self._meta.create_all(link)
                return
            except ArchiveError:  # another runner makes them just now
                if not left:
                    raise
                time.sleep(0.2)

    def _insert(self, link: Any, table: Any, rows: list[dict[str, Any]]) -> None:
        """Add rows, but those that another runner has just added."""
        if rows:
            dialect = needed(f"sqlalchemy.dialects.{self._engine.dialect.name}", "A ledger", "archive")
            link.execute(dialect.insert(table).on_conflict_do_nothing(), rows)

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
            _HELD.add(lease.token)
            try:
                taken = self._change(
                    row.cell, row.state, row.token,
                    state="running", token=lease.token, beat=0, attempts=lease.attempts, started=_now(),
                    ended="", host=host(), pid=os.getpid(), born=born(os.getpid()),
                )  # fmt: skip
            except BaseException:
                _HELD.discard(lease.token)
                raise
            if taken:
                return lease
            _HELD.discard(lease.token)  # another runner was faster

    def _free(self, cells: frozenset[str] | None) -> Any:
        """Return the row of a cell that may be taken."""
        sa, table = self._sa, self._cells
        wanted = sa.select(table).where(table.c.archive == self.name).order_by(table.c.attempts, table.c.cell)
        with self._work() as link:
            for row in link.execute(wanted.where(table.c.state == "planned")):
                if cells is None or row.cell in cells:
                    return row
            running = list(link.execute(wanted.where(table.c.state == "running")))
        # All are looked at, each time: so the time that a beat stands still is known.
        gone = [row for row in running if self._orphaned(row)]
        return next((row for row in gone if cells is None or row.cell in cells), None)

    def waiting(self, cells: Collection[str] | None = None) -> bool:
        """Whether a cell is running whose runner may be gone, which only time will tell.

        Not if its process is known to live, or its beat was seen to go on.
        """
        return any(
            not (_lives_here(row) or (row.cell in self._seen and self._seen[row.cell].goes_on(row)))
            for row in self._rows("running")
            if cells is None or row.cell in cells
        )

    def beat(self, lease: Lease) -> bool:
        """Count up; return whether the cell is still held."""
        sa, table = self._sa, self._cells
        with self._work() as link:
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
            _HELD.discard(lease.token)

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
        sa, table = self._sa, self._cells
        asked = sa.select(table.c.state, sa.func.count()).where(table.c.archive == self.name)
        with self._work() as link:
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
        sa, table = self._sa, self._cells
        if self._absent():
            return []
        wanted = sa.select(table).where(table.c.archive == self.name).order_by(table.c.cell)
        with self._work() as link:
            if not sa.inspect(link).has_table(table.name):
                return []
            return list(link.execute(wanted.where(table.c.state == state) if state else wanted))

    # -- how -------------------------------------------------------------------------------------

    def _absent(self) -> bool:
        """Whether there is no file yet, which merely to look would make."""
        return self._file is not None and not self._file.exists()

    def _orphaned(self, row: Any) -> bool:
        """Whether the runner of a cell is gone, or stands still for as long as a lease lasts."""
        if row.host == host():
            if row.pid == os.getpid() and row.born == born(row.pid):
                return row.token not in _HELD  # this process has given up on it, but could not say so
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

    def _held(self, lease: Lease) -> tuple[Any, ...]:
        table = self._cells
        return (
            table.c.archive == self.name, table.c.cell == lease.cell, table.c.state == "running",
            table.c.token == lease.token,
        )  # fmt: skip

    def _change(self, cell: str, state: str, token: str, /, **values: Any) -> bool:
        """Change a cell that is in this state and held by this token; return whether it was."""
        sa, table = self._sa, self._cells
        with self._work() as link:
            done = link.execute(
                sa.update(table)
                .where(table.c.archive == self.name, table.c.cell == cell)
                .where(table.c.state == state, table.c.token == token)
                .values(**values)
            )
        return bool(done.rowcount == 1)

    @contextmanager
    def _work(self) -> Iterator[Any]:
        """Give a connection; what is done on it is kept whole or not at all."""
        try:
            with self._engine.begin() as link:
                yield link
        except self._sa.exc.SQLAlchemyError as error:
            said = str(getattr(error, "orig", None) or error).splitlines()[0]
            raise ArchiveError(f"The ledger {_shown(self.url)} cannot be used: {said}") from error

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()


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


_SQLITE = "sqlite:///"


def ledger_url(place: str | os.PathLike[str]) -> str:
    """Return the URL of a ledger: of a file, SQLite's.

    Examples
    --------
    >>> ledger_url("postgresql+psycopg://me@host/mine")
    'postgresql+psycopg://me@host/mine'
    """
    text = os.fspath(place)
    return text if "://" in text else f"{_SQLITE}{Path(text).resolve()}"


def _shown(url: str) -> str:
    """Return a URL without its password."""
    if url.startswith(_SQLITE):
        return url.removeprefix(_SQLITE)
    try:
        made = needed("sqlalchemy.engine", "A ledger", "archive").make_url(url)
        return str(made.render_as_string(hide_password=True))
    except (needed("sqlalchemy.exc", "A ledger", "archive").ArgumentError, ValueError):
        return url.partition("://")[0] + "://..."


def _now() -> str:
    """Return the time, for people: nothing is decided by it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _is_there(row: Any) -> bool:
    """Whether a cell was made, now or before."""
    return row.state == "done" or row.good is not None


def _lives_here(row: Any) -> bool:
    """Whether a process of this machine makes a cell, and is the same that began it."""
    return row.host == host() and bool(born(row.pid) == row.born != 0)
