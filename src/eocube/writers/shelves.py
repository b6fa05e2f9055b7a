"""Static catalogs: a Collection and a Catalog over Items that were written; a folder sent to S3."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..errors import InputError, OutputError
from .outputs import check_target, delivered
from .remotes import Remote, as_remote

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_ITEM = "application/geo+json"
_ITEM_ASSET = ("type", "roles", "eo:bands", "gsd", "title", "description")


def write_collection(
    folder: str | os.PathLike[str],
    identity: str,
    *,
    title: str = "",
    description: str = "",
    license: str = "other",  # noqa: A002  (STAC's word)
    overwrite: bool = False,
) -> Path:
    """Write the Collection and the Catalog of a folder of Items, which STAC browsers open.

    Parameters
    ----------
    folder : path
        Holds Items, each in a folder of its own: ``<folder>/<id>/<id>.json``, written with
        ``collection=identity``.
    identity : str
        Id of the Collection.
    title, description : str
        For people.
    license : str
        By SPDX, or ``"other"``.
    overwrite : bool
        Replace what is there, after more Items were written.

    Returns
    -------
    Path
        Of ``catalog.json``; ``collection.json`` lies beside it. All links are relative, so the folder can
        be moved; :func:`eocube.search` reads it, and ``search(folder)`` does as well.

    Raises
    ------
    OutputError
        If one of the two exists or cannot be written.
    InputError
        If there is no Item, or one that says another Collection.

    Examples
    --------
    >>> import eocube, tempfile
    >>> world = eocube.sample.cached()
    >>> cube = eocube.load(eocube.search(world.items_path), world.grid, bands=["red"], dtype="uint16")
    >>> best = eocube.composite(cube, eocube.Median())
    >>> root = tempfile.mkdtemp()
    >>> files = eocube.write_cog(best, f"{root}/best", per_band=True)
    >>> item = eocube.write_item(best, f"{root}/best/best.json", files, collection="mine")
    >>> catalog = eocube.write_collection(root, "mine", description="My mosaics")
    >>> [found.id for found in eocube.search(catalog)]
    ['best']
    """
    root = Path(folder).resolve()
    items = list(_items(root))
    if not items:
        raise InputError(f"There is no Item in {root}: write_item writes them, to {root}/<id>/<id>.json.")
    return write_catalog(
        root, identity, items, title=title, description=description, license=license, overwrite=overwrite
    )


def write_catalog(
    root: Path,
    identity: str,
    items: list[tuple[Path, dict[str, Any]]],
    *,
    title: str = "",
    description: str = "",
    license: str = "other",  # noqa: A002  (STAC's word)
    overwrite: bool = False,
) -> Path:
    """Write the Collection and the Catalog of these Items, each with its file below the folder.

    Raises
    ------
    OutputError, InputError
        As :func:`write_collection`.
    """
    if not _ID.fullmatch(identity):
        raise InputError(f"{identity!r} is no id for a Collection: use letters, digits, '_', '-' and '.'.")
    places = {
        name: check_target(root / name, overwrite=overwrite) for name in ("collection.json", "catalog.json")
    }
    if strange := [file for file, item in items if item.get("collection") != identity]:
        raise InputError(
            f"{strange[0]} is of another Collection than {identity!r}: write it with collection={identity!r}."
        )
    collection = _collection(identity, root, items, title, description, license)
    catalog = {
        "type": "Catalog", "stac_version": "1.1.0", "id": f"{identity}-catalog",
        "description": description or identity, **({"title": title} if title else {}),
        "links": [_link("root", "./catalog.json"), _link("child", "./collection.json", title or identity)],
    }  # fmt: skip
    for name, content in (("collection.json", collection), ("catalog.json", catalog)):
        with delivered(places[name]) as final:
            final.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return root / "catalog.json"


def publish(folder: str | os.PathLike[str], url: str, *, overwrite: bool = False) -> Remote:
    """Send a folder to S3: files first, then the Items, then the Collection and the Catalog.

    So whoever finds an Item finds its files.

    Parameters
    ----------
    folder : path
        What is sent, all of it but hidden files.
    url : str
        ``"s3://bucket/key"``.
    overwrite : bool
        Replace what is there.

    Returns
    -------
    Remote
        Prints as its URL.

    Raises
    ------
    OutputError
        If something is there, or the bucket cannot be written to.

    Examples
    --------
    >>> import eocube, tempfile
    >>> eocube.publish(tempfile.mkdtemp(), "ftp://host/archive")
    Traceback (most recent call last):
    ...
    eocube.errors.OutputError: ftp://host/archive cannot be written: give a path, or s3://bucket/key.
    """
    remote, root = as_remote(url), Path(folder)
    if remote is None:
        raise OutputError(f"{url} is no place on S3: give s3://bucket/key.")
    if not root.is_dir():
        raise OutputError(f"There is no folder {folder}.")
    if not overwrite and remote.exists():
        raise OutputError(f"{remote} exists: pass overwrite=True, or write elsewhere.")
    files = [
        f
        for f in root.rglob("*")
        if f.is_file() and not any(p.startswith(".") for p in f.relative_to(root).parts)
    ]
    for file in sorted(files, key=lambda file: (_rank(file), str(file))):
        (remote / file.relative_to(root).as_posix()).send(file)
    return remote


def _rank(file: Path) -> int:
    """Return when a file is sent: what points at others after them."""
    if file.name == "zarr.json":
        return 1
    last = {"catalog.json": 4, "collection.json": 3}
    return last.get(file.name, 2 if file.suffix == ".json" else 0)


def _items(root: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    for file in sorted(root.glob("*/*.json")):
        if file.parent.name.startswith("."):  # under way
            continue
        try:
            found = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InputError(f"{file} cannot be read as JSON: {error}.") from error
        if isinstance(found, dict) and found.get("type") == "Feature" and "assets" in found:
            yield file, found


def _collection(
    identity: str,
    root: Path,
    items: list[tuple[Path, dict[str, Any]]],
    title: str,
    description: str,
    spdx: str,
) -> dict[str, Any]:
    records = [item for _, item in items]
    boxes = [item["bbox"] for item in records]
    union = [
        min(b[0] for b in boxes),
        min(b[1] for b in boxes),
        max(b[2] for b in boxes),
        max(b[3] for b in boxes),
    ]
    starts = [item["properties"].get("start_datetime") or item["properties"]["datetime"] for item in records]
    ends = [item["properties"].get("end_datetime") or item["properties"]["datetime"] for item in records]
    assets: dict[str, Any] = {}
    for item in records:
        for key, asset in item["assets"].items():
            assets.setdefault(key, {name: asset[name] for name in _ITEM_ASSET if name in asset})
    uses_eo = any("eo:bands" in asset for asset in assets.values())
    eo = [one for item in records[:1] for one in item["stac_extensions"] if "/eo/" in one] if uses_eo else []
    codes = sorted(
        {item["properties"]["proj:code"] for item in records if item["properties"].get("proj:code")}
    )
    return {
        "type": "Collection", "stac_version": "1.1.0", "stac_extensions": eo, "id": identity,
        **({"title": title} if title else {}), "description": description or identity, "license": spdx,
        "extent": {
            "spatial": {"bbox": [union]},
            "temporal": {"interval": [[min(starts), max(ends)]]},
        },
        "summaries": {"constellation": ["sentinel-2"], **({"proj:code": codes} if codes else {})},
        "item_assets": assets,
        "links": [
            _link("root", "./catalog.json"), _link("parent", "./catalog.json"),
            *(_link("item", f"./{file.relative_to(root).as_posix()}", kind=_ITEM) for file, _ in items),
        ],
    }  # fmt: skip


def _link(rel: str, href: str, title: str = "", kind: str = "application/json") -> dict[str, str]:
    return {"rel": rel, "href": href, "type": kind, **({"title": title} if title else {})}
