"""The messages between host and device, version 1; all are JSON.

    GET  /v1/session                      -> Wanted
    POST /v1/session       Hello          -> Welcome
    POST /v1/jobs/next     Ask            -> Offer
    GET  /v1/models/<sha>                 -> the file
    POST /v1/results       Delivery       -> Receipt
    POST /v1/power         PowerDelivery  -> Receipt
    POST /v1/trouble       Trouble        -> Receipt

A refusal has a status from 400 on and a `Refusal` as its body. Models, jobs and results are those
of `bundle.manifest` and `bundle.results`: what a device is asked and answers is the same over a
cable and over HTTP.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias, TypeVar

from pydantic import Field, ValidationError

from hwnas.bundle.fields import Name, Record
from hwnas.bundle.manifest import Job, Protocol, Setup, TimedModel
from hwnas.bundle.results import Device, JobResult, Power, RanModel, Runtime

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

VERSION: Literal["hwnas-agent/1"] = "hwnas-agent/1"
LONGEST_REASON = 400

Id: TypeAlias = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
"""128 random bits."""


class Wanted(Record):
    """What a device has to have, before it offers itself.

    Attributes:
        schema_version: of this protocol.
        setup: what decides a time beside the model.
    """

    schema_version: Annotated[Literal["hwnas-agent/1"], Field(alias="schema")] = VERSION
    setup: Setup


class Hello(Record):
    """A device offers itself.

    Attributes:
        schema_version: of this protocol.
        device_id: random, made once by the harness and kept.
        device: what it is.
        runtime: who runs the models.
    """

    schema_version: Annotated[Literal["hwnas-agent/1"], Field(alias="schema")]
    device_id: Id
    device: Device
    runtime: Runtime


class Brief(Record):
    """What every device is told at the start.

    Attributes:
        setup: what decides a time beside the model.
        protocol: how everything is timed.
        suffix: of the model files, such as ".tflite".
        panel: models that are in every round, by name.
    """

    setup: Setup
    protocol: Protocol
    suffix: str
    panel: dict[Name, TimedModel]


class Welcome(Brief):
    """The host takes the device.

    Attributes:
        schema_version: of this protocol.
        session: to be told with every question; a later Hello of the same device ends it.
    """

    schema_version: Annotated[Literal["hwnas-agent/1"], Field(alias="schema")] = VERSION
    session: Id


class Speaker(Record):
    """Which device speaks, and which harness of it.

    Attributes:
        device_id: as in `Hello`.
        session: as in `Welcome`.
    """

    device_id: Id
    session: Id


class Ask(Speaker):
    """What is next?"""


class Offer(Record):
    """What is to be done next.

    Attributes:
        status: "job"; "power": what follows the jobs where the device has a counter; "wait": ask
            again at once; "done": nothing, now and later.
        lease: of a job, to be told with its result.
        job: what is to be timed.
        order: what runs for the power counter, as in `bundle.manifest.Manifest.power`.
        models: of the networks among them, by name; those of the panel are known.
    """

    status: Literal["job", "power", "wait", "done"]
    lease: Id | None = None
    job: Job | None = None
    order: tuple[Name, ...] = ()
    models: dict[Name, TimedModel] = Field(default_factory=dict)


class Delivery(Record):
    """A job is done.

    Attributes:
        device_id: as in `Hello`.
        lease: as in `Offer`.
        result: the rounds.
        models: what shows that the right ones ran, the panel's included.
    """

    device_id: Id
    lease: Id
    result: JobResult
    models: Annotated[dict[Name, RanModel], Field(max_length=2_000)]


class PowerDelivery(Speaker):
    """Power was measured, or cannot be on this device.

    Attributes:
        power: None: there is no counter that moves.
    """

    power: Power | None


class Trouble(Speaker):
    """The device has to stop, and a person has to see to it.

    Attributes:
        reason: a line for people.
    """

    reason: Annotated[str, Field(max_length=LONGEST_REASON)]


class Receipt(Record):
    """The result is on record, and the device may forget it.

    Attributes:
        status: "duplicate": it was on record before, or is not needed any more.
    """

    status: Literal["accepted", "duplicate"]


class Refusal(Record):
    """What was wrong.

    Attributes:
        error: a code for programs.
        reason: a line for people.
    """

    error: Name
    reason: Annotated[str, Field(max_length=LONGEST_REASON)]


class Refused(Exception):  # noqa: N818 - an answer rather than an error of this program
    """An answer with a status from 400 on.

    Attributes:
        status: of HTTP.
        code: for programs, such as "superseded".
        reason: one line for people; what a stranger sent may be part of it, so that it is cut, and
            whatever could steer a terminal is replaced.
    """

    def __init__(self, status: int, code: str, reason: str) -> None:
        self.status, self.code, self.reason = status, code, one_line(reason)
        super().__init__(self.reason)


def one_line(text: str) -> str:
    """Return a text that is safe to show: one line, not long, nothing but characters."""
    return "".join(c if c.isprintable() else "?" for c in text[:LONGEST_REASON])


Given = TypeVar("Given", bound=Record)


def parse(kind: type[Given], body: bytes) -> Given:
    """Return the message that a device sent.

    Raises:
        Refused: it is not JSON, nested too deeply, or not such a message.
    """
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        raise _refused(kind, first) from None


def dump(message: Record) -> bytes:
    """Return the JSON of a message."""
    return message.model_dump_json(by_alias=True).encode()


def _refused(kind: type[Record], first: ErrorDetails) -> Refused:
    where = ".".join(str(step) for step in first["loc"])
    if where == "schema" and first["type"] == "literal_error":
        spoken = str(first["input"])[:40]
        return Refused(
            400,
            "version",
            f"this host speaks {VERSION}, the device {spoken!r}: use the harness that came with "
            "this version of hwnas",
        )
    at = f"{where}: " if where else ""
    return Refused(400, "document", f"not a {kind.__name__}: {at}{first['msg']}")
