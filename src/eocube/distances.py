"""Distances from what a mask threw away."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from .sentinel2 import CLOUD_REACH, COMPUTED


def distances(thrown: NDArray[np.bool_], resolution: float) -> NDArray[np.uint16]:
    """Return how far each pixel is from the nearest that was thrown away.

    Exact and the same for every window, as long as the window reaches :data:`CLOUD_REACH` farther than
    what is looked at.

    Parameters
    ----------
    thrown : bool array (y, x)
    resolution : float
        Metres.

    Returns
    -------
    uint16 array (y, x)
        Metres between the middles of pixels, at least 1 and at most :data:`CLOUD_REACH`, which also
        stands where nothing is so near.

    Examples
    --------
    >>> distances(np.array([[True, False, False, False]]), 20.0).tolist()
    [[1, 20, 40, 60]]
    """
    if not thrown.any():
        return np.full(thrown.shape, CLOUD_REACH, dtype=np.uint16)
    found = distance_transform_edt(~thrown)
    found *= resolution
    return np.asarray(np.rint(found.clip(1, CLOUD_REACH)), dtype=np.uint16)


def with_distances(
    codes: NDArray[Any], far: list[NDArray[np.uint16]], bands: tuple[str, ...]
) -> NDArray[Any]:
    """Return codes with the distances among them, 0 where a date has no data.

    Parameters
    ----------
    codes : array (time, band, y, x)
        Of the bands that were read.
    far : list of uint16 array (y, x)
        Per date.
    bands : tuple of str
        All, in their order.
    """
    dtype = np.promote_types(codes.dtype, np.uint16)
    out = np.empty((len(codes), len(bands), *codes.shape[2:]), dtype=dtype)
    read = iter(range(codes.shape[1]))
    for place, band in enumerate(bands):
        if band in COMPUTED:
            for date, own in enumerate(far):
                out[date, place] = own * codes[date].any(axis=0)
        else:
            out[:, place] = codes[:, next(read)]
    return out
