"""Search spaces: which networks exist, and the parts that they are made of."""

from hwnas.spaces.blocks import BLOCK_TYPES
from hwnas.spaces.catalog import PUBLISHED, SPACES, find_space
from hwnas.spaces.key import Key
from hwnas.spaces.mobilenet import mobilenet_v2
from hwnas.spaces.rcnet import Arch, Element, RcnetSpace

__all__ = [
    "BLOCK_TYPES",
    "PUBLISHED",
    "SPACES",
    "Arch",
    "Element",
    "Key",
    "RcnetSpace",
    "find_space",
    "mobilenet_v2",
]
