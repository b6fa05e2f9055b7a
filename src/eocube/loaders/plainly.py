"""A range by plain HTTP, where the headers of a refusal are wanted (Retry-After).

obstore does not show them. ``http.client`` is used as it is: what stands above it logs URLs, and a URL
may hold a token.
"""

from __future__ import annotations

import http.client
import re
import ssl
import time
import urllib.request
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from ..retries import Fault, retry_after

_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")


def direct(url: str) -> bool:
    """Whether a URL is reached without a proxy."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    return parts.scheme not in urllib.request.getproxies() or bool(urllib.request.proxy_bypass(host))


def plain_get(
    url: str, headers: dict[str, str], start: int, stop: int, seconds: float
) -> tuple[memoryview, Any]:
    """Return bytes of a file, and its size, e_tag and last_modified as obstore says them.

    Raises
    ------
    Fault
        If the answer is anything but those bytes, or is not there after so many seconds.
    """
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=min(10.0, seconds))
    asked = {**headers, "Range": f"bytes={start}-{stop - 1}", "Accept-Encoding": "identity"}
    until = time.monotonic() + seconds
    try:
        connection.request("GET", f"{parts.path}?{parts.query}" if parts.query else parts.path, headers=asked)
        answer = connection.getresponse()
        size, first = _checked(answer, start)
        want = min(stop, size) - first
        data = bytearray()
        while len(data) < want and time.monotonic() < until:
            part = answer.read1(want - len(data))
            if not part:
                break
            data += part
    except (OSError, http.client.HTTPException, ssl.SSLError, ValueError) as error:
        why = type(error).__name__
    else:
        return memoryview(data), _meta(answer, size)
    finally:
        connection.close()
    raise Fault(f"the server does not answer ({why})")


def _checked(answer: http.client.HTTPResponse, start: int) -> tuple[int, int]:
    """Return the size of the whole file and where the answer begins."""
    if answer.status not in (200, 206) or answer.status >= 300:
        said = f"the server answered {answer.status} {answer.reason}".rstrip()
        raise Fault(said, answer.status, after=retry_after(answer.headers.get("Retry-After")))
    found = _RANGE.match(answer.headers.get("Content-Range") or "")
    if answer.status == 200 or found is None or int(found[1]) != start:
        raise Fault("the server sent something else than the range that was asked for", wrong=True)
    return int(found[3]), start


def _meta(answer: http.client.HTTPResponse, size: int) -> dict[str, Any]:
    said = answer.headers.get("Last-Modified")
    try:
        modified = parsedate_to_datetime(said or "")
    except (TypeError, ValueError):
        modified = datetime.fromtimestamp(0, UTC)  # as obstore has it
    return {"size": size, "e_tag": answer.headers.get("ETag"), "last_modified": modified}
