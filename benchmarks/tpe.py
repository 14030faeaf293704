"""Optuna's TPE as a strategy, for `search_quality.py`."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hwnas.cost import Problem
    from hwnas.search.ledger import Ledger
    from hwnas.search.strategy import Asking, Options

ATTEMPTS = 8
"""Suggestions of TPE per evaluation: those over budget, or known, cost no evaluation."""


def tpe(problem: Problem, ledger: Ledger, options: Options) -> Asking:
    """Optuna's TPE: a categorical per position, the excess over each budget as constraint."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    space = problem.space
    sampler = optuna.samplers.TPESampler(seed=options.seed)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    study.enqueue_trial({str(i): block for i, block in enumerate(problem.start())})
    for _ in range(ATTEMPTS * (ledger.limit or space.size)):
        trial = study.ask()
        arch = tuple(
            trial.suggest_categorical(str(position), types)
            for position, types in enumerate(space.choices)
        )
        if not space.contains(arch):
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
            continue
        for budget in problem.budgets:
            trial.set_constraint(budget.cost.name, budget.use(arch) - 1)
        if ledger.feasible(arch):
            yield from ledger.ask([arch])
            study.tell(trial, ledger.score(arch))
        else:
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
