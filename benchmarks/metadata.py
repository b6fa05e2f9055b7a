"""Items: as Earth Search writes them, with pixels (W1) or without (W4, W7)."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import shapely
import shapely.geometry
from odc.geo.geobox import GeoBox

from eocube.sentinel2 import BANDS
from eocube.tiles import tile_grid

ESA = {"blue": "B02", "green": "B03", "red": "B04", "nir": "B08", "scl": "SCL"}
_VERSION = 1


def item(
    name: str, when: datetime, platform: str, tile: str, outline: dict[str, Any],
    grid_of: Callable[[float], GeoBox], prefix: str, cloud: float = 0.0,
    bands: Mapping[str, str] = ESA,
) -> dict[str, Any]:  # fmt: skip
    """Return an Item as Earth Search's ``sentinel-2-c1-l2a`` writes them, baseline 05.10.

    Parameters
    ----------
    name, when, platform, tile, outline
        What it is.
    grid_of : callable
        Resolution to the grid of a file.
    prefix : str
        Of the hrefs; relative ones are completed by whoever reads the Items.
    cloud : float
        Per cent.
    bands : mapping of str to str
        Common name to ESA's, which is the file's.
    """
    assets = {}
    for band, esa in bands.items():
        step = int(BANDS[band].resolution)
        grid = grid_of(step)
        raster: dict[str, Any] = {"nodata": 0, "spatial_resolution": step, "data_type": "uint8"}
        if band != "scl":
            raster |= {"data_type": "uint16", "scale": 0.0001, "offset": -0.1}
        assets[band] = {
            "href": f"{prefix}{esa}.tif",
            "type": "image/tiff; application=geotiff; profile=cloud-optimized",
            "roles": ["data"],
            "proj:shape": [int(size) for size in grid.shape],
            "proj:transform": [float(number) for number in list(grid.affine)[:6]],
            "raster:bands": [raster],
        }
    base = "https://stac-extensions.github.io"
    stamp = when.isoformat().replace("+00:00", "Z")
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "stac_extensions": [
            f"{base}/{ext}/schema.json" for ext in ("projection/v1.1.0", "raster/v1.1.0", "eo/v1.1.0")
        ],
        "id": name,
        "collection": "sentinel-2-c1-l2a",
        "geometry": outline,
        "bbox": list(shapely.geometry.shape(outline).bounds),
        "properties": {
            "datetime": stamp, "platform": f"sentinel-2{platform.lower()}",
            "grid:code": f"MGRS-{tile}", "proj:epsg": _epsg(grid_of(10)),
            "s2:processing_baseline": "05.10", "s2:generation_time": stamp,
            "eo:cloud_cover": round(cloud, 2), "view:sun_azimuth": 155.0, "view:sun_elevation": 55.0,
        },
        "links": [],
        "assets": assets,
    }  # fmt: skip


def _epsg(grid: GeoBox) -> int | None:
    return None if grid.crs is None else grid.crs.epsg


def outline_of(grid: GeoBox) -> dict[str, Any]:
    """Return the outline of a grid as GeoJSON."""
    found: dict[str, Any] = shapely.geometry.mapping(grid.extent.to_crs("EPSG:4326", resolution=5000).geom)
    return found


def many_items(tile: str, grid_of: Callable[[float], GeoBox], count: int, data: Path) -> Path:
    """Make W4's Items: one tile on ``count`` days, without pixels."""
    path = data / f"items-{count}-{int(grid_of(10).shape[0])}-{_VERSION}.json"
    if path.exists():
        return path
    outline = outline_of(grid_of(10))
    start = datetime(2016, 1, 1, 10, 40, 31, tzinfo=UTC)
    features = []
    for index in range(count):
        when, platform = start + timedelta(days=index), "AB"[index % 2]
        name = f"S2{platform}_T{tile}_{when:%Y%m%dT%H%M%S}_L2A"
        prefix = f"https://example.com/sentinel-2-c1-l2a/{name}/"
        features.append(item(name, when, platform, tile, outline, grid_of, prefix))
    return _save(features, path)


def region() -> GeoBox:
    """Return the grid of W7: 600 km x 400 km at 10 m, over the seam of UTM zones 31 and 32."""
    first = tile_grid("32UKV")
    return GeoBox((40_000, 60_000), first.affine, first.crs)


def region_items(data: Path) -> Path:
    """Make W7's Items: every tile of both zones, two platforms, two months of passes."""
    path = data / f"items-region-{_VERSION}.json"
    if path.exists():
        return path
    area = region().extent.to_crs("EPSG:4326", resolution=20_000).geom
    tiles = list(_tiles_over(area))
    features = []
    for when, platform, strip in _passes(area):
        for tile, outline in tiles:
            seen = outline.intersection(strip)
            if seen.is_empty or seen.area < 1e-3 * outline.area or seen.geom_type != "Polygon":
                continue
            name = f"S2{platform}_T{tile}_{when:%Y%m%dT%H%M%S}_L2A"
            prefix = f"https://example.com/sentinel-2-c1-l2a/{name}/"
            shape = shapely.geometry.mapping(seen)
            features.append(item(name, when, platform, tile, shape, partial(tile_grid, tile), prefix))
    return _save(features, path)


def _tiles_over(area: Any) -> Iterator[tuple[str, Any]]:
    columns = {31: "ABCDEFGH", 32: "JKLMNPQR"}
    for zone, letters in columns.items():
        strip = shapely.box(6 * zone - 186, -80, 6 * zone - 180, 84).buffer(0.3)
        for band in "TU":
            for column in letters:
                for row in "ABCDEFGHJKLMNPQRSTUV":
                    name = f"{zone}{band}{column}{row}"
                    outline = tile_grid(name).extent.to_crs("EPSG:4326", resolution=20_000).geom
                    in_band = {"T": 40 <= outline.centroid.y < 48, "U": 48 <= outline.centroid.y < 56}
                    if in_band[band] and outline.intersects(area) and outline.intersects(strip):
                        yield name, outline


def _passes(area: Any) -> Iterator[tuple[datetime, str, Any]]:
    """Yield time, platform and swath: 290 km wide, descending, each orbit every ten days.

    Neighbouring orbits pass 2.52 degrees of longitude further east, three days earlier; the second
    platform follows after five days.
    """
    west, south, _, north = area.bounds
    for orbit in range(-4, 12):
        middle = west + orbit * 2.52
        slant = 0.29  # degrees of longitude per degree of latitude
        half = 145 / (111.32 * math.cos(math.radians((south + north) / 2)))
        low, high = south - 1, north + 1
        shift = slant * (high - low)
        strip = shapely.Polygon(
            [(middle - half, low), (middle + half, low),
             (middle + half + shift, high), (middle - half + shift, high)]
        )  # fmt: skip
        if not strip.intersects(area):
            continue
        for days in range(-10, 61, 5):
            day = days + (-3 * orbit) % 10
            if 0 <= day < 61:
                start = datetime(2023, 6, 1, 10, 30, tzinfo=UTC)
                when = start + timedelta(days=day, minutes=-10 * (orbit % 3))
                yield when, "AB"[days // 5 % 2], strip


def _save(features: list[dict[str, Any]], path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(f".{os.getpid()}")
    unfinished.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    unfinished.replace(path)
    return path
