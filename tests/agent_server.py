"""A host that listens on a port of its own, and the requests of whoever calls it."""

from __future__ import annotations

import http.client
import json
import socket
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import agents

from hwnas.agent.host import Host
from hwnas.agent.http.address import listen
from hwnas.agent.http.limits import Limits
from hwnas.agent.model_files import ModelFiles
from hwnas.agent.session.state import write_state
from hwnas.agent.wire import Offer
from hwnas.progress import Silent

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hwnas.agent.http.address import Certificate

QUICK = Limits(
    headers_s=0.6,
    body_s=0.6,
    stall_s=1.0,
    linger_s=0.3,
    poll_s=0.3,
    handshake_s=0.6,
    connections=16,
)
JSON = {"Content-Type": "application/json"}
BEARER = {"Authorization": f"Bearer {agents.TOKEN}"}


class Told(Silent):
    """Keeps what was told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def info(self, message: str) -> None:
        self.lines.append(message)

    def warn(self, message: str) -> None:
        self.lines.append(message)


@dataclass
class Served:
    """A host that listens, and where its log is."""

    host: Host
    port: int
    log_file: Path
    told: Told
    models: ModelFiles
    sockets: list[socket.socket] = field(default_factory=list)
    skipped: int = 0

    def log(self) -> list[dict[str, Any]]:
        """Return the lines of the log, but for those that are skipped."""
        lines = self.log_file.read_text().splitlines()
        return [json.loads(line) for line in lines[self.skipped :]]

    def call(
        self,
        method: str,
        path: str,
        body: object = None,
        headers: dict[str, str] | None = None,
        *,
        token: bool = True,
    ) -> tuple[int, Any]:
        """Return status and answer of one request; dictionaries are sent as JSON."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        sent = json.dumps(body).encode() if isinstance(body, dict) else body
        typed = JSON if isinstance(body, dict) else {}
        try:
            connection.request(
                method, path, sent, {**(BEARER if token else {}), **typed, **(headers or {})}
            )
            response = connection.getresponse()
            content = response.read()
            return response.status, _parsed(content)
        finally:
            connection.close()

    def pair(self) -> str:
        """Pair the usual device."""
        told = agents.hello().model_dump(mode="json", by_alias=True)
        status, welcome = self.call("POST", "/v1/session", told)
        assert status == 200, welcome
        return str(welcome["session"])

    def next(self, session: str) -> Offer:
        """Ask for the next job."""
        asked = {"device_id": agents.DEVICE, "session": session}
        status, offer = self.call("POST", "/v1/jobs/next", asked)
        assert status == 200, offer
        return Offer.model_validate_json(json.dumps(offer))

    def connect(self) -> socket.socket:
        """Return a bare connection; it is closed when the host ends."""
        self.sockets.append(socket.create_connection(("127.0.0.1", self.port), timeout=20))
        return self.sockets[-1]


def _parsed(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        return content


@contextmanager
def serving(
    folder: Path, limits: Limits = QUICK, certificate: Certificate | None = None
) -> Iterator[Served]:
    """Serve the profile of `agents` with its usual token."""
    state, log = folder / "state.json", folder / "agent.log"
    if not state.exists():
        write_state(state, agents.new_state())
    models, told = ModelFiles(folder / "models"), Told()
    for name in agents.PANEL:
        models.add(agents.content(name))
    host = Host(state, log, agents.BRIEF, models, told)
    bound = listen("127.0.0.1", 0)
    with bound, host.listening(bound, certificate, limits):
        served = Served(host, bound.getsockname()[1], log, told, models)
        try:
            yield served
        finally:
            for stream in served.sockets:
                stream.close()
