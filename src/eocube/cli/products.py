"""The commands that write rasters: which files, made how, with which Item."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError, OutputError
from .requests import Request
from .words import reducers_of

if TYPE_CHECKING:
    import pystac
    import xarray as xr

    from ..plans import Plan
    from ..runs import Report

KINDS = (".tif", ".tiff", ".zarr", ".nc", "")


@dataclass(frozen=True)
class Product:
    """What is to be made.

    Attributes
    ----------
    request : Request
    reducers : tuple of str
    out : Path
        ``.tif``, ``.zarr``, ``.nc``, or without an ending: a folder with a file per band.
    overwrite, item : bool
    by : str or None
        A period.
    index : {"", "ndvi"}
        What is made of the bands.
    """

    request: Request
    reducers: tuple[str, ...]
    out: Path
    overwrite: bool
    by: str | None = None
    item: bool = False
    index: str = ""

    def run(self) -> None:
        """Make it, and print what was made.

        Raises
        ------
        OutputError
            If a file is there already, or of a kind that is not written.
        InputError
            If the words do not go together.
        """
        from ..bars import progress
        from ..composites import composite
        from ..cubes import load
        from .shows import show_plan, show_result

        kind = self._kind()
        how = reducers_of(self.reducers)
        if self.index and len(how) > 1:
            raise InputError(f"{self.index} is made of one composite: give one --reducer.")
        self._check(kind)
        started = time.perf_counter()
        items = self.request.query.items()
        made = self.request.plan(items, "red,nir" if self.index else None)
        best = composite(load(made), how, by=self.by)
        best = _indexed(best) if self.index else best
        show_plan(made)
        with progress(made) as watched:
            places = self._write(best, kind)
        if self.item:
            places |= self._describe(best, places, items)
        show_result(_summary(made, places, watched.report, time.perf_counter() - started))

    def _kind(self) -> str:
        kind = self.out.suffix.lower()
        if kind not in KINDS:
            raise OutputError(f"--out {self.out}: write .tif, .zarr or .nc, or a folder for a file per band.")
        if kind == "" and self.by:
            raise InputError("--by gives several composites: write them to .tif (a file each), .zarr or .nc.")
        return ".tif" if kind == ".tiff" else kind

    def _check(self, kind: str) -> None:
        """Refuse what is there, before the work."""
        import numpy as np

        from ..calendars import calendar_of
        from ..writers.outputs import check_distinct, check_output

        if self.by:
            calendar_of(self.by, np.array(["2024-01-01"], dtype="datetime64[ns]"))  # before the search
        if kind == "":
            return  # write_cog does, before any pixel is read
        places = [self.out]
        if kind == ".tif" and not self.by:
            places += [self.out.with_suffix(".count.tif"), self.out.with_suffix(".png")]
        if self.item and not self.by:
            places.append(self.out.with_suffix(".json"))
        check_distinct(places)
        for place in places:
            check_output(place, overwrite=self.overwrite, store=kind == ".zarr" and place == self.out)

    def _write(self, best: xr.DataArray, kind: str) -> dict[str, Path]:
        from ..writers import write_cog, write_netcdf, write_zarr

        if kind == ".zarr":
            write_zarr(best, self.out, overwrite=self.overwrite)
        elif kind == ".nc":
            write_netcdf(best, self.out, overwrite=self.overwrite)
        elif kind == "":
            write_cog(best, self.out, per_band=True, overwrite=self.overwrite)
        else:
            return self._cogs(best)
        return {"made": self.out}

    def _cogs(self, best: xr.DataArray) -> dict[str, Path]:
        """Write GeoTIFFs: what is counted lies in a file of its own, which may be left behind."""
        from ..writers.cogs import write_cogs, write_periods
        from ..writers.layers import is_class
        from ..writers.previews import preview_of

        if self.by:
            dates = [start[:10] for start, _ in spans_of(best, self.by)]
            paths = {date: self.out.with_suffix(f".{date}.tif") for date in dates}
            write_periods(best, list(paths.values()), overwrite=self.overwrite)
            return paths
        names = [str(name) for name in best["band"].values]
        values = [name for name in names if not is_class(name, {})]
        places = {"made": self.out} if values else {}
        places |= {name: self.out.with_suffix(f".{name}.tif") for name in names if name not in values}
        bands = {place: values if key == "made" else [key] for key, place in places.items()}
        write_cogs(best, bands, overwrite=self.overwrite)
        picture = self.out.with_suffix(".png")
        preview_of(next(iter(bands)), picture, overwrite=self.overwrite)
        return {"made": next(iter(bands)), "preview": picture, **places}

    def _describe(
        self, best: xr.DataArray, places: dict[str, Path], items: pystac.ItemCollection
    ) -> dict[str, Path]:
        """Write the Items, one for each period."""
        from ..writers import write_item

        if self.out.suffix == "":
            path = self.out / f"{self.out.name}.json"
            write_item(best, path, self.out, items=items, overwrite=self.overwrite)
            return {"item": path}
        if not self.by or "made" in places:
            path = self.out.with_suffix(".json")
            write_item(best, path, list(places.values()), items=items, overwrite=self.overwrite)
            return {"item": path}
        spans = spans_of(best, str(self.by))
        found = {}
        for number, (place, period) in enumerate(zip(places.values(), spans, strict=True)):
            one = best.isel(time=number)
            path = place.with_suffix(".json")
            write_item(one, path, place, items=items, period=period, overwrite=self.overwrite)
            found[f"item {number}"] = path
        return found


def spans_of(best: xr.DataArray, by: str) -> list[tuple[str, str]]:
    """Return the first and the last second of each period of a composite.

    Taken from its coordinates ``time_start`` and ``time_end`` (not in it) if it has them.
    """
    import pandas as pd
    from pandas.tseries.frequencies import to_offset

    if {"time_start", "time_end"} <= set(best.coords):
        starts, edges = (pd.DatetimeIndex(best[name].values) for name in ("time_start", "time_end"))
    else:
        starts = pd.DatetimeIndex(best["time"].values)
        edges = pd.DatetimeIndex([*starts[1:], starts[-1] + to_offset(by)])
    lasts = edges - pd.Timedelta(seconds=1)
    first, last = ([f"{when.isoformat()[:19]}+00:00" for when in whens] for whens in (starts, lasts))
    return list(zip(first, last, strict=True))


def _indexed(best: xr.DataArray) -> xr.DataArray:
    """Return the index of a composite, where it is from and its count, as layers of one array."""
    import xarray as xr

    from ..indices import ndvi
    from ..writers.layers import is_class

    others = [name for name in best["band"].values if is_class(str(name), {})]
    layers = [ndvi(best).expand_dims(band=["ndvi"]), best.sel(band=others).astype("float32")]
    made = xr.concat(layers, "band", join="override", coords="minimal", compat="override").transpose(
        *best.dims
    )
    kept = {name: value for name, value in best.attrs.items() if name not in ("nodata", "reflectance_scale")}
    return made.assign_attrs(kept | {"long_name": "NDVI", "units": "1"})


def _summary(made: Plan, places: dict[str, Path], report: Report, seconds: float) -> dict[str, str]:
    from ..errors import shorten
    from ..runs import size
    from .shows import size_of

    rows, columns = made.grid.shape
    first = next(iter(places.values()))
    records = [place for place in places.values() if place.suffix == ".json"]
    several = [f"{len(records)} STAC Items ({records[0].name}, ...)"] if len(records) > 1 else []
    rest = [p.name for p in places.values() if p != first and not (several and p in records)]
    notes = {
        ".count.tif": " (clear observations per pixel)", ".source.tif": " (the scene of each pixel)",
        ".png": " (preview)", ".json": " (STAC Item)",
    }  # fmt: skip
    names = [name + next((note for end, note in notes.items() if name.endswith(end)), "") for name in rest]
    names = [shorten(names, 6)] if names else []
    days = len({scene.day for scene in made.scenes})
    return {
        "made": f"{first} ({columns} x {rows} px, {size_of(first)})",
        **({"beside": ", ".join([*names, *several])} if names or several else {}),
        "dates": f"{days} ({len(made.scenes)} scenes)",
        **_clear(made, places),
        "read": size(report.bytes) + (f" in {report.requests:,} requests" if report.requests else ""),
        "seconds": f"{seconds:.1f}",
    }


def _clear(made: Plan, places: dict[str, Path]) -> dict[str, str]:
    """Return the clear share, as far as a file of counts tells it, and what was lost."""
    import json

    import numpy as np
    import rasterio

    from ..errors import shorten

    counts = places.get("count") or places.get("made", Path()) / "count.tif"
    if not counts.is_file():
        return {}
    total, seen, pixels = 0.0, 0, 0
    gone: dict[str, str] = {}
    with rasterio.open(counts) as file:
        if said := file.tags().get("losses"):
            lost = json.loads(said)["granules"]
            names = shorten((f"{one['item']} ({one['count']} windows: {one['why']})" for one in lost), 3)
            gone = {"lost": f"{len(lost)} granules in places: {names}" if lost else "nothing"}
        for _, window in file.block_windows(1):
            block = np.nan_to_num(file.read(1, window=window))
            total += float(block.sum())
            seen += int((block > 0).sum())
            pixels += block.size
    return {
        "clear": f"{total / pixels / len(made.scenes):.0%} of all observations; "
        f"{1 - seen / pixels:.2%} of the pixels have none",
        **gone,
    }
