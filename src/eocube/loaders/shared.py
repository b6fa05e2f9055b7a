"""Blocks that several chunks share, fetched once.

The block of a mask's band lies under several chunks of the output: it is half or a sixth as fine, and
a mask looks around itself. Such blocks are small, so they are kept as they came, up to a bound. Files
on the disk are kept by the system already.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

MOST_BYTES = 64 * 2**20
"""Bytes of blocks that this process keeps."""

Data = bytes | memoryview


class _Shared:
    """The blocks of this process, those used last, and those under way."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.found: OrderedDict[Any, Future[Data]] = OrderedDict()
        self.nbytes = 0


_SHARED = _Shared()


def _after_fork() -> None:
    global _SHARED
    _SHARED = _Shared()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def fetched(key: tuple[Any, ...], fetch: Callable[[], Data]) -> Data:
    """Return the bytes of a block: kept, under way in another thread, or fetched now.

    Parameters
    ----------
    key : tuple
        The file's href, and what else tells the block from all others; has to change when the file does.
    fetch : callable
        Gets the bytes. What it raises is raised here and in the threads that wait, and is not kept.
    """
    own = _SHARED
    mine: Future[Data] = Future()
    with own.lock:
        found = own.found.setdefault(key, mine)
        own.found.move_to_end(key)
    if found is not mine:
        return found.result()
    try:
        data = fetch()
    except BaseException as error:
        with own.lock:
            own.found.pop(key, None)
        mine.set_exception(error)
        raise
    mine.set_result(data)
    with own.lock:
        own.nbytes += len(data)
        for old in list(own.found):
            if own.nbytes <= MOST_BYTES:
                break
            if own.found[old].done():
                own.nbytes -= len(own.found.pop(old).result())
    return data


def drop(href: str) -> None:
    """Forget the blocks of a file: they were damaged, or the file has changed."""
    own = _SHARED
    with own.lock:
        for key in [key for key, found in own.found.items() if key[0] == href and found.done()]:
            found = own.found.pop(key)
            own.nbytes -= len(found.result()) if found.exception() is None else 0
