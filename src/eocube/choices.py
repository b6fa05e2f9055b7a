"""Choosing scenes: the clearest ones, spread over the year and the orbits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .errors import InputError
from .facts import number_of, orbit_of, properties_of, time_of
from .folders import in_memory, in_time
from .items import as_dicts
from .scenes import scenes_of

if TYPE_CHECKING:
    import pystac

SAME_MONTH = 0.8
"""A scene counts by a fifth less for each one already chosen of its month of the year."""

SAME_ORBIT = 0.95
"""A scene counts by a twentieth less for each one already chosen of its relative orbit."""

_CLOUDED = (
    ("s2:high_proba_clouds_percentage", "high_proba_clouds"),
    ("s2:medium_proba_clouds_percentage", "medium_proba_clouds"),
    ("s2:thin_cirrus_percentage", "thin_cirrus"),
    ("s2:cloud_shadow_percentage", "cloud_shadow"),
)
"""Percent of valid pixels: as a property, or in CDSE's ``statistics``."""


def score(item: Any) -> float:
    """Say how much of a tile an Item shows clear: 0 (nothing) to 1 (all).

    ``(100 - no data) / 100 * (1 - (high + medium + cirrus + shadow) / 100)``, from the percentages
    that Sen2Cor gives of the valid pixels. Where the classes are not said, ``eo:cloud_cover`` stands
    for them; where that is not said either, the scene counts as half clear. No data that is not said
    is taken as none.

    Parameters
    ----------
    item : pystac.Item or dict

    Raises
    ------
    ItemsError
        If it is not an Item.

    Examples
    --------
    >>> score({"id": "a", "assets": {}, "properties": {"s2:nodata_pixel_percentage": 50,
    ...        "s2:high_proba_clouds_percentage": 10, "s2:cloud_shadow_percentage": 10}})
    0.4
    """
    if not (isinstance(item, Mapping) and "properties" in item):
        (item,) = as_dicts([item])
    valid, clear = _shares(item)
    return round(valid * clear, 6)


def best(items: Iterable[Any], n: int = 16, *, spread: bool = True) -> pystac.ItemCollection:
    """Choose the best passes of each tile.

    The unit is a pass over a tile: both halves of a split pass are chosen or none, reprocessed twins
    are left out first. Passes are chosen one by one, the highest :func:`score` first; the score of
    the ones left counts by a fifth less for each chosen one of the same month of the year, and by a
    twentieth less for each of the same relative orbit, so that a year's sixteen are not all of one
    season. Ties go to the earlier pass.

    Parameters
    ----------
    items : ItemCollection or iterable of Items or dicts
        Of one collection.
    n : int
        Passes per tile, at most.
    spread : bool
        False: by score alone.

    Returns
    -------
    pystac.ItemCollection
        Sorted by time.

    Raises
    ------
    InputError
        If ``n`` is less than 1.
    ItemsError, NoItemsError
        If the Items cannot be used.

    Examples
    --------
    >>> import eocube
    >>> world = eocube.sample.cached()
    >>> items = eocube.search(world.items_path)
    >>> len(eocube.best(items, n=2)) < len(items)
    True
    """
    if isinstance(n, bool) or not isinstance(n, int) or n < 1:
        raise InputError(f"n={n!r} is not a number of scenes: give 1 or more.")
    given = list(items["features"] if isinstance(items, Mapping) and "features" in items else items)
    chosen = {
        name
        for passes in _passes(as_dicts(given)).values()
        for one in _spread(passes, n, spread=spread)
        for name in one.items
    }
    from .founds import FoundItems

    own = [item for item in in_memory(given) if (str(item.collection_id), item.id) in chosen]
    return FoundItems(in_time(own), clone_items=False)


@dataclass(frozen=True)
class _Pass:
    """One pass over one tile."""

    items: tuple[tuple[str, str], ...]
    score: float
    time: str
    month: int
    orbit: int | None


def _passes(records: list[dict[str, Any]]) -> dict[str, list[_Pass]]:
    known = {(str(record.get("collection")), record["id"]): record for record in records}
    # The bands do not matter here, nor what assets there are.
    tiles: dict[str, list[_Pass]] = {}
    for scene in scenes_of(records, (), longitude=_longitude(records)).scenes:
        for tile in sorted({granule.tile for granule in scene.granules}):
            names = [(g.collection or "None", g.id) for g in scene.granules if g.tile == tile]
            parts = [_shares(known[name]) for name in names]
            first = known[names[0]]
            valid = sum(share for share, _ in parts)
            clear = sum(share * clear for share, clear in parts) / valid if valid else 0.0
            when = min(time_of(known[name]) for name in names)
            whole = _Pass(
                tuple(names), round(min(1.0, valid) * clear, 6), when.isoformat(), when.month, orbit_of(first)
            )  # fmt: skip
            tiles.setdefault(tile, []).append(whole)
    return tiles


def _longitude(records: list[dict[str, Any]]) -> float:
    from .shapes import footprint_of

    return float(sum(footprint_of(record).centroid.x for record in records) / len(records))


def _spread(passes: list[_Pass], n: int, *, spread: bool) -> list[_Pass]:
    left = sorted(passes, key=lambda one: (one.time, one.items))
    chosen: list[_Pass] = []
    months: Counter[int] = Counter()
    orbits: Counter[int | None] = Counter()
    while left and len(chosen) < n:

        def counts(one: _Pass) -> float:
            # Rounded, so that a tie is a tie.
            fewer = SAME_MONTH ** months[one.month] * SAME_ORBIT ** orbits[one.orbit]
            return round(one.score * (fewer if spread else 1), 9)

        at = max(left, key=counts)
        left.remove(at)
        chosen.append(at)
        months[at.month] += 1
        orbits[at.orbit] += 1
    return chosen


def _shares(record: Mapping[str, Any]) -> tuple[float, float]:
    """Return the valid share of the tile, and the clear share of the valid part."""
    properties = properties_of(record)
    other = properties.get("statistics")
    statistics = other if isinstance(other, Mapping) else {}

    def percent(*names: str) -> float | None:
        for name, place in zip(names, (properties, statistics), strict=True):
            found = number_of(place.get(name))
            if found is not None:
                return min(100.0, max(0.0, found))
        return None

    nodata = percent("s2:nodata_pixel_percentage", "nodata") or 0.0
    parts = [percent(*names) for names in _CLOUDED]
    if all(part is None for part in parts):
        cover = number_of(properties.get("eo:cloud_cover"))
        clouded = 50.0 if cover is None else min(100.0, max(0.0, cover))
    else:
        clouded = min(100.0, sum(part or 0.0 for part in parts))
    return 1 - nodata / 100, 1 - clouded / 100
