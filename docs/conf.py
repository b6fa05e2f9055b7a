"""How the site is made:  python -m sphinx -W -b html docs docs/_build

Needs the extra ``docs``, and no network. The pages are plain Markdown, which is read on its own as well;
what a site needs besides is added here while it is built: the navigation, the API's pages, and copies of
the files above this folder (contributing, changelog, notebooks).
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path

DOCS = Path(__file__).parent
ROOT = DOCS.parent
sys.path.insert(0, str(ROOT / "src"))

import eocube

project = "eocube"
author = "The eocube developers"
copyright = "the eocube developers, Apache-2.0"  # noqa: A001
release = version = eocube.__version__

extensions = [
    "myst_nb",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "sphinx_copybutton",
]
templates_path = ["_templates"]
exclude_patterns = ["_build", "example-package", "measured", "jupyter_execute", "**.ipynb_checkpoints"]
nitpicky = False

# Pages in the order of the navigation. A page that is not there is left out; one that is in no list comes
# last in "explained" (or in "howto", if its name says so).
NAVIGATION: dict[str, list[str]] = {
    "tutorial": [],  # the notebooks
    "howto": [
        "from-stackstac", "from-odc-stac", "from-earth-engine", "why-nan", "pictures", "howto-mask",
        "howto-catalog", "howto-reducer", "howto-loader", "libraries", "cluster", "archive", "index-offline",
        "writing", "stores",
    ],
    "explained": [
        "cube", "searching", "offsets", "masks", "shadows", "comparing-masks", "reducers", "periods",
        "indices", "series", "smoothing", "reliability", "performance", "scale", "architecture",
    ],
    "reference": ["api/index", "words"],
    "project": ["contributing", "changelog"],
}  # fmt: skip

# The public names in groups; one that is in no group is shown under "More".
GROUPS: dict[str, list[str]] = {
    "Searching": ["search", "search_tiles", "best", "score", "Catalog", "LocalIndex", "audit"],
    "Where and what": ["area", "cells_of", "grid_for", "plan", "Plan", "load", "lost"],
    "Masks": ["SCLMask", "S2Cloudless", "CloudProbability", "ProjectedShadow", "UkisCSMask", "mask", "mask_from", "vote",
              "masks_of", "compare_masks", "Pixels"],
    "Composites": ["composite", "fill_ladder", "Rung", "Rolling", "Climatology", "sources"],
    "Reducers": ["Median", "Mean", "Percentile", "Min", "Max", "Count", "GeoMedian", "WeightedMean", "Medoid", "MaxNDVI",
                 "MaxIndex", "First", "Latest", "BestPixel"],
    "Indices": ["ndvi", "evi", "evi2", "savi", "ndre", "ndwi", "mndwi", "ndmi", "nbr", "ndbi", "index"],
    "Series": ["timeseries", "smooth", "season_metrics", "Whittaker", "SavitzkyGolay", "Linear"],
    "Writing": ["write_cog", "write_zarr", "write_netcdf", "write_item", "write_collection", "publish"],
    "Pictures": ["rgb", "plot_rgb", "plot_map", "plot_masks", "plot_series", "contact_sheet", "timelapse", "explore"],
    "Clusters": ["cluster", "progress"],
    "Archives": ["Archive", "Recipe", "read_recipe", "Used"],
}  # fmt: skip
SEAMS = ["masks.Mask", "masks.algebra.MaskLike", "reducers.Reducer", "loaders.Loader", "loaders.Source"]
VALUES = [name for name in eocube.__all__ if isinstance(getattr(eocube, name), eocube.Catalog)]
MODULES = {"errors": "Errors", "sample": "The made-up archive"}

myst_heading_anchors = 4
nb_execution_mode = "off"
nb_merge_streams = True
suppress_warnings = ["mystnb.unknown_mime_type", "myst.xref_ambiguous"]

autosummary_generate = True
autosummary_filename_map = {"eocube.Plan": "eocube.Plan-class"}  # some disks do not tell Plan from plan
autodoc_typehints = "none"  # numpydoc says the types
autodoc_member_order = "bysource"
numpydoc_show_class_members = False

# Without a network by default: links to other projects' documentation are then left out.
intersphinx_mapping = (
    {
        "dask": ("https://docs.dask.org/en/stable/", None),
        "numpy": ("https://numpy.org/doc/stable/", None),
        "odc-geo": ("https://odc-geo.readthedocs.io/en/latest/", None),
        "pandas": ("https://pandas.pydata.org/docs/", None),
        "pystac": ("https://pystac.readthedocs.io/en/stable/", None),
        "python": ("https://docs.python.org/3/", None),
        "xarray": ("https://docs.xarray.dev/en/stable/", None),
    }
    if os.environ.get("EOCUBE_DOCS_ONLINE")
    else {}
)

html_theme = "pydata_sphinx_theme"
html_title = "eocube"
html_static_path = ["_static"]
html_favicon = "_static/logo.svg"
html_css_files = ["eocube.css"]
html_show_sourcelink = False
html_sidebars = {"index": [], "tutorial": ["sidebar-nav-bs"]}
html_theme_options = {
    "logo": {"text": "eocube", "image_light": "_static/logo.svg", "image_dark": "_static/logo.svg"},
    "navbar_end": ["theme-switcher"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "header_links_before_dropdown": 6,
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "secondary_sidebar_items": {"**": ["page-toc"], "index": []},
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}

copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

_COPIED = {"CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
_ABOVE = {"README.md": "index.md", **_COPIED}


def _links(text: str) -> str:
    """Turn links to files above this folder into links to their pages; drop those that have none."""

    def above(found: re.Match[str]) -> str:
        name, path, anchor = found[1], found[2], found[3] or ""
        if path.startswith("notebooks/") and (ROOT / path).is_file():
            return f"[{name}]({path}{anchor})"
        return f"[{name}]({_ABOVE[path]}{anchor})" if path in _ABOVE else name

    return re.sub(r"\[([^\]]*)\]\(\.\./([^)#]+)(#[^)]*)?\)", above, text)


def _copy() -> None:
    """Bring in what lies above this folder."""
    for source, name in _COPIED.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        down = re.sub(r"\]\((?!https?:|#|docs/)([^)]+)\)", r"](../\1)", text)
        _write(DOCS / name, _links(down.replace("](docs/", "](")))
    shutil.rmtree(DOCS / "notebooks", ignore_errors=True)
    shutil.copytree(
        ROOT / "notebooks", DOCS / "notebooks", ignore=shutil.ignore_patterns("*checkpoints", "*.py", "__pycache__")
    )


def _write(path: Path, text: str) -> None:
    """Write a file if it is another than before, so that only what changed is built again."""
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def _groups() -> dict[str, list[str]]:
    """Return the public names by group: every one is in one."""
    public = [name for name in eocube.__all__ if name not in (*VALUES, *MODULES)]
    errors = [name for name in public if isinstance(getattr(eocube, name), type)
              and issubclass(getattr(eocube, name), Exception)]  # fmt: skip
    groups = {title: [name for name in names if name in public] for title, names in GROUPS.items()}
    known = {name for names in groups.values() for name in names} | set(errors)
    groups["More"] = [name for name in public if name not in known]
    return groups


def _names() -> str:
    """Return the public names, group by group, for the page above the API."""
    rows = [
        f"| {title} | " + ", ".join(f"{{py:obj}}`{name} <eocube.{name}>`" for name in names) + " |"
        for title, names in _groups().items() if names
    ]  # fmt: skip
    rows.append("| Catalogs | " + ", ".join(f"{{py:obj}}`{n} <eocube.catalogs.{n}>`" for n in VALUES) + " |")
    rows.append("| Further | [seams](api/seams.rst), [errors](api/errors.rst), [the made-up archive](api/sample.rst) |")
    return "\n\n## Names\n\n| for | names |\n|---|---|\n" + "\n".join(rows) + "\n"


def _api() -> None:
    """Write the API's pages: every public name is in them."""
    folder = DOCS / "api"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    groups = _groups()
    parts = ["API", "===", "", "All of it is reached as ``import eocube as eo``.", ""]
    for title, names in groups.items():
        if names:
            parts += [
                title,
                "-" * len(title),
                "",
                ".. currentmodule:: eocube",
                "",
                ".. autosummary::",
                "   :toctree: .",
                "",
            ]
            parts += [*(f"   {name}" for name in names), ""]
    parts += ["Further", "-------", "", ".. toctree::", "   :maxdepth: 1", ""]
    parts += [f"   {name}" for name in ("catalogs", "seams", *MODULES)]
    _write(folder / "index.rst", "\n".join(parts))
    catalogs = ["Catalogs", "========", "", ".. currentmodule:: eocube.catalogs", ""]
    catalogs += [f".. autodata:: {name}\n   :no-value:\n" for name in VALUES]
    _write(folder / "catalogs.rst", "\n".join(catalogs))
    seams = ["Seams", "=====", "", "What a plug-in looks like.", "", ".. currentmodule:: eocube", ""]
    seams += [".. autosummary::", "   :toctree: .", "", *(f"   {name}" for name in SEAMS), ""]
    _write(folder / "seams.rst", "\n".join(seams))
    for name, title in MODULES.items():
        _write(
            folder / f"{name}.rst",
            f"{title}\n{'=' * len(title)}\n\n.. automodule:: eocube.{name}\n   :members:\n",
        )


def _pages(section: str) -> list[str]:
    """Return the pages of a section that are there."""
    if section == "tutorial":
        return [f"notebooks/{path.stem}" for path in sorted((ROOT / "notebooks").glob("*.ipynb"))]
    every = {path.stem for path in DOCS.glob("*.md")} - {"index", *NAVIGATION}
    said = {name for names in NAVIGATION.values() for name in names}
    rest = sorted(every - said)
    more = {"howto": [name for name in rest if name.startswith(("howto", "from-"))]}
    more["explained"] = [name for name in rest if name not in more["howto"]]
    there = [name for name in NAVIGATION[section] if name in every or name.startswith("api/")]
    return [*there, *more.get(section, [])]


def _toctree(names: list[str], *, hidden: bool = False) -> str:
    options = ":hidden:\n" if hidden else ":maxdepth: 1\n"
    return "\n\n```{toctree}\n" + options + "\n" + "\n".join(names) + "\n```\n"


def _read(_app: object, docname: str, content: list[str]) -> None:
    """Finish a page: its links, and the pages below it."""
    if docname.startswith("api/") or docname.startswith("notebooks/"):
        return
    content[0] = _links(content[0])
    if docname == "index":
        content[0] += _toctree(list(NAVIGATION), hidden=True)
    elif docname == "reference":
        content[0] += _names() + _toctree(_pages(docname), hidden=True)
    elif docname in NAVIGATION:
        content[0] += _toctree(_pages(docname))


_copy()
_api()


def setup(app: object) -> None:
    """Register what finishes pages."""
    app.connect("source-read", _read)  # type: ignore[attr-defined]
