"""Shared fixtures: the made-up world, the real scenes, no network but loopback."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

import eocube
from eocube import sample

settings.register_profile(
    "eocube", deadline=None, max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
settings.load_profile("eocube")

REAL = os.environ.get("EOCUBE_REAL_DATA")
SERVERS = os.environ.get("EOCUBE_SERVERS")
BROWSER = os.environ.get("EOCUBE_BROWSER")
_PLACES = (("real", REAL), ("servers", SERVERS), ("browser", BROWSER))
ABSENT = {marker for marker, place in _PLACES if not place}


def pytest_report_header(config):
    none = "none ({0} is not set; tests marked {1} are deselected)"
    return [
        f"real scenes: {REAL or none.format('EOCUBE_REAL_DATA', 'real')}",
        f"real servers: {SERVERS or none.format('EOCUBE_SERVERS', 'servers')}",
        f"browser: {BROWSER or none.format('EOCUBE_BROWSER', 'browser')}",
    ]


def pytest_configure(config):
    config.addinivalue_line("markers", "real: needs real Sentinel-2 scenes (EOCUBE_REAL_DATA)")
    config.addinivalue_line("markers", "servers: needs real servers on this machine (EOCUBE_SERVERS)")
    config.addinivalue_line("markers", "browser: needs Chromium (EOCUBE_BROWSER) and playwright")
    if BROWSER and not Path(BROWSER).is_file():
        raise pytest.UsageError(f"EOCUBE_BROWSER={BROWSER} is no browser: run `.ci/browser`.")
    if REAL and not (Path(REAL) / "l2a_33T_2023-08").is_dir():
        raise pytest.UsageError(f"EOCUBE_REAL_DATA={REAL} holds no l2a_33T_2023-08.")
    if SERVERS and not (Path(SERVERS) / "bin").is_dir():
        raise pytest.UsageError(f"EOCUBE_SERVERS={SERVERS} holds no servers: run `.ci/servers {SERVERS}`.")


def pytest_collection_modifyitems(config, items):
    # By markers: keywords hold the names of folders, too.
    left_out = [item for item in items if any(mark.name in ABSENT for mark in item.iter_markers())]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        gone = set(left_out)
        items[:] = [item for item in items if item not in gone]


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    """Refuse every connection that leaves this machine."""
    connect = socket.socket.connect

    def guarded(self, address):
        host = address[0] if isinstance(address, tuple) else ""
        if self.family in (socket.AF_INET, socket.AF_INET6) and host not in ("127.0.0.1", "::1", "localhost"):
            raise AssertionError(f"a test tried to reach {address}")
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """Give up on servers soon."""
    monkeypatch.setenv("EOCUBE_PATIENCE", "3")


@pytest.fixture(scope="session")
def real() -> Path:
    """The folder of real scenes."""
    assert REAL is not None
    return Path(REAL)


@pytest.fixture(scope="session")
def world(tmp_path_factory):
    """The default world: twelve passes, two UTM zones."""
    return sample.write(tmp_path_factory.mktemp("world") / "w")


@pytest.fixture(scope="session")
def items(world):
    return eocube.search(world.items_path)


@pytest.fixture(scope="session")
def small(tmp_path_factory):
    """A small world for tests that read it many times."""
    return sample.write(tmp_path_factory.mktemp("small") / "w", seed=3, size=96, dates=5)


@pytest.fixture(scope="session")
def small_items(small):
    return eocube.search(small.items_path)


@pytest.fixture
def serve():
    """Return a context manager that serves Items by an API: ``with serve(features, conforms=...) as (url, asked)``.

    Another API can take its place: what is tested with it holds for any that says it knows CQL2.
    """
    from .servers import stac_api

    return stac_api


@pytest.fixture
def validator():
    """pystac's validator, with the extensions' schemas at hand: what is missing would need the network."""
    import pystac.validation
    from pystac.validation.stac_validator import JsonSchemaSTACValidator

    made = JsonSchemaSTACValidator()
    for file in Path(__file__).with_name("schemas").glob("*.json"):
        schema = json.loads(file.read_text())
        made.schema_cache[schema["$id"].rstrip("#")] = schema
    before = pystac.validation.RegisteredValidator.get_validator()
    pystac.validation.set_validator(made)
    yield made
    pystac.validation.set_validator(before)
