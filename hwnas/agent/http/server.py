"""The web server, in a thread of its own beside the profiler."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import uvicorn

from hwnas.agent.http.connections import Connections, guarded
from hwnas.agent.http.gate import Gate
from hwnas.agent.http.request_log import ProblemHandler
from hwnas.agent.http.routes import Application, Bell
from hwnas.errors import UserError

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator

    from hwnas.agent.http.address import Certificate
    from hwnas.agent.http.limits import Limits
    from hwnas.agent.http.request_log import RequestLog
    from hwnas.agent.model_files import ModelFiles
    from hwnas.agent.session.session import Session

LOGGER = "uvicorn.error"
STOP_S = 5
"""Seconds that requests in work have, once the server stops."""


@contextmanager
def serving(
    bound: socket.socket,
    session: Session,
    models: ModelFiles,
    log: RequestLog,
    limits: Limits,
    certificate: Certificate | None = None,
) -> Iterator[None]:
    """Serve a session while the body runs; then what waits is told to come again.

    Args:
        bound: where.
        session: what is served.
        models: what may be fetched.
        log: told of every request.
        limits: what requests have to keep to.
        certificate: for TLS.

    Raises:
        UserError: the server did not start.
    """
    loop = _Loop(limits.handshake_s)
    loop.set_exception_handler(lambda _, context: log.problem(repr(context)))
    bell = Bell(loop)
    app = Application(session, models, limits, bell)
    connections = Connections(limits, log)
    gate = Gate(app, lambda: session.state.token, limits, connections, log)
    server = uvicorn.Server(_config(gate, connections, limits, certificate))
    thread = threading.Thread(
        target=_run, args=(server, bound, loop, log), name="agent", daemon=True
    )
    session.on_change = bell.ring
    thread.start()
    try:
        while not server.started:
            if not thread.is_alive():
                raise UserError("the server for the device did not start; its log tells why.")
            time.sleep(0.005)
        yield
    finally:
        session.on_change = lambda: None
        app.closing = True
        bell.ring()
        server.should_exit = True
        thread.join()


def _run(
    server: uvicorn.Server, bound: socket.socket, loop: asyncio.AbstractEventLoop, log: RequestLog
) -> None:
    logger, problems = logging.getLogger(LOGGER), ProblemHandler(log)
    propagated, logger.propagate = logger.propagate, False
    logger.addHandler(problems)
    try:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(server.serve(sockets=[bound]))
    except (OSError, SystemExit) as error:
        log.problem(f"the server ended: {error!r}")
    finally:
        logger.removeHandler(problems)
        logger.propagate = propagated


def _config(
    gate: Gate, connections: Connections, limits: Limits, tls: Certificate | None
) -> uvicorn.Config:
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
        timeout_keep_alive=int(limits.headers_s) + 1,
        timeout_graceful_shutdown=STOP_S,
        h11_max_incomplete_event_size=limits.headers_bytes,
        ssl_certfile=None if tls is None else tls.cert,
        ssl_keyfile=None if tls is None else str(tls.key),
    )


class _Loop(asyncio.SelectorEventLoop):
    """A loop whose listeners do not wait a minute for a handshake of TLS."""

    def __init__(self, handshake_s: float) -> None:
        super().__init__()
        self._handshake_s = handshake_s

    async def create_server(self, *arguments: Any, **options: Any) -> asyncio.Server:
        if options.get("ssl") is not None:
            options["ssl_handshake_timeout"] = self._handshake_s
        return await super().create_server(*arguments, **options)
