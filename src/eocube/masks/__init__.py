"""Masks: what is thrown away. Plug-ins that are joined like sets."""

from .algebra import Mask, Need, apply, as_mask
from .functions import mask
from .probabilities import CloudProbability
from .s2cloudless import S2Cloudless
from .scl import SCLMask
from .shadows import ProjectedShadow
from .ukis import UkisCSMask
from .votes import vote

__all__ = [
    "CloudProbability",
    "Mask",
    "Need",
    "S2Cloudless",
    "ProjectedShadow",
    "SCLMask",
    "UkisCSMask",
    "apply",
    "as_mask",
    "mask",
    "vote",
]
