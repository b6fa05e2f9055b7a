"""Signing hrefs when a file is opened, and never before.

A plan holds unsigned hrefs only, so a token can neither expire in a graph nor leak from it.
"""

from __future__ import annotations

from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

_SAS = frozenset({"sig", "se", "st", "sp", "sv", "sr", "skoid", "sktid", "skt", "ske", "sks", "skv", "spr"})
"""Query parameters of an Azure shared access signature."""


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


def sign(href: str, signer: str) -> str:
    """Return an href that opens now.

    Parameters
    ----------
    href : str
        Unsigned, or with an old signature (dropped first: `planetary_computer.sign` would return
        an already signed href unchanged, even an expired one).
    signer : {"", "planetary-computer"}
        How to sign. The token is cached per container by the planetary_computer package.
    """
    if signer != "planetary-computer":
        return href
    import planetary_computer

    return str(planetary_computer.sign_url(unsigned(href)))
