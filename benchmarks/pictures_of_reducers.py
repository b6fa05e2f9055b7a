"""Pictures of reducers: a month by each of them side by side, and which date each pixel is from.

    python -m benchmarks.pictures_of_reducers FOLDER [OUT]

FOLDER holds Items, OUT is where ``reducers.png`` and ``sources.png`` go. Needs matplotlib.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

import eocube as eo

BANDS = ["red", "green", "blue", "nir", "cloud_distance"]


def reducers(day: int) -> dict[str, object]:
    """Return what is shown, by its name."""
    return {
        "median": eo.Median(), "median, lower": eo.Median(method="lower"), "mean": eo.Mean(),
        "percentile 25": eo.Percentile(25), "min": eo.Min(), "max": eo.Max(), "geomedian": eo.GeoMedian(),
        "weighted mean": eo.WeightedMean(), "medoid": eo.Medoid(), "max NDVI": eo.MaxNDVI(),
        f"best pixel, day {day}": eo.BestPixel(day), "first": eo.First(), "latest": eo.Latest(),
    }  # fmt: skip


def main() -> None:
    """Make both pictures."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt
    from matplotlib.colors import ListedColormap

    folder, out = Path(sys.argv[1]), Path(sys.argv[2] if len(sys.argv) > 2 else ".")
    out.mkdir(parents=True, exist_ok=True)
    items = eo.search(folder)
    cube = eo.load(items, eo.grid_for(items), bands=BANDS, mask=eo.SCLMask()).persist()
    day = int(cube.time.dt.dayofyear.median())
    made = {name: eo.composite(cube, how, count=False).compute() for name, how in reducers(day).items()}
    shown = [*made.items(), ("clear observations", eo.composite(cube, eo.Count()).compute())]
    figure, axes = plt.subplots(3, 5, figsize=(25, 28), layout="constrained")
    for axis in axes.flat:
        axis.axis("off")
    for axis, (name, array) in zip(axes.flat, shown, strict=False):
        axis.set_title(name, fontsize=20)
        if "count" in array.band.values:
            axis.imshow(array[0], cmap="viridis", interpolation="nearest")
        else:
            colours = array.sel(band=["red", "green", "blue"]).transpose("y", "x", "band").values
            axis.imshow(np.clip(np.nan_to_num(colours, nan=1) / 0.22, 0, 1) ** 0.7, interpolation="nearest")
    figure.savefig(out / "reducers.png", dpi=60)
    picks = {name: array for name, array in made.items() if "source" in array.band.values}
    figure, axes = plt.subplots(1, len(picks), figsize=(7 * len(picks), 11), layout="constrained")
    for axis, (name, array) in zip(axes.flat, picks.items(), strict=True):
        table = eo.sources(array)
        colours = ListedColormap(plt.get_cmap("tab10").colors[: len(table)])
        image = axis.imshow(
            array.sel(band="source"), cmap=colours, vmin=0.5, vmax=len(table) + 0.5, interpolation="nearest"
        )
        axis.set_title(name, fontsize=20)
        axis.axis("off")
    bar = figure.colorbar(image, ax=axes, orientation="horizontal", shrink=0.5, ticks=list(table.index))
    bar.ax.set_xticklabels([f"{when:%Y-%m-%d}" for when in table["time"]], fontsize=18)
    figure.savefig(out / "sources.png", dpi=60)


if __name__ == "__main__":
    main()
