"""How often the pixel check of the offset is right: ``python -m benchmarks.offsets``.

Made-up landscapes with many seeds, seasons and skies, and real scenes where there are some; each
with the offset in the pixels and without, at full resolution and as overviews.
"""

from __future__ import annotations

import json
import logging
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
import numpy as np
import rasterio
from numpy.typing import NDArray
from rich.logging import RichHandler

from eocube.evidence import Finding, agree, judge
from eocube.sample.passes import calendar, granules
from eocube.sample.rendering import render
from eocube.sample.spectra import LANDSCAPES

BEGIN, END = "<!-- python -m benchmarks.offsets -->", "<!-- end -->"
SIZE = 240
OVERVIEWS = (("full", 1, False), ("nearest", 3, False), ("average", 3, True))
_log = logging.getLogger("benchmarks.offsets")

Pixels = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Case:
    """One set of files and what is true of it."""

    group: str
    name: str
    carried: bool
    pixels: Pixels


def sampled(landscape: str, seeds: int) -> Iterator[Case]:
    """Yield made-up granules: another landscape, day, sky and error of correction for each seed."""
    for seed in range(seeds):
        rng = np.random.default_rng([seed, list(LANDSCAPES).index(landscape)])
        flight = calendar(seed, 140)[int(rng.integers(140))]
        granule = next(g for g in granules((flight,), "earth-search") if g.tile == 0)
        bias = float(rng.uniform(-0.015, 0.03))
        made = replace(granule, carried=1000, bias=bias)
        pixels = render(made, seed, SIZE, ("red", "blue", "scl"), bool(seed % 2), landscape).pixels
        scl = pixels["scl"].repeat(2, axis=0).repeat(2, axis=1)
        yield Case(landscape, f"{seed} {flight.date}", True, {**pixels, "scl": scl})
        bare = {band: _without(layer) for band, layer in pixels.items() if band != "scl"}
        yield Case(landscape, f"{seed} {flight.date}", False, {**bare, "scl": scl})


def _without(layer: NDArray[Any]) -> NDArray[Any]:
    """Take the offset off as archives do: what is valid stays valid, at 1 or more."""
    return np.where(layer > 0, np.maximum(layer.astype(np.int32) - 1000, 1), 0).astype(np.uint16)


def real(folder: Path) -> Iterator[Case]:
    """Yield real scenes without the offset and with it, whole and in 64 parts."""
    files = sorted(folder.glob("l2a_33T_2023-08/*/B04.tif"))
    files += sorted(folder.glob("multires_scenes/**/*29RKH*/B04.tif"))
    for file in files:
        names = {"red": "B04.tif", "blue": "B02.tif", "scl": "SCL.tif"}
        pixels = {band: _read(file.with_name(name)) for band, name in names.items()}
        shape = min(layer.shape for layer in pixels.values())
        pixels = {band: layer[:: layer.shape[0] // shape[0], :: layer.shape[1] // shape[1]]
                  for band, layer in pixels.items()}  # fmt: skip
        place = "real Sahara" if "29RKH" in str(file) else "real Alps"
        for carried in (False, True):
            ours = {band: _carrying(layer) if carried and band != "scl" else layer
                    for band, layer in pixels.items()}  # fmt: skip
            yield Case(place, file.parent.name, carried, ours)
            step = shape[0] // 8
            for row in range(8):
                for column in range(8):
                    part = slice(row * step, (row + 1) * step), slice(column * step, (column + 1) * step)
                    cut = {band: layer[part] for band, layer in ours.items()}
                    if (cut["red"] > 0).mean() > 0.05:
                        yield Case(f"{place}, parts", f"{file.parent.name} {row} {column}", carried, cut)


def _read(path: Path) -> NDArray[Any]:
    with rasterio.open(path) as file:
        return np.asarray(file.read(1))


def _carrying(layer: NDArray[Any]) -> NDArray[Any]:
    return np.where(layer > 0, layer.astype(np.uint32) + 1000, 0).astype(np.uint16)


def overview(layer: NDArray[Any], times: int, averaged: bool) -> NDArray[Any]:
    """Return an overview; averages are over valid pixels, of classes over their codes."""
    rows, columns = (size // times * times for size in layer.shape)
    blocks = layer[:rows, :columns].reshape(rows // times, times, columns // times, times)
    if not averaged:
        return blocks[:, times // 2, :, times // 2]
    total = blocks.sum(axis=(1, 3), dtype=np.float64)
    return np.rint(total / np.maximum((blocks > 0).sum(axis=(1, 3)), 1)).astype(layer.dtype)


def found(pixels: Pixels, times: int, averaged: bool) -> Finding:
    """Judge as eocube does: red, and blue where red says that the offset is in."""
    small = {band: overview(layer, times, averaged) for band, layer in pixels.items()}
    red = judge(small["red"], small["scl"])
    return agree(red, judge(small["blue"], small["scl"], "blue")) if red.state == "in" else red


def measure(cases: Iterator[Case]) -> dict[str, Counter[str]]:
    """Count right, undecided and wrong decisions."""
    counts: dict[str, Counter[str]] = {}
    for case in cases:
        for way, times, averaged in OVERVIEWS:
            result = found(case.pixels, times, averaged)
            truth = "in" if case.carried else "gone"
            word = "right" if result.state == truth else result.state
            if word not in ("right", "undecided"):
                word = "wrong"
                _log.warning("wrong: %s %s %s %s: %s", case.group, case.name, way, truth, result)
            counts.setdefault(case.group, Counter())[f"{truth} {word}"] += 1
    return counts


def table(counts: dict[str, Counter[str]]) -> str:
    """Return the figures as a table of Markdown."""
    lines = [
        "| scenes | decisions | wrong | offset gone: told / undecided | offset in: told / undecided |",
        "|---|---:|---:|---:|---:|",
    ]
    total: Counter[str] = Counter()
    for group, own in counts.items():
        total += own
        lines.append(_line(group, own))
    return "\n".join([*lines, _line("**all**", total)])


def _line(group: str, own: Counter[str]) -> str:
    wrong = own["in wrong"] + own["gone wrong"]
    parts = [f"{own[f'{truth} right']:,} / {own[f'{truth} undecided']:,}" for truth in ("gone", "in")]
    return f"| {group} | {sum(own.values()):,} | {wrong} | {parts[0]} | {parts[1]} |"


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.option("--seeds", type=click.IntRange(1), default=60, help="Made-up granules per landscape.")
@click.option("--real", "folder", type=click.Path(path_type=Path), help="Folder of real scenes.")
@click.option("--docs", type=click.Path(path_type=Path), help="Page whose table is replaced.")
@click.option("--out", type=click.Path(path_type=Path), help="Keep the counts as JSON.")
def main(seeds: int, folder: Path | None, docs: Path | None, out: Path | None) -> None:
    """Measure how often the pixel check is right, wrong and undecided."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s", handlers=[RichHandler(show_path=False)])
    counts: dict[str, Counter[str]] = {}
    for landscape in LANDSCAPES:
        counts |= measure(sampled(landscape, seeds))
    if folder is not None:
        counts |= measure(real(folder))
    text = table(counts)
    click.echo(text)
    if out is not None:
        out.write_text(json.dumps(counts, indent=1))
    if docs is not None:
        new = f"{BEGIN}\n\n{text}\n\n{END}"
        docs.write_text(re.sub(f"{BEGIN}.*?{END}", lambda _: new, docs.read_text(), flags=re.S))
    if any(own["in wrong"] + own["gone wrong"] for own in counts.values()):
        raise click.exceptions.Exit(1)


if __name__ == "__main__":
    main()
