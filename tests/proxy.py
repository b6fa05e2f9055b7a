"""A store that misbehaves: serves a folder by HTTP with ranges, and spoils some of the answers.

Which request is spoilt, and how, follows from the seed, the file, the range and how often that range
was asked for before: not from the order in which requests come. A process of its own
(``python -m tests.proxy FOLDER``), steered by HTTP; see :class:`Store`.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import random
import re
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

STATUSES = {
    "500": "Internal Server Error", "503": "Service Unavailable", "429": "Too Many Requests",
    "403": "Forbidden", "404": "Not Found", "408": "Request Timeout", "409": "Conflict",
    "416": "Range Not Satisfiable",
}  # fmt: skip
KINDS = (
    *STATUSES, "reset", "half", "short", "flipped", "zeros", "html", "shifted", "stall", "whole",
)  # fmt: skip
"""The seventeen kinds of a storm.

``500`` ... ``416``: such an answer (429 with Retry-After); ``reset``: the connection is reset;
``half``: dropped half way; ``short``: a 206 of too few bytes; ``flipped``: 16 bytes are others;
``zeros``: the second half is zeros; ``html``: a web page with 200; ``shifted``: other bytes than the
header says; ``stall``: nothing for six seconds; ``whole``: Range ignored, 200 with the whole file.
"""
MORE = ("gzip", "changed", "other-range", "trickle")
"""Further kinds: packed unasked; another ETag and size; a Content-Range that was not asked for; a
byte now and then."""

_RANGE = re.compile(r"bytes=(\d+)-(\d*)$")


@dataclass
class Rules:
    """How a store behaves.

    Attributes
    ----------
    rate : float
        Share of the requests that are spoilt.
    kinds : list of str
    seed : int
    latency, stall : float
        Seconds before an answer; seconds of a stall.
    bad : dict of str to str
        Files that are spoilt each time, and how.
    first : dict of str to str
        Files whose first request is spoilt, and how.
    tokens : float
        Life of tokens in seconds; 0: none is needed.
    """

    rate: float = 0.0
    kinds: list[str] = field(default_factory=lambda: list(KINDS))
    seed: int = 0
    latency: float = 0.0
    stall: float = 6.0
    bad: dict[str, str] = field(default_factory=dict)
    first: dict[str, str] = field(default_factory=dict)
    tokens: float = 0.0


class Store:
    """The server.

    ``POST /__rules__`` sets the rules (JSON), ``GET /__stats__`` returns and resets what was counted,
    ``GET /token/ACCOUNT/CONTAINER`` gives a token.
    """

    def __init__(self, root: Path) -> None:
        self.root, self.rules = root.resolve(), Rules()
        self.asked: Counter[tuple[str, int]] = Counter()
        self.stats: Counter[str] = Counter()
        self.files: dict[Path, bytes] = {}
        self.first: set[str] = set()

    async def run(self) -> None:
        server = await asyncio.start_server(self._connection, "127.0.0.1", 0, backlog=512)
        sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
        sys.stdout.flush()
        async with server:
            await server.serve_forever()

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                first, *rest = head.decode("latin-1").split("\r\n")
                method, target, _ = first.split(" ", 2)
                pairs = (line.partition(":") for line in rest if line)
                headers = {key.strip().lower(): value.strip() for key, _, value in pairs}
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                if not await self._answer(writer, method, target, headers, body):
                    break
        except (asyncio.IncompleteReadError, ConnectionError, TimeoutError):
            pass
        finally:
            writer.close()

    async def _answer(
        self, writer: asyncio.StreamWriter, method: str, target: str, headers: dict[str, str], body: bytes
    ) -> bool:
        """Answer one request; whether the connection goes on."""
        parts = urlsplit(target)
        if parts.path.startswith("/__") or parts.path.startswith("/token/"):
            return await _send(writer, "200 OK", self._steer(parts.path, body))
        await asyncio.sleep(self.rules.latency)
        file = (self.root / parts.path.lstrip("/")).resolve()
        if not self._token_is_good(parts.query):
            self.stats["refused"] += 1
            return await _send(writer, "403 Forbidden", b"")
        if not file.is_relative_to(self.root) or not file.is_file():
            return await _send(writer, "404 Not Found", b"")
        content = self.files.setdefault(file, file.read_bytes()) if file not in self.files else self.files[file]
        found = _RANGE.match(headers.get("range", ""))
        start = int(found[1]) if found else 0
        stop = min(int(found[2]) + 1, len(content)) if found and found[2] else len(content)
        self.stats["requests"] += 1
        kind = self._kind(parts.path.lstrip("/"), start)
        self.stats[kind or "good"] += 1
        if method == "HEAD":
            more = f"Content-Length: {len(content)}\r\nAccept-Ranges: bytes\r\nETag: \"1\"\r\n"
            writer.write(f"HTTP/1.1 {kind if kind in STATUSES else '200'} -\r\n{more}\r\n".encode())
            await writer.drain()
            return True
        self.stats["bytes"] += stop - start
        return await self._spoilt(writer, kind, content, start, stop, bool(found))

    def _kind(self, name: str, start: int) -> str:
        rules = self.rules
        if name in rules.bad:
            return rules.bad[name]
        if name in rules.first and name not in self.first:
            self.first.add(name)
            return rules.first[name]
        count = self.asked[name, start]
        self.asked[name, start] += 1
        draw = random.Random(f"{rules.seed}/{name}/{start}/{count}")
        return draw.choice(rules.kinds) if draw.random() < rules.rate else ""

    async def _spoilt(
        self, writer: asyncio.StreamWriter, kind: str, content: bytes, start: int, stop: int, ranged: bool
    ) -> bool:
        body, draw = content[start:stop], random.Random(f"{self.rules.seed}{start}{self.stats['requests']}")
        if kind in STATUSES:
            more = "Retry-After: 1\r\n" if kind == "429" else ""
            return await _send(writer, f"{kind} {STATUSES[kind]}", b"<p>sorry</p>", more)
        if kind == "reset":
            writer.transport.abort()
            return False
        if kind == "stall":
            await asyncio.sleep(self.rules.stall)
            return False
        if kind == "html":
            return await _send(writer, "200 OK", b"<!DOCTYPE html><p>Please log in" + b" " * 500, "Content-Type: text/html\r\n")
        if kind == "whole" or not ranged:
            return await _send(writer, "200 OK", content, 'ETag: "1"\r\n')
        if kind == "short":
            stop = start + max(1, (stop - start) // 2)
            body = content[start:stop]
        elif kind == "flipped":
            changed = bytearray(body)
            for place in draw.sample(range(len(body)), min(16, len(body))):
                changed[place] ^= draw.randrange(1, 256)
            body = bytes(changed)
        elif kind == "zeros":
            body = body[: len(body) // 2] + bytes(len(body) - len(body) // 2)
        elif kind == "shifted":
            by = draw.randrange(1, 64)
            body = (content[start + by : stop + by] + bytes(by))[: len(body)]
        size, etag, more = len(content), '"1"', ""
        if kind == "changed":
            size, etag = size + 7, '"2"'
        elif kind == "gzip":
            body, more = gzip.compress(body), "Content-Encoding: gzip\r\n"
        elif kind == "other-range":
            start, stop = start + 5, stop + 5
        more += f"Content-Range: bytes {start}-{stop - 1}/{size}\r\nETag: {etag}\r\n"
        if kind in ("half", "trickle"):
            writer.write(_head("206 Partial Content", len(body), more) + body[: len(body) // 2])
            await writer.drain()
            for place in range(len(body) // 2, len(body) if kind == "trickle" else 0):
                await asyncio.sleep(0.5)
                writer.write(body[place : place + 1])
                await writer.drain()
            return False
        return await _send(writer, "206 Partial Content", body, more)

    def _steer(self, path: str, body: bytes) -> bytes:
        if path == "/__rules__":
            self.rules = Rules(**json.loads(body))
            self.asked.clear()
            self.first.clear()
            self.files.clear()
            return b"{}"
        if path == "/__stats__":
            found, self.stats = self.stats, Counter()
            return json.dumps(found).encode()
        self.stats["tokens"] += 1
        until = time.time() + (self.rules.tokens or 3600)
        expiry = datetime.fromtimestamp(until, UTC).isoformat().replace("+00:00", "Z")
        return json.dumps({"msft:expiry": expiry, "token": f"se={until:.3f}&sig=CANARY{until:.3f}"}).encode()

    def _token_is_good(self, query: str) -> bool:
        if not self.rules.tokens:
            return True
        said = parse_qs(query)
        until = said.get("se", ["0"])[0]
        return said.get("sig") == [f"CANARY{until}"] and time.time() < float(until)


async def _send(writer: asyncio.StreamWriter, status: str, body: bytes, more: str = "") -> bool:
    writer.write(_head(status, len(body), more) + body)
    await writer.drain()
    return True


def _head(status: str, length: int, more: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {length}\r\nAccept-Ranges: bytes\r\n{more}\r\n".encode()


@dataclass
class Served:
    """A running store."""

    url: str

    def set(self, **rules: Any) -> None:
        """Set its rules; those not named are as in :class:`Rules`."""
        data = json.dumps(asdict(Rules(**rules))).encode()
        urllib.request.urlopen(f"{self.url}/__rules__", data=data, timeout=20).close()

    def stats(self) -> Counter[str]:
        """Return what was counted since the last call."""
        with urllib.request.urlopen(f"{self.url}/__stats__", timeout=20) as answer:
            return Counter(json.load(answer))


@contextmanager
def store(root: Path) -> Iterator[Served]:
    """Run a store in a process of its own."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.proxy", str(root)], stdout=subprocess.PIPE, text=True,
        cwd=Path(__file__).parents[1],
    )  # fmt: skip
    try:
        assert process.stdout is not None
        yield Served(f"http://127.0.0.1:{int(process.stdout.readline())}")
    finally:
        process.terminate()
        process.wait(10)


if __name__ == "__main__":
    asyncio.run(Store(Path(sys.argv[1])).run())
