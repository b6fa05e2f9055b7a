"""What was left out of a set of Items, and why: a small table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass

from .htmls import table


@dataclass(frozen=True)
class Dropped:
    """One Item that was left out.

    Attributes
    ----------
    id : str
        Of the Item that was left out.
    kept : tuple of str
        Ids of the Items that are used instead.
    why : str
        The rule that decided, with the two values compared.
    """

    id: str
    kept: tuple[str, ...]
    why: str

    def __str__(self) -> str:
        return f"{self.id} ({self.why}; {', '.join(self.kept)} kept)"


class DroppedTable(tuple[Dropped, ...]):
    """Rows of :class:`Dropped`, sorted by id; shows itself as a table.

    Examples
    --------
    >>> DroppedTable([Dropped("a_0", ("a_1",), "baseline 02.14 < 05.00")])
    left out  kept  why
    a_0       a_1   baseline 02.14 < 05.00
    """

    __slots__ = ()

    @property
    def ids(self) -> tuple[str, ...]:
        """Ids of the Items that were left out."""
        return tuple(row.id for row in self)

    def as_dicts(self) -> list[dict[str, object]]:
        """Return plain rows, fit for JSON."""
        return [{**asdict(row), "kept": list(row.kept)} for row in self]

    @classmethod
    def of(cls, rows: Iterable[Mapping[str, object]]) -> DroppedTable:
        """Return the table of :meth:`as_dicts`."""
        return cls(
            Dropped(str(row["id"]), tuple(str(kept) for kept in row["kept"]), str(row["why"]))  # type: ignore[attr-defined]
            for row in rows
        )

    def _rows(self) -> list[tuple[str, str, str]]:
        return [(row.id, ", ".join(row.kept), row.why) for row in self]

    def __repr__(self) -> str:
        if not self:
            return "nothing was left out"
        rows = [("left out", "kept", "why"), *self._rows()]
        wide = [max(len(row[column]) for row in rows) for column in (0, 1)]
        return "\n".join(f"{a:<{wide[0]}}  {b:<{wide[1]}}  {c}" for a, b, c in rows)

    def _repr_html_(self) -> str:
        if not self:
            return "<p>nothing was left out</p>"
        return str(table(("left out", "kept", "why"), self._rows(), len(self)))


NOTHING_DROPPED = DroppedTable()
