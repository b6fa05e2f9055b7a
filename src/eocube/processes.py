"""Processes: which machine this is, and whether a process that left something still lives."""

from __future__ import annotations

import os
import socket
import zlib
from pathlib import Path


def host() -> str:
    """Return a name of this machine, within which the numbers of processes mean something.

    Containers may share the name of their host and have numbers of their own: the namespace tells them apart.
    """
    try:
        space = str(Path("/proc/self/ns/pid").readlink()).strip("pid:[]")
    except OSError:
        return socket.gethostname()
    return f"{socket.gethostname()}/{space}"


def mark(of: str = "", pid: int = 0) -> str:
    """Return ``"<machine>-<number>"`` of a process, default this one: part of the names of hidden files."""
    return f"{zlib.crc32((of or host()).encode()):08x}-{pid or os.getpid()}"


def born(pid: int) -> float:
    """Return a number that a process keeps as long as it lives; 0 if it does not, or is a zombie.

    Ticks since the machine was started: unlike the time of day, no clock that is set changes them.
    """
    try:
        # Behind the name, which may hold anything: the state is the first word, the start the 20th.
        said = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
        return 0.0 if said[0] in "ZXx" else float(said[19])
    except OSError:
        return 0.0 if Path("/proc/self/stat").exists() else _created(pid)


def _created(pid: int) -> float:
    """Return the same where there is no /proc."""
    import psutil

    try:
        process = psutil.Process(pid)
        return 0.0 if process.status() == psutil.STATUS_ZOMBIE else round(process.create_time(), 1)
    except psutil.Error:
        return 0.0


def is_gone(name: str) -> bool:
    """Whether a process of this machine left a hidden file with this :func:`mark`, and is no more."""
    machine, _, pid = name.partition("-")
    return f"{machine}-" == mark(pid=1)[:-1] and pid.isdecimal() and born(int(pid)) == 0.0
