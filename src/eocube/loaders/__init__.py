"""Loaders: from files to arrays on a grid. One seam, one contract, several readers."""

from .base import Loader, Source, loader_named

__all__ = ["Loader", "Source", "loader_named"]
