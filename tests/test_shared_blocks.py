"""Blocks of a mask's band are fetched once, however many chunks share them."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from eocube.errors import ReadError
from eocube.loaders import shared

from .test_cog import OWN, box, source, write
from .test_cog_servers import files


@pytest.fixture
def kept(monkeypatch):
    own = shared._Shared()
    monkeypatch.setattr(shared, "_SHARED", own)
    return own


def test_once_for_many_threads(kept):
    asked = []

    def fetch():
        asked.append(1)
        time.sleep(0.05)
        return b"block"

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: shared.fetched(("a", 1), fetch), range(30)))
    assert found == [b"block"] * 30
    assert len(asked) == 1
    assert kept.nbytes == 5


def test_a_failure_is_not_kept(kept):
    gate = threading.Event()

    def fails():
        gate.wait(1)
        raise OSError("gone")

    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(shared.fetched, ("a", 1), fails) for _ in range(2)]
        gate.set()
        for one in both:
            with pytest.raises(OSError, match="gone"):
                one.result()
    assert shared.fetched(("a", 1), lambda: b"again") == b"again"


def test_bounded_and_dropped(kept, monkeypatch):
    monkeypatch.setattr(shared, "MOST_BYTES", 1000)
    for index in range(100):
        shared.fetched(("a", index), lambda: bytes(90))
    assert kept.nbytes <= 1000
    assert len(kept.found) == 11
    shared.fetched(("b", 0), lambda: b"b")
    shared.drop("a")
    assert list(kept.found) == [("b", 0)]
    assert kept.nbytes == 1


def test_windows_of_a_class_band_share_their_blocks(kept, tmp_path):
    values = write(
        tmp_path / "SCL.tif", (600, 600), dtype="uint8", blockxsize=256, blockysize=256, predictor=1
    )
    with files(tmp_path) as (url, asked):
        scl = source(f"{url}/SCL.tif", dtype="uint8")
        for top in (0, 150, 300, 450):
            for left in (0, 150, 300, 450):
                found = OWN([scl], box(10.0 * left, 10.0 * top, 150, 150))
                np.testing.assert_array_equal(found[0], values[top : top + 150, left : left + 150])
    starts = [start for _, start, _ in asked if start]  # but for the header
    assert len(starts) == len(set(starts)) <= 9 + 1


def test_a_damaged_block_is_not_kept(kept, tmp_path):
    values = write(tmp_path / "SCL.tif", (300, 300), dtype="uint8", blockxsize=256, blockysize=256)
    broken = []

    def damage(_handler, _name, start, body):
        if start and not broken:
            broken.append(start)
            return bytes(len(body))
        return body

    with files(tmp_path, damage) as (url, _):
        scl = source(f"{url}/SCL.tif", dtype="uint8")
        for _ in range(2):
            np.testing.assert_array_equal(OWN([scl], box(rows=300, columns=300))[0], values)
    assert broken


def test_a_file_that_is_damaged_is_asked_again_each_time(kept, tmp_path):
    write(tmp_path / "SCL.tif", (300, 300), dtype="uint8", blockxsize=256, blockysize=256)

    def damage(_handler, _name, start, body):
        return bytes(len(body)) if start else body

    with files(tmp_path, damage) as (url, asked):
        scl = source(f"{url}/SCL.tif", dtype="uint8")
        for _ in range(2):
            before = len(asked)
            with pytest.raises(ReadError, match="block"):
                OWN([scl], box(rows=300, columns=300))
            assert len(asked) > before
