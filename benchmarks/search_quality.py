"""How far below the constrained optimum strategies end, on any table of networks.

Every score is maximised under every cost, its budget at quantiles of the cost over all rows. A
strategy runs once per seed with the largest number of evaluations; its gap after fewer is read
from the order in which it scored. One that asks for the same networks whatever the seed runs once.

    python benchmarks/search_quality.py --data DATA --out quality.json
    python benchmarks/search_quality.py grid.csv --ops op1 op2 op3 --empty skip \
        --score accuracy --cost latency_ms

Beside the strategies of `hwnas search`, Optuna's TPE with constraints (`pip install optuna`).
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import multiprocessing
import os
import sys
import time
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from tpe import tpe

from hwnas import __version__, plugins, units
from hwnas.cost import Budget, ColumnCost, Problem
from hwnas.device import describe_host
from hwnas.errors import MissingPackage, UserError
from hwnas.search.ledger import Ledger, Score
from hwnas.search.strategy import GROUP, Options, drive, find_strategy
from hwnas.spaces.tabular import TabularSpace, read_tabular

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from hwnas.search.ledger import Ask
    from hwnas.spaces import Arch, Job

NASBENCH = {
    "file": "nasbench201/nasbench201.csv.gz",
    "ops": ["op_1_0", "op_2_0", "op_2_1", "op_3_0", "op_3_1", "op_3_2"],
    "empty": "1",
    "score": ["acc_cifar10", "acc_cifar100"],
    "cost": ["pixel3_ms", "pi5_onnx_ms"],
}
"""NAS-Bench-201 as `--data` holds it; operation 1 is skip_connect."""

TPE = "tpe"


class Cell(NamedTuple):
    """One problem: a score under a budget on a cost at a quantile (percent)."""

    score: str
    cost: str
    quantile: float


@dataclass(frozen=True)
class Setting:
    """What is the same for all problems."""

    space: TabularSpace
    evaluations: list[int]
    seeds: int
    _columns: dict[str, NDArray[np.float64]] = field(default_factory=dict)

    def numbers(self, column: str) -> NDArray[np.float64]:
        """Return a column, read once."""
        if column not in self._columns:
            self._columns[column] = self.space.numbers(column)
        return self._columns[column]

    def problem(self, cell: Cell) -> Problem:
        """Return the problem of a cell."""
        dimension, values = units.plain(cell.cost), self.numbers(cell.cost)
        cost = ColumnCost(name=cell.cost, dimension=dimension, space=self.space, values=values)
        return Problem(self.space, (Budget(cost, self.limit(cell)),))

    def limit(self, cell: Cell) -> float:
        """Return the budget."""
        return float(np.quantile(self.numbers(cell.cost), cell.quantile / 100))

    def optimum(self, cell: Cell) -> float:
        """Return the best score within the budget."""
        inside = self.numbers(cell.cost) <= self.limit(cell)
        return float(self.numbers(cell.score)[inside].max())

    def order(self, strategy: str, cell: Cell, seed: int) -> list[Arch]:
        """Return the networks that a strategy scored, in order."""
        scores = self.numbers(cell.score)
        problem = self.problem(cell)
        ledger = Ledger(problem, max(self.evaluations))
        call = tpe if strategy == TPE else find_strategy(strategy)

        def evaluate(ask: Ask) -> dict[Job, Score | None]:
            return {job: Score(float(scores[self.space.rows[job[0]]])) for job in ask.needed}

        drive(call(problem, ledger, Options(seed=seed)), ledger, evaluate)
        return list(ledger.scored)

    def outcome(self, strategy: str, cell: Cell) -> dict:
        """Return gaps, (seeds, evaluations), and how many results were over budget."""
        start = time.perf_counter()
        orders = [self.order(strategy, cell, seed) for seed in range(min(2, self.seeds))]
        deterministic = len(orders) == 2 and orders[0] == orders[1]
        if deterministic:
            orders = orders[:1]
        else:
            orders += [self.order(strategy, cell, seed) for seed in range(2, self.seeds)]
        scores, costs = self.numbers(cell.score), self.numbers(cell.cost)
        gaps, over = [], 0
        for order in orders:
            rows = [self.space.rows[arch] for arch in order]
            best = [rows[int(scores[rows[:n]].argmax())] for n in self.evaluations]
            over += sum(costs[row] > self.limit(cell) for row in best)
            gaps.append([self.optimum(cell) - float(scores[row]) for row in best])
        return {
            "strategy": strategy,
            **cell._asdict(),
            "budget": self.limit(cell),
            "optimum": self.optimum(cell),
            "gaps": gaps,
            "deterministic": deterministic,
            "over_budget": int(over),
            "scored": [len(order) for order in orders],
            "seconds": (time.perf_counter() - start) / len(orders),
        }


_setting: Setting


def _use(setting: Setting) -> None:
    global _setting
    _setting = setting


def _outcome(task: tuple[str, Cell]) -> dict:
    return _setting.outcome(*task)


def measure(
    setting: Setting, strategies: Sequence[str], cells: Sequence[Cell], processes: int
) -> list[dict]:
    """Return the outcome of every strategy on every cell."""
    tasks = list(itertools.product(strategies, cells))
    os.environ["OPENBLAS_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = "1"  # of the processes
    with multiprocessing.get_context("spawn").Pool(processes, _use, (setting,)) as pool:
        outcomes = []
        for done in pool.imap_unordered(_outcome, tasks):
            outcomes.append(done)
            told = f"{done['strategy']} {done['score']} {done['cost']} {done['quantile']:g}%"
            note = f"{len(outcomes)}/{len(tasks)}  {told}: {done['seconds']:.2f} s per search"
            print(note, file=sys.stderr, flush=True)
    return outcomes


def mean_gap(outcomes: Iterable[dict], index: int) -> tuple[float, float]:
    """Return the mean gap over problems, and its standard error from the seeds.

    The problems are what they are, so that only seeds are random; infinite with one seed.
    """
    means, variances = [], []
    for outcome in outcomes:
        gaps, one = (
            np.array(outcome["gaps"])[:, index],
            0.0 if outcome["deterministic"] else math.inf,
        )
        means.append(gaps.mean())
        variances.append(gaps.var(ddof=1) / len(gaps) if len(gaps) > 1 else one)
    return float(np.mean(means)), float(math.sqrt(np.sum(variances)) / len(means))


def _of(name: str, value: object) -> Callable[[dict], bool]:
    return lambda outcome: outcome[name] == value


def table(setting: Setting, outcomes: list[dict], strategies: Sequence[str]) -> list[str]:
    """Return the lines of the comparison."""
    quantiles = sorted({outcome["quantile"] for outcome in outcomes})
    scores = sorted({outcome["score"] for outcome in outcomes})
    groups: dict[str, Callable[[dict], bool]] = {
        "all": lambda _: True,
        **{f"{q:g}%": _of("quantile", q) for q in quantiles},
        **{score: _of("score", score) for score in scores},
    }
    width = max(map(len, groups))
    lines = ["".join([f"{'of':<{width}} evals", *(f"{name:>14}" for name in strategies)])]
    for (label, inside), (index, count) in itertools.product(
        groups.items(), enumerate(setting.evaluations)
    ):
        values = []
        for name in strategies:
            chosen = [o for o in outcomes if o["strategy"] == name and inside(o)]
            mean, error = mean_gap(chosen, index)
            values.append(f"{mean:.3f} +-{error:.3f}" if error else f"{mean:.3f}       ")
        lines.append(
            "".join([f"{label:<{width}} {count:>5}", *(f"{value:>14}" for value in values)])
        )
    over = [sum(o["over_budget"] for o in outcomes if o["strategy"] == s) for s in strategies]
    total = [sum(np.size(o["gaps"]) for o in outcomes if o["strategy"] == s) for s in strategies]
    shares = [f"{part / whole:.1%}" for part, whole in zip(over, total, strict=True)]
    lines.append("".join([f"{'over budget':<{width + 6}}", *(f"{share:>14}" for share in shares)]))
    return lines


def usable(strategies: Iterable[str]) -> Iterator[str]:
    """Yield the strategies that are installed; the others are told with the reason."""
    for name in strategies:
        try:
            if name != TPE:
                find_strategy(name)
            elif find_spec("optuna") is None:
                raise MissingPackage("pip install optuna")
        except UserError as error:
            print(f"{name} skipped: {error}")
        else:
            yield name


def arguments() -> argparse.Namespace:
    """Return the options; without a file those of NAS-Bench-201 in `--data`."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("file", type=Path, nargs="?", help="CSV whose rows are networks")
    parser.add_argument("--data", type=Path, help=f"folder with {NASBENCH['file']}")
    parser.add_argument("--ops", nargs="+", default=NASBENCH["ops"])
    parser.add_argument("--empty", default=NASBENCH["empty"])
    parser.add_argument("--score", nargs="+", default=NASBENCH["score"])
    parser.add_argument("--cost", nargs="+", default=NASBENCH["cost"])
    parser.add_argument("--quantiles", nargs="+", type=float, default=[10, 30, 50, 80])
    parser.add_argument("--evaluations", nargs="+", type=int, default=[25, 50, 100])
    parser.add_argument("--seeds", type=int, default=20)
    every = [name for name in plugins.names(GROUP) if name != "exhaustive"]
    parser.add_argument("--strategies", nargs="+", default=[*every, TPE])
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--out", type=Path)
    return parser.parse_args()


def main() -> None:
    """Print the comparison."""
    chosen = arguments()
    if chosen.file is None and chosen.data is None:
        print("skipped: give a CSV file, or --data DIR")
        return
    file = chosen.file or chosen.data / NASBENCH["file"]
    if not file.is_file():
        print(f"skipped: {file} is missing")
        return
    strategies = list(usable(chosen.strategies))
    setting = Setting(
        read_tabular(file, chosen.ops, chosen.empty), sorted(chosen.evaluations), chosen.seeds
    )
    cells = [Cell(*c) for c in itertools.product(chosen.score, chosen.cost, chosen.quantiles)]
    start = time.perf_counter()
    outcomes = measure(setting, strategies, cells, chosen.processes)
    took = time.perf_counter() - start
    lines = table(setting, outcomes, strategies)
    print(
        f"{file.name}: mean gap to the constrained optimum of {', '.join(chosen.score)} under "
        f"{', '.join(chosen.cost)}, {chosen.seeds} seeds, +- standard error over seeds"
    )
    print("\n".join(lines), f"{took:.0f} s", sep="\n")
    if chosen.out:
        about = {"file": file.name, "sha256": setting.space.sha256, "host": describe_host()}
        options = {k: v for k, v in vars(chosen).items() if k not in ("file", "data", "out")}
        about |= {"version": __version__, "options": options, "seconds": took}
        content = {**about, "table": lines, "outcomes": outcomes}
        chosen.out.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
