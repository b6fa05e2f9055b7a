"""The public face: its names, its cost, its manners."""

from __future__ import annotations

import inspect
import subprocess
import sys
import types

import numpy as np
import pytest

import eocube

PUBLIC = [
    "CDSE", "EARTH_SEARCH", "EARTH_SEARCH_C1", "EARTH_SEARCH_L1C", "EARTH_SEARCH_V0", "PLANETARY_COMPUTER",
    "Archive", "Recipe", "Used", "read_recipe",
    "BandError", "BestPixel", "Catalog", "CloudProbability", "Climatology", "Count", "EocubeError", "First", "GeoMedian", "InputError",
    "Latest", "LocalIndex", "Max", "MaxIndex", "MaxNDVI", "Mean", "Median", "Medoid", "Min", "NoItemsError",
    "Percentile", "Pixels", "Plan", "ProjectedShadow", "ReadError", "S2Cloudless", "Rolling", "Rung", "SCLMask", "UkisCSMask", "WeightedMean", "area",
    "audit", "best", "cells_of", "compare_masks", "cluster", "composite", "contact_sheet", "errors", "fill_ladder", "explore", "grid_for", "load", "lost", "mask",
    "mask_from", "masks_of", "ndvi", "plan", "plot_masks", "evi", "evi2", "index", "mndwi", "nbr", "ndbi", "ndmi", "ndre", "ndwi", "savi",
    "Linear", "SavitzkyGolay", "Whittaker", "season_metrics", "smooth",
    "publish", "progress", "plot_map",
    "plot_rgb", "plot_series", "rgb", "sample", "score", "search", "search_tiles", "timelapse",
    "timeseries", "sources", "vote",
    "write_cog", "write_collection", "write_item", "write_netcdf", "write_zarr",
]  # fmt: skip


def test_public_names():
    assert sorted(eocube.__all__) == sorted(PUBLIC)
    assert dir(eocube) == sorted([*PUBLIC, "__version__"])
    for name in PUBLIC:
        assert getattr(eocube, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        eocube.nothing  # noqa: B018


def test_type_checkers_see_the_same_names():
    import ast
    from pathlib import Path

    tree = ast.parse(Path(eocube.__file__).read_text())
    block = next(n for n in tree.body if isinstance(n, ast.If) and "TYPE_CHECKING" in ast.dump(n.test))
    named = {alias.name for node in block.body for alias in node.names}
    assert named == set(PUBLIC)


def test_import_is_light():
    code = (
        "import sys, time; t = time.perf_counter(); import eocube; s = time.perf_counter() - t\n"
        "heavy = {'distributed', 'dask', 'matplotlib', 'rasterio', 'stackstac', 'xarray', 'scipy', 'pystac'}\n"
        "print(s, sorted(heavy & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    seconds, heavy = out.split(maxsplit=1)
    assert heavy.strip() == "[]"
    assert float(seconds) < 1.0


def test_planning_needs_no_loader_library(small):
    """Metadata work imports neither distributed nor matplotlib nor a model."""
    code = (
        "import sys, eocube as eo\n"
        f"items = eo.search({str(small.items_path)!r})\n"
        "plan = eo.plan(items, eo.grid_for(items), bands='red', mask=eo.SCLMask()); repr(plan)\n"
        "print(sorted({'distributed', 'matplotlib', 'stackstac', 'dask.array'} & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "[]"


@pytest.mark.parametrize("name", [n for n in PUBLIC if n not in ("errors", "sample")])
def test_public_names_are_documented(name):
    found = getattr(eocube, name)
    if isinstance(found, eocube.Catalog):
        return
    assert inspect.getdoc(found)
    if isinstance(found, types.FunctionType):
        doc = inspect.getdoc(found)
        parameters = inspect.signature(found).parameters.values()
        assert "Raises" in doc
        for parameter in parameters:
            assert parameter.name in doc
            assert parameter.annotation is not inspect.Parameter.empty
            assert parameter.kind is not inspect.Parameter.VAR_KEYWORD
        positional = [p for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
        assert len(positional) <= 3
        assert len(list(parameters)) <= 13


def test_the_five_lines_of_a_notebook(small, tmp_path):
    import eocube as eo

    items = eo.search(small.items_path, small.bbox, "2021/2022", max_cloud=99)
    bad = eo.SCLMask().dilate(metres=40)
    plan = eo.plan(items, small.grid, bands=["red", "green", "blue", "nir"], mask=bad)
    best = eo.composite(eo.load(plan), eo.Median())
    eo.write_cog(best, tmp_path / "best.tif")
    assert np.isfinite(eo.ndvi(best).compute()).any()
