"""One contract for all loaders, parity with GDAL's exact warper, errors that name the file."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox
from rasterio.enums import Resampling
from rasterio.vrt import WarpedVRT

from eocube.errors import InputError, ReadError
from eocube.grids import nests
from eocube.loaders import Loader, Source, loader_named
from eocube.loaders.cog import CogLoader
from eocube.loaders.rio import RioLoader
from eocube.loaders.stack import StackstacLoader

LOADERS = [RioLoader(), StackstacLoader(), CogLoader()]
CRS = "EPSG:32633"
HOME = GeoBox((90, 120), Affine(20, 0, 500_000, 0, -20, 5_200_000), CRS)


@pytest.fixture(scope="module")
def tif(tmp_path_factory):
    """A file of 90 x 120 px of 20 m with a wedge of no data."""
    rng = np.random.default_rng(0)
    values = rng.integers(1, 9000, HOME.shape).astype("uint16")
    rows, columns = np.indices(HOME.shape)
    values[columns + rows // 2 < 25] = 0
    path = tmp_path_factory.mktemp("tif") / "B04.tif"
    with rasterio.open(
        path, "w", driver="GTiff", height=90, width=120, count=1, dtype="uint16", crs=CRS,
        transform=HOME.affine, nodata=0, tiled=True, blockxsize=32, blockysize=32, compress="deflate",
    ) as file:  # fmt: skip
        file.write(values, 1)
    return path, values


def source(path, **options):
    return Source(str(path), "item-1", "red", **options)


def window(left=0, top=0, rows=40, columns=50, pixel=20.0, crs=CRS):
    return GeoBox((rows, columns), Affine(pixel, 0, 500_000 + left, 0, -pixel, 5_200_000 - top), crs)


@pytest.mark.parametrize("loader", LOADERS, ids=repr)
class TestContract:
    def test_is_a_loader(self, loader):
        assert isinstance(loader, Loader)
        assert pickle.loads(pickle.dumps(loader)) == loader

    def test_same_lattice_is_a_copy(self, loader, tif):
        path, values = tif
        found = loader([source(path), source(path)], window(200, 100))
        assert found.shape == (2, 40, 50)
        assert found.dtype == np.uint16
        np.testing.assert_array_equal(found[0], values[5:45, 10:60])
        np.testing.assert_array_equal(found[1], found[0])

    def test_outside_is_no_data(self, loader, tif):
        path, values = tif
        found = loader([source(path)], window(-200, -100, 200, 200))[0]
        expected = np.zeros((200, 200), np.uint16)
        expected[5:95, 10:130] = values
        np.testing.assert_array_equal(found, expected)
        far = loader([source(path)], window(1e6, 0))[0]
        assert (far == 0).all()

    def test_nested_is_repeated(self, loader, tif):
        path, values = tif
        found = loader([source(path)], window(200, 100, 80, 100, 10.0))[0]
        np.testing.assert_array_equal(found, values[5:45, 10:60].repeat(2, 0).repeat(2, 1))

    def test_nearest_and_bilinear_are_gdal_s(self, loader, tif):
        path, _ = tif
        box = window(33, 47, 60, 70, 13.0)
        for method in ("nearest", "bilinear"):
            found = loader([source(path, resampling=method)], box)[0]
            off = np.abs(found.astype(int) - warped(path, box, method))
            assert off.max() <= 1  # of ten thousandths: GDAL adds up in another order
            assert (off > 0).mean() < 0.01

    def test_no_data_is_never_mixed_in(self, loader, tmp_path):
        path = tmp_path / "flat.tif"
        values = np.full(HOME.shape, 5000, "uint16")
        values[:, :60] = 0
        with rasterio.open(
            path, "w", driver="GTiff", height=90, width=120, count=1, dtype="uint16", crs=CRS,
            transform=HOME.affine, nodata=0,
        ) as file:  # fmt: skip
            file.write(values, 1)
        found = loader([source(path)], window(7, 9, 60, 100, 20.0))[0]
        assert set(np.unique(found)) == {0, 5000}

    def test_one_file_missing_names_item_and_file(self, loader, tif):
        path, _ = tif
        with pytest.raises(ReadError, match=r"asset 'red' of Item 'item-1' at .*gone\.tif") as caught:
            loader([source(path), source(path.parent / "gone.tif")], window())
        assert caught.value.item == "item-1"
        assert pickle.loads(pickle.dumps(caught.value)).href == caught.value.href

    def test_truncated_file(self, loader, tif, tmp_path):
        path, _ = tif
        cut = tmp_path / "cut.tif"
        cut.write_bytes(Path(path).read_bytes()[:9000])
        with pytest.raises(ReadError, match=r"cut\.tif"):
            loader([source(cut)], window(0, 0, 90, 120))

    def test_a_crs_that_leads_nowhere(self, loader, tmp_path):
        """A damaged header may hold a CRS that PROJ can read and not use."""
        with rasterio.open(
            tmp_path / "odd.tif", "w", driver="GTiff", height=64, width=64, count=1, dtype="uint16", nodata=0,
            crs='ENGCRS["odd",EDATUM["odd"],CS[Cartesian,2],AXIS["x",east],AXIS["y",north],LENGTHUNIT["metre",1]]',
            transform=HOME.affine, tiled=True, blockxsize=32, blockysize=32,
        ) as file:  # fmt: skip
            file.write(np.ones((64, 64), "uint16"), 1)
        with pytest.raises(ReadError, match=r"item-1.*odd\.tif.*(no way leads|CRS|transform)"):
            loader([source(tmp_path / "odd.tif")], window())

    def test_not_a_tiff(self, loader, tmp_path):
        page = tmp_path / "page.tif"
        page.write_text("<html>not found</html>")
        with pytest.raises(ReadError, match=r"page\.tif"):
            loader([source(page)], window())


def warped(path, box, method):
    with (
        rasterio.open(path) as file,
        WarpedVRT(
            file, crs=str(box.crs), transform=box.affine, height=box.shape[0], width=box.shape[1],
            resampling=Resampling[method], tolerance=1e-6, src_nodata=0, nodata=0,
        ) as vrt,
    ):  # fmt: skip
        return vrt.read(1)


def test_loader_names():
    assert loader_named("rio") == RioLoader()
    assert loader_named("stackstac") == StackstacLoader()
    assert loader_named(LOADERS[0]) is LOADERS[0]
    with pytest.raises(InputError, match=r"no loader 'rioo'\. Did you mean 'rio'"):
        loader_named("rioo")
    with pytest.raises(InputError, match="cannot be called"):
        loader_named(3)


@pytest.mark.parametrize(("crs", "pixel"), [("EPSG:32632", 20.0), ("EPSG:3857", 25.0), ("EPSG:4326", 2e-4)])
@pytest.mark.parametrize("method", ["nearest", "bilinear", "cubic", "average"])
def test_other_crs_agrees_with_gdal_s_exact_warper(tif, crs, pixel, method):
    path, _ = tif
    box = GeoBox.from_bbox(HOME.extent.to_crs(crs).boundingbox.bbox, crs, resolution=pixel)
    found = RioLoader()([source(path, resampling=method)], box)[0].astype(int)
    expected = warped(path, box, method).astype(int)
    if (method, crs) in [("nearest", crs), ("bilinear", "EPSG:32632"), ("bilinear", "EPSG:3857")]:
        assert (np.abs(found - expected) > 1).mean() <= 1e-4
    else:  # GDAL sizes a wide kernel by the window; ours is sized by the file
        inside = (found > 0) & (expected > 0)
        assert inside.mean() > 0.7
        assert np.abs(found - expected)[inside].mean() < 40


@pytest.mark.parametrize("method", ["bilinear", "cubic", "average", "lanczos"])
def test_no_data_that_is_not_tagged_is_not_mixed_in_either(tmp_path, method):
    path = tmp_path / "untagged.tif"
    values = np.full(HOME.shape, 3000, "uint16")
    values[:, :60] = 0
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        height=90,
        width=120,
        count=1,
        dtype="uint16",
        crs=CRS,
        transform=HOME.affine,
    ) as file:
        file.write(values, 1)
    box = window(7, 9, 60, 100, 20.0)
    assert set(np.unique(RioLoader()([source(path, resampling=method)], box))) <= {0, 3000}
    with pytest.raises(ReadError, match=r"does not tag no data.*take loader='cog'"):
        StackstacLoader()([source(path, resampling=method)], box)


@given(
    cut=st.integers(1, 90),
    method=st.sampled_from(["auto", "nearest", "bilinear", "cubic", "average"]),
    pixel=st.sampled_from([7.0, 10.0, 20.0, 31.0, 60.0]),
    crs=st.sampled_from([CRS, "EPSG:32632", "EPSG:3857"]),
)
def test_the_result_does_not_depend_on_the_window(tif, cut, method, pixel, crs):
    path, _ = tif
    box = GeoBox.from_bbox(HOME.extent.to_crs(crs).boundingbox.bbox, crs, resolution=pixel)
    cut = min(cut, box.shape[0] - 1)
    loader, wanted = RioLoader(), [source(path, resampling=method)]
    whole = loader(wanted, box)[0]
    parts = [loader(wanted, box[:cut, :])[0], loader(wanted, box[cut : box.shape[0], :])[0]]
    off = np.abs(whole.astype(int) - np.concatenate(parts))
    if method in ("auto", "nearest", "bilinear"):
        assert off.max() == 0
    else:  # GDAL's: roundings differ
        assert off.max() <= 1
        assert (off > 0).mean() < 0.01


def test_nests():
    assert nests(HOME, window(200, 100))
    assert nests(HOME, window(200, 100, pixel=10.0))
    assert not nests(HOME, window(10, 0))
    assert not nests(HOME, window(0, 0, pixel=40.0))
    assert not nests(HOME, window(0, 0, crs="EPSG:32632"))


def test_overviews_serve_coarse_outputs_but_not_classes(tmp_path):
    path = tmp_path / "o.tif"
    values = np.arange(256 * 256, dtype="uint16").reshape(256, 256) % 9 + 1
    box = GeoBox((256, 256), Affine(20, 0, 500_000, 0, -20, 5_200_000), CRS)
    with rasterio.open(
        path, "w", driver="GTiff", height=256, width=256, count=1, dtype="uint16", crs=CRS,
        transform=box.affine, nodata=0, tiled=True, blockxsize=64, blockysize=64,
    ) as file:  # fmt: skip
        file.write(values, 1)
        file.build_overviews([2, 4], Resampling.average)
    coarse = box.zoom_to((128, 128))
    with rasterio.open(path, overview_level=0) as file:
        overview = file.read(1)
    np.testing.assert_array_equal(RioLoader()([source(path)], coarse)[0], overview)
    classes = RioLoader()([source(path, resampling="nearest", overviews=False)], coarse)[0]
    np.testing.assert_array_equal(classes, values[1::2, 1::2])


def test_a_vrt_in_a_tiff_s_clothes_is_not_opened(tif, tmp_path):
    path, _ = tif
    disguised = tmp_path / "x.tif"
    disguised.write_text(
        f"<VRTDataset rasterXSize='120' rasterYSize='90'><VRTRasterBand dataType='UInt16' band='1'>"
        f"<SimpleSource><SourceFilename>{path}</SourceFilename></SimpleSource></VRTRasterBand></VRTDataset>"
    )
    with pytest.raises(ReadError, match=r"x\.tif"):
        RioLoader()([source(disguised)], window())
    assert RioLoader(drivers=None) != RioLoader()


@pytest.mark.parametrize(("options", "message"), [
    ({"count": 3, "dtype": "uint16"}, "3 bands"),
    ({"count": 1, "dtype": "float32"}, "float32"),
])  # fmt: skip
def test_files_of_another_kind_are_refused(tmp_path, options, message):
    path = tmp_path / "k.tif"
    with rasterio.open(
        path, "w", driver="GTiff", height=9, width=9, crs=CRS, transform=HOME.affine, **options
    ):
        pass
    with pytest.raises(ReadError, match=message):
        RioLoader()([source(path)], window())


def test_errors_show_no_token():
    secret = "https://127.0.0.1:9/x/B04.tif?sv=1&sig=SECRET"
    with pytest.raises(ReadError) as caught:
        RioLoader()([source(secret)], window())
    assert "SECRET" not in str(caught.value)
    assert "https://127.0.0.1:9/x/B04.tif" in str(caught.value)
