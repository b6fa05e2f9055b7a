"""Several catalogs: the first is used, the others where it has gaps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol

import shapely
from shapely.geometry.base import BaseGeometry

from .facts import platform_of, tile_of, time_of
from .folders import view
from .items import FOUND_IN
from .reports import Dropped, DroppedTable
from .scenes import ONE_PASS, covered
from .shapes import footprint_of

if TYPE_CHECKING:
    import pystac

FOUND = "eocube:found"
"""Field of a search's result: how many Items came from which catalog."""

DROPPED = "eocube:dropped"
"""Field of a search's result: rows of what was left out; see :class:`eocube.reports.DroppedTable`."""


class Named(Protocol):
    """Has a name."""

    @property
    def name(self) -> str:
        """What messages call it."""
        ...  # pragma: no cover


def filled(
    parts: Sequence[tuple[Named, list[pystac.Item]]],
) -> tuple[list[pystac.Item], DroppedTable]:
    """Join what several catalogs found.

    Rule: catalogs count in the order in which they were given. An Item of a later one is left out if
    Items of earlier ones cover 90 % of it in the same pass: same platform and tile, within 10
    minutes. So a half of a pass that one catalog lacks is filled in from the next.

    Returns
    -------
    list of pystac.Item
        Each notes its catalog in ``eocube:catalog``.
    DroppedTable
        What was left out, and for which Items.
    """
    kept: dict[tuple[str, str], list[tuple[datetime, BaseGeometry, str, str]]] = {}
    found: list[pystac.Item] = []
    dropped: list[Dropped] = []
    for place, items in parts:
        new = []
        for item in items:
            seen = view(item)
            key, when, shape = (platform_of(seen), tile_of(seen)), time_of(seen), footprint_of(seen)
            before = [
                row for row in kept.get(key, ())
                if abs(row[0] - when) < timedelta(seconds=ONE_PASS) and shapely.intersects(row[1], shape)
            ]  # fmt: skip
            if covered(shape, [row[1] for row in before]):
                names = shorten_names(row[3] for row in before)
                why = f"the same pass is in {names}, which comes before {place.name}"
                dropped.append(Dropped(item.id, tuple(row[2] for row in before), why))
                continue
            item.extra_fields[FOUND_IN] = place.name
            new.append((key, (when, shape, item.id, place.name)))
            found.append(item)
        for key, row in new:  # twins of one catalog are left to the plan
            kept.setdefault(key, []).append(row)
    return found, DroppedTable(sorted(dropped, key=lambda row: row.id))


def shorten_names(names: Any) -> str:
    """Join names, each once."""
    return ", ".join(dict.fromkeys(names))


def report(items: list[pystac.Item], dropped: DroppedTable | None) -> pystac.ItemCollection:
    """Return the result of a search; with the report if several catalogs were searched."""
    from .founds import FoundItems

    extra: dict[str, Any] = {}
    if dropped is not None:
        extra[FOUND] = dict(Counter(str(item.extra_fields[FOUND_IN]) for item in items))
        extra[DROPPED] = dropped.as_dicts()
    return FoundItems(items, extra_fields=extra, clone_items=False)
