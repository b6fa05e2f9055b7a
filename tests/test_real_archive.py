"""The archive of two real cells: both tiles, five dates, in UTM and on the lattice of web maps.

The files are thinned to 120 m, so the cells are made on coarser grids than those of an archive: the tile's at
120 m, and zoom 10 of web maps. Everything else is as it always is.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlparse

import numpy as np
import pystac
import pystac_client
import pytest
import rasterio
from rio_cogeo import cog_validate

import eocube as eo
from eocube.archives import works
from eocube.archives.pictures import true_colour
from eocube.grids import grid_for
from eocube.webgrids import web_grid

pytestmark = pytest.mark.real

CELLS = ("33TWM", "33TWL")
BANDS = ("B02", "B03", "B04", "B08")


def coarse(recipe, items):
    base = grid_for(items, crs="utm", resolution=120)
    return {10.0: base if recipe.grid == "utm" else web_grid(base, 10, align=8)}


@pytest.fixture(scope="module", params=["utm", "web"])
def made(request, real, tmp_path_factory):
    """An archive that was run, and the folder of its sources."""
    folder = real / "l2a_33T_2023-08"
    recipe = eo.Recipe("real", "2023-08", cells=CELLS, bands=BANDS, catalog=str(folder), grid=request.param)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(works, "grids_for", coarse)
        archive = eo.Archive(tmp_path_factory.mktemp(request.param) / "a", recipe)
        run = archive.run(bar=False)
        assert sorted(run.done) == sorted(CELLS), archive.status()["why"].tolist()
        yield archive, folder
    archive.close()



def folders(archive):
    return {cell: archive.place.local / archive.recipe.identity(cell) for cell in CELLS}


def pixels(path):
    with rasterio.open(path) as file:
        return file.read()


def test_every_file_is_a_cog(made):
    archive, _ = made
    for folder in folders(archive).values():
        files = sorted(folder.glob("*.tif"))
        assert {file.stem for file in files} == {*BANDS, "TCI", "count", "used"}
        for file in files:
            assert cog_validate(file, strict=True) == (True, [], []), file
            with rasterio.open(file) as opened:
                assert opened.crs.to_epsg() == (3857 if archive.recipe.grid == "web" else 32633)


def test_pixels_are_those_of_composite(made):
    """Search, grid, plan, load and composite by hand, for each cell."""
    archive, folder = made
    for cell, own in folders(archive).items():
        items = pystac.ItemCollection([item for item in eo.search(folder) if cell in item.id])
        assert len(items) == 5
        grid = coarse(archive.recipe, items)[10.0]
        cube = eo.load(items, grid, bands=list(BANDS), mask=eo.SCLMask(), dtype="uint16")
        hand = eo.composite(cube, [eo.Median(), eo.Count(), eo.Used(5)]).compute()
        names = dict(zip(BANDS, ("blue", "green", "red", "nir"), strict=True)) | {"count": "count", "used": "used"}
        for name, band in names.items():
            np.testing.assert_array_equal(pixels(own / f"{name}.tif")[0], hand.sel(band=band).values)
        rgb = np.stack([hand.sel(band=band).values for band in ("red", "green", "blue")]).astype("uint16")
        np.testing.assert_array_equal(pixels(own / "TCI.tif"), true_colour(rgb))
        bits = pixels(own / "used.tif")[0]
        np.testing.assert_array_equal(np.bitwise_count(bits), pixels(own / "count.tif")[0])
        good = json.loads((own / f"{own.name}.json").read_text())["properties"]["good_pxl_pct"]
        assert good == pytest.approx((rgb > 0).all(axis=0).mean(), abs=1e-6)
        assert archive.status().set_index("cell")["good"][cell] == good
        if archive.recipe.grid == "utm":
            assert good > 0.98


def test_items_are_valid_by_the_schemas(made, validator):
    archive, _ = made
    for cell, own in folders(archive).items():
        item = pystac.Item.from_file(own / f"{own.name}.json")
        checked = item.validate()
        assert any("grid" in schema for schema in checked)
        assert item.id == f"{cell}_2023-08-01_2023-09-01"
        assert item.properties["grid:code"] == f"MGRS-{cell}"
        assert item.properties["eocube:recipe"] == archive.recipe.hash
        assert len([link for link in item.links if link.rel == "derived_from"]) == 5
        broken = item.to_dict()
        broken["properties"]["grid:code"] = cell
        with pytest.raises(pystac.STACValidationError):
            pystac.Item.from_dict(broken).validate()
    pystac.Collection.from_file(archive.place.local / "collection.json").validate()
    pystac.Catalog.from_file(archive.place.local / "catalog.json").validate()


def test_the_catalog_is_walked_by_others(made):
    archive, _ = made
    expected = {archive.recipe.identity(cell) for cell in CELLS}
    client = pystac_client.Client.open(str(archive.catalog_path))
    assert {item.id for item in client.get_items(recursive=True)} == expected
    (collection,) = client.get_collections()
    assert collection.id == "real"
    assert collection.extent.temporal.intervals[0][0] == datetime(2023, 8, 1, tzinfo=UTC)
    bounds = collection.extent.spatial.bboxes[0]
    for item in pystac.Catalog.from_file(archive.catalog_path).get_items(recursive=True):
        assert bounds[0] <= item.bbox[0] <= item.bbox[2] <= bounds[2]
        assert item.get_root().id == client.id
        for asset in item.get_assets().values():
            assert Path(asset.get_absolute_href()).is_file()
    found = eo.search(archive.catalog_path)
    assert {item.id for item in found} == expected


def test_every_link_leads_somewhere(made):
    """What stac-check looks at: links are relative, resolve, and lead back."""
    archive, _ = made
    seen = 0
    for file in archive.place.local.rglob("*.json"):
        said = json.loads(file.read_text())
        for link in said.get("links", []):
            if link["rel"] == "derived_from" or urlparse(link["href"]).scheme:
                continue
            assert not Path(link["href"]).is_absolute(), link
            target = (file.parent / link["href"]).resolve()
            assert target.is_file(), (file, link)
            assert json.loads(target.read_text())["id"]
            seen += 1
    assert seen >= 8


def test_the_same_recipe_gives_the_same_bytes(made, tmp_path):
    archive, _ = made
    again = eo.Archive(tmp_path / "again", archive.recipe)
    again.run(max_cells=1, bar=False)
    (cell,) = [row.cell for row in again.status().itertuples() if row.state == "done"]
    one, other = (place.place.local / archive.recipe.identity(cell) for place in (archive, again))
    assert {file.name for file in one.iterdir()} == {file.name for file in other.iterdir()}
    for file in one.iterdir():
        assert file.read_bytes() == (other / file.name).read_bytes(), file.name


def test_neighbours_agree_where_they_overlap(made):
    """The two tiles are of the same passes: where both have data they show the same ground."""
    archive, _ = made
    one, other = (rasterio.open(folder / "B04.tif") for folder in folders(archive).values())
    left, right = max(one.bounds.left, other.bounds.left), min(one.bounds.right, other.bounds.right)
    bottom, top = max(one.bounds.bottom, other.bounds.bottom), min(one.bounds.top, other.bounds.top)
    shape = (round((top - bottom) / one.res[1]), round((right - left) / one.res[0]))
    assert min(shape) > 20
    a, b = (file.read(1, window=file.window(left, bottom, right, top), out_shape=shape).astype(int)
            for file in (one, other))  # fmt: skip
    both = (a > 0) & (b > 0)
    assert both.mean() > 0.5
    assert np.median(np.abs(a - b)[both]) < 100


def test_true_colour_is_that_of_a_real_product(real):
    folder = next((real / "multires_scenes").rglob("TCI.tif")).parent
    theirs = pixels(folder / "TCI.tif").astype(int)
    values = np.concatenate([pixels(folder / f"{name}.tif") for name in ("B04", "B03", "B02")])
    ours = true_colour(values).astype(int)
    np.testing.assert_array_equal(ours == 0, theirs == 0)
    # Where a band is near saturation the product is darker by some; why is not published.
    below = (values > 0) & (values < 2000)
    assert below.sum() > 1e6
    assert (np.abs(ours - theirs)[below] <= 1).mean() > 0.999
    assert (np.abs(ours - theirs)[values > 0] <= 1).mean() > 0.95
