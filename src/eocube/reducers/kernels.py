"""The geometric median of each pixel: plain loops, compiled by numba. Imported when it is needed.

One step of Weiszfeld's iteration (E. Weiszfeld 1937, *Sur le point pour lequel la somme des distances
de n points donnes est minimum*) from the mean, then Newton's method on the sum of distances, which is
convex. Weiszfeld's steps alone are so slow at some pixels that a short one does not mean that the
median is near; the length of Newton's does. By the test of Vardi and Zhang (2000, doi
10.1073/pnas.97.4.1423) an observation is itself the geometric median where the unit vectors to the
others add up to no more than the number of times it was observed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
from numba import njit
from numpy.typing import NDArray

TOLERANCE = 1e-6
"""Last step, over the mean distance of the observations from their mean."""

TRIES = 3
"""Times that one of Newton's steps is shortened."""

STEPS = 500
"""Most steps of a pixel; seven are usual."""

_FREE = {"reassoc", "contract"}
"""Sums may be made in lanes, as the number of observations allows: NaN stays what it is."""

Array = NDArray[np.floating[Any]]
Function = TypeVar("Function", bound=Callable[..., Any])


def _compiled(function: Function) -> Function:
    """Compile when it is first called; kept on disk where numba finds a place."""
    try:
        made: Any = njit(cache=True, nogil=True, error_model="numpy", fastmath=_FREE)(function)
    except RuntimeError:  # nowhere to write to
        made = njit(nogil=True, error_model="numpy", fastmath=_FREE)(function)
    return cast("Function", made)


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
    mean, y, weight = np.empty(bands), np.empty(bands), np.empty(dates)
    unit, work = np.empty((bands, dates)), np.empty((5 + bands, bands))
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
        if bands == 1:  # no other band to share a distance with
            y[0] = np.median(seen[0, :n])
        else:
            _geomedian(seen, n, y, weight, unit, work)
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
def _geomedian(  # noqa: C901  (one function to numba: what it calls costs)
    seen: Array, n: int, y: Array, weight: Array, unit: Array, work: Array
) -> None:
    """Move ``y`` from the mean of n observations (band, time), which is 0, to their geometric median."""
    bands = seen.shape[0]
    last, step, move, pull, hesse = work[0], work[1], work[2], work[3], work[5:]
    plain = work[4]
    bound, least, share, tries, offs, test = -1.0, np.inf, 1.0, 0, 0, 2
    for b in range(bands):
        y[b] = 0.0
    for iteration in range(STEPS):
        distances, total = _look(seen, n, y, weight, unit, step)
        if bound < 0.0:
            bound = (TOLERANCE * distances / n) ** 2
        if distances > least * (1.0 + 1e-12) and tries < TRIES:
            # Newton's step led uphill: a shorter one, in the end Weiszfeld's, which never does.
            share, tries = share * 0.2, tries + 1
            for b in range(bands):
                y[b] = last[b] + (share * move[b] if tries < TRIES else plain[b])
            continue
        newton = iteration > 0 and _newton(n, weight, unit, total, step, hesse, move)
        least, share, tries, length = distances, 1.0, 0, 0.0
        for b in range(bands):
            last[b], plain[b] = y[b], step[b] / total
            if not newton:
                move[b] = plain[b]
            length += move[b] ** 2
        if length > 1e12 * bound:  # farther than the observations are spread
            share = np.sqrt(1e12 * bound / length)
            for b in range(bands):
                move[b] *= share
            share = 1.0
        done = close = False
        near = 0
        if iteration >= test or length <= 1e4 * bound:
            for i in range(n):
                near = i if weight[i] > weight[near] else near
            close = 100.0 * bound * weight[near] ** 2 >= 1.0
            # What is left after a step of Newton's goes with its square, as long as no kink is near.
            done = length <= bound or (newton and length * weight[near] ** 2 <= 1e-4)
            done = done and length <= 1e4 * bound
        if iteration >= test or (done and close):
            test = 2 * iteration
            times, strength, stretch = _pull(seen, n, near, pull)
            if strength <= times:
                for b in range(bands):
                    y[b] = seen[b, near]
                return
            if done and close and offs < 3:  # stuck at an observation that is not the median
                for b in range(bands):
                    y[b] = seen[b, near] + (1.0 - times / strength) * pull[b] / stretch
                offs, least = offs + 1, np.inf
                continue
        for b in range(bands):
            y[b] = last[b] + move[b]
        if done:
            return


@_compiled
def _look(
    seen: Array, n: int, y: Array, weight: Array, unit: Array, step: Array
) -> tuple[float, float]:
    """Write the weights 1 / distance, the unit vectors to the observations, and their sum.

    Returns the sum of distances and the sum of weights.
    """
    for i in range(n):
        weight[i] = 1e-30  # never divide by 0
    for b in range(seen.shape[0]):
        for i in range(n):
            unit[b, i] = seen[b, i] - y[b]
            weight[i] += unit[b, i] ** 2
    distances, total = 0.0, 0.0
    for i in range(n):
        weight[i] = np.sqrt(weight[i])
    for i in range(n):
        distances += weight[i]
    for i in range(n):
        weight[i] = 1.0 / weight[i]
        total += weight[i]
    for b in range(seen.shape[0]):
        moved = 0.0
        for i in range(n):
            unit[b, i] *= weight[i]
            moved += unit[b, i]
        step[b] = moved
    return distances, total


@_compiled
def _newton(  # noqa: C901
    n: int, weight: Array, unit: Array, total: float, step: Array, hesse: Array, move: Array
) -> bool:
    """Write Newton's step: the second derivatives, by Cholesky; False where they are singular."""
    bands = len(step)
    for j in range(bands):
        for k in range(j + 1):
            value = 0.0
            for i in range(n):
                value += weight[i] * unit[j, i] * unit[k, i]
            hesse[j, k] = total - value if j == k else -value
    for j in range(bands):
        for k in range(j + 1):
            value = hesse[j, k]
            for m in range(k):
                value -= hesse[j, m] * hesse[k, m]
            if j == k:
                if value <= 1e-9 * total:
                    return False
                hesse[j, j] = np.sqrt(value)
            else:
                hesse[j, k] = value / hesse[k, k]
    for j in range(bands):
        value = step[j]
        for k in range(j):
            value -= hesse[j, k] * move[k]
        move[j] = value / hesse[j, j]
    for j in range(bands - 1, -1, -1):
        value = move[j]
        for k in range(j + 1, bands):
            value -= hesse[k, j] * move[k]
        move[j] = value / hesse[j, j]
    return True


@_compiled
def _pull(seen: Array, n: int, near: int, pull: Array) -> tuple[int, float, float]:
    """Write the sum of the unit vectors from one observation to the others.

    Returns how often it was observed, the length of that sum, and the sum of 1 / distance.
    """
    times, total, strength = 0, 0.0, 0.0
    for b in range(seen.shape[0]):
        pull[b] = 0.0
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
    return times, np.sqrt(strength), total


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
