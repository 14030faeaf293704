"""What the profiler wants of a device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hwnas.bundle.manifest import Job, Protocol, Setup, TimedModel


@dataclass(frozen=True, slots=True)
class Brief:
    """What every device is told at the start; see `wire.Welcome`."""

    setup: Setup
    protocol: Protocol
    suffix: str
    panel: Mapping[str, TimedModel]


@dataclass(frozen=True, slots=True)
class Work:
    """A job, and the models of its networks by name."""

    job: Job
    models: Mapping[str, TimedModel]


@dataclass(frozen=True, slots=True)
class PowerWork:
    """What runs for a power counter, and the models of the networks in it by name."""

    order: tuple[str, ...]
    models: Mapping[str, TimedModel]
