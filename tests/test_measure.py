"""The timing protocol, on synthetic clocks whose truth is known."""

from __future__ import annotations

import numpy as np

from hwnas.measure import REFERENCE, Round, measure_round, quantile, without_drift


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
    raw = without_drift([[(n, ms) for n, ms in r] for r in _rounds(speed, truth, spacing=10)][:40])
    assert set(raw) == set(steady)


def test_a_single_slow_reference_run_does_not_count() -> None:
    rounds: list[Round] = [[(REFERENCE, 5.0), ("a", 1.0), (REFERENCE, 5.0)] for _ in range(20)]
    rounds[10][0] = (REFERENCE, 500.0)
    assert np.allclose(without_drift(rounds)["a"], 1.0)


def test_every_part_is_timed_once_a_round_after_an_untimed_run() -> None:
    calls = dict.fromkeys([*"abcdefghijklmnopqrstuvwxyz", REFERENCE], 0)

    def counting(name: str) -> None:
        calls[name] += 1

    runs = {name: (lambda name=name: counting(name)) for name in calls if name != REFERENCE}
    samples = measure_round(runs, lambda: counting(REFERENCE), np.random.default_rng(0))
    names = [name for name, _ in samples]
    assert sorted(n for n in names if n != REFERENCE) == sorted(runs)
    assert names[0] == names[-1] == REFERENCE
    assert names.count(REFERENCE) == 4
    assert all(calls[name] == 2 * names.count(name) for name in calls)
    assert all(ms >= 0 for _, ms in samples)


def test_the_interval_of_a_quantile_covers_the_truth() -> None:
    rng, truth, covered = np.random.default_rng(0), 1.1053605, 0  # 10% quantile of 1 + Exp(1)
    for _ in range(400):
        statistic = quantile(1 + rng.exponential(size=150), 0.1)
        assert statistic.low <= statistic.value <= statistic.high
        covered += statistic.low <= truth <= statistic.high
    assert covered / 400 >= 0.92
    assert statistic.scaled(2).value == 2 * statistic.value
