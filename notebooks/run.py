"""Run the notebooks on the made-up archive:

    python notebooks/run.py                      # all; their outputs are written into them
    python notebooks/run.py 02_masks             # one
    python notebooks/run.py --check              # write nothing, say what is other than stored

Needs the extra ``notebooks``, and no network. What is stored holds no times, no places of this machine and
no names but what the cells show. Of outputs that are other each time (seconds, ports) the cell has the tag
``varies``: there numbers are not compared.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from tempfile import TemporaryDirectory

import nbformat
from nbclient import NotebookClient

import eocube

FOLDER = Path(__file__).parent
VARIES = "varies"
SECONDS = 300
"""That a cell may take."""

_ABOUT = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python", "pygments_lexer": "ipython3"},
}
_NO_NETWORK = "http://127.0.0.1:9"
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def notebooks() -> list[Path]:
    """Return the notebooks in their order."""
    return sorted(FOLDER.glob("[0-9]*.ipynb"))


def read(path: Path) -> nbformat.NotebookNode:
    """Return a notebook as it is stored."""
    return nbformat.read(path, as_version=4)


def executed(path: Path) -> nbformat.NotebookNode:
    """Run a notebook in an empty folder and return it with its outputs."""
    book = read(path)
    with TemporaryDirectory() as folder:
        client = NotebookClient(
            book, timeout=SECONDS, kernel_name="python3", record_timing=False, coalesce_streams=True,
            resources={"metadata": {"path": folder}},
        )  # fmt: skip
        client.execute(env=_environment(folder))
    return cleaned(book)


def _environment(folder: str) -> dict[str, str]:
    """Return that of the kernel: this eocube, nobody's settings, no way out."""
    found = {name: value for name, value in os.environ.items() if name != "MPLBACKEND"}
    paths = [str(Path(eocube.__file__).parents[1]), *filter(None, [found.get("PYTHONPATH")])]
    return found | {
        "PYTHONPATH": os.pathsep.join(paths),
        "MATPLOTLIBRC": str(FOLDER / "matplotlibrc"),
        "IPYTHONDIR": str(Path(folder) / ".ipython"),
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
        "http_proxy": _NO_NETWORK,
        "https_proxy": _NO_NETWORK,
        "no_proxy": "127.0.0.1,localhost",
    }


def cleaned(book: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Keep what the cells show, and nothing that is other for another machine or time."""
    book.metadata = nbformat.from_dict(_ABOUT)
    names: dict[str, str] = {}
    for number, cell in enumerate(book.cells):
        cell.id = f"cell-{number:02}"
        tags = cell.metadata.get("tags")
        cell.metadata = nbformat.from_dict({"tags": tags} if tags else {})
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if not _loads_scripts(output)]
        for output in cell.get("outputs", []):
            output.pop("transient", None)
            if "metadata" in output:
                output.metadata = nbformat.from_dict({})
            for kind, text in output.get("data", {}).items():
                if kind == "text/html":  # xarray's tables have names that are other each time
                    output.data[kind] = _UUID.sub(lambda m: names.setdefault(m[0], f"id-{len(names)}"), text)
    return book


def _loads_scripts(output: nbformat.NotebookNode) -> bool:
    """Whether an output shows nothing: libraries bring their scripts when they are imported."""
    data = output.get("data", {})
    if "application/javascript" in data:
        return True
    page = re.sub(r"<(script|style)\b.*?</\1>|<[^>]*>", "", data.get("text/html", "."), flags=re.DOTALL)
    return not page.strip() and not any(kind.startswith("image/") for kind in data)


def differences(stored: nbformat.NotebookNode, fresh: nbformat.NotebookNode) -> list[str]:
    """Say where what is stored is not what a run gives. Of pictures: whether they are there."""
    found = []
    if len(stored.cells) != len(fresh.cells):
        return [f"{len(stored.cells)} cells are stored, {len(fresh.cells)} were run"]
    for old, new in zip(stored.cells, fresh.cells, strict=True):
        if old.source != new.source or old.cell_type != new.cell_type:
            found.append(f"{old.id}: another source")
        elif old.cell_type == "code":
            loose = VARIES in new.metadata.get("tags", [])
            shown = [[_text(output, loose=loose) for output in cell.outputs] for cell in (old, new)]
            if shown[0] != shown[1]:
                found.append(f"{old.id}: stored\n{_lines(shown[0])}\n  a run gives\n{_lines(shown[1])}")
            if old.execution_count != new.execution_count:
                found.append(f"{old.id}: count {old.execution_count}, not {new.execution_count}")
    return found


def _lines(outputs: list[str]) -> str:
    return "\n".join(f"    {text}" for text in outputs) or "    nothing"


def _text(output: nbformat.NotebookNode, *, loose: bool) -> str:
    """Return the kinds of an output, and its text as far as it is the same in each run."""
    data = output.get("data", {})
    if "image/png" in data:
        return f"{output.output_type}: a picture"
    text = data.get("text/plain", output.get("text", ""))
    if text.startswith("<IPython.core.display.HTML"):
        text = unescape(re.sub(r"<[^>]*>", " ", data.get("text/html", "")))
    if text.startswith("<xarray."):
        text = text.partition("\n")[0]  # how the rest is laid out depends on xarray's version
    if loose:
        text = re.sub(r"\d[\d.,]*( [kMGT]?B\b)?", "#", text)
    kinds = " ".join(sorted(data)) or output.get("name", "")
    return f"{output.output_type} ({kinds}): {' '.join(text.split())}"


def trouble(book: nbformat.NotebookNode) -> Iterator[str]:
    """Yield what no stored notebook may hold."""
    home = {str(Path.home()), os.environ.get("USER", ""), "/home/", "/Users/", "/tmp/", "/var/folders"}
    places = sorted(place for place in home if len(place) > 4)
    for cell in book.cells:
        for output in cell.get("outputs", []):
            if output.output_type == "error" or output.get("name") == "stderr":
                yield f"{cell.id}: {output.get('text', output.get('evalue', 'an error'))}"
            texts = [output.get("text", ""), *(t for k, t in output.get("data", {}).items() if k[:5] == "text/")]
            yield from (f"{cell.id}: {place}" for place in places if any(place in text for text in texts))
            yield from (f"{cell.id}: an address" for text in texts if re.search(r"\bat 0x[0-9a-f]{6,}", text))


def main() -> int:
    """Run what was asked for."""
    told = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    told.add_argument("names", nargs="*", help="of notebooks; all by default")
    told.add_argument("--check", action="store_true")
    asked = told.parse_args()
    chosen = [path for path in notebooks() if not asked.names or path.stem in asked.names]
    wrong: list[str] = []
    for path in chosen:
        fresh = executed(path)
        found = [*trouble(fresh), *(differences(read(path), fresh) if asked.check else [])]
        wrong += [f"{path.name} {line}" for line in found]
        if not asked.check:
            nbformat.write(fresh, path)
        print(f"{path.name:<28}{path.stat().st_size / 1e3:6.0f} kB", flush=True)
    print("\n".join(wrong), file=sys.stderr)
    return bool(wrong or not chosen)


if __name__ == "__main__":
    sys.exit(main())
