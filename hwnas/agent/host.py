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
    from hwnas.agent.session import Brief, Work
    from hwnas.agent.wire import Hello
    from hwnas.bundle.schema import JobResult
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

    def device(self) -> Hello:
        """Return the device, once there is one."""
        while True:
            if (hello := self._session.wait_for_device(TICK_S)) is not None:
                return hello

    def announce(self, work: Work) -> None:
        """Let the device begin a job before it is asked; it must be the next one that is."""
        self._session.announce(work)

    @contextmanager
    def run(self, work: Work) -> Iterator[JobResult]:
        """Yield the rounds of a job, verified; they count as taken if the body ends well.

        Raises:
            UserError: the device keeps giving wrong results.
        """
        self._session.ask(work)
        while (result := self._session.collect(TICK_S)) is None:
            self._mind_silence()
        self._told_silent = False
        yield result
        self._session.confirm()

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
