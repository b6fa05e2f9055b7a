"""Random fields and random numbers that depend on the seed and a name, and on nothing else."""

from __future__ import annotations

from zlib import crc32

import numpy as np
from numpy.typing import NDArray
from scipy import fft


def generator(seed: int, *names: object) -> np.random.Generator:
    """Return a generator of its own for each thing: order and threads do not matter to it."""
    return np.random.default_rng([seed, *(crc32(str(name).encode()) for name in names)])


def fractal(
    shape: tuple[int, int],
    rng: np.random.Generator,
    *,
    longest: float,
    shortest: float = 2.0,
    slope: float = 2.0,
) -> NDArray[np.float32]:
    """Return a random field of mean 0 and deviation 1 whose waves follow a power law.

    Parameters
    ----------
    shape : (int, int)
        Rows and columns.
    rng : numpy.random.Generator
        Source of the white noise that is filtered.
    longest, shortest : float
        Longest and shortest waves in pixels; what is outside fades away.
    slope : float
        Amplitude falls with frequency to this power: 1 is rough, 3 is smooth.

    Returns
    -------
    array of shape (y, x), float32
    """
    # Padded to fast lengths, and so that the field's ends do not match by being periodic.
    rows, columns = (fft.next_fast_len(n + n // 8, real=True) for n in shape)
    white = rng.standard_normal((rows, columns), dtype=np.float32)
    waves = fft.rfft2(white)
    frequency = np.hypot(fft.fftfreq(rows)[:, None], fft.rfftfreq(columns)[None, :])
    frequency[0, 0] = 1.0
    low, high = 1 / longest, 1 / shortest
    amplitude = (frequency / low) ** -slope * np.exp(-((frequency / high) ** 2))
    amplitude *= 1 - np.exp(-((frequency / low) ** 4))
    amplitude[0, 0] = 0.0
    field = fft.irfft2(waves * amplitude.astype(np.float32), s=(rows, columns))
    field = field[: shape[0], : shape[1]]
    normal: NDArray[np.float32] = ((field - field.mean()) / field.std()).astype(np.float32)
    return normal


def lottery(
    seed: int, row: NDArray[np.int64], column: NDArray[np.int64], layer: int = 0
) -> NDArray[np.float64]:
    """Return a number in [0, 1) for each cell of a lattice: the same cell, the same number.

    The mixing is the finaliser of splitmix64 (Steele, Lea and Flood 2014,
    doi 10.1145/2660193.2660195).
    """
    with np.errstate(over="ignore"):
        word = (
            np.asarray(row, np.int64).astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
            + np.asarray(column, np.int64).astype(np.uint64) * np.uint64(0xC2B2AE3D27D4EB4F)
            + np.uint64((seed * 1_000_003 + layer * 7919 + 1) % 2**63)
        )
        word = (word ^ (word >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        word = (word ^ (word >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        word ^= word >> np.uint64(31)
    return (word >> np.uint64(11)).astype(np.float64) / 2.0**53


def smoothstep(low: float, high: float, values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return 0 below ``low``, 1 above ``high`` and a smooth step between."""
    t = np.clip((values - low) / (high - low), 0, 1)
    step: NDArray[np.float32] = (t * t * (3 - 2 * t)).astype(np.float32)
    return step
