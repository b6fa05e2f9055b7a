"""Planning: from Items, a grid and bands to a plan; what makes no sense is refused here."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Literal

from odc.geo.geobox import GeoBox
from odc.geo.geom import Geometry

from .angles import lit
from .areas import lonlat
from .checks import Verify, check_verify, verified, warn_of_guesses
from .chunks import chunk_of, sized
from .companions import check_levels, check_ready, joined
from .costs import as_bytes
from .errors import BandError, InputError, MaskError, MissingAssetError, did_you_mean
from .grids import check_grid, lattice_around
from .items import as_dicts
from .loaders.base import RESAMPLINGS, Loader, Resampling, loader_named
from .masks.algebra import as_mask, need
from .masks.nesting import sun_wanted
from .outlines import mask_crs, over
from .plans import DType, Plan
from .scenes import SceneTable, scenes_of
from .sentinel2 import COMPUTED, band_names
from .workers import warn_of_memory


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
