"""The notebooks: what is stored in them is what a run gives, and one line makes them real."""

from __future__ import annotations

import ast
import copy
import importlib.util
import re
import warnings
from itertools import pairwise
from pathlib import Path
from unittest.mock import MagicMock

import matplotlib as mpl
import pytest
from nbformat import v4

import eocube as eo
from eocube.errors import EocubeWarning

FOLDER = Path(__file__).parent.parent / "notebooks"
spec = importlib.util.spec_from_file_location("notebooks_run", FOLDER / "run.py")
run = importlib.util.module_from_spec(spec)
spec.loader.exec_module(run)

BOOKS = run.notebooks()
NAMES = {"01_mosaic", "02_masks", "03_ndvi_series", "04_cluster", "05_archive", "06_other_libraries"}
each = pytest.mark.parametrize("path", BOOKS, ids=lambda path: path.stem)
AREA = re.compile(r"\(\d[\d.]*(?:, \d[\d.]*){3}\)")
PERIOD = re.compile(r'"\d{4}-\d\d/\d{4}-\d\d"')


def code_of(book):
    return [cell for cell in book.cells if cell.cell_type == "code"]


def outputs_of(book):
    return [output for cell in code_of(book) for output in cell.outputs]


def archive_lines(book):
    """Yield the lines that say where pixels come from: that of the sample, and the commented one below it."""
    for cell in code_of(book):
        lines = cell.source.splitlines()
        for above, below in pairwise(lines):
            if below.startswith("# catalog, "):
                yield above, below.removeprefix("# ")


def names_in(line):
    return ast.unparse(ast.parse(line).body[0].targets[0])


def test_they_are_there():
    assert {path.stem for path in BOOKS} >= NAMES


@each
def test_what_is_stored_is_what_a_run_gives(path):
    fresh = run.executed(path)
    assert run.differences(run.read(path), fresh) == []
    assert list(run.trouble(fresh)) == []


@each
def test_what_is_stored_is_clean(path):
    book = run.read(path)
    assert path.stat().st_size < 1_500_000
    assert list(run.trouble(book)) == []
    assert [cell.execution_count for cell in code_of(book)] == list(range(1, len(code_of(book)) + 1))
    assert book == run.cleaned(copy.deepcopy(book))
    assert book.cells[0].source.startswith("# ")
    assert any("image/png" in output.get("data", {}) for output in outputs_of(book))


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    """An archive that no notebook knows."""
    return eo.sample.write(tmp_path_factory.mktemp("other") / "w", seed=5, size=180)


@each
def test_one_line_makes_it_real(path, other, tmp_path, monkeypatch):
    """With the commented line in place of the one above it the cells run, on another area and period.

    The catalogs are an archive on disk here, and what is left of the sample is a mock.
    """
    mpl.use("Agg")
    import matplotlib.pyplot as plt

    book = run.read(path)
    ((sample, public),) = archive_lines(book)
    assert names_in(sample) == names_in(public)
    assert "world" in sample
    assert "world" not in public
    other.fields(each=1).to_file(tmp_path / "fields.gpkg")
    west, south, east, north = other.grid.extent.to_crs("EPSG:4326").boundingbox.bbox
    line, areas = AREA.subn(f"({west}, {south}, {east}, {north})", public)
    line, periods = PERIOD.subn('"2021-07/2022-05"', line)
    assert areas == periods == 1
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(eo, "EARTH_SEARCH", other.catalog)
    monkeypatch.setattr(eo, "EARTH_SEARCH_L1C", eo.EARTH_SEARCH_L1C.at(str(other.l1c())))
    monkeypatch.setattr(eo.sample, "cached", MagicMock())
    room = {"__name__": "notebook"}
    try:
        for cell in code_of(book):
            code = cell.source.replace(sample, line)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", EocubeWarning)  # a field that is hardly ever seen, for instance
                exec(compile(code, f"{path.name}, {cell.id}", "exec"), room)
            plt.close("all")
    finally:
        if "cluster" in room:
            room["cluster"].close()
    assert {item.id for item in room["items"]} <= set(other.item_ids)


class TestStale:
    """Outputs that are not those of a run are noticed."""

    @pytest.fixture
    def book(self):
        picture = {"image/png": "iVBORw0KGgo=", "text/plain": "<Figure size 800x400>"}
        cells = [
            v4.new_markdown_cell("# Title"),
            v4.new_code_cell("1 + 1", outputs=[v4.new_output("execute_result", {"text/plain": "2"}, execution_count=1)]),
            v4.new_code_cell("draw()", outputs=[v4.new_output("display_data", picture)]),
            v4.new_code_cell("print(3)", outputs=[v4.new_output("stream", text="took 1.2 s\nread 3.4 MB\n")]),
        ]
        for number, cell in enumerate(cells[1:], 1):
            cell.execution_count = number
        cells[3].metadata["tags"] = ["varies"]
        return run.cleaned(v4.new_notebook(cells=cells))

    def found(self, book, change):
        fresh = copy.deepcopy(book)
        change(fresh.cells)
        return run.differences(book, fresh)

    def test_what_is_the_same(self, book):
        assert self.found(book, lambda cells: None) == []
        assert self.found(book, lambda cells: cells[2].outputs[0].data.update({"image/png": "AAAA"})) == []
        assert self.found(book, lambda cells: cells[3].outputs[0].update(text="took 12 s\nread 980 kB\n")) == []

    @pytest.mark.parametrize(
        "change",
        [
            lambda cells: cells[1].outputs[0].data.update({"text/plain": "3"}),
            lambda cells: cells[1].outputs.clear(),
            lambda cells: cells[1].update(source="1 + 2"),
            lambda cells: cells[2].outputs.clear(),
            lambda cells: cells[2].outputs[0].data.pop("image/png"),
            lambda cells: cells[3].outputs[0].update(text="took 1.2 s\nlost 3.4 MB\n"),
            lambda cells: cells[3].update(execution_count=7),
            lambda cells: cells.pop(),
        ],
    )
    def test_what_is_not(self, book, change):
        assert self.found(book, change)

    @pytest.mark.parametrize("text", ["/home/me/a.tif", f"{Path.home()}/a.tif", "<function f at 0x7f0e12ab34cd>"])
    def test_places_and_addresses(self, book, text):
        assert list(run.trouble(book)) == []
        book.cells[1].outputs[0].data["text/plain"] = text
        assert list(run.trouble(book))

    def test_warnings(self, book):
        book.cells[3].outputs[0].name = "stderr"
        assert list(run.trouble(book))

    def test_what_shows_nothing_goes(self, book):
        """Scripts that libraries bring when they are imported; not pictures, nor tables."""
        brought = [
            {"application/javascript": "load()", "application/vnd.holoviews_load.v0+json": ""},
            {"text/html": "<style>p {}</style><script>load()</script>\n<div></div>"},
        ]
        kept = [{"text/html": "<script></script><b>2</b>", "text/plain": "2"}, {"image/png": "AAAA"}]
        book.cells[1].outputs = [v4.new_output("display_data", data) for data in (*brought, *kept)]
        assert [dict(output.data) for output in run.cleaned(book).cells[1].outputs] == kept

    def test_times_and_chance_names_go(self, book):
        book.cells[1].metadata["execution"] = {"iopub.status.busy": "2026-11-21T17:46:51Z"}
        book.cells[1].outputs[0].data["text/html"] = "<p id='0b9f8a6e-7e0e-4c39-8a55-6d3f6d4f8f10'>2"
        book.metadata["language_info"] = {"version": "3.11.7"}
        done = run.cleaned(book)
        assert "execution" not in done.cells[1].metadata
        assert done.cells[1].outputs[0].data["text/html"] == "<p id='id-0'>2"
        assert "version" not in done.metadata["language_info"]
