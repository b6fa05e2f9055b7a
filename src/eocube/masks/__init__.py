"""Masks: what is thrown away. Plug-ins that are joined like sets."""

from .algebra import Mask, Need, apply, as_mask, mask
from .probabilities import CloudProbability
from .s2cloudless import S2Cloudless
from .scl import SCLMask
from .shadows import ProjectedShadow

__all__ = ["CloudProbability", "Mask", "Need", "S2Cloudless", "ProjectedShadow", "SCLMask", "apply", "as_mask", "mask"]
