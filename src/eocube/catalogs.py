"""Catalogs as values: where to ask, what the assets are called, how hrefs are signed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from .errors import CatalogError, ItemsError
from .facts import is_sentinel_2, level_of
from .htmls import folded, page, pairs, table
from .sentinel2 import BANDS, COMPUTED, band_name
from .signing import check_signer, shown

OffsetRule = Literal["auto", "baseline", "boa_flag", "metadata"]

_RULES = ("auto", "baseline", "boa_flag", "metadata")

BOA_FLAGS = ("earthsearch:boa_offset_applied", "sentinel:boa_offset_applied")
"""Properties by which Earth Search (v1, v0) says that the offset is already in the pixels."""


@dataclass(frozen=True)
class Catalog:
    """Where to find Items and how to read what they say.

    A catalog is a value, not a class to inherit from: make your own with one call, or change one
    with :func:`dataclasses.replace`.

    Attributes
    ----------
    name : str
        What it is called in messages and on the command line.
    url : str
        Root of a STAC API, or a path: a folder of Items, an ItemCollection file, a static catalog.
    collection : str
        The collection to search; empty for a local catalog that is searched whole.
    assets : mapping of str to str
        Common band name to asset key. Empty: told from each Item's asset names.
    offsets : {"auto", "baseline", "boa_flag", "metadata"}
        Where the radiometric offset is read from. ``auto``: told from each Item. ``baseline``:
        -1000 from processing baseline 04.00 on (Planetary Computer, whose data are never
        harmonised). ``boa_flag``: as ``baseline``, unless ``earthsearch:boa_offset_applied`` says
        that it has been applied (Earth Search v1). ``metadata``: the offset of ``raster:bands`` or
        ``bands``, or as ``baseline`` where they state none.
    signer : str
        How hrefs are signed when a file is opened, by the process that opens it. ``""``: not.
        ``"planetary-computer"``: by its tokens, renewed before they expire. ``"basic"``: user and
        password of the host in ``.netrc``. ``"headers"``: what ``EOCUBE_HTTP_HEADERS`` says of the
        host. ``"s3:anonymous"``, ``"s3:requester-pays,region=eu-central-1"``, ``"s3:endpoint=..."``:
        options of S3; keys come from the environment, as they do for ``""``.
    trust : bool
        Whether the Items may point at files of this machine and at local addresses, and may hold
        odd ids and shapes (:mod:`eocube.trust`). Only remote catalogs are distrusted.
    timeout : float
        Seconds an API may take for an answer.
    retries : int
        How often a question is asked again when the API is busy or breaks off.

    Raises
    ------
    CatalogError
        If a field is not usable.

    Examples
    --------
    >>> mine = Catalog("mine", "https://stac.example.org", "s2", {"B04": "r665", "scl": "classes"})
    >>> mine.assets["red"]
    'r665'
    """

    name: str
    url: str
    collection: str = ""
    assets: Mapping[str, str] = field(default_factory=dict, hash=False, repr=False)
    offsets: OffsetRule = "auto"
    signer: str = ""
    trust: bool = False
    timeout: float = 60.0
    retries: int = 5

    def __post_init__(self) -> None:
        if not isinstance(self.assets, Mapping):
            raise CatalogError(
                f"assets={self.assets!r} is not a mapping: write {{'red': 'B4', 'scl': 'SCL'}}."
            )
        # ESA's names are understood here as everywhere.
        object.__setattr__(self, "assets", {band_name(band): str(key) for band, key in self.assets.items()})
        if self.offsets not in _RULES:
            raise CatalogError(f"offsets={self.offsets!r} is not a rule: choose of {', '.join(_RULES)}.")
        if not self.timeout > 0 or self.retries < 0:
            raise CatalogError(f"timeout={self.timeout}, retries={self.retries}: give seconds and a count.")
        check_signer(self.signer)

    def _repr_html_(self) -> str:
        rows = [("name", self.name), ("url", shown(self.url)), ("collection", self.collection or "all"),
                ("offsets", self.offsets), ("signer", self.signer or "none")]  # fmt: skip
        if self.trust:
            rows.append(("trust", "its Items may point anywhere"))
        parts = [pairs(rows)]
        if self.assets:
            own = table(("band", "asset"), self.assets.items(), len(self.assets))
            parts.append(folded(f"{len(self.assets)} assets", own))
        return page("eocube.Catalog", *parts)

    def at(self, url: str) -> Catalog:
        """Return the same catalog at another place: a mirror, a local copy."""
        return replace(self, url=str(url))


_COMMON = {name: name for name in BANDS if name not in COMPUTED}
_ESA = {name: BANDS[name].esa for name in _COMMON}
_CDSE = {
    name: f"{esa}_{10 if name in ('aot', 'wvp') else int(BANDS[name].resolution)}m"
    for name, esa in _ESA.items()
}

EARTH_SEARCH = Catalog(
    "earth-search",
    "https://earth-search.aws.element84.com/v1",
    "sentinel-2-l2a",
    _COMMON,
    offsets="boa_flag",
)
"""Element 84's Earth Search v1: Sentinel-2 L2A as COGs on AWS, no account needed."""

EARTH_SEARCH_C1 = Catalog(
    "earth-search-c1",
    "https://earth-search.aws.element84.com/v1",
    "sentinel-2-c1-l2a",
    _COMMON,
    offsets="metadata",
)
"""Earth Search v1, the reprocessed Collection 1, with Sen2Cor's cloud and snow probabilities."""

PLANETARY_COMPUTER = Catalog(
    "planetary-computer",
    "https://planetarycomputer.microsoft.com/api/stac/v1",
    "sentinel-2-l2a",
    _ESA,
    offsets="baseline",
    signer="planetary-computer",
)
"""Microsoft's Planetary Computer: Sentinel-2 L2A as COGs on Azure, signed with short-lived tokens."""

EARTH_SEARCH_L1C = Catalog(
    "earth-search-l1c",
    "https://earth-search.aws.element84.com/v1",
    "sentinel-2-l1c",
    _COMMON,
    offsets="metadata",
)
"""Earth Search v1, Level-1C: JPEG 2000 on a bucket where the reader pays (AWS account)."""

EARTH_SEARCH_V0 = Catalog(
    "earth-search-v0",
    "https://earth-search.aws.element84.com/v0",
    "sentinel-s2-l2a-cogs",
    _ESA,
    offsets="boa_flag",
)
"""Earth Search v0, switched off by Element 84: for Items kept from it."""

CDSE = Catalog(
    "cdse",
    "https://stac.dataspace.copernicus.eu/v1",
    "sentinel-2-l2a",
    _CDSE,
    offsets="metadata",
)
"""Copernicus Data Space Ecosystem: ESA's own JPEG 2000 files on S3, with an account there."""

CATALOGS: dict[str, Catalog] = {
    catalog.name: catalog
    for catalog in (
        EARTH_SEARCH,
        EARTH_SEARCH_C1,
        EARTH_SEARCH_L1C,
        EARTH_SEARCH_V0,
        PLANETARY_COMPUTER,
        CDSE,
    )
}
"""The known catalogs by name, as the command line takes them."""


def recognise(item: Mapping[str, Any]) -> Catalog:
    """Tell from an Item alone which catalog's names and rules it follows.

    Parameters
    ----------
    item : mapping
        A STAC Item as a dict.

    Returns
    -------
    Catalog
        One of the known layouts. Decided by asset names first, then by what the properties say
        of the offset; never by dates.

    Raises
    ------
    ItemsError
        If the assets bear names of no known layout, or nothing says that it is Sentinel-2.
    """
    found = _layout(item)
    if found is None:
        assets = item.get("assets", {})
        raise ItemsError(
            f"Item {item.get('id')!r} has assets that no known layout of Sentinel-2 bears: "
            f"{', '.join(list(assets)[:12]) or 'none at all'}. Rename them to common names (red, nir, "
            "scl) or ESA's (B04, B08, SCL), or search with a Catalog whose `assets` maps them."
        )
    if not is_sentinel_2(item):
        raise ItemsError(
            f"Item {item.get('id')!r} says nowhere that it is Sentinel-2, neither by platform nor by name; "
            "eocube reads Sentinel-2. If it is, search with a Catalog whose `assets` maps its names."
        )
    return found


def _layout(item: Mapping[str, Any]) -> Catalog | None:
    assets, properties = item.get("assets", {}), item.get("properties", {})
    if any(key in assets for key in ("blue", "green", "red", "nir", "scl")):
        return _element84(item)
    if any(key in assets for key in ("B04_10m", "SCL_20m")):
        return CDSE
    if any(key in assets for key in ("B02", "B03", "B04", "B08", "SCL")):
        v0 = any(key.startswith("sentinel:") for key in properties)
        return EARTH_SEARCH_V0 if v0 else PLANETARY_COMPUTER
    return None


def _element84(item: Mapping[str, Any]) -> Catalog:
    """Tell those with common names apart: Earth Search's ``sentinel-2-l2a`` needs its flag."""
    if level_of(item) == "L1C":
        return EARTH_SEARCH_L1C
    flagged = any(flag in item.get("properties", {}) for flag in BOA_FLAGS)
    return EARTH_SEARCH if flagged or item.get("collection") == "sentinel-2-l2a" else EARTH_SEARCH_C1
