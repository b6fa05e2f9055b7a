"""Codes: how whole numbers stand for reflectance while a block is read, masked and reduced.

A block stays as small as the files until it is reduced: uint16, with 0 for no data. Reflectance is
(code - bias) / divisor. The bias makes room for values of 0 and less, which are valid.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Coding:
    """How the codes of a block are read.

    Attributes
    ----------
    biases : tuple of int
        Per band; the code of the value 0.
    divisors : tuple of float
        Per band; 10000 for reflectance, 1 for classes and other numbers.
    dtype : {"float32", "uint16", "uint8"}
        Of the values. Floating: NaN for no data. Integer: reflectance * 10000, 0 for no data, a
        valid value of 0 or less becomes 1; classes as they are.
    """

    biases: tuple[int, ...]
    divisors: tuple[float, ...]
    dtype: str

    def decode(self, codes: NDArray[Any]) -> NDArray[Any]:
        """Return the values of codes (..., band, y, x)."""
        out = np.empty(codes.shape, dtype=self.dtype)
        for index in np.ndindex(codes.shape[:-2]):  # layer by layer: what is made on the way stays small
            self.layer(codes[index], index[-1], out[index])
        return out

    def layer(self, codes: NDArray[Any], band: int, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """Return the values of codes (y, x) of one band, in ``out`` if it is given."""
        out = np.empty(codes.shape, dtype=self.dtype) if out is None else out
        if self.dtype == "float32":
            np.subtract(codes, np.float32(self.biases[band]), out=out)
            np.divide(out, np.float32(self.divisors[band]), out=out)
        else:
            out[...] = self.values(codes, band)
        np.copyto(out, self.nothing, where=codes == 0)
        return out

    def values(self, codes: NDArray[Any], band: int) -> NDArray[Any]:
        """Return the values of valid codes of one band."""
        bias = self.biases[band]
        if self.dtype == "float32":
            return (codes.astype(np.float32) - np.float32(bias)) / np.float32(self.divisors[band])
        whole = codes.astype(np.int32) - bias
        least = 1 if bias or self.divisors[band] != 1 else 0
        return whole.clip(least, np.iinfo(self.dtype).max).astype(self.dtype)

    @property
    def nothing(self) -> float:
        """What stands for no data among the values."""
        return float("nan") if self.dtype == "float32" else 0
