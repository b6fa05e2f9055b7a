"""Zarr stores: written by regions, resumed, appended to; in the words of CF and GeoZarr."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import dask
import dask.array as da
import numpy as np
import pytest
import rioxarray  # noqa: F401
import xarray as xr
import zarr
from odc.geo.xr import wrap_xr

import eocube as eo
from eocube.errors import InputError, OutputError
from eocube.writers.streams import blocks_of
from eocube.writers.workplaces import Workplace

from .services import s3

SCRIPT = """
import os, sys, time, dask, eocube as eo
dask.config.set(scheduler="sync")
items, world, out, append = sys.argv[1:5]
@eo.mask(bands=["scl"])
def slow(px):
    time.sleep(float(os.environ["PAUSE"]))
    return px["scl"] == 9
cube = eo.load(eo.search(items), eo.sample.open(world).grid, bands=["red", "nir"], mask=slow, chunk=32, dtype="uint16")
cube.attrs["mask"] = "slow"
if append == "first":
    eo.write_zarr(cube[:2], out)
elif append == "later":
    eo.write_zarr(cube[2:], out, append=True)
else:
    eo.write_zarr(cube, out)
"""


def content(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def words(small, out, append="no"):
    return [sys.executable, "-c", SCRIPT, str(small.items_path), str(small.path), str(out), append]


def run(command):
    subprocess.run(command, check=True, env={**os.environ, "PAUSE": "0"})


def killed(command, notes, after):
    """Run a command and kill it when so many regions are done."""
    process = subprocess.Popen(command, env={**os.environ, "PAUSE": "0.1"})
    limit = time.monotonic() + 90
    while len(list(notes.rglob("done/**/*.*"))) < after and time.monotonic() < limit:
        assert process.poll() is None, "it ended before it could be killed"
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()


@pytest.fixture(scope="module")
def cube(small, small_items):
    return eo.load(small_items, small.grid, bands=["red", "nir"], mask=eo.SCLMask(), chunk=32)


@pytest.fixture(scope="module")
def lean(small, small_items):
    return eo.load(small_items, small.grid, bands=["red", "nir"], mask=eo.SCLMask(), chunk=32, dtype="uint16")


class TestStore:
    def test_values_and_layout(self, cube, tmp_path):
        path = eo.write_zarr(cube, tmp_path / "c.zarr")
        found = zarr.open_group(path)
        assert found.metadata.zarr_format == 3
        assert found["eocube"].chunks == (1, 2, 32, 32)
        assert found["eocube"].metadata.dimension_names == ("time", "band", "y", "x")
        again = xr.open_zarr(path, decode_coords="all")
        xr.testing.assert_equal(again.eocube.compute(), cube.compute())
        for name in ("scene", "items", "platform", "baseline", "offset", "sun_azimuth"):
            np.testing.assert_array_equal(again[name].values, cube[name].values)
        assert sorted(p.name for p in tmp_path.iterdir()) == ["c.zarr"]

    def test_what_it_says(self, lean, small, tmp_path):
        path = eo.write_zarr(lean, tmp_path / "c.zarr")
        attrs = zarr.open_group(path).attrs.asdict()
        assert attrs["Conventions"] == "CF-1.11"
        assert {one["name"] for one in attrs["zarr_conventions"]} == {"proj", "spatial"}
        assert attrs["proj:code"] == f"EPSG:{small.grid.crs.epsg}"
        assert attrs["spatial:transform"] == list(small.grid.affine)[:6]
        assert attrs["spatial:shape"] == list(small.grid.shape)
        own = zarr.open_group(path)["eocube"].attrs.asdict()
        assert (own["scale_factor"], own["_FillValue"], own["grid_mapping"]) == (1e-4, 0, "spatial_ref")
        assert "reflectance_scale" not in own
        assert "crs_wkt" in zarr.open_group(path)["spatial_ref"].attrs

    def test_others_find_the_grid(self, cube, small, tmp_path):
        path = eo.write_zarr(eo.composite(cube, eo.Median()), tmp_path / "b.zarr")
        again = xr.open_zarr(path, decode_coords="all")
        assert again.odc.geobox == small.grid
        assert again.eocube.rio.crs.to_epsg() == small.grid.crs.epsg
        assert again.eocube.rio.transform().almost_equals(small.grid.affine)

    def test_chunks(self, cube, tmp_path):
        path = eo.write_zarr(cube, tmp_path / "a.zarr", chunks={"time": 3, "y": 20, "x": 50})
        assert zarr.open_group(path)["eocube"].chunks == (3, 2, 20, 50)
        xr.testing.assert_equal(xr.open_zarr(path, decode_coords="all").eocube.compute(), cube.compute())
        with pytest.raises(InputError, match=r"chunks= names \['z'\], the dims are"):
            eo.write_zarr(cube, tmp_path / "z.zarr", chunks={"z": 3})
        with pytest.raises(InputError, match="length of 1 or more"):
            eo.write_zarr(cube, tmp_path / "z.zarr", chunks={"y": 0})

    def test_arrays_of_others(self, small, tmp_path):
        values = np.random.default_rng(0).random((70, 50)).astype("float64")
        array = wrap_xr(values, small.grid[:70, :50]).rename("height")
        flags = xr.Dataset({"height": array, "high": array > 0.5})
        again = xr.open_zarr(eo.write_zarr(flags, tmp_path / "d.zarr"), decode_coords="all")
        np.testing.assert_array_equal(again.height.values, values)
        np.testing.assert_array_equal(again.high.values, values > 0.5)
        with pytest.raises(InputError, match="complex128"):
            eo.write_zarr((array * 1j), tmp_path / "e.zarr")
        with pytest.raises(InputError, match="no variable has the dims y and x"):
            eo.write_zarr(xr.DataArray(np.ones(3), dims="a"), tmp_path / "e.zarr")

    def test_one_task_per_block_writes_it(self, cube, tmp_path):
        """Nothing comes back: what a task returns is one byte."""
        sizes = []
        with dask.callbacks.Callback(posttask=lambda key, value, *_: sizes.append(getattr(value, "nbytes", 0))):
            eo.write_zarr(cube, tmp_path / "b.zarr")
        assert sizes.count(1) == cube.data.npartitions
        assert max(sizes) == 1


class TestResume:
    def test_a_killed_run_goes_on_and_equals_an_undisturbed_one(self, small, small_items, tmp_path):
        out, notes = tmp_path / "c.zarr", tmp_path / ".c.zarr.partial"
        killed(words(small, out), notes, after=3)
        assert not out.exists()
        done = [p.relative_to(notes / "done" / "eocube").name for p in notes.rglob("done/**/*.*")]
        assert 3 <= len(done) < 12
        places = [f"c/0/0/{row}/{column}" for _, _, row, column in (name.split(".") for name in done)]
        made = {place: (notes / "store" / "eocube" / place).stat().st_mtime_ns for place in places}
        run(words(small, out))
        # What was done before is what lies there, untouched.
        assert made == {place: (out / "eocube" / place).stat().st_mtime_ns for place in places}
        again = self.undisturbed(small, small_items)
        eo.write_zarr(again, tmp_path / "undisturbed.zarr")
        assert content(out) == content(tmp_path / "undisturbed.zarr")
        assert sorted(p.name for p in tmp_path.iterdir()) == ["c.zarr", "undisturbed.zarr"]

    @staticmethod
    def undisturbed(small, small_items):
        @eo.mask(bands=["scl"])
        def high(px):
            return px["scl"] == 9

        made = eo.load(small_items, small.grid, bands=["red", "nir"], mask=high, chunk=32, dtype="uint16")
        return made.assign_attrs(mask="slow")

    def test_what_is_done_is_not_computed_again(self, cube, tmp_path):
        class Ended(Exception):
            pass

        def count(key, *_):
            if "eocube-write" in str(key):
                ran.append(key)
                if len(ran) > limit:
                    raise Ended

        ran, limit = [], 5
        with dask.config.set(scheduler="sync"), dask.callbacks.Callback(posttask=count):
            with pytest.raises(Ended):
                eo.write_zarr(cube, tmp_path / "c.zarr")
            ran, limit = [], 10**6
            eo.write_zarr(cube, tmp_path / "c.zarr")
            assert len(ran) == cube.data.npartitions - 6
            ran = []
            eo.write_zarr(cube, tmp_path / "d.zarr")
            assert len(ran) == cube.data.npartitions
        assert content(tmp_path / "c.zarr") == content(tmp_path / "d.zarr")

    def test_another_job_starts_anew(self, cube, tmp_path):
        place = Workplace(tmp_path / "c.zarr", append=False)
        place.begin("another job", resume=True)
        place.put("eocube/c/0/0/0/0", b"foreign")
        place.done("eocube/0.0.0.0")
        path = eo.write_zarr(cube, tmp_path / "c.zarr")
        xr.testing.assert_equal(xr.open_zarr(path, decode_coords="all").eocube.compute(), cube.compute())

    def test_two_at_once(self, cube, tmp_path):
        place = Workplace(tmp_path / "c.zarr", append=False)
        place.begin("a job", resume=True)
        place.note("owner", json.dumps({"host": __import__("socket").gethostname(), "pid": os.getppid()}).encode())
        with pytest.raises(OutputError, match=f"is being written by process {os.getppid()}"):
            eo.write_zarr(cube, tmp_path / "c.zarr")

    def test_a_full_disk(self, cube, tmp_path, monkeypatch):
        """What was there stays; what was done is kept for the next run."""
        eo.write_zarr(cube[:1], tmp_path / "c.zarr")
        before = content(tmp_path / "c.zarr")
        put, count = Workplace.put, []

        def full(self, name, value):
            count.append(name)
            if len(count) > 4:
                raise OSError(28, "No space left on device")
            put(self, name, value)

        monkeypatch.setattr(Workplace, "put", full)
        with pytest.raises(OSError, match="No space left"):
            eo.write_zarr(cube, tmp_path / "c.zarr", overwrite=True)
        assert content(tmp_path / "c.zarr") == before
        monkeypatch.undo()
        eo.write_zarr(cube, tmp_path / "c.zarr", overwrite=True)
        assert xr.open_zarr(tmp_path / "c.zarr").sizes["time"] == cube.sizes["time"]


class TestAppend:
    def test_equals_what_is_written_at_once(self, lean, tmp_path):
        path = eo.write_zarr(lean[:2], tmp_path / "c.zarr")
        eo.write_zarr(lean[2:3], path, append=True)
        eo.write_zarr(lean[3:], path, append=True)
        again, expected = (
            xr.open_zarr(place, decode_coords="all", mask_and_scale=False).compute()
            for place in (path, eo.write_zarr(lean, tmp_path / "once.zarr"))
        )
        xr.testing.assert_equal(again, expected)
        assert again.sizes["time"] == lean.sizes["time"]
        np.testing.assert_array_equal(again.eocube.values, lean.compute().values)
        assert xr.open_zarr(path, consolidated=False).sizes == again.sizes
        assert sorted(p.name for p in tmp_path.iterdir()) == ["c.zarr", "once.zarr"]

    def test_killed_on_the_way_readers_see_the_old_store_and_it_goes_on(self, small, small_items, tmp_path):
        out, notes = tmp_path / "c.zarr", tmp_path / ".c.zarr.partial"
        cube = TestResume.undisturbed(small, small_items)
        eo.write_zarr(cube[:2], out)
        before = xr.open_zarr(out).compute()
        killed(words(small, out, "later"), notes, after=2)
        xr.testing.assert_identical(xr.open_zarr(out).compute(), before)
        run(words(small, out, "later"))
        eo.write_zarr(cube[:2], tmp_path / "u.zarr")
        eo.write_zarr(cube[2:], tmp_path / "u.zarr", append=True)
        assert content(out) == content(tmp_path / "u.zarr")
        assert xr.open_zarr(out).sizes["time"] == cube.sizes["time"]

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda cube: cube[2:, :1], "bands red, nir there, red here"),
            (lambda cube: cube[2:, ::-1], "bands red, nir there, nir, red here"),
            (lambda cube: cube[2:, :, :-1], r"grid \d+ x \d+ px of 10 from .* there, \d+ x \d+ px"),
            (lambda cube: cube[2:].odc.assign_crs("EPSG:32634"), "CRS EPSG:326.. there, EPSG:32634 here"),
            (lambda cube: cube[2:].astype("float64"), "dtype float32 there, float64 here"),
            (lambda cube: cube[1:], "dates until .* there, from .* here: only later ones"),
            (lambda cube: cube[2:].rename("other"), r"variables \['eocube'\] there, \['other'\] here"),
            (lambda cube: cube[2:].assign_attrs(mask="None"), r"attribute mask 'SCLMask\(\)' there, 'None' here"),
            (lambda cube: cube.isel(time=3), "no dim time"),
        ],
    )
    def test_what_does_not_fit_is_refused_before_any_pixel(self, cube, tmp_path, change, message):
        path = eo.write_zarr(cube[:2], tmp_path / "c.zarr")
        before = content(path)
        with pytest.raises(InputError, match=f"cannot be appended to: .*{message}"):
            eo.write_zarr(change(cube), path, append=True)
        assert content(path) == before

    def test_every_difference_is_named(self, cube, tmp_path):
        path = eo.write_zarr(cube[:2], tmp_path / "c.zarr")
        with pytest.raises(InputError, match=r"dtype .*; .*grid .*; bands .*; dates"):
            eo.write_zarr(cube[1:, :1, 1:].astype("float64"), path, append=True)

    def test_no_store(self, cube, tmp_path):
        with pytest.raises(OutputError, match="append=True: there is no Zarr store at"):
            eo.write_zarr(cube, tmp_path / "none.zarr", append=True)
        (tmp_path / "f.zarr").write_text("x")
        with pytest.raises(OutputError, match="is a file"):
            eo.write_zarr(cube, tmp_path / "f.zarr", append=True)
        with pytest.raises(InputError, match="give one"):
            eo.write_zarr(cube, tmp_path / "f.zarr", append=True, overwrite=True)

    def test_chunks_of_several_dates(self, cube, tmp_path):
        path = eo.write_zarr(cube[:2], tmp_path / "c.zarr", chunks={"time": 2})
        eo.write_zarr(cube[2:3], path, append=True)
        with pytest.raises(InputError, match=r"chunks hold 2 dates and its last one is not full"):
            eo.write_zarr(cube[3:], path, append=True)
        with pytest.raises(InputError, match="are not the store's"):
            eo.write_zarr(cube[3:], path, append=True, chunks={"time": 1})


def test_a_cube_that_was_written_is_reduced_as_before(small, small_items, tmp_path):
    """With its texts, which come back as another dtype: which Items, by period and in all."""
    cube = eo.load(small_items, small.grid, bands=["red", "nir"], mask=eo.SCLMask(), dtype="uint16")
    path = eo.write_zarr(cube, tmp_path / "cube.zarr")
    again = xr.open_zarr(path, decode_coords="all", mask_and_scale=False)["eocube"]
    for how in ({}, {"by": "month"}):
        ours, theirs = (eo.composite(each, eo.Median(), **how).compute() for each in (cube, again))
        np.testing.assert_array_equal(ours.values, theirs.values)
        where = "coords" if how else "attrs"
        assert list(np.ravel(getattr(ours, where)["items"])) == list(np.ravel(getattr(theirs, where)["items"]))
    assert eo.fill_ladder([again], eo.Median()).compute().attrs["items"] == ours_of(cube)
    eo.write_cog(eo.composite(again, eo.Median()), tmp_path / "again.tif")


def ours_of(cube):
    return eo.fill_ladder([cube], eo.Median()).compute().attrs["items"]


def test_a_cluster_writes_the_same_bytes(small, small_items, tmp_path):
    """The workers write; the client is handed nothing, neither of a store nor all at once of a file."""
    from distributed import Client, LocalCluster

    cube = eo.load(small_items, small.grid, bands=["red", "nir"], mask=eo.SCLMask(), chunk=32)
    best = eo.composite(cube, eo.Median())
    eo.write_zarr(cube, tmp_path / "here.zarr")
    eo.write_cog(best, tmp_path / "here.tif")
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        eo.write_zarr(cube, tmp_path / "there.zarr")
        eo.write_cog(best, tmp_path / "there.tif")
        many = da.arange(64 * 64, chunks=-1).reshape(64, 64).rechunk(8)
        found, held = np.zeros((64, 64), dtype=many.dtype), []
        for top, left, block in blocks_of(many):
            time.sleep(0.01)  # a slow disk
            held.append(len(client.futures))
            found[top : top + 8, left : left + 8] = block
    np.testing.assert_array_equal(found, np.arange(64 * 64).reshape(64, 64))
    assert len(held) == 64
    assert max(held) <= 4, "the workers ran ahead of who writes"
    assert content(tmp_path / "here.zarr") == content(tmp_path / "there.zarr")
    assert (tmp_path / "here.tif").read_bytes() == (tmp_path / "there.tif").read_bytes()


@pytest.mark.servers
class TestS3:
    @pytest.fixture
    def bucket(self, monkeypatch):
        with s3.serving() as server:
            server.fill("out", {}, public=False)
            keys = server.user()
            server.check_signatures()
            for name, value in {**server.environment, **keys}.items():
                monkeypatch.setenv(name, value)
            monkeypatch.delenv("AWS_NO_SIGN_REQUEST", raising=False)
            yield "s3://out"

    def listed(self, url):
        import obstore

        from eocube.writers.remotes import as_remote

        return sorted(str(one["path"]) for page in obstore.list(as_remote(f"{url}/x").store()) for one in page)

    def test_store_and_append(self, cube, bucket, tmp_path):
        path = eo.write_zarr(cube[:2], f"{bucket}/a/c.zarr")
        assert str(path) == "s3://out/a/c.zarr"
        eo.write_zarr(cube[2:], path, append=True)
        store = zarr.storage.ObjectStore(path.store(below=True))
        xr.testing.assert_equal(xr.open_zarr(store, decode_coords="all").eocube.compute(), cube.compute())
        assert not [name for name in self.listed(bucket) if "partial" in name]
        with pytest.raises(OutputError, match="exists"):
            eo.write_zarr(cube, path)
        eo.write_zarr(cube[:1], path, overwrite=True)
        assert xr.open_zarr(store).sizes["time"] == 1

    def test_no_store_is_seen_before_it_is_whole(self, small, small_items, bucket):
        @eo.mask(bands=["scl"])
        def fails(px):
            raise RuntimeError("half way")

        made = eo.load(small_items, small.grid, bands=["red"], mask=fails)
        for write, name in ((eo.write_zarr, "c.zarr"), (eo.write_cog, "c.tif"), (eo.write_netcdf, "c.nc")):
            with pytest.raises(RuntimeError, match="half way"):
                write(eo.composite(made, eo.Median()), f"{bucket}/{name}")
        assert not [name for name in self.listed(bucket) if "partial" not in name]

    def test_files_item_and_publish(self, cube, small_items, bucket, tmp_path):
        best = eo.composite(cube, eo.Median())
        cog = eo.write_cog(best, f"{bucket}/b/best.tif")
        netcdf = eo.write_netcdf(best, f"{bucket}/b/best.nc")
        item = eo.write_item(best, f"{bucket}/b/best.json", [cog, netcdf], items=small_items)
        item.fetch(tmp_path / "item.json")
        cog.fetch(tmp_path / "best.tif")
        said = json.loads((tmp_path / "item.json").read_text())
        eo.write_cog(best, tmp_path / "own.tif")
        assert (tmp_path / "own.tif").read_bytes() == (tmp_path / "best.tif").read_bytes()
        assert {key: one["href"] for key, one in said["assets"].items()} == {
            "best": "./best.tif", "netcdf": "./best.nc"
        }
        folder = tmp_path / "shelf"
        folder.mkdir()
        eo.write_cog(best, folder / "one", per_band=True)
        eo.write_item(best, folder / "one" / "one.json", folder / "one", collection="mine")
        eo.write_collection(folder, "mine")
        sent = eo.publish(folder, f"{bucket}/shelf")
        assert [n for n in self.listed(bucket) if n.startswith("shelf")] == [
            f"shelf/{n}" for n in ("catalog.json", "collection.json", "one/count.tif", "one/nir.tif", "one/one.json", "one/red.tif")
        ]
        with pytest.raises(OutputError, match="exists"):
            eo.publish(folder, str(sent))

    def test_wrong_keys(self, cube, bucket, monkeypatch):
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "CANARY")
        for write in (eo.write_zarr, eo.write_cog):
            with pytest.raises(OutputError, match=r"s3://out/x cannot be written.*bucket, region and keys") as caught:
                write(cube.isel(time=0), f"{bucket}/x")
            assert "CANARY" not in str(caught.value)


def test_places_that_are_none(cube, tmp_path, monkeypatch):
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(OutputError, match="Set AWS_REGION, AWS_ACCESS_KEY_ID"):
        eo.write_zarr(cube, "s3://bucket/key.zarr")
    with pytest.raises(OutputError, match="names no object"):
        eo.write_zarr(cube, "s3://bucket")
    with pytest.raises(OutputError, match="give a path, or s3://bucket/key"):
        eo.write_cog(cube[0], "https://host/x.tif?sig=CANARY")
