"""Searching: one call, whether the catalog is an API, a folder, a file or a static catalog."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import shapely
import shapely.errors
import shapely.geometry

from .apis import ask
from .areas import area as to_area
from .areas import lonlat
from .catalogs import CATALOGS, EARTH_SEARCH, Catalog
from .errors import (
    CatalogError,
    EocubeWarning,
    InputError,
    NoItemsError,
    SearchError,
    did_you_mean,
    shorten,
)
from .facts import number_of, time_of
from .filters import Filters, filters
from .folders import from_record, in_memory, in_time, read_items, view
from .gaps import filled, report
from .indexes.base import LocalIndex, is_index
from .items import LAYOUT, said_by
from .periods import Period
from .periods import period as to_period
from .tiles import tiles_outline
from .trust import ORIGIN, TRUSTED, is_web

if TYPE_CHECKING:
    import pystac
    from shapely.geometry.base import BaseGeometry

__all__ = ["read_items", "search", "search_tiles"]

logger = logging.getLogger(__name__)

Where = Any
"""A Catalog, its name, a url, a path, Items in memory; or several catalogs, the first first."""


def search(
    catalog: Where,
    area: Any = None,
    period: str | tuple[str, str] | Period | None = None,
    *,
    max_cloud: float | None = None,
    orbit: int | str | Iterable[int | str] | None = None,
    platform: str | Iterable[str] | None = None,
    baseline: str | tuple[str, str] | None = None,
    months: int | Iterable[int] | None = None,
    query: Mapping[str, Any] | None = None,
    limit: int | None = None,
) -> pystac.ItemCollection:
    """Find the Items of a catalog over an area and a period.

    Parameters
    ----------
    catalog : Catalog, str, path, Items, or a list of catalogs
        A catalog, its name (``"earth-search"``), a STAC API's url, or a local one: a folder of
        Items, an ItemCollection file, a static ``catalog.json``, a :class:`LocalIndex` or its file; or
        Items, to search among them.
        Of several catalogs the first is used, and the others where it has gaps: a pass over a tile
        that the ones before do not have. ``eocube:catalog`` of an Item says which one it is from;
        ``items.extra_fields["eocube:found"]`` counts them, ``["eocube:dropped"]`` lists what was
        left out. One that cannot be reached is a warning, unless it is the last.
    area : optional
        Anything :func:`eocube.area` takes. None: everywhere (local catalogs only).
    period : str or pair of str, optional
        ``"2024-05/2024-09"``, both ends included; ``"2024-05/.."``. None: always.
    max_cloud : float, optional
        Greatest ``eo:cloud_cover`` in percent. Items that do not say it are kept, with a warning.
    orbit : int, str or several, optional
        Relative orbits (1 to 143), ``"ascending"`` or ``"descending"``.
    platform : str or several, optional
        ``"sentinel-2a"``; ``"S2A"`` does as well.
    baseline : str or pair of str, optional
        Lowest processing baseline, or lowest and highest: ``"04.00"``, ``("", "03.01")``.
    months : int or several, optional
        Of the year, in UTC: ``range(5, 10)``.
    query : mapping, optional
        Further conditions by property, as the STAC API's query extension writes them:
        ``{"s2:mgrs_tile": {"eq": "22KFV"}}``; operators eq, neq, lt, lte, gt, gte, in. What an
        Item does not say meets none of them.
    limit : int, optional
        At most so many Items: the first in time of those that fit.

    Returns
    -------
    pystac.ItemCollection
        Sorted by time, each Item once. The same from every kind of catalog: what an API decides by
        itself is decided here again.

    Raises
    ------
    NoItemsError
        If none fits; says the query, and how many fit without the cloud limit.
    CatalogError, AreaError, PeriodError, InputError
        If what was asked is not usable.
    SearchError
        If an API does not answer as it should.

    Examples
    --------
    >>> import eocube
    >>> world = eocube.sample.cached()
    >>> items = eocube.search(world.items_path, world.bbox, "2021-06/2022-06", max_cloud=90)
    """
    wanted = filters(
        max_cloud=max_cloud, orbit=orbit, platform=platform, baseline=baseline, months=months, query=query
    )  # fmt: skip
    shape = None if area is None else lonlat(to_area(area))
    return _search(catalog, _Asked(shape, None if period is None else to_period(period), wanted, limit))


def search_tiles(
    tiles: str | Iterable[str],
    period: str | tuple[str, str] | Period | None = None,
    catalog: Where = EARTH_SEARCH,
    *,
    max_cloud: float | None = None,
    orbit: int | str | Iterable[int | str] | None = None,
    platform: str | Iterable[str] | None = None,
    baseline: str | tuple[str, str] | None = None,
    months: int | Iterable[int] | None = None,
    query: Mapping[str, Any] | None = None,
    limit: int | None = None,
) -> pystac.ItemCollection:
    """Find the Items of MGRS tiles on a date or in a period.

    Parameters
    ----------
    tiles : str or several
        ``"22KFV"``, ``"MGRS-22KFV"`` or ``"T22KFV"``.
    period : str or pair of str, optional
        ``"2018-12-14"`` or a range of dates.
    catalog : optional
        As for :func:`eocube.search`.
    max_cloud, orbit, platform, baseline, months, query, limit
        As for :func:`eocube.search`.

    Returns
    -------
    pystac.ItemCollection
        Of these tiles alone, not of their neighbours.

    Raises
    ------
    AreaError
        If there is no such tile.
    NoItemsError, CatalogError, PeriodError, InputError, SearchError
        As :func:`eocube.search`.

    Examples
    --------
    >>> import eocube
    >>> world = eocube.sample.cached()
    >>> items = eocube.search_tiles("33TTN", "2021-06-12", world.items_path)
    >>> {item.properties["grid:code"] for item in items}
    {'MGRS-33TTN'}
    """
    wanted = filters(
        max_cloud=max_cloud, orbit=orbit, platform=platform, baseline=baseline, months=months, query=query,
        tiles=tiles,
    )  # fmt: skip
    if not wanted.tiles:
        raise InputError("No tile was asked for: name at least one, for instance '22KFV'.")
    when = None if period is None else to_period(period)
    return _search(catalog, _Asked(tiles_outline(wanted.tiles), when, wanted, limit))


@dataclass(frozen=True)
class _Asked:
    """What is looked for, whatever the catalog."""

    shape: BaseGeometry | None
    when: Period | None
    wanted: Filters
    limit: int | None = None

    def __post_init__(self) -> None:
        if self.limit is not None and (isinstance(self.limit, bool) or self.limit < 1):
            raise InputError(f"limit={self.limit} would leave nothing: give 1 or more, or None.")

    def keeps(self, item: pystac.Item) -> bool:
        seen = view(item)
        if not self.wanted.keeps(seen):
            return False
        if self.when is not None and not _meets_period(seen, self.when):
            return False
        return self.shape is None or _touches(item, self.shape)

    def __str__(self) -> str:
        bounds = None if self.shape is None else tuple(round(b, 4) for b in self.shape.bounds)
        said = (
            f"area {bounds}" if bounds else "", f"period {self.when}" if self.when else "", str(self.wanted)
        )  # fmt: skip
        return "; ".join(part for part in said if part) or "all Items"


def _search(catalog: Where, asked: _Asked) -> pystac.ItemCollection:
    several = isinstance(catalog, list | tuple) and not any(_is_item(part) for part in catalog)
    where = [_resolve(part) for part in catalog] if several else [_resolve(catalog)]
    if not where:
        raise CatalogError("No catalog was given: name one, or several in a list.")
    parts = _ask_each(where, asked)
    if several:
        found, dropped = filled(parts)
    else:
        found, dropped = parts[0][1], None
    if not found:
        raise NoItemsError(_nothing([place for place, _ in parts], asked))
    _warn_of_unsaid_clouds(found, asked.wanted)
    chosen = in_time(found)[: asked.limit]
    logger.info("%d Items from %s: %s", len(chosen), where, shorten(i.id for i in chosen))
    return report(chosen, dropped)


def _ask_each(where: list[_Place], asked: _Asked) -> list[tuple[_Place, list[pystac.Item]]]:
    parts: list[tuple[_Place, list[pystac.Item]]] = []
    for place in where:
        try:
            parts.append((place, place.find(asked)))
        except SearchError as error:
            if place is where[-1] and not parts:
                raise
            warnings.warn(f"Left out of the search: {error}", EocubeWarning, stacklevel=4)
    return parts


@dataclass(frozen=True)
class _Place:
    """A catalog, or Items in memory."""

    catalog: Catalog
    items: tuple[Any, ...] | None = None
    index: LocalIndex | None = None

    @property
    def name(self) -> str:
        return self.catalog.name

    def find(self, asked: _Asked) -> list[pystac.Item]:
        where = self.catalog
        if self.items is not None:
            return [item for item in in_memory(self.items) if asked.keeps(item)]
        if self.index is not None or (not is_web(where.url) and is_index(where.url)):
            index = self.index or LocalIndex(where.url)
            own = [where.collection] if where.collection else []
            records = index.find(asked.shape, asked.when, collections=own, where=asked.wanted.cql2())
            found = in_time(from_record(record) for record in records)
            return [_noted(item, where) for item in found if asked.keeps(item)]
        if not is_web(where.url):
            return [_noted(item, where) for item in read_items(where.url) if asked.keeps(item)]
        if asked.shape is None and not asked.wanted.query:
            raise InputError(f"Searching {where.name} needs an area (or a query): it covers the world.")
        answer = ask(where, asked.shape, asked.when, asked.wanted)
        return [_noted(item, where) for item in answer if asked.keeps(item)]

    def __str__(self) -> str:
        own = self.catalog
        return f"catalog {own.name}" + (f", collection {own.collection}" if own.collection else "")


def _resolve(catalog: Where) -> _Place:
    if isinstance(catalog, Catalog):
        return _Place(catalog)
    if isinstance(catalog, LocalIndex):
        return _Place(Catalog(str(catalog.path), str(catalog.path)), index=catalog)
    if not isinstance(catalog, str | os.PathLike):
        if isinstance(catalog, Mapping) and "features" in catalog:
            catalog = catalog["features"]
        if isinstance(catalog, Iterable):
            return _Place(Catalog("Items in memory", ""), tuple(catalog))
        raise CatalogError(
            f"A {type(catalog).__name__} is no catalog: give a Catalog, a name, a url or a path."
        )
    text = os.fspath(catalog)
    if text in CATALOGS:
        return _Place(CATALOGS[text])
    if is_web(text) or Path(text).exists():
        return _Place(Catalog(text, text))
    raise CatalogError(
        f"There is no catalog {text!r}: neither a file or folder, nor one of "
        f"{', '.join(CATALOGS)}.{did_you_mean(text, CATALOGS)}"
    )


def _is_item(part: Any) -> bool:
    return isinstance(part, Mapping) or (hasattr(part, "assets") and hasattr(part, "to_dict"))


def _touches(item: pystac.Item, shape: BaseGeometry) -> bool:
    if item.geometry is None:
        return True
    try:
        return bool(shapely.intersects(shapely.geometry.shape(item.geometry), shape))
    except (shapely.errors.ShapelyError, TypeError, ValueError, LookupError, AttributeError) as error:
        raise CatalogError(f"Item {item.id!r} has no usable geometry: {error!r}.") from error


def _meets_period(seen: Mapping[str, Any], when: Period) -> bool:
    """Whether an Item's time, or its span where it has no datetime, meets a period, as for an API."""
    start, end = time_of(seen), seen["properties"].get("end_datetime")
    if seen["properties"].get("datetime") or not end:
        return start in when
    return start <= when.end and time_of({**seen, "properties": {"datetime": end}}) >= when.start


def _noted(item: pystac.Item, catalog: Catalog) -> pystac.Item:
    """Write into an Item what has to travel with it: where it is from, what its catalog says of it."""
    remote = is_web(catalog.url)
    if catalog.trust:
        item.extra_fields[ORIGIN] = TRUSTED
    elif remote:
        item.extra_fields[ORIGIN] = catalog.url
    if remote:
        item.extra_fields.pop(LAYOUT, None)  # not for a stranger to say
    # Only where the catalog says more than the Item shows.
    said = said_by(catalog, item.to_dict(include_self_link=False, transform_hrefs=False))
    if said:
        item.extra_fields[LAYOUT] = said
    return item


def _warn_of_unsaid_clouds(items: list[pystac.Item], wanted: Filters) -> None:
    if wanted.max_cloud is None:
        return
    unknown = [item.id for item in items if number_of(item.properties.get("eo:cloud_cover")) is None]
    if unknown:
        warnings.warn(
            f"{len(unknown)} Items do not say their cloud cover and are kept: {shorten(unknown)}.",
            EocubeWarning,
            stacklevel=4,
        )


def _nothing(where: list[_Place], asked: _Asked) -> str:
    text = f"No Item found for {' and '.join(map(str, where))}; {asked}."
    if asked.wanted.max_cloud is not None:
        clear = replace(asked, wanted=replace(asked.wanted, max_cloud=None))
        without = sum(len(place.find(clear)) for place in where)
        if without:
            return f"{text} Without the cloud limit there are {without}: raise max_cloud."
    return f"{text} Widen the period or the area, or look whether (west, south, east, north) are in order."
