"""What a host remembers of its device on disk, so that a restarted one goes on.

It holds no token, only the hash of it, and no timings: those are in the profiler's recording.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import ValidationError

from hwnas.agent.wire import Hello, Id
from hwnas.bundle.fields import Record, Sha256
from hwnas.bundle.manifest import Job
from hwnas.bundle.results import Conditions, Power
from hwnas.files import write_text

if TYPE_CHECKING:
    from pathlib import Path


class Lease(Record):
    """A job that the device was given.

    Attributes:
        id: what the device shows with the result.
        job: what it was asked.
        status: "out": its result is waited for; "superseded": its result is refused, since the
            device has started anew; "done": its result is on record, or not needed any more.
        conditions: how the device was before and after, once its result is on record.
    """

    id: Id
    job: Job
    status: Literal["out", "superseded", "done"]
    conditions: tuple[Conditions, ...] = ()


class State(Record):
    """Everything that a restarted host has to know.

    Attributes:
        token: hash of the pairing token.
        paired: the device, once there is one.
        session: the latest of that device.
        leases: in the order in which they were given.
        power: of the device's counter.
        power_known: whether it was delivered; a device without a counter says so.
    """

    token: Sha256
    paired: Hello | None = None
    session: Id | None = None
    leases: tuple[Lease, ...] = ()
    power: Power | None = None
    power_known: bool = False

    def but(self, **changes: object) -> State:
        """Return a state with some fields changed."""
        return self.model_copy(update=changes)

    def with_status(
        self,
        lease: Lease,
        status: Literal["superseded", "done"],
        conditions: tuple[Conditions, ...] = (),
    ) -> State:
        """Return a state in which a lease is no longer out."""
        changed = lease.model_copy(update={"status": status, "conditions": conditions})
        return self.but(leases=tuple(changed if x.id == lease.id else x for x in self.leases))

    @property
    def out(self) -> Lease | None:
        """The lease whose result is waited for; there is never more than one."""
        return next((lease for lease in self.leases if lease.status == "out"), None)


def read_state(path: Path) -> State | None:
    """Return what an earlier host left, or None; a file that is not right counts as none."""
    try:
        return State.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None


def write_state(path: Path, state: State) -> None:
    """Keep a state, whole or not at all.

    Raises:
        UserError: the folder cannot be written.
    """
    write_text(path, state.model_dump_json(by_alias=True, indent=1) + "\n")
