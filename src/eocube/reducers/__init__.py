"""Reducers: a block (time, band, y, x) becomes a block without time."""

from .base import Reducer, as_reducer, reduce_codes
from .counting import Count, Mean
from .extremes import Max, Min
from .joining import Join
from .ranking import Median, Percentile

__all__ = [
    "Count", "Join", "Max", "Mean", "Median", "Min", "Percentile", "Reducer", "as_reducer", "reduce_codes",
]  # fmt: skip
