"""Runs: what was read, how often it was tried and how long it took, while something was computed."""

from __future__ import annotations

import html
from dataclasses import dataclass, field
from typing import Any

from .losses import Losses
from .tallies import STAGES

_MEANING = {
    "waiting": "waiting for servers", "reading": "decoding and placing", "masking": "masks",
    "reducing": "reducers",
}  # fmt: skip


@dataclass(frozen=True)
class Report:
    """What a run took; see :func:`eocube.progress`.

    Attributes
    ----------
    seconds : float
        By the clock.
    windows : int
        Blocks that were read, each counted once.
    total : int
        Blocks there are in the grids that were read; 0 if that is not known.
    again : int
        How often a block was read once more: its worker was lost, or the result was not kept.
    scenes : int
        Scenes that have data in the blocks.
    bytes : float
        Read from files and servers. What GDAL reads by itself is not counted.
    requests, retries : int
        To servers; and those of them that had to be repeated.
    stages : dict of str to float
        Seconds of all tasks together: ``waiting`` for servers, ``reading`` (decoding and placing
        pixels), ``masking``, ``reducing``.
    workers : int
        Processes that read.
    losses : Losses
        Granules that could not be read, with ``on_error="skip"``.
    estimate : Estimate or None
        What the plan expected, if it was given.
    """

    seconds: float
    windows: int = 0
    total: int = 0
    again: int = 0
    scenes: int = 0
    bytes: float = 0.0
    requests: int = 0
    retries: int = 0
    stages: dict[str, float] = field(default_factory=dict)
    workers: int = 0
    losses: Losses = field(default_factory=Losses)
    estimate: Any = None

    @property
    def rate(self) -> float:
        """Bytes per second."""
        return self.bytes / self.seconds if self.seconds else 0.0

    def lines(self) -> list[tuple[str, str]]:
        """Return what is shown: pairs of a word and its meaning."""
        of = f" of {self.total:,}" if self.total else ""
        again = f", {self.again} read again" if self.again else ""
        found = [
            ("time", f"{self.seconds:,.1f} s on {self.workers} process{'es' * (self.workers != 1)}"),
            ("blocks", f"{self.windows:,}{of}{again}, {self.scenes:,} scenes"),
            ("read", f"{size(self.bytes)}, {size(self.rate)}/s, {self.requests:,} requests"),
            ("retries", f"{self.retries:,}"),
        ]
        if self.stages:
            named = [f"{_MEANING[name]} {self.stages[name]:,.1f} s" for name in STAGES if name in self.stages]
            found.append(("tasks", ", ".join(named)))
        granules = self.losses.granules()
        found.append(("lost", f"{len(granules)} granules" + (": see .losses" if granules else "")))
        if self.estimate is not None:
            found.append(("expected", self._against()))
        return found

    def _against(self) -> str:
        expected = self.estimate
        parts = [f"{expected.seconds:,.1f} s ({ratio(self.seconds, expected.seconds)})"]
        parts.append(f"{size(expected.bytes)} ({ratio(self.bytes, expected.bytes)})")
        if self.requests:
            parts.append(f"{expected.requests:,} requests ({ratio(self.requests, expected.requests)})")
        return ", ".join(parts)

    def __repr__(self) -> str:
        body = "\n".join(f"  {word:<10}{meaning}" for word, meaning in self.lines())
        return f"<eocube.Report>\n{body}"

    def _repr_html_(self) -> str:
        return table_of("eocube.Report", self.lines())


def size(count: float) -> str:
    """Return bytes for people."""
    for unit, factor in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= 0.95 * factor:
            return f"{count / factor:,.1f} {unit}"
    return f"{count:,.0f} B"


def duration(seconds: float) -> str:
    """Return a time for people.

    Examples
    --------
    >>> duration(3.21), duration(200), duration(3 * 3600), duration(50 * 3600)
    ('3.2 s', '200 s', '180 min', '50 h')
    """
    for factor, unit in ((3600, "h"), (60, "min")):
        if seconds >= 4 * factor:
            return f"{seconds / factor:,.{0 if seconds >= 10 * factor else 1}f} {unit}"
    return f"{seconds:,.{0 if seconds >= 10 else 1}f} s"


def ratio(found: float, expected: float) -> str:
    """Say how what came compares with what was expected."""
    return f"{found / expected:.2f} times that" if expected else "nothing was expected"


def table_of(title: str, lines: list[tuple[str, str]]) -> str:
    """Return pairs of a word and its meaning as HTML."""
    rows = "".join(
        f'<tr><th style="text-align:left">{html.escape(word)}</th>'
        f'<td style="text-align:left">{html.escape(meaning)}</td></tr>'
        for word, meaning in lines
    )
    return f"<div><b>{html.escape(title)}</b><table>{rows}</table></div>"
