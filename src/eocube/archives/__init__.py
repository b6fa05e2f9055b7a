"""The archive: cells of the world, made one by one, resumed, watched, with all that they were made of."""

from .archive import Archive
from .files import read_recipe
from .recipes import Recipe
from .runs import Run

__all__ = ["Archive", "Recipe", "Run", "read_recipe"]
