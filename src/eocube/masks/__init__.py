"""Masks: what is thrown away. Plug-ins that are joined like sets."""

from .algebra import Mask, Need, apply, as_mask, mask
from .scl import SCLMask

__all__ = ["Mask", "Need", "SCLMask", "apply", "as_mask", "mask"]
