"""Small real servers on loopback: a STAC API with paging, and a token endpoint."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import shapely
import shapely.geometry

CONFORMS = [
    "https://api.stacspec.org/v1.0.0/core",
    "https://api.stacspec.org/v1.0.0/item-search",
    "https://api.stacspec.org/v1.0.0/item-search#query",
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/core",
]


@contextmanager
def serving(handler):
    """Run a handler on a free port; yields its url."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


class Quiet(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def answer(self, found, status=200):
        body = json.dumps(found).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def stac_api(features, page=4, fail_first=0):
    """Serve Items by a STAC API: POST search with intersects, datetime, query and paging."""
    asked, left = [], [fail_first]

    class Handler(Quiet):
        def do_GET(self):
            here = f"http://{self.headers['Host']}"
            links = [
                {"rel": "self", "href": here, "type": "application/json"},
                {"rel": "root", "href": here, "type": "application/json"},
                {"rel": "search", "href": f"{here}/search", "type": "application/geo+json", "method": "GET"},
                {"rel": "search", "href": f"{here}/search", "type": "application/geo+json", "method": "POST"},
            ]
            self.answer({
                "type": "Catalog", "id": "loopback", "stac_version": "1.0.0", "description": "for tests",
                "conformsTo": CONFORMS, "links": links,
            })  # fmt: skip

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.append(body)
            if left[0]:
                left[0] -= 1
                self.answer({"code": "busy"}, 503)
                return
            found = [feature for feature in features if fits(feature, body)]
            first = int(body.get("token", 0))
            links = [{"rel": "root", "href": f"http://{self.headers['Host']}"}]
            if first + page < len(found):
                links.append({
                    "rel": "next", "href": f"http://{self.headers['Host']}/search", "method": "POST",
                    "body": {**body, "token": str(first + page)}, "type": "application/geo+json",
                })  # fmt: skip
            part = found[first : first + page]
            self.answer({"type": "FeatureCollection", "features": part, "links": links})

    with serving(Handler) as url:
        yield url, asked


def fits(feature, body) -> bool:
    properties = feature["properties"]
    if body.get("collections") and feature["collection"] not in body["collections"]:
        return False
    if "datetime" in body:
        start, end = (datetime.fromisoformat(part) for part in body["datetime"].split("/"))
        if not start <= datetime.fromisoformat(properties["datetime"]) <= end:
            return False
    if "intersects" in body:
        area = shapely.geometry.shape(body["intersects"])
        if not shapely.geometry.shape(feature["geometry"]).intersects(area):
            return False
    return all(properties.get(name) == wanted["eq"] for name, wanted in (body.get("query") or {}).items())


@contextmanager
def token_endpoint():
    """Serve Planetary Computer's token endpoint."""
    asked = []

    class Handler(Quiet):
        def do_GET(self):
            asked.append(self.path)
            expiry = "2099-01-01T00:00:00Z"
            self.answer({"msft:expiry": expiry, "token": f"se=2099&sig=TOKEN{len(asked)}"})

    with serving(Handler) as url:
        yield url, asked
