"""What the profiler holds: a device that is somewhere else, and does one job after the other."""

from __future__ import annotations

import time
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING

from hwnas.agent.http.address import is_private, url
from hwnas.agent.http.auth import new_token, token_hash
from hwnas.agent.http.limits import Limits
from hwnas.agent.http.request_log import RequestLog
from hwnas.agent.http.server import serving
from hwnas.agent.session.session import Session
from hwnas.agent.session.state import State, read_state, write_state

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator
    from pathlib import Path

    from hwnas.agent.http.address import Certificate
    from hwnas.agent.model_files import ModelFiles
    from hwnas.agent.session.demand import PowerWork
    from hwnas.agent.wire import Brief, Hello
    from hwnas.bundle.results import Conditions, JobResult, Power
    from hwnas.progress import Reporter

TICK_S = 0.5
"""How often a wait looks up; Ctrl-C counts at once."""
SILENT_S = 300.0
"""A device that was not heard of for so long is told of, once."""
FAREWELL_S = 10.0
"""How long the device has to hear that all is done; it may be cut off at the moment."""


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
    """One profile's side of the wire; see `listening`.

    Attributes:
        token: if it is new, to be shown now and never again.
        session: told what is asked of the device.
        url: what the device calls, while listening.
    """

    def __init__(
        self,
        state_file: Path,
        log_file: Path,
        brief: Brief,
        models: ModelFiles,
        reporter: Reporter,
        *,
        fresh: bool = False,
        renew: bool = False,
    ) -> None:
        """Prepare a host.

        Args:
            state_file: see `state.State`; what an earlier host left there is gone on with.
            log_file: of requests; stays when all is done.
            brief: what the device is told first; its models have to be in `models`.
            models: what the device may fetch.
            reporter: told what the user has to know.
            fresh: forget device and token.
            renew: forget the token only.

        Raises:
            UserError: a folder cannot be written.
        """
        state, self.token = open_state(state_file, fresh=fresh, renew=renew)
        self.url = ""
        self._state_file, self._log_file = state_file, log_file
        self._models, self._reporter = models, reporter
        self.session = Session(brief, state, lambda new: write_state(state_file, new))
        self.session.on_trouble = self._tell_trouble
        self._told_silent = False

    @contextmanager
    def listening(
        self,
        bound: socket.socket,
        certificate: Certificate | None = None,
        limits: Limits | None = None,
    ) -> Iterator[None]:
        """Serve the device while the body runs.

        Args:
            bound: where.
            certificate: for TLS.
            limits: of requests, if not the usual ones.

        Raises:
            UserError: the log cannot be written, or the server does not start.
        """
        self.url = url(bound, tls=certificate is not None)
        if not is_private(bound) and certificate is None:
            self._reporter.warn(
                "whoever can listen in this network reads the token and the timings: use "
                "--tls-cert and --tls-key, or a network of your own."
            )
        log = RequestLog(self._log_file, self._reporter.warn)
        limits = limits or Limits()
        with closing(log), serving(bound, self.session, self._models, log, limits, certificate):
            yield

    @property
    def conditions(self) -> list[Conditions]:
        """How the device was before and after every job that is on record."""
        return [each for lease in self.session.state.leases for each in lease.conditions]

    def device(self) -> Hello:
        """Return the device, once there is one."""
        while (hello := self.session.state.paired) is None:
            self.session.wait_for(lambda state: state.paired is not None, TICK_S)
        return hello

    @contextmanager
    def result(self) -> Iterator[JobResult]:
        """Yield the rounds of the job that was asked, verified, once the device has done it.

        If the body ends well, they are on record, and the device may forget them.

        Raises:
            UserError: the device keeps giving wrong results.
        """
        while (result := self.session.collect(TICK_S)) is None:
            self._mind_silence()
        self._told_silent = False
        yield result
        self.session.confirm()

    def power(self, work: PowerWork) -> Power | None:
        """Return the power of models, or None where the device has no counter."""
        self.session.ask_power(work)
        while not self.session.wait_for(lambda state: state.power_known, TICK_S):
            self._mind_silence()
        return self.session.state.power

    def finish(self) -> None:
        """Tell the device that all is done, and forget it."""
        self.session.finish()
        self.session.wait_until_told(FAREWELL_S)
        self._models.remove()
        self._state_file.unlink(missing_ok=True)
        with suppress(OSError):  # others are at work there
            self._state_file.parent.rmdir()

    def _tell_trouble(self, reason: str) -> None:
        self._reporter.warn(f"the device has stopped: {reason}. Start it again there; it goes on.")

    def _mind_silence(self) -> None:
        heard = self.session.last_heard
        if heard is None or self._told_silent or time.monotonic() - heard < SILENT_S:
            return
        self._told_silent = True
        self._reporter.warn(
            f"nothing was heard of the device for {SILENT_S / 60:.0f} minutes: it is at work on a "
            "long job, or gone. Whenever it is back, it goes on; so does the same command after "
            "Ctrl-C."
        )
