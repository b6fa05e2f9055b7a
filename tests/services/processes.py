"""Starting a server, waiting until it answers, and ending it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import requests

WAIT = 60
"""Seconds a server may take until it answers."""


def tool(name: str) -> str:
    """Return the path of a program: in ``EOCUBE_SERVERS`` or on the system."""
    own = Path(os.environ["EOCUBE_SERVERS"])
    debian = sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin")), reverse=True)
    places = [str(own / "bin"), str(own / "node_modules" / ".bin"), *debian, os.environ["PATH"], "/usr/sbin"]
    found = shutil.which(name, path=os.pathsep.join(places))
    if found is None:
        raise RuntimeError(f"There is no {name}: run `.ci/servers {own}`, which installs the servers.")
    return found


def free_port() -> int:
    """Return a port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def folder(user: str | None = None):
    """Make a folder that a server's user can reach, which pytest's own folders are not."""
    path = Path(tempfile.mkdtemp(prefix="eocube-"))
    path.chmod(0o755)
    if user is not None:
        shutil.chown(path, user)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


@contextmanager
def process(command, log: Path, ready, *, env=None, user=None):
    """Run a server until the block is left; ``ready()`` tells that it answers."""
    with log.open("ab") as said:
        running = subprocess.Popen(
            [str(part) for part in command], stdout=said, stderr=said, stdin=subprocess.DEVNULL,
            env={**os.environ, **(env or {})}, cwd=log.parent, user=user, start_new_session=True,
        )  # fmt: skip
    try:
        end = time.monotonic() + WAIT
        while not ready():
            if running.poll() is not None or time.monotonic() > end:
                told = log.read_text(errors="replace")[-3000:]
                raise RuntimeError(f"{command[0]} did not start (code {running.poll()}):\n{told}")
            time.sleep(0.1)
        yield running
    finally:
        running.terminate()
        try:
            running.wait(15)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()


def answers(url: str) -> bool:
    """Tell whether something speaks HTTP there."""
    try:
        requests.get(url, timeout=5)
    except requests.RequestException:
        return False
    return True


def listens(port: int) -> bool:
    """Tell whether something takes connections on a port."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except OSError:
        return False
    return True
