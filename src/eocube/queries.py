"""Searching: one call, whether the catalog is an API, a folder, a file or a static catalog."""

from __future__ import annotations

import json
import logging
import os
import warnings
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import shapely
import shapely.geometry

from .areas import area as to_area
from .areas import lonlat
from .catalogs import CATALOGS, Catalog
from .errors import CatalogError, EocubeWarning, InputError, NoItemsError, SearchError, did_you_mean, shorten
from .indexes.base import LocalIndex, is_index
from .items import LAYOUT, said_by
from .periods import Period
from .periods import period as to_period

if TYPE_CHECKING:
    import pystac
    from shapely.geometry.base import BaseGeometry

logger = logging.getLogger(__name__)

TIMEOUT = (10, 60)
"""Seconds to connect to an API, and to wait for an answer."""



def search(
    catalog: Catalog | LocalIndex | str | os.PathLike[str],
    area: Any = None,
    period: str | tuple[str, str] | Period | None = None,
    *,
    max_cloud: float | None = None,
    query: Mapping[str, Any] | None = None,
    limit: int | None = None,
) -> pystac.ItemCollection:
    """Find the Items of a catalog over an area and a period.

    Parameters
    ----------
    catalog : Catalog, LocalIndex, str or path
        A catalog, its name (``"earth-search"``), a STAC API's url, or a local one: a folder of
        Items, an ItemCollection file, a static ``catalog.json``, a :class:`LocalIndex` or its file.
    area : optional
        Anything :func:`eocube.area` takes. None: everywhere (local catalogs only).
    period : str or pair of str, optional
        ``"2024-05/2024-09"``, both ends included. None: always.
    max_cloud : float, optional
        Greatest ``eo:cloud_cover`` in percent.
    query : mapping, optional
        Further conditions by property, as the STAC API's query extension writes them:
        ``{"s2:mgrs_tile": {"eq": "22KFV"}}``; operators eq, neq, lt, lte, gt, gte, in.
    limit : int, optional
        At most so many Items.

    Returns
    -------
    pystac.ItemCollection
        Sorted by time, each Item once.

    Raises
    ------
    NoItemsError
        If none fits; says the query, and how many fit without the cloud limit.
    CatalogError, AreaError, PeriodError
        If what was asked is not usable.
    SearchError
        If an API does not answer as it should.

    Examples
    --------
    >>> import eocube
    >>> world = eocube.sample.cached()
    >>> items = eocube.search(world.items_path, world.bbox, "2021-06/2022-06", max_cloud=90)
    """
    if limit is not None and limit < 1:
        raise InputError(f"limit={limit} would leave nothing: give 1 or more, or None.")
    where = _resolve(catalog)
    shape = None if area is None else lonlat(to_area(area))
    when = None if period is None else to_period(period)
    if max_cloud is not None and not 0 <= max_cloud <= 100:
        raise InputError(f"max_cloud={max_cloud} is not a percentage: give 0 to 100.")
    conditions = dict(query or {})
    if _is_remote(where.url):
        if shape is None and not conditions:
            raise InputError(f"Searching {where.name} needs an area (or a query): it covers the world.")
        found = _ask_api(where, shape, when, conditions)
    elif isinstance(catalog, LocalIndex) or is_index(where.url):
        index = catalog if isinstance(catalog, LocalIndex) else LocalIndex(where.url)
        found = _ask_index(index, where, shape, when, conditions, max_cloud)
    else:
        found = [
            item for item in read_items(where.url)
            if _fits(item, shape, when) and _meets(item.properties, conditions)
        ]  # fmt: skip
    clear = found if max_cloud is None else _clear_enough(found, max_cloud)
    if not clear:
        raise NoItemsError(_nothing(where, shape, when, max_cloud, conditions, len(found)))
    return _collection(clear[:limit], where)


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
        return _sorted(_from_record(record) for record in LocalIndex(place))
    if place.is_dir():
        files = sorted(file for file in place.rglob("*.json") if not file.name.startswith("."))
        items = [item for file in files for item in _items_of(_json(file), file, walk=False)]
    elif place.is_file():
        items = _items_of(_json(place), place, walk=True)
    else:
        raise CatalogError(f"There is no catalog at {place}: neither a folder nor a file.")
    if not items:
        raise CatalogError(f"There is no STAC Item in {place}: expected JSON files of type Feature.")
    return _sorted(items)


def _resolve(catalog: Catalog | LocalIndex | str | os.PathLike[str]) -> Catalog:
    if isinstance(catalog, Catalog):
        return catalog
    if isinstance(catalog, LocalIndex):
        return Catalog(str(catalog.path), str(catalog.path))
    text = os.fspath(catalog)
    if text in CATALOGS:
        return CATALOGS[text]
    if _is_remote(text) or Path(text).exists():
        return Catalog(text, text)
    raise CatalogError(
        f"There is no catalog {text!r}: neither a file or folder, nor one of "
        f"{', '.join(CATALOGS)}.{did_you_mean(text, CATALOGS)}"
    )


def _ask_index(
    index: LocalIndex,
    catalog: Catalog,
    shape: BaseGeometry | None,
    when: Period | None,
    conditions: Mapping[str, Any],
    max_cloud: float | None,
) -> list[pystac.Item]:
    """Ask an index as an API is asked: by the catalog's collection, if it has one."""
    cloudless = _cql2(conditions, None)
    for where in (_cql2(conditions, max_cloud), cloudless):
        records = index.find(
            shape, when, collections=[catalog.collection] if catalog.collection else (), where=where
        )
        found = [_from_record(r) for r in records if _meets(r["properties"], conditions)]
        if found or where == cloudless:  # nothing: the message says how many there are with clouds
            break
    return _sorted(found)


def _cql2(conditions: Mapping[str, Any], max_cloud: float | None) -> dict[str, Any]:
    """Return conditions as CQL2, for an index to leave out what cannot meet them."""
    operators = {"eq": "=", "lt": "<", "lte": "<=", "gt": ">", "gte": ">=", "in": "in"}
    cloud = {"property": "eo:cloud_cover"}
    parts: list[dict[str, Any]] = [
        {"op": operators[operator], "args": [{"property": name}, wanted]}
        for name, tests in conditions.items()
        for operator, wanted in tests.items()
        if operator in operators and wanted is not None
    ]
    if max_cloud is not None:
        parts.append({"op": "or", "args": [
            {"op": "<=", "args": [cloud, max_cloud]}, {"op": "isNull", "args": [cloud]},
        ]})  # fmt: skip
    return {"op": "and", "args": parts}


def _from_record(record: dict[str, Any]) -> pystac.Item:
    import pystac

    # pystac reads what these links point to when it writes an Item, which fails offline.
    upward = ("root", "parent", "collection")
    links = [link for link in record.get("links") or [] if link.get("rel") not in upward]
    return pystac.Item.from_dict({**record, "links": links}, preserve_dict=False)


def _is_remote(url: str) -> bool:
    return url.startswith(("http://", "https://"))


def _ask_api(
    catalog: Catalog, shape: BaseGeometry | None, when: Period | None, conditions: dict[str, Any]
) -> list[pystac.Item]:
    import requests
    from pystac_client import Client
    from pystac_client.exceptions import APIError
    from pystac_client.stac_api_io import StacApiIO
    from urllib3 import Retry

    # POST is retried too: a search changes nothing.
    retry = Retry(
        5, backoff_factor=0.5, status_forcelist=(408, 429, 500, 502, 503, 504), allowed_methods=None
    )
    try:
        client = Client.open(catalog.url, stac_io=StacApiIO(timeout=TIMEOUT, max_retries=retry))
        answer = client.search(
            collections=[catalog.collection] if catalog.collection else None,
            intersects=None if shape is None else shapely.geometry.mapping(shape),
            datetime=None if when is None else str(when),
            query=conditions or None,
            limit=250,
        )
        return _sorted(answer.items())
    except (APIError, requests.RequestException, json.JSONDecodeError, KeyError) as error:
        if isinstance(error.__cause__ or error.__context__ or error, requests.ConnectionError):
            raise SearchError(
                f"{catalog.name} ({catalog.url}) cannot be reached. Check the network and the url."
            ) from error
        raise SearchError(
            f"{catalog.name} ({catalog.url}) did not answer the search as a STAC API does: {error}"
        ) from error


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


def _absolute(item: pystac.Item) -> pystac.Item:
    item.make_asset_hrefs_absolute()
    return item


def _sorted(items: Iterable[pystac.Item]) -> list[pystac.Item]:
    unique = {(item.collection_id, item.id): item for item in items}
    return sorted(unique.values(), key=lambda item: (_time(item), item.id, item.collection_id or ""))


def _time(item: pystac.Item) -> datetime:
    when = item.datetime or item.common_metadata.start_datetime
    if when is None:
        raise CatalogError(f"Item {item.id!r} has no datetime.")
    return when if when.tzinfo else when.replace(tzinfo=UTC)


def _meets_period(item: pystac.Item, when: Period) -> bool:
    """Whether an Item's time, or its span where it has no datetime, meets a period, as for an API."""
    start = _time(item)
    end = start if item.datetime else item.common_metadata.end_datetime or start
    return start <= when.end and (end if end.tzinfo else end.replace(tzinfo=UTC)) >= when.start


def _clear_enough(items: list[pystac.Item], max_cloud: float) -> list[pystac.Item]:
    cover = {item.id: item.properties.get("eo:cloud_cover") for item in items}
    unknown = [name for name, cloud in cover.items() if cloud is None]
    if unknown:
        warnings.warn(
            f"{len(unknown)} Items do not say their cloud cover and are kept: {shorten(unknown)}.",
            EocubeWarning,
            stacklevel=3,
        )
    return [item for item in items if (cover[item.id] or 0) <= max_cloud]


def _fits(item: pystac.Item, shape: BaseGeometry | None, when: Period | None) -> bool:
    if when is not None and not _meets_period(item, when):
        return False
    if shape is None or item.geometry is None:
        return True
    return bool(shapely.intersects(shapely.geometry.shape(item.geometry), shape))


def _meets(properties: Mapping[str, Any], conditions: Mapping[str, Any]) -> bool:
    return all(
        _compare(properties.get(name), operator, wanted)
        for name, tests in conditions.items()
        for operator, wanted in tests.items()
    )


def _compare(found: Any, operator: str, wanted: Any) -> bool:
    known = ("eq", "neq", "lt", "lte", "gt", "gte", "in")
    if operator not in known:
        raise InputError(f"query has no operator {operator!r}: {', '.join(known)} are known.")
    if operator in ("eq", "neq"):
        return bool(found == wanted) == (operator == "eq")
    if found is None:
        return False
    if operator == "in":
        return found in wanted
    return bool(
        {"lt": found < wanted, "lte": found <= wanted, "gt": found > wanted, "gte": found >= wanted}[operator]
    )


def _nothing(
    catalog: Catalog,
    shape: BaseGeometry | None,
    when: Period | None,
    max_cloud: float | None,
    conditions: Mapping[str, Any],
    without_limit: int,
) -> str:
    bounds = None if shape is None else tuple(round(b, 4) for b in shape.bounds)
    asked = [
        f"catalog {catalog.name}" + (f", collection {catalog.collection}" if catalog.collection else ""),
        f"area {bounds}" if bounds else "",
        f"period {when}" if when else "",
        f"max_cloud {max_cloud:g} %" if max_cloud is not None else "",
        f"query {dict(conditions)}" if conditions else "",
    ]
    text = f"No Item found for {'; '.join(part for part in asked if part)}."
    if max_cloud is not None and without_limit:
        return f"{text} Without the cloud limit there are {without_limit}: raise max_cloud."
    return f"{text} Widen the period or the area, or look whether (west, south, east, north) are in order."


def _collection(items: list[pystac.Item], catalog: Catalog) -> pystac.ItemCollection:
    import pystac

    for item in items:
        # Only where the catalog says more than the Item shows; it then travels with the Item.
        said = said_by(catalog, item.to_dict(include_self_link=False, transform_hrefs=False))
        if said:
            item.extra_fields[LAYOUT] = said
    logger.info("%d Items from %s: %s", len(items), catalog.name, shorten(i.id for i in items))
    return pystac.ItemCollection(items, clone_items=False)
