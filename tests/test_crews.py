"""Cores without a task of their own help to decode."""

from __future__ import annotations

import threading
import time

import pytest

from eocube.loaders import crews


@pytest.fixture
def crew(monkeypatch):
    """A crew of three cores."""
    own = crews._Crew()
    own.cores = 3
    monkeypatch.setattr(crews, "_CREW", own)
    return own


def calls(count, names, seconds=0.01):
    def call():
        names.append(threading.current_thread().name)
        time.sleep(seconds)

    return iter([call] * count)


def test_helpers_join_while_cores_are_idle(crew):
    names = []
    crews.spread(calls(30, names))
    assert len(names) == 30
    assert len(set(names)) == 3
    assert crew.busy == 0


def test_nobody_helps_where_one_core_is_allowed(crew):
    crews.limit(1)
    names = []
    crews.spread(calls(10, names))
    assert set(names) == {threading.current_thread().name}


def test_helpers_make_room_for_tasks(crew):
    names: list[list[str]] = [[], [], []]
    tasks = [threading.Thread(target=crews.spread, args=(calls(40, own, 0.005),)) for own in names]
    most = 0
    for task in tasks:
        task.start()
    while any(task.is_alive() for task in tasks):
        most = max(most, crew.busy)
        time.sleep(0.001)
    assert [len(own) for own in names] == [40, 40, 40]
    assert most <= 3 + 2  # the tasks themselves, and helpers that had begun before
    assert crew.busy == 0


def test_the_first_failure_ends_it(crew):
    done = []

    def failing():
        if len(done) == 5:
            raise ValueError("the sixth")
        done.append(1)
        time.sleep(0.002)

    with pytest.raises(ValueError, match="the sixth"):
        crews.spread(iter([failing] * 1000))
    assert len(done) < 20
    assert crew.busy == 0


def test_what_is_lazily_made_may_fail(crew):
    def made():
        yield lambda: None
        raise OSError("no more")

    with pytest.raises(OSError, match="no more"):
        crews.spread(made())
    assert crew.busy == 0


def test_calls_are_taken_by_one_thread_at_a_time(crew):
    inside = []

    def made():
        for index in range(200):
            inside.append(index)
            time.sleep(0.0001)
            assert inside[-1] == index
            yield lambda: None

    crews.spread(made())
    assert inside == list(range(200))
