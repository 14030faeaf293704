"""A full memory is told from a bug, whoever says so and in which words."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from teachers import SETTING, SPACE

from hwnas.evaluate.trainer import TrainEvaluator
from hwnas.evaluate.workers.pool import open_pool
from hwnas.train.loop import Training
from hwnas.train.recipe import QUICK

START = SPACE.canonical(SPACE.start())

FULL = [
    "CUDA out of memory. Tried to allocate 2.00 GiB.",
    "[enforce fail at alloc_cpu.cpp:114] . DefaultCPUAllocator: can't allocate memory",
    "CUDA error: out of memory",
    "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
    "CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`",
    "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
    "cuDNN error: CUDNN_STATUS_NOT_INITIALIZED",
    "cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED",
]
BUGS = [
    "mat1 and mat2 shapes cannot be multiplied (4x3 and 5x6)",
    "CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm`",
    "CUDA error: operation failed due to a previous error during capture",
]


def _raising(monkeypatch: pytest.MonkeyPatch, error: Exception, then: str = "") -> None:
    def compute(self: Training, images: Any, labels: Any) -> Any:
        try:
            raise error
        finally:
            if then:
                raise RuntimeError(then)

    monkeypatch.setattr(Training, "_compute", compute)


@pytest.mark.parametrize("kind", [RuntimeError, torch.OutOfMemoryError])
@pytest.mark.parametrize("told", FULL)
def test_a_full_memory_is_a_verdict_on_a_network(
    told: str, kind: type[RuntimeError], monkeypatch: pytest.MonkeyPatch
) -> None:
    _raising(monkeypatch, kind(f"{told}\nmore"))
    with open_pool(TrainEvaluator(SETTING, QUICK)) as pool:
        ((_, found),) = pool.results([(START, 0)])
    assert found.failed == told


def test_a_recording_that_failed_for_memory_is_a_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaving the recording raises an error of its own, over the one that was the reason."""
    _raising(monkeypatch, torch.OutOfMemoryError("CUDA out of memory."), BUGS[-1])
    with open_pool(TrainEvaluator(SETTING, QUICK)) as pool:
        ((_, found),) = pool.results([(START, 0)])
    assert found.failed == "CUDA out of memory."


@pytest.mark.parametrize("told", BUGS)
def test_another_error_is_none(told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    _raising(monkeypatch, RuntimeError(told))
    with open_pool(TrainEvaluator(SETTING, QUICK)) as pool, pytest.raises(RuntimeError):
        list(pool.results([(START, 0)]))
