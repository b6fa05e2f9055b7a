"""Ready probabilities of cloud as a mask: an asset, an array, a folder of rasters."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from ..errors import MaskError
from ..layers import Layers, layers_of
from ..pixels import Pixels
from ..sentinel2 import BANDS
from .algebra import Mask, plain
from .s2cloudless import Smoothing, smoothing_of

ASSETS = ("cloud", "snow")
"""Sen2Cor's probabilities, whole numbers from 0 to 100 (Earth Search Collection 1, CDSE)."""

_MOST = 127
"""Above it, values are of another scale. Lossy copies overshoot 100 a little: 106 in real ones."""


@dataclass(frozen=True, init=False, repr=False)
class CloudProbability(Mask):
    """Throw away where a ready probability of cloud is above a threshold.

    Parameters
    ----------
    source : str, path or xarray.DataArray
        ``"cloud"`` (or ``"snow"``): the asset of the Items, Sen2Cor's probability, 0-100 at 20 m.
        A folder: rasters, one per Item (uint8, 0-100, 255 for no data), whose names contain the Item's
        id, or begin as Earth Engine's ``20230815T095559_20230815T100031_T33TWL``.
        An array (time, y, x) with a CRS: 0-100 or, floating, 0-1, NaN for no data; it is held in
        memory, and travels with the plan.
    threshold : float
        Above which a pixel is thrown away, in the units of the source: 40 of 100, or 0.4 of 1.
    average_over, dilation_size : float
        As :class:`S2Cloudless`; none by default.
    unit : {"pixels", "metres"}
        Of the two radii; pixels are those of ``resolution``.
    resolution : float, optional
        Pixel in metres on which it works. Default: 20, or the array's own.
    on_missing : {"raise", "skip_mask"}
        What is done about a scene without a raster or a time: an error that lists them, or this mask
        throws nothing away there, with a warning, and the plan lists them. About a missing asset
        ``plan(on_missing=...)`` decides.

    Raises
    ------
    MaskError
        If the threshold and the values are not of one scale, or a parameter is out of its range; when
        it is planned: if a scene has no probability, or it lies elsewhere.

    Notes
    -----
    Pixels without a probability are thrown away, or kept with ``on_missing="skip_mask"``.

    Examples
    --------
    >>> CloudProbability("cloud", 40)
    CloudProbability('cloud', threshold=40)
    """

    source: str | Layers
    threshold: float
    average_over: float | None
    dilation_size: float | None
    unit: Literal["pixels", "metres"]
    resolution: float
    on_missing: Literal["raise", "skip_mask"]
    _smoothing: Smoothing = field(compare=False)

    def __init__(
        self,
        source: Any,
        threshold: float = 40,
        *,
        average_over: float | None = 0,
        dilation_size: float | None = 0,
        unit: Literal["pixels", "metres"] = "pixels",
        resolution: float | None = None,
        on_missing: Literal["raise", "skip_mask"] = "raise",
    ) -> None:
        if on_missing not in ("raise", "skip_mask"):
            raise MaskError(f"on_missing={on_missing!r} is not known. Choose of: raise, skip_mask.")
        found = _source(source)
        _check_scale(found, threshold)
        if resolution is None:
            resolution = _pixel(found)
        if not 0 < resolution < 1e5:
            raise MaskError(f"resolution={resolution!r} is not a pixel size: give metres above 0.")
        smoothing = smoothing_of(threshold, average_over, dilation_size, unit, resolution)
        values = (
            found, float(threshold), average_over, dilation_size, unit, float(resolution), on_missing,
            smoothing,
        )  # fmt: skip
        for name, value in zip(self.__dataclass_fields__, values, strict=True):
            object.__setattr__(self, name, value)

    @property
    def folder(self) -> Path | None:
        """The folder of rasters, if that is the source."""
        return Path(self.source) if isinstance(self.source, str) and self.source not in ASSETS else None

    @property
    def bands(self) -> tuple[str, ...]:
        """The asset, or the raster beside the Item; none for an array."""
        if isinstance(self.source, Layers):
            return ()
        folder = self.folder
        return (self.source,) if folder is None else (f"probability-{crc32(str(folder).encode()):08x}:cloud",)

    @property
    def reach(self) -> float:  # type: ignore[override]
        """Metres: both radii."""
        return self._smoothing.reach

    def probability(self, px: Pixels) -> NDArray[np.float32]:
        """Return the probability in the units of the source, float32 (y, x); NaN for no data.

        Raises
        ------
        MaskError
            If a raster holds what is no probability.
        """
        if isinstance(self.source, Layers):
            return self.source.at(px.time, px.geobox)
        found: NDArray[np.float32] = px[self.bands[0]]
        if (most := np.nanmax(found, initial=0)) > _MOST:
            raise MaskError(f"{self!r}: {px.scene} has values up to {most:g}; they go from 0 to 100.")
        return found

    def __call__(self, px: Pixels) -> NDArray[np.bool_]:
        """Return bool (y, x), True where there is cloud."""
        found = self.probability(px)
        bad = self._smoothing.clouds(found, px.resolution)
        return bad | np.isnan(found) if self.on_missing == "raise" else bad

    def __repr__(self) -> str:
        source = repr(self.source) if isinstance(self.source, str) else f"{len(self.source.times)} layers"
        said = [source, f"threshold={plain(self.threshold)}"]
        said += [f"average_over={plain(self.average_over)}"] if self.average_over else []
        said += [f"dilation_size={plain(self.dilation_size)}"] if self.dilation_size else []
        said += [f"unit={self.unit!r}"] if self.unit != "pixels" else []
        usual = _pixel(self.source)
        said += [f"resolution={plain(self.resolution)}"] if self.resolution != usual else []
        said += [f"on_missing={self.on_missing!r}"] if self.on_missing != "raise" else []
        return f"CloudProbability({', '.join(said)})"


def _source(source: Any) -> str | Layers:
    if hasattr(source, "dims") and hasattr(source, "coords"):
        return layers_of(source)
    if isinstance(source, str) and source.lower() in (*ASSETS, *(BANDS[name].esa.lower() for name in ASSETS)):
        return next(name for name in ASSETS if source.lower() in (name, BANDS[name].esa.lower()))
    if isinstance(source, str | Path) and Path(source).is_dir():
        return str(Path(source).absolute())
    raise MaskError(
        f"{source!r} is no probability: give 'cloud' (an asset), a folder that exists, or a DataArray "
        "(time, y, x)."
    )


def _check_scale(source: str | Layers, threshold: float) -> None:
    """Refuse values and a threshold of different scales: 0 to 1, and 0 to 100."""
    if isinstance(threshold, bool) or not 0 < threshold < 100:
        raise MaskError(f"threshold={threshold!r} is no probability: give 0 to 100, or 0 to 1.")
    if isinstance(source, str):
        if threshold < 1:
            raise MaskError(
                f"threshold={threshold:g}, but {source!r} holds whole numbers from 0 to 100: did you mean "
                f"{threshold * 100:g}?"
            )
        return
    low, high = np.nanmin(source.values, initial=0), np.nanmax(source.values, initial=0)
    if low < 0 or high > 100:
        raise MaskError(f"The array goes from {low:g} to {high:g}; a probability from 0 to 100, or to 1.")
    whole = source.values.dtype.kind in "ui"
    if threshold < 1 and (whole or high > 1):
        what = f"whole numbers up to {high:g}" if whole else f"values up to {high:g}"
        percent = f"{threshold * 100:g}"
        raise MaskError(f"threshold={threshold:g}, but the array holds {what}: did you mean {percent}?")
    if threshold >= 1 and not whole and high <= 1:
        raise MaskError(
            f"threshold={threshold:g}, but the array holds values from 0 to {high:g}: did you mean "
            f"{threshold / 100:g}?"
        )


def _pixel(source: str | Layers) -> float:
    if isinstance(source, str):
        return BANDS["cloud"].resolution
    size = float(abs(source.geobox.resolution.y))
    crs = source.geobox.crs
    return size if crs is not None and crs.projected else size * 111_320
