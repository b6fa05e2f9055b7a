"""Areas, periods, tiles, grids: what a user says of place and time."""

from __future__ import annotations

import json

import pytest
import shapely
from affine import Affine
from odc.geo.geobox import GeoBox
from odc.geo.geom import Geometry

import eocube as eo
from eocube.areas import lonlat
from eocube.errors import AreaError, GridError, PeriodError
from eocube.grids import asset_grid, check_grid, is_utm, lattice_around
from eocube.periods import period
from eocube.tiles import tile_grid, tile_name

BOX = (5.0, 49.5, 6.0, 50.0)


class TestAreas:
    @pytest.mark.parametrize(
        "where",
        [
            BOX,
            list(BOX),
            shapely.box(*BOX),
            Geometry(shapely.box(*BOX), "EPSG:4326"),
            shapely.geometry.mapping(shapely.box(*BOX)),
            {"type": "Feature", "properties": {}, "geometry": shapely.geometry.mapping(shapely.box(*BOX))},
        ],
        ids=["tuple", "list", "shapely", "odc", "geojson", "feature"],
    )
    def test_forms(self, where):
        assert eo.area(where).geom.equals(shapely.box(*BOX))

    def test_files(self, tmp_path):
        import geopandas

        frame = geopandas.GeoDataFrame(
            {"name": ["a", "b"]},
            geometry=[shapely.box(5, 49.5, 5.5, 50), shapely.box(5.5, 49.5, 6, 50)],
            crs="EPSG:4326",
        )
        frame.to_file(tmp_path / "fields.gpkg")
        frame.to_crs("EPSG:32631").to_file(tmp_path / "utm.gpkg")
        (tmp_path / "f.geojson").write_text(frame.to_json())
        for where in (frame, frame.geometry, tmp_path / "fields.gpkg", str(tmp_path / "f.geojson")):
            assert eo.area(where).geom.area == pytest.approx(0.5)
        in_utm = eo.area(tmp_path / "utm.gpkg")
        assert in_utm.crs.epsg == 32631
        assert lonlat(in_utm).area == pytest.approx(0.5, rel=1e-3)

    def test_point_and_radius(self):
        found = eo.area((14.5, 46.0), radius=1000)
        assert found.crs.epsg == 32633
        assert found.geom.area == pytest.approx(3.14e6, rel=0.01)

    def test_tile(self):
        assert eo.area("MGRS-33TWL").boundingbox.bbox == (499980, 4990200, 609780, 5100000)

    @pytest.mark.parametrize(
        ("where", "message"),
        [
            ((5, 49, 6), "3 numbers"),
            ((6, 49, 5, 50), "swapped, or it crosses the antimeridian"),
            ((5, 50, 6, 49), "upside down"),
            ((5, 49, 5, 49), "no width"),
            ((14.5, 46.0), "no width"),
            (shapely.Polygon(), "empty"),
            (shapely.Polygon([(0, 0), (1, 1), (1, 0), (0, 1)]), "crosses itself"),
            ((500_000, 4_990_000, 600_000, 5_100_000), "outside the world"),
            ((170, -10, 190, 10), "outside the world"),
            ((-179, -10, 179, 10), "antimeridian"),
            ("no-such-file.geojson", "no file"),
            ("33XYZ", "not an MGRS tile"),
            ("33TAL", "no tile"),
            (42, "Cannot make an area"),
            (("a", "b", "c", "d"), "not a bbox"),
            ({"type": "Nonsense"}, "Not a GeoJSON"),
            ((float("nan"), 0, 1, 1), "finite|empty|crosses|upside"),
        ],
    )
    def test_bad_areas(self, where, message):
        with pytest.raises(AreaError, match=message):
            eo.area(where)

    def test_bad_radius(self):
        with pytest.raises(AreaError, match="radius=-1"):
            eo.area((14.5, 46.0), radius=-1)


class TestPeriods:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("2024", "2024-01-01T00:00:00Z/2024-12-31T23:59:59Z"),
            ("2024-02", "2024-02-01T00:00:00Z/2024-02-29T23:59:59Z"),
            ("2024-05/2024-09", "2024-05-01T00:00:00Z/2024-09-30T23:59:59Z"),
            ("2024-05-17", "2024-05-17T00:00:00Z/2024-05-17T23:59:59Z"),
            (("2024-05-17", "2024-05-18"), "2024-05-17T00:00:00Z/2024-05-18T23:59:59Z"),
            ("2024-05-17T10:00:00Z/2024-05-17T12:00:00+02:00", "2024-05-17T10:00:00Z/2024-05-17T10:00:00Z"),
        ],
    )
    def test_forms(self, text, expected):
        assert str(period(text)) == expected
        assert str(period(period(text))) == expected

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("2024-09/2024-05", "starts .* after it ends"),
            ("summer", "'summer' is not a date"),
            ("2024-13", "not a date"),
            ("2024/2025/2026", "not a period"),
            ("2024-02-30", "not a date"),
            ("", "not a date"),
        ],
    )
    def test_bad_periods(self, text, message):
        with pytest.raises(PeriodError, match=message):
            period(text)


class TestTiles:
    def test_names(self):
        assert tile_name("MGRS-1KAB") == tile_name("T01KAB") == tile_name("01kab") == "01KAB"

    @pytest.mark.parametrize("text", ["", "61TWL", "00TWL", "33TIL", "33TW", "T33TWLX"])
    def test_bad_names(self, text):
        with pytest.raises(AreaError, match="not an MGRS tile"):
            tile_name(text)

    @pytest.mark.real
    def test_all_real_items(self, real):
        """Every stated grid of a real Item is the one computed from its tile's name."""
        seen = set()
        for record in real_items(real):
            properties = record["properties"]
            name = properties.get("grid:code") or properties.get("s2:mgrs_tile")
            for key in ("red", "B04", "B04_10m"):
                grid = asset_grid(properties, record["assets"].get(key, {})) if name else None
                if grid is not None and record["id"] != "S2A_T34LBQ_20220401T090142_L2A":
                    assert tile_grid(name, grid.affine.a) == grid, record["id"]
                    seen.add(name)
        assert len(seen) > 70


def real_items(real):
    def walk(found):
        if isinstance(found, dict):
            if found.get("type") == "Feature" and "assets" in found:
                yield found
            for value in found.values():
                yield from walk(value)
        elif isinstance(found, list):
            for value in found:
                yield from walk(value)

    for path in sorted((real / "stac").rglob("*.json")):
        try:
            yield from walk(json.loads(path.read_text()))
        except json.JSONDecodeError:
            continue


class TestGrids:
    def test_utm_on_the_lattice(self):
        grid = eo.grid_for(BOX, resolution=20)
        assert grid.crs.epsg == 32631
        assert grid.affine.c % 20 == grid.affine.f % 20 == 0
        assert lonlat(grid.extent).buffer(1e-9).covers(shapely.box(*BOX))

    def test_other_crs(self):
        assert eo.grid_for(BOX, crs="EPSG:3857", resolution=100).crs.epsg == 3857
        assert eo.grid_for(BOX, crs="EPSG:4326", resolution=0.001).shape == (500, 1000)

    def test_of_items(self, world, items):
        grid = eo.grid_for(items)
        own = world.geobox(items[0].id)
        assert grid.crs == own.crs
        assert grid.affine.a == 10
        assert (grid.affine.c - own.affine.c) % 10 == 0
        coarse = eo.grid_for(items, resolution=60)
        assert coarse.affine.a == 60

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"resolution": 0}, "not a pixel size"),
            ({"resolution": float("nan")}, "not a pixel size"),
            ({"crs": "EPSG:4326", "resolution": 10}, "means degrees"),
            ({"crs": "EPSG:99999999"}, "not a CRS"),
            ({"resolution": 0.01}, "more than 1e\\+12"),
        ],
    )
    def test_bad_grids(self, options, message):
        with pytest.raises(GridError, match=message):
            eo.grid_for(BOX, **options)

    @pytest.mark.parametrize(
        ("grid", "message"),
        [
            ("EPSG:32633", "is a str, not an odc.geo GeoBox"),
            (GeoBox((5, 5), Affine(10, 0, 0, 0, -10, 0), None), "no CRS"),
            (GeoBox((0, 5), Affine(10, 0, 0, 0, -10, 0), "EPSG:32633"), "no pixels"),
            (GeoBox((5, 5), Affine(10, 1, 0, 1, -10, 0), "EPSG:32633"), "rotated"),
            (GeoBox((5, 5), Affine(10, 0, 0, 0, 10, 0), "EPSG:32633"), "north up"),
            (GeoBox((10**7, 10**7), Affine(10, 0, 0, 0, -10, 0), "EPSG:32633"), "pixels, more than"),
        ],
    )
    def test_unusable_grids(self, grid, message):
        with pytest.raises(GridError, match=message):
            check_grid(grid)

    def test_projection_v1_and_v2(self):
        asset = {"proj:shape": [10, 20], "proj:transform": [10, 0, 500000, 0, -10, 5000000, 0, 0, 1]}
        old = asset_grid({"proj:epsg": 32633}, asset)
        new = asset_grid({}, {**asset, "proj:code": "EPSG:32633"})
        assert old == new
        assert old.shape == (10, 20)
        assert asset_grid({"proj:epsg": 32633}, {}) is None
        assert asset_grid({"proj:epsg": 32633}, {"proj:shape": "x", "proj:transform": [1]}) is None

    def test_lattice_of_a_mask(self):
        window = GeoBox((100, 100), Affine(10, 0, 500_010, 0, -10, 5_000_010), "EPSG:32633")
        own = lattice_around(window, 10, 0, window.crs)
        assert own == window
        assert lattice_around(window, 10, 25, window.crs).shape == (106, 106)
        coarse = lattice_around(window, 20, 60, window.crs)
        assert coarse.affine.c % 20 == coarse.affine.f % 20 == 0
        assert coarse.extent.geom.covers(window.extent.geom.buffer(60, join_style="mitre"))

    def test_is_utm(self):
        assert is_utm(eo.grid_for(BOX).crs)
        assert not is_utm(eo.grid_for(BOX, crs="EPSG:3857").crs)
        assert not is_utm(None)
