"""The command line, as a user types it."""

from __future__ import annotations

import re
import subprocess
import sys

import numpy as np
import pytest
import rasterio
from click.testing import CliRunner
from rio_cogeo import cog_validate

import eocube as eo
from eocube.cli import main, shows


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(shows.console, "_width", 160)  # whatever it was when it was made

    def call(*words, fails=False):
        result = CliRunner().invoke(main, [str(word) for word in words], catch_exceptions=False)
        assert (result.exit_code != 0) == fails, result.output
        return result.output

    return call


def test_the_first_command_of_the_readme(run, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    out = run("mosaic", "--sample", "--out", "mosaic.tif")
    for word in ("scenes", "chunks", "memory", "made", "dates    12", "clear", "seconds"):
        assert word in out, out
    assert cog_validate("mosaic.tif", strict=True) == (True, [], [])
    with rasterio.open("mosaic.tif") as file:
        assert file.descriptions == ("red", "green", "blue", "nir")
        values = file.read()
    world = eo.sample.cached()
    cube = eo.load(
        eo.search(world.items_path), world.grid, bands=["red", "green", "blue", "nir"], mask=eo.SCLMask()
    )
    np.testing.assert_array_equal(values, eo.composite(cube, eo.Median(), count=False).compute().values)
    with rasterio.open("mosaic.count.tif") as file:
        assert file.read(1).max() <= 12
    with rasterio.open("mosaic.png") as file:
        assert file.count == 4
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "cache",
        "mosaic.count.tif",
        "mosaic.png",
        "mosaic.tif",
    ]


def test_search_and_keep(run, small):
    out = run("search", "--catalog", small.items_path, "--period", "2021", "--out", "items.json")
    assert "S2A_33TTN_20210612_1_L2A" in out
    count = int(re.search(r"(\d+) Items", out)[1])
    assert len(eo.search("items.json")) == count
    again = run("plan", "--catalog", "items.json")
    assert "scenes" in again


def test_search_keeps_an_index_that_is_a_catalog(run, small, tmp_path):
    out = run("search", "--catalog", small.items_path, "--period", "2021", "--out", "s2.parquet")
    count = int(re.search(r"(\d+) Items", out)[1])
    assert f"Changes({count} added" in out.replace("\n", " ")
    again = run("search", "--catalog", small.items_path, "--out", "s2.parquet")
    assert f"{count} kept as they were" in again.replace("\n", " ")
    assert len(eo.search("s2.parquet")) == len(small.item_ids)
    found = run("search", "--catalog", "s2.parquet", "--period", "2021")
    assert f"{count} Items" in found
    assert "scenes" in run("plan", "--catalog", "s2.parquet")
    assert "not overwritten" in run("search", "--catalog", "s2.parquet", "--out", "s2.parquet", "--overwrite", fails=True)
    assert "there is no folder" in run("search", "--catalog", "s2.parquet", "--out", "no/s2.parquet", fails=True)


def test_plan_reads_nothing(run, small):
    out = run(
        "plan", "--catalog", small.items_path, "--dilate", 60, "--bands", "B04,nir", "--dtype", "uint16"
    )
    assert "red, nir (uint16" in out
    assert "SCLMask().dilate(metres=60) at 20 m, rim 60 m (3 px)" in out


def test_ndvi(run, small):
    run("ndvi", "--catalog", small.items_path, "--mask", "scl-strict", "--out", "n.tif")
    with rasterio.open("n.tif") as file:
        assert file.descriptions == ("ndvi",)
        values = file.read(1)
    assert -1 <= np.nanmin(values) < np.nanmax(values) <= 1
    assert cog_validate("n.tif")[0]


@pytest.mark.parametrize("naming", ["earth-search", "planetary-computer"])
def test_sample_then_mosaic(run, naming):
    out = run("sample", "world", "--size", 60, "--dates", 3, "--naming", naming)
    assert "eocube mosaic --catalog world/items" in out
    run("mosaic", "--catalog", "world/items", "--out", "m.tif", "--mask", "none", "--reducer", "mean")
    assert "is not an empty folder" in run("sample", "world", "--size", 60, "--dates", 3, fails=True)


def test_area_crs_resolution(run, small):
    west, south, east, north = small.bbox
    area = f"{west + 0.002},{south + 0.002},{east - 0.002},{north - 0.002}"
    out = run("plan", "--catalog", small.items_path, "--area", area, "--crs", "EPSG:3857", "--resolution", 20)
    assert "of 20 m, EPSG:3857" in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["mosaic", "--catalog", "nowhere"], "no catalog 'nowhere'"),
        (["mosaic", "--sample", "--bands", "rde"], "no band 'rde'"),
        (["mosaic", "--sample", "--area", "1,2,three,4"], "neither 'west,south,east,north' nor"),
        (["mosaic", "--sample", "--area", "0,0,1,1"], "No Item found"),
        (["mosaic", "--sample", "--period", "2022/2021"], "after it ends"),
        (["mosaic", "--sample", "--mask", "none", "--dilate", "20"], "--dilate needs a mask"),
        (["mosaic", "--sample", "--memory", "1kB"], "A task would take"),
        (["mosaic", "--sample", "--loader", "magic"], "no loader 'magic'"),
        (["mosaic", "--sample", "--out", "no/such/folder/m.tif"], "there is no folder"),
        (["ndvi", "--sample", "--resolution", "-3"], "not a pixel size"),
        (["mosaic", "--sample", "--out", "q.png"], "write .tif, .zarr or .nc"),
    ],
)
def test_errors_are_one_line_and_no_traceback(run, words, message):
    out = run(*words, fails=True)
    assert message in out
    assert out.startswith("Error: ")
    assert "Traceback" not in out


def test_existing_output_is_refused_before_the_work(run, small, tmp_path):
    (tmp_path / "m.png").touch()
    assert "m.png exists" in run("mosaic", "--catalog", small.items_path, "--out", "m.tif", fails=True)
    run("mosaic", "--catalog", small.items_path, "--out", "m.tif", "--overwrite")


def test_help_and_version():
    out = subprocess.run(
        [sys.executable, "-m", "eocube", "--help"], capture_output=True, text=True, check=True
    ).stdout
    for command in ("search", "plan", "mosaic", "ndvi", "series", "sample"):
        assert command in out
    version = subprocess.run(
        [sys.executable, "-m", "eocube", "--version"], capture_output=True, text=True, check=True
    )
    assert eo.__version__ in version.stdout


def test_series(run, small, tmp_path):
    import geopandas
    import pandas as pd
    import shapely

    box = small.grid.boundingbox
    shapes = [shapely.box(box.left + x, box.top - 330, box.left + x + 205, box.top - 140) for x in (30, 400)]
    table = geopandas.GeoDataFrame({"parcel": ["a", "b"]}, geometry=shapes, crs=str(small.grid.crs))
    table.to_file(tmp_path / "fields.gpkg")
    words = ("series", "fields.gpkg", "--catalog", small.items_path, "--id", "parcel")
    out = run(*words, "--out", "ndvi.parquet")
    assert "2 fields" in out
    found = pd.read_parquet("ndvi.parquet")
    plan = eo.plan(eo.search(small.items_path), eo.grid_for(eo.search(small.items_path)), bands=["red", "nir"], mask=eo.SCLMask())
    expected = eo.timeseries(plan, table, of=eo.ndvi, ids="parcel")
    pd.testing.assert_frame_equal(found, expected, check_dtype=False)
    run(*words, "--index", "none", "--bands", "blue", "--stat", "mean,count", "--out", "blue.csv")
    assert list(pd.read_csv("blue.csv").columns) == ["field", "time", "band", "mean", "count", "clear"]
    assert "ndvi.parquet exists" in run(*words, "--out", "ndvi.parquet", fails=True)
    assert "series.txt: write .csv or .parquet" in run(*words, "--out", "series.txt", fails=True)
    assert "There is no column 'nme'" in run(*words[:-1], "nme", fails=True)


def test_search_filters(run, small):
    every = eo.search(small.items_path)
    out = run("search", "--catalog", small.items_path, "--platform", "S2A", "--months", "11-6", "--baseline", "/03.99",
              "--out", "some.json")  # fmt: skip
    expected = eo.search(
        small.items_path, platform="S2A", months=[1, 2, 3, 4, 5, 6, 11, 12], baseline=("", "03.99")
    )
    assert [i.id for i in eo.search("some.json")] == [i.id for i in expected]
    assert 0 < len(expected) < len(every)
    assert f"{len(expected)} Items" in out
    out = run(
        "search", "--catalog", small.items_path, "--tile", "33TTN", "--limit", "2", "--orbit", "descending"
    )
    assert "2 Items" in out
    assert "32TQT" not in out
    out = run("search", "--catalog", small.items_path, "--catalog", small.items_path)
    assert f"{len(every)} Items" in out
    assert f"{len(every)} of later catalogs left out" in " ".join(out.split())
    assert "not months" in run("search", "--catalog", small.items_path, "--months", "June", fails=True)
    assert "both say where" in run(
        "search", "--catalog", small.items_path, "--tile", "33TTN", "--area", "1,2,3,4", fails=True
    )
