"""The archive: cells of the world, made one by one, resumed, watched, with all that they were made of."""

from .archive import Archive
from .recipes import Recipe, read_recipe
from .runs import Run

__all__ = ["Archive", "Recipe", "Run", "read_recipe"]
