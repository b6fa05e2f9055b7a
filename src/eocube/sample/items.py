"""STAC Items of the made-up archive, with the names and shapes of two real ones.

Modelled on Items of Earth Search v1 and of the Planetary Computer, collection sentinel-2-l2a.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray
from shapely.geometry import Polygon, mapping
from shapely.geometry.base import BaseGeometry

from ..errors import InputError
from ..sentinel2 import BANDS, SCL_CLASSES
from .frames import MAIN_CRS, Tile, _transformer, border, make_tiles, middle
from .passes import Granule
from .sun import solar_position

COLLECTION = "sentinel-2-l2a"

_COG = "image/tiff; application=geotiff; profile=cloud-optimized"
_SHARES = {
    "saturated_defective_pixel": "saturated",
    "dark_features": "dark",
    "cloud_shadow": "shadow",
    "vegetation": "vegetation",
    "not_vegetated": "bare",
    "water": "water",
    "unclassified": "unclassified",
    "medium_proba_clouds": "cloud_medium",
    "high_proba_clouds": "cloud_high",
    "thin_cirrus": "cirrus",
    "snow_ice": "snow",
}
# common name of STAC where it differs from ours, title of the band, full width at half maximum
_BAND_TEXTS: dict[str, tuple[str, str, float]] = {
    "coastal": ("coastal", "Coastal aerosol", 0.027),
    "blue": ("blue", "Blue", 0.098),
    "green": ("green", "Green", 0.045),
    "red": ("red", "Red", 0.038),
    "rededge1": ("rededge", "Red edge 1", 0.019),
    "rededge2": ("rededge", "Red edge 2", 0.018),
    "rededge3": ("rededge", "Red edge 3", 0.028),
    "nir": ("nir", "NIR 1", 0.145),
    "nir08": ("nir08", "NIR 2", 0.033),
    "nir09": ("nir09", "NIR 3", 0.026),
    "swir16": ("swir16", "SWIR 1", 0.143),
    "swir22": ("swir22", "SWIR 2", 0.242),
}


def item_id(granule: Granule, naming: str, size: int) -> str:
    """Return the Item's id as the archive would write it."""
    tile = make_tiles(size, granule.flight.place)[granule.tile].name
    flight = granule.flight
    if naming == "earth-search":
        return f"S2{flight.platform}_{tile}_{flight.start:%Y%m%d}_{granule.sequence}_L2A"
    return (
        f"S2{flight.platform}_MSIL2A_{flight.start:%Y%m%dT%H%M%S}_R{flight.orbit:03d}_T{tile}_"
        f"{granule.generated:%Y%m%dT%H%M%S}"
    )


def footprint(granule: Granule, size: int) -> Polygon:
    """Return the outline of the granule's valid data, longitude and latitude."""
    tile = make_tiles(size, granule.flight.place)[granule.tile]
    shape: BaseGeometry = tile.outline()
    x0, y0 = middle(granule.flight.place)
    far = 100_000.0
    for a, b, c in granule.planes(size * 5.0):
        # The half plane beyond an edge as a large square: its foot, then along and across it.
        along, foot = np.array([-b, a]) * far, np.array([x0 + a * c, y0 + b * c])
        inward = np.array([a, b]) * far
        corners = [foot - along, foot + along, foot + along + inward, foot - along + inward]
        shape = shape.intersection(Polygon(corners))
    if not isinstance(shape, Polygon) or shape.is_empty:
        raise InputError(f"No valid data is left of {granule}: choose a larger size.")
    return Polygon(
        np.column_stack(_transformer(MAIN_CRS, "EPSG:4326").transform(*np.array(shape.exterior.coords).T))
    )


def shares(scl: NDArray[np.uint8]) -> dict[str, float]:
    """Return the ``s2:*_percentage`` properties and ``eo:cloud_cover`` of a classification."""
    counts = np.bincount(scl.ravel(), minlength=12)
    valid = max(1, int(counts[1:].sum()))
    found = {"s2:degraded_msi_data_percentage": 0.0}
    found["s2:nodata_pixel_percentage"] = round(100 * float(counts[0]) / scl.size, 6)
    for name, word in _SHARES.items():
        found[f"s2:{name}_percentage"] = round(100 * float(counts[SCL_CLASSES[word]]) / valid, 6)
    clouds = ("high_proba_clouds", "medium_proba_clouds", "thin_cirrus")
    found["eo:cloud_cover"] = round(sum(found[f"s2:{c}_percentage"] for c in clouds), 6)
    return found


def make_item(
    granule: Granule,
    naming: str,
    size: int,
    bands: tuple[str, ...],
    percentages: dict[str, float],
) -> dict[str, Any]:
    """Return the Item as a dict; hrefs are relative to its own folder.

    Parameters
    ----------
    granule : Granule
        What it is the Item of.
    naming : {"earth-search", "planetary-computer"}
        Whose names to use.
    size : int
        Pixels along a tile.
    bands : tuple of str
        Bands that were written, by common name.
    percentages : dict
        From :func:`shares`.
    """
    tile = make_tiles(size, granule.flight.place)[granule.tile]
    shape = footprint(granule, size)
    earth_search = naming == "earth-search"
    properties = _element84(granule, tile) if earth_search else _microsoft(granule, tile)
    if earth_search:
        assets = {band: _element84_asset(granule, tile, band) for band in bands}
    else:
        assets = {BANDS[band].esa: _microsoft_asset(tile, band) for band in bands}
    extensions = ["eo/v1.1.0", "projection/v1.1.0"]
    more = ["raster/v1.1.0", "view/v1.0.0", "grid/v1.0.0", "mgrs/v1.0.0"]
    extensions += more if earth_search else ["sat/v1.0.0"]
    base = "https://stac-extensions.github.io"
    up = "../.."
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "stac_extensions": [f"{base}/{name}/schema.json" for name in extensions],
        "id": item_id(granule, naming, size),
        "collection": COLLECTION,
        "geometry": mapping(shape),
        "bbox": list(shape.bounds),
        "properties": {**properties, **_esa(granule, tile), **percentages},
        "links": [
            {"rel": "root", "href": f"{up}/catalog.json", "type": "application/json"},
            {"rel": "parent", "href": f"{up}/collection.json", "type": "application/json"},
            {"rel": "collection", "href": f"{up}/collection.json", "type": "application/json"},
        ],
        "assets": assets,
    }


def _stamp(when: datetime, fraction: str = "milliseconds") -> str:
    return when.replace(tzinfo=None).isoformat(timespec=fraction) + "Z"


def _esa(granule: Granule, tile: Tile) -> dict[str, Any]:
    """Return what both archives copy from ESA's metadata."""
    flight, number = granule.flight, granule.flight.absolute_orbit
    done, baseline = f"{granule.generated:%Y%m%dT%H%M%S}", granule.baseline
    start = f"{flight.start:%Y%m%dT%H%M%S}"
    # A pass that was received in two goes has two datastrips; the second starts a little later.
    strip = granule.time + timedelta(seconds=11 if granule.part == "south" else 0)
    head = f"S2{flight.platform}_OPER_MSI_L2A"
    return {
        "instruments": ["msi"],
        "proj:epsg": tile.epsg,
        "s2:product_type": "S2MSI2A",
        "s2:processing_baseline": baseline,
        "s2:product_uri": f"S2{flight.platform}_MSIL2A_{start}_N{baseline.replace('.', '')}"
        f"_R{flight.orbit:03d}_T{tile.name}_{done}.SAFE",
        "s2:generation_time": _stamp(granule.generated, "microseconds"),
        "s2:datatake_id": f"GS2{flight.platform}_{start}_{number:06d}_N{baseline}",
        "s2:datatake_type": "INS-NOBS",
        "s2:datastrip_id": f"{head}_DS_2APS_{done}_S{strip:%Y%m%dT%H%M%S}_N{baseline}",
        "s2:granule_id": f"{head}_TL_2APS_{done}_A{number:06d}_T{tile.name}_N{baseline}",
        "s2:reflectance_conversion_factor": 1.0,
    }


def _sun(granule: Granule) -> tuple[float, float]:
    return solar_position(granule.time, *border(granule.flight.place))


def _element84(granule: Granule, tile: Tile) -> dict[str, Any]:
    """Properties that only Earth Search has, or writes in its own way."""
    azimuth, elevation = _sun(granule)
    return {
        "created": _stamp(granule.generated),
        "updated": _stamp(granule.generated),
        "datetime": _stamp(granule.time, "microseconds"),
        "constellation": "sentinel-2",
        "platform": f"sentinel-2{granule.flight.platform.lower()}",
        "mgrs:utm_zone": int(tile.name[:2]),
        "mgrs:latitude_band": tile.name[2],
        "mgrs:grid_square": tile.name[3:],
        "grid:code": f"MGRS-{tile.name}",
        "view:sun_azimuth": azimuth,
        "view:sun_elevation": elevation,
        "s2:sequence": str(granule.sequence),
        "earthsearch:boa_offset_applied": granule.applied,
    }


def _microsoft(granule: Granule, tile: Tile) -> dict[str, Any]:
    """Properties that only the Planetary Computer has, or writes in its own way."""
    azimuth, elevation = _sun(granule)
    return {
        "datetime": _stamp(granule.time, "microseconds"),
        "constellation": "Sentinel 2",
        "platform": f"Sentinel-2{granule.flight.platform}",
        "s2:mgrs_tile": tile.name,
        "s2:mean_solar_azimuth": azimuth,
        "s2:mean_solar_zenith": 90 - elevation,
        "sat:orbit_state": "descending",
        "sat:relative_orbit": granule.flight.orbit,
    }


def _asset(tile: Tile, band: str) -> dict[str, Any]:
    """Return what an asset is in either archive."""
    known = BANDS[band]
    box = tile.geobox(known.resolution)
    return {
        "href": f"./{known.esa}.tif",
        "type": _COG,
        "proj:shape": list(box.shape),
        "proj:transform": [float(x) for x in list(box.affine)[:6]],
    }


def _spectral(band: str, name: str, described: str) -> dict[str, Any]:
    common, _, width = _BAND_TEXTS[band]
    return {
        "gsd": BANDS[band].resolution,
        "eo:bands": [
            {
                "name": name,
                "common_name": common,
                "description": described,
                "center_wavelength": BANDS[band].wavelength / 1000,
                "full_width_half_max": width,
            }
        ],
    }


def _element84_asset(granule: Granule, tile: Tile, band: str) -> dict[str, Any]:
    """With ``raster:bands``, whose offset is -0.1 from baseline 04.00 on, applied or not."""
    asset = _asset(tile, band)
    resolution = int(BANDS[band].resolution)
    raster: dict[str, Any] = {"nodata": 0, "spatial_resolution": resolution}
    asset["roles"] = ["data", "reflectance"]
    if band == "scl":
        asset["title"] = "Scene classification map (SCL)"
        asset["raster:bands"] = [{**raster, "data_type": "uint8"}]
        return asset
    number = BANDS[band].esa[1:].lstrip("0")
    words = f"{_BAND_TEXTS[band][1]} (band {number})"
    offset = -0.1 if granule.baseline >= "04.00" else 0
    raster |= {"data_type": "uint16", "bits_per_sample": 15, "scale": 0.0001, "offset": offset}
    titled = {"title": f"{words} - {resolution}m", "raster:bands": [raster]}
    return {**asset, **_spectral(band, band, words), **titled}


def _microsoft_asset(tile: Tile, band: str) -> dict[str, Any]:
    """Without ``raster:bands``: nothing says what the numbers carry but the baseline."""
    resolution = BANDS[band].resolution
    bounds = tile.geobox(resolution).extent.boundingbox
    asset = {**_asset(tile, band), "proj:bbox": list(bounds.bbox), "roles": ["data"]}
    if band == "scl":
        return {**asset, "gsd": resolution, "title": "Scene classfication map (SCL)"}
    words = f"Band {BANDS[band].esa[1:].lstrip('0')} - {_BAND_TEXTS[band][1]}"
    titled = {"title": f"{words} - {resolution:g}m"}
    return {**asset, **_spectral(band, BANDS[band].esa, words), **titled}
