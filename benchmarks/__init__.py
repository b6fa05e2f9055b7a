"""Benchmarks: how fast eocube is, and how fast its peers are, at the same work.

``python -m benchmarks`` makes the workloads, runs every variant that is installed in fresh
processes, and writes one table. See ``docs/performance.md``.
"""
