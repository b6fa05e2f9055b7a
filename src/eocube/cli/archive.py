"""``eocube archive``: plan, run and watch an archive of MGRS cells."""

from __future__ import annotations

import signal
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import EocubeError
from .requests import Failure

if TYPE_CHECKING:
    from ..archives import Archive

SAMPLE = ("33TTN", "32TQT")
"""The cells of the embedded made-up archive."""


@click.group()
def archive() -> None:
    """Make a cloud-free archive of MGRS cells: plan it, run it, resume it, watch it.

    Try: eocube archive run --sample --out archive
    """


def _takes_archive(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the recipe and the place; it is called with an Archive."""

    @wraps(command)
    def run(recipe: Path | None, out: str, ledger: str | None, sample: bool, **values: Any) -> None:
        try:
            found = _archive(recipe, out, ledger, sample)
            try:
                command(found, **values)
            finally:
                found.close()
        except EocubeError as error:
            raise Failure(str(error)) from error

    wrapped: Callable[..., None] = run
    for option in (
        click.option("--sample", is_flag=True, help="Use the embedded made-up archive; needs no network."),
        click.option(
            "--ledger", help="File or database URL of the ledger. Default: ledger.sqlite in the archive."
        ),
        click.option("--out", default="archive", show_default=True, help="A folder, or s3://bucket/key."),
        click.argument("recipe", type=click.Path(path_type=Path), required=False),
    ):
        wrapped = option(wrapped)
    return wrapped


def _archive(recipe: Path | None, out: str, ledger: str | None, sample: bool) -> Archive:
    from ..archives import Archive, Recipe

    if not sample:
        return Archive(out, recipe, ledger=ledger)
    from ..sample import cached

    world = cached()
    made = Recipe(
        "sample", "2021-06/2022-05", cells=SAMPLE, catalog=str(world.items_path), bands=world.bands[:-1]
    )
    return Archive(out, made, ledger=ledger)


@archive.command()
@_takes_archive
def plan(found: Archive) -> None:
    """Say what each cell of RECIPE is made of and costs: scenes, bytes, hours; from metadata alone."""
    from .shows import show_cells

    show_cells(found.plan())


@archive.command()
@_takes_archive
@click.option("--resume", is_flag=True, help="Go on with an archive that was begun before.")
@click.option("--retry-failed", is_flag=True, help="Make cells again that failed.")
@click.option("--only-below", help="With --relax: make cells again whose good share is smaller: good=0.9.")
@click.option("--relax", is_flag=True, help="By the recipe's ladder: more lenient masks, other years.")
@click.option("--max-cells", type=int, help="Stop after so many.")
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@click.option("--workers", type=int, help="On a local cluster of so many workers. Default: threads.")
@click.option("--gateway", help="On dask-gateway at this address.")
@click.option("--address", help="On the running scheduler at this address.")
@click.option("--memory", default="4GB", show_default=True, help="Of a worker.")
def run(
    found: Archive, resume: bool, retry_failed: bool, only_below: str | None, max_cells: int | None,
    relax: bool, dry_run: bool, workers: int | None, gateway: str | None, address: str | None, memory: str,
) -> None:  # fmt: skip
    """Make the cells of RECIPE; of the archive that is at --out, if RECIPE is left out.

    Ctrl-C, or a signal to end, gives the cell back that is being made. The exit code is 1 if cells failed.
    """
    from contextlib import nullcontext

    from ..clusters import cluster
    from ..errors import ArchiveError
    from .shows import console, show_cells, show_states

    going = resume or retry_failed or relax
    if found.begun and not going:
        raise ArchiveError(f"{found.place} holds this archive already: --resume goes on with it.")
    if dry_run:
        table = found.plan()
        show_cells(table[table["state"].isin(["planned", *(["failed"] if retry_failed else [])])])
        return
    where: Any = nullcontext()
    if workers or gateway or address:
        where = cluster(
            workers, memory=None if gateway or address else memory, gateway=gateway, address=address
        )
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with where:
        done = found.run(
            retry_failed=retry_failed, only_below=_share(only_below), relax=relax, max_cells=max_cells
        )
    show_states(found.status())
    console.print(f"{done.seconds:,.1f} s; {found.place}")
    if done.failed:
        raise click.exceptions.Exit(1)


@archive.command()
@_takes_archive
@click.option("--cells", is_flag=True, help="A line for each cell.")
@click.option(
    "--report", type=click.Path(path_type=Path), help="Write a report as HTML: map, failures, times."
)
def status(found: Archive, cells: bool, report: Path | None) -> None:
    """Say how far an archive is."""
    from .shows import console, show_states

    show_states(found.status(), cells=cells)
    if report is not None:
        console.print(f"report in {found.report(report)}")


def _share(said: str | None) -> float | None:
    """Read ``good=0.9``, or ``0.9``."""
    if said is None:
        return None
    try:
        return float(said.removeprefix("good="))
    except ValueError:
        raise Failure(f"--only-below {said!r} is no share: write good=0.9.") from None
