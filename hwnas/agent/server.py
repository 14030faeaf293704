"""The web server, in a thread of its own beside the profiler."""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import TYPE_CHECKING, Any

import uvicorn

from hwnas.agent.app import Application, Bell
from hwnas.agent.connections import Connections, guarded
from hwnas.agent.gate import Gate
from hwnas.agent.request_log import ProblemHandler
from hwnas.errors import UserError

if TYPE_CHECKING:
    import socket

    from hwnas.agent.address import Certificate
    from hwnas.agent.limits import Limits
    from hwnas.agent.models import ModelFiles
    from hwnas.agent.request_log import RequestLog
    from hwnas.agent.session import Session

LOGGER = "uvicorn.error"
STOP_S = 5
"""Seconds that requests in work have, once the server stops."""


class Server:
    """Serves a session until it is stopped."""

    def __init__(
        self,
        session: Session,
        models: ModelFiles,
        log: RequestLog,
        limits: Limits,
        certificate: Certificate | None = None,
    ) -> None:
        """Prepare a server; see `start`.

        Args:
            session: what is served.
            models: what may be fetched.
            log: told of every request.
            limits: what requests have to keep to.
            certificate: for TLS.
        """
        self._session, self._models, self._log = session, models, log
        self._limits, self._certificate = limits, certificate
        self._ready = threading.Event()
        self._thread: threading.Thread | None = None
        self._uvicorn: uvicorn.Server | None = None
        self._app: Application | None = None
        self._bell: Bell | None = None
        self._problems = ProblemHandler(log)

    def start(self, bound: socket.socket) -> None:
        """Serve on a bound socket; return when requests are taken.

        Raises:
            UserError: the server did not start.
        """
        self._thread = threading.Thread(target=self._run, args=(bound,), name="agent", daemon=True)
        self._thread.start()
        self._ready.wait()
        if self._uvicorn is None or not self._uvicorn.started:
            raise UserError("the server for the device did not start; its log tells why.")

    def stop(self) -> None:
        """End: what waits is told to come again, and new requests are not taken."""
        if self._thread is None or self._uvicorn is None:
            return
        self._session.on_change = lambda: None
        if self._app is not None and self._bell is not None:
            self._app.closing = True
            self._bell.ring()
        self._uvicorn.should_exit = True
        self._thread.join()
        self._thread = None

    def _run(self, bound: socket.socket) -> None:
        logger = logging.getLogger(LOGGER)
        propagated, logger.propagate = logger.propagate, False
        logger.addHandler(self._problems)
        try:
            with asyncio.Runner(loop_factory=self._loop) as runner:
                runner.run(self._serve(bound))
        except (OSError, SystemExit) as error:
            self._log.problem(f"the server ended: {error!r}")
        finally:
            logger.removeHandler(self._problems)
            logger.propagate = propagated
            self._ready.set()

    async def _serve(self, bound: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: self._log.problem(repr(context)))
        self._bell = Bell(loop)
        self._app = Application(self._session, self._models, self._limits, self._bell)
        self._session.on_change = self._bell.ring
        self._uvicorn = server = uvicorn.Server(self._config(self._app))
        serving = asyncio.ensure_future(server.serve(sockets=[bound]))
        while not (server.started or serving.done()):
            await asyncio.sleep(0.005)
        self._ready.set()
        await serving

    def _config(self, app: Application) -> uvicorn.Config:
        connections = Connections(self._limits, self._log)
        gate = Gate(app, lambda: self._session.state.token, self._limits, connections, self._log)
        tls = self._certificate
        return uvicorn.Config(
            gate,
            http=guarded(connections),
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            timeout_keep_alive=int(self._limits.headers_s) + 1,
            timeout_graceful_shutdown=STOP_S,
            h11_max_incomplete_event_size=self._limits.headers_bytes,
            ssl_certfile=None if tls is None else tls.cert,
            ssl_keyfile=None if tls is None else str(tls.key),
        )

    def _loop(self) -> asyncio.AbstractEventLoop:
        return _Loop(self._limits.handshake_s)


class _Loop(asyncio.SelectorEventLoop):
    """A loop whose listeners do not wait a minute for a handshake of TLS."""

    def __init__(self, handshake_s: float) -> None:
        super().__init__()
        self._handshake_s = handshake_s

    async def create_server(self, *arguments: Any, **options: Any) -> asyncio.Server:
        if options.get("ssl") is not None:
            options["ssl_handshake_timeout"] = self._handshake_s
        return await super().create_server(*arguments, **options)
