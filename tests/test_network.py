"""The torch module of a graph, its initial weights and its folded ones."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from functional import relative_error, rounding_effect, run
from hypothesis import example, given, settings
from hypothesis import strategies as st
from operations import OPERATIONS

from hwnas.models.layers import ConvNormAct
from hwnas.models.network import Network, fold, initialise
from hwnas.spaces import PUBLISHED, SPACES, find_space, mobilenet_v2

SMALL = find_space("rcnet", input_size="16", classes=10, width=0.25)


def trained_like(network: Network, seed: int) -> Network:
    """Give batch norm the statistics of a network that has seen data."""
    generator = torch.Generator().manual_seed(seed)
    for layer in network.layers.values():
        if isinstance(layer, ConvNormAct):
            for values, low, high in (
                (layer.norm.weight.data, 0.5, 1.5),
                (layer.norm.bias.data, -0.5, 0.5),
                (layer.norm.running_mean, -0.5, 0.5),
                (layer.norm.running_var, 0.5, 2.0),
            ):
                values.uniform_(low, high, generator=generator)
    return network.eval()


@settings(max_examples=20, deadline=None)
@example(3424)  # amplifies rounding ten times as much as most
@given(st.integers(0, 10**6))
def test_folded_weights_give_the_modules_output(seed: int) -> None:
    """In float64, so that only the rounding of the folded weights to float32 is left."""
    graph = SMALL.graph(SMALL.sample(np.random.default_rng(seed)))
    network = Network(graph)
    initialise(network, seed)
    trained_like(network, seed).double()
    images = torch.randn(4, *SMALL.input_shape, generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        output = network(images.double()).numpy()
    weights = fold(network)
    rounding = rounding_effect(graph, weights, images.numpy(), output)
    assert rounding < 1e-3
    assert relative_error(run(graph, weights, images.numpy()), output) < max(1e-6, 5 * rounding)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_operation_alone_is_the_module_of_its_name(operation: str) -> None:
    graph = OPERATIONS[operation]
    network = trained_like(Network(graph), 0)
    shape = (3, *graph.input_shape)
    images = torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    weights = fold(network)
    with torch.no_grad():
        output = network.double()(images).numpy()
    assert relative_error(run(graph, weights, images.numpy()), output) < 1e-6
    assert sum(p.numel() for p in network.parameters()) == graph.params


def test_every_layer_is_folded_to_float32_precision() -> None:
    """One layer amplifies nothing, so here the bound is that of a single rounding."""
    space = SPACES["rcnet-cifar100"]
    graph = space.graph(space.parse(PUBLISHED["rcnet-cifar100"]))
    network = Network(graph)
    initialise(network, 1)
    weights, generator = fold(trained_like(network, 1)), torch.Generator().manual_seed(2)
    for name, (weight, bias) in weights.items():
        layer = network.layers[name.replace(".", "__")].double()
        if not isinstance(layer, ConvNormAct):
            continue
        conv = layer.conv
        shape = (2, conv.in_channels, 6, 6)
        images = torch.randn(shape, dtype=torch.float64, generator=generator)
        folded = torch.nn.functional.conv2d(
            images,
            torch.from_numpy(weight).double(),
            torch.from_numpy(bias).double(),
            conv.stride,
            conv.padding,
            groups=conv.groups,
        )
        with torch.no_grad():
            expected = layer.norm(conv(images)).numpy()
        assert relative_error(folded.numpy(), expected) < 5e-7


def test_networks_share_the_initial_weights_of_what_they_share() -> None:
    start = SMALL.start()
    small, large = (Network(SMALL.graph(a)) for a in (start, SMALL.add(start, (1, 3))))
    for network in (small, large):
        initialise(network, 7)
    ours, theirs = small.state_dict(), large.state_dict()
    assert set(ours) < set(theirs)
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())
    initialise(large, 8)
    assert not torch.equal(
        ours["layers.stem__conv.conv.weight"], large.state_dict()["layers.stem__conv.conv.weight"]
    )


def test_initial_weights_depend_on_the_seed_alone() -> None:
    graph = SMALL.graph(SMALL.start())
    states = []
    for state in (1, 2):
        torch.manual_seed(state)
        network = trained_like(Network(graph), state)
        initialise(network, 7)
        states.append(network.state_dict())
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())


def test_still_branches_make_a_new_block_the_identity() -> None:
    start = SMALL.start()
    small, large = (Network(SMALL.graph(a)).eval() for a in (start, SMALL.add(start, (1, 3))))
    for network in (small, large):
        initialise(network, 7, still_branches=True)
    images = torch.randn(2, *SMALL.input_shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(small(images), large(images))
        initialise(large, 7)
        assert not torch.equal(small(images), large(images))


def test_parameters_are_those_of_the_graph() -> None:
    rng = np.random.default_rng(0)
    graphs = [space.graph(space.start()) for space in SPACES.values()]
    graphs += [SMALL.graph(SMALL.sample(rng)) for _ in range(5)]
    graphs += [
        SPACES["rcnet-imagenet"].graph(SPACES["rcnet-imagenet"].parse(PUBLISHED["rcnet-imagenet"])),
        mobilenet_v2(32, 10),
    ]
    for graph in graphs:
        assert sum(p.numel() for p in Network(graph).parameters()) == graph.params
