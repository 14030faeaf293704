"""Search spaces: which networks exist, and the parts that they are made of."""

from hwnas.spaces.baselines import BASELINES, mobilenet_v2, mobilenet_v3_small, shufflenet_v2
from hwnas.spaces.blocks import BLOCK_TYPES
from hwnas.spaces.catalog import PUBLISHED, SPACES, TABULAR, find_space
from hwnas.spaces.rcnet import RcnetSpace
from hwnas.spaces.space import Arch, Element, Job, Key, Space, neighbours

__all__ = [
    "BASELINES",
    "BLOCK_TYPES",
    "PUBLISHED",
    "SPACES",
    "TABULAR",
    "Arch",
    "Element",
    "Job",
    "Key",
    "RcnetSpace",
    "Space",
    "find_space",
    "mobilenet_v2",
    "mobilenet_v3_small",
    "neighbours",
    "shufflenet_v2",
]
