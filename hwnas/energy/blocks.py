"""Blocks: one network running back to back for long enough that a meter sees it.

One run takes 0.02 to 10 ms, a counter moves once in 1 to 1000 ms: no meter sees a single run. Two
ways lead out. A regression of the energy of timed rounds on what ran in them cannot work here, as
every round runs every part once. So each part runs alone and back to back for a block, its mean
power is taken, and its energy is that power times its latency in the table. What is measured is
the total power while the part runs; the power of idle pauses is reported beside it and not
subtracted. Blocks come in random order in several passes, so that slow drift does not stick to
one part.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

    from hwnas.energy.counter import Counter

Work: TypeAlias = "Callable[[], object]"

IDLE = "idle"
"""Name of the blocks in which nothing runs."""

SAMPLE_EVERY_S = 0.02
SETTLE = 0.1
"""Share of a block that runs before it counts: the clock and the meter's filter settle."""


class Block(NamedTuple):
    """What ran, when, and with which power.

    Attributes:
        name: of the network, or "idle".
        start_s: seconds since 1970.
        end_s: the same.
        watts: mean power by a counter, or None when a log will tell.
    """

    name: str
    start_s: float
    end_s: float
    watts: float | None


def run_block(name: str, work: Work | None, seconds: float, counter: Counter | None) -> Block:
    """Run `work` again and again for `seconds`, or sleep if it is None."""
    _repeat(work, SETTLE * seconds, None)
    start_s = time.time()
    if counter is not None:
        counter.start()
    _repeat(work, seconds, counter)
    watts = None if counter is None else counter.watts()
    return Block(name, start_s, time.time(), watts)


def _repeat(work: Work | None, seconds: float, counter: Counter | None) -> None:
    start = time.perf_counter()
    next_sample = start + SAMPLE_EVERY_S
    while (now := time.perf_counter()) < start + seconds:
        if counter is not None and now >= next_sample:
            counter.sample()
            next_sample = now + SAMPLE_EVERY_S
        if work is None:
            time.sleep(min(SAMPLE_EVERY_S, seconds))
        else:
            work()
