"""The fields of the made-up landscape as polygons, with what grows on them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from odc.geo.geobox import GeoBox
from rasterio.features import shapes
from shapely.geometry import box, shape

from ..errors import InputError
from ..extras import needed
from .landscape import CROPS, Ground
from .spectra import COVERS, INDEX

if TYPE_CHECKING:
    import geopandas as gpd

INWARD = 15.0
"""Metres from the edge of a field to its polygon: no pixel of 10 m is shared with a neighbour."""

LEAST = 8_000.0
"""Square metres of a polygon: what is smaller is left out."""


def parcels(ground: Ground, grid: GeoBox, each: int | None = None) -> gpd.GeoDataFrame:
    """Return the fields that lie within a grid of the main zone, the largest first.

    Parameters
    ----------
    ground : Ground
    grid : odc.geo.geobox.GeoBox
        In the CRS of the ground.
    each : int, optional
        So many of each crop, the largest ones. Default: all.

    Raises
    ------
    InputError
        If ``each`` is no number of fields.
    MissingExtraError
        If geopandas is not installed.
    """
    geopandas = needed("geopandas", "A table of fields", "vector")
    if each is not None and (isinstance(each, bool) or not isinstance(each, int) or each < 1):
        raise InputError(f"each={each!r} is not a number of fields: give 1 or more, or None for all.")
    farmed = np.isin(ground.cover(), [INDEX[name] for name in CROPS])
    inside = box(*grid.extent.boundingbox.bbox)
    rows: list[tuple[float, str, Any]] = []
    for polygon, unit in shapes(ground.unit, mask=farmed, transform=ground.box.affine):
        inner = shape(polygon).buffer(-INWARD).simplify(5.0)
        if inner.geom_type == "Polygon" and inner.area >= LEAST and inside.contains(inner):
            rows.append((inner.area, COVERS[ground.covers[int(unit)]].name, inner))
    rows.sort(key=lambda row: (-row[0], row[2].bounds))
    found: dict[str, tuple[str, Any]] = {}
    numbers = dict.fromkeys(CROPS, 0)
    for _, crop, polygon in rows:
        numbers[crop] += 1
        if each is None or numbers[crop] <= each:
            found[f"{crop} {numbers[crop]}"] = crop, polygon
    return geopandas.GeoDataFrame(
        {"crop": [crop for crop, _ in found.values()]},
        geometry=[polygon for _, polygon in found.values()],
        index=list(found), crs=str(ground.box.crs),
    ).rename_axis("field")  # fmt: skip
