"""Recipes: all that decides an archive, as one value, one file and one hash."""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import asdict, dataclass, fields
from datetime import date, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ..errors import EocubeError, RecipeError
from ..periods import ALWAYS, Period, period
from ..reducers import CLOUD_DISTANCE
from ..sentinel2 import BANDS, band_names
from ..tiles import tile_name
from .checks import (
    GREATEST,
    Named,
    area_of,
    exists,
    is_none,
    is_whole,
    layers_for,
    text_of,
    texts,
    wrong,
)
from .expressions import mask_from_text, reducer_from_text
from .forms import written

VERSION = 1
"""Of the form of a recipe file."""

L2A_BANDS = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B11", "B12")
"""The twelve bands of Level-2A."""

_WHERE = ("cells", "area", "title", "description", "license")
"""Fields that decide which cells there are, or what people read; never what a cell holds."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,100}")

_FIRST, _LAST = 1900, 2900
"""Years within which dates can be moved by a few years more."""


@dataclass(frozen=True)
class Recipe:
    """What an archive is made of.

    Parameters
    ----------
    name : str
        Id of the Collection.
    period : str
        ``"2023"``, ``"2023-05/2023-09"``; as :func:`eocube.search` takes it.
    cells : tuple of str
        MGRS tiles, ``("33TWM",)``.
    area : bbox, path or MGRS tile, optional
        Instead of cells, or besides: all tiles that touch it. (west, south, east, north) in degrees, or a
        vector file.
    catalog : str or tuple of str
        As :func:`eocube.search` takes it: a name, a URL, a path. Several: where the first has gaps.
    l1c : str, optional
        Where to search the Level-1C Items of the same passes, if the mask or a rung has ``S2Cloudless``:
        ``"earth-search-l1c"``, a URL, a path.
    scenes : int or "all"
        How many passes a cell is made of: the best by :func:`eocube.best`.
    max_cloud : float, optional
        Greatest cloud cover of a source Item, in percent.
    months : tuple of int, optional
        Of the year: ``(6, 7, 8)``.
    bands : tuple of str
        Common or ESA's names; kept as ESA's. Default: the twelve of Level-2A.
    tci : bool
        Whether to make the true colour image, if B02, B03 and B04 are among the bands.
    mask : str
        As masks print themselves: ``"SCLMask('strict') | S2Cloudless()"``, or ``"none"``.
    reducer : str
        As reducers print themselves: ``"Median()"``.
    grid : {"utm", "web"}
        The tile's own lattice, each band at its own resolution; or EPSG:3857 on the lattice of web maps: zoom
        14 (9.55 m) for 10 m, 13 (19.1 m) for 20 m, 12 (38.2 m) for 60 m.
    relax : tuple of str
        What is tried, in this order, where ``run(relax=True)`` makes a cell again and a pixel has no clear
        observation: a more lenient mask as text, or ``"years=1"``, the same days of so many years before and
        after.
    min_count : int
        Clear observations a pixel needs, or the next rung is tried; where no rung has so many, the first
        that has any gives it.
    on_error : {"raise", "skip"}
        A file that cannot be read makes its cell fail; or is left out, and listed in the Item.
    title, description, license : str
        Of the Collection.

    Raises
    ------
    RecipeError
        If a field cannot be used; it names the field, what was found, and what to write.

    Examples
    --------
    >>> recipe = Recipe("summer", "2023-06/2023-08", cells=("MGRS-33TWM",), bands=("red", "nir"), scenes=8)
    >>> recipe.cells, recipe.bands, recipe.identity("33TWM")
    (('33TWM',), ('B04', 'B08'), '33TWM_2023-06-01_2023-09-01')
    """

    name: str
    period: str
    cells: tuple[str, ...] = ()
    area: Any = None
    catalog: str | tuple[str, ...] = "earth-search"
    l1c: str | None = None
    scenes: int | Literal["all"] = 16
    max_cloud: float | None = None
    months: tuple[int, ...] | None = None
    bands: tuple[str, ...] = L2A_BANDS
    tci: bool = True
    mask: str = "SCLMask()"
    reducer: str = "Median()"
    grid: Literal["utm", "web"] = "utm"
    relax: tuple[str, ...] = ("SCLMask('cloud_high', 'shadow')", "years=1")
    min_count: int = 1
    on_error: Literal["raise", "skip"] = "raise"
    title: str = ""
    description: str = ""
    license: str = "other"

    def __post_init__(self) -> None:
        for check in (self._words, self._places, self._numbers, self._makers):
            check()

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)

    def _words(self) -> None:
        if not isinstance(self.name, str) or not _NAME.fullmatch(self.name):
            raise wrong("name", self.name, "letters, digits, '_', '-' and '.'")
        for name in ("title", "description", "license"):
            if not isinstance(getattr(self, name), str):
                raise wrong(name, getattr(self, name), "text")
        for name, known in (("grid", ("utm", "web")), ("on_error", ("raise", "skip"))):
            if getattr(self, name) not in known:
                raise wrong(name, getattr(self, name), " or ".join(known))
        if not isinstance(self.tci, bool):
            raise wrong("tci", self.tci, "true or false")
        self._set(
            "catalog", texts("catalog", self.catalog, "'earth-search', a URL, a path, or a list of these")
        )
        if len(self.catalog) == 1:
            self._set("catalog", self.catalog[0])
        if self.l1c is not None and (not isinstance(self.l1c, str) or not self.l1c):
            raise wrong("l1c", self.l1c, "'earth-search-l1c', a URL, or a path")

    def _places(self) -> None:
        wanted = "a list of MGRS tiles, ['33TWM']"
        cells = () if is_none(self.cells) else texts("cells", self.cells, wanted)
        with Named("cells"):
            self._set("cells", tuple(dict.fromkeys(tile_name(cell) for cell in cells)))
            for cell in self.cells:
                if not exists(cell):
                    raise RecipeError(f"there is no tile {cell}: its zone and latitude have no such square.")
        self._set("area", area_of(self.area))
        if not self.cells and self.area is None:
            raise RecipeError("The recipe names no place: give cells, ['33TWM'], or an area.")
        with Named("period"):
            if not isinstance(self.period, str | int | date) or isinstance(self.period, bool):
                raise wrong("period", self.period, "text, '2023' or '2023-05/2023-09'")
            self._set("period", text_of(self.period))  # YAML reads 2023 as a number, 2023-05-01 as a date
            if {self.span.start, self.span.end} & set(ALWAYS):
                raise RecipeError(f"period {self.period!r} is open: give its start and its end.")
            if not _FIRST <= self.span.start.year <= self.span.end.year <= _LAST:
                raise RecipeError(f"period {self.period!r} is not within {_FIRST} to {_LAST}.")

    def _numbers(self) -> None:
        if self.scenes != "all" and not is_whole(self.scenes, 1):
            raise wrong("scenes", self.scenes, f"a number from 1 to {GREATEST:,}, or all")
        if not is_whole(self.min_count, 1):
            raise wrong("min_count", self.min_count, f"a number from 1 to {GREATEST:,}")
        if self.max_cloud is not None and (
            isinstance(self.max_cloud, bool)
            or not isinstance(self.max_cloud, int | float)
            or not 0 <= self.max_cloud <= 100
        ):
            raise wrong("max_cloud", self.max_cloud, "percent from 0 to 100")
        if self.months is not None:
            months = self.months if isinstance(self.months, list | tuple) else (self.months,)
            if not months or not all(is_whole(month, 1) and month <= 12 for month in months):
                raise wrong("months", self.months, "numbers from 1 to 12")
            self._set("months", tuple(sorted(set(months))))

    def _makers(self) -> None:
        with Named("bands"):
            names = band_names(texts("bands", self.bands, "a list, ['B04', 'B08']"))
            if odd := [name for name in names if BANDS[name].kind != "reflectance"]:
                raise RecipeError(f"bands: {odd[0]!r} is no band of reflectance.")
            self._set("bands", tuple(BANDS[name].esa for name in names))
        with Named("mask"):
            mask_from_text(self.mask)
        with Named("reducer"):
            how = reducer_from_text(self.reducer)
            for pixel in sorted({BANDS[name].resolution for name in names}):
                own = tuple(name for name in names if BANDS[name].resolution == pixel)
                try:
                    self._check_layers(how, layers_for(how, own))
                except EocubeError as error:
                    said = f"{how!r} cannot be made of the bands of {pixel:g} m: {error}"
                    raise RecipeError(said) from error
        steps = () if is_none(self.relax) else texts("relax", self.relax, "a list of masks, or 'years=1'")
        self._set("relax", steps)
        for step in self.relax:
            with Named("relax"):
                rung_of(step)

    def _check_layers(self, how: Any, names: tuple[str, ...]) -> None:
        if CLOUD_DISTANCE in names and mask_from_text(self.mask) is None:
            raise RecipeError("the distance to clouds needs a mask.")
        if np.dtype(how.dtype_out(np.dtype("uint16"))).kind == "f":
            raise RecipeError("it gives fractions, and a cell holds whole numbers: reflectance * 10000.")
        if odd := {"count", "rung", "used"} & set(how.bands_out(names)):
            raise RecipeError(f"it gives a band {min(odd)!r}, as the archive itself does.")

    @cached_property
    def span(self) -> Period:
        """First and last moment, both included."""
        return period(self.period)

    def identity(self, cell: str) -> str:
        """Return the id of a cell's Item: tile, first day, first day after the period."""
        end = (self.span.end + timedelta(seconds=1)).date()
        return f"{cell}_{self.span.start.date()}_{end}"

    @property
    def years(self) -> int:
        """How many years before and after the period its ladder looks at."""
        return max((years for _, years in map(rung_of, self.relax)), default=0)

    @cached_property
    def hash(self) -> str:
        """SHA-256 of all that decides what a cell holds: not of the list of cells, and not of titles.

        Fields that have their default are not in it, so that an eocube with more fields goes on with an
        archive that was begun before there were these.
        """
        usual = {one.name for one in fields(self) if getattr(self, one.name) == one.default}
        said = {name: value for name, value in self.as_dict().items() if name not in {*_WHERE, *usual}}
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()

    def as_dict(self) -> dict[str, Any]:
        """Return all fields, and the version of their form, in words of JSON."""
        return {"version": VERSION, **json.loads(json.dumps(asdict(self), default=str))}

    def differences(self, other: Recipe) -> list[str]:
        """Return how another recipe makes other cells: ``"mask: SCLMask() here, none there"``."""
        mine, theirs = self.as_dict(), other.as_dict()
        return [
            f"{name}: {mine[name]!r} here, {theirs[name]!r} there"
            for name in mine
            if name not in _WHERE and mine[name] != theirs[name]
        ]

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the recipe as YAML (or JSON, by the ending)."""
        from ..writers.outputs import check_output, whole

        place = check_output(path, overwrite=True)
        usual = {one.name: one.default for one in fields(self)}
        said = {
            name: value
            for name, value in self.as_dict().items()
            if value not in (None, [], "") or usual[name] not in (None, (), "")
        }
        text = written(said, place)
        with whole(place) as final:
            final.write_text(text, encoding="utf-8")
        return place

    def __repr__(self) -> str:
        own = {one.name: one.default for one in fields(self)}
        said = [
            f"{name}={getattr(self, name)!r}" for name, usual in own.items() if getattr(self, name) != usual
        ]
        return f"Recipe({', '.join(said)})"


def rung_of(step: str) -> tuple[str | None, int]:
    """Return the mask (None: the recipe's own) and the years around of one step of a ladder.

    Raises
    ------
    RecipeError
        If it is neither a mask nor ``"years=1"``.
    """
    if match := re.fullmatch(r"\s*years\s*=\s*(\d)\s*", step):
        if int(match[1]) < 1:
            raise RecipeError(f"relax {step!r}: years=1 or more.")
        return None, int(match[1])
    mask_from_text(step)
    return step, 0
