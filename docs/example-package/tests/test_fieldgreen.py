"""On eocube's made-up archive: no network, and the truth is known."""

from __future__ import annotations

import numpy as np
import pytest
from fieldgreen import FieldError, monthly_ndvi

import eocube as eo

PERIOD = "2021-06/2022-05"


@pytest.fixture(scope="module")
def world():
    return eo.sample.cached()


@pytest.fixture(scope="module")
def field(world):
    """A square of 200 m in the middle of the archive."""
    return world.grid.extent.centroid.buffer(100).boundingbox.polygon.to_crs("EPSG:4326")


@pytest.fixture(scope="module")
def table(world, field):
    return monthly_ndvi(field, PERIOD, catalog=world.items_path)


def test_a_row_per_month(table):
    assert list(table.columns) == ["ndvi", "dates"]
    assert table.index.name == "month"
    assert (table.index.day == 1).all()
    assert table.index.is_unique
    assert table["dates"].sum() > 4


def test_it_is_the_truth(world, field, table):
    """The median over the field under a clear sky, on the days that counted alone in their month."""
    area = eo.area(field)
    grid = eo.grid_for(area, crs=str(world.grid.crs))
    compared = 0
    for month in table.index[table["dates"] == 1]:
        name = f"{month:%Y-%m}"
        days = [scene.date for scene in world.scenes if scene.date.startswith(name)]
        if len(days) > 1:  # one of them was cloudy: which, is not said
            continue
        red, nir = world.clear_on(grid, days[0], ["red", "nir"])
        truth = np.nanmedian((nir - red) / (nir + red))
        assert table["ndvi"][month] == pytest.approx(truth, abs=0.06), name
        compared += 1
    assert compared >= 3


def test_a_stricter_share_keeps_fewer_dates(world, field, table):
    strict = monthly_ndvi(field, PERIOD, catalog=world.items_path, min_clear=1.0)
    assert strict["dates"].sum() <= table["dates"].sum()
    assert monthly_ndvi(field, PERIOD, catalog=world.items_path, mask=None)["dates"].sum() == 12


def test_nothing_found_is_an_empty_table(world, field):
    assert len(monthly_ndvi(field, "2015", catalog=world.items_path)) == 0


def test_errors_are_our_own(world):
    with pytest.raises(FieldError, match="west"):
        monthly_ndvi((12.1, 47.1, 11.9, 47.0), PERIOD, catalog=world.items_path)
