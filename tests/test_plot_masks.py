"""Pictures of masks: what is drawn is what is thrown away."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

import eocube as eo
from eocube.errors import BandError, GridError, InputError, MissingExtraError
from eocube.plots import masks as plots

from .test_votes import bright

BANDS = ["red", "green", "blue"]
BAD = eo.SCLMask("shadow") | eo.SCLMask("cloud_high", "cloud_medium")


@pytest.fixture(scope="module")
def plan(small, small_items):
    return eo.plan(small_items, small.grid, bands=BANDS, mask=BAD)


def drawn(figure):
    """Return the picture (y, x, rgba) as it is rendered, and the legend's words."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    words = [text.get_text() for legend in figure.legends for text in legend.get_texts()]
    return np.asarray(canvas.buffer_rgba()), words


def test_a_panel_per_date_and_a_legend(plan):
    figure = eo.plot_masks(plan)
    picture, words = drawn(figure)
    assert len(figure.axes) == 5
    assert words == ["SCLMask_shadow", "SCLMask_cloud_medium_cloud_high"]
    days = [axes.get_title().split()[0] for axes in figure.axes]
    assert days == [scene.day.isoformat() for scene in plan.scenes]
    assert picture.std() > 10


def test_titles_say_the_clear_share(plan):
    flags = eo.masks_of(plan, flags=True).compute().values
    for axes, own in zip(eo.plot_masks(plan).axes, flags, strict=True):
        assert f"{(own == 0).sum() / (own != 1).sum():.0%}".rstrip("%") in axes.get_title()


def test_what_is_filled_is_what_is_thrown_away(plan):
    flags = eo.masks_of(plan, flags=True)
    day = "2021-06-24"
    axes = eo.plot_masks(plan, dates=day, style="fill").axes[0]
    picture, *layers = (image.get_array() for image in axes.images)
    own = flags.sel(time=day).compute().values[0]
    for layer, bit in zip(layers, (2, 4), strict=True):
        np.testing.assert_array_equal(np.asarray(layer)[..., 3] > 0, (own & bit) > 0)
    cube = eo.load(replace(plan, mask=None)).sel(time=day).compute()[0]
    there = np.isfinite(cube.values).all(axis=0)
    assert (np.asarray(picture)[~there] == np.float32(0.85)).all()
    order = np.argsort(cube.sel(band="red").values[there])
    assert (np.diff(np.asarray(picture)[..., 0][there][order]) >= 0).all()


def test_outlines_go_round(plan):
    """Lines have their colours, and close at the edge of the picture."""
    axes = eo.plot_masks(plan, dates=["2021-06-24"]).axes[0]
    assert len(axes.collections) == 2
    for contour, colour in zip(axes.collections, plots.COLOURS, strict=False):
        from matplotlib.colors import to_rgba

        np.testing.assert_allclose(contour.get_edgecolor()[0], to_rgba(colour))
        for path in contour.get_paths():
            for line in path.to_polygons(closed_only=False):
                np.testing.assert_allclose(line[0], line[-1])


def test_masks_by_name_and_a_large_grid(plan):
    figure = eo.plot_masks(plan, {"bright": bright}, dates="2021-06-24", pixels=40)
    _, words = drawn(figure)
    assert words == ["bright"]
    assert max(figure.axes[0].images[0].get_array().shape[:2]) <= 40


def test_a_cube_and_bools(small, small_items, plan):
    cube = eo.load(small_items, small.grid, bands=BANDS, dtype="uint16")
    figure = eo.plot_masks(cube, eo.masks_of(plan), dates="2021-06-24")
    assert drawn(figure)[1] == ["thrown away"]
    of_plan = eo.plot_masks(plan, dates="2021-06-24")
    pictures = [np.asarray(f.axes[0].images[0].get_array()) for f in (figure, of_plan)]
    np.testing.assert_allclose(*pictures, atol=2e-3)


def test_no_window_is_left_open(plan):
    from matplotlib import pyplot

    before = pyplot.get_fignums()
    eo.plot_masks(plan, dates="2021-06-24")
    assert pyplot.get_fignums() == before


class TestMistakes:
    def test_bands(self, small, small_items):
        made = eo.plan(small_items, small.grid, bands=["red", "nir"], mask=BAD)
        with pytest.raises(BandError, match="plan holds no green, blue"):
            eo.plot_masks(made)
        with pytest.raises(BandError, match="cube holds no green, blue"):
            eo.plot_masks(eo.load(made), eo.masks_of(made))

    def test_masks_of_another_grid(self, small, small_items, plan):
        other = eo.plan(small_items, small.grid[:, 2:60], bands=BANDS, mask=BAD)
        with pytest.raises(GridError, match="lie on other pixels than the picture: x has 58 values"):
            eo.plot_masks(plan, eo.masks_of(other))
        fewer = eo.masks_of(plan).isel(time=slice(0, 2))
        with pytest.raises(GridError, match="time has 2 values"):
            eo.plot_masks(plan, fewer)

    def test_dates(self, plan):
        with pytest.raises(InputError, match=r"No date 1999-01-01: there are 2021-06-12"):
            eo.plot_masks(plan, dates="1999-01-01")
        with pytest.raises(InputError, match="No date"):
            eo.plot_masks(plan, dates=[])

    def test_the_rest(self, plan, monkeypatch):
        with pytest.raises(InputError, match="style='dots'"):
            eo.plot_masks(plan, style="dots")
        with pytest.raises(InputError, match="needs a plan or a cube"):
            eo.plot_masks(3)
        with pytest.raises(InputError, match="does not know its masks"):
            eo.plot_masks(eo.load(plan))
        with pytest.raises(InputError, match="bools or flags"):
            eo.plot_masks(plan, eo.masks_of(plan).astype("float32"))
        with pytest.raises(InputError, match="flag_masks and flag_meanings"):
            eo.plot_masks(plan, eo.masks_of(plan).astype("uint8"))
        monkeypatch.setattr("eocube.extras.find_spec", lambda name: None)
        with pytest.raises(MissingExtraError, match=r"pip install 'eocube\[plot\]'"):
            eo.plot_masks(plan)


def test_outlines_are_seen_on_clouds(plan):
    """Bright lines on white would not be: something dark is beside each."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    white = xr.ones_like(eo.load(replace(plan, mask=None)))
    flags = eo.masks_of(plan, {"bright": bright}, flags=True)
    figure = eo.plot_masks(white, flags, dates="2021-06-24")
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    seen = np.asarray(canvas.buffer_rgba())[..., :3].astype(int)
    box = figure.axes[0].get_window_extent()
    height = seen.shape[0]
    inside = seen[height - int(box.y1) + 3 : height - int(box.y0) - 3, int(box.x0) + 3 : int(box.x1) - 3]
    grey = inside.max(axis=-1) - inside.min(axis=-1) < 12
    assert (grey & (inside.max(axis=-1) < 190)).sum() > 50
