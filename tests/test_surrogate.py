"""The surrogate finds more with few scores, whatever their unit, and asks for a limit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from hwnas.errors import UserError
from hwnas.search.ledger import Ask, Ledger, Score
from hwnas.search.strategy import Options, drive, find_strategy
from hwnas.search.surrogate import surrogate
from hwnas.search.surrogate.features import Describer, warp
from hwnas.search.surrogate.model import Model
from hwnas.spaces import SPACES
from hwnas.testing import SetSpace, coverage, facility_location, random_problem

if TYPE_CHECKING:
    from collections.abc import Callable

    from hwnas.cost import Problem
    from hwnas.search.ledger import Scores
    from hwnas.spaces import Arch


def search(
    name: str, problem: Problem, score: Callable[[Arch], float], limit: int, **options: int
) -> tuple[Ledger, list[list[Arch]]]:
    ledger, asked = Ledger(problem, limit), []

    def evaluate(ask: Ask) -> Scores:
        asked.append([arch for arch, _ in ask.needed])
        return {job: Score(score(job[0])) for job in ask.needed}

    drive(find_strategy(name)(problem, ledger, Options(**options)), ledger, evaluate)
    return ledger, asked


def instance(seed: int, positions: int = 6, types: int = 3) -> tuple[Problem, Callable]:
    rng = np.random.default_rng(seed)
    space = SetSpace(positions, types)
    kind = (coverage, facility_location)[seed % 2]
    return random_problem(space, rng), kind(space, rng)


@pytest.mark.parametrize(("positions", "types", "limit"), [(6, 3, 40), (18, 4, 60)])
def test_it_gets_nearer_to_the_optimum_than_random_search_and_evolution(
    positions: int, types: int, limit: int
) -> None:
    """Once in a space that is listed, once in one that is not."""
    found: dict[str, list[float]] = {"surrogate": [], "random": [], "evolution": []}
    for seed in range(6):
        problem, score = instance(seed, positions, types)
        best = {}
        for name in found:
            ledger, _ = search(name, problem, score, limit, seed=seed)
            best[name] = max(ledger.scored.values())
        for name, value in best.items():
            found[name].append(value / max(best.values()))
    lost = {name: 1 - np.mean(values) for name, values in found.items()}
    assert lost["surrogate"] < 0.25 * min(lost["random"], lost["evolution"])


def test_neither_unit_nor_zero_of_the_score_matters() -> None:
    problem, score = instance(3)
    _, asked = search("surrogate", problem, score, 30)
    _, scaled = search("surrogate", problem, lambda arch: 1024 * score(arch) - 4096, 30)
    assert asked == scaled


def test_a_batch_is_asked_for_at_once_and_holds_different_networks() -> None:
    problem, score = instance(2, 8)
    ledger, asked = search("surrogate", problem, score, 32, batch=4)
    assert [len(archs) for archs in asked] == [1, 7, 4, 4, 4, 4, 4, 4]
    assert len({arch for archs in asked for arch in archs}) == ledger.evaluations == 32


def test_it_ends_when_every_network_is_known() -> None:
    problem, score = instance(1, 3, 1)
    ledger, _ = search("surrogate", problem, score, 100)
    assert set(ledger.scored) == set(filter(problem.feasible, problem.space.networks()))
    assert ledger.complete


def test_without_a_limit_it_refuses_at_once() -> None:
    problem, _ = instance(0)
    with pytest.raises(UserError, match="--max-evaluations"):
        surrogate(problem, Ledger(problem), Options())


def test_noise_does_not_make_it_believe_the_luckiest_network() -> None:
    """Scores with an error of a tenth of their spread: the choice is still near the best."""
    lost = []
    for seed in range(4):
        problem, score = instance(seed)
        best = max(map(score, filter(problem.feasible, problem.space.networks())))
        ledger = Ledger(problem, 60)

        def evaluate(ask: Ask) -> Scores:
            noise = np.random.default_rng(len(ledger.scored))  # noqa: B023
            values = {job: score(job[0]) for job in ask.needed}  # noqa: B023
            return {job: Score(v + noise.normal(0, 1.0), 1.0) for job, v in values.items()}

        drive(surrogate(problem, ledger, Options(seed=seed)), ledger, evaluate)
        lost.append(1 - score(ledger.best) / best)
    assert np.mean(lost) < 0.1


def test_features_are_counts_at_every_level_and_log_shares() -> None:
    space = SPACES["rcnet-cifar100"]
    arch = space.canonical(space.start())
    whole, stages, places, shares = Describer(space)([arch], [(0.5, 0.25)])
    assert whole.tolist() == [[32, 0, 0, 0, 0, 4, 0]]
    assert stages.shape == (1, 6 * 7)
    assert stages.sum() == places.sum() == 36
    assert shares == pytest.approx(np.log([[0.5, 0.25]]))


def test_warped_scores_keep_their_order_and_stretch_the_top() -> None:
    values, stderrs = warp(np.array([0.0, 80.0, 90.0, 91.0, 92.0]), np.ones(5))
    assert (np.diff(values) > 0).all()
    assert values.mean() == pytest.approx(0, abs=1e-12)
    assert values.std() == pytest.approx(1)
    assert values[4] - values[3] > 0.1 * (values[1] - values[0])
    assert stderrs[4] > 10 * stderrs[0]


def test_the_model_interpolates_and_is_less_sure_far_away() -> None:
    rng = np.random.default_rng(0)
    seen = [rng.normal(size=(30, 3))]
    values = np.sin(seen[0][:, 0]) + 0.5 * seen[0][:, 1]
    values = (values - values.mean()) / values.std()
    model = Model(0)
    for _ in range(4):
        model.fit(seen, values, np.zeros(30))
    assert np.corrcoef(model.mean(seen), values)[0, 1] > 0.98
    fresh = [rng.normal(size=(200, 3)) * 0.7]
    truth = np.sin(fresh[0][:, 0]) + 0.5 * fresh[0][:, 1]
    assert np.corrcoef(model.mean(fresh), truth)[0, 1] > 0.9
    near, far = model.improvement(seen, 10.0), model.improvement([seen[0] * 30], 10.0)
    assert (near >= 0).all()
    assert far.max() > near.max()
