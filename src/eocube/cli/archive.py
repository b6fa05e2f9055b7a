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


OWN = """\b
With a recipe of your own:
  eocube archive init recipe.yaml
  eocube archive plan recipe.yaml
  eocube archive run recipe.yaml --out archive
  eocube archive status --out archive --report report.html
"""


@click.group(epilog=OWN)
def archive() -> None:
    """Make a cloud-free archive of MGRS cells: plan it, run it, resume it, watch it.

    Try: eocube archive run --sample --out archive
    """


@archive.command()
@click.argument("file", type=click.Path(path_type=Path), default="recipe.yaml")
def init(file: Path) -> None:
    """Write an example recipe to FILE (.yaml or .toml): all fields, and what they mean."""
    from ..archives.examples import write_example
    from .shows import console

    try:
        write_example(file)
    except EocubeError as error:
        raise Failure(str(error)) from error
    console.print(f"{file}: fill it in, then: eocube archive plan {file}", soft_wrap=True, highlight=False)


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
    """Say what the cells will be made of, and cost, from metadata alone.

    RECIPE is a .yaml, .toml or .json file; the archive at --out has one already.
    """
    from .shows import show_cells

    show_cells(found.plan())


@archive.command()
@_takes_archive
@click.option("--resume", is_flag=True, help="Go on with an archive that was begun before.")
@click.option("--retry-failed", is_flag=True, help="Make cells again that failed, or had no scenes.")
@click.option("--only-below", metavar="good=SHARE",
              help="With --relax: make cells again of which less is good: good=0.9.")
@click.option("--relax", is_flag=True,
              help="With --only-below: by the recipe's ladder (more lenient masks, other years).")
@click.option("--max-cells", type=click.IntRange(min=1), help="Stop after so many.")
@click.option("--dry-run", is_flag=True, help="Only say which cells would be made, and what they cost.")
@click.option("--workers", type=int, help="On a local cluster of so many workers. Default: threads.")
@click.option("--gateway", help="On dask-gateway at this address.")
@click.option("--address", help="On the running scheduler at this address.")
@click.option("--memory", default="4GB", show_default=True, help="Of a worker.")
def run(
    found: Archive, resume: bool, retry_failed: bool, only_below: str | None, max_cells: int | None,
    relax: bool, dry_run: bool, workers: int | None, gateway: str | None, address: str | None, memory: str,
) -> None:  # fmt: skip
    """Make the cells, one by one.

    RECIPE is a .yaml, .toml or .json file; it may be left out if the archive at --out was begun with one. To
    go on with an archive, say --resume (or --retry-failed, or --only-below with --relax).

    Ctrl-C, or a signal to end, gives the cell back that is being made. The exit code is 1 if cells failed.
    """
    from contextlib import nullcontext

    from ..clusters import cluster
    from ..errors import ArchiveError
    from ..runs import duration, size
    from .shows import console, show_cells, show_states

    if (only_below is None) == relax:
        raise Failure("--only-below and --relax go together: --only-below good=0.9 --relax.")
    below = _share(only_below)
    going = resume or retry_failed or relax
    if found.begun and not going and not dry_run:
        raise ArchiveError(
            f"{found.place} holds this archive already: --resume goes on with it, --dry-run says what is "
            "left to do."
        )
    if dry_run:
        show_cells(found.plan(_due(found, retry_failed, below)[:max_cells]))
        return
    where: Any = nullcontext()
    if workers or gateway or address:
        where = cluster(
            workers, memory=None if gateway or address else memory, gateway=gateway, address=address
        )
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with where:
        done = found.run(retry_failed=retry_failed, only_below=below, relax=relax, max_cells=max_cells)
    show_states(found.status())
    console.print(
        f"this run: {done.cells:,} cell{'s' * (done.cells != 1)}, {size(done.read_bytes)} in "
        f"{duration(done.seconds)}; {found.place}",
        soft_wrap=True, highlight=False,
    )  # fmt: skip
    if done.failed:
        raise click.exceptions.Exit(1)


@archive.command()
@_takes_archive
@click.option("--cells", is_flag=True, help="A line for each cell.")
@click.option(
    "--report", type=click.Path(path_type=Path), help="Write a report as HTML: map, failures, times."
)
def status(found: Archive, cells: bool, report: Path | None) -> None:
    """Say how far an archive is: cells by state, what failed and why."""
    from .shows import console, show_states

    show_states(found.status(), cells=cells)
    if report is not None:
        console.print(f"report   {found.report(report)}", soft_wrap=True, highlight=False)


def _due(found: Archive, retry_failed: bool, below: float | None) -> list[str]:
    """Return the cells that a run would make."""
    rows = found.status().to_dict("records")
    known = {row["cell"]: row for row in rows}
    new = [cell for cell in found.cells if cell not in known]
    due = [
        cell
        for cell, row in known.items()
        if row["state"] in ("planned", "running")
        or (row["state"] in ("failed", "empty") and retry_failed)
        or (row["state"] == "done" and below is not None and not row["relaxed"] and row["good"] < below)
    ]
    return due + new


def _share(said: str | None) -> float | None:
    """Read ``good=0.9``, ``0.9`` or ``good=90%``."""
    if said is None:
        return None
    text = said.strip().removeprefix("good=")
    try:
        share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        share = -1
    if not 0 <= share <= 1:
        raise Failure(f"--only-below {said!r} is no share from 0 to 1: write good=0.9.")
    return share
