"""Errors that say that the memory is full: torch and its libraries tell it in many words."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

SIGNS = (
    "allocate memory",
    "out of memory",
    # cuBLAS and cuDNN ask for memory of their own when they are first used, or a handle is made.
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUBLAS_STATUS_NOT_INITIALIZED",
    "CUDNN_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_NOT_INITIALIZED",
    "CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED",
    "CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED",
)
"""What a bare RuntimeError then says, on a CPU or a GPU."""


def full_memory(error: BaseException) -> BaseException | None:
    """Return the error that says that the memory is full, of this one and those it came of.

    A CUDA graph whose recording failed for memory is told as a failed recording: the reason is
    what was being handled then.
    """
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, torch.OutOfMemoryError | MemoryError):
            return seen
        if isinstance(seen, RuntimeError) and any(sign in str(seen) for sign in SIGNS):
            return seen
        seen = seen.__cause__ or seen.__context__
    return None


@contextmanager
def memory_errors() -> Iterator[None]:
    """Raise MemoryError where torch raises one of its own, or a bare RuntimeError."""
    try:
        yield
    except RuntimeError as error:
        if (reason := full_memory(error)) is None:
            raise
        raise MemoryError(str(reason).strip().partition("\n")[0]) from error
