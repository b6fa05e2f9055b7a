"""Bad input: a clear error of our own, before any pixel is read."""

from __future__ import annotations

import os
from contextlib import suppress
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox

import eocube as eo
from eocube.errors import (
    BandError,
    EocubeError,
    GridError,
    InputError,
    ItemsError,
    MaskError,
    MissingAssetError,
    NoItemsError,
    ReadError,
    TooLargeError,
)


class Untouched:
    """A loader that must not be called."""

    def __call__(self, sources, geobox):
        raise AssertionError("a pixel was read")


def plan(items, grid, **options):
    return eo.plan(items, grid, **{"bands": ["red"], "loader": Untouched(), "verify_offset": False, **options})


def records(items):
    return [deepcopy(item.to_dict(include_self_link=False, transform_hrefs=False)) for item in items]


class TestPlan:
    def test_unknown_band(self, small, small_items):
        with pytest.raises(
            BandError, match=r"no band 'rad'\. Did you mean 'red'\? Known bands: coastal \(B01\)"
        ):
            plan(small_items, small.grid, bands=["rad"])
        with pytest.raises(BandError, match="No band was asked for"):
            plan(small_items, small.grid, bands=[])
        with pytest.raises(BandError, match="asked for twice: red"):
            plan(small_items, small.grid, bands=["red", "B04"])

    def test_area_outside_all_items(self, small, small_items):
        far = eo.grid_for((5, 49, 5.1, 49.1))
        with pytest.raises(
            NoItemsError, match=r"outside all \d+ Items: it covers .* \(4\.9.*they cover \(11\.9"
        ):
            plan(small_items, far)

    def test_no_items(self, small):
        with pytest.raises(NoItemsError, match="not a single Item"):
            plan([], small.grid)

    @pytest.mark.parametrize(
        ("grid", "message"),
        [
            (None, "is a NoneType, not an odc.geo GeoBox"),
            (GeoBox((5, 5), Affine(10, 0, 0, 0, -10, 0), None), "no CRS"),
            (GeoBox((5, 0), Affine(10, 0, 0, 0, -10, 0), "EPSG:32633"), "no pixels"),
        ],
    )
    def test_unusable_grid(self, small_items, grid, message):
        with pytest.raises(GridError, match=message):
            plan(small_items, grid)

    def test_a_grid_so_large_that_a_task_cannot_hold_it(self, small, small_items):
        large = eo.grid_for((11, 46.5, 13, 47.5))
        with pytest.raises(
            TooLargeError, match=r"about [\d,.]+ MB \(5 scenes x 1 bands x 9000 x 9000 px, float32\)"
        ):
            plan(small_items, large, chunk=9000, memory="1GB")
        with pytest.raises(TooLargeError, match=r"more than memory=50.0 MB: chunk=(\d+) fits") as caught:
            plan(small_items, large, chunk=2048, memory="50MB")
        fits = int(str(caught.value).split("chunk=")[1].split()[0])
        made = plan(small_items, large, chunk=fits, memory="50MB", verify_offset=False)
        assert made.cost.task_bytes <= 50e6
        with pytest.raises(TooLargeError, match="not even 64 px fit: ask for fewer scenes or bands"):
            plan(small_items, large, memory="10kB")

    def test_missing_asset(self, small, small_items):
        found = records(small_items)
        lacking = found[2]["id"]
        del found[2]["assets"]["red"]
        with pytest.raises(
            MissingAssetError, match=rf"1 of {len(found)} Items lack an asset: {lacking} lacks red"
        ):
            plan(found, small.grid)
        made = plan(found, small.grid, on_missing="skip", verify_offset=False)
        assert made.skipped == (f"{lacking}: red",)
        assert "skipped" in repr(made)
        cube = eo.load(found, small.grid, bands=["red"], on_missing="skip")
        assert cube.attrs["skipped"] == [f"{lacking}: red"]

    def test_an_asset_that_no_item_has(self, small, small_items):
        with pytest.raises(MissingAssetError, match=r"None of the \d+ Items has aot\. They have: blue"):
            plan(small_items, small.grid, bands=["aot"])
        with pytest.raises(NoItemsError, match="No Item is left"):
            plan(small_items, small.grid, bands=["aot"], on_missing="skip")

    def test_a_mask_that_needs_a_band_the_items_have_not(self, small, small_items):
        @eo.mask(bands=["cirrus"])
        def high(px):
            return px["cirrus"] > 0.01

        with pytest.raises(MaskError, match="Mask high needs cirrus, but: None of the"):
            plan(small_items, small.grid, mask=high)

    def test_mixed_collections(self, small, small_items):
        found = records(small_items)
        found[0]["collection"] = "sentinel-2-c1-l2a"
        with pytest.raises(ItemsError, match="several collections"):
            plan(found, small.grid)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"dtype": "float64"}, "dtype='float64' is not known"),
            ({"resampling": "cubik"}, "Did you mean 'cubic'"),
            ({"on_missing": "ignore"}, "on_missing='ignore'"),
            ({"memory": "lots"}, "memory='lots' is not a size"),
            ({"memory": -1}, "not a size"),
            ({"chunk": 0}, "chunk=0 is not a number of pixels"),
            ({"chunk": 10.5}, "not a number of pixels"),
            ({"chunk": True}, "not a number of pixels"),
            ({"loader": "magic"}, "no loader 'magic'"),
            ({"mask": "scl"}, "'scl' is not a mask"),
            ({"mask": eo.SCLMask}, "with its brackets"),
        ],
    )
    def test_bad_options(self, small, small_items, options, message):
        with pytest.raises(InputError, match=message):
            plan(small_items, small.grid, **options)


class TestReading:
    """What only shows when it is read: the error names Item, asset and file."""

    @pytest.fixture
    def broken(self, small, small_items, tmp_path):
        def make(damage):
            found = records(small_items)
            victim = [r for r in found if "33TTN" in r["id"]][-1]
            path = tmp_path / "B04.tif"
            path.write_bytes(damage(Path(victim["assets"]["red"]["href"]).read_bytes()))
            victim["assets"]["red"]["href"] = str(path)
            return eo.load(found, small.grid, bands=["red"]), victim["id"]

        return make

    @pytest.mark.parametrize(
        "damage",
        [lambda data: data[: len(data) // 2], lambda data: b"<html>404</html>", lambda data: b""],
        ids=["truncated", "not a TIFF", "empty"],
    )
    def test_broken_files(self, broken, damage):
        cube, victim = broken(damage)
        with pytest.raises(ReadError, match=rf"asset 'red' of Item '{victim}' at .*B04\.tif") as caught:
            cube.compute()
        assert caught.value.item == victim

    def test_the_error_comes_whole_from_a_worker(self, broken):
        from distributed import Client, LocalCluster

        cube, victim = broken(lambda data: b"<html>404</html>")
        with (
            LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None) as cluster,
            Client(cluster),
            pytest.raises(ReadError, match=victim) as caught,
        ):
            cube.compute()
        assert caught.value.asset == "red"

    def test_a_mask_that_returns_nonsense_is_named(self, small, small_items):
        @eo.mask(bands=["scl"])
        def wrong(px):
            return px["scl"][:1] == 9

        with pytest.raises(MaskError, match="Mask wrong returned bool of shape"):
            eo.load(small_items, small.grid, bands=["red"], mask=wrong).compute(scheduler="sync")

    def test_an_unknown_code_is_no_data(self, small, small_items, tmp_path):
        import rasterio

        found = records(small_items)
        for index, record in enumerate(found):
            with rasterio.open(record["assets"]["scl"]["href"]) as file:
                values, profile = file.read(1), file.profile
            values[values == 4] = 200
            path = tmp_path / f"{index}.tif"
            with rasterio.open(path, "w", **profile) as file:
                file.write(values, 1)
            record["assets"]["scl"]["href"] = str(path)
        cube = eo.load(found, small.grid, bands=["red"], mask=eo.SCLMask()).compute()
        whole = eo.load(
            small_items, small.grid, bands=["red"], mask=eo.SCLMask() | eo.SCLMask("vegetation")
        ).compute()
        np.testing.assert_array_equal(cube.values, whole.values)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=int(os.environ.get("EOCUBE_EXAMPLES", "100")))
@given(
    place=st.sampled_from(
        [
            "id",
            "geometry",
            "bbox",
            "collection",
            "properties",
            "assets",
            "datetime",
            "platform",
            "s2:processing_baseline",
            "grid:code",
            "view:sun_azimuth",
            "proj:epsg",
            "red",
        ]
    ),
    value=JSON,
)
def test_odd_items_give_only_our_own_errors(small, small_items, place, value):
    found = records(small_items)
    victim = found[0]
    if place in victim:
        victim[place] = value
    elif place == "red":
        victim["assets"]["red"] = value
    else:
        victim["properties"][place] = value
    with suppress(EocubeError):
        repr(plan(found, small.grid))
