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
    "BandError": "errors",
    "BestPixel": "reducers",
    "Catalog": "catalogs",
    "CloudProbability": "masks",
    "Count": "reducers",
    "EocubeError": "errors",
    "First": "reducers",
    "GeoMedian": "reducers",
    "InputError": "errors",
    "Latest": "reducers",
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
    "SCLMask": "masks",
    "UkisCSMask": "masks",
    "WeightedMean": "reducers",
    "area": "areas",
    "audit": "audits",
    "best": "choices",
    "compare_masks": "comparisons",
    "composite": "composites",
    "grid_for": "grids",
    "load": "cubes",
    "lost": "ledgers",
    "mask": "masks",
    "mask_from": "ready",
    "masks_of": "flags",
    "ndvi": "indices",
    "plan": "plans",
    "plot_masks": "plots",
    "score": "choices",
    "search": "queries",
    "search_tiles": "queries",
    "sources": "provenance",
    "timeseries": "series",
    "vote": "masks",
    "write_cog": "writers",
    "write_zarr": "writers",
}

__all__ = [
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
    "Count",
    "EocubeError",
    "First",
    "GeoMedian",
    "InputError",
    "Latest",
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
    "SCLMask",
    "UkisCSMask",
    "WeightedMean",
    "area",
    "audit",
    "best",
    "compare_masks",
    "composite",
    "errors",
    "grid_for",
    "load",
    "lost",
    "mask",
    "mask_from",
    "masks_of",
    "ndvi",
    "plan",
    "plot_masks",
    "sample",
    "score",
    "search",
    "search_tiles",
    "sources",
    "timeseries",
    "vote",
    "write_cog",
    "write_zarr",
]

if TYPE_CHECKING:
    from . import errors, sample
    from .areas import area
    from .audits import audit
    from .catalogs import (
        CDSE,
        EARTH_SEARCH,
        EARTH_SEARCH_C1,
        EARTH_SEARCH_L1C,
        EARTH_SEARCH_V0,
        PLANETARY_COMPUTER,
        Catalog,
    )
    from .choices import best, score
    from .comparisons import compare_masks
    from .composites import composite
    from .cubes import load
    from .errors import BandError, EocubeError, InputError, NoItemsError, ReadError
    from .flags import masks_of
    from .grids import grid_for
    from .indexes import LocalIndex
    from .indices import ndvi
    from .ledgers import lost
    from .masks import CloudProbability, ProjectedShadow, S2Cloudless, SCLMask, UkisCSMask, mask, vote
    from .pixels import Pixels
    from .plans import Plan, plan
    from .plots import plot_masks
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
        WeightedMean,
    )
    from .series import timeseries
    from .writers import write_cog, write_zarr


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
