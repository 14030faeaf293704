"""Who may keep a connection open: not many, and not for long without a request.

Connections that have not shown the token give way to newer ones, so that a thousand idle ones do
not keep the device out. Headers that come drop by drop, or not at all, end the connection.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias, cast

from uvicorn.protocols.http.h11_impl import H11Protocol

from hwnas.agent.http.request_log import Entry

if TYPE_CHECKING:
    from hwnas.agent.http.limits import Limits
    from hwnas.agent.http.request_log import RequestLog

Peer: TypeAlias = tuple[str, int]

NO_REQUEST = "the connection ended without a request"
TOO_MANY = "too many connections"


@dataclass(slots=True)
class _Open:
    transport: asyncio.Transport
    timer: asyncio.TimerHandle | None = None
    proven: bool = False
    requests: int = 0


class Connections:
    """All open connections, the oldest first; used in the server's thread only."""

    def __init__(self, limits: Limits, log: RequestLog) -> None:
        self._limits, self._log = limits, log
        self._open: dict[Peer, _Open] = {}

    def made(self, peer: Peer, transport: asyncio.Transport) -> None:
        """Take a new connection, at the expense of the oldest one that has shown no token."""
        full = len(self._open) >= self._limits.connections
        self._open[peer] = _Open(transport)
        if full:
            unproven = next(peer for peer, one in self._open.items() if not one.proven)
            self.abort(unproven, TOO_MANY)
        self._await_headers(peer)

    def began(self, peer: Peer) -> None:
        """Note that a request's headers are complete."""
        if (one := self._open.get(peer)) is not None:
            one.requests += 1
            _stop(one)

    def proved(self, peer: Peer) -> None:
        """Note that the token was shown."""
        if (one := self._open.get(peer)) is not None:
            one.proven = True

    def ended(self, peer: Peer) -> None:
        """Note that a request was answered; the next one has its time again."""
        self._await_headers(peer)

    def abort(self, peer: Peer, reason: str) -> None:
        """Cut a connection."""
        if (one := self._open.get(peer)) is not None:
            self.lost(peer, reason)
            one.transport.abort()

    def lost(self, peer: Peer, reason: str = NO_REQUEST) -> None:
        """Forget a connection; one that never had a request is logged."""
        if (one := self._open.pop(peer, None)) is None:
            return
        _stop(one)
        if not one.requests:
            self._log.write(Entry(f"{peer[0]}:{peer[1]}", reason=reason))

    def _await_headers(self, peer: Peer) -> None:
        if (one := self._open.get(peer)) is None:
            return
        _stop(one)
        seconds = self._limits.headers_s
        reason = f"no complete headers within {seconds:g} s"
        loop = asyncio.get_running_loop()
        one.timer = loop.call_later(seconds, self.abort, peer, reason)


def _stop(one: _Open) -> None:
    if one.timer is not None:
        one.timer.cancel()


def guarded(connections: Connections) -> type[asyncio.Protocol]:
    """Return uvicorn's protocol, with every connection on the list."""

    class Guarded(H11Protocol):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            connections.made(cast("Peer", self.client), transport)

        def connection_lost(self, exc: Exception | None) -> None:
            connections.lost(cast("Peer", self.client))
            super().connection_lost(exc)

    return Guarded
