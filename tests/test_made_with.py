"""A search says what its scores are made with, and counts every image that was trained on."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pytest
import torch
from searching import SPACE as CIFAR
from searching import comparable

from hwnas import __version__, cost
from hwnas.cost import Budget, Problem
from hwnas.device import describe_host
from hwnas.errors import EvaluationFailed
from hwnas.evaluate.evaluation import Evaluation, collected
from hwnas.evaluate.fake import FakeEvaluator
from hwnas.evaluate.setting import Setting
from hwnas.evaluate.trainer import TrainEvaluator
from hwnas.evaluate.workers.pool import open_pool
from hwnas.progress import Silent
from hwnas.runs import Run
from hwnas.search.rules import default_rules
from hwnas.search.strategy import Options
from hwnas.spaces import find_space
from hwnas.train.environment import versions
from hwnas.train.recipe import QUICK, STITCH, TEACHER, UNIT
from hwnas.workflows.search.engine import Search
from hwnas.workflows.search.evaluators import Scoring
from hwnas.workflows.search.options import SearchOptions
from hwnas.workflows.search.search import plan, request_for, search

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from conftest import Shell

    from hwnas.progress import Advance
    from hwnas.spaces import Arch

SMALL = find_space("rcnet", input_size="8", classes=10, width=0.25)


@dataclass
class Told:
    """A reporter that keeps what it is told."""

    lines: list[str] = field(default_factory=list)

    def info(self, message: str) -> None:
        self.lines.append(message)

    warn = info

    @contextmanager
    def task(self, description: str, total: int) -> Iterator[Advance]:
        yield lambda *_: None


def _options(folder: Path, **options: Any) -> SearchOptions:
    budget = {"space": SMALL.name, "budget_madds": ("0.2M",)}
    return SearchOptions(**budget, seed=5, workspace=folder, **options)


def _planned(folder: Path, **options: Any) -> Search:
    request = request_for(_options(folder, **options))
    return plan(request, request.open(Silent()), Silent())


def _made_with(planned: Search, *, here: bool = True) -> dict[str, Any]:
    assert planned.scoring.made_with is not None
    return planned.scoring.made_with.to_json(here=here)


def test_search_json_records_how_it_was_made(tmp_path: Path) -> None:
    few = {"images": 32, "max_evaluations": 40, "refreshes": 1, "replicates": 1}
    planned = _planned(tmp_path, evaluator="train", **few)
    found = replace(planned, workers=0).run(Run(tmp_path), tmp_path / "store", Silent())
    short, longer = replace(QUICK, images=32), replace(QUICK, images=96)
    assert found["made_with"] == {
        "evaluator": "train",
        "dataset": "cluttered-digits",
        "proxy": asdict(SMALL),
        "device": "cpu",
        "device_name": describe_host()["cpu"],
        "precision": "fp32",
        "versions": versions(torch.device("cpu")),
        "preset": "quick",
        "recipes": {"candidates": asdict(short), "finalists": asdict(longer)},
        "seed": 5,
    }
    assert set(found["made_with"]["versions"]) == {"hwnas", "torch", "python"}
    trained = found["trained"]
    assert trained["images"] == 32 * trained["networks"] > 0
    assert trained["judge_images"] == 96 * len(found["finalists"]) > 0
    assert trained["teacher_images"] == 0


def test_distill_records_the_recipe_of_everything_it_trains(tmp_path: Path) -> None:
    made = _made_with(_planned(tmp_path, images=64, teachers=2))
    assert made["recipes"] == {
        "teachers": asdict(replace(TEACHER, images=20 * 64)),
        "units": asdict(replace(UNIT, images=64)),
        "put_together": asdict(replace(STITCH, images=64)),
        "finalists": asdict(replace(QUICK, images=3 * round(6_000 * 64 / 2_048))),
    }
    assert (made["preset"], made["unit_precision"]) == (None, "fp32")


def test_a_gpu_is_recorded_with_its_name_and_precision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "a fine GPU")
    planned = _planned(tmp_path, evaluator="train", device="auto")
    made = _made_with(planned)
    assert [made[key] for key in ("device", "device_name", "precision")] == [
        "cuda",
        "a fine GPU",
        "bf16",
    ]
    assert made["versions"] == versions(torch.device("cuda"))
    assert _made_with(planned, here=False)["device_name"] is None


def test_what_is_left_out_of_the_data_is_recorded(tmp_path: Path) -> None:
    few = {"dataset": "digits", "held_out_per_class": 5}
    made = _made_with(_planned(tmp_path, evaluator="train", **few))
    assert (made["dataset"], made["selection"]) == ("digits", {"held_out_per_class": 5})


def test_free_scores_record_what_they_are(searched_phone: Shell) -> None:
    found = json.loads((searched_phone.folder / "runs/latest/search.json").read_text())
    made = found["made_with"]
    assert (made["evaluator"], made["seed"], made["recipes"]) == ("fake", 0, {})
    assert made["versions"]["hwnas"] == __version__
    assert made["device"] is made["device_name"] is made["proxy"] is made["dataset"] is None
    assert set(found["trained"].values()) == {0}


ON_CPU = "on cluttered-digits at width 0.25 and 8 px on cpu"

ANNOUNCED = [
    ({"evaluator": "fake"}, "by fake, 1 at a time;"),
    (
        {"evaluator": "train", "max_evaluations": 50},
        f"at most 50 networks by train (recipe quick: 6,000 images each) {ON_CPU}, ",
    ),
    (
        {"evaluator": "distill", "teachers": 3},
        f"by distill (3 teachers of 40,960 images, units of 2,048 images) {ON_CPU}, ",
    ),
    (
        {"evaluator": "zero-cost"},
        f"by zero-cost (finalists by training on 18,000 images) {ON_CPU}, ",
    ),
]


def _announced(options: SearchOptions, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(Search, "run", lambda *_: {})
    reporter = Told()
    search(options, reporter)
    (line,) = [line for line in reporter.lines if line.startswith("scoring ")]
    return line


@pytest.mark.parametrize(("options", "told"), ANNOUNCED)
def test_a_search_says_what_candidates_are_scored_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], told: str
) -> None:
    line = _announced(_options(tmp_path, **options), monkeypatch)
    assert told in line
    assert str(tmp_path) in line


def test_a_search_says_that_it_is_on_a_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    options = _options(tmp_path, evaluator="train", recipe="paper", device="auto")
    line = _announced(options, monkeypatch)
    assert "(recipe paper: 100,000 images each)" in line
    assert "px on cuda, 8 at a time;" in line


@dataclass(frozen=True)
class Costly(FakeEvaluator):
    """Spends ten images per network, and four on one that fails.

    Attributes:
        unlucky: networks that fail.
    """

    unlucky: tuple[Arch, ...] = ()

    def identity(self) -> dict[str, Any]:
        return {"costly": [list(arch) for arch in self.unlucky]}

    def evaluate(self, arch: Arch, replicate: int = 0) -> Evaluation:
        if arch in self.unlucky:
            error = EvaluationFailed("training diverged")
            error.images = 4
            raise error
        return replace(super().evaluate(arch, replicate), images=10)


def test_images_of_failures_and_of_the_judge_are_counted(tmp_path: Path) -> None:
    start = CIFAR.canonical(CIFAR.start())
    failing = CIFAR.canonical(CIFAR.add(start, CIFAR.elements(start)[3]))
    within = Problem(CIFAR, (Budget(cost.params(CIFAR), 1.0e6), Budget(cost.madds(CIFAR), 40e6)))
    found = {}
    for workers in (0, 2):
        planned = Search(
            within,
            [budget.cost for budget in within.budgets],
            "rcas",
            Options(tuple(default_rules(within))),
            Scoring(
                Costly(unlucky=(failing,)),
                judge=Costly(unlucky=(start,)),
                screen=Costly(unlucky=(failing, start)),
            ),
            workers=workers,
        )
        folder = tmp_path / str(workers)
        folder.mkdir()
        found[workers] = planned.run(Run(folder), folder / "store", Silent())
    assert comparable(found[0]) == comparable(found[2])
    result = found[0]
    assert result["failed"] == {CIFAR.format(failing): "training diverged"}
    assert len(result["finalists"]) == 3
    assert result["trained"]["judge_images"] == 3 * 10 + 4
    # The failing candidate is never among those that are screened.
    tried = len(result["networks"]) + len(result["screened"])
    assert result["trained"]["images"] == 10 * tried + 4
    assert result["trained"]["networks"] == tried + 1


def test_a_training_that_fails_tells_how_far_it_came() -> None:
    setting = Setting(SMALL, "cluttered-digits")
    wild = replace(QUICK, images=4_000, batch_size=8, peak_lr=1e12, warmup=0.0)
    found = {}
    for workers in (0, 1):
        with open_pool(TrainEvaluator(setting, wild), workers) as pool:
            ((_, found[workers]),) = pool.results([(SMALL.start(), 0)])
    assert "diverged" in (found[0].failed or "")
    assert found[0] == found[1]
    assert 0 < found[0].images < 4_000
    assert found[0].images % 8 == 0


def test_a_failure_counts_what_was_done_before_it() -> None:
    done = replace(Evaluation.known(0.5), images=10)

    def evaluations() -> Iterator[Evaluation]:
        yield from (done, done)
        error = EvaluationFailed("training diverged")
        error.images = 3
        raise error

    with pytest.raises(EvaluationFailed) as caught:
        collected(evaluations())
    assert caught.value.images == 23
    assert collected(iter([done])) == [done]
