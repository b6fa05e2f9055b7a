"""Items as they come: pystac objects or dicts, of one layout."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from .catalogs import Catalog, recognise
from .errors import ItemsError, NoItemsError, shorten

ASSETS_KEY = "eocube:assets"
"""Field of an ItemCollection that keeps the asset names of a catalog of one's own."""


def as_dicts(items: Iterable[Any]) -> list[dict[str, Any]]:
    """Return Items as dicts with absolute hrefs, each once.

    Raises
    ------
    NoItemsError
        If there is none.
    ItemsError
        If something among them is not an Item.
    """
    records: dict[tuple[str, str], dict[str, Any]] = {}
    if isinstance(items, Mapping) and "features" in items:
        items = items["features"]
    if isinstance(items, str | bytes) or not isinstance(items, Iterable):
        what = type(items).__name__
        raise ItemsError(f"Items are expected, found {what}: pass what eocube.search returns.")
    for item in items:
        record = item if isinstance(item, Mapping) else _as_dict(item)
        if not isinstance(record.get("assets"), Mapping) or "id" not in record:
            raise ItemsError(f"Not a STAC Item: {str(record)[:100]}")
        key = (str(record.get("collection")), str(record["id"]))
        records.setdefault(key, dict(record))
    if not records:
        raise NoItemsError("There is not a single Item: search again with a wider area or period.")
    return [records[key] for key in sorted(records)]


def _as_dict(item: Any) -> dict[str, Any]:
    if not hasattr(item, "to_dict"):
        raise ItemsError(f"A {type(item).__name__} is not a STAC Item.")
    record: dict[str, Any] = item.to_dict(include_self_link=False, transform_hrefs=False)
    for key, asset in item.assets.items():
        record["assets"][key]["href"] = asset.get_absolute_href() or asset.href
    return record


def check_one_collection(records: list[dict[str, Any]]) -> None:
    """Refuse Items of several collections: their digital numbers are not comparable.

    Raises
    ------
    ItemsError
        Names the collections and how many Items each has.
    """
    counts: dict[str, int] = {}
    for record in records:
        name = str(record.get("collection") or "none")
        counts[name] = counts.get(name, 0) + 1
    if len(counts) > 1:
        found = shorten(f"{name} ({count})" for name, count in sorted(counts.items()))
        raise ItemsError(f"The Items are of several collections: {found}. Use those of one at a time.")


def layout_of(items: Any) -> Callable[[Mapping[str, Any]], Catalog]:
    """Return a function from an Item to its layout: what its catalog said, or what it looks like."""
    said = getattr(items, "extra_fields", {}).get(ASSETS_KEY)
    if isinstance(said, Mapping):
        own = Catalog("own", "", "", dict(said["names"]), said["offsets"], said["signer"])
        return lambda _: own
    return recognise
