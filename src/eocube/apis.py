"""Asking a STAC API, through pystac-client: paging, time-outs, retries, filters it can decide."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from .catalogs import Catalog
from .errors import SearchError
from .filters import Filters
from .folders import in_time
from .periods import Period

if TYPE_CHECKING:
    import pystac
    from pystac_client import Client
    from shapely.geometry.base import BaseGeometry

logger = logging.getLogger(__name__)

CONNECT = 10
"""Seconds to connect to an API."""

_BUSY = (408, 429, 500, 502, 503, 504)
_LONGEST_WAIT = 60
_PAGE = 250
_EMPTY = 1000


def ask(
    catalog: Catalog, shape: BaseGeometry | None, when: Period | None, wanted: Filters
) -> list[pystac.Item]:
    """Return what an API answers, sorted by time, each Item once.

    The API is asked to decide what it can: as CQL2 where it says that it knows it, else the further
    conditions by the query extension. It may answer more than :meth:`Filters.keeps` does.

    Raises
    ------
    SearchError
        If it cannot be reached, is busy for too long, or does not answer as a STAC API does.
    """
    import requests
    from pystac_client.exceptions import APIError

    name = f"{catalog.name} ({catalog.url})"
    try:
        client = _opened(catalog)
        pushed = _pushed(client, wanted)
        try:
            return in_time(_items(client, catalog, shape, when, pushed))
        except APIError as error:
            if not pushed or error.status_code not in (400, 422, 501):
                raise
            # It says that it knows filters, and does not know this one: they are decided here.
            logger.warning("%s refuses the filter; asking without: %s", name, error)
            return in_time(_items(client, catalog, shape, when, {}))
    except SearchError:
        raise
    except (APIError, requests.RequestException) as error:
        raise SearchError(_why(name, error, catalog)) from error
    except json.JSONDecodeError as error:
        raise SearchError(f"{name} did not answer the search as a STAC API does: {error}") from error
    except Exception as error:  # pystac raises many kinds for what is no Item
        raise SearchError(f"{name} did not answer the search as a STAC API does: {error!r}"[:600]) from error


def _opened(catalog: Catalog) -> Client:
    from pystac import Link
    from pystac_client import Client
    from pystac_client.stac_api_io import StacApiIO
    from urllib3 import Retry
    from urllib3.response import BaseHTTPResponse

    class Patient(Retry):
        """Waits as the API says, but not for hours."""

        def get_retry_after(self, response: BaseHTTPResponse) -> float | None:
            found = super().get_retry_after(response)
            return None if found is None else min(found, _LONGEST_WAIT)

    class Paging(StacApiIO):
        """Goes on after an empty page, and does not take what is no page for the end."""

        def get_pages(
            self, url: str, method: str | None = None, parameters: dict[str, Any] | None = None
        ) -> Iterator[dict[str, Any]]:
            at: Any = url
            while at is not None:
                page = self.read_json(at, method=method, parameters=parameters)
                features = page.get("features") if isinstance(page, dict) else None
                if not isinstance(features, list):
                    raise SearchError(f"{catalog.name} ({catalog.url}) answered a page without features.")
                yield page
                links = [link for link in page.get("links") or [] if link.get("rel") == "next"]
                at, method = (Link.from_dict(links[0]) if links else None), None

    # POST is asked again too: a search changes nothing.
    retry = Patient(
        catalog.retries, backoff_factor=0.5, backoff_jitter=0.2, status_forcelist=_BUSY, allowed_methods=None
    )
    timeout = (CONNECT, catalog.timeout)
    # Client.open sets the time-out anew: without it there, there is none.
    return Client.open(catalog.url, stac_io=Paging(timeout=timeout, max_retries=retry), timeout=timeout)


def _pushed(client: Client, wanted: Filters) -> dict[str, Any]:
    """Return what of the filters this API can decide, as arguments of a search."""
    from pystac_client import ConformanceClasses

    cql2 = wanted.cql2()
    if cql2 is not None and client.conforms_to(ConformanceClasses.FILTER):
        return {"filter": cql2, "filter_lang": "cql2-json"}
    if wanted.query and client.conforms_to(ConformanceClasses.QUERY):
        return {"query": dict(wanted.query)}
    return {}


def _items(
    client: Client,
    catalog: Catalog,
    shape: BaseGeometry | None,
    when: Period | None,
    pushed: dict[str, Any],
) -> Iterator[pystac.Item]:
    import pystac
    import shapely.geometry

    answer = client.search(
        collections=[catalog.collection] if catalog.collection else None,
        intersects=None if shape is None else shapely.geometry.mapping(shape),
        datetime=None if when is None else str(when),
        limit=_PAGE,
        **pushed,
    )
    pages: set[tuple[str, ...]] = set()
    empty = 0
    assert answer._stac_io is not None
    for page in answer._stac_io.get_pages(answer.url, answer.method, answer.get_parameters()):
        ids = tuple(f"{feature.get('collection')}/{feature.get('id')}" for feature in page["features"])
        if not ids:
            empty += 1
        if ids in pages or empty > _EMPTY:
            raise SearchError(
                f"{catalog.name} ({catalog.url}) gives the same page again and again: its paging does not "
                "end. Ask for a shorter period."
            )
        if ids:
            pages.add(ids)
        for feature in page["features"]:
            yield pystac.Item.from_dict(feature, root=client, preserve_dict=False)


def _why(name: str, error: Exception, catalog: Catalog) -> str:
    import requests

    chain: list[BaseException] = []
    at: BaseException | None = error
    while at is not None and at not in chain:
        chain.append(at)
        at = at.__cause__ or at.__context__
    found = " ".join(str(error).split())[:300]
    refused = "too many" in found  # urllib3: "too many 503 error responses"
    if refused or any(isinstance(part, requests.exceptions.RetryError) for part in chain):
        return f"{name} is busy: asked {catalog.retries + 1} times, no answer ({found}). Try again later."
    if "Read timed out" in found or any(isinstance(part, requests.ReadTimeout) for part in chain):
        return f"{name} did not answer within {catalog.timeout:g} s: ask for less, or raise its timeout."
    if any(isinstance(part, requests.ConnectionError) for part in chain):
        return f"{name} cannot be reached. Check the network and the url."
    return f"{name} did not answer the search as a STAC API does: {found}"
