"""Overviews of a file that holds values beside classes: means of the ones, single pixels of the others.

GDAL's driver of cloud-optimised GeoTIFFs makes all overviews of a file by one method, but takes those that
are there. So bands are drafted in a file for each method, which gets its overviews, and a VRT joins the
drafts and their overviews to what is copied.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

BLOCK = 512
"""Width of the blocks of a written file; the coarsest overview is one block."""


def levels_of(shape: Sequence[int]) -> list[int]:
    """Return how many times coarser each overview is, as GDAL's driver makes them.

    Examples
    --------
    >>> levels_of((2000, 700))
    [2, 4]
    """
    found: list[int] = []
    side = max(shape)
    while side > BLOCK:
        side //= 2
        found.append(2 ** (len(found) + 1))
    return found


def drafts_of(methods: Sequence[str], shape: Sequence[int]) -> dict[str, list[int]]:
    """Return which bands go into one draft, by the method of their overviews.

    A raster of one block has no overviews, so all its bands go into one.

    Examples
    --------
    >>> drafts_of(["average", "average", "nearest"], (2000, 700))
    {'average': [0, 1], 'nearest': [2]}
    """
    if not levels_of(shape):
        return {methods[0]: list(range(len(methods)))}
    return {one: [i for i, own in enumerate(methods) if own == one] for one in dict.fromkeys(methods)}


def joined(drafts: Mapping[Path, tuple[str, Sequence[int]]], vrt: Path) -> None:
    """Make the overviews of drafts, and a VRT of all their bands in order.

    Parameters
    ----------
    drafts : mapping of path to method and places
        GeoTIFFs; of each how its overviews are made, and which bands of the whole it holds.
    vrt : Path
        In the same folder.
    """
    bands: dict[int, ET.Element] = {}
    root = None
    for draft, (method, places) in drafts.items():
        count = _with_overviews(draft, method)
        tree = _described(draft)
        for number, (place, band) in enumerate(zip(places, tree.findall("VRTRasterBand"), strict=True), 1):
            band.set("band", str(place + 1))
            for level in range(count):
                overview = ET.SubElement(band, "Overview")
                # The first directory of a TIFF is the raster itself, its overviews follow.
                ET.SubElement(overview, "SourceFilename").text = f"GTIFF_DIR:{level + 2}:{draft}"
                ET.SubElement(overview, "SourceBand").text = str(number)
            bands[place] = band
        root = tree if root is None else root
    assert root is not None
    for band in root.findall("VRTRasterBand"):
        root.remove(band)
    root.extend(bands[place] for place in sorted(bands))
    ET.ElementTree(root).write(vrt)


def _with_overviews(draft: Path, method: str) -> int:
    import rasterio
    from rasterio.enums import Resampling

    with rasterio.open(draft, "r+") as file:
        levels = levels_of(file.shape)
        file.build_overviews(levels, Resampling[method])
    return len(levels)


def _described(draft: Path) -> Any:
    """Return a draft as a VRT: its grid, tags and bands."""
    import rasterio.shutil

    place = draft.with_suffix(".vrt")
    rasterio.shutil.copy(draft, place, driver="VRT")
    root = ET.parse(place).getroot()  # noqa: S314  (written a line above)
    place.unlink()
    return root
