"""Assets: what an Item says of a file, read from the file itself."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..sentinel2 import Band
from .layers import is_class, spectral

COG = "image/tiff; application=geotiff; profile=cloud-optimized"
ZARR = "application/vnd.zarr; version=3"

_TYPES = {
    ".nc": ("application/netcdf", "data"),
    ".png": ("image/png", "overview"),
    ".jpg": ("image/jpeg", "overview"),
    ".json": ("application/json", "metadata"),
    ".html": ("text/html", "metadata"),
    ".parquet": ("application/vnd.apache.parquet", "data"),
}
_TIFF = (".tif", ".tiff")
_STATISTICS = {"minimum": "MINIMUM", "maximum": "MAXIMUM", "mean": "MEAN", "stddev": "STDDEV",
               "valid_percent": "VALID_PERCENT"}  # fmt: skip
_EO = {"rededge1": "rededge", "rededge2": "rededge", "rededge3": "rededge"}
"""Names that the extension ``eo`` 1.1 knows otherwise."""


def asset_of(file: Path) -> dict[str, Any]:
    """Return the record of a file: type, roles, size, checksum, and of a GeoTIFF its bands and grid.

    Parameters
    ----------
    file : Path
        A GeoTIFF, or any other file; or a folder, which is a Zarr store.

    Returns
    -------
    dict
        Without ``href``. By the extensions ``file`` 2.1 (``file:checksum`` is a multihash of SHA-256),
        ``raster`` 1.1, ``eo`` 1.1 and ``proj`` 2.0.
    """
    if file.is_dir():
        return {"type": ZARR, "roles": ["data"]}
    sums = {"file:size": file.stat().st_size, "file:checksum": checksum_of(file)}
    if file.suffix.lower() in _TIFF:
        return {"type": COG, **_of_tiff(file), **sums}
    kind, role = _TYPES.get(file.suffix.lower(), ("application/octet-stream", "data"))
    return {"type": kind, "roles": [role], **sums}


def checksum_of(file: Path) -> str:
    """Return the multihash of a file's SHA-256: ``1220`` and the digest, in hexadecimal.

    Notes
    -----
    https://github.com/multiformats/multihash: 0x12 is sha2-256, 0x20 the length of its digest.
    """
    with file.open("rb") as content:
        return "1220" + hashlib.file_digest(content, "sha256").hexdigest()


def key_of(name: str, record: Mapping[str, Any]) -> str:
    """Return the key of an asset: its band, if it has one; else its kind, or the file's name.

    Examples
    --------
    >>> key_of("best.nc", {"type": "application/netcdf", "roles": ["data"]})
    'netcdf'
    """
    bands = record.get("raster:bands") or []
    if len(bands) == 1:
        return str(bands[0]["name"])
    kinds = {ZARR: "zarr", _TYPES[".nc"][0]: "netcdf", _TYPES[".png"][0]: "preview"}
    return kinds.get(record["type"], name.split(".")[0])


def good_share(files: Sequence[Path]) -> float | None:
    """Return the share of pixels that have data, of the first GeoTIFF of reflectance or the first of all.

    All bands of a cube are valid at the same pixels, so one band tells.
    """
    import rasterio

    best: Path | None = None
    for file in files:
        if file.suffix.lower() not in _TIFF:
            continue
        with rasterio.open(file) as opened:
            if spectral(str(opened.descriptions[0] or "")) is not None:
                best = file
                break
        best = best or file
    if best is None:
        return None
    seen = total = 0
    with rasterio.open(best) as opened:
        for _, window in opened.block_windows(1):
            mask = opened.read_masks(1, window=window)
            seen, total = seen + int(np.count_nonzero(mask)), total + mask.size
    return round(seen / total, 6)


def _of_tiff(file: Path) -> dict[str, Any]:
    import rasterio

    with rasterio.open(file, driver="GTiff") as opened:
        names = [str(name or f"band{i + 1}") for i, name in enumerate(opened.descriptions)]
        spectra = [spectral(name) for name in names]
        epsg = opened.crs.to_epsg() if opened.crs else None
        resolution = abs(opened.transform.a)
        values = [spectra[i] for i, name in enumerate(names) if not is_class(name, {})]
        roles = ["data", "reflectance"] if values and all(values) else ["data"] if values else ["metadata"]
        roles = ["visual"] if _is_picture(opened) else roles
        found: dict[str, Any] = {
            "roles": roles,
            "proj:shape": [opened.height, opened.width],
            "proj:transform": list(opened.transform)[:6],
            "raster:bands": [_raster_band(opened, i + 1, name, spectra[i]) for i, name in enumerate(names)],
            "eo:bands": [_eo_band(name, band) for name, band in zip(names, spectra, strict=True)],
        }
        if epsg:
            found["proj:code"] = f"EPSG:{epsg}"
        if opened.crs and opened.crs.is_projected:
            found["gsd"] = resolution
    return found


def _is_picture(opened: Any) -> bool:
    """Whether a file is a picture: bytes of red, green and blue."""
    colours = [colour.name for colour in opened.colorinterp]
    return set(opened.dtypes) == {"uint8"} and colours == ["red", "green", "blue"]


def _raster_band(opened: Any, index: int, name: str, band: Band | None) -> dict[str, Any]:
    nodata = opened.nodatavals[index - 1]
    found: dict[str, Any] = {"name": name, "data_type": opened.dtypes[index - 1], "sampling": "area"}
    if nodata is not None:
        found["nodata"] = "nan" if math.isnan(nodata) else int(nodata) if nodata == int(nodata) else nodata
    if band is not None:
        found |= {"scale": opened.scales[index - 1], "offset": opened.offsets[index - 1], "unit": "1"}
    if opened.crs and opened.crs.is_projected:
        found["spatial_resolution"] = abs(opened.transform.a)
    tags = opened.tags(index)
    said = {
        word: float(tags[f"STATISTICS_{key}"])
        for word, key in _STATISTICS.items()
        if f"STATISTICS_{key}" in tags
    }
    if said and all(math.isfinite(value) for value in said.values()):
        found["statistics"] = said
    return found


def _eo_band(name: str, band: Band | None) -> dict[str, Any]:
    if band is None:
        return {"name": name}
    return {
        "name": name, "common_name": _EO.get(band.name, band.name),
        "center_wavelength": round(band.wavelength / 1000, 4), "description": f"Sentinel-2 {band.esa}",
    }  # fmt: skip
