"""Plans: everything about a cube but its pixels, and what they will cost."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import shapely
from numpy.typing import NDArray
from odc.geo.crs import CRS
from odc.geo.geobox import GeoBox
from odc.geo.geom import Geometry
from shapely.geometry.base import BaseGeometry

from .angles import lit
from .areas import lonlat
from .checks import Verify, check_verify, verified, warn_of_guesses
from .chunks import chunk_of, pieces, sized, starts
from .codes import Coding
from .companions import check_levels, check_ready, joined
from .costs import Cost, as_bytes, cost_of
from .descriptions import as_html, as_text
from .errors import (
    BandError,
    InputError,
    ItemsError,
    MaskError,
    MissingAssetError,
    did_you_mean,
)
from .grids import aligned, check_grid, lattice_around
from .items import as_dicts
from .loaders.base import RESAMPLINGS, Loader, Resampling, loader_named
from .masks.algebra import Need, as_mask, need, reach_for
from .masks.nesting import sun_wanted
from .outlines import mask_crs, mask_resolution, over
from .reports import NOTHING_DROPPED, DroppedTable
from .scenes import Scene, SceneTable, scenes_of
from .sentinel2 import BANDS, CLOUD_REACH, COMPUTED, band_names
from .workers import warn_of_memory

if TYPE_CHECKING:
    from .estimates import Estimate
    from .granules import Granule

DType = Literal["float32", "uint16"]


@dataclass(frozen=True)
class Plan:
    """A cube before its pixels: scenes, grid, bands, mask, chunks. Made by :func:`plan`.

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


def plan(
    items: Iterable[Any],
    grid: GeoBox,
    *,
    bands: str | Iterable[str],
    mask: Any = None,
    dtype: DType = "float32",
    resampling: Resampling = "auto",
    chunk: int | None = None,
    memory: int | str = "2GB",
    on_missing: Literal["raise", "skip"] = "raise",
    on_error: Literal["raise", "skip"] = "raise",
    loader: str | Loader = "cog",
    verify_offset: Verify = "auto",
) -> Plan:
    """Plan a cube: which files, on which grid, masked how, in which blocks, at what cost.

    Only metadata is looked at, but for ``verify_offset``. Print the plan before you compute.

    Parameters
    ----------
    items : ItemCollection or iterable of Items
        Of one collection, in any order; dicts do as well.
    grid : odc.geo.geobox.GeoBox
        From :func:`eocube.grid_for`, or your own.
    bands : str or iterable of str
        Common or ESA's names; ``scl`` and other class bands are never scaled. ``cloud_distance``
        is worked out of the mask: metres to the nearest pixel that it throws away (not counting no
        data), 3000 where there is none so near; the mask is then read that much farther.
    mask : mask, optional
        What is thrown away, for instance ``SCLMask()``.
    dtype : {"float32", "uint16"}
        ``float32``: reflectance, NaN for no data. ``uint16``: reflectance * 10000, 0 for no data,
        half the memory; a valid value of 0 or less becomes 1.
    resampling : str
        Of reflectance: ``"auto"`` (nearest where the grid shares a file's lattice or is nested in
        it, bilinear elsewhere), ``"nearest"``, ``"bilinear"``, ``"cubic"``, ``"cubic_spline"``,
        ``"lanczos"``, ``"average"``. Classes are always nearest. No data is never mixed in.
    chunk : int, optional
        Rows and columns of a block. Default: 1024, or the half, a quarter, ... of it that fits into
        ``memory``, of a composite and of a cube each for itself.
    memory : int or str
        What a task may take at most: bytes, or ``"2GB"``.
    on_missing : {"raise", "skip"}
        An Item that lacks an asset is an error, or left out and listed in ``skipped``.
    on_error : {"raise", "skip"}
        A file that cannot be read, when patience has ended, is an error; or its granule is no data
        in the windows concerned, and :func:`eocube.lost` and what is written list it.
    loader : str or Loader
        ``"cog"`` (eocube's own block reader, and rasterio for what it cannot read), ``"rio"``
        (rasterio for all), ``"stackstac"``, or an object of your own.
    verify_offset : {"auto", True, False}
        Whether to look at an overview of Items to see if the offset of baseline 04.00 is in their
        pixels: of those whose metadata are known to be unreliable, of all, of none.

    Returns
    -------
    Plan

    Warns
    -----
    OffsetWarning
        If pixels contradict what Items say of the offset; the pixels are believed.
    OffsetUncheckedWarning
        If an overview could not be read; the Item is believed.
    MaskWarning
        If a mask that may is blind somewhere: it throws nothing away there.
    MemoryWarning
        If a cluster's client is open, and a task may not fit its workers.

    Raises
    ------
    BandError, MaskError, GridError, ItemsError, NoItemsError, MissingAssetError
        If the request does not make sense.
    TooLargeError
        If a task would take more than ``memory``; says how much, and which chunk fits.

    Examples
    --------
    >>> import eocube
    >>> world = eocube.sample.cached()
    >>> items = eocube.search(world.items_path)
    >>> made = eocube.plan(items, world.grid, bands=["red", "nir"], mask=eocube.SCLMask())
    >>> made.bands
    ('red', 'nir')
    """
    names = band_names(bands)
    grid = check_grid(grid)
    items = as_dicts(items)
    wanted = None if mask is None else as_mask(mask)
    _check_computed(names, wanted)
    _check_choice("dtype", dtype, ("float32", "uint16"))
    _check_choice("resampling", resampling, RESAMPLINGS)
    _check_choice("on_missing", on_missing, ("raise", "skip"))
    _check_choice("on_error", on_error, ("raise", "skip"))
    check_verify(verify_offset)
    limit = as_bytes(memory)
    reader = loader_named(loader)
    check_levels(wanted, items)
    table = _scene_table(items, names, wanted, grid, on_missing == "skip")
    scenes, outlines = over(table, grid)
    scenes = lit(scenes, items, sun_wanted(wanted))
    found = joined(scenes, outlines, wanted, grid)
    size = chunk_of(chunk, grid)
    made = Plan(
        found.scenes, grid, names, found.mask, size or 1024, size or 1024, dtype, resampling, reader, limit,
        mask_crs(grid, table), outlines, table.dropped, table.skipped, on_error, found.unmasked,
    )  # fmt: skip
    if made.need is not None:
        corner = lattice_around(grid[:1, :1], made.need.resolution, 0, made.mask_crs)
        check_ready(made.mask, corner, made.scenes)
    fitted = sized(made, fixed=size is not None)
    fitted.coding  # noqa: B018  (scales that do not fit together are refused here)
    right = verified(fitted.scenes, items, verify_offset, reader)
    warn_of_guesses(right)
    warn_of_memory(fitted)
    return fitted if right is fitted.scenes else replace(fitted, scenes=right)


def _check_computed(bands: tuple[str, ...], mask: Any) -> None:
    computed = [band for band in bands if band in COMPUTED]
    if computed and mask is None:
        raise MaskError(f"Band {computed[0]} says how far off a mask's pixels are: give a mask.")
    if computed and len(computed) == len(bands):
        raise BandError(f"Band {computed[0]} stands beside others: ask for one of a file, too, as red.")


def _scene_table(
    items: Iterable[Any], bands: tuple[str, ...], mask: Any, grid: GeoBox, skip: bool
) -> SceneTable:
    bands = tuple(band for band in bands if band not in COMPUTED)
    middle = Geometry(grid.extent.geom.centroid, grid.crs)
    longitude = float(lonlat(middle).centroid.x)
    extra = () if mask is None else tuple(b for b in need(mask).bands if b not in bands and ":" not in b)
    try:
        return scenes_of(items, bands + extra, longitude=longitude, skip_missing=skip)
    except MissingAssetError as error:
        if not extra:
            raise
        scenes_of(items, bands, longitude=longitude)  # raises if a value band is what is missing
        raise MaskError(f"Mask {mask!r} needs {', '.join(need(mask).bands)}, but: {error}") from error


def _check_choice(name: str, found: object, known: tuple[str, ...]) -> None:
    if found not in known:
        raise InputError(
            f"{name}={found!r} is not known.{did_you_mean(str(found), known)} Choose of: {', '.join(known)}."
        )
