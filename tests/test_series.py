"""Time series of fields: exactextract's own numbers, the same from a plan and from any cube."""

from __future__ import annotations

import json
import warnings

import dask
import exactextract
import exactextract.raster
import geopandas
import numpy as np
import pandas as pd
import pytest
import shapely
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from odc.geo.geom import Geometry

import eocube as eo
from eocube.errors import AreaError, BandError, EocubeWarning, GridError, InputError, MissingExtraError

ALL = ("mean", "median", "std", "count", "min", "max")
MASK = eo.SCLMask().dilate(metres=40)


def fields_on(grid, count=25, seed=0, beyond=0.0):
    """Polygons with odd edges all over a grid, in its CRS; some over its edge."""
    rng = np.random.default_rng(seed)
    box = grid.boundingbox
    found = {}
    for number in range(count):
        x, y = rng.uniform(box.left - beyond, box.right + beyond), rng.uniform(box.bottom - beyond, box.top + beyond)
        shape = shapely.Point(x, y).buffer(rng.uniform(6, 180), quad_segs=2)
        if number % 5 == 0:
            shape = shape.difference(shape.centroid.buffer(5))
        if number % 7 == 0:
            shape = shapely.union_all([shape, shapely.box(x + 200, y, x + 260, y + 33)])
        found[f"f{number}"] = shape
    return found


def series(source, fields, crs, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", EocubeWarning)
        return eo.timeseries(source, fields, crs=crs, **{"stat": ALL, **options})


def brought(table, form="mean"):
    return table.set_index(["field", "time", "band"])[form].to_xarray()


@pytest.fixture(scope="module")
def plan(small, small_items):
    return eo.plan(small_items, small.grid, bands=["red", "nir"], mask=MASK, chunk=40)


@pytest.fixture(scope="module")
def cube(plan):
    return eo.load(plan).compute()


@pytest.fixture(scope="module")
def crs(small):
    return small.grid.crs


def by_exactextract(layer, grid, fields):
    """Exactextract's own answer for one raster."""
    box = grid.boundingbox
    raster = exactextract.raster.NumPyRasterSource(
        layer.astype("float64"), xmin=box.left, ymin=box.bottom, xmax=box.right, ymax=box.top, nodata=np.nan
    )
    features = [{"type": "Feature", "properties": {}, "geometry": s.__geo_interface__} for s in fields.values()]
    names = ["mean", "median", "stdev", "count", "min", "max"]
    answers = exactextract.exact_extract(raster, features, names)
    table = pd.DataFrame([answer["properties"] for answer in answers]).astype("float64")
    return table.rename(columns={"stdev": "std"})[list(ALL)]


class TestAgainstExactextract:
    def test_every_statistic_on_the_same_raster(self, plan, cube, small, crs):
        fields = fields_on(small.grid, beyond=60)
        found = series(plan, fields, crs)
        assert len(found) == len(fields) * cube.sizes["time"] * 2
        assert found["mean"].notna().mean() > 0.3
        for band in ("red", "nir"):
            for when in cube.time.values:
                layer = cube.sel(band=band, time=when).values
                ours = found[(found.band == band) & (found.time == when)]
                expected = by_exactextract(layer, small.grid, fields)
                expected.loc[expected["count"] == 0, ["mean", "median", "std", "min", "max"]] = np.nan
                np.testing.assert_allclose(ours[list(ALL)], expected, rtol=1e-6, atol=1e-6)

    def test_values_that_repeat(self, small, crs):
        """The median of exactextract takes equal values together."""
        rng = np.random.default_rng(4)
        values = rng.integers(0, 6, (3, 1, *small.grid.shape)).astype("float32")
        values[rng.random(values.shape) < 0.2] = np.nan
        cube = as_cube(values, small.grid)
        fields = fields_on(small.grid, 12)
        found = series(cube, fields, crs)
        for step in range(3):
            expected = by_exactextract(values[step, 0], small.grid, fields)
            ours = found[found.time == cube.time.values[step]]
            np.testing.assert_allclose(ours[list(ALL)], expected, rtol=1e-6, atol=1e-6)


def as_cube(values, grid):
    from odc.geo.xr import xr_coords

    times = pd.date_range("2021-01-01", periods=len(values)).values
    coords = {"time": times, "band": [f"b{n}" for n in range(values.shape[1])], **xr_coords(grid, dims=("y", "x"))}
    return xr.DataArray(values, dims=("time", "band", "y", "x"), coords=coords)


class TestPlanAndCubes:
    def test_the_same_from_a_plan_and_a_cube(self, plan, cube, small, crs):
        fields = fields_on(small.grid, beyond=60)
        found = series(plan, fields, crs)
        for other in (cube, eo.load(plan), cube.chunk(time=1, y=17, x=50), cube.isel(y=slice(None, None, -1))):
            pd.testing.assert_frame_equal(found, series(other, fields, crs), rtol=1e-9)

    def test_an_index(self, plan, cube, small, crs):
        fields = fields_on(small.grid)
        found = series(plan, fields, crs, of=eo.ndvi)
        assert set(found.band) == {"ndvi"}
        pd.testing.assert_frame_equal(found, series(eo.ndvi(cube), fields, crs), rtol=1e-9)
        pd.testing.assert_frame_equal(found, series(cube, fields, crs, of=eo.ndvi), rtol=1e-9)
        both = series(plan, fields, crs, of=lambda px: xr.concat([eo.ndvi(px), px.sel(band="red", drop=True)], "band"))
        assert list(both.band[:2]) == ["ndvi_0", "ndvi_1"]

    def test_whole_numbers(self, small, small_items, plan, crs):
        lean = eo.plan(small_items, small.grid, bands=["red", "nir"], mask=MASK, dtype="uint16")
        fields = fields_on(small.grid)
        found, exact = series(lean, fields, crs), series(plan, fields, crs)
        pd.testing.assert_frame_equal(found, series(eo.load(lean), fields, crs), rtol=1e-9)
        np.testing.assert_allclose(found["mean"] / 10000, exact["mean"], atol=1e-3)
        np.testing.assert_allclose(found["clear"], exact["clear"])

    def test_cubes_of_stackstac_and_odc_stac(self, small, small_items, crs):
        import odc.stac
        import stackstac

        ours = [item for item in small_items if "33TTN" in item.id]
        fields = fields_on(small.grid)
        raw = odc.stac.load(ours, bands=["red"], geobox=small.grid, groupby="id", chunks={"x": 40, "y": 40})
        odc_cube = raw["red"].astype("float32").where(raw["red"] != 0)
        box = small.grid.boundingbox
        stack = stackstac.stack(
            ours, assets=["red"], epsg=small.grid.crs.epsg, bounds=tuple(box.bbox), resolution=10, rescale=False,
            fill_value=np.nan, snap_bounds=False,
        )  # fmt: skip
        stack = stack.where(stack != 0)
        one, two = (series(c, fields, crs).sort_values(["field", "time"]) for c in (odc_cube, stack))
        assert one["count"].sum() > 100
        for name in ALL:
            np.testing.assert_allclose(one[name], two[name], rtol=1e-6)
        # Cut, too: the transform in its attrs is that of the whole.
        part = series(stack[:, :, 20:80, 10:90], fields, crs, stat=["count"])
        np.testing.assert_allclose(
            part["count"], series(odc_cube[:, 20:80, 10:90], fields, crs, stat=["count"])["count"].values, atol=1e-6
        )

    def test_where_the_mask_s_lattice_is_another(self, small, small_items):
        grid = eo.grid_for(small.grid.extent, crs="EPSG:3857", resolution=15)
        plan = eo.plan(small_items, grid, bands=["red"], mask=MASK, chunk=50)
        fields = fields_on(grid)
        pd.testing.assert_frame_equal(
            series(plan, fields, grid.crs), series(eo.load(plan), fields, grid.crs), rtol=1e-9
        )


class TestReading:
    def test_one_task_per_chunk_with_fields(self, small, small_items, crs):
        from dask.callbacks import Callback

        plan = eo.plan(small_items, small.grid, bands=["red"], mask=MASK, chunk=24)
        box = small.grid.boundingbox
        one = shapely.box(box.left + 30, box.top - 90, box.left + 90, box.top - 30)
        across = shapely.box(box.left + 400, box.top - 550, box.left + 600, box.top - 490)
        ran = []
        with Callback(pretask=lambda key, *_: ran.append(key)), dask.config.set(scheduler="sync"):
            series(plan, [one, across], crs, stat="mean")
        assert len([key for key in ran if "eocube-series" in str(key)]) == 1 + 2

    def test_only_what_lies_under_a_clear_pixel_of_a_field_is_wanted(self, small, small_items, crs):
        looks = {"scl": [], "red": []}

        class Spy:
            def __init__(self):
                from eocube.loaders.base import loader_named

                self.loader = loader_named("cog")

            def __call__(self, sources, geobox, wanted=None):
                for source, look in zip(sources, wanted, strict=True):
                    if source.asset:  # else: nothing to read on that date
                        looks["scl" if source.asset == "scl" else "red"].append((geobox, look))
                return self.loader(sources, geobox, wanted)

        plan = eo.plan(small_items, small.grid, bands=["red"], mask=eo.SCLMask(), loader=Spy())
        box = small.grid.boundingbox
        clear = np.isfinite(eo.load(eo.plan(small_items, small.grid, bands=["red"], mask=eo.SCLMask())).values[:, 0])
        dates = np.array([[clear[:, y : y + 8, x : x + 7].any((1, 2)).sum() for x in range(90)] for y in range(60)])
        y, x = np.argwhere((dates > 0) & (dates < len(clear)))[0]
        left, top = box.left + 10 * int(x), box.top - 10 * int(y)
        field = shapely.box(left + 5, top - 77, left + 62, top - 9)
        with dask.config.set(scheduler="sync"):
            found = series(plan, [field], crs)
        count = found.set_index("time")["count"]
        assert 0 < (count > 0).sum() < len(count)
        for geobox, look in looks["red"]:
            assert tuple(geobox.shape) == (8, 7)
            assert look.sum() <= 8 * 7
        assert sum(bool(look.any()) for _, look in looks["red"]) < len(looks["red"])
        assert looks["scl"]
        assert all(look.sum() <= 5 * 5 for _, look in looks["scl"])

    def test_threads_and_processes(self, plan, small, crs):
        from distributed import Client, LocalCluster

        fields = fields_on(small.grid)
        here = series(plan, fields, crs, of=eo.ndvi)
        with (
            LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None) as cluster,
            Client(cluster),
        ):
            there = series(plan, fields, crs, of=eo.ndvi)
        pd.testing.assert_frame_equal(here, there)


@settings(max_examples=8)
@given(chunk=st.integers(16, 120), seed=st.integers(0, 99), weights=st.sampled_from(["exact", "centre", "all"]))
def test_order_and_chunks_change_nothing(small, small_items, plan, chunk, seed, weights):
    order = np.random.default_rng(seed).permutation(len(small_items))
    shuffled = [small_items[int(index)] for index in order]
    other = eo.plan(shuffled, small.grid, bands=["red", "nir"], mask=MASK, chunk=chunk)
    fields = fields_on(small.grid, 12, seed, beyond=60)
    crs = small.grid.crs
    one, two = (series(p, fields, crs, of=eo.ndvi, weights=weights) for p in (plan, other))
    pd.testing.assert_frame_equal(one, two, rtol=1e-9, atol=1e-9)


class TestWeights:
    def test_centre_and_all_are_gdal_s(self, cube, small, crs):
        from rasterio.features import rasterize

        fields = fields_on(small.grid)
        for weights, touched in (("centre", False), ("all", True)):
            table = series(cube, fields, crs, weights=weights)
            found, count = (brought(table, name).sel(band=cube.band) for name in ("median", "count"))
            for name, shape in fields.items():
                burnt = rasterize([shape], small.grid.shape, transform=small.grid.affine, all_touched=touched)
                values = cube.values[:, :, burnt == 1]
                np.testing.assert_array_equal(count.sel(field=name), np.isfinite(values).sum(-1))
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", RuntimeWarning)
                    expected = np.nanmedian(values.astype("float64"), axis=-1) if values.size else np.nan
                np.testing.assert_allclose(found.sel(field=name), expected)

    def test_points_are_the_pixel_they_lie_in(self, cube, plan, small, crs):
        rng = np.random.default_rng(3)
        rows, columns = rng.integers(0, small.grid.shape[0], 9), rng.integers(0, small.grid.shape[1], 9)
        a = small.grid.affine
        points = [shapely.Point(*(a * (c + 0.3, r + 0.9))) for r, c in zip(rows, columns, strict=True)]
        for source in (plan, cube):
            found = brought(series(source, points, crs)).transpose("time", "band", "field").sel(band=cube.band)
            np.testing.assert_allclose(found, cube.values[:, :, rows, columns])
        several = series(plan, {"all": shapely.MultiPoint(points)}, crs, stat="max")
        np.testing.assert_allclose(
            brought(several, "max").sel(band=cube.band)[0], np.fmax.reduce(cube.values[:, :, rows, columns], axis=-1)
        )

    def test_fields_in_another_crs(self, plan, small, crs):
        fields = fields_on(small.grid)
        table = geopandas.GeoDataFrame({"name": list(fields)}, geometry=list(fields.values()), crs=str(crs))
        one = series(plan, table, None, ids="name")
        two = series(plan, table.to_crs(4326), None, ids="name")
        pd.testing.assert_frame_equal(one, two, rtol=1e-4, atol=1e-4)


class TestClearShare:
    def test_it_is_the_clear_part_of_the_field(self, plan, cube, small, crs):
        box = small.grid.boundingbox
        inside = shapely.box(box.left + 100, box.top - 300, box.left + 300, box.top - 100)
        over = shapely.box(box.left - 100, box.top - 300, box.left + 100, box.top - 100)
        found = series(plan, {"inside": inside, "over": over}, crs, stat="count")
        seen = np.isfinite(cube.values[:, 0, 10:30, 10:30]).mean(axis=(1, 2))
        half = np.isfinite(cube.values[:, 0, 10:30, 0:10]).mean(axis=(1, 2)) / 2
        red = found[found.band == "red"]
        np.testing.assert_allclose(red[red.field == "inside"].clear, seen)
        np.testing.assert_allclose(red[red.field == "over"].clear, half)
        np.testing.assert_allclose(red[red.field == "inside"]["count"], 400 * seen)

    def test_outside_the_grid_is_a_row_of_zeros_and_one_warning(self, plan, small, crs):
        box = small.grid.boundingbox
        away = shapely.box(box.right + 500, box.top, box.right + 600, box.top + 100)
        within = shapely.box(box.left + 100, box.top - 300, box.left + 300, box.top - 100)
        with pytest.warns(EocubeWarning, match=r"2 of 3 fields lie outside the grid: 'a', 'c'\.") as caught:
            found = eo.timeseries(plan, {"a": away, "b": within, "c": shapely.Point(0, 0)}, crs=crs)
        ours = [warning for warning in caught if warning.category is EocubeWarning]
        assert [warning.filename for warning in ours] == [__file__]
        rows = found[found.field.isin(["a", "c"])]
        assert len(rows) == 2 * 2 * len(plan.scenes)
        assert (rows.clear == 0).all()
        assert (rows["count"] == 0).all()
        assert rows[["mean", "median", "std"]].isna().all().all()
        assert found[found.field == "b"].clear.max() > 0
        globe = {"other side": shapely.box(-172, -5, -165, 5), "pole": shapely.box(100, -90, 110, -89)}
        assert (series(plan, globe, None, stat="count").clear == 0).all()
        with pytest.warns(EocubeWarning, match="2 of 2 fields"):
            eo.timeseries(plan, [away, away], crs=crs)


class TestForms:
    def test_the_dataset_and_the_table_say_the_same(self, plan, small, crs):
        fields = fields_on(small.grid, 6)
        table = series(plan, fields, crs)
        data = series(plan, fields, crs, form="dataset")
        assert dict(data.sizes) == {"field": 6, "time": len(plan.scenes), "band": 2}
        assert list(data.data_vars) == [*ALL, "clear"]
        again = data.to_dataframe(dim_order=["field", "time", "band"]).reset_index()
        pd.testing.assert_frame_equal(again[table.columns], table, check_dtype=False)

    def test_parquet_csv_and_netcdf(self, plan, small, crs, tmp_path):
        fields = fields_on(small.grid, 6)
        table = series(plan, fields, crs)
        table.to_parquet(tmp_path / "t.parquet")
        pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "t.parquet"), table, check_dtype=False)
        table.to_csv(tmp_path / "t.csv", index=False)
        assert len(pd.read_csv(tmp_path / "t.csv")) == len(table)
        series(plan, fields, crs, form="dataset").to_zarr(tmp_path / "t.zarr")

    def test_ids(self, plan, small, crs, tmp_path):
        fields = fields_on(small.grid, 4)
        shapes = list(fields.values())
        table = geopandas.GeoDataFrame({"parcel": [7, 3, 9, 1]}, geometry=shapes, crs=str(crs))
        lonlat = table.to_crs(4326)
        lonlat.to_file(tmp_path / "f.gpkg")
        lonlat.to_parquet(tmp_path / "f.parquet")
        (tmp_path / "f.geojson").write_text(lonlat.to_json())

        def ids(areas, **options):
            return series(plan, areas, options.pop("crs", None), stat="count", **options).field.unique().tolist()

        for areas in (table, tmp_path / "f.gpkg", str(tmp_path / "f.parquet"), tmp_path / "f.geojson"):
            assert ids(areas, ids="parcel") == [7, 3, 9, 1]
        assert ids(json.loads(lonlat.to_json()), ids="parcel") == [7, 3, 9, 1]
        assert ids(table) == [0, 1, 2, 3]
        assert ids(table.set_index("parcel").geometry) == [7, 3, 9, 1]
        assert ids(fields, crs=crs) == ["f0", "f1", "f2", "f3"]
        assert ids(shapes, crs=crs, ids=list("abcd")) == list("abcd")
        assert ids(Geometry(shapes[0], crs)) == [0]
        assert ids([Geometry(shapes[0], crs), Geometry(shapes[1], crs).to_crs(4326)]) == [0, 1]


SQUARE = shapely.box(11.99, 47.07, 12.0, 47.08)
BOW = shapely.Polygon([(0, 0), (1, 1), (1, 0), (0, 1)])


class TestBadInput:
    @pytest.mark.parametrize(
        ("areas", "options", "message"),
        [
            ([], {}, "There are no fields"),
            ([SQUARE, shapely.Polygon()], {}, "1 of 2 fields have no or an empty geometry: 1"),
            ([None, SQUARE], {}, "1 of 2 fields have no or an empty geometry: 0"),
            ({"a": SQUARE, "bow": BOW}, {}, r"1 of 2 fields cross themselves \(Self-intersection.*: 'bow'\. Mend them"),
            ([shapely.LineString([(0, 0), (1, 1)])], {}, "neither points nor polygons"),
            ([SQUARE, SQUARE], {"ids": ["a", "a"]}, r"Ids are not unique: 'a' \(2 times\)"),
            ([SQUARE], {"ids": ["a", "b"]}, "2 ids were given for 1 fields"),
            ([SQUARE, SQUARE], {"ids": ["a", None]}, "1 of 2 fields have no id"),
            ([SQUARE], {"ids": "name"}, "has no columns"),
            (geopandas.GeoDataFrame(geometry=[SQUARE]), {}, "The fields have no CRS"),
            (geopandas.GeoSeries([SQUARE], crs=4326), {"ids": "name"}, "There is no column 'name'"),
            ([shapely.box(500000, 0, 500100, 100)], {}, "lie outside the world in EPSG:4326"),
            ([SQUARE], {"crs": "nonsense"}, "is not a CRS"),
            ("nowhere.gpkg", {}, "There is no file nowhere.gpkg"),
            (["a.gpkg"], {}, "A str is no geometry"),
            (7, {}, "Cannot make fields of a int"),
            ({"type": "Nonsense"}, {}, "Not a GeoJSON"),
        ],
    )
    def test_areas(self, plan, areas, options, message):
        with pytest.raises(AreaError, match=message):
            eo.timeseries(plan, areas, **options)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"stat": "medain"}, r"stat='medain' is not known\. Did you mean 'median'"),
            ({"stat": []}, "give one statistic or more"),
            ({"stat": ["mean", "mean"]}, "each once"),
            ({"weights": "center"}, "Did you mean 'centre'"),
            ({"form": "frame"}, "form='frame' is not known"),
            ({"of": lambda px: px.mean("pixel")}, r"of=<lambda> was given .* has to return"),
            ({"of": lambda px: px["red"]}, r"of=<lambda> failed \(KeyError: 'red'\).*take one by \.sel\(band='"),
            ({"of": lambda px: 7}, "it returned int"),
        ],
    )
    def test_words(self, plan, options, message):
        with pytest.raises(InputError, match=message):
            eo.timeseries(plan, [SQUARE], **options)

    def test_sources(self, cube, small, small_items):
        classes = eo.plan(small_items, small.grid, bands=["red", "scl"])
        with pytest.raises(BandError, match="'scl' holds classes"):
            eo.timeseries(classes, [SQUARE])
        with pytest.raises(BandError, match="'scl' holds classes"):
            eo.timeseries(eo.load(classes), [SQUARE])
        with pytest.raises(InputError, match="A plan, or a DataArray with dims"):
            eo.timeseries(cube.isel(time=0), [SQUARE])
        with pytest.raises(InputError, match="found Dataset"):
            eo.timeseries(cube.to_dataset("band"), [SQUARE])
        with pytest.raises(InputError, match="no dates along time"):
            eo.timeseries(cube.drop_vars("time"), [SQUARE])
        plain = {name: cube[name].values for name in ("time", "band", "y", "x")}
        with pytest.raises(GridError, match="no CRS"):
            eo.timeseries(xr.DataArray(cube.values, plain, cube.dims), [SQUARE])

    def test_nothing_is_read_before_an_error(self, small, small_items):
        class Never:
            def __call__(self, sources, geobox, wanted=None):
                raise AssertionError("a pixel was read")

        plan = eo.plan(small_items, small.grid, bands=["red"], loader=Never())
        for options in ({"stat": "no"}, {"ids": ["a", "b"]}, {"of": eo.ndvi}):
            with pytest.raises(InputError):
                eo.timeseries(plan, [SQUARE], **options)

    def test_the_extra_is_named(self, plan, monkeypatch):
        monkeypatch.setitem(__import__("sys").modules, "exactextract", None)
        with pytest.raises(MissingExtraError, match=r"eocube\[series\]"):
            eo.timeseries(plan, [SQUARE])
        assert len(series(plan, [SQUARE], None, weights="centre"))
