"""The public APIs on loopback: as they were recorded, and in their form for any Items."""

from __future__ import annotations

import json
from contextlib import contextmanager
from urllib.parse import parse_qs, urlencode, urlsplit

import shapely.geometry
import yaml

from .servers import Quiet, fits, serving

EARTH_SEARCH = "https://earth-search.aws.element84.com/v1"
PLANETARY_COMPUTER = "https://planetarycomputer.microsoft.com/api/stac/v1"
CDSE = "https://stac.dataspace.copernicus.eu/v1"

PAGE = 10
"""Items on a page, whatever is asked for: what Earth Search gives by default."""


class Json(Quiet):
    """Answers each request by ``reply(path, query, body)``; None is not found."""

    def do_GET(self):
        self._reply(None)

    def do_POST(self):
        self._reply(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

    def _reply(self, body):
        parts = urlsplit(self.path)
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        found = self.reply(parts.path.rstrip("/"), query, body)
        self.answer(*((found,) if found is not None else ({"code": "NotFound", "description": self.path}, 404)))

    @property
    def here(self) -> str:
        return f"http://{self.headers['Host']}"


@contextmanager
def recorded(cassette, api):
    """Play recorded answers of an API again; yields the url, and the bodies that were asked.

    A search is the recorded one if it asks for the same collections, period, area and page.
    """
    pages, searches, asked = {}, {}, []
    for one in yaml.safe_load(cassette.read_text())["interactions"]:
        request, said = one["request"], json.loads(one["response"]["body"]["string"])
        if request["method"] == "POST":
            searches[meant(json.loads(request["body"]))] = said
        else:
            pages[request["uri"].removeprefix(api).rstrip("/")] = said
    pages.setdefault("", landing("recorded"))

    class Handler(Json):
        def reply(self, path, query, body):
            if body is not None:
                asked.append(body)
                wish = meant(body)
                found = searches.get(wish) or searches.get((*wish[:2], None, *wish[3:]))
            else:
                found = pages.get(path)
            if found is None:
                return None
            if path == "" and not any(link["rel"] == "search" for link in found["links"]):
                found = {**found, "links": search_links(api)}
            return json.loads(json.dumps(found).replace(api, self.here))

    with serving(Handler) as url:
        yield url, asked


def meant(body):
    """Return what a search asks for, however it is written."""
    area = body.get("bbox") or (body.get("intersects") and shapely.geometry.shape(body["intersects"]).bounds)
    return (
        tuple(sorted(body.get("collections") or ())), body.get("datetime"),
        tuple(round(float(number), 6) for number in area) if area else None,
        body.get("next") or body.get("token"), json.dumps(body.get("filter")),
    )  # fmt: skip


def landing(name, conforms=(), root=None):
    """Return the first page of an API."""
    core = ["core", "collections", "ogcapi-features", "item-search", "item-search#query", "item-search#sort"]
    return {
        "type": "Catalog", "id": name, "stac_version": "1.0.0", "description": name, "links": root or [],
        "conformsTo": [*(f"https://api.stacspec.org/v1.0.0/{part}" for part in core), *conforms],
    }  # fmt: skip


def search_links(root):
    """Return the links of an API's first page."""
    kinds = [("self", "", {}), ("root", "", {}), ("data", "/collections", {})]
    kinds += [("search", "/search", {"method": method}) for method in ("GET", "POST")]
    return [{"rel": rel, "href": root + path, "type": "application/json", **more} for rel, path, more in kinds]


@contextmanager
def in_the_form_of(api, features):
    """Serve Items, newest first, with the links and the paging of Earth Search or Planetary Computer."""
    features = sorted(features, key=lambda f: (f["properties"]["datetime"], f["id"]), reverse=True)
    asked = []

    class Handler(Json):
        def reply(self, path, query, body):
            parts = path.split("/")[1:]
            if not parts:
                return landing("loopback", root=search_links(self.here))
            if parts == ["search"]:
                asked.append(body or query)
                return self.page([f for f in features if fits(f, body or {})], body or query, "POST", path)
            names = sorted({feature["collection"] for feature in features})
            if parts == ["collections"]:
                return {"collections": [self.collection(name) for name in names], "links": []}
            if parts[0] == "collections" and parts[1] in names:
                if parts[2:] == ["items"]:
                    return self.page([f for f in features if f["collection"] == parts[1]], query, "GET", path)
                return self.collection(parts[1]) if len(parts) == 2 else None
            return None

        def collection(self, name):
            extent = {"spatial": {"bbox": [[-180, -90, 180, 90]]}, "temporal": {"interval": [["2015-06-27T00:00:00Z", None]]}}
            here = f"{self.here}/collections/{name}"
            links = [{"rel": "self", "href": here}, {"rel": "root", "href": self.here}, {"rel": "items", "href": f"{here}/items"}]
            return {
                "type": "Collection", "id": name, "stac_version": "1.0.0", "description": name,
                "license": "proprietary", "extent": extent, "links": links,
            }  # fmt: skip

        def page(self, found, body, method, path):
            make = page_of_earth_search if api == EARTH_SEARCH else page_of_planetary_computer
            part, name, token = make(found, body)
            root = {"rel": "root", "type": "application/json", "href": self.here}
            links = [root]
            if token is not None:
                link = {"rel": "next", "type": "application/geo+json", "method": method, "href": self.here + path}
                if method == "POST":
                    link |= {"body": {**body, name: token}, "merge": False}
                else:
                    link["href"] += "?" + urlencode({**body, name: token})
                links = [link, root]
            return {"type": "FeatureCollection", "features": part, "links": links}

    with serving(Handler) as url:
        yield url, asked


def page_of_earth_search(found, body):
    """Return a page, and a token of time, id and collection; the last page too names a next one."""
    said = body.get("next")
    names = [f"{f['properties']['datetime']},{f['id']},{f['collection']}" for f in found]
    first = names.index(said) + 1 if said else 0
    part = found[first : first + PAGE]
    return part, "next", names[first + len(part) - 1] if part else None


def page_of_planetary_computer(found, body):
    """Return a page, and a token of the last Item's id; the last page names none."""
    names = [f"next:{feature['id']}" for feature in found]
    first = names.index(body["token"]) + 1 if "token" in body else 0
    part = found[first : first + PAGE]
    return part, "token", names[first + PAGE - 1] if first + PAGE < len(found) else None
