"""The tables of a ledger: where they are, and how they are reached."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import ArchiveError
from ..extras import needed

_SQLITE = "sqlite:///"
_TRIES = 5
"""How often tables are made that another runner makes at the same moment."""


class Tables:
    """A file of SQLite, or a database of PostgreSQL, by SQLAlchemy.

    Parameters
    ----------
    url : str
        ``"sqlite:///path"`` or ``"postgresql+psycopg://user@host/database"``.

    Attributes
    ----------
    sa : module
        SQLAlchemy.
    notes, cells : sqlalchemy.Table
        One row per archive with its recipe; one row per cell.
    shown : str
        The URL without its password.
    """

    def __init__(self, url: str) -> None:
        sa = self.sa = needed("sqlalchemy", "A ledger", "archive")
        self.shown = _shown(url)
        self._file, where, options = None, url, {}
        if url.startswith(_SQLITE):  # not read as a URL: a path may hold '?' and '%'
            self._file = Path(url.removeprefix(_SQLITE))
            where = sa.engine.URL.create("sqlite", database=str(self._file))
            options = {"connect_args": {"timeout": 60}}
        try:
            self._engine = sa.create_engine(where, pool_pre_ping=True, **options)
        except (sa.exc.ArgumentError, ImportError, ValueError) as error:
            raise ArchiveError(f"The ledger {self.shown} cannot be opened: {error}.") from error
        if self._engine.dialect.name not in ("sqlite", "postgresql"):
            raise ArchiveError(
                f"A ledger is a file of SQLite or a database of PostgreSQL, not {self._engine.dialect.name}."
            )
        meta = self._meta = sa.MetaData()
        self.notes = sa.Table(
            "eocube_archives", meta,
            sa.Column("archive", sa.String(200), primary_key=True),
            sa.Column("version", sa.Integer, nullable=False),
            sa.Column("recipe", sa.Text, nullable=False),
        )  # fmt: skip
        self.cells = sa.Table(
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

    def absent(self) -> bool:
        """Whether there is no file yet, which merely to look would make."""
        return self._file is not None and not self._file.exists()

    def make(self) -> None:
        """Make what is not there."""
        for left in reversed(range(_TRIES)):
            try:
                with self.work() as link:
                    self._meta.create_all(link)
                return
            except ArchiveError:  # another runner makes them just now
                if not left:
                    raise
                time.sleep(0.2)

    def insert(self, link: Any, table: Any, rows: list[dict[str, Any]]) -> None:
        """Add rows, but those that another runner has just added."""
        if rows:
            dialect = needed(f"sqlalchemy.dialects.{self._engine.dialect.name}", "A ledger", "archive")
            link.execute(dialect.insert(table).on_conflict_do_nothing(), rows)

    @contextmanager
    def work(self) -> Iterator[Any]:
        """Give a connection; what is done on it is kept whole or not at all."""
        try:
            with self._engine.begin() as link:
                yield link
        except self.sa.exc.SQLAlchemyError as error:
            said = str(getattr(error, "orig", None) or error).splitlines()[0]
            raise ArchiveError(f"The ledger {self.shown} cannot be used: {said}") from error

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
