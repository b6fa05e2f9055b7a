"""What the runner tells a process to do, and what the process tells the runner."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

BAD_CLASSES = (0, 1, 3, 8, 9, 10)
"""What ``eocube.SCLMask()`` throws away."""


@dataclass(frozen=True)
class Job:
    """One run of one variant; passed to a fresh process as JSON.

    Attributes
    ----------
    workload, variant : str
    items : str
        Path of an ItemCollection whose hrefs are relative to ``base``.
    base : str
        Folder, or URL of a server, that the hrefs are relative to.
    crs : str
    shape : tuple of int
        Rows and columns of the output.
    affine : tuple of float
        Six numbers of the output's grid.
    bands : tuple of str
    task : {"median", "zonal", "graph", "region"}
        What to do with the pixels, or with the metadata alone.
    loader : str
        Of eocube; empty for the default.
    threads : int
        Of the scheduler; 0 for Dask's default.
    zones : int
        Fields of a zonal task.
    cluster : bool
        Two workers of one thread instead of threads.
    details : bool
        Count tasks and keep the output, after the time has been taken.
    answer : str
        Path prefix of what the process writes.
    """

    workload: str
    variant: str
    items: str
    base: str
    crs: str
    shape: tuple[int, int]
    affine: tuple[float, ...]
    bands: tuple[str, ...] = ("blue", "green", "red", "nir")
    task: str = "median"
    loader: str = ""
    threads: int = 0
    zones: int = 60
    cluster: bool = False
    details: bool = False
    answer: str = ""

    def write(self, path: Path) -> None:
        """Write as JSON."""
        path.write_text(json.dumps(asdict(self)))

    @classmethod
    def read(cls, path: str) -> Job:
        """Read what :meth:`write` wrote."""
        found: dict[str, Any] = json.loads(Path(path).read_text())
        plain: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in found.items()
        }
        return cls(**plain)

    @property
    def grid(self) -> Any:
        """The output's grid as an odc-geo GeoBox."""
        from affine import Affine
        from odc.geo.geobox import GeoBox

        return GeoBox(self.shape, Affine(*self.affine), self.crs)

    @cached_property
    def records(self) -> list[dict[str, Any]]:
        """The Items as dicts with absolute hrefs."""
        features: list[dict[str, Any]] = json.loads(Path(self.items).read_text())["features"]
        for feature in features:
            for asset in feature["assets"].values():
                if "://" not in asset["href"]:
                    asset["href"] = f"{self.base}/{asset['href']}"
        return features

    @cached_property
    def pystac_items(self) -> list[Any]:
        """The Items as a search returns them."""
        import pystac

        return [pystac.Item.from_dict(record) for record in self.records]

    @cached_property
    def fields(self) -> dict[int, Any]:
        """The fields of a zonal task as polygons in the grid's CRS, by number."""
        from .worlds import fields_of

        return fields_of(self.grid, self.zones)

    @property
    def done(self) -> Path:
        """File that says: computed; what comes now is bookkeeping."""
        return Path(f"{self.answer}.done")

    @property
    def result(self) -> Path:
        """File of numbers, JSON."""
        return Path(f"{self.answer}.json")

    @property
    def output(self) -> Path:
        """File of pixels."""
        return Path(f"{self.answer}.npy")
