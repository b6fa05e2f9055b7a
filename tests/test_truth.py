"""How good the masked median of the made-up world is, against its clear-sky truth."""

from __future__ import annotations

import numpy as np
import pytest

import eocube as eo

BANDS = ["red", "green", "blue", "nir"]


def rmse(error):
    return float(np.sqrt(np.nanmean(error**2)))


@pytest.fixture(scope="module")
def errors(world, items):
    """RMSE in reflectance where at least three clear observations exist: masked, unmasked."""
    days = [str(scene.date) for scene in world.scenes]
    truth = np.nanmedian([world.clear_on(world.grid, day, BANDS) for day in days], axis=0)
    masked = eo.load(items, world.grid, bands=BANDS, mask=eo.SCLMask())
    count = eo.composite(masked, eo.Count()).compute().values[0]
    known = count >= 3
    assert known.mean() > 0.95
    found = {}
    for name, cube in (("masked", masked), ("unmasked", eo.load(items, world.grid, bands=BANDS))):
        best = eo.composite(cube, eo.Median(), count=False).compute().values
        found[name] = rmse((best - truth)[:, known])
    return found


def test_masking_brings_the_median_near_the_truth(errors, record_property):
    for name, value in errors.items():
        record_property(f"rmse_{name}", value)
    assert errors["masked"] < 0.03
    assert errors["masked"] < 0.7 * errors["unmasked"]


def test_a_still_world_is_recovered(world, items):
    """Where the ground hardly changes over the year (town, water, gravel) the error is small."""
    days = [str(scene.date) for scene in world.scenes]
    truths = np.array([world.clear_on(world.grid, day, BANDS) for day in days])
    still = np.nanmax(truths, axis=0).max(axis=0) - np.nanmin(truths, axis=0).min(axis=0) < 10
    steady = (np.nanstd(truths, axis=0) < 0.01).all(axis=0) & still
    assert steady.mean() > 0.05
    best = (
        eo.composite(eo.load(items, world.grid, bands=BANDS, mask=eo.SCLMask()), eo.Median(), count=False).compute().values
    )
    error = best - np.nanmedian(truths, axis=0)
    assert np.nanmedian(np.abs(error[:, steady])) < 0.003
