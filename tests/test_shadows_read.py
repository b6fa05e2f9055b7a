"""Projected shadows where pixels are read: granules, zones, other grids, the angles of granule metadata."""

from __future__ import annotations

import json
import math
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
import shapely
from affine import Affine
from odc.geo.geobox import GeoBox
from pyproj import Geod, Transformer
from scipy.ndimage import binary_dilation

import eocube as eo
from eocube.angles import parse_angles
from eocube.errors import ItemsError, MaskError, MissingAssetError, ReadError, UntrustedError
from eocube.sample.files import write_cog
from eocube.sample.sun import solar_position
from eocube.trust import ORIGIN

CLOUDS = eo.SCLMask("cloud_medium", "cloud_high")
BORDER = (12.0, 47.0)
"""Between the UTM zones 32 and 33."""

CENTRES = {32633: (272_000.0, 5_210_000.0), 32632: (728_000.0, 5_210_000.0)}
HEIGHT, RADIUS = 1200.0, 900.0


def lonlat(crs, x, y):
    return Transformer.from_crs(crs, "EPSG:4326", always_xy=True).transform(x, y)


class Sky:
    """Discs of cloud with a height, and the sun's place over each."""

    def __init__(self, discs):
        self.discs = []
        for longitude, latitude, azimuth, elevation in discs:
            away = HEIGHT / math.tan(math.radians(elevation))
            there = Geod(ellps="WGS84").fwd(longitude, latitude, azimuth + 180, away)
            self.discs.append(((longitude, latitude), there[:2]))

    def over(self, box):
        """Return cloud and shadow on any grid: bool (y, x)."""
        rows, columns = box.shape
        x, y = np.meshgrid(np.arange(columns) + 0.5, np.arange(rows) + 0.5)
        x, y = box.affine @ (x, y)
        to_map = Transformer.from_crs(str(box.crs), "EPSG:32633", always_xy=True)
        x, y = to_map.transform(x, y)
        from_lonlat = Transformer.from_crs("EPSG:4326", "EPSG:32633", always_xy=True)
        cloud, shadow = np.zeros(box.shape, bool), np.zeros(box.shape, bool)
        for own, cast in self.discs:
            for place, found in ((own, cloud), (cast, shadow)):
                east, north = from_lonlat.transform(*place)
                found |= np.hypot(x - east, y - north) < RADIUS
        return cloud, shadow & ~cloud


def granule(folder, name, epsg, left, top, width, height, sky, sun, metadata=None):
    """Write one Item with nir, red and SCL on the 20 m lattice, and return it."""
    box = GeoBox((height, width), Affine(20, 0, left, 0, -20, top), f"EPSG:{epsg}")
    cloud, shadow = sky.over(box)
    ground = np.where(cloud, 6000, np.where(shadow, 1100, 3500)).astype(np.uint16)
    (folder / name).mkdir()
    assets = {}
    for band, pixels in (("red", ground), ("nir", ground), ("scl", np.where(cloud, 9, 4).astype(np.uint8))):
        write_cog(folder / name / f"{band}.tif", pixels, box)
        assets[band] = {"href": str(folder / name / f"{band}.tif"), "proj:shape": list(box.shape),
                        "proj:transform": list(box.affine)[:6]}  # fmt: skip
    if metadata is not None:
        (folder / name / "granule_metadata.xml").write_text(metadata)
        assets["granule_metadata"] = {"href": str(folder / name / "granule_metadata.xml")}
    outline = box.extent.to_crs("EPSG:4326", resolution=5000).geom
    properties = {
        "datetime": "2023-08-15T10:00:00Z", "platform": "sentinel-2a", "proj:epsg": epsg,
        "s2:processing_baseline": "05.09", "earthsearch:boa_offset_applied": True,
        "grid:code": f"MGRS-{name[4:9]}", "view:sun_azimuth": sun[0], "view:sun_elevation": sun[1],
    }  # fmt: skip
    return {
        "type": "Feature", "stac_version": "1.0.0", "id": name, "collection": "sentinel-2-l2a",
        "geometry": shapely.geometry.mapping(outline), "bbox": list(outline.bounds),
        "properties": {k: v for k, v in properties.items() if v is not None}, "links": [], "assets": assets,
    }  # fmt: skip


SUN = (152.0, 32.0)
MASKS = {name: CLOUDS | eo.ProjectedShadow(of=CLOUDS, preset=name) for name in ("default", "dark")}


@pytest.fixture(scope="module")
def two_zones(tmp_path_factory):
    """A cloud in the granule of zone 33 whose shadow falls, beyond the seam, into that of zone 32."""
    folder = tmp_path_factory.mktemp("zones")
    east = lonlat("EPSG:32633", *CENTRES[32633])
    # South-east of the border: its shadow lies to the north-west.
    sky = Sky([(east[0] + 0.008, east[1] - 0.008, *SUN)])
    items = [
        granule(folder, "S2A_33TTN_20230815_0_L2A", 32633, 272_000, 5_215_000, 250, 500, sky, SUN),
        granule(folder, "S2A_32TQT_20230815_0_L2A", 32632, 723_000, 5_215_000, 248, 500, sky, SUN),
    ]
    return items, sky


def thrown(items, grid, mask, **options):
    """Return what the mask throws away of what has data: bool (y, x), and where there are data."""
    whole = eo.load(items, grid, bands=["red"], **options).compute(scheduler="sync").values[0, 0]
    kept = eo.load(items, grid, bands=["red"], mask=mask, **options).compute(scheduler="sync").values[0, 0]
    seen = ~np.isnan(whole)
    return np.isnan(kept) & seen, seen


def scores(found, truth, where):
    hit = (found & truth & where).sum()
    return hit / (truth & where).sum(), hit / max((found & where).sum(), 1)


GRIDS = {"zone 33": ("EPSG:32633", 20), "zone 32": ("EPSG:32632", 10), "mercator": ("EPSG:3857", 25),
         "degrees": ("EPSG:4326", 0.0002)}  # fmt: skip


@pytest.mark.parametrize("name", GRIDS)
@pytest.mark.parametrize("mask", MASKS)
def test_two_zones_and_other_grids(two_zones, name, mask):
    items, sky = two_zones
    crs, resolution = GRIDS[name]
    middle = lonlat("EPSG:32633", *CENTRES[32633])
    box = (middle[0] - 0.045, middle[1] - 0.03, middle[0] + 0.045, middle[1] + 0.03)
    grid = eo.grid_for(box, crs=crs, resolution=resolution)
    cloud, shadow = sky.over(grid)
    found, seen = thrown(items, grid, MASKS[mask])
    # Pixels of this grid at the rim of the cloud are partly the cloud's.
    recall, precision = scores(found, shadow, seen & ~binary_dilation(cloud))
    assert recall >= 0.98
    assert precision >= 0.98
    # Of the shadow in the other zone's granule alone, too.
    assert (shadow & seen)[:, : grid.shape[1] // 2].sum() > 100


def test_the_shadow_is_found_wherever_the_mosaic_is_cut(two_zones):
    items, sky = two_zones
    middle = lonlat("EPSG:32633", *CENTRES[32633])
    box = (middle[0] - 0.045, middle[1] - 0.03, middle[0] + 0.045, middle[1] + 0.03)
    grid = eo.grid_for(box, crs="EPSG:3857", resolution=25)
    for mask in MASKS.values():
        whole, _ = thrown(items, grid, mask)
        pieces, _ = thrown(items, grid, mask, chunk=190)
        np.testing.assert_array_equal(pieces, whole)
        # A corner that holds the shadow and not its cloud.
        cloud, shadow = sky.over(grid)
        rows, columns = np.nonzero(shadow & ~cloud)
        part = np.s_[rows.min() : int(np.median(rows)), columns.min() : int(np.median(columns))]
        assert not cloud[part].any()
        alone, _ = thrown(items, grid[part], mask)
        np.testing.assert_array_equal(alone, whole[part])
        assert alone.sum() > 200


@pytest.fixture(scope="module")
def two_suns(tmp_path_factory):
    """Two granules side by side whose Items say different suns, each with a cloud of its own."""
    folder = tmp_path_factory.mktemp("suns")
    suns = [(120.0, 32.0), (200.0, 45.0)]
    places = [lonlat("EPSG:32633", 505_000, 5_205_000), lonlat("EPSG:32633", 515_000, 5_205_000)]
    sky = Sky([(*place, *sun) for place, sun in zip(places, suns, strict=True)])
    return [
        granule(folder, f"S2A_33T{name}_20230815_0_L2A", 32633, left, 5_210_000, 500, 500, sky, sun)
        for name, left, sun in (("WM", 500_000, suns[0]), ("XM", 510_000, suns[1]))
    ], sky


@pytest.mark.parametrize("mask", MASKS)
def test_each_granule_has_its_own_sun(two_suns, mask):
    items, sky = two_suns
    grid = GeoBox((400, 900), Affine(20, 0, 501_000, 0, -20, 5_209_000), "EPSG:32633")
    cloud, shadow = sky.over(grid)
    found, _ = thrown(items, grid, MASKS[mask])
    for half in (np.s_[:, :450], np.s_[:, 450:]):
        recall, precision = scores(found[half], shadow[half], ~cloud[half])
        assert recall >= 0.98
        assert precision >= 0.98
    swapped = [{**item, "properties": {**item["properties"],
                "view:sun_azimuth": other["properties"]["view:sun_azimuth"],
                "view:sun_elevation": other["properties"]["view:sun_elevation"]}}
               for item, other in zip(items, items[::-1], strict=True)]  # fmt: skip
    wrong, _ = thrown(swapped, grid, MASKS[mask])
    assert scores(wrong | cloud, shadow, ~cloud)[0] < 0.5


class TestPlan:
    """What is wrong with the sun is said before a pixel is read."""

    GRID = GeoBox((50, 50), Affine(20, 0, 501_000, 0, -20, 5_209_000), "EPSG:32633")

    def planned(self, items, mask, **said):
        items = [
            {**item, "properties": {**{k: v for k, v in item["properties"].items() if k not in said},
                                    **{k: v for k, v in said.items() if v is not None}},
             "assets": {k: {**a, "href": "/nowhere/" + Path(a["href"]).name} for k, a in item["assets"].items()}}
            for item in items
        ]  # fmt: skip
        return eo.plan(items, self.GRID, bands=["red"], mask=mask, verify_offset=False)

    @pytest.mark.parametrize("missing", ["view:sun_azimuth", "view:sun_elevation"])
    @pytest.mark.parametrize("mask", [MASKS["dark"], ~MASKS["default"].dilate(metres=60) & CLOUDS])
    def test_angles_missing(self, two_suns, missing, mask):
        with pytest.raises(MaskError, match=r"1 of 1 Items do not say.*S2A_33TWM_20230815_0_L2A"):
            self.planned(two_suns[0][:1], mask, **{missing: None})
        assert self.planned(two_suns[0], CLOUDS, **{missing: None}).scenes

    @pytest.mark.parametrize("elevation", [0.0, -3.5, 91.0])
    def test_sun_below_the_horizon(self, two_suns, elevation):
        with pytest.raises(MaskError, match=r"above the horizon; 2 of 2 Items.*degrees"):
            self.planned(two_suns[0], MASKS["dark"], **{"view:sun_elevation": elevation})

    def test_a_low_sun_is_bounded_and_said(self, two_suns):
        mask = eo.ProjectedShadow(of=CLOUDS, preset="dark")
        high = self.planned(two_suns[0], mask, **{"view:sun_elevation": 60.0})
        low = self.planned(two_suns[0], mask, **{"view:sun_elevation": 2.0})
        assert high.need.reach == pytest.approx(3000 / math.tan(math.radians(60)) + 60)
        assert low.need.reach == 6060
        assert "60.0 to 60.0 degrees above the horizon\n" in f"{high}\n"
        assert "2.0 to 2.0 degrees above the horizon; shadows of clouds above 210 m" in f"{low}"
        assert "above the horizon" not in f"{self.planned(two_suns[0], CLOUDS)}"

    def test_metadata_missing(self, two_suns):
        with pytest.raises(MissingAssetError, match=r"granule_metadata.*2 of 2 Items lack"):
            self.planned(two_suns[0], eo.ProjectedShadow(of=CLOUDS, sun="grid"))


def metadata(azimuths, zeniths, epsg=32633, left=500_000, top=5_210_000, head=""):
    """Return a granule's metadata as ESA writes them, with what is of no interest here left in."""

    def grid(kind, values):
        rows = "".join(f"<VALUES>{' '.join(f'{v:.4f}' for v in row)}</VALUES>" for row in values)
        return (f'<{kind}><COL_STEP unit="m">5000</COL_STEP><ROW_STEP unit="m">5000</ROW_STEP>'
                f"<Values_List>{rows}</Values_List></{kind}>")  # fmt: skip

    return f"""<?xml version="1.0" encoding="UTF-8" standalone="no"?>{head}
<n1:Level-2A_Tile_ID xmlns:n1="https://psd-14.sentinel2.eo.esa.int/PSD/S2_PDI_Level-2A_Tile_Metadata.xsd">
 <n1:General_Info><SENSING_TIME metadataLevel="Standard">2023-08-15T09:58:11.662849Z</SENSING_TIME></n1:General_Info>
 <n1:Geometric_Info>
  <Tile_Geocoding metadataLevel="Brief">
   <HORIZONTAL_CS_NAME>WGS84 / UTM zone 33N</HORIZONTAL_CS_NAME>
   <HORIZONTAL_CS_CODE>EPSG:{epsg}</HORIZONTAL_CS_CODE>
   <Geoposition resolution="10"><ULX>{left}</ULX><ULY>{top}</ULY><XDIM>10</XDIM><YDIM>-10</YDIM></Geoposition>
   <Geoposition resolution="60"><ULX>{left}</ULX><ULY>{top}</ULY><XDIM>60</XDIM><YDIM>-60</YDIM></Geoposition>
  </Tile_Geocoding>
  <Tile_Angles metadataLevel="Standard">
   <Sun_Angles_Grid>{grid("Zenith", zeniths)}{grid("Azimuth", azimuths)}</Sun_Angles_Grid>
   <Mean_Sun_Angle><ZENITH_ANGLE unit="deg">34.2</ZENITH_ANGLE></Mean_Sun_Angle>
   <Viewing_Incidence_Angles_Grids bandId="0" detectorId="1">
    {grid("Zenith", [[9.0, float("nan")], [8.0, 7.0]])}{grid("Azimuth", [[99.0, float("nan")], [98.0, 97.0]])}
   </Viewing_Incidence_Angles_Grids>
  </Tile_Angles>
 </n1:Geometric_Info>
</n1:Level-2A_Tile_ID>"""


class TestAngles:
    def test_interpolated(self):
        found = parse_angles(metadata([[350, 10], [354, 14]], [[30, 40], [32, 42]]).encode())
        assert found.crs == "EPSG:32633"
        assert found.at(500_000, 5_210_000) == pytest.approx((350, 60))
        assert found.at(505_000, 5_205_000) == pytest.approx((14, 48))
        assert found.at(502_500, 5_210_000)[0] % 360 == pytest.approx(0, abs=1e-9)
        assert found.at(502_500, 5_207_500)[1] == pytest.approx(54)
        assert found.at(0, 9e6) == pytest.approx((350, 60))  # beyond: its rim

    @pytest.mark.parametrize(
        ("text", "why"),
        [
            ("<html><body>404</body></html>", "has no Geoposition / ULX"),
            ("no XML at all", "syntax error"),
            ("", "no element found"),
            (metadata([[1, 2], [3, 4]], [[30, 40]]), "do not fit together"),
            (metadata([[1, 2], [3, 4]], [[30, 40], [50, 95]]), "above the horizon"),
            (metadata([[1, 2], [3, float("nan")]], [[30, 40], [50, 60]]), "above the horizon"),
            (metadata([[1, 2], [3]], [[30, 40], [50, 60]]), "no grid of the sun's azimuth"),
            (metadata([], []), "no grid of the sun's zenith"),
            (metadata([[1, 2], [3, 4]], [[30, 40], [50, 60]], epsg=3857), "do not fit together"),
            (
                metadata([[1, 2], [3, 4]], [[30, 40], [50, 60]],
                         head='<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>'),
                "declares a document type",
            ),
            ('<!DOCTYPE a [<!ENTITY b "b"><!ENTITY c "&b;&b;&b;">]><a>&c;</a>', "declares a document type"),
        ],
    )  # fmt: skip
    def test_refused(self, tmp_path, two_suns, text, why):
        (tmp_path / "m.xml").write_text(text)
        items = self.with_metadata(two_suns[0], tmp_path / "m.xml")
        with pytest.raises(ItemsError, match=rf"'granule_metadata' of Item 'S2A_33T.*{why}"):
            eo.plan(items, TestPlan.GRID, bands=["red"], mask=eo.ProjectedShadow(of=CLOUDS, sun="grid"))

    def test_unreadable(self, tmp_path, two_suns):
        items = self.with_metadata(two_suns[0], tmp_path / "none.xml")
        mask = eo.ProjectedShadow(of=CLOUDS, sun="grid")
        with pytest.raises(ReadError, match=r"'granule_metadata' of Item .* could not be read.*does without"):
            eo.plan(items, TestPlan.GRID, bands=["red"], mask=mask)
        (tmp_path / "none.xml").write_bytes(b" " * (17 * 2**20))
        with pytest.raises(ReadError, match="half a million"):
            eo.plan(items, TestPlan.GRID, bands=["red"], mask=mask)
        # Nobody asks for it unless told to.
        assert eo.plan(items, TestPlan.GRID, bands=["red"], mask=eo.ProjectedShadow(of=CLOUDS)).scenes

    @pytest.mark.parametrize("href", ["/etc/passwd", "file:///etc/passwd", "http://127.0.0.1/MTD_TL.xml"])
    def test_a_strangers_metadata(self, two_suns, href):
        """An Item of a remote catalog may not point at this machine by its metadata either."""
        items = [
            {**item, ORIGIN: "https://stac.example.org",
             "assets": {name: {**asset, "href": f"https://data.example.org/{name}.tif"}
                        for name, asset in item["assets"].items()}}
            for item in self.with_metadata(two_suns[0], "m.xml")
        ]  # fmt: skip
        for item in items:
            item["assets"]["granule_metadata"]["href"] = href
        with pytest.raises(UntrustedError, match=r"'granule_metadata' of Item 'S2A_33T"):
            eo.plan(items, TestPlan.GRID, bands=["red"], mask=eo.ProjectedShadow(of=CLOUDS, sun="grid"))

    def with_metadata(self, items, path):
        return [{**item, "assets": {**item["assets"], "granule_metadata": {"href": str(path)}}} for item in items]

    def test_place_by_place(self, tmp_path):
        """Where the sun turns from place to place, the Item's mean is wrong, and its metadata are right."""
        places = [lonlat("EPSG:32633", 514_000, 5_205_000), lonlat("EPSG:32633", 527_000, 5_205_000)]
        sky = Sky([(*places[0], 120.0, 35.0), (*places[1], 170.0, 45.0)])
        across = np.repeat([[120.0, 120.0, 145.0, 170.0, 170.0]], 3, axis=0)
        down = np.repeat([[55.0, 55.0, 50.0, 45.0, 45.0]], 3, axis=0)
        item = granule(
            tmp_path, "S2A_33TWM_20230815_0_L2A", 32633, 510_000, 5_210_000, 1000, 500, sky, (145.0, 40.0),
            metadata(across, down, left=510_000),
        )  # fmt: skip
        grid = GeoBox((400, 960), Affine(20, 0, 510_400, 0, -20, 5_209_000), "EPSG:32633")
        cloud, shadow = sky.over(grid)
        result = {}
        for sun in ("granule", "grid"):
            mask = CLOUDS | eo.ProjectedShadow(of=CLOUDS, preset="dark", sun=sun)
            found, _ = thrown([item], grid, mask)
            result[sun] = scores(found | cloud, shadow, ~cloud)[0]
        assert result["grid"] > 0.9
        assert result["granule"] < 0.8

    @pytest.mark.real
    def test_real_metadata(self, real):
        """ESA's mean of the grid is the mean that the Item states; the azimuth is from true north."""
        for folder in sorted((real / "l2a_33T_2023-08").glob("S2*")):
            found = parse_angles((folder / "granule_metadata.xml").read_bytes())
            item = json.loads((folder / f"{folder.name}.json").read_text())["properties"]
            assert found.azimuth.shape == (23, 23)
            assert found.azimuth.mean() == pytest.approx(item["view:sun_azimuth"], abs=0.05)
            assert found.elevation.mean() == pytest.approx(item["view:sun_elevation"], abs=0.05)
            when = datetime.fromisoformat(item["datetime"])
            for x, y in ((500_000, found.top), (600_000, found.top - 100_000)):
                azimuth, elevation = solar_position(when, *lonlat("EPSG:32633", x, y))
                assert found.at(x, y) == pytest.approx((azimuth, elevation), abs=0.12)
