"""Companions: what a mask looks at beside the Items of a cube, joined to them Item by Item.

Level-1C Items are joined by platform, tile and pass; a folder of probabilities by the ids of the
scenes. Each becomes a Granule of its own, the companion of the Item's, its bands by names with a
prefix. Reading needs no special case: a mask's bands are the mask's bands.
"""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import shapely
from odc.geo.geobox import GeoBox
from shapely.geometry.base import BaseGeometry

from .errors import MaskError, MaskWarning, shorten
from .facts import level_of
from .granules import Granule, granule_of
from .items import as_dicts, layout_of
from .masks.nesting import parts_of, replaced
from .masks.s2cloudless import L1C, MODEL_BANDS, S2Cloudless
from .scenes import Scene, covered

HALF_ORBIT = timedelta(minutes=50)
"""Two Items of one platform and tile are of one pass within this time. Catalogs write the sensing time of
the tile or the start of the data take, up to 20 minutes apart; the next pass comes after 100."""

_WHY_NOT_L2A = (
    "s2cloudless was trained on Level-1C (top of atmosphere), band 10 among it, which Level-2A has lost; on "
    "surface reflectance it misses even thick clouds. Search Level-1C Items of the same area and period and "
    "write S2Cloudless(l1c=items); or take a ready probability, CloudProbability('cloud', 40)."
)

Outlines = tuple[tuple[BaseGeometry, ...], ...]


@dataclass(frozen=True)
class Joined:
    """Scenes with what a mask looks at beside them.

    Attributes
    ----------
    scenes : tuple of Scene
    mask : mask
        Without the Items, which are in the Scenes now.
    unmasked : tuple of str
        Ids of Items without a companion, where that was allowed.
    """

    scenes: tuple[Scene, ...]
    mask: Any
    unmasked: tuple[str, ...] = ()


def check_levels(mask: Any, records: Iterable[Mapping[str, Any]]) -> None:
    """Refuse a mask that needs Level-1C on other Items.

    Raises
    ------
    MaskError
        Says why, and what to do.
    """
    alone = [part for part in parts_of(mask) if isinstance(part, S2Cloudless) and part.l1c is None]
    if not alone:
        return
    other = [str(record["id"]) for record in records if level_of(record) != "L1C"]
    if other:
        raise MaskError(f"{alone[0]!r} was asked to mask Level-2A ({shorten(other, 2)}): {_WHY_NOT_L2A}")


def joined(scenes: tuple[Scene, ...], outlines: Outlines, mask: Any, grid: GeoBox) -> Joined:
    """Join to the granules of Scenes what a mask looks at beside them.

    Parameters
    ----------
    scenes : tuple of Scene
        Those on the grid.
    outlines : tuple of tuple of geometry
        Where each of their granules may have data, in the grid's CRS.
    mask : mask or None
    grid : GeoBox
        Only granules on it must have a companion.

    Raises
    ------
    MaskError
        If a granule has no companion; lists them.

    Warns
    -----
    MaskWarning
        The same, where ``on_missing="skip_mask"`` allows it.
    """
    parts = [part for part in parts_of(mask) if isinstance(part, S2Cloudless) and part.l1c]
    if not parts:
        return Joined(scenes, mask)
    offered = _level_1c([item for part in parts for item in part.l1c or ()])
    found = {
        granule.id: companion
        for scene in scenes
        for granule in scene.granules
        if (companion := _companion(granule, offered)) is not None
    }
    box = shapely.box(*grid.extent.boundingbox.bbox)
    missing = [
        granule
        for scene, own in zip(scenes, outlines, strict=True)
        for granule, outline in zip(scene.granules, own, strict=True)
        if granule.id not in found and outline.intersects(box)
    ]
    if missing:
        said = _missing(missing, scenes, offered)
        if any(part.on_missing == "raise" for part in parts):
            raise MaskError(
                f"{parts[0]!r} needs Level-1C, and {said} Search Level-1C over the whole area and period of "
                "the cube, leave these Items out, or say on_missing='skip_mask'."
            )
        warnings.warn(f"S2Cloudless throws nothing away where {said}", MaskWarning, stacklevel=4)
    settled = replaced(mask, lambda part: part.settled() if isinstance(part, S2Cloudless) else part)
    return Joined(_with(scenes, found), settled, tuple(granule.id for granule in missing))


def _with(scenes: tuple[Scene, ...], found: Mapping[str, Granule]) -> tuple[Scene, ...]:
    """Return the Scenes whose granules have their companions."""

    def one(granule: Granule) -> Granule:
        new = found.get(granule.id)
        old = granule.companion
        if new is None:
            return granule
        if old is not None:
            new = replace(
                new,
                sources={**old.sources, **new.sources},
                offsets={**old.offsets, **new.offsets},
                scales={**old.scales, **new.scales},
            )
        return replace(granule, companion=new)

    return tuple(replace(scene, granules=tuple(map(one, scene.granules))) for scene in scenes)


def _level_1c(items: list[Any]) -> dict[tuple[str, str], list[Granule]]:
    """Return Level-1C Items as Granules, by platform and tile."""
    records = as_dicts(items)
    other = [str(record["id"]) for record in records if level_of(record) != "L1C"]
    if other:
        raise MaskError(f"S2Cloudless(l1c=...) was given Level-2A ({shorten(other, 2)}): {_WHY_NOT_L2A}")
    offered = defaultdict(list)
    lacking = []
    for record in records:
        granule = granule_of(record, MODEL_BANDS, layout_of(record))
        if granule.missing:
            lacking.append(f"{granule.id} lacks {', '.join(granule.missing)}")
        offered[granule.platform, granule.tile].append(_prefixed(granule))
    if lacking:
        raise MaskError(f"S2Cloudless needs ten bands, and of its Level-1C Items {shorten(lacking)}.")
    return dict(offered)


def _prefixed(granule: Granule) -> Granule:
    return replace(
        granule,
        sources={f"{L1C}:{band}": source for band, source in granule.sources.items()},
        offsets={f"{L1C}:{band}": offset for band, offset in granule.offsets.items()},
        scales={f"{L1C}:{band}": scale for band, scale in granule.scales.items()},
        reasons={f"{L1C}:{band}": reason for band, reason in granule.reasons.items()},
    )


def _companion(granule: Granule, offered: Mapping[tuple[str, str], list[Granule]]) -> Granule | None:
    """Return what was sensed at the same time: that which covers it, of its own baseline if there is one.

    Of the halves of a split pass each gets its own.
    """
    same = [
        other
        for other in offered.get((granule.platform, granule.tile), ())
        if abs(other.time - granule.time) < HALF_ORBIT and other.footprint.intersects(granule.footprint)
    ]

    def rank(other: Granule) -> tuple[bool, str, str]:
        return other.baseline == granule.baseline, other.baseline, other.generated

    best_first = sorted(sorted(same, key=lambda other: other.id), key=rank, reverse=True)
    whole = (other for other in best_first if covered(granule.footprint, [other.footprint]))
    largest = max(best_first, key=lambda other: _common(granule, other), default=None)
    return next(whole, largest)


def _common(granule: Granule, other: Granule) -> float:
    return float(shapely.intersection(granule.footprint, other.footprint).area)


def _missing(
    granules: list[Granule], scenes: tuple[Scene, ...], offered: Mapping[tuple[str, str], list[Granule]]
) -> str:
    """Say which Items have none, and what there is instead."""
    ids = {granule.id for granule in granules}
    concerned = sum(any(granule.id in ids for granule in scene.granules) for scene in scenes)
    every = [other for own in offered.values() for other in own]
    tiles = sorted({other.tile for other in every})
    wanted = sorted({granule.tile for granule in granules} - set(tiles))
    times = sorted(other.time for other in every)
    where = f"; none is of tile {shorten(wanted)}" if wanted else ""
    return (
        f"{concerned} of {len(scenes)} scenes have none: {shorten(sorted(ids), 10)}. The {len(every)} "
        f"Level-1C Items are of tiles {shorten(tiles)}, {times[0]:%Y-%m-%d} to {times[-1]:%Y-%m-%d}{where}."
    )
