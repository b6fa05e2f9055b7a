"""Duplicates and splits: what is dropped, what is kept, and the report."""

from __future__ import annotations

import warnings

import pytest

import eocube as eo
from eocube.checks import warn_of_guesses
from eocube.errors import EocubeWarning
from eocube.reports import Dropped, DroppedTable
from eocube.scenes import scenes_of

from .test_scenes import item, table

WEST = [[[12, 47], [12.5, 47], [12.5, 48], [12, 48], [12, 47]]]
EAST = [[[12.5, 47], [13, 47], [13, 48], [12.5, 48], [12.5, 47]]]


def half(name, ring, **properties):
    found = item(name, **properties)
    found["geometry"]["coordinates"] = ring
    return found


class TestRules:
    def test_highest_baseline(self):
        (row,) = table(item("X_0_L2A"), item("X_1_L2A", **{"s2:processing_baseline": "05.00"})).dropped
        assert row == Dropped("X_0_L2A", ("X_1_L2A",), "baseline 03.00 < 05.00")

    def test_then_the_newest(self):
        old, new = (
            item(n, **{"s2:generation_time": t})
            for n, t in (("z", "2021-06-13T00:00:00Z"), ("a", "2021-06-13T00:00:00.5Z"))
        )
        (row,) = table(new, old).dropped
        assert (row.id, row.kept) == ("z", ("a",))
        assert row.why == "generated 2021-06-13T00:00:00Z, before 2021-06-13T00:00:00.5Z"

    def test_then_collection_1(self):
        c1 = item("S2A_T33TTN_20210612T100031_L2A") | {
            "collection": "sentinel-2-c1-l2a",
            "eocube:catalog": "earth-search-c1",
        }
        l2a = item("S2A_33TTN_20210612_0_L2A") | {"eocube:catalog": "earth-search"}
        for order in ((c1, l2a), (l2a, c1)):
            (row,) = table(*order).dropped
            assert (row.id, row.kept) == (l2a["id"], (c1["id"],))
            assert row.why == (
                "the same product in sentinel-2-l2a and sentinel-2-c1-l2a; found in earth-search and earth-search-c1"
            )

    def test_then_the_first_by_id(self):
        (row,) = table(item("b"), item("a")).dropped
        assert row == Dropped("b", ("a",), "the same product twice: the first by id")

    def test_an_unknown_baseline_is_the_lowest(self):
        (row,) = table(item("a", **{"s2:processing_baseline": None}), item("b")).dropped
        assert row == Dropped("a", ("b",), "baseline unknown < 03.00")

    def test_halves_of_a_pass_stay(self):
        """Also when one half was processed later."""
        found = table(half("a", WEST), half("b", EAST, **{"s2:processing_baseline": "05.00"}))
        assert not found.dropped
        assert [g.id for g in found.scenes[0].granules] == ["b", "a"]

    def test_a_whole_that_two_better_halves_cover(self):
        better = {"s2:processing_baseline": "05.00"}
        (row,) = table(item("w"), half("a", WEST, **better), half("b", EAST, **better)).dropped
        assert (row.id, row.kept) == ("w", ("a", "b"))

    def test_two_passes_of_one_day_are_one_scene(self):
        """At high latitude a platform comes again after 100 minutes: mosaicked, the better processed first."""
        first = item("a")
        second = item("b", datetime="2021-06-12T11:40:31Z", **{"s2:processing_baseline": "05.00"})
        found = table(first, second)
        (scene,) = found.scenes
        assert [g.id for g in scene.granules] == ["b", "a"]
        assert not found.dropped
        assert scene.time.hour == 10


class TestReport:
    TABLE = DroppedTable(
        [Dropped("a", ("b", "c"), "baseline 02.14 < 05.00"), Dropped("<x>", ("y",), "because")]
    )

    def test_text_and_html(self):
        assert repr(self.TABLE).splitlines() == [
            "left out  kept  why",
            "a         b, c  baseline 02.14 < 05.00",
            "<x>       y     because",
        ]
        html = self.TABLE._repr_html_()
        assert "<table>" in html
        assert "&lt;x&gt;" in html
        assert "<td><x>" not in html
        assert repr(DroppedTable()) == "nothing was left out"
        assert DroppedTable()._repr_html_() == "<p>nothing was left out</p>"

    def test_simple_use(self):
        assert self.TABLE.ids == ("a", "<x>")
        assert self.TABLE[0].why == "baseline 02.14 < 05.00"
        assert len(self.TABLE) == 2
        assert DroppedTable.of(self.TABLE.as_dicts()) == self.TABLE

    def test_in_a_plan(self, small, small_items):
        made = eo.plan(small_items, small.grid, bands=["red"])
        assert made.twins == ("S2A_33TTN_20210612_0_L2A",)
        assert made.dropped.ids == made.twins
        assert made.dropped[0].why == "baseline 03.00 < 05.00"
        assert "S2A_33TTN_20210612_0_L2A (baseline 03.00 < 05.00; S2A_33TTN_20210612_1_L2A kept)" in repr(
            made
        )
        assert "1 left out" in made._repr_html_()
        assert "baseline 03.00 &lt; 05.00" in made._repr_html_()


class TestUnknownBaseline:
    def test_said_where_it_matters(self):
        unknown = item("a", **{"s2:processing_baseline": None, "datetime": "2023-06-12T10:00:31Z"})
        found = table(unknown)
        assert found.scenes[0].offset == 0
        with pytest.warns(
            EocubeWarning, match=r"1 Items say neither a processing baseline nor an offset: a\."
        ):
            warn_of_guesses(found.scenes)

    def test_not_where_the_offset_is_known(self):
        flagged = item("a", **{"s2:processing_baseline": None, "earthsearch:boa_offset_applied": True})
        stated = item("b", **{"s2:processing_baseline": None}) | {"collection": "sentinel-2-c1-l2a"}
        stated["assets"]["red"]["raster:bands"] = [{"scale": 0.0001, "offset": -0.1}]
        classes = item("c", **{"s2:processing_baseline": None})
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            warn_of_guesses(table(flagged).scenes)
            assert table(stated).scenes[0].offset == -1000
            warn_of_guesses(table(stated).scenes)
            warn_of_guesses(scenes_of([classes], ("scl",), longitude=12).scenes)
