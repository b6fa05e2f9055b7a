"""Archives on S3, ledgers in PostgreSQL, and disks that are really full."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet
import pytest

import eocube as eo
from eocube import sample
from eocube.archives.ledgers import Ledger
from eocube.errors import ArchiveError, InputError, OutputError
from eocube.writers.remotes import as_remote

from .archiving import check_whole, content, forking
from .services import nginx, pgstac, s3

pytestmark = pytest.mark.servers

PERIOD = "2021-06/2022-05"
CELLS = ("33TTN", "32TQT")
FILES = {"B04.tif", "B05.tif", "count.tif", "used.tif"}
SHELF = {"items.parquet", "recipe.json", "collection.json", "catalog.json"}


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    return sample.write(tmp_path_factory.mktemp("many") / "w", places=3, size=60, dates=4, bands=("red", "rededge1"))


@pytest.fixture(scope="module")
def recipe(many):
    return eo.Recipe("far", PERIOD, cells=CELLS, catalog=str(many.items_path), bands=("B04", "B05"), scenes=3)


@pytest.fixture(scope="module")
def local(recipe, tmp_path_factory):
    """The same archive in a folder."""
    archive = eo.Archive(tmp_path_factory.mktemp("local") / "a", recipe)
    archive.run(bar=False)
    yield archive.place.local
    archive.close()


@pytest.fixture(scope="module")
def server():
    with s3.serving() as made:
        made.fill("out", {}, public=False)
        keys = made.user()
        made.check_signatures()
        port = made.url.rpartition(":")[2]
        pass_on = "location / { proxy_pass http://127.0.0.1:" + port + "; proxy_set_header Host $http_host; }"
        with nginx.serving(pass_on) as front:
            yield front, {**s3.environment(front.url), **keys}


@pytest.fixture(scope="module")
def url():
    with pgstac.database() as env:
        yield f"postgresql+psycopg://{env['PGUSER']}:CANARY@{env['PGHOST']}:{env['PGPORT']}/{env['PGDATABASE']}"


@pytest.fixture(scope="module")
def six(many, recipe):
    cells = sorted({item.properties["grid:code"].removeprefix("MGRS-") for item in eo.search(many.items_path)})
    return replace(recipe, name="six", cells=tuple(cells))


class TestS3:

    @pytest.fixture
    def env(self, server, monkeypatch):
        for name, value in server[1].items():
            monkeypatch.setenv(name, value)
        monkeypatch.delenv("AWS_NO_SIGN_REQUEST", raising=False)
        return server[1]

    def puts(self, server, key):
        """Return what was written below a key, in the order in which it was."""
        lines = [line.split(" ") for line in (server[0].place / "asked").read_text().splitlines()]
        return [
            words[-1].removeprefix(f"/out/{key}/")
            for words in lines
            if words[:2] == ["200", "PUT"] and words[-1].startswith(f"/out/{key}/")
        ]

    def listed(self, key):
        import obstore

        store = as_remote(f"s3://out/{key}").store(below=True)
        return {str(one["path"]) for page in obstore.list(store) for one in page}

    def fetched(self, key, folder):
        for name in self.listed(key):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (as_remote(f"s3://out/{key}") / name).fetch(folder / name)
        return folder

    def test_the_item_comes_last(self, server, env, recipe, local, tmp_path):
        archive = eo.Archive("s3://out/whole/a", recipe, ledger=tmp_path / "l.sqlite")
        assert sorted(archive.run(bar=False).done) == sorted(CELLS)
        time.sleep(0.3)  # nginx writes its log when it has answered
        order = self.puts(server, "whole/a")
        for cell in CELLS:
            name = recipe.identity(cell)
            own = [key for key in order if key.startswith(name)]
            assert own[-1] == f"{name}/{name}.json"
            assert {key.partition("/")[2] for key in own[:-1]} == FILES
        assert order[-4:] == ["items.parquet", "recipe.json", "collection.json", "catalog.json"]
        found = content(self.fetched("whole/a", tmp_path / "copy"))
        assert found == {name: value for name, value in content(local).items() if name != "ledger.sqlite"}
        assert len(eo.search(tmp_path / "copy")) == 2
        with pytest.raises(InputError, match="copy of it"):
            _ = archive.catalog_path
        assert archive.run(bar=False).cells == 0
        archive.close()

    def test_killed_while_it_sends(self, server, env, recipe, local, tmp_path):
        """No Item is there whose files are not; what was made is made again and the same."""
        recipe.save(tmp_path / "r.json")
        job = {"out": "s3://out/killed/a", "recipe": tmp_path / "r.json", "ledger": str(tmp_path / "l.sqlite")}
        with forking(tmp_path / "scratch", **env) as forker:
            for at in (1, 4, 5, 5, 3, 7, 4):  # of each cell four files and the Item
                assert forker.run(**job, send_at=at) == -9
                for name in {key.partition("/")[0] for key in self.listed("killed/a")} - SHELF:
                    here = {key.partition("/")[2] for key in self.listed("killed/a") if key.startswith(name)}
                    assert f"{name}.json" not in here or here == FILES | {f"{name}.json"}
            draw = random.Random(5)
            for _ in range(4):
                pid = forker.start(**job)
                time.sleep(draw.uniform(0, 1.0))
                os.kill(pid, signal.SIGKILL)
                forker.wait(pid)
            assert forker.run(**job) == 0
            assert not list((tmp_path / "scratch").iterdir())
        found = content(self.fetched("killed/a", tmp_path / "copy"))
        assert found == {name: value for name, value in content(local).items() if name != "ledger.sqlite"}

    def test_a_cell_that_is_made_again(self, server, env, recipe, tmp_path):
        """Its old Item goes first: it says the checksums of files that are being replaced."""
        archive = eo.Archive("s3://out/again/a", replace(recipe, scenes=1, cells=("33TTN",)), ledger=tmp_path / "l.sqlite")
        archive.run(bar=False)
        tables = archive.ledger.tables
        with tables.work() as link:
            link.execute(tables.sa.update(tables.cells).values(good=0.5))
        name = recipe.identity("33TTN")
        old = (tmp_path / "old.json", tmp_path / "new.json")
        (as_remote("s3://out/again/a") / name / f"{name}.json").fetch(old[0])
        assert archive.run(bar=False, only_below=0.9, relax=True).done == ["33TTN"]
        (as_remote("s3://out/again/a") / name / f"{name}.json").fetch(old[1])
        assert old[0].read_bytes() != old[1].read_bytes()
        check_whole(self.fetched("again/a", tmp_path / "copy"))
        time.sleep(0.3)
        lines = [line.split(" ") for line in (server[0].place / "asked").read_text().splitlines()]
        said = [words[1] for words in lines if words[-1].startswith(f"/out/again/a/{name}") or words[1] == "POST"]
        assert "POST" in said  # S3's way to delete
        archive.close()

    def test_what_is_refused(self, env, recipe, local, tmp_path, monkeypatch):
        with pytest.raises(InputError, match="say where the ledger is"):
            eo.Archive("s3://out/refused/a", recipe)
        archive = eo.Archive("s3://out/refused/a", recipe, ledger=tmp_path / "l.sqlite")
        archive.run(bar=False, max_cells=1)
        archive.close()
        other = eo.Archive("s3://out/refused/a", replace(recipe, mask="none"), ledger=tmp_path / "other.sqlite")
        with pytest.raises(ArchiveError, match="mask: 'none' here"):
            other.run(bar=False)
        other.close()
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "CANARY")
        archive = eo.Archive("s3://out/refused/a", recipe, ledger=tmp_path / "l.sqlite")
        with pytest.raises(OutputError, match="region and keys") as said:
            archive.run(bar=False)
        assert "CANARY" not in str(said.value)
        archive.close()


class TestPostgres:


    def test_two_runners(self, url, six, tmp_path):
        six.save(tmp_path / "r.json")
        expected = eo.Archive(tmp_path / "expected", six)
        expected.run(bar=False)
        expected.close()
        said = [tmp_path / "one.json", tmp_path / "other.json"]
        with forking(tmp_path / "scratch") as forker:
            job = {"out": tmp_path / "a", "recipe": tmp_path / "r.json", "ledger": url}
            pids = [forker.start(**job, report=str(file)) for file in said]
            assert [forker.wait(pid) for pid in pids] == [0, 0]
        one, other = (json.loads(file.read_text())["done"] for file in said)
        assert one
        assert other
        assert sorted(one + other) == sorted(six.cells)
        ledger = Ledger(url, "six")
        assert {(row["state"], row["attempts"]) for row in ledger.rows()} == {("done", 1)}
        ledger.close()
        found = content(tmp_path / "expected")
        del found["ledger.sqlite"]
        assert content(tmp_path / "a") == found

    def test_killed_and_resumed(self, url, six, tmp_path):
        named = replace(six, name="killed")
        named.save(tmp_path / "r.json")
        draw = random.Random(3)
        with forking(tmp_path / "scratch") as forker:
            job = {"out": tmp_path / "a", "recipe": tmp_path / "r.json", "ledger": url}
            for _ in range(5):
                pid = forker.start(**job)
                time.sleep(draw.uniform(0.2, 1.2))
                os.kill(pid, signal.SIGKILL)
                forker.wait(pid)
                check_whole(tmp_path / "a")
            assert forker.run(**job) == 0
        assert sorted(check_whole(tmp_path / "a")) == sorted(six.cells)
        assert not list((tmp_path / "a").glob(".*"))
        assert len(pyarrow.parquet.read_table(tmp_path / "a" / "items.parquet")) == 6

    def test_several_archives_in_one_database(self, url, six, tmp_path):
        for name in ("mine", "yours"):
            archive = eo.Archive(tmp_path / name, replace(six, name=name, cells=("33TTN",)), ledger=url)
            assert archive.run(bar=False).done == ["33TTN"]
            archive.close()
        with pytest.raises(ArchiveError, match=r"holds several archives .*mine.*yours.*give the recipe") as said:
            eo.Archive(tmp_path / "mine", ledger=url)
        assert "CANARY" not in str(said.value)
        with pytest.raises(ArchiveError, match="mask: 'none' here"):
            eo.Archive(tmp_path / "mine", replace(six, name="mine", mask="none"), ledger=url)


class TestFullDisk:
    """A file system of few kilobytes."""

    @pytest.fixture
    def disk(self, tmp_path):
        """Return what mounts one of a size, or makes it larger."""
        place = tmp_path / "disk"
        place.mkdir()

        def sized(kilobytes):
            mounted = os.path.ismount(place)
            subprocess.run(
                ["mount", "-t", "tmpfs", "-o", f"{'remount,' if mounted else ''}size={kilobytes}k", "tmpfs", place], check=True
            )
            return place / "a"

        yield sized
        if os.path.ismount(place):
            subprocess.run(["umount", "-l", place], check=True)

    @pytest.mark.parametrize("kilobytes", [8, 32, 90, 110, 130, 145, 160])
    def test_stops_and_goes_on(self, disk, recipe, local, kilobytes):
        """The whole archive takes about 110 kB, and to make a cell as much for a while."""
        folder, expected = disk(kilobytes), content(local)
        archive = eo.Archive(folder, recipe)
        with pytest.raises(OutputError, match=r"no room.*[Mm]ake room"):
            archive.run(bar=False)
        archive.close()
        done = check_whole(folder)
        assert not list(folder.glob(".*"))
        for name, said in content(folder).items():
            if name.endswith(".tif"):
                assert said == expected[name]
        rows = {row["cell"]: row["state"] for row in archive.ledger.rows()}
        assert set(rows.values()) <= {"done", "planned"}
        assert sorted(cell for cell in rows if rows[cell] == "done") == sorted(done)
        disk(20_000)
        archive.run(bar=False)
        archive.close()
        assert content(folder) == expected


def test_places_are_checked_before_the_work(recipe, tmp_path):
    archive = eo.Archive(Path("/proc/nowhere/a"), recipe, ledger=tmp_path / "l.sqlite")
    with pytest.raises(OutputError, match="cannot be made"):
        archive.run(bar=False)
    archive.close()
    assert not (tmp_path / "l.sqlite").exists()
