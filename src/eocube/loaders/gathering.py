"""Reading what can be read: the files that cannot are named, the others are not held up by them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from ..errors import ReadError
from .base import Loader, Source, none_wanted
from .ranges import submit

_AT_ONCE = 16

Looks = Sequence[NDArray[np.bool_] | None]


def gather(
    loader: Loader, sources: Sequence[Source], geobox: GeoBox, wanted: Looks
) -> tuple[NDArray[Any], dict[int, ReadError]]:
    """Read a batch; one file at a time where the batch as a whole cannot be read.

    Returns
    -------
    array (source, y, x)
        Digital numbers; ``source.nodata`` for a file that could not be read.
    dict of int to ReadError
        By the index of the source.
    """
    try:
        return loader(sources, geobox, wanted), {}
    except ReadError as error:
        first = error
    failures = {
        index: first
        for index, source in enumerate(sources)
        if (source.item, source.asset) == (first.item, first.asset) and not none_wanted(wanted, index)
    }
    dtype = np.result_type(*(np.dtype(source.dtype) for source in sources))
    out = np.empty((len(sources), *geobox.shape), dtype=dtype)
    calls = {}
    for index, source in enumerate(sources):
        out[index] = source.nodata
        if index not in failures and not none_wanted(wanted, index):
            calls[index] = submit(loader, [source], geobox, [wanted[index]], threads=_AT_ONCE)
    for index, call in calls.items():
        try:
            out[index] = call.result()[0]
        except ReadError as error:
            failures[index] = error
    return out, failures
