"""ukis-csmask: the package's own classes, wherever a block is cut."""

from __future__ import annotations

import pickle
import warnings

import numpy as np
import pytest
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox
from scipy.ndimage import gaussian_filter
from ukis_csmask.mask import CSmask

import eocube as eo
from eocube.errors import MaskError, MissingExtraError
from eocube.masks import ukis
from eocube.masks.algebra import apply, need
from eocube.pixels import Pixels

SIX = ("blue", "green", "red", "nir", "swir16", "swir22")


def scene(size, resolution=30.0, column=51, row=51, seed=0):
    """Fields with bright puffs and dark patches; 51 pixels from a tile's corner, as the package lays them."""
    rng = np.random.default_rng(seed)
    ground = np.array([0.05, 0.08, 0.09, 0.3, 0.2, 0.12])[:, None, None]
    fields = 1 + 0.3 * gaussian_filter(rng.normal(size=(size, size)), 4) * 8
    puffs = gaussian_filter(rng.normal(size=(size, size)), 12) * 30
    image = np.where(puffs > 1, 0.7 + 0.05 * puffs, np.where(puffs < -1, 0.3, 1) * ground * fields)
    box = GeoBox(
        (size, size),
        Affine(resolution, 0, (204 * 90 + column) * resolution, 0, -resolution, -(row - 204 * 700) * resolution),
        "EPSG:32633",
    )
    return Pixels(dict(zip(SIX, image.astype(np.float32), strict=True)), box)


def of_package(px, bands, level):
    image = np.stack([np.nan_to_num(px[band]) for band in bands], axis=-1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = CSmask(
            image, list(bands), level, nodata_value=0, intra_op_num_threads=1,
            providers=["CPUExecutionProvider"],
        )  # fmt: skip
    return found.csm[..., 0]


@pytest.mark.parametrize(("level", "swir"), [("l2a", True), ("l1c", False)])
def test_the_classes_of_the_package(level, swir):
    """Away from the image's edges, which the package mirrors and a plan reads on beyond."""
    px = scene(620)
    px.bands["green"][300:320, 300:330] = np.nan
    found = eo.UkisCSMask(level=level, swir=swir)
    ours = found.classified(px)
    theirs = of_package(px, found.bands, level)
    inner = (slice(257, -257),) * 2
    assert len(np.unique(theirs[inner])) >= 2
    np.testing.assert_array_equal(ours[inner], theirs[inner])
    thrown = apply(found, px)[inner]
    np.testing.assert_array_equal(thrown, (theirs[inner] > 0) & px.valid[inner])


@pytest.mark.real
def test_the_classes_of_the_package_on_a_real_scene(real):
    import rasterio

    folder = real / "l2a_33T_2023-08" / "S2A_33TWM_20230818_0_L2A"
    part = (slice(200, 780), slice(100, 680))
    layers = {}
    for band, name in zip(SIX[:4], ("B02", "B03", "B04", "B08"), strict=True):
        with rasterio.open(folder / f"{name}.tif") as file:
            numbers = file.read(1)[part]
        layers[band] = np.where(numbers > 0, numbers / np.float32(1e4), np.float32(np.nan))
    px = Pixels(layers, scene(580, 120.0).geobox)
    found = eo.UkisCSMask(swir=False, resolution=120)
    inner = (slice(257, -257),) * 2
    theirs = of_package(px, found.bands, "l2a")[inner]
    assert set(np.unique(theirs)) == {0, 1, 2}
    np.testing.assert_array_equal(found.classified(px)[inner], theirs)


@pytest.mark.real
def test_a_real_scene_in_a_plan(real):
    items = [item for item in eo.search(real / "l2a_33T_2023-08") if "20230820" in item.id]
    grid = eo.grid_for(items)[1500:1700, 300:560]
    found = eo.compare_masks(
        items, grid, {"ukis": eo.UkisCSMask(("cloud",), swir=False, resolution=120),
                      "scl": eo.SCLMask("cloud_medium", "cloud_high")},
    )  # fmt: skip
    assert 0.5 < float(found.clear.sel(mask="ukis")[0]) < 0.99
    assert float(found.kappa.sel(mask="ukis", other="scl")) > 0.6


@pytest.mark.parametrize("resolution", [10.0, 60.0])
def test_pixels_of_another_size(resolution, monkeypatch):
    """The network's pixels stand still; a window of other pixels is taken nearest, there and back."""
    monkeypatch.setattr(ukis, "model_of", lambda level, swir: tilewise)
    found = eo.UkisCSMask()
    fine = scene(520, 30.0)
    box = fine.geobox
    size = int(520 * 30 / resolution)
    centres = ((np.arange(size) + 0.5) * resolution / 30).astype(int)
    layers = {band: values[centres[:, None], centres] for band, values in fine.bands.items()}
    affine = Affine(resolution, 0, box.affine.c, 0, -resolution, box.affine.f)
    other = Pixels(layers, GeoBox((size, size), affine, box.crs))
    if resolution == 60:  # every second pixel each way is all there is
        back = (np.arange(520) // 2) * 2 + 1
        fine = Pixels({band: values[back[:, None], back] for band, values in fine.bands.items()}, box)
    expected = found.classified(fine)[centres[:, None], centres]
    rim = int(np.ceil(257 * 30 / resolution))
    inner = (slice(rim, -rim),) * 2
    assert expected[inner].size
    np.testing.assert_array_equal(found.classified(other)[inner], expected[inner])


@pytest.fixture(scope="module")
def two(small_items):
    return [item for item in small_items if item.datetime.strftime("%Y%m%d") in ("20210624", "20210920")]


def tilewise(image):
    """A quick network that, like the real one, looks at the whole tile for each of its pixels."""
    far = np.add.reduce(image * np.linspace(1, 2, image.shape[-1])[:, None], axis=(1, 2))
    own = gaussian_filter(image[0], 2)
    weights = np.stack([np.full_like(own, 0.2), own + np.sin(far[1]) * 0.1, 0.5 * image[3] + 0.1 * np.cos(far[0])])
    return weights / weights.sum(axis=0)


@settings(max_examples=3)
@given(chunk=st.integers(20, 90), row=st.integers(5, 60), column=st.integers(5, 60))
def test_chunks_and_cuts_do_not_matter(small, two, chunk, row, column):
    bad = eo.UkisCSMask(resolution=20).dilate(metres=30) | eo.SCLMask("cirrus")
    height, width = (int(size) for size in small.grid.shape)

    def thrown(grid, **options):
        made = eo.plan(two, grid, bands=["red"], mask=bad, **options)
        return eo.masks_of(made, flags=True).compute(scheduler="sync").values

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ukis, "model_of", lambda level, swir: tilewise)
        for name, small_one in {"TILE": 32, "STEP": 25, "_REACH": 33}.items():
            patch.setattr(ukis, name, small_one)
        line = np.minimum(np.arange(1, 33), np.arange(32, 0, -1)).clip(max=8)
        patch.setattr(ukis, "_taper", lambda: line[:, None] * line)
        whole = thrown(small.grid)
        assert 0.02 < (whole > 1).mean() < 0.98
        np.testing.assert_array_equal(thrown(small.grid, chunk=chunk), whole)
        part = (slice(row, height), slice(column, width))
        np.testing.assert_array_equal(thrown(small.grid[part]), whole[:, *part])


def test_it_sees_clouds(world, items):
    some = [item for item in items if item.datetime.strftime("%Y%m%d") == "20211022"]
    found = eo.compare_masks(
        some, world.grid[:, :192], {"ukis": eo.UkisCSMask(resolution=20)},
        truth=lambda box, scene: world.classes_on(box, scene.time),
    ).sel(mask="ukis", kind="cloud")  # fmt: skip
    assert found.recall > 0.6
    assert found.precision > 0.6


def test_needs_and_manners():
    found = eo.UkisCSMask()
    assert need(found) == (SIX, 257 * 30.0, 30.0)
    assert need(eo.UkisCSMask(swir=False) | eo.SCLMask()).bands == (*SIX[:4], "scl")
    assert pickle.loads(pickle.dumps(found)) == found == eval(repr(found), {"UkisCSMask": eo.UkisCSMask})
    assert eo.UkisCSMask("cloud").classes == ("cloud",)
    for swir in (True, False):
        assert ukis.model_of("l2a", swir).bands == eo.UkisCSMask(swir=swir).bands


def test_a_window_without_data_or_rim():
    px = scene(40)
    assert apply(eo.UkisCSMask(), px).shape == (40, 40)
    empty = Pixels({band: np.full((40, 40), np.nan, np.float32) for band in SIX}, px.geobox)
    assert not apply(eo.UkisCSMask(), empty).any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"classes": ("clouds",)}, r"no class 'clouds'\. Did you mean 'cloud'"),
        ({"classes": ()}, "no class ''"),
        ({"classes": ("clear",)}, "no class 'clear'"),
        ({"level": "L2"}, "level='L2' is not known"),
        ({"resolution": 0}, "not a pixel size"),
        ({"resolution": None}, "not a pixel size"),
        ({"resolution": float("nan")}, "not a pixel size"),
    ],
)
def test_mistakes(options, message):
    with pytest.raises(MaskError, match=message):
        eo.UkisCSMask(**options)


def test_the_extra_is_named(monkeypatch):
    monkeypatch.setattr("eocube.extras.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'eocube\[ukis\]'"):
        eo.UkisCSMask()


def test_items_without_the_bands_are_refused_when_planned(small, small_items):
    bare = [item.clone() for item in small_items]
    for item in bare:
        item.assets = {name: asset for name, asset in item.assets.items() if name != "swir22"}
    with pytest.raises(MaskError, match=r"UkisCSMask\(.*needs blue, green, red, nir, swir16, swir22, but"):
        eo.plan(bare, small.grid, bands=["red"], mask=eo.UkisCSMask())
