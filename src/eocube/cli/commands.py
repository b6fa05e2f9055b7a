"""The commands."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from .. import __version__
from .archive import archive
from .requests import REDUCER as REDUCER_HELP
from .requests import (
    VERIFY,
    Failure,
    Query,
    Request,
    out_option,
    takes_output,
    takes_query,
    takes_reducer,
    takes_request,
)

OUT_HELP = (
    ".tif (count and preview beside it; with --by a file per period), .zarr or .nc; without an ending a "
    "folder with a .tif per band."
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="eocube")
def main() -> None:
    """Cloud-free Sentinel-2 from STAC catalogs: search, audit, plan, composites, NDVI, time series.

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
@takes_reducer
@out_option("mosaic.tif", "The mosaic; a PNG preview and the count of observations go beside it.")
@takes_output
def mosaic(request: Request, **options: Any) -> None:
    """Make a cloud-free mosaic: a cloud-optimised GeoTIFF and a PNG preview."""
    _make(request, **options)


@main.command()
@takes_request
@click.option("--reducer", "reducers", multiple=True, default=("median",), show_default=True,
              help=REDUCER_HELP + " Given again: several in one pass.")
@click.option("--by", help="One composite per period: month, season, dekad, year, or a frequency (10D).")
@out_option("composite.tif", OUT_HELP)
@takes_output
def composite(request: Request, **options: Any) -> None:
    """Make composites: one or several reducers, of all dates or by period."""
    _make(request, **options)


@main.command()
@takes_request
@takes_reducer
@click.option("--by", help="One NDVI per period: month, season, dekad, year, or a frequency (10D).")
@out_option("ndvi.tif", "The NDVI. " + OUT_HELP)
@takes_output
def ndvi(request: Request, **options: Any) -> None:
    """Make the NDVI of a cloud-free mosaic."""
    _make(request, index="ndvi", **options)


@main.command()
@click.argument("fields", type=click.Path(path_type=Path), required=False)
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
@click.option("--plot", type=click.Path(path_type=Path), help="Draw the series: .png, .svg or .pdf.")
@click.option("--overwrite", is_flag=True, help="Replace what is there.")
def series(request: Request, fields: Path | None, out: Path, overwrite: bool, **options: Any) -> None:
    """Write statistics of FIELDS (a vector file) at each date, and the clear share of each field.

    With --sample, FIELDS may be left out.
    """
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
@click.option("--places", type=int, default=1, show_default=True,
              help="Pairs of tiles in two UTM zones, 1 to 20, each 100 km further south.")
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


main.add_command(archive)


def _make(request: Request, **options: Any) -> None:
    from .products import Product

    Product(request, **options).run()
