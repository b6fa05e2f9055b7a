"""Companions: what a mask looks at beside the Items of a cube, joined to them Item by Item.

Level-1C Items are joined by platform, tile and pass; a folder of probabilities by the ids of the
scenes. Each becomes a Granule of its own, the companion of the Item's, its bands by names with a
prefix. Reading needs no special case: a mask's bands are the mask's bands.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import shapely
from odc.geo.geobox import GeoBox
from shapely.geometry.base import BaseGeometry

from .checks import outside, warn_of_guesses
from .errors import MaskError, MaskWarning, shorten
from .facts import level_of
from .granules import Granule
from .layers import Layers
from .masks.arrays import ArrayMask
from .masks.nesting import parts_of, replaced
from .masks.probabilities import CloudProbability
from .masks.s2cloudless import S2Cloudless
from .masks.ukis import UkisCSMask
from .matches import (
    WHY_NOT_L2A,
    companion_of,
    level_1c,
    raster_of,
    rasters_of,
    without_l1c,
    without_time,
)
from .scenes import Scene

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
    for part in parts_of(mask):
        if isinstance(part, UkisCSMask):
            odd = [str(record["id"]) for record in records if level_of(record) != part.level.upper()]
            if odd:
                raise MaskError(f"{part!r} was asked to mask another level: {shorten(odd, 2)}. Say level=.")
    alone = [part for part in parts_of(mask) if isinstance(part, S2Cloudless) and part.l1c is None]
    if not alone:
        return
    other = [str(record["id"]) for record in records if level_of(record) != "L1C"]
    if other:
        raise MaskError(f"{alone[0]!r} was asked to mask Level-2A ({shorten(other, 2)}): {WHY_NOT_L2A}")


def check_ready(mask: Any, lattice: GeoBox, scenes: Iterable[Scene]) -> None:
    """Refuse ready masks (:func:`eocube.mask_from`) of another grid, or without a Scene's day.

    Raises
    ------
    MaskError
    """
    times = [(scene.time, scene.id) for scene in scenes]
    for part in parts_of(mask):
        if isinstance(part, ArrayMask):
            part.check_on(lattice, times)


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
    parts = [part for part in parts_of(mask) if isinstance(part, S2Cloudless | CloudProbability)]
    if not parts:
        return Joined(scenes, mask)
    box = shapely.box(*grid.extent.boundingbox.bbox)
    here = [
        granule
        for scene, own in zip(scenes, outlines, strict=True)
        for granule, outline in zip(scene.granules, own, strict=True)
        if outline.intersects(box)
    ]
    unmasked: dict[str, None] = {}
    l1c = [part for part in parts if isinstance(part, S2Cloudless) and part.l1c]
    if l1c:
        offered = level_1c([item for part in l1c for item in part.l1c or ()])
        scenes, missing = _with(scenes, here, partial(companion_of, offered=offered))
        if missing:
            _blind(l1c, without_l1c(missing, scenes, offered))
        warn_of_guesses(replace(scene, granules=_companions(scene)) for scene in scenes)
        unmasked |= dict.fromkeys(missing)
    for part in dict.fromkeys(part for part in parts if isinstance(part, CloudProbability)):
        if part.folder is not None:
            rasters = rasters_of(part.folder)
            find = partial(raster_of, band=part.bands[0], rasters=rasters)
            scenes, missing = _with(scenes, here, find)
        elif isinstance(part.source, Layers):
            missing = without_time(part.source, scenes, here, grid)
        else:
            continue
        if missing:
            where = part.folder or "the array"
            _blind([part], f"{where} has nothing of {shorten(missing, 10)}.")
        unmasked |= dict.fromkeys(missing)
    settled = replaced(mask, lambda part: part.settled() if isinstance(part, S2Cloudless) else part)
    return Joined(scenes, settled, tuple(unmasked))


def _blind(parts: Sequence[S2Cloudless | CloudProbability], why: str) -> None:
    """Raise, or warn where all parts allow it, for something is missing."""
    if any(part.on_missing == "raise" for part in parts):
        raise MaskError(
            f"{parts[0]!r} does not have all it looks at: {why} Look for it over the whole area and period "
            "of the cube, leave these Items out, or say on_missing='skip_mask'."
        )
    warnings.warn(
        f"{parts[0]!r} throws nothing away where it is blind: {why}", MaskWarning, stacklevel=outside()
    )


def _with(
    scenes: tuple[Scene, ...], here: list[Granule], find: Callable[[Granule], Granule | None]
) -> tuple[tuple[Scene, ...], list[str]]:
    """Return the Scenes with companions that are found, and ids of granules on the grid without one."""
    every = {granule.id: find(granule) for scene in scenes for granule in scene.granules}
    found = {name: companion for name, companion in every.items() if companion is not None}
    return _added(scenes, found), sorted({granule.id for granule in here} - set(found))


def _companions(scene: Scene) -> tuple[Granule, ...]:
    return tuple(granule.companion for granule in scene.granules if granule.companion is not None)


def _added(scenes: tuple[Scene, ...], found: Mapping[str, Granule]) -> tuple[Scene, ...]:
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
