"""Losses: what could not be read, when it was asked to go on without it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

Window = tuple[int, int, int, int]


@dataclass(frozen=True)
class Loss:
    """One file that could not be read for one window of a cube.

    Attributes
    ----------
    item, asset, href : str
        The file, without any token. Its whole granule is no data in the window.
    scene : str
        The time step it belongs to.
    window : tuple of int
        First and one past last row, first and one past last column of the cube's grid.
    why : str
        What happened.
    """

    item: str
    asset: str
    href: str
    scene: str
    window: Window
    why: str


@dataclass(frozen=True)
class Losses:
    """All losses of what was computed so far; see :func:`eocube.lost`.

    Attributes
    ----------
    found : tuple of Loss
    windows : int
        How many windows were read, and said what they lost. 0: nothing is known.
    """

    found: tuple[Loss, ...] = ()
    windows: int = 0

    def __len__(self) -> int:
        return len(self.found)

    def __iter__(self) -> Iterator[Loss]:
        return iter(self.found)

    def granules(self) -> list[dict[str, Any]]:
        """Return one record per Item: its assets, in how many windows it was lost, and why."""
        records: dict[str, dict[str, Any]] = {}
        for loss in self.found:
            record = records.setdefault(
                loss.item, {"item": loss.item, "assets": [], "windows": [], "why": loss.why}
            )
            if loss.asset not in record["assets"]:
                record["assets"].append(loss.asset)
            if list(loss.window) not in record["windows"]:
                record["windows"].append(list(loss.window))
        return [records[item] for item in sorted(records)]

    def as_json(self, most: int = 20) -> str:
        """Return what is written into files: the windows themselves if they are few, else their number."""
        granules = self.granules()
        for record in granules:
            record["count"] = len(record["windows"])
            if record["count"] > most:
                del record["windows"]
        return json.dumps({"windows_read": self.windows, "known": self.windows > 0, "granules": granules})

    def __repr__(self) -> str:
        lines = [
            f"  {record['item']}: {', '.join(record['assets'])} in {len(record['windows'])} windows: "
            f"{record['why']}"
            for record in self.granules()
        ]
        return "\n".join([f"<eocube.Losses: {len(lines)} granules, {self.windows} windows read>", *lines])


def as_message(losses: tuple[Loss, ...]) -> list[dict[str, Any]]:
    """Return losses as plain values."""
    return [asdict(loss) for loss in losses]


def of_message(records: list[dict[str, Any]]) -> tuple[Loss, ...]:
    """Return losses of plain values."""
    return tuple(Loss(**{**record, "window": tuple(record["window"])}) for record in records)
