"""Correction by whole networks, on synthetic devices whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from hwnas.lut.accuracy import compare
from hwnas.lut.correction import correct, count_matrix
from hwnas.spaces import SPACES

SPACE = SPACES["rcnet-imagenet"]
KEYS = SPACE.lookup_keys()


def _networks(count: int, seed: int) -> list[tuple]:
    rng = np.random.default_rng(seed)
    return [SPACE.parts(SPACE.sample(rng)) for _ in range(count)]


def _truth() -> np.ndarray:
    return np.array([0.05 + SPACE.part_graph(key).madds / 4e7 for key in KEYS])


def test_parts_that_already_add_up_stay_as_they_are() -> None:
    truth, networks = _truth(), _networks(56, 1)
    corrected = correct(KEYS, truth, networks, count_matrix(KEYS, networks) @ truth)
    assert corrected.corrected_ms == pytest.approx(truth, rel=1e-6)
    assert corrected.scale == pytest.approx(1)


@pytest.mark.parametrize("seed", range(5))
def test_held_out_error_falls_with_each_step_of_the_correction(seed: int) -> None:
    rng, truth = np.random.default_rng(seed), _truth()
    of_type = {f"t{t}": rng.normal(1, 0.08) for t in range(1, 7)}
    bias = np.array([of_type.get(key.block, 1.0) * rng.normal(1, 0.02) for key in KEYS])
    raw = 0.8 * truth * bias + 0.02
    train, test = _networks(56, 10 + seed), _networks(60, 20 + seed)
    noise = rng.normal(1, 0.005, len(train))
    done = correct(KEYS, raw, train, (count_matrix(KEYS, train) @ truth) * noise)
    counts = count_matrix(KEYS, test)
    error = {
        name: compare(counts @ ms, counts @ truth).mape
        for name, ms in (
            ("raw", raw),
            ("affine", done.affine_ms),
            ("corrected", done.corrected_ms),
        )
    }
    assert error["corrected"] < error["affine"] < error["raw"]
    assert error["corrected"] < 0.015


def test_corrected_times_stay_positive() -> None:
    rng, networks = np.random.default_rng(0), _networks(56, 3)
    raw = np.exp(rng.normal(size=len(KEYS)))
    done = correct(KEYS, raw, networks, np.exp(rng.normal(size=len(networks))))
    assert done.corrected_ms.min() > 0
