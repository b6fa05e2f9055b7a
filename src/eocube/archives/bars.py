"""The bar of a run: how many cells are done, and which are being made."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from ..bars import in_notebook
from ..runs import size
from .ledgers import Ledger, Outcome

Told = Callable[[str, Outcome | None], None]


def counted(cells: Sequence[str], wanted: bool | None) -> Iterator[str]:
    """Go through cells, with a bar of how many were looked at; in a terminal, or if wanted."""
    if wanted is False or not (wanted or sys.stderr.isatty()):
        yield from cells
        return
    from rich.console import Console
    from rich.progress import track

    console = None if in_notebook() else Console(stderr=True)
    yield from track(cells, description="[bold]planning", console=console, transient=True)


@contextmanager
def cells_bar(ledger: Ledger, wanted: bool | None) -> Iterator[Told]:
    """Show a bar of all cells of an archive, those of other runners too; in a terminal or a notebook."""
    if wanted is False or not (wanted or in_notebook() or sys.stderr.isatty()):
        yield lambda *_: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = None if in_notebook() else Console(stderr=True)
    with Progress(
        TextColumn("[bold]cells"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[words]}"),
        TimeElapsedColumn(), console=console,
    ) as bar:  # fmt: skip
        task = bar.add_task("cells", total=None, words="")
        read, lock = 0, threading.Lock()

        def told(cell: str, outcome: Outcome | None) -> None:
            nonlocal read
            with lock:
                counts = ledger.counts()
                failed = counts.get("failed", 0)
                over = counts.get("done", 0) + counts.get("empty", 0) + failed
                read += outcome.read_bytes if outcome is not None else 0
                words = [cell if outcome is None else f"{cell} {outcome.state}", size(read)]
                words += [f"[red]{failed} failed[/red]"] if failed else []
                bar.update(task, total=sum(counts.values()), completed=over, words=", ".join(words))

        yield told
