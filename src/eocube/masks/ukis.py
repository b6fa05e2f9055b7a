"""Clouds and shadows by the network of ukis-csmask (extra ``ukis``)."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import MaskError, did_you_mean
from ..extras import check_needed
from ..pixels import Pixels
from .algebra import Bools, Mask

CLASSES = {"clear": 0, "cloud": 1, "shadow": 2}
"""What the network tells apart, in the order of its output."""

TILE = 256
"""Rows and columns that the network sees at once."""

STEP = 204
"""From one tile to the next: ukis-csmask lets tiles overlap by a fifth (``int(256 - 256 * 0.2)``)."""

_REACH = TILE + 1
"""Pixels: a tile that holds a pixel ends no farther away, and the lattice may lie one pixel aside."""


@dataclass(frozen=True)
class UkisCSMask(Mask):
    """Throw away what the network of ukis-csmask takes for cloud or shadow.

    The models of the package are run by onnxruntime, on one core and without a GPU, so that the result is
    the same everywhere. The package's own tiles of 256 x 256 pixels are used, but they stand still on the
    ground, at multiples of 204 pixels of the CRS, wherever a block or a mosaic is cut. Where tiles
    overlap they are blended as in the package.

    Parameters
    ----------
    classes : tuple of str
        ``"cloud"``, ``"shadow"``, or both.
    level : {"l2a", "l1c"}
        What the Items hold: there is a model for each. The wrong one gives wrong masks.
    swir : bool
        Use ``swir16`` and ``swir22`` besides ``blue``, ``green``, ``red`` and ``nir``. Better where there
        are such bands; False takes the model of four bands.
    resolution : float
        Metres of the network's pixel. It was trained on pixels of about 30 m.

    Raises
    ------
    MaskError
        If a class, the level or the resolution is not one.
    MissingExtraError
        If ukis-csmask or onnxruntime is not installed.

    Notes
    -----
    The network weighs the whole of a tile for each of its pixels: to change a corner changes the logits
    at the far end of the tile by some hundredths. So all of a tile is always read, 257 pixels around a
    block (7.7 km at 30 m), and blocks should be large. A run takes about 0.4 GB beside the block.

    Wieland, Fichtner, Martinis 2022, doi 10.5194/isprs-archives-XLIII-B3-2022-217-2022; ukis-csmask 1.0.0,
    Apache-2.0.

    Examples
    --------
    >>> UkisCSMask(classes=("cloud",))
    UkisCSMask(classes=('cloud',), level='l2a', swir=True, resolution=30.0)
    """

    classes: tuple[str, ...] = ("cloud", "shadow")
    level: Literal["l2a", "l1c"] = "l2a"
    swir: bool = True
    resolution: float | None = 30.0

    def __post_init__(self) -> None:
        wanted = (self.classes,) if isinstance(self.classes, str) else tuple(self.classes)
        object.__setattr__(self, "classes", wanted)
        known = [name for name in CLASSES if name != "clear"]
        for name in wanted or ("",):
            if name not in known:
                raise MaskError(
                    f"UkisCSMask has no class {name!r}.{did_you_mean(name, known)} Known: {', '.join(known)}."
                )
        if self.level not in ("l2a", "l1c"):
            raise MaskError(f"level={self.level!r} is not known: 'l2a' or 'l1c', as the Items are.")
        size = self.resolution
        if size is None or not (size > 0 and math.isfinite(size)):
            raise MaskError(f"resolution={size!r} is not a pixel size: give metres above 0.")
        check_needed(("ukis_csmask", "onnxruntime"), "UkisCSMask", "ukis")

    @property
    def bands(self) -> tuple[str, ...]:
        """Bands of the model, in its order."""
        return ("blue", "green", "red", "nir", *(("swir16", "swir22") if self.swir else ()))

    @property
    def reach(self) -> float:  # type: ignore[override]
        """Metres to the end of the farthest tile that holds a pixel."""
        assert self.resolution is not None
        return _REACH * self.resolution

    def __call__(self, px: Pixels) -> Bools:
        """Return bool (y, x), True where the class is thrown away; never where there is no data."""
        codes = [CLASSES[name] for name in self.classes]
        return np.asarray(np.isin(self.classified(px), codes) & px.valid)

    def classified(self, px: Pixels) -> NDArray[np.uint8]:
        """Return the class of each pixel (y, x), 0 where a window's rim would be needed.

        A window without a rim, smaller than twice the reach, is continued by its mirror image.
        """
        assert self.resolution is not None
        model, scale = model_of(self.level, self.swir), self.resolution / px.resolution
        a = px.geobox.affine
        rim = math.floor(self.reach / px.resolution + 1e-9)
        rows = _Axis.of(px.shape[0], -a.f / self.resolution, scale, rim)
        columns = _Axis.of(px.shape[1], a.c / self.resolution, scale, rim)
        image = np.stack([px[band] for band in self.bands])
        height, width = rows.last - rows.first, columns.last - columns.first
        votes = np.zeros((len(CLASSES), height, width))
        for row in rows.tiles():
            for column in columns.tiles():
                tile = image[:, rows.under(row)[:, None], columns.under(column)]
                if not (np.isfinite(tile).all(axis=0)).any():
                    continue
                inside, own = _overlap(rows, row), _overlap(columns, column)
                shares = model(np.nan_to_num(tile, nan=0.0)) * _taper()
                votes[:, inside[0], own[0]] += shares[:, inside[1], own[1]]
        found = np.zeros(px.shape, dtype=np.uint8)
        best = votes.argmax(axis=0).astype(np.uint8)
        found[rows.inner, columns.inner] = best[rows.over()[:, None], columns.over()]
        return found


class _Axis(NamedTuple):
    """How the pixels of a window and those of the network lie along one axis.

    Both count in the direction of the window; the network's from the origin of the CRS.
    """

    size: int
    start: float  # of the window, in pixels of the network
    scale: float  # pixels of the window in one of the network
    inner: slice  # pixels of the window that have all their tiles
    first: int  # pixels of the network over those
    last: int

    @classmethod
    def of(cls, size: int, start: float, scale: float, rim: int) -> _Axis:
        inner = slice(rim, size - rim) if size > 2 * rim else slice(0, size)
        edges = [math.floor(start + (p + 0.5) / scale + 1e-6) for p in (inner.start, inner.stop - 1)]
        return cls(size, start, scale, inner, edges[0], edges[1] + 1)

    def tiles(self) -> range:
        """Return the first pixels of the tiles that hold a pixel."""
        low = -((TILE - 1 - self.first) // STEP) * STEP
        return range(low, self.last, STEP)

    def under(self, tile: int) -> NDArray[np.intp]:
        """Return the window's pixel at the centre of each of a tile, mirrored beyond its ends."""
        centres = (tile + np.arange(TILE) + 0.5 - self.start) * self.scale
        places = np.floor(centres + 1e-6).astype(np.intp) % (2 * self.size)
        return np.asarray(np.minimum(places, 2 * self.size - 1 - places))

    def over(self) -> NDArray[np.intp]:
        """Return of each inner pixel the network's, counted from ``first``."""
        pixels = np.arange(self.inner.start, self.inner.stop)
        return np.floor(self.start + (pixels + 0.5) / self.scale + 1e-6).astype(np.intp) - self.first


def _overlap(axis: _Axis, tile: int) -> tuple[slice, slice]:
    """Return what of the axis a tile covers, and what of the tile that is."""
    low, high = max(tile, axis.first), min(tile + TILE, axis.last)
    return slice(low - axis.first, high - axis.first), slice(low - tile, high - tile)


@lru_cache(maxsize=1)
def _taper() -> NDArray[np.float64]:
    """Return the weights of a tile, as ukis-csmask has them (Tukey's window over the overlap)."""
    from scipy.signal.windows import tukey

    line = tukey(M=TILE, alpha=0.4)
    return np.asarray(line[:, None] * line[None, :])


class Model:
    """A network of ukis-csmask in this process."""

    def __init__(self, name: str) -> None:
        import onnxruntime

        folder = files("ukis_csmask")
        said = json.loads(folder.joinpath(f"{name}.json").read_text())["data"]["dataset_statistics"]
        self.bands = tuple(said["band_names"])
        self.mean, self.deviation = (np.array(numbers)[:, None, None] for numbers in said["img"])
        options = onnxruntime.SessionOptions()
        # One core: Dask has a task for each, and sums do not depend on how many there are.
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self.session: Any = onnxruntime.InferenceSession(
            folder.joinpath(f"{name}.onnx").read_bytes(), options, providers=["CPUExecutionProvider"]
        )

    def __call__(self, tile: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the share of each class (class, y, x) of reflectance (band, y, x), 256 x 256."""
        from scipy.special import softmax

        image = tile.astype(np.float32)
        image -= self.mean
        image /= self.deviation
        (logits,) = self.session.run(None, {self.session.get_inputs()[0].name: image[None]})
        return np.asarray(softmax(logits[0], axis=0))


@lru_cache(maxsize=4)
def model_of(level: str, swir: bool) -> Model:
    """Return a model, loaded once per process."""
    return Model(f"model_{6 if swir else 4}b_{level}")
