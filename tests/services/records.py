"""STAC records as an API holds them."""

from __future__ import annotations

import csv
import json
from pathlib import Path

from .pgstac import reads_parquet

NONE = "of-no-collection"
"""The collection of records that name none; an API knows no such Items."""


def real_records(real: Path, place: Path) -> list[dict]:
    """Return all records of the real archives, each once: JSON, GeoJSON and stac-geoparquet."""
    found = []
    for path in sorted((real / "stac").rglob("*")):
        if path.suffix in (".json", ".geojson"):
            found += features(json.loads(path.read_text()))
        elif path.suffix == ".parquet":
            found += reads_parquet(path, place)
    return list({key(record): usable(record) for record in found}.values())


def index(real: Path) -> set[tuple[str, str]]:
    """Return collection and id of what the archives' table of contents lists."""
    with (real / "stac" / "INDEX.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["src"].startswith("stac/")]
    return {(row["collection"] or NONE, row["id"]) for row in rows}


def features(found) -> list[dict]:
    """Return the Items in a JSON value, however deep they lie."""
    if isinstance(found, dict):
        if found.get("type") == "Feature" and "assets" in found:
            return [found]
        found = list(found.values())
    return [record for value in found for record in features(value)] if isinstance(found, list) else []


def key(record) -> tuple[str, str]:
    """Return what tells Items apart."""
    return record.get("collection") or NONE, record["id"]


def usable(record) -> dict:
    """Return a record in a collection, without links, its hrefs absolute."""
    assets = {name: {**asset, "href": absolute(asset["href"])} for name, asset in record["assets"].items()}
    return {**record, "collection": key(record)[0], "assets": assets, "links": []}


def absolute(href: str) -> str:
    """Return an href that does not depend on where the record lies."""
    return href if href.startswith("/") or "://" in href else f"https://example.org/{href.removeprefix('./')}"
