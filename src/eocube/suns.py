"""Suns: where the sun stands over a window, as seen on its grid.

Azimuths of Items and of granule metadata are counted from true north (ESA's grids agree with the
NOAA solar equations to 0.1 degree); a raster's upward direction is grid north. The difference is the
meridian convergence, up to 3 degrees in UTM.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .errors import MaskError

if TYPE_CHECKING:
    from .pixels import Pixels

CELL = 20_000.0
"""Metres. Within a cell of this size, at whole multiples of it, the sun stands still: over half of it
the direction on a UTM grid turns by less than 0.15 degrees at 50 degrees of latitude, 10 m at 4 km."""


@dataclass(frozen=True, eq=False)
class Angles:
    """The sun's angles on a lattice of points, as a granule's metadata state them.

    Attributes
    ----------
    crs : str
    left, top : float
        Of the first point.
    step : (float, float)
        Metres to the right and downwards from point to point.
    azimuth, elevation : float32 array (row, column)
        Degrees, azimuth clockwise from true north.
    """

    crs: str
    left: float
    top: float
    step: tuple[float, float]
    azimuth: NDArray[np.float32]
    elevation: NDArray[np.float32]

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Return azimuth and elevation at a place; beyond the lattice those of its rim."""
        rows, columns = self.azimuth.shape
        row = min(max((self.top - y) / self.step[1], 0.0), rows - 1.0)
        column = min(max((x - self.left) / self.step[0], 0.0), columns - 1.0)
        i, j = min(int(row), rows - 2), min(int(column), columns - 2)
        down, right = row - i, column - j
        weights = np.outer((1 - down, down), (1 - right, right))
        corners = np.radians(self.azimuth[i : i + 2, j : j + 2].astype(np.float64))
        east, north = (weights * np.sin(corners)).sum(), (weights * np.cos(corners)).sum()
        elevation = (weights * self.elevation[i : i + 2, j : j + 2]).sum()
        return math.degrees(math.atan2(east, north)) % 360, float(elevation)


@dataclass(frozen=True, eq=False)
class Sun:
    """Where the sun stood over one granule.

    Attributes
    ----------
    azimuth, elevation : float
        Mean of the granule, degrees; azimuth clockwise from true north.
    angles : Angles, optional
        Place by place.
    """

    azimuth: float
    elevation: float
    angles: Angles | None = None

    @property
    def lowest(self) -> float:
        """Elevation where it stood lowest."""
        return self.elevation if self.angles is None else float(self.angles.elevation.min())

    def over(self, crs: Any, x: float, y: float) -> tuple[float, float]:
        """Return azimuth from GRID north and elevation at a place of a projected CRS, degrees."""
        azimuth, elevation = self.azimuth, self.elevation
        if self.angles is not None:
            azimuth, elevation = self.angles.at(*_moved(str(crs), self.angles.crs, x, y))
        return (azimuth - convergence(str(crs), x, y)) % 360, elevation


@dataclass(frozen=True, eq=False)
class Patch:
    """A part of a window over which the sun stands still.

    Attributes
    ----------
    rows, columns : slice
    own : bool array (y, x) or None
        Which pixels of the part it is for; None: all.
    azimuth, elevation : float
        Degrees, azimuth clockwise from the window's upward direction.
    """

    rows: slice
    columns: slice
    own: NDArray[np.bool_] | None
    azimuth: float
    elevation: float


@lru_cache(maxsize=4096)
def convergence(crs: str, x: float, y: float) -> float:
    """Return the meridian convergence in degrees: by how much grid north points east of true north.

    Parameters
    ----------
    crs : str
        Projected.
    x, y : float
        In its units.

    Examples
    --------
    >>> round(convergence("EPSG:32633", 272_000.0, 5_218_000.0), 2)
    -2.2
    """
    from pyproj import Proj

    proj = Proj(crs)
    longitude, latitude = proj(x, y, inverse=True)
    return float(proj.get_factors(longitude, latitude).meridian_convergence)


@lru_cache(maxsize=4096)
def _moved(source: str, target: str, x: float, y: float) -> tuple[float, float]:
    if source == target:
        return x, y
    from pyproj import Transformer

    east, north = Transformer.from_crs(source, target, always_xy=True).transform(x, y)
    return float(east), float(north)


def patches(px: Pixels) -> Iterator[Patch]:
    """Yield the parts of a window over which the sun stands still.

    They are cells at whole multiples of ``CELL``, so that a pixel sees the same sun however its
    window is cut, and within a cell the pixels of each granule.

    Raises
    ------
    MaskError
        If the sun's angles are not known, it is below the horizon, or the grid is in degrees.
    """
    crs = px.geobox.crs
    if crs is not None and not crs.projected:
        raise MaskError(f"Shadows are cast in metres, but the grid is in {crs}: give a projected one.")
    suns = px.suns or (Sun(px.sun_azimuth, px.sun_elevation),)
    affine = px.geobox.affine
    for rows, y in _cells(px.shape[0], affine.f, affine.e):
        for columns, x in _cells(px.shape[1], affine.c, affine.a):
            owner = None if px.sun_of is None else px.sun_of[rows, columns]
            for index in (0,) if owner is None else np.unique(owner).tolist():
                own = None if owner is None else owner == index
                sun = suns[index]
                azimuth, elevation = (sun.azimuth, sun.elevation) if crs is None else sun.over(crs, x, y)
                if not (math.isfinite(azimuth) and 0 < elevation <= 90):
                    raise MaskError(
                        f"The sun of {px.scene or 'these pixels'} stands at azimuth {azimuth:g}, elevation "
                        f"{elevation:g} degrees: no shadow can be projected."
                    )
                yield Patch(rows, columns, None if own is None or own.all() else own, azimuth, elevation)


def _cells(size: int, origin: float, step: float) -> Iterator[tuple[slice, float]]:
    """Yield the parts of an axis that lie in one cell each, and the middle of the cell."""
    cells = np.floor((origin + (np.arange(size) + 0.5) * step) / CELL).astype(np.int64)
    edges = [0, *(np.flatnonzero(np.diff(cells)) + 1).tolist(), size]
    for first, last in pairwise(edges):
        if last > first:
            yield slice(first, last), (float(cells[first]) + 0.5) * CELL
