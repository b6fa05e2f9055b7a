"""A world that was written: its files, its grids, its truth."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pystac
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from ..catalogs import CATALOGS, Catalog
from ..errors import BandError, GridError, InputError, ItemsError, did_you_mean, shorten
from ..sentinel2 import band_names
from .frames import MAIN_CRS, block_mean, finer, make_tiles, middle, to_main
from .items import footprint, item_id
from .landscape import make_ground
from .passes import Granule, Pass, calendar, granules
from .rendering import clear_at
from .skies import Overhead, make_sky
from .spectra import REFLECTANCE

if TYPE_CHECKING:
    import geopandas as gpd

Naming = Literal["earth-search", "planetary-computer"]
Truth = Literal["clear", "cloud", "cirrus", "shadow", "nodata"]
When = str | datetime


@dataclass(frozen=True)
class World:
    """A made-up archive on disk, and all that is true of it.

    Attributes
    ----------
    path : pathlib.Path
        Its folder: ``catalog.json``, ``collection.json``, ``items.geojson``, ``items/``,
        ``truth/``, ``world.json``.
    seed : int
        Decides landscape, weather and noise.
    naming : {"earth-search", "planetary-computer"}
        Whose names the Items use.
    size : int
        Pixels of 10 m along each side of a tile.
    dates : int
        Number of passes.
    bands : tuple of str
        Common names of the bands on disk, ``"scl"`` last.
    scl_faults : bool
        Whether the scene classification has the faults of the real one.
    landscape : str
        What the ground is made of: ``fields``, ``forest``, ``desert``, ``steppe``, ``snow``,
        ``water`` or ``silt``.
    places : int
        How many places there are, each a pair of tiles with a landscape and weather of its own, one row of
        MGRS squares (100 km) south of the one before.
    place : int
        Which place this is, in one of the ``parts`` of a world.
    """

    path: Path
    seed: int = 0
    naming: Naming = "earth-search"
    size: int = 240
    dates: int = 12
    bands: tuple[str, ...] = ()
    scl_faults: bool = False
    landscape: str = "fields"
    places: int = 1
    place: int = 0

    @property
    def items_path(self) -> Path:
        """The folder of Items, each ``<id>/<id>.json`` beside its COGs."""
        return self.path / "items"

    @property
    def catalog(self) -> Catalog:
        """The :class:`eocube.catalogs.Catalog` whose names it uses, to be read from here."""
        return replace(CATALOGS[self.naming].at(str(self.items_path)), signer="")

    @cached_property
    def parts(self) -> tuple[World, ...]:
        """A world for each place, whose truth and Items are those of the place; their files lie together."""
        if self.places == 1:
            return (self,)
        return tuple(
            replace(self, seed=self.seed + 1000 * place, places=1, place=place)
            for place in range(self.places)
        )

    @cached_property
    def scenes(self) -> tuple[Pass, ...]:
        """The passes in order of time; of several places, as the first sees them."""
        return calendar(self.seed, self.dates, self.place)

    @cached_property
    def granules(self) -> dict[str, Granule]:
        """How each Item was made, by id, in order of time."""
        if self.places > 1:
            every = [pair for part in self.parts for pair in part.granules.items()]
            return dict(sorted(every, key=lambda pair: pair[1].flight.start))
        made = granules(self.scenes, self.naming)
        return {item_id(granule, self.naming, self.size): granule for granule in made}

    @property
    def item_ids(self) -> tuple[str, ...]:
        """Ids of all Items in order of time."""
        return tuple(self.granules)

    def l1c(self) -> Path:
        """Write Level-1C of every Item, the first time, and return the folder of those Items.

        Of the same ground, sky, noise and edges, at the top of the atmosphere: 13 bands as JPEG 2000,
        named as in Earth Search's ``sentinel-2-l1c``. The Items of a world do not list it.

        Examples
        --------
        >>> import tempfile
        >>> from eocube import sample
        >>> world = sample.write(tempfile.mkdtemp(), size=60, dates=1)
        >>> sorted(path.name for path in world.l1c().iterdir())[0]
        'S2A_32TQT_20210612_0_L1C'
        """
        from .level1c import write_level1c

        return write_level1c(self)

    def items(self) -> list[pystac.Item]:
        """Return all Items, read from disk, with absolute hrefs."""
        found = []
        for name in self.item_ids:
            item = pystac.Item.from_file(str(self.items_path / name / f"{name}.json"))
            item.make_asset_hrefs_absolute()
            found.append(item)
        return found

    @property
    def bbox(self) -> tuple[float, float, float, float]:
        """West, south, east, north of all footprints in degrees."""
        bounds = np.array([footprint(g, self.size).bounds for g in self.granules.values()])
        west, south = bounds[:, :2].min(axis=0)
        east, north = bounds[:, 2:].max(axis=0)
        return float(west), float(south), float(east), float(north)

    @property
    def grid(self) -> GeoBox:
        """A grid at 10 m in the main zone: four fifths of the (first) main tile, and some of the other."""
        main = make_tiles(self.size, self.place)[0]
        columns, rows = int(self.size * 1.15) // 12 * 12, int(self.size * 0.8) // 12 * 12
        left = main.left - self.size * 0.25 // 6 * 60
        top = main.top - self.size * 0.1 // 6 * 60
        return GeoBox((rows, columns), Affine(10, 0, left, 0, -10, top), MAIN_CRS)

    def fields(self, each: int | None = None) -> gpd.GeoDataFrame:
        """Return the fields within the grid as polygons, with their ``crop``; needs the extra ``vector``.

        The largest come first, ``each`` of each crop or all. The index holds names such as ``"maize 2"``.
        A landscape without crops has none.
        """
        from .parcels import parcels

        return parcels(make_ground(self.seed, self.size, self.landscape), self.grid, each)

    def geobox(self, item_id: str, resolution: float = 10.0) -> GeoBox:
        """Return the lattice of an Item's files at 10, 20 or 60 m."""
        granule = self._granule(item_id)
        return make_tiles(self.size, granule.flight.place)[granule.tile].geobox(resolution)

    def truth(self, kind: Truth, item_id: str) -> NDArray[Any]:
        """Return what is true of an Item, on its own 10 m lattice.

        Parameters
        ----------
        kind : {"clear", "cloud", "cirrus", "shadow", "nodata"}
            ``clear``: reflectance under a clear sky, float32 ``(band, y, x)``, the bands in the
            order of ``world.bands`` without ``scl``, those of 20 and 60 m too. The others are bool
            ``(y, x)``: cumulus overhead; cirrus overhead; ground in the shadow of a cloud and not
            itself under one; some band without data. Where none of the four is set, the pixel
            shows the clear ground and nothing but noise is added.
        item_id : str
            Which Item.

        Raises
        ------
        InputError
            If there is no such kind of truth.
        ItemsError
            If there is no such Item.

        Examples
        --------
        >>> from eocube import sample
        >>> sample.cached().truth("cloud", "S2A_33TTN_20210612_0_L2A").shape
        (240, 240)
        """
        if kind == "clear":
            return self.clear_on(self.geobox(item_id), item_id)
        self._granule(item_id)
        with np.load(self.path / "truth" / f"{item_id}.npz") as stored:
            if kind not in stored:
                kinds = ("clear", *stored)
                raise InputError(
                    f"There is no truth of kind {kind!r}.{did_you_mean(kind, kinds)} "
                    f"Known kinds: {', '.join(kinds)}."
                )
            bits = np.unpackbits(stored[kind], count=self.size**2)
        mask: NDArray[np.bool_] = bits.reshape(self.size, self.size).astype(bool)
        return mask

    def clear_on(
        self, geobox: GeoBox, when: When, bands: str | Iterable[str] | None = None
    ) -> NDArray[np.float32]:
        """Return the ground's reflectance under a clear sky on any grid.

        Parameters
        ----------
        geobox : odc.geo.geobox.GeoBox
            Any grid in any CRS. Pixels of 20 m and more are means of their 10 m parts. Of several
            places, that of the Item counts, or the one nearest to the grid's middle.
        when : str or datetime
            An Item's id, a day (``"2021-06-12"``) or a time. On a day without a pass the sun
            stands as at 10:10 UTC.
        bands : str or iterable of str, optional
            Default: those of the world.

        Returns
        -------
        array of shape (band, y, x), float32
            NaN outside the world.

        Raises
        ------
        BandError
            If a band has no reflectance.
        GridError
            If the grid has no CRS.
        InputError
            If ``when`` is neither an Item nor a day.
        """
        chosen = band_names(bands) if bands is not None else self.bands
        if bands is None:
            chosen = tuple(band for band in chosen if band in REFLECTANCE)
        wrong = [band for band in chosen if band not in REFLECTANCE]
        if wrong:
            raise BandError(
                f"The sample has no reflectance of {', '.join(wrong)}: it has {', '.join(REFLECTANCE)}."
            )
        fine, times = self._fine(geobox)
        part = self._part(when, geobox)
        flight = part._flight(when)
        return block_mean(clear_at(part.seed, self.size, self.landscape, flight, chosen, fine), times)

    def cloud_on(self, geobox: GeoBox, when: When) -> NDArray[np.bool_]:
        """Return where cumulus hangs over any part of a pixel, on any grid: bool ``(y, x)``.

        ``when`` is an Item's id, or the day or time of a pass.
        """
        over, times = self._overhead(geobox, when)
        return _any(over.cloud > 0, times)

    def cirrus_on(self, geobox: GeoBox, when: When) -> NDArray[np.bool_]:
        """Return where cirrus hangs over any part of a pixel; as :meth:`cloud_on`."""
        over, times = self._overhead(geobox, when)
        return _any(over.cirrus > 0, times)

    def shadow_on(self, geobox: GeoBox, when: When) -> NDArray[np.bool_]:
        """Return where any part of a pixel is in a cloud's shadow and not itself under a cloud."""
        over, times = self._overhead(geobox, when)
        return _any((over.shadow > 0) & ~(over.cloud > 0), times)

    def classes_on(self, geobox: GeoBox, when: When) -> NDArray[np.uint8]:
        """Return 0 for clear, 1 for cloud or cirrus, 2 for shadow: uint8 ``(y, x)``, on any grid."""
        cloud = self.cloud_on(geobox, when) | self.cirrus_on(geobox, when)
        return np.where(cloud, 1, np.where(self.shadow_on(geobox, when), 2, 0)).astype(np.uint8)

    def shadow_vector(self, when: When) -> tuple[float, float]:
        """Return metres east and north (main zone's grid) from a cloud to its shadow (at the first place)."""
        part = self._part(when)
        east, north = make_sky(part.seed, self.size, part._pass(when)).toward_sun
        return -east, -north

    def _overhead(self, geobox: GeoBox, when: When) -> tuple[Overhead, int]:
        fine, times = self._fine(geobox)
        part = self._part(when, geobox)
        return make_sky(part.seed, self.size, part._pass(when)).over(fine), times

    def _part(self, when: When, geobox: GeoBox | None = None) -> World:
        """Return the place of an Item, else the one nearest to a grid's middle."""
        if isinstance(when, str) and when in self.granules:
            return self.parts[self.granules[when].flight.place - self.place]
        if geobox is None or self.places == 1:
            return self.parts[0]
        rows, columns = geobox.shape
        x, y = geobox.affine * (columns / 2, rows / 2)
        _, north = to_main(str(geobox.crs), np.array([x]), np.array([y]))
        return min(self.parts, key=lambda part: abs(middle(part.place)[1] - north[0]))

    def _fine(self, geobox: GeoBox) -> tuple[GeoBox, int]:
        if not isinstance(geobox, GeoBox) or geobox.crs is None:
            raise GridError(f"The truth needs a GeoBox with a CRS as grid, not {geobox!r}.")
        return finer(geobox)

    def _granule(self, item_id: str) -> Granule:
        if item_id not in self.granules:
            raise ItemsError(
                f"The sample has no Item {item_id!r}.{did_you_mean(item_id, self.item_ids)} "
                f"It has {shorten(self.item_ids)}."
            )
        return self.granules[item_id]

    def _pass(self, when: When) -> Pass:
        """Return the pass of an Item, a day or a time."""
        flight = self._flight(when)
        if flight not in self.scenes:
            days = [scene.date for scene in self.scenes]
            raise InputError(f"No pass on {flight.date}: there are passes on {shorten(days, 12)}.")
        return flight

    def _flight(self, when: When) -> Pass:
        """Return the same, or a pass that might have been."""
        if isinstance(when, str) and when in self.granules:
            return self.granules[when].flight
        try:
            time = when if isinstance(when, datetime) else datetime.fromisoformat(when)
        except (TypeError, ValueError):
            raise InputError(
                f"{when!r} is neither an Item of the sample nor a day like '2021-06-12'."
                f"{did_you_mean(str(when), self.item_ids)}"
            ) from None
        time = time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
        for scene in self.scenes:
            if scene.start.date() == time.date():
                return scene
        start = time.replace(hour=10, minute=3, second=0, microsecond=0)
        return Pass(start, "A", 22, 0.0, False, place=self.place)


def _any(mask: NDArray[np.bool_], times: int) -> NDArray[np.bool_]:
    """Return where any of ``times`` x ``times`` pixels is set."""
    rows, columns = mask.shape
    blocks = mask.reshape(rows // times, times, columns // times, times)
    return np.asarray(blocks.any(axis=(1, 3)))


def read_world(folder: str | Path) -> World:
    """Return the world that ``world.json`` in a folder describes."""
    path = Path(folder)
    if not (path / "world.json").is_file():
        raise InputError(f"There is no sample in {path}: make one with eocube.sample.write({str(path)!r}).")
    told = json.loads((path / "world.json").read_text())
    return World(path, **{**told["made with"], "bands": tuple(told["made with"]["bands"])})
