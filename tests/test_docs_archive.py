"""The page on archives: what its code makes, and its tables, are as it says."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

import eocube as eo
from eocube.archives.examples import table_of_fields
from eocube.archives.files import recipe_from
from eocube.archives.ledgers import STATES

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
    assert shown <= written
    shelf = {file.name for file in Path("alps").iterdir() if file.is_file()}
    assert shelf == set(re.findall(r" ([a-z]+\.(?:json|parquet|sqlite))\b", blocks("text")[0]))


def test_the_table_is_that_of_the_recipe():
    assert table_of_fields() in PAGE


def test_the_states_are_those_of_the_ledger():
    rows = re.search(r"\| state \|.*?\n\n", PAGE, flags=re.S)[0]
    assert tuple(re.findall(r"^\| `(\w+)`", rows, flags=re.M)) == STATES


def test_the_recipe_can_be_read():
    (text,) = blocks("yaml")
    assert recipe_from(yaml.safe_load(text)).name == "alps"
