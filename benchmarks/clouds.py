"""How well masks find clouds where the truth is known: ``python -m benchmarks.clouds``.

The sample world with the usual faults of the scene classification; a pixel of 20 m is cloud where
cumulus or cirrus hangs over any part of it. All dates together.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import numpy as np

import eocube as eo
from eocube.masks.s2cloudless import MODEL_BANDS
from eocube.sample.spectra import REFLECTANCE

BEGIN, END = "<!-- python -m benchmarks.clouds -->", "<!-- end -->"


def masks(l1c: Any) -> dict[str, Any]:
    """Return what is compared, by name."""
    scl = eo.SCLMask("cloud_medium", "cloud_high", "cirrus")
    low = eo.SCLMask("unclassified", "cloud_medium", "cloud_high", "cirrus")
    cloudless, plain = eo.S2Cloudless(l1c), eo.S2Cloudless(l1c, average_over=0, dilation_size=0)
    return {
        "SCL 8, 9, 10": scl,
        "SCL 8, 9, 10, grown by 60 m": scl.dilate(metres=60),
        "S2Cloudless, pixel by pixel": plain,
        "S2Cloudless (4 and 2 px of 60 m)": cloudless,
        "S2Cloudless at 20 m (240 and 120 m)": eo.S2Cloudless(
            l1c, average_over=240, dilation_size=120, unit="metres", resolution=20
        ),
        "SCL or S2Cloudless": scl | cloudless,
        "SCL or S2Cloudless pixel by pixel": scl | plain,
        "SCL or S2Cloudless pixel by pixel, grown by 60 m": (scl | plain).dilate(metres=60),
        "SCL and S2Cloudless": scl & cloudless,
        "SCL with 7, and S2Cloudless": low & cloudless,
    }


def scores(thrown: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Return precision, recall, F1 of cloud, and the share of clear pixels that are kept."""
    hits = float((thrown & truth).sum())
    precision, recall = hits / max(1, thrown.sum()), hits / max(1, truth.sum())
    kept = float((~thrown & ~truth).sum()) / max(1, (~truth).sum())
    both = 2 * precision * recall / max(1e-12, precision + recall)
    return {"precision": precision, "recall": recall, "F1": both, "clear kept": kept}


def measure(world: Any) -> dict[str, dict[str, float]]:
    """Return the scores of all masks in one world."""
    items, l1c = eo.search(world.items_path), eo.search(world.l1c())
    grid = world.grid.zoom_out(2)
    bare = eo.load(items, grid, bands="red").compute()
    seen = np.isfinite(bare.values[:, 0])
    days = [str(day)[:10] for day in bare.time.values]
    truth = np.stack([world.cloud_on(grid, day) | world.cirrus_on(grid, day) for day in days])
    found = {}
    for name, mask in masks(l1c).items():
        cube = eo.load(items, grid, bands="red", mask=mask).compute()
        thrown = np.isnan(cube.values[:, 0])
        found[name] = scores(thrown[seen], truth[seen])
    found["S2Cloudless fed with Level-2A (refused)"] = scores(_on_level_2a(items, grid)[seen], truth[seen])
    return found


def _on_level_2a(items: Any, grid: Any) -> np.ndarray:
    """Return the mask that the model makes of surface reflectance, band 10 being 0."""
    bands = [band for band in MODEL_BANDS if band != "cirrus"]
    cube = eo.load(items, grid.zoom_out(3), bands=bands).compute()
    mask, every = eo.S2Cloudless(on_missing="skip_mask"), []
    for scene in cube:
        layers = {band: scene.sel(band=band).values for band in bands}
        layers["cirrus"] = np.where(np.isnan(layers["blue"]), np.nan, np.float32(0))
        every.append(mask(eo.Pixels(layers, grid.zoom_out(3))))
    rows, columns = grid.shape
    return np.stack(every).repeat(3, axis=1).repeat(3, axis=2)[:, :rows, :columns]


def table(found: Mapping[str, Mapping[str, float]]) -> str:
    """Return the scores as a table of Markdown."""
    names = ["precision", "recall", "F1", "clear kept"]
    lines = ["| cloud and cirrus | " + " | ".join(names) + " |", "|---|" + "---:|" * len(names)]
    lines += [
        f"| {mask} | " + " | ".join(f"{own[name]:.3f}" for name in names) + " |"
        for mask, own in found.items()
    ]
    return "\n".join(lines)


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.option("--size", default=240, help="Pixels of 10 m along a tile.")
@click.option("--dates", default=12)
@click.option("--docs", type=click.Path(path_type=Path), help="Page whose table is replaced.")
def main(size: int, dates: int, docs: Path | None) -> None:
    """Compare masks of cloud with the truth of the sample world."""
    with tempfile.TemporaryDirectory() as folder:
        world = eo.sample.write(
            Path(folder) / "w", size=size, dates=dates, bands=[*REFLECTANCE, "scl"], scl_faults=True
        )
        text = table(measure(world))
    click.echo(text)
    if docs is not None:
        new = f"{BEGIN}\n\n{text}\n\n{END}"
        docs.write_text(re.sub(f"{BEGIN}.*?{END}", lambda _: new, docs.read_text(), flags=re.S))


if __name__ == "__main__":
    main()
