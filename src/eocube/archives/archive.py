"""An archive: a recipe, a ledger and a place, as one thing to plan, run and look at."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..cells import cells_of
from ..errors import ArchiveError, InputError, OutputError, RecipeError, shorten
from ..writers.fullness import disk_is_full
from .bars import cells_bar, counted
from .files import read_recipe, recipe_from
from .leases import LEASE
from .ledgers import Ledger, Outcome
from .places import Place, place_of
from .planning import planned
from .recipes import Recipe
from .runs import Run, Runner
from .shelves import write_shelf
from .tables import ledger_url

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger("eocube.archive")

LEDGER = "ledger.sqlite"

_PLANNED = {
    "state": "planned", "good": None, "scenes": 0, "attempts": 0, "seconds": 0.0, "read_bytes": 0,
    "requests": 0, "relaxed": False, "started": "", "ended": "", "why": "",
}  # fmt: skip
"""What the ledger will say of a cell when it is begun."""


class Archive:
    """A cloud-free archive of MGRS cells: planned, made cell by cell, resumed, watched.

    Parameters
    ----------
    out : path
        A folder, or ``"s3://bucket/key"``.
    recipe : Recipe or path, optional
        Default: the one that the archive at ``out`` was begun with.
    ledger : path or URL, optional
        Where it is written down which cells are done. Default: ``ledger.sqlite`` in the folder. For runners
        on many machines a database, ``"postgresql+psycopg://user@host/name"``; for S3 one must be given.
    catalog : optional
        Where to search, instead of what the recipe names; anything :func:`eocube.search` takes.
    memory : int or str
        What a task may take.
    lease : float
        Seconds without a sign of life after which a runner on another machine counts as gone.

    Raises
    ------
    ArchiveError
        If the archive was begun with another recipe (it says which fields differ), there is none and no
        recipe was given, or the ledger cannot be used.
    RecipeError
        If the recipe cannot be used.
    OutputError
        If the folder cannot be made.

    Examples
    --------
    >>> import eocube, tempfile
    >>> world = eocube.sample.cached()
    >>> recipe = eocube.Recipe(
    ...     "year", "2021-06/2022-05", cells=("33TTN", "32TQT"), bands=("B02", "B03", "B04"),
    ...     catalog=str(world.items_path),
    ... )
    >>> archive = eocube.Archive(tempfile.mkdtemp(), recipe)
    >>> run = archive.run(bar=False)
    >>> run.done, run.failed
    (['32TQT', '33TTN'], [])
    >>> sorted(item.id for item in eocube.search(archive.catalog_path))
    ['32TQT_2021-06-01_2022-06-01', '33TTN_2021-06-01_2022-06-01']
    """

    def __init__(
        self,
        out: str | os.PathLike[str],
        recipe: Recipe | str | os.PathLike[str] | None = None,
        *,
        ledger: str | os.PathLike[str] | None = None,
        catalog: Any = None,
        memory: int | str = "1GB",
        lease: float = LEASE,
    ) -> None:
        self.place: Place = place_of(out)
        wanted = read_recipe(recipe) if isinstance(recipe, str | os.PathLike) else recipe
        if wanted is not None and not isinstance(wanted, Recipe):
            raise RecipeError(f"A Recipe or the path of its file is needed, not {type(wanted).__name__}.")
        self._own_ledger = ledger is None
        self.ledger = self._ledger(ledger, wanted, lease)
        kept = self.ledger.recipe()
        if wanted is None and kept is None:
            raise ArchiveError(f"There is no archive in {self.place}: begin one with a recipe.")
        if wanted is not None and kept is not None:
            self._check_same(wanted, kept)
        found = wanted or kept
        assert found is not None
        self.recipe: Recipe = found
        self.begun = kept is not None
        self.memory = memory
        self._catalog = found.catalog if catalog is None else catalog
        if isinstance(self._catalog, tuple):
            self._catalog = list(self._catalog)

    def _ledger(self, given: Any, recipe: Recipe | None, lease: float) -> Ledger:
        if given is None:
            if self.place.local is None:
                raise InputError(f"{self.place} is on S3: say where the ledger is, ledger='mine.sqlite'.")
            # A folder holds one archive, whatever its name.
            return Ledger(ledger_url(self.place.local / LEDGER), "", lease=lease)
        return Ledger(ledger_url(given), "" if recipe is None else recipe.name, lease=lease)

    def _check_same(self, wanted: Recipe, kept: Recipe) -> None:
        if wanted.hash != kept.hash:
            raise ArchiveError(
                f"{self.place} holds an archive of another recipe: {'; '.join(wanted.differences(kept))}. "
                "Take that recipe, or another folder."
            )

    def _check_place(self) -> None:
        """Refuse a place whose cells are not those of the ledger; plan anew what was deleted of them."""
        if text := self.place.recipe():
            try:
                there = recipe_from(json.loads(text))
            except (InputError, ValueError, AttributeError) as error:
                raise ArchiveError(f"recipe.json in {self.place} cannot be read: {error}") from error
            self._check_same(self.recipe, there)
        done = [row["cell"] for row in self.ledger.rows() if row["state"] == "done"]
        gone = [cell for cell in done if self.place.lacks(self.recipe.identity(cell))]
        if gone and not self._own_ledger:
            raise ArchiveError(
                f"The ledger says that {shorten(gone)} is made, but {self.place} holds no Item of it: is it "
                "the ledger of an archive in another place?"
            )
        for cell in gone:
            if self.ledger.anew(cell):
                log.warning("%s is made anew: there is no Item of it in %s", cell, self.place)

    def _sweep(self) -> None:
        """Remove what runs that were killed have left."""
        left = self.place.left()
        holders = self.ledger.holders()
        self.place.sweep(left, {self.recipe.identity(cell): mark for cell, mark in holders.items()})

    @property
    def cells(self) -> tuple[str, ...]:
        """The MGRS tiles of the recipe, those of its area among them."""
        if self.recipe.area is None:
            return self.recipe.cells
        return tuple(dict.fromkeys([*self.recipe.cells, *cells_of(self.recipe.area)]))

    @property
    def catalog_path(self) -> Path:
        """``catalog.json`` of the archive, which :func:`eocube.search` and STAC browsers read."""
        if self.place.local is None:
            raise InputError(f"{self.place} is on S3: search a copy of it in a folder.")
        return self.place.local / "catalog.json"

    def plan(self, cells: Iterable[str] | None = None, *, bar: bool | None = None) -> pd.DataFrame:
        """Say what each cell will be made of, and cost, from metadata alone.

        Parameters
        ----------
        cells : iterable of str, optional
            Which; all by default.
        bar : bool, optional
            Whether to show a bar. Default: in a terminal.

        Returns
        -------
        pandas.DataFrame
            A row per cell: ``cell``, ``state``, ``items`` (found), ``scenes`` (passes taken), ``first`` and
            ``last`` date, ``files``, ``gigabytes`` (to read, about), ``requests``, ``hours`` (on the cores
            there are); cells without scenes are there too. ``attrs["total"]`` has the sums.
        """
        states = {row["cell"]: row["state"] for row in self.ledger.rows()}
        wanted = counted(self.cells if cells is None else tuple(cells), bar)
        return planned(self.recipe, wanted, states, self._catalog, self.memory)

    def run(
        self,
        *,
        resume: bool = True,
        retry_failed: bool = False,
        only_below: float | None = None,
        relax: bool = False,
        max_cells: int | None = None,
        bar: bool | None = None,
        told: Callable[[str, Outcome | None], None] | None = None,
    ) -> Run:
        """Make the cells that are planned, on Dask's threads or the cluster whose client is open.

        Several runners may work at one archive at once, in as many processes or machines: no cell is made
        twice. A cell is there whole or not at all; a run that was killed is resumed by running again.

        Parameters
        ----------
        resume : bool
            False: refuse an archive that was begun before.
        retry_failed : bool
            Cells that failed are planned anew, and those for which there were no scenes.
        only_below : float, optional
            With ``relax``: cells that are done with a smaller good share (0 to 1) are made anew, by the
            recipe's ladder.
        relax : bool
            See ``only_below``.
        max_cells : int, optional
            Stop after so many.
        bar : bool, optional
            Whether to show a bar. Default: in a terminal and in a notebook.
        told : callable, optional
            Called with each cell as it begins (and None) and as it ends (and its Outcome).

        Returns
        -------
        Run
            What was done. A cell that fails does not end the run: its cause is in :meth:`status`.

        Raises
        ------
        ArchiveError
            If the ledger cannot be used, or ``resume=False`` and the archive was begun before.
        OutputError
            If there is no room left; the cell is given back.
        ClusterError
            If the cluster was lost; the cell is given back.
        InputError
            If the options do not go together.
        """
        if self.begun and not resume:
            raise ArchiveError(f"{self.place} holds this archive already: resume it, or take another folder.")
        _check_asked(only_below, relax, max_cells)
        cells = self.cells
        with self._room():
            self.place.make()
            self._check_place()
            self.ledger.begin(self.recipe, cells)
            self.begun = True
            self._sweep()
            self.ledger.again(failed=retry_failed, below=only_below, relax=relax, cells=cells)
        runner = Runner(self.recipe, self._catalog, self.place, self.ledger, cells, self.memory)
        with cells_bar(self.ledger, bar) as shown:

            def both(cell: str, outcome: Outcome | None) -> None:
                shown(cell, outcome)
                if told is not None:
                    told(cell, outcome)

            try:
                done = runner.run(max_cells=max_cells, told=both)
            except BaseException:
                with suppress(Exception):  # what stopped the run is what should be heard
                    self._write_shelf()
                raise
        self._write_shelf()
        self._sweep()
        return done

    def _write_shelf(self) -> None:
        with self._room():
            write_shelf(self.recipe, self.place, self.ledger)

    @contextmanager
    def _room(self) -> Iterator[None]:
        """Say of a disk that is full what to do."""
        try:
            yield
        except Exception as error:
            if disk_is_full(error):
                raise OutputError(
                    f"There is no room left at {self.place} for its ledger or its catalog: make room and run "
                    "again with resume."
                ) from error
            raise

    def status(self) -> pd.DataFrame:
        """Return the ledger: a row per cell.

        Returns
        -------
        pandas.DataFrame
            ``cell``, ``state`` (planned, running, done, empty, failed), ``good`` (share of pixels with
            data, 0 to 1), ``scenes``, ``attempts``, ``seconds``, ``read_bytes``, ``requests``, ``relaxed``,
            ``started``, ``ended`` (UTC, text), ``why``.
        """
        import pandas as pd

        names = (
            "cell", "state", "good", "scenes", "attempts", "seconds", "read_bytes", "requests", "relaxed",
            "started", "ended", "why",
        )  # fmt: skip
        return pd.DataFrame(self._rows(), columns=list(names))

    def report(self, path: str | os.PathLike[str]) -> Path:
        """Write a report: one page of HTML that needs no network.

        It has a map of the cells by state and good share, the failures by cause, the slowest cells and those
        with the smallest good share, bytes and times, and the recipe.

        Parameters
        ----------
        path : path
            ``.html``; what is there is replaced.

        Returns
        -------
        Path

        Raises
        ------
        OutputError
            If it cannot be written.
        """
        from ..writers.outputs import check_output, whole
        from .reports import report

        file = check_output(path, overwrite=True)
        text = report(self.recipe, self.place.local or self.place, self._rows())
        with whole(file) as final:
            final.write_text(text, encoding="utf-8")
        return file

    def _rows(self) -> list[dict[str, Any]]:
        """Return the ledger's rows; before the first run, what they will be."""
        return self.ledger.rows() or [{"cell": cell, **_PLANNED} for cell in self.cells]

    def _repr_html_(self) -> str:
        from .reports import summary

        return summary(self.recipe, self.place, self._rows())

    def close(self) -> None:
        """Close the ledger."""
        self.ledger.close()

    def __repr__(self) -> str:
        states = self.status()["state"].value_counts()
        order = ("done", "running", "planned", "empty", "failed")
        said = ", ".join(f"{states[name]:,} {name}" for name in order if name in states)
        own = self.recipe
        lines = {
            "place": self.place,
            "period": own.period,
            "cells": f"{len(self.cells):,}: {said}",
            "recipe": f"{own.hash[:12]}: {own.reducer}, {own.mask}, {own.scenes} scenes, {own.grid}",
        }
        return "\n".join([f"<eocube.Archive {own.name}>", *(f"  {k:<8}{v}" for k, v in lines.items())])


def _check_asked(only_below: float | None, relax: bool, max_cells: int | None) -> None:
    """Refuse options of a run that do not go together, before anything is made."""
    if (only_below is None) == relax:
        raise InputError("only_below= and relax= go together: run(only_below=0.9, relax=True).")
    if only_below is not None and not 0 <= only_below <= 1:
        raise InputError(f"only_below={only_below!r} is no share: give 0 to 1.")
    if max_cells is not None and (
        isinstance(max_cells, bool) or not isinstance(max_cells, int) or max_cells < 1
    ):
        raise InputError(f"max_cells={max_cells!r}: give 1 or more.")
