"""Formulas of bands: arithmetic on any xarray object that has the bands, one Dask task per chunk."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from .errors import BandError, InputError
from .sentinel2 import BANDS, band_name

_MOST = 20.0
"""No reflectance is that large: uint16 ends at 6.5. Digital numbers of land are above it."""

_ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul,
}  # fmt: skip


@dataclass(frozen=True)
class Formula:
    """An index as a formula.

    Attributes
    ----------
    name : str
        What the result is called.
    text : str
        Plain arithmetic (``+ - * / **``) of names and numbers.
    bands : tuple of pairs of str
        Name in the formula and common name of the band.
    constants : tuple of pairs of str and float
        Other names in the formula, and their values.
    long_name : str
    """

    name: str
    text: str
    bands: tuple[tuple[str, str], ...]
    constants: tuple[tuple[str, float], ...] = ()
    long_name: str = ""

    def evaluate(self, values: Mapping[str, Any]) -> NDArray[Any]:
        """Return the value for arrays by their names in the formula; NaN where it is not finite."""
        with np.errstate(all="ignore"):
            found = np.asarray(_value(_parsed(self.text), {**values, **dict(self.constants)}))
            return np.where(np.isfinite(found), found, np.nan)

    @cached_property
    def is_ratio(self) -> bool:
        """Whether it is the same for reflectance and for its multiples."""
        draws = np.random.default_rng(0).uniform(0.05, 0.6, (len(self.bands), 20))
        values = dict(zip((name for name, _ in self.bands), draws, strict=True))
        once = self.evaluate(values)
        many = self.evaluate({name: 10_000 * drawn for name, drawn in values.items()})
        return bool(np.allclose(once, many, rtol=1e-9, equal_nan=True))

    def __call__(self, cube: xr.DataArray | xr.Dataset) -> xr.DataArray:
        """Return the index of a cube, float32, without ``band``; lazy stays lazy."""
        wanted = [band for _, band in self.bands]
        if isinstance(cube, Mapping) and not isinstance(cube, xr.Dataset):  # the layers of a reducer's date
            _check_there(wanted, list(cube), self.name)
            cube = xr.Dataset({band: (("y", "x"), cube[band]) for band in wanted})
        found = _arrays(cube, wanted, self.name)
        units = tuple(self._unit(array) for array in found)
        stacked = isinstance(cube, xr.DataArray)
        made = xr.apply_ufunc(
            self._kernel, *found[:1] if stacked else found,
            input_core_dims=[["band"]] if stacked else [[] for _ in found],
            kwargs={"units": units, "places": _places(cube, wanted) if stacked else None},
            dask="parallelized", dask_gufunc_kwargs={"allow_rechunk": True}, output_dtypes=[np.float32],
        )  # fmt: skip
        made.attrs = {"long_name": self.long_name or self.name, "units": "1", "grid_mapping": "spatial_ref"}
        renamed: xr.DataArray = made.rename(self.name.lower())
        return renamed

    def _unit(self, array: xr.DataArray) -> tuple[float, float] | None:
        """Return no data and scale of whole numbers; None for floats."""
        if array.dtype.kind == "f":
            return None
        scale = array.attrs.get("reflectance_scale")
        if scale is None and not self.is_ratio:
            raise InputError(
                f"{self.name} needs reflectance from 0 to 1, this is {array.dtype} and does not say its "
                "scale: load it with dtype='float32', or make it cube.where(cube != 0) / 10000."
            )
        nodata = array.attrs.get("nodata", array.attrs.get("_FillValue", 0))
        return 0.0 if nodata is None else float(nodata), 1.0 if scale is None else float(scale)

    def _kernel(
        self, *arrays: NDArray[Any], units: tuple[Any, ...], places: tuple[int, ...] | None
    ) -> NDArray[np.float32]:
        layers = arrays if places is None else [arrays[0][..., place] for place in places]
        units = units if places is None else units * len(layers)
        values = {
            name: _reflectance(layer, unit)
            for (name, _), layer, unit in zip(self.bands, layers, units, strict=True)
        }
        if not self.is_ratio:
            self._check_scale(values)
        return self.evaluate(values).astype(np.float32)

    def _check_scale(self, values: Mapping[str, NDArray[Any]]) -> None:
        most = max((float(np.fmax.reduce(v, axis=None)) for v in values.values() if v.size), default=0.0)
        if most > _MOST:
            raise InputError(
                f"{self.name} needs reflectance from 0 to 1, found values up to {most:g}: divide digital "
                "numbers by 10000."
            )


def _reflectance(values: NDArray[Any], unit: tuple[float, float] | None) -> NDArray[Any]:
    if unit is None:
        return values
    nodata, scale = unit
    return np.where(values == nodata, np.float32(np.nan), values.astype(np.float32) * np.float32(scale))


@lru_cache(maxsize=512)
def _parsed(text: str) -> ast.expr:
    try:
        return ast.parse(text.strip(), mode="eval").body
    except SyntaxError as error:
        raise InputError(f"{text!r} is no formula: {error}.") from error


def _value(node: ast.AST, names: Mapping[str, Any]) -> Any:
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        return float(node.value)
    if isinstance(node, ast.Name) and node.id in names:
        return names[node.id]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_value(node.operand, names)
    if isinstance(node, ast.BinOp):
        left, right = _value(node.left, names), _value(node.right, names)
        if isinstance(node.op, ast.Div):  # by 0: not finite, so NaN in the end
            return np.divide(left, right)
        if isinstance(node.op, ast.Pow):
            return np.power(left, right)
        if type(node.op) in _ARITHMETIC:
            return _ARITHMETIC[type(node.op)](left, right)
    raise InputError(f"{ast.unparse(node)!r} is not known in a formula of + - * / ** and {', '.join(names)}.")


def _arrays(cube: Any, wanted: list[str], name: str) -> list[xr.DataArray]:
    """Return the array of each band of a Dataset; of a DataArray itself, if it has them all."""
    if isinstance(cube, xr.Dataset):
        own = {_common(str(found)): cube[found] for found in cube.data_vars}
        _check_there(wanted, [str(found) for found in cube.data_vars], name)
        return [own[band] for band in wanted]
    if not isinstance(cube, xr.DataArray):
        raise InputError(f"{name} is made of a DataArray or Dataset, found {type(cube).__name__}.")
    _places(cube, wanted, name)
    return [cube]


def _places(cube: Any, wanted: list[str], name: str = "") -> tuple[int, ...]:
    known = []
    if "band" in cube.coords and "band" in cube.dims:
        known = [str(found) for found in cube["band"].values]
    _check_there(wanted, known, name)
    own = [_common(found) for found in known]
    return tuple(own.index(band) for band in wanted)


def _check_there(wanted: list[str], known: list[str], name: str) -> None:
    own = {_common(found) for found in known}
    for band in wanted:
        if band not in own:
            esa = f" or {BANDS[band].esa}" if band in BANDS else ""
            raise BandError(
                f"Band {band}{esa} is needed, the cube has: {', '.join(known) or 'no bands'}. "
                f"{name} is made of {', '.join(wanted)}: plan or load them all."
            )


def _common(name: str) -> str:
    try:
        return band_name(name)
    except BandError:
        return name
