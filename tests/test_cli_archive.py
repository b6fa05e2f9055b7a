"""``eocube archive`` as a user types it."""

from __future__ import annotations

import re
from dataclasses import fields

import pytest
from click.testing import CliRunner

import eocube as eo
from eocube.archives import Recipe, examples
from eocube.archives import archive as archives
from eocube.cli import main, shows

RECIPE = """version: 1
name: tiny
period: "2021-06/2022-05"
cells: [33TTN, 32TQT]
catalog: {catalog}
bands: [B02, B03, B04]
"""


@pytest.fixture
def run(tmp_path, monkeypatch, small):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(shows.console, "_width", 160)
    (tmp_path / "recipe.yaml").write_text(RECIPE.format(catalog=small.items_path))

    def call(*words, code=0):
        result = CliRunner().invoke(main, ["archive", *map(str, words)], catch_exceptions=False)
        assert result.exit_code == code, result.output
        return result.output

    return call


def states(out="archive"):
    table = eo.Archive(out).status()
    return dict(zip(table["cell"], table["state"], strict=True))


def test_plan_run_status_resume(run, tmp_path):
    out = run("plan", "recipe.yaml")
    assert re.search(r"33TTN +planned +\d+ +5 +2021-06-12", out), out
    assert re.search(r"2 cells: 10 scenes, about [\d.]+ [kM]B to read, ", out), out
    assert not list(tmp_path.rglob("*.tif"))
    out = run("run", "recipe.yaml", "--max-cells", 1)
    assert re.search(r"planned +1 *\n", out)
    assert re.search(r"done +1 *\n", out)
    assert "this run: 1 cell, " in out
    assert "--resume goes on with it" in run("run", "recipe.yaml", code=1)
    assert sorted(states().values()) == ["done", "planned"]
    left = next(cell for cell, state in states().items() if state == "planned")
    out = run("run", "--dry-run")
    assert re.findall(r"^(\d\d[A-Z]{3}) ", out, flags=re.M) == [left]
    assert "1 cell: " in out
    run("run", "--resume")  # without a recipe: that of the archive
    assert set(states().values()) == {"done"}
    out = run("status", "--cells", "--report", "report.html")
    assert re.search(r"32TQT +done +\d[\d.]*% +5 +[\d.]+ [kM]B +[\d.]+ s +1", out), out
    assert "report.html" in out
    assert "32TQT" in (tmp_path / "report.html").read_text()
    assert len(eo.search("archive/catalog.json")) == 2


def test_sample_needs_nothing_else(run, tmp_path, small, monkeypatch):
    monkeypatch.setattr(eo.sample, "cached", lambda: small)
    out = run("run", "--sample", "--out", "s")
    assert re.search(r"done +2 *\n", out)
    assert sorted(path.name for path in tmp_path.glob("s/*/TCI.tif")) == ["TCI.tif", "TCI.tif"]


def test_what_failed_is_said_and_made_again(run, monkeypatch):
    real = archives.Runner._make

    def broken(self, lease):
        if lease.cell == "32TQT":
            return archives.Outcome("failed", why="ReadError: B04 at https://x.example/1.tif: 403 [/red] <b>")
        return real(self, lease)

    monkeypatch.setattr(archives.Runner, "_make", broken)
    out = run("run", "recipe.yaml", code=1)
    assert "1 failed: 32TQT: ReadError: B04 at https://x.example/1.tif: 403 [/red] <b>" in out
    assert "1 failed: 32TQT" in run("status")
    assert re.findall(r"^(\d\d[A-Z]{3}) ", run("run", "--resume", "--dry-run"), flags=re.M) == []
    out = run("run", "--retry-failed", "--dry-run")
    assert re.findall(r"^(\d\d[A-Z]{3}) +failed", out, flags=re.M) == ["32TQT"]
    monkeypatch.setattr(archives.Runner, "_make", real)
    run("run", "--retry-failed")
    assert set(states().values()) == {"done"}


def test_the_ladder_is_for_those_below(run):
    run("run", "recipe.yaml")
    out = run("run", "--only-below", "good=0", "--relax", "--dry-run")
    assert "0 cells" in out
    out = run("run", "--only-below", "100%", "--relax", "--dry-run")
    below = {row.cell for row in eo.Archive("archive").status().itertuples() if row.good < 1}
    assert set(re.findall(r"^(\d\d[A-Z]{3}) +done", out, flags=re.M)) == below


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["plan"], "There is no archive in"),
        (["status", "--out", "nowhere"], "begin one with a recipe"),
        (["run", "none.yaml"], "The recipe none.yaml cannot be read"),
        (["run", "wrong.yaml"], "'reducr' is no field of a recipe. Did you mean 'reducer'?"),
        (["plan", "cell.yaml"], "'33XXX' is not an MGRS tile"),
        (["run", "recipe.yaml", "--relax"], "--only-below good=0.9 --relax"),
        (["run", "recipe.yaml", "--only-below", "good=0.9"], "--only-below good=0.9 --relax"),
        (["run", "recipe.yaml", "--only-below", "good=x", "--relax"], "is no share from 0 to 1"),
        (["run", "recipe.yaml", "--only-below", "90", "--relax"], "is no share from 0 to 1"),
        (["run", "recipe.yaml", "--out", "s3://bucket/key"], "say where the ledger is"),
        (["init", "recipe.txt"], "write a .yaml or a .toml file"),
        (["init", "recipe.yaml"], "is there already"),
        (["init", "no/such/recipe.yaml"], "there is no folder"),
    ],
)
def test_errors_are_one_line_and_no_traceback(run, tmp_path, words, message):
    text = (tmp_path / "recipe.yaml").read_text()
    (tmp_path / "wrong.yaml").write_text(text + "reducr: Mean()\n")
    (tmp_path / "cell.yaml").write_text(text.replace("33TTN", "33XXX"))
    out = run(*words, code=1)
    assert message in out
    assert out.startswith("Error: ")
    assert "Traceback" not in out
    assert not list(tmp_path.rglob("*.tif"))


def test_another_recipe_is_refused(run, tmp_path):
    run("run", "recipe.yaml", "--max-cells", 1)
    text = (tmp_path / "recipe.yaml").read_text()
    (tmp_path / "other.yaml").write_text(text + "reducer: Mean()\n")
    out = run("run", "other.yaml", "--resume", code=1)
    assert "reducer: 'Mean()' here, 'Median()' there" in out


@pytest.mark.parametrize("kind", ["yaml", "toml"])
def test_the_example_holds_every_field_and_its_default(run, tmp_path, kind):
    assert list(examples.MEANINGS) == [one.name for one in fields(Recipe)]
    out = run("init", f"mine.{kind}")
    assert f"eocube archive plan mine.{kind}" in out
    file = tmp_path / f"mine.{kind}"
    bare = eo.read_recipe(file)
    for one in fields(Recipe):
        assert re.search(rf"^#?{one.name}( =|:) ", file.read_text(), flags=re.M), one.name
        if one.name not in ("name", "period", "cells"):
            assert getattr(bare, one.name) == one.default
    # Each line that is commented out can be used as it stands, and says the default unless it is an example.
    text = re.sub(r"^#(?=[a-z])", "", file.read_text(), flags=re.M)
    file.write_text(text)
    full = eo.read_recipe(file)
    for one in fields(Recipe):
        shown = re.search(rf"^{one.name}( =|: ).*$", text, flags=re.M)
        if one.name not in ("name", "period", "cells") and "# e.g." not in shown[0]:
            assert getattr(full, one.name) == one.default, one.name


def test_help(run):
    out = run("--help")
    for command in ("init", "plan", "run", "status"):
        assert re.search(rf"^  {command} ", out, flags=re.M)
    assert "--resume" in run("run", "--help")
