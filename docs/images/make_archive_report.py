"""Make the picture of an archive's report:  python docs/images/make_archive_report.py BROWSER

BROWSER is the path of Chromium (``.ci/browser`` says it); needs playwright. The archive is made up: 2,000 cells of
which the ledger says that most are done. No pixel is read.
"""

from __future__ import annotations

import io
import random
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

import eocube as eo
from eocube.archives.reports import report

HERE = Path(__file__).parent
CAUSES = (
    "ReadError: {item}, asset swir16 (https://store.example/{cell}/B11.tif): 503, tried for 120 s",
    "ReadError: {item}, asset red (https://store.example/{cell}/B04.tif): 404 Not Found",
)


def rows(cells: tuple[str, ...]) -> list[dict]:
    """Make the rows of a ledger up; more holes in the north-west, as clouds have it."""
    dice = random.Random(3)
    found = []
    for index, cell in enumerate(cells):
        row = {"cell": cell, "state": "done", "good": None, "scenes": 16, "attempts": 1, "relaxed": False,
               "seconds": dice.lognormvariate(6.2, 0.25), "read_bytes": dice.lognormvariate(23.2, 0.15),
               "requests": dice.randint(9_000, 16_000), "started": "2024-02-01T06:00:00+00:00",
               "ended": "2024-02-02T08:30:00+00:00", "why": "", "host": "node-1", "pid": 77}  # fmt: skip
        cloudy = max(0.0, int(cell[:2]) < 33) * 0.5 + ("CDEFGHJKLMNPQRSTUVWX".index(cell[2]) - 15) / 8
        row["good"] = round(1 - min(1, max(0, dice.random() ** 9 * cloudy * 1.4)), 4)
        if index > 1850:
            row |= {"state": "running" if index < 1855 else "planned", "good": None}
        elif dice.random() < 0.012:
            why = dice.choice(CAUSES).format(item=f"S2A_{cell}_20230612_0_L2A", cell=cell)
            row |= {"state": "failed", "good": None, "why": why}
        elif dice.random() < 0.01:
            row |= {"state": "empty", "good": None}
        found.append(row)
    return found


def main(browser: str) -> None:
    """Write the page, and take its picture."""
    cells = eo.cells_of((-11, 35, 52, 66))[:2000]
    recipe = eo.Recipe("europe-2023", "2023", cells=cells, title="Europe, 2023")
    text = report(recipe, "s3://mosaics/europe-2023", rows(cells), datetime(2024, 2, 2, 9, tzinfo=UTC))
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as play:
        page = Path(folder) / "report.html"
        page.write_text(text, encoding="utf-8")
        tab = play.chromium.launch(executable_path=browser).new_page(viewport={"width": 1060, "height": 1590})
        tab.goto(page.as_uri())
        picture = Image.open(io.BytesIO(tab.screenshot()))
    picture.convert("RGB").quantize(64, dither=Image.Dither.NONE).save(HERE / "archive_report.png", optimize=True)


if __name__ == "__main__":
    main(sys.argv[1])
