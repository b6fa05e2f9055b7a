"""Level-1C of a world: Items and JPEG 2000 files as Earth Search lists them, written when asked for."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import rasterio
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from ..sentinel2 import BANDS, OFFSET_BASELINE
from .files import THREADS, _write_json
from .frames import Tile, make_tiles
from .items import _BAND_TEXTS, _element84_asset, item_id, make_item
from .passes import Granule
from .toa import L1C_BANDS, render_toa

if TYPE_CHECKING:
    from .worlds import World

COLLECTION = "sentinel-2-l1c"


def write_level1c(world: World) -> Path:
    """Write Level-1C of every Item of a world, unless it is there; return the folder of Items.

    Each Item is made aside and moved in one step: another process never sees half of one. The places of a
    world share the folder.
    """
    folder = world.path / "l1c"
    for part in world.parts:
        missing = [own for own in part.granules.values() if not (folder / _name(own, part.size)).is_dir()]
        if not missing:
            continue
        folder.mkdir(exist_ok=True)
        with TemporaryDirectory(dir=world.path) as aside:
            with ThreadPoolExecutor(THREADS) as pool:
                list(pool.map(partial(_write, part, folder=Path(aside)), missing))
            for made in Path(aside).iterdir():
                with suppress(OSError):  # another process was first: its files are the same
                    made.rename(folder / made.name)
    return folder


def _write(world: World, granule: Granule, folder: Path) -> None:
    # Level-1C is never harmonised: from baseline 04.00 on its numbers carry 1000.
    carried = 1000 if granule.baseline >= OFFSET_BASELINE else 0
    own = replace(granule, carried=carried, bias=0.0)
    item = _item(own, world.size)
    place = folder / item["id"]
    place.mkdir()
    tile = make_tiles(world.size, granule.flight.place)[granule.tile]
    for band, pixels in render_toa(own, world.seed, world.size, world.landscape).items():
        _write_jp2(place / f"{BANDS[band].esa}.jp2", pixels, tile.geobox(BANDS[band].resolution))
    _write_json(place / f"{item['id']}.json", item)


def _write_jp2(path: Path, pixels: NDArray[Any], box: GeoBox) -> None:
    """Write one band as lossless JPEG 2000."""
    rows, columns = box.shape
    options = {
        "driver": "JP2OpenJPEG", "width": columns, "height": rows, "count": 1, "dtype": "uint16",
        "crs": str(box.crs), "transform": box.affine, "quality": 100, "reversible": "YES",
    }  # fmt: skip
    with rasterio.open(path, "w", **options) as file:
        file.write(pixels, 1)


def _name(granule: Granule, size: int) -> str:
    return item_id(granule, "earth-search", size).replace("_L2A", "_L1C")


def _item(granule: Granule, size: int) -> dict[str, Any]:
    """Return the Item, modelled on one of Earth Search's collection sentinel-2-l1c."""
    tile = make_tiles(size, granule.flight.place)[granule.tile]
    item = make_item(granule, "earth-search", size, (), {})
    item["id"] = _name(granule, size)
    item["collection"] = COLLECTION
    item["assets"] = {band: _asset(granule, tile, band) for band in L1C_BANDS}
    item["links"] = []
    properties = item["properties"]
    del properties["earthsearch:boa_offset_applied"]
    properties["s2:product_type"] = "S2MSI1C"
    for key, value in properties.items():
        if isinstance(value, str):
            properties[key] = value.replace("_MSIL2A_", "_MSIL1C_").replace("_MSI_L2A_", "_MSI_L1C_")
    return item


def _asset(granule: Granule, tile: Tile, band: str) -> dict[str, Any]:
    texts = _BAND_TEXTS.get(band, ("cirrus", "Cirrus", 0.075))
    asset = _element84_asset(granule, tile, band if band in _BAND_TEXTS else "nir09")
    resolution, esa = BANDS[band].resolution, BANDS[band].esa
    asset["eo:bands"] = [
        {
            "name": esa,
            "common_name": texts[0],
            "center_wavelength": BANDS[band].wavelength / 1000,
            "full_width_half_max": texts[2],
        }
    ]
    return {
        **asset, "href": f"./{esa}.jp2", "type": "image/jp2", "title": f"{texts[1]} - {resolution:g}m",
    }  # fmt: skip
