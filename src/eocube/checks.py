"""Checks: whether pixels agree with what Items say of their offset.

The one place among the metadata rooms where pixels are looked at: one overview of red with SCL per
Item, through the loader of the plan, and only where the metadata are known to be unreliable (or
all are asked for). What was found is kept for the rest of the process.
"""

from __future__ import annotations

import inspect
import logging
import math
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, Literal

from odc.geo.geobox import GeoBox

from .catalogs import BOA_FLAGS, Catalog
from .errors import EocubeError, EocubeWarning, InputError, OffsetUncheckedWarning, OffsetWarning, shorten
from .evidence import Finding, agree, judge
from .granules import Granule, granule_of
from .items import layout_of
from .loaders.base import Loader, Source
from .scenes import Scene
from .sentinel2 import BOA_ADD_OFFSET, OFFSET_BASELINE, QUANTIFICATION

Verify = Literal["auto"] | bool

PIXELS = "pixels"
"""What ``Granule.reasons`` says where the pixels decided."""

_BANDS = ("red", "blue", "scl")
_LARGEST = 360
"""Rows and columns of what is looked at: a thirty-second of a real tile, 320 m."""

_AT_ONCE = 16
_BROKEN = (EocubeError, OSError, ValueError, LookupError, RuntimeError)
_log = logging.getLogger(__name__)
_seen: dict[tuple[str, str], Finding] = {}


def check_verify(verify: object) -> None:
    """Refuse what is neither "auto" nor a bool.

    Raises
    ------
    InputError
        Says what is possible.
    """
    if verify != "auto" and not isinstance(verify, bool):
        raise InputError(
            f"verify_offset={verify!r} is not known. Choose of: 'auto' (where Items are known to be "
            "unreliable), True (all), False (none)."
        )


def is_doubtful(granule: Granule, layout: Catalog) -> bool:
    """Whether what an Item says of its offset is known to be unreliable.

    Parameters
    ----------
    granule : Granule
        What was read from the Item.
    layout : Catalog
        By which rule.

    Returns
    -------
    bool
        True where Earth Search says of baseline 04.00 or later that the offset was NOT applied, or
        says nothing (Element84/earth-search#66, #71, cirrus-geo/cirrus-earth-search#33: it often
        was); where an Item states an offset that its baseline should not have, or none where it
        should; and where nothing says the baseline.
    """
    flagged = any(reason in BOA_FLAGS for reason in granule.reasons.values())
    if not granule.offsets or flagged:
        return False
    if not granule.baseline:
        return True
    late = granule.baseline >= OFFSET_BASELINE
    if layout.offsets == "baseline":
        return False
    if layout.offsets == "boa_flag":
        return late
    return any(late != (offset != 0) for offset in granule.offsets.values())


def look(record: Mapping[str, Any], loader: Loader) -> Finding:
    """Look at the pixels of one Item.

    Parameters
    ----------
    record : mapping
        A STAC Item with absolute hrefs.
    loader : Loader
        Reads the overviews.

    Returns
    -------
    Finding
        Undecided also where the Item lacks red or does not state its grid.

    Raises
    ------
    ReadError
        If an overview cannot be read.
    """
    granule = granule_of(record, _BANDS, layout_of(record))
    red, scl, blue = (granule.sources.get(band) for band in ("red", "scl", "blue"))
    if red is None or red.grid is None:
        return Finding("undecided", "no red, or the Item does not state its grid")
    scale, offset = granule.scales["red"], granule.offsets["red"]
    if offset not in (0, BOA_ADD_OFFSET) or not math.isclose(scale, 1 / QUANTIFICATION):
        return Finding("undecided", f"an offset of {offset:g} at a scale of {scale:g} leaves other traces")
    key = red.href, scl.href if scl else ""
    if key not in _seen:
        _seen[key] = _judged(red, scl, blue, _overview(red.grid), loader)
    return _seen[key]


def forget() -> None:
    """Forget what was found, so that files are looked at again."""
    _seen.clear()


def _judged(red: Source, scl: Source | None, blue: Source | None, grid: GeoBox, loader: Loader) -> Finding:
    found = loader([_taken(source) for source in (red, scl) if source is not None], grid)
    classes = None if scl is None else found[1].astype("uint8")
    first = judge(found[0], classes)
    if first.state != "in":
        return first
    if blue is None:
        return Finding("undecided", f"{first.why}, but there is no blue to confirm it")
    return agree(first, judge(loader([_taken(blue)], grid)[0], classes, "blue"))


def _taken(source: Source) -> Source:
    """Return the source as it is looked at: any overview, no new averages."""
    return replace(source, resampling="nearest", overviews=True)


def _overview(grid: GeoBox) -> GeoBox:
    """Return the whole of a file's grid, halved until it is small."""
    times = 1
    while max(int(size) for size in grid.shape) / times > _LARGEST:
        times *= 2
    return grid.zoom_out(times) if times > 1 else grid


def findings(records: Iterable[Mapping[str, Any]], loader: Loader) -> list[Finding | str]:
    """Look at the pixels of many Items at once.

    Parameters
    ----------
    records : iterable of mapping
        STAC Items with absolute hrefs.
    loader : Loader
        Is called from several threads.

    Returns
    -------
    list of Finding or str
        In their order; the text of the error where an overview could not be read.
    """
    every = list(records)
    if not every:
        return []
    _log.info("looking at the pixels of %d Items for their offset", len(every))

    def one(record: Mapping[str, Any]) -> Finding | str:
        try:
            return look(record, loader)
        except _BROKEN as error:
            return str(error)

    with ThreadPoolExecutor(min(_AT_ONCE, len(every))) as pool:
        return list(pool.map(one, every))


def corrected(granule: Granule, found: Finding) -> Granule:
    """Return the Granule with the offset that its pixels have; itself where they agree.

    What red (and blue) show is taken for all bands: an archive treats them alike.
    """
    offsets = dict(granule.offsets)
    if found.state == "gone":
        offsets = dict.fromkeys(offsets, 0.0)
    elif found.state == "in":
        offsets = {band: offset or float(BOA_ADD_OFFSET) for band, offset in offsets.items()}
    decided = granule.assumed and found.state in ("gone", "in")
    if offsets == dict(granule.offsets) and not decided:
        return granule
    same = {band for band in offsets if offsets[band] == granule.offsets[band] and not decided}
    reasons = {band: granule.reasons.get(band, "") if band in same else PIXELS for band in offsets}
    return replace(granule, offsets=offsets, reasons=reasons, assumed=granule.assumed and not decided)


def said(granule: Granule) -> str:
    """Return what an Item says of its offset, and where: ``"-1000 (raster:bands of the Item)"``."""
    pairs = {(granule.offsets[band], granule.reasons.get(band, "")) for band in granule.offsets}
    return "; ".join(f"{offset:g} ({reason})" for offset, reason in sorted(pairs))


def offsets_of(used: Iterable[Iterable[Granule]]) -> str:
    """Say for a whole cube which offsets were applied, and by what: ``"0 (pixels): 2 Items; ..."``."""
    counts = Counter(said(granule) for own in used for granule in own)
    return "; ".join(f"{what}: {count} Items" for what, count in sorted(counts.items()))


def verified(
    scenes: tuple[Scene, ...], records: Iterable[Mapping[str, Any]], verify: Verify, loader: Loader
) -> tuple[Scene, ...]:
    """Return the Scenes with the offsets that the pixels show, and warn where metadata are wrong.

    Parameters
    ----------
    scenes : tuple of Scene
        Those that are on the grid.
    records : iterable of mapping
        Their Items, and others.
    verify : "auto" or bool
        Whether to look at doubtful Items, all, or none.
    loader : Loader
        Reads the overviews.

    Warns
    -----
    OffsetWarning
        Names the Items whose pixels contradict them.
    OffsetUncheckedWarning
        Names the Items whose overviews could not be read.
    """
    if verify is False:
        return scenes
    used = {granule.id: granule for scene in scenes for granule in scene.granules if granule.offsets}
    chosen = [
        record for record in records
        if record["id"] in used and (verify is True or is_doubtful(used[record["id"]], layout_of(record)))
    ]  # fmt: skip
    found = dict(zip((str(record["id"]) for record in chosen), findings(chosen, loader), strict=True))
    right = {
        name: granule for name, result in found.items() if isinstance(result, Finding)
        and (granule := corrected(used[name], result)) is not used[name]
    }  # fmt: skip
    _warn(used, right, found)
    if not right:
        return scenes
    return tuple(
        replace(scene, granules=tuple(right.get(granule.id, granule) for granule in scene.granules))
        for scene in scenes
    )


def warn_of_guesses(scenes: Iterable[Scene]) -> None:
    """Warn where an offset is a guess: the baseline decides, and neither Item nor pixels say it.

    Warns
    -----
    EocubeWarning
        Names the Items.
    """
    guessed = [granule.id for scene in scenes for granule in scene.granules if granule.assumed]
    if guessed:
        warnings.warn(
            f"{len(guessed)} Items say neither a processing baseline nor an offset: {shorten(guessed)}. They "
            "are taken as before baseline 04.00 (offset 0); if they are newer, reflectance is 0.1 too high. "
            "Add 's2:processing_baseline' to their properties, or say the rule by Catalog(..., offsets=...).",
            EocubeWarning,
            stacklevel=outside(),
        )


def _warn(
    used: Mapping[str, Granule], right: Mapping[str, Granule], found: Mapping[str, Finding | str]
) -> None:
    wrong = [
        f"{name} says {said(used[name])}, its pixels say {result.state!r} ({result.why})"
        for name, result in found.items()
        if name in right and right[name].offsets != used[name].offsets and isinstance(result, Finding)
    ]
    if wrong:
        warnings.warn(
            f"{len(wrong)} of {len(found)} Items that were looked at have another offset than they say; "
            f"the pixels are believed: {shorten(wrong, 10)}.",
            OffsetWarning,
            stacklevel=outside(),
        )
    unread = [f"{name}: {result}" for name, result in found.items() if isinstance(result, str)]
    if unread:
        warnings.warn(
            f"The offset of {len(unread)} Items could not be checked, what they say is believed: "
            f"{shorten(unread, 3)}",
            OffsetUncheckedWarning,
            stacklevel=outside(),
        )


def outside() -> int:
    """Return how far up the first caller outside of eocube is, as ``warnings.warn`` counts."""
    level, frame = 1, inspect.currentframe()
    while frame is not None and (frame := frame.f_back) is not None:
        if not frame.f_globals.get("__name__", "").startswith(f"{__package__}."):
            break
        level += 1
    return level
