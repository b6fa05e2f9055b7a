"""Lazy codes: a cube's values as a step of the graph that a composite can leave out.

A cube is two steps, codes and values. Dask fuses them into one task, so nothing is computed twice;
and a reducer that can work on codes takes them instead of the values, at half the memory.
"""

from __future__ import annotations

from typing import Any

import dask.array as da
import numpy as np
from numpy.typing import NDArray

from .codes import Coding

_CODES, _VALUES = "eocube-codes-", "eocube-values-"


def decoded(codes: da.Array, coding: Coding) -> da.Array:
    """Return the values of an array of codes."""
    name = codes.name.replace(_CODES, _VALUES)
    meta = np.empty((0, 0, 0, 0), dtype=coding.dtype)
    found: da.Array = da.map_blocks(_decode, codes, coding=coding, name=name, dtype=coding.dtype, meta=meta)
    return found


def codes_under(values: Any) -> tuple[da.Array, Coding] | None:
    """Return the codes that an array of values is made of, if it is just that."""
    name = getattr(values, "name", "")
    source = name.replace(_VALUES, _CODES)
    layers = getattr(getattr(values, "dask", None), "layers", {})
    if not name.startswith(_VALUES) or source not in layers:
        return None
    coding = _coding_in(layers[name])
    if coding is None:
        return None
    return da.Array(values.dask, source, values.chunks, dtype=np.uint16), coding


def _coding_in(layer: Any) -> Coding | None:
    """Find the coding among the literals of the step that makes values."""
    task = getattr(layer, "task", None)
    found = getattr(task, "kwargs", {}).get("coding")
    return found if isinstance(found, Coding) else None


def _decode(block: NDArray[Any], coding: Coding) -> NDArray[Any]:
    return coding.decode(block)
