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
import socket
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..errors import ArchiveError
from ..extras import needed
from .recipes import Recipe, recipe_from

VERSION = 1
"""Of the tables."""

LEASE = 60.0
"""Seconds that a beat may stand still before another runner takes the cell."""

STATES = ("planned", "running", "done", "empty", "failed")


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
    """A ledger: SQLite in a file, or any database that SQLAlchemy knows (PostgreSQL for many machines).

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
    _seen: dict[str, tuple[str, int, float]] = field(default_factory=dict, repr=False)
    """Of running cells: token, beat, and since when (monotonic) it has not changed."""

    def __post_init__(self) -> None:
        sa = needed("sqlalchemy", "A ledger", "archive")
        self._sa = sa
        options: dict[str, Any] = {"connect_args": {"timeout": 60}} if self.url.startswith("sqlite") else {}
        try:
            self._engine = sa.create_engine(self.url, pool_pre_ping=True, **options)
        except (sa.exc.ArgumentError, ImportError) as error:
            raise ArchiveError(f"The ledger {_shown(self.url)} cannot be opened: {error}.") from error
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
        with self._work() as link:
            if not sa.inspect(link).has_table(notes.name):
                return None
            rows = list(link.execute(sa.select(notes).where(notes.c.archive == self.name) if self.name
                                     else sa.select(notes)))  # fmt: skip
        if not rows:
            return None
        if len(rows) > 1:
            names = ", ".join(sorted(row.archive for row in rows))
            raise ArchiveError(
                f"{_shown(self.url)} holds several archives ({names}): give the recipe of one."
            )
        (row,) = rows
        self.name = row.archive
        if row.version != VERSION:
            raise ArchiveError(
                f"The ledger {_shown(self.url)} is of version {row.version}, this eocube writes version "
                f"{VERSION}: finish it with the eocube that began it, or make the archive anew elsewhere."
            )
        return recipe_from(json.loads(row.recipe))

    def begin(self, recipe: Recipe, cells: Iterable[str]) -> None:
        """Keep a recipe, and add its cells; those that are there stay as they are.

        Raises
        ------
        ArchiveError
            If another recipe is kept here; it says which fields differ.
        """
        kept = self.recipe()
        if kept is not None and kept.hash != recipe.hash:
            raise ArchiveError(
                f"The archive {self.name!r} was begun with another recipe: "
                f"{'; '.join(recipe.differences(kept))}. Take that recipe, or another folder."
            )
        sa, notes, table = self._sa, self._notes, self._cells
        text = json.dumps(recipe.as_dict())
        with self._work() as link:
            self._meta.create_all(link)
        with self._work() as link:
            if kept is None:
                self._insert(link, notes, {"archive": self.name, "version": VERSION, "recipe": text})
            else:
                link.execute(sa.update(notes).where(notes.c.archive == self.name).values(recipe=text))
            there = {
                row.cell for row in link.execute(sa.select(table.c.cell).where(table.c.archive == self.name))
            }
            for cell in cells:
                if cell not in there:
                    self._insert(link, table, {"archive": self.name, "cell": cell, "state": "planned"})

    def _insert(self, link: Any, table: Any, values: Mapping[str, Any]) -> None:
        """Add a row, unless another runner has just added it."""
        dialect = needed(f"sqlalchemy.dialects.{self._engine.dialect.name}", "A ledger", "archive")
        link.execute(dialect.insert(table).values(**values).on_conflict_do_nothing())

    # -- leases ----------------------------------------------------------------------------------

    def claim(self) -> Lease | None:
        """Take a cell: a planned one; else one whose runner is gone. None if there is none now."""
        sa, table = self._sa, self._cells
        mine = table.c.archive == self.name
        while True:
            with self._work() as link:
                every = sa.select(table).where(mine).order_by(table.c.attempts, table.c.cell)
                row = link.execute(every.where(table.c.state == "planned")).first()
                running = link.execute(every.where(table.c.state == "running")) if row is None else ()
                row = row or next(filter(self._orphaned, running), None)
            if row is None:
                return None
            lease = Lease(row.cell, uuid.uuid4().hex, row.attempts + 1, bool(row.relaxed))
            taken = self._change(
                row.cell, row.state, row.token,
                state="running", token=lease.token, beat=0, attempts=lease.attempts, started=_now(), ended="",
                **_self(),
            )  # fmt: skip
            if taken:  # else another runner was faster
                return lease

    def waiting(self) -> bool:
        """Whether a cell is running whose runner may be gone, which only time will tell."""
        rows = [row for row in self._rows("running") if not _known_alive(row)]
        return bool(rows)

    def beat(self, lease: Lease) -> bool:
        """Count up; return whether the cell is still held."""
        sa, table = self._sa, self._cells
        with self._work() as link:
            done = link.execute(sa.update(table).where(*self._held(lease)).values(beat=table.c.beat + 1))
        return bool(done.rowcount == 1)

    def finish(self, lease: Lease, outcome: Outcome) -> bool:
        """Write down what became of a cell; return False if another runner had taken it over."""
        return self._change(
            lease.cell, "running", lease.token, state=outcome.state, token="", ended=_now(), why=outcome.why,
            good=outcome.good, scenes=outcome.scenes, seconds=outcome.seconds, read_bytes=outcome.read_bytes,
            requests=outcome.requests,
        )  # fmt: skip

    def again(self, *, failed: bool = False, below: float | None = None, relax: bool = False) -> list[str]:
        """Plan cells anew: those that failed, or that are done with a smaller good share.

        Returns
        -------
        list of str
            Which.
        """
        chosen = []
        for row in self._rows():
            worse = row.state == "done" and below is not None and (row.good or 0.0) < below
            # What was relaxed already would come out the same.
            if (failed and row.state == "failed") or (worse and relax and not row.relaxed):
                values: dict[str, Any] = {"relaxed": True} if worse else {}
                if self._change(row.cell, row.state, row.token, state="planned", why="", **values):
                    chosen.append(row.cell)
        return chosen

    # -- looking ---------------------------------------------------------------------------------

    def rows(self) -> list[dict[str, Any]]:
        """Return all cells, sorted by their names."""
        return [dict(row._mapping) for row in self._rows()]

    def done(self) -> dict[str, str]:
        """Return the cells that are done, and when they were."""
        return {row.cell: row.ended for row in self._rows("done")}

    def _rows(self, state: str = "") -> list[Any]:
        sa, table = self._sa, self._cells
        wanted = sa.select(table).where(table.c.archive == self.name).order_by(table.c.cell)
        with self._work() as link:
            if not sa.inspect(link).has_table(table.name):
                return []
            return list(link.execute(wanted.where(table.c.state == state) if state else wanted))

    # -- how -------------------------------------------------------------------------------------

    def _orphaned(self, row: Any) -> bool:
        """Whether the runner of a cell is gone."""
        if row.host == socket.gethostname():
            return not _alive(row.pid, row.born)
        token, beat, since = self._seen.get(row.cell, ("", -1, 0.0))
        if (token, beat) != (row.token, row.beat):
            self._seen[row.cell] = (row.token, row.beat, time.monotonic())
            return False
        return time.monotonic() - since > self.lease

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


def ledger_url(place: str | os.PathLike[str]) -> str:
    """Return the URL of a ledger: of a file, SQLite's.

    Examples
    --------
    >>> ledger_url("postgresql+psycopg://me@host/mine")
    'postgresql+psycopg://me@host/mine'
    """
    text = os.fspath(place)
    return text if "://" in text else f"sqlite:///{Path(text).resolve()}"


def _shown(url: str) -> str:
    """Return a URL without its password."""
    return str(
        needed("sqlalchemy.engine", "A ledger", "archive").make_url(url).render_as_string(hide_password=True)
    )


def _now() -> str:
    """Return the time, for people: nothing is decided by it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _self() -> dict[str, Any]:
    return {"host": socket.gethostname(), "pid": os.getpid(), "born": _born(os.getpid())}


def _known_alive(row: Any) -> bool:
    return row.host == socket.gethostname() and _alive(row.pid, row.born)


def _alive(pid: int, born: float) -> bool:
    """Whether a process of this machine lives, and is the same that it was."""
    return _born(pid) == born


def _born(pid: int) -> float:
    """Return a number that a process keeps as long as it lives; 0 if there is none."""
    try:
        # Ticks since the machine was started: unlike the time of day, no clock that is set changes them.
        return float(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    except OSError:
        import psutil

        try:
            return round(psutil.Process(pid).create_time(), 1)
        except psutil.Error:
            return 0.0
