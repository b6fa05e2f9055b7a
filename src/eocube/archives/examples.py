"""Examples: a recipe file with all its fields and what they mean, to begin with."""

from __future__ import annotations

import json
import os
import textwrap
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

from ..errors import OutputError, RecipeError
from ..writers.outputs import check_output, whole
from .recipes import VERSION, Recipe

MEANINGS: dict[str, tuple[str, Any]] = {
    "name": ("Id of the Collection: letters, digits, '_', '-', '.'.", "my-archive"),
    "period": ("A year, months or days, both ends included: '2023', '2023-05/2023-09'.", "2023"),
    "cells": ("MGRS tiles.", ["33TWM", "33TWL"]),
    "area": (
        "Instead of cells, or besides: every tile that it touches. West, south, east, north in degrees, or a "
        "vector file.",
        [14.9, 45.9, 15.9, 46.9],
    ),
    "catalog": (
        "Where to search: a name (earth-search, planetary-computer ...), the url of a STAC API, a path. A "
        "list: where the first has gaps.",
        None,
    ),
    "l1c": (
        "Where to search the Level-1C Items that S2Cloudless in a mask needs: a name, a url, a path.",
        "earth-search-l1c",
    ),
    "scenes": ("How many passes a cell is made of, the best first; or 'all'.", None),
    "max_cloud": ("Greatest cloud cover of an Item, in percent.", 80),
    "months": ("Months of the year.", [5, 6, 7, 8, 9]),
    "bands": ("Bands, by ESA's or common names.", None),
    "tci": ("Whether to make the true colour image, of B04, B03 and B02.", None),
    "mask": (
        "What is thrown away, as masks print themselves: SCLMask('strict').dilate(metres=60), SCLMask() | "
        "ProjectedShadow(of=SCLMask()); 'none': nothing is.",
        None,
    ),
    "reducer": ("How a pixel is made of its clear dates: Median(), Percentile(25), Medoid() ...", None),
    "grid": (
        "'utm', the tile's own pixels of 10, 20 and 60 m; or 'web', EPSG:3857 at zoom 14, 13 and 12 (9.55, "
        "19.1 and 38.2 m).",
        None,
    ),
    "relax": (
        "What is tried, in this order, with --relax where a pixel has no clear date: more lenient masks, and "
        "years=1, the same days of the year before and after.",
        None,
    ),
    "min_count": (
        "Clear dates that a pixel needs, or the next of relax is tried; where none has so many, one is "
        "enough.",
        None,
    ),
    "on_error": ("A file that cannot be read: 'raise', its cell fails; 'skip', it is left out.", None),
    "title": ("Of the Collection, for people.", "My archive"),
    "description": ("Of the Collection.", "Cloud-free, all of 2023"),
    "license": ("Of the Collection, as SPDX writes it.", None),
}
"""Of each field: what it means, and an example where its default says nothing."""

_CHOICE = ("cells", "name", "period")  # fields that an example cannot leave to their defaults


def example(kind: str = "yaml") -> str:
    """Return a recipe file with every field and its meaning: what can be left out is commented out.

    Parameters
    ----------
    kind : {"yaml", "toml"}
    """
    equals = " = " if kind == "toml" else ": "
    lines = ["# A recipe of `eocube archive`. Fields behind a '#' have their default, or an example (e.g.)."]
    lines += ["", f"version{equals}{VERSION}", ""]
    for one in fields(Recipe):
        meaning, given = MEANINGS[one.name]
        own = one.default if one.default is not MISSING else None
        lines += textwrap.wrap(meaning, 100, initial_indent="# ", subsequent_indent="# ")
        value = json.dumps(own if given is None else given)
        if one.name in _CHOICE:
            lines.append(f"{one.name}{equals}{value}")
        else:
            lines.append(f"#{one.name}{equals}{value}{'' if given is None else '  # e.g.'}")
        lines.append("")
    return "\n".join(lines)


def table_of_fields() -> str:
    """Return the fields as a table of Markdown, for the documentation."""
    lines = ["| field | default | meaning |", "|---|---|---|"]
    for one in fields(Recipe):
        if one.default is MISSING:
            own = "needed"
        elif one.default in (None, (), ""):
            own = ""
        else:
            own = f"`{json.dumps(one.default)}`"
        meaning = MEANINGS[one.name][0].replace("|", "\\|")
        lines.append(f"| `{one.name}` | {own} | {meaning} |")
    return "\n".join(lines)


def write_example(path: str | os.PathLike[str]) -> Path:
    """Write :func:`example`, as YAML or TOML by the ending.

    Raises
    ------
    RecipeError
        If the ending is another.
    OutputError
        If it is there already, or cannot be written.
    """
    kind = Path(path).suffix.lower().lstrip(".")
    if kind not in ("yaml", "yml", "toml"):
        raise RecipeError(f"{path}: write a .yaml or a .toml file.")
    if Path(path).exists():
        raise OutputError(f"{path} is there already: write to another file.")
    place = check_output(path)
    with whole(place) as final:
        final.write_text(example("toml" if kind == "toml" else "yaml"), encoding="utf-8")
    return place
