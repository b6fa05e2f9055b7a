"""Make sample_masks.png: ``python docs/images/make_sample_masks.py``."""

from io import BytesIO
from pathlib import Path

from PIL import Image

import eocube as eo

world = eo.sample.cached(scl_faults=True)
items = eo.search(world.items_path)
bad = eo.SCLMask("shadow") | eo.SCLMask("cloud_high", "cloud_medium") | eo.SCLMask("cirrus")
plan = eo.plan(items, world.grid, bands=["red", "green", "blue"], mask=bad)
figure = eo.plot_masks(plan, dates=["2021-06-24", "2021-09-20", "2022-05-10"])
with BytesIO() as drawn:
    figure.savefig(drawn, dpi=75)
    picture = Image.open(drawn).convert("RGB").quantize(64, dither=Image.Dither.NONE)
    picture.save(Path(__file__).with_name("sample_masks.png"), optimize=True)
