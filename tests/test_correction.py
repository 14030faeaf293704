"""Correction by whole networks, on synthetic devices whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from hwnas.lut.accuracy import compare
from hwnas.lut.correction import affine_ms, correct, count_matrix
from hwnas.spaces import SPACES

SPACE = SPACES["rcnet-imagenet"]
KEYS = SPACE.lookup_keys()


def _networks(count: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return count_matrix(KEYS, [SPACE.parts(SPACE.sample(rng)) for _ in range(count)])


def _truth() -> np.ndarray:
    return np.array([0.05 + SPACE.part_graph(key).madds / 4e7 for key in KEYS])


def test_parts_that_already_add_up_stay_as_they_are() -> None:
    truth, networks = _truth(), _networks(56, 1)
    corrected = correct(SPACE, truth, networks, networks @ truth)
    assert corrected.corrected_ms == pytest.approx(truth, rel=1e-6)
    assert corrected.predict_ms(networks) == pytest.approx(networks @ truth, rel=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_held_out_error_falls_with_each_step_of_the_correction(seed: int) -> None:
    rng, truth = np.random.default_rng(seed), _truth()
    of_type = {f"t{t}": rng.normal(1, 0.08) for t in range(1, 7)}
    bias = np.array([of_type.get(key.block, 1.0) * rng.normal(1, 0.02) for key in KEYS])
    raw = 0.8 * truth * bias + 0.02
    train, test = _networks(56, 10 + seed), _networks(60, 20 + seed)
    noise = rng.normal(1, 0.005, len(train))
    measured = (train @ truth) * noise
    predicted = {
        "raw": test @ raw,
        "affine": test @ affine_ms(raw, train, measured),
        "corrected": correct(SPACE, raw, train, measured).predict_ms(test),
    }
    error = {name: compare(ms, test @ truth).mape for name, ms in predicted.items()}
    assert error["corrected"] < error["affine"] < error["raw"]
    assert error["corrected"] < 0.015


def test_corrected_times_stay_positive() -> None:
    rng, networks = np.random.default_rng(0), _networks(56, 3)
    raw = np.exp(rng.normal(size=len(KEYS)))
    done = correct(SPACE, raw, networks, np.exp(rng.normal(size=len(networks))))
    assert done.corrected_ms.min() > 0
