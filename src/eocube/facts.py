"""What one Item says of itself, wherever its catalog writes it.

Each function takes an Item as a dict and returns one fact. A field of the wrong type counts as not
said; nothing here raises but :func:`time_of` and :func:`platform_of`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from .errors import ItemsError

PLATFORMS = ("sentinel-2a", "sentinel-2b", "sentinel-2c", "sentinel-2d")

_PRODUCT = re.compile(r"_N(\d{2})(\d{2})_")
_DATASTRIP = re.compile(r"_N(\d{2}\.\d{2})$")
_TILE = re.compile(r"(?:^|_)T?(\d{1,2}[C-HJ-NP-X][A-HJ-NP-Z][A-HJ-NP-V])(?:_|$)")
_ORBIT = re.compile(r"_R(\d{3})(?:_|$)")
_LEVEL = re.compile(r"MSI_?L?(1C|2A)|(?:^|[_-])L(1C|2A)(?:[_-]|$)")
_PRODUCT_NAMES = ("s2:product_uri", "sentinel:product_id")
_DATASTRIPS = ("s2:datastrip_id", "eopf:datastrip_id")


def properties_of(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the properties; empty where there are none."""
    found = record.get("properties")
    return found if isinstance(found, Mapping) else {}


def number_of(found: Any) -> float | None:
    """Return a finite number, or None for anything else."""
    if isinstance(found, bool) or not isinstance(found, int | float):
        return None
    try:
        return float(found) if math.isfinite(found) else None
    except OverflowError:
        return None


def baseline_of(record: Mapping[str, Any]) -> str:
    """Return the processing baseline as ``"05.09"``, from wherever the Item says it; else ``""``."""
    properties = properties_of(record)
    for key in ("s2:processing_baseline", "processing:version", "sentinel:processing_baseline"):
        if properties.get(key):
            match = re.fullmatch(r"([0-9]{1,2})\.([0-9]{2})", str(properties[key]))
            if match:
                return f"{int(match[1]):02d}.{match[2]}"
    for key in (*_PRODUCT_NAMES, *_DATASTRIPS):
        text = str(properties.get(key) or "")
        if match := _PRODUCT.search(text):
            return f"{match[1]}.{match[2]}"
        if match := _DATASTRIP.search(text):
            return match[1]
    match = _PRODUCT.search(str(record.get("id")))
    return f"{match[1]}.{match[2]}" if match else ""


def time_of(record: Mapping[str, Any]) -> datetime:
    """Return the sensing time in UTC.

    Raises
    ------
    ItemsError
        If there is none.
    """
    properties = properties_of(record)
    text = properties.get("datetime") or properties.get("start_datetime")
    try:
        when = datetime.fromisoformat(str(text))
        return when.astimezone(UTC) if when.tzinfo else when.replace(tzinfo=UTC)
    except (ValueError, OverflowError) as error:
        raise ItemsError(f"Item {record.get('id')!r} has no usable datetime: {text!r}.") from error


def platform_of(record: Mapping[str, Any]) -> str:
    """Return ``"sentinel-2a"``; ``"unknown"`` if neither property nor id say it.

    Raises
    ------
    ItemsError
        If it is another satellite's.
    """
    said = str(properties_of(record).get("platform") or "").lower()
    name = str(record.get("id"))
    prefix = name[:3].upper()
    if said and not said.startswith(("sentinel-2", "sentinel2", "s2")):
        raise ItemsError(f"Item {name!r} is of {said}; eocube reads Sentinel-2.")
    return said or (f"sentinel-2{prefix[2].lower()}" if re.fullmatch("S2[A-D]", prefix) else "unknown")


def tile_of(record: Mapping[str, Any]) -> str:
    """Return the MGRS tile, zero-padded: ``"01KAB"``."""
    properties = properties_of(record)
    said = str(properties.get("grid:code") or properties.get("s2:mgrs_tile") or "")
    said = said.removeprefix("MGRS-")
    match = _TILE.search(str(record.get("id")))
    return (said or (match[1] if match else "")).zfill(5)


def orbit_of(record: Mapping[str, Any]) -> int | None:
    """Return the relative orbit (1 to 143): the property's, else the product name's (``_R022_``)."""
    properties = properties_of(record)
    said = number_of(properties.get("sat:relative_orbit"))
    if said is not None:
        return int(said)
    for text in (*(properties.get(key) for key in _PRODUCT_NAMES), record.get("id")):
        if match := _ORBIT.search(str(text or "")):
            return int(match[1])
    return None


def sun_of(record: Mapping[str, Any]) -> tuple[float, float]:
    """Return azimuth (from true north) and elevation of the sun in degrees; NaN if not said."""
    properties = properties_of(record)

    def first(*keys: str) -> float | None:
        return next((v for v in (number_of(properties.get(key)) for key in keys) if v is not None), None)

    azimuth = first("view:sun_azimuth", "s2:mean_solar_azimuth")
    elevation = first("view:sun_elevation")
    zenith = first("s2:mean_solar_zenith")
    if elevation is None and zenith is not None:
        elevation = 90 - zenith
    return (
        math.nan if azimuth is None else azimuth,
        math.nan if elevation is None else elevation,
    )


def generated_of(record: Mapping[str, Any]) -> str:
    """Return when it was processed, as written; ``""`` if not said."""
    properties = properties_of(record)
    for key in ("s2:generation_time", "processing:datetime"):
        if properties.get(key):
            return str(properties[key])
    return ""


def level_of(record: Mapping[str, Any]) -> str:
    """Return ``"L1C"`` or ``"L2A"``: by product type, product name, collection, then assets."""
    properties = properties_of(record)
    keys = ("s2:product_type", "product:type", *_PRODUCT_NAMES)
    for text in (*(properties.get(key) for key in keys), record.get("collection"), record.get("id")):
        if match := _LEVEL.search(str(text or "").upper()):
            return f"L{match[1] or match[2]}"
    assets = record.get("assets")
    keys_of = {str(key).lower() for key in assets} if isinstance(assets, Mapping) else set()
    return "L1C" if {"cirrus", "b10"} & keys_of else "L2A"


def is_sentinel_2(record: Mapping[str, Any]) -> bool:
    """Whether anything in an Item says so: its platform, properties, collection or id."""
    properties = properties_of(record)
    if properties.get("platform"):
        return True  # another satellite's is refused by name; see platform_of
    if any(str(key).startswith(("s2:", "sentinel:")) for key in properties):
        return True
    names = f"{record.get('collection')} {record.get('id')} {properties.get('constellation')}".lower()
    return bool(re.search(r"sentinel[-_ ]?(?:s)?2|(?:^|[^a-z0-9])s2(?:[a-d]?(?:[^a-z0-9]|$))", names))
