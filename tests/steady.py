"""A machine for tests of what is made of timings: it takes as long as a table says."""

from __future__ import annotations

import dataclasses
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from hwnas.measure import REFERENCE
from hwnas.profiler.clock import LocalClock
from hwnas.seeds import derive

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hwnas.bundle.manifest import Job
    from hwnas.lut.table import Table
    from hwnas.measure import Round


@dataclasses.dataclass
class SteadyClock(LocalClock):
    """A machine on which everything takes as long as a table says, every time.

    Attributes:
        table: tells the times of parts and networks.
        spread: standard deviation of the logarithm of what a network takes more than the table
            says; of its own, and always the same.
    """

    table: Table | None = None
    spread: float = 0.0

    @contextmanager
    def running(self, _coming: Sequence[Job] = (), /) -> Iterator[None]:
        yield

    def rounds(self, job: Job) -> Iterator[Round]:
        assert self.table is not None
        space = self.table.space
        times = {str(key): row.raw_ms for key, row in self.table.rows.items()}
        archs = {REFERENCE: space.start(), **{name: space.parse(name) for name in job.networks}}
        for name, arch in archs.items():
            luck = np.random.default_rng(derive(0, name)).normal()
            times[name] = self.table.latency_ms(arch) * float(np.exp(self.spread * luck))
        for _ in range(job.rounds):
            yield list(times.items())
