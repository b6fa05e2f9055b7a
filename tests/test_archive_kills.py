"""Archives whose runners are killed, suspended, lost, or many."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import time
from pathlib import Path

import pytest

import eocube as eo
from eocube import sample
from eocube.archives import leases
from eocube.archives.ledgers import Ledger, Outcome
from eocube.archives.tables import ledger_url
from eocube.errors import ArchiveError

from .archiving import check_whole, content, forking, rows

PERIOD = "2021-06/2022-05"
KILLS = 20


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """Twelve cells in two UTM zones."""
    return sample.write(tmp_path_factory.mktemp("many") / "w", places=6, size=60, dates=4, bands=("red", "rededge1"))


@pytest.fixture(scope="module")
def recipe(many, tmp_path_factory):
    cells = sorted({item.properties["grid:code"].removeprefix("MGRS-") for item in eo.search(many.items_path)})
    assert len(cells) == 12
    assert {cell[:2] for cell in cells} == {"32", "33"}
    made = eo.Recipe("kills", PERIOD, cells=cells, catalog=str(many.items_path), bands=("B04", "B05"), scenes=3)
    return made.save(tmp_path_factory.mktemp("recipe") / "recipe.json")


@pytest.fixture(scope="module")
def two(recipe, tmp_path_factory):
    """The same of two cells."""
    said = json.loads(recipe.read_text()) | {"cells": ["32TQT", "33TTN"]}
    file = tmp_path_factory.mktemp("two") / "recipe.json"
    file.write_text(json.dumps(said))
    return file


@pytest.fixture(scope="module")
def forker(tmp_path_factory):
    scratch = tmp_path_factory.mktemp("scratch")
    with forking(scratch) as made:
        made.scratch = scratch
        yield made


@pytest.fixture(scope="module")
def undisturbed(forker, recipe, tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed") / "a"
    assert forker.run(folder, recipe) == 0
    assert len(check_whole(folder)) == 12
    assert {row["attempts"] for row in rows(folder).values()} == {1}
    return content(folder)


@pytest.fixture(scope="module")
def undisturbed_two(forker, two, tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed") / "two"
    assert forker.run(folder, two) == 0
    return content(folder)


class TestKilled:
    def test_at_random_moments(self, forker, recipe, undisturbed, tmp_path):
        """Twenty kills of the runners of one archive after another, each resumed until it is done."""
        draw, kills, round_ = random.Random(8), 0, 0
        while kills < KILLS:
            round_ += 1
            folder, before = tmp_path / f"round{round_}", 0
            while True:
                pid = forker.start(folder, recipe)
                time.sleep(draw.uniform(0, 1.2))
                os.kill(pid, signal.SIGKILL)
                code = forker.wait(pid)
                assert code in (-9, 0)
                kills += code == -9
                done = check_whole(folder) if folder.exists() else []
                assert len(done) >= before  # what is done stays done
                before = len(done)
                if code == 0 or kills == KILLS:
                    break
            assert forker.run(folder, recipe) == 0
            assert content(folder) == undisturbed
            assert [row["state"] for row in rows(folder).values()] == ["done"] * 12
        assert not list(forker.scratch.iterdir())

    # Renames of a run of two cells: of each cell the files B04, count, used, B05, its Item and its folder;
    # then the collection, the catalog, the recipe and the table.
    @pytest.mark.parametrize("early", [True, False], ids=["before", "after"])
    @pytest.mark.parametrize("at", [1, 3, 5, 6, 7, 12, 13, 14, 15, 16])
    def test_at_each_step(self, forker, two, undisturbed_two, tmp_path, at, early):
        assert forker.run(tmp_path / "a", two, kill_at=at, early=early) == -9
        done = check_whole(tmp_path / "a")
        assert len(done) == (at > 6 or (at == 6 and not early)) + (at > 12 or (at == 12 and not early))
        assert forker.run(tmp_path / "a", two) == 0
        assert content(tmp_path / "a") == undisturbed_two

    def test_those_are_all_the_steps(self, forker, two, tmp_path):
        assert forker.run(tmp_path / "a", two, kill_at=17, early=True) == 0

    def test_while_a_cell_is_made_again(self, forker, two, tmp_path):
        """Two renames put a folder in the place of another: whoever is killed between leaves the old one."""
        folder, ladder = tmp_path / "a", {"only_below": 0.6, "relax": True}
        assert forker.run(folder, two) == 0
        link = sqlite3.connect(folder / "ledger.sqlite")
        with link:  # so that it is known which is below it
            link.execute("update eocube_cells set good = case cell when '33TTN' then 0.5 else 0.9 end")
        link.close()
        first = content(folder)
        name = next(place.name for place in folder.glob("33TTN*"))
        item = (folder / name / f"{name}.json").read_bytes()
        steps = {}
        for at in range(1, 20):  # the last cell and its shelf
            assert forker.run(folder, two, kill_at=at, **ladder) == -9
            there = (folder / name).is_dir()
            steps[at] = there and (folder / name / f"{name}.json").read_bytes() == item
            if not there:
                break
            assert steps[at], "the old one is there until the new one is"
        assert not there
        assert [row["state"] for row in rows(folder).values()] == ["done", "running"]
        # What looks at the place next puts the old one back, whatever becomes of the cell.
        archive = eo.Archive(folder)
        assert archive.place.sweep(archive.place.left(), {name: ""})
        assert (folder / name / f"{name}.json").read_bytes() == item
        archive.close()
        assert forker.run(folder, two) == 0
        now = content(folder)
        assert set(now) - set(first) == {f"{name}/rung.tif"}
        assert not list(folder.glob(".*"))
        assert rows(folder)["33TTN"]["relaxed"]
        check_whole(folder)


class TestRunners:
    def test_two_at_once(self, forker, recipe, undisturbed, tmp_path):
        said = [tmp_path / "one.json", tmp_path / "other.json"]
        pids = [forker.start(tmp_path / "a", recipe, report=str(file)) for file in said]
        assert [forker.wait(pid) for pid in pids] == [0, 0]
        one, other = (json.loads(file.read_text()) for file in said)
        assert one["done"]
        assert other["done"]
        assert sorted(one["done"] + other["done"]) == sorted(rows(tmp_path / "a"))
        assert {row["attempts"] for row in rows(tmp_path / "a").values()} == {1}
        assert content(tmp_path / "a") == undisturbed

    def test_many_begin_at_once(self, forker, two, undisturbed_two, tmp_path):
        """Tables, rows and shelf are made by six at the same moment."""
        for round_ in range(2):
            folder = tmp_path / f"a{round_}"
            pids = [forker.start(folder, two) for _ in range(6)]
            assert [forker.wait(pid) for pid in pids] == [0] * 6
            assert {row["attempts"] for row in rows(folder).values()} == {1}
            assert content(folder) == undisturbed_two

    def test_two_make_cells_again(self, forker, two, tmp_path):
        """By the ladder, at once: as one runner would."""
        ladder = {"only_below": 1.0, "relax": True}
        for name in ("one", "both"):
            assert forker.run(tmp_path / name, two) == 0
        assert forker.run(tmp_path / "one", two, **ladder) == 0
        pids = [forker.start(tmp_path / "both", two, **ladder) for _ in range(2)]
        assert [forker.wait(pid) for pid in pids] == [0, 0]
        assert content(tmp_path / "both") == content(tmp_path / "one")
        again = [row for row in rows(tmp_path / "both").values() if row["relaxed"]]
        assert again
        assert {row["attempts"] for row in again} == {2}

    def test_of_two_recipes_one_comes_second(self, forker, two, tmp_path):
        said = json.loads(two.read_text()) | {"mask": "none"}
        (tmp_path / "other.json").write_text(json.dumps(said))
        pids = [forker.start(tmp_path / "a", file) for file in (two, tmp_path / "other.json")]
        assert sorted(forker.wait(pid) for pid in pids) == [0, 1]
        check_whole(tmp_path / "a")

    def test_one_killed_of_two(self, forker, recipe, undisturbed, tmp_path):
        """The other takes the cell over, and sweeps up."""
        pids = [forker.start(tmp_path / "a", recipe) for _ in range(2)]
        time.sleep(1.5)
        os.kill(pids[0], signal.SIGKILL)
        assert forker.wait(pids[0]) == -9
        assert forker.wait(pids[1]) == 0
        assert content(tmp_path / "a") == undisturbed

    def test_a_zombie_is_no_runner(self, forker, two, undisturbed_two, tmp_path):
        """Nobody has asked yet what became of the one that was killed."""
        pid = forker.start(tmp_path / "a", two, kill_at=3)
        while "State:\tZ" not in Path(f"/proc/{pid}/status").read_text():
            time.sleep(0.05)
        assert forker.run(tmp_path / "a", two) == 0
        assert forker.wait(pid) == -9
        assert content(tmp_path / "a") == undisturbed_two

    def test_another_host_is_gone(self, forker, two, undisturbed_two, tmp_path):
        """Its lease runs out, by the watcher's clock; what it left is swept."""
        assert forker.run(tmp_path / "a", two, host="elsewhere", kill_at=3, lease=1.5) == -9
        assert rows(tmp_path / "a")["32TQT"]["host"] == "elsewhere"
        began = time.monotonic()
        assert forker.run(tmp_path / "a", two, lease=1.5) == 0
        assert time.monotonic() - began > 1.5
        assert {cell: row["attempts"] for cell, row in rows(tmp_path / "a").items()} == {"32TQT": 2, "33TTN": 1}
        assert content(tmp_path / "a") == undisturbed_two

    def test_a_suspended_runner_loses_its_cell(self, forker, two, undisturbed_two, tmp_path):
        """It wakes up, finds that the cell is another's, throws its work away and goes on."""
        said = tmp_path / "said.json"
        pid = forker.start(tmp_path / "a", two, host="elsewhere", stop_at=1, lease=1.0, report=str(said))
        while not (tmp_path / "a").exists() or "State:\tT" not in Path(f"/proc/{pid}/status").read_text():
            time.sleep(0.05)
        assert forker.run(tmp_path / "a", two, lease=1.0) == 0
        os.kill(pid, signal.SIGCONT)
        assert forker.wait(pid) == 0
        told = json.loads(said.read_text())
        assert (told["done"], told["failed"], told["lost"]) == ([], [], ["32TQT"])
        assert {cell: row["attempts"] for cell, row in rows(tmp_path / "a").items()} == {"32TQT": 2, "33TTN": 1}
        assert content(tmp_path / "a") == undisturbed_two

    def test_clocks_that_jump(self, forker, recipe, undisturbed, tmp_path):
        pids = [forker.start(tmp_path / "a", recipe, jumps=True, lease=3.0) for _ in range(2)]
        assert [forker.wait(pid) for pid in pids] == [0, 0]
        assert {row["attempts"] for row in rows(tmp_path / "a").values()} == {1}
        assert content(tmp_path / "a") == undisturbed


class TestLeases:
    """One ledger, and a clock that is ours."""

    @pytest.fixture
    def clock(self, monkeypatch):
        now = [100.0]
        monkeypatch.setattr(leases.time, "monotonic", lambda: now[0])
        return now

    @pytest.fixture
    def pair(self, two, tmp_path):
        made = [Ledger(ledger_url(tmp_path / "l.sqlite"), "kills", lease=60) for _ in range(2)]
        found = eo.read_recipe(two)
        for ledger in made:
            ledger.begin(found, found.cells)
        yield made
        for ledger in made:
            ledger.close()

    def as_of(self, ledger, cell, **values):
        """Say something else of the one that makes a cell."""
        tables = ledger.tables
        with tables.work() as link:
            table = tables.cells
            link.execute(tables.sa.update(table).where(table.c.cell == cell).values(**values))

    def test_none_is_given_twice(self, pair):
        one, other = pair
        cells = [ledger.claim().cell for ledger in (one, other)]
        assert sorted(cells) == ["32TQT", "33TTN"]
        assert one.claim() is None
        assert not one.waiting()

    def test_a_beating_one_is_never_taken_over(self, pair, clock):
        one, other = pair
        leases = [one.claim(), one.claim()]
        for lease in leases:
            self.as_of(one, lease.cell, host="elsewhere")
        assert other.claim() is None
        assert other.waiting()
        for _ in range(20):
            clock[0] += 59
            assert all(one.beat(lease) for lease in leases)
            assert other.claim() is None
            assert not other.waiting()  # it goes on, as was seen
        clock[0] += 61
        taken = other.claim()
        assert taken.cell == leases[0].cell
        assert taken.attempts == 2
        assert not one.beat(leases[0])
        assert not one.finish(leases[0], Outcome("done", good=0.1))
        assert one.beat(leases[1])
        assert other.finish(taken, Outcome("done", good=0.9))
        assert one.rows()[0]["good"] == 0.9

    def test_the_time_before_it_was_first_seen_does_not_count(self, pair, clock):
        one, other = pair
        self.as_of(one, one.claim().cell, host="elsewhere")
        one.claim()
        clock[0] += 1e6
        assert other.claim() is None
        clock[0] += 59
        assert other.claim() is None
        clock[0] += 2
        assert other.claim().attempts == 2

    def test_a_number_that_another_process_has_now(self, pair):
        """Of this machine, alive, but born at another moment: gone."""
        one, other = pair
        lease = one.claim()
        self.as_of(one, lease.cell, pid=os.getppid(), born=leases.born(os.getppid()))
        one.claim()
        assert other.claim() is None
        self.as_of(one, lease.cell, born=1.0)
        assert other.claim().cell == lease.cell

    def test_a_live_process_that_stands_still(self, pair, clock):
        one, other = pair
        lease = one.claim()
        one.claim()
        self.as_of(one, lease.cell, pid=os.getppid(), born=leases.born(os.getppid()))
        assert other.claim() is None
        clock[0] += 61
        assert other.claim().cell == lease.cell

    def test_what_this_process_gave_up_is_free_at_once(self, pair, monkeypatch):
        """The ledger could not be told; the process lives on, as notebooks do."""
        one, other = pair
        lease = one.claim()

        def fails(*_, **__):
            raise ArchiveError("the database is away")

        monkeypatch.setattr(one, "_change", fails)
        with pytest.raises(ArchiveError):
            one.finish(lease, Outcome("done"))
        other.claim(["33TTN"])
        assert other.claim().cell == lease.cell

    def test_giving_back(self, pair):
        one, other = pair
        lease = one.claim()
        assert one.finish(lease, Outcome("planned"))
        assert not one.finish(lease, Outcome("done"))
        assert other.claim().attempts == 1  # of those never tried before first
        assert other.claim().attempts == 2

    def test_only_some(self, pair):
        one, _ = pair
        assert one.claim(["33TTN"]).cell == "33TTN"
        assert one.claim(["33TTN"]) is None
        assert one.claim(["nowhere"]) is None

    def test_a_crowd(self, many, tmp_path):
        """Eight threads with ledgers of their own take six hundred cells as fast as they can."""
        from concurrent.futures import ThreadPoolExecutor

        from eocube.cells import zone_cells

        cells = zone_cells(33)[:600]
        recipe = eo.Recipe("crowd", PERIOD, cells=cells)

        def work(_):
            ledger, taken = Ledger(ledger_url(tmp_path / "l.sqlite"), "crowd"), []
            ledger.begin(recipe, recipe.cells)
            while (lease := ledger.claim(recipe.cells)) is not None:
                assert ledger.beat(lease)
                assert ledger.finish(lease, Outcome("done", good=1.0))
                taken.append(lease.cell)
            ledger.close()
            return taken

        with ThreadPoolExecutor(8) as pool:
            taken = [cell for own in pool.map(work, range(8)) for cell in own]
        assert sorted(taken) == sorted(cells)
