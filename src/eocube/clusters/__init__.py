"""Clusters: opening, joining and closing what Dask computes on."""

from .opening import Cluster, cluster

__all__ = ["Cluster", "cluster"]
