"""How a plan shows itself, as text and as HTML."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from .costs import task_bytes
from .counts import counts_of
from .errors import shorten
from .htmls import Html, folded, page, pairs, table
from .masks.nesting import sun_wanted
from .masks.shadows import followed
from .runs import size as bytes_of

if TYPE_CHECKING:
    from .granules import Granule
    from .plans import Plan


def lines_of(plan: Plan) -> list[tuple[str, str]]:
    """Return what a plan says of itself: pairs of a word and its meaning."""
    cost, grid, need = plan.cost, plan.grid, plan.need
    rows, columns = grid.shape
    unit = "degrees" if grid.crs is not None and grid.crs.geographic else "m"
    granules = sum(len(own) for own in plan.used)
    days = sorted({scene.day for scene in plan.scenes})
    units = "reflectance, NaN = no data" if plan.dtype == "float32" else "reflectance * 10000, 0 = no data"
    blocks = f"{cost.tasks} of {min(plan.chunk, columns)} x {min(plan.chunk, rows)} px, one task each"
    read = f"up to {bytes_of(cost.read_bytes)} to read"
    memory = f"about {cost.task_bytes / 1e6:,.0f} MB per task"
    if plan.chunk_reduced != plan.chunk:
        size = plan.chunk_reduced
        counts = counts_of(plan)
        blocks += f"; composites {counts.tasks} of {min(size, columns)} x {min(size, rows)} px"
        read += f", composites {bytes_of(counts.bytes)}"
        memory += f", composites {task_bytes(plan, size, reduced=True) / 1e6:,.0f} MB"
    found = [
        ("scenes", f"{len(plan.scenes)} from {granules} Items"),
        ("dates", f"{len(days)}, {days[0]} to {days[-1]}"),
        ("grid", f"{columns} x {rows} px of {grid.affine.a:g} {unit}, {grid.crs}"),
        ("bands", f"{', '.join(plan.bands)} ({plan.dtype}, {units})"),
        ("mask", "none"),
        ("chunks", blocks),
        ("files", f"{cost.files}, {read}"),
        ("memory", f"{memory} (limit {bytes_of(plan.memory)})"),
        ("loader", f"{_loader(plan)}, resampling {plan.resampling}"),
    ]
    if need is not None:
        rim = f"rim {need.reach:g} m ({cost.rim} px)" if need.reach else "no rim"
        found[4] = ("mask", f"{plan.mask!r} at {need.resolution:g} m, {rim}")
    if sun_wanted(plan.mask):
        found.append(("sun", _sun(plan)))
    corrected = [g.id for own in plan.used for g in own if "pixels" in g.reasons.values()]
    if corrected:
        found.append(("offset", f"by the pixels, not as the Items say: {shorten(corrected, 3)}"))
    if plan.dropped:
        found.append(("left out", f"twins: {shorten(map(str, plan.dropped), 3)}"))
    beside = [g.companion for own in plan.used for g in own if g.companion is not None]
    if beside:
        found.append(("beside", f"{len(beside)} Items have what the mask looks at: {_beside(beside)}"))
    if plan.unmasked:
        found.append(("unmasked", f"for want of what the mask looks at: {shorten(plan.unmasked, 3)}"))
    if plan.skipped:
        found.append(("skipped", f"missing assets: {shorten(plan.skipped, 3)}"))
    if plan.on_error == "skip":
        found.append(("on error", "a granule that cannot be read is no data there, and listed"))
    return found


def _sun(plan: Plan) -> str:
    """Say how high the sun stands, and which shadows are too long to be followed."""
    every = [granule.sun_elevation for own in plan.used for granule in own]
    low, high = min(every), max(every)
    height = followed(plan.mask, low)
    bound = f"; shadows of clouds above {height:,.0f} m are followed in part" if height < math.inf else ""
    return f"{low:.1f} to {high:.1f} degrees above the horizon{bound}"


def as_text(plan: Plan) -> str:
    """Return the text form."""
    body = "\n".join(f"  {word:<10}{meaning}" for word, meaning in lines_of(plan))
    return f"<eocube.Plan>\n{body}"


def as_html(plan: Plan) -> str:
    """Return the form for notebooks."""
    head = ("time (UTC)", "platform", "baseline", "offset", "Items")
    rows = (
        (f"{scene.time:%Y-%m-%d %H:%M}", scene.platform, scene.baseline, f"{scene.offset:g}",
         ", ".join(granule.id for granule in own))
        for scene, own in zip(plan.scenes, plan.used, strict=True)
    )  # fmt: skip
    parts = [pairs(lines_of(plan)), folded(f"{len(plan.scenes)} scenes", table(head, rows, len(plan.scenes)))]
    if plan.dropped:
        parts.append(folded(f"{len(plan.dropped)} left out", Html(plan.dropped._repr_html_())))
    return page("eocube.Plan", *parts)


def _beside(granules: list[Granule]) -> str:
    """Say what was joined: ``"l1c of S2A_33TTN_20210612_0_L1C, ..."``."""
    bands = [band for granule in granules for band in granule.sources]
    prefixes = sorted({band.partition(":")[0].partition("-")[0] for band in bands})
    return f"{', '.join(prefixes)} of {shorten((granule.id for granule in granules), 2)}"


def _loader(plan: Plan) -> str:
    """Name the loader; one that leaves some files to another says which."""
    describe = getattr(plan.loader, "describe", None)
    if describe is None:
        return repr(plan.loader)
    granules = [granule for own in plan.used for granule in own]
    return str(describe([source for granule in granules for source in granule.every_source.values()]))
