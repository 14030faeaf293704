"""Several copies of one network, each with its own weights, as one program.

A GPU takes as long to launch a kernel for one small network as for eight of them. The copies lie
side by side in the channels: channel `copy * C + c` is channel c of a copy. What works channel by
channel (depthwise convolution, batch norm, activation, sum) then needs no change, and a 1x1
convolution is a batched matrix product on the very same memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from hwnas.graph import Add, Conv, GlobalAvgPool, Linear, Shuffle
from hwnas.models.layers import ACTIVATIONS, ConvNormAct, Weightless
from hwnas.models.network import Network, module_name, run_layers

if TYPE_CHECKING:
    from collections.abc import Sequence


class StackedNetwork(nn.Module):
    """Copies of a network: images (n, copies * 3, h, w) to logits (copies, n, classes)."""

    def __init__(self, networks: Sequence[Network]) -> None:
        """Copy the weights of networks that share one graph."""
        super().__init__()
        self.graph = networks[0].graph
        self.copies = len(networks)
        modules = {}
        for node in self.graph:
            name = module_name(node.name)
            layers: list[Any] = [network.layers[name] for network in networks]
            match node.op:
                case Conv():
                    modules[name] = _stack_conv(layers, node.op)
                case Linear(activation=None):
                    modules[name] = _StackedLinear(layers)
                case Shuffle():
                    modules[name] = _StackedShuffle(self.copies, node.op.groups)
                case Add() | GlobalAvgPool():
                    modules[name] = Weightless(node.op)
                case other:
                    raise NotImplementedError(f"copies of {type(other).__name__} side by side")
        self.layers = nn.ModuleDict(modules)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits of every copy for its own images."""
        return run_layers(self.graph, self.layers, images)


def stacked_loss(network: StackedNetwork, images: Tensor, labels: Tensor) -> Tensor:
    """Return the sum of the copies' mean losses: they do not touch, so it trains each alone.

    Args:
        network: is run in bfloat16 on a GPU, as `hwnas.train.loop.Training` runs one network.
        images: as `stack_images` returns them.
        labels: class numbers (copies * n,), copy by copy.
    """
    with torch.autocast("cuda", torch.bfloat16, enabled=images.device.type == "cuda"):
        logits = network(images).flatten(0, -2)
    return network.copies * functional.cross_entropy(logits.float(), labels)


def stack_images(images: Sequence[Tensor]) -> Tensor:
    """Return one (n, 3, h, w) per copy as (n, copies * 3, h, w), channels last."""
    return torch.cat(list(images), dim=1).contiguous(memory_format=torch.channels_last)


def _stack_conv(layers: Sequence[ConvNormAct], op: Conv) -> nn.Module:
    copies = len(layers)
    conv: nn.Module
    weights = torch.cat([layer.conv.weight.detach() for layer in layers])
    if op.kernel == 1:
        shape = copies * op.groups, op.out_channels // op.groups, op.in_channels // op.groups
        conv = _StackedPointwise(weights.reshape(shape))
    else:
        conv = nn.Conv2d(
            copies * op.in_channels,
            copies * op.out_channels,
            op.kernel,
            op.stride,
            op.kernel // 2,
            groups=copies * op.groups,
            bias=False,
        )
        conv.weight.data.copy_(weights)
    norm = nn.BatchNorm2d(copies * op.out_channels)
    norm.num_batches_tracked = None
    for name in ("weight", "bias", "running_mean", "running_var"):
        parts = [getattr(layer.norm, name).detach() for layer in layers]
        getattr(norm, name).data.copy_(torch.cat(parts))
    return nn.Sequential(conv, norm, ACTIVATIONS[op.activation](inplace=True))


class _StackedPointwise(nn.Module):
    """A 1x1 convolution per copy and group."""

    def __init__(self, weight: Tensor) -> None:
        """Take weights (copies * groups, outputs of a group, inputs of a group)."""
        super().__init__()
        self.weight = nn.Parameter(weight.contiguous())

    def forward(self, value: Tensor) -> Tensor:
        n, _, height, width = value.shape
        groups, outputs, inputs = self.weight.shape
        weight: Tensor = self.weight
        if torch.is_autocast_enabled("cuda") and value.is_cuda:
            value, weight = value.bfloat16(), weight.bfloat16()
        rows = value.permute(0, 2, 3, 1).reshape(-1, groups, inputs)
        result: Tensor = _GroupedProduct.apply(rows, weight)
        return result.view(n, height, width, groups * outputs).permute(0, 3, 1, 2)


class _GroupedProduct(torch.autograd.Function):
    """(rows, groups, inputs) times (groups, outputs, inputs), without moving memory."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(rows, weight)
        result = rows.new_empty(len(rows), len(weight), weight.shape[1])
        torch.bmm(rows.transpose(0, 1), weight.transpose(1, 2), out=result.transpose(0, 1))
        return result

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        rows, weight = ctx.saved_tensors
        gradient = gradient.contiguous()
        groups, outputs, inputs = weight.shape
        to_rows = torch.empty_like(rows)
        torch.bmm(gradient.transpose(0, 1), weight, out=to_rows.transpose(0, 1))
        # A product of all groups with all groups, of which the diagonal is wanted: more
        # arithmetic, but one product that fills a GPU, where the sum over many rows is long.
        everything = gradient.reshape(len(rows), -1).T @ rows.reshape(len(rows), -1)
        blocks = everything.view(groups, outputs, groups, inputs)
        return to_rows, blocks.diagonal(dim1=0, dim2=2).permute(2, 0, 1).contiguous()


class _StackedShuffle(nn.Module):
    def __init__(self, copies: int, groups: int) -> None:
        super().__init__()
        self._copies, self._groups = copies, groups

    def forward(self, value: Tensor) -> Tensor:
        n, channels, height, width = value.shape
        size = channels // self._copies // self._groups
        rows = value.permute(0, 2, 3, 1)
        split = rows.view(n, height, width, self._copies, self._groups, size)
        return split.transpose(4, 5).reshape(n, height, width, channels).permute(0, 3, 1, 2)


class _StackedLinear(nn.Module):
    def __init__(self, layers: Sequence[nn.Linear]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.stack([layer.weight.detach() for layer in layers]))
        self.bias = nn.Parameter(torch.stack([layer.bias.detach() for layer in layers]))

    def forward(self, value: Tensor) -> Tensor:
        rows = value.view(len(value), len(self.weight), -1).transpose(0, 1)
        return torch.baddbmm(self.bias[:, None], rows, self.weight.transpose(1, 2))
