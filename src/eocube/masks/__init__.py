"""Masks: what is thrown away. Plug-ins that are joined like sets."""

from .algebra import Mask, Need, apply, as_mask
from .functions import mask
from .scl import SCLMask
from .ukis import UkisCSMask
from .votes import vote

__all__ = ["Mask", "Need", "SCLMask", "UkisCSMask", "apply", "as_mask", "mask", "vote"]
