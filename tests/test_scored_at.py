"""Where, at what size and by which recipe candidates are scored: asked for, recorded, obeyed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from training import write_digits
from typer.testing import CliRunner

from hwnas.cli.app import app
from hwnas.cores import usable_cores
from hwnas.errors import UserError
from hwnas.evaluate.distill.evaluator import DistillEvaluator
from hwnas.evaluate.trainer import TrainEvaluator
from hwnas.progress import Silent
from hwnas.train.recipe import PAPER_SEARCH, QUICK
from hwnas.workflows.search import search as workflow
from hwnas.workflows.search.evaluators import GPU_LANES
from hwnas.workflows.search.network_request import NetworkRequest
from hwnas.workflows.search.options import SearchOptions
from hwnas.workflows.search.search import plan

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Shell

    from hwnas.workflows.search.engine import Search
    from hwnas.workflows.search.request import Opened

BUDGET = ("search", "--space", "rcnet-cifar10", "--budget-params", "0.8M")


@pytest.fixture(params=[True, False], ids=["gpu", "no-gpu"])
def gpu(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether torch says that there is one; nothing may be trained there."""
    there: bool = request.param
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    return there


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work where nobody else does."""
    monkeypatch.chdir(tmp_path)


def _request(**options: Any) -> NetworkRequest:
    options = {"space": "rcnet-cifar10", "budget_params": ("0.8M",)} | options
    return NetworkRequest.of(SearchOptions(**options))


def _opened(request: NetworkRequest) -> tuple[Opened, Search]:
    opened = request.open(Silent())
    return opened, plan(request, opened, Silent())


def _trainer(search: Search) -> TrainEvaluator:
    assert isinstance(search.scoring.evaluator, TrainEvaluator)
    return search.scoring.evaluator


@pytest.mark.parametrize("device", ["auto", "cpu"])
def test_device_lanes_and_workers_follow_what_there_is(gpu: bool, device: str) -> None:
    request = _request(evaluator="train", device=device)
    opened, search = _opened(request)
    on_gpu = gpu and device == "auto"
    trainer, judge = _trainer(search), search.scoring.judge
    assert isinstance(judge, TrainEvaluator)
    assert trainer.setting.device == judge.setting.device == ("cuda" if on_gpu else "cpu")
    assert trainer.lanes == judge.lanes == (GPU_LANES if on_gpu else 1)
    assert search.workers == (0 if on_gpu else usable_cores())
    assert _opened(_request(evaluator="train", device=device, workers=3))[1].workers == 3
    recorded = request.to_json(opened)
    assert recorded["device"] == ("cuda" if on_gpu else "cpu")
    assert NetworkRequest.from_json(recorded).to_json(opened) == recorded
    assert trainer.identity()["device"] == trainer.setting.device


def test_teachers_and_units_are_trained_where_candidates_are_scored(gpu: bool) -> None:
    scoring = _opened(_request(evaluator="distill", device="auto"))[1].scoring
    assert isinstance(scoring.evaluator, DistillEvaluator)
    devices = {teacher.setting.device for teacher in scoring.teachers}
    assert devices == {scoring.evaluator.part.setting.device} == {"cuda" if gpu else "cpu"}


def test_limited_time_is_for_one_network_alone(gpu: bool) -> None:
    request = _request(evaluator="train", device="auto", time_limit="1min")
    assert request.time_limit_s == 60
    search = _opened(request)[1]
    assert _trainer(search).lanes == 1
    assert isinstance(search.scoring.judge, TrainEvaluator)
    assert search.scoring.judge.lanes == (GPU_LANES if gpu else 1)


def test_free_scores_ask_for_no_device(gpu: bool) -> None:
    request = _request(evaluator="fake")
    opened, search = _opened(request)
    assert search.workers == 0
    assert request.to_json(opened)["device"] == "cpu", gpu


def test_defaults_that_are_typed_and_what_changes_no_result_change_no_request(
    tmp_path: Path,
) -> None:
    """The hash of the request names the folder of a run."""
    opened = _request().open(Silent())
    plain = _request().to_json(opened)
    typed = _request(evaluator="distill", dataset="cluttered-digits", teachers=4, device="cpu")
    elsewhere = _request(
        workers=3, ray="auto", force=True, run=tmp_path / "mine", workspace=tmp_path / "there"
    )
    for other in (typed, elsewhere):
        assert other.to_json(opened) == plain
    for other in (_request(seed=1), _request(teachers=3), _request(budget_params=("0.9M",))):
        assert other.to_json(opened) != plain
    assert _request().to_json(opened._replace(files={"iphone5s": "of another day"})) != plain


@pytest.mark.parametrize(
    ("options", "care"),
    [
        ({"evaluator": "train"}, (2, 2, 4)),
        ({"evaluator": "distill"}, (0, 1, 1)),
        ({"evaluator": "train", "refreshes": 0, "replicates": 1, "batch": 1}, (0, 1, 1)),
        ({"evaluator": "fake", "refreshes": 3, "replicates": 2, "batch": 5}, (3, 2, 5)),
    ],
)
def test_noise_is_reckoned_with_where_scores_have_some(
    options: dict[str, Any], care: tuple[int, ...]
) -> None:
    request = _request(**options)
    assert (request.refreshes, request.replicates, request.batch) == care


@pytest.mark.parametrize("name", ["images", "teachers", "max_evaluations", "batch", "workers"])
def test_a_number_of_nothing_is_refused_from_scripts_too(name: str) -> None:
    with pytest.raises(UserError, match=f"--{name.replace('_', '-')} must be at least 1"):
        SearchOptions(**{name: 0})


def test_a_proxy_of_ones_own_is_scored_at_and_recorded() -> None:
    request = _request(evaluator="train", proxy_width=0.5, proxy_resolution=24)
    opened, search = _opened(request)
    space = _trainer(search).setting.space
    assert (space.width, space.resolution) == (0.5, 24)
    recorded = request.to_json(opened)
    assert (recorded["proxy_width"], recorded["proxy_resolution"]) == (0.5, 24)
    again = NetworkRequest.from_json(recorded)
    assert (again.proxy_width, again.proxy_resolution) == (0.5, 24)
    usual = _trainer(_opened(_request(evaluator="train"))[1]).setting.space
    assert (usual.width, usual.resolution) == (0.25, 16)


def test_the_papers_recipe_is_ten_epochs_of_the_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HWNAS_CACHE", str(tmp_path / "cache"))
    data = f"parquet:{write_digits(tmp_path / 'digits')}"
    request = _asked(monkeypatch, "--evaluator", "train", "--recipe", "paper", "--dataset", data)
    assert request.selection.held_out_per_class == 10
    opened, search = _opened(request)
    trainer = _trainer(search)
    assert trainer.setting.data.train_size == 600 - 10 * 10
    recipe = trainer.recipe
    assert (recipe.images, recipe.batch_size, recipe.weight_decay) == (5_000, 128, 4e-5)
    epochs = [recipe.learning_rate(epoch * recipe.steps // 10) for epoch in (0, 3, 4, 6, 7, 8, 9)]
    assert epochs == pytest.approx([0.1, 0.1, 0.01, 0.01, 1e-3, 1e-3, 1e-4])
    held_out = trainer.setting.held_out("search", recipe.validation)
    assert sum(len(labels) for _, labels in held_out) == 10 * 10
    recorded = request.to_json(opened)
    assert recorded["recipe"] == "paper"
    assert recorded["selection"] == {"held_out_per_class": 10}
    assert NetworkRequest.from_json(recorded).to_json(opened) == recorded


def test_more_may_be_held_out_with_the_papers_recipe(monkeypatch: pytest.MonkeyPatch) -> None:
    more = ("--recipe", "paper", "--evaluator", "train", "--held-out-per-class", "7")
    assert _asked(monkeypatch, *more, "--dataset", "digits").selection.held_out_per_class == 7
    drawn = _asked(monkeypatch, *more[:4])
    assert drawn.selection.held_out_per_class is None
    _, search = _opened(drawn)
    assert _trainer(search).recipe.images == 10 * 10_000
    assert _trainer(search).recipe.validation == PAPER_SEARCH.validation
    assert _trainer(_opened(_request(evaluator="train"))[1]).recipe == QUICK


def _asked(monkeypatch: pytest.MonkeyPatch, *words: str) -> NetworkRequest:
    """Return what the command makes of its options."""
    found: list[SearchOptions] = []

    def note(options: SearchOptions, _: object) -> None:
        found.append(options)
        raise UserError("enough")

    monkeypatch.setattr(workflow, "search", note)
    CliRunner().invoke(app, [*BUDGET, *words])
    return NetworkRequest.of(found[0])


@pytest.mark.parametrize(
    ("options", "device"),
    [((), "auto"), (("--ray", "auto"), "cpu"), (("--device", "cuda", "--ray", "auto"), "cuda")],
)
def test_other_machines_are_not_taken_to_have_a_gpu(
    monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], device: str
) -> None:
    assert _asked(monkeypatch, *options).device == device


TRAIN = ("--evaluator", "train")

MISTAKES: list[tuple[tuple[str, ...], str]] = [
    (("--device", "tpu"), "unknown device 'tpu'"),
    ((*TRAIN, "--device", "cuda"), "torch sees no GPU on this machine"),
    (("--device", "cpu", "--evaluator", "fake"), "--device is for --evaluator distill or"),
    ((*TRAIN, "--recipe", "slow"), "unknown recipe 'slow'"),
    (("--recipe", "paper"), "--recipe is for --evaluator train, not for distill"),
    (("--recipe", "quick", "--evaluator", "zero-cost"), "not for zero-cost: leave it out"),
    ((*TRAIN, "--recipe", "paper", "--images", "100"), "leave --images out"),
    (("--proxy-width", "2"), "at most 1, the width of rcnet-cifar10, but got 2."),
    (("--proxy-width", "0"), "--proxy-width must be above 0"),
    (("--proxy-width", "nan"), "--proxy-width must be above 0"),
    (("--proxy-resolution", "33"), "from 8 to 32 px, the size of rcnet-cifar10, but got 33."),
    (("--proxy-resolution", "4"), "from 8 to 32 px"),
    (("--proxy-width", "0.5", "--evaluator", "fake"), "--proxy-width is for"),
]


@pytest.mark.parametrize(("options", "told"), MISTAKES)
def test_a_mistake_is_one_line_and_leaves_nothing(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], told: str
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    done = shell(*BUDGET, *options).must(2)
    (line,) = done.err.splitlines()
    assert line.startswith("hwnas: ")
    assert told in line
    assert not list(shell.folder.iterdir())


def test_a_table_has_no_device(shell: Shell) -> None:
    done = shell("search", "--space", "tabular:x.csv", "--device", "cpu").must(2)
    assert "--device has no meaning with a table" in done.err
