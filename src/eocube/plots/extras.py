"""What the pictures are drawn with, imported when it is needed."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from ..errors import MissingExtraError


def drawn_with(module: str, what: str) -> Any:
    """Import a library of the extra ``plot``.

    Raises
    ------
    MissingExtraError
        If it is not installed; says what needs it.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise MissingExtraError(
            f"{what} needs {module.partition('.')[0]}: pip install 'eocube[plot]'."
        ) from error
