"""What a profile times: every part, and whole networks for the correction and for the check."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from hwnas.spaces import Arch, RcnetSpace

CALIBRATION_SEED, VALIDATION_SEED, FRESH_SEED = 1, 2, 3
"""Separate streams: no network of a check is ever one of the correction."""

ROUNDS_BELOW = ((5e6, 40), (5e7, 12), (float("inf"), 8))
"""Rounds per batch by the MAdds of the start network: 0.1 ms, 1 ms and 5 ms a run on a 2021 CPU."""

POOL = 12
"""Networks to choose each calibration network from."""
FIRST_SHARE = 0.1
"""What a key counts as held already, in networks: a key in none has no infinite gain."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Networks by purpose, and how they are spread over the run.

    Attributes:
        calibration: networks that correct the table.
        validation: networks that only check it.
        passes: how often each network is loaded anew and timed, minutes apart: where a model comes
            to lie in memory, and the minute it runs in, move its time more than its runs differ.
        batch: whole networks in memory at a time.
        rounds: timed rounds per batch; parts are timed in all of them.
    """

    calibration: tuple[Arch, ...]
    validation: tuple[Arch, ...]
    passes: int = 3
    batch: int = 16
    rounds: int = 8

    @property
    def networks(self) -> tuple[Arch, ...]:
        """All networks."""
        return (*self.calibration, *self.validation)

    @property
    def batches(self) -> list[list[Arch]]:
        """The networks of each batch; mixed anew in each pass, so purposes share the machine."""
        rng, found = np.random.default_rng(0), []
        for _ in range(self.passes):
            mixed = [self.networks[index] for index in rng.permutation(len(self.networks))]
            found += [mixed[i : i + self.batch] for i in range(0, len(mixed), self.batch)]
        return found


def make_plan(space: RcnetSpace, *, calibration: int = 96, validation: int = 60) -> Plan:
    """Draw distinct random networks of the space for both purposes."""
    held_out = _draw(space, validation, VALIDATION_SEED, exclude=frozenset())
    pool = _draw(space, POOL * calibration, CALIBRATION_SEED, exclude=frozenset(held_out))
    return Plan(_covering(space, pool, calibration), held_out, rounds=_rounds(space))


def check_plan(space: RcnetSpace, networks: int, seed: int, seen: frozenset[Arch]) -> Plan:
    """Draw networks for a fresh check, none of which the table has seen."""
    fresh = _draw(space, networks, FRESH_SEED + seed, exclude=seen)
    return Plan((), fresh, rounds=_rounds(space))


def _rounds(space: RcnetSpace) -> int:
    """Return how often to time everything: short runs need, and can afford, more samples."""
    start_madds = space.graph(space.start()).madds
    return next(rounds for limit, rounds in ROUNDS_BELOW if start_madds < limit)


def _covering(space: RcnetSpace, pool: tuple[Arch, ...], count: int) -> tuple[Arch, ...]:
    """Choose half of the networks as they come, half so that every key is in several.

    For the second half, one after the other, the network that adds most: a key's share of the
    network's parts counts the less the more of it the chosen ones already hold. That favours
    small networks, where a key weighs more; the first half keeps the sizes of the space.
    """
    shares = np.zeros((len(pool), len(space.lookup_keys())))
    column = {key: index for index, key in enumerate(space.lookup_keys())}
    for row, arch in enumerate(pool):
        parts = space.parts(arch)
        for key in parts:
            shares[row, column[key]] += 1 / len(parts)
    chosen = list(range(count // 2))
    held = FIRST_SHARE + shares[chosen].sum(axis=0)
    for _ in range(count - len(chosen)):
        gain = np.log1p(shares / held).sum(axis=1)
        gain[chosen] = -np.inf
        chosen.append(int(np.argmax(gain)))
        held += shares[chosen[-1]]
    return tuple(pool[index] for index in chosen)


def _draw(space: RcnetSpace, count: int, seed: int, exclude: frozenset[Arch]) -> tuple[Arch, ...]:
    rng = np.random.default_rng([seed, 7])
    found: dict[Arch, None] = {}
    while len(found) < count:
        arch = space.sample(rng)
        if arch not in exclude:
            found[arch] = None
    return tuple(found)
