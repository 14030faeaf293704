"""What the profiler holds: a device that is somewhere else, and does one job after the other."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from hwnas.agent.address import is_private, url
from hwnas.agent.auth import new_token, token_hash
from hwnas.agent.limits import Limits
from hwnas.agent.models import ModelFiles
from hwnas.agent.request_log import RequestLog
from hwnas.agent.server import Server
from hwnas.agent.session import Session
from hwnas.agent.state import State, read_state, write_state

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hwnas.agent.address import Listen
    from hwnas.agent.wire import Hello
    from hwnas.agent.work import Brief, PowerWork, Work
    from hwnas.bundle.schema import Conditions, JobResult, Power
    from hwnas.progress import Reporter

TICK_S = 0.5
"""How often a wait looks up; Ctrl-C counts at once."""
SILENT_S = 300.0
"""A device that was not heard of for so long is told of, once."""
FAREWELL_S = 10.0
"""How long the device has to hear that all is done; it may be cut off at the moment."""


@dataclass(frozen=True, slots=True)
class Files:
    """Where a host keeps what it needs.

    Attributes:
        state: see `state.State`; removed when all is done.
        models: folder; the same.
        log: of requests; stays.
    """

    state: Path
    models: Path
    log: Path


def open_state(path: Path, *, fresh: bool, renew: bool) -> tuple[State, str | None]:
    """Return the state that an earlier host left, or a new one, and the token if it is new.

    Args:
        path: of the state.
        fresh: forget everything.
        renew: forget the token only.

    Raises:
        UserError: the folder cannot be written.
    """
    earlier = None if fresh else read_state(path)
    if earlier is not None and not renew:
        return earlier, None
    token = new_token()
    state = State(token=token_hash(token))
    if earlier is not None:
        state = earlier.but(token=state.token)
    write_state(path, state)
    return state, token


class Host:
    """Listens for a device while it is open, as a context manager.

    Attributes:
        models: what the device may fetch.
        token: if it is new.
    """

    def __init__(
        self,
        listen: Listen,
        files: Files,
        brief: Brief,
        reporter: Reporter,
        *,
        fresh: bool = False,
        renew: bool = False,
        limits: Limits | None = None,
    ) -> None:
        """Prepare a host.

        Args:
            listen: where.
            files: what an earlier host left there is gone on with.
            brief: what the device is told first; its models have to be in `models` before a device
                is waited for.
            reporter: told what the user has to know.
            fresh: forget device and token.
            renew: forget the token only.
            limits: for tests.

        Raises:
            UserError: a folder cannot be written.
        """
        state, self.token = open_state(files.state, fresh=fresh, renew=renew)
        self.models = ModelFiles(files.models)
        self._listen, self._files, self._reporter = listen, files, reporter
        self._session = Session(brief, state, lambda new: write_state(files.state, new))
        self._log = RequestLog(files.log, reporter.warn)
        self._server = Server(
            self._session, self.models, self._log, limits or Limits(), listen.certificate
        )
        self._told_silent = False

    def __enter__(self) -> Self:
        """Listen.

        Raises:
            UserError: the address is taken, or not one.
        """
        bound = self._listen.bind()
        self.url = url(bound, tls=self._listen.certificate is not None)
        if not is_private(bound) and self._listen.certificate is None:
            self._reporter.warn(
                "whoever can listen in this network reads the token and the timings: use "
                "--tls-cert and --tls-key, or a network of your own."
            )
        self._server.start(bound)
        return self

    def __exit__(self, *_: object) -> None:
        """Stop listening."""
        self._server.stop()
        self._log.close()

    @property
    def known(self) -> Hello | None:
        """The device, if there is one yet."""
        return self._session.state.paired

    @property
    def conditions(self) -> list[Conditions]:
        """How the device was before and after every job that is on record."""
        return [each for lease in self._session.state.leases for each in lease.conditions]

    def device(self) -> Hello:
        """Return the device, once there is one."""
        while (hello := self.known) is None:
            self._session.wait_for(lambda state: state.paired is not None, TICK_S)
        return hello

    def announce(self, work: Work) -> None:
        """Let the device begin a job before it is asked; it must be the next one that is."""
        self._session.announce(work)

    def ask(self, work: Work) -> None:
        """Want a job done; see `result`."""
        self._session.ask(work)

    @contextmanager
    def result(self) -> Iterator[JobResult]:
        """Yield the rounds of the job that was asked, verified, once the device has done it.

        If the body ends well, they are on record, and the device may forget them.

        Raises:
            UserError: the device keeps giving wrong results.
        """
        while (result := self._session.collect(TICK_S)) is None:
            self._mind_silence()
        self._told_silent = False
        yield result
        self._session.confirm()

    def power(self, work: PowerWork) -> Power | None:
        """Return the power of models, or None where the device has no counter."""
        self._session.ask_power(work)
        while not self._session.wait_for(lambda state: state.power_known, TICK_S):
            self._mind_silence()
        return self._session.state.power

    def finish(self) -> None:
        """Tell the device that all is done, and forget it."""
        self._session.finish()
        self._session.wait_until_told(FAREWELL_S)
        self.models.remove()
        self._files.state.unlink(missing_ok=True)

    def _mind_silence(self) -> None:
        heard = self._session.last_heard
        if heard is None or self._told_silent or time.monotonic() - heard < SILENT_S:
            return
        self._told_silent = True
        self._reporter.warn(
            f"nothing was heard of the device for {SILENT_S / 60:.0f} minutes; whenever it is "
            "back, it goes on. Ctrl-C ends, and the same command goes on later."
        )
