"""A graph as a torch module, its initial weights, and its weights as deployed."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from hwnas.graph import Add
from hwnas.models.layers import ConvNormAct, layer_of
from hwnas.seeds import derive

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from hwnas.graph import Graph, Node, Weights


def module_name(node: str) -> str:
    """Return a node's name as torch accepts it: dots separate modules there."""
    return node.replace(".", "__")


class Network(nn.Module):
    """The graph as a trainable module: (n, 3, h, w) float32 to logits (n, classes).

    State-dict keys are "layers.<node, dots as __>.<conv | norm>.<parameter>", and those of linear
    layers "layers.<node>.<weight | bias>".
    """

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        self.graph = graph
        self.layers = nn.ModuleDict({module_name(node.name): layer_of(node.op) for node in graph})

    def forward(self, images: Tensor) -> Tensor:
        """Return the result of the graph's last node."""
        return run_layers(self.graph, self.layers, images)


def run_layers(nodes: Iterable[Node], layers: nn.ModuleDict, given: Tensor) -> Tensor:
    """Return the result of the last node, one layer per node, by `module_name`.

    Args:
        nodes: a graph, or nodes of one that follow each other.
        layers: theirs.
        given: what nodes read that none of them yields: images, or what the part before gave.
    """
    values: dict[str, Tensor] = {}
    result = given
    for node in nodes:
        inputs = [values.get(name, given) for name in node.inputs]
        values[node.name] = result = layers[module_name(node.name)](*inputs)
    return result


def initialise(network: Network, seed: int, *, still_branches: bool = False) -> None:
    """Draw all weights and reset batch norm.

    Args:
        network: is changed in place.
        seed: of all weights.
        still_branches: start the last batch norm of every residual branch at zero (Goyal et al.,
            "Accurate, Large Minibatch SGD", 2017, section 5.1). A block with a shortcut then
            starts as the identity, and a network with one block more as the network without it,
            so that short training does not punish depth.

    Every node has its own random stream, named by `seed` and the node: networks with a node of
    the same name and shape in common start from the same weights there. Convolutions are He
    initialised (fan out), linear layers have a standard deviation of 0.01 and no bias.
    """
    for node in network.graph:
        layer = network.layers[module_name(node.name)]
        generator = torch.Generator().manual_seed(derive(seed, "weights", node.name))
        if isinstance(layer, ConvNormAct):
            _reset(layer.norm)
            _draw(layer.conv.weight, math.sqrt(2 / _fan_out(layer.conv)), generator)
        elif isinstance(layer, nn.Linear):
            nn.init.zeros_(layer.bias)
            _draw(layer.weight, 0.01, generator)
    if still_branches:
        for branch in _residual_branches(network.graph):
            norm = network.layers[module_name(branch)].get_submodule("norm")
            nn.init.zeros_(norm.get_parameter("weight"))


def _residual_branches(graph: Graph) -> list[str]:
    """Return the last convolution of every residual branch: what is added to a shortcut."""
    return [node.inputs[1] for node in graph if isinstance(node.op, Add)]


def _reset(norm: nn.BatchNorm2d) -> None:
    nn.init.ones_(norm.weight)
    nn.init.zeros_(norm.bias)
    nn.init.zeros_(norm.get_buffer("running_mean"))
    nn.init.ones_(norm.get_buffer("running_var"))


def _fan_out(conv: nn.Conv2d) -> int:
    return conv.kernel_size[0] ** 2 * conv.out_channels // conv.groups


def _draw(weight: Tensor, std: float, generator: torch.Generator) -> None:
    values = torch.randn(weight.shape, generator=generator)
    with torch.no_grad():
        weight.copy_(std * values)


def fold(network: Network) -> Weights:
    """Return the weights as deployed: batch norm folded in float64, stored as float32."""
    weights = {}
    for node in network.graph:
        layer = network.layers[module_name(node.name)]
        if isinstance(layer, ConvNormAct):
            weights[node.name] = _fold_norm(layer)
        elif isinstance(layer, nn.Linear):
            weights[node.name] = (_single(_double(layer.weight)), _single(_double(layer.bias)))
    return weights


def _fold_norm(layer: ConvNormAct) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    norm = layer.norm
    mean, variance = _double(norm.get_buffer("running_mean")), norm.get_buffer("running_var")
    scale = _double(norm.weight) / np.sqrt(_double(variance) + norm.eps)
    weight = _double(layer.conv.weight) * scale[:, None, None, None]
    bias = _double(norm.bias) - mean * scale
    return _single(weight), _single(bias)


def _double(value: Tensor) -> NDArray[np.float64]:
    return value.detach().cpu().double().numpy()


def _single(value: NDArray[np.float64]) -> NDArray[np.float32]:
    return np.ascontiguousarray(value, dtype=np.float32)
