"""Networks of known parts: within the budgets, never worse than what they are made of."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwnas import cost
from hwnas.cost import Budget, Problem
from hwnas.evaluate.distill.evaluator import blocks
from hwnas.evaluate.distill.units import FRAME, UNITS, ordered, swapped, units_of
from hwnas.evaluate.evaluation import Composed, Evaluation
from hwnas.evaluate.fake import FakeEvaluator
from hwnas.spaces import find_space
from hwnas.workflows.search.recombination import combine

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hwnas.evaluate.evaluation import Evaluator
    from hwnas.spaces import Arch

SPACE = find_space("rcnet", input_size="16", classes=10, width=0.25)


@dataclass(frozen=True)
class Imitation:
    """Scores known beforehand, put together as those of units are."""

    @property
    def part(self) -> Evaluator:
        return FakeEvaluator()

    def identity(self) -> dict[str, Any]:
        return {}

    def parts(self, arch: Arch) -> list[Arch]:
        return units_of(SPACE.canonical(arch))

    def whole(self, parts: Sequence[Arch]) -> Arch:
        arch = FRAME
        for unit, part in enumerate(parts):
            arch = swapped(arch, part, unit)
        return SPACE.canonical(arch)

    def compose(self, arch: Arch, found: Sequence[Evaluation]) -> Evaluation:
        return Evaluation.known(sum(one.score for one in found) + 0.1 * blocks(arch))


COMPOSED = Imitation()


def _problem(madds: float, memory: float | None = None) -> Problem:
    limits = [Budget(cost.madds(SPACE), madds), Budget(cost.params(SPACE), 0.1e6)]
    if memory is not None:
        limits.append(Budget(cost.memory(SPACE), memory))
    return Problem(SPACE, tuple(limits))


def _scored(problem: Problem, seed: int, count: int) -> tuple[dict[Arch, float], dict[Any, Any]]:
    """Return random networks within the budgets with their scores, and those of their parts."""
    rng = np.random.default_rng(seed)
    archs: dict[Arch, None] = {SPACE.canonical(SPACE.start()): None}
    while len(archs) < count:
        arch = SPACE.canonical(SPACE.start())
        for _ in range(int(rng.integers(1, 8))):
            elements = SPACE.elements(arch)
            larger = SPACE.add(arch, elements[int(rng.integers(len(elements)))])
            arch = larger if problem.feasible(larger) else arch
        archs[SPACE.canonical(arch)] = None
    parts: dict[Any, Any] = {}
    for arch in archs:
        for part in COMPOSED.parts(arch):
            parts.setdefault((part, 0), Evaluation.known(float(rng.normal())))
    scores = {
        arch: COMPOSED.compose(arch, [parts[part, 0] for part in COMPOSED.parts(arch)]).score
        for arch in archs
    }
    return scores, parts


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([1.0e6, 1.4e6]), st.sampled_from([None, 0.11e6]))
def test_all_are_new_fit_and_are_better_than_where_a_climb_began(
    seed: int, madds: float, memory: float | None
) -> None:
    problem = _problem(madds, memory)
    scored, parts = _scored(problem, seed, 12)
    found = combine(problem, COMPOSED, scored, parts, 10)
    assert len(found) <= 10
    assert combine(problem, COMPOSED, scored, parts, 10) == found
    scores = [evaluation.score for evaluation in found.values()]
    assert scores == sorted(scores, reverse=True)
    known = {tuple(COMPOSED.parts(arch)) for arch in scored}
    for arch, evaluation in found.items():
        own = COMPOSED.parts(arch)
        assert problem.feasible(arch)
        assert SPACE.canonical(arch) == arch
        assert tuple(own) not in known
        assert evaluation == COMPOSED.compose(arch, [parts[part, 0] for part in own])
        assert evaluation.score > min(scored.values())


@pytest.mark.parametrize("seed", range(5))
def test_the_best_of_all_is_found_or_hardly_missed(seed: int) -> None:
    problem = _problem(1.4e6)
    scored, parts = _scored(problem, seed, 8)
    places = [dict.fromkeys(place) for place in zip(*map(COMPOSED.parts, scored), strict=True)]
    everything = {
        arch: COMPOSED.compose(arch, [parts[part, 0] for part in own]).score
        for own in product(*places)
        if problem.feasible(arch := COMPOSED.whole(own))
    }
    best = max(everything.values())
    found = combine(problem, COMPOSED, scored, parts, 3)
    reached = max([*scored.values(), *(one.score for one in found.values())])
    spread = float(np.std(list(everything.values())))
    assert best - reached < 0.25 * spread
    assert reached <= best + 1e-12


def test_what_failed_is_in_no_network() -> None:
    problem = _problem(1.4e6)
    scored, parts = _scored(problem, 0, 12)
    bad = COMPOSED.parts(next(reversed(scored)))[0]
    parts[bad, 0] = Evaluation.failure("diverged")
    sound = {arch: score for arch, score in scored.items() if COMPOSED.parts(arch)[0] != bad}
    assert len(sound) < len(scored)
    found = combine(problem, COMPOSED, sound, parts, 10)
    assert found
    assert all(bad not in COMPOSED.parts(arch) for arch in found)
    assert all(math.isfinite(evaluation.score) for evaluation in found.values())


@given(st.integers(0, 2**32 - 1))
def test_a_whole_has_its_parts(seed: int) -> None:
    arch = SPACE.canonical(SPACE.sample(np.random.default_rng(seed)))
    parts = COMPOSED.parts(arch)
    assert len(parts) == len(UNITS)
    assert COMPOSED.whole(parts) == ordered(arch)
    assert COMPOSED.parts(COMPOSED.whole(parts)) == parts


def test_the_stand_in_is_what_the_search_takes() -> None:
    assert isinstance(COMPOSED, Composed)
