"""Do client, scheduler and workers fit together? Sent to workers by value: it imports nothing of eocube."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

COMPARED = ("eocube", "dask", "distributed", "numpy", "xarray", "odc.geo", "shapely")
"""What has to be the same, up to the minor version: what makes a graph, and what is pickled in it."""


def versions_here(*_: Any) -> dict[str, str]:
    """Return the versions in this process; empty for what is not there."""
    found = {"python": ".".join(str(part) for part in sys.version_info[:3])}
    for name in COMPARED:
        try:
            found[name] = str(getattr(import_module(name), "__version__", "unknown"))
        except ImportError:
            found[name] = ""
    return found


def mismatches(own: dict[str, str], theirs: dict[str, str]) -> list[str]:
    """Say what differs in the major or minor version, one line per package."""
    found = []
    for name in ("python", *COMPARED):
        ours, other = own.get(name, ""), theirs.get(name, "")
        if not other:
            found.append(f"{name} is not installed there (the client has {ours})")
        elif _minor(ours) != _minor(other):
            found.append(f"{name} {other} there, {ours} here")
    return found


def _minor(version: str) -> tuple[str, ...]:
    return tuple(version.split(".")[:2])
