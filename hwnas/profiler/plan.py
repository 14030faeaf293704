"""What a profile times: every part, and whole networks for the correction and for the check."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from hwnas.spaces import Arch, RcnetSpace

CALIBRATION_SEED, VALIDATION_SEED = 1, 2
"""Two streams: no network of the check is ever one of the correction."""

ROUNDS_BELOW = ((5e6, 80), (5e7, 32), (float("inf"), 24))
"""Rounds per batch by the MAdds of the start network: 0.1 ms, 1 ms and 5 ms a run on a 2021 CPU."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Networks by purpose, and how they are spread over the run.

    Attributes:
        calibration: networks that correct the table.
        validation: networks that only check it.
        batch: whole networks in memory at a time.
        rounds: timed rounds per batch; parts are timed in all of them.
    """

    calibration: tuple[Arch, ...]
    validation: tuple[Arch, ...]
    batch: int = 16
    rounds: int = 24

    @property
    def batches(self) -> list[list[Arch]]:
        """The networks in random order, so that both purposes see the same machine."""
        networks = [*self.calibration, *self.validation]
        order = np.random.default_rng(0).permutation(len(networks))
        mixed = [networks[index] for index in order]
        return [mixed[start : start + self.batch] for start in range(0, len(mixed), self.batch)]


def make_plan(space: RcnetSpace, *, calibration: int = 56, validation: int = 40) -> Plan:
    """Draw distinct random networks of the space for both purposes."""
    held_out = _draw(space, validation, VALIDATION_SEED, exclude=frozenset())
    used = frozenset(held_out)
    drawn = _draw(space, calibration, CALIBRATION_SEED, exclude=used)
    return Plan(drawn, held_out, rounds=_rounds(space))


def _rounds(space: RcnetSpace) -> int:
    """Return how often to time everything: short runs need, and can afford, more samples."""
    start_madds = space.graph(space.start()).madds
    return next(rounds for limit, rounds in ROUNDS_BELOW if start_madds < limit)


def _draw(space: RcnetSpace, count: int, seed: int, exclude: frozenset[Arch]) -> tuple[Arch, ...]:
    rng = np.random.default_rng([seed, 7])
    found: dict[Arch, None] = {}
    while len(found) < count:
        arch = space.sample(rng)
        if arch not in exclude:
            found[arch] = None
    return tuple(found)
