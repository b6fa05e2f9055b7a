"""How fast s2cloudless runs: ``python -m benchmarks.cloudless``.

First the trees alone, by several runtimes, on the pixels of frames; then a full scene, 110 km at 60 m,
through the package and through eocube's mask. Runtimes that are not installed are left out. Variants
take turns; what is given is the processor's time, which other work on the machine disturbs less than
the clock, and its median over the rounds.
"""

from __future__ import annotations

import re
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click
import numpy as np
from affine import Affine
from lightgbm import Booster
from odc.geo.geobox import GeoBox
from s2cloudless import S2PixelCloudDetector

import eocube as eo
from eocube.masks.s2cloudless import MODEL_BANDS, model_path
from eocube.masks.trees import load_forest
from eocube.pixels import Pixels

BEGIN, END = "<!-- python -m benchmarks.cloudless -->", "<!-- end -->"
PICK = [0, 1, 3, 4, 7, 8, 9, 10, 11, 12]
"""Of thirteen bands those of the model."""

Run = Callable[[np.ndarray], np.ndarray]


def frames(path: Path | None) -> np.ndarray:
    """Return spectra (pixel, band): of an .npy (frame, y, x, 13), or of the sample world."""
    if path is not None:
        return np.load(path)[..., PICK].reshape(-1, 10).astype(np.float32)
    world = eo.sample.cached()
    cube = eo.load(eo.search(world.l1c()), world.grid, bands=list(MODEL_BANDS)).compute()
    found = cube.values.transpose(0, 2, 3, 1).reshape(-1, 10)
    return np.ascontiguousarray(found[np.isfinite(found).all(axis=1)])


def scene(spectra: np.ndarray, side: int) -> np.ndarray:
    """Return (y, x, band): the spectra again and again, 2 % brighter or darker each time."""
    rng = np.random.default_rng(0)
    made = np.resize(spectra, (side * side, 10)) * rng.normal(1, 0.02, (side * side, 1))
    return made.astype(np.float32).reshape(side, side, 10)


def plain(booster: Booster) -> Run:
    """Return the trees in plain numpy: all pixels go down one level of one tree at a time."""
    trees = [tree["tree_structure"] for tree in booster.dump_model()["tree_info"]]

    def packed(root: dict[str, Any]) -> tuple[np.ndarray, ...]:
        rows, waiting = [], [root]
        for node in waiting:
            if "leaf_value" in node:
                rows.append((0, np.inf, len(rows), len(rows), node["leaf_value"]))
            else:
                left = len(waiting)
                waiting += [node["left_child"], node["right_child"]]
                rows.append((node["split_feature"], node["threshold"], left, left + 1, 0.0))
        feature, threshold, left, right, value = (np.array(column) for column in zip(*rows, strict=True))
        return feature, threshold, left, right, value

    every = [packed(tree) for tree in trees]

    def run(pixels: np.ndarray) -> np.ndarray:
        total, rows = np.zeros(len(pixels)), np.arange(len(pixels))
        for feature, threshold, left, right, value in every:
            at = np.zeros(len(pixels), dtype=np.int64)
            while True:
                new = np.where(pixels[rows, feature[at]] <= threshold[at], left[at], right[at])
                if np.array_equal(new, at):
                    break
                at = new
            total += value[at]
        return 1 / (1 + np.exp(-total))

    return run


def runtimes() -> Iterator[tuple[str, Run, int]]:
    """Yield name, function and share of the pixels (one in so many) of each runtime, on one thread."""
    booster = Booster(model_file=str(model_path()))
    yield "LightGBM `predict`", lambda pixels: booster.predict(pixels, num_threads=1), 1
    forest = load_forest(model_path())
    yield "eocube (numba)", lambda pixels: forest.probability(pixels.T), 1
    if find_spec("onnxruntime") and find_spec("onnxmltools"):
        yield "onnxruntime", onnx(booster), 1
    if find_spec("treelite"):
        import treelite

        model = treelite.frontend.load_lightgbm_model(str(model_path()))
        yield "treelite (GTIL)", lambda p: treelite.gtil.predict(model, p.astype(float), nthread=1).ravel(), 8
    yield "plain numpy", plain(booster), 8


def onnx(booster: Booster) -> Run:
    """Return the model run by onnxruntime."""
    import onnxmltools
    import onnxruntime
    from onnxmltools.convert.common.data_types import FloatTensorType

    inputs = [("x", FloatTensorType([None, 10]))]
    model = onnxmltools.convert_lightgbm(booster, initial_types=inputs, zipmap=False, target_opset=15)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    return lambda pixels: session.run(None, {"x": pixels})[1][:, 1]


def timed(run: Callable[[], np.ndarray]) -> tuple[float, float, np.ndarray]:
    """Return seconds of the processor, seconds of the clock, and the result."""
    clock, processor = time.perf_counter(), time.process_time()
    found = run()
    return time.process_time() - processor, time.perf_counter() - clock, found


def trees_table(spectra: np.ndarray, rounds: int) -> str:
    """Measure the trees alone."""
    every = list(runtimes())
    rates: dict[str, list[float]] = {name: [] for name, _, _ in every}
    apart: dict[str, float] = {}
    truth = every[0][1](spectra)
    for number in range(rounds + 1):  # the first one compiles
        for name, run, share in every:
            part = spectra[::share]
            seconds, _, found = timed(lambda run=run, part=part: run(part))
            apart[name] = float(np.abs(found - truth[::share]).max())
            if number:
                rates[name].append(len(part) / seconds)
    first = rates[every[0][0]]
    lines = [
        "| the trees, one thread | pixels a second | of LightGBM's | farthest probability |",
        "|---|---:|---:|---:|",
    ]
    for name, found in rates.items():
        ratios = [own / base for own, base in zip(found, first, strict=True)]
        spread = f"{statistics.median(ratios):.2g} ({min(ratios):.2g}-{max(ratios):.2g})"
        lines.append(f"| {name} | {statistics.median(found):,.0f} | {spread} | {apart[name]:.0e} |")
    return "\n".join(lines)


def scene_table(made: np.ndarray, rounds: int, threads: int) -> str:
    """Measure a scene from reflectance to mask."""
    side = len(made)
    package = S2PixelCloudDetector(0.4, average_over=4, dilation_size=2)
    layers = np.ascontiguousarray(made.transpose(2, 0, 1))
    box = GeoBox((side, side), Affine(60, 0, 600_000, 0, -60, 5_100_000), "EPSG:32633")
    mask, rim = eo.S2Cloudless(), 6

    def window(top: int, bottom: int) -> np.ndarray:
        first, last = max(0, top - rim), min(side, bottom + rim)
        px = Pixels(dict(zip(MODEL_BANDS, layers[:, first:last], strict=True)), box[first:last])
        return mask(px)[top - first : bottom - first]

    def cut(count: int) -> np.ndarray:
        edges = np.linspace(0, side, 4 * count + 1).astype(int)
        with ThreadPoolExecutor(count) as pool:
            return np.concatenate(list(pool.map(window, edges[:-1], edges[1:])))

    variants: dict[str, Callable[[], np.ndarray]] = {
        "s2cloudless, one thread": lambda: package.get_cloud_masks(made[None], num_threads=1)[0].astype(bool),
        "eocube, one window": lambda: window(0, side),
        f"s2cloudless, {threads} threads": lambda: (
            package.get_cloud_masks(made[None], num_threads=threads)[0] > 0
        ),
        f"eocube, windows on {threads} threads": lambda: cut(threads),
    }
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in variants}
    same: dict[str, float] = {}
    truth = None
    for _ in range(rounds):
        for name, run in variants.items():
            processor, clock, found = timed(run)
            truth = found if truth is None else truth
            same[name] = float((found == truth).mean())
            times[name].append((processor, clock))
    base = times["s2cloudless, one thread"]
    lines = [
        f"| {side} x {side} px | processor, s | clock, s | times as fast (processor; clock) | same pixels |",
        "|---|---:|---:|---:|---:|",
    ]
    for name, found in times.items():
        own, wall = (statistics.median(column) for column in zip(*found, strict=True))
        ratios = [statistics.median(a[i] / b[i] for a, b in zip(base, found, strict=True)) for i in (0, 1)]
        faster = f"{ratios[0]:.1f}; {ratios[1]:.1f}"
        lines.append(f"| {name} | {own:.1f} | {wall:.1f} | {faster} | {100 * same[name]:.4f} % |")
    return "\n".join(lines)


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.option(
    "--frames", "path", type=click.Path(path_type=Path), help="Real reflectance: .npy (frame, y, x, 13)."
)
@click.option("--side", default=1830, help="Pixels along the scene.")
@click.option("--rounds", default=5, help="Of the trees alone.")
@click.option("--scenes", default=2, help="Rounds of the whole scene.")
@click.option("--threads", default=2)
@click.option("--docs", type=click.Path(path_type=Path), help="Page whose tables are replaced.")
def main(path: Path | None, side: int, rounds: int, scenes: int, threads: int, docs: Path | None) -> None:
    """Compare runtimes of the trees, and the package with eocube on a full scene."""
    spectra = frames(path)[: side * side]
    text = f"{trees_table(spectra, rounds)}\n\n{scene_table(scene(spectra, side), scenes, threads)}"
    click.echo(text)
    if docs is not None:
        new = f"{BEGIN}\n\n{text}\n\n{END}"
        docs.write_text(re.sub(f"{BEGIN}.*?{END}", lambda _: new, docs.read_text(), flags=re.S))


if __name__ == "__main__":
    main()
