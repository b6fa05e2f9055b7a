"""Indices of spyndex' catalogue (Awesome Spectral Indices), by name, on eocube's bands."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from .errors import BandError, EocubeWarning, InputError, did_you_mean
from .extras import check_needed
from .formulas import Formula

LETTERS = {
    "A": "coastal", "B": "blue", "G": "green", "R": "red", "RE1": "rededge1", "RE2": "rededge2",
    "RE3": "rededge3", "N": "nir", "N2": "nir08", "WV": "nir09", "S1": "swir16", "S2": "swir22",
}  # fmt: skip
"""The catalogue's letters of Sentinel-2's bands (its bands.json, platform sentinel2a)."""

_OTHERS = {
    "T": "thermal", "T1": "thermal", "T2": "thermal", "Y": "yellow", "G1": "green 1", "VV": "radar",
    "VH": "radar", "HV": "radar", "HH": "radar",
}  # fmt: skip
"""Bands that Sentinel-2 does not have."""

_WAVELENGTHS = {"lambdaB": 492.4, "lambdaG": 559.8, "lambdaR": 664.6, "lambdaN": 832.8, "lambdaN2": 864.7,
                "lambdaS1": 1613.7, "lambdaS2": 2202.4}  # fmt: skip
"""Central wavelengths of Sentinel-2A in nm (ESA, Sentinel-2 Products Specification Document)."""

_RVI = (
    "RVI in spyndex' catalogue is RE2 / R (rededge2 / red). The ratio NIR / R that most texts call RVI is "
    "its SR: index('SR')."
)


def index(name: str, *, constants: Mapping[str, float] | None = None) -> Formula:
    """Return an index of spyndex' catalogue as a function of a cube. Extra ``indices``.

    Parameters
    ----------
    name : str
        Its short name there, ``"EVI"``, ``"NDMI"``, ``"CIRE"``; case does not matter where it is clear.
    constants : dict, optional
        Values of the formula's constants, instead of the catalogue's defaults: ``{"L": 0.5}``.

    Returns
    -------
    callable
        Takes a DataArray (with ``band``) or a Dataset of reflectance, and returns a DataArray of float32
        without ``band``, NaN where the formula has no finite value; lazy stays lazy. Also for
        ``timeseries(..., of=index("EVI"))``.

    Raises
    ------
    InputError
        If there is no such index, or a constant is missing or not one of its own.
    BandError
        If Sentinel-2 lacks a band it needs; says who has it.
    MissingExtraError
        If spyndex is not installed.

    Warns
    -----
    EocubeWarning
        For ``"RVI"``, which is RE2 / R there; what most texts call so is ``"SR"``.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> cube = xr.DataArray(np.float32([0.1, 0.3]), {"band": ["red", "nir"]}, "band")
    >>> float(index("SR")(cube))
    3.0
    """
    known = _catalogue()
    own = _entry(name, known)
    if own["short_name"] == "RVI":
        warnings.warn(_RVI, EocubeWarning, stacklevel=2)
    names = list(own["bands"])
    bands = tuple((letter, LETTERS[letter]) for letter in names if letter in LETTERS)
    _check_bands(own)
    values = _constants(own, [letter for letter in names if letter not in LETTERS], dict(constants or {}))
    made = Formula(own["short_name"], own["formula"], bands, tuple(values.items()), own["long_name"])
    made.is_ratio  # noqa: B018  (a formula that cannot be understood is refused here)
    return made


def _entry(name: str, known: Mapping[str, Any]) -> Any:
    if name in known:
        return known[name]
    alike = [other for other in known if other.lower() == str(name).lower()]
    if len(alike) == 1:
        return known[alike[0]]
    said = f" Did you mean one of {', '.join(alike)}?" if alike else did_you_mean(name, map(str.lower, known))
    raise InputError(f"spyndex' catalogue has no index {name!r}.{said} It has {len(known)}.")


def _check_bands(own: Mapping[str, Any]) -> None:
    lacking = [letter for letter in own["bands"] if letter in _OTHERS]
    if lacking:
        said = ", ".join(f"{letter} ({_OTHERS[letter]})" for letter in lacking)
        raise BandError(
            f"{own['short_name']} ({own['formula']}) needs {said}, which Sentinel-2 does not have; "
            f"{', '.join(own['platforms'])} do."
        )
    if any(letter.startswith("k") and letter[1:].isupper() for letter in own["bands"]):
        raise InputError(
            f"{own['short_name']} needs kernels of bands, which depend on the data: compute it by "
            "spyndex.computeKernel and spyndex.computeIndex."
        )


def _constants(own: Mapping[str, Any], names: list[str], given: dict[str, float]) -> dict[str, float]:
    defaults = _read("constants.json")
    strangers = sorted(set(given) - set(names))
    if strangers:
        raise InputError(
            f"{own['short_name']} ({own['formula']}) has no constant {', '.join(strangers)}; it has: "
            f"{', '.join(names) or 'none'}."
        )
    found: dict[str, float] = {}
    for letter in names:
        value = given.get(letter, defaults.get(letter, {}).get("default"))
        value = _WAVELENGTHS.get(letter) if value is None else value
        if value is None:
            short = own["short_name"]
            raise InputError(f"{short} needs a value for {letter}: constants={{{letter!r}: ...}}.")
        found[letter] = float(value)
    return found


def _catalogue() -> dict[str, Any]:
    found: dict[str, Any] = _read("spectral-indices-dict.json")["SpectralIndices"]
    return found


@cache
def _read(name: str) -> Any:
    """Read a file of the package; its code is not needed, so it is not imported."""
    check_needed(("spyndex",), "index()", "indices")
    spec = find_spec("spyndex")
    assert spec is not None
    assert spec.submodule_search_locations
    return json.loads((Path(spec.submodule_search_locations[0]) / "data" / name).read_text(encoding="utf-8"))
