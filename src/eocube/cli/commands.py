"""The commands."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .. import __version__
from .requests import VERIFY, Failure, Query, Request, out_option, takes_query, takes_request

if TYPE_CHECKING:
    from ..plans import Plan

REDUCERS = ("median", "mean", "p25", "p75")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="eocube")
def main() -> None:
    """Cloud-free Sentinel-2 from STAC catalogs: search, audit, plan, mosaic, NDVI, time series.

    Try: eocube mosaic --sample --out mosaic.tif
    """


@main.command()
@takes_query
@click.option("--out", type=click.Path(path_type=Path),
              help="Keep the Items: as an ItemCollection file, or added to a local index (.parquet).")
@click.option("--overwrite", is_flag=True, help="Replace what is there.")
def search(query: Query, out: Path | None, overwrite: bool) -> None:
    """Find Items and list them."""
    from ..errors import InputError
    from ..indexes.base import SUFFIXES, LocalIndex
    from ..writers.outputs import check_output, whole
    from .shows import console, show_items

    index = out is not None and out.suffix.lower() in SUFFIXES
    if index and overwrite:
        raise InputError(f"An index is added to, not overwritten: leave out --overwrite, or delete {out}.")
    if out is not None:
        check_output(out, overwrite=overwrite or index)
    items = query.items()
    show_items(items)
    if out is not None and index:
        console.print(repr(LocalIndex(out).add(items)))
    elif out is not None:
        with whole(out) as final:
            items.save_object(str(final))
        console.print(f"kept in {out}")


@main.command()
@takes_query
@click.option("--verify-offset", type=click.Choice(list(VERIFY)), default="all", show_default=True,
              help="Look at the pixels of all Items, of doubtful ones (auto), or of none.")
@click.option("--loader", default="cog", show_default=True, help="cog, rio or stackstac.")
@click.option("--why", is_flag=True, help="Show the figures behind all that the pixels say.")
def audit(query: Query, verify_offset: str, loader: str, why: bool) -> None:
    """Compare what Items say of the radiometric offset with their pixels.

    The exit code is 1 if Items are contradicted by their pixels.
    """
    from ..audits import audit as audited
    from .shows import show_audit

    found = audited(query.items(), verify_offset=VERIFY[verify_offset], loader=loader)
    show_audit(found, why=why)
    if found.contradictions:
        raise click.exceptions.Exit(1)


@main.command()
@takes_request
def plan(request: Request) -> None:
    """Say what a cube will hold and cost, from metadata (and overviews, for the offset)."""
    from .shows import show_plan

    show_plan(request.plan(request.query.items()))


@main.command()
@takes_request
@click.option("--reducer", type=click.Choice(REDUCERS), default="median", show_default=True)
@out_option("mosaic.tif", "The mosaic; a PNG preview and the count of observations go beside it.")
@click.option("--overwrite", is_flag=True, help="Replace what is there.")
def mosaic(request: Request, reducer: str, out: Path, overwrite: bool) -> None:
    """Make a cloud-free mosaic: a cloud-optimised GeoTIFF and a PNG preview."""
    _run(request, reducer, out, overwrite, ndvi=False)


@main.command()
@takes_request
@click.option("--reducer", type=click.Choice(REDUCERS), default="median", show_default=True)
@out_option("ndvi.tif", "Its NDVI; a PNG preview and the count of observations go beside it.")
@click.option("--overwrite", is_flag=True, help="Replace what is there.")
def ndvi(request: Request, reducer: str, out: Path, overwrite: bool) -> None:
    """Make the NDVI of a cloud-free mosaic."""
    _run(request, reducer, out, overwrite, ndvi=True)


@main.command()
@click.argument("fields", type=click.Path(path_type=Path))
@takes_request
@click.option("--index", type=click.Choice(["ndvi", "none"]), default="ndvi", show_default=True,
              help="What is made of the bands; none: the bands themselves.")
@click.option("--stat", default="mean,median,std,count", show_default=True,
              help="Of mean, median, std, count, min, max.")
@click.option("--weights", type=click.Choice(["exact", "centre", "all"]), default="exact", show_default=True,
              help="How a pixel at a field's edge counts.")
@click.option("--id", "ids", help="Column that holds the ids of the fields.")
@click.option("--fields-crs", help="CRS of the fields, if the file does not say it.")
@out_option("series.csv", "The table: .csv or .parquet.")
@click.option("--overwrite", is_flag=True, help="Replace what is there.")
def series(request: Request, fields: Path, out: Path, overwrite: bool, **options: Any) -> None:
    """Write statistics of FIELDS (a vector file) at each date, and the clear share of each field."""
    from .tables import write_series

    write_series(request, fields, out, overwrite=overwrite, **options)


@main.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--seed", type=int, default=0, show_default=True, help="Decides landscape and weather.")
@click.option(
    "--naming",
    type=click.Choice(["earth-search", "planetary-computer"]),
    default="earth-search",
    show_default=True,
    help="Whose ids and asset names the Items bear.",
)
@click.option("--dates", type=int, default=12, show_default=True, help="Passes in the year.")
@click.option("--size", type=int, default=240, show_default=True, help="Pixels of 10 m along a tile's side.")
@click.option("--landscape", default="fields", show_default=True,
              help="What the ground is: fields, forest, desert, steppe, snow, water or silt.")
@click.option("--faults", is_flag=True, help="Give the SCL the faults of the real one.")
def sample(folder: Path, **options: Any) -> None:
    """Write the embedded made-up archive into FOLDER."""
    from ..errors import EocubeError
    from ..sample import write
    from .shows import console

    started = time.perf_counter()
    try:
        world = write(folder, scl_faults=options.pop("faults"), **options)
    except EocubeError as error:
        raise Failure(str(error)) from error
    seconds = time.perf_counter() - started
    console.print(f"{len(world.item_ids)} Items in {world.items_path}, {seconds:.1f} s")
    console.print(f"Try: eocube mosaic --catalog {world.items_path} --out mosaic.tif")


def _run(request: Request, reducer: str, out: Path, overwrite: bool, *, ndvi: bool) -> None:
    from ..writers.outputs import check_distinct, check_output
    from .shows import progress, show_plan, show_result

    places = [out, out.with_suffix(".count.tif"), out.with_suffix(".png")]
    check_distinct(places)
    for place in places:
        check_output(place, overwrite=overwrite)
    started = time.perf_counter()
    made = request.plan(request.query.items(), "red,nir" if ndvi else None)
    show_plan(made)
    rows, columns = made.cut(made.chunk_reduced)
    with progress(len(rows) * len(columns)):
        _write(made, reducer, places, overwrite, ndvi=ndvi)
    show_result(_summary(made, places, time.perf_counter() - started))


def _write(made: Plan, reducer: str, places: list[Path], overwrite: bool, *, ndvi: bool) -> None:
    import xarray as xr

    from ..composites import composite
    from ..cubes import load
    from ..indices import ndvi as index
    from ..reducers import Count, Mean, Median, Percentile, Reducer
    from ..writers.cogs import write_cogs
    from ..writers.previews import preview_of

    known: dict[str, Reducer] = {
        "median": Median(), "mean": Mean(), "p25": Percentile(25), "p75": Percentile(75),
    }  # fmt: skip
    best = composite(load(made), [known[reducer], Count()])
    bands = list(made.bands)
    if ndvi:
        count = best.sel(band=["count"]).astype("float32")
        layers = [index(best).expand_dims(band=["ndvi"]), count]
        best = xr.concat(layers, "band").assign_attrs(best.attrs)
        best.attrs |= {"long_name": "NDVI"}
        bands = ["ndvi"]
    write_cogs(best, {places[0]: bands, places[1]: ["count"]}, overwrite=overwrite)
    preview_of(places[0], places[2], overwrite=overwrite)


def _summary(made: Plan, places: list[Path], seconds: float) -> dict[str, str]:
    import json

    import numpy as np
    import rasterio

    from ..errors import shorten
    from .shows import size_of

    total, seen, pixels = 0.0, 0, 0
    gone: dict[str, str] = {}
    with rasterio.open(places[1]) as file:
        if said := file.tags().get("losses"):
            lost = json.loads(said)["granules"]
            names = shorten((f"{one['item']} ({one['count']} windows: {one['why']})" for one in lost), 3)
            gone = {"lost": f"{len(lost)} granules in places: {names}" if lost else "nothing"}
        for _, window in file.block_windows(1):
            block = np.nan_to_num(file.read(1, window=window))
            total += float(block.sum())
            seen += int((block > 0).sum())
            pixels += block.size
    rows, columns = made.grid.shape
    days = len({scene.day for scene in made.scenes})
    return {
        "made": f"{places[0]} ({columns} x {rows} px, {size_of(places[0])})",
        "beside": f"{places[2].name} (preview), {places[1].name} (clear observations per pixel)",
        "dates": f"{days} ({len(made.scenes)} scenes)",
        "clear": f"{total / pixels / len(made.scenes):.0%} of all observations; "
        f"{1 - seen / pixels:.2%} of the pixels have none",
        **gone,
        "seconds": f"{seconds:.1f}",
    }
