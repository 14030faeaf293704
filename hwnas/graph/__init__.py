"""Networks as graphs of primitive operations."""

from hwnas.graph.graph import FLOAT_BYTES, INPUT, Graph, GraphBuilder, Node
from hwnas.graph.inputs import ImageInput, unnamed
from hwnas.graph.ops import Add, Conv, GlobalAvgPool, Linear, Op, Shape, Shuffle
from hwnas.graph.weights import Weights, random_weights, weight_shape

__all__ = [
    "FLOAT_BYTES",
    "INPUT",
    "Add",
    "Conv",
    "GlobalAvgPool",
    "Graph",
    "GraphBuilder",
    "ImageInput",
    "Linear",
    "Node",
    "Op",
    "Shape",
    "Shuffle",
    "Weights",
    "random_weights",
    "unnamed",
    "weight_shape",
]
