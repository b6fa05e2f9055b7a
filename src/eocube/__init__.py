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
    "Catalog": "catalogs",
    "Count": "reducers",
    "EocubeError": "errors",
    "InputError": "errors",
    "LocalIndex": "indexes",
    "Max": "reducers",
    "Mean": "reducers",
    "Median": "reducers",
    "Min": "reducers",
    "NoItemsError": "errors",
    "Percentile": "reducers",
    "Pixels": "pixels",
    "Plan": "plans",
    "ReadError": "errors",
    "SCLMask": "masks",
    "area": "areas",
    "audit": "audits",
    "best": "choices",
    "composite": "composites",
    "contact_sheet": "plots",
    "explore": "plots",
    "grid_for": "grids",
    "load": "cubes",
    "lost": "ledgers",
    "mask": "masks",
    "ndvi": "indices",
    "plan": "plans",
    "plot_map": "plots",
    "plot_rgb": "plots",
    "plot_series": "plots",
    "rgb": "plots",
    "score": "choices",
    "search": "queries",
    "search_tiles": "queries",
    "timelapse": "plots",
    "timeseries": "series",
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
    "Catalog",
    "Count",
    "EocubeError",
    "InputError",
    "LocalIndex",
    "Max",
    "Mean",
    "Median",
    "Min",
    "NoItemsError",
    "Percentile",
    "Pixels",
    "Plan",
    "ReadError",
    "SCLMask",
    "area",
    "audit",
    "best",
    "composite",
    "contact_sheet",
    "errors",
    "explore",
    "grid_for",
    "load",
    "lost",
    "mask",
    "ndvi",
    "plan",
    "plot_map",
    "plot_rgb",
    "plot_series",
    "rgb",
    "sample",
    "score",
    "search",
    "search_tiles",
    "timelapse",
    "timeseries",
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
    from .composites import composite
    from .cubes import load
    from .errors import BandError, EocubeError, InputError, NoItemsError, ReadError
    from .grids import grid_for
    from .indexes import LocalIndex
    from .indices import ndvi
    from .ledgers import lost
    from .masks import SCLMask, mask
    from .pixels import Pixels
    from .plans import Plan, plan
    from .plots import contact_sheet, explore, plot_map, plot_rgb, plot_series, rgb, timelapse
    from .queries import search, search_tiles
    from .reducers import Count, Max, Mean, Median, Min, Percentile
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
