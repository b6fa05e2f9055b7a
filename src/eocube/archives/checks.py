"""Checks of a recipe's fields: what may be in them, and what is said of anything else."""

from __future__ import annotations

import os
import reprlib
from functools import cache
from typing import Any

import numpy as np

from ..cells import zone_cells
from ..errors import BandError, EocubeError, RecipeError
from ..reducers import CLOUD_DISTANCE, Observations, reduce_observations

GREATEST = 10_000
"""Of the numbers of a recipe: no tile has so many passes in a century."""

_BANDS = "CDEFGHJKLMNPQRSTUVWX"
"""Of latitude, 8 degrees each."""


@cache
def _all_cells(zone: int) -> frozenset[str]:
    return frozenset(zone_cells(zone))


def exists(cell: str) -> bool:
    """Whether there is such a square; one that lies in two bands of latitude may bear either."""
    band = _BANDS.index(cell[2])
    names = {cell[:2] + near + cell[3:] for near in _BANDS[max(0, band - 1) : band + 2]}
    return bool(names & _all_cells(int(cell[:2])))


class Named:
    """Says of which field an error is."""

    def __init__(self, field: str) -> None:
        self.field = field

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, _: Any) -> None:
        if isinstance(error, EocubeError) and not str(error).startswith(self.field):
            raise RecipeError(f"{self.field}: {error}") from error


def texts(name: str, found: Any, wanted: str) -> tuple[str, ...]:
    """Return one text or several as a tuple."""
    every = (found,) if isinstance(found, str) else found
    if (
        not isinstance(every, list | tuple)
        or not every
        or not all(isinstance(one, str) and one.strip() for one in every)
    ):
        raise wrong(name, found, wanted)
    return tuple(every)


def is_none(found: Any) -> bool:
    """Whether nothing is said."""
    return found is None or (isinstance(found, list | tuple) and not found)


def area_of(found: Any) -> tuple[float, ...] | str | None:
    """Return four edges, a path or a name, or None."""
    if found is None:
        return None
    if isinstance(found, str | os.PathLike) and os.fspath(found):
        return str(os.fspath(found))
    every = found if isinstance(found, list | tuple) else ()
    numbers = all(isinstance(e, int | float) and not isinstance(e, bool) for e in every)
    if len(every) != 4 or not numbers or not all(-1e4 < edge < 1e4 for edge in every):
        raise wrong("area", found, "west, south, east, north in degrees, a vector file, or an MGRS tile")
    return tuple(float(edge) for edge in every)


def layers_for(how: Any, names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the bands to read for a reducer to give these: ``cloud_distance`` beside them if it needs that.

    Raises
    ------
    BandError, InputError
        If the reducer cannot be made of them.
    """
    try:
        how.bands_out(names)
    except BandError:
        names = (*names, CLOUD_DISTANCE)
        how.bands_out(names)
    if getattr(how, "picks", False):  # on one made-up observation: what it misses it says now
        times = np.array(["2020-07-01"], "datetime64[ns]")
        values = np.ones((1, len(names), 1, 1), "float32")
        reduce_observations(how, Observations(values, bands=names, times=times))
    return names


def is_whole(found: Any, least: int) -> bool:
    """Whether it is a whole number from ``least`` on."""
    return isinstance(found, int) and not isinstance(found, bool) and least <= found <= GREATEST


def text_of(found: Any) -> str:
    """Return a period as text."""
    try:
        return str(found)
    except ValueError as error:  # a number of thousands of digits
        raise wrong("period", found, "text, '2023' or '2023-05/2023-09'") from error


def shown(found: Any) -> str:
    """Return what was found as text, a part of it if it is long: a file may say anything."""
    try:
        text = reprlib.repr(found)
    except (ValueError, RecursionError):
        text = type(found).__name__
    return text if len(text) <= 100 else f"{text[:100]}..."


def wrong(name: str, found: Any, wanted: str) -> RecipeError:
    """Return the error that names the field, what was found, and what to write."""
    return RecipeError(f"{name}: {shown(found)} cannot be used, write {wanted}.")
