"""Matches: which Item, raster or time of another kind belongs to an Item of a cube."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import shapely
from odc.geo.geobox import GeoBox

from .errors import MaskError, shorten
from .facts import level_of
from .granules import Granule, granule_of
from .grids import crs_of
from .items import as_dicts, layout_of
from .layers import Layers
from .loaders.base import Source
from .masks.s2cloudless import L1C, MODEL_BANDS
from .scenes import Scene, covered

Offered = Mapping[tuple[str, str], list[Granule]]
"""Level-1C by platform and tile."""

HALF_ORBIT = timedelta(minutes=50)
"""Two Items of one platform and tile are of one pass within this time. Catalogs write the sensing time of
the tile or the start of the data take, up to 20 minutes apart; the next pass comes after 100."""

WHY_NOT_L2A = (
    "s2cloudless was trained on Level-1C (top of atmosphere), band 10 among it, which Level-2A has lost; on "
    "surface reflectance it misses even thick clouds. Search Level-1C Items of the same area and period and "
    "write S2Cloudless(l1c=items); or take a ready probability, CloudProbability('cloud', 40)."
)


def level_1c(items: list[Any]) -> Offered:
    """Return Level-1C Items as Granules, by platform and tile."""
    records = as_dicts(items)
    other = [str(record["id"]) for record in records if level_of(record) != "L1C"]
    if other:
        raise MaskError(f"S2Cloudless(l1c=...) was given Level-2A ({shorten(other, 2)}): {WHY_NOT_L2A}")
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


def companion_of(granule: Granule, *, offered: Offered) -> Granule | None:
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


def without_l1c(missing: list[str], scenes: tuple[Scene, ...], offered: Offered) -> str:
    """Say which Items have none, and what there is instead."""
    ids = set(missing)
    granules = [granule for scene in scenes for granule in scene.granules if granule.id in ids]
    concerned = sum(any(granule.id in ids for granule in scene.granules) for scene in scenes)
    every = [other for own in offered.values() for other in own]
    tiles = sorted({other.tile for other in every})
    wanted = sorted({granule.tile for granule in granules} - set(tiles))
    times = sorted(other.time for other in every)
    where = f"; none is of tile {shorten(wanted)}" if wanted else ""
    return (
        f"{concerned} of {len(scenes)} scenes have no Level-1C: {shorten(sorted(ids), 10)}. The {len(every)} "
        f"Level-1C Items are of tiles {shorten(tiles)}, {times[0]:%Y-%m-%d} to {times[-1]:%Y-%m-%d}{where}."
    )


_EARTH_ENGINE = re.compile(r"(\d{8}T\d{6})_\d{8}T\d{6}_T(\w{5})")


def rasters_of(folder: Path) -> tuple[Path, ...]:
    """Return the TIFFs of a folder."""
    found = tuple(sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".tif", ".tiff")))
    if not found:
        raise MaskError(f"There is no TIFF in {folder}.")
    return found


def raster_of(granule: Granule, *, band: str, rasters: tuple[Path, ...]) -> Granule | None:
    """Return the raster of an Item as its companion: by the Item's id, else by Earth Engine's name."""
    path = next((path for path in rasters if granule.id in path.stem), None) or next(
        (path for path in rasters if _is_of(path.stem, granule)), None
    )
    if path is None:
        return None
    _check_bytes(path)
    source = Source(str(path), granule.id, "probability", nodata=255, dtype="uint8")
    return replace(granule, sources={band: source}, offsets={}, scales={}, reasons={}, companion=None)


def _is_of(name: str, granule: Granule) -> bool:
    match = _EARTH_ENGINE.search(name)
    if match is None or match[2] != granule.tile:
        return False
    start = datetime.strptime(match[1], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
    return abs(start - granule.time) < HALF_ORBIT


def _check_bytes(path: Path) -> None:
    import rasterio

    with rasterio.open(path, driver="GTiff") as file:
        kind, bands = file.dtypes[0], file.count
    if kind != "uint8" or bands != 1:
        raise MaskError(
            f"{path} has {bands} bands of {kind}; such a folder holds one band of uint8, 0 to 100 and 255 "
            "for no data. Export it so, or open it as a DataArray and give that."
        )


def without_time(layers: Layers, scenes: tuple[Scene, ...], here: list[Granule], grid: GeoBox) -> list[str]:
    """Return ids of granules on the grid of whose pass an array has no time.

    Raises
    ------
    MaskError
        If the array lies elsewhere.
    """
    own = layers.geobox.extent.to_crs(crs_of(grid), resolution=20_000)
    if not own.intersects(grid.extent):
        there, wanted = (tuple(round(b) for b in e.boundingbox.bbox) for e in (own, grid.extent))
        raise MaskError(f"The probability lies elsewhere: at {there} in {grid.crs}, the grid at {wanted}.")
    on_grid = {granule.id for granule in here}
    return sorted(
        granule.id
        for scene in scenes
        if not layers.steps(scene.time)
        for granule in scene.granules
        if granule.id in on_grid
    )
