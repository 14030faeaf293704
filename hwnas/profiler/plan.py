"""What a profile times: every part, and whole networks for the correction and for the check."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from hwnas.bundle.manifest import Job
from hwnas.errors import UserError
from hwnas.lut.accuracy import MINIMUM_NETWORKS
from hwnas.lut.correction import count_matrix
from hwnas.measure import require_enough_runs

if TYPE_CHECKING:
    from hwnas.spaces import Arch, RcnetSpace

CALIBRATION_SEED, VALIDATION_SEED, FRESH_SEED = 1, 2, 3
"""Separate streams: no network of a check is ever one of the correction."""


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is timed in a space whose start network has fewer than `madds`."""

    madds: float
    rounds: int
    calibration: int
    validation: int


EFFORTS = (
    Effort(5e6, rounds=32, calibration=99, validation=77),
    Effort(5e7, rounds=7, calibration=183, validation=105),
    Effort(float("inf"), rounds=5, calibration=99, validation=77),
)
"""Runs of 0.1, 1 and 5 ms on a 2021 CPU: short ones need, and can afford, more of them. From 77
and 105 networks on, the second and third largest error make a margin that is sure enough."""

CALIBRATION_SHARE = 0.56
"""Of the networks of a plan of another size, as in these."""

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

    Raises:
        ValueError: each network would be timed once, which tells no noise.
    """

    calibration: tuple[Arch, ...]
    validation: tuple[Arch, ...]
    passes: int = 3
    batch: int = 16
    rounds: int = 8

    def __post_init__(self) -> None:
        passes, rounds = self.passes, self.rounds
        require_enough_runs(passes * rounds, f"{passes=}, {rounds=}")

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

    def jobs(self, space: RcnetSpace) -> list[Job]:
        """Return the batches as jobs for whoever times them."""
        names = [tuple(map(space.format, batch)) for batch in self.batches]
        return [Job(number=n, networks=of, rounds=self.rounds) for n, of in enumerate(names)]


def make_plan(
    space: RcnetSpace, *, calibration: int | None = None, validation: int | None = None
) -> Plan:
    """Draw distinct random networks of the space for both purposes; None: as many as usual."""
    effort = _effort(space)
    count = effort.calibration if calibration is None else calibration
    checks = effort.validation if validation is None else validation
    held_out = _draw(space, checks, VALIDATION_SEED, exclude=frozenset())
    pool = _draw(space, POOL * count, CALIBRATION_SEED, exclude=frozenset(held_out))
    return Plan(_covering(space, pool, count), held_out, rounds=effort.rounds)


def sized_plan(space: RcnetSpace, networks: int | None, at_once: int | None = None) -> Plan:
    """Return a plan for a device.

    Args:
        space: what is timed.
        networks: in all, or None for the usual number.
        at_once: networks in memory at a time, or None for the usual number.

    Raises:
        UserError: too few for a held-out check.
    """
    calibration = validation = None
    if networks is not None:
        calibration = round(CALIBRATION_SHARE * networks)
        validation = networks - calibration
        if validation < MINIMUM_NETWORKS:
            counts = range(MINIMUM_NETWORKS, 200)
            fewest = next(n for n in counts if n - round(CALIBRATION_SHARE * n) >= MINIMUM_NETWORKS)
            raise UserError(
                f"--networks must be at least {fewest}, so that {MINIMUM_NETWORKS} of them can be "
                f"held out to check the table, but is {networks}."
            )
    plan = make_plan(space, calibration=calibration, validation=validation)
    return plan if at_once is None else replace(plan, batch=at_once)


def check_plan(space: RcnetSpace, networks: int, seed: int, seen: frozenset[Arch]) -> Plan:
    """Draw networks for a fresh check, none of which the table has seen."""
    fresh = _draw(space, networks, FRESH_SEED + seed, exclude=seen)
    return Plan((), fresh, rounds=_effort(space).rounds)


def _effort(space: RcnetSpace) -> Effort:
    start_madds = space.graph(space.start()).madds
    return next(effort for effort in EFFORTS if start_madds < effort.madds)


def _covering(space: RcnetSpace, pool: tuple[Arch, ...], count: int) -> tuple[Arch, ...]:
    """Choose half of the networks as they come, half so that every key is in several.

    For the second half, one after the other, the network that adds most: a key's share of the
    network's parts counts the less the more of it the chosen ones already hold. That favours
    small networks, where a key weighs more; the first half keeps the sizes of the space.
    """
    counts = count_matrix(space.lookup_keys(), [space.parts(arch) for arch in pool])
    shares = counts / counts.sum(axis=1, keepdims=True)
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
