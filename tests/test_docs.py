"""The documentation: its links, its examples, its pictures."""

from __future__ import annotations

import ast
import importlib.util
import re
import warnings
from pathlib import Path

import matplotlib as mpl
import pytest

import eocube as eo

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.glob("*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"])
RUN = ("index", "tutorial", "cube", "pictures")


def prose_of(text: str) -> str:
    return re.sub(r"```.*?```", "", text, flags=re.DOTALL)


def anchors_of(text: str) -> set[str]:
    """Return the anchors of a page's headings, as GitHub and MyST make them."""
    heads = re.findall(r"^#{1,6} +(.+)$", prose_of(text), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).strip().replace(" ", "-") for head in heads}


def blocks_of(path: Path) -> list[str]:
    return re.findall(
        r"^```python\n(.*?)^```", path.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE
    )


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_links_between_pages(path):
    """As they are read beside the source: every file and every heading is there."""
    text = path.read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)\s]+)\)", prose_of(text)):
        if re.match(r"https?:|mailto:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        if target in (DOCS / "contributing.md", DOCS / "changelog.md"):
            continue
        assert target.exists(), link
        assert target.is_relative_to(ROOT), link
        if anchor and target.suffix == ".md":
            assert anchor in anchors_of(target.read_text(encoding="utf-8")), link


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_examples_are_python(path):
    for block in blocks_of(path):
        ast.parse(block)


@pytest.mark.parametrize("name", RUN)
def test_examples_run(name, small, tmp_path, monkeypatch):
    """One after the other, on the made-up archive; what asks a real catalog is left out."""
    mpl.use("Agg")
    import matplotlib.pyplot as plt

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(eo.sample, "cached", lambda: small)
    items = eo.search(small.items_path)
    bands = ["red", "green", "blue", "nir"]
    plan = eo.plan(items, small.grid, bands=bands, mask=eo.SCLMask().dilate(metres=40))
    best = eo.composite(eo.load(plan), eo.Median()).compute()
    room = {"eo": eo, "world": small, "items": items, "plan": plan, "best": best}
    blocks = [block for block in blocks_of(DOCS / f"{name}.md") if "EARTH_SEARCH" not in block]
    assert blocks
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for block in blocks:
            exec(compile(block, f"{name}.md", "exec"), room)
            plt.close("all")
    if name == "tutorial":
        assert (tmp_path / "best.tif").exists()
        assert (tmp_path / "map.html").stat().st_size > 150_000


def test_pictures_are_small_and_used():
    text = "".join(path.read_text(encoding="utf-8") for path in PAGES)
    for path in (DOCS / "images").glob("*.*"):
        if path.suffix in (".png", ".gif", ".jpg"):
            assert path.stat().st_size < 150_000, path.name
            assert f"images/{path.name}" in text, path.name


def test_the_check_of_the_site_finds_what_is_wrong(tmp_path):
    spec = importlib.util.spec_from_file_location("check_links", DOCS / "check_links.py")
    check = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(check)
    (tmp_path / "index.html").write_text(
        "<h1 id=top>x</h1><a href='#top'></a><a href='b.html#there'></a><a href='https://example.org'></a>"
    )
    (tmp_path / "b.html").write_text("<p id=there></p>")
    assert check.wrong(tmp_path) == []
    (tmp_path / "b.html").write_text(
        "<a href='index.html#gone'></a><a href='c.html'></a><img src='i.png'><script src='https://cdn.example/x.js'></script>"
        "<link rel='stylesheet' href='https://cdn.example/x.css'>"
    )
    found = check.wrong(tmp_path)
    assert len(found) == 6
    assert sum("no such anchor" in line for line in found) == 2
    assert sum("fetched from elsewhere" in line for line in found) == 2
