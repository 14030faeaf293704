"""The curve from sums to times: monotone, invertible, found where it is and not where it is not."""

from __future__ import annotations

import math
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from hwnas.lut.correction import affine_ms, correct, count_matrix
from hwnas.lut.curve import LARGEST_SLOPE, SMALLEST_SLOPE, Curve, fit_curve
from hwnas.spaces import SPACES

SPACE = SPACES["rcnet-digits"]
KEYS = SPACE.lookup_keys()
TRUTH = np.array([0.01 + SPACE.part_graph(key).madds / 4e7 for key in KEYS])


@st.composite
def curves(draw: st.DrawFn) -> Curve:
    center = draw(st.floats(1e-3, 1e3))
    low, high = center / draw(st.floats(1, 50)), center * draw(st.floats(1, 50))
    tilt, bend = draw(st.floats(-0.5, 1.0)), draw(st.floats(-0.3, 0.3))
    slopes = [1 + tilt + 2 * bend * math.log(ms / center) for ms in (low, high)]
    assume(all(SMALLEST_SLOPE <= slope <= LARGEST_SLOPE for slope in slopes))
    return Curve(center, low, high, tilt, bend)


@given(curves(), st.floats(1e-4, 1e4), st.floats(1.0001, 100))
def test_a_larger_sum_never_takes_less_time(curve: Curve, sum_ms: float, factor: float) -> None:
    assert curve.time_ms(sum_ms) < curve.time_ms(factor * sum_ms)


@given(curves(), st.floats(1e-3, 1e3))
def test_sums_are_found_back_from_times(curve: Curve, sum_ms: float) -> None:
    time_ms = np.array([curve.time_ms(sum_ms)])
    assume(sum_ms / 900 < time_ms[0] < 900 * sum_ms)
    assert curve.sums_ms(time_ms)[0] == pytest.approx(sum_ms, rel=1e-6)


@given(curves(), st.lists(st.floats(1e-3, 1e3), min_size=1))
def test_many_networks_take_what_each_takes(curve: Curve, sums_ms: list[float]) -> None:
    each = [curve.time_ms(ms) for ms in sums_ms]
    assert curve.times_ms(np.array(sums_ms)) == pytest.approx(each, rel=1e-9)


@given(curves(), st.floats(1e-3, 1e3), st.floats(0.1, 10))
def test_a_curve_means_the_same_in_other_units(curve: Curve, sum_ms: float, unit: float) -> None:
    scaled = curve.scaled(unit).time_ms(unit * sum_ms)
    assert scaled == pytest.approx(unit * curve.time_ms(sum_ms), rel=1e-9)


@given(curves())
def test_a_curve_survives_writing_and_reading(curve: Curve) -> None:
    assert Curve(**asdict(curve)) == curve


def test_a_curve_that_would_fall_is_refused() -> None:
    sums = np.geomspace(1, 100, 30)
    assert fit_curve(sums, 1 / sums) is None
    with pytest.raises(ValueError, match="slopes"):
        Curve(1.0, 0.1, 10.0, 0.0, -1.0)
    with pytest.raises(ValueError, match="finite"):
        Curve(1.0, 0.1, math.inf, 0.0, 0.0)


def _networks(count: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return count_matrix(KEYS, [SPACE.parts(SPACE.sample(rng)) for _ in range(count)])


def test_a_device_whose_caches_overflow_is_predicted_twice_as_well_with_a_curve() -> None:
    rng = np.random.default_rng(0)
    train, test = _networks(96, 1), _networks(60, 2)

    def measured(counts: np.ndarray) -> np.ndarray:
        sums = counts @ TRUTH
        return sums * (sums / 0.3) ** 0.15 * rng.normal(1, 0.004, len(sums))

    times, truth = measured(train), measured(test)
    done = correct(SPACE, 0.9 * TRUTH, train, times)
    assert done.curve is not None
    error = np.abs(done.predict_ms(test) / truth - 1).mean()
    straight = np.abs(test @ affine_ms(0.9 * TRUTH, train, times) / truth - 1).mean()
    assert error < 0.01 < straight


@pytest.mark.parametrize("seed", range(4))
def test_an_additive_device_is_not_bent_for_the_worse(seed: int) -> None:
    rng = np.random.default_rng(seed)
    train, test = _networks(96, 10 + seed), _networks(60, 20 + seed)
    times = (train @ TRUTH) * rng.normal(1, 0.01, 96)
    done = correct(SPACE, 0.9 * TRUTH, train, times)
    assert np.abs(done.predict_ms(test) / (test @ TRUTH) - 1).mean() < 0.01
