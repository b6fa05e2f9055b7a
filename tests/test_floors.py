"""The house: imports only go down."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import eocube

ROOT = Path(eocube.__file__).parent
FLOORS = {
    0: {"errors", "reports", "sentinel2", "pixels", "codes", "losses", "suns", "tallies", "runs", "htmls", "extras", "processes"},
    1: {"catalogs", "retries", "signing", "trust", "periods", "tiles", "cells", "facts", "filters", "shapes", "areas", "grids", "webgrids",
        "loaders", "masks", "reducers", "indices", "evidence", "fields", "zones", "moments", "calendars", "formulas",
        "spyndices", "smoothers", "phenology",
        "distances", "provenance", "layers"},
    2: {"items", "granules", "scenes", "companions", "matches", "angles", "checks", "counts", "costs", "estimates", "workers", "descriptions", "chunks", "outlines", "plans", "planning",
        "folders", "apis", "gaps", "founds",
        "queries", "choices", "indexes"},
    3: {"reading", "ready", "planes", "zonals", "audits", "climbs"},
    4: {"lazy", "ledgers", "watches", "cubes", "flags", "comparisons", "composites", "series", "writers", "ladders",
        "smoothing", "seasons"},
    5: {"__init__", "__main__", "cli", "plots", "bars", "clusters", "archives"},
}
BESIDE = {"sample"}
FLOOR = {room: floor for floor, rooms in FLOORS.items() for room in rooms}
FILES = sorted(path for path in ROOT.rglob("*.py"))


def room_of(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imported(path: Path, *, lazy: bool = True):
    """Yield (room or outside package, is_own) of every import of a file."""
    package = ("eocube", *path.relative_to(ROOT).parts[:-1])
    tree = ast.parse(path.read_text())
    nodes = ast.walk(tree) if lazy else tree.body
    for node in nodes:
        if isinstance(node, ast.ImportFrom):
            if node.level:
                base = package[: len(package) - node.level + 1]
                full = (*base, *(node.module or "").split(".")) if node.module else base
                if len(full) > 1:
                    yield full[1], True
                else:
                    yield from ((a.name, True) for a in node.names if not a.name.startswith("__"))
            else:
                top = (node.module or "").split(".")
                yield (top[1], True) if top[0] == "eocube" and len(top) > 1 else (top[0], False)
        elif isinstance(node, ast.Import):
            yield from ((alias.name.split(".")[0], False) for alias in node.names)


def test_every_room_has_a_floor():
    assert {room_of(path) for path in FILES} == set(FLOOR) | BESIDE


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_down(path):
    room = room_of(path)
    if room in BESIDE | {"__init__"}:
        return
    for other, own in imported(path):
        if own and other != room and other not in BESIDE:
            assert FLOOR[other] <= FLOOR[room], f"{room} (floor {FLOOR[room]}) imports {other}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_dask_only_on_top(path):
    if FLOOR.get(room_of(path), 5) < 4:
        assert not {"dask", "distributed"} & {name for name, own in imported(path) if not own}


@pytest.mark.parametrize("room", ["loaders", "masks", "reducers"])
def test_rooms_do_not_know_each_other(room):
    others = {"loaders", "masks", "reducers"} - {room}
    for path in (ROOT / room).rglob("*.py"):
        assert not others & {name for name, own in imported(path) if own}


def test_masks_and_reducers_need_neither_stac_nor_dask_nor_rasterio():
    for room in ("masks", "reducers"):
        for path in (ROOT / room).rglob("*.py"):
            outside = {name for name, own in imported(path) if not own}
            assert not outside & {"pystac", "dask", "rasterio", "xarray", "odc", "stackstac"}


def test_composites_know_only_xarray_and_reducers():
    own = {name for name, own in imported(ROOT / "composites.py") if own}
    assert own <= {"errors", "provenance", "reducers", "lazy", "calendars"}


def test_no_print_in_the_library():
    for path in FILES:
        calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
        assert not [c for c in calls if isinstance(c.func, ast.Name) and c.func.id == "print"], path


def test_no_file_bears_the_name_of_a_public_function():
    functions = {name for name in eocube.__all__ if callable(getattr(eocube, name))}
    assert not functions & {room_of(path) for path in FILES}
