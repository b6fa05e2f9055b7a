"""Trees: a gradient-boosted model of LightGBM, evaluated several times faster than by LightGBM.

LightGBM sorts training data into at most 255 bins per feature, so a model holds few thresholds. A
feature is first ranked among its own: from then on one byte stands for it. A node is one 32-bit word
(feature, rank, place of its two children, which are neighbours), so a tree of 770 leaves takes 6 kB and
stays in the first cache while a block of pixels walks down it. Eight pixels walk at a time, without a
branch: a processor waits for one while it steps the others. Leaves lead to themselves. Sums are taken
in double precision and in the order of the trees: the result is LightGBM's to the last bits.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import MaskError
from ..extras import needed

_LEAF = 255
"""Rank that no value exceeds: a walk stays at a leaf."""

_BLOCK = 1024
"""Pixels that walk down one tree before the next: their ranks, 16 kB, fit into the first cache."""

_lock = threading.Lock()


@dataclass(frozen=True, eq=False)
class Forest:
    """A binary classifier of many trees, packed.

    Attributes
    ----------
    thresholds : float64 array (feature, 256)
        Of each feature, ascending, filled up with infinity.
    nodes : uint32 array
        Bits 0-3 the feature, 8-15 the rank, 16-31 the left child within the tree; the right one
        follows it.
    values : float64 array
        Of each node; 0 where it is no leaf.
    starts : int64 array
        First node of each tree, and one past the last.
    """

    thresholds: NDArray[np.float64] = field(repr=False)
    nodes: NDArray[np.uint32] = field(repr=False)
    values: NDArray[np.float64] = field(repr=False)
    starts: NDArray[np.int64] = field(repr=False)

    @property
    def features(self) -> int:
        """How many there are."""
        return len(self.thresholds)

    def probability(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the probability of each pixel.

        Parameters
        ----------
        features : float32 array (feature, pixel)
            Without NaN.

        Returns
        -------
        float32 array (pixel,)
            0 to 1. Besides it, 8 bytes a pixel are taken, and no more. The lock of Python is not held.
        """
        pixels = np.ascontiguousarray(features, dtype=np.float32)
        if pixels.ndim != 2 or len(pixels) != self.features:
            raise MaskError(f"The model takes {self.features} features, found an array {pixels.shape}.")
        sums = np.zeros(pixels.shape[1])
        _kernel()(pixels, self.thresholds, self.nodes, self.values, self.starts, sums)
        return np.asarray(1 / (1 + np.exp(-sums)), dtype=np.float32)


def forest_of(text: str) -> Forest:
    """Read a model as LightGBM writes it (``Booster.save_model``, versions 2 to 4).

    Raises
    ------
    MaskError
        If it is not a binary classifier of plain trees, or its trees are too large for the packing.
    """
    head, *parts = text.split("\nTree=")
    if "\nobjective=binary sigmoid:1" not in head:
        raise MaskError("The model is not a binary classifier of LightGBM with the plain sigmoid.")
    trees = [_fields(part) for part in parts]
    count = 1 + int(head.split("max_feature_idx=")[1].split()[0])
    splits = np.concatenate([tree["split_feature"] for tree in trees])
    every = np.concatenate([tree["threshold"] for tree in trees])
    own = [np.unique(every[splits == feature]) for feature in range(count)]
    if count > 16 or max(map(len, own)) >= _LEAF or max(len(t["leaf_value"]) for t in trees) > 2**15:
        raise MaskError("The model has too many features, thresholds or leaves to be packed.")
    thresholds = np.full((count, 256), np.inf)
    for row, found in zip(thresholds, own, strict=True):
        row[: len(found)] = found
    ranks = np.empty(len(every), dtype=np.int64)
    for feature, found in enumerate(own):
        ranks[splits == feature] = np.searchsorted(found, every[splits == feature])
    edges = np.cumsum([len(tree["threshold"]) for tree in trees])[:-1]
    packed = [_packed(tree, own) for tree, own in zip(trees, np.split(ranks, edges), strict=True)]
    starts = np.cumsum([0, *(len(nodes) for nodes, _ in packed)])
    nodes, values = (np.concatenate(column) for column in zip(*packed, strict=True))
    return Forest(thresholds, nodes, values, starts.astype(np.int64))


def _fields(part: str) -> dict[str, NDArray[Any]]:
    lines = dict(line.split("=", 1) for line in part.splitlines() if "=" in line)
    tree: dict[str, NDArray[Any]] = {}
    for key in ("threshold", "leaf_value"):
        tree[key] = np.array(lines[key].split(), dtype=np.float64)
    for key in ("split_feature", "left_child", "right_child", "decision_type"):
        tree[key] = np.array(lines[key].split(), dtype=np.int64)
    # Bit 0: a category; bits 2-3: what stands for missing. Values go to the left up to the threshold.
    if (tree["decision_type"] & 0b1101).any() or not len(tree["threshold"]):
        raise MaskError("The model has categories, missing values or a tree without a split.")
    return tree


def _packed(
    tree: dict[str, NDArray[Any]], ranks: NDArray[np.int64]
) -> tuple[NDArray[np.uint32], NDArray[np.float64]]:
    """Return nodes and values of a tree, level by level: siblings are neighbours."""
    words = (tree["split_feature"] | ranks << 8).tolist()
    lefts, rights = tree["left_child"].tolist(), tree["right_child"].tolist()
    leaves = tree["leaf_value"].tolist()
    size = 2 * len(leaves) - 1
    nodes, values = [0] * size, [0.0] * size
    waiting, free = [(0, 0)], 1
    for split, place in waiting:  # grows while it is gone through
        nodes[place] = words[split] | free << 16
        for child, own in ((lefts[split], free), (rights[split], free + 1)):
            if child >= 0:
                waiting.append((child, own))
            else:
                nodes[own], values[own] = _LEAF << 8 | own << 16, leaves[-child - 1]
        free += 2
    return np.array(nodes, dtype=np.uint32), np.array(values)


def load_forest(path: Path) -> Forest:
    """Return the model of a file, read once in a process."""
    with _lock:  # tasks that start together do not read it twice
        return _read(path)


@lru_cache(maxsize=4)
def _read(path: Path) -> Forest:
    return forest_of(path.read_text())


@lru_cache(maxsize=1)
def _kernel() -> Callable[..., None]:
    """Return the compiled walk; compiled once on a machine, where a cache can be written."""
    njit = needed("numba", "S2Cloudless", "s2cloudless").njit
    with _lock:
        try:
            made = njit(nogil=True, cache=True)(_walk)
        except RuntimeError:  # no folder that can be written
            made = njit(nogil=True)(_walk)
    kernel: Callable[..., None] = made
    return kernel


def _walk(
    pixels: NDArray[np.float32],
    thresholds: NDArray[np.float64],
    nodes: NDArray[np.uint32],
    values: NDArray[np.float64],
    starts: NDArray[np.int64],
    out: NDArray[np.float64],
) -> None:  # pragma: no cover - compiled
    """Add up the leaves that pixels (feature, pixel) come to, into ``out`` (pixel,)."""
    count = out.shape[0]
    ranks = np.zeros(_BLOCK * 16, dtype=np.uint8)
    for first in range(0, count, _BLOCK):
        size = min(_BLOCK, count - first)
        for f in range(pixels.shape[0]):
            for p in range(size):
                value, rank = pixels[f, first + p], np.uint32(0)
                for bit in range(7, -1, -1):
                    step = np.uint32(1 << bit)
                    if value > thresholds[f, rank + step - np.uint32(1)]:
                        rank += step
                ranks[p * 16 + f] = rank
        for t in range(starts.shape[0] - 1):
            tree, leaf = nodes[starts[t] : starts[t + 1]], values[starts[t] : starts[t + 1]]
            for p in range(0, size, 8):
                # Beyond the last pixel stand the ranks of earlier ones: walked, and not added.
                o = np.uint32(p * 16)
                a0 = a1 = a2 = a3 = a4 = a5 = a6 = a7 = tree[0]
                i0 = i1 = i2 = i3 = i4 = i5 = i6 = i7 = np.uint32(0)
                while a0 & a1 & a2 & a3 & a4 & a5 & a6 & a7 & np.uint32(0xFF00) != np.uint32(0xFF00):
                    for _ in range(4):
                        i0 = (a0 >> 16) + (ranks[o + (a0 & 15)] > ((a0 >> 8) & 255))
                        i1 = (a1 >> 16) + (ranks[o + 16 + (a1 & 15)] > ((a1 >> 8) & 255))
                        i2 = (a2 >> 16) + (ranks[o + 32 + (a2 & 15)] > ((a2 >> 8) & 255))
                        i3 = (a3 >> 16) + (ranks[o + 48 + (a3 & 15)] > ((a3 >> 8) & 255))
                        i4 = (a4 >> 16) + (ranks[o + 64 + (a4 & 15)] > ((a4 >> 8) & 255))
                        i5 = (a5 >> 16) + (ranks[o + 80 + (a5 & 15)] > ((a5 >> 8) & 255))
                        i6 = (a6 >> 16) + (ranks[o + 96 + (a6 & 15)] > ((a6 >> 8) & 255))
                        i7 = (a7 >> 16) + (ranks[o + 112 + (a7 & 15)] > ((a7 >> 8) & 255))
                        a0, a1, a2, a3 = tree[i0], tree[i1], tree[i2], tree[i3]
                        a4, a5, a6, a7 = tree[i4], tree[i5], tree[i6], tree[i7]
                ends = (leaf[i0], leaf[i1], leaf[i2], leaf[i3], leaf[i4], leaf[i5], leaf[i6], leaf[i7])
                for k in range(min(8, size - p)):
                    out[first + p + k] += ends[k]
