"""Masks: one contract, the algebra of sets, SCL, functions, reach."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from odc.geo.geobox import GeoBox
from scipy.ndimage import binary_dilation, binary_erosion

import eocube as eo
from eocube.errors import BandError, MaskError
from eocube.masks import Mask, as_mask
from eocube.masks.algebra import MaskLike, apply, need
from eocube.pixels import Pixels
from eocube.sentinel2 import SCL_CLASSES


@eo.mask(bands=["blue"])
def too_bright(px):
    return px["blue"] > 0.4


@eo.mask(bands=["B08", "scl"], reach=100, resolution=20)
def dark(px):
    return (px["nir"] < 0.1) & (px["scl"] != 6)


def pixels(scl=None, resolution=20.0, **bands):
    layers = {name: np.asarray(values, np.float32) for name, values in bands.items()}
    if scl is not None:
        layers["scl"] = np.asarray(scl, np.uint8)
    shape = next(iter(layers.values())).shape
    geobox = GeoBox(shape, Affine(resolution, 0, 5e5, 0, -resolution, 5e6), "EPSG:32633")
    return Pixels(layers, geobox, 150.0, 40.0)


def disk(radius):
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    return x * x + y * y <= radius * radius


SCENE = pixels(
    scl=np.arange(30).reshape(5, 6) % 14,
    blue=np.linspace(0, 1, 30).reshape(5, 6),
    nir=np.linspace(0.3, 0, 30).reshape(5, 6),
)
SCL = eo.SCLMask()
MASKS = [
    SCL,
    eo.SCLMask("strict"),
    too_bright,
    dark,
    SCL | too_bright,
    SCL & dark,
    ~SCL,
    SCL.dilate(metres=40),
    eo.SCLMask("strict", cleanup=(20, 40)),
    eo.ProjectedShadow(of=SCL),
    eo.ProjectedShadow(of=too_bright | SCL, preset="gee", dark=0.2, grow=40),
    eo.vote(SCL, too_bright, dark, at_least=2),
]


@pytest.mark.parametrize("found", MASKS, ids=repr)
class TestContract:
    def test_is_a_mask(self, found):
        assert isinstance(found, Mask)
        assert isinstance(found, MaskLike)
        wants = need(found)
        assert set(wants.bands) <= {"scl", "blue", "nir"}
        assert wants.reach >= 0
        assert wants.resolution > 0

    def test_returns_bools(self, found):
        result = apply(found, SCENE)
        assert result.dtype == bool
        assert result.shape == (5, 6)

    def test_pickles_and_prints(self, found):
        again = pickle.loads(pickle.dumps(found))
        assert repr(again) == repr(found)
        np.testing.assert_array_equal(apply(again, SCENE), apply(found, SCENE))

    def test_does_not_change_its_pixels(self, found):
        before = {name: values.copy() for name, values in SCENE.bands.items()}
        apply(found, SCENE)
        for name, values in before.items():
            np.testing.assert_array_equal(values, SCENE.bands[name])


class TestAlgebra:
    @given(hnp.arrays(np.uint8, (6, 7), elements=st.integers(0, 11)))
    def test_like_sets(self, scl):
        px = pixels(scl=scl)
        a, b = eo.SCLMask("cloud_high", "cirrus"), eo.SCLMask("shadow", "cirrus")
        x, y = apply(a, px), apply(b, px)
        np.testing.assert_array_equal(apply(a | b, px), x | y)
        np.testing.assert_array_equal(apply(a & b, px), x & y)
        np.testing.assert_array_equal(apply(~a, px), ~x)
        np.testing.assert_array_equal(apply(~(a | b), px), apply(~a & ~b, px))

    def test_needs_are_united(self):
        joined = SCL | dark.dilate(metres=60)
        assert need(joined) == (("scl", "nir"), 160.0, 20.0)
        assert need(SCL | too_bright).resolution == 10
        assert need(too_bright).resolution == 10
        assert need(~SCL).bands == ("scl",)

    def test_prints_as_it_was_written(self):
        assert repr((SCL | too_bright).dilate(metres=60)) == "(SCLMask() | too_bright).dilate(metres=60)"
        assert repr(~SCL & dark) == "(~SCLMask() & dark)"

    def test_own_objects_join(self):
        class Own:
            bands = ("blue",)
            reach = 0.0
            resolution = None

            def __call__(self, px):
                return px["blue"] < 0.1

        joined = Own() | SCL
        assert need(joined).bands == ("blue", "scl")
        np.testing.assert_array_equal(apply(SCL | Own(), SCENE), apply(SCL, SCENE) | (SCENE["blue"] < 0.1))
        assert apply(SCL & Own(), SCENE).sum() <= apply(joined, SCENE).sum()


class TestDilate:
    @given(hnp.arrays(np.uint8, (15, 17), elements=st.sampled_from([4, 4, 4, 4, 4, 9])), st.integers(1, 4))
    def test_is_a_disk(self, scl, radius):
        px = pixels(scl=scl)
        disk = np.hypot(*np.mgrid[-radius : radius + 1, -radius : radius + 1]) <= radius
        found = apply(eo.SCLMask("cloud_high").dilate(metres=20 * radius), px)
        np.testing.assert_array_equal(found, binary_dilation(scl == 9, disk))

    def test_no_data_is_not_grown(self):
        scl = np.full((9, 9), 4)
        scl[:, :3] = 0
        found = apply(SCL.dilate(metres=60), pixels(scl=scl))
        np.testing.assert_array_equal(found, scl == 0)

    @pytest.mark.parametrize("metres", [0, -5, float("nan"), float("inf")])
    def test_bad_radius(self, metres):
        with pytest.raises(MaskError, match="not a radius"):
            SCL.dilate(metres=metres)


class TestSCL:
    def test_default_classes(self):
        codes = np.arange(256).reshape(16, 16)
        thrown = set(codes[apply(SCL, pixels(scl=codes))].tolist())
        assert thrown & set(range(12)) == {0, 1, 3, 8, 9, 10}
        assert thrown >= set(range(12, 256))  # an unknown code is no data

    @pytest.mark.parametrize(
        ("given_classes", "codes"),
        [
            (("strict",), {0, 1, 2, 3, 7, 8, 9, 10}),
            (("snow",), {0, 1, 3, 8, 9, 10, 11}),
            (("cloud_high", 3, "cirrus"), {3, 9, 10}),
            ((), {0, 1, 3, 8, 9, 10}),
        ],
    )
    def test_names_codes_and_presets(self, given_classes, codes):
        assert eo.SCLMask(*given_classes).classes == codes

    def test_repr(self):
        assert repr(eo.SCLMask()) == "SCLMask()"
        assert repr(eo.SCLMask("strict")) == "SCLMask('strict')"
        assert repr(eo.SCLMask(9, "shadow")) == "SCLMask('shadow', 'cloud_high')"
        assert eo.SCLMask(9) == eo.SCLMask("cloud_high")

    @pytest.mark.parametrize("wanted", ["clouds", 12, -1, True, 3.0])
    def test_unknown_class(self, wanted):
        with pytest.raises(MaskError, match="SCL has no class"):
            eo.SCLMask(wanted)

    @given(hnp.arrays(np.uint8, (25, 31), elements=st.sampled_from([4, 4, 5, 3, 8, 9, 9, 10])))
    def test_cleanup_as_odc_stats(self, scl):
        """Opening by 2 and dilation by 5 pixels of 20 m, as its plugin gm-s2 cleans its clouds."""
        bad = np.isin(scl, (3, 8, 9, 10))
        opened = binary_dilation(binary_erosion(bad, disk(2), border_value=1), disk(2))
        cleaned = eo.SCLMask("shadow", "cloud_medium", "cloud_high", "cirrus", cleanup="odc")
        np.testing.assert_array_equal(apply(cleaned, pixels(scl=scl)), binary_dilation(opened, disk(5)))
        assert cleaned.reach == 180
        assert cleaned.cleanup == (40, 100)

    @pytest.mark.parametrize("code", [0, 1, 13])
    def test_cleanup_leaves_what_is_not_seen(self, code):
        scl = np.full((21, 21), 4)
        scl[:, 0] = code
        scl[10, 1:6] = 9  # a streak that touches it, three pixels wide with it
        scl[9:12, 1:6] = 9
        scl[2, 15] = 9  # a speck
        found = apply(eo.SCLMask(cleanup=(20, 40)), pixels(scl=scl))
        assert found[:, 0].all()
        assert not found[0:6, 1:].any()  # the speck is gone, the rim has not grown
        assert found[10, 1:8].all()  # the cloud at the rim is neither eroded from there, and has grown
        assert not found[10, 9]
        np.testing.assert_array_equal(
            apply(eo.SCLMask(cleanup=(0, 0)), pixels(scl=scl)), apply(eo.SCLMask(), pixels(scl=scl))
        )

    def test_snow_that_cannot_be(self):
        """Snow is bright in green and dark at 1.6 um; a cloud is bright in both, water dark in both."""
        px = pixels(
            scl=[[11, 11, 11, 11, 4]],
            green=[[0.8, 0.6, 0.08, np.nan, 0.6]],
            swir16=[[0.1, 0.5, 0.01, 0.5, 0.5]],
            nir=[[0.7, 0.6, 0.05, 0.6, 0.6]],
        )
        checked = eo.SCLMask(snow="check")
        assert checked.bands == ("scl", "green", "nir", "swir16")
        np.testing.assert_array_equal(apply(checked, px), [[False, True, True, False, False]])
        assert repr(checked) == "SCLMask(snow='check')"
        assert eo.SCLMask("snow", snow="check").bands == ("scl",)  # thrown away in any case

    @pytest.mark.parametrize("cleanup", [(40,), (1, 2, 3), 40, "od", (-1, 40), (float("nan"), 1), ("a", "b")])
    def test_bad_cleanup(self, cleanup):
        with pytest.raises(MaskError, match="is not two radii: give metres"):
            eo.SCLMask(cleanup=cleanup)

    def test_bad_snow(self):
        with pytest.raises(MaskError, match="snow='maybe' is not known"):
            eo.SCLMask(snow="maybe")

    def test_repr_of_all(self):
        assert repr(eo.SCLMask("strict", cleanup=(40, 100), snow="check")) == (
            "SCLMask('strict', cleanup=(40, 100), snow='check')"
        )

    def test_every_class_has_a_name(self):
        assert list(SCL_CLASSES.values()) == list(range(12))


class TestMistakes:
    def test_a_class_instead_of_a_mask(self):
        with pytest.raises(MaskError, match=r"write SCLMask\(\) with its brackets"):
            as_mask(eo.SCLMask)

    def test_a_bare_function(self):
        with pytest.raises(MaskError, match=r"put @eocube\.mask\(bands="):
            as_mask(lambda px: px["blue"] > 0.4)
        with pytest.raises(MaskError, match="not a mask"):
            SCL | 3

    def test_unknown_band(self):
        with pytest.raises(BandError, match=r"no band 'blu'\. Did you mean 'blue'"):
            eo.mask(bands=["blu"])

    def test_undeclared_band(self):
        @eo.mask(bands=["blue"])
        def sees_more(px):
            return px["red"] > 1

        with pytest.raises(BandError, match="asked for band 'red', but declares only"):
            apply(sees_more, pixels(blue=[[0.1]]))

    @pytest.mark.parametrize("options", [{"reach": -1}, {"reach": float("nan")}, {"resolution": 0}])
    def test_bad_lengths(self, options):
        with pytest.raises(MaskError, match="give metres"):
            eo.mask(bands=["blue"], **options)

    @pytest.mark.parametrize(
        ("result", "what"),
        [
            (np.zeros((5, 6)), "float64 of shape"),
            (np.zeros((2, 2), bool), r"bool of shape \(2, 2\)"),
            (True, r"bool of shape \(\)"),
            (None, "object of shape"),
        ],
    )
    def test_what_is_returned_is_checked(self, result, what):
        @eo.mask(bands=["blue"])
        def wrong(px):
            return result

        with pytest.raises(MaskError, match=f"Mask wrong returned {what}"):
            apply(wrong, SCENE)
