"""The command line: the same words as the library."""

from .commands import main

__all__ = ["main"]
