"""On which grid a GeoTIFF lies, if that is plain to see. All else is GDAL's business."""

from __future__ import annotations

from functools import lru_cache

from affine import Affine
from odc.geo.crs import CRS
from odc.geo.geobox import GeoBox

from .directories import Broken, Directory, Foreign, shape

_FARTHEST, _SMALLEST = 1e12, 1e-9

_KEYS = {
    1: {1024, 1025, 1026, 2049, 2054, 3072, 3073, 3076},
    2: {1024, 1025, 1026, 2048, 2049, 2054, 2057, 2059},
}
"""GeoKeys of a projected (1) and a geographic (2) CRS that add nothing to its EPSG code."""


def grid_of(directory: Directory) -> GeoBox:
    """Return the grid of a file; Foreign if it is not plainly north up in a CRS with an EPSG code."""
    if 33550 in directory.fields and 33922 in directory.fields:
        scale, tie = directory.array(33550), directory.array(33922)
        if scale.size < 2 or tie.size != 6 or not (scale[0] > 0 and scale[1] > 0):
            raise Foreign("tie points")
        a, e = float(scale[0]), -float(scale[1])
        affine = Affine(a, 0, float(tie[3]) - float(tie[0]) * a, 0, e, float(tie[4]) - float(tie[1]) * e)
    elif 34264 in directory.fields and not {33550, 33922} & directory.fields.keys():
        m = [float(v) for v in directory.array(34264)]
        if len(m) != 16 or m[1] or m[4] or not (m[0] > 0 > m[5]):
            raise Foreign("turned")
        affine = Affine(m[0], 0, m[3], 0, m[5], m[7])
    else:
        raise Foreign("it does not say where it lies")
    if not (all(abs(value) < _FARTHEST for value in affine) and min(affine.a, -affine.e) > _SMALLEST):
        raise Broken(f"it says to lie at {affine.c}, {affine.f} in pixels of {affine.a} x {-affine.e}")
    return GeoBox(shape(directory), affine, _crs(directory))


def _crs(directory: Directory) -> str:
    if 34735 not in directory.fields:
        raise Foreign("no CRS")
    keys = directory.array(34735).astype(int)
    if keys.size < 4 or keys[0] != 1 or keys[1] != 1 or keys.size < 4 + 4 * keys[3]:
        raise Foreign("GeoKeys of another kind")
    entries = keys[4 : 4 + 4 * int(keys[3])].reshape(-1, 4)
    said = {int(key): int(value) if place == 0 else -1 for key, place, _, value in entries}
    kind = said.get(1024, 0)
    usual = said.get(1025, 1) == 1 and said.get(2054, 9102) == 9102 and said.get(3076, 9001) == 9001
    if kind not in _KEYS or not usual or not said.keys() <= _KEYS[kind] or len(said) != len(entries):
        raise Foreign("a CRS of its own")
    text = directory.text(34737)
    if "ESRI PE" in text or "IMAGINE" in text:
        raise Foreign("a CRS in words")
    for _, place, count, start in entries.tolist():
        # GDAL doubts all of it where a key points beyond its text or its numbers.
        size = directory.fields[place][1] if place in (34736, 34737) and place in directory.fields else 0
        if place and start + count > size:
            raise Foreign("GeoKeys that point beyond what they say")
    code = said.get(3072 if kind == 1 else 2048, 0)
    if not 1024 <= code < 32767 or not _is_known(code, projected=kind == 1):
        raise Foreign(f"CRS {code}")
    return f"EPSG:{code}"


@lru_cache(maxsize=1024)
def _is_known(code: int, *, projected: bool) -> bool:
    try:
        crs = CRS(f"EPSG:{code}")
    except Exception:  # noqa: BLE001 - whatever pyproj says: GDAL shall decide
        return False
    return crs.projected == projected and not crs.proj.is_deprecated
