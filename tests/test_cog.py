"""The block reader: bit for bit GDAL's pixels, bounded, and loud where a file or a server lies."""

from __future__ import annotations

import itertools
import pickle
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox
from rasterio.enums import Resampling

from eocube.loaders import Source, tiffs
from eocube.loaders import headers as kept
from eocube.loaders.cog import CogLoader
from eocube.loaders.ranges import Unreadable
from eocube.loaders.rio import RioLoader

CRS = "EPSG:32633"
LEFT, TOP = 500_000, 5_200_000
COG, RIO = CogLoader(), RioLoader()


def forbidden(sources, geobox, wanted=None):
    raise AssertionError(f"left to GDAL: {[source.href for source in sources]}")


class Never:
    """A loader that may not be called: the file must be read block by block."""

    __call__ = staticmethod(forbidden)


OWN = CogLoader(Never())


def box(left=0.0, top=0.0, rows=40, columns=50, pixel=10.0, crs=CRS):
    return GeoBox((rows, columns), Affine(pixel, 0, LEFT + left, 0, -pixel, TOP - top), crs)


def source(path, **options):
    return Source(str(path), "item-1", "red", **options)


def write(path, shape=(300, 410), dtype="uint16", crs=CRS, transform=None, overviews=(), seed=0, **options):
    rng = np.random.default_rng(seed)
    smooth = rng.normal(size=shape).cumsum(axis=1) * 40 + 4000
    values = smooth.clip(1, 10_000).astype(dtype)
    values[40:140, : shape[1] // 2] = 0
    defaults = {"tiled": True, "blockxsize": 64, "blockysize": 64, "compress": "deflate", "nodata": 0}
    with rasterio.open(
        path, "w", driver="GTiff", height=shape[0], width=shape[1], count=1, dtype=dtype, crs=crs,
        transform=transform or box().affine, **{**defaults, **options},
    ) as file:  # fmt: skip
        file.write(values, 1)
        if overviews:
            file.build_overviews(overviews, Resampling.average)
    return values


def same(sources, geobox, loader=OWN, wanted=None):
    found, expected = loader(sources, geobox, wanted), RIO(sources, geobox)
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)
    return found


@pytest.fixture(scope="module")
def tif(tmp_path_factory):
    path = tmp_path_factory.mktemp("cog") / "B04.tif"
    return path, write(path, predictor=2, overviews=[2, 4])


MATRIX = [
    (compress, predictor, dtype, block)
    for compress, predictor, dtype, block in itertools.product(
        ("none", "deflate", "lzw", "zstd"), (1, 2), ("uint8", "uint16"), (64, 128, 256, 512)
    )
    if not (compress == "none" and predictor == 2)
]


@pytest.mark.parametrize(("compress", "predictor", "dtype", "block"), MATRIX)
def test_every_kind_of_file_is_read_as_gdal_reads_it(tmp_path, compress, predictor, dtype, block):
    options = {"blockxsize": block, "blockysize": block, "dtype": dtype, "seed": block}
    if compress != "none":
        options |= {"predictor": predictor}
    paths = []
    for number, (endian, big, sparse) in enumerate(
        itertools.product(("LITTLE", "BIG"), ("NO", "YES"), (0, 1))
    ):
        path = tmp_path / f"{number}.tif"
        values = write(
            path,
            compress=compress,
            ENDIANNESS=endian,
            BIGTIFF=big,
            SPARSE_OK=bool(sparse),
            overviews=[2, 4, 8],
            **options,
        )
        paths.append(path)
    sources = [source(path, dtype=dtype) for path in paths]
    whole = same(sources, box(rows=300, columns=410))
    np.testing.assert_array_equal(whole, np.broadcast_to(values, whole.shape))
    for geobox in (
        box(-70, 330, 90, 77), box(0, 0, 160, 200, 20.0), box(80, 40, 31, 47, 40.0), box(15, 5, 80, 90, 5.0),
        box(3, 4, 60, 66, 13.0),
    ):  # fmt: skip
        same(sources, geobox)


@pytest.mark.parametrize("shape", [(1, 1), (64, 64), (65, 63), (1, 300), (517, 3)])
def test_odd_sizes(tmp_path, shape):
    write(tmp_path / "o.tif", shape, predictor=2, overviews=[2, 4, 8] if max(shape) > 1 else [])
    for pixel in (10.0, 20.0, 5.0, 80.0, 26.0):
        same([source(tmp_path / "o.tif")], box(-30, -30, 140, 110, pixel))


@pytest.mark.parametrize("tag", [None, 0, 7, 65535])
@pytest.mark.parametrize("number", [0, 7])
def test_no_data_means_what_it_means_to_gdal(tmp_path, tag, number):
    write(tmp_path / "n.tif", nodata=tag, SPARSE_OK=True, overviews=[2])
    with rasterio.open(tmp_path / "n.tif", "r+") as file:
        file.write(np.full((1, 9, 30), 7, "uint16"), window=((200, 209), (3, 33)))
    for pixel in (10.0, 20.0, 17.0, 5.0):
        same([source(tmp_path / "n.tif", nodata=number)], box(-50, -50, 330, 420, pixel))


def test_written_sparse_blocks(tmp_path):
    with rasterio.open(
        tmp_path / "s.tif", "w", driver="GTiff", height=300, width=300, count=1, dtype="uint16", crs=CRS,
        transform=box().affine, tiled=True, blockxsize=64, blockysize=64, SPARSE_OK=True, nodata=9,
    ) as file:  # fmt: skip
        file.write(np.full((1, 64, 64), 5, "uint16"), window=((64, 128), (64, 128)))
    for options in ({}, {"nodata": 9}):
        assert set(np.unique(same([source(tmp_path / "s.tif", **options)], box(rows=310, columns=310)))) > {5}


def test_bytes_and_words_in_one_batch(tif, tmp_path):
    path, _ = tif
    write(tmp_path / "scl.tif", (150, 205), "uint8", transform=box(pixel=20.0).affine)
    scl = source(tmp_path / "scl.tif", dtype="uint8", resampling="nearest", overviews=False)
    for geobox in (box(rows=300, columns=410), box(30, 50, 77, 99), box(7, 7, 30, 30, 33.0)):
        same([source(path), scl, source(path, dtype="uint8")], geobox)
        same([scl, scl], geobox)


@given(
    left=st.integers(-800, 4500), top=st.integers(-800, 3500), rows=st.integers(1, 90), columns=st.integers(1, 90),
    pixel=st.sampled_from([2.5, 5.0, 7.0, 10.0, 20.0, 31.0, 40.0, 60.0]), method=st.sampled_from(["auto", "nearest", "bilinear"]),
    overviews=st.booleans(), lattice=st.booleans(),
)  # fmt: skip
def test_any_window(tif, left, top, rows, columns, pixel, method, overviews, lattice):
    path, _ = tif
    if lattice:
        left, top = round(left / pixel) * pixel, round(top / pixel) * pixel
    look = np.random.default_rng(rows).random((rows, columns)) < 0.02
    wish = [source(path, resampling=method, overviews=overviews)]
    geobox = box(left, top, rows, columns, pixel)
    whole = same(wish, geobox)
    some = OWN(wish, geobox, [look])
    np.testing.assert_array_equal(some[0][look], whole[0][look])


@given(
    crs=st.sampled_from(["EPSG:32632", "EPSG:3857", "EPSG:4326", "EPSG:3035"]),
    method=st.sampled_from(["auto", "nearest", "bilinear"]), pixel=st.sampled_from([8.0, 10.0, 25.0, 60.0, 90.0]),
    seed=st.integers(0, 9),
)  # fmt: skip
def test_other_crs(tif, crs, method, pixel, seed):
    path, _ = tif
    size = pixel / 111_000 if crs == "EPSG:4326" else pixel
    geobox = GeoBox.from_bbox(box(0, 0, 300, 410).extent.to_crs(crs).boundingbox.bbox, crs, resolution=size)
    wish = [source(path, resampling=method)]
    whole = same(wish, geobox)
    look = np.zeros(geobox.shape, dtype=bool)
    rng = np.random.default_rng(seed)
    row, column = rng.integers(geobox.shape[0]), rng.integers(geobox.shape[1])
    look[row : row + 9, column : column + 9] = True
    np.testing.assert_array_equal(OWN(wish, geobox, [look])[0][look], whole[0][look])


@pytest.mark.parametrize(
    "crs", ["EPSG:4326", "EPSG:3857", "EPSG:3035", "EPSG:32733", "EPSG:2154", "EPSG:31256"]
)
def test_files_in_any_epsg_crs(tmp_path, crs):
    size = 1e-4 if crs == "EPSG:4326" else 10.0
    transform = Affine(size, 0, 15.5, 0, -size, 46.5) if size < 1 else Affine(size, 0, 4e5, 0, -size, 5e6)
    write(tmp_path / "c.tif", crs=crs, transform=transform, predictor=2, overviews=[2])
    for zoom in (1, 2, 0.5):
        grid = GeoBox((300, 410), transform, crs).zoom_out(zoom)
        same([source(tmp_path / "c.tif")], grid, COG)


@pytest.mark.real
@pytest.mark.parametrize("folder", ["l2a_33T_2023-08", "multires_scenes"])
def test_real_files(real, folder):
    paths = sorted((real / folder).rglob("*.tif"))
    assert paths
    for path in paths:
        with rasterio.open(path) as file:
            if file.count > 1:  # a preview
                continue
            dtype, own = file.dtypes[0], GeoBox(file.shape, file.transform, str(file.crs))
        wish = [source(path, dtype=dtype, resampling=method) for method in ("auto", "nearest", "bilinear")]
        shift = own.translate_pix(13, 7) if hasattr(own, "translate_pix") else own
        for geobox in (
            own,
            shift[:130, 5:300],
            own.zoom_out(2),
            own.zoom_out(0.5)[300:600, 100:500],
            own.zoom_out(2.7),
        ):
            same(wish, geobox)


class TestLeftToGdal:
    """What is not ours is read all the same."""

    @pytest.mark.parametrize("options", [
        {"dtype": "uint8", "compress": "jpeg"}, {"compress": "lzma"}, {"tiled": False, "blockysize": 7},
        {"crs": "+proj=laea +lat_0=45 +lon_0=10 +units=m"}, {"compress": "packbits"},
        {"transform": Affine(10, 0, LEFT, 0, 10, TOP - 3000)}, {"nodata": 3.0, "dtype": "uint16", "NBITS": 14},
    ])  # fmt: skip
    def test_other_kinds(self, tmp_path, options):
        options = dict(options)
        if options.get("tiled") is False:
            options |= {"blockxsize": 410}
        write(tmp_path / "x.tif", **options)
        wish = [source(tmp_path / "x.tif", dtype=options.get("dtype", "uint16"))]
        with pytest.raises(AssertionError, match="left to GDAL"):
            OWN(wish, box())
        for geobox in (box(20, 20), box(5, 5, pixel=7.0)):
            same(wish, geobox, COG)

    @pytest.mark.parametrize("method", ["cubic", "average", "lanczos"])
    def test_other_methods(self, tif, method):
        wish = [source(tif[0], resampling=method), source(tif[0])]
        same(wish, box(5, 5, 60, 60, 27.0), COG)

    def test_pixel_is_point(self, tmp_path):
        path = tmp_path / "p.tif"
        write(path)
        with rasterio.open(path, "r+") as file:
            file.update_tags(AREA_OR_POINT="Point")
        same([source(path)], box(20, 20), COG)

    def test_one_file_with_another(self, tif, tmp_path):
        write(tmp_path / "x.tif", compress="packbits")
        same([source(tif[0]), source(tmp_path / "x.tif"), source(tif[0])], box(20, 20), COG)


def test_loader_is_a_value():
    assert pickle.loads(pickle.dumps(COG)) == COG == CogLoader()
    assert hash(COG) == hash(CogLoader())


def test_a_file_that_is_written_anew_is_read_anew(tmp_path):
    path = tmp_path / "a.tif"
    for seed in range(3):
        values = write(path, seed=seed, shape=(100 + seed, 90))
        np.testing.assert_array_equal(OWN([source(path)], box(rows=100, columns=90))[0], values[:100])


def test_a_file_replaced_while_its_header_is_read_is_read_again(tmp_path, monkeypatch):
    """Who joins a reading under way may be given a header that is of the file before."""
    monkeypatch.setattr(kept, "_KEPT", kept._Kept())
    read, begun, go = kept._read, threading.Event(), threading.Event()

    def slow(place, source):
        found = read(place, source)
        if not begun.is_set():
            begun.set()
            assert go.wait(20)
        return found

    monkeypatch.setattr(kept, "_read", slow)
    path = tmp_path / "B04.tif"
    write(path)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(kept.header, source(path))
        assert begun.wait(20)
        write(tmp_path / "new.tif", seed=1)
        (tmp_path / "new.tif").replace(path)
        second = pool.submit(OWN, [source(path)], box())
        time.sleep(0.2)
        go.set()
        first.result()
    with rasterio.open(path) as file:
        np.testing.assert_array_equal(second.result()[0], file.read(1)[:40, :50])


def test_a_header_that_cannot_be_asked_for_is_waited_for_by_nobody(monkeypatch):
    monkeypatch.setattr(kept, "_KEPT", kept._Kept())

    def ended(*_):
        raise RuntimeError("cannot schedule new futures after interpreter shutdown")

    monkeypatch.setattr(kept, "submit", ended)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="cannot schedule"):
            kept.header_later(source("https://example.com/B04.tif"))
    assert kept._KEPT.coming == {}


def test_threads(tif):
    path, values = tif
    with ThreadPoolExecutor(8) as pool:
        tops = [n % 200 for n in range(0, 1600, 7)]
        found = list(pool.map(lambda top: OWN([source(path)] * 3, box(0, 10 * top, 100, 410)), tops))
    for top, block in zip(tops, found, strict=True):
        np.testing.assert_array_equal(block, np.broadcast_to(values[top : top + 100], block.shape))


def test_a_header_is_read_once_by_all_threads(tif, tmp_path, monkeypatch):
    monkeypatch.setattr(kept, "_KEPT", kept._Kept())
    read, calls = kept._read, []

    def slow(place, source):
        calls.append(source.href)
        time.sleep(0.1)
        return read(place, source)

    def fails(number):
        with pytest.raises(Unreadable, match="No such file"):
            kept.header(missing)
        return number

    monkeypatch.setattr(kept, "_read", slow)
    missing = source(tmp_path / "none.tif")
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(kept.header, [source(tif[0])] * 8))
        assert len(list(pool.map(fails, range(8)))) == 8
    assert calls == [str(tif[0])]
    assert len({id(one.found) for one in found}) == 1
    assert kept._KEPT.coming == {}
    write(tmp_path / "none.tif")
    assert kept.header(missing).tiff.size > 0  # what failed once is tried again


def test_headers_kept_are_bounded(tif, monkeypatch):
    monkeypatch.setattr(kept, "_KEPT", kept._Kept())
    monkeypatch.setattr(kept, "_MOST", 3)
    tiff = tiffs.parse(lambda a, b: tif[0].read_bytes()[a:b], tif[0].read_bytes(), tif[0].stat().st_size)
    for number in range(9):
        kept._KEPT.put(str(number), (1,), tiff)
    assert list(kept._KEPT.found) == ["6", "7", "8"]
    assert kept._KEPT.nbytes == 3 * tiff.nbytes
    monkeypatch.setattr(kept, "_MOST_BYTES", 1)
    kept._KEPT.put("x", (1,), tiff)
    assert list(kept._KEPT.found) == ["x"]


@pytest.mark.parametrize("loader", [OWN, RIO], ids=["cog", "rio"])
@pytest.mark.parametrize("method", ["nearest", "bilinear"])
def test_a_far_coarser_output_is_made_in_parts(tmp_path, monkeypatch, loader, method):
    import tracemalloc

    from eocube.loaders import sampling

    path = tmp_path / "B04.tif"
    write(path, (2000, 2000), blockxsize=256, blockysize=256)
    geobox = GeoBox((40, 30), Affine(500, 0, LEFT + 333, 0, -500, TOP - 77), CRS)
    if method == "nearest":  # through a window: in another CRS
        geobox = geobox.to_crs("EPSG:32632")
    wanted = source(path, resampling=method)
    whole = loader([wanted], geobox)
    assert whole.any()
    monkeypatch.setattr(sampling, "WINDOW", 2**20)
    tracemalloc.start()
    parted = loader([wanted], geobox)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    np.testing.assert_array_equal(parted, whole)
    assert peak < 6 * 2**20
