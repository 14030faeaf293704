"""What a search needs to know of a space, whatever its networks are made of; keys of parts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np

Arch: TypeAlias = tuple[int, ...]
"""One type number per position, 0 for empty."""

Element: TypeAlias = tuple[int, int]
"""(position, type): what a greedy search adds."""

Job: TypeAlias = tuple[Arch, int]
"""A network to be scored, and the number of the replicate."""


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """A part: block name, channels in and out, stride, and the resolution it reads.

    For the head, `out_channels` is the number of classes.
    """

    block: str
    in_channels: int
    out_channels: int
    stride: int
    resolution: int

    def __str__(self) -> str:
        return (
            f"{self.block}:{self.in_channels}-{self.out_channels}:s{self.stride}:r{self.resolution}"
        )


class Space(Protocol):
    """A set of networks: fixed positions, each empty or holding one of a few types.

    Not every filling need be a network, and several fillings may be the same one: `canonical`
    names it. All methods take any filling and are deterministic.
    """

    @property
    def name(self) -> str:
        """As in table folders and run folders."""

    @property
    def choices(self) -> Sequence[tuple[int, ...]]:
        """Types that each position may hold, empty included where it may be empty."""

    @property
    def groups(self) -> Sequence[tuple[int, ...]]:
        """Positions that belong together, such as those of a stage; each is in one group."""

    @property
    def size(self) -> int:
        """How many different networks there are."""

    def networks(self) -> Iterator[Arch]:
        """Yield every network once, canonical."""

    def contains(self, arch: Arch) -> bool:
        """Return whether a filling is a network."""

    def canonical(self, arch: Arch) -> Arch:
        """Return the one filling that stands for the network."""

    def start(self) -> Arch:
        """Return the network that a search starts from."""

    def starts(self) -> Iterator[Arch]:
        """Yield networks to start from, nearest to `start()` first, for when that does not fit."""

    def elements(self, arch: Arch) -> list[Element]:
        """Return the (position, type) pairs that can still be added."""

    def additions(self, arch: Arch) -> dict[Arch, list[Element]]:
        """Return the canonical networks one block larger, with the elements that lead to each."""

    def add(self, arch: Arch, element: Element) -> Arch:
        """Return `arch` with a block at an empty position."""

    def describe(self, element: Element) -> str:
        """Return an element in words."""

    def sample(self, rng: np.random.Generator) -> Arch:
        """Return a random network, canonical."""

    def parse(self, text: str) -> Arch:
        """Return the architecture written as `text`.

        Raises:
            UserError: it is none of this space.
        """

    def format(self, arch: Arch) -> str:
        """Return the text that `parse` reads."""


class PlainSpace:
    """What follows where every position is for itself and every filling a network of its own."""

    @property
    def groups(self: Space) -> list[tuple[int, ...]]:
        """Every position by itself."""
        return [(position,) for position in range(len(self.choices))]

    def canonical(self, arch: Arch) -> Arch:
        """Return `arch`."""
        return arch

    def start(self: Space) -> Arch:
        """Return the first of the networks to start from."""
        return next(self.starts())

    def elements(self: Space, arch: Arch) -> list[Element]:
        """Return the pairs of an empty position and a type that lead to another network."""
        return [
            (position, block)
            for position, here in enumerate(arch)
            if not here
            for block in self.choices[position]
            if block and self.contains(self.add(arch, (position, block)))
        ]

    def additions(self: Space, arch: Arch) -> dict[Arch, list[Element]]:
        """Return the networks one block larger, with the element that leads to each."""
        return {self.add(arch, element): [element] for element in self.elements(arch)}

    def add(self, arch: Arch, element: Element) -> Arch:
        """Return `arch` with a block at an empty position."""
        position, block = element
        return (*arch[:position], block, *arch[position + 1 :])


def neighbours(space: Space, arch: Arch) -> list[Arch]:
    """Return the networks that differ in one position: a block added, removed or replaced.

    Canonical, each once, without `arch` itself, in a fixed order.
    """
    here = space.canonical(arch)
    found: dict[Arch, None] = {}
    for position, types in enumerate(space.choices):
        for block in types:
            other = (*here[:position], block, *here[position + 1 :])
            if other != here and space.contains(other):
                found[space.canonical(other)] = None
    found.pop(here, None)
    return list(found)
