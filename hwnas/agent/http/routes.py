"""The routes, and how a request waits until the profiler has something to say."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

from starlette.responses import FileResponse, Response
from starlette.routing import Route, Router

from hwnas.agent.http.limits import Limits, read_body
from hwnas.agent.wire import (
    Ask,
    Delivery,
    Given,
    Hello,
    PowerDelivery,
    Receipt,
    Refused,
    Trouble,
    dump,
    parse,
)

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send

    from hwnas.agent.model_files import ModelFiles
    from hwnas.agent.session.session import Session
    from hwnas.bundle.fields import Record

RANGE = re.compile(r"bytes=(\d{1,18})-")


class ModelFile(FileResponse):
    """A file in pieces four times as large as usual: twice as fast, and few enough to a stall."""

    chunk_size = 256 << 10


class Bell:
    """Wakes requests that wait in the server's thread; may be rung from any thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop, self._next = loop, asyncio.Event()

    def ring(self) -> None:
        """Wake all that wait."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._ring)

    def listen(self) -> asyncio.Event:
        """Return what the next ring sets; to be taken before looking at what may change."""
        return self._next

    def _ring(self) -> None:
        self._next.set()
        self._next = asyncio.Event()


class Application:
    """Serves one session."""

    def __init__(self, session: Session, models: ModelFiles, limits: Limits, bell: Bell) -> None:
        """Serve a session.

        Args:
            session: what is asked and answered.
            models: what may be fetched.
            limits: what requests have to keep to.
            bell: rung when the session changes.
        """
        self._session, self._models = session, models
        self._limits, self._bell = limits, bell
        self.closing = False
        self._router = Router(
            [
                Route("/v1/session", self._wanted, methods=["GET"]),
                Route("/v1/session", self._pair, methods=["POST"]),
                Route("/v1/jobs/next", self._next, methods=["POST"]),
                Route("/v1/results", self._deliver, methods=["POST"]),
                Route("/v1/power", self._power, methods=["POST"]),
                Route("/v1/trouble", self._trouble, methods=["POST"]),
                Route("/v1/models/{sha256}", self._model, methods=["GET"]),
            ],
            redirect_slashes=False,
            default=_not_found,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; raises `Refused`."""
        await self._router(scope, receive, send)

    async def _wanted(self, _request: Request) -> Response:
        return _answer(self._session.wanted())

    async def _pair(self, request: Request) -> Response:
        return _answer(self._session.pair(await self._sent(Hello, request)))

    async def _next(self, request: Request) -> Response:
        ask = await self._sent(Ask, request)
        deadline = asyncio.get_running_loop().time() + self._limits.poll_s
        while True:
            changed = self._bell.listen()
            offer = self._session.next(ask)
            if offer.status != "wait" or not await self._waited(changed, deadline):
                return _answer(offer)

    async def _deliver(self, request: Request) -> Response:
        delivery = await self._sent(Delivery, request, self._session.largest_result)
        deadline = asyncio.get_running_loop().time() + self._limits.poll_s
        before = None
        while True:
            changed = self._bell.listen()
            progress = self._session.deliver(delivery)
            if progress == "done":
                verified = before == "verified"
                return _answer(Receipt(status="accepted" if verified else "duplicate"))
            before = progress
            if not await self._waited(changed, deadline):
                raise Refused(503, "busy", "the host is not ready for this result: deliver again")

    async def _power(self, request: Request) -> Response:
        delivery = await self._sent(PowerDelivery, request, self._session.largest_power)
        new = self._session.deliver_power(delivery)
        return _answer(Receipt(status="accepted" if new else "duplicate"))

    async def _trouble(self, request: Request) -> Response:
        self._session.trouble(await self._sent(Trouble, request))
        return _answer(Receipt(status="accepted"))

    async def _sent(
        self, kind: type[Given], request: Request, most_bytes: int | None = None
    ) -> Given:
        """Return the message of a request, of at most so many bytes."""
        return parse(kind, await read_body(request, self._limits, most_bytes))

    async def _waited(self, changed: asyncio.Event, deadline: float) -> bool:
        """Wait for a change; return whether there was one in time."""
        if self.closing:
            return False
        try:
            async with asyncio.timeout_at(deadline):
                await changed.wait()
        except TimeoutError:
            return False
        return True

    async def _model(self, request: Request) -> Response:
        path = self._models.find(request.path_params["sha256"])
        if path is None:
            raise Refused(404, "no-model", "no such model is needed now")
        _require_plain_range(request, path.stat().st_size)
        return ModelFile(path, media_type="application/octet-stream")


async def _not_found(_scope: Scope, _receive: Receive, _send: Send) -> None:
    raise Refused(404, "no-path", "no such path: is the harness of another version?")


def _answer(message: Record) -> Response:
    return Response(dump(message), media_type="application/json")


def _require_plain_range(request: Request, size: int) -> None:
    """Pass a request for a whole file, or for one "from here on", which is all that is served."""
    asked = request.headers.get("range")
    if asked is None:
        return
    found = RANGE.fullmatch(asked)
    if found is None or int(found[1]) >= size:
        raise Refused(416, "range", f"the file has {size} bytes; only bytes=N- is served")
