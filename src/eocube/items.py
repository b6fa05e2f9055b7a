"""Items as they come: pystac objects or dicts, of one layout."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from .catalogs import Catalog, recognise
from .errors import ItemsError, NoItemsError, shorten

LAYOUT = "eocube:layout"
"""Field of an Item that keeps what its catalog says of names, offsets and signing, where that is
not what the Item looks like. It travels with the Item through lists and files."""


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
    for record in records_of(items):
        records.setdefault((str(record.get("collection")), str(record["id"])), record)
    if not records:
        raise NoItemsError("There is not a single Item: search again with a wider area or period.")
    return [records[key] for key in sorted(records)]


def records_of(items: Any) -> Iterator[dict[str, Any]]:
    """Yield Items as dicts with absolute hrefs, one by one, as they come.

    Raises
    ------
    ItemsError
        If something among them is not an Item.
    """
    if isinstance(items, Mapping) and "features" in items:
        items = items["features"]
    if isinstance(items, str | bytes) or not isinstance(items, Iterable):
        what = type(items).__name__
        raise ItemsError(f"Items are expected, found {what}: pass what eocube.search returns.")
    for item in items:
        record = item if isinstance(item, Mapping) else _as_dict(item)
        parts = (record.get("assets"), record.get("properties"))
        if not isinstance(record.get("id"), str) or not all(isinstance(part, Mapping) for part in parts):
            raise ItemsError(f"Not a STAC Item (id, properties, assets): {str(record)[:100]}")
        yield dict(record)


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


def layout_of(record: Mapping[str, Any]) -> Catalog:
    """Return the layout of an Item: what its catalog said, else what it looks like."""
    said = record.get(LAYOUT)
    if not isinstance(said, Mapping):
        return recognise(record)
    base = Catalog("own", "") if said.get("assets") else recognise(record)
    return replace(base, **{str(key): value for key, value in said.items()})


def said_by(catalog: Catalog, record: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a catalog says of an Item's layout that the Item itself does not show."""
    said: dict[str, Any] = {}
    if catalog.assets:
        said["assets"] = dict(catalog.assets)
    if catalog.offsets != "auto":
        said["offsets"] = catalog.offsets
    if not said:
        return {}
    said["signer"] = catalog.signer
    try:
        looks = recognise(record)
    except ItemsError:
        return said
    return {} if all(getattr(looks, key) == value for key, value in said.items()) else said
