"""What adding Items to an index did."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Changes:
    """What adding Items to an index did.

    Attributes
    ----------
    path : str
        The index.
    added : tuple of str
        Ids of Items that were not there.
    replaced : tuple of str
        Ids of Items that were there with an older ``updated``, or with none.
    kept : tuple of str
        Ids of Items that were there and are not older, and stay as they were.
    total : int
        Items that are in the index now.
    """

    path: str
    added: tuple[str, ...] = field(repr=False)
    replaced: tuple[str, ...] = field(repr=False)
    kept: tuple[str, ...] = field(repr=False)
    total: int = 0

    def __repr__(self) -> str:
        return (
            f"Changes({len(self.added):,} added, {len(self.replaced):,} replaced by newer ones, "
            f"{len(self.kept):,} kept as they were; {self.total:,} Items in {self.path})"
        )
