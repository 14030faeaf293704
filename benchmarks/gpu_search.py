"""CIFAR-100 from search to final accuracy on one GPU, in pieces that resume.

RCAS within the size of the published RCNet (1.92M parameters, 87.3M MAdds), candidates scored by
`distill` at full width and resolution, the best ones put together from their units; the winner is
then trained by the paper's recipe of 200 epochs and tested. To compare with: 76.1% after 2 GPU-days
(Xiong et al., ICCV 2019).

    python benchmarks/gpu_search.py --data-dir DIR --out FILE.json --minutes 9

DIR holds cifar100/*.parquet. A piece ends when its time is over; the same command goes on where the
last one stopped, until FILE.json holds "final". `--toy` runs the same steps at a size for a CPU.
"""

from __future__ import annotations

import argparse
import json
import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from hwnas import __version__, cost
from hwnas.cost import Budget, Problem
from hwnas.evaluate.distill.evaluator import Committee, DistillEvaluator
from hwnas.evaluate.distill.stitch import StitchEvaluator
from hwnas.evaluate.distill.teacher import some_teachers
from hwnas.evaluate.setting import Setting
from hwnas.runs import Run
from hwnas.search.rules import default_rules
from hwnas.search.strategy import Options
from hwnas.spaces import find_space
from hwnas.train import recipe as recipes
from hwnas.train.full.checkpoint import Job
from hwnas.train.full.training import train_final
from hwnas.workflows.search.engine import Search
from hwnas.workflows.search.evaluators import Scoring

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hwnas.progress import Advance
    from hwnas.spaces import RcnetSpace
    from hwnas.train.recipe import Recipe


class TimeOverError(Exception):
    """The piece is over; everything done is on disk."""


@dataclass(frozen=True)
class Watch:
    """A reporter that ends the work when its time is over.

    Attributes:
        end: by `time.monotonic`.
    """

    end: float

    def info(self, message: str) -> None:
        """Print one line."""
        print(message, flush=True)

    warn = info

    @contextmanager
    def task(self, description: str, total: int) -> Iterator[Advance]:
        """Say what begins; raise TimeOverError at the first step behind the end."""
        print(f"{description}: {total}", flush=True)

        def advance(steps: int = 1, note: str = "") -> None:  # noqa: ARG001
            if time.monotonic() > self.end:
                raise TimeOverError

        yield advance


@dataclass(frozen=True)
class Plan:
    """What is searched, and how it is trained.

    Attributes:
        space: at which candidates are scored and the winner is trained.
        dataset: its name.
        budgets: parameters and MAdds.
        teacher: recipe of each teacher.
        unit: recipe of a candidate's unit.
        whole: recipe of networks that are put together from units.
        final: recipe of the winner.
    """

    space: RcnetSpace
    dataset: str
    budgets: tuple[float, float]
    teacher: Recipe
    unit: Recipe
    whole: Recipe
    final: Recipe


TEACHERS = 2

FULL = Plan(
    find_space("rcnet-cifar100"),
    "cifar100",
    (1.92e6, 87.3e6),
    replace(recipes.TEACHER, images=30 * 50_000, batch_size=128),
    replace(recipes.UNIT, images=8_192, batch_size=64),
    replace(recipes.STITCH, images=8_192, batch_size=64),
    recipes.PAPER_CIFAR,
)
TOY = Plan(
    find_space("rcnet", input_size="8", classes=10, width=0.25),
    "cluttered-digits",
    (30e3, 0.2e6),
    replace(recipes.TEACHER, images=256, validation=100),
    replace(recipes.UNIT, images=64, validation=100),
    replace(recipes.STITCH, images=64, validation=100),
    replace(recipes.QUICK, images=640, validation=100),
)


def search(plan: Plan, data_dir: Path | None, device: str, folder: Path, watch: Watch) -> dict:
    """Search, or go on with it; return the content of search.json."""
    setting = Setting(plan.space, plan.dataset, data_dir, device)
    teachers = folder / "teachers"
    committee = Committee(some_teachers(setting, plan.teacher, 0, teachers, TEACHERS), plan.unit)
    params, madds = cost.params(plan.space), cost.madds(plan.space)
    limits = zip((params, madds), plan.budgets, strict=True)
    problem = Problem(plan.space, tuple(Budget(each, limit) for each, limit in limits))
    options = Options(tuple(default_rules(problem)))
    wanted = Search(
        problem,
        (params, madds),
        "rcas",
        options,
        Scoring(
            DistillEvaluator(committee),
            teachers=committee.teachers,
            screen=StitchEvaluator(committee, plan.whole),
        ),
    )
    return wanted.run(Run(folder), folder / "evaluations.sqlite", watch)


def pieces(plan: Plan, options: argparse.Namespace, watch: Watch, content: dict) -> None:
    """Do what is missing; raises TimeOverError when the time is over."""
    folder = options.workspace
    folder.mkdir(parents=True, exist_ok=True)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if "search" not in content:
        found = search(plan, options.data_dir, device, folder, watch)
        keys = ("arch", "score", "costs", "budgets", "evaluations", "trained")
        content["search"] = {key: found[key] for key in keys}
    if "final" not in content:
        setting = Setting(plan.space, plan.dataset, options.data_dir, device)
        graph = plan.space.graph(plan.space.parse(content["search"]["arch"]))
        checkpoint = folder / "final.pt"
        result = train_final(Job(graph, setting.data, plan.final, 0, checkpoint), watch)
        content["final"] = result.to_json()


def main() -> None:
    """Run one piece and write what is known."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--out", type=Path, help="JSON; nothing is measured without it")
    parser.add_argument("--workspace", type=Path, default=Path("runs/gpu-search"))
    parser.add_argument("--minutes", type=float, default=9.0)
    parser.add_argument("--toy", action="store_true", help="tiny, on any machine")
    options = parser.parse_args()
    if options.out is None:
        print("skipped: takes long, and is of use only with --out FILE.json")
        return
    if not options.toy and not torch.cuda.is_available():
        print("skipped: there is no GPU")
        return
    if not options.toy and not (options.data_dir and (options.data_dir / "cifar100").is_dir()):
        print("skipped: --data-dir has to hold cifar100/*.parquet")
        return
    content = json.loads(options.out.read_text()) if options.out.exists() else {}
    began = time.monotonic()
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
    content |= {"hwnas": __version__, "device": device, "torch": torch.__version__}
    try:
        pieces(TOY if options.toy else FULL, options, Watch(began + 60 * options.minutes), content)
    except TimeOverError:
        print("the time is over: the same command goes on")
    seconds = content.setdefault("seconds", {})
    stage = "search" if "search" not in content else "all"
    seconds[stage] = seconds.get(stage, 0.0) + time.monotonic() - began
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
