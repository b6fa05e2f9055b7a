"""A small picture of one Item: its archive's thumbnail, or made of its bands' overviews."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import EocubeError, ItemsError
from ..extras import needed
from ..granules import granule_of
from ..items import layout_of
from ..loaders.base import Source, loader_named, read_error
from ..loaders.directories import Foreign
from ..loaders.places import place_of, where
from ..loaders.ranges import RemoteFile, Unreadable
from ..retries import Clock
from ..signing import Unsigned
from ..trust import check_href, origin_of
from .pictures import COLOURS, stretched

_KEYS = ("thumbnail", "rendered_preview", "overview", "preview")
_KINDS = ("image/jpeg", "image/jpg", "image/png")
_LARGEST = 8 * 2**20
"""Bytes of a thumbnail; a larger one is none."""

_PIXELS = 25_000_000
"""Of a thumbnail: what says that it is larger would fill the memory."""

_PATIENCE = 10.0
"""Seconds for a thumbnail in trouble: there are the bands."""


def preview_of(
    record: Mapping[str, Any], source: str, limits: tuple[float, float], size: int
) -> NDArray[np.uint8]:
    """Return a small picture of an Item.

    Parameters
    ----------
    record : mapping
        A STAC Item with absolute hrefs.
    source : {"auto", "thumbnail", "bands"}
        See :func:`eocube.contact_sheet`.
    limits : pair of float
        Reflectance of the darkest and brightest tone.
    size : int
        Pixels of the longer side at most.

    Returns
    -------
    uint8 array (y, x, 4)

    Raises
    ------
    EocubeError
        If there is none to be had.
    """
    if source == "bands" or (source == "auto" and _on_disk(record)):
        return _of_bands(record, limits, size)
    try:
        return _thumbnail(record, size)
    except EocubeError:
        if source == "thumbnail":
            raise
        return _of_bands(record, limits, size)


def _on_disk(record: Mapping[str, Any]) -> bool:
    key = layout_of(record).assets.get("red", "")
    href = str((record["assets"].get(key) or {}).get("href", ""))
    return bool(href) and "://" not in href


def _thumbnail(record: Mapping[str, Any], size: int) -> NDArray[np.uint8]:
    signer = layout_of(record).signer
    origin = origin_of(record)
    for key, href in _pictures(record):
        check_href(href, origin, record["id"], key)
        source = Source(href, record["id"], key, signer=signer, origin=origin)
        try:
            return _decoded(_bytes(source), size)
        except (Unreadable, Unsigned, Foreign, OSError, ValueError) as why:
            raise read_error(source, why) from None
    raise ItemsError(f"Item {record['id']!r} has no thumbnail (JPEG or PNG) among its assets.")


def _pictures(record: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for key in _KEYS:
        asset = record["assets"].get(key)
        if isinstance(asset, Mapping) and isinstance(asset.get("href"), str):
            kind = str(asset.get("type", "")).partition(";")[0].strip().lower()
            if kind in _KINDS or (not kind and asset["href"].lower().endswith((".jpg", ".jpeg", ".png"))):
                yield key, asset["href"]


def _bytes(source: Source) -> bytes:
    file = place_of(*where(source))
    if isinstance(file, RemoteFile):
        file = replace(file, clock=Clock(_PATIENCE))
    data, size, version = file.front()
    if size > _LARGEST:
        raise ValueError(f"{size / 1e6:.0f} MB is no thumbnail")
    return data if size <= len(data) else data + bytes(file.read(len(data), size, version))


def _decoded(data: bytes, size: int) -> NDArray[np.uint8]:
    image = needed("PIL.Image", "A thumbnail", "plot")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", image.DecompressionBombWarning)
        try:
            with image.open(io.BytesIO(data), formats=("JPEG", "PNG")) as picture:
                if picture.width * picture.height > _PIXELS:
                    raise ValueError(f"{picture.width} x {picture.height} pixels are no thumbnail")
                picture.draft("RGB", (size, size))
                found = picture.convert("RGBA")
        except image.DecompressionBombError:
            raise ValueError("so many pixels are no thumbnail") from None
    found.thumbnail((size, size))
    return np.asarray(found)


def _of_bands(record: Mapping[str, Any], limits: tuple[float, float], size: int) -> NDArray[np.uint8]:
    granule = granule_of(record, COLOURS, layout_of(record))
    grid = granule.grid
    if granule.missing or grid is None:
        why = f"lacks {', '.join(granule.missing)}" if granule.missing else "does not state its grid"
        raise ItemsError(f"No picture of Item {record['id']!r} can be made of its bands: it {why}.")
    step = max(1, -(-max(int(side) for side in grid.shape) // size))
    sources = [replace(granule.sources[band], resampling="nearest", overviews=True) for band in COLOURS]
    numbers = loader_named("cog")(sources, grid.zoom_out(step) if step > 1 else grid)
    values = np.empty((*numbers.shape[1:], 3), dtype=np.float32)
    for k, (band, source) in enumerate(zip(COLOURS, sources, strict=True)):
        digital = numbers[k].astype(np.float32)
        values[..., k] = (digital + granule.offsets.get(band, 0.0)) * granule.scales.get(band, 1e-4)
        values[..., k][numbers[k] == source.nodata] = np.nan
    return stretched(values, np.array(limits, dtype=np.float64))
