"""Nesting: the masks that a joined mask is made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from typing import Any

from .algebra import MaskLike


def parts_of(mask: Any) -> Iterator[Any]:
    """Yield a mask and all masks inside it, however they were joined.

    Examples
    --------
    >>> from eocube.masks import SCLMask
    >>> [type(part).__name__ for part in parts_of((SCLMask() | SCLMask("snow")).dilate(metres=60))]
    ['Dilated', 'Either', 'SCLMask', 'SCLMask']
    """
    yield mask
    for _, value in _inner(mask):
        for part in value if isinstance(value, tuple) else (value,):
            yield from parts_of(part)


def sun_wanted(mask: Any) -> str:
    """Return what a mask, or any mask within it, wants to know of the sun: "", "granule" or "grid"."""
    wants = {str(getattr(part, "sun", "") or "") for part in parts_of(mask)}
    return next((word for word in ("grid", "granule") if word in wants), "")


def replaced(mask: Any, change: Callable[[Any], Any]) -> Any:
    """Return a mask with the masks inside it changed; itself where nothing is."""
    new = change(mask)
    if new is not mask:
        return new
    found = {}
    for name, value in _inner(mask):
        own = value if isinstance(value, tuple) else (value,)
        parts = tuple(replaced(part, change) for part in own)
        if any(part is not old for part, old in zip(parts, own, strict=True)):
            found[name] = parts if isinstance(value, tuple) else parts[0]
    if not found:
        return mask
    # By hand, for some have an __init__ of their own.
    copy = object.__new__(type(mask))
    for one in fields(mask):
        object.__setattr__(copy, one.name, found.get(one.name, getattr(mask, one.name)))
    return copy


def _inner(mask: Any) -> Iterator[tuple[str, Any]]:
    """Yield the fields of a dataclass that hold a mask, or a tuple of masks."""
    if not is_dataclass(mask) or isinstance(mask, type):
        return
    for one in fields(mask):
        value = getattr(mask, one.name)
        if _is_mask(value) or (isinstance(value, tuple) and value and all(map(_is_mask, value))):
            yield one.name, value


def _is_mask(value: Any) -> bool:
    return isinstance(value, MaskLike) and not isinstance(value, type)
