"""Make the picture of the README: what the satellite saw, and what the mask makes of it.

Run it from anywhere: ``python docs/images/make_sample_mosaic.py``. It writes a made-up archive
into a temporary folder and ``sample_mosaic.png`` beside this file. It needs matplotlib, which
eocube itself does not.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from PIL import Image

import eocube as eo

OUT = Path(__file__).with_name("sample_mosaic.png")
BANDS = ["red", "green", "blue"]
DAY = "2021-10-22"
"""A pass with broken clouds and their shadows."""


def main() -> None:
    """Write the picture."""
    with TemporaryDirectory() as folder:
        world = eo.sample.write(Path(folder) / "sample", size=480)
        items = eo.search(world.items_path)
        raw = eo.load(items, world.grid, bands=BANDS).compute()
        clear = eo.load(items, world.grid, bands=BANDS, mask=eo.SCLMask().dilate(metres=40))
        best = eo.composite(clear, eo.Median(), count=False).compute()
    unmasked = eo.composite(raw, eo.Median(), count=False)
    pictures = {
        f"one pass, {DAY}": raw.sel(time=DAY).isel(time=0),
        f"median of {raw.sizes['time']} passes, no mask": unmasked,
        f"median of {raw.sizes['time']} passes, SCL mask grown by 40 m": best,
    }
    low, high = np.nanpercentile(best, [1, 99.5])
    figure, axes = plt.subplots(1, 3, figsize=(13.5, 3.55), layout="constrained")
    for axis, (title, array) in zip(axes, pictures.items(), strict=True):
        picture = array.sel(band=BANDS).transpose("y", "x", "band").values
        stretched = np.clip((picture - low) / (high - low), 0, 1) ** (1 / 1.4)
        axis.imshow(np.nan_to_num(stretched, nan=0.5), interpolation="nearest")
        axis.set_title(title, fontsize=11)
        axis.set_axis_off()
    figure.savefig(OUT, dpi=84, metadata={"Software": None})
    Image.open(OUT).convert("RGB").quantize(64, dither=Image.Dither.NONE).save(OUT, optimize=True)
    print(f"{OUT.name}: {OUT.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
