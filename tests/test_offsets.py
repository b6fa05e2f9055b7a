"""Offsets: metadata that lie, pixels that win, evidence that is kept."""

from __future__ import annotations

import json
import shutil
import warnings
from dataclasses import dataclass, field

import numpy as np
import pytest
import rasterio
import xarray as xr
from click.testing import CliRunner

import eocube as eo
from eocube import checks, sample
from eocube.catalogs import recognise
from eocube.checks import is_doubtful
from eocube.cli import main
from eocube.errors import EocubeWarning, InputError, OffsetUncheckedWarning, OffsetWarning
from eocube.granules import granule_of
from eocube.items import layout_of
from eocube.loaders.rio import RioLoader

FLAG = "earthsearch:boa_offset_applied"
GONE = "S2B_33TTN_20220324_0_L2A"  # baseline 04.00, the offset was taken off
CARRIED = "S2A_33TTN_20220224_0_L2A"  # baseline 04.00, the offset is in the pixels


@pytest.fixture(scope="module")
def truthful(tmp_path_factory):
    return sample.write(tmp_path_factory.mktemp("truthful") / "w", seed=1, size=120, dates=5, landscape="forest")


@pytest.fixture(autouse=True)
def fresh():
    checks.forget()


@dataclass(frozen=True)
class Counting:
    """A loader that keeps what it was asked for."""

    asked: list = field(default_factory=list, compare=False)

    def __call__(self, sources, geobox, wanted=None):
        self.asked.extend(source.href for source in sources)
        return RioLoader()(sources, geobox, wanted)


def lying(items, **flags):
    """Copies of Items as dicts, some of which say something else of the offset."""
    records = [item.to_dict(include_self_link=False, transform_hrefs=False) for item in items]
    for record in records:
        if record["id"] in flags:
            record["properties"][FLAG] = flags[record["id"]]
    return records


def ours(seen):
    return [warned for warned in seen if issubclass(warned.category, EocubeWarning)]


def load(records, world, **options):
    return eo.load(records, world.grid, bands=["red", "nir"], **options)


def values(cube):
    return cube.compute().values


class TestPixelsWin:
    def test_offset_stated_but_gone(self, truthful):
        """The commonest fault of Earth Search: the flag says that it was not applied. Found by itself."""
        records = lying(truthful.items(), **{GONE: False})
        with pytest.warns(OffsetWarning, match=rf"1 of 3 .*{GONE} says -1000 .*pixels say 'gone'") as seen:
            cube = load(records, truthful)
        (warned,) = ours(seen)
        assert warned.filename == __file__  # it points at the caller's line
        np.testing.assert_array_equal(values(cube), values(load(truthful.items(), truthful)))
        when = cube.sel(time="2022-03-24")
        assert when["offset"].values.tolist() == [0]
        assert "pixels" in str(when["offset_source"].values[0])

    def test_not_stated_but_there(self, truthful):
        """An Item that says it was applied is believed, unless all are asked for."""
        records = lying(truthful.items(), **{CARRIED: True})
        right = values(load(truthful.items(), truthful))
        trusted = load(records, truthful)
        assert np.nanmax(np.abs(values(trusted) - right)) == pytest.approx(0.1, abs=1e-6)
        with pytest.warns(OffsetWarning, match=rf"{CARRIED} says 0 \({FLAG}\), its pixels say 'in'"):
            cube = load(records, truthful, verify_offset=True)
        np.testing.assert_array_equal(values(cube), right)

    @pytest.mark.parametrize("dtype", ["float32", "uint16"])
    def test_mixed_in_one_search_the_truth_comes_out(self, truthful, dtype):
        records = lying(truthful.items(), **{GONE: False, CARRIED: True})
        with pytest.warns(OffsetWarning) as seen:
            cube = load(records, truthful, verify_offset=True, dtype=dtype, mask=eo.SCLMask())
        (warned,) = ours(seen)
        assert "2 of 11 Items" in str(warned.message)
        assert GONE in str(warned.message)
        assert CARRIED in str(warned.message)
        found = values(cube)
        found = np.where(found == 0, np.nan, found / 10_000) if dtype == "uint16" else found
        for index, when in enumerate(cube["time"].values):
            day = str(when)[:10]
            truth = truthful.clear_on(truthful.grid, day, ["red", "nir"])
            seen_there = np.isfinite(found[index])
            if seen_there.any():
                assert np.median(np.abs(found[index] - truth)[seen_there]) < 0.004, day

    def test_a_catalog_of_ones_own_that_states_no_offset(self, truthful):
        """raster:bands says 0 where the baseline says -1000: the two differ, so the pixels are asked."""
        records = lying(truthful.items())
        for record in records:
            record["eocube:layout"] = {"offsets": "metadata"}
            for asset in record["assets"].values():
                for entry in asset.get("raster:bands", []):
                    made = truthful.granules[record["id"]]
                    entry["offset"] = 0 if record["id"] == CARRIED else -made.carried / 10_000
        with pytest.warns(OffsetWarning, match=rf"{CARRIED} says 0 \(raster:bands of the Item\)"):
            cube = load(records, truthful)
        np.testing.assert_array_equal(values(cube), values(load(truthful.items(), truthful)))

    def test_every_loader_finds_it(self, truthful):
        records = lying(truthful.items(), **{GONE: False})
        for loader in ("cog", "rio", "stackstac"):
            checks.forget()
            with pytest.warns(OffsetWarning, match=GONE):
                eo.plan(records, truthful.grid, bands="nir", loader=loader)

    def test_the_graph_tells_them_apart(self, truthful):
        """Cubes whose pixels were believed and not believed are not the same to Dask."""
        records = lying(truthful.items(), **{GONE: False})
        with pytest.warns(OffsetWarning):
            one = load(records, truthful)
        assert one.data.name != load(records, truthful, verify_offset=False).data.name


class TestWhenItLooks:
    def test_auto_looks_at_doubtful_items_only_and_once(self, truthful):
        loader = Counting()
        eo.plan(truthful.items(), truthful.grid, bands="nir", loader=loader)
        looked = {href.split("/")[-2] for href in loader.asked}
        assert looked == {CARRIED, CARRIED.replace("33TTN", "32TQT")}
        before = len(loader.asked)
        eo.plan(truthful.items(), truthful.grid, bands="red", loader=loader)
        assert len(loader.asked) == before

    def test_clear_cases_cost_nothing(self, tmp_path):
        world = sample.write(tmp_path / "w", size=60, dates=4, naming="planetary-computer")
        loader = Counting()
        eo.plan(world.items(), world.grid, bands="red", loader=loader)
        assert loader.asked == []

    def test_false_never_looks(self, truthful):
        loader = Counting()
        records = lying(truthful.items(), **{GONE: False})
        made = eo.plan(records, truthful.grid, bands="red", loader=loader, verify_offset=False)
        assert loader.asked == []
        assert {scene.offset for scene in made.scenes if str(scene.day) == "2022-03-24"} != {0}

    def test_classes_alone_have_no_offset(self, truthful):
        loader = Counting()
        cube = eo.load(truthful.items(), truthful.grid, bands="scl", loader=loader, verify_offset=True)
        assert loader.asked == []
        assert "offsets_applied" not in cube.attrs

    def test_what_is_read_is_small(self, truthful):
        assert max(checks._overview(eo.grid_for(truthful.bbox, resolution=10)).shape) <= 360
        tile = eo.grid_for("MGRS-33TTN", resolution=10)
        assert checks._overview(tile).affine.a in (320, 640)

    @pytest.mark.parametrize("wrong", ["yes", None, 1, "True"])
    def test_wrong_word(self, truthful, wrong):
        with pytest.raises(InputError, match=r"verify_offset=.*Choose of: 'auto'"):
            eo.plan(truthful.items(), truthful.grid, bands="red", verify_offset=wrong)


class TestUndecided:
    def test_desert_trusts_the_metadata(self, tmp_path):
        world = sample.write(tmp_path / "w", size=96, dates=4, landscape="desert")
        lies = {name: False for name in world.item_ids if name.startswith("S2B_33TTN_20220324")}
        assert lies
        records = lying(world.items(), **lies)
        with warnings.catch_warnings():
            warnings.simplefilter("error", EocubeWarning)
            made = eo.plan(records, world.grid, bands="red", verify_offset=True)
        found = {g.id: g.offsets["red"] for scene in made.scenes for g in scene.granules}
        assert {found[name] for name in lies} == {-1000}

    def test_unreadable_overview_is_a_warning(self, truthful, tmp_path):
        records = lying(truthful.items(), **{GONE: False})
        broken = next(record for record in records if record["id"] == GONE)
        broken["assets"]["scl"]["href"] = str(tmp_path / "gone.tif")
        with pytest.warns(OffsetUncheckedWarning, match=rf"1 Items .*{GONE}: Cannot read asset 'scl'"):
            made = eo.plan(records, truthful.grid, bands="red")
        found = {g.id: g for scene in made.scenes for g in scene.granules}
        assert found[GONE].offsets == {"red": -1000}

    def test_it_is_tried_again(self, truthful, tmp_path):
        """A file that could not be read may be readable later."""
        records = lying(truthful.items(), **{GONE: False})
        record = next(record for record in records if record["id"] == GONE)
        there, away = record["assets"]["scl"]["href"], tmp_path / "SCL.tif"
        record["assets"]["scl"]["href"] = str(away)
        with pytest.warns(OffsetUncheckedWarning):
            eo.plan(records, truthful.grid, bands="red")
        shutil.copy(there, away)
        with pytest.warns(OffsetWarning, match=GONE):
            eo.plan(records, truthful.grid, bands="red")

    def test_no_grid_no_classes_no_blue(self, truthful):
        """What is missing leaves it undecided, and never raises."""
        for missing, state in (("scl", "undecided"), ("blue", "undecided"), ("red", "undecided")):
            (record,) = (r for r in lying(truthful.items()) if r["id"] == CARRIED)
            del record["assets"][missing]
            assert checks.look(record, RioLoader()).state == state
            checks.forget()
        (record,) = (r for r in lying(truthful.items()) if r["id"] == GONE)
        del record["assets"]["scl"]
        assert checks.look(record, RioLoader()).state == "gone"
        del record["assets"]["red"]["proj:transform"]
        assert "does not state its grid" in checks.look(record, RioLoader()).why

    def test_another_offset_leaves_other_traces(self, truthful):
        (record,) = (r for r in lying(truthful.items()) if r["id"] == CARRIED)
        record["eocube:layout"] = {"offsets": "metadata"}
        record["assets"]["red"]["raster:bands"][0]["offset"] = -0.7
        assert "-7000" in checks.look(record, RioLoader()).why


class TestEvidenceIsKept:
    def test_cube_composite_and_files(self, truthful, tmp_path):
        records = lying(truthful.items(), **{GONE: False})
        with pytest.warns(OffsetWarning):
            cube = load(records, truthful)
        said = cube.attrs["offsets_applied"]
        assert "-1000 (s2:processing_baseline >= 04.00, no earthsearch:boa_offset_applied): 2 Items" in said
        assert "0 (pixels): 1 Items" in said
        with pytest.warns(OffsetWarning):
            assert f"by the pixels, not as the Items say: {GONE}" in repr(
                eo.plan(records, truthful.grid, bands="red")
            )
        assert f"0 ({FLAG}): 3 Items" in said
        assert "0 (s2:processing_baseline < 04.00): " in said
        sources = cube["offset_source"].to_series()
        assert sources["2021-06-24"].tolist() == ["s2:processing_baseline < 04.00"]
        best = eo.composite(cube, eo.Median())
        assert best.attrs["offsets_applied"] == said
        with rasterio.open(eo.write_cog(best, tmp_path / "best.tif")) as file:
            assert file.tags()["offsets_applied"] == said
        store = eo.write_zarr(cube, tmp_path / "cube.zarr")
        again = xr.open_zarr(store, consolidated=False, decode_coords="all")
        assert again["eocube"].attrs["offsets_applied"] == said
        np.testing.assert_array_equal(again["offset"].values, cube["offset"].values)
        assert again["offset_source"].values.tolist() == cube["offset_source"].values.tolist()

    def test_bands_that_differ(self, truthful):
        """One published granule states another offset for red alone."""
        records = lying(truthful.items())
        for record in records:
            record["eocube:layout"] = {"offsets": "metadata"}
            for key, asset in record["assets"].items():
                for entry in asset.get("raster:bands", []):
                    entry["offset"] = -0.7 if key == "red" else -0.1
        cube = load(records, truthful, verify_offset=False)
        assert cube["offset"].dims == ("time", "band")
        assert set(cube["offset"].sel(band="red").values) == {-7000}
        assert set(cube["offset"].sel(band="nir").values) == {-1000}
        assert "-7000 (raster:bands of the Item); -1000" in cube.attrs["offsets_applied"]

    def test_granules_that_differ(self, truthful):
        """The two halves of a pass: NaN, and both sources."""
        records = lying(truthful.items(), **{GONE: False})
        cube = load(records, truthful, verify_offset=False).sel(time="2022-03-24")
        assert np.isnan(cube["offset"].values).all()
        assert FLAG in str(cube["offset_source"].values[0])
        assert ">= 04.00" in str(cube["offset_source"].values[0])


def granule(assets=None, collection="sentinel-2-l2a", **properties):
    record = {
        "type": "Feature", "id": "S2A_33TTN_20210612_0_L2A", "collection": collection,
        "properties": {"datetime": "2021-06-12T10:00:31Z", "platform": "sentinel-2a", **properties},
        "bbox": [12, 47, 13, 48], "geometry": None, "assets": assets or {"red": {"href": "/nowhere/B04.tif"}},
    }  # fmt: skip
    return granule_of(record, ("red",), recognise(record)), recognise(record)


V0 = {"B04": {"href": "/nowhere/B04.tif"}}
C1 = {"red": {"href": "/nowhere/B04.tif", "raster:bands": [{"scale": 0.0001, "offset": -0.1}]}}
CDSE = {"B04_10m": {"href": "/nowhere/B04.jp2", "raster:offset": -0.1, "raster:scale": 0.0001}}
BANDS11 = {"red": {"href": "/nowhere/B04.tif", "bands": [{"raster:scale": 0.0001, "raster:offset": -0.1}]}}


@pytest.mark.parametrize(
    ("assets", "collection", "properties", "offset", "source", "doubtful"),
    [
        (None, "sentinel-2-l2a", {"s2:processing_baseline": "05.09", FLAG: True}, 0, FLAG, False),
        (C1, "sentinel-2-l2a", {"s2:processing_baseline": "05.09", FLAG: True}, 0, FLAG, False),
        (C1, "sentinel-2-l2a", {"s2:processing_baseline": "04.00", FLAG: False}, -1000, "baseline >= 04.00", True),
        (C1, "sentinel-2-l2a", {"s2:processing_baseline": "04.00"}, -1000, "baseline >= 04.00", True),
        (None, "sentinel-2-l2a", {"s2:processing_baseline": "02.14", FLAG: False}, 0, "baseline < 04.00", False),
        (None, "sentinel-2-l2a", {}, 0, "no processing baseline stated", True),
        (V0, "sentinel-s2-l2a-cogs", {"sentinel:processing_baseline": "04.00", "sentinel:boa_offset_applied": True}, 0,
         "sentinel:boa_offset_applied", False),
        (V0, "sentinel-s2-l2a-cogs", {"sentinel:processing_baseline": "04.00", "sentinel:boa_offset_applied": False},
         -1000, "baseline >= 04.00", True),
        (C1, "sentinel-2-c1-l2a", {"s2:processing_baseline": "05.10"}, -1000, "raster:bands of the Item", False),
        (C1, "sentinel-2-c1-l2a", {"s2:processing_baseline": "02.14"}, -1000, "raster:bands of the Item", True),
        (BANDS11, "sentinel-2-c1-l2a", {"s2:processing_baseline": "05.10"}, -1000, "bands of the Item", False),
        (CDSE, "sentinel-2-l2a", {"processing:version": "05.00"}, -1000, "raster:offset of the Item", False),
        (V0, "sentinel-2-l2a", {"s2:processing_baseline": "05.10"}, -1000, "baseline >= 04.00", False),
        (V0, "sentinel-2-l2a", {"s2:processing_baseline": "03.00"}, 0, "baseline < 04.00", False),
        (V0, "sentinel-2-l2a", {}, 0, "no processing baseline stated", True),
    ],
)  # fmt: skip
def test_each_trap(assets, collection, properties, offset, source, doubtful):
    """Which value, what says so, and whether it is to be doubted."""
    found, layout = granule(assets, collection, **properties)
    assert found.offsets == {"red": offset}
    assert source in found.reasons["red"]
    assert is_doubtful(found, layout) is doubtful


class TestAudit:
    def test_table(self, truthful):
        found = eo.audit(lying(truthful.items(), **{GONE: False, CARRIED: True}))
        assert {row.item for row in found.contradictions} == {GONE, CARRIED}
        frame = found.to_pandas().set_index("item")
        assert len(frame) == len(found) == len(truthful.item_ids)
        assert frame.loc[GONE, ["offset", "pixels", "verdict"]].tolist() == [-1000, "gone", "contradicted"]
        assert frame.loc[CARRIED, ["offset", "pixels", "verdict"]].tolist() == [0, "in", "contradicted"]
        assert set(frame["catalog"]) == {"earth-search"}
        for name, made in truthful.granules.items():
            if name not in (GONE, CARRIED):
                assert frame.loc[name, "verdict"] in ("agrees", "trusted"), name
                assert frame.loc[name, "pixels"] in ("undecided", "in" if made.carried else "gone"), name
        assert GONE in repr(found)
        assert "2 contradicted" in repr(found).splitlines()[-1]
        assert f">{GONE}</td>" in found._repr_html_()

    def test_agreeing_archive(self, truthful):
        found = eo.audit(truthful.items())
        assert found.contradictions == ()
        assert found.to_pandas()["verdict"].eq("agrees").sum() >= len(found) - 2

    def test_not_looked_at_unreadable_and_foreign(self, truthful):
        records = lying(truthful.items())
        records[1]["assets"]["red"]["href"] = "/nowhere/<b>.tif"
        records.append({"id": "L8", "assets": {"x": {}}, "properties": {"datetime": "2020-01-01T00:00:00Z"}})
        found = eo.audit(records)
        rows = {row.item: row for row in found.rows}
        assert rows["L8"].verdict == "not read"
        assert "no known layout" in rows["L8"].why
        assert (rows[records[1]["id"]].pixels, rows[records[1]["id"]].verdict) == ("unreadable", "trusted")
        assert "/<b>" not in found._repr_html_()
        loader = Counting()
        quiet = eo.audit(truthful.items(), verify_offset=False, loader=loader)
        assert loader.asked == []
        assert {row.pixels for row in quiet.rows} == {""}
        auto = eo.audit(truthful.items(), verify_offset="auto")
        assert [row.item for row in auto.rows if row.pixels] == [CARRIED.replace("33TTN", "32TQT"), CARRIED]

    def test_command(self, truthful, tmp_path):
        def call(path, *words):
            return CliRunner(env={"COLUMNS": "200"}).invoke(main, ["audit", "--catalog", str(path), *words])

        good = call(truthful.items_path)
        assert good.exit_code == 0, good.output
        assert CARRIED in good.output
        features = {"type": "FeatureCollection", "features": lying(truthful.items(), **{GONE: False})}
        (tmp_path / "items.json").write_text(json.dumps(features))
        bad = call(tmp_path / "items.json")
        assert bad.exit_code == 1
        assert "1 contradicted" in bad.output
        assert f"{GONE}: red: " in bad.output
        assert call(tmp_path / "items.json", "--verify-offset", "none").exit_code == 0

    def test_the_mosaic_of_the_command_line_is_right(self, truthful, tmp_path):
        features = {"type": "FeatureCollection", "features": lying(truthful.items(), **{GONE: False})}
        (tmp_path / "items.json").write_text(json.dumps(features))
        words = ["plan", "--catalog", str(tmp_path / "items.json"), "--verify-offset"]
        with pytest.warns(OffsetWarning, match=GONE):
            assert CliRunner().invoke(main, [*words, "all"]).exit_code == 0
        assert CliRunner().invoke(main, [*words, "none"]).exit_code == 0


@pytest.mark.real
class TestReal:
    def test_real_scenes_agree(self, real):
        found = eo.audit(eo.search(real / "l2a_33T_2023-08"))
        assert [(row.source, row.pixels, row.verdict) for row in found.rows] == [(FLAG, "gone", "agrees")] * 10

    def test_real_scenes_that_carry_the_offset_are_found(self, real, tmp_path):
        folder = tmp_path / "scenes"
        names = sorted(path.name for path in (real / "l2a_33T_2023-08").glob("S2*20230813*"))
        for name in names:
            shutil.copytree(real / "l2a_33T_2023-08" / name, folder / name)
            for band in ("B02", "B04"):
                path = folder / name / f"{band}.tif"
                with rasterio.open(path) as file:
                    pixels, profile = file.read(1), file.profile
                path.unlink()
                with rasterio.open(path, "w", **profile) as file:
                    file.write(np.where(pixels > 0, pixels + 1000, 0).astype(pixels.dtype), 1)
        items = eo.search(folder)
        with pytest.warns(OffsetWarning, match="2 of 2 Items"):
            cube = eo.load(items, eo.grid_for(items), bands="red", verify_offset=True)
        right = eo.search(real / "l2a_33T_2023-08", period="2023-08-13")
        np.testing.assert_array_equal(
            cube.compute().values, eo.load(right, eo.grid_for(items), bands="red").compute().values
        )

    def test_desert_is_undecided(self, real):
        (row,) = eo.audit(eo.search(real / "multires_scenes" / "derived_items")).rows
        assert (row.pixels, row.verdict) == ("undecided", "trusted")

    def test_which_real_items_are_doubted(self, real):
        from .test_places import real_items

        doubted, seen = set(), 0
        for record in real_items(real):
            kind = str(record.get("collection") or "") + record["id"]
            if not {"red", "B04", "B04_10m"} & set(record["assets"]) or "l1c" in kind.lower() or "geomad" in kind:
                continue
            layout = layout_of(record)
            found = granule_of(record, ("red",), layout)
            seen += 1
            assert found.reasons["red"], record["id"]
            if is_doubtful(found, layout):
                doubted.add(record["id"])
            if record["properties"].get(FLAG) is True:
                assert (found.offsets["red"], found.reasons["red"]) == (0, FLAG)
        assert seen > 120
        assert "S2B_33TWN_20220226_0_L2A" in doubted
        assert not any("MSIL2A" in name and "N0" not in name for name in doubted), doubted
