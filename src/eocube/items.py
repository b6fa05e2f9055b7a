"""Items as they come: pystac objects or dicts, of one layout."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urljoin

from .catalogs import Catalog, recognise
from .errors import InputError, ItemsError, NoItemsError, shorten
from .facts import level_of
from .trust import ORIGIN, is_web, origin_of

FOUND_IN = "eocube:catalog"
"""Field of an Item that names its catalog, where several were searched."""

LAYOUT = "eocube:layout"
"""Field of an Item that keeps what its catalog says of names, offsets and signing, where that is
not what the Item looks like. It travels with the Item through lists and files."""


class Records(list[dict[str, Any]]):
    """Items as :func:`as_dicts` returns them; given to it again, they are returned as they are."""


def as_dicts(items: Iterable[Any]) -> Records:
    """Return Items as dicts with absolute hrefs, each once.

    Raises
    ------
    NoItemsError
        If there is none.
    ItemsError
        If something among them is not an Item.
    """
    if isinstance(items, Records):
        return items
    records: dict[tuple[str, str], dict[str, Any]] = {}
    for record in records_of(items):
        records.setdefault((str(record.get("collection")), str(record["id"])), _absolute(record))
    if not records:
        raise NoItemsError("There is not a single Item: search again with a wider area or period.")
    return Records(records[key] for key in sorted(records))


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
    own = item.get_self_href() if hasattr(item, "get_self_href") else None
    if own:
        links = [link for link in record.get("links") or [] if link.get("rel") != "self"]
        record["links"] = [*links, {"rel": "self", "href": own}]
    return record


def _absolute(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return an Item as a dict whose asset hrefs are absolute, resolved against its self link.

    Raises
    ------
    ItemsError
        If an href is relative and nothing says to what.
    """
    found = dict(record)
    if found.get(ORIGIN) is None and (origin := origin_of(record)):
        found[ORIGIN] = origin
    assets = {}
    for key, asset in record["assets"].items():
        href = asset.get("href") if isinstance(asset, Mapping) else None
        if isinstance(href, str) and href and not _ABSOLUTE.match(href):
            asset = {**asset, "href": _joined(href, record, str(key))}
        assets[key] = asset
    return {**found, "assets": assets}


_ABSOLUTE = re.compile(r"/|\\|[A-Za-z][A-Za-z0-9+.-]*:")


def _joined(href: str, record: Mapping[str, Any], key: str) -> str:
    links = record.get("links")
    own: str = next((
        str(link["href"]) for link in (links if isinstance(links, list) else [])
        if isinstance(link, Mapping) and link.get("rel") == "self" and isinstance(link.get("href"), str)
    ), "")  # fmt: skip
    if is_web(own):
        # One that climbs stays as it is, and is refused where it is looked at.
        return href if ".." in re.split(r"[/\\]", href) else urljoin(own, href)
    if own:
        return os.path.normpath(os.path.join(os.path.dirname(own), href))  # noqa: PTH118, PTH120
    raise ItemsError(
        f"Asset {key!r} of Item {record['id']!r} has the relative href {href[:200]!r}, and the Item has no "
        "self link that says relative to what: read it with eocube.search(path), or make it absolute."
    )


def check_one_collection(records: list[dict[str, Any]]) -> None:
    """Refuse Items of several collections: their digital numbers are not comparable.

    Those of a search of several catalogs may be, if all are of one processing level.

    Raises
    ------
    ItemsError
        Names the collections and how many Items each has.
    """
    levels = {level_of(record) for record in records}
    if all(isinstance(record.get(FOUND_IN), str) for record in records) and len(levels) == 1:
        return  # several catalogs were asked for, each Item has the layout and offsets of its own
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
    known = {str(key): value for key, value in said.items() if key in ("assets", "offsets", "signer")}
    try:
        return replace(base, **known)
    except (InputError, TypeError) as error:
        raise ItemsError(f"Item {record.get('id')!r} has an unusable {LAYOUT}: {error}") from error


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
