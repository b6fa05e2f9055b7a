"""stac-fastapi with pgstac on PostgreSQL: the software that Planetary Computer's API is made of."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path

from .processes import answers, folder, free_port, process, tool

QUICK = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "shared_buffers=64MB", "jit=off")
"""The database lives as long as the tests: nothing has to survive a power cut."""


@contextmanager
def stac_api(features):
    """Serve Items by stac-fastapi; yields the url of the API."""
    with database() as env, folder() as place:
        run(env, "pypgstac", "migrate")
        load(env, place, "collections", [collection(name) for name in sorted({f["collection"] for f in features})])
        load(env, place, "items", features)
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        command = [
            tool("uvicorn"), "stac_fastapi.pgstac.app:create_app", "--factory", "--host", "127.0.0.1",
            "--port", port, "--log-level", "warning",
        ]  # fmt: skip
        with process(command, place / "log", lambda: answers(url), env=env):
            yield url


@contextmanager
def database():
    """Run PostgreSQL in a folder of its own; yields the environment that leads to it."""
    user = "postgres" if os.geteuid() == 0 else None  # PostgreSQL refuses to be root
    with folder(user) as place:
        port = free_port()
        data = place / "data"
        subprocess.run(
            [tool("initdb"), "--pgdata", data, "--username", "eocube", "--auth", "trust", "--encoding", "UTF8",
             "--no-sync"],
            check=True, capture_output=True, user=user, cwd=place,
        )  # fmt: skip
        settings = [part for setting in QUICK for part in ("-c", setting)]
        command = [tool("postgres"), "-D", data, "-h", "127.0.0.1", "-p", port, "-k", place, *settings]
        env = {
            "PGHOST": "127.0.0.1", "PGPORT": str(port), "PGUSER": "eocube", "PGPASSWORD": "eocube",
            "PGDATABASE": "postgres",
        }  # fmt: skip

        def ready():
            probe = [tool("pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port)]
            return subprocess.run(probe, check=False).returncode == 0

        with process(command, place / "log", ready, user=user):
            yield env


def load(env, place: Path, kind: str, records) -> None:
    """Load Items or Collections as pgstac's own tool does."""
    file = place / f"{kind}.ndjson"
    file.write_text("\n".join(json.dumps(record) for record in records))
    run(env, "pypgstac", "load", kind, file, "--method", "upsert")


def run(env, name, *arguments) -> None:
    """Run one of the servers' tools; says what it said when it fails."""
    done = subprocess.run(
        [tool(name), *map(str, arguments)], env={**os.environ, **env}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{name} {arguments} failed:\n{done.stdout[-1000:]}\n{done.stderr[-3000:]}")


def collection(name: str) -> dict:
    """Return the least a Collection has to say."""
    extent = {"spatial": {"bbox": [[-180, -90, 180, 90]]}, "temporal": {"interval": [[None, None]]}}
    return {
        "type": "Collection", "stac_version": "1.0.0", "id": name, "description": name, "license": "proprietary",
        "extent": extent, "links": [],
    }  # fmt: skip


def reads_parquet(path: Path, place: Path) -> list[dict]:
    """Return the Items of a stac-geoparquet file, by the servers' own rustac."""
    out = place / "from-parquet.json"
    shutil.rmtree(out, ignore_errors=True)
    run({}, "rustac", "translate", path, out)
    return json.loads(out.read_text())["features"]
