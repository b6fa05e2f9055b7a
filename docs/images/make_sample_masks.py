"""Make sample_masks.png: ``python docs/images/make_sample_masks.py``."""

from pathlib import Path

import eocube as eo

world = eo.sample.cached(scl_faults=True)
items = eo.search(world.items_path)
bad = eo.SCLMask("shadow") | eo.SCLMask("cloud_high", "cloud_medium") | eo.SCLMask("cirrus")
plan = eo.plan(items, world.grid, bands=["red", "green", "blue"], mask=bad)
figure = eo.plot_masks(plan, dates=["2021-06-24", "2021-09-20", "2022-05-10"])
figure.savefig(Path(__file__).with_name("sample_masks.png"), dpi=75)
