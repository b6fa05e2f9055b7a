"""Scenes: from Items to solar-day passes. Only metadata; no pixel is touched.

An Item becomes a Granule: its files, their radiometric offsets, sun angles, baseline, footprint.
Granules of one solar day and platform become a Scene, in which they are mosaicked, so that no pass
is ever counted twice.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

import shapely
from shapely.geometry.base import BaseGeometry

from .errors import MissingAssetError, shorten
from .granules import Granule, granule_of
from .items import as_dicts, check_one_collection, layout_of

_TWIN = 0.9
"""A granule covered to this share by better ones of the same pass adds nothing."""

_PASS = timedelta(minutes=10)
"""Granules of one tile within this time come from one pass (two passes are 100 minutes apart)."""


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
    twins : tuple of str
        Ids of Items left out because a better processed one of the same pass covers them.
    skipped : tuple of str
        ``"item: asset"`` left out because the asset is missing, when that was asked for.
    """

    scenes: tuple[Scene, ...]
    twins: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()


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
    scenes, twins = [], []
    for (platform, day), group in sorted(_by_day(whole, longitude).items(), key=lambda pair: pair[0][::-1]):
        kept, dropped = _without_twins(group)
        scenes.append(Scene(f"{platform}_{day}", day, platform, tuple(kept)))
        twins += [granule.id for granule in dropped]
    skipped = tuple(f"{item}: {', '.join(names)}" for item, names in sorted(missing.items()))
    ordered = sorted(scenes, key=lambda scene: (scene.time, scene.id))
    return SceneTable(tuple(ordered), tuple(sorted(twins)), skipped)


def _by_day(granules: list[Granule], longitude: float) -> dict[tuple[str, date], list[Granule]]:
    """Group by platform and solar day: one longitude for all, so that no pass is cut in two."""
    shift = timedelta(hours=longitude / 15)
    groups: dict[tuple[str, date], list[Granule]] = {}
    for granule in granules:
        groups.setdefault((granule.platform, (granule.time + shift).date()), []).append(granule)
    return groups


def _without_twins(group: list[Granule]) -> tuple[list[Granule], list[Granule]]:
    """Drop what reprocessing doubled; keep the two halves of a split pass.

    Best processed first: highest baseline, then newest. A granule whose valid area is covered by
    better ones of the same tile and pass adds nothing; a half pass is not covered by the other.
    """
    best_first = sorted(group, key=lambda g: g.id)
    best_first.sort(key=lambda g: (g.baseline, g.generated), reverse=True)
    kept: list[Granule] = []
    dropped: list[Granule] = []
    for granule in best_first:
        better = [k for k in kept if k.tile == granule.tile and abs(k.time - granule.time) < _PASS]
        (dropped if _covered(granule.footprint, [k.footprint for k in better]) else kept).append(granule)
    first = {granule.tile: min(k.time for k in kept if k.tile == granule.tile) for granule in kept}
    # Along the orbit, tile after tile; within a tile the best processed first.
    return sorted(kept, key=lambda g: (first[g.tile], g.tile, -float(g.baseline or 0), g.id)), dropped


def _covered(footprint: BaseGeometry, others: list[BaseGeometry]) -> bool:
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
