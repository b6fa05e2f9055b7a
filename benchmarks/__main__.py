"""The one command: ``python -m benchmarks``."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import click
from rich.logging import RichHandler

from .runner import Options, run
from .tables import write
from .variants import VARIANTS
from .workloads import WORKLOADS


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "eocube-benchmarks"


def _names(known: tuple[str, ...], said: str, option: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in said.split(",") if name.strip())
    unknown = [name for name in names if name not in known]
    if unknown:
        raise click.UsageError(f"{option}: {', '.join(unknown)} not known. Choose of: {', '.join(known)}.")
    return names


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.option("--rounds", type=click.IntRange(1), default=5, help="Fresh processes per variant.")
@click.option("--only", default="", help="Workloads, as W1,W4; all if left out.")
@click.option("--variants", default="", help="Variants, as eocube,odc; all if left out.")
@click.option("--quick", is_flag=True, help="Small data, one round: checks that everything works.")
@click.option("--data", type=click.Path(path_type=Path), default=None, help="Where the data are kept.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("benchmark-results"))
@click.option("--loader", default="", help="Loader of eocube; its default if left out.")
@click.option("--python", "pythons", multiple=True, help="VARIANT=INTERPRETER for one that needs its own.")
@click.option("--seconds", default=600.0, help="After which a process is stopped.")
@click.option("--memory", default=12.0, help="GB at which a process is stopped.")
@click.option("--verbose", is_flag=True, help="Show what a failed process said.")
def main(
    rounds: int, only: str, variants: str, quick: bool, data: Path | None, out: Path, loader: str,
    pythons: tuple[str, ...], seconds: float, memory: float, verbose: bool,
) -> None:  # fmt: skip
    """Run the workloads with eocube and its peers, write one table."""
    level = logging.DEBUG if verbose else logging.INFO
    logging.basicConfig(level=logging.WARNING, format="%(message)s", handlers=[RichHandler(show_path=False)])
    logging.getLogger("benchmarks").setLevel(level)
    options = Options(
        rounds=1 if quick else rounds,
        only=_names(tuple(WORKLOADS), only, "--only"),
        variants=_names((*VARIANTS, "decode"), variants, "--variants"),
        quick=quick,
        data=(data or _cache()).absolute(),
        out=out,
        loader=loader,
        pythons=dict(_pair(said) for said in pythons),
        seconds=seconds,
        memory=memory * 1e9,
    )
    for path in write(run(options), out):
        logging.getLogger("benchmarks").info("wrote %s", path)


def _pair(said: str) -> tuple[str, str]:
    name, _, python = said.partition("=")
    if name not in VARIANTS or not python:
        raise click.UsageError(f"--python {said}: write it like lazycogs=path/to/python.")
    return name, python


if __name__ == "__main__":
    main()
