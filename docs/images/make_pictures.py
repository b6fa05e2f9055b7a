"""Make the pictures of docs/pictures.md of the made-up archive:  python docs/images/make_pictures.py

Needs the extra ``plot``; ``explore.png`` also playwright and EOCUBE_BROWSER (a path to Chromium), and is
left as it is without them.
"""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from odc.geo.geom import box
from PIL import Image

import eocube as eo

HERE = Path(__file__).parent
COLOURS = ["red", "green", "blue"]


def save(axes, name: str, dpi: int = 80) -> None:
    """Write a figure in 256 colours."""
    path = HERE / f"{name}.png"
    figure = np.ravel(axes)[0].figure
    figure.savefig(path, dpi=dpi, bbox_inches="tight", pad_inches=0.05, metadata={"Software": None})
    plt.close(figure)
    Image.open(path).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)


def main() -> None:
    """Write the pictures."""
    with TemporaryDirectory() as folder:
        world = eo.sample.write(Path(folder) / "sample", size=480)
        items = eo.search(world.items_path)
        every = [*COLOURS, "nir"]
        raw = eo.plan(items, world.grid, bands=every)
        plan = eo.plan(items, world.grid, bands=every, mask=eo.SCLMask().dilate(metres=40))
        cube = eo.load(plan)
        best = eo.composite(cube, eo.Median()).compute()

        save(eo.plot_rgb(raw), "dates", 46)
        one = eo.load(raw).sel(time="2021-07-19").isel(time=0)
        save(eo.plot_rgb({"2021-07-19": one, "median of 12 dates, masked": best}), "before_after", 100)
        save(eo.plot_map(best, "count"), "count")
        save(eo.contact_sheet(items[:12]), "contact_sheet", 56)
        save(eo.plot_series(eo.timeseries(plan, fields(world.grid), of=eo.ndvi)), "fields")
        part = cube.sel(band=COLOURS)[::2, :, 60:240, 60:290]
        eo.timelapse(part, HERE / "timelapse.gif", fill=True, fps=1.5, overwrite=True)
        if browser := os.environ.get("EOCUBE_BROWSER"):
            page = Path(folder) / "map.html"
            eo.explore({"one date": one, "median": best}, limits=(0.01, 0.2)).save(str(page))
            screenshot(browser, page)
    for path in sorted(HERE.glob("*.*")):
        print(f"{path.name:<24}{path.stat().st_size / 1e3:6.0f} kB")


def fields(grid):
    """Return three squares among the fields."""
    left, bottom, _, _ = grid.extent.boundingbox
    return {
        f"field {n}": box(left + x, bottom + y, left + x + 200, bottom + y + 150, grid.crs)
        for n, (x, y) in enumerate(((300, 900), (900, 1100), (1400, 700)), 1)
    }


def screenshot(browser: str, page: Path) -> None:
    """Take a picture of a map in a browser, two layers side by side."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        opened = play.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        tab = opened.new_page(viewport={"width": 760, "height": 440})
        tab.goto(page.as_uri())
        tab.locator(".eocube-compare").check()
        tab.wait_for_timeout(800)
        tab.screenshot(path=str(HERE / "explore.png"))
        opened.close()
    path = HERE / "explore.png"
    Image.open(path).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)


if __name__ == "__main__":
    main()
