"""Scenes: from Items to solar-day passes. Only metadata; no pixel is touched.

An Item becomes a Granule: its files, their radiometric offsets, sun angles, baseline, footprint.
Granules of one solar day and platform become a Scene, in which they are mosaicked, so that no pass
is ever counted twice.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import shapely
from shapely.geometry.base import BaseGeometry

from .errors import MissingAssetError, shorten
from .granules import Granule, granule_of
from .items import as_dicts, check_one_collection, layout_of
from .reports import NOTHING_DROPPED, Dropped, DroppedTable

_TWIN = 0.9
"""A granule covered to this share by better ones of the same pass adds nothing."""

ONE_PASS = 600
"""Seconds. Granules of one tile within this time come from one pass (two passes are 100 minutes apart)."""


@dataclass(frozen=True)
class Scene:
    """One solar-day pass of one platform over the area.

    Attributes
    ----------
    id : str
        ``"sentinel-2a_2023-08-15"``.
    day : date
        The solar day in the middle of the area.
    platform : str
        ``"sentinel-2a"``.
    granules : tuple of Granule
        In the order in which they fill the Scene.
    """

    id: str
    day: date
    platform: str
    granules: tuple[Granule, ...] = field(repr=False)

    @property
    def time(self) -> datetime:
        """Earliest sensing time of the granules (UTC)."""
        return min(granule.time for granule in self.granules)

    @property
    def baseline(self) -> str:
        """Processing baseline; several are joined by a comma."""
        return ",".join(sorted({granule.baseline for granule in self.granules}))

    @property
    def sun_azimuth(self) -> float:
        """Mean of the granules, degrees clockwise from true north."""
        return _mean_angle([granule.sun_azimuth for granule in self.granules])

    @property
    def sun_elevation(self) -> float:
        """Mean of the granules, degrees above the horizon."""
        elevations = [granule.sun_elevation for granule in self.granules]
        return sum(elevations) / len(elevations)

    @property
    def offset(self) -> float:
        """What is added to the digital numbers; NaN where granules or bands differ."""
        found = {offset for granule in self.granules for offset in granule.offsets.values()}
        return found.pop() if len(found) == 1 else float("nan")

    def offset_of(self, band: str) -> float:
        """Return what is added to the digital numbers of a band; NaN where granules differ."""
        found = {granule.offsets.get(band, math.nan) for granule in self.granules}
        return found.pop() if len(found) == 1 else math.nan

    @property
    def offset_sources(self) -> tuple[str, ...]:
        """What says so: of all granules and bands, each once."""
        return tuple(sorted({reason for g in self.granules for reason in g.reasons.values()}))


@dataclass(frozen=True)
class SceneTable:
    """Scenes of a set of Items, and what was left out.

    Attributes
    ----------
    scenes : tuple of Scene
        Sorted by time.
    dropped : DroppedTable
        Items left out because better ones of the same pass cover them, and which rule decided.
    skipped : tuple of str
        ``"item: asset"`` left out because the asset is missing, when that was asked for.
    """

    scenes: tuple[Scene, ...]
    dropped: DroppedTable = NOTHING_DROPPED
    skipped: tuple[str, ...] = ()

    @property
    def twins(self) -> tuple[str, ...]:
        """Ids of the Items in ``dropped``."""
        return self.dropped.ids


def scenes_of(
    items: Iterable[Any], bands: tuple[str, ...], *, longitude: float, skip_missing: bool = False
) -> SceneTable:
    """Group Items into Scenes.

    Parameters
    ----------
    items : iterable of pystac.Item or dict
        In any order; the result does not depend on it.
    bands : tuple of str
        Common names of all bands that will be read, the mask's too.
    longitude : float
        Of the middle of the area, degrees: decides the solar day.
    skip_missing : bool
        Leave out Items that lack an asset instead of raising.

    Raises
    ------
    MissingAssetError
        If an Item lacks an asset; names both.
    ItemsError
        If the Items are of several collections or of no known layout.
    """
    records = as_dicts(items)
    check_one_collection(records)
    granules = [granule_of(record, bands, layout_of(record)) for record in records]
    missing = {g.id: g.missing for g in granules if g.missing}
    if missing and not skip_missing:
        raise MissingAssetError(_lacking(missing, records))
    whole = [granule for granule in granules if not granule.missing]
    scenes: list[Scene] = []
    twins: list[Dropped] = []
    for (platform, day), group in sorted(_by_day(whole, longitude).items(), key=lambda pair: pair[0][::-1]):
        kept, dropped = _without_twins(group)
        scenes.append(Scene(f"{platform}_{day}", day, platform, tuple(kept)))
        twins += dropped
    skipped = tuple(f"{item}: {', '.join(names)}" for item, names in sorted(missing.items()))
    ordered = sorted(scenes, key=lambda scene: (scene.time, scene.id))
    return SceneTable(tuple(ordered), DroppedTable(sorted(twins, key=lambda row: row.id)), skipped)


def _by_day(granules: list[Granule], longitude: float) -> dict[tuple[str, date], list[Granule]]:
    """Group by platform and solar day: one longitude for all, so that no pass is cut in two."""
    shift = timedelta(hours=longitude / 15)
    groups: dict[tuple[str, date], list[Granule]] = {}
    for granule in granules:
        groups.setdefault((granule.platform, (granule.time + shift).date()), []).append(granule)
    return groups


def _without_twins(group: list[Granule]) -> tuple[list[Granule], list[Dropped]]:
    """Drop what reprocessing or a second catalog doubled; keep the two halves of a split pass.

    Best processed first: highest baseline, then newest, then Collection 1. A granule whose valid area
    is covered by better ones of the same tile and pass adds nothing; a half pass is not covered by
    the other.
    """
    best_first = sorted(group, key=lambda g: (g.id, g.catalog))
    best_first.sort(key=_rank, reverse=True)
    kept: list[Granule] = []
    dropped: list[Dropped] = []
    for granule in best_first:
        better = [
            k
            for k in kept
            if k.tile == granule.tile and abs(k.time - granule.time) < timedelta(seconds=ONE_PASS)
        ]
        better = [k for k in better if shapely.intersects(k.footprint, granule.footprint)]
        if covered(granule.footprint, [k.footprint for k in better]):
            dropped.append(Dropped(granule.id, tuple(k.id for k in better), _why(granule, better[0])))
        else:
            kept.append(granule)
    first = {granule.tile: min(k.time for k in kept if k.tile == granule.tile) for granule in kept}
    # Along the orbit, tile after tile; within a tile the best processed first.
    return sorted(kept, key=lambda g: (first[g.tile], g.tile, -float(g.baseline or 0), g.id)), dropped


def _rank(granule: Granule) -> tuple[str, datetime, bool]:
    return granule.baseline, _instant(granule.generated), "c1" in granule.collection.split("-")


def _instant(text: str) -> datetime:
    """Return a generation time; catalogs write it with and without fractions. Unsaid: the oldest."""
    try:
        found = datetime.fromisoformat(text)
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return datetime.min.replace(tzinfo=UTC)


def _why(granule: Granule, better: Granule) -> str:
    """Say which rule decided between two granules of one pass."""
    where = " and ".join(sorted({g.catalog for g in (granule, better)} - {""}))
    both = f"; found in {where}" if granule.catalog != better.catalog else ""
    if granule.baseline != better.baseline:
        return f"baseline {granule.baseline or 'unknown'} < {better.baseline}{both}"
    if _instant(granule.generated) != _instant(better.generated):
        return f"generated {granule.generated or 'unknown'}, before {better.generated}{both}"
    if granule.collection != better.collection:
        return f"the same product in {granule.collection} and {better.collection}{both}"
    return f"the same product twice: the first by id{both}"


def covered(footprint: BaseGeometry, others: list[BaseGeometry]) -> bool:
    """Whether others cover 90 % of a footprint."""
    if not others or footprint.area == 0:
        return bool(others)
    common = shapely.intersection(footprint, shapely.union_all(others))
    return bool(common.area / footprint.area >= _TWIN)


def _mean_angle(degrees: list[float]) -> float:
    """Return the mean direction; a plain mean of 359 and 1 would point south."""
    east = sum(math.sin(math.radians(d)) for d in degrees)
    north = sum(math.cos(math.radians(d)) for d in degrees)
    return math.degrees(math.atan2(east, north)) % 360


def _lacking(missing: Mapping[str, tuple[str, ...]], records: list[dict[str, Any]]) -> str:
    first = next(iter(missing))
    has = next(record for record in records if record["id"] == first)["assets"]
    lines = [f"{item} lacks {', '.join(names)}" for item, names in missing.items()]
    if len(missing) == len(records) and len(set(missing.values())) == 1:
        names = ", ".join(missing[first])
        return f"None of the {len(records)} Items has {names}. They have: {shorten(has, 30)}."
    return (
        f"{len(missing)} of {len(records)} Items lack an asset: {shorten(lines)}. {first} has: "
        f"{shorten(has, 30)}. Ask for other bands or another mask, or leave these Items out with "
        "on_missing='skip'."
    )
