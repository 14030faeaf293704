"""A clock of the profiler that is a device somewhere else."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from hwnas.agent.session.demand import Work
from hwnas.profiler.bundled import device_place
from hwnas.profiler.clock import network_graphs

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from concurrent.futures import Future

    from hwnas.agent.host import Host
    from hwnas.agent.model_files import Workshop
    from hwnas.bundle.manifest import Job, TimedModel
    from hwnas.measure import Round
    from hwnas.profiler.clock import Place
    from hwnas.spaces import RcnetSpace


class DeviceClock:
    """Has jobs done by the device of a host; the models of one are made ahead of need."""

    def __init__(self, host: Host, workshop: Workshop, space: RcnetSpace) -> None:
        """Time the networks of `space`, whose panel the host has told the device."""
        self._host, self._workshop, self._space = host, workshop, space
        self._coming: list[Job] = []
        self._ahead: dict[Job, Future[Work]] = {}

    @property
    def place(self) -> Place:
        """The device, once it is paired."""
        hello = self._host.device()
        return device_place(hello.device, hello.runtime, self._host.conditions)

    @contextmanager
    def running(self, coming: Sequence[Job] = (), /) -> Iterator[None]:
        """Take note of what will be asked; the device loads the panel when it is paired."""
        self._coming = list(coming)
        yield

    def rounds(self, job: Job) -> Iterator[Round]:
        """Yield the rounds of a job once the device has done it."""
        future = self._ahead.pop(job, None) or self._make(job)
        self._host.session.ask(future.result())
        self._coming = [each for each in self._coming if each != job]
        for following in self._coming[:1]:
            self._ahead[following] = self._make(following)
        with self._host.result() as result:
            yield from result.rounds

    def _make(self, job: Job) -> Future[Work]:
        def announce(models: dict[str, TimedModel]) -> Work:
            work = Work(job, models)
            self._host.session.announce(work)
            return work

        return self._workshop.make_ahead(network_graphs(self._space, job.networks), announce)
