"""The code of the pages on masks runs, in order, as it stands."""

from __future__ import annotations

import re
import sys
import types
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"


@pytest.mark.parametrize("page", ["howto-mask.md", "comparing-masks.md"])
def test_code_runs(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    text = (DOCS / page).read_text()
    blocks = re.findall(r"```(python|text)\n(.*?)```", text, flags=re.S)
    assert len(blocks) >= 2
    module = types.ModuleType("page")  # dataclasses and pickle look their module up
    monkeypatch.setitem(sys.modules, "page", module)
    for kind, block in blocks:
        if kind == "python":
            exec(compile(block, page, "exec", dont_inherit=True), module.__dict__)
        else:
            assert block.strip() in capsys.readouterr().out


def test_ten_lines_are_ten_lines():
    block = re.search(r"## In ten lines\n+```python\n(.*?)```", (DOCS / "howto-mask.md").read_text(), flags=re.S)
    assert block is not None
    assert len(block[1].splitlines()) <= 10
