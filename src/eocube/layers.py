"""Layers: a (time, y, x) raster in memory, looked up by time and place."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from .errors import MaskError
from .grids import pixel_coordinates

SAME_PASS = np.timedelta64(50, "m")
"""Half an orbit: what was sensed within this time over one place was sensed in one pass."""


@dataclass(frozen=True, eq=False)
class Layers:
    """Values over a grid at several times.

    Attributes
    ----------
    values : array (time, y, x)
        Floating with NaN for no data, or whole numbers.
    times : datetime64 array (time,)
        UTC; a day without a time of day stands for all of the day.
    geobox : GeoBox
    digest : str
        Of all of it: names it in Dask's graph.
    """

    values: NDArray[Any] = field(repr=False)
    times: NDArray[np.datetime64] = field(repr=False)
    geobox: GeoBox = field(repr=False)
    digest: str

    def __dask_tokenize__(self) -> tuple[str, str]:
        return type(self).__name__, self.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Layers) and other.digest == self.digest

    def steps(self, time: datetime) -> list[int]:
        """Return the places along time that are of the same pass."""
        when = np.datetime64(time.replace(tzinfo=None), "s")
        days = self.times.astype("datetime64[D]")
        whole = self.times == days
        same = np.where(whole, days == when.astype("datetime64[D]"), abs(self.times - when) < SAME_PASS)
        return [int(step) for step in np.flatnonzero(same)]

    def at(self, time: datetime, geobox: GeoBox) -> NDArray[np.float32]:
        """Return float32 (y, x) on a grid: of each pixel centre the value it falls into, NaN for none.

        Of several steps of one pass the first with data.
        """
        found = np.full(geobox.shape, np.nan, dtype=np.float32)
        rows, columns = (np.floor(c + 1e-6).astype(np.intp) for c in pixel_coordinates(self.geobox, geobox))
        rows, columns = np.broadcast_arrays(rows, columns)
        height, width = self.geobox.shape
        inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
        for step in self.steps(time):
            own = self.values[step, rows[inside], columns[inside]].astype(np.float32)
            have = found[inside]
            found[inside] = np.where(np.isnan(have), own, have)
        return found


def layers_of(array: Any) -> Layers:
    """Return the Layers of a DataArray; what is lazy is computed.

    Raises
    ------
    MaskError
        If its dims are not (time, y, x), or it has no times or no grid with a CRS.
    """
    import odc.geo.xr  # noqa: F401  (makes .odc)

    names = ("time", "y", "x")
    if set(array.dims) != set(names) or "time" not in array.coords or array["time"].dtype.kind != "M":
        dims = tuple(array.dims)
        raise MaskError(f"A probability needs the dims {names} and dates along time, found {dims}.")
    if array.dtype.kind not in "fui" or not array.size:
        raise MaskError(f"A probability is of numbers, found {array.dtype} of shape {array.shape}.")
    array = array.transpose(*names)
    geobox = array.odc.geobox
    if not isinstance(geobox, GeoBox) or geobox.crs is None:
        raise MaskError(
            "The probability's pixels lie on no regular grid with a CRS: give it one, for instance by "
            "array.rio.write_crs('EPSG:32633')."
        )
    values = np.ascontiguousarray(array.values)
    if geobox.affine.e > 0:
        values, geobox = np.ascontiguousarray(values[:, ::-1]), geobox.flipy()
    times = array["time"].values.astype("datetime64[s]")
    said = f"{geobox.crs}{tuple(geobox.affine)}{times.tolist()}{values.shape}{values.dtype}"
    digest = hashlib.blake2b(values.tobytes() + said.encode(), digest_size=16).hexdigest()
    return Layers(values, times, geobox, digest)
