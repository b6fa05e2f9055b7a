"""Pictures: what people look at. Needs the extra ``plot``."""

from .figures import plot_rgb
from .films import timelapse
from .lines import plot_series
from .maps import plot_map
from .masks import plot_masks
from .pictures import rgb
from .sheets import contact_sheet
from .webmaps import explore

__all__ = [
    "contact_sheet",
    "explore",
    "plot_map",
    "plot_masks",
    "plot_rgb",
    "plot_series",
    "rgb",
    "timelapse",
]
