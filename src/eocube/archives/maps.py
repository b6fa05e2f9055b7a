"""The map of an archive: its cells as one drawing (SVG), coloured by state and good share.

There are no tiles and no coastlines in it: it needs neither a network nor a script.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import Transformer

from ..htmls import Html, escaped
from ..tiles import tile_grid

SQUARE = 100_000.0
"""Side of an MGRS square in metres: what a tile has beyond it also belongs to its neighbours."""

STRIPS = {"31V": (0, 3), "32V": (3, 12), "31X": (0, 9), "33X": (9, 21), "35X": (21, 33), "37X": (33, 42)}
"""Degrees of the zones of Norway and Svalbard, which are no strips of 6 degrees (NGA.STND.0037)."""

SIDE = 1000.0
"""Units along the longer side of the drawing."""

LEAST = 6.0
"""Degrees that the drawing spans at least."""


@dataclass(frozen=True)
class Shade:
    """How cells of one kind are shown.

    Attributes
    ----------
    name : str
        For a legend.
    colour : str
    least : float
        Of done cells: the smallest good share.
    """

    name: str
    colour: str
    least: float = 0.0


# Six steps of viridis, which those who see fewer colours can tell apart, too.
DONE = (
    Shade("99% and more", "#3b528b", 0.99),
    Shade("95 to 99%", "#2c728e", 0.95),
    Shade("90 to 95%", "#21918c", 0.9),
    Shade("80 to 90%", "#3fbc73", 0.8),
    Shade("50 to 80%", "#a5db36", 0.5),
    Shade("below 50%", "#fde725"),
)
OTHERS = {
    "planned": Shade("planned", "#d0d0d0"),
    "running": Shade("running", "#e78ac3"),
    "empty": Shade("empty", "#8c8c8c"),
    "failed": Shade("failed", "#d7301f"),
}


def shade_of(row: Mapping[str, Any]) -> Shade:
    """Return how a row of the ledger is shown."""
    if row["state"] != "done":
        return OTHERS[row["state"]]
    good = row["good"] or 0.0
    return next(shade for shade in DONE if good >= shade.least)


def outlines(cells: Sequence[str]) -> list[NDArray[np.float64]]:
    """Return the corners of cells on a map: (corner, 2), degrees east and Mercator's degrees north.

    They are the MGRS squares, cut at the borders of their UTM zones, so that no cell covers another. Cells on
    both sides of the antimeridian lie beside each other, beyond 180 degrees if need be.
    """
    corners = np.empty((len(cells), 4, 2))
    zones: dict[str, list[int]] = defaultdict(list)
    for index, cell in enumerate(cells):
        grid = tile_grid(cell, 60)
        left, top = grid.affine.c, grid.affine.f
        corners[index] = [
            (left, top), (left + SQUARE, top), (left + SQUARE, top - SQUARE), (left, top - SQUARE),
        ]  # fmt: skip
        zones[str(grid.crs)].append(index)
    for crs, own in zones.items():
        lon, lat = Transformer.from_crs(crs, "EPSG:4326", always_xy=True).transform(*corners[own].T)
        corners[own, :, 0] = np.transpose(lon)
        corners[own, :, 1] = np.degrees(np.arcsinh(np.tan(np.radians(np.transpose(lat)))))
    middles = np.array([int(cell[:2]) * 6.0 - 183 for cell in cells])
    corners[..., 0] = middles[:, None] + (corners[..., 0] - middles[:, None] + 180) % 360 - 180
    around = np.unique(middles % 360)
    gaps = np.diff(around, append=around[:1] + 360)
    # The map begins east of the widest stretch without cells; of those alike, at the antimeridian.
    first = int(np.searchsorted(around, 180)) % len(around)
    widest = first - 1 if gaps[first - 1] == gaps.max() else int(gaps.argmax())
    start = around[(widest + 1) % len(around)]
    start -= 360 if start > 180 else 0
    turns = (middles - start) % 360 + start - middles
    return [
        np.add(_cut(ring, *STRIPS.get(cell[:3], (middle - 3, middle + 3))), (turn, 0))
        for cell, ring, middle, turn in zip(cells, corners, middles, turns, strict=True)
    ]


def _cut(ring: NDArray[np.float64], west: float, east: float) -> NDArray[np.float64]:
    part = shapely.clip_by_rect(shapely.Polygon(ring), west, -200, east, 200)
    return shapely.get_coordinates(part)[:-1] if part.area > 0 else ring


def drawing(rows: Sequence[Mapping[str, Any]], *, titles: bool = True, size: str = "") -> Html:
    """Draw the cells of an archive.

    Parameters
    ----------
    rows : sequence of mapping
        Of the ledger.
    titles : bool
        Whether cells say what they are when they are pointed at; without them the drawing is smaller.
    size : str
        Of the drawing, in the words of CSS. Default: as wide as the page, three quarters as high.

    Returns
    -------
    Html
        An ``<svg>``, at most 1000 units wide and high; with titles each cell is a ``<path data-c="33TWM">``.
    """
    if not rows:
        return Html("")
    rings = outlines([row["cell"] for row in rows])
    west, south, east, north = shapely.total_bounds(shapely.multipoints(np.concatenate(rings)))
    wide, high = (max(1.1 * (b - a), LEAST) for a, b in ((west, east), (south, north)))
    wide, high = max(wide, high / 2), max(high, wide / 2.5)  # no ribbons
    west, north = (west + east - wide) / 2, (south + north + high) / 2
    per = SIDE / max(wide, high)
    groups: dict[Shade, list[str]] = defaultdict(list)
    for row, corners in zip(rows, rings, strict=True):
        places = np.round((corners - (west, north)) * (per, -per), 2 if titles else 1)
        ring = "M" + " ".join(f"{value:g}" for value in places.ravel()) + "Z"
        if titles:
            said = f"<title>{escaped(said_of(row))}</title>"
            ring = f'<path data-c="{escaped(row["cell"])}" d="{ring}">{said}</path>'
        groups[shade_of(row)].append(ring)
    every = (*OTHERS.values(), *DONE)
    order = sorted(groups, key=lambda shade: (shade.name == "failed", every.index(shade)))  # failed: on top
    parts = {shade: "".join(groups[shade]) for shade in order}
    if not titles:
        parts = {shade: f'<path d="{rings}"></path>' for shade, rings in parts.items()}
    body = "".join(f'<g fill="{shade.colour}">{part}</g>' for shade, part in parts.items())
    line = 0.6 if len(rows) < 3000 else 0.25
    box = f"0 0 {wide * per:g} {high * per:g}"
    return Html(
        f'<svg viewBox="{box}" role="img" aria-label="Map of {len(rows)} cells" '
        f'style="{size or "width:100%;max-height:75vh"};display:block" font-family="sans-serif">'
        f'<g stroke="#888" stroke-opacity=".35" stroke-width="1">{_net(west, north, wide, high, per)}</g>'
        f'<g class="cells" stroke="#fff" stroke-width="{line}" stroke-linejoin="round">{body}</g></svg>'
    )


def _net(west: float, north: float, wide: float, high: float, per: float) -> str:
    """Return meridians and parallels with their degrees: at most eight of each."""
    step = next(s for s in (1, 2, 5, 10, 20, 30, 60) if max(wide, high) / s <= 8 or s == 60)
    fixed = 'vector-effect="non-scaling-stroke"'
    text = 'stroke="none" fill="#888" font-size="22"'
    parts = []
    for lon in range(math.ceil(west / step) * step, math.floor(west + wide) + 1, step):
        x = (lon - west) * per
        parts.append(f'<path {fixed} d="M{x:.1f} 0V{high * per:.1f}"/>')
        said = _degrees((lon + 180) % 360 - 180, "E", "W")
        parts.append(f'<text {text} x="{x + 3:.1f}" y="{high * per - 6:.1f}">{said}</text>')
    for lat in range(-80, 86, step if 80 % step == 0 else 20):
        y = (north - math.degrees(math.asinh(math.tan(math.radians(lat))))) * per
        if 24 < y < high * per:  # where its label has room
            parts.append(f'<path {fixed} d="M0 {y:.1f}H{wide * per:.1f}"/>')
            parts.append(f'<text {text} x="4" y="{y - 4:.1f}">{_degrees(lat, "N", "S")}</text>')
    return "".join(parts)


def _degrees(value: int, plus: str, minus: str) -> str:
    return f"{abs(value)}°{plus if value > 0 else minus if value < 0 else ''}"


def said_of(row: Mapping[str, Any]) -> str:
    """Return a row of the ledger in one line."""
    words = [f"{row['cell']}: {row['state']}"]
    if row["state"] == "done":
        words.append(f"good {percent(row['good'])}{' by the ladder' if row['relaxed'] else ''}")
        words.append(f"{row['scenes']} scenes, {row['seconds']:,.0f} s")
    if row.get("why"):
        words.append(str(row["why"])[:200])
    return ", ".join(words)


def percent(share: float | None) -> str:
    """Return a share for people; less than all is never 100%, more than nothing never 0%.

    Examples
    --------
    >>> percent(0.98765), percent(0.99999), percent(1.0), percent(0.0001)
    ('98.8%', '99.9%', '100%', '0.1%')
    """
    if share is None or share != share:
        return ""
    if share in (0.0, 1.0):
        return f"{share:.0%}"
    return f"{min(max(100 * share, 0.1), 99.9):.1f}%"


def legend(rows: Iterable[Mapping[str, Any]]) -> dict[Shade, int]:
    """Return how many cells are shown in which way: those done first, from the best down."""
    counts = dict.fromkeys((*DONE, *OTHERS.values()), 0)
    for row in rows:
        counts[shade_of(row)] += 1
    return counts
