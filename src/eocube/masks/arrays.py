"""Ready masks: an array that lies on a grid."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import MaskError
from ..pixels import Pixels
from .algebra import Bools, Mask


@dataclass(frozen=True, eq=False, repr=False)
class ArrayMask(Mask):
    """A mask that is there already, made by :func:`eocube.mask_from`. It travels with the plan.

    Attributes
    ----------
    values : bool array (date, y, x)
        True where a pixel is thrown away.
    geobox : odc.geo.geobox.GeoBox
        Where the pixels lie.
    days : tuple of date, or None
        UTC; None: one mask for all dates.
    name : str
    outside : bool or None
        What is said of pixels beyond the array; None: that is an error.
    """

    values: NDArray[np.bool_]
    geobox: Any
    days: tuple[date, ...] | None
    name: str
    outside: bool | None = None
    bands: tuple[str, ...] = ()

    @property
    def resolution(self) -> float | None:  # type: ignore[override]
        """Pixel of the array in units of its CRS."""
        return float(self.geobox.affine.a)

    def __repr__(self) -> str:
        return self.name

    def check_on(self, lattice: Any, times: Iterable[tuple[datetime, str]]) -> None:
        """Refuse a lattice that is not the array's, and Scenes (time, id) of days that it has not.

        Raises
        ------
        MaskError
        """
        self._places(lattice)
        for time, scene in times:
            self._of_day(time, scene)

    def __call__(self, px: Pixels) -> Bools:
        """Return bool (y, x), True where a pixel is thrown away."""
        rows, columns = self._places(px.geobox)
        height, width = self.values.shape[1:]
        row_in, column_in = (rows >= 0) & (rows < height), (columns >= 0) & (columns < width)
        own = self._of_day(px.time, px.scene)
        found = own[rows.clip(0, height - 1)[:, None], columns.clip(0, width - 1)]
        inside = row_in[:, None] & column_in
        if inside.all():
            return np.asarray(found)
        if self.outside is None:
            raise MaskError(
                f"Mask {self.name} ends within the area, or within the rim that a mask joined to it needs: "
                f"{1 - inside.mean():.0%} of a window lie beyond it. Say outside=False to keep what is "
                "there, or True to throw it away."
            )
        return np.where(inside, found, self.outside)

    def _places(self, theirs: Any) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Return the array's row and column of each of a window's."""
        ours = self.geobox
        a, b = ours.affine, theirs.affine
        times = a.a / b.a
        shifts = (b.c - a.c) / b.a, (b.f - a.f) / b.e
        nested = times >= 1 - 1e-6 and abs(times - round(times)) < 1e-6
        if ours.crs != theirs.crs or not nested or any(abs(s - round(s)) > 1e-3 for s in shifts):
            raise MaskError(
                f"Mask {self.name} lies on another grid ({_said(ours)}) than the one on which masks work "
                f"here ({_said(theirs)}): bring it there first, for instance by array.odc.reproject(grid, "
                "resampling='nearest')."
            )
        rows = (np.arange(theirs.shape[0]) + round(shifts[1])) // round(times)
        columns = (np.arange(theirs.shape[1]) + round(shifts[0])) // round(times)
        return rows.astype(np.intp), columns.astype(np.intp)

    def _of_day(self, time: datetime, scene: str) -> Bools:
        if self.days is None:
            return np.asarray(self.values[0])
        if time.date() not in self.days:
            shown = ", ".join(day.isoformat() for day in self.days[:5])
            raise MaskError(f"Mask {self.name} has no date {time.date()} ({scene}): it has {shown}.")
        return np.asarray(self.values[self.days.index(time.date())])


def _said(grid: Any) -> str:
    crs = f"EPSG:{grid.crs.epsg}" if grid.crs is not None and grid.crs.epsg else str(grid.crs)
    return f"{crs}, pixels of {grid.affine.a:g} from {grid.affine.c:.10g}, {grid.affine.f:.10g}"
