"""The block reader and files that lie: an error that names file and block, never a wrong pixel."""

from __future__ import annotations

import os
import struct
import zlib

import imagecodecs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eocube.errors import ReadError
from eocube.loaders import headers as kept

from .test_cog import COG, OWN, RIO, box, source, write
from .test_cog import tif as tif  # the fixture


def field(data: bytes, tag: int) -> int:
    """Return where the entry of a tag of the first directory lies; little endian, classic."""
    (first,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, first)
    for at in range(first + 2, first + 2 + 12 * count, 12):
        if struct.unpack_from("<H", data, at)[0] == tag:
            return at
    raise AssertionError(tag)


@pytest.fixture
def liar(tmp_path):
    """Write a file, change its bytes, read it."""

    def read(change, geobox=None, loader=OWN, **options):
        path = tmp_path / "liar.tif"
        write(path, **options)
        data = bytearray(path.read_bytes())
        change(data)
        path.write_bytes(data)
        return loader([source(path)], geobox or box(rows=300, columns=410))

    return read


def put(tag, value, kind=4):
    def change(data):
        at = field(data, tag)
        struct.pack_into(
            "<HIHH" if kind == 3 else "<HII", data, at + 2, kind, 1, *((value, 0) if kind == 3 else (value,))
        )

    return change


def put_in_array(tag, index, value):
    def change(data):
        (where,) = struct.unpack_from("<I", data, field(data, tag) + 8)
        kind = struct.unpack_from("<H", data, field(data, tag) + 2)[0]
        struct.pack_into("<I" if kind == 4 else "<H", data, where + index * (4 if kind == 4 else 2), value)

    return change


class TestLies:
    @pytest.mark.parametrize(("change", "message"), [
        (put(256, 2**31 - 1), "blocks, but its header places"),
        (put(257, 0), "0 pixels"),
        (put(322, 2**20), "bytes each"),
        (put(323, 0), "bytes each"),
        (put_in_array(324, 3, 2**31), r"block \(row 0, column 3\).*the file ends at byte"),
        (put_in_array(324, 8, 4), r"block \(row 1, column 1\).*at byte 4"),
        (lambda data: struct.pack_into("<I", data, 4, len(data) + 5), "points to byte"),
        (lambda data: struct.pack_into("<I", data, field(data, 324) + 8, len(data) - 2), "points to byte"),
    ])  # fmt: skip
    def test_headers(self, liar, change, message):
        with pytest.raises(ReadError, match=rf"liar\.tif: .*{message}"):
            liar(change)

    def test_directories_in_a_circle(self, liar):
        def circle(data):
            (first,) = struct.unpack_from("<I", data, 4)
            (count,) = struct.unpack_from("<H", data, first)
            struct.pack_into("<I", data, first + 2 + 12 * count, first)

        with pytest.raises(ReadError, match="circle"):
            liar(circle)

    def test_more_entries_than_a_file_holds(self, liar):
        with pytest.raises(ReadError, match="entries"):
            liar(lambda data: struct.pack_into("<H", data, struct.unpack_from("<I", data, 4)[0], 65535))

    @pytest.mark.parametrize("compress", ["deflate", "lzw", "zstd", "none"])
    def test_a_block_that_is_cut_short(self, liar, compress):
        with pytest.raises(ReadError, match=r"liar\.tif: block \(row 4, column 2\): "):
            liar(put_in_array(325, 30, 40), compress=compress)

    @pytest.mark.parametrize("compress", ["deflate", "zstd"])
    def test_a_bomb(self, liar, compress):
        """A block that unpacks to far more than its size."""
        plain = bytes(200 * 2**20)
        bomb = zlib.compress(plain, 9) if compress == "deflate" else imagecodecs.zstd_encode(plain)

        def change(data):
            start = len(data)
            data.extend(bomb)
            put_in_array(324, 0, start)(data)
            put_in_array(325, 0, min(len(bomb), 60_000))(data)

        with pytest.raises(ReadError, match=r"block \(row 0, column 0\)"):
            liar(change, compress=compress)

    def test_one_bit(self, liar):
        """The checksum of each block is verified."""

        def flip(data):
            (where,) = struct.unpack_from("<I", data, field(data, 324) + 8)
            (start,) = struct.unpack_from("<I", data, where + 4 * 30)
            data[start + 2000] ^= 4

        with pytest.raises(ReadError, match=r"liar\.tif: block \(row 4, column 2\): "):
            liar(flip)

    @given(seed=st.integers(0, 10_000))
    def test_any_header_that_lies_is_an_error_or_gdal_s_pixels(self, tif, tmp_path, seed):
        rng = np.random.default_rng(seed)
        data = bytearray(tif[0].read_bytes())
        for _ in range(rng.integers(1, 4)):
            data[rng.integers(0, 400)] = rng.integers(0, 256)
        path = tmp_path / f"{seed}.tif"
        path.write_bytes(data)
        geobox = box(rows=120, columns=130)
        try:
            found = OWN([source(path)], geobox)
        except (ReadError, AssertionError):
            return
        finally:
            kept.forget(str(path))
        np.testing.assert_array_equal(found, RIO([source(path)], geobox))

    def test_truncated_anywhere(self, tif, tmp_path):
        whole = tif[0].read_bytes()
        path = tmp_path / "t.tif"
        for size in (0, 3, 15, 100, 400, 5000, len(whole) // 2):
            path.write_bytes(whole[:size])
            with pytest.raises(ReadError, match=r"t\.tif"):
                COG([source(path)], box(rows=300, columns=410))

    def test_a_pipe_is_not_waited_for(self, tmp_path):
        os.mkfifo(tmp_path / "pipe.tif")
        with pytest.raises(AssertionError, match="left to GDAL"):
            OWN([source(tmp_path / "pipe.tif")], box())
