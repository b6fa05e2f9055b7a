"""s2cloudless: Sentinel Hub's cloud detector, on Level-1C."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import MaskError, MissingExtraError
from ..extras import check_needed
from ..pixels import Pixels
from .algebra import Mask, plain
from .blocks import Blocks, blocks_of
from .disks import clouds
from .trees import load_forest

MODEL_BANDS = (
    "coastal", "blue", "red", "rededge1", "nir", "nir08", "nir09", "cirrus", "swir16", "swir22",
)  # fmt: skip
"""B01, B02, B04, B05, B08, B8A, B09, B10, B11, B12: in the order of the model (s2cloudless 1.7.3,
``utils.MODEL_BANDS``)."""

L1C = "l1c"
"""Prefix of the bands that are read from Level-1C Items beside the cube's: ``"l1c:blue"``."""

_memo = threading.local()


@dataclass(frozen=True)
class Smoothing:
    """How a probability becomes a mask: threshold, mean over a disk, growth by a disk.

    Attributes
    ----------
    threshold : float
        In the units of the probability.
    average_over, dilation_size : float
        Radii of the disks in metres; 0: none.
    """

    threshold: float
    average_over: float
    dilation_size: float

    @property
    def reach(self) -> float:
        """Metres around a pixel that decide over it."""
        return self.average_over + self.dilation_size

    def clouds(self, values: NDArray[Any], pixel: float) -> NDArray[np.bool_]:
        """Return the clouds of a probability (y, x) on pixels of so many metres.

        A disk has as many whole pixels as its radius holds: on a coarser lattice none may be left.
        """
        radii = (int(metres / pixel + 1e-6) for metres in (self.average_over, self.dilation_size))
        return clouds(values, self.threshold, *radii)


def smoothing_of(
    threshold: float, average_over: float | None, dilation_size: float | None, unit: str, pixel: float
) -> Smoothing:
    """Check radii and return them in metres.

    Raises
    ------
    MaskError
        If a radius is negative, or no whole number of pixels.
    """
    if unit not in ("pixels", "metres"):
        raise MaskError(f"unit={unit!r} is not known. Choose of: pixels, metres.")
    radii = []
    for name, found in (("average_over", average_over), ("dilation_size", dilation_size)):
        radius = float(found or 0)
        if not (0 <= radius < np.inf) or (unit == "pixels" and radius != int(radius)):
            what = "a whole number of pixels (or say unit='metres')" if unit == "pixels" else "metres"
            raise MaskError(f"{name}={found!r} is not a radius: give {what}, 0 for none.")
        radii.append(radius * (pixel if unit == "pixels" else 1.0))
    return Smoothing(float(threshold), *radii)


@dataclass(frozen=True, init=False, repr=False)
class S2Cloudless(Mask):
    """Throw away what s2cloudless takes for cloud. It needs Level-1C: all ten bands of its model.

    Parameters
    ----------
    l1c : Items, optional
        Level-1C Items over the same area and period, from :func:`eocube.search` (for instance with
        ``eocube.EARTH_SEARCH_L1C``, or a folder). Each is joined to the cube's Item of the same
        platform, tile and pass. Not given: the cube itself is of Level-1C Items.
    threshold : float
        Above which mean probability a pixel is cloud, 0 to 1.
    average_over : float
        Radius of the disk over which the probability is averaged; 0 or None: none.
    dilation_size : float
        Radius of the disk by which clouds are grown; 0 or None: none. 4 and 2 pixels of 60 m are
        what the authors use; the package's own defaults are 1 and 1.
    unit : {"pixels", "metres"}
        Of the two radii; pixels are those of ``resolution``.
    resolution : float
        Pixel in metres on which the model runs, 10 to 160; the output's where that is coarser. Joined
        with a finer mask it still runs on its own pixels, on the means of the finer ones.
    on_missing : {"raise", "skip_mask"}
        What is done about a scene without Level-1C: an error that lists them, or this mask throws
        nothing away there, with a warning, and the plan lists them.

    Raises
    ------
    MaskError
        If a parameter is out of its range; when it is planned: if the Items are not Level-1C, or
        one is missing.
    MissingExtraError
        If the packages of the extra ``s2cloudless`` are not installed.

    Notes
    -----
    The model is that of the package s2cloudless, which has to be installed; it is read once in a
    process and evaluated by eocube itself, with the same probabilities. It was trained on
    top-of-atmosphere reflectance, band 10 (cirrus) among it: on Level-2A it misses even thick clouds,
    so it is refused there. Pixels in which a band has no data are thrown away, or kept with
    ``on_missing="skip_mask"``; they are left out of the mean and not grown.

    Examples
    --------
    >>> S2Cloudless(threshold=0.5)
    S2Cloudless(threshold=0.5, average_over=4, dilation_size=2)
    >>> S2Cloudless(average_over=200, dilation_size=100, unit="metres").reach
    360.0
    """

    l1c: tuple[Any, ...] | None = field(hash=False)
    threshold: float
    average_over: float | None
    dilation_size: float | None
    unit: Literal["pixels", "metres"]
    resolution: float
    on_missing: Literal["raise", "skip_mask"]
    _smoothing: Smoothing = field(compare=False)

    def __init__(
        self,
        l1c: Iterable[Any] | None = None,
        *,
        threshold: float = 0.4,
        average_over: float | None = 4,
        dilation_size: float | None = 2,
        unit: Literal["pixels", "metres"] = "pixels",
        resolution: float = 60.0,
        on_missing: Literal["raise", "skip_mask"] = "raise",
    ) -> None:
        if not 0 < threshold < 1:
            hint = f": did you mean {threshold / 100:g}?" if 1 <= threshold < 100 else "."
            raise MaskError(f"threshold={threshold!r} is not a probability between 0 and 1{hint}")
        if not 10 <= resolution <= 160:
            raise MaskError(f"resolution={resolution!r}: s2cloudless runs on pixels of 10 to 160 m.")
        if on_missing not in ("raise", "skip_mask"):
            raise MaskError(f"on_missing={on_missing!r} is not known. Choose of: raise, skip_mask.")
        smoothing = smoothing_of(threshold, average_over, dilation_size, unit, resolution)
        model_path()
        values = (
            _items(l1c), float(threshold), average_over, dilation_size, unit, float(resolution), on_missing,
            smoothing,
        )  # fmt: skip
        for name, value in zip(self.__dataclass_fields__, values, strict=True):
            object.__setattr__(self, name, value)

    @property
    def bands(self) -> tuple[str, ...]:
        """The model's bands; of the Level-1C Items beside the cube's with their prefix."""
        return MODEL_BANDS if self.l1c is None else tuple(f"{L1C}:{band}" for band in MODEL_BANDS)

    @property
    def reach(self) -> float:  # type: ignore[override]
        """Metres: both radii, and a pixel: beside a finer mask, one may be cut by the window."""
        return self._smoothing.reach + self.resolution

    def settled(self) -> S2Cloudless:
        """Return the mask without the Items, once a plan has joined them."""
        copy = object.__new__(S2Cloudless)
        for name in self.__dataclass_fields__:
            object.__setattr__(copy, name, () if name == "l1c" and self.l1c else getattr(self, name))
        return copy

    def probability(self, px: Pixels) -> NDArray[np.float32]:
        """Return the probability of cloud, 0 to 1, float32 (y, x); NaN where a band has no data."""
        blocks = blocks_of(px, self.resolution)
        found = self._probability(px, blocks)
        return found if blocks is None else np.asarray(blocks.spread(found))

    def _probability(self, px: Pixels, blocks: Blocks | None) -> NDArray[np.float32]:
        """Return it on the model's own pixels. Masks that look at the same window share it."""
        first = px[self.bands[0]]
        of, resolution, found = getattr(_memo, "last", (lambda: None, 0.0, first))
        if of() is first and resolution == self.resolution:
            return np.asarray(found)
        layers = [px[band] if blocks is None else blocks.mean(px[band]) for band in self.bands]
        valid = np.logical_and.reduce([~np.isnan(layer) for layer in layers])
        found = np.full(valid.shape, np.nan, dtype=np.float32)
        if valid.any():
            features = np.stack([layer[valid] for layer in layers])
            found[valid] = load_forest(model_path()).probability(features)
        _memo.last = weakref.ref(first), self.resolution, found
        return found

    def __call__(self, px: Pixels) -> NDArray[np.bool_]:
        """Return bool (y, x), True where there is cloud."""
        blocks = blocks_of(px, self.resolution)
        found = self._probability(px, blocks)
        bad = self._smoothing.clouds(found, px.resolution if blocks is None else self.resolution)
        bad = bad | np.isnan(found) if self.on_missing == "raise" else bad
        return bad if blocks is None else np.asarray(blocks.spread(bad))

    def __repr__(self) -> str:
        said = [f"l1c={len(self.l1c)} Items"] if self.l1c else []
        said += [f"threshold={plain(self.threshold)}"]
        said += [f"average_over={plain(self.average_over or 0)}"]
        said += [f"dilation_size={plain(self.dilation_size or 0)}"]
        said += [f"unit={self.unit!r}"] if self.unit != "pixels" else []
        said += [f"resolution={plain(self.resolution)}"] if self.resolution != 60 else []
        said += [f"on_missing={self.on_missing!r}"] if self.on_missing != "raise" else []
        return f"S2Cloudless({', '.join(said)})"


def _items(l1c: Any) -> tuple[Any, ...] | None:
    if l1c is None:
        return None
    if isinstance(l1c, Mapping):
        l1c = l1c.get("features", ())
    found = () if isinstance(l1c, str | bytes | Path) or not isinstance(l1c, Iterable) else tuple(l1c)
    if not found:
        raise MaskError(
            f"l1c={str(l1c)[:80]!r} holds no Items: search Level-1C over the same area and period, for "
            "instance eocube.search(eocube.EARTH_SEARCH_L1C, area, period), or a folder of them."
        )
    return found


def model_path() -> Path:
    """Return the file of the package's model, without importing the package.

    Raises
    ------
    MissingExtraError
        If the package or numba are not installed; names the extra.
    """
    check_needed(("s2cloudless", "numba"), "S2Cloudless", "s2cloudless")
    spec = find_spec("s2cloudless")
    places = list(spec.submodule_search_locations or ()) if spec else []
    found = sorted(path for place in places for path in (Path(place) / "models").glob("pixel_*.txt"))
    if not found:
        raise MissingExtraError(
            f"The package s2cloudless in {', '.join(places)} holds no model (models/pixel_*.txt): install "
            "version 1.7 of it, pip install 'eocube[s2cloudless]'."
        )
    return found[-1]
