"""The timing protocol, on synthetic clocks whose truth is known."""

from __future__ import annotations

import os

import numpy as np
import pytest

from hwnas.measure import (
    REFERENCE,
    Round,
    Timer,
    by_name,
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
    steady = by_name(without_drift(_rounds(speed, truth, spacing=10), {*truth, REFERENCE}))
    reference = np.median(steady[REFERENCE])
    ratios = {name: np.median(steady[name]) / reference * 5 / ms for name, ms in truth.items()}
    assert max(abs(ratio - 1) for ratio in ratios.values()) < 0.01
    spread = {name: float(np.std(steady[name]) / np.mean(steady[name])) for name in truth}
    assert max(spread.values()) < 0.02  # of samples that vary by 1% on a steady machine


def test_a_network_timed_in_a_slow_minute_alone_comes_out_right() -> None:
    """Equal networks, the second one timed when the machine took 1.4 times as long."""
    early: list[Round] = [[("p", 5.0), ("a", 1.0), ("q", 2.0)]] * 60
    late: list[Round] = [[("p", 7.0), ("b", 1.4), ("q", 2.8)]] * 60
    steady = by_name(without_drift([*early, *late], {"p", "q"}))
    assert np.median(steady["a"]) == pytest.approx(np.median(steady["b"]))


def test_the_noise_of_one_member_of_the_panel_does_not_go_into_the_others() -> None:
    """A reference that jumps by itself would move everything, if it alone told the speed."""
    rng, names = np.random.default_rng(0), [f"part{index}" for index in range(40)]
    rounds: list[Round] = []
    for number in range(100):
        jump = 1.05 if number < 50 else 1.0
        samples = [(REFERENCE, 5.0 * jump), *((name, 1.0) for name in names)]
        rounds.append([samples[index] for index in rng.permutation(len(samples))])
    rounds[10][0] = (rounds[10][0][0], 500.0)
    steady = by_name(without_drift(rounds, {REFERENCE, *names}))
    assert all(np.allclose(np.median(steady[name]), 1.0) for name in names)
    assert np.allclose(steady[REFERENCE][60:], 5.0, rtol=1e-6)


def test_samples_keep_their_names_and_order() -> None:
    rounds: list[Round] = [[("a", 1.0), ("x", 3.0)], [("x", 3.0), ("a", 1.0), ("y", 2.0)]]
    steady = without_drift(rounds, {"a"})
    assert [[name for name, _ in samples] for samples in steady] == [["a", "x"], ["x", "a", "y"]]
    with pytest.raises(ValueError, match="panel"):
        without_drift(rounds, {"z"})


def test_everything_is_timed_once_a_round_in_random_order_after_an_untimed_run() -> None:
    calls = dict.fromkeys("abcdefghijklmnopqrstuvwxyz", 0)

    def timer(name: str) -> Timer:
        def count() -> None:
            calls[name] += 1

        return lambda: elapsed_ms(count)

    timers = {name: timer(name) for name in calls}
    rng = np.random.default_rng(0)
    first, second = (measure_round(timers, rng) for _ in range(2))
    assert sorted(name for name, _ in first) == sorted(calls)
    assert [name for name, _ in first] != [name for name, _ in second]
    assert set(calls.values()) == {4}
    assert all(ms >= 0 for _, ms in first)


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
