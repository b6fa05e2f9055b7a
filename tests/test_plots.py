"""Pictures: colours, coarse reading, legends, series, sheets, films."""

from __future__ import annotations

import importlib
import io
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from PIL import Image

import eocube as eo
from eocube.errors import BandError, EocubeWarning, InputError, MissingExtraError, OutputError
from eocube.plots.legends import legend_of
from eocube.plots.pictures import picture_of
from eocube.plots.shrinking import small as shrunk
from eocube.sentinel2 import SCL_CLASSES, SCL_COLOURS

mpl.use("Agg")
import matplotlib.pyplot as plt

BANDS = ["red", "green", "blue"]


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def plan(small, small_items):
    return eo.plan(small_items, small.grid, bands=[*BANDS, "nir"], mask=eo.SCLMask())


@pytest.fixture(scope="module")
def cube(plan):
    return eo.load(plan)


@pytest.fixture(scope="module")
def best(cube):
    return eo.composite(cube, eo.Median()).compute()


def made(values, dims=("band", "y", "x"), bands=BANDS, **coords):
    array = xr.DataArray(np.asarray(values), dims=dims, coords=coords)
    return array.assign_coords(band=bands) if "band" in dims else array


def test_what_cannot_be_is_said_before_anything_is_read(plan, cube, tmp_path, monkeypatch):
    monkeypatch.setattr(type(plan.loader), "__call__", lambda *_, **__: pytest.fail("a file was read"))
    wide = eo.load(plan).isel(time=[0] * 61)
    _, axis = plt.subplots()
    calls = [
        lambda: eo.plot_map(plan),
        lambda: eo.plot_map(wide, "red"),
        lambda: eo.plot_map(plan, "red", cmap="nothing"),
        lambda: eo.plot_map(plan, "red", limits=(1, 0)),
        lambda: eo.plot_rgb(wide),
        lambda: eo.plot_rgb(plan, ax=axis),
        lambda: eo.rgb(plan, bands=("swir16", "nir", "red")),
        lambda: eo.timelapse(cube[0], tmp_path / "a.gif"),
        lambda: eo.timelapse(eo.load(plan).sel(band=["red", "nir"]), tmp_path / "a.gif"),
        lambda: eo.explore(dict.fromkeys(range(2), wide)),
        lambda: eo.explore(eo.load(plan).sel(band=["red", "nir"])),
        lambda: eo.explore(eo.load(plan).drop_vars(["x", "y", "spatial_ref"])),
    ]
    for call in calls:
        with pytest.raises(InputError):
            call()


class TestShrinking:
    def test_a_plan_is_read_on_a_coarser_grid(self, plan):
        rows, columns = plan.grid.shape
        found = shrunk(plan, 40, BANDS)
        step = -(-max(rows, columns) // 40)
        assert found.odc.geobox == plan.grid.zoom_out(step)
        assert list(found["band"].values) == BANDS

    def test_of_a_cube_as_loaded_only_overviews_are_read(self, plan, cube, monkeypatch):
        asked = []
        kept = type(plan.loader).__call__

        def spy(self, sources, geobox, wanted=None):
            asked.append(geobox.resolution.x)
            return kept(self, sources, geobox, wanted)

        monkeypatch.setattr(type(plan.loader), "__call__", spy)
        found = shrunk(cube, 30, BANDS)
        step = -(-max(plan.grid.shape) // 30)
        assert asked
        assert min(asked) >= min(10 * step, 20)
        xr.testing.assert_equal(found, shrunk(plan, 30, BANDS))

    def test_anything_else_is_thinned_in_its_chunks(self):
        import dask.array as da

        most = []

        def block(values, block_info=None):
            most.append(values.size)
            return values

        data = da.from_array(
            np.arange(4 * 4 * 100 * 100, dtype=float).reshape(1, 400, 400), chunks=(1, 100, 100)
        )
        array = made(data.map_blocks(block, dtype=float, meta=np.empty((0, 0, 0))), bands=["nir"])
        found = shrunk(array, 100)
        assert found.shape == (1, 100, 100)
        np.testing.assert_array_equal(found, data.compute()[:, 2::4, 2::4])
        assert max(most) == 100 * 100

    def test_small_ones_stay_as_they_are(self, best):
        np.testing.assert_array_equal(shrunk(best, 5000), best)

    def test_whole_numbers_become_floats(self, small, small_items):
        lean = eo.load(small_items, small.grid, bands=BANDS, mask=eo.SCLMask(), dtype="uint16")
        found = shrunk(lean, 5000)
        assert np.isnan(found.values).sum() == (lean.values == 0).sum() > 0
        counts = shrunk(made(np.zeros((1, 2, 2), dtype=np.uint16), bands=["count"]), 10)
        assert (counts == 0).all()

    def test_north_is_up(self):
        array = made(np.arange(12.0).reshape(3, 2, 2), y=[0.0, 10.0], x=[0.0, 10.0])
        assert shrunk(array, 10)["y"].values.tolist() == [10.0, 0.0]

    @pytest.mark.parametrize("size", [0, -1, 2.5, True])
    def test_size(self, best, size):
        with pytest.raises(InputError, match="not a number of pixels"):
            eo.rgb(best, size=size)

    def test_what_is_no_array(self):
        with pytest.raises(InputError, match="DataArray with the dims y and x"):
            eo.rgb([1, 2, 3])
        with pytest.raises(InputError, match="empty"):
            eo.rgb(made(np.zeros((3, 0, 4))))


class TestRgb:
    def test_tones_and_alpha(self):
        values = np.linspace(0.0, 1.0, 5)[None, None, :].repeat(3, axis=0).copy()
        values[1, 0, 2] = np.nan
        found = eo.rgb(made(values), limits=(0.0, 0.5), gamma=1.0)
        assert found.dims == ("y", "x", "band")
        assert found.dtype == np.uint8
        np.testing.assert_array_equal(found.sel(band="red")[0], [0, 128, 0, 255, 255])
        np.testing.assert_array_equal(found.sel(band="alpha")[0], [255, 255, 0, 255, 255])
        assert eo.rgb(made(values), limits=(0.0, 0.5), gamma=2.0)[0, 1, 0] == round(0.5**0.5 * 255)

    def test_bands_in_their_order_by_any_name(self):
        values = np.stack([np.full((2, 2), v) for v in (0.1, 0.2, 0.3, 0.4)])
        array = made(values, bands=["B02", "B03", "B04", "B08"])
        found = eo.rgb(array, bands=("nir", "red", "green"), limits=(0.0, 1.0), gamma=1.0)
        np.testing.assert_array_equal(found[0, 0], [102, 77, 51, 255])

    def test_percentiles_of_dates_are_not_those_of_clouds(self):
        rng = np.random.default_rng(1)
        ground = rng.uniform(0.05, 0.2, (3, 40, 40))
        values = np.stack([ground] * 5)
        values[1, :, :20] = 0.9  # a cloud on one date each
        values[3, :, 20:] = 0.9
        array = made(values, dims=("time", "band", "y", "x"))
        low, high = eo.rgb(array).attrs["limits"]
        assert (low, high) == pytest.approx(tuple(np.percentile(ground, [1, 99])))
        tinted = picture_of(array.isel(band=0, drop=True), each=True, cmap="gray")
        assert np.shape(tinted.attrs["limits"]) == (5, 2)
        own = eo.rgb(array, each=True)
        assert np.shape(own.attrs["limits"]) == (5, 2)
        assert own.attrs["limits"][1][1] == pytest.approx(0.9)

    def test_without_any_data(self):
        found = eo.rgb(made(np.full((3, 4, 4), np.nan)))
        assert (found == 0).all()

    def test_place_stays(self, cube, small):
        found = eo.rgb(cube[0])
        assert found.odc.geobox == small.grid
        assert "sun_azimuth" in found.coords

    @pytest.mark.parametrize(
        "wrong",
        [{"limits": (1.0, 0.0)}, {"limits": (0.0,)}, {"limits": (0, np.nan)}, {"percentiles": (2, 101)},
         {"percentiles": "ab"}, {"gamma": 0}, {"bands": ("red",)}],
    )  # fmt: skip
    def test_what_cannot_be(self, best, wrong):
        with pytest.raises(InputError):
            eo.rgb(best, **wrong)

    def test_a_band_that_is_not_there(self, best, plan):
        for what in (best, plan):
            with pytest.raises(BandError, match="no band 'swir16'"):
                eo.rgb(what, bands=("swir16", "nir", "red"))
        with pytest.raises(BandError, match="no dim 'band'"):
            eo.rgb(best[0])


class TestPlotRgb:
    def test_one_picture_lies_at_its_place(self, best, small):
        axis = eo.plot_rgb(best)
        left, right, bottom, top = axis.images[0].get_extent()
        box = small.grid.extent.boundingbox
        assert (left, bottom, right, top) == pytest.approx(tuple(box.bbox))
        axis.figure.canvas.draw()

    def test_one_per_date(self, plan):
        axes = eo.plot_rgb(plan, columns=3)
        assert [axis.get_title() for axis in axes] == [str(scene.time.date()) for scene in plan.scenes]

    def test_before_and_after_in_one_stretch(self, best):
        axes = eo.plot_rgb({"before $x": best + 0.5, "after": best})
        assert [axis.get_title() for axis in axes] == ["before $x", "after"]
        axes[0].figure.canvas.draw()
        before, after = (axis.images[0].get_array() for axis in axes)
        np.testing.assert_array_equal(after, eo.rgb(best))
        assert before[..., 0].mean() > after[..., 0].mean()

    def test_on_axes_of_ones_own(self, best, cube):
        _, axis = plt.subplots()
        assert eo.plot_rgb(best, ax=axis) is axis
        with pytest.raises(InputError, match="takes one picture"):
            eo.plot_rgb(cube, ax=axis)

    def test_too_many_and_none(self, best):
        many = xr.concat([best[:3, :4, :4]] * 61, dim="time")
        with pytest.raises(InputError, match="too many for one figure"):
            eo.plot_rgb(many)
        with pytest.raises(InputError, match="empty"):
            eo.plot_rgb({})


class TestPlotMap:
    def test_classes_have_their_legend(self, small, small_items):
        scl = eo.load(small_items, small.grid, bands="scl")
        axis = eo.plot_map(scl[0])
        there = set(np.unique(scl[0].values)) - {0}
        texts = [text.get_text() for text in axis.get_legend().get_texts()]
        assert texts == [name for name, code in SCL_CLASSES.items() if code in there]

    def test_a_pixel_has_the_colour_of_its_class(self):
        codes = np.array([[4, 9], [6, 0]], dtype=np.uint8)
        axis = eo.plot_map(made(codes[None], bands=["scl"]))
        shown = axis.images[0].to_rgba(axis.images[0].get_array())
        for row, column in ((0, 0), (0, 1), (1, 0)):
            assert mpl.colors.to_hex(shown[row, column]) == SCL_COLOURS[codes[row, column]]
        assert axis.images[0].get_array().mask[1, 1]

    def test_counts(self, best):
        axis = eo.plot_map(best, "count")
        texts = [text.get_text() for text in axis.get_legend().get_texts()]
        assert texts == [str(n) for n in np.unique(best.sel(band="count").values).astype(int)]
        assert axis.get_legend().get_title().get_text() == "clear dates"

    def test_provenance(self):
        source = made(np.array([[[1.0, 2.0], [0.0, 3.0]]]), bands=["source"])
        ids = ["sentinel-2a_2021-06-12", "b", "c"]
        said = source.assign_attrs(
            source_scenes=ids, source_times=["2021-06-12T10:00:00", "2021-07-01", "2021-08-01"]
        )
        labels = legend_of(said, "source", said.values[0]).labels
        assert labels == ("2021-06-12", "2021-07-01 b", "2021-08-01 c")
        assert legend_of(source, "source", source.values[0]).labels == ("scene 1", "scene 2", "scene 3")
        axis = eo.plot_map(said)
        assert axis.images[0].get_array().mask[1, 0]  # 0 is none
        assert axis.get_legend().get_title().get_text() == "pixels from"

    def test_flags_of_cf(self):
        array = made(np.array([[0, 1], [2, 1]], dtype=np.uint8), dims=("y", "x"))
        array.attrs = {
            "flag_values": [0, 1, 2],
            "flag_meanings": "land open_water ice$",
            "flag_colors": "#00ff00 #0000ff #ffffff",
        }
        axis = eo.plot_map(array)
        axis.figure.canvas.draw()
        shown = axis.images[0].to_rgba(axis.images[0].get_array())
        assert mpl.colors.to_hex(shown[1, 0]) == "#ffffff"
        array.attrs["flag_meanings"] = "land"
        with pytest.raises(InputError, match="3 flag_values and 1 flag_meanings"):
            eo.plot_map(array)

    def test_values_have_a_colour_bar(self, best, cube):
        axis = eo.plot_map(eo.ndvi(best))
        assert axis.images[0].get_clim() == (-0.2, 0.9)
        assert axis.images[0].colorbar.ax.get_ylabel() == "NDVI"
        axes = eo.plot_map(cube[:2], "nir", limits=(0.0, 0.5))
        assert [a.images[0].get_clim() for a in axes] == [(0.0, 0.5)] * 2

    def test_what_cannot_be(self, best):
        with pytest.raises(InputError, match="name one by band="):
            eo.plot_map(best)
        with pytest.raises(InputError, match="not a colour map"):
            eo.plot_map(best, "nir", cmap="nothing")


class TestPlotSeries:
    def table(self, fields=("a", "b"), bands=("ndvi",)):
        times = pd.date_range("2021-01-01", periods=4, freq="MS")
        rows = [
            (f, t, b, 0.1 * k, 0.05, 0.2 if k == 2 else 0.9)
            for f in fields
            for b in bands
            for k, t in enumerate(times)
        ]
        return pd.DataFrame(rows, columns=["field", "time", "band", "mean", "std", "clear"])

    def test_lines_of_what_is_clear(self):
        axis = eo.plot_series(self.table())
        lines = [line for line in axis.get_lines() if line.get_linestyle() != "None"]
        assert [line.get_label() for line in lines] == ["a", "b"]
        np.testing.assert_allclose(lines[0].get_ydata(), [0.0, 0.1, 0.3])
        hollow = [line for line in axis.get_lines() if line.get_linestyle() == "None"]
        np.testing.assert_allclose(hollow[0].get_ydata(), [0.2])
        assert axis.get_ylabel() == "NDVI (mean)"

    def test_the_legend_does_not_lie_on_the_lines(self):
        axis = eo.plot_series(self.table(fields="abcdefg"))
        axis.figure.canvas.draw()
        assert axis.get_legend().get_window_extent().y0 >= axis.get_window_extent().y1 - 1
        assert axis.get_legend().get_window_extent().y1 <= axis.figure.bbox.y1

    def test_bands_are_panels_and_fields_are_chosen(self):
        axes = eo.plot_series(self.table(bands=("ndvi", "red")), fields=["b"])
        assert len(axes) == 2
        assert axes[1].get_ylabel() == "red (mean)"
        assert len(axes[0].collections) == 1  # the spread of one field

    def test_a_dataset_too(self, plan):
        field = plan.grid.extent.buffer(-300)
        found = eo.timeseries(plan, {"$all": field}, of=eo.ndvi, weights="centre", form="dataset")
        axis = eo.plot_series(found, min_clear=0.0)
        axis.figure.canvas.draw()
        assert len(axis.get_lines()[0].get_ydata()) >= 2

    def test_what_cannot_be(self):
        table = self.table()
        with pytest.raises(InputError, match="Did you mean 'mean'"):
            eo.plot_series(table, value="men")
        with pytest.raises(InputError, match="no field 'c'"):
            eo.plot_series(table, fields=["c"])
        with pytest.raises(InputError, match="too many"):
            eo.plot_series(self.table(fields=range(13)))
        for wrong in (pd.DataFrame({"x": [1]}), 3):
            with pytest.raises(InputError, match="field and time"):
                eo.plot_series(wrong)
        with pytest.raises(InputError, match="empty"):
            eo.plot_series(table[:0])


class TestContactSheet:
    def test_of_bands_on_this_disk(self, small_items):
        axes = eo.contact_sheet(small_items)
        assert len(axes) == len(list(small_items))
        assert "cloud" in axes[0].get_title()
        picture = axes[0].images[0].get_array()
        assert picture.shape[2] == 4
        assert picture[..., :3].std() > 5
        axes[0].figure.canvas.draw()

    def picture(self, colour=(200, 10, 20), kind="JPEG"):
        out = io.BytesIO()
        Image.new("RGB", (64, 48), colour).save(out, kind)
        return out.getvalue()

    def with_thumbnail(self, items, href, **asset):
        record = items[0].to_dict(transform_hrefs=False)
        record["assets"]["thumbnail"] = {"href": href, "type": "image/jpeg", **asset}
        return record

    def test_a_thumbnail_where_one_is_kept(self, small_items, tmp_path):
        (tmp_path / "t.jpg").write_bytes(self.picture())
        record = self.with_thumbnail(small_items, str(tmp_path / "t.jpg"))
        shown = eo.contact_sheet([record], source="thumbnail")[0].images[0].get_array()
        assert shown.shape == (48, 64, 4)
        assert abs(int(shown[5, 5, 0]) - 200) < 6
        assert eo.contact_sheet([record])[0].images[0].get_array().shape != shown.shape  # bands lie nearer

    def test_a_thumbnail_from_a_server(self, small_items, tmp_path):
        from .servers import Quiet, serving

        class Files(Quiet):
            def do_GET(self):
                self.send_response(200)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

        data = self.picture(kind="PNG")
        with serving(Files) as url:
            record = self.with_thumbnail(small_items, f"{url}/t.png", type="image/png")
            shown = eo.contact_sheet([record], source="thumbnail")[0].images[0].get_array()
        assert shown[5, 5].tolist() == [200, 10, 20, 255]

    def test_no_picture_is_said(self, small_items, tmp_path):
        broken = tmp_path / "t.jpg"
        broken.write_bytes(b"<svg onload=alert(1)>")
        record = self.with_thumbnail(small_items, str(broken))
        with pytest.warns(EocubeWarning, match="have no picture"):
            axes = eo.contact_sheet([record], source="thumbnail")
        assert axes[0].texts[0].get_text() == "no picture"

    def test_thumbnails_of_strangers(self, small_items, tmp_path):
        (tmp_path / "t.jpg").write_bytes(self.picture())
        for href in (str(tmp_path / "t.jpg"), f"file://{tmp_path}/t.jpg", "http://169.254.169.254/t.jpg"):
            record = self.with_thumbnail(small_items, href)
            record["eocube:origin"] = "https://stac.example.org"
            with pytest.warns(EocubeWarning, match="have no picture"):
                axes = eo.contact_sheet([record], source="thumbnail")
            assert not axes[0].images

    def test_a_bomb_is_no_thumbnail(self, small_items, tmp_path):
        out = io.BytesIO()
        Image.new("1", (20000, 20000)).save(out, "PNG")
        (tmp_path / "t.png").write_bytes(out.getvalue())
        record = self.with_thumbnail(small_items, str(tmp_path / "t.png"), type="image/png")
        with pytest.warns(EocubeWarning, match="no thumbnail"):
            eo.contact_sheet([record], source="thumbnail")

    def test_what_cannot_be(self, small_items):
        with pytest.raises(InputError, match="Did you mean 'bands'"):
            eo.contact_sheet(small_items, source="band")
        many = [{**small_items[0].to_dict(transform_hrefs=False), "id": f"S2A_{k}"} for k in range(61)]
        with pytest.raises(InputError, match="too many"):
            eo.contact_sheet(many)


class TestTimelapse:
    def frames(self, path):
        with Image.open(path) as film:
            found = []
            for k in range(film.n_frames):
                film.seek(k)
                found.append((film.info["duration"], np.asarray(film.convert("RGB"))))
        return found

    def test_a_gif_of_all_dates(self, plan, tmp_path):
        path = eo.timelapse(plan, tmp_path / "a.gif", fps=4)
        found = self.frames(path)
        assert len(found) == len(plan.scenes)
        assert {frame.shape for _, frame in found} == {found[0][1].shape}
        assert found[0][0] == 250
        rows, columns = plan.grid.shape
        times = 400 // max(rows, columns)
        assert found[0][1].shape == (rows * times, columns * times, 3)

    def test_dates_are_burnt_in_and_colours_are_right(self, tmp_path):
        values = np.full((2, 3, 200, 201), 0.5)
        values[1, 0] = 1.0
        times = np.array(["2021-01-01", "2021-02-01"], dtype="M8[ns]")
        array = made(values, dims=("time", "band", "y", "x"), time=times)
        first, second = (
            frame for _, frame in self.frames(eo.timelapse(array, tmp_path / "a.gif", limits=(0, 1)))
        )
        assert first.shape == (200, 202, 3)
        assert np.abs(first[50, 50].astype(int) - round(0.5 ** (1 / 1.4) * 255)).max() < 8
        assert second[50, 50, 0] > 240
        corner = first[170:, :110]
        assert (corner.max(axis=2) > 220).sum() > 60  # white signs
        assert (corner.max(axis=2) < 15).sum() > 50  # with a black rim
        assert (first[:150, :200].std(axis=(0, 1)) < 3).all()

    def test_fill_and_min_clear(self, tmp_path):
        values = np.full((3, 3, 120, 120), 0.9)
        values[1, :, :, 40:] = np.nan
        times = np.array(["2021-03-01", "2021-02-01", "2021-01-01"], dtype="M8[ns]")
        array = made(values, dims=("time", "band", "y", "x"), time=times)
        dark = self.frames(eo.timelapse(array, tmp_path / "a.gif", limits=(0, 1)))[1][1]
        assert dark[20, 300].max() < 60
        full = self.frames(eo.timelapse(array, tmp_path / "b.gif", limits=(0, 1), fill=True))[1][1]
        assert full[20, 300].min() > 200
        assert len(self.frames(eo.timelapse(array, tmp_path / "c.gif", limits=(0, 1), min_clear=0.5))) == 2
        with pytest.raises(InputError, match="lower min_clear"):
            eo.timelapse(array * np.nan, tmp_path / "d.gif", limits=(0, 1), min_clear=0.5)
        assert not (tmp_path / "d.gif").exists()

    def test_an_mp4(self, cube, tmp_path):
        import imageio_ffmpeg

        path = eo.timelapse(eo.ndvi(cube), tmp_path / "a.mp4", fps=5)
        reader = imageio_ffmpeg.read_frames(str(path))
        said = next(reader)
        frames = list(reader)
        assert said["fps"] == 5
        assert len(frames) == cube.sizes["time"]
        assert said["size"][0] % 2 == said["size"][1] % 2 == 0
        green = np.frombuffer(frames[0], dtype=np.uint8).reshape(*said["size"][::-1], 3)
        assert green[..., 1].mean() > green[..., 0].mean()

    def test_without_ffmpeg(self, best, tmp_path, monkeypatch):
        import imageio_ffmpeg

        def gone():
            raise RuntimeError("No ffmpeg exe could be found.")

        monkeypatch.setattr(imageio_ffmpeg, "get_ffmpeg_exe", gone)
        with pytest.raises(MissingExtraError, match=r"eocube\[plot\]"):
            eo.timelapse(best, tmp_path / "a.mp4")

    def test_what_cannot_be(self, best, cube, tmp_path):
        with pytest.raises(OutputError, match=r"neither \.gif nor \.mp4"):
            eo.timelapse(cube, tmp_path / "a.avi")
        with pytest.raises(InputError, match="several dates"):
            eo.timelapse(best, tmp_path / "a.gif")
        with pytest.raises(InputError, match="fps"):
            eo.timelapse(cube, tmp_path / "a.gif", fps=0)
        (tmp_path / "b.gif").write_text("mine")
        with pytest.raises(OutputError, match="exists"):
            eo.timelapse(cube, tmp_path / "b.gif")
        assert (tmp_path / "b.gif").read_text() == "mine"
        assert [path.name for path in Path(tmp_path).iterdir()] == ["b.gif"]


@pytest.mark.parametrize(
    ("module", "call"),
    [("matplotlib", lambda best, to: eo.plot_rgb(best)), ("PIL", lambda best, to: eo.timelapse(best, to / "a.gif")),
     ("imageio_ffmpeg", lambda best, to: eo.timelapse(best, to / "a.mp4")), ("folium", lambda best, to: eo.explore(best))],
)  # fmt: skip
def test_a_missing_library_names_the_extra(best, tmp_path, monkeypatch, module, call):
    kept = importlib.import_module

    def missing(name):
        if name.split(".")[0] == module:
            raise ImportError(name)
        return kept(name)

    monkeypatch.setattr("eocube.extras.import_module", missing)
    with pytest.raises(MissingExtraError, match=rf"needs {module.replace('_', '-')}.*eocube\[plot\]"):
        call(best, tmp_path)
