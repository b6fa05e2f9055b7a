"""Plans: everything about a cube but its pixels, and what they will cost."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import shapely
from numpy.typing import NDArray
from odc.geo.crs import CRS
from odc.geo.geobox import GeoBox
from shapely.geometry.base import BaseGeometry

from .chunks import pieces, starts
from .codes import Coding
from .costs import Cost, cost_of
from .descriptions import as_html, as_text
from .errors import ItemsError
from .grids import aligned
from .loaders.base import Loader, Resampling
from .masks.algebra import Need, need, reach_for
from .outlines import mask_resolution
from .reports import NOTHING_DROPPED, DroppedTable
from .scenes import Scene
from .sentinel2 import BANDS, CLOUD_REACH, COMPUTED

if TYPE_CHECKING:
    from .estimates import Estimate
    from .granules import Granule

DType = Literal["float32", "uint16"]


@dataclass(frozen=True)
class Plan:
    """A cube before its pixels: scenes, grid, bands, mask, chunks. Made by :func:`eocube.plan`.

    Attributes
    ----------
    scenes : tuple of Scene
        One per time step, sorted by time.
    grid : GeoBox
        Of the cube.
    bands : tuple of str
        Common names.
    mask : mask or None
        What is thrown away where a block is read.
    chunk : int
        Rows and columns of a block; all times and bands of it are one Dask task.
    chunk_reduced : int
        The same for a composite, which takes less memory: as large as ``chunk`` or larger.
    dtype : {"float32", "uint16"}
    resampling : str
    loader : Loader
    memory : int
        Bytes a task may take.
    mask_crs : CRS
        In which masks work: the grid's if it is UTM, else the one of most granules.
    outlines : tuple of tuple of geometry
        Where each granule of each scene may have data, in the grid's CRS.
    dropped : DroppedTable
        Items left out because better ones of the same pass cover them: id, what is kept, why.
    skipped : tuple of str
        Items left out because they lack an asset, when that was asked for.
    on_error : {"raise", "skip"}
        What is done about a file that cannot be read.
    unmasked : tuple of str
        Items in which a part of the mask throws nothing away, for want of what it looks at, when that
        was asked for.
    """

    scenes: tuple[Scene, ...] = field(repr=False)
    grid: GeoBox
    bands: tuple[str, ...]
    mask: Any
    chunk: int
    chunk_reduced: int
    dtype: DType
    resampling: Resampling
    loader: Loader
    memory: int
    mask_crs: CRS
    outlines: tuple[tuple[BaseGeometry, ...], ...] = field(repr=False)
    dropped: DroppedTable = NOTHING_DROPPED
    skipped: tuple[str, ...] = ()
    on_error: Literal["raise", "skip"] = "raise"
    unmasked: tuple[str, ...] = ()

    @property
    def twins(self) -> tuple[str, ...]:
        """Ids of the Items in ``dropped``."""
        return self.dropped.ids

    @property
    def chunks(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Heights and widths of the blocks, as Dask writes them."""
        return self.cut(self.chunk)

    def cut(self, chunk: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return heights and widths of blocks of another size.

        They start on the lattice of the files, of each tile until the next one begins, so that a block of
        a file lies in as few of them as possible. Where the grid does not share that lattice, or the size
        is no multiple of 256, they start at the corner of the grid.
        """
        found = []
        for size, origins in zip(self.grid.shape, self._origins, strict=True):
            known = starts(origins, int(size), chunk) if chunk % 256 == 0 else (0,)
            found.append(pieces(int(size), chunk, known))
        return found[0], found[1]

    @cached_property
    def _origins(self) -> tuple[Counter[int], Counter[int]]:
        """Rows and columns, seen from the grid's corner, of the corners of files that share its lattice."""
        a = self.grid.affine
        rows: Counter[int] = Counter()
        columns: Counter[int] = Counter()
        for own in (granule.grid for of_one in self.used for granule in of_one):
            if own is not None and aligned(own, self.grid):
                rows[round((own.affine.f - a.f) / a.e)] += 1
                columns[round((own.affine.c - a.c) / a.a)] += 1
        return rows, columns

    @cached_property
    def coding(self) -> Coding:
        """How the blocks of the cube are coded until they are values."""
        return self.coding_of(self.bands, "uint8" if self.bands == ("scl",) else self.dtype)

    def coding_of(self, bands: tuple[str, ...], dtype: str) -> Coding:
        """Return how blocks of these bands are coded: the same for all granules."""
        return Coding(
            tuple(max(self._biases.get(band, 0), 1 if BANDS[band].nodata else 0) for band in bands),
            tuple(self._divisors.get(band, 1.0) for band in bands),
            dtype,
        )

    @cached_property
    def _biases(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for scene in self.scenes:
            for granule in scene.granules:
                for band, offset in granule.every_offset.items():
                    found[band] = max(found.get(band, 0), -round(offset))
        return found

    @cached_property
    def _divisors(self) -> dict[str, float]:
        found: dict[str, float] = {}
        for scene in self.scenes:
            for granule in scene.granules:
                for band, scale in granule.every_scale.items():
                    if found.setdefault(band, round(1 / scale, 6)) != round(1 / scale, 6):
                        raise ItemsError(
                            f"Item {granule.id!r} says another scale of {band} ({scale:g}) than those before "
                            f"it ({1 / found[band]:g}): make one cube of each."
                        )
        return found

    @cached_property
    def used(self) -> tuple[tuple[Granule, ...], ...]:
        """Of each Scene the granules that may have data on the grid."""
        return self.touching(shapely.box(*self.grid.extent.boundingbox.bbox))

    def touching(self, box: BaseGeometry) -> tuple[tuple[Granule, ...], ...]:
        """Return of each Scene the granules that may have data in a box of the grid's CRS."""
        touches = iter(shapely.intersects(self._every_outline, box).tolist())
        return tuple(tuple(g for g in scene.granules if next(touches)) for scene in self.scenes)

    @cached_property
    def _every_outline(self) -> NDArray[Any]:
        return np.array([outline for own in self.outlines for outline in own], dtype=object)

    @cached_property
    def files(self) -> tuple[GeoBox, ...]:
        """The grids of the files that may have data here, each once, as far as they are stated."""
        return tuple({id(g.grid): g.grid for own in self.used for g in own if g.grid is not None}.values())

    @property
    def read_bands(self) -> tuple[str, ...]:
        """The bands of the cube that are read from files."""
        return tuple(band for band in self.bands if band not in COMPUTED)

    @property
    def need(self) -> Need | None:
        """What the mask, and the distance to it, need, at the resolution it works on; None without a mask."""
        if self.mask is None:
            return None
        wants = need(self.mask)
        pixel = mask_resolution(wants.resolution, self.grid)
        reach = reach_for(self.mask, pixel, self._lowest_sun)
        return wants._replace(
            resolution=pixel, reach=reach + CLOUD_REACH if COMPUTED & set(self.bands) else reach
        )

    @cached_property
    def _lowest_sun(self) -> float:
        """Degrees above the horizon; masks that look along the sun look no farther than they must."""
        found = (granule.sun.lowest for scene in self.scenes for granule in scene.granules)
        return min((sun for sun in found if math.isfinite(sun)), default=0.0)

    @cached_property
    def cost(self) -> Cost:
        """What computing the whole cube once will read and take."""
        return cost_of(self)

    def estimate(
        self,
        *,
        bandwidth: int | str | None = None,
        cores: int | None = None,
        price: float | None = None,
        latency: float | None = None,
        reduced: bool = True,
    ) -> Estimate:
        """Estimate time, memory, requests and money from metadata alone.

        The model is fitted to medians under ``SCLMask()`` (docs/scale.md); a mask with a model of its
        own takes more.

        Parameters
        ----------
        bandwidth : int or str, optional
            Bytes per second that all cores together get, ``"200MB/s"``. Default: no limit.
        cores : int, optional
            Default: the threads of the current cluster, else the cores of this machine.
        price : float, optional
            Of a core-hour, in any currency.
        latency : float, optional
            Seconds until a server answers. Default: 0.03, for local files 0.
        reduced : bool
            Of a composite (in larger blocks), or of the cube itself.

        Raises
        ------
        InputError
            If a number is none.
        """
        from .estimates import estimate_of

        return estimate_of(
            self, bandwidth=bandwidth, cores=cores, price=price, latency=latency, reduced=reduced
        )

    def __repr__(self) -> str:
        return as_text(self)

    def _repr_html_(self) -> str:
        return as_html(self)

    def __dask_tokenize__(self) -> tuple[Any, ...]:
        granules = [granule for scene in self.scenes for granule in scene.granules]
        return (
            type(self).__name__,
            [(scene.id, len(scene.granules)) for scene in self.scenes],
            [
                (g.id, sorted(s.href for s in g.every_source.values()), sorted(g.every_offset.items()))
                for g in granules
            ],
            (str(self.grid.crs), tuple(self.grid.affine), tuple(self.grid.shape)),
            (self.bands, self.chunk, self.chunk_reduced, self.dtype, self.resampling, self.skipped),
            self.on_error,
        )
