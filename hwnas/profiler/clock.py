"""Who runs the rounds: this machine, an iPhone at its cable, or a device that is asked to."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from hwnas.bundle import probe
from hwnas.device import describe_host, temperature
from hwnas.errors import CheckFailed
from hwnas.graph import random_weights
from hwnas.measure import REFERENCE, measure_round, pinned, warm_up

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from hwnas.bundle.manifest import Job
    from hwnas.bundle.models import Maker
    from hwnas.graph import Graph
    from hwnas.measure import Round, Timer
    from hwnas.spaces import RcnetSpace
    from hwnas.targets.apple.benchmarker import Phone, RemoteModel
    from hwnas.targets.backend import Backend


@dataclass(frozen=True, slots=True)
class Place:
    """Where something is timed.

    Attributes:
        device: what identifies the machine or the device.
        version: of the runtime there.
        temperature: of the device, as a text.
    """

    device: Mapping[str, str]
    version: str
    temperature: str = "not readable"


def here(backend: Backend) -> Place:
    """Return this machine."""
    return Place(describe_host(), backend.version(), temperature())


class Clock(Protocol):
    """Does jobs; every round holds the panel (all parts and the reference) too."""

    @property
    def place(self) -> Place:
        """Where."""

    def running(self, coming: Sequence[Job] = (), /) -> AbstractContextManager[None]:
        """Return what must surround all rounds; these jobs are asked there, in this order."""

    def rounds(self, job: Job) -> Iterator[Round]:
        """Yield the rounds of a job, each as soon as it is known."""


@dataclass(slots=True)
class LocalClock:
    """This machine."""

    space: RcnetSpace
    backend: Backend
    threads: int
    _panel: dict[str, Timer] = field(default_factory=dict)

    @property
    def place(self) -> Place:
        """This machine, and how warm it is now."""
        return here(self.backend)

    @contextmanager
    def running(self, _coming: Sequence[Job] = (), /) -> Iterator[None]:
        """Load the panel and keep to as many cores as there are threads."""
        with pinned(self.threads):
            self._panel = self._load(panel_graphs(self.space))
            yield

    def rounds(self, job: Job) -> Iterator[Round]:
        """Load the networks and time everything."""
        yield from _timed(job, self._panel | self._load(network_graphs(self.space, job.networks)))

    def _load(self, graphs: Mapping[str, Graph]) -> dict[str, Timer]:
        timers = {name: timer_of(self.backend, g, self.threads) for name, g in graphs.items()}
        warm_up(timers.values())
        return timers


@dataclass(slots=True)
class PhoneClock:
    """An iPhone that coremltools reaches; models travel to it one by one.

    Attributes:
        space: what is timed.
        maker: of the models.
        phone: attached.
    """

    space: RcnetSpace
    maker: Maker
    phone: Phone
    _panel: dict[str, RemoteModel] = field(default_factory=dict)

    @property
    def place(self) -> Place:
        """The phone; it tells no temperature."""
        return Place(self.phone.facts, self.phone.version)

    @contextmanager
    def running(self, _coming: Sequence[Job] = (), /) -> Iterator[None]:
        """Load the panel; it goes with the app on the phone, which is not closed here."""
        self._panel = self._load(panel_graphs(self.space))
        yield

    def rounds(self, job: Job) -> Iterator[Round]:
        """Load the networks, time everything, and drop them."""
        networks = self._load(network_graphs(self.space, job.networks))
        loaded = self._panel | networks
        yield from _timed(job, {name: model.elapsed_ms for name, model in loaded.items()})
        for model in networks.values():
            model.unload()

    def _load(self, graphs: Mapping[str, Graph]) -> dict[str, RemoteModel]:
        models = {name: self._loaded(name, graph) for name, graph in graphs.items()}
        warm_up(model.elapsed_ms for model in models.values())
        return models

    def _loaded(self, name: str, graph: Graph) -> RemoteModel:
        """Return a model on the phone; raises CheckFailed when it computes something else there."""
        artifact, asked = self.maker.make(graph)
        values = probe.given(asked.input.shape, asked.input.dtype)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"model{self.maker.suffix}"
            artifact.write(path)
            model = self.phone.load(path, values)
        off = probe.distance(asked.expected, probe.sampled(model.respond()))
        if not off <= asked.tolerance:
            raise CheckFailed(
                f"{name} gives another output on the phone than it should: off by {off:.2g} of its "
                f"length, and {asked.tolerance:g} is allowed."
            )
        return model


def _timed(job: Job, timers: Mapping[str, Timer]) -> Iterator[Round]:
    rng = np.random.default_rng([job.number, job.rounds])
    for _ in range(job.rounds):
        yield measure_round(timers, rng)


def timer_of(backend: Backend, graph: Graph, threads: int) -> Timer:
    """Load a graph, with random weights, into a runtime of this machine; return what times it."""
    return backend.load(backend.emit(graph, random_weights(graph, seed=0)), threads).elapsed_ms


def panel_graphs(space: RcnetSpace) -> dict[str, Graph]:
    """Return what is in every round by name: all parts, and the start network as reference."""
    parts = {str(key): space.part_graph(key) for key in space.lookup_keys()}
    return parts | {REFERENCE: space.graph(space.start())}


def network_graphs(space: RcnetSpace, names: Iterable[str]) -> dict[str, Graph]:
    """Return whole networks by their names, the texts of their architectures."""
    return {name: space.graph(space.parse(name)) for name in names}
