"""Weights that candidates share: one bank of layers, from which every network takes its own.

A layer is named by what its block is, not by where exactly it stands: the first block of a stage by
the channels it reads, any other one by stage, type and how many of the same type stand before it.
Residual blocks bear another order well, so that much fewer layers have to be trained.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

import torch
from torch import nn

from hwnas.graph import Conv, Linear
from hwnas.models.network import Network, initialise, module_name

if TYPE_CHECKING:
    from torch import Tensor

    from hwnas.graph import Graph, Op
    from hwnas.spaces import Arch, RcnetSpace

BLOCK = re.compile(r"(stage\d+)\.(\d+)\.(t\d+)\.(\w+)")


def shared_names(graph: Graph) -> dict[str, str]:
    """Return the bank's name of every trained node of a network."""
    seen: Counter[tuple[str, str]] = Counter()
    places: dict[str, str] = {}
    names = {}
    for node in graph:
        channels = _inputs(node.op)
        if channels is None:
            continue
        match = BLOCK.fullmatch(node.name)
        if match is None:
            names[node.name] = f"{node.name}@{channels}"
            continue
        stage, order, block, part = match.groups()
        place = f"{stage}.{order}"
        if place not in places:
            # The first node of a block reads the block's input.
            kind = f"first@{channels}" if order == "0" else f"{seen[stage, block]}"
            places[place] = f"{stage}.{block}.{kind}"
            seen[stage, block] += order != "0"
        names[node.name] = f"{places[place]}.{part}"
    return names


def _inputs(op: Op) -> int | None:
    match op:
        case Conv():
            return op.in_channels
        case Linear():
            return op.in_features
        case _:
            return None


class Bank:
    """Layers by their shared names; a layer is made, from the bank's seed, when first wanted."""

    def __init__(self, space: RcnetSpace, seed: int, device: torch.device) -> None:
        self._space, self._seed, self._device = space, seed, device
        self.layers: dict[str, nn.Module] = {}
        self._networks: dict[Arch, Network] = {}

    def network(self, arch: Arch) -> Network:
        """Return the network of `arch`; what it learns, the bank has learnt."""
        arch = self._space.canonical(arch)
        if arch not in self._networks:
            network = fresh(self._space, arch, self._seed).to(self._device)
            network.to(memory_format=torch.channels_last)
            for node, name in shared_names(network.graph).items():
                layer = self.layers.setdefault(name, network.layers[module_name(node)])
                network.layers[module_name(node)] = layer
            self._networks[arch] = network
        return self._networks[arch]

    def state_dict(self) -> dict[str, dict[str, Tensor]]:
        """Return all weights by shared name."""
        return {name: layer.state_dict() for name, layer in self.layers.items()}


def fresh(space: RcnetSpace, arch: Arch, seed: int) -> Network:
    """Return a network whose residual branches add nothing yet."""
    network = Network(space.graph(arch))
    initialise(network, seed, still_branches=True)
    return network


def inherit(network: Network, state: dict[str, dict[str, Tensor]]) -> None:
    """Give a network the weights of a bank wherever the bank has them."""
    for node, name in shared_names(network.graph).items():
        if name in state:
            for key, value in network.layers[module_name(node)].state_dict().items():
                value.copy_(state[name][key])
