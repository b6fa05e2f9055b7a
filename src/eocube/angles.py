"""Angles: the sun of each granule, checked before a pixel is read, and place by place where asked for.

The granule's metadata (``MTD_TL.xml``, which catalogs offer as the asset ``granule_metadata``) hold the
sun's zenith and azimuth every 5 km. XML from a server is read with expat alone, which fetches nothing;
a document that declares a type, and with it perhaps entities, is refused.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any
from xml.parsers import expat

import numpy as np
from numpy.typing import NDArray

from .errors import ItemsError, MaskError, MissingAssetError, ReadError, UntrustedError, shorten
from .granules import Granule
from .items import layout_of
from .loaders.base import Source
from .loaders.directories import Foreign
from .loaders.places import place_of, where
from .loaders.ranges import Unreadable
from .scenes import Scene
from .signing import Unsigned, shown, unsigned
from .suns import Angles
from .trust import check_href, origin_of

ASSETS = ("granule_metadata", "granule-metadata")
"""What Earth Search and the Planetary Computer call ``MTD_TL.xml``."""

LARGEST = 16 * 2**20
"""Bytes of a metadata file; real ones have half a million."""

_AT_ONCE = 16
_GRID = "Sun_Angles_Grid"


def lit(scenes: tuple[Scene, ...], records: Iterable[Mapping[str, Any]], wanted: str) -> tuple[Scene, ...]:
    """Return the Scenes with what a mask wants to know of their sun.

    Parameters
    ----------
    scenes : tuple of Scene
    records : iterable of mapping
        Their Items, and others.
    wanted : {"", "granule", "grid"}
        Nothing, that it is known and up, or its angles place by place, too.

    Raises
    ------
    MaskError
        If an Item does not say where the sun stood, or it was below the horizon; names the Items.
    MissingAssetError, ReadError, ItemsError
        If metadata are missing, cannot be read, or are not what they should be.
    """
    granules = [granule for scene in scenes for granule in scene.granules]
    if wanted:
        _check(granules)
    if wanted != "grid":
        return scenes
    by_id = {str(record["id"]): record for record in records}
    lacking = [g.id for g in granules if _key(by_id[g.id]) is None]
    if lacking:
        raise MissingAssetError(
            f"sun='grid' needs the granules' metadata (asset {' or '.join(ASSETS)}), which {len(lacking)} "
            f"of {len(granules)} Items lack: {shorten(lacking)}. sun='granule' takes the Items' mean angles."
        )
    sources = [_source(by_id[granule.id]) for granule in granules]
    with ThreadPoolExecutor(min(_AT_ONCE, len(sources))) as pool:
        angles = dict(zip((g.id for g in granules), pool.map(read_angles, sources), strict=True))
    return tuple(
        replace(scene, granules=tuple(replace(g, angles=angles[g.id]) for g in scene.granules))
        for scene in scenes
    )


def _check(granules: list[Granule]) -> None:
    unknown = [g.id for g in granules if not math.isfinite(g.sun_azimuth + g.sun_elevation)]
    if unknown:
        raise MaskError(
            f"Projected shadows need the sun's angles, and {len(unknown)} of {len(granules)} Items do not "
            "say them (view:sun_azimuth and view:sun_elevation, or s2:mean_solar_azimuth and "
            f"s2:mean_solar_zenith): {shorten(unknown)}. Add them to the Items, leave these out, or mask "
            "without ProjectedShadow."
        )
    dark = [f"{g.id} ({g.sun_elevation:.1f} degrees)" for g in granules if not 0 < g.sun_elevation <= 90]
    if dark:
        raise MaskError(
            f"Projected shadows need the sun above the horizon; {len(dark)} of {len(granules)} Items say it "
            f"was not: {shorten(dark)}. Leave them out, or mask without ProjectedShadow."
        )


def _key(record: Mapping[str, Any]) -> str | None:
    return next((key for key in ASSETS if key in record["assets"]), None)


def _source(record: Mapping[str, Any]) -> Source:
    key, item, origin = str(_key(record)), str(record["id"]), origin_of(record)
    href = record["assets"][key].get("href")
    if not isinstance(href, str) or not href:
        raise ItemsError(f"Asset {key!r} of Item {item!r} has no href: {href!r}.")
    check_href(href, origin, item, key)
    return Source(unsigned(href), item, key, signer=layout_of(record).signer, origin=origin)


def read_angles(source: Source) -> Angles:
    """Read the sun's angles from a granule's metadata.

    Raises
    ------
    ReadError
        If the file cannot be read.
    ItemsError
        If it is no granule metadata.
    """
    try:
        text = _fetched(source)
    except (Unreadable, Foreign, Unsigned, UntrustedError, OSError, ValueError) as error:
        why = str(error) or type(error).__name__
    else:
        try:
            return parse_angles(text)
        except (ValueError, expat.ExpatError) as error:
            raise ItemsError(
                f"Asset {source.asset!r} of Item {source.item!r} is not the metadata of a granule: {error}. "
                "sun='granule' does without."
            ) from None
    raise ReadError(
        f"Asset {source.asset!r} of Item {source.item!r} could not be read from {shown(source.href)}: {why}. "
        "sun='granule' does without.",
        shown(source.href), source.item, source.asset,
    )  # fmt: skip


def _fetched(source: Source) -> bytes:
    place = place_of(*where(source))
    front, size, version = place.front()
    if size > LARGEST:
        raise Unreadable(f"it has {size} bytes; such a file has half a million")
    return front[:size] if size <= len(front) else bytes(place.read(0, size, version))


def parse_angles(text: bytes) -> Angles:
    """Return the sun's angles of a granule's metadata, ``MTD_TL.xml`` of L1C or L2A.

    Raises
    ------
    ValueError, xml.parsers.expat.ExpatError
        If it is not such a file, or declares a document type.
    """
    found = _Gathered()
    found.read(text)
    left, top = (found.number(f"Geoposition/{name}") for name in ("ULX", "ULY"))
    steps = [found.number(f"Zenith/{name}") for name in ("COL_STEP", "ROW_STEP")]
    crs = found.texts.get("Tile_Geocoding/HORIZONTAL_CS_CODE", [""])[0].strip().upper()
    zenith, azimuth = found.values("Zenith"), found.values("Azimuth")
    fits = zenith.shape == azimuth.shape and min(zenith.shape) > 1 and min(steps) > 0
    if not (fits and re.fullmatch(r"EPSG:32[67]\d\d", crs) and math.isfinite(left + top)):
        raise ValueError("its grids of angles do not fit together")
    if not (np.isfinite(azimuth).all() and ((zenith >= 0) & (zenith < 90)).all()):
        raise ValueError("its angles are not angles of a sun above the horizon")
    return Angles(crs, left, top, (steps[0], steps[1]), azimuth, 90 - zenith)


class _Gathered:
    """The texts of the few elements that matter, by the last two names of their path."""

    _WANTED = ("ULX", "ULY", "COL_STEP", "ROW_STEP", "HORIZONTAL_CS_CODE", "VALUES")

    def __init__(self) -> None:
        self.path: list[str] = []
        self.texts: dict[str, list[str]] = {}
        self.key = ""

    def read(self, text: bytes) -> None:
        parser = expat.ParserCreate(namespace_separator=" ")
        parser.StartDoctypeDeclHandler = self._refuse
        parser.StartElementHandler, parser.EndElementHandler = self._start, self._end
        parser.CharacterDataHandler = self._text
        parser.Parse(text, True)

    def _refuse(self, *_: Any) -> None:
        raise ValueError("it declares a document type")

    def _start(self, name: str, _: Any) -> None:
        self.path.append(name.rpartition(" ")[2])
        where, own = self.path[-2:-1], self.path[-1]
        if own == "VALUES":
            where = [self.path[-3]] if len(self.path) > 3 and self.path[-4] == _GRID else []
        elif own.endswith("_STEP") and _GRID not in self.path:
            where = []
        self.key = f"{where[0]}/{own}" if where and own in self._WANTED else ""
        if self.key:
            self.texts.setdefault(self.key, []).append("")

    def _end(self, _: str) -> None:
        self.path.pop()
        self.key = ""

    def _text(self, text: str) -> None:
        if self.key:
            self.texts[self.key][-1] += text

    def number(self, key: str) -> float:
        if key not in self.texts:
            raise ValueError(f"it has no {key.replace('/', ' / ')}")
        return float(self.texts[key][0])

    def values(self, kind: str) -> NDArray[np.float32]:
        rows = [row.split() for row in self.texts.get(f"{kind}/VALUES", [])]
        if not rows or len({len(row) for row in rows}) != 1:
            raise ValueError(f"it has no grid of the sun's {kind.lower()}")
        return np.array(rows, dtype=np.float32)
