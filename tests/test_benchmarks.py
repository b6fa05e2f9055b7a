"""The benchmarks' quick form: it runs, and its table says what it should."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    folder = tmp_path_factory.mktemp("benchmarks")
    command = [
        sys.executable, "-m", "benchmarks", "--quick", "--only", "W1,W4",
        "--variants", "eocube,odc-bottleneck,odc,decode",
        "--data", str(folder / "data"), "--out", str(folder / "out"),
    ]  # fmt: skip
    paths = [str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    return folder / "out"


def test_the_json_holds_every_round(ran):
    found = json.loads((ran / "benchmarks.json").read_text())
    assert set(found["rows"]) == {"W1", "W4"}
    for rows in found["rows"].values():
        ours = rows[0]
        assert ours["variant"] == "eocube"
        assert not ours["note"]
        assert ours["ratio"] == ours["peak_ratio"] == 1
        assert ours["seconds"] > 0
        assert ours["peak"] > 50e6
        assert len(ours["rounds"]) == 1
        for row in rows:
            assert row["note"].startswith("not installed") or row["rounds"], row
            assert row["variant"] == "decode" or row["note"] or row["tasks"] >= 1


def test_exact_peers_give_the_same_pixels(ran):
    rows = json.loads((ran / "benchmarks.json").read_text())["rows"]["W1"]
    outputs = {row["variant"]: row["output"] for row in rows if row["rounds"]}
    assert outputs.pop("eocube") == "ours"
    outputs.pop("decode", None)
    assert set(outputs.values()) <= {"equal", "identical"}


def test_the_table_is_markdown(ran):
    text = (ran / "benchmarks.md").read_text()
    lines = text.splitlines()
    assert "QUICK" in lines[0]
    for title in ("### W1. ", "### W4. "):
        start = next(number for number, line in enumerate(lines) if line.startswith(title))
        table = [line for line in lines[start + 2 : start + 10] if line.startswith("|")]
        assert len(table) >= 3
        assert len({line.count("|") for line in table}) == 1
        assert table[2].startswith("| eocube |")
    assert str(ROOT) not in text


def test_outputs_are_compared():
    from benchmarks.facts import compared

    ours = np.array([0.1, 0.2, np.nan, 0.4], dtype=np.float32)
    assert compared(ours, ours.copy()) == "identical"
    assert compared(ours, ours + np.float32(3e-8)) == "equal"
    assert compared(ours, ours + np.float32([0, 0, 0, 1e-3])) == "differs in 25 %"
    assert compared(ours, np.nan_to_num(ours)) == "differs in 25 %"
    assert compared(ours, ours[:2]).startswith("shape")


def test_reducers_are_timed_and_compared():
    from benchmarks.reducers import main as timed
    from click.testing import CliRunner

    result = CliRunner().invoke(timed, ["--rounds", "1", "--size", "20", "--dates", "6"], catch_exceptions=False)
    assert result.exit_code == 0
    for words in ("Medoid()", "odc-algo with MADs, eps=1e-06", "eps=1e-09: "):
        assert words in result.output


def test_the_page_of_the_documentation_is_made_of_runs(ran):
    """Of each workload the tables of the run, with its command, and nothing else."""
    sys.path.insert(0, str(ROOT))
    try:
        from benchmarks.published import PAGE, sections
    finally:
        sys.path.remove(str(ROOT))
    text, found = (ran / "benchmarks.md").read_text(), sections(ran)
    assert list(found) == ["W1", "W4"]
    for name, part in found.items():
        assert f"--rounds 1 --only {name} --variants eocube," in part
        assert sum(line.startswith("|") for line in part.splitlines()) >= 3
        assert all(line in text for line in part.splitlines() if line.startswith("|"))
    page = PAGE.read_text(encoding="utf-8")
    assert page.startswith("<!-- Made by `python -m benchmarks.published")
    assert all(f"### {name}." in page for name in ("W1", "W2", "W3", "W3H", "W3M", "W4", "W5", "W6", "W7"))
