"""Words of the command line that become objects: reducers with their parameters."""

from __future__ import annotations

import ast
import dataclasses
import re
from typing import TYPE_CHECKING, Any

from ..errors import InputError, did_you_mean

if TYPE_CHECKING:
    from ..reducers import Reducer


def reducers_of(texts: tuple[str, ...]) -> list[Reducer]:
    """Return reducers by their names: ``median``, ``p25``, ``percentile:25``, ``median:method=lower``.

    Parameters
    ----------
    texts : tuple of str
        The name of a reducer, in any case, and after a colon what it is given, with commas between.

    Raises
    ------
    InputError
        If there is no such reducer, or it does not take that; says what it takes.

    Examples
    --------
    >>> reducers_of(("median", "p25", "Percentile:75"))
    [Median(), Percentile(q=25), Percentile(q=75)]
    """
    return [_reducer(text) for text in texts]


def _reducer(text: str) -> Reducer:
    known = _known()
    name, _, given = text.strip().partition(":")
    if match := re.fullmatch(r"p(\d+(?:\.\d+)?)", name.lower()):
        name, given = "percentile", match[1]
    kind = known.get(_plain(name))
    if kind is None:
        near = did_you_mean(_plain(name), known)
        raise InputError(
            f"--reducer {text!r}: there is no reducer {name!r}.{near} There are: {', '.join(sorted(known))}, "
            "and p25 for any percentile."
        )
    positional, named = _arguments(given)
    try:
        made: Reducer = kind(*positional, **named)
    except InputError:
        raise
    except (TypeError, ValueError) as error:
        fields = ", ".join(field.name for field in dataclasses.fields(kind) if field.init) or "nothing"
        raise InputError(
            f"--reducer {text!r} is not understood: {_plain(name)} takes {fields} ({error})."
        ) from error
    return made


def _known() -> dict[str, Any]:
    from .. import reducers

    found = {name: getattr(reducers, name) for name in reducers.__all__}
    return {
        _plain(name): kind
        for name, kind in found.items()
        if isinstance(kind, type)
        and dataclasses.is_dataclass(kind)
        and hasattr(kind, "bands_out")
        and name != "Join"
    }


def _plain(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")


def _arguments(text: str) -> tuple[list[Any], dict[str, Any]]:
    positional: list[Any] = []
    named: dict[str, Any] = {}
    for part in (part.strip() for part in text.split(",") if part.strip()):
        name, equals, value = part.partition("=")
        if equals:
            named[name.strip()] = _value(value.strip())
        else:
            positional.append(_value(part))
    return positional, named


def _value(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
