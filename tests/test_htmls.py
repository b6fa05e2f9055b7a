"""What notebooks show: consistent, escaped, without resources, for Items of strangers too."""

from __future__ import annotations

import copy
import re

import pystac
import pytest

import eocube as eo
from eocube.founds import FoundItems
from eocube.htmls import Html, escaped, folded, page, pairs, table

from .markup import Reader

EVIL = "<img src=x onerror=alert(1)>\"'&<script>alert(2)</script></td>\x00\u202e"


def harmless(text):
    """Parse HTML as a browser does, and return it, sure that it runs and fetches nothing."""
    read = Reader(text)
    assert set(read.tags) <= {"div", "b", "table", "tr", "th", "td", "details", "summary", "p"}
    assert {name for name, _ in read.attributes} <= {"style"}
    for _, value in read.attributes:
        assert not re.search(r"url|colou?r|background|http", value)
    return read


class TestParts:
    def test_escaped(self):
        assert escaped("<b>&\"'") == "&lt;b&gt;&amp;&quot;&#x27;"
        assert escaped(Html("<b>x</b>")) == "<b>x</b>"
        assert escaped("a\x00b\u202ec\nd") == "a\ufffdb\ufffdc\nd"
        assert escaped(3.5) == "3.5"

    def test_all_parts_escape(self):
        text = page(EVIL, pairs([(EVIL, EVIL)]), folded(EVIL, table([EVIL], [[EVIL]], 1)))
        read = harmless(text)
        assert read.text.count("alert(1)") == 6

    def test_long_tables_are_cut_and_say_so(self):
        read = harmless(page("t", table(["n"], ([k] for k in range(450)), 450)))
        assert read.tags.count("tr") == 201
        assert "and 250 more" in read.text
        assert "more" not in harmless(table(["n"], [[1]], 1)).text


class TestItems:
    def test_a_search_shows_what_it_found(self, items):
        assert isinstance(items, FoundItems)
        assert isinstance(items, pystac.ItemCollection)
        said = repr(items)
        assert "26" in said
        assert "12, 2021-06-12 to 2022-05-10" in said
        assert "33TTN" in said
        assert "0x" not in said
        read = harmless(items._repr_html_())
        assert all(item.id in read.text for item in items)
        for word in ("eocube Items", "sentinel-2a", "cloud %", "2021-06-12 10:18"):
            assert word in read.text

    def test_also_the_best(self, items):
        assert isinstance(eo.best(items, 2), FoundItems)

    def test_it_is_a_collection_like_any_other(self, items, tmp_path):
        items.save_object(str(tmp_path / "items.json"))
        again = pystac.ItemCollection.from_file(str(tmp_path / "items.json"))
        assert {item.id for item in again} == {item.id for item in items}
        assert isinstance(items.clone(), FoundItems)
        assert items.to_dict()["type"] == "FeatureCollection"

    def test_items_of_strangers(self, items):
        records = [copy.deepcopy(items[0].to_dict()) for _ in range(2)]
        for k, record in enumerate(records):
            record["id"] = f"{EVIL}{k}"
            record["collection"] = EVIL
            properties = record["properties"]
            properties |= dict.fromkeys(
                ("platform", "grid:code", "s2:mgrs_tile", "s2:processing_baseline", "eo:cloud_cover",
                 "sat:relative_orbit", "s2:nodata_pixel_percentage", "s2:product_uri"), EVIL
            )  # fmt: skip
        shown = FoundItems([pystac.Item.from_dict(record) for record in records])
        read = harmless(shown._repr_html_())
        assert EVIL[:30] in read.text
        assert repr(shown)

    @pytest.mark.parametrize(
        "properties", [{}, {"eo:cloud_cover": None}, {"platform": 3, "grid:code": ["x"]}]
    )
    def test_items_that_say_nothing(self, items, properties):
        item = items[0].clone()
        item.properties = properties
        harmless(FoundItems([item])._repr_html_())
        assert "1" in repr(FoundItems([item]))


class TestTheOthers:
    def test_plan(self, small, small_items):
        made = eo.plan(small_items, small.grid, bands=["red"], mask=eo.SCLMask())
        read = harmless(made._repr_html_())
        for word in (
            "eocube.Plan",
            "scenes",
            "reflectance, NaN = no data",
            "sentinel-2",
            made.scenes[0].granules[0].id,
        ):
            assert word in read.text

    def test_masks(self):
        @eo.mask(bands=["blue"], reach=40)
        def bright(px):
            return px["blue"] > 0.4

        for mask in (
            eo.SCLMask(),
            ~eo.SCLMask("snow"),
            bright,
            eo.SCLMask() & bright,
            eo.SCLMask().dilate(metres=60),
        ):
            read = harmless(mask._repr_html_())
            assert repr(mask) in read.text
            assert "20 m" in read.text or "10 m" in read.text
        joined = harmless((eo.SCLMask() | bright)._repr_html_())
        assert "scl, blue" in joined.text
        assert "2 parts" in joined.text
        assert "FunctionMask" in joined.text
        assert "40 m" in joined.text

    def test_catalogs(self):
        read = harmless(eo.PLANETARY_COMPUTER._repr_html_())
        assert "planetarycomputer.microsoft.com" in read.text
        assert "B04" in read.text
        own = eo.Catalog(
            EVIL, f"https://user:secret@x.example/{EVIL}?sig=token", "c", {"red": EVIL}, trust=True
        )
        text = harmless(own._repr_html_()).text
        assert "secret" not in text
        assert "token" not in text
        assert "its Items may point anywhere" in text

    def test_audit_index_and_dropped(self, items, small_items, small, tmp_path):
        harmless(eo.audit(small_items, verify_offset=False)._repr_html_())
        index = eo.LocalIndex(tmp_path / "<b>.parquet")
        harmless(index._repr_html_())
        index.add(items)
        assert "<b>.parquet" in harmless(index._repr_html_()).text
        dropped = eo.plan(items, eo.grid_for(items), bands="red", verify_offset=False).dropped
        assert dropped
        assert dropped[0].id in harmless(dropped._repr_html_()).text
