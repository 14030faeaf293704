"""How much the tests do that could always do more: usually a fifth, all of it with --thorough."""

from __future__ import annotations

import os

VARIABLE = "HWNAS_TESTS_THOROUGH"


def thorough() -> bool:
    """Return whether `pytest --thorough` was asked for."""
    return VARIABLE in os.environ


def examples(count: int) -> int:
    """Return how many of `count` examples are tried."""
    return count if thorough() else count // 5
