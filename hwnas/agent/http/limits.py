"""How much a stranger may cost: connections, time for headers and bodies, bytes."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.requests import ClientDisconnect

from hwnas.agent.wire import Refused

if TYPE_CHECKING:
    from starlette.requests import Request


@dataclass(frozen=True, slots=True)
class Limits:
    """What everybody has to keep to.

    Attributes:
        connections: open ones; see `connections`.
        headers_s: seconds until a request's headers are complete, from the connection or from the
            last answer on.
        headers_bytes: of one request.
        body_s: seconds until its body is complete.
        body_bytes: of a body that is not a result.
        stall_s: seconds in which whoever reads an answer takes nothing.
        linger_s: seconds, and
        linger_bytes: bytes, of a refused body that are taken and dropped, so that a sender who does
            not read meanwhile finds the answer rather than a cut connection.
        poll_s: seconds after which a device that waits for a job is told to ask again, and one that
            waits for a receipt to deliver again.
        handshake_s: seconds for that of TLS.
    """

    connections: int = 64
    headers_s: float = 10.0
    headers_bytes: int = 16 << 10
    body_s: float = 60.0
    body_bytes: int = 64 << 10
    stall_s: float = 60.0
    linger_s: float = 2.0
    linger_bytes: int = 1 << 20
    poll_s: float = 20.0
    handshake_s: float = 10.0


async def read_body(request: Request, limits: Limits, most_bytes: int | None = None) -> bytes:
    """Return a JSON body, read no further than is allowed.

    Raises:
        Refused: not JSON, compressed, too large, too slow, or cut.
    """
    _require_plain_json(request)
    most_bytes = most_bytes or limits.body_bytes
    declared = request.headers.get("content-length", "0")
    if not declared.isdigit() or int(declared) > most_bytes:
        raise _too_large(most_bytes)
    body = bytearray()
    try:
        async with asyncio.timeout(limits.body_s):
            async for chunk in request.stream():
                body += chunk
                if len(body) > most_bytes:
                    raise _too_large(most_bytes)
    except TimeoutError:
        raise Refused(408, "slow", f"no complete body within {limits.body_s:g} s") from None
    except ClientDisconnect:
        raise Refused(400, "cut", "the connection was cut within the body") from None
    return bytes(body)


def _require_plain_json(request: Request) -> None:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Refused(415, "content-type", "the Content-Type has to be application/json")
    if request.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise Refused(415, "content-encoding", "compressed bodies are not taken")


def _too_large(most_bytes: int) -> Refused:
    return Refused(413, "too-large", f"the body has more than {most_bytes} bytes")
