"""The code in the pages, and where it runs: as a reader would run it, without a network.

A page's python blocks run one after the other in one module, in an empty folder. Nothing of them is
replaced but two things that a test cannot have:

- The public catalogs are read from copies: ``eo.EARTH_SEARCH``, ``eo.EARTH_SEARCH_L1C`` and
  ``eo.PLANETARY_COMPUTER`` are the same values `at` the made-up archive, which lies at the place and the
  time the pages ask for. So a search, its area, period and filters, is really made. A catalog of which there
  is no copy is not replaced, and the tests have no network.
- A cluster on this machine has one worker, and one of a gateway two, however many were asked for.

A block that cannot run at all has the comment ``% not run: why`` before it; the tests list these.
"""

from __future__ import annotations

import importlib.util
import io
import re
import shlex
import sys
import types
import warnings
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
from click.testing import CliRunner

import eocube as eo

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.glob("*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"])
AREA, PERIOD = (11.97, 47.06, 12.03, 47.10), "2021-06/2022-05"
"""Where and when the made-up archive lies; what the pages ask public catalogs for."""

NOT_RUN = "% not run: "
# Programs of shell blocks that are not run here, but looked at by `astray`.
PROGRAMS = ("pip", "python", "python3.12", "pytest", "conda", "ruff", "mypy", "pre-commit", ".", ".ci/servers", ".ci/browser")


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: str
    line: int
    language: str
    text: str
    not_run: str = ""
    output_of: int = 0
    """Line of the python block whose output this text is, where it follows one."""


def blocks_of(path: Path) -> list[Block]:
    """Return the fenced blocks of a page in order."""
    found: list[Block] = []
    fence = re.compile(r"^( *)```([^\n`]*)\n(.*?)^\1```[ ]*$", flags=re.DOTALL | re.MULTILINE)
    text, end = path.read_text(encoding="utf-8"), 0
    for match in fence.finditer(text):
        between = text[end : match.start()]
        said = between.rstrip().rpartition("\n")[2]
        lines = [line.removeprefix(match[1]) for line in match[3].splitlines()]
        follows = bool(found) and not between.strip() and found[-1].language == "python"
        found.append(
            Block(
                path.name,
                text[: match.start()].count("\n") + 1,
                match[2].strip(),
                "\n".join(lines) + "\n",
                said.removeprefix(NOT_RUN) if said.startswith(NOT_RUN) else "",
                found[-1].line if follows else 0,
            )
        )
        end = match.end()
    return found


def copies() -> dict[str, eo.Catalog]:
    """Return the public catalogs, by name, as they are of the made-up archive."""
    world = eo.sample.cached()
    return {
        "EARTH_SEARCH": eo.EARTH_SEARCH.at(world.items_path),
        "EARTH_SEARCH_L1C": eo.EARTH_SEARCH_L1C.at(world.l1c()),
        "PLANETARY_COMPUTER": eo.sample.cached(naming="planetary-computer").catalog,
    }


def read_here(monkeypatch) -> None:
    """Let the public catalogs be read from their copies, and clusters of this machine be small."""
    from eocube import catalogs

    for name, copy in copies().items():
        monkeypatch.setitem(catalogs.CATALOGS, copy.name, copy)
        monkeypatch.setattr(eo, name, copy)
    opened = eo.cluster

    def cluster(workers=None, **options):
        few = {"gateway": 2, "address": workers}
        return opened(next((few[kind] for kind in few if options.get(kind)), 1), **options)

    monkeypatch.setattr(eo, "cluster", cluster)


def furnish(folder: Path) -> None:
    """Put into a folder the files that pages name: fields, a folder of Items, ready probabilities."""
    import geopandas
    from odc.geo.geom import box

    world = eo.sample.cached()
    left, bottom, _, _ = world.grid.extent.boundingbox
    shapes = [
        box(left + 900 + 250 * i, bottom + 600, left + 1080 + 250 * i, bottom + 800, world.grid.crs).geom
        for i in range(3)
    ]
    fields = geopandas.GeoDataFrame({"parcel": ["a", "b", "c"]}, geometry=shapes, crs=str(world.grid.crs))
    fields.to_file(folder / "fields.gpkg")
    (folder / "folder" / "of").mkdir(parents=True)
    (folder / "folder" / "of" / "items").symlink_to(world.items_path, target_is_directory=True)
    (folder / "exports").mkdir()


def room(page: str, have: dict[str, object]) -> types.ModuleType:
    """Return a module in which a page's code runs; dataclasses and pickle look theirs up."""
    module = types.ModuleType("page_of_" + re.sub(r"\W", "_", page))
    module.__dict__.update({"eo": eo, **have})
    return module


def start() -> dict[str, object]:
    """Return what pages may take as made before: what the start page makes."""
    world = eo.sample.cached()
    items = eo.search(world.items_path)
    bands = ["blue", "green", "red", "nir", "rededge1"]
    plan = eo.plan(items, world.grid, bands=bands, mask=eo.SCLMask().dilate(metres=40))
    cube = eo.load(plan)
    array = (cube.sel(band="blue", drop=True).fillna(1.0) > 0.3).astype("float32")  # a probability of cloud
    best = eo.composite(cube, eo.Median()).compute()
    return {
        "world": world, "items": items, "grid": world.grid, "area": eo.area(AREA), "plan": plan, "cube": cube,
        "best": best, "array": array,
    }  # fmt: skip


def run_python(path: Path, have: dict[str, object], monkeypatch, *, needs: str = "") -> types.ModuleType:
    """Run the python blocks of a page in order; a text block right after one is what it printed.

    Of those that are not run, the ones run that need what is said here.
    """
    import matplotlib.pyplot as plt

    mpl.use("Agg")
    module = room(path.name, have)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    printed = ""
    for block in blocks_of(path):
        if block.language == "python" and (not block.not_run or (needs and block.not_run.startswith(needs))):
            out = io.StringIO()
            with warnings.catch_warnings(), redirect_stdout(out):
                warnings.simplefilter("ignore")
                code = "\n" * block.line + block.text  # lines of errors are those of the page
                exec(compile(code, str(path), "exec", dont_inherit=True), module.__dict__)
            plt.close("all")
            printed = out.getvalue()
        elif block.language == "text" and block.output_of:
            told = [line.rstrip() for line in printed.strip().splitlines()]
            assert block.text.strip().splitlines() == told, f"{path.name}:{block.line} is not what it prints"
    return module


def commands_of(block: Block) -> list[list[str]]:
    """Return the commands of a shell block as words, without variables set for one command."""
    text = re.sub(r"\\\n\s*", " ", block.text)
    found = []
    for line in text.splitlines():
        for command in line.split("&&"):
            words = shlex.split(command, comments=True)
            while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
                words.pop(0)
            if words:
                found.append(words)
    return found


def run_shell(block: Block) -> None:
    """Run eocube's commands of a shell block; of others see whether what they name is there."""
    from eocube.cli import main

    for words in commands_of(block):
        if words[0] != "eocube":
            assert astray(words) == "", f"{block.page}:{block.line}: {' '.join(words)}"
            continue
        result = CliRunner().invoke(main, words[1:])
        fine = (0, 1) if words[1] == "audit" else (0,)  # 1: an Item is contradicted by its pixels
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code in fine, f"{block.page}:{block.line}: {' '.join(words)}\n{result.output}"


def astray(words: list[str]) -> str:
    """Return what a command names that does not exist: a program, a module, a script, an extra."""
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    if words[0].rpartition("/")[2] not in {name.rpartition("/")[2] for name in PROGRAMS} and words[0] != "export":
        return f"the program {words[0]}"
    if words[0].startswith(".ci/") and not (ROOT / words[0]).is_file():
        return words[0]
    for extra in re.findall(r"(?:eocube|\.)\[([\w,]+)\]", " ".join(words)):
        missing = set(extra.split(",")) - set(project["optional-dependencies"])
        if missing:
            return f"the extra {missing}"
    if words[:2] == ["python", "-m"] and words[2].startswith("benchmarks"):
        if importlib.util.find_spec(words[2]) is None:
            return words[2]
        options = [word for word in words[3:] if word.startswith("--")]
        parts = words[2].split(".")
        files = [ROOT.joinpath(*parts, "__main__.py"), ROOT.joinpath(*parts).with_suffix(".py")]
        source = "".join(file.read_text() for file in files if file.is_file())
        return next((option for option in options if f'"{option}"' not in source), "")
    if words[0] == "python" and words[1].endswith(".py") and not (ROOT / words[1]).is_file():
        return words[1]
    return ""
