"""A search with cheap, noisy scores whose evaluations are logged; as a program, many of them."""

from __future__ import annotations

import json
import math
import os
import signal
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hwnas import cost
from hwnas.cost import Budget, Problem
from hwnas.evaluate.fake import FakeEvaluator
from hwnas.progress import Silent
from hwnas.runs import Run
from hwnas.search.rules import default_rules
from hwnas.search.strategy import Options
from hwnas.spaces import SPACES
from hwnas.workflows.search.engine import Search
from hwnas.workflows.search.evaluators import Scoring

if TYPE_CHECKING:
    from hwnas.evaluate.evaluation import Evaluation
    from hwnas.spaces import Arch

SPACE = SPACES["rcnet-cifar100"]
NOISE = 0.002


@dataclass(frozen=True)
class Noisy(FakeEvaluator):
    """The fake with noise and a duration that depend on the network and the replicate alone.

    Attributes:
        log: every evaluation appends a line here just before it returns.
        spread_s: the longest duration.
        deaths: so many evaluations of the network with most blocks of type 3 kill their process.
    """

    log: Path = Path(os.devnull)
    spread_s: float = 0.0
    deaths: int = 0

    def evaluate(self, arch: Arch, replicate: int = 0) -> Evaluation:
        rng = np.random.default_rng([self.seed, replicate, *arch])
        time.sleep(self.spread_s * rng.random())
        self._die(arch)
        score = super().evaluate(arch).score + NOISE * rng.normal()
        self._append(f"{SPACE.format(arch)} {replicate}\n")
        return replace(
            super().evaluate(arch),
            score=score,
            cross_entropy=-math.log(score),
            stderr=NOISE,
            # A second of pretended training: committed at once, like the real thing.
            seconds=1.0,
        )

    def _die(self, arch: Arch) -> None:
        if arch != MORTAL:
            return
        tombstones = self.log.with_suffix(".deaths")
        died = tombstones.read_text().count("\n") if tombstones.exists() else 0
        if died < self.deaths:
            with tombstones.open("a") as stream:
                stream.write("died\n")
            os.kill(os.getpid(), signal.SIGKILL)

    def _append(self, line: str) -> None:
        with self.log.open("a") as stream:
            stream.write(line)


MORTAL = SPACE.canonical(SPACE.add(SPACE.start(), (SPACE.elements(SPACE.start())[3])))


def search(evaluator: Noisy, workers: int, ray: str | None, limit: int | None) -> Search:
    """Return a search of about a hundred evaluations, with races between close candidates."""
    within = Problem(SPACE, (Budget(cost.params(SPACE), 1.0e6), Budget(cost.madds(SPACE), 40e6)))
    options = Options(tuple(default_rules(within)), max_refreshes=3, replicates=2)
    costs = [budget.cost for budget in within.budgets]
    return Search(within, costs, "rcas", options, Scoring(evaluator), limit, workers, ray)


def run(
    folder: Path,
    workers: int = 0,
    *,
    ray: str | None = None,
    limit: int | None = None,
    seed: int = 3,
    deaths: int = 0,
    spread_s: float = 0.0,
    log: str = "log",
) -> dict[str, Any]:
    """Search in a folder, or go on there; return the content of search.json."""
    folder.mkdir(exist_ok=True)
    evaluator = Noisy(seed, log=folder / log, deaths=deaths, spread_s=spread_s)
    wanted = search(evaluator, workers, ray, limit)
    return wanted.run(Run(folder), folder / "evaluations.sqlite", Silent())


def comparable(result: dict[str, Any]) -> dict[str, Any]:
    """Return what must not depend on where the folder is and how many workers there were."""
    return {name: value for name, value in result.items() if name not in ("run", "ahead")}


def serve() -> None:
    """Run a search per line of JSON, each in a process of its own.

    The process is forked, so that it starts at once: everything is imported and warm. After
    "kill_after_s" seconds it is killed. A line with the seconds that it took answers, or with 0 if
    it was killed.
    """
    with tempfile.TemporaryDirectory() as folder:
        run(Path(folder))
    for line in sys.stdin:
        arguments = json.loads(line)
        began, lifetime = time.monotonic(), arguments.pop("kill_after_s")
        process = os.fork()
        if process == 0:
            run(Path(arguments.pop("folder")), **arguments)
            os._exit(0)
        ended = 0
        while not ended and time.monotonic() < began + lifetime:
            ended, status = os.waitpid(process, os.WNOHANG)
            time.sleep(0.001)
        if ended:
            assert status == 0
            print(time.monotonic() - began, flush=True)
        else:
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
            print(0, flush=True)


if __name__ == "__main__":
    serve()
