"""What the tests of reducers share."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr

import eocube as eo
from eocube.reducers import Observations, reduce_observations

BANDS = ("blue", "red", "nir", "cloud_distance")



def dark(px):
    """An index that can be pickled."""
    return -abs(px["blue"] - 0.1)


PICKS = [
    eo.First(), eo.Latest(), eo.Medoid(), eo.MaxNDVI(), eo.MaxIndex(dark), eo.BestPixel(190),
    eo.BestPixel(30, year=2023, weights={"haze": 2}, far=500),
]  # fmt: skip

OTHERS = [eo.GeoMedian(), eo.GeoMedian(mads=True), eo.WeightedMean(), eo.Median(method="lower")]


def spectra(dates=12, share=0.4, size=(9, 7), seed=0, dtype="float32"):
    """Made-up observations (time, band, y, x) of :data:`BANDS`, whole ones missing."""
    rng = np.random.default_rng(seed)
    base = rng.uniform(0.03, 0.4, (1, 3, *size))
    values = base * rng.normal(1, 0.15, (dates, 1, *size)) + rng.normal(0, 0.01, (dates, 3, *size))
    values += rng.random((dates, 1, *size)) ** 8  # some are far too bright
    whole = np.clip(np.round(values * 10_000), 1, 16_000)
    whole = np.concatenate([whole, rng.integers(20, 3001, (dates, 1, *size))], axis=1)
    gone = np.broadcast_to(rng.random((dates, 1, *size)) < share, whole.shape)
    if dtype == "uint16":
        return np.where(gone, 0, whole).astype("uint16")
    found = np.concatenate([whole[:, :3] / 10_000, whole[:, 3:]], axis=1).astype("float32")
    return np.where(gone, np.float32(np.nan), found)


def days(count):
    """Dates some days apart, over two years."""
    return np.datetime64("2023-05-01T10:00", "ns") + (np.arange(count) * 61 * 24).astype("timedelta64[h]")


def cube_of(values, bands=BANDS):
    """The same as a cube, as another library would make it."""
    times = days(len(values))
    names = [f"S2_{pd.Timestamp(when):%Y%m%d}" for when in times]
    coords = {"time": times, "band": list(bands[: values.shape[1]]), "scene": ("time", names)}
    return xr.DataArray(values, dims=("time", "band", "y", "x"), coords=coords)


def run(how, values, bands=BANDS, numbers=None):
    """Reduce a block whose bands and dates are known."""
    return reduce_observations(how, Observations(values, None, bands, days(len(values)), numbers))
