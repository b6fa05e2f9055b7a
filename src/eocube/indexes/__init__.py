"""A local index: an embedded catalog of Items in one stac-geoparquet file."""

from .base import LocalIndex
from .changes import Changes

__all__ = ["Changes", "LocalIndex"]
