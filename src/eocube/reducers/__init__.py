"""Reducers: a block (time, band, y, x) becomes a block without time."""

from .base import Reducer, as_reducer, reduce_codes
from .counting import Count, Mean
from .joining import Join
from .ranking import Median, Percentile

__all__ = ["Count", "Join", "Mean", "Median", "Percentile", "Reducer", "as_reducer", "reduce_codes"]
