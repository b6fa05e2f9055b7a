"""Disks: a probability averaged and grown by disks of pixels, as s2cloudless does it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Bools = NDArray[np.bool_]


def disk(radius: int) -> Bools:
    """Return the disk of ``cv2.circle``: pixels whose centres are no farther than the radius.

    Parameters
    ----------
    radius : int
        Pixels.

    Returns
    -------
    bool array of shape (2 * radius + 1, 2 * radius + 1)
        The same as ``skimage.morphology.disk``; OpenCV's filled circle was compared up to 24 px.

    Examples
    --------
    >>> disk(1).astype(int)
    array([[0, 1, 0],
           [1, 1, 1],
           [0, 1, 0]])
    """
    away = np.arange(-radius, radius + 1)
    return np.asarray(away[:, None] ** 2 + away[None, :] ** 2 <= radius**2)


def clouds(values: NDArray[Any], threshold: float, average_over: int, dilation_size: int) -> Bools:
    """Return where the mean over a disk is above a threshold, grown by another disk.

    Parameters
    ----------
    values : float array (y, x)
        Probability; NaN for no data.
    threshold : float
        In the units of the values; what is equal to it is clear.
    average_over : int
        Radius in pixels of the disk over which the mean is taken; 0: none. The image is reflected at
        its border, as ``cv2.BORDER_REFLECT`` does it. Pixels without data are left out of the mean.
    dilation_size : int
        Radius in pixels of the disk by which cloud is grown; 0: not.

    Returns
    -------
    bool array (y, x)
        False where there is no data and no cloud near. Where all pixels have data it is what
        ``s2cloudless`` makes (1.7.3, ``get_mask_from_prob``).
    """
    valid = ~np.isnan(values)
    found: Bools = valid & (_mean(values, valid, average_over) > threshold)
    if not dilation_size or not found.any():
        return found
    from scipy.ndimage import distance_transform_edt

    # Squares of whole numbers: a radius and a half between is never met.
    away = np.asarray(distance_transform_edt(~found), dtype=np.float64)
    return away <= dilation_size + 1e-6


def _mean(values: NDArray[Any], valid: Bools, radius: int) -> NDArray[np.float64]:
    known = np.where(valid, values, 0).astype(np.float64)
    if not radius:
        return known
    from scipy.ndimage import correlate

    weights = disk(radius).astype(np.float64)
    # Sum and count apart: where all have data, the count is the same whether others have none or not.
    count = weights.sum() if valid.all() else correlate(valid.astype(np.float64), weights, mode="reflect")
    return np.asarray(correlate(known, weights, mode="reflect") / np.maximum(count, 1))
