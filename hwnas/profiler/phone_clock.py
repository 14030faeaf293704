"""An attached iPhone as the clock of a profile."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hwnas.bundle import probe
from hwnas.errors import CheckFailed
from hwnas.measure import measure_round, warm_up
from hwnas.profiler.clock import Place, network_graphs, panel_graphs

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from hwnas.bundle.models import Maker
    from hwnas.graph import Graph
    from hwnas.measure import Round
    from hwnas.profiler.clock import Batch
    from hwnas.spaces import RcnetSpace
    from hwnas.targets.apple.benchmarker import Phone, RemoteModel


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
    def running(self) -> Iterator[None]:
        """Load the panel; it goes with the app on the phone, which is not closed here."""
        self._panel = self._load(panel_graphs(self.space))
        yield

    def announce(self, batches: Sequence[Batch]) -> None:
        """Do nothing: models are made when they are loaded."""

    def rounds(self, batch: Batch) -> Iterator[Round]:
        """Load the networks, time everything, and drop them."""
        networks = self._load(network_graphs(self.space, batch.networks))
        timers = {name: model.elapsed_ms for name, model in (self._panel | networks).items()}
        rng = np.random.default_rng([batch.number, batch.rounds])
        for _ in range(batch.rounds):
            yield measure_round(timers, rng)
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
