"""Loader ``"cog"``: plain tiled TIFFs block by block, without GDAL.

Headers are read once per process. All blocks of a batch are asked for at once; each is decoded by
the calling thread into a buffer that is used again, and copied from there into the result. Other
files, and other ways to resample than nearest and bilinear, are left to GDAL.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from ..errors import ReadError
from ..retries import SAME, WRONG
from ..signing import unsigned
from ..tallies import note
from .base import Loader, Source, none_wanted, read_error
from .blocks import buffer, decode
from .crews import spread
from .directories import Broken, Foreign
from .headers import Header, forget, header, header_later, still_so
from .ranges import Changed, LocalFile, Unreadable, in_flight, merged, submit, version_of
from .rio import RioLoader
from .sampling import cut, parts, rows_of, scales
from .shared import drop, fetched
from .targets import Block, Target, Way, target
from .tiffs import Level

_GDAL_THREADS = 8
"""Remote files that GDAL reads at once, while the others' bytes come in."""

_COARSEST = 2**16
"""An output pixel may be so many times larger than the file's; beyond, a header lies."""

Looks = Sequence[NDArray[np.bool_] | None] | None


@dataclass(frozen=True)
class CogLoader:
    """Reads tiled TIFFs of unsigned 8 or 16 bits itself, and all else with another loader.

    Attributes
    ----------
    other : Loader
        Reads the files that are of another kind.
    """

    other: Loader = field(default_factory=RioLoader)

    def __call__(self, sources: Sequence[Source], geobox: GeoBox, wanted: Looks = None) -> NDArray[Any]:
        """Return digital numbers (source, y, x); see :class:`eocube.loaders.Loader`."""
        for _ in range(len(sources) + WRONG):
            try:
                return self._load(sources, geobox, wanted)
            except _Stale as stale:
                changed = stale.source
                forget(changed.href)
        raise read_error(changed, Changed())

    def describe(self, sources: Sequence[Source]) -> str:
        """Say, as far as hrefs tell, which files this loader reads and which it leaves."""
        paths = [source.href.partition("?")[0].lower() for source in sources]
        others = sum(not path.endswith((".tif", ".tiff")) for path in paths)
        mine = f"cog reads {len(paths) - others} files"
        return f"{mine}, rio {others} that are no TIFF" if others else f"{mine} (rio what it cannot)"

    def _load(self, sources: Sequence[Source], geobox: GeoBox, wanted: Looks) -> NDArray[Any]:
        dtype = np.result_type(*(np.dtype(source.dtype) for source in sources))
        out = np.zeros((len(sources), *geobox.shape), dtype=dtype)  # untouched pages cost nothing
        for source, layer in zip(sources, out, strict=True):
            if source.nodata:
                layer.fill(source.nodata)
        jobs, large, others = _jobs(sources, geobox, wanted, out)
        later = [index for index in others if "://" in sources[index].href]
        waiting = [submit(self._leave, sources, geobox, wanted, out, i, threads=_GDAL_THREADS) for i in later]
        try:
            spread(_local(jobs))
            spread(_remote(jobs))
            self._in_parts(sources, geobox, wanted, out, large)
            for index in others:
                if index not in later:
                    self._leave(sources, geobox, wanted, out, index)
            for call in waiting:
                call.result()
        finally:
            for call in waiting:
                call.cancel()
        return out

    def _in_parts(
        self, sources: Sequence[Source], geobox: GeoBox, wanted: Looks, out: NDArray[Any],
        large: dict[int, int],
    ) -> None:
        """Read those whose windows are too large, a part of the rows at a time."""
        own = [sources[index] for index in large]
        for rows in rows_of(geobox, max(large.values(), default=0)):
            looks = [None if wanted is None else wanted[index] for index in large]
            parts_of = [None if look is None else look[rows] for look in looks]
            for index, found in zip(large, self._load(own, geobox[rows, :], parts_of), strict=True):
                out[index, rows] = found

    def _leave(
        self, sources: Sequence[Source], geobox: GeoBox, wanted: Looks, out: NDArray[Any], index: int
    ) -> None:
        look = None if wanted is None else [wanted[index]]
        out[index] = self.other([sources[index]], geobox, look)[0]


class _Stale(Exception):  # noqa: N818 - no error: the header is read again
    """The header was kept from an earlier call, and the file has changed since."""

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self.source = source


@dataclass
class _Job:
    """What is to be read of a file."""

    source: Source
    header: Header
    level: Level
    target: Target
    blocks: list[Block]
    blank: list[Block] = field(default_factory=list)
    left: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        counts = self.level.counts
        self.blank = [block for block in self.blocks if not counts[block]]
        self.blocks = [block for block in self.blocks if counts[block]]
        self.left = len(self.blocks)

    @property
    def shared(self) -> bool:
        """Whether its blocks are kept for other chunks: classes and the like, small and for masks."""
        return self.level.dtype.itemsize == 1

    def put(self, block: Block, data: Any) -> None:
        """Decode a block to where it belongs."""
        alike = 0
        for _ in range(WRONG):
            try:
                goal = self.target.goal(block)
                pixels = decode(data, self.level, *self.target.needs(block), goal)
            except Broken as broken:
                reason = str(broken)
            else:
                if goal is None:
                    self.target.put(block, pixels)
                with self.lock:
                    self.left -= 1
                    done = not self.left
                if done:
                    self.end()
                return
            fresh = self.again(block, data, reason, last=alike == SAME)
            alike = alike + 1 if fresh is None else 0
            data = data if fresh is None else fresh
        raise self.failure(block, reason)

    def again(self, block: Block, damaged: Any, reason: str, *, last: bool) -> Any:
        """Return the bytes of a damaged block once more; None if they are the same again."""
        header = self.header
        failure: Exception = self.failure(block, reason)
        try:
            data = header.place.other(*self.place(block), header.version, damaged)
            if data is not None or not (last or isinstance(header.place, LocalFile)):
                return data
            if not still_so(self.source, header):  # it was the header that was damaged
                forget(self.source.href)
                failure = _Stale(self.source)
        except Changed:
            failure = self.changed()
        except (Unreadable, Broken) as error:
            failure = self.failure(block, f"{reason}; {error}")
        raise failure

    def end(self) -> None:
        """Finish, when all blocks were put."""
        for block in self.blank:
            value = self.header.tiff.nodata or 0  # what GDAL reads where a file has no block
            own = self.level.dtype.newbyteorder("=")
            rows, columns = self.target.needs(block)
            shape = rows.stop - rows.start, columns.stop - columns.start
            self.target.put(block, np.full(shape, value, dtype=own))
        self.target.finish()

    def failure(self, block: Block, why: object) -> ReadError:
        """Return the error for a block."""
        drop(unsigned(self.source.href))
        return read_error(self.source, f"block (row {block.row}, column {block.column}): {why}")

    def changed(self) -> Exception:
        """Return what is to be raised when the file is not the one of the header."""
        forget(self.source.href)
        try:
            stale = self.header.kept or not still_so(self.source, self.header)
        except (Unreadable, Broken) as error:
            return read_error(self.source, error)
        return _Stale(self.source) if stale else read_error(self.source, Changed())

    def place(self, block: Block) -> tuple[int, int]:
        """Return where a block lies in the file; checked."""
        start = int(self.level.offsets[block.row, block.column])
        count = int(self.level.counts[block.row, block.column])
        if self.level.compression == "none":
            count = min(count, self.level.raw)
        if start + count > self.header.tiff.size:
            size = self.header.tiff.size
            raise self.failure(block, f"it should end at byte {start + count}, the file ends at byte {size}")
        if count > 2 * self.level.raw + 65536 or start < 8:
            raise self.failure(block, f"it should be {count} bytes at byte {start}")
        return start, start + count


def _jobs(
    sources: Sequence[Source], geobox: GeoBox, wanted: Looks, out: NDArray[Any]
) -> tuple[list[_Job], dict[int, int], list[int]]:
    """Plan what is to be read.

    Also return the indices of the sources whose windows are too large, and in how many parts they are to
    be read; and the indices of the sources that are not ours.
    """
    asked: dict[int, Future[Header] | None] = {
        index: header_later(source) for index, source in enumerate(sources) if not none_wanted(wanted, index)
    }
    ways: dict[Any, Way] = {}
    jobs: list[_Job] = []
    large: dict[int, int] = {}
    others = []
    for index, future in asked.items():
        source = sources[index]
        look = None if wanted is None else wanted[index]
        try:
            found = header(source) if future is None else future.result()
            level = _level(found, source, geobox)
            own = level.grid
            key = str(own.crs), own.affine, tuple(own.shape), source.resampling  # to hash a CRS is slow
            if key not in ways:
                ways[key] = Way(cut(own, geobox, source.resampling))
            goal, blocks = target(level, found.tiff.nodata, ways[key], source, out[index], look)
            count = 1 if ways[key].direct else parts(ways[key].how, level.dtype.itemsize)
            if count > 1:
                large[index] = count
                continue
            jobs.append(_Job(source, found, level, goal, blocks))
            continue
        except Foreign:
            others.append(index)
            continue
        except (Unreadable, Broken, ValueError) as error:
            failure = read_error(source, error)
        raise failure
    return jobs, large, others


def _level(found: Header, source: Source, geobox: GeoBox) -> Level:
    """Return the coarsest overview that is not coarser than the output, or the full resolution."""
    levels = found.tiff.levels
    if max(scales(levels[0].grid, geobox)) > _COARSEST:
        raise Broken(f"its pixels are less than 1 / {_COARSEST} of the output's")
    if not source.overviews or len(levels) == 1:
        return levels[0]
    size = min(scales(levels[0].grid, geobox)) * (1 + 1e-6)
    fitting = [index for index, factor in enumerate(found.tiff.factors, 1) if factor <= size]
    return levels[fitting[-1]] if fitting else levels[0]


def _local(jobs: list[_Job]) -> Iterator[Callable[[], None]]:
    """Yield what reads a file from the disk."""
    for job in jobs:
        if isinstance(job.header.place, LocalFile):
            yield partial(_read_local, job, job.header.place)


def _read_local(job: _Job, place: LocalFile) -> None:
    if not job.blocks:
        job.end()
        return
    try:
        # Opened anew and unbuffered: safe between threads, one copy, no handle is kept.
        with open(place.path, "rb", buffering=0) as file:  # noqa: PTH123
            if version_of(os.fstat(file.fileno())) != job.header.version:
                raise job.changed()
            for block in job.blocks:
                start, stop = job.place(block)
                note("bytes", stop - start)
                data = buffer("bytes", stop - start)
                file.seek(start)
                if file.readinto(data.data) != stop - start:
                    raise job.failure(block, "the file ends within it")
                job.put(block, data)
            if version_of(os.fstat(file.fileno())) != job.header.version:
                raise job.changed()
            return
    except ReadError:
        raise
    except OSError as error:
        failure = read_error(job.source, error.strerror or error)
    raise failure


def _remote(jobs: list[_Job]) -> Iterator[Callable[[], None]]:
    """Yield what decodes the blocks of an answer, as the answers of servers come."""
    away = [job for job in jobs if not isinstance(job.header.place, LocalFile)]
    for job in away:
        if not job.blocks:
            yield job.end
    for answer in in_flight(_calls(away)):
        yield partial(_decode, *answer)


def _decode(job: _Job, start: int, data: memoryview, inside: list[tuple[Block, tuple[int, int]]]) -> None:
    for block, (first, last) in inside:
        job.put(block, data[first - start : last - start])


_Fetched = tuple[_Job, int, memoryview, list[tuple[Block, tuple[int, int]]]]


def _calls(jobs: list[_Job]) -> Iterator[tuple[int, Callable[[], _Fetched]]]:
    """Yield the requests: how many bytes, and how to get them."""
    for job in jobs:
        places = [job.place(block) for block in job.blocks]
        ranges = merged(places) if not job.shared else [(at, [i]) for i, at in enumerate(places)]
        for (start, stop), indices in ranges:
            inside = [(job.blocks[index], places[index]) for index in indices]
            yield stop - start, partial(_fetch, job, start, stop, inside)


def _fetch(job: _Job, start: int, stop: int, inside: list[tuple[Block, tuple[int, int]]]) -> _Fetched:
    try:
        read = partial(job.header.place.read, start, stop, job.header.version)
        key = unsigned(job.source.href), job.header.version, start, stop
        data = memoryview(fetched(key, read) if job.shared else read())
    except Changed:
        failure = job.changed()
    except Unreadable as error:
        failure = job.failure(inside[0][0], error)
    else:
        return job, start, data, inside
    raise failure
