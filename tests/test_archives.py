"""Archives: what a cell holds, and what is refused, recorded, mended and read back."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pystac
import pystac_client
import pytest
import rasterio

import eocube as eo
from eocube import sample
from eocube.archives import ledgers, runs, shelves, works
from eocube.errors import (
    ArchiveError,
    AreaError,
    InputError,
    OutputError,
    ReadError,
    RecipeError,
    SearchError,
)
from eocube.writers.fullness import disk_is_full

from .archiving import ROOT, check_whole, content, rows
from .proxy import store

PERIOD = "2021-06/2022-05"
CELLS = ("33TTN", "32TQT")


@pytest.fixture(scope="module")
def land(tmp_path_factory):
    """Two cells, a year of weather."""
    bands = ("blue", "green", "red", "rededge1", "coastal")
    return sample.write(tmp_path_factory.mktemp("land") / "w", size=96, dates=8, bands=bands)


@pytest.fixture(scope="module")
def recipe(land):
    bands = ("B01", "B02", "B03", "B04", "B05")
    return eo.Recipe("land", PERIOD, cells=CELLS, catalog=str(land.items_path), bands=bands, scenes=3)


@pytest.fixture(scope="module")
def made(recipe, tmp_path_factory):
    """A finished archive, to be looked at."""
    archive = eo.Archive(tmp_path_factory.mktemp("made") / "a", recipe)
    run = archive.run(bar=False)
    assert (sorted(run.done), run.failed, run.empty, run.lost) == (sorted(CELLS), [], [], [])
    yield archive
    archive.close()


@pytest.fixture
def open_archive():
    """Open archives that are closed afterwards."""
    opened = []

    def call(*args, **options):
        opened.append(eo.Archive(*args, **options))
        return opened[-1]

    yield call
    for one in opened:
        one.close()


def read(file, band=1):
    with rasterio.open(file) as opened:
        return opened.read(band)


def cell_of(archive, cell="33TTN"):
    return archive.place.local / archive.recipe.identity(cell)


def item_of(archive, cell="33TTN"):
    name = archive.recipe.identity(cell)
    return json.loads((archive.place.local / name / f"{name}.json").read_text())


@pytest.fixture(scope="module")
def strict(recipe):
    bands = ("B02", "B04")
    return replace(recipe, scenes=1, mask="SCLMask('strict').dilate(metres=60)", relax=("SCLMask()", "none"), bands=bands)


@pytest.fixture(scope="module")
def served(land):
    with store(land.path) as made:
        yield made


@pytest.fixture(scope="module")
def far(served, land, tmp_path_factory):
    """The Items with hrefs of a server, a token in each; and the recipe."""
    features = []
    for item in land.items():
        record = deepcopy(item.to_dict(include_self_link=True, transform_hrefs=False))
        for key, asset in item.assets.items():
            path = Path(asset.href).relative_to(land.path)
            record["assets"][key]["href"] = f"{served.url}/{path}?sv=1&sig=CANARY"
        features.append(record)
    file = tmp_path_factory.mktemp("far") / "items.geojson"
    file.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return eo.Recipe("far", PERIOD, cells=CELLS, catalog=str(file), bands=("B02", "B04"), scenes=3, tci=False)


@pytest.fixture(scope="module")
def expected(served, far, tmp_path_factory):
    served.set()
    archive = eo.Archive(tmp_path_factory.mktemp("expected") / "a", far)
    assert archive.run(bar=False).failed == []
    yield content(archive.place.local)
    archive.close()


class TestCells:
    @pytest.mark.parametrize("cell", CELLS)
    @pytest.mark.parametrize(("pixel", "bands"), [(10, ("B02", "B03", "B04")), (20, ("B05",)), (60, ("B01",))])
    def test_pixels_are_those_of_a_composite(self, made, land, cell, pixel, bands):
        found = [item for item in land.items() if item.properties["grid:code"] == f"MGRS-{cell}"]
        grid = land.geobox(found[0].id, pixel)
        cube = eo.load(eo.best(found, 3), grid, bands=bands, mask=eo.SCLMask(), dtype="uint16")
        expected = eo.composite(cube, eo.Median()).compute()
        for number, band in enumerate(bands):
            file = cell_of(made, cell) / f"{band}.tif"
            np.testing.assert_array_equal(read(file), expected.values[number])
            with rasterio.open(file) as opened:
                assert opened.transform == grid.affine
                assert opened.crs.to_epsg() == grid.crs.epsg

    @pytest.mark.parametrize("cell", CELLS)
    def test_count_and_used_are_those_of_each_scene(self, made, land, cell):
        """Scene by scene, from the table that the Item has of them."""
        found = {item.id: item for item in land.items() if item.properties["grid:code"] == f"MGRS-{cell}"}
        item, folder = item_of(made, cell), cell_of(made, cell)
        used, count = read(folder / "used.tif"), read(folder / "count.tif")
        names = item["properties"]["eocube:source_scenes"]
        total = np.zeros(used.shape, int)
        plan = eo.plan([found[name] for name in item["properties"]["eocube:items"]], land.geobox(next(iter(found)), 10),
                       bands=["blue", "green", "red"], mask=eo.SCLMask(), dtype="uint16")  # fmt: skip
        cube = eo.load(plan).compute()
        assert [str(name) for name in cube["scene"].values] == [str(name) for name in names]
        for number in range(cube.sizes["time"]):
            clear = (cube.values[number] > 0).all(axis=0)
            np.testing.assert_array_equal((used >> number) & 1, clear)
            total += clear
        np.testing.assert_array_equal(count, total)
        assert item["properties"]["good_pxl_pct"] == pytest.approx((count > 0).mean(), abs=1e-6)
        assert rows(folder.parent)[cell]["good"] == item["properties"]["good_pxl_pct"]
        assert (count > 0).any()

    def test_true_colour(self, made):
        folder = cell_of(made)
        values = np.stack([read(folder / f"{band}.tif") for band in ("B04", "B03", "B02")]).astype(int)
        # 2500 is white; halves go up.
        expected = np.minimum(np.maximum((values * 51 + 250) // 500, 1), 255)
        expected[:, (values == 0).any(axis=0)] = 0
        with rasterio.open(folder / "TCI.tif") as opened:
            np.testing.assert_array_equal(opened.read(), expected)
            assert opened.dtypes == ("uint8",) * 3
            assert opened.nodata == 0

    def test_the_best_scenes_in_the_published_order(self, land, recipe, open_archive, tmp_path):
        """Chosen again here, one by one: score, * 0.8 per chosen one of its month, * 0.95 per one of its orbit."""
        chosen_by = {}
        for cell in CELLS:
            passes = {}
            for item in land.items():
                said = item.properties
                if said["grid:code"] == f"MGRS-{cell}":
                    passes.setdefault((said["platform"], str(item.datetime)[:10]), []).append(item)
            left = {}
            for key, items in passes.items():
                best = max(item.properties["s2:processing_baseline"] for item in items)
                kept = [item for item in items if item.properties["s2:processing_baseline"] == best]
                left[key] = kept
            chosen = []

            def worth(key, left=left, chosen=chosen):
                items = left[key]
                shares = [(1 - one.properties["s2:nodata_pixel_percentage"] / 100, one) for one in items]
                clear = sum(
                    share * (1 - sum(one.properties[f"s2:{name}_percentage"] for name in (
                        "high_proba_clouds", "medium_proba_clouds", "thin_cirrus", "cloud_shadow")) / 100)
                    for share, one in shares
                )  # fmt: skip
                valid = sum(share for share, _ in shares)
                own = min(1, valid) * clear / valid if valid else 0
                months = sum(k[1][5:7] == key[1][5:7] for k in chosen)
                orbits = sum(orbit(left[k][0]) == orbit(items[0]) for k in chosen)
                return (round(own * 0.8**months * 0.95**orbits, 6), [-ord(c) for c in str(items[0].datetime)])

            for _ in range(3):
                chosen.append(max((key for key in left if key not in chosen), key=worth))
            chosen_by[cell] = sorted(item.id for key in chosen for item in left[key])
        archive = open_archive(tmp_path / "a", recipe)
        archive.run(bar=False)
        for cell in CELLS:
            assert sorted(item_of(archive, cell)["properties"]["eocube:items"]) == chosen_by[cell]
            derived = [link["title"] for link in item_of(archive, cell)["links"] if link["rel"] == "derived_from"]
            assert sorted(derived) == chosen_by[cell]

    def test_web_maps(self, recipe, open_archive, tmp_path):
        archive = open_archive(tmp_path / "a", replace(recipe, grid="web", cells=("33TTN",)))
        assert archive.run(bar=False).done == ["33TTN"]
        with rasterio.open(cell_of(archive) / "B04.tif") as ten, rasterio.open(cell_of(archive) / "B05.tif") as twenty:
            assert ten.crs.to_epsg() == twenty.crs.to_epsg() == 3857
            assert ten.res[0] == pytest.approx(9.554628535647032)
            assert twenty.res[0] == pytest.approx(19.109257071294063)
            assert ten.bounds == twenty.bounds

    @pytest.mark.parametrize("reducer", ["BestPixel(196, weights={'haze': 0})", "WeightedMean(far=500)", "Latest()", "GeoMedian()"])
    def test_other_reducers(self, recipe, open_archive, tmp_path, reducer):
        """Those that need a band beside the others, or say which scene a pixel is from; the ladder too."""
        archive = open_archive(tmp_path / "a", replace(recipe, reducer=reducer, cells=("33TTN",)))
        for options in ({}, {"only_below": 1.0, "relax": True}):
            archive.run(bar=False, **options)
            assert archive.status()["state"].tolist() == ["done"], archive.status()["why"].tolist()
            names = {file.stem for file in cell_of(archive).glob("*.tif")}
            picks = {"source"} if reducer.startswith(("Best", "Latest")) else set()
            assert names - {"rung"} == {"B01", "B02", "B03", "B04", "B05", "TCI", "count", "used"} | picks
            assert read(cell_of(archive) / "B04.tif").dtype == np.uint16


def orbit(item):
    return item.properties.get("sat:relative_orbit") or item.id.split("_")[0]


def test_true_colour_of_all_values():
    from fractions import Fraction

    from eocube.archives.pictures import true_colour

    values = np.arange(65536, dtype=np.uint16)
    expected = [0] + [max(1, min(255, int(Fraction(int(v) * 255, 2500) + Fraction(1, 2)))) for v in values[1:]]
    np.testing.assert_array_equal(true_colour(values), expected)


def test_masks_of_level_1c(land, recipe, open_archive, tmp_path):
    """S2Cloudless in a recipe looks at the Level-1C Items that the recipe names, in all joins."""
    l1c = str(land.l1c())
    text = "S2Cloudless(threshold=0.5) | SCLMask('shadow')"
    one = replace(recipe, cells=("33TTN",), bands=("B04",), l1c=l1c, mask=text)
    archive = open_archive(tmp_path / "a", one)
    assert archive.run(bar=False).failed == []
    items = works.scenes_for(one, "33TTN", one.catalog).first
    mask = eo.S2Cloudless(eo.search(l1c), threshold=0.5) | eo.SCLMask("shadow")
    grid = eo.grid_for(items, crs="utm", resolution=10)
    best = eo.composite(eo.load(items, grid, bands=["red"], mask=mask, dtype="uint16"), eo.Median())
    np.testing.assert_array_equal(read(cell_of(archive) / "B04.tif"), best.sel(band="red").values)
    assert best.sel(band="count").values.min() < 3  # it throws something away
    without = open_archive(tmp_path / "b", replace(one, l1c=None))
    assert without.run(bar=False).failed == ["33TTN"]
    assert "Level-1C" in without.status()["why"].iloc[0]
    with pytest.raises(RecipeError, match="l1c: 5 cannot be used"):
        replace(one, l1c=5)


class TestLadder:

    def test_only_holes_change(self, strict, open_archive, tmp_path):
        archive = open_archive(tmp_path / "a", strict)
        archive.run(bar=False)
        before = {cell: read(cell_of(archive, cell) / "B04.tif") for cell in CELLS}
        good = {cell: row["good"] for cell, row in rows(tmp_path / "a").items()}
        worse = min(CELLS, key=good.get)
        better = next(cell for cell in CELLS if cell != worse)
        assert good[worse] < good[better]
        run = archive.run(bar=False, only_below=good[better], relax=True)
        assert run.done == [worse]
        assert not (cell_of(archive, better) / "rung.tif").exists()
        after, rung = read(cell_of(archive, worse) / "B04.tif"), read(cell_of(archive, worse) / "rung.tif")
        seen = before[worse] > 0
        np.testing.assert_array_equal(after[seen], before[worse][seen])
        np.testing.assert_array_equal(rung == 1, seen)
        np.testing.assert_array_equal(rung == 0, after == 0)
        assert ((rung > 1) & (after > 0)).any()
        now = rows(tmp_path / "a")
        assert now[worse]["good"] > good[worse]
        assert now[worse]["attempts"] == 2
        assert now[better]["attempts"] == 1
        assert item_of(archive, worse)["properties"]["eocube:rungs"] == [strict.mask, "SCLMask()", "None"]
        # Made by the ladder once, it would come out the same.
        assert archive.run(bar=False, only_below=1.0, relax=True).done == ([better] if good[better] < 1 else [])
        check_whole(tmp_path / "a")

    def test_no_pixel_is_lost_to_a_count(self, strict, open_archive, tmp_path):
        """Of two scenes a pixel needs two clear ones; where no rung has two, one is better than none."""
        archive = open_archive(tmp_path / "a", replace(strict, scenes=2, min_count=2, cells=("33TTN",), relax=("SCLMask()",)))
        archive.run(bar=False)
        before, count = read(cell_of(archive) / "B04.tif"), read(cell_of(archive) / "count.tif")
        archive.run(bar=False, only_below=1.0, relax=True)
        after, rung = read(cell_of(archive) / "B04.tif"), read(cell_of(archive) / "rung.tif")
        assert not ((before > 0) & (after == 0)).any()
        np.testing.assert_array_equal(after[count == 2], before[count == 2])
        np.testing.assert_array_equal(rung > 0, after > 0)
        assert (read(cell_of(archive) / "count.tif")[rung == 2] >= 1).all()

    def test_other_years(self, recipe, open_archive, tmp_path):
        """A period of one cloudy pass, and the same days of the next year."""
        short = replace(recipe, period="2020-06/2020-08", relax=("years=1",), mask="SCLMask()", scenes=2)
        archive = open_archive(tmp_path / "a", short)
        assert sorted(archive.run(bar=False).empty) == sorted(CELLS)  # 2021 alone has scenes
        around = works.scenes_for(replace(recipe, relax=("years=1",)), "33TTN", recipe.catalog, relaxed=True)
        assert [mask for mask, _ in around.rungs] == ["SCLMask()"]  # there are none of 2020 and 2022
        leap = works._shifted(eo.Recipe("a", "2024-02-29", cells=CELLS).span, 1)
        assert (leap.start.month, leap.start.day, leap.end.day) == (2, 28, 28)


class TestSame:
    def test_same_bytes_whatever_makes_them(self, recipe, made, open_archive, tmp_path):
        expected = content(made.place.local)
        few = open_archive(tmp_path / "few", recipe, memory="6MB")
        assert few.run(bar=False).failed == []
        assert content(tmp_path / "few") == expected
        with eo.cluster(2, memory="1GB"):
            many = open_archive(tmp_path / "many", recipe)
            assert many.run(bar=False).failed == []
        assert content(tmp_path / "many") == expected

    def test_cells_in_steps(self, recipe, made, open_archive, tmp_path):
        """One cell now, another later, and then the rest of a longer list."""
        first = open_archive(tmp_path / "a", replace(recipe, cells=("33TTN",), title="First"))
        assert first.run(bar=False, max_cells=1).done == ["33TTN"]
        assert first.run(bar=False).cells == 0
        second = open_archive(tmp_path / "a", recipe)
        assert second.begun
        assert second.run(bar=False, max_cells=5).done == ["32TQT"]
        assert content(tmp_path / "a") == content(made.place.local)

    def test_the_bar_counts_all_cells(self, recipe, open_archive, tmp_path, capsys):
        archive = open_archive(tmp_path / "a", recipe)
        archive.run(bar=True, max_cells=1)
        assert "1/2" in capsys.readouterr().err
        archive.run(bar=True)
        assert "2/2" in capsys.readouterr().err
        assert archive.ledger.counts() == {"done": 2}

    def test_a_shorter_list_makes_no_others(self, recipe, open_archive, tmp_path):
        open_archive(tmp_path / "a", recipe).run(bar=False, max_cells=1)
        short = open_archive(tmp_path / "a", replace(recipe, cells=("32TQT",)))
        assert short.run(bar=False).cells == 0
        assert {cell: row["state"] for cell, row in rows(tmp_path / "a").items()} == {"32TQT": "done", "33TTN": "planned"}
        assert len(eo.search(short.catalog_path)) == 1

    def test_a_cell_that_was_deleted_is_made_anew(self, recipe, made, open_archive, tmp_path):
        import shutil

        archive = open_archive(tmp_path / "a", recipe)
        archive.run(bar=False)
        shutil.rmtree(cell_of(archive))
        assert archive.run(bar=False).done == ["33TTN"]
        assert content(tmp_path / "a") == content(made.place.local)


class TestFaults:


    @pytest.fixture(autouse=True)
    def hasty(self, monkeypatch):
        from .test_faults import forget

        monkeypatch.setenv("EOCUBE_PATIENCE", "0.6")
        forget()


    def test_a_storm(self, served, far, expected, open_archive, tmp_path):
        """Faults of all kinds in most requests: whoever fails says why, and is mended when the storm is over."""
        archive, failed = open_archive(tmp_path / "a", far), set()
        for seed in range(4):
            served.set(rate=0.7, seed=seed, stall=0.3, kinds=["500", "503", "reset", "half", "short", "flipped", "zeros", "html", "shifted", "stall"])
            run = archive.run(bar=False, retry_failed=seed > 0)
            failed |= set(run.failed)
            for row in rows(tmp_path / "a").values():
                assert row["state"] in ("done", "failed")
                assert bool(row["why"]) == (row["state"] == "failed")
                assert "CANARY" not in row["why"]
        assert failed
        served.set()
        check_whole(tmp_path / "a")
        run = archive.run(bar=False, retry_failed=True)
        assert run.failed == []
        assert content(tmp_path / "a") == expected

    def test_a_damaged_file(self, served, far, expected, open_archive, tmp_path, land):
        archive = open_archive(tmp_path / "a", far)
        (first, *_) = sorted(expected_items(expected, far, land))
        name = f"items/{first}/B04.tif"
        served.set(bad={name: "zeros"})
        run = archive.run(bar=False)
        cell = first.split("_")[1]
        assert (run.failed, len(run.done)) == ([cell], 1)
        why = archive.status().set_index("cell")["why"][cell]
        assert why.startswith("ReadError: ")
        assert first in why
        assert "red" in why
        assert f"{served.url}/{name}" in why
        assert "CANARY" not in why
        assert archive.run(bar=False).cells == 0  # failed ones are tried again when that is asked for
        served.set()
        assert archive.run(bar=False, retry_failed=True).done == [cell]
        assert content(tmp_path / "a") == expected

    def test_without_the_damaged_file(self, served, far, expected, open_archive, tmp_path, land):
        archive = open_archive(tmp_path / "a", replace(far, on_error="skip"))
        (first, *_) = sorted(expected_items(expected, far, land))
        served.set(bad={f"items/{first}/B04.tif": "404"})
        with pytest.warns(eo.errors.LossWarning):
            run = archive.run(bar=False)
        assert sorted(run.done) == sorted(CELLS)
        said = item_of(archive, first.split("_")[1])["properties"]["eocube:losses"]
        assert first in json.dumps(said)
        assert "CANARY" not in json.dumps(item_of(archive, first.split("_")[1]))
        served.set()

    def test_tokens_in_causes(self):
        for said in (
            "https://a.b/c.tif?se=1&sig=CANARY", "'https://a.b/c.tif?se=1&sig=CANARY', no", "(https://u:CANARY@a.b/c)",
            "Max retries exceeded with url: /c.tif?se=1&sig=CANARY (Caused by x)", "<https://a.b/c?token=CANARY>",
        ):  # fmt: skip
            assert "CANARY" not in runs._cause(ValueError(said))
            assert "c" in runs._cause(ValueError(said))
        assert runs._cause(ValueError("\udcff")).encode() == b"ValueError: ?"
        assert runs._cause(ValueError("Is it? x=1\n\nyes\0")) == "ValueError: Is it? x=1 yes"
        assert len(runs._cause(ValueError("a" * 10_000))) == 500

    def test_a_catalog_that_does_not_answer(self, recipe, open_archive, tmp_path, monkeypatch):
        def away(*_, **__):
            raise SearchError("the API did not answer: https://u:CANARY@a.b/search?token=CANARY")

        archive = open_archive(tmp_path / "a", recipe)
        with monkeypatch.context() as patched:
            patched.setattr(works, "search_tiles", away)
            assert sorted(archive.run(bar=False).failed) == sorted(CELLS)
        assert all(why.startswith("SearchError: the API") and "CANARY" not in why for why in archive.status()["why"])
        assert not (tmp_path / "a" / "catalog.json").exists()
        assert sorted(archive.run(bar=False, retry_failed=True).done) == sorted(CELLS)

    def test_a_bug_of_a_cell_does_not_end_the_run(self, recipe, open_archive, tmp_path, monkeypatch):
        make = runs.make_cell

        def sometimes(recipe, cell, *args, **options):
            if cell == "32TQT":
                raise ZeroDivisionError("so\nwhat")
            return make(recipe, cell, *args, **options)

        monkeypatch.setattr(runs, "make_cell", sometimes)
        archive = open_archive(tmp_path / "a", recipe)
        run = archive.run(bar=False)
        assert (run.done, run.failed) == (["33TTN"], ["32TQT"])
        assert archive.status()["why"].tolist() == ["ZeroDivisionError: so what", ""]
        assert check_whole(tmp_path / "a") == ["33TTN"]

    def test_a_library_that_is_missing_ends_it(self, recipe, open_archive, tmp_path, monkeypatch):
        def lacking(*_, **__):
            raise eo.errors.MissingExtraError("install it")

        monkeypatch.setattr(runs, "make_cell", lacking)
        with pytest.raises(eo.errors.MissingExtraError):
            open_archive(tmp_path / "a", recipe).run(bar=False)
        assert {row["state"] for row in rows(tmp_path / "a").values()} == {"planned"}

    def test_a_cluster_that_is_lost_ends_it(self, recipe, open_archive, tmp_path, monkeypatch):
        from concurrent.futures import CancelledError

        make = works.write_cogs
        with eo.cluster(1, memory="1GB") as client:

            def losing(*args, **options):
                client.client.cluster.close()
                return make(*args, **options)

            monkeypatch.setattr(works, "write_cogs", losing)
            with pytest.raises((eo.errors.ClusterError, CancelledError), match=r"scheduler|cluster"):
                open_archive(tmp_path / "a", recipe).run(bar=False)
        assert {row["state"] for row in rows(tmp_path / "a").values()} == {"planned"}
        assert check_whole(tmp_path / "a") == []


def expected_items(found, recipe, land):
    """Return the Items of which the best of each cell are made, that have a file of their own."""
    known = {item.id for item in land.items()}
    return {name for row in found["items.parquet"] for name in row["eocube:items"] if name in known}


class TestDisk:
    """A disk that fills up: it stops cleanly, the cell is given back, and another run completes it."""

    @pytest.mark.parametrize("where", ["cog", "picture", "item", "ledger", "shelf", "search"])
    def test_stops_and_goes_on(self, recipe, made, open_archive, tmp_path, monkeypatch, where):
        def full(*_, **__):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        archive = open_archive(tmp_path / "a", recipe)
        archive.run(bar=False, max_cells=1)
        with monkeypatch.context() as patched:
            if where == "cog":
                patched.setattr("eocube.writers.cogs._write_plain", full)
            elif where == "picture":
                patched.setattr(works, "write_tci", full)
            elif where == "item":
                patched.setattr(works, "write_item", full)
            elif where == "shelf":
                patched.setattr(shelves, "_write_table", full)
            elif where == "search":
                patched.setattr(works, "search_tiles", full)
            else:
                change = ledgers.Ledger._change

                def changed(self, *args, **values):
                    if values.get("state") == "done":
                        raise ArchiveError("The ledger cannot be used: database or disk is full")
                    return change(self, *args, **values)

                patched.setattr(ledgers.Ledger, "_change", changed)
            with pytest.raises(OutputError, match=r"no room left.*[Mm]ake room"):
                archive.run(bar=False)
        states = [row["state"] for row in rows(tmp_path / "a").values()]
        assert states == ["done", "done" if where == "shelf" else "planned"]
        assert not list((tmp_path / "a").glob(".*"))
        check_whole(tmp_path / "a")
        archive.run(bar=False)
        assert content(tmp_path / "a") == content(made.place.local)

    def test_other_errors_of_files_are_the_cells_own(self, recipe, open_archive, tmp_path, monkeypatch):
        def refused(*_, **__):
            raise PermissionError(errno.EACCES, "not yours")

        monkeypatch.setattr(works, "write_item", refused)
        assert len(open_archive(tmp_path / "a", recipe).run(bar=False).failed) == 2

    def test_what_gdal_says_in_its_log_alone(self, tmp_path):
        import logging

        from eocube.writers.fullness import noticing_full

        with pytest.raises(OutputError, match="no room left"), noticing_full(tmp_path):
            logging.getLogger("rasterio._err").error("_tiffWriteProc: %s.", os.strerror(errno.ENOSPC))

        def both():
            with noticing_full(tmp_path):
                logging.getLogger("rasterio._err").error("_tiffWriteProc: %s.", os.strerror(errno.ENOSPC))
                raise RuntimeError("IO error writing tag data")

        with pytest.raises(OutputError) as said:
            both()
        assert disk_is_full(said.value)
        with pytest.raises(RuntimeError, match="other"), noticing_full(tmp_path):
            raise RuntimeError("other")
        with noticing_full(tmp_path):
            logging.getLogger("rasterio._err").error("something else")


class TestPlaces:
    def test_unknown_cells(self, recipe, open_archive, tmp_path, monkeypatch):
        def never(*_, **__):
            raise AssertionError("it searched")

        monkeypatch.setattr(works, "search_tiles", never)
        for cells in (("33TTN", "xx"), ("33TTN", "61TTN"), ("33TII",)):
            with pytest.raises(RecipeError, match=f"cells: .*{cells[-1]}"):
                replace(recipe, cells=cells)
        nowhere = open_archive(tmp_path / "a", replace(recipe, area=(0.0, -89.0, 1.0, -88.0)))
        for ask in (nowhere.run, nowhere.plan):
            with pytest.raises((AreaError, RecipeError), match="tile"):
                ask()
        assert not (tmp_path / "a").exists()

    @pytest.mark.parametrize("cell", ["33KAA", "33TSN", "01AAA"])
    def test_cells_that_do_not_exist(self, recipe, cell):
        """Well written, but there is no such square in the zone, or not at that latitude."""
        with pytest.raises(RecipeError, match=f"cells: .*{cell}"):
            replace(recipe, cells=("33TTN", cell))

    def test_an_area(self, recipe, land, open_archive, tmp_path):
        west, south, east, north = land.bbox
        middle = ((west + east) / 2, (south + north) / 2, (west + east) / 2 + 1e-3, (south + north) / 2 + 1e-3)
        archive = open_archive(tmp_path / "a", replace(recipe, cells=(), area=middle))
        assert set(archive.cells) == set(CELLS)
        assert sorted(archive.run(bar=False).done) == sorted(CELLS)

    def test_without_scenes(self, recipe, open_archive, tmp_path):
        archive = open_archive(tmp_path / "a", replace(recipe, period="2019", cells=("33TTN",)))
        table = archive.plan()
        assert table["scenes"].tolist() == [0]
        run = archive.run(bar=False)
        assert (run.empty, run.failed) == (["33TTN"], [])
        state = archive.status().iloc[0]
        assert state["state"] == "empty"
        assert "2019" in state["why"]
        assert archive.run(bar=False).cells == 0
        assert archive.run(bar=False, retry_failed=True).empty == ["33TTN"]  # there may be some by now
        archive = open_archive(tmp_path / "b", replace(recipe, cells=("33TTN", "11UQS")))
        run = archive.run(bar=False)
        assert (run.done, run.empty) == (["33TTN"], ["11UQS"])
        assert len(eo.search(archive.catalog_path)) == 1

    def test_a_folder_of_another_recipe(self, made, recipe, tmp_path):
        folder = made.place.local
        before = content(folder)
        for change, field in (({"mask": "none"}, "mask"), ({"name": "other"}, "name"), ({"scenes": 4}, "scenes")):
            with pytest.raises(ArchiveError, match=rf"{field}: .* here, .* there"):
                eo.Archive(folder, replace(recipe, **change))
        # Another ledger does not change what lies there.
        other = eo.Archive(folder, replace(recipe, mask="none"), ledger=tmp_path / "other.sqlite")
        with pytest.raises(ArchiveError, match="mask: 'none' here"):
            other.run(bar=False)
        other.close()
        assert content(folder) == before

    def test_a_title_is_no_other_recipe(self, recipe, open_archive, tmp_path):
        open_archive(tmp_path / "a", recipe).run(bar=False, max_cells=1)
        later = open_archive(tmp_path / "a", replace(recipe, title="New", description="words", license="MIT"))
        later.run(bar=False)
        said = json.loads((tmp_path / "a" / "collection.json").read_text())
        assert (said["title"], said["description"], said["license"]) == ("New", "words", "MIT")
        assert open_archive(tmp_path / "a").recipe.title == "New"

    def test_a_ledger_of_another_place(self, recipe, open_archive, tmp_path):
        open_archive(tmp_path / "a", recipe, ledger=tmp_path / "l.sqlite").run(bar=False)
        elsewhere = open_archive(tmp_path / "b", recipe, ledger=tmp_path / "l.sqlite")
        with pytest.raises(ArchiveError, match="holds no Item of it"):
            elsewhere.run(bar=False)
        assert {row["state"] for row in elsewhere.ledger.rows()} == {"done"}

    @pytest.mark.parametrize("version", [0, 2, 99])
    def test_a_ledger_of_another_version(self, recipe, open_archive, tmp_path, version):
        import sqlite3

        archive = open_archive(tmp_path / "a", recipe)
        archive.run(bar=False, max_cells=1)
        link = sqlite3.connect(tmp_path / "a" / "ledger.sqlite")
        with link:
            link.execute(f"update eocube_archives set version = {version}")
            link.execute("alter table eocube_archives drop column recipe")  # as another version might
        link.close()
        for given in (recipe, None):
            with pytest.raises(ArchiveError, match=f"of version {version}, this eocube writes version 1"):
                eo.Archive(tmp_path / "a", given)

    @pytest.mark.parametrize("text", ["{", "[]", '{"version": 7}', '{"version": 1, "name": "a", "color": 5}'])
    def test_a_recipe_in_the_ledger_that_cannot_be_read(self, recipe, open_archive, tmp_path, text):
        import sqlite3

        open_archive(tmp_path / "a", recipe).run(bar=False, max_cells=1)
        link = sqlite3.connect(tmp_path / "a" / "ledger.sqlite")
        with link:
            link.execute("update eocube_archives set recipe = ?", (text,))
        link.close()
        with pytest.raises(ArchiveError, match="recipe in the ledger"):
            eo.Archive(tmp_path / "a")

    def test_merely_to_look_makes_nothing(self, recipe, open_archive, tmp_path):
        archive = open_archive(tmp_path / "deep" / "a", recipe)
        assert archive.status()["state"].tolist() == ["planned", "planned"]
        assert len(archive.plan()) == 2
        assert "2 planned" in repr(archive)
        assert not list(tmp_path.iterdir())
        with pytest.raises(ArchiveError, match=r"no archive.*begin one with a recipe"):
            eo.Archive(tmp_path / "none")
        with pytest.raises(ArchiveError, match="no archive"):
            eo.Archive(tmp_path / "none", ledger=tmp_path / "none.sqlite")
        assert not list(tmp_path.iterdir())
        (tmp_path / "file").touch()
        with pytest.raises(OutputError, match="is a file"):
            eo.Archive(tmp_path / "file", recipe)
        with pytest.raises(OutputError, match="cannot be made"):
            open_archive(tmp_path / "file" / "a", recipe).run(bar=False)

    def test_ledgers_that_are_none(self, recipe, tmp_path):
        (tmp_path / "l.sqlite").write_bytes(b"this is no database" * 100)
        for ledger, said in (
            (tmp_path / "l.sqlite", "not a database"), (tmp_path / "no" / "l.sqlite", None),
            ("mysql://u:CANARY@127.0.0.1/db", "MySQL|mysql|SQLite"), ("nonsense://x", "cannot be opened"),
            ("postgresql+psycopg://u:CANARY@127.0.0.1:x/db", "cannot be opened"), ("://", "cannot be opened"),
            ("postgresql+psycopg://u:CANARY@127.0.0.1:1/db?connect_timeout=1", "cannot be used"),
        ):  # fmt: skip
            with pytest.raises((ArchiveError, OutputError), match=said) as found:
                eo.Archive(tmp_path / "a", recipe, ledger=ledger).run(bar=False)
            assert "CANARY" not in str(found.value)

    def test_a_ledger_in_a_folder_of_an_odd_name(self, recipe, open_archive, tmp_path):
        folder = tmp_path / "a ?x=1#%41 ümläut"
        assert open_archive(folder, recipe).run(bar=False, max_cells=1).done == ["32TQT"]
        assert (folder / "ledger.sqlite").stat().st_size > 0
        assert open_archive(folder).run(bar=False).done == ["33TTN"]

    def test_options_that_do_not_go_together(self, recipe, made, tmp_path):
        for options in (
            {"relax": True}, {"only_below": 0.5}, {"only_below": 2, "relax": True}, {"max_cells": 0}, {"max_cells": True},
            {"max_cells": "3"}, {"only_below": float("nan"), "relax": True}, {"resume": False},
        ):  # fmt: skip
            with pytest.raises(InputError):
                made.run(bar=False, **options)

    def test_strangers_in_the_folder_are_left_alone(self, recipe, made, open_archive, tmp_path):
        """Files, folders and Items of others, hidden ones too, and what another process is just writing."""
        archive = open_archive(tmp_path / "a", recipe)
        archive.run(bar=False, max_cells=1)
        strange = [".git/config", "notes/x.json", f".notes.{'0' * 8}-1-x/y", "other/other.json"]
        for name in strange:
            (tmp_path / "a" / name).parent.mkdir()
            (tmp_path / "a" / name).write_text('{"type": "Feature", "assets": {}, "collection": "o"')
        under_way = tmp_path / "a" / f".collection.json.{'0' * 8}-{os.getpid()}-x"
        under_way.mkdir()
        (under_way / "collection.json").write_text('{"half": ')
        archive.run(bar=False)
        assert under_way.exists()
        assert all((tmp_path / "a" / name).exists() for name in strange)
        assert len(eo.search(archive.catalog_path)) == 2
        for name in ("collection.json", "catalog.json", "items.parquet"):
            assert content(tmp_path / "a")[name] == content(made.place.local)[name]

    def test_a_failed_ladder_leaves_the_cell_as_it_was(self, recipe, open_archive, tmp_path, monkeypatch):
        """It says that it failed; the catalog and the table go on to list what is there."""
        archive = open_archive(tmp_path / "a", replace(recipe, scenes=1))
        archive.run(bar=False)
        before = content(tmp_path / "a")

        def fails(*_, **__):
            raise ReadError("no")

        with monkeypatch.context() as patched:
            patched.setattr(works, "fill_ladder", fails)
            failed = archive.run(bar=False, only_below=1.0, relax=True).failed
        assert failed
        after = content(tmp_path / "a")
        assert {name: after[name] for name in after if name != "ledger.sqlite"} == {
            name: before[name] for name in before if name != "ledger.sqlite"
        }
        table = archive.status().set_index("cell")
        assert table["state"][failed[0]] == "failed"
        assert table["good"][failed[0]] > 0
        assert archive.run(bar=False, retry_failed=True).done == failed
        assert (cell_of(archive, failed[0]) / "rung.tif").exists()

    def test_a_cell_that_is_being_replaced_while_the_shelf_is_written(self, recipe, made, open_archive, tmp_path):
        """Between two renames by another runner it is not there; the shelf leaves it out, and lists it later."""
        archive = open_archive(tmp_path / "a", recipe)
        archive.run(bar=False)
        tables = archive.ledger.tables
        with tables.work() as link:
            table = tables.cells
            link.execute(tables.sa.update(table).where(table.c.cell == "33TTN").values(state="running", token="x"))
        (cell_of(archive)).rename(tmp_path / "away")
        shelves.write_shelf(archive.recipe, archive.place, archive.ledger)
        assert len(eo.search(archive.catalog_path)) == 1
        (tmp_path / "away").rename(cell_of(archive))
        archive.run(bar=False)  # its runner is gone
        assert content(tmp_path / "a") == content(made.place.local)

    def test_told_and_stopped(self, recipe, open_archive, tmp_path):
        archive, told = open_archive(tmp_path / "a", recipe), []

        def listen(cell, outcome):
            told.append((cell, outcome and outcome.state))
            if len(told) == 3:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            archive.run(bar=False, told=listen)
        assert told == [("32TQT", None), ("32TQT", "done"), ("33TTN", None)]
        assert [row["state"] for row in rows(tmp_path / "a").values()] == ["done", "planned"]
        assert len(eo.search(archive.catalog_path)) == 1


class TestCatalog:
    def test_read_back_as_a_catalog(self, made):
        for where in (made.place.local, made.catalog_path):
            found = eo.search(where)
            assert sorted(item.id for item in found) == sorted(made.recipe.identity(cell) for cell in CELLS)
            assert {item.collection_id for item in found} == {"land"}
        walked = pystac_client.Client.open(str(made.catalog_path))
        assert {item.id for item in walked.get_items(recursive=True)} == {made.recipe.identity(cell) for cell in CELLS}
        assert pystac.Collection.from_file(str(made.place.local / "collection.json")).id == "land"

    @pytest.mark.parametrize("where", ["", "catalog.json"])
    def test_its_pixels_are_those_of_the_files(self, made, where):
        items = [item for item in eo.search(made.place.local / where) if item.id.startswith("33TTN")]
        grid = eo.grid_for(items, crs="utm", resolution=10)
        cube = eo.load(items, grid, bands=["B02", "B04"], dtype="uint16").compute()
        assert cube.shape == (1, 2, 96, 96)
        for number, band in enumerate(("B02", "B04")):
            np.testing.assert_array_equal(cube.values[0, number], read(cell_of(made) / f"{band}.tif"))

    def test_the_table(self, made):
        table = pyarrow.parquet.read_table(made.place.local / "items.parquet").to_pylist()
        for row in table:
            for asset in row["assets"].values():
                if asset is not None:
                    assert (made.place.local / asset["href"]).is_file()
        assert json.loads((made.place.local / "recipe.json").read_text())["name"] == "land"
        assert eo.read_recipe(made.place.local / "recipe.json") == made.recipe


class TestSignals:
    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_the_cell_is_given_back(self, recipe, made, open_archive, tmp_path, number):
        """By Ctrl-C and by the signal to end; what was done is done, and the rest is made later."""
        recipe.save(tmp_path / "r.json")
        slow = tmp_path / "slow.py"
        slow.write_text(
            "import time, eocube.archives.works as works\n"
            "write = works.write_item\n"
            "def slowly(*args, **options):\n"
            f"    open({str(tmp_path / 'there')!r}, 'a').write('x')\n"
            f"    time.sleep(0 if len(open({str(tmp_path / 'there')!r}).read()) == 1 else 30)\n"
            "    return write(*args, **options)\n"
            "works.write_item = slowly\n"
            "from eocube.cli import main\n"
            "main()\n"
        )
        process = subprocess.Popen(
            [sys.executable, str(slow), "archive", "run", str(tmp_path / "r.json"), "--out", str(tmp_path / "a")],
            cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        until = time.monotonic() + 60
        while not ((tmp_path / "there").exists() and (tmp_path / "there").read_text() == "xx"):
            assert time.monotonic() < until
            assert process.poll() is None, process.stdout.read()
            time.sleep(0.05)
        process.send_signal(number)
        said, _ = process.communicate(timeout=25)
        assert process.returncode not in (0, -9, -15), said
        assert "Traceback" not in said
        assert [row["state"] for row in rows(tmp_path / "a").values()] == ["done", "planned"]
        assert len(check_whole(tmp_path / "a")) == 1
        assert not list((tmp_path / "a").glob(".*"))
        open_archive(tmp_path / "a").run(bar=False)
        assert content(tmp_path / "a") == content(made.place.local)
