"""The seam: what a loader is given and what it returns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, ReadError, did_you_mean
from ..signing import shown

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox

Resampling = Literal["auto", "nearest", "bilinear", "cubic", "cubic_spline", "lanczos", "average"]
RESAMPLINGS: tuple[str, ...] = (
    "auto", "nearest", "bilinear", "cubic", "cubic_spline", "lanczos", "average",
)  # fmt: skip


@dataclass(frozen=True)
class Source:
    """One file of one Item, and how its pixels are to be taken.

    Attributes
    ----------
    href : str
        Where the file is; never signed.
    item, asset : str
        Whose it is; every error names them.
    nodata : int
        The digital number that means no data, in the file and in the result.
    dtype : {"uint16", "uint8"}
        Of the digital numbers.
    resampling : str
        ``auto``: nearest where the output shares the file's lattice or is nested in it, bilinear
        elsewhere. Classes are always ``nearest``.
    overviews : bool
        Whether overviews may serve a coarser output. Not for classes: the public archives' SCL
        overviews hold averages of class codes.
    grid : GeoBox, optional
        The file's grid as its Item states it; used where the file itself states none.
    signer : str
        See :func:`eocube.signing.sign`.
    origin : str
        Where its Item came from; see :mod:`eocube.trust`.
    """

    href: str
    item: str = ""
    asset: str = ""
    nodata: int = 0
    dtype: str = "uint16"
    resampling: str = "auto"
    overviews: bool = True
    grid: GeoBox | None = None
    signer: str = ""
    origin: str = ""


WINDOW = 128 * 2**20
"""Bytes that a file's window and the sums made of it take at most; a larger one is read in parts."""


@runtime_checkable
class Loader(Protocol):
    """Reads a batch of files onto one grid.

    A loader must be picklable, safe to call from several threads, and must print itself. The
    result may not depend on how a grid is cut into windows.
    """

    def __call__(
        self,
        sources: Sequence[Source],
        geobox: GeoBox,
        wanted: Sequence[NDArray[np.bool_] | None] | None = None,
    ) -> NDArray[Any]:
        """Return digital numbers of shape (source, y, x).

        ``wanted[i]``, bool (y, x), tells which pixels of source i will be looked at (None: all).
        What is not wanted need not be read: it may hold anything. A source of which nothing is
        wanted is not opened, and is no data.

        ``source.nodata`` where a file has no data or does not reach. The dtype is the smallest
        that holds all sources.

        Raises
        ------
        ReadError
            If a file cannot be read; names Item, asset and href.
        """
        ...  # pragma: no cover


def loader_named(loader: str | Loader) -> Loader:
    """Return a loader by its name, or the loader itself.

    Raises
    ------
    InputError
        If there is none of that name.
    """
    if not isinstance(loader, str):
        if not callable(loader):
            raise InputError(f"loader={loader!r} cannot be called: give 'cog', 'rio' or a Loader.")
        return loader
    if loader == "cog":
        from .cog import CogLoader

        return CogLoader()
    if loader == "rio":
        from .rio import RioLoader

        return RioLoader()
    if loader == "stackstac":
        from .stack import StackstacLoader

        return StackstacLoader()
    known = ("cog", "rio", "stackstac")
    raise InputError(
        f"There is no loader {loader!r}.{did_you_mean(loader, known)} Known: {', '.join(known)}."
    )


def none_wanted(wanted: Sequence[NDArray[np.bool_] | None] | None, index: int) -> bool:
    """Whether nothing of a source is wanted."""
    look = None if wanted is None else wanted[index]
    return look is not None and not look.any()


def read_error(source: Source, why: object) -> ReadError:
    """Return the error for a file that cannot be read; holds no token."""
    href = shown(source.href)
    cause = getattr(why, "__cause__", None)  # rasterio: "see previous exception for details"
    reason = " ".join(str(cause or why).split())
    if "?" in reason or "@" in reason:  # an href with a token may be quoted in there
        reason = " ".join(shown(w.strip("'\",:")) if "://" in w else w for w in reason.split())
    return ReadError(
        f"Cannot read asset {source.asset!r} of Item {source.item!r} at {href}: {reason}",
        href,
        source.item,
        source.asset,
    )
