"""Cloud-free Sentinel-2 from STAC: lazy cubes, masks, mosaics.

The front door. Names are imported when they are first used, so that ``import eocube`` is quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_WHERE = {
    "CDSE": "catalogs",
    "EARTH_SEARCH": "catalogs",
    "EARTH_SEARCH_C1": "catalogs",
    "EARTH_SEARCH_L1C": "catalogs",
    "EARTH_SEARCH_V0": "catalogs",
    "PLANETARY_COMPUTER": "catalogs",
    "Archive": "archives",
    "Recipe": "archives",
    "Used": "reducers",
    "read_recipe": "archives",
    "BandError": "errors",
    "BestPixel": "reducers",
    "Catalog": "catalogs",
    "CloudProbability": "masks",
    "Climatology": "calendars",
    "Count": "reducers",
    "EocubeError": "errors",
    "First": "reducers",
    "GeoMedian": "reducers",
    "InputError": "errors",
    "Latest": "reducers",
    "Linear": "smoothers",
    "LocalIndex": "indexes",
    "Max": "reducers",
    "MaxIndex": "reducers",
    "MaxNDVI": "reducers",
    "Mean": "reducers",
    "Median": "reducers",
    "Medoid": "reducers",
    "Min": "reducers",
    "NoItemsError": "errors",
    "Percentile": "reducers",
    "Pixels": "pixels",
    "Plan": "plans",
    "ProjectedShadow": "masks",
    "ReadError": "errors",
    "S2Cloudless": "masks",
    "Rolling": "calendars",
    "Rung": "ladders",
    "SCLMask": "masks",
    "UkisCSMask": "masks",
    "WeightedMean": "reducers",
    "SavitzkyGolay": "smoothers",
    "Whittaker": "smoothers",
    "area": "areas",
    "audit": "audits",
    "best": "choices",
    "cells_of": "cells",
    "compare_masks": "comparisons",
    "cluster": "clusters",
    "composite": "composites",
    "evi": "indices",
    "evi2": "indices",
    "fill_ladder": "ladders",
    "contact_sheet": "plots",
    "explore": "plots",
    "grid_for": "grids",
    "index": "spyndices",
    "load": "cubes",
    "lost": "ledgers",
    "mask": "masks",
    "mask_from": "ready",
    "masks_of": "flags",
    "mndwi": "indices",
    "nbr": "indices",
    "ndbi": "indices",
    "ndmi": "indices",
    "ndre": "indices",
    "ndvi": "indices",
    "ndwi": "indices",
    "plan": "planning",
    "plot_masks": "plots",
    "savi": "indices",
    "publish": "writers",
    "progress": "bars",
    "plot_map": "plots",
    "plot_rgb": "plots",
    "plot_series": "plots",
    "rgb": "plots",
    "score": "choices",
    "search": "queries",
    "search_tiles": "queries",
    "sources": "provenance",
    "season_metrics": "seasons",
    "smooth": "smoothing",
    "timelapse": "plots",
    "timeseries": "series",
    "vote": "masks",
    "write_cog": "writers",
    "write_collection": "writers",
    "write_item": "writers",
    "write_netcdf": "writers",
    "write_zarr": "writers",
}

__all__ = [
    "Archive",
    "Recipe",
    "Used",
    "CDSE",
    "EARTH_SEARCH",
    "EARTH_SEARCH_C1",
    "EARTH_SEARCH_L1C",
    "EARTH_SEARCH_V0",
    "PLANETARY_COMPUTER",
    "BandError",
    "BestPixel",
    "Catalog",
    "CloudProbability",
    "Climatology",
    "Count",
    "EocubeError",
    "First",
    "GeoMedian",
    "InputError",
    "Latest",
    "Linear",
    "LocalIndex",
    "Max",
    "MaxIndex",
    "MaxNDVI",
    "Mean",
    "Median",
    "Medoid",
    "Min",
    "NoItemsError",
    "Percentile",
    "Pixels",
    "Plan",
    "ProjectedShadow",
    "ReadError",
    "S2Cloudless",
    "Rolling",
    "Rung",
    "SCLMask",
    "UkisCSMask",
    "WeightedMean",
    "SavitzkyGolay",
    "Whittaker",
    "area",
    "audit",
    "best",
    "cells_of",
    "compare_masks",
    "cluster",
    "composite",
    "contact_sheet",
    "errors",
    "evi",
    "evi2",
    "fill_ladder",
    "explore",
    "grid_for",
    "index",
    "load",
    "lost",
    "mask",
    "mask_from",
    "masks_of",
    "mndwi",
    "nbr",
    "ndbi",
    "ndmi",
    "ndre",
    "ndvi",
    "ndwi",
    "plan",
    "plot_masks",
    "publish",
    "progress",
    "plot_map",
    "plot_rgb",
    "plot_series",
    "rgb",
    "sample",
    "savi",
    "score",
    "search",
    "search_tiles",
    "sources",
    "season_metrics",
    "smooth",
    "timelapse",
    "timeseries",
    "vote",
    "read_recipe",
    "write_cog",
    "write_collection",
    "write_item",
    "write_netcdf",
    "write_zarr",
]

if TYPE_CHECKING:
    from . import errors, sample
    from .archives import Archive, Recipe, read_recipe
    from .areas import area
    from .audits import audit
    from .bars import progress
    from .calendars import Climatology, Rolling
    from .catalogs import (
        CDSE,
        EARTH_SEARCH,
        EARTH_SEARCH_C1,
        EARTH_SEARCH_L1C,
        EARTH_SEARCH_V0,
        PLANETARY_COMPUTER,
        Catalog,
    )
    from .cells import cells_of
    from .choices import best, score
    from .clusters import cluster
    from .comparisons import compare_masks
    from .composites import composite
    from .cubes import load
    from .errors import BandError, EocubeError, InputError, NoItemsError, ReadError
    from .flags import masks_of
    from .grids import grid_for
    from .indexes import LocalIndex
    from .indices import evi, evi2, mndwi, nbr, ndbi, ndmi, ndre, ndvi, ndwi, savi
    from .ladders import Rung, fill_ladder
    from .ledgers import lost
    from .masks import CloudProbability, ProjectedShadow, S2Cloudless, SCLMask, UkisCSMask, mask, vote
    from .pixels import Pixels
    from .planning import plan
    from .plans import Plan
    from .plots import contact_sheet, explore, plot_map, plot_masks, plot_rgb, plot_series, rgb, timelapse
    from .provenance import sources
    from .queries import search, search_tiles
    from .ready import mask_from
    from .reducers import (
        BestPixel,
        Count,
        First,
        GeoMedian,
        Latest,
        Max,
        MaxIndex,
        MaxNDVI,
        Mean,
        Median,
        Medoid,
        Min,
        Percentile,
        Used,
        WeightedMean,
    )
    from .seasons import season_metrics
    from .series import timeseries
    from .smoothers import Linear, SavitzkyGolay, Whittaker
    from .smoothing import smooth
    from .spyndices import index
    from .writers import publish, write_cog, write_collection, write_item, write_netcdf, write_zarr


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        found = getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
    elif name in ("errors", "sample"):
        found = import_module(f"{__name__}.{name}")
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
