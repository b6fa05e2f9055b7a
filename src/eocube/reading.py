"""Reading a block: the only room where loaders meet masks.

Runs in the worker, once per output chunk. First the masks of all Scenes, on their own lattice with
its rim; then the values on the bare window, of what the masks left. The loader gets all files of a
step at once, so that it can have many requests under way.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from scipy.ndimage import maximum_filter

from .codes import Coding
from .distances import distances, with_distances
from .grids import crs_of, lattice_around, pixel_coordinates
from .loaders.base import Loader, Source
from .loaders.gathering import gather
from .losses import Loss, Window
from .masks.algebra import apply
from .masks.nesting import sun_wanted
from .pixels import Pixels
from .sentinel2 import BANDS
from .tallies import timed

if TYPE_CHECKING:
    from .granules import Granule
    from .plans import Plan
    from .scenes import Scene

Bools = NDArray[np.bool_]
Groups = Sequence[tuple["Granule", ...]]
"""Of each Scene the granules to be read, in their order."""

_NOTHING = Source("", dtype="uint8")


def read_codes(
    plan: Plan, window: Window, look: Bools | None = None, losses: list[Loss] | None = None
) -> NDArray[Any]:
    """Read, mosaic and mask one window of a plan's cube.

    Parameters
    ----------
    plan : Plan
    window : tuple of int
        First and one past last row, first and one past last column of the plan's grid.
    look : bool array (y, x), optional
        Pixels that will be looked at; the others are 0, and what lies under them alone is not read.
    losses : list of Loss, optional
        Where to put what could not be read, for a plan with ``on_error="skip"``. A granule of
        which a file cannot be read is no data in the window, in all bands.

    Returns
    -------
    array (time, band, y, x)
        Codes, see ``plan.coding``; 0 where there is no data or the mask threw it away.
    """
    top, bottom, left, right = window
    geobox = plan.grid[top:bottom, left:right]
    groups: Groups = plan.touching(shapely.box(*geobox.extent.boundingbox.bbox))
    lost = _Lost(plan, window, [] if losses is None else losses)
    while True:
        groups = lost.without(groups)
        keep = None if look is None else [look for _ in groups]
        far: list[NDArray[np.uint16]] = []
        if plan.mask is not None:
            keep = _kept(plan, geobox, groups, look, lost, far)
        known = len(lost.ids)
        codes = _mosaic(plan, lost.without(groups), plan.read_bands, geobox, keep, lost)
        if plan.mask is None or len(lost.ids) == known:
            return with_distances(codes, far, plan.bands) if far else codes
        # The mask was made with a granule that is lost now: once more, as if it were not there.


class _Lost:
    """What cannot be read of a window."""

    def __init__(self, plan: Plan, window: Window, found: list[Loss]) -> None:
        self.window, self.found = window, found
        self.skip = plan.on_error == "skip"
        scenes = plan.scenes if self.skip else ()
        self.scenes = {granule.id: scene.id for scene in scenes for granule in scene.granules}
        self.ids: set[str] = set()

    def load(
        self,
        loader: Loader,
        granules: Sequence[Granule | None],
        sources: list[Source],
        geobox: GeoBox,
        looks: list[Bools],
    ) -> NDArray[Any]:
        """Return digital numbers (source, y, x); no data for granules of which a file cannot be read."""
        if not self.skip:
            return loader(sources, geobox, looks)
        numbers, failures = gather(loader, sources, geobox, looks)
        bands = len(sources) // len(granules)
        for index, error in failures.items():
            source, granule = sources[index], granules[index // bands]
            assert granule is not None
            self.ids.add(granule.id)
            why = str(error).partition(error.href + ": ")[2] or str(error)
            self.found.append(
                Loss(source.item, source.asset, error.href, self.scenes[granule.id], self.window, why)
            )
            for band in range(index // bands * bands, (index // bands + 1) * bands):
                numbers[band] = sources[band].nodata
        return numbers

    def without(self, groups: Groups) -> Groups:
        """Return the granules of each Scene that are not lost: no mask may be missing under a value."""
        if not self.ids:
            return groups
        return [tuple(granule for granule in own if granule.id not in self.ids) for own in groups]


def read_flags(plan: Plan, window: Window, losses: list[Loss] | None = None) -> NDArray[Any]:
    """Read which masks throw away what of one window; no value band is read.

    Parameters
    ----------
    plan : Plan
        Its mask is a :class:`eocube.masks.parts.Flags`.
    window, losses
        As in :func:`read_codes`.

    Returns
    -------
    array (time, y, x)
        Flags; 1 where a band of the masks has no data.
    """
    top, bottom, left, right = window
    geobox = plan.grid[top:bottom, left:right]
    groups: Groups = plan.touching(shapely.box(*geobox.extent.boundingbox.bbox))
    lost = _Lost(plan, window, [] if losses is None else losses)
    found = _found(plan, geobox, groups, None, lost, lambda mask, px, place: place.of(mask.flags(px)))
    flags = np.ones((len(groups), *geobox.shape), dtype=plan.mask.dtype)
    for layer, own in zip(flags, found, strict=True):
        if own is not None:
            layer[...] = own
    return flags


def _kept(
    plan: Plan,
    geobox: GeoBox,
    groups: Groups,
    look: Bools | None,
    lost: _Lost,
    far: list[NDArray[np.uint16]],
) -> list[Bools]:
    """Return for each Scene bool (y, x), True where the mask leaves a pixel that is looked at.

    If the plan has a band for it, ``far`` gets the distances (y, x) from what the mask throws away.
    """
    measured = plan.read_bands != plan.bands

    def thrown(mask: Any, px: Pixels, place: _Place) -> Bools:
        found = apply(mask, px)
        if measured:
            far.append(place.of(distances(found & px.valid, px.resolution)))
        return place.of(found)

    nothing = np.zeros(geobox.shape, dtype=bool)
    kept = []
    for index, own in enumerate(_found(plan, geobox, groups, look, lost, thrown)):
        if own is None and measured:
            far.insert(index, nothing.astype(np.uint16))
        kept.append(nothing if own is None else np.logical_not(own, out=own))
    return kept if look is None else [own & look for own in kept]


def _found(
    plan: Plan,
    geobox: GeoBox,
    groups: Groups,
    look: Bools | None,
    lost: _Lost,
    how: Callable[[Any, Pixels, _Place], NDArray[Any]],
) -> list[NDArray[Any] | None]:
    """Return for each Scene what ``how`` makes of the mask and its pixels (y, x), None without data."""
    need = plan.need
    assert need is not None
    lattice = lattice_around(geobox, need.resolution, need.reach, plan.mask_crs)
    box = shapely.box(*lattice.extent.to_crs(crs_of(plan.grid), resolution=20_000).boundingbox.bbox)
    # A Scene without data in the window itself needs no mask.
    near = lost.without(plan.touching(box))
    seen = [around if own else () for own, around in zip(groups, near, strict=True)]
    coding = plan.coding_of(need.bands, "float32")
    place = _Place(lattice, geobox)
    around = None if look is None else [place.under(look, need.reach / need.resolution)] * len(seen)
    owners = np.zeros((len(seen), *lattice.shape), dtype=np.uint8) if sun_wanted(plan.mask) else None
    codes = _mosaic(plan, seen, need.bands, lattice, around, lost, owners)
    found: list[NDArray[Any] | None] = []
    for index, (scene, granules, own) in enumerate(zip(plan.scenes, seen, codes, strict=True)):
        if granules:
            with timed("masking"):
                px = _pixels(scene, need.bands, own, coding, lattice)
                if owners is not None:
                    px = replace(px, suns=tuple(granule.sun for granule in granules), sun_of=owners[index])
                found.append(how(plan.mask, px, place))
        else:
            found.append(None)
    return found


class _Place:
    """Where the pixels of a window lie in the lattice of a mask."""

    def __init__(self, lattice: GeoBox, geobox: GeoBox) -> None:
        rows, columns = pixel_coordinates(lattice, geobox)
        self.shape = height, width = int(lattice.shape[0]), int(lattice.shape[1])
        self.rows = np.floor(rows + 1e-6).astype(np.intp).clip(0, height - 1)
        self.columns = np.floor(columns + 1e-6).astype(np.intp).clip(0, width - 1)
        self.separable = self.rows.shape[1] == 1 and self.columns.shape[0] == 1

    def of(self, found: NDArray[Any]) -> NDArray[Any]:
        """Return what is known of the mask's pixels at the window's, as an array of its own."""
        if self.separable:  # columns first: a mask's rows are fewer, and whole rows are quick
            return np.asarray(found.take(self.columns[0], axis=1).take(self.rows[:, 0], axis=0))
        return np.asarray(found[self.rows, self.columns])

    def under(self, look: Bools, reach: float) -> Bools:
        """Return the mask's pixels that decide over the window's, with ``reach`` pixels around them."""
        rows, columns = np.nonzero(look)
        places = (self.rows[rows, 0], self.columns[0, columns]) if self.separable else (
            self.rows[rows, columns], self.columns[rows, columns])  # fmt: skip
        found = np.zeros(self.shape, dtype=bool)
        found[places] = True
        return maximum_filter(found, 2 * math.ceil(reach) + 1) if reach else found


def _pixels(
    scene: Scene, bands: tuple[str, ...], codes: NDArray[Any], coding: Coding, geobox: GeoBox
) -> Pixels:
    named = {}
    for index, band in enumerate(bands):
        if BANDS[band].kind == "class":
            named[band] = codes[index].astype(np.uint8, copy=False)
        else:
            named[band] = coding.layer(codes[index], index)
    return Pixels(
        named, geobox, scene.sun_azimuth, scene.sun_elevation, scene.id, scene.platform,
        scene.baseline, scene.time.replace(tzinfo=None),
    )  # fmt: skip


def _mosaic(
    plan: Plan,
    groups: Groups,
    bands: tuple[str, ...],
    geobox: GeoBox,
    keep: list[Bools] | None,
    lost: _Lost,
    owners: NDArray[np.uint8] | None = None,
) -> NDArray[Any]:
    """Return codes (time, band, y, x): of each Scene's granules the first valid one, where kept.

    A granule is valid where all its reflectance bands have data. In rounds: the first granules of
    all Scenes at once, then the second ones where the first had nothing, and so on. ``owners`` (time,
    y, x) is told which granule a pixel is of.
    """
    if not bands:  # a mask that looks at no band
        return np.zeros((len(groups), 0, *geobox.shape), dtype=np.uint8)
    coding = plan.coding_of(bands, plan.dtype)
    every = np.ones(geobox.shape, dtype=bool)
    left = list(keep) if keep is not None else [every] * len(groups)
    block: NDArray[Any] | None = None
    for place in range(max((len(group) for group in groups), default=0)):
        firsts = [group[place] if len(group) > place else None for group in groups]
        if not any(g is not None and r.any() for g, r in zip(firsts, left, strict=True)):
            continue
        numbers = _wide_enough(_load(plan, firsts, bands, geobox, left, lost), firsts, bands, coding)
        for index, granule in enumerate(firsts):
            if granule is None or not left[index].any():
                _blank(numbers[index], bands)
                continue
            filled = _coded(numbers[index], granule, bands, coding, left[index])
            if owners is not None:
                owners[index][filled] = place
            if len(groups[index]) > place + 1:
                left[index] = left[index] & ~filled
        block = numbers if block is None else _joined(block, numbers)
    shape = (len(groups), len(bands), *geobox.shape)
    return np.zeros(shape, dtype=np.uint8) if block is None else block


def _load(
    plan: Plan,
    granules: Sequence[Granule | None],
    bands: tuple[str, ...],
    geobox: GeoBox,
    wanted: list[Bools],
    lost: _Lost,
) -> NDArray[Any]:
    """Return digital numbers (time, band, y, x) of one granule per Scene."""
    sources, looks, nothing = [], [], np.zeros(geobox.shape, dtype=bool)
    for granule, wants in zip(granules, wanted, strict=True):
        for band in bands:
            source = None if granule is None else granule.every_source.get(band)
            absent = replace(_NOTHING, nodata=BANDS[band].nodata)
            sources.append(absent if source is None else _resampled(source, plan.resampling))
            looks.append(nothing if source is None else wants)
    with timed("reading"):
        numbers = lost.load(plan.loader, granules, sources, geobox, looks)
    return numbers.reshape(len(granules), len(bands), *geobox.shape)


def _wide_enough(
    numbers: NDArray[Any], granules: Sequence[Granule | None], bands: tuple[str, ...], coding: Coding
) -> NDArray[Any]:
    """Widen the numbers in the rare case that a code would not fit: bright pixels, mixed offsets."""
    if numbers.dtype != np.uint16:
        return numbers
    for own, granule in zip(numbers, granules, strict=True):
        for layer, band, bias in zip(own, bands, coding.biases, strict=True):
            shift = 0 if granule is None else round(granule.every_offset.get(band, 0.0)) + bias
            if BANDS[band].kind == "reflectance" and shift and layer.max() > 65535 - shift:
                return numbers.astype(np.int32)
    return numbers


def _resampled(source: Source, resampling: Any) -> Source:
    if source.resampling != "auto" or resampling == "auto":
        return source
    return replace(source, resampling=resampling)


def _coded(
    numbers: NDArray[Any], granule: Granule, bands: tuple[str, ...], coding: Coding, wanted: Bools
) -> Bools:
    """Turn digital numbers (band, y, x) into codes in place; return where they are valid."""
    # What a mask looks at beside the Item may be missing; then the others decide.
    present = [band in granule.every_source for band in bands]
    kinds = [own and BANDS[band].kind == "reflectance" for band, own in zip(bands, present, strict=True)]
    deciding = kinds if any(kinds) else present
    valid = wanted.copy()
    for layer, band, decides in zip(numbers, bands, deciding, strict=True):
        if decides:
            np.logical_and(valid, layer != BANDS[band].nodata, out=valid)
    factor = valid.astype(numbers.dtype)  # a factor of bool would be cast band by band, ten times slower
    for index, band in enumerate(bands):
        layer, nodata = numbers[index], BANDS[band].nodata
        if not present[index]:
            layer[...] = 0
            continue
        if nodata:
            layer[layer == nodata] = np.array(-1).astype(layer.dtype)  # + 1 makes it 0
        shift = round(granule.every_offset.get(band, 0.0)) + coding.biases[index]
        if shift:
            np.add(layer, np.asarray(shift).astype(layer.dtype), out=layer)
        np.multiply(layer, factor, out=layer)
    return valid


def _blank(numbers: NDArray[Any], bands: tuple[str, ...]) -> None:
    """Make digital numbers that were not wanted 0; the loader gave their no data, mostly 0 already."""
    for layer, band in zip(numbers, bands, strict=True):
        if BANDS[band].nodata:
            layer[...] = 0


def _joined(block: NDArray[Any], numbers: NDArray[Any]) -> NDArray[Any]:
    """Fill what the earlier granules left; both are 0 where they have nothing."""
    block = block.astype(np.result_type(block, numbers), copy=False)
    for have, new in zip(block, numbers, strict=True):
        if new.any():
            np.bitwise_or(have, new, out=have)
    return block
