"""Projected shadows: rays, geometry, recipes, on made-up discs of cloud and in the made-up world."""

from __future__ import annotations

import math

import numpy as np
import pytest
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox
from pyproj import Geod, Transformer
from scipy.ndimage import binary_dilation, binary_erosion

import eocube as eo
from eocube.errors import MaskError
from eocube.masks import rays
from eocube.masks.algebra import apply, need
from eocube.masks.heights import Blocks, _box
from eocube.masks.rays import Sight, moved, ray, seen_along
from eocube.pixels import Pixels
from eocube.sample.frames import make_tiles
from eocube.sample.passes import calendar, granules
from eocube.sample.rendering import render
from eocube.suns import Sun, convergence

CLOUDS = eo.SCLMask("cloud_medium", "cloud_high")
DEFAULT = eo.ProjectedShadow(of=CLOUDS)
DARK = eo.ProjectedShadow(of=CLOUDS, preset="dark")


def _away_from_rim(line, shape):
    """Return the part of a raster from which the line ends at least two pixels within it."""
    down, right = np.array(line).T
    rows = slice(max(0, 2 - down.min()), max(0, min(shape[0], shape[0] - 2 - down.max())))
    return rows, slice(max(0, 2 - right.min()), max(0, min(shape[1], shape[1] - 2 - right.max())))


class TestRays:
    @given(
        st.integers(0, 2**32 - 1), st.floats(0, 360), st.integers(0, 10), st.integers(0, 70), st.floats(0.01, 0.3)
    )
    def test_the_quick_way_is_the_plain_one(self, seed, azimuth, first, length, share):
        found = np.random.default_rng(seed).random((60, 53)) < share / 10
        line = ray(azimuth, first * 20.0, (first + length) * 20.0, 20.0)
        for near in (0, 1):
            seen = binary_dilation(found, np.ones((3, 3))) if near else found
            plain = np.zeros_like(found)
            for offset in line:
                plain |= moved(seen, offset)
            if not near:
                np.testing.assert_array_equal(seen_along(found, line), plain)
            rows, columns = np.nonzero(np.ones_like(found))
            met = Sight.of(found).meets(rows, columns, line, near).reshape(found.shape)
            # Beyond the rim nothing is known, and one pixel beyond it something may be near.
            inner = np.s_[:, :] if not near else _away_from_rim(line, found.shape)
            np.testing.assert_array_equal(met[inner], plain[inner])

    @given(st.floats(0, 360), st.floats(0, 500), st.floats(0, 5000))
    def test_no_gaps_and_never_far_from_the_line(self, azimuth, nearest, length):
        line = np.array(ray(azimuth, nearest, nearest + length, 20.0))
        assert len(line)
        assert (np.abs(np.diff(line, axis=0)).max(axis=1, initial=0) <= 1).all()
        toward = np.array([-math.cos(math.radians(azimuth)), math.sin(math.radians(azimuth))])
        across = line @ np.array([-toward[1], toward[0]])
        along = line @ toward * 20
        assert np.abs(across).max() <= 0.71
        assert along.min() >= nearest - 20
        assert along.max() <= nearest + length + 20

    def test_points_toward_the_sun(self):
        assert ray(0, 20, 20, 20) == [(-1, 0)]
        assert ray(90, 20, 20, 20) == [(0, 1)]
        assert ray(180, 20, 20, 20) == [(1, 0)]
        assert ray(270, 20, 20, 20) == [(0, -1)]

    def test_many_steps_at_once(self, monkeypatch):
        """A line of 300 pixels takes a fraction of 300 passes over the raster."""
        passes = []
        once = rays.add_moved
        monkeypatch.setattr(rays, "add_moved", lambda *args: (passes.append(1), once(*args)))
        seen_along(np.eye(40, dtype=bool), ray(153.4, 200, 6000, 20))
        assert 0 < len(passes) < 80

    def test_in_leaps(self, monkeypatch):
        """A line of 300 pixels is followed in a fraction of 300 steps."""
        found = np.zeros((700, 700), dtype=bool)
        found[600:630, 600:630] = True
        steps = []
        once = np.maximum
        monkeypatch.setattr(np, "maximum", lambda *args: (steps.append(1), once(*args))[1])
        rows, columns = np.nonzero(~found)
        Sight.of(found).meets(rows, columns, ray(153.4, 200, 6000, 20))
        assert 0 < len(steps) < 60

    @given(st.integers(0, 2**32 - 1), st.integers(0, 4))
    def test_boxes(self, seed, half):
        values = np.random.default_rng(seed).integers(0, 99, (9, 7))
        padded = np.pad(values, half)
        windows = np.lib.stride_tricks.sliding_window_view(padded, (2 * half + 1, 2 * half + 1))
        np.testing.assert_array_equal(_box(values, half), windows.sum(axis=(2, 3)))

    def test_blocks(self):
        values = np.arange(7 * 8).reshape(7, 8)
        blocks = Blocks(3, 2, 1, (7, 8))
        sums = blocks.sums(values)
        assert sums.shape == (3, 3)
        assert sums.sum() == values.sum()
        assert sums[0, 0] == values[:1, :2].sum()
        assert sums[1, 1] == values[1:4, 2:5].sum()


# A disc of cloud over ground whose shadow is dark. Its place comes from a walk on the ellipsoid.

PLACES = {
    "on the meridian": ("EPSG:32633", 15.0, 47.0),
    "3 degrees west": ("EPSG:32633", 12.0, 62.0),
    "3 degrees east": ("EPSG:32633", 18.0, 62.0),
    "south": ("EPSG:32733", 15.0, -33.0),
    "south, 3 degrees west": ("EPSG:32733", 12.0, -60.0),
    "south, 3 degrees east": ("EPSG:32733", 18.0, -60.0),
}

def disc_scene(crs, longitude, latitude, azimuth, elevation, height=1100.0, size=420, ground=0.35, radius=500.0):
    """Return Pixels of a disc of cloud in the middle, and the truth of its shadow."""
    to_map = Transformer.from_crs("EPSG:4326", crs, always_xy=True)
    x, y = to_map.transform(longitude, latitude)
    there = Geod(ellps="WGS84").fwd(
        longitude, latitude, azimuth + 180, height / math.tan(math.radians(elevation))
    )
    shadow_x, shadow_y = to_map.transform(there[0], there[1])
    left, top = math.floor(x / 20) * 20 - size * 10, math.floor(y / 20) * 20 + size * 10
    box = GeoBox((size, size), Affine(20, 0, left, 0, -20, top), crs)
    east, north = np.meshgrid(left + (np.arange(size) + 0.5) * 20, top - (np.arange(size) + 0.5) * 20)
    cloud = np.hypot(east - x, north - y) < radius
    shadow = (np.hypot(east - shadow_x, north - shadow_y) < radius) & ~cloud
    texture = np.random.default_rng(4).normal(0, 0.01, (size, size))
    nir = np.where(cloud, 0.6, np.where(shadow, 0.4 * ground, ground) + texture).astype(np.float32)
    scl = np.where(cloud, 9, 4).astype(np.uint8)
    return Pixels({"nir": nir, "scl": scl}, box, azimuth, elevation), shadow, cloud


def scores(found, truth):
    hit = (found & truth).sum()
    return hit / truth.sum(), hit / max(found.sum(), 1)


class TestAnalytic:
    @pytest.mark.parametrize("place", PLACES)
    @pytest.mark.parametrize("azimuth", [38.0, 140.0, 222.0, 312.0])
    @pytest.mark.parametrize("elevation", [20.0, 45.0, 70.0])
    def test_disc(self, place, azimuth, elevation):
        px, shadow, cloud = disc_scene(*PLACES[place], azimuth, elevation)
        for mask in (DEFAULT, DARK):
            recall, precision = scores(apply(mask, px) & ~cloud, shadow)
            assert recall >= 0.98, mask
            assert precision >= 0.98, mask

    @pytest.mark.parametrize("azimuth", [38.0, 140.0, 222.0, 312.0])
    @pytest.mark.parametrize("elevation", [20.0, 45.0, 70.0])
    def test_one_height_over_dark_ground(self, azimuth, elevation):
        """Where all ground is dark, the geometry alone decides."""
        height = 4000.0 if elevation > 60 else 1100.0
        px, shadow, cloud = disc_scene(
            *PLACES["3 degrees east"], azimuth, elevation, height, ground=0.1, radius=1200.0
        )
        known = eo.ProjectedShadow(of=CLOUDS, preset="dark", heights=(height - 1, height + 1))
        recall, precision = scores(apply(known, px) & ~cloud, shadow)
        assert recall >= 0.98
        assert precision >= 0.98

    @pytest.mark.parametrize("wrong", [lambda a: 360 - a, lambda a: a + 180, lambda a: 180 - a])
    @pytest.mark.parametrize("azimuth", [38.0, 140.0, 222.0, 312.0])
    def test_the_wrong_sign_fails(self, wrong, azimuth):
        px, shadow, cloud = disc_scene(*PLACES["on the meridian"], azimuth, 25.0)
        px = Pixels(px.bands, px.geobox, wrong(azimuth), 25.0)
        for mask in (DEFAULT, DARK):
            assert scores(apply(mask, px) & ~cloud, shadow)[0] < 0.1

    def test_true_north_alone_fails(self):
        px, shadow, cloud = disc_scene(*PLACES["3 degrees west"], 140.0, 20.0)
        assert convergence("EPSG:32633", *px.geobox.affine @ (210, 210)) == pytest.approx(-2.65, abs=0.02)
        unaware = Pixels(px.bands, GeoBox(px.shape, px.geobox.affine, None), 140.0, 20.0)
        found = scores(apply(DARK, unaware) & ~cloud, shadow)
        aware = scores(apply(DARK, px) & ~cloud, shadow)
        assert aware[0] > 0.99
        assert found[0] < aware[0] - 0.05

    def test_snow(self):
        """Bright ground: the shadow is brighter than any threshold for dark ground."""
        px, shadow, cloud = disc_scene(*PLACES["on the meridian"], 160.0, 30.0, ground=0.85)
        assert scores(apply(DEFAULT, px) & ~cloud, shadow)[0] > 0.98
        assert scores(apply(DARK, px) & ~cloud, shadow)[0] == 0

    def test_dark_fields_are_no_shadows(self):
        px, shadow, cloud = disc_scene(*PLACES["on the meridian"], 160.0, 30.0)
        nir = px["nir"].copy()
        # Dark fields on the way of the shadow, where a cloud lower or higher would cast it.
        fields = np.zeros(px.shape, dtype=bool)
        row, column = np.argwhere(shadow).mean(axis=0).astype(int)
        fields[row + 40 : row + 52, column - 12 : column] = True
        nir[fields & ~shadow] = 0.13
        px = Pixels({**px.bands, "nir": nir}, px.geobox, 160.0, 30.0)
        assert scores(apply(DEFAULT, px) & ~cloud, shadow)[1] > 0.95
        assert scores(apply(DARK, px) & ~cloud, shadow)[1] < scores(apply(DEFAULT, px) & ~cloud, shadow)[1]

    def test_water_and_what_casts_none(self):
        px, shadow, cloud = disc_scene(*PLACES["on the meridian"], 160.0, 30.0)
        wet = {**px.bands, "scl": np.where(shadow, 6, px["scl"]).astype(np.uint8)}
        wet = Pixels(wet, px.geobox, 160.0, 30.0)
        assert not (apply(DARK, wet) & shadow).any()
        kept = eo.ProjectedShadow(of=CLOUDS, preset="dark", water=True)
        assert scores(apply(kept, wet) & ~cloud, shadow)[0] > 0.98
        assert kept.bands == ("scl", "nir")
        # SCL's own shadows and what is no data are no clouds, though the mask throws them away.
        for code in (0, 2, 3, 12):
            other = Pixels({**px.bands, "scl": np.where(cloud, code, 4).astype(np.uint8)}, px.geobox, 160.0, 30.0)
            assert not apply(eo.ProjectedShadow(of=eo.SCLMask("strict"), preset="dark"), other).any()


# The recipes, in plain numpy.


def looks_toward_sun(cloud, azimuth, metres, pixel=20.0):
    """Pixel after pixel, as directionalDistanceTransform looks."""
    out = np.zeros_like(cloud)
    rows, columns = cloud.shape
    dr, dc = -math.cos(math.radians(azimuth)), math.sin(math.radians(azimuth))
    scale = max(abs(dr), abs(dc))
    for k in range(int(metres / (pixel / scale)) + 1):
        r, c = math.floor(k * dr / scale + 0.5), math.floor(k * dc / scale + 0.5)
        for row in range(max(0, -r), min(rows, rows - r)):
            for column in range(max(0, -c), min(columns, columns - c)):
                out[row, column] |= cloud[row + r, column + c]
    return out


def disk(radius):
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    return x * x + y * y <= radius * radius


def recipe_scene(seed, azimuth):
    rng = np.random.default_rng(seed)
    scl = rng.choice([4, 5, 6], (70, 80)).astype(np.uint8)
    scl[20:31, 30:44] = 9
    scl[50, 50] = 8
    nir = rng.uniform(0.05, 0.3, (70, 80)).astype(np.float32)
    nir[35:50, 10:40] = 0.07
    nir[3:12, 50:70] = 0.12
    box = GeoBox((70, 80), Affine(20, 0, 500_100, 0, -20, 5_200_000), "EPSG:32633")
    x, y = 510_000.0, 5_190_000.0  # the middle of the cell
    px = Pixels({"scl": scl, "nir": nir}, box, azimuth, 38.0)
    return px, azimuth - convergence("EPSG:32633", x, y)


class TestRecipes:
    @pytest.mark.parametrize("azimuth", [31.0, 148.0, 217.3, 301.0])
    @pytest.mark.parametrize(("distance", "buffer"), [(1000, 50), (2000, 100)])
    def test_gee(self, azimuth, distance, buffer):
        px, grid_azimuth = recipe_scene(1, azimuth)
        cloud = np.isin(px["scl"], (8, 9))
        dark = (px["nir"] < 0.15) & (px["scl"] != 6)
        both = cloud | (looks_toward_sun(cloud, grid_azimuth, distance) & dark)
        # focalMin(2).focalMax(BUFFER * 2 / 20): disks; beyond the rim nothing counts.
        least = binary_erosion(both, disk(2), border_value=1)
        expected = binary_dilation(least, disk(buffer * 2 // 20))
        assert expected.any()
        mask = eo.ProjectedShadow(of=CLOUDS, preset="gee", distance=distance, grow=2 * buffer)
        np.testing.assert_array_equal(apply(mask, px), expected)
        if (distance, buffer) == (1000, 50):
            np.testing.assert_array_equal(apply(eo.ProjectedShadow(of=CLOUDS, preset="gee"), px), expected)

    @pytest.mark.parametrize("azimuth", [31.0, 148.0, 217.3, 301.0])
    def test_cordmaur(self, azimuth):
        px, grid_azimuth = recipe_scene(2, azimuth)
        cloud = np.isin(px["scl"], (8, 9))
        both = cloud | (looks_toward_sun(cloud, grid_azimuth, 1000) & (px["nir"] < 0.1))
        expected = binary_dilation(both, disk(5))
        np.testing.assert_array_equal(apply(eo.ProjectedShadow(of=CLOUDS, preset="cordmaur"), px), expected)

    def test_numbers(self):
        gee, cordmaur = (eo.ProjectedShadow(of=CLOUDS, preset=name).recipe for name in ("gee", "cordmaur"))
        assert (gee.dark, gee.distance, gee.water, gee.erode, gee.grow) == (0.15, 1000, False, 40, 100)
        assert (cordmaur.dark, cordmaur.distance, cordmaur.water) == (0.10, 1000, True)
        assert (cordmaur.erode, cordmaur.grow) == (0, 100)


class TestNeeds:
    def test_bands_reach_resolution(self):
        assert need(DEFAULT) == (("scl", "nir"), pytest.approx(6000 + 1600 + 100 + 60), 20.0)
        assert need(DARK).reach == 6060
        assert need(eo.ProjectedShadow(of=CLOUDS.dilate(metres=60), preset="gee")).reach == 60 + 1000 + 140 + 60
        assert eo.ProjectedShadow(of=CLOUDS, resolution=60).resolution == 60

    def test_reach_shrinks_as_the_sun_rises(self):
        assert DARK.reach_for(20, 45) == pytest.approx(3060)
        assert (DARK | CLOUDS).dilate(metres=100).reach_for(20, 45) == pytest.approx(3160)
        assert DARK.reach_for(20, 1) == 6060
        assert CLOUDS.reach_for(20, 45) == 0

    def test_prints_itself(self):
        assert repr(DARK) == f"ProjectedShadow(of={CLOUDS!r}, preset='dark')"
        assert repr(DEFAULT) == f"ProjectedShadow(of={CLOUDS!r})"

    @pytest.mark.parametrize(
        ("options", "match"),
        [
            ({"preset": "geee"}, "preset='geee' is not known. Did you mean 'gee'"),
            ({"sun": "mean"}, "sun='mean' is not known"),
            ({"dark": 15}, "dark=15 is no reflectance"),
            ({"heights": (2000, 200)}, "is not a range"),
            ({"heights": (1, 2, 3)}, "is not a range"),
            ({"distance": 0}, "is no length"),
            ({"distance": math.inf}, "is no length"),
            ({"grow": -1}, "is no radius"),
            ({"resolution": 0}, "not a pixel size"),
            ({"of": eo.SCLMask}, "write SCLMask"),
        ],
    )
    def test_mistakes(self, options, match):
        with pytest.raises(MaskError, match=match):
            eo.ProjectedShadow(**{"of": CLOUDS, **options})


class TestSuns:
    def scene(self, **options):
        px, shadow, cloud = disc_scene(*PLACES["on the meridian"], 150.0, 30.0)
        return Pixels(px.bands, px.geobox, 150.0, 30.0, **options), shadow, cloud

    def test_each_pixel_has_the_sun_of_its_granule(self):
        px, shadow, cloud = self.scene()
        of = np.zeros(px.shape, np.uint8)
        of[:, : px.shape[1] // 2] = 1
        wrong, right = Sun(60.0, 30.0), Sun(150.0, 30.0)
        where = np.argwhere(shadow)[:, 1]
        mine = int(where.mean() < px.shape[1] // 2)
        suns = (right, wrong) if mine == 0 else (wrong, right)
        split, *_ = self.scene(suns=suns, sun_of=of)
        own = of == mine
        np.testing.assert_array_equal(apply(DARK, split)[own], apply(DARK, px)[own])
        swapped, *_ = self.scene(suns=suns[::-1], sun_of=of)
        assert scores(apply(DARK, swapped) & own & ~cloud, shadow & own)[0] < 0.1

    def test_unknown_or_set(self):
        px, *_ = self.scene()
        for azimuth, elevation in ((math.nan, 30.0), (150.0, math.nan), (150.0, -1.0), (150.0, 0.0)):
            with pytest.raises(MaskError, match="no shadow can be projected"):
                apply(DARK, Pixels(px.bands, px.geobox, azimuth, elevation))

    def test_degrees(self):
        px, *_ = self.scene()
        box = GeoBox(px.shape, Affine(1e-4, 0, 15, 0, -1e-4, 47), "EPSG:4326")
        with pytest.raises(MaskError, match="give a projected one"):
            apply(DARK, Pixels(px.bands, box, 150.0, 30.0))

    @settings(max_examples=8)
    @given(st.integers(0, 170), st.integers(0, 170), st.booleans())
    def test_does_not_depend_on_the_window(self, top, left, dark):
        """The middle of any window that has its reach around it is the same."""
        rng = np.random.default_rng(0)
        shape = (420, 440)
        nir = rng.uniform(0.05, 0.4, shape).astype(np.float32)
        scl = np.full(shape, 4, np.uint8)
        for row, column in rng.integers(0, 400, (40, 2)):
            scl[row : row + 9, column : column + 13] = 9
        nir[moved(scl == 9, (15, 9))] *= 0.3
        # The lattice straddles two cells of the sun.
        box = GeoBox(shape, Affine(20, 0, 516_000, 0, -20, 5_203_300), "EPSG:32633")
        mask = eo.ProjectedShadow(of=CLOUDS, preset="dark" if dark else "default", distance=500)
        rim = math.ceil(mask.reach_for(20, 40) / 20)
        px = Pixels({"nir": nir, "scl": scl}, box, 150.0, 40.0)
        part = np.s_[top : top + 2 * rim + 20, left : left + 2 * rim + 20]
        cut = Pixels({name: band[part] for name, band in px.bands.items()}, box[part], 150.0, 40.0)
        inner = np.s_[top + rim : top + rim + 20, left + rim : left + rim + 20]
        whole = apply(mask, px)
        assert whole.any()
        np.testing.assert_array_equal(apply(mask, cut)[rim : rim + 20, rim : rim + 20], whole[inner])


class TestSample:
    """The made-up world knows where its shadows are."""

    SIZE = 480

    def pixels(self, flight):
        """Return a granule at 20 m as a mask sees it; where its shadows are, and where that is known."""
        made = next(g for g in granules((flight,), "earth-search") if g.tile == 0)
        rendered = render(made, 0, self.SIZE, ("nir", "scl"), False)
        box = make_tiles(self.SIZE)[0].geobox(20)

        def parts(layer):
            return layer.reshape(self.SIZE // 2, 2, self.SIZE // 2, 2)

        nir = (parts(rendered.pixels["nir"]).mean(axis=(1, 3)) - made.carried) / 10_000
        truth = {kind: parts(found).any(axis=(1, 3)) for kind, found in rendered.truth.items()}
        nir[truth["nodata"]] = np.nan
        bands = {"nir": nir.astype(np.float32), "scl": rendered.pixels["scl"]}
        inner = np.zeros(nir.shape, dtype=bool)
        inner[90:-90, 90:-90] = True  # clouds beyond the granule cast shadows that nobody can project
        where = inner & ~truth["cloud"] & ~truth["nodata"]
        return Pixels(bands, box, *flight.sun()), truth["shadow"], where

    def test_the_default_is_better_than_the_recipes(self):
        names = ("default", "gee", "cordmaur")
        counts = {name: np.zeros(3) for name in names}
        for flight in calendar(0, 12):
            if flight.date in ("2021-06-24", "2021-07-19", "2021-10-22"):
                px, shadow, where = self.pixels(flight)
                for name in names:
                    found = apply(eo.ProjectedShadow(of=CLOUDS, preset=name), px) & where
                    counts[name] += (found & shadow).sum(), (shadow & where).sum(), found.sum()
        f1 = {name: 2 * hit / (true + found) for name, (hit, true, found) in counts.items()}
        assert f1["default"] > 0.65
        assert f1["default"] > max(f1["gee"], f1["cordmaur"]) + 0.05
