"""Watching: counts are those of the work, bars show them, nothing stays behind."""

from __future__ import annotations

import io
import re
import sys
import types
from pathlib import Path

import numpy as np
import pytest

import eocube as eo
from eocube import bars, tallies, watches
from eocube.errors import InputError, LossWarning, MissingExtraError, OutputError
from eocube.runs import Report

from .proxy import store


@pytest.fixture
def made(small, small_items):
    return eo.plan(small_items, small.grid, bands=["red", "nir"], mask=eo.SCLMask(), chunk=32)


@pytest.fixture(autouse=True)
def nothing_stays():
    yield
    assert watches._LISTENERS.found == []
    assert watches._LISTENERS.clients == []
    assert tallies._OPEN.get() is None


def test_blocks_scenes_and_stages(made, small_items):
    best = eo.composite(eo.load(made), eo.Median())
    with eo.progress(made, bar=False) as run:
        assert run.report.windows == 0
        best.compute(scheduler="threads")
    report = run.report
    assert report.windows == report.total == best.data.npartitions
    assert report.again == report.retries == report.requests == 0
    assert report.scenes == len(made.scenes)
    assert report.workers == 1
    assert set(report.stages) >= {"reading", "masking", "reducing"}
    assert sum(report.stages.values()) > 0
    assert report.seconds == run.report.seconds  # the clock stands
    assert len(report.losses) == 0


def test_bytes_are_those_of_the_files(small, small_items):
    """One block of one file, whole, by one task: its bytes, and 16 kB of its header at most."""
    item = small_items[0]
    made = eo.plan([item], small.grid[:, 40:], bands="red")
    path = Path(item.assets["red"].href.removeprefix("file://"))
    cube = eo.load(made)
    assert cube.data.npartitions == 1
    with eo.progress(bar=False) as run:
        cube.compute(scheduler="threads")
    size = path.stat().st_size
    assert size * 0.5 < run.report.bytes <= size + 16_384


def test_two_cubes_at_once_are_counted_each(made):
    cube = eo.load(made)
    with eo.progress(bar=False) as outer:
        cube.isel(band=0).compute(scheduler="threads")
        with eo.progress(bar=False) as inner:
            eo.composite(cube, eo.Median()).compute(scheduler="threads")
    count = cube.data.npartitions
    assert inner.report.windows == count
    assert outer.report.windows == count
    assert outer.report.again == count  # the same blocks, read twice


def test_series_do_not_know_how_many_blocks_they_need(made, small):
    field = small.grid.extent.buffer(-300)
    with eo.progress(bar=False) as run:
        eo.timeseries(made, {"all": field}, weights="centre")
    assert run.report.windows > 0
    assert run.report.total == 0


def test_requests_and_retries_by_http(small, small_items):
    with store(Path(small.items_path).parent) as served:
        requests_and_retries(served, small, small_items)


def requests_and_retries(served, small, small_items):
    found = [item.to_dict(include_self_link=False, transform_hrefs=False) for item in small_items]
    for record, item in zip(found, small_items, strict=True):
        for key, asset in item.assets.items():
            path = Path(asset.get_absolute_href()).relative_to(Path(small.items_path).parent)
            record["assets"][key]["href"] = f"{served.url}/{path}"
    cube = eo.load(found, small.grid, bands=["red", "nir"], mask=eo.SCLMask(), chunk=48, verify_offset=False)
    served.set(rate=0.2, seed=3, kinds=["503"])
    served.stats()
    with eo.progress(bar=False) as run:
        cube.compute(scheduler="threads")
    stats = served.stats()
    assert run.report.requests == stats["requests"] > 50
    assert run.report.retries == stats["503"] > 0
    assert run.report.stages["waiting"] > 0
    served.set()
    with eo.progress(bar=False) as run:
        eo.load(found, small.grid, bands=["red"], chunk=40, verify_offset=False).compute(scheduler="threads")
    stats = served.stats()
    assert run.report.requests == stats["requests"]
    assert run.report.bytes == stats["bytes"] > 0
    assert run.report.retries == 0


def test_what_was_lost(small, small_items, tmp_path):
    broken = [item.clone() for item in small_items]
    broken[1].assets["red"].href = str(tmp_path / "none.tif")
    cube = eo.load(broken, small.grid, bands=["red"], on_error="skip", chunk=48)
    with pytest.warns(LossWarning), eo.progress(bar=False) as run:
        cube.compute(scheduler="threads")
    assert run.report.losses.granules() == eo.lost(cube).granules() != []
    assert "lost      1 granules: see .losses" in repr(run)
    assert "1 skipped" in bars.words(run.report)


def test_an_error_passes_through(small, small_items):
    @eo.mask(bands=["scl"])
    def fails(px):
        raise RuntimeError("half way")

    cube = eo.load(small_items, small.grid, bands=["red"], mask=fails)
    with pytest.raises(RuntimeError, match="half way"), eo.progress(bar=False) as run:
        cube.compute(scheduler="threads")
    assert run.report.windows == 0


def test_against_the_estimate(made):
    with eo.progress(made, bar=False) as run:
        eo.composite(eo.load(made), eo.Median()).compute(scheduler="threads")
    expected = made.estimate()
    assert run.report.estimate == expected
    shown = dict(run.report.lines())["expected"]
    assert re.search(r"s \(\d+\.\d\d times that\), .*B \(\d+\.\d\d times that\)", shown)
    assert "requests" not in shown  # local files


def test_it_shows_itself():
    report = Report(60.0, 10, 20, 1, 5, 3e9, 200, 2, {"waiting": 3.0, "masking": 1.0}, 4)
    text = repr(report)
    for words in ("60.0 s on 4 processes", "10 of 20, 1 read again, 5 scenes", "3.0 GB, 50.0 MB/s, 200 requests",
                  "waiting for servers 3.0 s, masks 1.0 s"):  # fmt: skip
        assert words in text
        assert words in report._repr_html_()
    assert bars.remaining(report) == 60.0
    assert bars.remaining(Report(1.0)) is None


class Screen(io.StringIO):
    def isatty(self):
        return True


def test_a_bar_in_a_terminal(made, monkeypatch):
    screen = Screen()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "160")
    with eo.progress() as run:
        eo.load(made).compute(scheduler="threads")
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", screen.getvalue())
    total = run.report.total
    assert f"{total}/{total}" in text
    assert f"{len(made.scenes)} scenes" in text


def test_no_bar_where_nobody_looks(made, monkeypatch, capsys):
    with eo.progress():
        eo.load(made).compute(scheduler="threads")
    assert capsys.readouterr() == ("", "")


def test_a_bar_in_a_notebook(made, monkeypatch):
    shown = []

    class Handle:
        def update(self, found):
            shown.append(found)

    ipython = types.ModuleType("IPython")
    ipython.get_ipython = lambda: type("ZMQInteractiveShell", (), {})()
    display = types.ModuleType("IPython.display")
    display.HTML = str
    display.display = lambda *_, **__: Handle()
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    monkeypatch.setattr(bars, "_PAUSE", 0.001)
    with eo.progress() as run:
        eo.load(made).compute(scheduler="threads")
    assert any(found.startswith("<progress value=") for found in shown[:-1])
    assert "eocube.Report" in shown[-1]
    assert f"{run.report.windows:,} of {run.report.total:,}" in shown[-1]


def test_dask_report(made, tmp_path, monkeypatch):
    from distributed import Client, LocalCluster

    with pytest.raises(InputError, match=r"open eocube\.cluster\(\) first"), eo.progress(dask_report="x.html"):
        pass
    path = tmp_path / "report.html"
    with LocalCluster(n_workers=1, processes=False, protocol="tcp", dashboard_address=None) as found, Client(found):
        with eo.progress(bar=False, dask_report=path) as run:
            eo.load(made).compute()
        assert run.report.windows == run.report.total
        assert "Dask Performance Report" in path.read_text()
        with pytest.raises(OutputError, match="no folder"), eo.progress(dask_report=tmp_path / "no" / "x.html"):
            pass
        monkeypatch.setitem(sys.modules, "bokeh", None)
        with pytest.raises(MissingExtraError, match=r"eocube\[dashboard\]"), eo.progress(dask_report=path):
            pass


def test_what_is_no_plan(made):
    with pytest.raises(InputError, match="progress takes a Plan, found DataArray"), eo.progress(eo.load(made)):
        pass


def test_counting_is_for_those_who_opened_a_tally():
    tallies.note("bytes", 5)
    with tallies.tallied() as outer:
        tallies.note("bytes", 1)
        with tallies.tallied() as inner:
            tallies.note("bytes", 2)
        carried = tallies.carried(lambda: tallies.note("bytes", 4))
    carried()
    assert outer.found == {"bytes": 5}
    assert inner.found == {"bytes": 2}


def test_waiting_is_not_reading():
    with tallies.tallied() as tally:
        tally.add("reading", 3.0)
        tally.add("waiting", 2.0)
    assert tally.seconds() == {"waiting": 2.0, "reading": 1.0}
    assert np.isclose(sum(tally.seconds().values()), 3.0)
