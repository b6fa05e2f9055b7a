"""Items as short texts: JSON, deflated against an Item that looks alike, in base64.

Two Items of one collection differ in little but hrefs and numbers. With one of them as zlib's preset
dictionary the other takes a few hundred bytes, and can still be read alone: a search unpacks what
it found and nothing else. zlib writes the checksum of the dictionary into each text, which tells it.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Iterable, Mapping
from typing import Any

from ..errors import CatalogError, ItemsError

WINDOW = 32_768
"""Bytes that deflate looks back (RFC 1951); more of a dictionary would be of no use."""

MOST = 64
"""Dictionaries per index. Items of further kinds take the last of their collection, or none."""

_PRESET = 0x20  # bit of zlib's second byte: a dictionary is needed, its Adler-32 follows (RFC 1950)


class Packer:
    """Packs and unpacks Items, and keeps the dictionaries.

    Parameters
    ----------
    dictionaries : iterable of str
        Those of an index that is there.
    """

    def __init__(self, dictionaries: Iterable[str] = ()) -> None:
        self._bytes = {zlib.adler32(text.encode()): text.encode() for text in dictionaries}
        self._of: dict[tuple[str, frozenset[str]], bytes] = {}
        self._last: dict[str, bytes] = {}
        self._primed: dict[bytes, Any] = {}
        for known in self._bytes.values():
            self._remember(known)

    @property
    def dictionaries(self) -> list[str]:
        """The dictionaries, to be kept with the texts."""
        return [known.decode() for known in self._bytes.values()]

    def pack(self, record: Mapping[str, Any]) -> str:
        """Return an Item as a text.

        Raises
        ------
        ItemsError
            If it holds what JSON cannot.
        """
        try:
            plain = json.dumps(record, separators=(",", ":")).encode()
        except (TypeError, ValueError, RecursionError) as error:
            raise ItemsError(f"Item {record.get('id')!r} cannot be written as JSON: {error}.") from error
        kind = _kind(record)
        if kind not in self._of and len(self._bytes) < MOST and len(plain) <= WINDOW:
            self._bytes[zlib.adler32(plain)] = plain
            self._of[kind] = self._last[kind[0]] = plain
        near = self._of.get(kind) or self._last.get(kind[0]) or b""
        if near not in self._primed:
            self._primed[near] = zlib.compressobj(6, zdict=near) if near else zlib.compressobj(6)
        deflater = self._primed[near].copy()
        return base64.b64encode(deflater.compress(plain) + deflater.flush()).decode()

    def unpack(self, text: str) -> dict[str, Any]:
        """Return the Item of a text.

        Raises
        ------
        CatalogError
            If the text is damaged.
        """
        try:
            packed = base64.b64decode(text)
            if packed[1] & _PRESET:
                inflater = zlib.decompressobj(zdict=self._bytes[int.from_bytes(packed[2:6], "big")])
            else:
                inflater = zlib.decompressobj()
            found: dict[str, Any] = json.loads(inflater.decompress(packed))
        except (KeyError, IndexError, ValueError, zlib.error) as error:
            raise CatalogError(f"An Item of the index is damaged ({error!r}): build it anew.") from error
        return found

    def _remember(self, known: bytes) -> None:
        kind = _kind(json.loads(known))
        self._of.setdefault(kind, known)
        self._last[kind[0]] = known


def _kind(record: Mapping[str, Any]) -> tuple[str, frozenset[str]]:
    return str(record.get("collection")), frozenset(record["assets"])
