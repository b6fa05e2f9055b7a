"""The true colour image of a cell, as Sentinel-2's own: three bytes from red, green and blue."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray

from ..writers.cogs import to_cog
from ..writers.fullness import noticing_full
from ..writers.overviews import BLOCK

SATURATION = 2500
"""Reflectance * 10000 that becomes 255; 1 is the least, 0 is no data.

Source: the TCI of a real product (S2A_29RKH_20200219, baseline 02.14): with 2500, 99.9 % of the 1.2 million
values of its bands below 2000 are met to 1. The Products Specification Document (S2-PDGS-TAS-DI-PSD) says
2000 for Level-2A (3558 for Level-1C); with 2000 none of them is.
"""


def true_colour(values: NDArray[np.uint16]) -> NDArray[np.uint8]:
    """Return the bytes of reflectance * 10000; 0 where there is no data.

    Examples
    --------
    >>> true_colour(np.array([0, 1, 1000, 2500, 9000], dtype=np.uint16)).tolist()
    [0, 1, 102, 255, 255]
    """
    # In whole numbers: halves go up on every machine.
    scaled = np.clip((values.astype(np.uint32) * 510 + SATURATION) // (2 * SATURATION), 1, 255)
    return np.where(values == 0, 0, scaled).astype(np.uint8)


def write_tci(files: Sequence[Path], path: Path) -> None:
    """Write the true colour image of three GeoTIFFs of reflectance * 10000: red, green, blue.

    No data where any of the three has none. A strip of blocks is in memory at a time.
    """
    plain = path.with_name("plain-tci.tif")
    sources = [rasterio.open(file, driver="GTiff") for file in files]
    try:
        first = sources[0]
        profile = {
            "driver": "GTiff", "dtype": "uint8", "count": 3, "width": first.width, "height": first.height,
            "crs": first.crs, "transform": first.transform, "nodata": 0, "photometric": "RGB", "tiled": True,
            "blockxsize": BLOCK, "blockysize": BLOCK, "compress": "LZW", "bigtiff": "IF_SAFER",
        }  # fmt: skip
        with noticing_full(path.parent), rasterio.open(plain, "w", **profile) as out:
            for _, window in first.block_windows(1):
                values = np.stack([source.read(1, window=window) for source in sources])
                shown = true_colour(values)
                shown[:, (values == 0).any(axis=0)] = 0
                out.write(shown, window=window)
            out.descriptions = ("red", "green", "blue")
        to_cog(plain, path, "average")
    finally:
        for source in sources:
            source.close()
        plain.unlink(missing_ok=True)
