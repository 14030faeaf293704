"""Defaults of a search with trained scores, in a module that costs nothing to import."""

from __future__ import annotations

from typing import NamedTuple

EVALUATORS = ("distill", "train", "zero-cost", "fake")
EVALUATOR = "distill"

TEACHERS = 4
"""Teachers of `distill`, where nobody asks for fewer or more."""

RECIPES = ("quick", "paper")
RECIPE = "quick"
"""How `train` trains a candidate; see `hwnas.workflows.search.recipes`."""

MAX_EVALUATIONS = 90
"""Networks that `train` scores at most: keeps a search on a CPU within ten minutes on two cores."""

MAX_REFRESHES = 2
"""Old gains evaluated again per step: with noisy scores the largest of many is mostly luck."""

REPLICATES = 2
"""Scores per network at most, where two candidates exclude each other within noise."""

BATCH = 4
"""Networks that the surrogate chooses at a time, for as many workers; no worse than one by one."""

NOISY = frozenset({"train"})
"""Evaluators whose scores hang on luck: a second score of the same network is another one."""


class Care(NamedTuple):
    """What a search does about luck in scores; see `hwnas.search.strategy.Options`."""

    max_refreshes: int | None
    replicates: int
    batch: int


def care(
    evaluator: str,
    refreshes: int | None = None,
    replicates: int | None = None,
    batch: int | None = None,
) -> Care:
    """Return what was asked for, and what suits the evaluator where nothing was.

    Args:
        evaluator: one of `EVALUATORS`.
        refreshes: 0 for no limit, as in exact lazy greedy; None if nobody said.
        replicates: None if nobody said.
        batch: None if nobody said.
    """
    if evaluator not in NOISY:
        return Care(None, replicates or 1, batch or 1)
    limit = MAX_REFRESHES if refreshes is None else refreshes
    return Care(limit or None, replicates or REPLICATES, batch or BATCH)


STRATEGY = "rcas"
DATASET = "cluttered-digits"
