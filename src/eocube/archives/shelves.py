"""The shelf of an archive: the Collection, the Catalog and the table of all Items, for whoever opens it."""

from __future__ import annotations

import json
from pathlib import Path

from ..extras import needed
from ..writers.outputs import whole
from ..writers.shelves import write_collection
from .ledgers import Ledger
from .places import Place
from .recipes import Recipe


def write_shelf(recipe: Recipe, place: Place, ledger: Ledger) -> None:
    """Write ``catalog.json``, ``collection.json``, ``items.parquet`` and ``recipe.json``, of all done cells.

    Runners that finish at once may write it at once: who finds that a cell was finished meanwhile writes it
    again, so the last that is written knows all.
    """
    while True:
        done = ledger.done()
        if not done:
            return
        with place.shelf() as folder:
            for cell in done:
                place.fetch_item(recipe.identity(cell), folder)
            _write(recipe, folder, {recipe.identity(cell) for cell in done})
        if ledger.done() == done:
            return


def _write(recipe: Recipe, folder: Path, known: set[str]) -> None:
    title = recipe.title or recipe.name
    said = f"Cloud-free composites of Sentinel-2, {recipe.period}: {recipe.reducer} under {recipe.mask}"
    write_collection(
        folder, recipe.name, title=title, description=recipe.description or said, license=recipe.license,
        overwrite=True,
    )  # fmt: skip
    recipe.save(folder / "recipe.json")
    items = []
    for identity in sorted(known):
        file = folder / identity / f"{identity}.json"
        item = json.loads(file.read_text(encoding="utf-8"))
        items.append(item)
    _write_table(items, folder / "items.parquet")


def _write_table(items: list[dict[str, object]], path: Path) -> None:
    """Write stac-geoparquet; hrefs stay relative to each Item's own place, ``<id>/``."""
    rustac = needed("stac_geoparquet.arrow", "items.parquet", "archive")
    for item in items:
        for asset in item["assets"].values():  # type: ignore[attr-defined]
            asset["href"] = f"./{item['id']}/{str(asset['href']).removeprefix('./')}"
        item["links"] = [link for link in item["links"] if link["rel"] == "derived_from"]  # type: ignore[attr-defined]
    with whole(path) as final:
        table = rustac.parse_stac_items_to_arrow(items)
        rustac.to_parquet(table, str(final))
