"""STAC Items of what was written."""

from __future__ import annotations

import json
import os
import posixpath
import re
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import shapely.geometry
import xarray as xr

from ..areas import lonlat
from ..errors import InputError, OutputError, shorten
from ..items import as_dicts
from ..ledgers import lost, tokens_of
from ..signing import unsigned
from .assets import asset_of, good_share, key_of
from .layers import geobox_of
from .outputs import check_target, delivered
from .provenance import as_text, items_of, recipe_hash, version
from .remotes import Remote, as_remote

_EXTENSION = "https://stac-extensions.github.io/{}/schema.json"
EXTENSIONS = {
    "proj:": _EXTENSION.format("projection/v2.0.0"),
    "raster:": _EXTENSION.format("raster/v1.1.0"),
    "eo:": _EXTENSION.format("eo/v1.1.0"),
    "file:": _EXTENSION.format("file/v2.1.0"),
    "grid:": _EXTENSION.format("grid/v1.1.0"),
    "processing:": _EXTENSION.format("processing/v1.0.0"),
}
"""Schemas by the prefix of their fields."""

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


def write_item(
    array: xr.DataArray | xr.Dataset,
    path: str | os.PathLike[str] | Remote,
    assets: Any,
    *,
    items: Iterable[Any] | None = None,
    collection: str | None = None,
    properties: Mapping[str, Any] | None = None,
    period: tuple[Any, Any] | None = None,
    created: datetime | Literal["now"] | None = "now",
    overwrite: bool = False,
) -> Path | Remote:
    """Write the STAC Item of files that were written before: the Item comes last.

    Parameters
    ----------
    array : xarray.DataArray or Dataset
        What was written, lazy or not: says the grid, and by its attributes what it was made of.
    path : path
        Of the Item, ``<id>.json``; or on S3. Ends up whole or not at all.
    assets : path, sequence or mapping of str to path
        GeoTIFFs, NetCDF files, Zarr stores, pictures; a folder of GeoTIFFs, as ``per_band=True`` makes
        it. Keys are the names of bands, or of files, where no mapping says them. What lies on S3 is
        fetched to be looked at.
    items : Items, optional
        That the cube was planned with: linked to as ``derived_from``, as far as they were used.
    collection : str, optional
        Its id; links lead to ``../collection.json`` and ``../catalog.json``, see
        :func:`eocube.write_collection`.
    properties : mapping, optional
        Further ones, which go before those that are made here.
    period : tuple of two datetimes or str, optional
        What the product stands for. Default: first and last date of what it was made of.
    created : datetime or None, optional
        Default: now. None: the Item does not say it, so that the same recipe gives the same bytes.
    overwrite : bool
        Replace what is there.

    Returns
    -------
    Path
        Of the Item: STAC 1.1 with the extensions ``proj``, ``raster``, ``eo``, ``file`` (size, SHA-256)
        and ``processing``; ``good_pxl_pct``, the share of pixels with data, from 0 to 1;
        ``eocube:items``, ``eocube:recipe`` and what else the attributes say; hrefs relative to it.

    Raises
    ------
    OutputError
        If the Item exists or cannot be written, or an asset is not there.
    InputError
        If there is no period, the id is unusable, or ``items`` lacks one that was used.

    Examples
    --------
    >>> import eocube, tempfile
    >>> world = eocube.sample.cached()
    >>> items = eocube.search(world.items_path)
    >>> best = eocube.composite(eocube.load(items, world.grid, bands=["red"]), eocube.Median())
    >>> folder = tempfile.mkdtemp()
    >>> cog = eocube.write_cog(best, f"{folder}/best.tif")
    >>> written = eocube.write_item(best, f"{folder}/best.json", cog, items=items)
    """
    target = check_target(path, overwrite=overwrite)
    identity = target.name.removesuffix(".json")
    if not _ID.fullmatch(identity):
        raise InputError(f"{identity!r} is no id for an Item: use letters, digits, '_', '-' and '.'.")
    with ExitStack() as stack:
        places = _places(assets)
        folder = Path()
        if any(isinstance(place, Remote) for place in places.values()):
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="eocube-")))
        local = {place: _local(place, folder) for place in places.values()}
        records: dict[str, dict[str, Any]] = {}
        for key, place in places.items():
            record = asset_of(local[place])
            name = key if isinstance(assets, Mapping) else key_of(place.name, record)
            if name in records:
                raise InputError(f"Two assets would be called {name!r}: give assets={{key: path}}.")
            records[name] = {"href": _href(place, target), **record}
        good = good_share(list(local.values()))
    said = _properties(array, period, created, good) | dict(properties or {})
    item = _item(identity, array, said, records, collection, _sources(array, items))
    with delivered(target) as final:
        final.write_text(json.dumps(item, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    return target


def _places(assets: Any) -> dict[str, Path | Remote]:
    """Return where the assets lie, under their keys or any others."""
    if isinstance(assets, Mapping):
        every = {str(key): _found(place) for key, place in assets.items()}
    else:
        listed = assets if isinstance(assets, Sequence) and not isinstance(assets, str | bytes) else [assets]
        every = {}
        for place in map(_found, listed):
            inside = sorted(place.glob("*.tif")) if isinstance(place, Path) and place.is_dir() else []
            every |= {str(one): one for one in inside} if inside else {str(place): place}
    if not every:
        raise InputError("An Item needs an asset: pass the path of what was written.")
    return every


def _found(path: Any) -> Path | Remote:
    place = as_remote(path) or Path(path).resolve()
    if not place.exists():
        raise OutputError(f"The asset {path} is not there: write it before the Item.")
    return place


def _local(place: Path | Remote, folder: Path) -> Path:
    if isinstance(place, Path):
        return place
    copy = folder / f"{len(list(folder.iterdir()))}-{place.name}"
    if place.name.endswith(".zarr"):
        copy.mkdir()
    else:
        place.fetch(copy)
    return copy


def _href(place: Path | Remote, target: Path | Remote) -> str:
    """Return the way from the Item to an asset."""
    if isinstance(place, Path) and isinstance(target, Path):
        # os.path: an asset may lie above the Item, which Path.relative_to of Python 3.11 cannot say.
        found = os.path.relpath(place, target.parent).replace(os.sep, "/")
    elif isinstance(place, Remote) and isinstance(target, Remote) and place.bucket == target.bucket:
        found = posixpath.relpath(place.key, posixpath.dirname(target.key) or ".")
    else:
        return str(place)
    return found if found.startswith("..") else f"./{found}"


def _properties(
    array: Any, period: Any, created: datetime | Literal["now"] | None, good: float | None
) -> dict[str, Any]:
    attrs = array.attrs
    start, end = period or (attrs.get("first_date"), attrs.get("last_date"))
    if start is None or end is None:
        raise InputError("The array does not say its period: give period=('2024-06-01', '2024-08-31').")
    grid = geobox_of(array)
    assert grid.crs is not None
    said = {"mask": attrs.get("mask"), "reducer": attrs.get("reducer")}
    steps = [f"{name} {value}" for name, value in said.items() if value not in (None, "None")]
    kept = ("mask", "reducer", "resampling", "offsets_applied", "scenes", "left_out", "skipped")
    found: dict[str, Any] = {
        "datetime": None,
        "start_datetime": _time(start, "start"),
        "end_datetime": _time(end, "end"),
        "created": _text(datetime.now(UTC) if created == "now" else created) if created else None,
        "constellation": "sentinel-2",
        "instruments": ["msi"],
        "proj:code": f"EPSG:{grid.crs.epsg}" if grid.crs.epsg else None,
        "proj:shape": [int(n) for n in grid.shape],
        "proj:transform": list(grid.affine)[:6],
        "proj:bbox": list(grid.extent.boundingbox.bbox),
        "processing:software": {"eocube": version()},
        "processing:lineage": "Sentinel-2 surface reflectance" + (f"; {', '.join(steps)}" if steps else ""),
        **({} if good is None else {"good_pxl_pct": good}),
        "eocube:recipe": recipe_hash(array),
        "eocube:items": list(items_of(array)),
        **{f"eocube:{name}": attrs[name] for name in kept if name in attrs},
    }
    if grid.crs.epsg is None:
        found["proj:wkt2"] = grid.crs.to_wkt()
    if grid.crs.projected:
        found["gsd"] = abs(grid.affine.a)
    if created is None:
        del found["created"]
    if tokens_of(array):
        found["eocube:losses"] = json.loads(lost(array).as_json())
    return {
        k: v if isinstance(v, str | int | float | list | dict | None) else as_text(v)
        for k, v in found.items()
    }


def _item(
    identity: str, array: Any, properties: dict[str, Any], assets: dict[str, dict[str, Any]],
    collection: str | None, links: list[dict[str, Any]],
) -> dict[str, Any]:  # fmt: skip
    outline = lonlat(geobox_of(array).extent)
    fields = [*properties, *(field for asset in assets.values() for field in asset)]
    found: dict[str, Any] = {
        "type": "Feature",
        "stac_version": "1.1.0",
        "stac_extensions": [
            schema
            for prefix, schema in EXTENSIONS.items()
            if any(field.startswith(prefix) for field in fields)
        ],
        "id": identity,
        "geometry": shapely.geometry.mapping(shapely.set_precision(outline, 1e-7)),
        "bbox": [round(edge, 7) for edge in outline.bounds],
        "properties": properties,
        "links": links,
        "assets": assets,
    }
    if collection is not None:
        up = {"collection": "../collection.json", "parent": "../collection.json", "root": "../catalog.json"}
        found["collection"] = collection
        found["links"] = [
            *({"rel": rel, "href": href, "type": "application/json"} for rel, href in up.items()),
            *links,
        ]
    return found


def _sources(array: Any, items: Iterable[Any] | None) -> list[dict[str, Any]]:
    """Return links to the Items that were used; where nothing says which those are, to all."""
    if items is None:
        return []
    records = {str(record["id"]): record for record in as_dicts(items)}
    said = "items" in array.attrs or "items" in array.coords  # a period may have none
    used = items_of(array) if said else tuple(sorted(records))
    if absent := [one for one in used if one not in records]:
        raise InputError(f"The array was made of {shorten(absent)}, which items= does not hold.")
    found = []
    for one in used:
        own = [link for link in records[one].get("links") or [] if link.get("rel") == "self"]
        if own:
            href = unsigned(str(own[0]["href"]))
            found.append({"rel": "derived_from", "href": href, "type": "application/geo+json", "title": one})
    return found


def _time(value: Any, edge: str) -> str:
    try:
        when = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    except ValueError as error:
        raise InputError(f"The {edge} of the period is no date: {value!r}. Write '2024-06-01'.") from error
    return _text(when)


def _text(when: datetime) -> str:
    aware = when if when.tzinfo else when.replace(tzinfo=UTC)
    return aware.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
