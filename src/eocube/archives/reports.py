"""The report of an archive: one page of HTML that needs no network and no other file."""

from __future__ import annotations

import re
import shlex
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.resources import files
from statistics import median
from typing import Any

from ..htmls import Html, escaped, folded, page, pairs
from ..runs import duration, size
from .maps import DONE, drawing, legend, percent
from .recipes import Recipe

WORST, SLOWEST, SHOWN = 25, 10, 40
"""Rows of the tables of the smallest good shares and of the slowest cells; failed cells named unfolded."""

Row = Mapping[str, Any]


def causes(rows: Iterable[Row]) -> list[tuple[str, list[str]]]:
    """Group the failed cells by cause: the same words, whatever the file, address, cell or number.

    Returns
    -------
    list of (cause, cells)
        The cause as the first of its cells tells it; most cells first.

    Examples
    --------
    >>> rows = [{"cell": cell, "state": "failed", "why": f"ReadError: B04 of S2A_{cell}: 403"}
    ...         for cell in ("32TQT", "33TTN")]
    >>> causes(rows)
    [('ReadError: B04 of S2A_32TQT: 403', ['32TQT', '33TTN'])]
    """
    found: dict[str, tuple[str, list[str]]] = {}
    for row in rows:
        if row["state"] == "failed":
            why = str(row["why"])
            key = re.sub(r"\S*[\d/]\S*", "#", why)
            found.setdefault(key, (why, []))[1].append(row["cell"])
    return sorted(found.values(), key=lambda group: (-len(group[1]), group[0]))


def summary(recipe: Recipe, place: object, rows: Sequence[Row]) -> str:
    """Return what a notebook shows of an archive: a few lines and a small map."""
    states = Counter(row["state"] for row in rows)
    goods = [row["good"] or 0.0 for row in rows if row["state"] == "done"]
    order = ("done", "running", "planned", "empty", "failed")
    lines: list[tuple[str, object]] = [
        ("place", place),
        ("period", recipe.period),
        ("cells", f"{len(rows):,}: " + ", ".join(f"{states[s]:,} {s}" for s in order if states[s])),
    ]
    if goods:
        lines.append(("good", f"{percent(sum(goods) / len(goods))}, {percent(min(goods))} in the worst cell"))
    lines.append(("recipe", f"{recipe.hash[:12]}: {recipe.reducer}, {recipe.mask}"))
    small = drawing(rows, titles=len(rows) <= 500, size="height:300px;max-width:100%")
    return page(f"eocube.Archive {recipe.name}", pairs(lines), small, _key(rows))


def report(recipe: Recipe, place: object, rows: Sequence[Row], when: datetime | None = None) -> str:
    """Return the page.

    Parameters
    ----------
    recipe, place, rows
        Of the archive; rows as the ledger gives them.
    when : datetime, optional
        What the page says of its own time. Default: now.
    """
    title = recipe.title or recipe.name
    own = files(__package__) / "web"
    now = (when or datetime.now(UTC)).strftime("%Y-%m-%d %H:%M UTC")
    parts = [
        f"<header><h1>{escaped(title)}</h1><p>{escaped(recipe.description)}</p><p class='quiet'>"
        f"{escaped(recipe.period)} · {escaped(place)} · written {now}</p></header>",
        _numbers(rows),
        _section("Map", _map(rows)),
        _section("Good share", _shares(rows)),
        _section("Failed, by cause", _failures(rows, place)),
        '<div class="two">',
        _section("Smallest good share", _worst(rows, place)),
        _section("Slowest cells", _slowest(rows)),
        "</div>",
        _section("At work", _running(rows)),
        _section("Recipe", _recipe(recipe)),
    ]
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escaped(title)}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{(own / 'report.css').read_text('utf-8')}</style></head>\n"
        f"<body><main>{''.join(parts)}</main>\n"
        f"<script>{(own / 'report.js').read_text('utf-8')}</script></body></html>\n"
    )


def _section(title: str, inside: str) -> str:
    return f"<section><h2>{title}</h2>{inside}</section>" if inside else ""


def _table(heads: Mapping[str, bool], rows: Iterable[Sequence[object]]) -> str:
    """Return a table; heads say whether a column holds numbers."""
    kinds = [' class="n"' if number else "" for number in heads.values()]
    top = "".join(f"<th{kind}>{escaped(head)}</th>" for head, kind in zip(heads, kinds, strict=True))
    body = "".join(
        f"<tr>{''.join(f'<td{k}>{escaped(cell)}</td>' for cell, k in zip(row, kinds, strict=True))}</tr>"
        for row in rows
    )
    return f'<div class="wide"><table><tr>{top}</tr>{body}</table></div>'


def _numbers(rows: Sequence[Row]) -> str:
    """Return the large figures."""
    states = Counter(row["state"] for row in rows)
    done = [row for row in rows if row["state"] == "done"]
    boxes = [(f"{states['done']:,} of {len(rows):,}", "cells done")]
    boxes += [(f"{states[s]:,}", s) for s in ("running", "planned", "empty", "failed") if states[s]]
    if done:
        goods = [row["good"] or 0.0 for row in done]
        times = [row["seconds"] for row in done]
        read, busy = sum(row["read_bytes"] for row in done), sum(times)
        boxes += [
            (percent(sum(goods) / len(goods)), f"good on average, {percent(min(goods))} in the worst cell"),
            (size(read), f"read in {sum(row['requests'] for row in done):,} requests"),
            (f"{size(read / busy if busy else 0)}/s", "read while a cell is being made"),
            (duration(median(times)), f"per cell (median), {duration(busy)} in all"),
        ]
        if states["planned"]:
            left = busy / len(done) * states["planned"]
            boxes.append((duration(left), "left for one runner, at the mean so far"))
    inside = "".join(f"<div><b>{escaped(big)}</b><span>{escaped(small)}</span></div>" for big, small in boxes)
    return f'<div class="figures">{inside}</div>{_when(rows)}'


def _when(rows: Sequence[Row]) -> str:
    """Return when it was at work, by the clocks of those who were."""
    started = [row["started"] for row in rows if row["started"]]
    ended = [row["ended"] for row in rows if row["ended"]]
    if not started:
        return ""
    until = f"; the last one that is over ended {_moment(max(ended))}" if ended else ""
    return f'<p class="quiet">The first of these cells was begun {_moment(min(started))}{until}.</p>'


def _moment(text: str) -> str:
    """Return a time of the ledger for people: UTC, to the minute."""
    return escaped(str(text)[:16].replace("T", " ")) + " UTC"


def _key(rows: Iterable[Row]) -> Html:
    """Return the legend, of what is there."""
    parts = []
    for shade, count in legend(rows).items():
        if count:
            name = f"good {shade.name}" if shade in DONE else shade.name
            parts.append(
                '<span style="white-space:nowrap;margin-right:1em"><span style="display:inline-block;'
                f'width:.8em;height:.8em;background:{shade.colour}"></span> {name}: {count:,}</span> '
            )
    return Html(f'<div style="font-size:90%;line-height:1.7">{"".join(parts)}</div>')


def _map(rows: Sequence[Row]) -> str:
    if not rows:
        return ""
    tools = (
        '<div class="tools" hidden><label>Cell <input id="find" size="8" placeholder="33TWM" '
        'autocomplete="off"></label> <button id="in" title="nearer">+</button>'
        '<button id="out" title="farther">&minus;</button><button id="all">all</button></div>'
    )
    hint = "Point at a cell, or tap it, to see what became of it."
    return f'{tools}<div id="map">{drawing(rows)}</div><output id="said">{hint}</output>{_key(rows)}'


def _shares(rows: Sequence[Row]) -> str:
    """Return how many of the done cells have which good share."""
    done = [row for row in rows if row["state"] == "done"]
    counts = legend(done)
    most = max((counts[shade] for shade in DONE), default=0)
    if not most:
        return ""
    body = "".join(
        f"<tr><td>{shade.name}</td><td class='bar'><i style='width:{100 * counts[shade] / most:.2f}%;"
        f"background:{shade.colour}'></i></td><td class='n'>{counts[shade]:,}</td>"
        f"<td class='n'>{percent(counts[shade] / len(done))}</td></tr>"
        for shade in DONE
    )
    without = sum(not row["good"] for row in done)
    note = f"<p>{without:,} of these cells have no pixel with data.</p>" if without else ""
    return (
        "<p>Share of a cell's pixels that have data, of the cells that are done. What lies outside all "
        f"passes counts as without.</p><table class='bars'>{body}</table>{note}"
    )


def _command(place: object, words: str) -> str:
    return f"<pre>eocube archive run --out {escaped(shlex.quote(str(place)))} {words}</pre>"


def _failures(rows: Sequence[Row], place: object) -> str:
    groups = causes(rows)
    if not groups:
        return ""
    parts = []
    for why, cells in groups:
        named = Html(f'<p class="cells">{escaped(", ".join(cells))}</p>')
        kind, _, rest = why.partition(": ")
        count = f"{len(cells):,} cell{'s' * (len(cells) != 1)}"
        parts.append(
            f'<div class="cause"><p><b>{count}</b> <code>{escaped(kind)}</code> {escaped(rest)}</p>'
            f"{named if len(cells) <= SHOWN else folded('which', named)}</div>"
        )
    return "".join(parts) + "<p>To make them again:</p>" + _command(place, "--retry-failed")


def _worst(rows: Sequence[Row], place: object) -> str:
    """Return the cells that the ladder may fill."""
    below = [row for row in rows if row["state"] == "done" and (row["good"] or 0.0) < 1.0]
    below.sort(key=lambda row: (row["good"] or 0.0, row["cell"]))
    if not below:
        return ""
    heads = {"cell": False, "good": True, "scenes": True, "by the ladder": False}
    table = _table(heads, (
        (row["cell"], percent(row["good"] or 0.0), row["scenes"], "yes" if row["relaxed"] else "no")
        for row in below[:WORST]
    ))  # fmt: skip
    open_ = sum((row["good"] or 0.0) < 0.9 and not row["relaxed"] for row in below)
    more = f"<p>and {len(below) - WORST:,} more below 100%</p>" if len(below) > WORST else ""
    note = (
        f"<p>{open_:,} cells are below 90% and were not made by the ladder yet. To make these again by it:"
        f"</p>{_command(place, '--only-below good=0.9 --relax')}"
    )
    return table + more + (note if open_ else "")


def _slowest(rows: Sequence[Row]) -> str:
    over = [row for row in rows if row["state"] in ("done", "failed") and row["seconds"]]
    over.sort(key=lambda row: (-row["seconds"], row["cell"]))
    if not over:
        return ""
    heads = {"cell": False, "state": False, "time": True, "read": True, "requests": True, "scenes": True,
             "tries": True}  # fmt: skip
    return _table(heads, (
        (row["cell"], row["state"], duration(row["seconds"]), size(row["read_bytes"]),
         f"{row['requests']:,}", row["scenes"], row["attempts"])
        for row in over[:SLOWEST]
    ))  # fmt: skip


def _running(rows: Sequence[Row]) -> str:
    held: dict[tuple[Any, ...], list[str]] = defaultdict(list)
    for row in rows:
        if row["state"] == "running":
            said = f"{row['cell']} (since {_moment(row['started'])}, try {row['attempts']})"
            held[row["host"], row["pid"]].append(said)
    if not held:
        return ""
    heads = {"machine": False, "process": True, "cells": False}
    note = "<p>By the ledger. If a runner is gone, the next one takes its cell over.</p>"
    return note + _table(heads, ((*who, ", ".join(cells)) for who, cells in sorted(held.items())))


def _recipe(recipe: Recipe) -> str:
    said = {name: value for name, value in recipe.as_dict().items() if value not in (None, [], "")}
    cells = said.pop("cells", [])
    lines: list[tuple[str, object]] = [("hash (SHA-256)", recipe.hash)]
    for name, value in said.items():
        texts = [str(part).lower() if isinstance(part, bool) else str(part)
                 for part in (value if isinstance(value, list) else [value])]  # fmt: skip
        lines.append((name, ", ".join(texts)))
    lines.append(("cells by name", f"{len(cells):,}"))
    return f'<div class="wide">{pairs(lines)}</div>'
