"""Masks: what is thrown away. Plug-ins that are joined like sets."""

from .algebra import Mask, Need, apply, as_mask, mask
from .scl import SCLMask
from .shadows import ProjectedShadow

__all__ = ["Mask", "Need", "ProjectedShadow", "SCLMask", "apply", "as_mask", "mask"]
