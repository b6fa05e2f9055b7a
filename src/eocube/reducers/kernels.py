"""The geometric median of each pixel: plain loops, compiled by numba. Imported when it is needed.

Weiszfeld's iteration (E. Weiszfeld 1937, *Sur le point pour lequel la somme des distances de n points
donnes est minimum*) from the mean on, with two things added:

- Anderson's acceleration over the last three points (D. G. Anderson 1965, doi 10.1145/321296.321305):
  the plain iteration is so slow at some pixels that a short step does not mean that it is near.
- The test of Vardi and Zhang (2000, doi 10.1073/pnas.97.4.1423): an observation is itself the
  geometric median where the unit vectors to the others add up to no more than it is there times.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numba import njit
from numpy.typing import NDArray

TOLERANCE = 1e-6
"""Last step, over the mean distance of the observations from their mean."""

STEPS = 1000
"""Most steps of a pixel; ten are usual."""

Array = NDArray[np.floating[Any]]
Function = TypeVar("Function", bound=Callable[..., Any])


def _compiled(function: Function) -> Function:
    """Compile when it is first called; kept on disk where numba finds a place."""
    options = {"nogil": True, "error_model": "numpy"}
    try:
        made: Function = njit(cache=True, **options)(function)
    except RuntimeError:  # nowhere to write to
        made = njit(**options)(function)
    return made


@_compiled
def geomedians(values: Array, out: Array, spread: Array) -> None:
    """Write the geometric medians of pixels.

    Parameters
    ----------
    values : float32 array (time, band, pixel)
        NaN in any band: no observation.
    out : float32 array (band, pixel)
        Is written to; NaN where there is no observation.
    spread : float32 array (time, 3, pixel), or of no pixels
        Is written to: Euclidean, cosine and Bray-Curtis distance of each observation from the
        geometric median.
    """
    dates, bands, pixels = values.shape
    seen, place = np.empty((bands, dates)), np.empty(dates, np.int64)
    mean, y, work = np.empty(bands), np.empty(bands), np.empty((8, bands))
    weight = np.empty(dates)
    spread[:] = np.nan
    for p in range(pixels):
        n = _observations(values[:, :, p], seen, place)
        if n == 0:
            out[:, p] = np.nan
            continue
        for b in range(bands):  # seen from their mean: small numbers keep their digits
            total = 0.0
            for i in range(n):
                total += seen[b, i]
            mean[b] = total / n
            for i in range(n):
                seen[b, i] -= mean[b]
        _geomedian(seen, n, y, weight, work)
        for b in range(bands):
            y[b] += mean[b]
            out[b, p] = y[b]
        if spread.shape[2]:
            for i in range(n):
                _distances(seen, mean, i, y, spread[place[i], :, p])


@_compiled
def _observations(values: Array, seen: Array, place: NDArray[np.int64]) -> int:
    """Put the clear observations of a pixel side by side, and say from which dates they are."""
    dates, bands = values.shape
    n = 0
    for t in range(dates):
        clear = True
        for b in range(bands):
            seen[b, n] = values[t, b]
            clear = clear and not np.isnan(values[t, b])
        if clear:
            place[n] = t
            n += 1
    return n


@_compiled
def _geomedian(seen: Array, n: int, y: Array, weight: Array, work: Array) -> None:
    """Move ``y`` from the mean of n observations (band, time), which is 0, to their geometric median."""
    bands = seen.shape[0]
    step, pull, residual, image = work[0], work[1], work[2:5], work[5:8]
    bound, least, known, test = -1.0, np.inf, 0, 2
    y[:] = 0.0
    for iteration in range(STEPS):
        sum_of_distances, near, nearest = _weiszfeld(seen, n, y, weight, step)
        if bound < 0.0:
            bound = (TOLERANCE * sum_of_distances / n) ** 2
        better = sum_of_distances <= least * (1.0 + 1e-12)
        if better:
            least = sum_of_distances
            _remember(residual, image, step, y)
            known = min(known + 1, 3)
        else:  # the accelerated step led uphill: on from the last point without it
            known = 1
        done = better and np.sum(step * step) <= bound
        close = nearest**2 <= 100.0 * bound
        if done and not close:
            y += step
            return
        if done or iteration == test:
            test *= 2
            times, strength = _pull(seen, n, near, pull)
            if strength <= times:
                y[:] = seen[:, near]
                return
            if close:  # stuck at an observation that is not the median: step off it
                y[:] = seen[:, near] + (1.0 - times / strength) * pull
                known, least = 0, np.inf
                continue
        _accelerated(residual, image, known, y)


@_compiled
def _weiszfeld(seen: Array, n: int, y: Array, weight: Array, step: Array) -> tuple[float, int, float]:
    """Write Weiszfeld's step; return the sum of distances, the nearest observation and its distance."""
    weight[:n] = 1e-30  # never divide by 0
    for b in range(seen.shape[0]):
        for i in range(n):
            weight[i] += (seen[b, i] - y[b]) ** 2
    distances, near, total = 0.0, 0, 0.0
    for i in range(n):
        weight[i] = np.sqrt(weight[i])
        distances += weight[i]
        if weight[i] < weight[near]:
            near = i
    nearest = weight[near]
    for i in range(n):
        weight[i] = 1.0 / weight[i]
        total += weight[i]
    for b in range(seen.shape[0]):
        moved = 0.0
        for i in range(n):
            moved += weight[i] * (seen[b, i] - y[b])
        step[b] = moved / total
    return distances, near, nearest


@_compiled
def _remember(residual: Array, image: Array, step: Array, y: Array) -> None:
    """Put the newest step, and where it leads, before the two last ones."""
    for b in range(len(y)):
        residual[2, b], residual[1, b], residual[0, b] = residual[1, b], residual[0, b], step[b]
        image[2, b], image[1, b], image[0, b] = image[1, b], image[0, b], y[b] + step[b]


@_compiled
def _pull(seen: Array, n: int, near: int, pull: Array) -> tuple[int, float]:
    """Write Weiszfeld's step at an observation, made of the others; return how often it is there, and
    the length of the sum of the unit vectors to the others."""  # noqa: D205, D209
    times, total, strength = 0, 0.0, 0.0
    pull[:] = 0.0
    for i in range(n):
        square = 0.0
        for b in range(seen.shape[0]):
            square += (seen[b, i] - seen[b, near]) ** 2
        if square == 0.0:
            times += 1
            continue
        unit = 1.0 / np.sqrt(square)
        total += unit
        for b in range(seen.shape[0]):
            pull[b] += unit * (seen[b, i] - seen[b, near])
    for b in range(seen.shape[0]):
        strength += pull[b] ** 2
        pull[b] /= max(total, 1e-300)
    return times, np.sqrt(strength)


@_compiled
def _accelerated(residual: Array, image: Array, known: int, y: Array) -> None:
    """Write where the known steps point to together: Anderson's mixing, least squares by hand."""
    bands = len(y)
    aa, ab, bb, ar, br = 0.0, 0.0, 0.0, 0.0, 0.0
    for b in range(bands):
        one, two = residual[0, b] - residual[1, b], residual[1, b] - residual[2, b]
        aa += one * one
        ab += one * two
        bb += two * two
        ar += one * residual[0, b]
        br += two * residual[0, b]
    first, second = 0.0, 0.0
    determinant = aa * bb - ab * ab
    if known == 3 and determinant > 1e-6 * aa * bb:
        first = (ar * bb - br * ab) / determinant
        second = (br * aa - ar * ab) / determinant
    elif known >= 2 and aa > 0.0:
        first = ar / aa
    for b in range(bands):
        y[b] = image[0, b] - first * (image[0, b] - image[1, b]) - second * (image[1, b] - image[2, b])


@_compiled
def _distances(seen: Array, mean: Array, i: int, y: Array, out: Array) -> None:
    """Write the Euclidean, cosine and Bray-Curtis distance of an observation from ``y``."""
    square, dot, own, other, apart, together = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for b in range(len(y)):
        value = seen[b, i] + mean[b]
        square += (value - y[b]) ** 2
        dot += value * y[b]
        own += value**2
        other += y[b] ** 2
        apart += abs(value - y[b])
        together += abs(value + y[b])
    out[0] = np.sqrt(square)
    out[1] = max(1.0 - dot / np.sqrt(own * other), 0.0) if own * other > 0.0 else np.nan
    out[2] = apart / together if together > 0.0 else np.nan
