"""Local catalogs: folders of Items, ItemCollection files, static catalogs."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import CatalogError, ItemsError
from .facts import time_of
from .indexes.base import LocalIndex, is_index

if TYPE_CHECKING:
    import pystac

logger = logging.getLogger(__name__)


def read_items(path: str | os.PathLike[str]) -> list[pystac.Item]:
    """Read all Items of a local catalog, their asset hrefs made absolute, sorted by time.

    Parameters
    ----------
    path : path
        A folder (every JSON file below it that is an Item), an ItemCollection, an Item, the
        ``catalog.json`` of a static catalog, or the file of a :class:`LocalIndex`.

    Raises
    ------
    CatalogError
        If there is nothing, or a file is not JSON.
    """
    place = Path(path)
    if is_index(place):
        return in_time(from_record(record) for record in LocalIndex(place))
    if place.is_dir():
        files = sorted(file for file in place.rglob("*.json") if not file.name.startswith("."))
        items = [item for file in files for item in _items_of(_json(file), file, walk=False)]
    elif place.is_file():
        items = _items_of(_json(place), place, walk=True)
    else:
        raise CatalogError(f"There is no catalog at {place}: neither a folder nor a file.")
    if not items:
        raise CatalogError(f"There is no STAC Item in {place}: expected JSON files of type Feature.")
    return in_time(items)


def _json(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise CatalogError(f"{file} cannot be read as JSON: {error}.") from error
    return found if isinstance(found, dict) else {}


def _items_of(found: dict[str, Any], file: Path, *, walk: bool) -> list[pystac.Item]:
    import pystac

    try:
        if found.get("type") == "FeatureCollection":
            features = [f for f in found.get("features", []) if "assets" in f]
            return [_item(feature, file) for feature in features]
        if found.get("type") == "Feature" and "assets" in found:
            return [_item(found, file)]
        if walk and found.get("type") in ("Catalog", "Collection"):
            root = pystac.Catalog.from_file(str(file)) if found["type"] == "Catalog" else (
                pystac.Collection.from_file(str(file)))  # fmt: skip
            items = list(root.get_items(recursive=True))
            return [_absolute(item) for item in items]
    except CatalogError:
        raise
    except Exception as error:
        raise CatalogError(f"{file} is not a valid STAC object: {error!r}.") from error
    logger.debug("%s is not an Item", file)
    return []


def _item(feature: dict[str, Any], file: Path) -> pystac.Item:
    import pystac

    # pystac fills links to parents by reading them; they are not needed here.
    links = [link for link in feature.get("links", []) if link.get("rel") in ("derived_from", "canonical")]
    item = pystac.Item.from_dict({**feature, "links": links}, preserve_dict=False)
    item.set_self_href(str(file.resolve()))
    return _absolute(item)


def from_record(record: dict[str, Any]) -> pystac.Item:
    """Return what an index holds as an Item."""
    import pystac

    # pystac reads what these links point to when it writes an Item, which fails offline.
    upward = ("root", "parent", "collection")
    links = [link for link in record.get("links") or [] if link.get("rel") not in upward]
    return pystac.Item.from_dict({**record, "links": links}, preserve_dict=False)


def _absolute(item: pystac.Item) -> pystac.Item:
    item.make_asset_hrefs_absolute()
    return item


def in_time(items: Iterable[pystac.Item]) -> list[pystac.Item]:
    """Return Items each once, sorted by time.

    Raises
    ------
    CatalogError
        If one has no usable time.
    """
    unique = {}
    for item in items:
        named = isinstance(item.id, str) and isinstance(item.collection_id, str | None)
        if not named or not isinstance(item.properties, dict):
            raise CatalogError(f"An Item's id, collection or properties are unusable: {str(item.id)[:80]!r}.")
        unique[item.collection_id, item.id] = item
    try:
        return sorted(
            unique.values(), key=lambda item: (time_of(view(item)), item.id, item.collection_id or "")
        )
    except ItemsError as error:
        raise CatalogError(str(error)) from error


def view(item: pystac.Item) -> dict[str, Any]:
    """Return what filters look at, without copying the Item."""
    when = {"datetime": item.datetime.isoformat()} if item.datetime is not None else {}
    return {
        "id": item.id, "collection": item.collection_id, "geometry": item.geometry, "bbox": item.bbox,
        "properties": {**item.properties, **when},
    }  # fmt: skip


def in_memory(items: Iterable[Any]) -> list[pystac.Item]:
    """Return Items or dicts as Items, each once, sorted by time.

    Raises
    ------
    ItemsError
        If something among them is not an Item.
    """
    import pystac

    found = []
    for item in items:
        if isinstance(item, pystac.Item):
            found.append(item)
            continue
        try:
            found.append(pystac.Item.from_dict(dict(item), preserve_dict=True))
        except Exception as error:
            raise ItemsError(f"Not a STAC Item ({error!r}): {str(item)[:100]}") from error
    return in_time(found)
