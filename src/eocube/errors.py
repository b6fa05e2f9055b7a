"""Every error eocube raises on purpose, as one tree.

::

    EocubeError
    |-- InputError (ValueError)     what was asked cannot be done; raised before any pixel is read
    |   |-- AreaError               the area is empty, crosses itself, lies at the antimeridian ...
    |   |-- PeriodError             the period is not one, or ends before it starts
    |   |-- GridError               the grid has no CRS, no pixels ...
    |   |-- BandError               no such band
    |   |-- MaskError               the mask does not fit, or returned what is not a mask
    |   |-- CatalogError            not a catalog, or one that cannot be read
    |   |-- ItemsError              the Items cannot be used together, or at all
    |   |   |-- NoItemsError        none found
    |   |   |-- MissingAssetError   an Item lacks an asset that was asked for
    |   |   `-- UntrustedError      an Item of a stranger's catalog points at what it may not
    |   |-- RecipeError             a recipe of an archive has a field that is unknown or unusable
    |   |-- ArchiveError            the archive is of another recipe, or its ledger cannot be used
    |   |-- TooLargeError           a task would need more memory than allowed
    |   `-- OutputError             the output exists, or cannot be written
    |-- SearchError                 the STAC API did not answer, or answered nonsense
    |-- ClusterError                a cluster cannot be reached, has no workers, other versions, or was lost
    |-- ReadError (OSError)         a file could not be read; names the Item, asset and href
    `-- MissingExtraError (ImportError)   an optional library is not installed; names the extra

Every message says what was asked, what was found and what to do.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class EocubeError(Exception):
    """Root of the tree: ``except EocubeError`` catches all that eocube raises on purpose."""


class InputError(EocubeError, ValueError):
    """What was asked cannot be done. Raised before any pixel is read."""


class AreaError(InputError):
    """The area is not usable."""


class PeriodError(InputError):
    """The period is not usable."""


class GridError(InputError):
    """The grid is not usable."""


class BandError(InputError):
    """There is no such band."""


class MaskError(InputError):
    """The mask does not fit what it was asked to mask."""


class CatalogError(InputError):
    """The catalog does not exist or cannot be read."""


class ItemsError(InputError):
    """The Items cannot be used."""


class NoItemsError(ItemsError):
    """No Item fits the query."""


class MissingAssetError(ItemsError):
    """An Item lacks an asset that was asked for."""


class UntrustedError(ItemsError):
    """An Item of a remote catalog holds what could do harm: a local file, a local address."""


class TooLargeError(InputError):
    """A task would need more memory than it may have."""


class OutputError(InputError):
    """The output exists already or cannot be written."""


class RecipeError(InputError):
    """A field of a recipe is unknown, missing or unusable."""


class ArchiveError(InputError):
    """An archive is of another recipe, or its ledger cannot be used."""


class SearchError(EocubeError):
    """A STAC API did not answer as it should."""


class ClusterError(EocubeError):
    """A cluster cannot be opened, does not fit, or was lost while it worked."""


class ReadError(EocubeError, OSError):
    """A file could not be read.

    Attributes
    ----------
    href : str
        The file, without any token.
    item, asset : str
        Where the file comes from.
    """

    def __init__(self, message: str, href: str = "", item: str = "", asset: str = "") -> None:
        # All arguments go up, so that the error survives pickling on its way from a worker.
        super().__init__(message, href, item, asset)
        self.href = href
        self.item = item
        self.asset = asset

    def __str__(self) -> str:
        return str(self.args[0])


class MissingExtraError(EocubeError, ImportError):
    """An optional library is needed that is not installed."""


class EocubeWarning(UserWarning):
    """Something a user should know, though the work goes on."""


class LossWarning(EocubeWarning):
    """A file could not be read, and it was asked to go on without it."""


class MaskWarning(EocubeWarning):
    """A part of a mask throws nothing away somewhere, for want of what it looks at; that was asked for."""


class MemoryWarning(EocubeWarning):
    """A task may take more memory than the workers of the cluster have."""


class OffsetWarning(EocubeWarning):
    """The pixels of Items contradict what their metadata say of the offset; the pixels win."""


class OffsetUncheckedWarning(EocubeWarning):
    """The pixels could not be looked at; what the metadata say of the offset is trusted."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ``" Did you mean 'x'?"`` for the nearest known word, or an empty string."""
    close = get_close_matches(str(word).lower(), list(known), n=1, cutoff=0.5)
    return f" Did you mean {close[0]!r}?" if close else ""


def shorten(words: Iterable[str], limit: int = 5) -> str:
    """Join words with commas, at most ``limit`` of them, and say how many were left out."""
    words = list(words)
    shown = ", ".join(words[:limit])
    return shown if len(words) <= limit else f"{shown} and {len(words) - limit} more"
