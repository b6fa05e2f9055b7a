"""Cells: which tiles there are, and which of them an area touches."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
import shapely
from hypothesis import assume, given
from hypothesis import strategies as st
from pyproj import Transformer

import eocube as eo
from eocube.areas import area
from eocube.cells import TOLERANCE, cells_of, zone_cells
from eocube.errors import AreaError
from eocube.facts import tile_of
from eocube.tiles import tile_at, tile_grid, tile_name, tiles_outline, zone_lonlat, zone_middle, zones_at

from .services.records import features

EVERY = [name for zone in range(1, 61) for name in zone_cells(zone)]
lons = st.floats(-180, 180, exclude_max=True)
lats = st.floats(-80, 84, exclude_max=True)


def inside(name, lon, lat, margin=0.01):
    """Whether a tile's square in its UTM zone holds a point; the margin in metres."""
    grid = tile_grid(name)
    x, y = Transformer.from_crs("EPSG:4326", str(grid.crs), always_xy=True).transform(lon, lat)
    box = grid.extent.boundingbox
    return box.left - margin <= x <= box.right + margin and box.bottom - margin <= y <= box.top + margin


def around(lon, lat, half=1e-5):
    return (max(lon - half, -180), lat - half, min(lon + half, 180), lat + half)


class TestTileAt:
    @pytest.mark.parametrize(
        ("lon", "lat", "name"),
        [
            (12.4, 47.08, "33TUN"),
            (5.32, 60.39, "32VKN"),  # Bergen: 3 degrees west of where zone 32 begins elsewhere
            (2.5, 60.0, "31VDG"),
            (15.63, 78.22, "33XWG"),  # Longyearbyen
            (8.9, 78.0, "31XFG"),
            (9.0, 78.0, "33XUG"),
            (-0.13, 51.5, "30UXC"),
            (0.0, 0.0, "31NAA"),
            (0.0, -1e-9, "31MAV"),
            (36.82, -1.29, "37MBU"),  # Nairobi
            (-46.63, -23.55, "23KLP"),  # Sao Paulo
            (180.0, 0.5, "01NAA"),
            (-180.0, 0.5, "01NAA"),
            # Squares in two bands have the name of their middle's band: known of ESA's grid.
            (116.381, 39.977, "50TMK"),
            (-103.004715, 31.96212, "13SFR"),
        ],
    )
    def test_known(self, lon, lat, name):
        assert tile_at(lon, lat) == name

    @given(lons, lats)
    def test_the_tile_of_a_point_holds_it(self, lon, lat):
        name = tile_at(lon, lat)
        assert name == tile_name(name)
        assert int(name[:2]) == zones_at(lon, lat)
        assert inside(name, lon, lat)

    @given(lons, lats)
    def test_zones(self, lon, lat):
        zone = int(zones_at(lon, lat))
        east = (lon - zone_middle(zone) + 180) % 360 - 180
        tiny = 1e-9  # degrees: what rounding does at a border
        usual = abs(east) <= 3 + tiny
        norway = 56 <= lat < 64 and zone == 32 and -6 - tiny <= east <= 3 + tiny
        svalbard = lat >= 72 and zone in (31, 33, 35, 37) and abs(east) <= 6 + tiny
        assert usual or norway or svalbard
        if lat >= 72 and 0 <= lon < 42:
            assert zone in (31, 33, 35, 37)

    @pytest.mark.parametrize(("lon", "lat"), [(0, 84.01), (0, -80.01), (0, float("nan")), (float("inf"), 0)])
    def test_nowhere(self, lon, lat):
        with pytest.raises(AreaError, match="between 80 S and 84 N"):
            tile_at(lon, lat)


class TestAllTiles:
    def test_each_has_one_name_and_a_grid_of_its_own(self):
        assert len(set(EVERY)) == len(EVERY)
        # tile_grid finds the same square: else two names had one.
        for zone in (1, 2, 3, 31, 32, 33, 60):
            grids = {(str(g.crs), g.affine.c, g.affine.f) for g in map(tile_grid, zone_cells(zone))}
            assert len(grids) == len(zone_cells(zone))

    def test_exceptions_of_the_north(self):
        assert not [name for name in EVERY if name[:3] in ("32X", "34X", "36X")]
        assert {name[3] for name in EVERY if name[:3] == "32V"} == set("JKLMNP")
        # West of 3 degrees, but for the rows that reach into the bands beside.
        assert {name[3] for name in EVERY if name[:3] == "31V" and name[4] not in "CL"} == set("CD")
        assert {name[3] for name in EVERY if name[:3] == "37X"} == set("BCDEF")

    def test_how_many(self):
        """ESA's list of 56,984 has all squares within a zone, and not all that reach over its border."""
        within = 0
        for name in zone_cells(2):
            box = tile_grid(name).extent.boundingbox
            left, top = box.left, box.top - (1e7 if name[2] < "N" else 0)
            x = np.array([left, left, left + 1e5, left + 1e5]) + 60
            y = np.array([top, top - 1e5, top, top - 1e5])
            within += bool((np.abs(zone_lonlat(x, y)[0]) < 3).all())
        assert 60 * within < 56_984 < len(EVERY)
        assert len(EVERY) == 62_747  # docs/searching.md

    def test_no_ground_without(self):
        """Over a lattice of points: the tile of each is among all tiles."""
        names = set(EVERY)
        lon, lat = np.meshgrid(np.arange(-180, 180, 2.9), np.arange(-79.99, 84, 1.7))
        assert {tile_at(x, y) for x, y in zip(lon.ravel(), lat.ravel(), strict=True)} <= names


class TestCellsOf:
    @given(lons, lats)
    def test_a_point(self, lon, lat):
        box = around(lon, lat)
        assume(box[0] < box[2])
        found = cells_of(box)
        assert tile_at(lon, lat) in found
        assert list(found) == sorted(set(found))
        # And no other than those that hold it.
        assert all(inside(name, lon, lat, margin=TOLERANCE * 2 + 5) for name in found)

    @given(lons, lats, st.floats(0.01, 3), st.floats(0.01, 3))
    def test_all_that_touch_and_no_others(self, west, south, width, height):
        box = (west, south, min(west + width, 180), min(south + height, 84))
        assume(box[2] - box[0] > 1e-6 and box[3] - box[1] > 1e-6)
        found = set(cells_of(box))
        shape = shapely.box(*box)
        near = {tile_at(x, y) for x in np.linspace(box[0], box[2], 9) for y in np.linspace(box[1], box[3], 9)
                if y < 84}  # fmt: skip
        assert near <= found
        for name in found:
            assert tiles_outline([name]).distance(shape) < 0.02

    def test_neighbours_overlap(self):
        assert cells_of((15.2, 45.5, 15.4, 45.6)) == ("33TWL",)
        found = cells_of("MGRS-33TWL")
        assert "33TWL" in found
        assert {"33TVK", "33TVL", "33TVM", "33TWK", "33TWM", "33TXK", "33TXL", "33TXM"} <= set(found)
        assert len(found) == 9

    @pytest.mark.parametrize("lat", [-16.5, 66.0, 71.0])
    def test_antimeridian(self, lat):
        west, east = cells_of((179.9, lat, 180, lat + 0.1)), cells_of((-180, lat, -179.9, lat + 0.1))
        # Either side is seen from tiles of both zones.
        for found in (west, east):
            assert {name[:2] for name in found} == {"01", "60"}
        both = shapely.union(shapely.box(179.9, lat, 180, lat + 0.1), shapely.box(-180, lat, -179.9, lat + 0.1))
        assert cells_of(both) == tuple(sorted({*west, *east}))
        assert cells_of((179.9, lat, -179.9, lat + 0.1)) == cells_of(both)

    def test_the_world(self):
        assert cells_of((-180, -80, 180, 84)) == tuple(sorted(EVERY))
        halves = {*cells_of((-180, -80, 0, 84)), *cells_of((0, -80, 180, 84))}
        assert halves == set(EVERY)

    def test_anything_that_area_takes(self, tmp_path):
        box = (15.2, 45.5, 15.4, 45.6)
        (tmp_path / "box.geojson").write_text(json.dumps(shapely.box(*box).__geo_interface__))
        for where in (shapely.box(*box), area(box), str(tmp_path / "box.geojson"), area(box).to_crs("EPSG:32633")):
            assert eo.cells_of(where) == ("33TWL",)
        assert cells_of((15.3, 45.55), radius=1000) == ("33TWL",)
        assert len(cells_of((15.3, 45.55), radius=60_000)) > 4
        assert cells_of((540000, 5040000, 550000, 5050000), crs="EPSG:32633") == ("33TWL",)

    @pytest.mark.parametrize(
        ("where", "message"),
        [
            ((0, 85, 10, 89), "touches no tile.*80 S and 84 N"),
            ((6, 49, 5, 50), "swapped"),
            ((179, 1, -179, 0), "swapped"),
            (shapely.Polygon([(179, 0), (-179, 0), (-179, 1), (179, 1)]), "crosses the antimeridian"),
            ((0, 0, 0, 1), "no width"),
            ("31UXC", "no tile 31UXC"),
        ],
    )
    def test_refusals(self, where, message):
        with pytest.raises(AreaError, match=message):
            cells_of(where)

    def test_a_wide_area_is_still_no_area(self):
        with pytest.raises(AreaError, match="crosses the antimeridian"):
            area((-180, -80, 180, 84))

    @pytest.mark.real
    def test_every_real_item(self, real):
        seen, crossing = set(), 0
        for path in sorted((real / "stac").rglob("*.json")):
            for record in features(json.loads(path.read_text())):
                name, bbox = tile_of(record), record.get("bbox")
                if not (bbox and record["id"].startswith("S2") and re.match(r"\d\d[C-X][A-Z][A-V]$", name)):
                    continue
                crossing += bbox[0] > bbox[2]
                assert name in cells_of(bbox), record["id"]
                assert name in EVERY
                seen.add(name)
        assert len(seen) > 70
        assert crossing
