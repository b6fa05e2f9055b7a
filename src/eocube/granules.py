"""Granules: what one Item says of its files, and of the way their numbers become reflectance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import shapely
import shapely.errors
import shapely.geometry
from odc.geo.geobox import GeoBox
from shapely.geometry.base import BaseGeometry

from .catalogs import BOA_FLAGS, Catalog
from .errors import ItemsError
from .facts import baseline_of, generated_of, platform_of, sun_of, tile_of, time_of
from .grids import asset_grid
from .loaders.base import Source
from .sentinel2 import BANDS, BOA_ADD_OFFSET, OFFSET_BASELINE, QUANTIFICATION
from .signing import unsigned


@dataclass(frozen=True)
class Granule:
    """One tile of one pass: what an Item says.

    Attributes
    ----------
    id : str
        Of the Item.
    time : datetime
        Sensing time, UTC.
    platform, tile, baseline, generated : str
        ``"sentinel-2a"``, ``"33TWL"``, ``"05.09"``, generation time; empty if not said.
    sun_azimuth, sun_elevation : float
        Degrees (azimuth from true north); NaN if not said.
    footprint : shapely geometry
        Valid area in longitude and latitude.
    sources : mapping of str to Source
        By common band name; only the bands that were asked for.
    offsets : mapping of str to float
        What is added to the digital numbers of a reflectance band.
    scales : mapping of str to float
        What the sum is multiplied by.
    missing : tuple of str
        Assets that were asked for and are not there.
    """

    id: str
    time: datetime
    platform: str
    tile: str
    baseline: str
    generated: str
    sun_azimuth: float
    sun_elevation: float
    footprint: BaseGeometry = field(repr=False)
    sources: Mapping[str, Source] = field(repr=False)
    offsets: Mapping[str, float]
    scales: Mapping[str, float]
    missing: tuple[str, ...] = ()

    @property
    def grid(self) -> GeoBox | None:
        """Grid of the finest file, as stated."""
        grids = [source.grid for source in self.sources.values() if source.grid is not None]
        return min(grids, key=lambda grid: grid.affine.a, default=None)


def granule_of(record: Mapping[str, Any], bands: tuple[str, ...], layout: Catalog) -> Granule:
    """Read an Item.

    Parameters
    ----------
    record : mapping
        A STAC Item with absolute hrefs.
    bands : tuple of str
        Common names of the bands that will be read.
    layout : Catalog
        Its asset names and offset rule.

    Raises
    ------
    ItemsError
        If what the Item says cannot be understood.
    """
    try:
        return _granule(record, bands, layout)
    except ItemsError:
        raise
    except (TypeError, ValueError, LookupError, AttributeError, shapely.errors.ShapelyError) as error:
        raise ItemsError(f"Item {record.get('id')!r} is not a valid STAC Item: {error!r}.") from error


def _granule(record: Mapping[str, Any], bands: tuple[str, ...], layout: Catalog) -> Granule:
    properties = record.get("properties", {})
    baseline = baseline_of(record)
    sources, offsets, scales, missing = {}, {}, {}, []
    for band in bands:
        key = layout.assets.get(band, band)
        asset = record["assets"].get(key)
        if asset is None:
            missing.append(key)
            continue
        sources[band] = _source(record, band, key, asset, layout)
        if BANDS[band].kind == "reflectance":
            offsets[band] = _offset(properties, asset, baseline, layout)
            scales[band] = float(_raster(asset).get("scale") or 1 / QUANTIFICATION)
    return Granule(
        str(record["id"]),
        time_of(record),
        platform_of(record),
        tile_of(record),
        baseline,
        generated_of(record),
        *sun_of(record),
        _footprint(record),
        sources,
        offsets,
        scales,
        tuple(missing),
    )


def _source(
    record: Mapping[str, Any], band: str, key: str, asset: Mapping[str, Any], layout: Catalog
) -> Source:
    spectral = BANDS[band].kind != "class"
    return Source(
        href=unsigned(str(asset["href"])),
        item=str(record["id"]),
        asset=key,
        nodata=BANDS[band].nodata,
        dtype="uint16" if BANDS[band].kind == "reflectance" or band in ("aot", "wvp") else "uint8",
        resampling="auto" if spectral else "nearest",
        overviews=spectral,
        grid=asset_grid(record.get("properties", {}), asset),
        signer=layout.signer,
    )


def _raster(asset: Mapping[str, Any]) -> Mapping[str, Any]:
    """First entry of ``raster:bands``, or of STAC 1.1's ``bands`` with or without prefixes."""
    for key in ("raster:bands", "bands"):
        entries = asset.get(key)
        if isinstance(entries, list) and entries and isinstance(entries[0], Mapping):
            entry = {str(name).removeprefix("raster:"): value for name, value in entries[0].items()}
            if "scale" in entry or "offset" in entry:
                return entry
    return {
        "scale": asset.get("raster:scale"),
        "offset": asset.get("raster:offset"),
    }


def _offset(
    properties: Mapping[str, Any], asset: Mapping[str, Any], baseline: str, layout: Catalog
) -> float:
    """Return what to add to the digital numbers (reference: ESA, baseline 04.00, 2022-01-25)."""
    entry = _raster(asset)
    if layout.offsets in ("metadata", "auto") and entry.get("offset") is not None:
        return float(round(entry["offset"] / (entry.get("scale") or 1 / QUANTIFICATION), 6))
    if layout.offsets == "boa_flag" and any(properties.get(flag) is True for flag in BOA_FLAGS):
        return 0.0
    return float(BOA_ADD_OFFSET) if baseline >= OFFSET_BASELINE else 0.0


def _footprint(record: Mapping[str, Any]) -> BaseGeometry:
    if record.get("geometry"):
        return shapely.make_valid(shapely.geometry.shape(record["geometry"]))
    if record.get("bbox"):
        west, south, east, north = _flat(record["bbox"])
        return shapely.geometry.box(west, south, east, north)
    raise ItemsError(f"Item {record['id']!r} has neither geometry nor bbox.")


def _flat(bbox: list[float]) -> tuple[float, float, float, float]:
    """Return west, south, east, north of a bbox that may hold heights too."""
    half = len(bbox) // 2
    return float(bbox[0]), float(bbox[1]), float(bbox[half]), float(bbox[half + 1])
