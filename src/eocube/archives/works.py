"""Works: how one cell is made: its scenes, its composites band by band, its pictures, its Item."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dask.array as da
from odc.geo.geobox import GeoBox

from ..choices import best
from ..composites import composite
from ..cubes import load
from ..errors import NoItemsError
from ..grids import grid_for
from ..ladders import fill_ladder
from ..periods import Period
from ..planning import plan
from ..plans import Plan
from ..queries import search_tiles
from ..reducers import CLOUD_DISTANCE, Used
from ..reducers.joining import Join
from ..sentinel2 import BANDS, band_name
from ..webgrids import ZOOMS, web_grid
from ..writers.assets import good_share
from ..writers.cogs import write_cogs
from ..writers.products import write_item
from .checks import layers_for
from .expressions import S2CLOUDLESS, mask_from_text, reducer_from_text
from .pictures import write_tci
from .recipes import Recipe, rung_of

if TYPE_CHECKING:
    import pystac
    import xarray as xr

COUNT, RUNG = "count", "rung"


@dataclass(frozen=True)
class Scenes:
    """The Items that a cell is made of, rung by rung.

    Attributes
    ----------
    found : int
        Items there are in the period.
    rungs : tuple of (mask as text, ItemCollection)
        The first is the recipe's own.
    l1c : tuple of Items, optional
        Of Level-1C, for masks that look at them.
    """

    found: int
    rungs: tuple[tuple[str, Any], ...]
    l1c: tuple[Any, ...] | None = None

    @property
    def first(self) -> pystac.ItemCollection:
        """Of the period itself."""
        found: pystac.ItemCollection = self.rungs[0][1]
        return found

    def every(self) -> list[Any]:
        """Return all Items, each once."""
        return list({item.id: item for _, items in self.rungs for item in items}.values())


@dataclass(frozen=True)
class Cell:
    """A cell that was made."""

    identity: str
    good: float
    scenes: int


def scenes_for(recipe: Recipe, cell: str, catalog: Any, *, relaxed: bool = False) -> Scenes:
    """Find and choose the scenes of a cell.

    Raises
    ------
    NoItemsError
        If there are none in the period.
    """
    items = _found(recipe, cell, catalog, recipe.span)
    spans = [recipe.span]
    rungs = [(recipe.mask, _chosen(recipe, items))]
    for step in recipe.relax if relaxed else ():
        mask, years = rung_of(step)
        if mask is not None:
            rungs.append((mask, rungs[0][1]))
            continue
        for shift in sorted(range(-years, years + 1), key=lambda years: (abs(years), years)):
            if shift:
                span = _shifted(recipe.span, shift)
                try:
                    other = _found(recipe, cell, catalog, span)
                except NoItemsError:
                    continue
                spans.append(span)
                rungs.append((recipe.mask, _chosen(recipe, other)))
    wanted = recipe.l1c is not None and any(S2CLOUDLESS in mask for mask, _ in rungs)
    return Scenes(len(items), tuple(rungs), _level1c(recipe, cell, spans) if wanted else None)


def _level1c(recipe: Recipe, cell: str, spans: list[Period]) -> tuple[Any, ...]:
    """Return the Level-1C Items of a cell; the mask says itself which scene has none."""
    found: list[Any] = []
    for span in spans:
        with suppress(NoItemsError):
            found += search_tiles(cell, span, recipe.l1c)
    return tuple(found)


def _found(recipe: Recipe, cell: str, catalog: Any, span: Period) -> pystac.ItemCollection:
    return search_tiles(cell, span, catalog, max_cloud=recipe.max_cloud, months=recipe.months)


def _chosen(recipe: Recipe, items: pystac.ItemCollection) -> pystac.ItemCollection:
    return items if recipe.scenes == "all" else best(items, int(recipe.scenes))


def _shifted(span: Period, years: int) -> Period:
    """Return the same days of another year; the 29th of February is the 28th there."""

    def moved(when: Any) -> Any:
        try:
            return when.replace(year=when.year + years)
        except ValueError:
            return (when - timedelta(days=1)).replace(year=when.year + years)

    return Period(moved(span.start), moved(span.end))


def grids_for(recipe: Recipe, items: Any) -> dict[float, GeoBox]:
    """Return the grid of each resolution among the recipe's bands, finest first.

    In UTM it is the lattice of the files, so that no pixel is resampled.
    """
    base = grid_for(items, crs="utm", resolution=60.0)  # 10 and 20 m divide it
    pixels = sorted({BANDS[band_name(band)].resolution for band in recipe.bands})
    if recipe.grid == "utm":
        return {pixel: base.zoom_out(pixel / 60.0) for pixel in pixels}
    return {pixel: web_grid(base, ZOOMS[int(pixel)]) for pixel in pixels}


def plans_for(
    recipe: Recipe, scenes: Scenes, *, memory: int | str = "1GB", verify_offset: Any = "auto"
) -> dict[float, list[Plan]]:
    """Plan a cell: for each resolution the plans of its rungs."""
    made: dict[float, list[Plan]] = {}
    for pixel, grid in grids_for(recipe, scenes.first).items():
        own = tuple(name for name in map(band_name, recipe.bands) if BANDS[name].resolution == pixel)
        bands = layers_for(reducer_from_text(recipe.reducer), own)
        made[pixel] = [
            plan(
                items, grid, bands=bands, mask=mask_from_text(mask, scenes.l1c), dtype="uint16",
                memory=memory, on_error=recipe.on_error, verify_offset=verify_offset,
            )
            for mask, items in scenes.rungs
        ]  # fmt: skip
    return made


def make_cell(
    recipe: Recipe, cell: str, scenes: Scenes, folder: Path, *, memory: int | str = "1GB",
    still_mine: Callable[[], None] = lambda: None,
) -> Cell:  # fmt: skip
    """Make a cell in an empty folder.

    Parameters
    ----------
    recipe, cell, scenes
        What, where, of what.
    folder : Path
        Gets ``B02.tif``, ... ``TCI.tif``, ``count.tif``, ``used.tif`` and so on, and last the Item.
    memory : int or str
        What a task may take.
    still_mine : callable
        Asked now and then; raises if the work is in vain.
    """
    identity = recipe.identity(cell)
    plans = plans_for(recipe, scenes, memory=memory)
    first: xr.DataArray | None = None
    for rungs in plans.values():
        still_mine()
        made = _composite(recipe, rungs, counted=first is None)
        write_cogs(made, _files(made, folder, counted=first is None))
        first = made if first is None else first
    assert first is not None
    if recipe.tci and {"B02", "B03", "B04"} <= set(recipe.bands):
        write_tci([folder / f"{band}.tif" for band in ("B04", "B03", "B02")], folder / "TCI.tif")
    still_mine()
    # Of the finest bands: a pixel of 60 m has data where one of 10 m may have none.
    good = good_share(list(_files(first, folder, counted=False))[:1]) or 0.0
    write_item(
        first, folder / f"{identity}.json", {file.stem: file for file in sorted(folder.glob("*.tif"))},
        items=scenes.every(), collection=recipe.name, created=None,
        period=(recipe.span.start, recipe.span.end),
        properties=_properties(recipe, cell, first) | {"good_pxl_pct": good},
    )  # fmt: skip
    return Cell(identity, good, len(plans[min(plans)][0].scenes))


def _composite(recipe: Recipe, rungs: list[Plan], *, counted: bool) -> xr.DataArray:
    """Return the composite of one resolution; with its count and what it was made of, if that is counted."""
    how = reducer_from_text(recipe.reducer)
    used = Used(sum(len(rung.scenes) for rung in rungs))
    every = Join((how, used)) if counted else how
    if len(rungs) > 1:
        made = fill_ladder(rungs, every, min_count=recipe.min_count)
        if recipe.min_count == 1:
            return made
        # Where no rung has so many, one is better than none, as it was before.
        any_at_all = fill_ladder(rungs, every)
        return made.copy(data=da.where(made.sel(band=RUNG).data > 0, made.data, any_at_all.data))
    return composite(load(rungs[0]), every, count=counted)


def _files(made: xr.DataArray, folder: Path, *, counted: bool) -> dict[Path, list[str]]:
    """Return which band goes into which file: ESA's names for reflectance."""
    files: dict[Path, list[str]] = {}
    for name in map(str, made["band"].values):
        known = BANDS.get(name)
        if known is not None and known.kind == "reflectance":
            files[folder / f"{known.esa}.tif"] = [name]
        elif counted and name != CLOUD_DISTANCE:
            # Those of several words in one file: they are read together.
            files.setdefault(folder / f"{name.partition('_')[0]}.tif", []).append(name)
    return files


def _properties(recipe: Recipe, cell: str, made: xr.DataArray) -> dict[str, Any]:
    # In the recipe's words: what is counted beside it is the archive's own.
    lineage = f"Sentinel-2 surface reflectance; mask {recipe.mask}, reducer {recipe.reducer}"
    found = {
        "grid:code": f"MGRS-{cell}", "eocube:recipe": recipe.hash, "eocube:reducer": recipe.reducer,
        "processing:lineage": lineage,
    }  # fmt: skip
    for name in ("rungs", "source_scenes", "source_times", "source_platforms"):
        if name in made.attrs:
            found[f"eocube:{name}"] = made.attrs[name]
    return found
