"""What is said beside the numbers: machine, versions, whether outputs are equal."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil


def compared(ours: np.ndarray[Any, Any], theirs: np.ndarray[Any, Any], near: float = 1e-6) -> str:
    """Say how two outputs compare: identical, equal to a hundredth of a digital number, or not."""
    if ours.shape != theirs.shape:
        return f"shape {theirs.shape}, ours {ours.shape}"
    if np.array_equal(ours, theirs, equal_nan=True):
        return "identical"
    neither = np.isnan(ours) & np.isnan(theirs)
    with np.errstate(invalid="ignore"):
        off = ~neither & ~(np.abs(ours - theirs) <= near)
    return f"differs in {100 * off.mean():.2g} %" if off.any() else "equal"


def machine() -> dict[str, Any]:
    """Describe the machine."""
    model = ""
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    memory = psutil.virtual_memory().total / 2**30
    return {"cores": os.cpu_count(), "model": model, "memory": f"{memory:.0f} GiB"}


def versions(pythons: Mapping[str, str]) -> dict[str, str]:
    """Return the versions of what takes part; ``pythons`` are interpreters by package."""
    wanted = (
        "eocube", "numpy", "xarray", "dask", "rasterio", "odc-stac", "odc-algo", "stackstac", "lazycogs",
        "bottleneck", "flox", "imagecodecs", "obstore", "numbagg",
    )  # fmt: skip
    found = {"python": ".".join(str(part) for part in sys.version_info[:3])} | _installed(wanted)
    code = "import importlib.metadata as m, sys; print(m.version(sys.argv[1]))"
    for name, python in pythons.items():
        said = subprocess.run(  # noqa: S603
            [python, "-c", code, name], capture_output=True, text=True, check=False
        )
        if said.returncode == 0:
            found[name] = said.stdout.strip()
    return found


def _installed(names: Sequence[str]) -> dict[str, str]:
    return dict(_versions(names))


def _versions(names: Sequence[str]) -> Iterator[tuple[str, str]]:
    from importlib.metadata import PackageNotFoundError, version

    for name in names:
        with contextlib.suppress(PackageNotFoundError):
            yield name, version(name)
