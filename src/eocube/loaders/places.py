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

from ..signing import headers_for, renew, s3_options, sign, unsigned
from ..trust import guarded, settled
from .base import Source
from .directories import Foreign
from .plainly import direct
from .ranges import LocalFile, RemoteFile
from .stores import azure_config, plain, s3_config

_PLAIN = re.compile(r"[A-Za-z0-9_./=+:,@ -]+")
_SILENCE = (1, 4, 15, 30)
"""Seconds a server may be silent at the first, second ... try. One that was slow and answered is
given as much from then on."""

_ONCE: Any = {"max_retries": 0}  # we retry ourselves: short answers too
_GDAL_AUTH = re.compile("GDAL_HTTP_(HEADER|USERPWD|AUTH|BEARER|COOKIE|UNSAFESSL|PROXY|NETRC|SSL)")


def place_of(href: str, signer: str = "") -> LocalFile | RemoteFile:
    """Return where an (unsigned) href is.

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
    if parts.scheme in ("http", "https", "s3", "az"):
        door = StoreDoor(plain(href), signer)
        door.store()
        return RemoteFile(door, path)
    if parts.scheme == "file" and not parts.netloc and "%" not in href:
        return LocalFile(parts.path)
    raise Foreign(parts.scheme)


def where(source: Source) -> tuple[str, str]:
    """Return by which href and signer a file is opened.

    Where its Item came from a stranger's catalog, redirects are followed and checked first.

    Raises
    ------
    UntrustedError
        If the file may not be opened.
    Unsigned
        If there is no token to be had.
    """
    if guarded(source.origin):
        signed = sign(source.href, source.signer)
        found = settled(signed, source.origin)
        if found != signed:
            return found, ""
    return source.href, source.signer


class StoreDoor:
    """The way to one file: signs for each request."""

    def __init__(self, href: str, signer: str) -> None:
        self.href, self.signer, self.last = href, signer, ""

    def __repr__(self) -> str:
        return f"StoreDoor({self.signer!r})"  # no href: it may hold a token

    def __reduce__(self) -> Any:
        return StoreDoor, (unsigned(self.href), self.signer)

    def store(self, patience: int = 0) -> Any:
        """Return the store, with a token that is good now."""
        self.last = signed = sign(self.href, self.signer)
        parts = urlsplit(signed)
        level = _STATE.slow.get(parts.netloc, 0) + patience
        client = _client(_SILENCE[min(level, len(_SILENCE) - 1)])
        if parts.scheme == "s3":
            return _s3(parts.netloc, s3_options(self.signer), client)
        if parts.scheme in ("http", "https"):
            headers = headers_for(signed, self.signer)
            return _http(f"{parts.scheme}://{parts.netloc}/", parts.query, headers, client)
        return _azure(parts.netloc, client)

    def worked(self, patience: int, seconds: float) -> None:
        """Note how long a further try took that worked."""
        fitting = sum(limit < seconds for limit in _SILENCE[:-1])
        host = urlsplit(self.href).netloc
        if patience and fitting > _STATE.slow.get(host, 0):
            _STATE.slow[host] = fitting

    def link(self) -> tuple[str, dict[str, str]] | None:
        """Return URL and headers, if it is reached by plain HTTP."""
        if not self.href.startswith(("http://", "https://")) or not direct(self.href):
            return None
        self.last = signed = sign(self.href, self.signer)
        return signed, headers_for(signed, self.signer)

    def refused(self) -> None:
        """Drop the token that was refused."""
        renew(self.href, self.signer, self.last)


def _client(silence: int) -> dict[str, Any]:
    return {"allow_http": True, "timeout": "60s", "connect_timeout": "10s", "read_timeout": f"{silence}s"}


def _http(base: str, query: str, headers: dict[str, str], client: dict[str, Any]) -> Any:
    """Return the store of a host; a token in the query goes with each of its requests."""
    if "@" in base or any(_GDAL_AUTH.match(name) for name in os.environ):
        raise Foreign("GDAL's settings")
    url = f"{base}?{query}" if query else base
    options = {**client, "default_headers": headers} if headers else client
    key = repr((url, sorted(headers.items()), client["read_timeout"]))
    return _store(key, lambda: HTTPStore(url, client_options=options, retry_config=_ONCE))  # type: ignore[arg-type]


def _s3(bucket: str, said: dict[str, str], client: dict[str, Any]) -> Any:
    config: Any = s3_config(said)
    key = repr(("s3", bucket, sorted(config.items()), client["read_timeout"]))
    return _store(key, lambda: S3Store(bucket, config=config, client_options=client, retry_config=_ONCE))  # type: ignore[arg-type]


def _azure(container: str, client: dict[str, Any]) -> Any:
    config: Any = azure_config(container)
    key = repr(("az", sorted(config.items()), client["read_timeout"]))
    return _store(key, lambda: AzureStore(config=config, client_options=client, retry_config=_ONCE))  # type: ignore[arg-type]


class _State:
    """What a process keeps: stores with their connections."""

    def __init__(self, *, forked: bool = False) -> None:
        self.lock = threading.Lock()
        self.stores: OrderedDict[str, Any] = OrderedDict()
        self.slow: dict[str, int] = {}
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
