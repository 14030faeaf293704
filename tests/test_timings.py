"""From rounds to times: what disturbs whole networks only is divided out, or told as noise."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from hwnas.measure import REFERENCE
from hwnas.profiler.plan import make_plan
from hwnas.profiler.timings import Timings
from hwnas.spaces import SPACES

SPACE = SPACES["rcnet-digits"]
PLAN = dataclasses.replace(make_plan(SPACE, calibration=40, validation=40), rounds=8)
PARTS = [*map(str, SPACE.lookup_keys()), REFERENCE]


def _truth() -> dict[str, float]:
    """Milliseconds by name."""
    whole = {SPACE.format(arch): 1e-7 * SPACE.graph(arch).madds for arch in PLAN.networks}
    return whole | dict.fromkeys(PARTS, 0.1)


def _timings(batch_sd: float, load_sd: float, run_sd: float) -> Timings:
    """Timings on a machine whose batches, loads and runs differ by so much, at random."""
    rng, truth, rounds = np.random.default_rng(0), _truth(), []
    for number, batch in enumerate(PLAN.batches):
        slow = np.exp(batch_sd * rng.normal())
        loads = {SPACE.format(arch): slow * np.exp(load_sd * rng.normal()) for arch in batch}
        for _ in range(PLAN.rounds):
            names = rng.permutation([*PARTS, *loads])
            noise = np.exp(run_sd * rng.normal(size=len(names)))
            rounds.append(
                (
                    number,
                    [
                        (str(name), truth[name] * loads.get(name, 1.0) * float(each))
                        for name, each in zip(names, noise, strict=True)
                    ],
                )
            )
    return Timings.of(SPACE, PLAN, rounds)


def _errors(timings: Timings) -> np.ndarray:
    """Relative errors, but for a factor of all networks."""
    truth = [_truth()[SPACE.format(arch)] for arch in PLAN.networks]
    ratios = timings.network_ms(PLAN.networks) / truth
    return np.abs(ratios / np.median(ratios) - 1)


def test_drift_that_parts_do_not_show_is_told_by_the_networks() -> None:
    timings = _timings(batch_sd=0.03, load_sd=0.0, run_sd=0.01)
    assert _errors(timings).mean() < 0.006
    assert max(abs(part.value / 0.1 - 1) for part in timings.parts.values()) < 0.01


def test_half_the_split_half_noise_is_about_the_error_when_loads_differ() -> None:
    timings = _timings(batch_sd=0.0, load_sd=0.03, run_sd=0.003)
    error, noise = _errors(timings).mean(), timings.split_half_noise(PLAN.networks)
    assert error > 0.01
    assert 0.6 * error < noise / 2 < 1.6 * error


def test_a_plan_that_times_networks_once_is_refused() -> None:
    with pytest.raises(ValueError, match=r"at least 2 times, .* but got passes=1, rounds=1"):
        dataclasses.replace(PLAN, passes=1, rounds=1)


@pytest.mark.parametrize(("passes", "rounds"), [(2, 1), (1, 2), (3, 1)])
def test_the_fewest_runs_that_a_plan_may_ask_tell_noise(passes: int, rounds: int) -> None:
    plan = dataclasses.replace(PLAN, passes=passes, rounds=rounds)
    truth, found = _truth(), []
    for number, batch in enumerate(plan.batches):
        names = [*PARTS, *map(SPACE.format, batch)]
        slow = 1 + 0.01 * number  # so that halves differ
        found += [(number, [(name, slow * truth[name]) for name in names])] * rounds
    noise = Timings.of(SPACE, plan, found).noise
    assert noise.keys() == set(plan.networks)
    assert all(0 <= gap < 0.2 for gap in noise.values())
