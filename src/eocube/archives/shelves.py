"""The shelf of an archive: the Collection, the Catalog and the table of all Items, for whoever opens it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..extras import needed
from ..writers.outputs import whole
from ..writers.shelves import write_catalog
from .ledgers import Ledger
from .places import Place
from .recipes import Recipe


def write_shelf(recipe: Recipe, place: Place, ledger: Ledger) -> None:
    """Write ``catalog.json``, ``collection.json``, ``items.parquet`` and ``recipe.json``, of all done cells.

    Runners that finish at once may write it at once: who finds that a cell was finished meanwhile writes it
    again, so the last that is written knows all.
    """
    while True:
        made = ledger.made()
        if not made:
            return
        with place.shelf() as folder:
            # One that is being made anew may be missing for a moment, or until its runner is resumed.
            found = [
                name
                for cell, (state, *_) in made.items()
                if place.fetch_item(name := recipe.identity(cell), folder, must=state == "done")
            ]
            if found:
                _write(recipe, folder, sorted(found))
        if ledger.made() == made:
            return


def _write(recipe: Recipe, folder: Path, names: list[str]) -> None:
    title = recipe.title or recipe.name
    said = f"Cloud-free composites of Sentinel-2, {recipe.period}: {recipe.reducer} under {recipe.mask}"
    files = [folder / name / f"{name}.json" for name in names]
    items = [(file, json.loads(file.read_text(encoding="utf-8"))) for file in files]
    write_catalog(
        folder, recipe.name, items, title=title, description=recipe.description or said,
        license=recipe.license, overwrite=True,
    )  # fmt: skip
    recipe.save(folder / "recipe.json")
    _write_table([item for _, item in items], folder / "items.parquet")


def _write_table(items: list[dict[str, Any]], path: Path) -> None:
    """Write stac-geoparquet; hrefs stay relative to each Item's own place, ``<id>/``."""
    rustac = needed("stac_geoparquet.arrow", "items.parquet", "archive")
    for item in items:
        for asset in item["assets"].values():
            asset["href"] = f"./{item['id']}/{str(asset['href']).removeprefix('./')}"
        item["links"] = [link for link in item["links"] if link["rel"] == "derived_from"]
    with whole(path) as final:
        table = rustac.parse_stac_items_to_arrow(items)
        rustac.to_parquet(table, str(final))
