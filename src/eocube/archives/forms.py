"""Forms: the fields of a recipe as YAML, TOML or JSON, and back."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import OutputError, RecipeError
from ..extras import needed


def written(said: Mapping[str, Any], file: Path) -> str:
    """Return fields as the text of a file, by its ending.

    Raises
    ------
    OutputError
        If the ending is of no form that is written.
    MissingExtraError
        If YAML is asked for and cannot be written.
    """
    kind = file.suffix.lower()
    if kind == ".json":
        return json.dumps(said, indent=2) + "\n"
    if kind in (".yaml", ".yml"):
        yaml = needed("yaml", "A recipe in YAML", "archive", "JSON works without.")
        return str(yaml.safe_dump(said, sort_keys=False, allow_unicode=True))
    raise OutputError(f"{file}: a recipe is written as .yaml or .json.")


def parsed(text: str, file: Path) -> Any:
    """Return what the text of a file says, by its ending.

    Raises
    ------
    RecipeError
        If it is not of that form, or the ending is of none.
    MissingExtraError
        If it is YAML, which cannot be read.
    """
    kind = file.suffix.lower()
    try:
        if kind == ".toml":
            return tomllib.loads(text)
        if kind == ".json":
            return json.loads(text)
        if kind in (".yaml", ".yml"):
            yaml = needed("yaml", "A recipe in YAML", "archive", "TOML and JSON work without.")
            try:
                return yaml.safe_load(text)
            except yaml.YAMLError as error:
                raise RecipeError(f"{file} is no YAML: {error}") from error
            except (LookupError, AttributeError, TypeError) as error:  # "!!int ''" and the like
                raise RecipeError(f"{file} holds a value that is none of its type: {error}") from error
    except (ValueError, RecursionError) as error:
        if isinstance(error, RecipeError):
            raise
        raise RecipeError(f"{file} cannot be read: {error}") from error
    raise RecipeError(f"{file}: a recipe is a .yaml, .toml or .json file.")
