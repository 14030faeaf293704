"""torchvision's networks as witnesses for the baselines, with weights that keep a signal alive."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from functional import rounding_effect
from torch import nn
from torchvision import models

from hwnas.graph import Conv, Linear
from hwnas.models.network import Network, fold, module_name
from hwnas.spaces import BASELINES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hwnas.graph import Graph, Weights

TORCHVISION = {
    "mobilenet_v2": models.mobilenet_v2,
    "mobilenet_v3_small": models.mobilenet_v3_small,
    "shufflenet_v2": models.shufflenet_v2_x1_0,
}
TRAINED = (nn.Conv2d, nn.BatchNorm2d, nn.Linear)


def reference(name: str, resolution: int, classes: int, **options: Any) -> nn.Module:
    """Return torchvision's network; below 64 pixels without its first two strides."""
    torch.manual_seed(0)
    network = TORCHVISION[name](num_classes=classes, **options)
    if resolution < 64:
        strided = [m for m in network.modules() if isinstance(m, nn.Conv2d) and m.stride != (1, 1)]
        strided[0].stride = (1, 1)
        if name == "shufflenet_v2":
            network.maxpool = nn.Identity()
        else:
            strided[1].stride = (1, 1)
        if name == "mobilenet_v3_small":
            network.features[1].use_res_connect = True  # torchvision set it by the first stride
    return network.eval()


def trained_like(network: nn.Module, resolution: int) -> nn.Module:
    """Give batch norm weights of its own and the statistics of a batch.

    With any others the signal dies on its way, and the logits are those of every image.
    """
    generator = torch.Generator().manual_seed(1)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.weight.data.uniform_(0.5, 1.5, generator=generator)
            layer.bias.data.uniform_(-0.2, 0.2, generator=generator)
            layer.momentum = 1.0
    with torch.no_grad():
        network.train()(torch.randn(16, 3, resolution, resolution, generator=generator))
    return network.eval()


def counted(network: nn.Module, resolution: int) -> tuple[int, int]:
    """Return parameters, and the products of convolutions over more than one pixel.

    torchvision writes the linear layers of squeeze-and-excite as convolutions over the one pixel
    that their pool leaves; linear layers count none.
    """
    total = 0

    def hook(layer: Any, _inputs: Any, output: torch.Tensor) -> None:
        nonlocal total
        if layer.bias is None:
            total += layer.weight[0].numel() * output[0].numel()
        else:
            assert output.shape[2:] == (1, 1)

    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            layer.register_forward_hook(hook)
    with torch.no_grad():
        network.to("meta").eval()(torch.zeros(1, 3, resolution, resolution, device="meta"))
    return sum(p.numel() for p in network.parameters()), total


def with_weights_of(theirs: nn.Module, graph: Graph) -> Network:
    """Return the graph's module with torchvision's weights: both list their layers in one order."""
    remaining = [layer for layer in theirs.modules() if isinstance(layer, TRAINED)]
    network = Network(graph).eval()
    for node in graph:
        layer = network.layers[module_name(node.name)]
        match node.op:
            case Conv():
                conv, norm = remaining.pop(0), remaining.pop(0)
                layer.conv.load_state_dict(conv.state_dict())
                state = norm.state_dict()
                del state["num_batches_tracked"]
                layer.norm.load_state_dict(state)
                layer.norm.eps = norm.eps
            case Linear():
                linear = remaining.pop(0)
                layer.weight.data.copy_(linear.weight.data.reshape(layer.weight.shape))
                layer.bias.data.copy_(linear.bias.data)
    assert not remaining
    return network


class Known(NamedTuple):
    """A baseline with torchvision's weights, and what torchvision computes in float64."""

    graph: Graph
    network: Network
    weights: Weights
    images: NDArray[np.float32]
    logits: NDArray[np.float64]


@cache
def known(name: str, resolution: int) -> Known:
    graph = BASELINES[name](resolution, 10, 1.0)
    theirs = trained_like(reference(name, resolution, 10), resolution)
    network = with_weights_of(theirs, graph)
    images = torch.randn(4, *graph.input_shape, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        logits = theirs.double()(images.double()).numpy()
    assert np.ptp(logits, axis=0).min() > 0.05 * abs(logits).max()
    return Known(graph, network.double(), fold(network), images.numpy(), logits)


def tolerance(name: str, resolution: int) -> float:
    """Return 1e-5 relative, or a few times what one float32 rounding of the weights does."""
    graph, _, weights, images, logits = known(name, resolution)
    rounding = rounding_effect(graph, weights, images, logits)
    assert rounding < 1e-4
    return max(1e-5, 5 * rounding)
