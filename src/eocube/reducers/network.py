"""Sorting networks: the same comparisons for every pixel, so that whole arrays are sorted at once.

Batcher's odd-even merge sort (K. E. Batcher, *Sorting networks and their applications*, AFIPS
1968), for any number of values, pruned to the comparisons that the wanted ranks depend on.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray


@lru_cache(maxsize=256)
def comparators(size: int, wanted: tuple[int, ...]) -> tuple[tuple[int, int, bool, bool], ...]:
    """Return the comparisons to make in turn so that the wanted ranks come out right.

    Parameters
    ----------
    size : int
        Number of values.
    wanted : tuple of int
        Ranks that are needed, 0 being the least.

    Returns
    -------
    tuple of (low, high, keep_low, keep_high)
        Two places, and whether the lesser and the greater of them are needed afterwards.
    """
    pairs: list[tuple[int, int]] = []
    p = 1
    while p < size:
        k = p
        while k >= 1:
            for j in range(k % p, size - k, 2 * k):
                pairs += [
                    (i + j, i + j + k)
                    for i in range(min(k, size - j - k))
                    if (i + j) // (2 * p) == (i + j + k) // (2 * p)
                ]
            k //= 2
        p *= 2
    needed = set(wanted)
    kept = []
    for low, high in reversed(pairs):
        if low in needed or high in needed:
            kept.append((low, high, low in needed, high in needed))
            needed |= {low, high}
    return tuple(reversed(kept))


def sort_ranks(rows: list[NDArray[Any]], wanted: tuple[int, ...]) -> None:
    """Sort rows against each other, in place, as far as the wanted ranks need it.

    Parameters
    ----------
    rows : list of arrays
        Of one shape, without NaN; afterwards ``rows[rank]`` is right for the wanted ranks. The
        arrays are written over.
    wanted : tuple of int
        Ranks that must be right afterwards.
    """
    spare = np.empty_like(rows[0])
    for low, high, keep_low, keep_high in comparators(len(rows), wanted):
        a, b = rows[low], rows[high]
        if keep_low and keep_high:
            np.minimum(a, b, out=spare)
            np.maximum(a, b, out=b)
            rows[low], spare = spare, a
        elif keep_low:
            np.minimum(a, b, out=a)
        else:
            np.maximum(a, b, out=b)
