"""The space: exact counts against published figures and independent counters."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from hwnas.errors import UserError
from hwnas.models.network import Network
from hwnas.spaces import PUBLISHED, SPACES, Arch, RcnetSpace, find_space, mobilenet_v2

if TYPE_CHECKING:
    from hwnas.graph import Graph

IMAGENET, CIFAR = SPACES["rcnet-imagenet"], SPACES["rcnet-cifar100"]


@st.composite
def archs(draw: st.DrawFn) -> Arch:
    """Any architecture, blocks at any position; the optional stages are often empty."""
    types = draw(st.lists(st.integers(0, 6), min_size=36, max_size=36))
    for stage in range(6):
        place = slice(6 * stage, 6 * stage + 6)
        if stage in CIFAR.required_stages:
            if not any(types[place]):
                types[6 * stage + draw(st.integers(0, 5))] = draw(st.integers(1, 6))
        elif draw(st.booleans()):
            types[place] = [0] * 6
    return tuple(types)


GEOMETRIES = [
    IMAGENET,
    CIFAR,
    SPACES["rcnet-digits"],
    find_space("rcnet", input_size="97", classes=7, width=0.6),
]
"""Large and small strides, odd resolutions, narrow widths."""


def counted(network: nn.Module, shape: tuple[int, ...]) -> tuple[int, int]:
    """Count params, and MAdds of convolutions by hooks: a witness that knows no graph.

    On the meta device, where torch works out shapes and no numbers.
    """
    total = 0

    def hook(layer: Any, _inputs: Any, output: torch.Tensor) -> None:
        nonlocal total
        total += layer.weight[0].numel() * output[0].numel()

    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            layer.register_forward_hook(hook)
    with torch.no_grad():
        network.to("meta").eval()(torch.zeros(1, *shape, device="meta"))
    return sum(p.numel() for p in network.parameters()), total


COUNTS = [
    (CIFAR, PUBLISHED["rcnet-cifar100"], 1_918_436, 87_253_504),
    (IMAGENET, PUBLISHED["rcnet-imagenet"], 3_436_224, 294_401_408),
    (IMAGENET, PUBLISHED["rcnet-b-imagenet"], 4_749_024, 471_168_320),
    (CIFAR, "s0", 466_868, 21_895_168),
    (IMAGENET, "s0", 1_619_336, 110_406_016),
]


@pytest.mark.parametrize(("space", "arch", "params", "madds"), COUNTS)
def test_counts_are_the_published_ones_to_the_unit(
    space: RcnetSpace, arch: str, params: int, madds: int
) -> None:
    graph = space.graph(space.parse(arch))
    assert (graph.params, graph.madds) == (params, madds)


def test_mobilenet_v2_with_projections_is_the_papers_baseline() -> None:
    graph = mobilenet_v2(32, 100, projections=True)
    assert (graph.params, graph.madds) == (2_412_212, 91_142_144)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_mobilenet_v2_is_torchvisions() -> None:
    from torchvision.models import mobilenet_v2 as reference

    graph = mobilenet_v2(224, 1000)
    with torch.device("meta"):
        theirs = reference()
    assert (graph.params, graph.madds) == counted(theirs, (3, 224, 224))
    assert graph.params == 3_504_872


def module(graph: Graph) -> Network:
    with torch.device("meta"):
        return Network(graph)


@settings(max_examples=15, deadline=None)
@given(archs(), st.sampled_from(GEOMETRIES))
def test_counts_are_those_of_an_independent_counter(arch: Arch, space: RcnetSpace) -> None:
    graph = space.graph(arch)
    assert (graph.params, graph.madds) == counted(module(graph), space.input_shape)


PROJECTIONS = [
    ("5,0,0,0,0,0|5,0,0,0,0,0|5,0,0,0,0,0|1,0,0,0,0,0|5,0,0,0,0,0|2,0,0,0,0,0", 2),
    ("5,0,0,0,0,0|5,0,0,0,0,0|5,0,0,0,0,0|0,0,0,0,0,0|5,0,0,0,0,0|2,0,0,0,0,0", 1),
    ("5,0,0,0,0,0|5,0,0,0,0,0|5,0,0,0,0,0|0,0,0,0,0,0|5,0,0,0,0,0|0,0,0,0,0,0", 0),
]


@pytest.mark.parametrize(("text", "projections"), PROJECTIONS)
def test_unequal_channels_at_stride_one_are_projected(text: str, projections: int) -> None:
    graph = IMAGENET.graph(IMAGENET.parse(text))
    shortcuts = [n for n in graph if n.name.endswith("shortcut") and n.name.startswith("stage")]
    assert len(shortcuts) == projections
    assert (graph.params, graph.madds) == counted(module(graph), IMAGENET.input_shape)
    width = 320 if any(IMAGENET.parse(text)[30:]) else 160
    assert graph.shape_of(graph.nodes[-3].inputs[0])[0] == width


@settings(max_examples=60, deadline=None)
@given(archs(), st.sampled_from(GEOMETRIES))
def test_a_network_is_the_sum_of_its_parts(arch: Arch, space: RcnetSpace) -> None:
    graph = space.graph(arch)
    parts: list[Graph] = [space.part_graph(key) for key in space.parts(arch)]
    assert sum(p.params for p in parts) == graph.params
    assert sum(p.madds for p in parts) == graph.madds
    assert sum(p.weight_bytes for p in parts) == graph.weight_bytes
    assert max(p.peak_bytes for p in parts) == graph.peak_bytes


@given(archs())
def test_canonical_form_is_the_same_network(arch: Arch) -> None:
    canonical = CIFAR.canonical(arch)
    assert CIFAR.canonical(canonical) == canonical
    assert CIFAR.parts(canonical) == CIFAR.parts(arch)
    assert CIFAR.graph(canonical) == CIFAR.graph(arch)


@given(archs())
def test_text_is_read_as_it_was_written(arch: Arch) -> None:
    assert CIFAR.parse(CIFAR.format(arch)) == arch
    assert CIFAR.parse(CIFAR.format(arch).replace("|", ",")) == arch


@given(archs(), st.sampled_from(GEOMETRIES))
def test_every_part_has_a_lookup_key(arch: Arch, space: RcnetSpace) -> None:
    assert set(space.parts(arch)) <= set(space.lookup_keys())


@given(st.integers(0, 10**6))
def test_a_sampled_network_is_whole_and_canonical(seed: int) -> None:
    arch = CIFAR.sample(np.random.default_rng(seed))
    CIFAR.check(arch)
    assert CIFAR.canonical(arch) == arch == CIFAR.sample(np.random.default_rng(seed))


def test_lookup_keys_are_distinct_and_all_used() -> None:
    keys = IMAGENET.lookup_keys()
    assert len(set(keys)) == len(keys) == 81
    rng = np.random.default_rng(0)
    used = set(
        itertools.chain.from_iterable(IMAGENET.parts(IMAGENET.sample(rng)) for _ in range(2000))
    )
    assert used == set(keys)


def test_the_first_round_has_192_elements_but_36_networks() -> None:
    start = IMAGENET.start()
    elements = IMAGENET.elements(start)
    assert len(elements) == 192
    assert len({IMAGENET.canonical(IMAGENET.add(start, e)) for e in elements}) == 36


def test_starts_begin_with_s0_and_are_distinct() -> None:
    first = list(itertools.islice(IMAGENET.starts(), 5000))
    assert first[0] == IMAGENET.start()
    assert len(set(first)) == 5000


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("1,2,3", "36 type numbers"),
        (",".join(["7"] * 36), "unknown block type '7'"),
        (",".join(["x"] * 36), "unknown block type 'x'"),
        (",".join(["0"] * 36), "stage 0"),
        (",".join(["5"] * 24 + ["0"] * 12), "stage 4"),
    ],
)
def test_a_wrong_architecture_is_one_clear_line(text: str, told: str) -> None:
    with pytest.raises(UserError, match=told):
        CIFAR.parse(text)


@given(st.integers(8, 512), st.integers(2, 2000), st.floats(1e-6, 8))
def test_a_custom_space_is_found_again_by_its_name(size: int, classes: int, width: float) -> None:
    space = find_space("rcnet", input_size=str(size), classes=classes, width=width)
    assert find_space(space.name) == space


def test_spaces_by_name_and_by_geometry() -> None:
    space = find_space("rcnet", input_size="3x96x96", classes=20, width=0.5)
    assert space.name == "rcnet-96px-20c-w0.5"
    assert space.input_shape == (3, 96, 96)
    assert all(space.channels(stage) % 8 == 0 for stage in range(6))
    for wrong in (
        {"name": "rcnet"},
        {"name": "rcnet", "input_size": "96x32", "classes": 10},
        {"name": "rcnet", "input_size": "2", "classes": 10},
        {"name": "rcnet-cifar10", "width": 2.0},
        {"name": "resnet"},
        {"name": "rcnet-96px-20c-w1.2.3"},
        {"name": "rcnet-96px-20c-w0"},
        {"name": "rcnet-4px-20c"},
    ):
        with pytest.raises(UserError):
            find_space(**wrong)
