"""Expressions: masks and reducers as text, as they print themselves, read back without running code."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from ..errors import EocubeError, RecipeError, did_you_mean

MOST = 2000
"""Characters an expression may have."""


@cache
def _masks() -> Mapping[str, Any]:
    from .. import masks

    names = ("CloudProbability", "ProjectedShadow", "S2Cloudless", "SCLMask", "UkisCSMask", "vote")
    return {name: getattr(masks, name) for name in names}


@cache
def _reducers() -> Mapping[str, Any]:
    from .. import reducers

    names = (
        "BestPixel", "First", "GeoMedian", "Latest", "Max", "MaxNDVI", "Mean", "Median", "Medoid", "Min",
        "Percentile", "WeightedMean", "Weights",
    )  # fmt: skip
    return {name: getattr(reducers, name) for name in names}


def mask_from_text(text: str) -> Any:
    """Read a mask.

    Parameters
    ----------
    text : str
        As masks print themselves: ``"SCLMask('strict').dilate(metres=60) | S2Cloudless(threshold=0.4)"``;
        ``"none"`` for no mask. Only eocube's own masks, ``|``, ``&``, ``~``, ``.dilate(...)``, ``vote(...)``
        and literals are known: nothing else is looked up, imported or run.

    Returns
    -------
    Mask or None

    Raises
    ------
    RecipeError
        If it is something else; what a mask says of its own parameters is passed on.

    Examples
    --------
    >>> mask_from_text("SCLMask('strict').dilate(metres=60)")
    SCLMask('strict').dilate(metres=60)
    """
    return None if text.strip().lower() == "none" else _read(text, _masks(), "mask")


def reducer_from_text(text: str) -> Any:
    """Read a reducer, as it prints itself.

    Raises
    ------
    RecipeError
        As :func:`mask_from_text`.

    Examples
    --------
    >>> reducer_from_text("Percentile(25)")
    Percentile(25)
    """
    return _read(text, _reducers(), "reducer")


def _read(text: str, known: Mapping[str, Any], what: str) -> Any:
    if not isinstance(text, str) or not text.strip() or len(text) > MOST:
        raise RecipeError(f"{what}: write it as it prints itself, {_example(what)}; found {text!r:.80}.")
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise RecipeError(f"{what} {text!r} cannot be read: write {_example(what)}.") from error
    try:
        found = _value(tree.body, known, what)
    except RecipeError:
        raise
    except (EocubeError, TypeError, ValueError) as error:
        raise RecipeError(f"{what} {text!r}: {error}") from error
    if isinstance(found, str | int | float | list | tuple) or found is None:
        raise RecipeError(f"{what} {text!r} is none: write {_example(what)}.")
    return found


def _example(what: str) -> str:
    return "SCLMask('strict').dilate(metres=60)" if what == "mask" else "Median() or Percentile(25)"


_JOINS: dict[type[ast.AST], Callable[[Any, Any], Any]] = {
    ast.BitOr: lambda a, b: a | b,
    ast.BitAnd: lambda a, b: a & b,
}


def _value(node: ast.AST, known: Mapping[str, Any], what: str) -> Any:
    """Work out one part of an expression."""
    match node:
        case ast.Constant(value=str() | int() | float() | bool() | None):
            return node.value
        case ast.List(elts=parts) | ast.Tuple(elts=parts):
            return tuple(_value(part, known, what) for part in parts)
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as number)):
            return -number
        case ast.UnaryOp(op=ast.Invert(), operand=part) if what == "mask":
            return ~_value(part, known, what)
        case ast.BinOp(left=left, op=ast.BitOr() | ast.BitAnd() as join, right=right) if what == "mask":
            return _JOINS[type(join)](_value(left, known, what), _value(right, known, what))
        case ast.Call(func=ast.Name(id=name)):
            if name not in known:
                raise RecipeError(
                    f"{what} {name!r} is not known.{did_you_mean(name, known)} Known are {', '.join(known)}."
                )
            return known[name](*_arguments(node, known, what), **_keywords(node, known, what))
        case ast.Call(func=ast.Attribute(value=part, attr="dilate")) if what == "mask":
            grown = _value(part, known, what)
            return grown.dilate(*_arguments(node, known, what), **_keywords(node, known, what))
    raise RecipeError(f"{ast.unparse(node)!r} may not stand in a {what}: write {_example(what)}.")


def _arguments(call: ast.Call, known: Mapping[str, Any], what: str) -> list[Any]:
    return [_value(part, known, what) for part in call.args]


def _keywords(call: ast.Call, known: Mapping[str, Any], what: str) -> dict[str, Any]:
    return {str(part.arg): _value(part.value, known, what) for part in call.keywords}
