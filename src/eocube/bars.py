"""Bars: how far a computation is, in a terminal or a notebook, and a report when it is done."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from .errors import InputError
from .extras import check_needed
from .plans import Plan
from .runs import Report, size, table_of
from .watches import Run, listening
from .workers import current_client
from .writers.outputs import check_output

_PAUSE = 0.25
"""Seconds between two looks at what has been told."""


class _Shows(Protocol):
    def show(self, report: Report) -> None: ...

    def end(self, report: Report) -> None: ...


@contextmanager
def progress(
    plan: Plan | None = None, *, bar: bool | None = None, dask_report: str | os.PathLike[str] | None = None
) -> Iterator[Run]:
    """Watch what is computed within: a bar, and a report afterwards.

    Works with Dask's threads and with the cluster whose client is open; the counts come from where
    the work is done. One bar at a time.

    Parameters
    ----------
    plan : Plan, optional
        What is computed; the report then compares with what :meth:`eocube.Plan.estimate` expects.
    bar : bool, optional
        Whether to show a bar. Default: in a terminal (on its standard error) and in a notebook.
    dask_report : path, optional
        Where to write distributed's performance report (HTML); needs a cluster, and the extra
        ``dashboard`` (bokeh).

    Yields
    ------
    Run
        Its ``report`` is a :class:`eocube.runs.Report`, at any time and when all is done: blocks,
        scenes, bytes, requests, retries, seconds by stage, what was lost.

    Raises
    ------
    InputError
        If a Dask report is asked for without a cluster.
    MissingExtraError
        If it is asked for without bokeh.
    OutputError
        If it cannot be written there.

    Examples
    --------
    >>> import eocube
    >>> world = eocube.sample.cached()
    >>> items = eocube.search(world.items_path)
    >>> plan = eocube.plan(items, world.grid, bands=["red"], mask=eocube.SCLMask())
    >>> best = eocube.composite(eocube.load(plan), eocube.Median())
    >>> with eocube.progress(plan) as run:
    ...     values = best.compute()
    >>> run.report.windows == run.report.total > 0
    True
    """
    if plan is not None and not isinstance(plan, Plan):
        raise InputError(
            f"progress takes a Plan, found {type(plan).__name__}: progress(plan), or progress()."
        )
    dask = nullcontext() if dask_report is None else _dask_report(dask_report)
    run = Run(None if plan is None else plan.estimate())
    shows = _shows(bar)
    with ExitStack() as stack:
        stack.enter_context(dask)
        stack.enter_context(listening(run.add))
        if shows is not None:
            stack.enter_context(_shown(run, shows))
        try:
            yield run
        finally:
            run.end()


def _dask_report(path: str | os.PathLike[str]) -> AbstractContextManager[Any]:
    if current_client() is None:
        raise InputError("dask_report= is made by a cluster: open eocube.cluster() first, or leave it out.")
    check_needed(("bokeh",), "A Dask report", "dashboard")
    from distributed import performance_report

    return performance_report(filename=str(check_output(path, overwrite=Path(path).is_file())))


def _shows(wanted: bool | None) -> _Shows | None:
    if wanted is False:
        return None
    if in_notebook():
        return _Notebook()
    return _Terminal() if wanted or sys.stderr.isatty() else None


def in_notebook() -> bool:
    """Whether this runs in a notebook."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return type(shell).__name__ == "ZMQInteractiveShell"


@contextmanager
def _shown(run: Run, shows: _Shows) -> Iterator[None]:
    """Look at the run again and again in a thread, so that those who tell never wait for a screen."""
    over = threading.Event()

    def look() -> None:
        while not over.wait(_PAUSE):
            shows.show(run.report)

    thread = threading.Thread(target=look, name="eocube-progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        shows.end(run.report)


def words(report: Report) -> str:
    """Return what stands beside a bar."""
    found = [f"{report.scenes} scenes", f"{size(report.bytes)} ({size(report.rate)}/s)"]
    if report.retries:
        found.append(f"{report.retries} retries")
    if report.again:
        found.append(f"{report.again} read again")
    if report.losses:
        found.append(f"{len(report.losses.granules())} skipped")
    return ", ".join(found)


def remaining(report: Report) -> float | None:
    """Return the seconds that are left as far as blocks tell, None if they do not."""
    if not (report.total and report.windows):
        return None
    return report.seconds / report.windows * (report.total - report.windows)


class _Terminal:
    """A bar of rich."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        self.bar = Progress(
            TextColumn("[bold]blocks"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[words]}"),
            TimeElapsedColumn(), TextColumn("{task.fields[left]}"),
            console=Console(stderr=True), auto_refresh=False,
        )  # fmt: skip
        self.task = self.bar.add_task("blocks", total=None, words="", left="")
        self.bar.start()

    def show(self, report: Report) -> None:
        """Draw the bar anew."""
        seconds = remaining(report)
        left = "" if seconds is None else f"left {_clock(seconds)}"
        self.bar.update(
            self.task, total=report.total or None, completed=report.windows, words=words(report), left=left
        )
        self.bar.refresh()

    def end(self, report: Report) -> None:
        """Leave the last state."""
        self.show(report)
        self.bar.stop()


class _Notebook:
    """An output cell that is drawn anew: needs no widgets."""

    def __init__(self) -> None:
        ipython: Any = import_module("IPython.display")
        self.html = ipython.HTML
        self.handle = ipython.display(ipython.HTML("<progress></progress>"), display_id=True)

    def show(self, report: Report) -> None:
        """Draw the bar anew."""
        seconds = remaining(report)
        share = f'value="{report.windows}" max="{report.total}"' if report.total else ""
        left = "" if seconds is None else f", left {_clock(seconds)}"
        of = f" of {report.total}" if report.total else ""
        text = f"{report.windows}{of} blocks, {words(report)}, {_clock(report.seconds)}{left}"
        self.handle.update(self.html(f"<progress {share}></progress> {text}"))

    def end(self, report: Report) -> None:
        """Leave the report."""
        self.handle.update(self.html(table_of("eocube.Report", report.lines())))


def _clock(seconds: float) -> str:
    return time.strftime("%H:%M:%S" if seconds >= 3600 else "%M:%S", time.gmtime(seconds))
