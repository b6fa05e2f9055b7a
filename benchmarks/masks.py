"""How right masks are, and the median mosaic under each: ``python -m benchmarks.masks``.

On the made-up world, which knows its clouds, shadows and ground. With ``--docs`` the table of a page is
replaced.
"""

from __future__ import annotations

import json
import logging
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.logging import RichHandler

import eocube as eo
from eocube.comparisons import compare_masks
from eocube.masks import Mask
from eocube.sample import World

BEGIN, END = "<!-- python -m benchmarks.masks -->", "<!-- end -->"
BANDS = ("red", "green", "blue", "nir")
_log = logging.getLogger("benchmarks.masks")


@eo.mask(bands=["scl"])
def nothing(px: eo.Pixels) -> Any:
    """Throw nothing away."""
    return np.zeros(px.shape, dtype=bool)


def oracle_of(world: World) -> Mask:
    """Return the mask that knows the truth: what is left under it is the mosaic's own error."""

    @eo.mask(bands=["scl"], resolution=10)
    def truth(px: eo.Pixels) -> Any:
        return world.classes_on(px.geobox, px.time) > 0

    return truth


def masks_for(world: World, ukis: bool = True) -> dict[str, Mask]:
    """Return the masks of the table by name. A new mask is one more line."""
    found: dict[str, Mask] = {
        "no mask": nothing,
        "SCL": eo.SCLMask(),
        "SCL strict": eo.SCLMask("strict"),
        "SCL snow": eo.SCLMask("snow"),
        "SCL, 20 m wider": eo.SCLMask().dilate(metres=20),
        "SCL, 60 m wider": eo.SCLMask().dilate(metres=60),
        "SCL strict, 20 m wider": eo.SCLMask("strict").dilate(metres=20),
        "SCL strict, 60 m wider": eo.SCLMask("strict").dilate(metres=60),
    }
    cloudless = eo.S2Cloudless(l1c=eo.search(world.l1c()))
    pixels = eo.S2Cloudless(l1c=eo.search(world.l1c()), average_over=1, dilation_size=1)
    strict = eo.SCLMask("strict")
    found |= {
        "S2Cloudless": cloudless,
        "S2Cloudless, Earth Engine's shadows": eo.ProjectedShadow(of=cloudless, preset="gee"),
        "S2Cloudless, cordmaur's shadows": eo.ProjectedShadow(of=cloudless, preset="cordmaur"),
        "S2Cloudless, its shadows": cloudless | eo.ProjectedShadow(of=cloudless),
        "SCL, its shadows": eo.SCLMask() | eo.ProjectedShadow(of=eo.SCLMask()),
        "SCL strict, its shadows": strict | eo.ProjectedShadow(of=strict),
        "SCL strict or S2Cloudless pixel by pixel": strict | pixels,
        "the same, and its shadows": strict | pixels | eo.ProjectedShadow(of=strict | pixels),
        "2 of SCL strict, SCL 60 m wider, S2Cloudless": eo.vote(
            strict, eo.SCLMask().dilate(metres=60), cloudless, at_least=2
        ),
    }
    if ukis:
        network = eo.UkisCSMask(resolution=20)  # at 30 m a tile of the network is wider than the world
        found |= {
            "ukis": network,
            "SCL or ukis": eo.SCLMask() | network,
            "2 of SCL strict, SCL 60 m wider, ukis": eo.vote(
                eo.SCLMask("strict"), eo.SCLMask().dilate(metres=60), network, at_least=2
            ),
        }
    return found | {"the truth": oracle_of(world)}


def measure(world: World, masks: Mapping[str, Mask]) -> dict[str, dict[str, float]]:
    """Return for each mask its scores, the error of the median, and the share of pixels without one.

    Where a mask leaves no observation, the median without a mask is taken: else a mask would be praised
    for leaving out what is difficult.
    """
    items = eo.search(world.items_path)
    words = {re.sub(r"\W+", "_", name): name for name in masks}
    scores = compare_masks(
        items, world.grid, {word: masks[name] for word, name in words.items()},
        truth=lambda box, scene: world.classes_on(box, scene.time), memory="8GB",
    )  # fmt: skip
    days = [str(scene.date) for scene in world.scenes]
    ground = np.nanmedian([world.clear_on(world.grid, day, BANDS) for day in days], axis=0)
    unmasked = eo.composite(eo.load(items, world.grid, bands=BANDS), eo.Median(), count=False).values
    found = {}
    for word, name in words.items():
        own = scores.sel(mask=word)
        row = {"clear": float((own.clear * scores.observed).sum() / scores.observed.sum())}
        for kind in ("cloud", "shadow"):
            for score in ("precision", "recall", "f1", "iou"):
                row[f"{kind} {score}"] = float(own[score].sel(kind=kind))
        cube = eo.load(items, world.grid, bands=BANDS, mask=masks[name])
        best = eo.composite(cube, eo.Median(), count=False).compute()
        error = np.where(np.isnan(best.values), unmasked, best.values) - ground
        row["rmse"] = float(np.sqrt(np.nanmean(error**2)))
        row["empty"] = float(np.isnan(best.values).any(axis=0).mean())
        found[name] = row
        _log.info("%s: %s", name, row)
    return found


def mean_of(every: list[dict[str, dict[str, float]]]) -> dict[str, dict[str, float]]:
    """Return the mean over worlds."""
    return {
        name: {key: float(np.mean([own[name][key] for own in every])) for key in row}
        for name, row in every[0].items()
    }


def table(found: Mapping[str, Mapping[str, float]]) -> str:
    """Return the figures as a table of Markdown."""
    lines = [
        "| mask | clear | cloud: precision / recall / F1 / IoU | shadow: precision / recall / F1 / IoU "
        "| error of the median | pixels without data |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for name, row in found.items():
        kinds = [
            " / ".join(_share(row[f"{kind} {score}"]) for score in ("precision", "recall", "f1", "iou"))
            for kind in ("cloud", "shadow")
        ]
        cells = [name, f"{row['clear']:.0%}", *kinds, f"{row['rmse']:.4f}", f"{row['empty']:.2%}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _share(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.2f}"


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.option("--seeds", type=click.IntRange(1), default=1, help="Made-up worlds.")
@click.option("--size", default=240, help="Pixels of 10 m along a side of their tiles.")
@click.option("--ukis/--no-ukis", default=True, help="With ukis-csmask, which takes most of the time.")
@click.option("--docs", type=click.Path(path_type=Path), help="Page whose table is replaced.")
@click.option("--out", type=click.Path(path_type=Path), help="Keep the figures as JSON.")
def main(seeds: int, size: int, ukis: bool, docs: Path | None, out: Path | None) -> None:
    """Judge masks on made-up worlds whose classification has the usual faults."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s", handlers=[RichHandler(show_path=False)])
    _log.setLevel(logging.INFO)
    every = []
    for seed in range(seeds):
        with tempfile.TemporaryDirectory() as folder:
            world = eo.sample.write(Path(folder) / "world", seed=seed, size=size, scl_faults=True)
            every.append(measure(world, masks_for(world, ukis)))
    found = mean_of(every)
    click.echo(table(found))
    if out:
        out.write_text(json.dumps(found, indent=1))
    if docs:
        new = f"{BEGIN}\n\n{table(found)}\n\n{END}"
        docs.write_text(re.sub(f"{BEGIN}.*?{END}", lambda _: new, docs.read_text(), flags=re.S))


if __name__ == "__main__":
    main()
