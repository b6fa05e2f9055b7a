"""A plain function as a mask."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np

from ..errors import MaskError
from ..pixels import Pixels
from ..sentinel2 import band_names
from .algebra import Bools, Mask


@dataclass(frozen=True)
class FunctionMask(Mask):
    """A plain function as a mask, made by :func:`mask`."""

    function: Callable[[Pixels], Any]
    bands: tuple[str, ...]
    reach: float = 0.0
    resolution: float | None = None

    def __call__(self, px: Pixels) -> Bools:
        """Return what the function returns."""
        return np.asarray(self.function(px))

    def __repr__(self) -> str:
        return getattr(self.function, "__name__", repr(self.function))

    def __reduce__(self) -> Any:
        # Decorated, the function's name stands for the mask: pickle could not find the function.
        # What a notebook defines travels whole, by cloudpickle.
        module = getattr(self.function, "__module__", "__main__")
        name = getattr(self.function, "__qualname__", "")
        if module != "__main__" and getattr(sys.modules.get(module), name, None) is self:
            return _named, (module, name)
        return FunctionMask, (self.function, self.bands, self.reach, self.resolution)


def _named(module: str, name: str) -> FunctionMask:
    found: FunctionMask = getattr(import_module(module), name)
    return found


def mask(
    *, bands: str | Iterable[str], reach: float = 0.0, resolution: float | None = None
) -> Callable[[Callable[[Pixels], Any]], FunctionMask]:
    """Make a mask of a plain function (a decorator).

    Parameters
    ----------
    bands : str or iterable of str
        Bands the function looks at, by common or ESA's names.
    reach : float
        Metres around a pixel that the function looks at. The function gets that much more on
        every side, so that its result does not depend on where a mosaic is cut.
    resolution : float, optional
        Pixel in metres on which it works. Default: the finest native one of its bands, or the
        output's where that is coarser.

    Returns
    -------
    callable
        Turns ``function(px: Pixels) -> bool (y, x)`` into a mask. The function must be picklable
        to run on a cluster: define it in a module or a notebook cell.

    Raises
    ------
    BandError
        If a band is not known.
    MaskError
        If ``reach`` or ``resolution`` are not lengths. When it is applied: if the function does
        not return bool (y, x).

    Examples
    --------
    >>> @mask(bands=["blue"])
    ... def too_bright(px):
    ...     return px["blue"] > 0.4
    >>> too_bright | too_bright.dilate(metres=60)
    (too_bright | too_bright.dilate(metres=60))
    """
    if not (reach >= 0 and np.isfinite(reach)):
        raise MaskError(f"reach={reach} is not a distance: give metres, 0 or more.")
    if resolution is not None and not (resolution > 0 and np.isfinite(resolution)):
        raise MaskError(f"resolution={resolution} is not a pixel size: give metres above 0.")
    names = band_names(bands)

    def make(function: Callable[[Pixels], Any]) -> FunctionMask:
        return FunctionMask(function, names, float(reach), resolution)

    return make
