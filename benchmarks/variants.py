"""The ways to do the work: ours and each peer's, as their own documentation does it.

A variant takes a :class:`~benchmarks.jobs.Job` and returns a lazy Dask array and a function that
brings the computed array to reflectance (band, y, x), or (time, zone), float32, for comparison.
Peers get the offset after the median, on two dimensions, which is cheaper for them.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .jobs import BAD_CLASSES, Job

Finish = Callable[[Any], Any]
Built = tuple[Any, Finish]
CHUNK = 1024


@dataclass(frozen=True)
class Variant:
    """One way to do the work.

    Attributes
    ----------
    name, label : str
    needs : tuple of str
        Modules that have to be importable.
    build : callable
        Job to a lazy array, and what to do to the computed one.
    exact : bool
        Whether the output has to equal ours.
    records : str
        ``"pystac"``, ``"dicts"`` or ``"parquet"``: how it takes Items; made before the clock starts.
    blocking : bool
        Whether a thread waits for the network: then it gets 16 of them.
    """

    name: str
    label: str
    needs: tuple[str, ...]
    build: Callable[[Job], Built]
    exact: bool = True
    records: str = "pystac"
    blocking: bool = True

    def missing(self) -> list[str]:
        """Return the modules that are not installed here."""
        return [module for module in self.needs if importlib.util.find_spec(module) is None]

    def prepare(self, job: Job) -> None:
        """Make the Items, as a search would have returned them."""
        if self.records == "parquet":
            _parquet(job)
        elif self.records == "pystac":
            _ = job.pystac_items
        else:
            _ = job.records
        if job.task == "zonal" and "eocube" in self.needs:
            _ = job.fields


def same(values: Any) -> Any:
    """Return the result as it is, float32."""
    return np.asarray(values, dtype=np.float32)


def from_numbers(values: Any) -> Any:
    """Digital numbers to reflectance."""
    return (np.asarray(values, dtype=np.float32) - np.float32(1000)) / np.float32(10000)


def from_whole(values: Any) -> Any:
    """Return integer numbers, 0 being no data, as reflectance with NaN."""
    return from_numbers(np.where(values == 0, np.nan, values))


# ours


def _cube(job: Job, **more: Any) -> Any:
    import eocube as eo

    if job.loader:
        more["loader"] = job.loader
    return eo.load(job.pystac_items, job.grid, bands=list(job.bands), mask=eo.SCLMask(), **more)


def eocube(job: Job) -> Built:
    """Load and composite: the README's way."""
    import eocube as eo

    if job.task == "zonal":
        return Series(job), same
    return eo.composite(_cube(job), eo.Median(), count=False).data, same


class Series:
    """Straight from the plan to the series; the plan is our graph, as the peers' graphs made before."""

    def __init__(self, job: Job) -> None:
        import eocube as eo

        more = {"loader": job.loader} if job.loader else {}
        self.job = job
        self.plan = eo.plan(
            job.pystac_items, job.grid, bands=["red", "nir"], mask=eo.SCLMask(), **more  # type: ignore[arg-type]
        )

    def compute(self) -> Any:
        """Return the mean NDVI (time, zone)."""
        import eocube as eo

        job, plan = self.job, self.plan
        found = eo.timeseries(
            plan, job.fields, of=eo.ndvi, stat="mean", weights="exact", crs=job.crs, form="dataset"
        )
        every = found["mean"].isel(band=0).transpose("time", "field")
        return every.reindex(field=np.arange(1, job.zones + 1)).values


def eocube_uint16(job: Job) -> Built:
    """Load and composite in uint16; a median between two numbers is rounded."""
    import eocube as eo

    best = eo.composite(_cube(job, dtype="uint16"), eo.Median(), count=False)
    return best.data, lambda values: from_numbers(np.where(values == 0, np.nan, values + 1000.0))


# odc-stac


def _odc(job: Job, **chunks: Any) -> Any:
    import odc.stac

    if "://" in job.base:
        odc.stac.configure_rio(cloud_defaults=True)
    return odc.stac.load(
        job.pystac_items, bands=[*job.bands, "scl"], geobox=job.grid,
        chunks=chunks or {"x": CHUNK, "y": CHUNK},
    )  # fmt: skip


def _clear(dataset: Any, job: Job) -> Any:
    """Mask: float32 with NaN, as ``(time, y, x)`` variables."""
    good = ~dataset["scl"].isin(BAD_CLASSES)
    bands = dataset[list(job.bands)]
    return bands.where(good & (bands != 0))


def odc_plain(job: Job) -> Built:
    """``where`` and ``median``."""
    if job.task == "zonal":
        clear = _clear(_odc(job), job)
        return zonal(clear.to_array("band").transpose("time", "band", "y", "x"), job, 1000.0), same
    return _stacked(_clear(_odc(job), job).median("time"), job), from_numbers


def odc_time(job: Job) -> Built:
    """All dates in one chunk."""
    dataset = _odc(job, time=-1, x=CHUNK, y=CHUNK)
    return _stacked(_clear(dataset, job).median("time"), job), from_numbers


def odc_bottleneck(job: Job) -> Built:
    """Bottleneck's nanmedian on each chunk: the fastest exact way we know with a peer."""
    import bottleneck as bn
    import xarray as xr

    clear = _clear(_odc(job), job).chunk(time=-1)
    best = xr.apply_ufunc(
        bn.nanmedian, clear, input_core_dims=[["time"]], kwargs={"axis": -1}, dask="parallelized",
        output_dtypes=[np.float32],
    )  # fmt: skip
    return _stacked(best, job), from_numbers


def odc_algo(job: Job) -> Built:
    """odc-algo's quantile: not a median (takes one rank, and drops pixels with fewer than 3 dates)."""
    from odc.algo import xr_quantile

    dataset = _odc(job)
    good = ~dataset["scl"].isin(BAD_CLASSES)
    best = xr_quantile(dataset[list(job.bands)].where(good, 0), [0.5], nodata=0)
    return _stacked(best.isel(quantile=0), job), from_whole


def _stacked(dataset: Any, job: Job) -> Any:
    return dataset[list(job.bands)].to_array("band").transpose("band", "y", "x").data


# stackstac


def stackstac(job: Job) -> Built:
    """Go the tutorials' way: stack, ``where``, ``median``."""
    import stackstac as package

    box = job.grid.extent.boundingbox
    stack = package.stack(
        job.records, assets=[*job.bands, "scl"], epsg=job.grid.crs.epsg, bounds=tuple(box.bbox),
        resolution=float(job.affine[0]), snap_bounds=False, chunksize=CHUNK,
    )  # fmt: skip
    clear = stack.sel(band=list(job.bands)).where(~stack.sel(band="scl").isin(BAD_CLASSES))
    if job.task == "zonal":
        return zonal(clear, job), same
    return clear.median("time").data, same


# lazycogs


def lazycogs(job: Job) -> Built:
    """lazycogs: ``where`` and ``median``."""
    import lazycogs as package

    cube = package.open(
        str(_parquet(job)), bbox=tuple(job.grid.extent.boundingbox.bbox), crs=job.crs,
        resolution=float(job.affine[0]), bands=[*job.bands, "scl"], nodata=0, dtype="uint16",
        chunks={"time": 1, "x": CHUNK, "y": CHUNK}, duckdb_client=_duckdb(),
    )  # fmt: skip
    values = cube.sel(band=list(job.bands))
    good = ~cube.sel(band="scl", drop=True).isin(BAD_CLASSES) & (values != 0)
    best = values.astype("float32").where(good).median("time").transpose("band", "y", "x")
    return best.data, from_numbers


def _duckdb() -> Any:
    """Return a client whose extensions lie in $BENCHMARKS_DUCKDB, for machines without a network."""
    import rustac

    folder = os.environ.get("BENCHMARKS_DUCKDB")
    if not folder:
        return None
    return rustac.DuckdbClient(extension_directory=Path(folder), install_extensions=False)


def _parquet(job: Job) -> Path:
    path = Path(f"{job.answer}.parquet")
    if not path.exists():
        import rustac

        records = job.records
        for record in records:
            for asset in record["assets"].values():
                if "://" not in asset["href"]:
                    asset["href"] = Path(asset["href"]).as_uri()
        rustac.write_sync(str(path), records)
    return path


# zonal series (W3)


def zonal(cube: Any, job: Job, offset: float = 0.0) -> Any:
    """Return the mean NDVI per (time, zone) of a masked cube (time, band, y, x), by flox."""
    import xarray as xr
    from flox.xarray import xarray_reduce

    from .worlds import zones_of

    red, nir = (cube.sel(band=band, drop=True) for band in ("red", "nir"))
    total = nir + red - 2 * offset
    ndvi = (nir - red) / total.where(total != 0)
    labels = xr.DataArray(zones_of(job.grid, job.zones), dims=("y", "x"), name="zone")
    bare = ndvi.drop_vars(set(ndvi.coords) - {"time"})
    numbers = np.arange(1, job.zones + 1)
    found = xarray_reduce(bare, labels, func="nanmean", expected_groups=numbers, fill_value=np.nan)
    return found.transpose("time", "zone").data


_ODC = ("odc.stac",)
_ALL = (
    Variant("eocube", "eocube", ("eocube",), eocube, blocking=False),
    Variant("eocube-uint16", "eocube, uint16", ("eocube",), eocube_uint16, exact=False, blocking=False),
    Variant("odc-bottleneck", "odc-stac + bottleneck", (*_ODC, "bottleneck"), odc_bottleneck),
    Variant("odc-algo", "odc-stac + odc-algo (not a median)", (*_ODC, "odc.algo"), odc_algo, exact=False),
    Variant("odc-time", "odc-stac, time=-1", _ODC, odc_time),
    Variant("odc", "odc-stac, where + median", _ODC, odc_plain),
    Variant("lazycogs", "lazycogs, where + median", ("lazycogs",), lazycogs, records="parquet"),
    Variant("stackstac", "stackstac, where + median", ("stackstac",), stackstac, records="dicts"),
)
VARIANTS = {variant.name: variant for variant in _ALL}
"""By name, in the order of the table."""
