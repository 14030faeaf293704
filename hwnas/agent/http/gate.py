"""What every request passes: it is on the list, shows the token, is answered, and is logged."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, cast

from starlette.responses import Response

from hwnas.agent.http.auth import require_token
from hwnas.agent.http.request_log import Entry
from hwnas.agent.wire import Refusal, Refused, dump

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from hwnas.agent.http.connections import Connections, Peer
    from hwnas.agent.http.limits import Limits
    from hwnas.agent.http.request_log import RequestLog


BODY = (b"content-length", b"transfer-encoding")
"""Headers of a request that has a body."""
CLOSE = (b"connection", b"close")
STALLED = "the answer was not read"


class Gate:
    """The outermost part of the application."""

    def __init__(
        self,
        app: ASGIApp,
        token: Callable[[], str],
        limits: Limits,
        connections: Connections,
        log: RequestLog,
    ) -> None:
        """Put a gate in front of an application.

        Args:
            app: may raise `Refused`.
            token: returns the hash of the pairing token.
            limits: what requests have to keep to.
            connections: told of every request.
            log: told of every answer.
        """
        self._app, self._token, self._limits = app, token, limits
        self._connections, self._log = connections, log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            return
        peer = cast("Peer", scope["client"])
        entry = Entry(f"{peer[0]}:{peer[1]}", scope["method"], scope["path"])
        has_body = any(name in BODY for name, _ in scope["headers"])
        exchange = _Exchange(entry, receive, send, self._limits, has_body=has_body)
        exchange.on_stall = lambda: self._connections.abort(peer, STALLED)
        self._connections.began(peer)
        try:
            await self._serve(scope, peer, exchange)
        finally:
            self._connections.ended(peer)
            self._log.write(entry)

    async def _serve(self, scope: Scope, peer: Peer, exchange: _Exchange) -> None:
        try:
            require_token(scope["headers"], self._token())
            self._connections.proved(peer)
            await self._app(scope, exchange.receive, exchange.send)
        except Refused as refused:
            exchange.entry.reason = refused.reason
            told = dump(Refusal(error=refused.code, reason=refused.reason))
            answer = Response(told, refused.status, media_type="application/json")
            await answer(scope, exchange.receive, exchange.send)


class _Exchange:
    """Counts what goes to and fro, and ends a refused request so that its sender learns of it."""

    def __init__(
        self, entry: Entry, receive: Receive, send: Send, limits: Limits, *, has_body: bool
    ) -> None:
        self.entry, self._limits = entry, limits
        self._receive, self._send = receive, send
        self._more = has_body
        self.on_stall: Callable[[], None] = lambda: None

    async def receive(self) -> Message:
        message = await self._receive()
        self.entry.received += len(message.get("body", b""))
        self._more = message["type"] == "http.request" and message.get("more_body", False)
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.entry.status = message["status"]
            if self._more:
                message = {**message, "headers": [*message["headers"], CLOSE]}
        else:
            self.entry.sent += len(message.get("body", b""))
        ends = message["type"] == "http.response.body" and not message.get("more_body", False)
        if ends and self._more:
            await self._bounded_send({**message, "more_body": True})
            await self._drop_body()
            message = {"type": "http.response.body", "body": b""}
        await self._bounded_send(message)

    async def _bounded_send(self, message: Message) -> None:
        try:
            async with asyncio.timeout(self._limits.stall_s):
                await self._send(message)
        except TimeoutError:
            self.entry.status, self.entry.reason = 0, STALLED
            self.on_stall()  # from now on, sending does nothing

    async def _drop_body(self) -> None:
        most = self.entry.received + self._limits.linger_bytes
        with suppress(TimeoutError):
            async with asyncio.timeout(self._limits.linger_s):
                while self._more and self.entry.received < most:
                    await self.receive()
