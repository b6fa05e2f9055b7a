"""A local index: an embedded catalog of Items in one stac-geoparquet file."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import CatalogError
from ..extras import check_needed
from ..htmls import page, pairs
from ..periods import Period
from .changes import Changes

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

    from .files import Opened

SUFFIXES = (".parquet", ".geoparquet")


class LocalIndex:
    """An embedded catalog: Items in one file, searched like an API, without a network.

    The file is stac-geoparquet, which other programs read too. Beside the columns of the
    specification it has one that holds each Item as it came, so that nothing is lost. Rows are
    sorted by place and time. Needs the extra ``index``.

    Parameters
    ----------
    path : path
        A ``.parquet`` file; it need not exist yet.

    Raises
    ------
    CatalogError
        If the path is a folder, or has another suffix.
    MissingExtraError
        If the extra ``index`` is not installed.

    Examples
    --------
    >>> import eocube, tempfile
    >>> world = eocube.sample.cached()
    >>> index = eocube.LocalIndex(tempfile.mkdtemp() + "/s2.parquet")
    >>> changes = index.add(world.items_path)
    >>> len(changes.added) == len(index) == len(world.item_ids)
    True
    >>> items = eocube.search(index, world.bbox, "2021-06/2022-06", max_cloud=90)
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        if self.path.is_dir():
            raise CatalogError(f"{path} is a folder: the index is a file, LocalIndex('s2.parquet').")
        if self.path.suffix.lower() not in SUFFIXES:
            raise CatalogError(f"{path} does not end in .parquet, as the file of an index does.")
        check_needed(("pyarrow", "filelock"), "A local index", "index")
        self._opened: tuple[tuple[int, ...], Opened] | None = None

    def add(self, items: Any, *, wait: float = 60) -> Changes:
        """Add Items, each (id and collection) once.

        The file is written anew and put in its place in one step: a run that is killed leaves the
        old one, and who is reading goes on reading it. Processes that add at the same time follow
        one another.

        Parameters
        ----------
        items : ItemCollection, iterable of Items or dicts, or path
            What :func:`eocube.search` returns; Items as pystac objects or dicts, also from a
            generator that yields more than fit into memory; a folder of Items, an ItemCollection
            file, a static catalog or another index.
        wait : float
            Seconds to wait for another process that is adding.

        Returns
        -------
        Changes
            Which were added, which replaced (those with an older ``updated``, or none where the new
            one has it), which kept.

        Raises
        ------
        ItemsError, NoItemsError
            If there is none, or one of them is no Item, has no geometry or no time. Nothing is added.
        CatalogError
            If the file there is not an index, or is damaged.
        OutputError
            If the file cannot be written, or another process is adding for longer than ``wait``.
        """
        from ..items import records_of
        from .building import build

        if isinstance(items, str | os.PathLike):
            items = _from_path(items)
        self._close()
        return build(self.path, records_of(items), wait)

    def find(
        self,
        shape: BaseGeometry | None = None,
        when: Period | None = None,
        *,
        collections: Sequence[str] = (),
        where: Mapping[str, Any] | None = None,
    ) -> list[dict[str, Any]]:
        """Return the Items, as they were added, that an API would find; in no particular order.

        :func:`eocube.search` is the one to call; it sorts, and looks at all conditions again.

        Parameters
        ----------
        shape : shapely geometry, optional
            In longitude and latitude; the Item's geometry intersects it.
        when : Period, optional
        collections : sequence of str
            Empty: all.
        where : mapping, optional
            Conditions as CQL2 JSON (and, or, isNull, in, comparisons of a property with a value).
            An Item that meets them is returned; one that does not may be, where the columns
            cannot tell.

        Raises
        ------
        CatalogError
            If the file is not there, not an index, or damaged.
        """
        from .packing import Packer
        from .searching import candidates, read_rows

        opened = self._open()
        rows = candidates(opened, None if shape is None else shape.bounds, when, collections, where)
        packer = Packer(opened.summary.dictionaries)
        with ThreadPoolExecutor(min(8, (os.cpu_count() or 1) + 1)) as pool:
            parts = pool.map(lambda group: read_rows(opened, group, rows[group], shape), rows)
            texts = [text for part in parts for text in part]
        return [packer.unpack(text) for text in texts]

    def __iter__(self) -> Iterator[dict[str, Any]]:
        from .packing import Packer
        from .searching import read_rows

        opened = self._open()
        packer = Packer(opened.summary.dictionaries)
        for group in range(opened.file.metadata.num_row_groups):
            for text in read_rows(opened, group, None, None):
                yield packer.unpack(text)

    def __len__(self) -> int:
        return self._open().summary.count if self.path.exists() else 0

    def __bool__(self) -> bool:
        return True  # also an empty one is an index

    @property
    def collections(self) -> dict[str, int]:
        """Items per collection."""
        return dict(self._open().summary.collections) if self.path.exists() else {}

    def __repr__(self) -> str:
        return f"LocalIndex({str(self.path)!r}: " + "; ".join(f"{a} {b}" for a, b in self._lines()) + ")"

    def _repr_html_(self) -> str:
        return page("eocube.LocalIndex", pairs((("file", str(self.path)), *self._lines())))

    def _lines(self) -> list[tuple[str, str]]:
        if not self.path.exists():
            return [("Items", "0 (there is no file yet)")]
        try:
            summary = self._open().summary
        except CatalogError as error:  # a repr never fails
            return [("damaged", str(error))]
        said = ", ".join(f"{name or 'none'} ({count:,})" for name, count in summary.collections.items())
        first, last = (edge[:10] for edge in summary.period)
        return [
            ("Items", f"{summary.count:,}"),
            ("collections", said),
            ("period", f"{first} to {last}"),
            ("bounds", ", ".join(f"{edge:.4f}" for edge in summary.bounds)),
            ("size", f"{self.path.stat().st_size / 1e6:,.1f} MB"),
        ]

    def _open(self) -> Opened:
        """Return the open file; opened again where another process has replaced it."""
        from .files import open_index

        try:
            stat = self.path.stat()
        except OSError:
            stat = None
        mark = () if stat is None else (stat.st_ino, stat.st_mtime_ns, stat.st_size)
        if self._opened is None or self._opened[0] != mark:
            self._close()
            self._opened = (mark, open_index(self.path))
        return self._opened[1]

    def _close(self) -> None:
        self._opened = None

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "_opened": None}


def is_index(path: str | os.PathLike[str]) -> bool:
    """Whether a path is meant to be an index: a file that ends in .parquet, or begins as one."""
    place = Path(path)
    if not place.is_file():
        return False
    if place.suffix.lower() in SUFFIXES:
        return True
    with place.open("rb") as file:
        return file.read(4) == b"PAR1"


def _from_path(path: str | os.PathLike[str]) -> Iterable[Any]:
    from ..folders import read_items

    return LocalIndex(path) if is_index(path) else read_items(path)
