"""Granules: what one Item says of its files, and of the way their numbers become reflectance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

import shapely.errors
from odc.geo.geobox import GeoBox
from shapely.geometry.base import BaseGeometry

from .catalogs import BOA_FLAGS, Catalog
from .errors import ItemsError, UntrustedError
from .facts import baseline_of, generated_of, platform_of, sun_of, tile_of, time_of
from .grids import asset_grid
from .items import FOUND_IN
from .loaders.base import Source
from .sentinel2 import BANDS, BOA_ADD_OFFSET, OFFSET_BASELINE, QUANTIFICATION
from .shapes import footprint_of
from .signing import unsigned
from .suns import Angles, Sun
from .trust import SIDE, TRUSTED, check_href, check_id, origin_of


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
    assumed : bool
        Whether the offset is a guess: it depends on the baseline, and nothing says which it is.
    collection, catalog : str
        Where it was found; the catalog only if several were searched.
    reasons : mapping of str to str
        Where the offset of each band was read from: ``"raster:bands of the Item"``.
    companion : Granule, optional
        What masks look at beside it, for instance the same tile and pass at Level-1C; its bands by
        names with a prefix, ``"l1c:blue"``.
    angles : Angles, optional
        The sun place by place, where a mask asked for it.
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
    assumed: bool = False
    collection: str = ""
    catalog: str = ""
    reasons: Mapping[str, str] = field(default_factory=dict, repr=False)
    companion: Granule | None = field(default=None, repr=False)
    angles: Angles | None = field(default=None, repr=False)

    @cached_property
    def every_source(self) -> Mapping[str, Source]:
        """Its files and its companion's."""
        return self.sources if self.companion is None else {**self.sources, **self.companion.sources}

    @cached_property
    def every_offset(self) -> Mapping[str, float]:
        """Its offsets and its companion's."""
        return self.offsets if self.companion is None else {**self.offsets, **self.companion.offsets}

    @cached_property
    def every_scale(self) -> Mapping[str, float]:
        """Its scales and its companion's."""
        return self.scales if self.companion is None else {**self.scales, **self.companion.scales}

    @property
    def sun(self) -> Sun:
        """Where the sun stood."""
        return Sun(self.sun_azimuth, self.sun_elevation, self.angles)

    @cached_property
    def grid(self) -> GeoBox | None:
        """Grid of the finest file, as stated."""
        grids = [source.grid for source in self.sources.values() if source.grid is not None]
        return min(grids, key=lambda grid: grid.affine.a, default=None)


_ODD = (
    TypeError, ValueError, ArithmeticError, LookupError, AttributeError, RuntimeError,
    shapely.errors.ShapelyError,
)  # fmt: skip


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
    except _ODD as error:
        raise ItemsError(f"Item {record.get('id')!r} is not a valid STAC Item: {error!r}.") from error


def _granule(record: Mapping[str, Any], bands: tuple[str, ...], layout: Catalog) -> Granule:
    check_id(str(record["id"]), origin_of(record))
    baseline = baseline_of(record)
    sources, offsets, reasons, scales, missing, assumed = {}, {}, {}, {}, [], False
    for band in bands:
        key = layout.assets.get(band, band)
        asset = record["assets"].get(key)
        if asset is None:
            missing.append(key)
            continue
        sources[band] = _source(record, band, key, asset, layout)
        if BANDS[band].kind == "reflectance":
            said = _raster(asset)
            _check_whole(record, key, said)
            scales[band] = _scale(record, said)
            stated, reasons[band] = _offset(record, asset, said, scales[band], baseline, layout)
            assumed = assumed or stated is None
            offsets[band] = 0.0 if stated is None else stated
    return Granule(
        str(record["id"]),
        time_of(record),
        platform_of(record),
        tile_of(record),
        baseline,
        generated_of(record),
        *sun_of(record),
        footprint_of(record),
        sources,
        offsets,
        scales,
        tuple(missing),
        assumed,
        str(record.get("collection") or ""),
        str(record.get(FOUND_IN) or ""),
        reasons,
    )


def _source(
    record: Mapping[str, Any], band: str, key: str, asset: Mapping[str, Any], layout: Catalog
) -> Source:
    spectral = BANDS[band].kind != "class"
    item, origin = str(record["id"]), origin_of(record)
    if not isinstance(asset["href"], str) or not asset["href"]:
        raise ItemsError(f"Asset {key!r} of Item {item!r} has no href: {asset['href']!r}.")
    check_href(asset["href"], origin, item, key)
    return Source(
        href=unsigned(asset["href"]),
        item=item,
        asset=key,
        nodata=BANDS[band].nodata,
        dtype="uint16" if BANDS[band].kind == "reflectance" or band in ("aot", "wvp") else "uint8",
        resampling="auto" if spectral else "nearest",
        overviews=spectral,
        grid=_grid(record, key, asset, origin),
        signer=layout.signer,
        origin=origin,
    )


def _grid(record: Mapping[str, Any], key: str, asset: Mapping[str, Any], origin: str) -> GeoBox | None:
    found = asset_grid(record.get("properties", {}), asset)
    if found is not None and max(found.shape) > SIDE and origin != TRUSTED:
        raise UntrustedError(
            f"Asset {key!r} of Item {record['id']!r} claims a proj:shape of {tuple(found.shape)} pixels; a "
            "Sentinel-2 tile has 10,980 along a side. If it is true, search with Catalog(..., trust=True)."
        )
    return found


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


def _check_whole(record: Mapping[str, Any], key: str, said: Mapping[str, Any]) -> None:
    """Refuse files of floating numbers, which are products: digital numbers are whole."""
    if str(said.get("data_type") or "").startswith("float"):
        raise ItemsError(
            f"Asset {key!r} of Item {record['id']!r} holds {said['data_type']}; whole numbers are read. "
            "Write products that are to be read as a catalog from a cube with dtype='uint16', or open the "
            "file with rioxarray."
        )


def _scale(record: Mapping[str, Any], said: Mapping[str, Any]) -> float:
    scale = float(said.get("scale") or 1 / QUANTIFICATION)
    if not 1e-9 < scale <= 1:
        raise ItemsError(f"Item {record['id']!r} says a scale of {scale:g}; it is about 0.0001.")
    return scale


def _offset(
    record: Mapping[str, Any], asset: Mapping[str, Any], said: Mapping[str, Any], scale: float,
    baseline: str, layout: Catalog,
) -> tuple[float | None, str]:  # fmt: skip
    """Return what to add to the digital numbers, and what says so (ESA, baseline 04.00, 2022-01-25).

    None if the baseline decides and nobody says it.
    """
    stated = said.get("offset")
    if layout.offsets in ("metadata", "auto") and stated is not None:
        key = next((name for name in ("raster:bands", "bands") if name in asset), "raster:offset")
        found = float(round(stated / scale, 6))
        if not -60_000 < found < 60_000:
            raise ItemsError(f"Item {record['id']!r} says an offset of {stated:g}: it is about -0.1.")
        return found, f"{key} of the Item"
    properties = record.get("properties", {})
    flag = next((name for name in BOA_FLAGS if properties.get(name) is True), "")
    if layout.offsets == "boa_flag" and flag:
        return 0.0, flag
    if not baseline:
        return None, "no processing baseline stated"
    if baseline >= OFFSET_BASELINE:
        unflagged = f", no {BOA_FLAGS[0]}" if layout.offsets == "boa_flag" else ""
        return float(BOA_ADD_OFFSET), f"s2:processing_baseline >= {OFFSET_BASELINE}{unflagged}"
    return 0.0, f"s2:processing_baseline < {OFFSET_BASELINE}"
