"""Score next what a model of all scores so far expects the most improvement from.

Bayesian optimisation with expected improvement, made for few evaluations: the start network and a
few random ones near the budgets come first; then each step fits the model anew. It sees what
networks are made of and what they cost, so that it knows from the first scores on that a network
near its budgets tends to be better.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from threadpoolctl import threadpool_limits

from hwnas.errors import UserError
from hwnas.search.surrogate.candidates import PARENTS, Candidates
from hwnas.search.surrogate.features import Describer, warp
from hwnas.search.surrogate.model import Model
from hwnas.seeds import derive

if TYPE_CHECKING:
    from hwnas.cost import Problem
    from hwnas.search.ledger import Ledger
    from hwnas.search.strategy import Asking, Options
    from hwnas.spaces import Arch

FIRST = 8
"""Networks scored before the first model, the start network included."""

MODELLED = 500
"""Scored networks that the model sees, the best ones: its work grows with their cube."""

NEAREST_OF = 4
"""Random draws per such network; the one that is nearest to a budget is scored."""


def surrogate(problem: Problem, ledger: Ledger, options: Options) -> Asking:
    """Run until the limit, or until every network within the budgets is known.

    Raises:
        UserError: there is no limit.
    """
    if ledger.limit is None:
        raise UserError(
            "--strategy surrogate needs --max-evaluations, such as 100: its model is for few "
            "scores."
        )
    return _surrogate(problem, ledger, options)


def _surrogate(problem: Problem, ledger: Ledger, options: Options) -> Asking:
    ledger.follow("surrogate")
    rng = np.random.default_rng(derive(options.seed, "candidates"))
    describer, model = Describer(problem.space), Model(derive(options.seed, "model"))
    candidates = Candidates(problem, ledger, describer, rng)
    yield from ledger.ask([problem.start()])
    yield from ledger.ask(_first(ledger, candidates))
    while True:
        if len(ledger.scored) < 2:
            chosen = [arch for arch in [candidates.draw()] if arch is not None]
        else:
            # Matrices this small lose far more by threads than they gain.
            with threadpool_limits(1, user_api="blas"):
                chosen = _choose(ledger, candidates, describer, model, options.batch)
        if not chosen:
            return
        yield from ledger.ask(chosen)


def _first(ledger: Ledger, candidates: Candidates) -> list[Arch]:
    found: list[Arch] = []
    for _ in range(FIRST - 1):
        draws = [arch for _ in range(NEAREST_OF) if (arch := candidates.draw(found)) is not None]
        if draws:
            found.append(max(draws, key=lambda arch: max(ledger.uses(arch))))
    return found


def _choose(
    ledger: Ledger, candidates: Candidates, describer: Describer, model: Model, batch: int
) -> list[Arch]:
    """Return up to `batch` networks that are not known yet."""
    scores = ledger.scored
    scored = {arch: scores[arch] for arch in sorted(scores, key=lambda a: -scores[a])[:MODELLED]}
    failed = ledger.failed[-MODELLED:]
    archs = [*scored, *failed]
    worst = min(scored.values())
    stderrs = np.array([*map(ledger.stderr, scored), *(0.0 for _ in failed)])
    values, stderrs = warp(np.array([*scored.values(), *(worst for _ in failed)]), stderrs)
    features = describer(archs, [ledger.uses(arch) for arch in archs])
    model.fit(features, values, stderrs)
    # What noise lifted is no best: with noise, the model's own opinion of what was scored counts.
    believed = model.mean(features) if stderrs.any() else values
    order = np.argsort(-believed[: len(scored)], kind="stable")
    proposed, theirs = candidates.propose([archs[i] for i in order[:PARENTS]])
    chosen: list[Arch] = []
    while proposed and len(chosen) < batch:
        gain = model.improvement(theirs, float(believed.max()))
        gain[[arch in chosen for arch in proposed]] = -1
        best = int(np.argmax(gain))
        if proposed[best] in chosen:
            break
        chosen.append(proposed[best])
        if len(chosen) < batch:
            # Believe the model, and go on as if that were known.
            one = [level[best : best + 1] for level in theirs]
            values, stderrs = np.append(values, model.mean(one)), np.append(stderrs, 0.0)
            features = [np.vstack(pair) for pair in zip(features, one, strict=True)]
            model.condition(features, values, stderrs)
    return chosen
