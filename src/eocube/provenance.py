"""Provenance: which scene the pixels of a composite are from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from .errors import InputError

if TYPE_CHECKING:
    import pandas as pd

_PREFIX = "source_"
_COLUMNS = ("scenes", "times", "platforms")


@dataclass(frozen=True)
class Dates:
    """What is known of the dates and bands of a cube besides its pixels.

    Attributes
    ----------
    bands : tuple of str
    times : datetime64 array (time,) or None
        UTC; None if the cube says no dates.
    order : int array (time,) or None
        Places of the dates in order of time, and of their scenes' ids; None if they are in order.
    """

    bands: tuple[str, ...]
    times: NDArray[np.datetime64] | None
    order: NDArray[np.intp] | None


def dates_of(cube: xr.DataArray) -> Dates:
    """Return what a cube says of its dates and bands."""
    bands = tuple(str(band) for band in cube["band"].values)
    if "time" not in cube.coords:
        return Dates(bands, None, None)
    times = cube["time"].values
    scenes = np.asarray(_along(cube, "scene"))
    order = np.lexsort((scenes, times)) if times.dtype.kind in "Mmiuf" else np.argsort(times, kind="stable")
    in_order = bool((order == np.arange(len(times))).all())
    return Dates(bands, times if times.dtype.kind == "M" else None, None if in_order else order)


def table_of(cube: xr.DataArray) -> dict[str, list[str]]:
    """Return the scenes of a cube as attributes, which every format can hold."""
    times = [str(when)[:19] for when in cube["time"].values] if "time" in cube.coords else _blank(cube)
    found = [_along(cube, "scene"), times, _along(cube, "platform")]
    return {_PREFIX + name: own for name, own in zip(_COLUMNS, found, strict=True)}


def sources(composite: xr.DataArray) -> pd.DataFrame:
    """Return the scenes that the band ``source`` of a composite points at.

    Parameters
    ----------
    composite : xarray.DataArray
        Made by :func:`eocube.composite` with a reducer that picks one observation: ``Medoid()``,
        ``MaxNDVI()``, ``MaxIndex(...)``, ``First()``, ``Latest()``, ``BestPixel(...)``.

    Returns
    -------
    pandas.DataFrame
        One row per scene of the cube, index ``source`` from 1 on, with ``scene`` (id), ``time``
        (UTC) and ``platform``; what the cube did not say is empty.

    Raises
    ------
    InputError
        If the array holds no such table.

    Examples
    --------
    >>> import eocube
    >>> world = eocube.sample.cached()
    >>> items = eocube.search(world.items_path)
    >>> cube = eocube.load(items, world.grid, bands=["red", "nir"], mask=eocube.SCLMask())
    >>> best = eocube.composite(cube, eocube.MaxNDVI())
    >>> eocube.sources(best).columns.tolist()
    ['scene', 'time', 'platform']
    """
    import pandas as pd

    attrs = getattr(composite, "attrs", {})
    missing = [name for name in _COLUMNS if _PREFIX + name not in attrs]
    if missing:
        raise InputError(
            f"The array does not say its scenes (attributes {', '.join(_PREFIX + n for n in missing)}): give "
            "what eocube.composite made with a reducer that picks observations, such as eocube.Medoid()."
        )
    scenes, times, platforms = (list(np.atleast_1d(attrs[_PREFIX + name])) for name in _COLUMNS)
    index = pd.RangeIndex(1, len(scenes) + 1, name="source")
    return pd.DataFrame(
        {"scene": scenes, "time": pd.to_datetime(pd.Series(times, dtype=object), errors="coerce").values,
         "platform": platforms}, index=index,
    )  # fmt: skip


def _along(cube: xr.DataArray, name: str) -> list[str]:
    """Return a coordinate along time as text, empty where there is none."""
    if name not in cube.coords or cube[name].dims != ("time",):
        return _blank(cube)
    return [str(value) for value in cube[name].values]


def _blank(cube: xr.DataArray) -> list[Any]:
    return [""] * int(cube.sizes["time"])
