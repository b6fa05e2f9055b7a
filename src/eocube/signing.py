"""Signing hrefs when a file is opened, and never before.

A plan holds unsigned hrefs only, so a token can neither expire in a graph nor leak from it. What is
secret is read in the process that opens the file, from its environment or its ``.netrc``.
"""

from __future__ import annotations

import base64
import json
import netrc
import os
import re
import threading
import time
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from .errors import CatalogError, did_you_mean
from .retries import Attempts, Clock, Fault, retry_after

SIGNERS = ("", "planetary-computer", "basic", "headers", "s3")
"""How hrefs can be signed; see :class:`eocube.Catalog`."""

_SAS = frozenset({"sig", "se", "st", "sp", "sv", "sr", "skoid", "sktid", "skt", "ske", "sks", "skv", "spr"})
"""Query parameters of an Azure shared access signature."""

_ACCOUNT = re.compile(r"([a-z0-9]{3,24})\.blob\.core\.windows\.net")
_PUBLIC = "ai4edatasetspublicassets"  # needs no token, as planetary_computer has it
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_S3 = {"anonymous", "requester-pays", "region", "endpoint"}
_HEADERS = ("authorization", "cookie")


class Unsigned(OSError):  # noqa: N818 - becomes a ReadError where the source is known
    """No token, or no credentials; the message holds none."""


def unsigned(href: str) -> str:
    """Return an href without the shared access signature it may carry."""
    if "sig=" not in href:
        return href
    parts = urlsplit(href)
    kept = [(key, value) for key, value in parse_qsl(parts.query) if key.lower() not in _SAS]
    return urlunsplit(parts._replace(query=urlencode(kept)))


def shown(href: str) -> str:
    """Return an href fit for messages: no query, no user, no password."""
    if "://" not in href:
        return href
    parts = urlsplit(href)
    return urlunsplit(parts._replace(query="", fragment="", netloc=parts.netloc.rpartition("@")[2]))


def check_signer(signer: str) -> None:
    """Refuse a way to sign that is not known.

    Raises
    ------
    CatalogError
        Names the known ones.
    """
    kind = signer.partition(":")[0] if isinstance(signer, str) else repr(signer)
    if kind not in SIGNERS or (":" in signer and kind != "s3"):
        raise CatalogError(
            f"signer={signer!r} is not known.{did_you_mean(kind, SIGNERS[1:])} "
            f"Choose of: {', '.join(SIGNERS[1:])}, or none ('')."
        )
    unknown = set(s3_options(signer)) - _S3
    if unknown:
        raise CatalogError(
            f"signer={signer!r}: {', '.join(sorted(unknown))} not known. Write it like "
            "'s3:anonymous,region=us-west-2'; known: anonymous, requester-pays, region=, endpoint=. "
            "Keys are read from the environment."
        )


def s3_options(signer: str) -> dict[str, str]:
    """Return what ``"s3:anonymous,region=us-west-2"`` says."""
    kind, _, said = signer.partition(":")
    if kind != "s3":
        return {}
    pairs = (part.strip().partition("=") for part in said.split(",") if part.strip())
    return {name: value for name, _, value in pairs}


def sign(href: str, signer: str) -> str:
    """Return an href that opens now.

    Parameters
    ----------
    href : str
        Unsigned, or with an old signature, which is dropped first.
    signer : str
        How to sign; only ``"planetary-computer"`` changes the href. Its tokens are kept per
        container, renewed before they expire, and go to Azure's storage accounts alone.

    Raises
    ------
    Unsigned
        If there is no token to be had.
    """
    if signer != "planetary-computer":
        return href
    bare = unsigned(href)
    place = _container(bare)
    if place is None:
        return bare
    token = _TOKENS.get(place)
    return f"{bare}{'&' if urlsplit(bare).query else '?'}{token}"


def renew(href: str, signer: str, signed: str) -> None:
    """Drop the token with which an href was refused, so that the next one is new."""
    place = _container(unsigned(href)) if signer == "planetary-computer" else None
    if place is not None:
        _TOKENS.drop(place, signed)


def headers_for(href: str, signer: str) -> dict[str, str]:
    """Return the headers with which a server knows us, from the environment of this process.

    Parameters
    ----------
    href : str
        Of http or https; credentials go by https, or to this machine.
    signer : str
        ``"basic"``: user and password of the host in ``.netrc`` (``NETRC`` names another file).
        ``"headers"``: what ``EOCUBE_HTTP_HEADERS`` says of the host, JSON:
        ``{"host": {"Authorization": "Bearer ..."}}``; Authorization and Cookie, which are the ones
        that do not follow a redirect to another host.

    Raises
    ------
    Unsigned
        If there is nothing for the host.
    """
    if signer not in ("basic", "headers"):
        return {}
    parts = urlsplit(href)
    host = parts.hostname or ""
    if parts.scheme != "https" and host not in _LOOPBACK:
        raise Unsigned(f"credentials are not sent by {parts.scheme or 'file'}: https is needed")
    return _basic(host) if signer == "basic" else _said(host)


def _basic(host: str) -> dict[str, str]:
    path = Path(os.environ.get("NETRC") or Path.home() / ".netrc")
    try:
        found = netrc.netrc(str(path)).authenticators(host)
    except (OSError, netrc.NetrcParseError):
        found = None
    if found is None:
        raise Unsigned(f"{path.name} of this process has no entry for {host}")
    text = base64.b64encode(f"{found[0]}:{found[2]}".encode()).decode()
    return {"Authorization": f"Basic {text}"}


def _said(host: str) -> dict[str, str]:
    try:
        found = json.loads(os.environ.get("EOCUBE_HTTP_HEADERS") or "{}")[host]
        named = {str(name): str(value) for name, value in found.items()}
    except (ValueError, LookupError, AttributeError, TypeError):
        named = {}
    if not named or any(name.lower() not in _HEADERS for name in named):
        raise Unsigned(f"EOCUBE_HTTP_HEADERS of this process has no Authorization or Cookie for {host}")
    return named


def _container(href: str) -> tuple[str, str] | None:
    """Return account and container of a blob; None for what takes no token.

    Hosts besides Azure's (an emulator) are named by ``EOCUBE_BLOB_HOSTS``; there the account is the
    first part of the path.
    """
    parts = urlsplit(href)
    if parts.scheme not in ("http", "https") or "@" in parts.netloc:
        return None
    path = parts.path.lstrip("/").split("/")
    if found := _ACCOUNT.fullmatch(parts.netloc):
        # A token that goes by plain http can be read on the way.
        own = parts.scheme == "https" and found[1] != _PUBLIC and len(path) > 1
        return (found[1], path[0]) if own else None
    named = os.environ.get("EOCUBE_BLOB_HOSTS", "").replace(" ", "").split(",")
    return (path[0], path[1]) if parts.netloc in named and len(path) > 2 else None


@dataclass(frozen=True)
class _Token:
    text: str
    made: float
    until: float

    def __repr__(self) -> str:
        return "_Token(...)"


class _Tokens:
    """The tokens of this process, one per container."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.locks: dict[tuple[str, str], threading.Lock] = {}
        self.kept: dict[tuple[str, str], _Token] = {}

    def get(self, place: tuple[str, str]) -> str:
        kept = self.kept.get(place)
        if kept is not None and time.monotonic() < kept.until:
            return kept.text
        with self.lock:
            own = self.locks.setdefault(place, threading.Lock())
        with own:  # the others wait for the one who asks
            kept = self.kept.get(place)
            if kept is None or time.monotonic() >= kept.until:
                kept = self.kept[place] = _asked(place)
            return kept.text

    def drop(self, place: tuple[str, str], signed: str) -> None:
        kept = self.kept.get(place)
        # One second old and refused: not because of its age, and a new one would be refused as well.
        if kept is not None and signed.endswith(kept.text) and time.monotonic() - kept.made > 1:
            self.kept.pop(place, None)

    def clear(self) -> None:
        self.kept.clear()


_TOKENS = _Tokens()


def _after_fork() -> None:
    global _TOKENS
    kept = _TOKENS.kept
    _TOKENS = _Tokens()  # another thread may have held a lock
    _TOKENS.kept = kept


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _asked(place: tuple[str, str]) -> _Token:
    """Ask for a token; planetary_computer's settings say where, and with which subscription."""
    with Attempts(Clock(60)) as attempts:
        while True:
            try:
                return _token(place)
            except Fault as fault:
                why = attempts.failed(fault)
            if why:
                raise Unsigned(f"no token for {place[0]}/{place[1]}: {why}") from None


def _token(place: tuple[str, str]) -> _Token:
    import requests
    from planetary_computer.settings import Settings

    settings: Any = Settings.get()
    key = settings.subscription_key
    headers = {"Ocp-Apim-Subscription-Key": key} if key else {}
    now = time.monotonic()
    try:
        found = requests.get(
            f"{settings.sas_url}/{place[0]}/{place[1]}",
            headers=headers,
            timeout=(10, 20),
            allow_redirects=False,
        )
    except requests.RequestException as error:
        raise Fault(f"the token endpoint does not answer ({type(error).__name__})") from None
    if found.status_code != 200:
        after = retry_after(found.headers.get("Retry-After"))
        raise Fault(f"the token endpoint answered {found.status_code}", found.status_code, after=after)
    try:
        said = found.json()
        text, expiry = str(said["token"]), datetime.fromisoformat(str(said["msft:expiry"]))
    except (ValueError, LookupError, TypeError):
        raise Fault("the token endpoint's answer is no token", wrong=True) from None
    return _Token(text, now, now + _life(expiry, found.headers.get("Date")))


def _life(expiry: datetime, date: str | None) -> float:
    """Return for how many seconds a token will be used.

    By the server's clock where this machine's is off; and a minute less, or a quarter.
    """
    now = time.time()
    try:
        theirs = parsedate_to_datetime(date or "").timestamp()
    except (TypeError, ValueError):
        theirs = now
    life = expiry.timestamp() - (now if abs(now - theirs) < 2 else theirs + 1)  # whole seconds
    return max(0.0, life - min(60.0, life / 4))
