"""Reading a block: the only room where loaders meet masks.

Runs in the worker, once per output chunk: for each Scene the mask is made first, on its own grid
with its rim; then the values are read on the bare window, where anything is left to read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from .grids import crs_of, lattice_around, pixel_coordinates
from .loaders.base import Source
from .masks.algebra import apply
from .pixels import Pixels
from .sentinel2 import BANDS, QUANTIFICATION

if TYPE_CHECKING:
    from .granules import Granule
    from .plans import Plan
    from .scenes import Scene


def read_block(plan: Plan, window: tuple[int, int, int, int]) -> NDArray[Any]:
    """Read, harmonise, mosaic and mask one window of a plan's cube.

    Parameters
    ----------
    plan : Plan
    window : tuple of int
        First and one past last row, first and one past last column of the plan's grid.

    Returns
    -------
    array (time, band, y, x)
        In the plan's dtype; NaN or 0 where there is no data or the mask threw it away.
    """
    top, bottom, left, right = window
    geobox = plan.grid[top:bottom, left:right]
    fill = np.nan if plan.dtype == "float32" else 0
    out = np.full((len(plan.scenes), len(plan.bands), *geobox.shape), fill, dtype=plan.dtype)
    masking = None if plan.mask is None else _MaskWindow(plan, geobox)
    for index, members in enumerate(plan.touching(geobox)):
        if not members:
            continue
        scene = plan.scenes[index]
        bad = None if masking is None else masking.bad(index)
        if bad is not None and bad.all():
            continue
        granules = [scene.granules[member] for member in members]
        _fill(out[index], granules, plan.bands, geobox, plan)
        if bad is not None:
            out[index][:, bad] = fill
    return out


class _MaskWindow:
    """The mask of one output window: its lattice, and where the output's pixels lie in it."""

    def __init__(self, plan: Plan, geobox: GeoBox) -> None:
        need = plan.need
        assert need is not None
        self.plan, self.geobox, self.bands = plan, geobox, need.bands
        self.lattice = lattice_around(geobox, need.resolution, need.reach, plan.mask_crs)
        rows, columns = pixel_coordinates(self.lattice, geobox)
        height, width = self.lattice.shape
        self.rows = np.floor(rows + 1e-6).astype(np.intp).clip(0, height - 1)
        self.columns = np.floor(columns + 1e-6).astype(np.intp).clip(0, width - 1)
        own = self.lattice.extent.to_crs(crs_of(plan.grid), resolution=20_000).boundingbox.bbox
        self.box = shapely.box(*own)

    def bad(self, index: int) -> NDArray[np.bool_]:
        """Return bool (y, x) on the output's window, True where a Scene is thrown away."""
        plan, scene = self.plan, self.plan.scenes[index]
        granules = [
            granule
            for granule, outline in zip(scene.granules, plan.outlines[index], strict=True)
            if outline.intersects(self.box)
        ]
        values = np.full((len(self.bands), *self.lattice.shape), np.nan, dtype=np.float32)
        _fill(values, granules, self.bands, self.lattice, plan)
        found = apply(plan.mask, _pixels(scene, self.bands, values, self.lattice))
        return np.asarray(found[self.rows, self.columns])


def _pixels(
    scene: Scene, bands: tuple[str, ...], values: NDArray[np.float32], geobox: GeoBox
) -> Pixels:
    named = {}
    for band, layer in zip(bands, values, strict=True):
        named[band] = np.nan_to_num(layer, nan=0).astype(np.uint8) if band == "scl" else layer
    return Pixels(
        named, geobox, scene.sun_azimuth, scene.sun_elevation, scene.id, scene.platform,
        scene.baseline, scene.time.replace(tzinfo=None),
    )  # fmt: skip


def _fill(
    out: NDArray[Any], granules: list[Granule], bands: tuple[str, ...], geobox: GeoBox, plan: Plan
) -> None:
    """Mosaic granules into (band, y, x): the first that is valid in all reflectance bands wins."""
    kinds = [BANDS[band].kind == "reflectance" for band in bands]
    deciding = kinds if any(kinds) else [True] * len(bands)
    empty = np.ones(geobox.shape, dtype=bool)
    for granule in granules:
        sources = [_resampled(granule.sources[band], plan.resampling) for band in bands]
        numbers = plan.loader(sources, geobox)
        valid = empty.copy()
        for layer, source, decides in zip(numbers, sources, deciding, strict=True):
            if decides:
                valid &= layer != source.nodata
        for index, band in enumerate(bands):
            _harmonise(out[index], numbers[index], valid, band, granule)
        empty &= ~valid
        if not empty.any():
            return


def _resampled(source: Source, resampling: str) -> Source:
    if source.resampling != "auto" or resampling == "auto":
        return source
    from dataclasses import replace

    return replace(source, resampling=resampling)


def _harmonise(
    out: NDArray[Any], numbers: NDArray[Any], valid: NDArray[np.bool_], band: str, granule: Granule
) -> None:
    """Write digital numbers as reflectance (or as they are) where valid.

    reflectance = (DN + BOA_ADD_OFFSET) / QUANTIFICATION_VALUE (ESA, baseline 04.00). A valid
    pixel of 0 or less stays a valid pixel.
    """
    if out.dtype == np.float32:
        values = numbers.astype(np.float32)
        if band in granule.offsets:
            values += np.float32(granule.offsets[band])
            values /= np.float32(round(1 / granule.scales[band], 6))
        elif BANDS[band].nodata:
            values[numbers == BANDS[band].nodata] = np.nan
        elif band == "scl":
            values[numbers == 0] = np.nan
        np.copyto(out, values, where=valid)
        return
    whole = numbers.astype(np.int32)
    if band in granule.offsets:
        whole += round(granule.offsets[band])
        if granule.scales[band] != 1 / QUANTIFICATION:
            whole = np.rint(whole * (granule.scales[band] * QUANTIFICATION)).astype(np.int32)
        whole = whole.clip(1, 65535)
    elif BANDS[band].nodata:
        whole = np.where(numbers == BANDS[band].nodata, 0, whole.clip(1))
    np.copyto(out, whole.astype(out.dtype), where=valid)
