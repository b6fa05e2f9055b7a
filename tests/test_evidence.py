"""Evidence: what arrays of digital numbers say of the offset."""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks.offsets import measure, sampled
from hypothesis import given
from hypothesis import strategies as st

from eocube.evidence import Finding, agree, judge
from eocube.sample.spectra import LANDSCAPES

FOREST, BARE, WATER, CLOUD = 4, 5, 6, 9


def scene(classes, reflectance, seed=0, size=40):
    """Digital numbers without the offset: columns of classes, each of its reflectance."""
    rng = np.random.default_rng(seed)
    edges = np.linspace(0, size, len(classes) + 1).astype(int)
    scl, numbers = np.zeros((size, size), "uint8"), np.zeros((size, size))
    for code, value, left, right in zip(classes, reflectance, edges[:-1], edges[1:], strict=True):
        scl[:, left:right] = code
        numbers[:, left:right] = 10_000 * value + rng.normal(0, 40, (size, right - left))
    return np.clip(np.rint(numbers), 1, None).astype("uint16"), scl


def both(red, blue, scl):
    return agree(judge(red, scl), judge(blue, scl, "blue"))


class TestJudge:
    def test_forest_and_field(self):
        red, scl = scene([FOREST, BARE], [0.03, 0.15])
        blue, _ = scene([FOREST, BARE], [0.025, 0.08])
        assert judge(red, scl).state == "gone"
        assert both(red + 1000, blue + 1000, scl).state == "in"

    def test_a_pile_of_clipped_numbers_is_evidence(self):
        red, scl = scene([WATER, BARE], [-0.01, 0.2])
        assert (red == 1).mean() > 0.4
        assert judge(red, scl).state == "gone"

    def test_negative_reflectance_of_an_offset_that_is_in(self):
        """Water corrected too far, to -0.02, is no evidence that the offset is gone."""
        red, scl = scene([WATER, BARE], [0.10, 0.2])
        assert judge(red - 120 + 0, scl).state != "gone"

    @pytest.mark.parametrize("add", [0, 1000])
    @pytest.mark.parametrize(("code", "value"), [(BARE, 0.3), (CLOUD, 0.6), (11, 0.85), (10, 0.2), (2, 0.12)])
    def test_bright_scenes_say_nothing(self, add, code, value):
        red, scl = scene([code], [value])
        assert both(red + add, red + add, scl).state == "undecided"

    def test_sparse_grass_under_haze_says_nothing(self):
        """Red at 0.1, as if 1000 were still in; blue is darker, and not by as much."""
        red, scl = scene([FOREST], [0.11])
        for value in (0.06, 0.09):
            assert both(red, scene([FOREST], [value])[0], scl).state == "undecided"

    def test_haze_lifts_blue_more(self):
        red, scl = scene([FOREST], [0.10])
        assert both(red, scene([FOREST], [0.138])[0], scl).state == "undecided"

    def test_few_pixels_say_nothing(self):
        red, scl = scene([CLOUD], [0.5])
        red[:8, :8], scl[:8, :8] = 200, FOREST
        found = judge(red, scl)
        assert found.state == "undecided"
        assert "too few" in found.why

    def test_the_gaps_of_a_cloud_are_not_clear(self):
        red, scl = scene([CLOUD], [0.5], size=120)
        red[:14, :14], scl[:14, :14] = 1200, FOREST
        assert both(red, red, scl).state == "undecided"

    def test_muddy_water_says_nothing(self):
        """At 0.1 in red and blue, as if 1000 were still in."""
        red, scl = scene([WATER], [0.1])
        assert both(red, red, scl).state == "undecided"

    def test_averages_at_the_edge_of_the_swath_are_not_looked_at(self):
        """No data mixed into valid numbers gives low ones."""
        red, scl = scene([FOREST], [0.03])
        red = red + 1000
        red[:, :10], red[:, 10:12] = 0, 300
        assert judge(red, scl).state == "in"

    def test_averaged_classes_are_not_believed(self):
        """Between cloud (9) and no data (0) averages of codes are 4: no vegetation."""
        red, scl = scene([CLOUD, 0], [0.5, 0.0])
        scl[:, 19:21] = FOREST
        red[:, 19:21] = 300
        assert judge(red, scl).state == "undecided"

    def test_without_classes(self):
        red, _ = scene([FOREST, BARE], [0.03, 0.15])
        assert judge(red, None).state == "gone"
        assert judge(red + 1000, None).state == "undecided"

    def test_nothing_valid(self):
        nothing = np.zeros((40, 40), "uint16")
        assert judge(nothing, nothing).state == judge(nothing, None).state == "undecided"

    @given(
        st.lists(st.sampled_from([2, 3, 4, 5, 6, 7, 8, 9, 10, 11]), min_size=1, max_size=5),
        st.integers(0, 2**31), st.booleans(), st.floats(-0.03, 0.02),
    )  # fmt: skip
    def test_never_wrong_on_any_mixture(self, classes, seed, carried, error):
        """Each class as bright as it can be, the correction wrong by some hundredths."""
        bright = {2: (0.01, 0.15), 3: (0.005, 0.15), 4: (0.015, 0.07), 5: (0.05, 0.5), 6: (0.0, 0.2),
                  7: (0.02, 0.4), 8: (0.1, 0.6), 9: (0.3, 1.0), 10: (0.05, 0.4), 11: (0.3, 1.0)}  # fmt: skip
        rng = np.random.default_rng(seed)
        red = np.array([rng.uniform(*bright[code]) for code in classes])
        blue = red * rng.uniform(0.6, 1.1)
        pixels = [scene(classes, layer + error + 0.1 * carried, seed)[0] for layer in (red, blue)]
        found = both(*pixels, scene(classes, red)[1])
        assert found.state in ("undecided", "in" if carried else "gone")


def test_agree_needs_both():
    yes, no = Finding("in", "r", 1200.0), Finding("undecided", "b")
    assert agree(yes, no).state == "undecided"
    assert agree(yes, Finding("in", "b", 1250.0)).state == "in"
    assert agree(Finding("gone", "r"), no).state == "gone"


@pytest.mark.parametrize("landscape", LANDSCAPES)
def test_never_wrong_on_made_up_landscapes(landscape):
    (counts,) = measure(sampled(landscape, 6)).values()
    assert counts["in wrong"] + counts["gone wrong"] == 0
    assert sum(counts.values()) == 6 * 2 * 3
    if landscape in ("fields", "forest"):
        assert counts["gone right"] >= 12
        assert counts["in right"] >= 3
    if landscape == "desert":
        assert counts["in undecided"] == counts["gone undecided"] == 18


@pytest.mark.real
def test_never_wrong_on_real_scenes(real):
    from benchmarks import offsets

    counts = measure(offsets.real(real))
    assert sum(own["in wrong"] + own["gone wrong"] for own in counts.values()) == 0
    whole = counts["real Alps"]
    assert whole["gone right"] == 30
    assert whole["in right"] >= 26
    assert sum(counts["real Alps, parts"].values()) > 3000
