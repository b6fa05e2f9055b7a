"""Smoothers: a curve through observations with gaps of any shape."""

from .base import Days, Floats, Smoother, as_smoother, smoothed
from .local import Linear, SavitzkyGolay
from .whittaker import Whittaker

__all__ = ["Days", "Floats", "Linear", "SavitzkyGolay", "Smoother", "Whittaker", "as_smoother", "smoothed"]
