"""Small real servers on loopback: a STAC API with paging, and a token endpoint."""

from __future__ import annotations

import json
import threading
import time
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


CQL2 = [
    *CONFORMS,
    "https://api.stacspec.org/v1.0.0/item-search#filter",
    "http://www.opengis.net/spec/ogcapi-features-3/1.0/conf/filter",
    "http://www.opengis.net/spec/cql2/1.0/conf/cql2-json",
    "http://www.opengis.net/spec/cql2/1.0/conf/basic-cql2",
]
PLAIN = [name for name in CONFORMS if "#query" not in name]
"""What an API says that it knows: PLAIN: no filters; CONFORMS: queries; CQL2: both."""


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
        body = (found if isinstance(found, str) else json.dumps(found)).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def stac_api(features, page=4, fail_first=0, conforms=CONFORMS, fault=None):
    """Serve Items by a STAC API: POST search with intersects, datetime, query, CQL2 and paging.

    ``fault``: "loop" (the same page for ever), "html", "cut" (half a JSON), "no filter" (refuses what
    it says it knows), "featureless", "not items", "slow".
    """
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
                "conformsTo": list(conforms), "links": links,
            })  # fmt: skip

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.append(body)
            if left[0]:
                left[0] -= 1
                self.answer({"code": "busy"}, 503)
                return
            if fault == "slow":
                time.sleep(1)
            texts = {"html": "<html>503</html>", "cut": '{"type": "FeatureColl', "featureless": "{}"}
            if fault in texts:
                self.answer(texts[fault])
                return
            if any(word in body and word not in str(conforms) for word in ("filter", "query")) or (
                fault == "no filter" and "filter" in body
            ):
                self.answer({"code": "BadRequest", "description": "I know no such thing"}, 400)
                return
            found = [feature for feature in features if fits(feature, body)]
            if fault == "not items":
                found = [{"type": "Feature", "id": 7}]
            if fault == "loop":
                body.pop("token", None)
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
        start, end = body["datetime"].split("/")
        when = datetime.fromisoformat(properties["datetime"])
        if start != ".." and when < datetime.fromisoformat(start):
            return False
        if end != ".." and when > datetime.fromisoformat(end):
            return False
    if "intersects" in body:
        area = shapely.geometry.shape(body["intersects"])
        if not shapely.geometry.shape(feature["geometry"]).intersects(area):
            return False
    if "filter" in body and holds(body["filter"], properties) is not True:
        return False
    return all(
        holds({"op": NAMED[op], "args": [{"property": name}, value]}, properties) is True
        for name, tests in (body.get("query") or {}).items()
        for op, value in tests.items()
    )


NAMED = {"eq": "=", "neq": "<>", "lt": "<", "lte": "<=", "gt": ">", "gte": ">=", "in": "in"}
OPS = {
    "=": lambda a, b: a == b, "<>": lambda a, b: a != b, "<": lambda a, b: a < b, "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b, ">=": lambda a, b: a >= b, "in": lambda a, b: a in b,
}  # fmt: skip


def holds(node, properties):
    """Evaluate CQL2 JSON in SQL's three-valued logic: True, False or None (unknown)."""
    if isinstance(node, dict) and "property" in node:
        return properties.get(node["property"])
    if not isinstance(node, dict):
        return node
    op, values = node["op"], [holds(arg, properties) for arg in node["args"]]
    if op == "isNull":
        return values[0] is None
    if op == "and":
        return False if False in values else None if None in values else True
    if op == "or":
        return True if True in values else None if None in values else False
    if values[0] is None or values[1] is None:
        return None
    try:
        return OPS[op](*values)
    except TypeError:
        return None


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
