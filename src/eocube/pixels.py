"""What a mask is given: one Scene on one window."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .errors import BandError
from .sentinel2 import BANDS, band_name
from .suns import Sun

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox


@dataclass(frozen=True)
class Pixels:
    """One Scene on one window of a grid.

    Attributes
    ----------
    bands : mapping of str to array of shape (y, x)
        By common name. Reflectance is float32 with NaN where there is no data; ``scl`` is uint8
        with 0 for no data; other numbers are float32 with NaN.
    geobox : odc.geo.geobox.GeoBox
        The window: CRS, transform, shape.
    sun_azimuth, sun_elevation : float
        Mean sun angles of the Scene in degrees, azimuth clockwise from true north; NaN if unknown.
    scene, platform, baseline : str
        Id of the Scene, platform (``"sentinel-2a"``) and processing baseline (``"05.09"``).
    time : datetime
        Sensing time (UTC).
    suns : tuple of Sun
        Where the sun stood over each granule of the Scene, for masks that ask for it by ``sun``; empty:
        the means of the Scene.
    sun_of : uint8 array (y, x), optional
        Which of ``suns`` shines on a pixel; None: the first on all.
    """

    bands: Mapping[str, NDArray[Any]]
    geobox: GeoBox
    sun_azimuth: float = float("nan")
    sun_elevation: float = float("nan")
    scene: str = ""
    platform: str = ""
    baseline: str = ""
    time: datetime = datetime(1970, 1, 1)
    suns: tuple[Sun, ...] = ()
    sun_of: NDArray[np.uint8] | None = None

    def __getitem__(self, name: str) -> NDArray[Any]:
        """Return one band by its common or ESA's name."""
        common = name if name in self.bands else band_name(name)
        if common not in self.bands:
            raise BandError(
                f"The mask asked for band {name!r}, but declares only {', '.join(self.bands)}: "
                f"add {common!r} to its bands."
            )
        return self.bands[common]

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the window."""
        rows, columns = self.geobox.shape
        return int(rows), int(columns)

    @property
    def resolution(self) -> float:
        """Pixel of the window, in the units of its CRS (metres on a mask's grid)."""
        return float(abs(self.geobox.resolution.y))

    @property
    def valid(self) -> NDArray[np.bool_]:
        """Bool (y, x): True where every band has data.

        What a mask looks at beside the Scene (``"l1c:blue"``) counts only if there is nothing else: it
        may be missing.
        """
        found = np.ones(self.shape, dtype=bool)
        own = {name: values for name, values in self.bands.items() if ":" not in name}
        for name, values in (own or self.bands).items():
            has_data = ~np.isnan(values) if values.dtype.kind == "f" else values != BANDS[name].nodata
            found &= has_data
        return found
