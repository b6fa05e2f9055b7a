"""Reducers: a block (time, band, y, x) becomes a block without time."""

from .base import Reducer, as_reducer, reduce_codes
from .counting import Count, Mean
from .extremes import Max, Min
from .joining import Join
from .observing import CLOUD_DISTANCE, Observations, reduce_observations
from .picking import SOURCE, First, Latest, MaxIndex, MaxNDVI
from .ranking import Median, Percentile
from .scoring import BestPixel, WeightedMean, Weights
from .spectra import GeoMedian, Medoid
from .using import Used

__all__ = [
    "CLOUD_DISTANCE", "SOURCE",
    "BestPixel", "Count", "First", "GeoMedian", "Join", "Latest", "Max", "MaxIndex", "MaxNDVI", "Mean",
    "Median", "Medoid", "Min", "Observations", "Percentile", "Reducer", "Used", "WeightedMean", "Weights",
    "as_reducer", "reduce_codes", "reduce_observations",
]  # fmt: skip
