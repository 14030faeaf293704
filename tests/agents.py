"""A profile that needs no runtime: models are a few bytes, and times are numbers that count up."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from typing import TYPE_CHECKING, Any

from hwnas.agent.http.auth import token_hash
from hwnas.agent.session.demand import Work
from hwnas.agent.session.state import State
from hwnas.agent.wire import VERSION, Ask, Brief, Delivery, Hello, Offer
from hwnas.bundle.manifest import Job, Protocol, Setup, TensorFacts, TimedModel
from hwnas.bundle.results import RanModel

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

TOKEN = "ab" * 20
DEVICE, OTHER_DEVICE = "d" * 32, "e" * 32
PANEL = ("part-1", "part-2", "reference")
ONE = TensorFacts(shape=(1,), dtype="float32")


def content(name: str) -> bytes:
    """Return a model file."""
    return f"model of {name}".encode() * 50


def output(model: bytes) -> tuple[float, ...]:
    """Return what a model gives; the harness of these tests computes the same."""
    return tuple(math.sin(byte + 1) for byte in hashlib.sha256(model).digest()[:8])


def timed(name: str) -> TimedModel:
    """Return what a device should say of a model."""
    return TimedModel(
        sha256=hashlib.sha256(content(name)).hexdigest(),
        size_bytes=len(content(name)),
        input=ONE,
        output=ONE,
        expected=output(content(name)),
        tolerance=1e-3,
    )


def ran(name: str) -> RanModel:
    """Return what a good device says of it."""
    return RanModel(sha256=timed(name).sha256, output=timed(name).expected)


BRIEF = Brief(
    setup=Setup(
        target="board",
        space="small",
        runtime="tflite",
        format="tflite",
        precision="fp32",
        threads=1,
    ),
    protocol=Protocol(warm_up_rounds=1, warm_up_s=0.0),
    suffix=".tflite",
    panel={name: timed(name) for name in PANEL},
)


def jobs(count: int, *, networks: int = 2, rounds: int = 3) -> list[Job]:
    """Return some jobs of different networks."""
    return [
        Job(number=n, networks=tuple(f"net-{n}-{i}" for i in range(networks)), rounds=rounds)
        for n in range(count)
    ]


def work(job: Job) -> Work:
    """Return a job with its models."""
    return Work(job, {name: timed(name) for name in job.networks})


def new_state() -> State:
    """Return the state of a host that was just started."""
    return State(token=token_hash(TOKEN))


def hello(device_id: str = DEVICE, **facts: Any) -> Hello:
    """Return a device's first message."""
    device = {"model": "board", "cpu": "c", "cores": 4, "os": "o", "machine": "m"} | facts
    runtime = {"name": "tflite", "version": "2.1", "harness": "linux 1"}
    return Hello.model_validate(
        {"schema": VERSION, "device_id": device_id, "device": device, "runtime": runtime}
    )


def ask(session: str) -> Ask:
    """Return a device's question."""
    return Ask(device_id=DEVICE, session=session)


_tick = itertools.count(1)


def samples(names: Sequence[str]) -> list[list[Any]]:
    """Return one round; no two samples are ever equal, so that each can be told again."""
    return [[name, next(_tick) / 1000] for name in names]


def result_of(job: Mapping[str, Any]) -> dict[str, Any]:
    """Return the JSON of a good result."""
    names = [*PANEL, *job["networks"]]
    rounds = [samples(names) for _ in range(job["rounds"])]
    return {"number": job["number"], "rounds": rounds, "seconds": 1.0}


def delivery_json(offer: Offer) -> dict[str, Any]:
    """Return the JSON of a good delivery."""
    assert offer.job is not None
    names = [*PANEL, *offer.job.networks]
    return {
        "device_id": DEVICE,
        "lease": offer.lease,
        "result": result_of(offer.job.model_dump()),
        "models": {name: ran(name).model_dump(mode="json") for name in names},
    }


def delivery(offer: Offer, **changes: Any) -> Delivery:
    """Return a delivery, a good one unless something is changed."""
    return Delivery.model_validate_json(json.dumps(delivery_json(offer) | changes))
