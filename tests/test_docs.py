"""The documentation: its links, its code, its figures, and whether questions are answered where they are asked."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import re
from collections import Counter

import pytest

import eocube as eo

from .pages import DOCS, PAGES, ROOT, blocks_of, furnish, read_here, run_python, run_shell, start

NOT_RUN = {"cluster.md": 4}
"""Blocks that do not run here: three need a dask-gateway (tests/test_gateway.py runs them), one an account of Coiled."""

LANGUAGES = {"python", "sh", "text", "toml", "yaml", ""}
WITH_PYTHON = [path for path in PAGES if any(block.language == "python" for block in blocks_of(path))]
WITH_SHELL = [path for path in PAGES if any(block.language == "sh" for block in blocks_of(path))]


def prose_of(text: str) -> str:
    return re.sub(r"```.*?```", "", text, flags=re.DOTALL)


def anchors_of(text: str) -> set[str]:
    """Return the anchors of a page's headings, as GitHub and MyST make them."""
    heads = re.findall(r"^#{1,6} +(.+)$", prose_of(text), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).strip().replace(" ", "-") for head in heads}


def links_of(text: str) -> list[str]:
    return re.findall(r"\]\(([^)\s]+)\)", prose_of(text))


def name_of(path) -> str:
    return path.name


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_links_between_pages(path):
    """As they are read beside the source: every file and every heading is there."""
    for link in links_of(path.read_text(encoding="utf-8")):
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


# Code: every block runs, or is listed


@pytest.fixture(scope="module")
def made():
    return start()


@pytest.fixture
def reader(tmp_path, monkeypatch):
    """A reader in an empty folder, with the public catalogs at hand."""
    monkeypatch.chdir(tmp_path)
    furnish(tmp_path)
    read_here(monkeypatch)
    return tmp_path


@pytest.mark.parametrize("path", WITH_PYTHON, ids=name_of)
def test_python_runs(path, made, reader, monkeypatch):
    """Block after block, in one module; a text block right after one is what it printed."""
    run_python(path, made, monkeypatch)
    if path.name == "tutorial.md":
        assert (reader / "best.tif").exists()
        assert (reader / "map.html").stat().st_size > 150_000


@pytest.mark.parametrize("path", WITH_SHELL, ids=name_of)
def test_shell_runs(path, reader):
    """eocube's commands run; of others the modules, scripts and extras they name are there."""
    for block in blocks_of(path):
        if block.language == "sh":
            run_shell(block)


def test_what_is_not_run_is_listed():
    said = [block for path in PAGES for block in blocks_of(path) if block.not_run]
    assert Counter(block.page for block in said) == NOT_RUN
    for block in said:
        assert len(block.not_run.split()) > 2, f"{block.page}:{block.line} does not say why"
        ast.parse(block.text)


def test_no_block_is_of_an_unknown_kind():
    """A block that is python and does not say so would not be run."""
    for path in PAGES:
        for block in blocks_of(path):
            plain = block.language.partition(" ")[0]
            assert plain in LANGUAGES or plain in ("{literalinclude}", "{include}"), f"{block.page}:{block.line}: {block.language}"
            if not block.language:
                assert "import " not in block.text, f"{block.page}:{block.line} says no language"


def test_what_is_left_to_a_test_is_small(tmp_path):
    """A page that would not run is found out: one wrong name, one wrong output, one wrong command."""
    from .pages import Block, astray

    page = tmp_path / "page.md"
    page.write_text("```python\nx = nothing\n```\n")
    with pytest.MonkeyPatch.context() as patch, pytest.raises(NameError):
        run_python(page, {}, patch)
    page.write_text("```python\nprint(1)\n```\n\n```text\n2\n```\n")
    with pytest.MonkeyPatch.context() as patch, pytest.raises(AssertionError, match="not what it prints"):
        run_python(page, {}, patch)
    with pytest.raises(AssertionError, match="mosaik"):
        run_shell(Block("page.md", 1, "sh", "eocube mosaik --sample\n"))
    assert astray(["python", "-m", "benchmarks.nothing"]) == "benchmarks.nothing"
    assert astray(["python", "-m", "benchmarks.offsets", "--sedes", "20"]) == "--sedes"
    assert "clouds" in astray(["pip", "install", ".[clouds]"])


def test_ten_lines_are_ten_lines():
    block = re.search(r"## In ten lines\n+```python\n(.*?)```", (DOCS / "howto-mask.md").read_text(), flags=re.DOTALL)
    assert block is not None
    assert len(block[1].splitlines()) <= 10


def test_public_names_of_the_page_for_libraries_are_there():
    text = (DOCS / "libraries.md").read_text(encoding="utf-8")
    for name in set(re.findall(r"`eocube\.([\w.]+)`", text)) - {"__all__"}:
        found = eo
        for part in name.split("."):
            module = f"{found.__name__}.{part}" if hasattr(found, "__path__") else ""
            found = importlib.import_module(module) if module and not hasattr(found, part) else getattr(found, part)


# Questions: answered in at most two clicks

ANSWERS = {
    "which mask, and why": "explained.md#which-mask",
    "how good each mask is": "comparing-masks.md#on-the-made-up-world",
    "how to run on a gateway": "cluster.md#on-a-hub-step-by-step",
    "what the units are": "cube.md#units",
    "why a pixel is NaN": "why-nan.md#on-one-date",
    "what it will take": "scale.md#the-estimate",
    "from stackstac": "from-stackstac.md#line-by-line",
    "from odc-stac": "from-odc-stac.md#line-by-line",
    "from Earth Engine": "from-earth-engine.md#the-parameters",
    "offline": "index-offline.md#the-pixels-too",
    "what is stable": "libraries.md#what-is-public",
}


def clicks() -> dict[str, int]:
    """Return in how many clicks from the start page each page, and each heading on it, is reached."""
    found, edge = {"index.md": 0}, ["index.md"]
    for count in (1, 2):
        following = []
        for name in edge:
            for link in links_of((DOCS / name.partition("#")[0]).read_text(encoding="utf-8")):
                page, _, anchor = link.partition("#")
                target = (page or name.partition("#")[0]) + (f"#{anchor}" if anchor else "")
                if re.match(r"https?:|mailto:|\.\./", link) or not page.endswith(".md"):
                    continue
                for reached in (target, target.partition("#")[0]):
                    if reached not in found:
                        found[reached] = count
                        following.append(reached)
        edge = following
    return found


@pytest.mark.parametrize("question", ANSWERS)
def test_two_clicks_from_the_start(question):
    page, _, anchor = ANSWERS[question].partition("#")
    reached = clicks()
    # A page shows its headings in a list: one click more.
    assert min(reached.get(ANSWERS[question], 9), reached.get(page, 9) + 1) <= 2
    assert anchor in anchors_of((DOCS / page).read_text(encoding="utf-8"))


def test_every_page_is_reached():
    lost = {path.name for path in DOCS.glob("*.md")} - set(clicks()) - {"contributing.md", "changelog.md"}
    assert lost == {"project.md"}  # which the site's navigation shows on every page


# Figures: each says how it is made


def makers() -> dict[str, str]:
    """Return by picture the script that makes it."""
    said = {script: script.read_text(encoding="utf-8") for script in (DOCS / "images").glob("make_*.py")}
    return {
        path.name: script.name
        for path in (DOCS / "images").glob("*.*")
        for script, text in said.items()
        if path.suffix != ".py" and (f'"{path.name}"' in text or f'"{path.stem}"' in text)
    }


def test_pictures_name_the_script_that_makes_them():
    by = makers() | {"scaling.svg": "benchmarks.scaling"}
    for path in PAGES:
        text = path.read_text(encoding="utf-8")
        for picture in re.findall(r"!\[[^\]]*\]\([^)]*?([\w.]+)\)", text):
            assert by[picture] in text, f"{path.name}: {picture} does not say that {by[picture]} makes it"


def sections_of(text: str) -> list[str]:
    return re.split(r"^## ", text, flags=re.MULTILINE)


def test_tables_of_figures_name_the_command():
    """Seven cells that are numbers and nothing else are a table of figures."""
    number = re.compile(r"[\d.,%()/*x\-+ ]*\d[\d.,%()/*x\-+ ]*( (MB|kB|GB|s|ms))?")
    tables = 0
    for path in PAGES:
        for section in sections_of(path.read_text(encoding="utf-8")):
            cells = [cell.strip() for line in section.splitlines() if line[:1] == "|" for cell in line.split("|")]
            if sum(bool(number.fullmatch(cell)) for cell in cells) >= 7:
                tables += 1
                assert "python -m benchmarks" in section, f"{path.name}, section {section[:40]!r}"
    assert tables >= 10


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
