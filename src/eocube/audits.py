"""Audits: a table of what Items say of their offset and what their pixels say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass, fields
from typing import TYPE_CHECKING, Any

from .catalogs import Catalog
from .checks import Verify, check_verify, corrected, findings, is_doubtful
from .errors import ItemsError
from .evidence import Finding
from .granules import Granule, granule_of
from .htmls import page, pairs, table
from .items import as_dicts, layout_of
from .loaders.base import Loader, loader_named

if TYPE_CHECKING:
    import pandas as pd

_SHOWN = 60


@dataclass(frozen=True)
class AuditRow:
    """One Item.

    Attributes
    ----------
    item : str
        Its id.
    catalog : str
        Whose layout it has; empty if none that is known.
    baseline : str
        ``"05.09"``; empty if not said.
    offset : float
        What its metadata say is to be added to the digital numbers of red; NaN if nothing can be read.
    source : str
        What says so.
    pixels : str
        ``"in"``, ``"gone"``, ``"undecided"``, ``"unreadable"`` or ``""`` (not looked at).
    verdict : str
        ``"agrees"``, ``"contradicted"`` or ``"trusted"`` (the pixels say nothing); ``"not read"``
        for what is no Sentinel-2 L2A Item that eocube knows.
    why : str
        The figures behind it, or what went wrong.
    """

    item: str
    catalog: str
    baseline: str
    offset: float
    source: str
    pixels: str
    verdict: str
    why: str


COLUMNS: tuple[str, ...] = tuple(field.name for field in fields(AuditRow))
"""Names of the columns."""


@dataclass(frozen=True, repr=False)
class Audit:
    """What :func:`audit` found; prints itself as a table.

    Attributes
    ----------
    rows : tuple of AuditRow
        In order of Items.
    """

    rows: tuple[AuditRow, ...]

    @property
    def contradictions(self) -> tuple[AuditRow, ...]:
        """Items whose pixels are not as their metadata say."""
        return tuple(row for row in self.rows if row.verdict == "contradicted")

    def to_pandas(self) -> pd.DataFrame:
        """Return the table as a DataFrame, one row per Item."""
        import pandas as pd

        return pd.DataFrame([astuple(row) for row in self.rows], columns=list(COLUMNS))

    def summary(self) -> str:
        """Return how many Items have which verdict: ``"12 Items: 10 agrees, 2 contradicted"``."""
        counts = Counter(row.verdict for row in self.rows)
        verdicts = ", ".join(f"{count} {verdict}" for verdict, count in sorted(counts.items()))
        return f"{len(self.rows)} Items: {verdicts}"

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        shown = [COLUMNS[:-1], *(_texts(row) for row in self.rows[:_SHOWN])]
        widths = [max(len(line[index]) for line in shown) for index in range(len(COLUMNS) - 1)]
        lines = ["  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()
                 for line in shown]  # fmt: skip
        more = len(self.rows) - _SHOWN
        return "\n".join([*lines, *([f"and {more} more"] if more > 0 else []), self.summary()])

    def _repr_html_(self) -> str:
        shown = ((*_texts(row), row.why) for row in self.rows)
        return page("eocube.Audit", table(COLUMNS, shown, len(self.rows)), pairs([("all", self.summary())]))


def _texts(row: AuditRow) -> tuple[str, ...]:
    offset = "" if row.offset != row.offset else f"{row.offset:g}"
    return row.item, row.catalog, row.baseline, offset, row.source, row.pixels, row.verdict


def audit(items: Iterable[Any], *, verify_offset: Verify = True, loader: str | Loader = "cog") -> Audit:
    """Compare what Items say of the offset of baseline 04.00 with what their pixels say.

    One overview of red with SCL is read per Item, of blue too where red says that the offset is in.

    Parameters
    ----------
    items : ItemCollection or iterable of Items
        Of any catalogs, mixed too; dicts do as well.
    verify_offset : {True, "auto", False}
        Look at the pixels of all Items, of those that are known to be unreliable, or of none.
    loader : str or Loader
        See :func:`eocube.plan`.

    Returns
    -------
    Audit
        Prints itself; ``.contradictions``, ``.rows`` and ``.to_pandas()``.

    Raises
    ------
    NoItemsError
        If there is none.
    ItemsError
        If something among them is no STAC Item.
    InputError
        If ``verify_offset`` or ``loader`` is not known.

    Examples
    --------
    >>> import eocube
    >>> world = eocube.sample.cached()
    >>> found = eocube.audit(eocube.search(world.items_path, period="2021-06-12"))
    >>> len(found.contradictions)
    0
    """
    check_verify(verify_offset)
    reader = loader_named(loader)
    records = as_dicts(items)
    read = [_read(record) for record in records]
    chosen = {
        index: record for index, (record, (granule, layout, _)) in enumerate(zip(records, read, strict=True))
        if granule is not None and layout is not None and verify_offset is not False
        and (verify_offset is True or is_doubtful(granule, layout))
    }  # fmt: skip
    found = dict(zip(chosen, findings(chosen.values(), reader), strict=True))
    return Audit(
        tuple(_row(record, *read[index], found.get(index)) for index, record in enumerate(records))
    )


def _read(record: Mapping[str, Any]) -> tuple[Granule | None, Catalog | None, str]:
    try:
        layout = layout_of(record)
        granule = granule_of(record, ("red",), layout)
    except ItemsError as error:
        return None, None, str(error)
    if not granule.offsets:
        return None, layout, f"it lacks {', '.join(granule.missing)}"
    return granule, layout, ""


def _row(
    record: Mapping[str, Any], granule: Granule | None, layout: Catalog | None, problem: str,
    found: Finding | str | None,
) -> AuditRow:  # fmt: skip
    name, catalog = str(record["id"]), layout.name if layout else ""
    if granule is None:
        return AuditRow(name, catalog, "", float("nan"), "", "", "not read", problem)
    said = name, catalog, granule.baseline, granule.offsets["red"], granule.reasons["red"]
    if found is None:
        return AuditRow(*said, "", "trusted", "not looked at")
    if isinstance(found, str):
        return AuditRow(*said, "unreadable", "trusted", found)
    if found.state == "undecided":
        return AuditRow(*said, "undecided", "trusted", found.why)
    verdict = "agrees" if corrected(granule, found).offsets == granule.offsets else "contradicted"
    return AuditRow(*said, found.state, verdict, found.why)
