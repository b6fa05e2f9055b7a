"""A global year on paper, from the measured coefficients: ``python -m benchmarks.global_year``.

Each MGRS cell is a job of its own: the 16 best scenes of a year, 12 bands, each band on its own grid
(three plans: 10, 20 and 60 m), masked by SCL.
"""

from __future__ import annotations

import math

import click

from eocube.counts import BLOCK, PACKED
from eocube.estimates import COEFFICIENTS

CELLS, SCENES = 21_000, 16
BANDS = {10: 4, 20: 6, 60: 2}
"""Reflectance bands by resolution: B02 B03 B04 B08; B05 B06 B07 B8A B11 B12; B01 B09."""

SCL = 5490
"""Rows and columns of SCL: 36 blocks, which each plan fetches."""


def of_a_cell() -> dict[str, float]:
    """Return what the model counts in a cell, all three plans together; bytes and requests besides."""
    found = dict.fromkeys((*COEFFICIENTS, "bytes", "requests"), 0.0)
    for resolution, bands in BANDS.items():
        size = 109_800 // resolution
        chunks = math.ceil(size / BLOCK) ** 2
        found["tasks"] += chunks
        found["decoded"] += SCENES * bands * size**2 / 1e6
        found["values"] += SCENES * bands * size**2 / 1e6
        found["bytes"] += SCENES * (bands * size**2 * 2 * PACKED["reflectance"] + SCL**2 * PACKED["class"])
        found["requests"] += SCENES * (bands * chunks + 36 + bands + 1)
    found["remote"] = found["bytes"] / 1e9
    return found


@click.command(context_settings={"show_default": True})
@click.option("--bandwidth", default=75e6, help="Bytes per second and core that a network gives.")
@click.option("--cores", default=1000)
@click.option("--price", default=0.05, help="Of a core-hour.")
@click.option("--read", default=0.5e15, help="Bytes read, if a file weighs what the archive says.")
def main(bandwidth: float, cores: int, price: float, read: float) -> None:
    """Print the table."""
    cell = of_a_cell()
    work = sum(factor * cell[name] for name, factor in COEFFICIENTS.items())
    lines = [("of one cell", ""), ("tasks", f"{cell['tasks']:,.0f}")]
    lines += [("pixels decoded", f"{cell['decoded'] / 1e3:,.1f} billion")]
    lines += [("processor time", f"{work:,.0f} s")]
    lines += [("read", f"{cell['bytes'] / 1e9:,.1f} GB"), ("requests", f"{cell['requests']:,.0f}")]
    lines += [("of all cells", ""), ("tasks", f"{CELLS * cell['tasks'] / 1e6:,.1f} million")]
    lines += [("requests", f"{CELLS * cell['requests'] / 1e6:,.0f} million")]
    for name, size in (("as this archive packs", CELLS * cell["bytes"]), ("half a petabyte", read)):
        busy = CELLS * work / 3600
        waiting = size / bandwidth / 3600
        hours = max(busy, waiting)
        limit = "network" if waiting > busy else "processors"
        lines += [
            (f"{name}: read", f"{size / 1e12:,.0f} TB"),
            (f"{name}: core-hours of work", f"{busy:,.0f}"),
            (f"{name}: core-hours paid", f"{hours:,.0f} (the {limit} decides)"),
            (f"{name}: {cores} cores", f"{hours / cores:,.1f} h, {size * cores / hours / 3600e9:,.0f} GB/s, "
             f"{CELLS * cell['requests'] * cores / hours / 3600:,.0f} requests/s"),
            (f"{name}: money", f"{hours * price:,.0f} (core-hours)"),
        ]  # fmt: skip
    click.echo("| | |\n|---|---|\n" + "\n".join(f"| {word} | {meaning} |" for word, meaning in lines))


if __name__ == "__main__":
    main()
