"""The page on archives: its code runs, its table is the recipe's, its commands can be typed."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import yaml

import eocube as eo
from eocube.archives.examples import table_of_fields
from eocube.archives.ledgers import STATES
from eocube.archives.recipes import recipe_from
from eocube.cli import main

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "archive.md").read_text(encoding="utf-8")


def blocks(kind, text=PAGE):
    return re.findall(rf"^```{kind}\n(.*?)^```", text, flags=re.S | re.M)


def test_code_runs(small, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(eo.sample, "cached", lambda: small)
    room = {}
    for block in blocks("python"):
        exec(compile(block, "archive.md", "exec", dont_inherit=True), room)
    assert room["archive"].status()["state"].tolist() == ["done", "done"]
    assert len(room["items"]) == len(room["table"]) == 2
    assert room["clear"]
    assert "33TTN" in Path("alps.html").read_text()
    written = {file.name for file in room["cell"].iterdir()}
    shown = set(re.findall(r"\b(\w+\.tif)\b", blocks("text")[0])) - {"rung.tif"}
    assert shown <= written | {"B03.tif"}
    shelf = {file.name for file in Path("alps").iterdir() if file.is_file()}
    assert shelf == set(re.findall(r"\b(\w+\.(?:json|parquet|sqlite))\b", blocks("text")[0]))


def test_the_table_is_that_of_the_recipe():
    assert table_of_fields() in PAGE


def test_the_states_are_those_of_the_ledger():
    rows = re.search(r"\| state \|.*?\n\n", PAGE, flags=re.S)[0]
    assert tuple(re.findall(r"^\| `(\w+)`", rows, flags=re.M)) == STATES


def test_the_recipe_can_be_read():
    (text,) = blocks("yaml")
    assert recipe_from(yaml.safe_load(text)).name == "alps"


@pytest.mark.parametrize("path", ["docs/archive.md", "README.md"])
def test_commands_can_be_typed(path):
    """Every command of the page is known, with all its options."""
    lines = [line for block in blocks("sh", (ROOT / path).read_text()) for line in block.splitlines()]
    own = [line for line in lines if line.startswith("eocube archive ")]
    assert len(own) >= 4
    for line in own:
        _, group, name, *words = shlex.split(line, comments=True)
        main.commands[group].commands[name].make_context(name, words)
