"""Put the tables of several runs into the one page that the documentation shows.

``python -m benchmarks.published RUN ...``: each a folder that ``python -m benchmarks --out RUN`` has
written. Of a workload that several runs measured the last one is taken. Nothing is typed by hand.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import click

from .workloads import WORKLOADS

PAGE = Path(__file__).parent.parent / "docs" / "measured" / "performance.md"


def sections(run: Path) -> dict[str, str]:
    """Return the tables of a run by workload, each with a line that says when and how it was measured."""
    text = (run / "benchmarks.md").read_text(encoding="utf-8")
    found = json.loads((run / "benchmarks.json").read_text(encoding="utf-8"))
    head, *parts = re.split(r"^### ", text, flags=re.MULTILINE)
    when = head.strip().splitlines()[0]
    made = {}
    for part in parts:
        name = part.partition(".")[0]
        variants = ",".join(dict.fromkeys(row["variant"] for row in found["rows"][name]))
        rounds = max(len(row["rounds"]) for row in found["rows"][name])
        command = f"python -m benchmarks --rounds {rounds} --only {name} --variants {variants}"
        made[name] = f"### {part.strip()}\n\n`{command}`. {when}\n"
    return made


def versions(run: Path) -> str:
    """Return what was installed."""
    found = json.loads((run / "benchmarks.json").read_text(encoding="utf-8"))["versions"]
    return ", ".join(f"{name} {version}" for name, version in found.items())


@click.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), default=PAGE)
def main(runs: tuple[Path, ...], out: Path) -> None:
    """Write the page."""
    every: dict[str, str] = {}
    for run in runs:
        every |= sections(run)
    order = [name for name in WORKLOADS if name in every]
    out.parent.mkdir(exist_ok=True)
    said = "<!-- Made by `python -m benchmarks.published RUN ...`: do not change it by hand. -->"
    text = "\n".join([said, "", f"{versions(runs[-1])}.", "", *(every[name] for name in order)])
    out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
