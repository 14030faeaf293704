"""Programs are garbage that only a collection frees, and collections of everything take long."""

from __future__ import annotations

import gc
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def young_garbage_only() -> Iterator[None]:
    """Have garbage looked for among the objects of the body only, and at its end.

    coremltools collects after each conversion, which takes longer than the rest of it: torch and
    coremltools alone are a million objects. Its programs hold themselves and all their weights.
    """
    gc.freeze()
    try:
        yield
    finally:
        gc.collect()
        gc.unfreeze()
