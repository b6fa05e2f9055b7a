"""Contact sheets: a small picture of each Item."""

from __future__ import annotations

import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import EocubeError, EocubeWarning, InputError, did_you_mean, shorten
from ..facts import number_of, tile_of, time_of
from ..items import as_dicts
from .figures import MOST, grid_of_axes
from .previews import preview_of

_SOURCES = ("auto", "thumbnail", "bands")


def contact_sheet(
    items: Any,
    *,
    source: Literal["auto", "thumbnail", "bands"] = "auto",
    limits: tuple[float, float] = (0.0, 0.35),
    columns: int = 6,
    size: int = 200,
) -> NDArray[Any]:
    """Show a small picture of each Item: which dates are worth to be read.

    Parameters
    ----------
    items : Items
        What :func:`eocube.search` returns, at most 60 of them.
    source : {"auto", "thumbnail", "bands"}
        ``thumbnail``: the picture that the archive keeps of an Item (JPEG or PNG). ``bands``: red,
        green and blue, from their overviews. ``auto``: the bands where they are on this disk, else
        the thumbnail, else the bands.
    limits : pair of float
        Reflectance of the darkest and brightest tone, of pictures made of bands; one stretch for all,
        so that clouds are bright and dark winters dark.
    columns : int
        Pictures in a row.
    size : int
        Pixels of the longer side of a picture at most.

    Returns
    -------
    numpy.ndarray of matplotlib.axes.Axes
        One per Item, by time. Titles: day, tile and cloud cover. Grey: no data.

    Raises
    ------
    InputError, ItemsError
        If there are no Items or too many.
    MissingExtraError
        If matplotlib or Pillow is not installed.

    Warns
    -----
    EocubeWarning
        Names Items of which there is no picture to be had; their places stay empty.

    Examples
    --------
    >>> import eocube
    >>> world = eocube.sample.cached()
    >>> items = eocube.search(world.items_path)
    >>> axes = eocube.contact_sheet(items)                                 # doctest: +SKIP
    """
    if source not in _SOURCES:
        raise InputError(
            f"source={source!r} is not known.{did_you_mean(str(source), _SOURCES)} "
            f"Choose of: {', '.join(_SOURCES)}."
        )
    records = sorted(as_dicts(items), key=lambda record: (time_of(record), record["id"]))
    if len(records) > MOST:
        raise InputError(
            f"{len(records)} Items are too many for one sheet (at most {MOST}): search fewer, or show "
            f"items[:{MOST}]."
        )

    def one(record: Any) -> NDArray[np.uint8] | EocubeError:
        try:
            return preview_of(record, source, limits, size)
        except EocubeError as error:
            return error

    with ThreadPoolExecutor(min(8, len(records))) as pool:
        found = list(pool.map(one, records))
    failed = [
        f"{r['id']}: {why}" for r, why in zip(records, found, strict=True) if isinstance(why, EocubeError)
    ]
    if failed:
        warnings.warn(
            f"{len(failed)} Items have no picture: {shorten(failed, 3)}", EocubeWarning, stacklevel=2
        )
    axes = grid_of_axes([np.empty((1, 1))] * len(records), columns, each=2.0)
    for axis, record, picture in zip(axes, records, found, strict=True):
        axis.set_facecolor("#d9d9d9")
        axis.set(xticks=[], yticks=[])
        # What Items say is no formula: a $ stays a $.
        axis.set_title(_title(record), fontsize="small", parse_math=False)
        if isinstance(picture, EocubeError):
            axis.text(
                0.5, 0.5, "no picture", ha="center", va="center", transform=axis.transAxes, fontsize="small"
            )
        else:
            axis.imshow(picture)
    return np.array(axes, dtype=object)


def _title(record: Any) -> str:
    cloud = number_of(record["properties"].get("eo:cloud_cover"))
    said = "" if cloud is None else f", {cloud:.0f} % cloud"
    return f"{time_of(record):%Y-%m-%d}\n{tile_of(record)[:20]}{said}"
