"""A search goes on with another limit: nothing is lost, repeated or mixed up."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from searching import comparable, run

from hwnas.errors import UserError
from hwnas.progress import Silent
from hwnas.runs import Run, find_run, run_for
from hwnas.train.recipe import Recipe, final_recipe
from hwnas.workflows.train import train
from hwnas.workflows.train.options import TrainOptions
from hwnas.workflows.winner import of_run

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Shell

SEARCH = ("search", "--space", "rcnet-digits", "--budget-params", "0.6M", "--evaluator", "fake")


def test_a_raised_limit_repeats_nothing_and_finds_what_it_would_have_found_at_once(
    tmp_path: Path,
) -> None:
    at_once = run(tmp_path / "at_once", limit=65)
    found = [run(tmp_path / "extended", limit=limit) for limit in (45, 55, 65)]
    assert [result["evaluations"] for result in found] == [45, 55, 65]
    assert comparable(found[-1]) == comparable(at_once)
    logged = (tmp_path / "extended" / "log").read_text().splitlines()
    assert len(logged) == len(set(logged)) == 65


def test_a_lowered_limit_finds_what_it_would_have_found_without_evaluating(tmp_path: Path) -> None:
    lower = run(tmp_path / "lower", limit=50)
    run(tmp_path / "lowered", limit=65)
    logged = (tmp_path / "lowered" / "log").read_text()
    assert comparable(run(tmp_path / "lowered", limit=50)) == comparable(lower)
    assert (tmp_path / "lowered" / "log").read_text() == logged


def test_scores_of_another_recipe_are_not_reused(tmp_path: Path) -> None:
    """The seed stands for all that is in an evaluator's identity."""
    run(tmp_path / "shared", seed=3, limit=45)
    found = run(tmp_path / "shared", seed=4, limit=45, log="other")
    assert comparable(found) == comparable(run(tmp_path / "alone", seed=4, limit=45))
    assert len((tmp_path / "shared" / "other").read_text().splitlines()) == 45


def test_the_command_goes_on_in_the_same_folder(shell: Shell) -> None:
    found = [shell(*SEARCH, "--max-evaluations", n, "--json").must().json for n in ("45", "80")]
    assert found[0]["run"] == found[1]["run"]
    assert [result["evaluations"] for result in found] == [45, 80]
    request = json.loads((shell.folder / found[0]["run"] / "request.json").read_text())
    assert request["max_evaluations"] == 80


def test_a_second_process_is_kept_out_and_changes_nothing(shell: Shell) -> None:
    folder = shell.folder / "mine"
    shell(*SEARCH, "--max-evaluations", "45", "--run", "mine").must()
    before = (folder / "request.json").read_text(), (folder / "search.json").read_text()
    with Run(folder).lock():
        told = shell(*SEARCH, "--max-evaluations", "80", "--run", "mine").must(2).err
    assert "another process is working in mine" in told.splitlines()[-1]
    assert before == ((folder / "request.json").read_text(), (folder / "search.json").read_text())


def test_a_finished_run_stays_what_it_is_until_its_extension_has_finished(tmp_path: Path) -> None:
    first = {"seed": 0, "max_evaluations": 50}
    found = run_for(tmp_path, "n", first, None)
    found.write("search.json", {})
    more = {"seed": 0, "max_evaluations": 80}
    assert run_for(tmp_path, "n", more, None) == found
    assert find_run(tmp_path, None).read("request.json", "") == first
    with pytest.raises(UserError, match="another max_evaluations, seed:"):
        run_for(tmp_path, "n", {**more, "seed": 1}, found.path)


WINNERS = ("5,4,0,0,0,0|5,0,0,0,0,0|5,0,0,0,0,0|0,0,0,0,0,0|5,0,0,0,0,0|0,0,0,0,0,0",
           "5,1,0,0,0,0|5,0,0,0,0,0|5,0,0,0,0,0|0,0,0,0,0,0|5,0,0,0,0,0|0,0,0,0,0,0")  # fmt: skip


@pytest.fixture
def trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A run, trained for a moment, whose winner then became another network."""

    def moment(preset: str, images: int, epochs: int, changes: object) -> Recipe:
        return replace(final_recipe(images, epochs), images=64, validation=64)

    monkeypatch.setattr(train, "full_recipe", moment)
    request = {
        "space": "rcnet-digits",
        "target": None,
        "dataset": "cluttered-digits",
        "data_dir": None,
        "seed": 0,
    }
    made = run_for(tmp_path, "n", request, None)
    made.write("search.json", {"arch": WINNERS[0]})
    train.train(TrainOptions(run=made.path), Silent())
    made.write("search.json", {"arch": WINNERS[1]})
    return made


def _weights(of: Run) -> list[Any]:
    return [value.tolist() for value in of_run(of).network().state_dict().values()]


def test_training_another_winner_keeps_the_training_of_the_one_before(trained: Run) -> None:
    winner = of_run(trained)
    assert (winner.trained, winner.outdated) == (False, True)
    trained.write("search.json", {"arch": WINNERS[0]})
    assert of_run(trained).trained
    weights = _weights(trained)

    trained.write("search.json", {"arch": WINNERS[1]})
    assert train.train(TrainOptions(run=trained.path), Silent())["arch"] == WINNERS[1]
    assert of_run(trained).trained
    assert _weights(trained) != weights
    (earlier,) = trained.trainings()[1:]
    names = {path.name for path in earlier.iterdir()}
    assert names == {
        "checkpoint.pt",
        "checkpoint-best.pt",
        "confusion.csv",
        "train.csv",
        "train.json",
    }

    trained.write("search.json", {"arch": WINNERS[0]})
    assert _weights(trained) == weights  # found among the earlier ones
    before = trained.read("train.json", "")
    again = train.train(TrainOptions(run=trained.path), Silent())
    assert again["arch"] == WINNERS[0] != before["arch"]
    assert _weights(trained) == weights
    assert len(trained.trainings()) == 3


def test_an_unfinished_training_of_another_winner_is_kept_too(trained: Run) -> None:
    kept = trained.checkpoint.read_bytes()
    (trained.path / "train.json").unlink()
    train.train(TrainOptions(run=trained.path), Silent())
    (earlier,) = trained.trainings()[1:]
    assert (earlier / "checkpoint.pt").read_bytes() == kept


def test_export_tells_that_the_training_is_of_another_winner(trained: Run, shell: Shell) -> None:
    told = shell("export", "--format", "onnx", "--run", str(trained.path)).must().err
    assert "the winner has changed since it was trained" in told
    assert "not trained" in told
