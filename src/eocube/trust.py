"""What an Item from a stranger's catalog may point at.

An Item is input. Where it came from (its *origin*) decides what its hrefs may be:

- ``""``: from this machine (a folder, a file, made by hand). Anything.
- a url: from the catalog there. Web addresses and object stores only; no file of this machine, no
  GDAL path, no VRT, no address of the local network that the catalog itself is not part of.
- ``"trusted"``: said by the user with ``Catalog(trust=True)``. Anything.

:func:`check_href` looks at the text and runs when a cube is planned. :func:`settled` runs where a file
is opened: it resolves names, follows redirects one by one and checks each address.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

from .errors import UntrustedError
from .signing import shown

ORIGIN = "eocube:origin"
"""Field of an Item that keeps where it was found; written by a search, kept in files."""

TRUSTED = "trusted"

STORES = ("s3", "gs", "az", "abfs", "abfss")
"""Schemes of object stores that loaders know."""

_KNOWN = re.compile(
    r"(?:[a-z0-9.-]+\.)?s3(?!-website)(?:[.-][a-z0-9-]+)?\.amazonaws\.com|[a-z0-9]+\.blob\.core\.windows\.net"
)
"""Stores of Amazon and Azure: they redirect nowhere else, and need not be asked."""

_LOCAL_NAMES = re.compile(r"(?:.*\.)?(?:localhost|localdomain|internal|local|metadata)\.?")
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_HOPS = 5
_ID = re.compile(r"[^/\\\x00-\x1f\x7f]{1,250}")

SIDE = 200_000
"""Pixels along a file's side that can be true: a Sentinel-2 tile has 10,980."""


def is_web(text: object) -> bool:
    """Whether it is an http or https url."""
    return isinstance(text, str) and text.lower().startswith(("http://", "https://"))


def origin_of(record: Mapping[str, Any]) -> str:
    """Return where an Item came from: as its search noted, else as its links say, else ``""``."""
    noted = record.get(ORIGIN)
    if isinstance(noted, str):
        return noted
    links = record.get("links")
    for link in links if isinstance(links, list) else []:
        if isinstance(link, Mapping) and link.get("rel") in ("self", "root") and is_web(link.get("href")):
            return str(link["href"])
    return ""


def check_id(name: str, origin: str) -> None:
    """Refuse an id that would lead out of a folder if it were used as the name of a file.

    Raises
    ------
    UntrustedError
    """
    if guarded(origin) and (not _ID.fullmatch(name) or name in (".", "..")):
        raise UntrustedError(
            f"Item id {name[:80]!r} from {_shown(origin)} holds what no file name may (a slash, a control "
            f"character), or is too long. {_ADVICE}"
        )


def check_href(href: str, origin: str, item: str = "", asset: str = "") -> None:
    """Refuse an href that an Item of this origin may not have.

    Parameters
    ----------
    href : str
    origin : str
        As :func:`origin_of` returns it.
    item, asset : str
        For the message.

    Raises
    ------
    UntrustedError
        Names Item, asset, href and reason.

    Examples
    --------
    >>> check_href("https://example.org/B04.tif", "https://stac.example.org")
    >>> check_href("/data/B04.tif", "")
    """
    if guarded(origin) and (why := _wrong(href, origin)):
        whose = f"Asset {asset!r} of Item {item!r} from" if item else "An Item from"
        raise UntrustedError(f"{whose} {_shown(origin)} points at {shown(href)[:200]!r}: {why}. {_ADVICE}")


def settled(href: str, origin: str) -> str:
    """Return where an href leads in the end; every address on the way is checked.

    The loaders' libraries follow redirects by themselves and cannot be told not to. So they are
    followed here first, and the loader is given the last address. Only hosts that are not known
    stores are asked, and a file that does not redirect is asked once per process. A server that
    answers this question in one way and the loader in another is not found out.

    Parameters
    ----------
    href : str
        Signed, as it would be opened.
    origin : str
        Of its Item.

    Raises
    ------
    UntrustedError
        If an address on the way is not allowed; holds no token.
    """
    if not guarded(origin) or not is_web(href):
        return href
    host = urlsplit(href).hostname or ""
    if _KNOWN.fullmatch(host.lower()) or href in _STRAIGHT:
        return href
    found = href
    for _ in range(_HOPS):
        check_href(found, origin)
        _check_resolved(found, origin)
        onward = _redirect(found)
        if onward is None:
            if found == href:
                if len(_STRAIGHT) > 4096:
                    _STRAIGHT.clear()
                _STRAIGHT[href] = None
            return found
        found = urljoin(found, onward)
    raise UntrustedError(f"{shown(href)} redirects more than {_HOPS} times.")


_STRAIGHT: dict[str, None] = {}

_ADVICE = "If you trust this catalog, search it with Catalog(..., trust=True)."


def guarded(origin: str) -> bool:
    """Whether an Item of this origin may not point at everything."""
    return origin not in ("", TRUSTED)


def _shown(origin: str) -> str:
    return shown(origin)[:120]


def _wrong(href: str, origin: str) -> str:
    """Say what is wrong with an href, or nothing."""
    if re.search(r"[\x00-\x20\x7f\\]", href):
        return "it holds blanks, control characters or backslashes"
    try:
        parts = urlsplit(href)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return "it is not a url"
    scheme = parts.scheme.lower()
    if scheme not in ("http", "https", *STORES):
        return "only web addresses and object stores are allowed, no files of this machine"
    if not host:
        return "it names no host"
    if ".." in unquote(unquote(parts.path)).replace("\\", "/").split("/"):
        return "it climbs out of its folder (..)"
    if unquote(parts.path).lower().endswith((".vrt", ".xml", ".wms", ".gti")):
        return "it is a description that may open anything, not a raster"
    if "/vsi" in unquote(unquote(href)).lower():
        return "it holds a path of GDAL's (/vsi)"
    if scheme in STORES:
        return ""
    if "@" in parts.netloc:
        return "it holds a user name"
    return _forbidden(_kind(host) or "public", origin)


def _forbidden(kind: str, origin: str) -> str:
    """Say why an address of this kind is not allowed for an origin, or nothing."""
    if kind == "public":
        return ""
    own = _kind_resolved(urlsplit(origin).hostname or "")
    inside = {"loopback": ("loopback", "private"), "private": ("private",)}.get(own, ())
    return "" if kind in inside else f"that is a {kind} address"


def _kind(host: str) -> str:
    """Return public, loopback, private, link-local or special; nothing for a name."""
    host = host.lower().rstrip(".")
    if re.fullmatch(_LOCAL_NAMES, host):
        return "loopback" if host.split(".")[-1].startswith("localhost") else "private"
    try:
        found: Any = ipaddress.ip_address(host.split("%")[0])
    except ValueError:
        try:
            # Also as curl reads it: decimal, hexadecimal, octal, less than four parts.
            found = ipaddress.ip_address(socket.inet_aton(host))
        except (OSError, ValueError):
            return ""
    if found.version == 6:
        inner = found.ipv4_mapped or found.sixtofour
        if found in _NAT64 or (int(found) >> 32 == 0 and int(found) > 1):
            inner = ipaddress.ip_address(int(found) & 0xFFFFFFFF)
        found = inner or found
    for kind, yes in (
        ("loopback", found.is_loopback or found.is_unspecified),
        ("link-local", found.is_link_local),
        ("special", found.is_multicast),
        ("private", found.is_private),
        ("public", found.is_global),
    ):
        if yes:
            return kind
    return "special"


def _kind_resolved(host: str) -> str:
    """Return the kind of a host, a name looked up; the worst of several."""
    kind = _kind(host)
    if kind or not host:
        return kind or "public"
    kinds = {_kind(address) for address in _addresses(host)} or {"public"}
    return next(k for k in ("link-local", "special", "loopback", "private", "public") if k in kinds)


@lru_cache(maxsize=256)
def _addresses(host: str) -> tuple[str, ...]:
    try:
        return tuple({str(found[4][0]) for found in socket.getaddrinfo(host, None)})
    except (OSError, UnicodeError):
        return ()


def _check_resolved(href: str, origin: str) -> None:
    why = _forbidden(_kind_resolved(urlsplit(href).hostname or ""), origin)
    if why:
        raise UntrustedError(f"{shown(href)} leads into a local network: {why}. {_ADVICE}")


def _redirect(href: str) -> str | None:
    """Return where a server redirects to; None if it does not, or cannot be asked."""
    import requests

    try:
        with requests.get(
            href, headers={"Range": "bytes=0-0"}, allow_redirects=False, stream=True, timeout=(10, 60)
        ) as answer:
            return answer.headers.get("Location") if answer.is_redirect else None
    except requests.RequestException:
        return None  # the loader says what is wrong, and tries again
