"""Recipe files: read, checked, their paths made absolute."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from ..errors import RecipeError, did_you_mean
from .checks import shown
from .forms import parsed
from .recipes import VERSION, Recipe

MOST = 10_000_000
"""Bytes a recipe file may have."""


def read_recipe(path: str | os.PathLike[str]) -> Recipe:
    r"""Read a recipe file.

    Parameters
    ----------
    path : path
        ``.yaml``, ``.toml`` or ``.json``: the fields of :class:`Recipe`, and ``version: 1``. A relative
        path in ``area``, ``catalog`` or ``l1c`` is meant from the file's folder.

    Raises
    ------
    RecipeError
        If it cannot be read, or a field is unknown, missing or unusable.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> file = pathlib.Path(tempfile.mkdtemp()) / "summer.toml"
    >>> _ = file.write_text('version = 1\nname = "summer"\nperiod = "2023"\ncells = ["33TWM"]\n')
    >>> read_recipe(file).cells
    ('33TWM',)
    """
    file = Path(path)
    try:
        if file.stat().st_size > MOST:
            raise RecipeError(f"{file} is no recipe: it has {file.stat().st_size:,} bytes.")
        text = file.read_text(encoding="utf-8-sig")
    except RecipeError:
        raise
    except (OSError, ValueError) as error:
        raise RecipeError(f"The recipe {file} cannot be read: {error}.") from error
    said = parsed(text, file)
    if not isinstance(said, Mapping):
        raise RecipeError(f"{file} holds no recipe: write fields, such as 'name: summer'.")
    try:
        return _resolved(recipe_from(said), file.resolve().parent)
    except RecipeError as error:
        raise RecipeError(f"{file.name}: {error}") from error


def recipe_from(said: Mapping[str, Any]) -> Recipe:
    """Return the recipe that fields of a file make.

    Raises
    ------
    RecipeError
        If a field is unknown, missing or unusable, or the version is another one.
    """
    given = {str(name): value for name, value in said.items()}
    version = given.pop("version", None)
    if version != VERSION or isinstance(version, bool):
        raise RecipeError(f"version: {shown(version)} is not known; this eocube reads version: {VERSION}.")
    known = {one.name: one for one in fields(Recipe)}
    for name in given:
        if name not in known:
            raise RecipeError(f"{name!r:.60} is no field of a recipe.{did_you_mean(name[:60], known)}")
    for name in ("name", "period"):
        if name not in given:
            raise RecipeError(f"The recipe lacks {name!r}.")
    lists = {name: tuple(value) for name, value in given.items() if isinstance(value, list)}
    return Recipe(**(given | lists))


def _resolved(recipe: Recipe, folder: Path) -> Recipe:
    """Return it with the paths of its file made absolute."""

    def placed(text: Any) -> Any:
        there = isinstance(text, str) and "://" not in text and not Path(text).is_absolute()
        # Unlike Path.exists it raises no error of names that cannot be.
        return str(folder / text) if there and os.path.exists(folder / text) else text  # noqa: PTH110

    catalog = recipe.catalog
    moved: Any = placed(catalog) if isinstance(catalog, str) else tuple(map(placed, catalog))
    return replace(recipe, catalog=moved, l1c=placed(recipe.l1c), area=placed(recipe.area))
