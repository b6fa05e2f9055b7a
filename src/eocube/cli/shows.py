"""What the command line shows: tables and the summary of a run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..errors import shorten
from ..runs import duration, size

if TYPE_CHECKING:
    import pandas as pd
    import pystac

    from ..audits import Audit
    from ..plans import Plan

console = Console(soft_wrap=False)


def show_items(items: pystac.ItemCollection) -> None:
    """Print a table of Items."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("time (UTC)", "Item", "platform", "baseline", "cloud %"):
        table.add_column(name, justify="right" if name == "cloud %" else "left", overflow="fold")
    for item in items:
        cloud = item.properties.get("eo:cloud_cover")
        table.add_row(
            f"{item.datetime:%Y-%m-%d %H:%M}" if item.datetime else "",
            item.id,
            str(item.properties.get("platform", "")),
            str(item.properties.get("s2:processing_baseline", "")),
            "" if cloud is None else f"{cloud:.1f}",
        )
    console.print(table)
    console.print(f"{len(items)} Items")
    counts = items.extra_fields.get("eocube:found")
    if counts:
        left = len(items.extra_fields.get("eocube:dropped", ()))
        from_each = ", ".join(f"{count} from {name}" for name, count in counts.items())
        console.print(f"{from_each}; {left} of later catalogs left out, which earlier ones have")


def show_audit(found: Audit, *, why: bool = False) -> None:
    """Print what Items and their pixels say of the offset; and why, line by line."""
    from ..audits import COLUMNS

    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in COLUMNS[:-1]:
        table.add_column(name, justify="right" if name == "offset" else "left", overflow="fold",
                         no_wrap=name in ("item", "verdict"))  # fmt: skip
    for row in found.rows:
        cells = [f"{row.offset:g}" if name == "offset" else str(getattr(row, name)) for name in COLUMNS[:-1]]
        table.add_row(*(Text(cell) for cell in cells), style="red" if row.verdict == "contradicted" else None)
    console.print(table)
    for row in found.rows:
        if why or row.verdict == "contradicted":
            console.print(Text(f"{row.item}: {row.why}"), soft_wrap=True)
    console.print(Text(found.summary()))


def show_plan(plan: Plan) -> None:
    """Print a plan."""
    from ..descriptions import lines_of

    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold cyan")
    table.add_column(overflow="fold")
    for word, meaning in lines_of(plan):
        table.add_row(word, meaning)
    console.print(table)


def show_cells(table: pd.DataFrame) -> None:
    """Print what the cells of an archive will be made of."""
    if table.empty:
        console.print("0 cells: there is nothing to do")
        return
    shown = Table(box=None, header_style="bold", pad_edge=False)
    heads = {
        "cell": "cell", "state": "state", "items": "Items", "scenes": "scenes", "first": "first",
        "last": "last", "files": "files", "gigabytes": "to read", "hours": "time",
    }  # fmt: skip
    for name, head in heads.items():
        left = name in ("cell", "state", "first", "last")
        shown.add_column(head, justify="left" if left else "right", no_wrap=True)
    for row in table.to_dict("records"):
        row |= {"gigabytes": size(row["gigabytes"] * 1e9), "hours": _roughly(row["hours"])}
        row |= {name: f"{row[name]:,}" for name in ("items", "scenes", "files")}
        if row["scenes"] == "0":  # nothing will be read
            row |= dict.fromkeys(("files", "gigabytes", "hours"), "")
        shown.add_row(*(str(row[name]) for name in heads))
    console.print(shown)
    without = int((table["scenes"] == 0).sum())
    said = f"{len(table):,} cell{'s' * (len(table) != 1)}"
    said += f", {without:,} of them without scenes" if without else ""
    console.print(
        f"{said}: {table['scenes'].sum():,} scenes, about {size(table['gigabytes'].sum() * 1e9)} to read, "
        f"{_roughly(table['hours'].sum())} on this machine",
        soft_wrap=True, highlight=False,
    )  # fmt: skip


def _roughly(hours: float) -> str:
    return "< 1 s" if hours < 1 / 3600 else duration(hours * 3600)


def show_states(table: pd.DataFrame, *, cells: bool = False) -> None:
    """Print how far an archive is: cells by state, and why some failed."""
    from ..archives.maps import percent
    from ..archives.reports import causes

    counts = table["state"].value_counts()
    done = table[table["state"] == "done"]
    order = ("planned", "running", "done", "empty", "failed")
    lines = {name: f"{counts[name]:,}" for name in order if name in counts}
    if len(done):
        mean, least = (percent(float(share)) for share in (done["good"].mean(), done["good"].min()))
        lines["good"] = f"{mean} of all pixels, {least} of the worst cell"
        lines["read"] = f"{size(float(done['read_bytes'].sum()))} in {duration(float(done['seconds'].sum()))}"
    if cells:
        shown = Table(box=None, header_style="bold", pad_edge=False)
        heads = ("cell", "state", "good", "scenes", "read", "time", "tries", "")
        for head in heads:
            left = head in ("cell", "state", "")
            shown.add_column(head, justify="left" if left else "right", no_wrap=bool(head), overflow="fold")
        for row in table.to_dict("records"):
            over = row["state"] in ("done", "failed", "empty")
            words = (
                row["cell"], row["state"], percent(row["good"]), row["scenes"] or "",
                size(row["read_bytes"]) if row["read_bytes"] else "",
                duration(row["seconds"]) if over else "", row["attempts"] or "",
                "by the ladder" if row["relaxed"] else "",
            )  # fmt: skip
            shown.add_row(*(Text(str(word)) for word in words))
        console.print(shown)
    show_result(lines)
    for cause, own in causes([dict(row) for _, row in table.iterrows()]):
        said = f"{len(own):,} failed: {shorten(own, 8)}: {cause}"
        console.print(Text(said, style="red"), soft_wrap=True)


def show_result(lines: dict[str, str]) -> None:
    """Print what was made."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold green")
    table.add_column(overflow="fold")
    for word, meaning in lines.items():
        table.add_row(word, meaning)
    console.print(table)


def size_of(path: Path) -> str:
    """Return the size of a file, or of all files of a folder, for people."""
    files = path.rglob("*") if path.is_dir() else [path]
    count = sum(file.stat().st_size for file in files if file.is_file())
    return f"{count / 1e6:,.1f} MB" if count >= 1e6 else f"{count / 1e3:,.0f} kB"
