"""Extras: libraries that are installed only where they are asked for, imported when they are needed."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any

from .errors import MissingExtraError


def needed(module: str, what: str, extra: str, instead: str = "") -> Any:
    """Import a library of an extra.

    Parameters
    ----------
    module : str
        ``"exactextract"``; of a dotted name all of it is imported, and the last part returned.
    what : str
        What needs it, for the message: ``"weights='exact'"``.
    extra : str
        In which it is: ``"series"``.
    instead : str
        What works without it.

    Raises
    ------
    MissingExtraError
        If it is not installed.

    Examples
    --------
    >>> needed("json", "A list", "series").dumps([])
    '[]'
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise _missing((module,), what, extra, instead) from error


def check_needed(modules: tuple[str, ...], what: str, extra: str, instead: str = "") -> None:
    """Refuse what cannot be done without some libraries; none is imported.

    Raises
    ------
    MissingExtraError
        If one is not installed; parameters as in :func:`needed`.
    """
    missing = tuple(name for name in modules if find_spec(name) is None)
    if missing:
        raise _missing(missing, what, extra, instead)


def _missing(modules: tuple[str, ...], what: str, extra: str, instead: str) -> MissingExtraError:
    names = " and ".join(name.partition(".")[0].replace("_", "-") for name in modules)
    rest = f" {instead}" if instead else ""
    return MissingExtraError(f"{what} needs {names}: pip install 'eocube[{extra}]'.{rest}")
