"""The command line's composites, NDVI and drawn series."""

from __future__ import annotations

import json

import numpy as np
import pystac
import pytest
import rasterio
import xarray as xr
from click.testing import CliRunner
from rio_cogeo import cog_validate

import eocube as eo
from eocube.cli import main, shows
from eocube.cli.products import spans_of
from eocube.cli.words import reducers_of
from eocube.errors import InputError


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(shows.console, "_width", 200)  # whatever it was when it was made

    def call(*words, fails=False):
        result = CliRunner().invoke(main, [str(word) for word in words], catch_exceptions=False)
        assert (result.exit_code != 0) == fails, result.output
        return result.output

    return call


@pytest.fixture(scope="module")
def cube(small_items):
    return eo.load(small_items, eo.grid_for(small_items), bands=["red", "nir"], mask=eo.SCLMask())


@pytest.fixture
def catalog(small):
    return ("--catalog", small.items_path, "--bands", "red,nir")


class TestComposite:
    def test_several_reducers_in_one_pass(self, run, catalog, cube, tmp_path):
        out = run("composite", *catalog, "--reducer", "median", "--reducer", "percentile:10", "--out", "c.tif", "--item")
        assert "c.json (STAC Item)" in out
        expected = eo.composite(cube, [eo.Median(), eo.Percentile(10)]).compute()
        with rasterio.open("c.tif") as file:
            assert file.descriptions == ("red_median", "nir_median", "red_p10", "nir_p10")
            np.testing.assert_array_equal(file.read(), expected.values[:4])
        with rasterio.open("c.count.tif") as file:
            np.testing.assert_array_equal(file.read(1), expected.values[4])
        item = json.loads((tmp_path / "c.json").read_text())
        assert set(item["assets"]) == {"c", "count", "preview"}
        assert [one["title"] for one in item["links"] if one["rel"] == "derived_from"] == expected.attrs["items"]

    @pytest.mark.parametrize("kind", ["zarr", "nc"])
    def test_periods_in_one_file(self, run, catalog, cube, tmp_path, kind):
        run("composite", *catalog, "--by", "QS", "--out", f"c.{kind}", "--item")
        expected = eo.composite(cube, eo.Median(), by="QS").compute()
        engine = "zarr" if kind == "zarr" else "h5netcdf"
        with xr.open_dataset(f"c.{kind}", engine=engine, decode_coords="all") as found:
            np.testing.assert_array_equal(found.eocube.values, expected.values)
            np.testing.assert_array_equal(found.time.values, expected.time.values)
            assert list(found["items"].values) == list(expected["items"].values)
        assert set(json.loads((tmp_path / "c.json").read_text())["assets"]) == {"netcdf" if kind == "nc" else "zarr"}

    def test_periods_in_a_file_each(self, run, catalog, cube, small_items, tmp_path):
        out = run("composite", *catalog, "--by", "QS", "--out", "c.tif", "--item")
        expected = eo.composite(cube, eo.Median(), by="QS").compute()
        starts = [str(start)[:10] for start in expected.time.values]
        assert sorted(p.name for p in tmp_path.glob("*.tif")) == [f"c.{start}.tif" for start in starts]
        assert f"{len(starts)} STAC Items (c.{starts[0]}.json, ...)" in out
        for index, start in enumerate(starts):
            assert cog_validate(f"c.{start}.tif", strict=True)[0]
            with rasterio.open(f"c.{start}.tif") as file:
                np.testing.assert_array_equal(file.read(), expected.values[index])
                assert file.descriptions == ("red", "nir", "count")
                ids = str(expected["items"].values[index]).split()
                assert json.loads(file.tags().get("items", "[]")) == ids
            item = pystac.Item.from_file(f"c.{start}.json")
            assert item.properties["start_datetime"] == f"{start}T00:00:00Z"
            assert [link.title for link in item.links if link.rel == "derived_from"] == ids
            times = [one.datetime for one in small_items if one.id in ids]
            assert all(item.common_metadata.start_datetime <= when <= item.common_metadata.end_datetime for when in times)

    def test_a_file_per_band_is_a_catalog(self, run, catalog, small):
        run("composite", *catalog, "--out", "cell", "--dtype", "uint16", "--item")
        assert "scenes" in run("plan", "--catalog", "cell", "--bands", "red,nir", "--mask", "none")
        run("ndvi", "--catalog", "cell", "--mask", "none", "--out", "n.tif")
        with rasterio.open("n.tif") as file, rasterio.open("cell/red.tif") as red, rasterio.open("cell/nir.tif") as nir:
            a, b = nir.read(1).astype("float32"), red.read(1).astype("float32")
            seen = (a > 0) & (b > 0)
            np.testing.assert_allclose(file.read(1)[seen], ((a - b) / (a + b))[seen], atol=1e-5)

    def test_sample(self, run):
        assert "clear" in run("composite", "--sample", "--reducer", "mean", "--out", "s.tif")

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (["--reducer", "medain"], "no reducer 'medain'. Did you mean 'median'?"),
            (["--reducer", "percentile"], "percentile takes q"),
            (["--reducer", "percentile:101"], "101"),
            (["--reducer", "mean:3"], "mean takes nothing"),
            (["--out", "x.jpg"], "write .tif, .zarr or .nc"),
            (["--out", "none/x.zarr"], "there is no folder"),
            (["--by", "MS", "--out", "folder"], "--by gives several composites"),
            (["--by", "fortnight", "--out", "x.zarr"], "not a frequency"),
        ],
    )
    def test_errors(self, run, catalog, words, message, tmp_path):
        out = run("composite", *catalog, *words, fails=True)
        assert message in out
        assert out.startswith("Error: ")
        assert not list(tmp_path.iterdir())

    def test_what_is_there_stays(self, run, catalog, tmp_path):
        (tmp_path / "c.json").write_text("precious")
        assert "c.json exists" in run("composite", *catalog, "--out", "c.zarr", "--item", fails=True)
        assert [p.name for p in tmp_path.iterdir()] == ["c.json"]


class TestNdvi:
    def test_by_period(self, run, catalog, cube):
        run("ndvi", *catalog[:2], "--by", "QS", "--out", "n.zarr")
        expected = eo.ndvi(eo.composite(cube, eo.Median(), by="QS"))
        found = xr.open_zarr("n.zarr", decode_coords="all").ndvi
        np.testing.assert_array_equal(found.sel(band="ndvi").values, expected.values)

    def test_of_a_reducer_that_picks(self, run, catalog, cube):
        assert "n.source.tif (the scene of each pixel), n.count.tif" in run(
            "ndvi", *catalog[:2], "--reducer", "maxndvi", "--out", "n.tif"
        )
        expected = eo.composite(cube, eo.MaxNDVI()).sel(band=["source", "count"]).compute()
        for name in ("source", "count"):
            with rasterio.open(f"n.{name}.tif") as file:
                np.testing.assert_array_equal(file.read(1), expected.sel(band=name))

    def test_item_and_one_reducer(self, run, catalog, tmp_path):
        run("ndvi", *catalog[:2], "--reducer", "p75", "--out", "n.tif", "--item")
        item = json.loads((tmp_path / "n.json").read_text())
        assert item["assets"]["ndvi"]["raster:bands"][0]["data_type"] == "float32"
        assert "scale" not in item["assets"]["ndvi"]["raster:bands"][0]
        assert "Percentile(q=75)" in item["properties"]["eocube:reducer"]


class TestSeries:
    def test_drawn(self, run):
        out = run("series", "--sample", "--out", "s.parquet", "--plot", "s.png")
        assert "6 fields, 12 dates" in out
        with rasterio.open("s.png") as file:
            picture = file.read()[:3]
        assert picture.shape[1] > 300
        colours = {tuple(colour) for colour in picture.reshape(3, -1).T[::7]}
        assert sum(max(c) - min(c) > 60 for c in colours) >= 6, "no coloured lines"

    def test_many_fields(self, small, run, tmp_path):
        import geopandas
        import shapely

        box = small.grid.boundingbox
        shapes = [shapely.box(box.left + 60 * i, box.bottom + 60, box.left + 60 * i + 40, box.bottom + 200) for i in range(12)]
        geopandas.GeoDataFrame(geometry=shapes, crs=str(small.grid.crs)).to_file(tmp_path / "f.gpkg")
        run("series", "f.gpkg", "--catalog", small.items_path, "--out", "s.csv", "--plot", "s.svg", "--weights", "centre")
        assert "median field" in (tmp_path / "s.svg").read_text() or (tmp_path / "s.svg").stat().st_size > 10_000

    def test_errors(self, run, small, tmp_path, monkeypatch):
        where = ("--catalog", small.items_path)
        assert "series needs FIELDS" in run("series", *where, fails=True)
        refused = run("series", "--sample", "--stat", "avg", fails=True)
        assert refused.startswith("Error: stat='avg' is not known")  # before anything is planned
        assert "--plot s.jpg: draw .png" in run("series", "--sample", "--plot", "s.jpg", fails=True)
        assert "has none but the count" in run("series", "--sample", "--stat", "count", "--plot", "s.png", fails=True)
        (tmp_path / "s.png").touch()
        assert "s.png exists" in run("series", "--sample", "--plot", "s.png", fails=True)
        monkeypatch.setattr("eocube.extras.find_spec", lambda name: None if name == "matplotlib" else name)
        assert "eocube[plot]" in run("series", "--sample", "--plot", "t.png", fails=True)
        assert [p.name for p in tmp_path.iterdir()] == ["s.png"]


def test_words_of_reducers():
    assert reducers_of(("Median", "p2.5", "percentile:q=75", "count")) == [
        eo.Median(), eo.Percentile(2.5), eo.Percentile(75), eo.Count()
    ]  # fmt: skip
    with pytest.raises(InputError, match="no reducer 'join'"):
        reducers_of(("join",))


def test_periods_by_their_coordinates():
    times = np.array(["2021-01-31", "2021-02-28"], "datetime64[ns]")
    best = xr.DataArray(np.zeros(2), dims="time", coords={"time": times})
    starts, ends = (("time", np.array(pair, "datetime64[ns]")) for pair in (["2021-01-01", "2021-02-01"], ["2021-02-01", "2021-03-01"]))
    found = spans_of(best.assign_coords(time_start=starts, time_end=ends), "month")
    assert found[1] == ("2021-02-01T00:00:00+00:00", "2021-02-28T23:59:59+00:00")
    assert spans_of(best, "10D")[1] == ("2021-02-28T00:00:00+00:00", "2021-03-09T23:59:59+00:00")
