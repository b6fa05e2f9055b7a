"""S2Cloudless: the package's probabilities and masks; Level-1C joined to the cube."""

from __future__ import annotations

import pickle
import shutil
import threading
import warnings
from dataclasses import replace

import cv2
import numpy as np
import pytest
from affine import Affine
from dask.base import tokenize
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from lightgbm import Booster
from odc.geo.geobox import GeoBox
from s2cloudless import S2PixelCloudDetector
from s2cloudless.cloud_detector import MODEL_FILENAME
from s2cloudless.utils import MODEL_BANDS as ESA_BANDS

import eocube as eo
from eocube.errors import MaskError, MaskWarning, MissingExtraError
from eocube.masks import blocks, nesting, trees
from eocube.masks.algebra import MaskLike, need
from eocube.masks.disks import clouds, disk
from eocube.masks.s2cloudless import MODEL_BANDS, model_path
from eocube.pixels import Pixels
from eocube.sentinel2 import BANDS


@pytest.fixture(scope="module")
def booster():
    return Booster(model_file=str(model_path()))


@pytest.fixture(scope="module")
def forest():
    return trees.load_forest(model_path())


def spectra(count, seed=0):
    """Anything from dark water to bright cloud, some of it exactly on thresholds of the model."""
    rng = np.random.default_rng(seed)
    level = rng.beta(0.7, 2, (1, count))
    return (level * rng.uniform(0.5, 1.5, (10, count))).astype(np.float32)


CLEAR = np.array(
    [0.109, 0.079, 0.041, 0.072, 0.244, 0.279, 0.082, 0.001, 0.125, 0.055], np.float32
)  # a wood in summer
CLOUD = np.array([0.62, 0.60, 0.58, 0.60, 0.64, 0.66, 0.40, 0.008, 0.42, 0.32], np.float32)


def sky(rows=30, columns=40, seed=0):
    """A cloud over a wood, with a frayed edge: (band, y, x)."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:rows, :columns]
    share = np.clip(1.5 - np.hypot(y - 12, x - 15) / 7 + 0.3 * rng.standard_normal((rows, columns)), 0, 1)
    mixed = CLEAR[:, None, None] * (1 - share) + CLOUD[:, None, None] * share
    return (mixed * rng.uniform(0.9, 1.1, mixed.shape)).astype(np.float32)


def pixels(layers, resolution=60.0, left=600_000.0, top=5_100_000.0):
    shape = layers.shape[1:]
    geobox = GeoBox(shape, Affine(resolution, 0, left, 0, -resolution, top), "EPSG:32633")
    return Pixels(dict(zip(MODEL_BANDS, layers, strict=True)), geobox)


# --- the model


@pytest.mark.parametrize("count", [1, 7, 8, 9, 1023, 1025, 3000])
def test_probabilities_are_lightgbms(booster, forest, count):
    features = spectra(count, count)
    expected = booster.predict(features.T.astype(np.float64))
    found = forest.probability(features)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)


def test_values_on_a_threshold_go_lightgbms_way(booster, forest):
    rng = np.random.default_rng(1)
    known = np.where(np.isfinite(forest.thresholds), forest.thresholds, 0.5)
    exact = np.stack([rng.choice(own, 2000) for own in known])
    chosen = exact.astype(np.float32)  # some a little more than the threshold, some a little less
    assert 0.2 < (chosen > exact).mean() < 0.8
    expected = booster.predict(chosen.T.astype(np.float64))
    np.testing.assert_allclose(forest.probability(chosen), expected, rtol=0, atol=1e-6)


def test_the_bands_are_the_packages():
    assert tuple(BANDS[name].esa for name in MODEL_BANDS) == tuple(ESA_BANDS)
    assert model_path().name == MODEL_FILENAME


def test_the_model_is_read_once(monkeypatch):
    read, packed = [], trees.forest_of
    monkeypatch.setattr(trees, "forest_of", lambda text: read.append(1) or packed(text))
    trees._read.cache_clear()
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(trees.load_forest(model_path()))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(read) == 1
    assert len({id(one) for one in found}) == 1


@pytest.mark.parametrize(
    ("old", "new"),
    [("objective=binary sigmoid:1", "objective=regression"), ("decision_type=2", "decision_type=1")],
)
def test_other_models_are_refused(old, new):
    with pytest.raises(MaskError, match="The model"):
        trees.forest_of(model_path().read_text().replace(old, new))


def test_wrong_count_of_features(forest):
    with pytest.raises(MaskError, match="takes 10 features"):
        forest.probability(spectra(5)[:9])


def test_the_extra_is_named(monkeypatch):
    monkeypatch.setattr("eocube.extras.find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match=r"eocube\[s2cloudless\]"):
        eo.S2Cloudless()


# --- from probability to mask


@pytest.mark.parametrize("radius", range(1, 25))
def test_disks_are_opencvs(radius):
    blank = np.zeros((2 * radius + 1,) * 2, np.uint8)
    np.testing.assert_array_equal(disk(radius), cv2.circle(blank, (radius, radius), radius, 1, -1))


# Multiples of 1/128: sums of them are exact in single precision, too, in which OpenCV adds up.
_levels = st.integers(0, 128).map(lambda n: n / 128)


@given(
    hnp.arrays(np.float32, st.tuples(st.integers(6, 24), st.integers(6, 24)), elements=_levels),
    st.integers(0, 5),
    st.integers(0, 4),
    st.sampled_from([0.11, 0.4, 0.77]),
)
def test_masks_are_the_packages(values, average, dilation, threshold):
    package = S2PixelCloudDetector(threshold, average_over=average, dilation_size=dilation if average else 0)
    expected = package.get_mask_from_prob(values[None])[0].astype(np.uint8)
    if dilation and not average:  # the package's own way ends in an int8, which OpenCV 5 does not dilate
        expected = cv2.dilate(expected, S2PixelCloudDetector(dilation_size=dilation).dilation_filter)
    np.testing.assert_array_equal(clouds(values, threshold, average, dilation), expected.astype(bool))


def test_no_data_is_neither_averaged_nor_grown():
    values = np.full((20, 20), 0.5, np.float32)
    values[:, 10:] = np.nan
    assert clouds(values, 0.4, 4, 0)[:, :10].all()  # zeros would have pulled the edge below 0.4
    assert not clouds(values, 0.4, 4, 0)[:, 10:].any()
    assert not clouds(np.where(np.isnan(values), np.nan, 0.1), 0.4, 4, 2).any()


def test_without_data_thrown_away_or_kept():
    layers = np.tile(CLEAR[:, None, None], (1, 30, 30))
    layers[3, :, 15:] = np.nan
    found = eo.S2Cloudless()(pixels(layers))
    assert found[:, 15:].all()
    assert not found[:, :15].any()
    assert not eo.S2Cloudless(on_missing="skip_mask")(pixels(layers)).any()


def test_equal_to_the_package_on_a_window():
    layers = sky()
    package = S2PixelCloudDetector(0.4, average_over=4, dilation_size=2)
    expected = package.get_cloud_masks(layers.transpose(1, 2, 0)[None])[0].astype(bool)
    mask = eo.S2Cloudless()
    np.testing.assert_array_equal(mask(pixels(layers)), expected)
    assert 0 < expected.mean() < 1
    px = pixels(layers)
    assert mask._probability(px, None) is mask._probability(px, None)  # shared, not made twice
    other = pixels(np.roll(layers, 1, axis=2))
    np.testing.assert_array_equal(mask.probability(other), np.roll(mask.probability(px), 1, axis=1))


def test_metres_and_pixels_are_the_same():
    layers = sky()
    metres = eo.S2Cloudless(average_over=240, dilation_size=120, unit="metres")
    np.testing.assert_array_equal(eo.S2Cloudless()(pixels(layers)), metres(pixels(layers)))
    assert metres.reach == eo.S2Cloudless().reach


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"threshold": 40}, "did you mean 0.4"),
        ({"threshold": 0}, "between 0 and 1"),
        ({"threshold": 1.0}, "between 0 and 1"),
        ({"threshold": float("nan")}, "between 0 and 1"),
        ({"average_over": -1}, "average_over=-1 is not a radius"),
        ({"dilation_size": 1.5}, "whole number of pixels"),
        ({"dilation_size": float("inf"), "unit": "metres"}, "dilation_size=inf"),
        ({"unit": "feet"}, "pixels, metres"),
        ({"resolution": 5}, "10 to 160"),
        ({"resolution": 500}, "10 to 160"),
        ({"on_missing": "skip"}, "raise, skip_mask"),
        ({"l1c": []}, "holds no Items"),
        ({"l1c": "folder"}, "holds no Items"),
    ],
)
def test_parameters_out_of_range(wrong, message):
    with pytest.raises(MaskError, match=message):
        eo.S2Cloudless(**wrong)


# --- on finer pixels than its own


def test_beside_a_finer_mask_it_runs_on_its_own_pixels():
    coarse = sky(24, 30)
    fine = coarse.repeat(3, axis=1).repeat(3, axis=2)
    mask = eo.S2Cloudless()
    alone = mask(pixels(coarse))
    joined = mask(pixels(fine, resolution=20.0))
    assert 0 < alone.mean() < 1
    np.testing.assert_array_equal(joined, alone.repeat(3, axis=0).repeat(3, axis=1))


@given(st.integers(0, 8), st.integers(0, 8), st.sampled_from([10.0, 20.0, 25.0]))
def test_blocks_do_not_depend_on_the_window(row, column, resolution):
    layer = np.random.default_rng(0).random((60, 60), dtype=np.float32)
    layer[10:20, 5:30] = np.nan
    whole = pixels(np.stack([layer] * 10), resolution=resolution)
    part = pixels(
        np.stack([layer[row:, column:]] * 10),
        resolution,
        600_000 + column * resolution,
        5_100_000 - row * resolution,
    )
    spread = [(own := blocks.blocks_of(px, 60.0)).spread(own.mean(px["blue"])) for px in (whole, part)]
    rim = 6  # blocks that the window cuts
    np.testing.assert_array_equal(
        spread[0][row + rim : -rim, column + rim : -rim], spread[1][rim:-rim, rim:-rim]
    )


@pytest.mark.parametrize(
    "mask",
    [
        eo.S2Cloudless(),
        eo.S2Cloudless(average_over=None, unit="metres", resolution=20, on_missing="skip_mask"),
        eo.CloudProbability("cloud", 40),
        eo.CloudProbability("snow", 60, average_over=40, unit="metres", on_missing="skip_mask"),
        eo.SCLMask() | eo.S2Cloudless() & eo.CloudProbability("cloud", 40),
    ],
    ids=repr,
)
def test_the_contract_of_masks(mask):
    assert isinstance(mask, MaskLike)
    copy = pickle.loads(pickle.dumps(mask))
    assert copy == mask
    assert hash(copy) == hash(mask)
    assert repr(copy) == repr(mask)
    assert tokenize(copy) == tokenize(mask)
    wants = need(mask)
    assert wants.reach >= 0
    assert set(wants.bands) <= set(BANDS)


def test_a_nested_mask_is_found_and_replaced():
    inner = eo.S2Cloudless([object()])
    mask = (~(eo.SCLMask() & inner)).dilate(metres=60) | eo.SCLMask("snow")
    assert inner in list(nesting.parts_of(mask))
    changed = nesting.replaced(mask, lambda part: part.settled() if part is inner else part)
    assert "Items" in repr(mask)
    assert "Items" not in repr(changed)
    assert changed.bands == mask.bands
    assert nesting.replaced(mask, lambda part: part) is mask


# --- joined to a cube


@pytest.fixture(scope="module")
def l1c(small):
    return eo.search(small.l1c())


@pytest.fixture(scope="module")
def expected(small, l1c):
    """The package's mask of each pass, on the lattice that eocube masks on, from 13-band cubes."""

    def of(grid, **kw):
        cube = eo.load(l1c, grid, bands=list(MODEL_BANDS)).compute()
        package = S2PixelCloudDetector(0.4, **kw)
        found = package.get_cloud_masks(np.nan_to_num(cube.values).transpose(0, 2, 3, 1)).astype(bool)
        return found, np.isfinite(cube.values).all(axis=1)

    return of


def test_a_cube_masked_by_joined_level_1c(small, small_items, l1c, expected):
    grid = small.grid.zoom_out(6)
    plan = eo.plan(small_items, grid, bands="red", mask=eo.S2Cloudless(l1c, average_over=0, dilation_size=0))
    cube, bare = eo.load(plan).compute(), eo.load(small_items, grid, bands="red").compute()
    found, valid = expected(grid, average_over=0, dilation_size=0)
    for step in range(len(cube.time)):
        both = valid[step] & np.isfinite(bare.values[step, 0])
        np.testing.assert_array_equal(np.isnan(cube.values[step, 0])[both], found[step][both])
        assert np.isnan(cube.values[step, 0])[~valid[step]].all()
    assert 0 < found[valid].mean() < 1
    assert "l1c of" in repr(plan)
    assert not plan.unmasked


def test_the_offset_is_level_1cs_own(small_items, l1c, small):
    plan = eo.plan(small_items, small.grid, bands="red", mask=eo.S2Cloudless(l1c))
    pairs = {
        (g.baseline >= "04.00", g.companion.every_offset["l1c:blue"]) for s in plan.scenes for g in s.granules
    }
    assert pairs == {(False, 0.0), (True, -1000.0)}
    # What the cube says of itself is of its own bands.
    bare = eo.plan(small_items, small.grid, bands="red")
    assert [s.offset for s in plan.scenes] == [s.offset for s in bare.scenes]


def test_each_item_gets_its_own_pass_tile_and_half(small_items, l1c, small):
    plan = eo.plan(small_items, small.grid, bands="red", mask=eo.S2Cloudless(l1c))
    for scene in plan.scenes:
        for granule in scene.granules:
            assert granule.companion.id == granule.id.replace("L2A", "L1C")


def test_items_of_another_catalog_are_joined_by_pass(small, l1c, tmp_path):
    """Planetary Computer writes the start of the data take, other ids and ``Sentinel-2A``."""
    other = eo.sample.write(tmp_path / "pc", seed=3, size=96, dates=5, naming="planetary-computer")
    mask = eo.S2Cloudless(l1c)
    plan = eo.plan(eo.search(other.items_path), small.grid, bands="red", mask=mask, verify_offset=False)
    for scene in plan.scenes:
        for granule in scene.granules:
            companion = granule.companion
            assert companion.tile == granule.tile
            assert companion.platform == granule.platform
            assert companion.time.date() == granule.time.date()


def test_the_result_does_not_depend_on_chunks_or_cuts(small, small_items, l1c):
    clear = eo.SCLMask() | eo.S2Cloudless(l1c)
    for mask in (eo.S2Cloudless(l1c), clear.dilate(metres=40)):
        whole = eo.load(small_items, small.grid, bands="red", mask=mask).compute().values
        cut = eo.load(small_items, small.grid, bands="red", mask=mask, chunk=48).compute().values
        np.testing.assert_array_equal(whole, cut)
        part = eo.load(small_items, small.grid[17:63, 23:80], bands="red", mask=mask).compute().values
        np.testing.assert_array_equal(whole[:, :, 17:63, 23:80], part)
        assert 0 < np.isnan(whole).mean() < 1


@settings(max_examples=4)
@given(st.data())
def test_any_window_in_any_chunks(small, small_items, l1c, data):
    rows, columns = (int(size) for size in small.grid.shape)
    top, left = data.draw(st.integers(0, rows - 20)), data.draw(st.integers(0, columns - 20))
    window = np.s_[
        top : data.draw(st.integers(top + 8, rows)), left : data.draw(st.integers(left + 8, columns))
    ]
    mask = (eo.S2Cloudless(l1c, average_over=2, dilation_size=1) & ~eo.SCLMask("water")).dilate(metres=30)
    whole = _whole(small, small_items, mask)
    chunk = data.draw(st.integers(16, 64))
    part = eo.load(small_items, small.grid[window], bands="red", mask=mask, chunk=chunk).compute().values
    np.testing.assert_array_equal(whole[..., *window], part)


_wholes = {}


def _whole(small, items, mask):
    """The mosaic in one piece, made once."""
    if small.path not in _wholes:
        _wholes[small.path] = eo.load(items, small.grid, bands="red", mask=mask).compute().values
    return _wholes[small.path]


def test_a_mosaic_in_another_crs(small, small_items, l1c):
    grid = eo.grid_for(small.bbox, crs="EPSG:3857", resolution=30)
    cube = eo.load(small_items, grid, bands="red", mask=eo.S2Cloudless(l1c)).compute()
    bare = eo.load(small_items, grid, bands="red").compute()
    gone = np.isnan(cube.values) & np.isfinite(bare.values)
    truth = np.stack([small.cloud_on(grid, str(day)[:10]) for day in cube.time.values])
    seen = np.isfinite(bare.values[:, 0])
    assert truth[gone[:, 0]].mean() > 0.5 * truth[seen].mean()
    assert gone[:, 0][truth & seen].mean() > 2 * gone[:, 0][~truth & seen].mean()


def test_level_1c_as_the_cube_itself(small, l1c):
    cube = eo.load(l1c, small.grid, bands=["red", "cirrus"], mask=eo.S2Cloudless()).compute()
    bare = eo.load(l1c, small.grid, bands=["red", "cirrus"]).compute()
    assert np.isnan(cube.values).sum() - np.isnan(bare.values).sum() > 0


def test_level_2a_is_refused_and_says_why(small, small_items):
    for mask in (eo.S2Cloudless(), (eo.SCLMask() | eo.S2Cloudless()).dilate(metres=20)):
        with pytest.raises(MaskError, match=r"Level-2A .*trained on Level-1C.*S2Cloudless\(l1c=items\)"):
            eo.plan(small_items, small.grid, bands="red", mask=mask)
    with pytest.raises(MaskError, match="was given Level-2A"):
        eo.plan(small_items, small.grid, bands="red", mask=eo.S2Cloudless(small_items))


def test_scenes_without_level_1c_are_listed(small, small_items, l1c):
    day = l1c[0].id.split("_")[2]
    some = [item for item in l1c if day not in item.id]
    missing = sorted(item.id for item in small_items if day in item.id)
    with pytest.raises(MaskError, match="1 of 5 scenes have no Level-1C") as error:
        eo.plan(small_items, small.grid, bands="red", mask=eo.S2Cloudless(some))
    assert missing[-1] in str(error.value)
    assert "on_missing='skip_mask'" in str(error.value)


def test_level_1c_of_another_tile(small, small_items, l1c):
    other = [item for item in l1c if "32TQT" in item.id]
    with pytest.raises(MaskError, match=r"are of tiles 32TQT, .*; none is of tile 33TTN"):
        eo.plan(small_items, small.grid, bands="red", mask=eo.S2Cloudless(other))


def test_level_1c_that_lacks_a_band(small, small_items, l1c):
    broken = [item.clone() for item in l1c]
    for item in broken:
        item.set_self_href(l1c[0].get_self_href())
    del broken[0].assets["cirrus"]
    with pytest.raises(MaskError, match=f"{broken[0].id} lacks cirrus"):
        eo.plan(small_items, small.grid, bands="red", mask=eo.S2Cloudless(broken))


def test_scenes_without_level_1c_are_not_masked_when_that_is_asked_for(small, small_items, l1c):
    """The other parts of a joined mask go on, to the pixel, and what was left out is listed."""
    day = l1c[0].id.split("_")[2]
    some = [item for item in l1c if day not in item.id]
    mask = eo.S2Cloudless(some, on_missing="skip_mask")
    with pytest.warns(MaskWarning, match="throws nothing away where it is blind: 1 of 5 scenes"):
        plan = eo.plan(small_items, small.grid, bands="red", mask=(eo.SCLMask() | mask).dilate(metres=60))
    assert all(day in name for name in plan.unmasked)
    assert plan.unmasked
    assert "unmasked" in repr(plan)
    found = eo.load(plan).compute()
    assert found.attrs["unmasked"] == list(plan.unmasked)
    scl = eo.load(small_items, small.grid, bands="red", mask=eo.SCLMask().dilate(metres=60)).compute()
    alike = [np.array_equal(a, b, equal_nan=True) for a, b in zip(found.values, scl.values, strict=True)]
    assert alike[0]
    assert not all(alike)


def test_one_granule_without_level_1c_leaves_the_others_masked(small, small_items, l1c):
    gone = next(item.id for item in l1c if "32TQT_20210624" in item.id)
    mask = eo.S2Cloudless([item for item in l1c if item.id != gone], on_missing="skip_mask")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MaskWarning)
        plan = eo.plan(small_items, small.grid, bands="red", mask=mask)
        found = eo.load(plan).sel(time="2021-06-24").compute().values
    assert plan.unmasked == (gone.replace("L1C", "L2A"),)
    whole = eo.load(small_items, small.grid, bands="red", mask=eo.S2Cloudless(l1c))
    bare = eo.load(small_items, small.grid, bands="red")
    masked, clear = (np.isnan(cube.sel(time="2021-06-24").compute().values) for cube in (whole, bare))
    lost = np.isnan(found)
    assert not (lost & ~masked).any()
    assert (lost & ~clear).any()


def test_the_plan_leaves_the_items_behind(small, small_items, l1c):
    plan = eo.plan(small_items, small.grid, bands="red", mask=eo.SCLMask() | eo.S2Cloudless(l1c))
    assert b"FeatureCollection" not in pickle.dumps(plan)
    assert all(part.l1c == () for part in nesting.parts_of(plan.mask) if isinstance(part, eo.S2Cloudless))
    copy = pickle.loads(pickle.dumps(plan))
    assert copy.mask == plan.mask
    from eocube.lazy import token_of

    assert token_of(copy) == token_of(plan)
    moved = replace(plan, scenes=eo.plan(small_items, small.grid, bands="red").scenes)
    assert token_of(moved) != token_of(plan)


def test_a_composite_by_it_is_one_task_per_chunk(small, small_items, l1c):
    cube = eo.load(small_items, small.grid, bands=["red", "nir"], mask=eo.S2Cloudless(l1c), chunk=48)
    best = eo.composite(cube, eo.Median())
    assert np.isfinite(best.compute()).any()


def test_files_are_signed_as_their_own_catalog_says(small, small_items):
    payer = replace(eo.EARTH_SEARCH_L1C, url=str(small.l1c()), collection="", signer="s3:requester-pays")
    mask = eo.S2Cloudless(eo.search(payer, small.bbox, "2021/2022"))
    plan = eo.plan(small_items, small.grid, bands="red", mask=mask)
    signers = {
        band: source.signer
        for scene in plan.scenes
        for granule in scene.granules
        for band, source in granule.every_source.items()
    }
    assert signers["red"] == ""
    assert signers["l1c:blue"] == "s3:requester-pays"


def test_a_baseline_that_nobody_says_is_warned_of(small, small_items, l1c):
    unsaid = [item.to_dict() for item in l1c]
    for record in unsaid:
        for key in ("s2:processing_baseline", "s2:product_uri", "s2:datastrip_id"):
            del record["properties"][key]
        for asset in record["assets"].values():
            del asset["raster:bands"]
    with pytest.warns(eo.errors.EocubeWarning, match=r"say neither a processing baseline .*_L1C"):
        eo.plan(small_items, small.grid, bands="red", mask=eo.S2Cloudless(unsaid), verify_offset=False)


def test_a_file_that_cannot_be_read_is_named_or_skipped(small, small_items, tmp_path):
    folder = tmp_path / "l1c"
    shutil.copytree(small.l1c(), folder)
    broken = next(
        path for path in sorted(folder.rglob("B10.jp2")) if "33TTN" in str(path) and "20210624" in str(path)
    )
    broken.write_bytes(b"no picture")
    mask = eo.S2Cloudless(eo.search(folder))
    with pytest.raises(eo.ReadError, match=rf"asset 'cirrus' of Item '{broken.parent.name}'"):
        eo.load(small_items, small.grid, bands="red", mask=mask).compute()
    cube = eo.load(small_items, small.grid, bands="red", mask=mask, on_error="skip")
    with pytest.warns(eo.errors.LossWarning, match=broken.parent.name):
        found = cube.compute()
    assert {loss.asset for loss in eo.lost(found)} == {"cirrus"}
    whole = eo.load(
        small_items, small.grid, bands="red", mask=eo.S2Cloudless(eo.search(small.l1c()))
    ).compute()
    days = [str(day)[:10] == "2021-06-24" for day in cube.time.values]
    for same, a, b in zip(days, found.values, whole.values, strict=True):
        assert np.array_equal(a, b, equal_nan=True) is not same


def test_bright_level_1c_where_both_offsets_meet():
    """There a code may need more than 16 bits."""
    from eocube.codes import Coding
    from eocube.reading import _wide_enough

    class Old:
        every_offset = {"l1c:blue": 0.0}

    numbers = np.full((1, 1, 2, 2), 65_000, np.uint16)
    wide = _wide_enough(numbers, [Old()], ("l1c:blue",), Coding((1000,), (10_000.0,), "float32"))
    assert wide.dtype == np.int32


# --- the real thing


@pytest.mark.real
def test_real_probabilities_of_five_frames(real):
    folder = real / "eolearn_l1c"
    scenes = np.load(folder / "REFERENCE_SCENES.npy")  # frames 2, 1, 4, 3, 0 of the patch
    stored = np.load(folder / "TestEOPatch/data/CLP_S2C.npy")[[2, 1, 4, 3, 0], ..., 0]
    order = [0, 1, 3, 4, 7, 8, 9, 10, 11, 12]
    for scene, expected in zip(scenes, stored, strict=True):
        found = eo.S2Cloudless().probability(pixels(scene.transpose(2, 0, 1)[order], resolution=60.0))
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)


@pytest.mark.real
def test_real_masks_of_every_pixel(real):
    folder = real / "eolearn_l1c/TestEOPatch"
    probability = np.load(folder / "data/CLP_S2C.npy")[..., 0]
    stored = np.load(folder / "mask/CLM_S2C.npy")[..., 0].astype(bool)
    found = np.stack([clouds(own, 0.4, 4, 2) for own in probability])
    assert found.size == 686_800
    np.testing.assert_array_equal(found, stored)


@pytest.mark.real
def test_real_items_of_three_collections_are_joined(real):
    """Earth Search's Items of one acquisition: L2A of both collections find their L1C."""
    import json

    from eocube.granules import granule_of
    from eocube.items import as_dicts, layout_of
    from eocube.matches import companion_of, level_1c

    path = real / "stac/extracted/earthsearch-v1_20EPT_2025-07-31_three-collections.json"
    features = json.loads(path.read_text())["features"]
    offered = level_1c([f for f in features if f["collection"] == "sentinel-2-l1c"])
    others = [f for f in features if f["collection"] in ("sentinel-2-l2a", "sentinel-2-c1-l2a")]
    joined = {}
    for record in as_dicts(others):
        granule = granule_of(record, ("red",), layout_of(record))
        companion = companion_of(granule, offered=offered)
        joined[granule.id] = companion and companion.id
        if companion:
            assert companion.tile == granule.tile
            assert companion.time == granule.time
            assert companion.sources["l1c:cirrus"].href.endswith("B10.jp2")
            assert set(companion.offsets.values()) == {-1000.0}
    assert sum(found is not None for found in joined.values()) == 10
