"""What a search found: an ItemCollection that shows itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import pystac

from .errors import EocubeError, shorten
from .facts import baseline_of, number_of, orbit_of, platform_of, tile_of, time_of
from .folders import view
from .htmls import folded, page, pairs, table

_HEAD = ("time (UTC)", "tile", "platform", "orbit", "baseline", "cloud %", "no data %", "id")
_ODD = (EocubeError, TypeError, ValueError, LookupError, AttributeError, ArithmeticError)


class FoundItems(pystac.ItemCollection):
    """A :class:`pystac.ItemCollection` like any other, that says what is in it.

    pystac shows Items as their whole JSON, and does not escape it; Items come from anywhere.
    """

    def _said(self) -> list[tuple[str, object]]:
        rows = [_row(item) for item in self.items]
        days = sorted({row[0][:10] for row in rows if row[0]})
        tiles, platforms = (Counter(row[k] for row in rows if row[k]) for k in (1, 2))
        clouds = [float(row[5]) for row in rows if row[5]]
        said: list[tuple[str, object]] = [("Items", len(rows))]
        if days:
            said.append(("dates", f"{len(days)}, {days[0]} to {days[-1]}"))
        if tiles:
            said.append(("tiles", shorten((f"{tile} ({count})" for tile, count in sorted(tiles.items())), 8)))
        if platforms:
            said.append(
                ("platforms", shorten(f"{name} ({count})" for name, count in sorted(platforms.items())))
            )
        if clouds:
            middle = sorted(clouds)[len(clouds) // 2]
            said.append(("cloud", f"{min(clouds):.0f} to {max(clouds):.0f} %, median {middle:.0f} %"))
        collections = Counter(str(item.collection_id or "none") for item in self.items)
        said.append(("collection", shorten(sorted(collections))))
        return said

    def __repr__(self) -> str:
        body = "\n".join(f"  {word:<12}{meaning}" for word, meaning in self._said())
        return f"<eocube Items>\n{body}"

    def _repr_html_(self) -> str:
        rows = [_row(item) for item in self.items]
        every = folded(f"{len(rows)} Items", table(_HEAD, rows, len(rows)))
        return page("eocube Items", pairs(self._said()), every)


def _row(item: pystac.Item) -> tuple[str, ...]:
    """Return the cells of an Item; empty where it does not say it, or says nonsense."""
    seen = view(item)
    properties = seen["properties"] if isinstance(seen.get("properties"), Mapping) else {}

    def said(what: Callable[[Any], object]) -> str:
        try:
            found = what(seen)
        except _ODD:
            return ""
        return "" if found is None else str(found)

    def percent(*keys: str) -> str:
        numbers = (number_of(properties.get(key)) for key in keys)
        return next((f"{number:.0f}" for number in numbers if number is not None), "")

    return (
        said(lambda record: f"{time_of(record):%Y-%m-%d %H:%M}"),
        said(tile_of).replace("00000", ""),
        said(platform_of),
        said(orbit_of),
        said(baseline_of),
        percent("eo:cloud_cover"),
        percent("s2:nodata_pixel_percentage"),
        str(item.id),
    )
