"""Climbs: what one task of a ladder does, rung after rung."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .provenance import Dates
from .reducers import Observations, Reducer, reduce_observations

Bools = NDArray[np.bool_]
_STRIP = 1 << 16
"""Pixels that are reduced at a time, as the reducers themselves do."""


@dataclass(frozen=True)
class Climb:
    """What a task of a ladder does.

    Attributes
    ----------
    how : Reducer
    members : tuple of bool array (period, time)
        Of each rung the dates of each period.
    dates : tuple of Dates
        Of each rung, what is known of its dates.
    least : int
        Clear observations a pixel needs.
    bands : int
        Of the result, with count and rung.
    dtype : dtype
    """

    how: Reducer
    members: tuple[Bools, ...]
    dates: tuple[Dates, ...]
    least: int
    bands: int
    dtype: np.dtype[Any]

    def __call__(self, shape: tuple[int, int], takes: Sequence[Callable[[Bools], Any]]) -> NDArray[Any]:
        """Return (period, band, y, x).

        Parameters
        ----------
        shape : tuple of int
            Of the window.
        takes : sequence of callable
            Of each rung: given the open pixels (y, x), it returns a block and its Coding or None.
        """
        periods = len(self.members[0])
        out = np.zeros((periods, self.bands, *shape), dtype=self.dtype)
        if self.dtype.kind == "f":
            out[:, :-2] = np.nan
        still = np.ones((periods, *shape), dtype=bool)
        for rung, (members, take) in enumerate(zip(self.members, takes, strict=True)):
            look = np.logical_or.reduce(still[members.any(axis=1)], axis=0)
            if look.any():
                block, coding = take(look)
                for period in np.flatnonzero(members.any(axis=1)):
                    self._fill(out[period], still[period], rung, block, members[period], coding)
        return out

    def _fill(
        self, out: NDArray[Any], still: Bools, rung: int, block: NDArray[Any], dates: Bools, coding: Any
    ) -> None:
        """Settle those of the open pixels (y, x) of one period that have enough observations."""
        known = self.dates[rung]
        order = np.arange(len(block)) if known.order is None else known.order
        places = order[dates[order]]
        own = block if len(places) == len(block) and known.order is None else block[places]
        before = sum(int(members.shape[1]) for members in self.members[:rung])
        times = None if known.times is None else known.times[places]
        is_code = coding is not None or block.dtype.kind != "f"
        count = np.zeros(still.shape, dtype=np.uint16)
        for values in own:
            count += np.logical_and.reduce(values != 0 if is_code else values == values, axis=0)
        enough = still & (count >= self.least)
        rows, columns = np.nonzero(enough)
        for first in range(0, len(rows), _STRIP):  # a strip at a time: no second block is held
            at = rows[first : first + _STRIP], columns[first : first + _STRIP]
            part = own[:, :, at[0], at[1]][:, :, None]
            seen = Observations(part, coding, known.bands, times, before + places + 1)
            found = reduce_observations(self.how, seen)
            out[:-2, at[0], at[1]] = found[:, 0]
        out[-2][enough] = count[enough]
        out[-1][enough] = rung + 1
        still &= ~enough
