"""Expressions: masks and reducers as text, as they print themselves, read back without running code."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Any

from ..errors import EocubeError, RecipeError, did_you_mean
from ..masks import Mask
from ..reducers import Reducer

MOST = 2000
"""Characters an expression may have."""

DEEPEST = 60
"""Brackets within brackets, or masks joined one by one."""

S2CLOUDLESS = "S2Cloudless"
"""The mask that may look at other Items than the scenes'."""


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


def mask_from_text(text: str, l1c: Any = None) -> Any:
    """Read a mask.

    Parameters
    ----------
    text : str
        As masks print themselves: ``"SCLMask('strict').dilate(metres=60) | S2Cloudless(threshold=0.4)"``;
        ``"none"`` for no mask. Only eocube's own masks, ``|``, ``&``, ``~``, ``.dilate(...)``, ``vote(...)``
        and literals are known: nothing else is looked up, imported or run.
    l1c : Items, optional
        Level-1C Items for each ``S2Cloudless`` in it, which text cannot hold.

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
    if isinstance(text, str) and text.strip().lower() == "none":
        return None
    known = _masks() if l1c is None else {**_masks(), S2CLOUDLESS: partial(_masks()[S2CLOUDLESS], l1c)}
    return _read(text, known, "mask")


def reducer_from_text(text: str) -> Any:
    """Read a reducer, as it prints itself.

    Raises
    ------
    RecipeError
        As :func:`mask_from_text`.

    Examples
    --------
    >>> reducer_from_text("Percentile(25)")
    Percentile(q=25)
    """
    return _read(text, _reducers(), "reducer")


def _read(text: str, known: Mapping[str, Any], what: str) -> Any:
    if not isinstance(text, str) or not text.strip() or len(text) > MOST:
        said = f"{text[:80]!r}" if isinstance(text, str) else type(text).__name__
        raise RecipeError(f"{what}: write it as it prints itself, {_example(what)}; found {said}.")
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise RecipeError(f"{what} {text!r:.200} cannot be read: write {_example(what)}.") from error
    try:
        found = _value(tree.body, known, what, DEEPEST)
    except RecipeError:
        raise
    except EocubeError as error:
        raise RecipeError(f"{what} {text!r:.200}: {error}") from error
    except _CONFUSED as error:
        raise RecipeError(f"{what} {text!r:.200} cannot be made: {error}") from error
    if not isinstance(found, Mask if what == "mask" else Reducer) or isinstance(found, type):
        raise RecipeError(f"{what} {text!r:.200} is none: write {_example(what)}.")
    return found


_CONFUSED = (TypeError, ValueError, AttributeError, LookupError, ArithmeticError)
"""What a constructor may raise of arguments of odd types."""


def _example(what: str) -> str:
    return "SCLMask('strict').dilate(metres=60)" if what == "mask" else "Median() or Percentile(25)"


_JOINS: dict[type[ast.AST], Callable[[Any, Any], Any]] = {
    ast.BitOr: lambda a, b: a | b,
    ast.BitAnd: lambda a, b: a & b,
}


def _value(node: ast.AST, known: Mapping[str, Any], what: str, deep: int) -> Any:
    """Work out one part of an expression, in which there are so many levels at most."""
    if not deep:
        raise RecipeError(f"{what}: more than {DEEPEST} levels of brackets or joins: write it simpler.")
    deep -= 1
    match node:
        case ast.Constant(value=str() | int() | float() | bool() | None):
            return node.value
        case ast.List(elts=parts) | ast.Tuple(elts=parts):
            return tuple(_value(part, known, what, deep) for part in parts)
        case ast.Dict(keys=names, values=parts) if all(isinstance(name, ast.Constant) for name in names):
            values = [_value(part, known, what, deep) for part in parts]
            return {name.value: value for name, value in zip(names, values, strict=True)}  # type: ignore[union-attr]
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as number)):
            return -number
        case ast.UnaryOp(op=ast.Invert(), operand=part) if what == "mask":
            return ~_value(part, known, what, deep)
        case ast.BinOp(left=left, op=ast.BitOr() | ast.BitAnd() as join, right=right) if what == "mask":
            return _JOINS[type(join)](_value(left, known, what, deep), _value(right, known, what, deep))
        case ast.Call(func=ast.Name(id=name)):
            if name not in known:
                raise RecipeError(
                    f"{what} {name!r} is not known.{did_you_mean(name, known)} Known are {', '.join(known)}."
                )
            given, named = _arguments(node, known, what, deep), _keywords(node, known, what, deep)
            if name == S2CLOUDLESS and (given or "l1c" in named):
                raise RecipeError(f"{what} {name}: Items cannot be written as text, leave l1c out.")
            return known[name](*given, **named)
        case ast.Call(func=ast.Attribute(value=part, attr="dilate")) if what == "mask":
            grown = _value(part, known, what, deep)
            return grown.dilate(*_arguments(node, known, what, deep), **_keywords(node, known, what, deep))
    kind = type(node).__name__
    raise RecipeError(f"a {kind} may not stand in a {what}: write it as it prints itself, {_example(what)}.")


def _arguments(call: ast.Call, known: Mapping[str, Any], what: str, deep: int) -> list[Any]:
    return [_value(part, known, what, deep) for part in call.args]


def _keywords(call: ast.Call, known: Mapping[str, Any], what: str, deep: int) -> dict[str, Any]:
    return {str(part.arg): _value(part.value, known, what, deep) for part in call.keywords}
