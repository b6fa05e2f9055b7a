"""Zones: which pixels of a window lie in a field, and with which weight."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import shapely
from numpy.typing import NDArray

from .extras import needed

Weights = Literal["exact", "centre", "all"]
WEIGHTS: tuple[str, ...] = ("exact", "centre", "all")

_POINTS = ("Point", "MultiPoint")


@dataclass(frozen=True)
class Zones:
    """The pixels of some fields in a window.

    Attributes
    ----------
    numbers : int array (zone,)
        Which field a zone is; fields without a pixel in the window are not among them.
    starts : int array (zone,)
        Where the pixels of each zone begin.
    cells : int array (pixel,)
        Flat index in the window, zone after zone, rising within a zone.
    weights : float64 array (pixel,)
        Share of the pixel that the field covers, above 0 and at most 1.
    """

    numbers: NDArray[np.intp]
    starts: NDArray[np.intp]
    cells: NDArray[np.intp]
    weights: NDArray[np.float64]

    @property
    def ends(self) -> NDArray[np.intp]:
        """One past the last pixel of each zone."""
        return np.append(self.starts[1:], len(self.cells))

    @property
    def sizes(self) -> NDArray[np.float64]:
        """Sum of the weights of each zone, in pixels."""
        if not len(self.starts):
            return np.zeros(0)
        return np.asarray(np.add.reduceat(self.weights, self.starts))


def check_weights(how: str) -> None:
    """Import exactextract before any pixel is read.

    Raises
    ------
    MissingExtraError
        If it is needed and not installed.
    """
    if how == "exact":
        _exactextract()


def zones_in(shapes: NDArray[Any], window: tuple[int, int, int, int], how: Weights) -> Zones:
    """Return the pixels of shapes in a window of a grid.

    Parameters
    ----------
    shapes : array of geometries
        In pixels of the grid, x being the column and y the row.
    window : tuple of int
        First and one past last row, first and one past last column.
    how : {"exact", "centre", "all"}
        The share of a pixel that is covered; 1 where the pixel's centre is covered; 1 for all
        pixels that are touched. A point is the pixel it lies in.

    Returns
    -------
    Zones
    """
    pieces: list[tuple[NDArray[np.intp], NDArray[np.float64]]] = [_NOTHING] * len(shapes)
    dotted = np.array([shape.geom_type in _POINTS for shape in shapes], dtype=bool)
    for index in np.flatnonzero(dotted):
        pieces[index] = _points(shapes[index], window)
    plain = np.flatnonzero(~dotted)
    if len(plain):
        found = _covered(shapes[plain], window) if how == "exact" else _burnt(shapes[plain], window, how)
        for index, piece in zip(plain, found, strict=True):
            pieces[index] = piece
    numbers = np.array([i for i, (cells, _) in enumerate(pieces) if len(cells)], dtype=np.intp)
    lengths = np.array([len(pieces[i][0]) for i in numbers], dtype=np.intp)
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]]).astype(np.intp)[: len(numbers)]
    cells = np.concatenate([_NOTHING[0], *(pieces[i][0] for i in numbers)])
    weights = np.concatenate([_NOTHING[1], *(pieces[i][1] for i in numbers)])
    return Zones(numbers, starts, cells, weights)


_NOTHING: tuple[NDArray[np.intp], NDArray[np.float64]] = (np.zeros(0, np.intp), np.zeros(0))


def _points(shape: Any, window: tuple[int, int, int, int]) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    top, bottom, left, right = window
    at = np.floor(shapely.get_coordinates(shape)).astype(np.int64) - (left, top)
    inside = ((at >= 0) & (at < (right - left, bottom - top))).all(axis=1)
    cells = np.unique(at[inside, 1] * (right - left) + at[inside, 0]).astype(np.intp)
    return cells, np.ones(len(cells))


def _exactextract() -> Any:
    needed("exactextract.raster", "weights='exact'", "series", "weights='centre' works without.")
    return needed("exactextract", "weights='exact'", "series")


def _covered(
    shapes: NDArray[Any], window: tuple[int, int, int, int]
) -> list[tuple[NDArray[np.intp], NDArray[np.float64]]]:
    """Return the share of each pixel that is covered, by exactextract (Baston 2017-2025)."""
    package = _exactextract()
    top, bottom, left, right = window
    size = bottom - top, right - left
    # Its y points up. A raster of one byte that is repeated: only the geometry counts.
    moved = shapely.transform(shapes, lambda xy: (xy - (left, bottom)) * (1, -1))
    blank = np.broadcast_to(np.uint8(0), size)
    raster = package.raster.NumPyRasterSource(blank, xmin=0, ymin=0, xmax=size[1], ymax=size[0])
    features = [{"type": "Feature", "properties": {}, "geometry": s.__geo_interface__} for s in moved]
    answers = package.exact_extract(raster, features, ["cell_id", "coverage"])
    found = []
    for answer in answers:
        cells, shares = answer["properties"]["cell_id"], answer["properties"]["coverage"]
        if cells is None or not len(cells):
            found.append(_NOTHING)
            continue
        cells, shares = np.asarray(cells, dtype=np.intp), np.asarray(shares, dtype=np.float64)
        real = shares > 0
        found.append((cells[real], shares[real]))
    return found


def _burnt(
    shapes: NDArray[Any], window: tuple[int, int, int, int], how: Weights
) -> list[tuple[NDArray[np.intp], NDArray[np.float64]]]:
    """Return the pixels whose centre is covered, or all that are touched, by GDAL."""
    from rasterio.features import rasterize
    from rasterio.transform import Affine

    top, bottom, left, right = window
    found = []
    for shape, box in zip(shapes, shapely.bounds(shapes), strict=True):
        first = np.maximum(np.floor(box[:2]).astype(np.int64) - 1, (left, top))
        last = np.minimum(np.ceil(box[2:]).astype(np.int64) + 1, (right, bottom))
        if (first >= last).any():
            found.append(_NOTHING)
            continue
        width, height = last - first
        burnt = rasterize(
            [shape], out_shape=(height, width), transform=Affine.translation(*first.tolist()),
            all_touched=how == "all", dtype=np.uint8,
        )  # fmt: skip
        rows, columns = np.nonzero(burnt)
        cells = (rows + (first[1] - top)) * (right - left) + columns + (first[0] - left)
        found.append((cells.astype(np.intp), np.ones(len(cells))))
    return found
