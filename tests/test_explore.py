"""Maps to explore: one page that needs no network; in a real browser where EOCUBE_BROWSER names one."""

from __future__ import annotations

import base64
import copy
import io
import json
import os
import re

import numpy as np
import pytest
import xarray as xr
from odc.geo.geobox import GeoBox
from odc.geo.xr import xr_coords
from PIL import Image
from pyproj import Transformer

import eocube as eo
from eocube.errors import GridError, InputError

EVIL = "</script><img src=x onerror=window.evil=1>"
GRID = GeoBox.from_bbox((500000, 5000000, 506000, 5004000), "EPSG:32633", resolution=20)
BANDS = ["red", "green", "blue"]


def layers_of(page: str):
    """Return the layers that a page holds."""
    found = re.search(r"eocubeExplore\(\w+, (\{.*\})\);", page)
    assert found
    return json.loads(found[1])["layers"]


def picture_of(layer):
    data = base64.b64decode(layer["url"].partition(",")[2])
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGBA"))


def scene(grid=GRID, dates=2):
    """A dark plane with a bright square, and no data in its north-west quarter."""
    rows, columns = grid.shape
    values = np.full((dates, 3, rows, columns), 0.1, dtype="float32")
    values[:, 0, 120:140, 200:230] = 0.9
    values[:, :, : rows // 2, : columns // 2] = np.nan
    values[1:, 2] = np.where(np.isnan(values[1:, 2]), np.nan, 0.8)
    times = np.array(["2021-06-12", "2021-07-01", "2021-08-01"][:dates], dtype="M8[ns]")
    coords = {"time": times, "band": BANDS, **xr_coords(grid, dims=("y", "x"))}
    return xr.DataArray(values, dims=("time", "band", "y", "x"), coords=coords)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    path = tmp_path_factory.mktemp("explore") / "map.html"
    eo.explore({EVIL: scene(), "": scene()}, limits=(0.0, 1.0)).save(str(path))
    return path


def test_the_page_points_nowhere(page):
    text = page.read_text()
    assert not re.findall(r"<(?:script|img|iframe)[^>]*\ssrc=", text.replace(EVIL, ""))
    assert not re.findall(r"<link\b", text)
    assert not re.findall(r"url\((?!data:|#default#VML)", re.sub(r"url\(#\w+\)", "", text))
    assert EVIL not in text


def test_layers_are_dates_with_their_names(page):
    layers = layers_of(page.read_text())
    assert [layer["name"] for layer in layers] == [
        f"{EVIL} 2021-06-12", f"{EVIL} 2021-07-01", "2021-06-12", "2021-07-01",
    ]  # fmt: skip


def test_pixels_lie_where_they_belong():
    layer = layers_of(eo.explore(scene(), limits=(0.0, 1.0)).get_root().render())[0]
    picture = picture_of(layer)
    (south, west), (north, east) = layer["bounds"]
    to_map = Transformer.from_crs("EPSG:4326", "EPSG:3857", always_xy=True)
    left, bottom = to_map.transform(west, south)
    right, top = to_map.transform(east, north)
    rows, columns = picture.shape[:2]
    bright = (picture[..., 0] > 160) & (picture[..., 3] > 0)
    at_rows, at_columns = np.nonzero(bright)
    x = left + (at_columns.mean() + 0.5) / columns * (right - left)
    y = top - (at_rows.mean() + 0.5) / rows * (top - bottom)
    centre = (500000 + 215 * 20, 5004000 - 130 * 20)
    there = Transformer.from_crs("EPSG:32633", "EPSG:3857", always_xy=True).transform(*centre)
    assert np.hypot(x - there[0], y - there[1]) < 30  # metres of the map; a pixel has about 28
    assert bright.sum() == pytest.approx(20 * 30, rel=0.25)
    quarter = picture[: int(rows * 0.4), : int(columns * 0.4)]
    assert (quarter[..., 3] == 0).all()
    assert (
        picture[int(rows * 0.6) : int(rows * 0.9), int(columns * 0.6) : int(columns * 0.9), 3] == 255
    ).all()


def test_a_plan_and_one_band(small, small_items):
    plan = eo.plan(small_items, small.grid, bands=["red", "nir"], mask=eo.SCLMask())
    layers = layers_of(eo.explore(eo.ndvi(eo.load(plan)), size=60).get_root().render())
    assert len(layers) == len(plan.scenes)
    assert max(picture_of(layers[0]).shape[:2]) < 90
    with pytest.raises(InputError, match="2 bands"):
        eo.explore(plan)


def test_a_base_map_is_asked_for():
    page = eo.explore(scene(dates=1), base="OpenStreetMap").get_root().render()
    assert "tile.openstreetmap.org" in page
    assert "openstreetmap" not in eo.explore(scene(dates=1)).get_root().render().lower()


def test_other_maps_keep_their_leaflet(page):
    import folium

    assert "cdn" in folium.Map().get_root().render()


def test_in_a_notebook():
    assert "<iframe" in eo.explore(scene(dates=1))._repr_html_()


def made_bare(array):
    coords = {dim: array[dim].values for dim in ("time", "band", "y", "x")}
    return xr.DataArray(array.values, dims=array.dims, coords=coords)


def test_what_has_no_place():
    bare = made_bare(scene())
    with pytest.raises(GridError, match="no CRS"):
        eo.explore(bare)
    with pytest.raises(GridError, match="date line"):
        eo.explore(scene(GeoBox.from_bbox((200000, 4000000, 260000, 4040000), "EPSG:32601", resolution=200)))
    with pytest.raises(GridError, match="85 degrees"):
        eo.explore(scene(GeoBox.from_bbox((-3000, -90000, 3000, -86000), "EPSG:3413", resolution=20)))
    with pytest.raises(InputError, match="0 layers"):
        eo.explore({})


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        opened = play.chromium.launch(executable_path=os.environ["EOCUBE_BROWSER"], args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def tab(browser, page):
    """The page in a browser without a network; what it asks for and complains about."""
    context = browser.new_context(viewport={"width": 1000, "height": 700}, offline=True)
    tab = context.new_page()
    tab.asked, tab.complaints = [], []
    tab.on("request", lambda asked: tab.asked.append(asked.url))
    tab.on("pageerror", lambda error: tab.complaints.append(str(error)))
    tab.on("console", lambda said: tab.complaints.append(said.text) if said.type == "error" else None)
    tab.goto(page.as_uri())
    tab.wait_for_selector(".eocube-image")
    tab.wait_for_function("document.querySelector('.eocube-image').naturalWidth > 0")
    yield tab
    assert tab.complaints == []
    assert [url for url in tab.asked if not url.startswith(("data:", page.as_uri()))] == []
    context.close()


def looks(tab, x, y):
    """Return the colour of a place on the screen."""
    tab.wait_for_timeout(400)  # fading in
    shot = Image.open(io.BytesIO(tab.screenshot())).convert("RGB")
    return np.array(shot.getpixel((int(x), int(y))), dtype=int)


def place(tab, x, y):
    """Return where on the screen a place of the grid's CRS is."""
    lon, lat = Transformer.from_crs("EPSG:32633", "EPSG:4326", always_xy=True).transform(x, y)
    name = tab.evaluate("Object.keys(window).find(key => key.startsWith('map_'))")
    at = tab.evaluate(
        f"(() => {{ const p = {name}.latLngToContainerPoint([{lat}, {lon}]); return [p.x, p.y]; }})()"
    )
    return at[0], at[1]


@pytest.mark.browser
class TestInABrowser:
    def test_pixels_are_where_they_belong(self, tab):
        bright, dark = place(tab, 504300, 5001400), place(tab, 505500, 5000600)
        assert looks(tab, *bright)[0] > 180
        assert looks(tab, *dark).max() < 90
        nothing = looks(tab, *place(tab, 501000, 5003500))
        assert nothing.min() > 215  # transparent: the page's own grey
        assert tab.evaluate("window.evil") is None

    def test_layers_opacity_and_steps(self, tab):
        dark = place(tab, 505500, 5000600)
        assert tab.locator(".eocube-panel select").first.locator("option").count() == 4
        tab.locator(".eocube-panel button[title=next]").first.click()
        assert looks(tab, *dark)[2] > 180
        tab.locator(".eocube-panel select").first.select_option("2")
        assert looks(tab, *dark).max() < 90
        tab.locator(".eocube-opacity").fill("0")
        assert looks(tab, *dark).min() > 215

    def test_side_by_side(self, tab):
        tab.locator(".eocube-compare").check()
        at = place(tab, 505500, 5000600), place(tab, 501500, 5000600)
        assert at[1][0] < 500 < at[0][0]
        assert looks(tab, *at[0])[2] > 180  # the second date
        assert looks(tab, *at[1])[2] < 90
        grip = tab.locator(".grip").bounding_box()
        tab.mouse.move(grip["x"] + 22, grip["y"] + 22)
        tab.mouse.down()
        tab.mouse.move(at[0][0] + 60, grip["y"] + 22, steps=5)
        tab.mouse.up()
        assert looks(tab, *at[0])[2] < 90  # the first now
        tab.locator(".leaflet-control-zoom-in").click()
        for _ in range(50):  # the zoom takes its time
            if place(tab, 505500, 5000600) != at[0]:
                break
            tab.wait_for_timeout(100)
        assert place(tab, 505500, 5000600) != at[0]
        assert (
            tab.evaluate("getComputedStyle(document.querySelector('.leaflet-eocube-left-pane')).clip")
            != "auto"
        )

    def test_on_a_phone(self, tab):
        tab.set_viewport_size({"width": 390, "height": 780})
        assert tab.evaluate("document.documentElement.scrollWidth") <= 390
        box = tab.locator(".eocube-panel").bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 390

    def test_reprs_run_nothing(self, tab, small_items):
        record = copy.deepcopy(small_items[0].to_dict())
        record["id"] = "<img src=x onerror=window.evil=1>"
        record["properties"]["platform"] = "</td><script>window.evil=1</script>"
        import pystac

        from eocube.founds import FoundItems

        tab.set_content(FoundItems([pystac.Item.from_dict(record)])._repr_html_())
        assert tab.evaluate("window.evil") is None
        assert tab.locator("img").count() == 0
        assert "onerror" in tab.content()
