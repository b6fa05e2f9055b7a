"""One table of all that was measured, Markdown and JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from .runner import Row
from .variants import VARIANTS
from .workloads import WORKLOADS

Column = tuple[str, Callable[[Row, Row], str]]


def write(found: dict[str, Any], out: Path) -> tuple[Path, Path]:
    """Write ``benchmarks.md`` and ``benchmarks.json`` into a folder; return their paths."""
    out.mkdir(parents=True, exist_ok=True)
    markdown, raw = out / "benchmarks.md", out / "benchmarks.json"
    markdown.write_text(as_markdown(found))
    raw.write_text(json.dumps(as_json(found), indent=1))
    return markdown, raw


def as_json(found: dict[str, Any]) -> dict[str, Any]:
    """Return what was found as plain values: medians, ratios, and every round."""
    rows = {
        name: [
            {
                "variant": row.variant, "note": row.note, "output": row.equal, "rounds": row.rounds,
                "seconds": row.median("seconds"), "graph": row.median("graph"), "peak": row.median("peak"),
                "cpu": row.median("cpu"),
                "fetched": row.median("fetched"), "requests": row.median("requests"),
                "tasks": row.median("tasks"), "ratio": ratio(row, part[0], "seconds"),
                "peak_ratio": ratio(row, part[0], "peak"),
            }
            for row in part
        ]
        for name, part in found["rows"].items()
    }  # fmt: skip
    return {**found, "rows": rows}


def as_markdown(found: dict[str, Any]) -> str:
    """Return the whole table as Markdown."""
    machine = found["machine"]
    lines = [
        f"Measured {found['when']}, {machine['cores']} cores ({machine['model'] or 'unknown'}), "
        f"{machine['memory']}; load average {found['load'][0][0]:.1f} before, "
        f"{found['load'][1][0]:.1f} after; up to {found['rounds']} rounds, loader "
        f"{found['loader']}{', QUICK: the numbers mean nothing' if found['quick'] else ''}.",
        "",
        ", ".join(f"{name} {version}" for name, version in found["versions"].items()) + ".",
    ]
    for name, rows in found["rows"].items():
        workload = WORKLOADS[name]
        columns = _COLUMNS[workload.task]
        lines += ["", f"### {name}. {workload.title}", ""]
        lines += _table([title for title, _ in columns], [_cells(row, rows[0], columns) for row in rows])
        lines += _notes(rows)
    return "\n".join(lines) + "\n"


def ratio(row: Row, ours: Row, key: str) -> float | None:
    """Return how many times ours a number is."""
    mine, theirs = ours.median(key), row.median(key)
    return theirs / mine if mine and theirs is not None else None


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    def line(cells: Sequence[str]) -> str:
        return f"| {' | '.join(cells)} |"

    return [line(titles), line(["---"] + ["---:"] * (len(titles) - 2) + ["---"]), *map(line, rows)]


def _cells(row: Row, ours: Row, columns: Sequence[Column]) -> list[str]:
    label = VARIANTS[row.variant].label if row.variant in VARIANTS else "only decoding the needed blocks"
    cells = [cell(row, ours) for _, cell in columns[1:]]
    if row.note:
        cells = ["-"] * (len(cells) - 1) + [row.note.replace("|", "/")]
    return [label, *cells]


def _notes(rows: Sequence[Row]) -> list[str]:
    """Return the lines below a table."""
    ours = rows[0]
    lines = [""]
    decoding = next((row for row in rows if row.variant == "decode"), None)
    if decoding is not None and decoding.rounds and ours.rounds:
        times = ratio(ours, decoding, "seconds")
        lines.append(f"Compute over decoding the needed blocks: {times:.2f}.")
    first = ours.rounds[0] if ours.rounds else {}
    if "task_bytes" in first:
        lines.append(
            f"eocube's plan: {first['items']} Items, {first['scenes']} scenes, {first['chunks']} chunks of "
            f"{first['chunk']} px, {first['task_bytes'] / 1e6:.0f} MB per task."
        )
    return lines if len(lines) > 1 else []


def _seconds(row: Row, _: Row) -> str:
    values = [answer["seconds"] for answer in row.rounds]
    if not values:
        return "-"
    spread = f" ({min(values):.2f}-{max(values):.2f})" if len(values) > 1 else ""
    return f"{row.median('seconds'):.2f}{spread}"


def _times(key: str) -> Callable[[Row, Row], str]:
    def cell(row: Row, ours: Row) -> str:
        found = ratio(row, ours, key)
        return "-" if found is None else f"{found:.2f}"

    return cell


def _number(key: str, unit: float = 1, digits: int = 0) -> Callable[[Row, Row], str]:
    def cell(row: Row, _: Row) -> str:
        found = row.median(key)
        return "-" if found is None else f"{found / unit:,.{digits}f}"

    return cell


def _label(row: Row, _: Row) -> str:
    return row.variant


def _output(row: Row, _: Row) -> str:
    return row.equal or "-"


def _per_chunk(row: Row, _: Row) -> str:
    tasks, chunks = row.median("tasks"), row.median("chunks")
    return f"{tasks / chunks:,.2f}" if tasks and chunks else "-"


_PIXELS: tuple[Column, ...] = (
    ("variant", _label), ("compute s", _seconds), ("times ours", _times("seconds")),
    ("CPU s", _number("cpu", digits=2)), ("graph s", _number("graph", digits=2)),
    ("peak RSS MB", _number("peak", 1e6)), ("times ours", _times("peak")),
    ("MB fetched", _number("fetched", 1e6)),
    ("requests", _number("requests")), ("tasks", _number("tasks")), ("output", _output),
)  # fmt: skip
_GRAPHS: tuple[Column, ...] = (
    ("variant", _label), ("graph and optimise s", _seconds), ("times ours", _times("seconds")),
    ("peak RSS MB", _number("peak", 1e6)), ("times ours", _times("peak")), ("tasks", _number("tasks")),
    ("tasks per chunk", _per_chunk), ("pickled MB", _number("pickled", 1e6, 2)),
    ("pickling s", _number("pickle_seconds", digits=2)), ("remark", _output),
)  # fmt: skip
_COLUMNS = {"median": _PIXELS, "zonal": _PIXELS, "graph": _GRAPHS, "region": _GRAPHS}
