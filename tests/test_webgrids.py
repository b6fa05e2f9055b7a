"""Web grids: on the lattice of web maps, nested, and around all of what they cover."""

from __future__ import annotations

import math

import numpy as np
import pytest
import shapely
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox
from pyproj import Transformer

from eocube.areas import area
from eocube.cells import zone_cells
from eocube.errors import AreaError, GridError
from eocube.tiles import tile_at, tile_grid
from eocube.webgrids import CORNER, ZOOMS, pixel_of, web_grid

names = st.builds(
    tile_at, st.floats(-180, 180, exclude_max=True), st.floats(-80, 84, exclude_max=True)
)
zooms = st.integers(8, 15)


def rim(grid, pieces=400):
    """Longitudes and latitudes along a grid's edge."""
    box = grid.extent.geom
    points = shapely.get_coordinates(shapely.segmentize(box, box.length / 4 / pieces))
    return Transformer.from_crs(str(grid.crs), "EPSG:4326", always_xy=True).transform(*points.T)


def web(lon, lat):
    return Transformer.from_crs("EPSG:4326", "EPSG:3857", always_xy=True).transform(lon, lat)


def test_pixels_are_those_of_web_maps():
    assert [round(pixel_of(zoom), 2) for zoom in (14, 13, 12)] == [9.55, 19.11, 38.22]
    assert round(CORNER, 2) == 20037508.34
    assert ZOOMS == {10: 14, 20: 13, 60: 12}
    assert pixel_of(0) * 256 == 2 * CORNER


@given(names, zooms)
def test_corners_lie_on_the_lattice(name, zoom):
    grid = web_grid(tile_grid(name), zoom)
    assert grid.crs.epsg == 3857
    a = grid.affine
    assert a.a == -a.e == pixel_of(zoom)
    assert a.b == a.d == 0
    coarse = pixel_of(min(zoom, 12))
    for edge in (a.c + CORNER, CORNER - a.f, grid.shape[1] * a.a, grid.shape[0] * a.a):
        assert edge / coarse == pytest.approx(round(edge / coarse), abs=1e-6)


@given(names)
def test_zooms_nest(name):
    fine, middle, coarse = (web_grid(tile_grid(name), zoom) for zoom in (14, 13, 12))
    for small, large in ((fine, middle), (middle, coarse)):
        assert (small.affine.c, small.affine.f) == (large.affine.c, large.affine.f)
        assert small.affine.a * 2 == large.affine.a
        assert (small.shape[0], small.shape[1]) == (large.shape[0] * 2, large.shape[1] * 2)


@given(names, zooms)
def test_all_of_a_tile_is_covered_and_not_much_else(name, zoom):
    tile = tile_grid(name)
    grid = web_grid(tile, zoom)
    lon, lat = rim(tile)
    x, y = web(lon, lat)
    if np.ptp(lon) > 180:
        side = -1 if name[:2] == "01" else 1
        x = np.where(np.sign(lon) == side, x, side * CORNER)
    box = grid.extent.boundingbox
    assert box.left <= x.min() + 0.05
    assert box.right >= x.max() - 0.05
    assert box.bottom <= y.min() + 0.05
    assert box.top >= y.max() - 0.05
    step = pixel_of(min(zoom, 12))
    assert max(x.min() - box.left, box.right - x.max()) < step + 1
    assert max(y.min() - box.bottom, box.top - y.max()) < step + 1


@pytest.mark.parametrize("zone", [1, 60])
def test_at_the_antimeridian_the_own_side_is_kept(zone):
    crossing = 0
    for name in zone_cells(zone)[::7]:
        lon, _ = rim(tile_grid(name), 20)
        box = web_grid(tile_grid(name), 12).extent.boundingbox
        assert box.right - box.left < 4e6
        if np.ptp(lon) > 180:
            crossing += 1
            assert (box.left if zone == 1 else -box.right) == pytest.approx(-CORNER, abs=1e-6)
    assert crossing > 10


def test_what_lies_beyond_is_refused():
    west_of_it = GeoBox((10, 10), Affine(10, 0, 100_000, 0, -10, 7_000_000), "EPSG:32601")
    with pytest.raises(GridError, match="Nothing of it lies on web maps"):
        web_grid(west_of_it, 14)


def test_areas_and_other_grids():
    box = (15.2, 45.5, 15.4, 45.6)
    grid = web_grid(box, 14)
    corners = web([15.2, 15.4], [45.5, 45.6])
    found = grid.extent.boundingbox
    assert found.left <= corners[0][0] < found.left + pixel_of(12)
    assert found.right >= corners[0][1] > found.right - pixel_of(12)
    assert found.bottom <= corners[1][0] < found.bottom + pixel_of(12)
    assert found.top >= corners[1][1] > found.top - pixel_of(12)
    assert web_grid(area(box), 14) == grid
    assert web_grid(grid, 14) == grid
    assert web_grid("33TWL", 13) == web_grid(tile_grid("33TWL", 60), 13)
    # Aligned to whole map tiles, for who wants them.
    whole = web_grid(box, 14, align=6)
    assert whole.shape[0] % 256 == whole.shape[1] % 256 == 0
    assert whole.affine.c / (256 * pixel_of(14)) == pytest.approx(round(whole.affine.c / (256 * pixel_of(14))))


def test_the_world():
    grid = web_grid((-90, -85, 90, 85), 4)
    assert grid.shape[1] == 256 * 2**4 // 2
    assert math.isclose(grid.affine.c, -CORNER / 2)
    assert web_grid(GeoBox((180, 360), Affine(1, 0, -180, 0, -1, 90), "EPSG:4326"), 3).shape == (2048, 2048)


@pytest.mark.parametrize("zoom", [-1, 25, 13.5, "14"])
def test_no_zoom(zoom):
    with pytest.raises(GridError, match="is not a zoom"):
        web_grid((5, 49, 6, 50), zoom)


def test_no_area():
    with pytest.raises(AreaError):
        web_grid((5, 49), 14)
