"""How a mask shows itself in notebooks."""

from __future__ import annotations

from typing import Any

from ..htmls import folded, page, pairs, table
from .algebra import MaskLike, need


def as_html(found: Any) -> str:
    """Return what notebooks show of a mask: what it is, what it needs, its parts."""
    wants = need(found)
    rows = [
        ("throws away", repr(found)),
        ("bands", ", ".join(wants.bands)),
        ("pixel", f"{wants.resolution:g} m, or the output's where that is coarser"),
        ("looks around", f"{wants.reach:g} m" if wants.reach else "not at all: one pixel at a time"),
    ]
    parts = getattr(found, "parts", None) or [of for of in (getattr(found, "of", None),) if of is not None]
    own = [
        (type(part).__name__, repr(part), ", ".join(part.bands), f"{float(part.reach):g}")
        for part in parts
        if isinstance(part, MaskLike)
    ]
    shown = [pairs(rows)]
    if own:
        head = ("kind", "mask", "bands", "reach (m)")
        shown.append(folded(f"{len(own)} parts", table(head, own, len(own))))
    return page("eocube mask", *shown)
