"""Granules: what one Item says of its files, and of the way their numbers become reflectance."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import shapely
import shapely.errors
import shapely.geometry
from odc.geo.geobox import GeoBox
from shapely.geometry.base import BaseGeometry

from .catalogs import BOA_FLAGS, Catalog
from .errors import ItemsError
from .grids import asset_grid
from .loaders.base import Source
from .sentinel2 import BANDS, BOA_ADD_OFFSET, OFFSET_BASELINE, QUANTIFICATION
from .signing import unsigned

_PRODUCT = re.compile(r"_N(\d{2})(\d{2})_")
_DATASTRIP = re.compile(r"_N(\d{2}\.\d{2})$")
_TILE = re.compile(r"(?:^|_)T?(\d{1,2}[C-HJ-NP-X][A-HJ-NP-Z][A-HJ-NP-V])(?:_|$)")


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
    reasons : mapping of str to str
        Where the offset of each band was read from: ``"raster:bands of the Item"``.
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
    reasons: Mapping[str, str] = field(default_factory=dict, repr=False)

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
    baseline = _baseline(record)
    sources, offsets, reasons, scales, missing = {}, {}, {}, {}, []
    for band in bands:
        key = layout.assets.get(band, band)
        asset = record["assets"].get(key)
        if asset is None:
            missing.append(key)
            continue
        sources[band] = _source(record, band, key, asset, layout)
        if BANDS[band].kind == "reflectance":
            offsets[band], reasons[band] = _offset(properties, asset, baseline, layout)
            scales[band] = float(_raster(asset).get("scale") or 1 / QUANTIFICATION)
    return Granule(
        str(record["id"]),
        _time(record),
        _platform(record),
        _tile(record),
        baseline,
        str(properties.get("s2:generation_time") or properties.get("processing:datetime") or ""),
        *_sun(properties),
        _footprint(record),
        sources,
        offsets,
        scales,
        tuple(missing),
        reasons,
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
) -> tuple[float, str]:
    """Return what to add to the digital numbers, and what says so (ESA, baseline 04.00, 2022-01-25)."""
    entry = _raster(asset)
    if layout.offsets in ("metadata", "auto") and entry.get("offset") is not None:
        key = next((name for name in ("raster:bands", "bands") if name in asset), "raster:offset")
        stated = entry["offset"] / (entry.get("scale") or 1 / QUANTIFICATION)
        return float(round(stated, 6)), f"{key} of the Item"
    flag = next((name for name in BOA_FLAGS if properties.get(name) is True), "")
    if layout.offsets == "boa_flag" and flag:
        return 0.0, flag
    if not baseline:
        return 0.0, "no processing baseline stated"
    if baseline >= OFFSET_BASELINE:
        unflagged = f", no {BOA_FLAGS[0]}" if layout.offsets == "boa_flag" else ""
        return float(BOA_ADD_OFFSET), f"s2:processing_baseline >= {OFFSET_BASELINE}{unflagged}"
    return 0.0, f"s2:processing_baseline < {OFFSET_BASELINE}"


def _baseline(record: Mapping[str, Any]) -> str:
    """Return the processing baseline as ``"05.09"``, from wherever the Item says it."""
    properties = record.get("properties", {})
    for key in ("s2:processing_baseline", "processing:version", "sentinel:processing_baseline"):
        if properties.get(key):
            match = re.fullmatch(r"(\d{1,2})\.(\d{2})", str(properties[key]))
            if match:
                return f"{int(match[1]):02d}.{match[2]}"
    for key in ("s2:product_uri", "sentinel:product_id", "s2:datastrip_id", "eopf:datastrip_id"):
        text = str(properties.get(key) or "")
        if match := _PRODUCT.search(text):
            return f"{match[1]}.{match[2]}"
        if match := _DATASTRIP.search(text):
            return match[1]
    match = _PRODUCT.search(str(record["id"]))
    return f"{match[1]}.{match[2]}" if match else ""


def _time(record: Mapping[str, Any]) -> datetime:
    properties = record.get("properties", {})
    text = properties.get("datetime") or properties.get("start_datetime")
    try:
        when = datetime.fromisoformat(str(text))
    except ValueError as error:
        raise ItemsError(f"Item {record['id']!r} has no usable datetime: {text!r}.") from error
    return when.astimezone(UTC) if when.tzinfo else when.replace(tzinfo=UTC)


def _platform(record: Mapping[str, Any]) -> str:
    said = str(record.get("properties", {}).get("platform") or "").lower()
    prefix = str(record["id"])[:3].upper()
    if said and not said.startswith(("sentinel-2", "sentinel2", "s2")):
        raise ItemsError(f"Item {record['id']!r} is of {said}; eocube reads Sentinel-2.")
    return said or (f"sentinel-2{prefix[2].lower()}" if prefix.startswith("S2") else "unknown")


def _tile(record: Mapping[str, Any]) -> str:
    properties = record.get("properties", {})
    said = str(properties.get("grid:code") or properties.get("s2:mgrs_tile") or "")
    said = said.removeprefix("MGRS-")
    match = _TILE.search(str(record["id"]))
    return (said or (match[1] if match else "")).zfill(5)


def _sun(properties: Mapping[str, Any]) -> tuple[float, float]:
    azimuth = properties.get("view:sun_azimuth", properties.get("s2:mean_solar_azimuth"))
    elevation = properties.get("view:sun_elevation")
    zenith = properties.get("s2:mean_solar_zenith")
    if elevation is None and zenith is not None:
        elevation = 90 - float(zenith)
    return tuple(float("nan") if v is None else float(v) for v in (azimuth, elevation))  # type: ignore[return-value]


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
