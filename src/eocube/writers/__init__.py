"""Writers: cubes and composites on disk and on S3, and the STAC Items of them."""

from .cogs import write_cog
from .netcdfs import write_netcdf
from .previews import write_preview
from .products import write_item
from .shelves import publish, write_collection
from .stores import write_zarr

__all__ = [
    "publish", "write_cog", "write_collection", "write_item", "write_netcdf", "write_preview", "write_zarr",
]  # fmt: skip
