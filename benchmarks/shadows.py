"""How good projected shadows are, how quick, and how they look: ``python -m benchmarks.shadows``.

The made-up world knows its shadows. Of real scenes there is only what Sen2Cor calls a shadow (SCL 3),
which is itself often wrong.
"""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import rasterio
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from rich.logging import RichHandler

import eocube as eo
from eocube.angles import parse_angles
from eocube.masks.algebra import apply
from eocube.masks.rays import moved, ray
from eocube.pixels import Pixels
from eocube.sample.frames import make_tiles
from eocube.sample.passes import calendar, granules
from eocube.sample.rendering import render
from eocube.suns import Sun, patches

SIZE = 720
MARGIN = 110
"""Pixels of 20 m (2.2 km): nearer to the edge of the made-up world, clouds beyond it may cast shadows."""

CLOUDS = eo.SCLMask("cloud_medium", "cloud_high")
KINDS = {
    "default": eo.ProjectedShadow(of=CLOUDS),
    'preset="dark"': eo.ProjectedShadow(of=CLOUDS, preset="dark"),
    'preset="gee"': eo.ProjectedShadow(of=CLOUDS, preset="gee"),
    'preset="cordmaur"': eo.ProjectedShadow(of=CLOUDS, preset="cordmaur"),
}
_log = logging.getLogger("benchmarks.shadows")

Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Case:
    """A granule, what is true or said of its shadows, and where that counts."""

    group: str
    px: Pixels
    truth: Bools
    where: Bools


def sampled(landscape: str, seeds: int) -> Iterator[Case]:
    """Yield the granules of the made-up world's main tile, at 20 m, with clouds but not overcast."""
    for seed in range(seeds):
        for made in granules(calendar(seed, 12), "earth-search"):
            if made.tile or made.bias or made.flight.cloud >= 1:
                continue
            found = render(made, seed, SIZE, ("nir", "scl"), False, landscape)
            truth = {kind: _parts(own).any(axis=(1, 3)) for kind, own in found.truth.items()}
            nir = (_parts(found.pixels["nir"]).mean(axis=(1, 3)) - made.carried) / 10_000
            nir[truth["nodata"]] = np.nan
            box = make_tiles(SIZE)[0].geobox(20)
            px = Pixels({"nir": nir.astype(np.float32), "scl": found.pixels["scl"]}, box, *made.flight.sun())
            where = ~truth["cloud"] & ~truth["nodata"]
            where[:MARGIN], where[-MARGIN:], where[:, :MARGIN], where[:, -MARGIN:] = (False,) * 4
            yield Case(f"made-up, {landscape}", px, truth["shadow"], where)


def _parts(layer: NDArray[Any]) -> NDArray[Any]:
    return layer.reshape(SIZE // 2, 2, SIZE // 2, 2)


def real(folder: Path) -> Iterator[Case]:
    """Yield real granules; the truth is SCL 3."""
    for own in sorted(folder.glob("l2a_33T_2023-08/S2*"), key=lambda path: (path.name[10:], path.name)):
        said = json.loads((own / f"{own.name}.json").read_text())["properties"]
        nir, box = _read(own / "B08.tif")
        scl, _ = _read(own / "SCL.tif")
        bands = {"nir": np.where(nir > 0, nir / 10_000, np.nan).astype(np.float32), "scl": scl}
        sun = Sun(
            said["view:sun_azimuth"], said["view:sun_elevation"],
            parse_angles((own / "granule_metadata.xml").read_bytes()),
        )  # fmt: skip
        px = Pixels(bands, box, sun.azimuth, sun.elevation, own.name, suns=(sun,))
        seen = (nir > 0) & (scl > 0) & (scl < 12)
        date = f"{own.name[10:14]}-{own.name[14:16]}-{own.name[16:18]}"
        yield Case(date, px, scl == 3, seen & ~np.isin(scl, (8, 9, 10)))


def _read(path: Path) -> tuple[NDArray[Any], GeoBox]:
    with rasterio.open(path) as file:
        return file.read(1), GeoBox(file.shape, file.transform, str(file.crs))


Counts = dict[str, dict[str, NDArray[np.int64]]]


def measure(cases: Iterator[Case]) -> tuple[Counts, dict[str, NDArray[np.float64]]]:
    """Count, per group and mask, hits, true and found pixels; per group cloud, shadow and all pixels."""
    counts: Counts = {}
    shares: dict[str, NDArray[np.float64]] = {}
    for case in cases:
        own = counts.setdefault(case.group, {name: np.zeros(3, np.int64) for name in KINDS})
        for name, mask in KINDS.items():
            found = apply(mask, case.px) & case.where
            own[name] += (found & case.truth).sum(), (case.truth & case.where).sum(), found.sum()
        cloud, seen = apply(CLOUDS, case.px) & case.px.valid, case.px.valid
        shares.setdefault(case.group, np.zeros(3))
        shares[case.group] += cloud.sum(), (case.truth & case.where).sum(), seen.sum()
    return counts, shares


def table(counts: Counts, shares: dict[str, NDArray[np.float64]]) -> str:
    """Return recall, precision and F1 as a table of Markdown."""
    head = " | ".join(f"`{name}`" if "=" in name else name for name in KINDS)
    lines = [f"| | cloud | shadow | {head} |", "|---|---:|---:|" + "---|" * len(KINDS)]
    for group, own in counts.items():
        cloud, shadow, seen = shares[group]
        cells = " | ".join(_scores(*own[name]) for name in KINDS)
        lines.append(f"| {group} | {cloud / seen:.0%} | {shadow / seen:.1%} | {cells} |")
    return "\n".join(lines)


def _scores(hit: int, true: int, found: int) -> str:
    recall, precision = hit / max(true, 1), hit / max(found, 1)
    return f"{recall:.2f} / {precision:.2f} / **{2 * hit / max(true + found, 1):.2f}**"


def _total(counts: Counts, shares: dict[str, NDArray[np.float64]], name: str) -> None:
    """Add a line of all groups."""
    if counts:
        counts[name] = {kind: sum(own[kind] for own in counts.values()) for kind in KINDS}  # type: ignore[misc]
        shares[name] = sum(shares.values())  # type: ignore[assignment]


@click.group(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
def main() -> None:
    """Measure projected shadows."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s", handlers=[RichHandler(show_path=False)])
    _log.setLevel(logging.INFO)


@main.command()
@click.option("--seeds", type=click.IntRange(1), default=3, help="Made-up years per landscape.")
@click.option("--real", "folder", type=click.Path(path_type=Path), help="Folder of real scenes.")
@click.option("--docs", type=click.Path(path_type=Path), help="Page whose tables are replaced.")
def tables(seeds: int, folder: Path | None, docs: Path | None) -> None:
    """Recall / precision / F1 against the truth of the made-up world, and against SCL of real scenes."""
    made: tuple[Counts, dict[str, NDArray[np.float64]]] = ({}, {})
    for landscape in ("fields", "forest", "steppe", "snow"):
        counts, shares = measure(sampled(landscape, seeds))
        made[0].update(counts)
        made[1].update(shares)
        _log.info("%s", landscape)
    _total(*made, "**all**")
    texts = {"made-up": table(*made)}
    if folder is not None:
        found = measure(real(folder))
        _total(*found, "**all**")
        texts["real"] = table(*found)
    for name, text in texts.items():
        click.echo(f"{name}\n{text}\n")
        if docs is not None:
            begin, end = f"<!-- python -m benchmarks.shadows tables: {name} -->", "<!-- end -->"
            new = f"{begin}\n\n{text}\n\n{end}"
            page = re.sub(f"{re.escape(begin)}.*?{end}", lambda _, new=new: new, docs.read_text(), flags=re.S)
            docs.write_text(page)


@main.command()
@click.option("--size", type=click.IntRange(64), default=5490, help="Pixels of 20 m along a side.")
@click.option("--rounds", type=click.IntRange(1), default=3)
def speed(size: int, rounds: int) -> None:
    """Project the shadows of a whole tile: eocube, and a plain loop of numpy and scipy, interleaved."""
    px = _tile(size)
    ways = {
        "plain loop": lambda: _plain(px, 0.20, 200, 3000, 6000),
        'preset="dark"': lambda: apply(KINDS['preset="dark"'], px),
        "default": lambda: apply(KINDS["default"], px),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds):
        results = {}
        for name, call in ways.items():
            began = time.process_time()
            results[name] = call()
            seconds[name].append(time.process_time() - began)
        same = (results["plain loop"] == results['preset="dark"']).mean()
        _log.info("round %d: dark and plain agree on %.4f %% of the pixels", number + 1, 100 * same)
    least = {name: min(own) for name, own in seconds.items()}
    lines = ["| way | times the plain loop | CPU seconds, best |", "|---|---:|---:|"]
    for name, own in least.items():
        lines.append(f"| {name} | {least['plain loop'] / own:.1f} | {own:.2f} |")
    click.echo("\n".join(lines))


def _tile(size: int) -> Pixels:
    """Return a tile of 20 m: clouds, their shadows, texture."""
    from scipy.ndimage import gaussian_filter

    rng = np.random.default_rng(1)
    waves = gaussian_filter(rng.standard_normal((size // 3 + 1,) * 2).astype(np.float32), 10)
    waves = waves.repeat(3, axis=0).repeat(3, axis=1)[:size, :size]
    cloud = waves > np.quantile(waves, 0.75)
    nir = (0.30 + 0.05 * rng.standard_normal((size, size), dtype=np.float32)).astype(np.float32)
    nir[moved(cloud, (60, -30))] *= np.float32(0.4)
    scl = np.where(cloud, 9, 4).astype(np.uint8)
    from affine import Affine

    box = GeoBox((size, size), Affine(20, 0, 499_980, 0, -20, 5_100_000), "EPSG:32633")
    return Pixels({"nir": nir, "scl": scl}, box, 153.4, 38.0)


def _plain(px: Pixels, dark: float, low: float, high: float, most: float) -> Bools:
    """Shift the clouds pixel by pixel, one sun for the whole tile."""
    clouds = (px["scl"] == 8) | (px["scl"] == 9)
    sun = next(iter(patches(px)))
    tangent = np.tan(np.radians(sun.elevation))
    out = np.zeros_like(clouds)
    for offset in ray(sun.azimuth, low / tangent, min(high / tangent, most), 20.0):
        out |= moved(clouds, offset)
    return out & (px["nir"] < dark) & (px["scl"] != 6) & ~clouds & (px["scl"] > 0)


@main.command()
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--real", "folder", type=click.Path(path_type=Path), required=True, help="Of real scenes.")
@click.option("--item", default="S2A_33TWM_20230818_0_L2A", help="Which one.")
@click.option("--window", default="0,915,0,915", help="Rows and columns: first, one past last.")
@click.option("--kind", default="default", type=click.Choice(list(KINDS)))
def picture(out: Path, folder: Path, item: str, window: str, kind: str) -> None:
    """Draw a real scene with clouds (yellow) and projected shadows (cyan) outlined."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    own = folder / "l2a_33T_2023-08" / item
    case = next(case for case in real(folder) if case.px.scene == item)
    part = np.s_[slice(*map(int, window.split(",")[:2])), slice(*map(int, window.split(",")[2:]))]
    colours = np.stack([_read(own / f"{band}.tif")[0] for band in ("B04", "B03", "B02")], axis=-1)
    shown = np.clip(colours[part] / 10_000 / 0.22, 0, 1) ** 0.7
    figure, axes = pyplot.subplots(figsize=(11, 11))
    axes.imshow(shown, interpolation="nearest")
    shadow = apply(KINDS[kind], case.px)
    for found, colour in ((apply(CLOUDS, case.px) & case.px.valid, "yellow"), (shadow, "cyan")):
        if found[part].any():
            axes.contour(found[part], [0.5], colors=colour, linewidths=0.9)
    axes.set_title(f"{item}: clouds of SCL yellow, projected shadows ({kind}) cyan")
    axes.set_axis_off()
    figure.savefig(out, dpi=110, bbox_inches="tight")
    _log.info("wrote %s", out)


if __name__ == "__main__":
    main()
