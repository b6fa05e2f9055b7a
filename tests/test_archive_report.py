"""The report of an archive: one page, of cells in all states, of strangers' words, without a network."""

from __future__ import annotations

import os
import re

import numpy as np
import pytest
import shapely

import eocube as eo
from eocube.archives import Recipe
from eocube.archives.maps import DONE, OTHERS, drawing, outlines, percent, shade_of
from eocube.archives.reports import causes, report, summary

from .markup import Reader

EVIL = "<img src=x onerror=window.evil=1>\"'&<script>window.evil=2</script></td></svg>"


def row(cell, state="done", **own):
    usual = {"good": 1.0, "scenes": 16, "attempts": 1, "seconds": 60.0, "read_bytes": 2e9, "requests": 100,
             "relaxed": False, "started": "2026-01-02T03:04:05+00:00", "ended": "2026-01-02T03:05:05+00:00",
             "why": "", "host": "", "pid": 0}  # fmt: skip
    return {"cell": cell, "state": state, **usual, **own}


ROWS = [
    row("33TTN", good=0.999, seconds=612.0),
    row("33TTM", good=0.4),
    row("33TTL", good=0.0),
    row("33TTK", good=0.85, relaxed=True),
    row("32TQT", "failed", why="ReadError: B04 of S2A_32TQT_20230612 at https://x.example/a.tif: 403"),
    row("32TQS", "failed", why="ReadError: B08 of S2B_32TQS_20230702 at https://x.example/b.tif: 403"),
    row("32TQR", "failed", why=EVIL),
    row("32TQQ", "empty", why="NoItemsError: nothing"),
    row("32TQP", "running", host=EVIL, pid=7),
    row("32TQN", "planned", started="", ended="", good=None),
]
RECIPE = Recipe("all", "2023", cells=("33TTN",), title=f"All {EVIL}", description=EVIL)


def section(page, title):
    return re.search(rf"<h2>{title}</h2>(.*?)</section>", page, flags=re.S)[1]


def cells_in(text):
    return re.findall(r"\b\d\d[A-Z]{3}\b", re.sub(r"<[^>]*>", " ", text))


@pytest.fixture(scope="module")
def page():
    return report(RECIPE, "/somewhere with a blank", ROWS)


def test_every_cell_is_on_the_map_once_in_its_colour(page):
    groups = re.findall(r'<g fill="(#\w+)">(.*?)</g>', page, flags=re.S)
    colours = {cell: colour for colour, body in groups for cell in re.findall(r'data-c="(\w+)"', body)}
    assert colours == {one["cell"]: shade_of(one).colour for one in ROWS}
    assert colours["33TTN"] == DONE[0].colour != colours["33TTM"] == DONE[-1].colour
    assert colours["32TQT"] == OTHERS["failed"].colour
    assert len(re.findall(r"<path data-c=", page)) == len(ROWS)
    assert "<title>33TTK: done, good 85.0% by the ladder, 16 scenes, 60 s</title>" in page
    legend = Reader(section(page, "Map")).text
    for words in ("good 99% and more: 1", "good below 50%: 2", "failed: 3", "planned: 1", "running: 1", "empty: 1"):
        assert words in legend


def test_figures(page):
    text = " ".join(Reader(page).text.split())
    for words in ("4 of 10cells done", "3failed", "56.2%good on average, 0% in the worst cell",
                  "8.0 GBread in 400 requests", "10.1 MB/sread", "60 sper cell (median)", "13 min in all",
                  "begun 2026-01-02 03:04 UTC"):  # fmt: skip
        assert words in text, words
    shares = section(page, "Good share")
    assert re.findall(r"class='n'>([\d,]+)</td>", shares) == ["1", "0", "0", "1", "0", "2"]
    assert "1 of these cells have no pixel with data" in shares


def test_failures_are_grouped_by_cause_with_their_cells(page):
    assert [cells for _, cells in causes(ROWS)] == [["32TQT", "32TQS"], ["32TQR"]]
    part = section(page, "Failed, by cause")
    assert part.count('class="cause"') == 2
    assert "<b>2 cells</b> <code>ReadError</code>" in part
    assert set(cells_in(part)) >= {"32TQT", "32TQS", "32TQR"}
    assert "--out &#x27;/somewhere with a blank&#x27; --retry-failed" in part


def test_candidates_for_the_ladder_worst_first(page):
    part = section(page, "Smallest good share")
    assert cells_in(part) == ["33TTL", "33TTM", "33TTK", "33TTN"]
    assert "2 cells are below 90%" in part  # one more is, but was made by the ladder already
    assert "--only-below good=0.9 --relax" in part
    assert cells_in(section(page, "Slowest cells"))[0] == "33TTN"
    assert "32TQP" in section(page, "At work")
    assert RECIPE.hash in section(page, "Recipe")


@pytest.mark.parametrize("text", [report(RECIPE, EVIL, ROWS), summary(RECIPE, EVIL, ROWS)], ids=["page", "notebook"])
def test_hostile_text_stays_text_and_nothing_is_fetched(text):
    read = Reader(text)
    assert EVIL in read.text
    assert "img" not in read.tags
    assert read.tags.count("script") == ("<!doctype" in text)
    names = {name for name, _ in read.attributes}
    assert not names & {"src", "href", "onerror", "onclick", "onload", "srcset"}
    assert "url(" not in text
    assert "@import" not in text


def test_of_an_archive(tmp_path, small):
    recipe = Recipe("tiny", "2021-06/2022-05", cells=("33TTN", "32TQT", "33TTM"), bands=("B04",),
                    catalog=str(small.items_path))  # fmt: skip
    archive = eo.Archive(tmp_path / "a", recipe)
    early = Reader(archive._repr_html_())  # before the first run
    assert "3: 3 planned" in early.text
    archive.run(bar=False)
    path = archive.report(tmp_path / "r.html")
    assert path == archive.report(tmp_path / "r.html")  # what is there is replaced
    text = path.read_text(encoding="utf-8")
    good = archive.status().set_index("cell")["good"]
    assert f"33TTN: done, good {percent(good['33TTN'])}, 5 scenes" in text
    assert "33TTM: empty" in text
    assert "2: 2 done" not in Reader(archive._repr_html_()).text
    assert "3: 2 done, 1 empty" in Reader(archive._repr_html_()).text
    with pytest.raises(eo.errors.OutputError, match="there is no folder"):
        archive.report(tmp_path / "none" / "r.html")


def test_cells_cover_one_another_nowhere():
    cells = eo.cells_of((-5, 35, 25, 54)) + eo.cells_of((-180, -40, 180, -38))  # Norway's zones are others
    rings = outlines(cells)
    tree = shapely.STRtree(shapely.polygons([shapely.linearrings(ring) for ring in rings]))
    shapes = tree.geometries
    one, other = tree.query(shapes, predicate="intersects")
    apart = one < other
    shared = shapely.area(shapely.intersection(shapes[one[apart]], shapes[other[apart]]))
    assert len(shared) > len(cells)
    assert (shared < 0.05).all()  # square degrees, of about one
    assert all(shape.area > 0 for shape in shapes)


def test_cells_on_both_sides_of_the_antimeridian_lie_beside_each_other():
    rings = outlines(["01KAB", "60KXG", "60KYG"])
    every = np.concatenate(rings)
    assert np.ptp(every[:, 0]) < 8
    assert np.ptp(np.concatenate(outlines(["01KAB", "31NAA", "60KXG"]))[:, 0]) < 190
    # Of the whole world, it is cut there.
    world = np.concatenate(outlines(eo.cells_of((-180, 10, 180, 10.1))))
    assert -181 < world[:, 0].min() < -179 < 179 < world[:, 0].max() < 181


@pytest.mark.parametrize("count", [1, 2000])
def test_the_drawing_is_no_larger_than_it_needs_to_be(count):
    cells = eo.cells_of((-11, 35, 52, 66))[:count]
    text = drawing([row(cell) for cell in cells])
    assert len(text) < 4000 + 160 * count
    box = [float(number) for number in re.search(r'viewBox="([^"]*)"', text)[1].split()]
    numbers = np.array(re.findall(r"-?[\d.]+", " ".join(re.findall(r' d="M([^"]*)Z"', text))), float)
    x, y = numbers[::2], numbers[1::2]
    assert (x >= 0).all()
    assert (x <= box[2]).all()
    assert (y >= 0).all()
    assert (y <= box[3]).all()


@pytest.mark.browser
@pytest.mark.parametrize("width", [1280, 390])
def test_in_a_browser(page, tmp_path, width):
    from playwright.sync_api import sync_playwright

    (tmp_path / "r.html").write_text(page, encoding="utf-8")
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=os.environ["EOCUBE_BROWSER"])
        tab = browser.new_context(viewport={"width": width, "height": 800}, offline=True).new_page()
        wrong = []
        tab.on("pageerror", lambda error: wrong.append(str(error)))
        tab.on("request", lambda asked: wrong.append(asked.url) if not asked.url.startswith("file:") else None)
        tab.goto((tmp_path / "r.html").as_uri())
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
        tab.locator('path[data-c="33TTM"]').hover()
        assert tab.inner_text("#said").startswith("33TTM: done, good 40.0%")
        tab.fill("#find", "32tqr")
        assert tab.inner_text("#said") == f"32TQR: failed, {EVIL}"
        near = tab.get_attribute("#map svg", "viewBox")
        tab.click("#all")
        assert float(tab.get_attribute("#map svg", "viewBox").split()[2]) > float(near.split()[2])
        assert tab.evaluate("window.evil") is None
        assert wrong == []
        browser.close()
