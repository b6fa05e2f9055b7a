"""Where an href leads: to a file on the disk, or into a store of obstore.

obstore's runtime does not survive a fork. In a forked child of a process that used it there are no
stores, and GDAL reads remote files.
"""

from __future__ import annotations

import os
import re
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote, urlsplit

from obstore import exceptions
from obstore.store import AzureStore, HTTPStore, S3Store

from .directories import Foreign
from .ranges import LocalFile, RemoteFile
from .stores import azure_config, plain, s3_config

_PLAIN = re.compile(r"[A-Za-z0-9_./=+:,@ -]+")
_CLIENT: Any = {"allow_http": True, "timeout": "60s", "connect_timeout": "10s"}
_ONCE: Any = {"max_retries": 0}  # we retry ourselves: short answers too
_GDAL_AUTH = re.compile("GDAL_HTTP_(HEADER|USERPWD|AUTH|BEARER|COOKIE|UNSAFESSL|PROXY|NETRC|SSL)")


def place_of(href: str) -> LocalFile | RemoteFile:
    """Return where a (signed) href is.

    Raises
    ------
    Foreign
        If it is a place only GDAL knows.
    """
    if "://" not in href:
        if href.startswith("/vsi"):
            raise Foreign(href)
        return LocalFile(href)
    parts = urlsplit(plain(href))
    path = unquote(parts.path.lstrip("/"))
    usual = _PLAIN.fullmatch(path) and not {"", ".", ".."} & set(path.split("/"))
    if not usual or parts.fragment or (_STATE.forked and parts.scheme != "file"):
        raise Foreign("an address only GDAL knows")
    if parts.scheme in ("http", "https"):
        return RemoteFile(_http(f"{parts.scheme}://{parts.netloc}/", parts.query), path)
    if parts.scheme == "s3":
        return RemoteFile(_s3(parts.netloc), path)
    if parts.scheme == "az":
        return RemoteFile(_azure(parts.netloc), path)
    if parts.scheme == "file" and not parts.netloc and "%" not in href:
        return LocalFile(parts.path)
    raise Foreign(parts.scheme)


def _http(base: str, query: str) -> Any:
    """Return the store of a host; a token in the query goes with each of its requests."""
    if "@" in base or any(_GDAL_AUTH.match(name) for name in os.environ):
        raise Foreign("GDAL's settings")
    url = f"{base}?{query}" if query else base
    return _store(url, lambda: HTTPStore(url, client_options=_CLIENT, retry_config=_ONCE))


def _s3(bucket: str) -> Any:
    config: Any = s3_config()
    key = repr(("s3", bucket, sorted(config.items())))
    return _store(key, lambda: S3Store(bucket, config=config, client_options=_CLIENT, retry_config=_ONCE))


def _azure(container: str) -> Any:
    config: Any = azure_config(container)
    key = repr(("az", sorted(config.items())))
    return _store(key, lambda: AzureStore(config=config, client_options=_CLIENT, retry_config=_ONCE))


class _State:
    """What a process keeps: stores with their connections."""

    def __init__(self, *, forked: bool = False) -> None:
        self.lock = threading.Lock()
        self.stores: OrderedDict[str, Any] = OrderedDict()
        self.forked = forked


_STATE = _State()


def _after_fork() -> None:
    global _STATE
    _STATE = _State(forked=_STATE.forked or bool(_STATE.stores))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _store(key: str, make: Callable[[], Any]) -> Any:
    state = _STATE
    with state.lock:
        if key not in state.stores:
            try:
                state.stores[key] = make()
            except exceptions.BaseError:
                raise Foreign("settings that obstore refuses") from None  # GDAL says what is wrong
            if len(state.stores) > 64:
                state.stores.popitem(last=False)
        state.stores.move_to_end(key)
        return state.stores[key]
