"""A range server with latency (W2), in a process of its own: ``python -m benchmarks.servers``.

nginx as packaged cannot delay an answer, so this one waits before it answers and then lets the
kernel send the file: one thread, little of a core. It counts what it sends.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_RANGE = re.compile(rb"\r\nrange: *bytes=(\d+)-(\d*)", re.IGNORECASE)
_STATS = "/__stats__"


class RangeServer:
    """Serves a folder by HTTP/1.1 with ranges, each request after ``latency`` seconds."""

    def __init__(self, root: Path, latency: float) -> None:
        self.root, self.latency = root.resolve(), latency
        self.requests = self.sent = 0
        self._opened: dict[str, tuple[int, int]] = {}

    async def run(self) -> None:
        """Serve on a free port, whose number is the first line of the output."""
        server = await asyncio.get_running_loop().create_server(lambda: _Connection(self), "127.0.0.1", 0)
        sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
        sys.stdout.flush()
        async with server:
            await server.serve_forever()

    def opened(self, path: str) -> tuple[int, int] | None:
        """Return descriptor and size of a file, which stays open; None if there is none."""
        found = self._opened.get(path)
        if found is None:
            file = (self.root / path.lstrip("/")).resolve()
            if not file.is_relative_to(self.root) or not file.is_file():
                return None
            found = self._opened[path] = os.open(file, os.O_RDONLY), file.stat().st_size
        return found


class _Connection(asyncio.Protocol):
    """One connection: a request comes when the last one was answered."""

    def __init__(self, server: RangeServer) -> None:
        self.server, self.came = server, b""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.came += data
        head, end, rest = self.came.partition(b"\r\n\r\n")
        if not end:
            return
        self.came = rest
        method, path, _ = head.split(b" ", 2)
        name = path.partition(b"?")[0].decode()
        if name == _STATS:
            body = json.dumps({"requests": self.server.requests, "bytes": self.server.sent}).encode()
            self.server.requests = self.server.sent = 0
            self.transport.write(_head("200 OK", len(body)) + body)
            return
        self.server.requests += 1
        asked = method == b"GET", name, _RANGE.search(head)
        asyncio.get_running_loop().call_later(self.server.latency, self._answer, *asked)

    def _answer(self, whole: bool, name: str, found: re.Match[bytes] | None) -> None:
        if self.transport.is_closing():
            return
        file = self.server.opened(name)
        if file is None:
            self.transport.write(_head("404 Not Found", 0))
            return
        descriptor, size = file
        first = int(found[1]) if found else 0
        last = min(int(found[2]), size - 1) if found and found[2] else size - 1
        if first > last:
            more = f"Content-Range: bytes */{size}\r\n"
            self.transport.write(_head("416 Range Not Satisfiable", 0, more))
            return
        count = last - first + 1
        more = f"Content-Range: bytes {first}-{last}/{size}\r\n" if found else ""
        self.transport.write(_head("206 Partial Content" if found else "200 OK", count, more))
        if whole:
            self.server.sent += count
            self._send(descriptor, first, count)

    def _send(self, descriptor: int, first: int, count: int) -> None:
        """Let the kernel send what the connection takes now; the rest waits for its turn."""
        done, socket = 0, self.transport.get_extra_info("socket")
        if self.transport.get_write_buffer_size() == 0:
            try:
                while done < count:
                    done += os.sendfile(socket.fileno(), descriptor, first + done, count - done)
            except BlockingIOError:
                pass
            except OSError:
                self.transport.abort()
                return
        if done < count:
            self.transport.write(os.pread(descriptor, count - done, first + done))


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
