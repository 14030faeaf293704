"""The timing protocol, on synthetic clocks whose truth is known."""

from __future__ import annotations

import os

import numpy as np
import pytest

from hwnas.measure import (
    REFERENCE,
    Round,
    Timer,
    elapsed_ms,
    measure_round,
    pinned,
    quantile,
    without_drift,
)


def _rounds(speed: np.ndarray, truth: dict[str, float], spacing: int) -> list[Round]:
    """Rounds on a machine whose time per unit of work is `speed` at each sample."""
    rng, clock, rounds = np.random.default_rng(0), iter(speed), []
    while True:
        samples: Round = []
        try:
            for position, name in enumerate(rng.permutation(sorted(truth))):
                if position % spacing == 0:
                    samples.append((REFERENCE, 5.0 * next(clock) * rng.normal(1, 0.01)))
                samples.append((str(name), truth[str(name)] * next(clock) * rng.normal(1, 0.01)))
        except StopIteration:
            return rounds
        rounds.append(samples)


def test_drift_of_thirty_percent_is_divided_out() -> None:
    truth = {f"part{index}": 0.1 * (index + 1) for index in range(40)}
    speed = 1 + 0.3 * np.sin(np.linspace(0, 9, 12_000))
    steady = without_drift(_rounds(speed, truth, spacing=10))
    reference = np.median(steady[REFERENCE])
    ratios = {name: np.median(steady[name]) / reference * 5 / ms for name, ms in truth.items()}
    assert max(abs(ratio - 1) for ratio in ratios.values()) < 0.01
    spread = {name: float(np.std(steady[name]) / np.mean(steady[name])) for name in truth}
    assert max(spread.values()) < 0.02  # of samples that vary by 1% on a steady machine


def test_a_part_timed_in_a_slow_minute_alone_comes_out_right() -> None:
    """Equal parts, the second one timed when the machine took 1.4 times as long."""
    early: list[Round] = [[(REFERENCE, 5.0), ("a", 1.0), (REFERENCE, 5.0)]] * 30
    late: list[Round] = [[(REFERENCE, 7.0), ("b", 1.4), (REFERENCE, 7.0)]] * 30
    steady = without_drift([*early, *late])
    assert np.median(steady["a"]) == pytest.approx(np.median(steady["b"]))


def test_a_single_slow_reference_run_does_not_count() -> None:
    rounds: list[Round] = [[(REFERENCE, 5.0), ("a", 1.0), (REFERENCE, 5.0)] for _ in range(20)]
    rounds[10][0] = (REFERENCE, 500.0)
    assert np.allclose(without_drift(rounds)["a"], 1.0)


def test_every_part_is_timed_once_a_round_after_an_untimed_run() -> None:
    calls = dict.fromkeys([*"abcdefghijklmnopqrstuvwxyz", REFERENCE], 0)

    def timer(name: str) -> Timer:
        def count() -> None:
            calls[name] += 1

        return lambda: elapsed_ms(count)

    runs = {name: timer(name) for name in calls if name != REFERENCE}
    samples = measure_round(runs, timer(REFERENCE), np.random.default_rng(0))
    names = [name for name, _ in samples]
    assert sorted(n for n in names if n != REFERENCE) == sorted(runs)
    assert names[0] == names[-1] == REFERENCE
    assert names.count(REFERENCE) == 4
    assert all(calls[name] == 2 * names.count(name) for name in calls)
    assert all(ms >= 0 for _, ms in samples)


def test_the_interval_of_a_quantile_covers_the_truth() -> None:
    rng, truth, covered = np.random.default_rng(0), 1.1053605, 0  # 10% quantile of 1 + Exp(1)
    for _ in range(2000):
        statistic = quantile(1 + rng.exponential(size=400), 0.1)
        assert statistic.low <= statistic.value <= statistic.high
        covered += statistic.low <= truth <= statistic.high
    assert 0.93 <= covered / 2000 <= 0.97
    assert statistic.scaled(2).value == 2 * statistic.value
    assert statistic.scaled(2).relative_half_width == statistic.relative_half_width


def test_a_process_is_pinned_only_while_it_measures() -> None:
    if not hasattr(os, "sched_getaffinity"):
        pytest.skip("this system cannot pin a process")
    before = os.sched_getaffinity(0)
    with pinned(1):
        assert len(os.sched_getaffinity(0)) == 1
    assert os.sched_getaffinity(0) == before
    with pytest.raises(ZeroDivisionError), pinned(1):
        print(1 // 0)
    assert os.sched_getaffinity(0) == before
