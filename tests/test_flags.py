"""Flags: which mask threw a pixel away, lazily, and nothing else is read."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import eocube as eo
from eocube.errors import InputError, MaskError
from eocube.masks.algebra import apply
from eocube.masks.parts import Flags, flagged, flags_of

from .test_fusion import graph_of, real_tasks
from .test_masks import pixels
from .test_votes import Recorder, around, bright

SHADOW, CLOUD, CIRRUS = eo.SCLMask("shadow"), eo.SCLMask("cloud_high", "cloud_medium"), eo.SCLMask("cirrus")
JOINED = {
    "one": SHADOW,
    "union": SHADOW | CLOUD | CIRRUS,
    "dilated union": (SHADOW | (CLOUD | CIRRUS)).dilate(metres=40),
    "both": eo.SCLMask("strict") & ~CIRRUS,
    "vote": eo.vote(eo.SCLMask(), eo.SCLMask("strict"), CIRRUS, at_least=2),
    "mixed": eo.vote(SHADOW, CLOUD, at_least=1) | CIRRUS.dilate(metres=20),
}


@pytest.mark.parametrize("name", JOINED)
@given(scl=hnp.arrays(np.uint8, (9, 8), elements=st.integers(0, 11)))
def test_flags_are_the_mask(name, scl):
    """Thrown away is what has a flag; the flags are those parts that throw away."""
    bad, px = JOINED[name], pixels(scl=scl)
    table = flags_of(bad)
    found = table.flags(px)
    whole = apply(bad, px) & px.valid
    np.testing.assert_array_equal(found > 1, whole)
    np.testing.assert_array_equal(found == 1, ~px.valid)
    for part, bit in zip(table.parts, list(table.meanings.values())[1:], strict=True):
        np.testing.assert_array_equal((found & bit) > 0, whole & apply(part, px))


def test_parts():
    assert flagged(JOINED["union"]) == (SHADOW, CLOUD, CIRRUS)
    assert [repr(part) for part in flagged(JOINED["dilated union"])] == [
        f"{part!r}.dilate(metres=40)" for part in (SHADOW, CLOUD, CIRRUS)
    ]
    assert len(flagged(JOINED["both"])) == 2
    assert len(flagged(JOINED["vote"])) == 3
    assert len(flagged(JOINED["mixed"])) == 2


@pytest.mark.parametrize(("count", "dtype"), [(7, "uint8"), (8, "uint16"), (15, "uint16"), (16, "uint32")])
def test_each_part_has_its_bit(count, dtype):
    table = flags_of({f"m{n}": eo.SCLMask(n % 11 + 1) for n in range(count)})
    assert table.dtype == dtype
    found = table.flags(pixels(scl=[[0, 5]]))
    assert found.dtype == dtype
    assert found[0, 0] == 1
    assert found[0, 1] == sum(2 << n for n in range(count) if n % 11 + 1 == 5)


def test_names_are_words_and_differ():
    first, second = SHADOW | CLOUD, (SHADOW | SHADOW)
    assert flags_of(first).names == ("SCLMask_shadow", "SCLMask_cloud_medium_cloud_high")
    assert flags_of(second).names == ("SCLMask_shadow", "SCLMask_shadow_2")
    for wrong in ("two words", "", "no_data", 3):
        with pytest.raises(MaskError, match="cannot be the name of a mask"):
            flags_of({wrong: SHADOW})
    with pytest.raises(MaskError, match="1 to 31"):
        flags_of({})
    with pytest.raises(MaskError, match="32 masks"):
        flags_of({f"m{n}": SHADOW for n in range(32)})


@pytest.fixture(scope="module")
def plan(world, items):
    bad = SHADOW.dilate(metres=50) | CLOUD | around
    return eo.plan(items, world.grid, bands=["red"], mask=bad)


class TestCube:
    def test_bools_are_what_a_load_throws_away(self, plan):
        """Where the mask's bands have data: what is thrown away is NaN, and nothing else is."""
        flags = eo.masks_of(plan, flags=True).compute()
        bools = eo.masks_of(plan).compute()
        cube = eo.load(plan).sel(band="red").compute()
        assert bools.dtype == bool
        np.testing.assert_array_equal(bools, flags > 0)
        seen = flags.values != 1
        assert 0.9 < seen.mean() < 1
        np.testing.assert_array_equal(np.isnan(cube.values[seen]), bools.values[seen])
        assert 0.2 < bools.values[seen].mean() < 0.9

    def test_it_is_lazy_and_one_task_per_chunk(self, plan, items, world):
        small = eo.plan(items, world.grid, bands=["red"], mask=plan.mask, chunk=64)
        for cube in (eo.masks_of(small), eo.masks_of(small, flags=True)):
            assert cube.dims == ("time", "y", "x")
            assert cube.chunks[1:] == small.chunks
            assert len(real_tasks(graph_of(cube.data))) == cube.data.npartitions > 4

    def test_only_bands_of_masks_are_read(self, small, small_items):
        recorder = Recorder()
        made = eo.plan(
            small_items, small.grid, bands=["red"], mask=bright | SHADOW, loader=recorder,
            verify_offset=False,
        )  # fmt: skip
        eo.masks_of(made).compute(scheduler="sync")
        assert {asset for asset, _, _ in recorder.calls} == {"scl", "blue"}

    def test_attributes_are_cf(self, plan, tmp_path):
        found = eo.masks_of(plan, flags=True)
        assert found.dtype == found.attrs["flag_masks"].dtype == np.uint8
        assert found.attrs["flag_masks"].tolist() == [1, 2, 4, 8]
        assert found.attrs["flag_meanings"].split()[0] == "no_data"
        assert len(found.attrs["flag_meanings"].split()) == 4
        assert found.attrs["masks"] == [repr(part) for part in flagged(plan.mask)]
        assert found.odc.geobox == plan.grid
        found.compute().to_zarr(tmp_path / "flags.zarr")
        assert xr.open_zarr(tmp_path / "flags.zarr").masks.attrs["flag_masks"] == [1, 2, 4, 8]

    def test_other_masks_by_name(self, world, items):
        made = eo.plan(items, world.grid, bands=["blue", "scl"])
        found = eo.masks_of(made, {"bright": bright, "shadow": SHADOW}, flags=True)
        assert found.attrs["flag_meanings"] == "no_data bright shadow"
        alone = eo.masks_of(eo.plan(items, world.grid, bands=["scl"], mask=SHADOW)).compute()
        seen = found.compute()
        both = seen.values != 1
        np.testing.assert_array_equal((seen.values[both] & 4) > 0, alone.values[both])

    @settings(max_examples=8)
    @given(chunk=st.integers(20, 120), share=st.floats(0.2, 0.8))
    def test_neither_chunks_nor_cuts_matter(self, small, small_items, chunk, share):
        bad = eo.vote(eo.SCLMask("strict"), around, SHADOW.dilate(metres=45), at_least=2) | CIRRUS

        def flags(grid, **options):
            made = eo.plan(small_items, grid, bands=["red"], mask=bad, **options)
            return eo.masks_of(made, flags=True).compute(scheduler="sync").values

        whole = flags(small.grid)
        np.testing.assert_array_equal(flags(small.grid, chunk=chunk), whole)
        columns = int(small.grid.shape[1])
        cut = int(columns * share)
        parts = [flags(small.grid[:, :cut]), flags(small.grid[:, cut:columns])]
        np.testing.assert_array_equal(np.concatenate(parts, axis=2), whole)

    def test_a_file_that_is_lost(self, small, tmp_path):
        shutil.copytree(small.items_path, tmp_path / "items")
        items = eo.search(tmp_path / "items")
        made = eo.plan(items, small.grid, bands=["red"], mask=SHADOW, on_error="skip")
        victim = made.used[0][0]
        Path(victim.sources["scl"].href).write_bytes(b"nothing")
        found = eo.masks_of(made, flags=True)
        with pytest.warns(eo.errors.LossWarning, match=victim.id):
            values = found.compute(scheduler="sync").values
        assert {loss.item for loss in eo.lost(found)} == {victim.id}
        assert (values[0] == 1).any()


class TestMistakes:
    def test_no_mask(self, small, small_items):
        with pytest.raises(MaskError, match="has no mask"):
            eo.masks_of(eo.plan(small_items, small.grid, bands=["red"]))

    def test_no_plan(self):
        with pytest.raises(InputError, match="needs a plan made by"):
            eo.masks_of(3)

    def test_a_band_that_the_plan_does_not_hold(self, small, small_items):
        made = eo.plan(small_items, small.grid, bands=["red"], mask=SHADOW)
        with pytest.raises(MaskError, match=r"Mask bright needs blue, the plan holds no blue: add \['blue'\]"):
            eo.masks_of(made, {"bright": bright})

    def test_a_wrong_result_names_the_mask(self, small, small_items):
        @eo.mask(bands=["blue"])
        def shapeless(px):
            return np.zeros((3, 3), bool)

        @eo.mask(bands=["blue"])
        def shares(px):
            return px["blue"]

        for wrong, what in ((shapeless, r"bool of shape \(3, 3\)"), (shares, "float32 of shape")):
            made = eo.plan(small_items, small.grid, bands=["red"], mask=SHADOW | wrong)
            for lazy in (eo.masks_of(made), eo.load(made)):
                with pytest.raises(MaskError, match=rf"Mask \w+ returned {what}.*must return bool of shape"):
                    lazy.compute(scheduler="sync")


def test_flags_print_as_a_union():
    assert repr(Flags((SHADOW, CIRRUS), ("a", "b"))) == repr(SHADOW | CIRRUS)
