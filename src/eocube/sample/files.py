"""Writing a world: COGs, Items, a static catalog, the truth."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from copy import deepcopy
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from zlib import crc32

import numpy as np
import rasterio
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from ..catalogs import CATALOGS
from ..errors import BandError, InputError, OutputError, did_you_mean
from ..sentinel2 import BANDS, band_names
from .frames import MOST_PLACES
from .items import COLLECTION, make_item, shares
from .landscape import make_ground
from .passes import Granule
from .rendering import render
from .spectra import LANDSCAPES, REFLECTANCE
from .worlds import Naming, World, read_world

DEFAULT_BANDS = ("blue", "green", "red", "nir", "rededge1", "nir08", "swir16", "swir22", "scl")
"""Written unless asked otherwise: four bands of 10 m, four of 20 m, the classification."""

THREADS = 4


def plan_world(
    folder: str | Path,
    seed: int,
    naming: Naming,
    size: int,
    dates: int,
    bands: Iterable[str],
    scl_faults: bool,
    landscape: str = "fields",
    places: int = 1,
) -> World:
    """Check what was asked for and return the world, nothing written yet."""
    if naming not in CATALOGS or naming not in ("earth-search", "planetary-computer"):
        raise InputError(
            f"There is no naming {naming!r}.{did_you_mean(naming, CATALOGS)} "
            "Known: earth-search, planetary-computer."
        )
    if not isinstance(seed, int) or seed < 0:
        raise InputError(f"seed={seed!r}: a seed is a whole number from 0 on.")
    if not isinstance(size, int) or size % 6 or not 60 <= size <= 3000:
        raise InputError(
            f"size={size!r}: the side of a tile is 60 to 3000 pixels of 10 m, a multiple of 6, so "
            "that its 20 and 60 m pixels fit."
        )
    if landscape not in LANDSCAPES:
        raise InputError(
            f"There is no landscape {landscape!r}.{did_you_mean(str(landscape), LANDSCAPES)} "
            f"Known: {', '.join(LANDSCAPES)}."
        )
    if not isinstance(places, int) or not 1 <= places <= MOST_PLACES:
        raise InputError(
            f"places={places!r}: a sample has 1 to {MOST_PLACES} places, each a pair of tiles 100 km further "
            "south."
        )
    names = band_names(bands)
    wrong = [name for name in names if name not in (*REFLECTANCE, "scl")]
    if wrong:
        raise BandError(
            f"The sample cannot make {', '.join(wrong)}: it can make {', '.join(REFLECTANCE)}, scl."
        )
    path = Path(folder)
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise OutputError(f"{path} is there already and is not an empty folder: choose another.")
    ordered = (*(b for b in BANDS if b in names and b != "scl"), "scl")
    world = World(path, seed, naming, size, dates, ordered, scl_faults, landscape, places)
    assert world.scenes  # refuses too many dates
    return world


def write_world(world: World) -> None:
    """Write every file of a world."""
    (world.path / "truth").mkdir(parents=True)
    items: dict[str, dict[str, Any]] = {}
    with ThreadPoolExecutor(THREADS) as pool:
        for part in world.parts:
            make_ground(part.seed, part.size, part.landscape, part.place)
            for _, group in groupby(part.granules.items(), key=lambda pair: pair[1].flight):
                pairs = list(group)
                written = pool.map(_write_granule, [part] * len(pairs), *zip(*pairs, strict=True))
                items.update((item["id"], item) for item in written)
    _write_catalog(world, [items[name] for name in world.item_ids])
    names = ["seed", "naming", "size", "dates", "bands", "scl_faults", "landscape"]
    names += ["places"] if world.places > 1 else []
    made = {name: getattr(world, name) for name in names}
    _write_json(world.path / "world.json", {"made with": made, "items": list(world.item_ids)})


def cached_world(world: World) -> World:
    """Return the same world in the user's cache; written there if it is not yet.

    The folder's name holds a checksum of this package, so that no world outlives its recipe.
    """
    recipe = 0
    for source in sorted(Path(__file__).parent.glob("*.py")):
        recipe = crc32(source.read_bytes(), recipe)
    asked = repr(replace(world, path=Path()))
    name = f"sample-{recipe:08x}-{crc32(asked.encode()):08x}"
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "eocube"
    folder = base / name
    if not (folder / "world.json").is_file():
        base.mkdir(parents=True, exist_ok=True)
        # Written aside and moved in one step: another process never sees half a world.
        with TemporaryDirectory(dir=base) as aside:
            write_world(replace(world, path=Path(aside) / name))
            # When another process was first, its world is the same.
            with suppress(OSError):
                (Path(aside) / name).rename(folder)
    return read_world(folder)


def _write_granule(world: World, name: str, granule: Granule) -> dict[str, Any]:
    """Write one Item with its COGs and its truth; return it."""
    rendered = render(
        granule, world.seed, world.size, world.bands, world.scl_faults, world.landscape
    )
    folder = world.items_path / name
    folder.mkdir(parents=True)
    for band, pixels in rendered.pixels.items():
        box = world.geobox(name, BANDS[band].resolution)
        write_cog(folder / f"{BANDS[band].esa}.tif", pixels, box)
    packed = {kind: np.packbits(mask) for kind, mask in rendered.truth.items()}
    np.savez_compressed(world.path / "truth" / f"{name}.npz", **packed)  # type: ignore[arg-type]
    percentages = shares(rendered.pixels["scl"].astype(np.uint8))
    item = make_item(granule, world.naming, world.size, world.bands, percentages)
    _write_json(folder / f"{name}.json", item)
    return item


def write_cog(path: Path, pixels: NDArray[Any], box: GeoBox) -> None:
    """Write one band as a Cloud Optimized GeoTIFF with nearest overviews, as Earth Search does."""
    rows, columns = box.shape
    options = {
        "driver": "COG",
        "width": columns,
        "height": rows,
        "count": 1,
        "dtype": pixels.dtype.name,
        "crs": str(box.crs),
        "transform": box.affine,
        "nodata": 0,
        "blocksize": 128,
        "compress": "DEFLATE",
        "predictor": "STANDARD",
        "level": 6,
        "overview_resampling": "nearest",
    }
    with rasterio.open(path, "w", **options) as file:
        file.write(pixels, 1)


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=1))


def _write_catalog(world: World, items: list[dict[str, Any]]) -> None:
    """Write the static catalog, its one collection, and all Items in one file."""
    text = "A made-up archive of Sentinel-2 L2A with the truth beside it."
    times = sorted(item["properties"]["datetime"] for item in items)
    root = _link("root", "./catalog.json")
    catalog = {
        "type": "Catalog",
        "stac_version": "1.0.0",
        "id": f"eocube-sample-{world.seed}",
        "description": text,
        "links": [root, _link("child", "./collection.json")],
    }
    leaves = [_link("item", f"./items/{item['id']}/{item['id']}.json") for item in items]
    collection = {
        "type": "Collection",
        "stac_version": "1.0.0",
        "id": COLLECTION,
        "description": text,
        "license": "other",
        "extent": {
            "spatial": {"bbox": [list(world.bbox)]},
            "temporal": {"interval": [[times[0], times[-1]]]},
        },
        "links": [root, _link("parent", "./catalog.json"), *leaves],
    }
    features = [_seen_from_root(item) for item in items]
    _write_json(world.path / "catalog.json", catalog)
    _write_json(world.path / "collection.json", collection)
    _write_json(world.path / "items.geojson", {"type": "FeatureCollection", "features": features})


def _link(relation: str, href: str) -> dict[str, str]:
    """Return a link of a catalog."""
    kind = "application/geo+json" if relation == "item" else "application/json"
    return {"rel": relation, "href": href, "type": kind}


def _seen_from_root(item: dict[str, Any]) -> dict[str, Any]:
    """Return the same Item with hrefs relative to the world's folder."""
    moved = deepcopy(item)
    for asset in moved["assets"].values():
        asset["href"] = f"./items/{item['id']}/{asset['href'].removeprefix('./')}"
    for link in moved["links"]:
        link["href"] = link["href"].replace("../../", "./")
    return moved
