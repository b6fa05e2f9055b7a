"""Writers: cubes and composites on disk."""

from .cogs import write_cog
from .previews import write_preview
from .stores import write_zarr

__all__ = ["write_cog", "write_preview", "write_zarr"]
