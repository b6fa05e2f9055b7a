"""A range server with latency (W2), in a process of its own: ``python -m benchmarks.servers``.

nginx as packaged cannot delay an answer, so this one waits before it answers and then lets the
kernel send the file: one asyncio thread, little of a core. It counts what it sends.
"""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
import urllib.request
from asyncio import StreamReader, StreamWriter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_RANGE = re.compile(r"bytes=(\d+)-(\d*)$")
_STATS = "/__stats__"


class RangeServer:
    """Serves a folder by HTTP/1.1 with ranges, each request after ``latency`` seconds."""

    def __init__(self, root: Path, latency: float) -> None:
        self.root, self.latency = root.resolve(), latency
        self.requests = self.sent = 0

    async def run(self) -> None:
        """Serve on a free port, whose number is the first line of the output."""
        server = await asyncio.start_server(self._connection, "127.0.0.1", 0)
        sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
        sys.stdout.flush()
        async with server:
            await server.serve_forever()

    async def _connection(self, reader: StreamReader, writer: StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                lines = head.decode("latin-1").split("\r\n")
                method, path, _ = lines[0].split(" ", 2)
                headers = {
                    key.strip().lower(): value.strip()
                    for key, _, value in (line.partition(":") for line in lines[1:] if line)
                }
                await self._answer(writer, method, path.partition("?")[0], headers)
        except (asyncio.IncompleteReadError, ConnectionError, TimeoutError):
            pass
        finally:
            writer.close()

    async def _answer(
        self, writer: StreamWriter, method: str, path: str, headers: dict[str, str]
    ) -> None:
        if path == _STATS:
            body = json.dumps({"requests": self.requests, "bytes": self.sent}).encode()
            self.requests = self.sent = 0
            writer.write(_head("200 OK", len(body)) + body)
            await writer.drain()
            return
        self.requests += 1
        await asyncio.sleep(self.latency)
        file = (self.root / path.lstrip("/")).resolve()
        if not file.is_relative_to(self.root) or not file.is_file():
            writer.write(_head("404 Not Found", 0))
            await writer.drain()
            return
        size = file.stat().st_size
        found = _RANGE.match(headers.get("range", ""))
        first = int(found[1]) if found else 0
        last = min(int(found[2]), size - 1) if found and found[2] else size - 1
        if first > last:
            writer.write(_head("416 Range Not Satisfiable", 0, f"Content-Range: bytes */{size}\r\n"))
            await writer.drain()
            return
        count = last - first + 1
        more = f"Content-Range: bytes {first}-{last}/{size}\r\n" if found else ""
        writer.write(_head("206 Partial Content" if found else "200 OK", count, more))
        await writer.drain()
        if method == "GET":
            self.sent += count
            with file.open("rb") as opened:
                await asyncio.get_running_loop().sendfile(writer.transport, opened, first, count)


def _head(status: str, length: int, more: str = "") -> bytes:
    return (
        f"HTTP/1.1 {status}\r\nContent-Length: {length}\r\nAccept-Ranges: bytes\r\n"
        f"Last-Modified: Thu, 01 Jun 2023 10:00:00 GMT\r\nContent-Type: image/tiff\r\n{more}\r\n"
    ).encode()


@contextmanager
def serving(root: Path, latency: float) -> Iterator[str]:
    """Run the server in a process of its own; yields its URL."""
    command = [sys.executable, "-m", "benchmarks.servers", str(root), str(latency)]
    process = subprocess.Popen(  # noqa: S603
        command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1]
    )
    try:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.terminate()
        process.wait(10)


def counted(url: str) -> dict[str, int]:
    """Return the requests and bytes since the last call, and start anew."""
    with urllib.request.urlopen(f"{url}{_STATS}", timeout=10) as answer:  # noqa: S310
        found: dict[str, int] = json.load(answer)
    return found


if __name__ == "__main__":
    asyncio.run(RangeServer(Path(sys.argv[1]), float(sys.argv[2])).run())
