"""Planning: of what each cell will be made, and what it will cost, from metadata alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ..errors import NoItemsError
from .recipes import Recipe
from .works import plans_for, scenes_for

if TYPE_CHECKING:
    import pandas as pd

_NOTHING = {
    "items": 0, "scenes": 0, "first": "", "last": "", "files": 0, "gigabytes": 0.0, "requests": 0,
    "hours": 0.0,
}  # fmt: skip
"""What a cell without scenes costs."""


def planned(
    recipe: Recipe, cells: Iterable[str], states: Mapping[str, str], catalog: Any, memory: int | str
) -> pd.DataFrame:
    """Return a row per cell, the sums in ``attrs["total"]``; see :meth:`eocube.Archive.plan`."""
    import pandas as pd

    rows = [
        {"cell": cell, "state": states.get(cell, "planned"), **_cost(recipe, cell, catalog, memory)}
        for cell in cells
    ]
    table = pd.DataFrame(rows, columns=["cell", "state", *_NOTHING])
    sums = {name: table[name].sum() for name in ("scenes", "files", "gigabytes", "requests", "hours")}
    table.attrs["total"] = {"cells": len(table), **{name: float(value) for name, value in sums.items()}}
    return table


def _cost(recipe: Recipe, cell: str, catalog: Any, memory: int | str) -> dict[str, Any]:
    try:
        scenes = scenes_for(recipe, cell, catalog)
    except NoItemsError:
        return _NOTHING
    plans = [
        rungs[0] for rungs in plans_for(recipe, scenes, memory=memory, verify_offset=False).values()
    ]
    estimates = [plan.estimate() for plan in plans]
    days = [scene.day for scene in plans[0].scenes]
    return {
        "items": scenes.found, "scenes": len(plans[0].scenes),
        "first": str(min(days)), "last": str(max(days)),
        "files": sum(plan.cost.files for plan in plans),
        "gigabytes": round(sum(one.bytes for one in estimates) / 1e9, 6),
        "requests": sum(one.requests for one in estimates),
        "hours": round(sum(one.seconds for one in estimates) / 3600, 6),
    }  # fmt: skip
