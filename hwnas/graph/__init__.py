"""Networks as graphs of primitive operations."""

from hwnas.graph.graph import INPUT, Graph, GraphBuilder, Node
from hwnas.graph.inputs import ImageInput, file_metadata, unnamed
from hwnas.graph.ops import (
    Activation,
    Add,
    Concat,
    Conv,
    GlobalAvgPool,
    HardSigmoid,
    HardSwish,
    Linear,
    MaxPool,
    Multiply,
    Op,
    Rearrangement,
    Shape,
    Shuffle,
    Slice,
)
from hwnas.graph.precision import FP32, PRECISIONS, Precision, find_precision
from hwnas.graph.weights import Weights, random_weights, weight_shape

__all__ = [
    "FP32",
    "INPUT",
    "PRECISIONS",
    "Activation",
    "Add",
    "Concat",
    "Conv",
    "GlobalAvgPool",
    "Graph",
    "GraphBuilder",
    "HardSigmoid",
    "HardSwish",
    "ImageInput",
    "Linear",
    "MaxPool",
    "Multiply",
    "Node",
    "Op",
    "Precision",
    "Rearrangement",
    "Shape",
    "Shuffle",
    "Slice",
    "Weights",
    "file_metadata",
    "find_precision",
    "random_weights",
    "unnamed",
    "weight_shape",
]
