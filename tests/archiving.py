"""Archives under test: processes that make one and can be killed, and what an archive has to be.

``python -m tests.archiving`` is a process that has imported all and waits; told so on its standard input,
it forks one that makes an archive. So a process to be killed is there within milliseconds.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]


class Forker:
    """Makes processes that make archives."""

    def __init__(self, process: subprocess.Popen) -> None:
        self.process = process

    def start(self, out: Path | str, recipe: Path | None, **job: Any) -> int:
        """Begin to make an archive; return the number of the process."""
        return self._ask({"out": str(out), "recipe": recipe and str(recipe), **job})

    def wait(self, pid: int) -> int:
        """Return the exit code of a process; -9 if it was killed."""
        return self._ask({"wait": pid})

    def run(self, out: Path | str, recipe: Path | None, **job: Any) -> int:
        return self.wait(self.start(out, recipe, **job))

    def _ask(self, said: dict[str, Any]) -> int:
        self.process.stdin.write(json.dumps(said) + "\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())


@contextmanager
def forking(scratch: Path, **env: str):
    """Run the process that forks; temporary files of its children go to ``scratch``."""
    scratch.mkdir(exist_ok=True)
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.archiving"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
        env={**os.environ, "TMPDIR": str(scratch), **env},
    )  # fmt: skip
    try:
        assert process.stdout.readline() == "0\n"
        yield Forker(process)
    finally:
        process.stdin.close()
        process.wait(20)


def main() -> None:
    from eocube.archives.ledgers import Ledger

    for late in (  # what is imported late, is now
        "eocube.archives.archive", "eocube.writers.cogs", "pyarrow.parquet", "rasterio.shutil", "dask.array",
        "stac_geoparquet.arrow", "sqlalchemy.dialects.sqlite", "distributed",
    ):  # fmt: skip
        import_module(late)

    Ledger("sqlite:////nowhere/at/all", "").rows()
    say(0)
    for line in sys.stdin:
        job = json.loads(line)
        if "wait" in job:
            say(os.waitstatus_to_exitcode(os.waitpid(job["wait"], 0)[1]))
            continue
        pid = os.fork()
        if not pid:
            code = 1
            try:
                work(**job)
                code = 0
            finally:
                os._exit(code)
        say(pid)


def say(number: int) -> None:
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()


def work(
    out: str, recipe: str | None, ledger: str | None = None, lease: float = 60.0, kill_at: int = 0, early: bool = False,
    host: str = "", report: str = "", stop_at: int = 0, jumps: bool = False, send_at: int = 0, **options: Any,
) -> None:  # fmt: skip
    """Make an archive in this process, as bad a one as is wanted.

    ``kill_at``: it kills itself at the n-th rename, before (``early``) or after it; ``stop_at``: it stops itself when
    it has made so many cells' files; ``send_at``: it kills itself before it sends the n-th object to S3; ``host``: as another machine; ``jumps``: its clocks go mad.
    """
    import eocube
    from eocube.archives import works
    from eocube.writers.remotes import Remote

    if kill_at:
        os.replace = counting(os.replace, kill_at, signal.SIGKILL, early=early)
    if send_at:
        Remote.send = counting(Remote.send, send_at, signal.SIGKILL)
    if stop_at:
        works.write_item = counting(works.write_item, stop_at, signal.SIGSTOP)
    if host:
        from eocube import processes
        from eocube.archives import leases, ledgers

        leases.host = ledgers.host = processes.host = lambda: host
    if jumps:
        mad_clocks()
    archive = eocube.Archive(out, recipe, ledger=ledger, lease=lease)
    run = archive.run(bar=False, **options)
    if report:
        Path(report).write_text(json.dumps({"done": run.done, "failed": run.failed, "lost": run.lost, "empty": run.empty}))
    archive.close()


def counting(call: Any, at: int, number: int, *, early: bool = True) -> Any:
    """Return a function that sends this process a signal at its n-th call, before or after it."""
    count = [0]

    def counted(*args: Any, **options: Any) -> Any:
        count[0] += 1
        if count[0] == at and early:
            os.kill(os.getpid(), number)
        found = call(*args, **options)
        if count[0] == at and not early:
            os.kill(os.getpid(), number)
        return found

    return counted


def mad_clocks() -> None:
    """Let the time of day jump by hours, back and forth, each time it is asked for."""
    import itertools
    import time
    from datetime import datetime, timedelta

    import eocube.archives.ledgers

    true, hours = time.time, itertools.cycle([0, 5, -30, 100, -2, 7000, -400])
    time.time = lambda: true() + 3600 * next(hours)

    class Mad(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return datetime.now(tz) + timedelta(hours=next(hours))

    eocube.archives.ledgers.datetime = Mad


def content(folder: Path) -> dict[str, Any]:
    """Return all that an archive is: the bytes of its files, its table and its ledger by what they say."""
    import pyarrow.parquet

    from eocube.archives.ledgers import Ledger
    from eocube.archives.tables import ledger_url

    found: dict[str, Any] = {}
    for file in sorted(folder.rglob("*")):
        name = str(file.relative_to(folder))
        if file.is_dir():
            found[name] = "folder"
        elif name == "items.parquet":
            found[name] = pyarrow.parquet.read_table(file).to_pylist()
        elif name == "ledger.sqlite":
            ledger = Ledger(ledger_url(file), "")
            ledger.recipe()
            kept = ("cell", "state", "good", "scenes", "relaxed", "why", "token")
            found[name] = [{key: row[key] for key in kept} for row in ledger.rows()]
            ledger.close()
        else:
            found[name] = hashlib.sha256(file.read_bytes()).hexdigest()
    return found


def check_whole(folder: Path) -> list[str]:
    """Check that all that can be seen in an archive is whole; return the cells."""
    cells = []
    for place in sorted(folder.glob("[!.]*")):
        if place.is_dir():
            item = json.loads((place / f"{place.name}.json").read_text())
            files = {(place / asset["href"]).resolve(): asset["file:checksum"] for asset in item["assets"].values()}
            assert {*files, place / f"{place.name}.json"} == {file.resolve() for file in place.iterdir()}
            for file, said in files.items():
                assert said == "1220" + hashlib.sha256(file.read_bytes()).hexdigest()
            cells.append(place.name[:5])
        elif place.suffix == ".json":
            json.loads(place.read_text())
        elif place.suffix == ".parquet":
            import pyarrow.parquet

            pyarrow.parquet.read_table(place)
        else:
            assert place.name in ("ledger.sqlite", "ledger.sqlite-journal")
    return cells


def rows(folder: Path) -> dict[str, dict[str, Any]]:
    """Return what the ledger of an archive says, by cell."""
    from eocube.archives.ledgers import Ledger
    from eocube.archives.tables import ledger_url

    ledger = Ledger(ledger_url(folder / "ledger.sqlite"), "")
    ledger.recipe()
    found = {row["cell"]: row for row in ledger.rows()}
    ledger.close()
    return found


if __name__ == "__main__":
    main()
