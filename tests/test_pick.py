"""Another budget answered from a finished run: the best that was scored, nothing trained."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from grids import COLUMNS, SEARCH, Prompt, best, grid, prompt  # noqa: F401

from hwnas.workflows.search.pick import Scored, best_of

if TYPE_CHECKING:
    from conftest import Shell

RCNET = ("search", "--space", "rcnet-cifar100", "--evaluator", "fake")


@pytest.fixture
def searched(prompt: Prompt) -> Prompt:  # noqa: F811
    """A finished exhaustive search within latency <= 8 and heat <= 4."""
    budgets = ("--budget", "latency=8", "--budget", "heat=4")
    prompt(*SEARCH, *budgets, "--strategy", "exhaustive").must()
    return prompt


def test_a_budget_named_again_is_replaced_and_the_others_stay(searched: Prompt) -> None:
    for limit in (8, 5, 3, 2):
        told = searched("pick", "--budget", f"latency={limit}", "--json").must().json
        truth = best(grid(0), ms=limit, mj=4)
        assert told["arch"] == ",".join(truth[column] for column in COLUMNS)
        assert told["score"] == truth["acc"]
        assert told["costs"] == {"latency": truth["ms"], "heat": truth["mj"]}
        assert {name: b["limit"] for name, b in told["budgets"].items()} == {
            "latency": limit,
            "heat": 4,
        }


def test_a_larger_budget_is_answered_from_what_was_scored(searched: Prompt) -> None:
    told = searched("pick", "--budget", "latency=100", "--json").must().json
    assert told["score"] == best(grid(0), ms=8, mj=4)["acc"]
    assert told["within_budgets"] == told["networks"]


def test_the_runs_own_budgets_give_its_winner(searched: Prompt) -> None:
    told = searched("pick", "--budget", "heat=4").must().out
    winner = best(grid(0), ms=8, mj=4)
    assert told.startswith(f"best: {', '.join(f'{c}={winner[c]}' for c in COLUMNS)}\n")


def test_a_budget_that_the_run_did_not_have_is_added(prompt: Prompt) -> None:  # noqa: F811
    prompt(*SEARCH, "--budget", "latency=8", "--strategy", "exhaustive").must()
    told = prompt("pick", "--budget", "heat=1", "--json").must().json
    assert told["score"] == best(grid(0), ms=8, mj=1)["acc"]


PICK_MISTAKES = [
    ((), "give at least one other budget"),
    (("--budget", "latency=0.1"), "the cheapest of them needs"),
    (("--budget", "heart=1"), "Did you mean 'heat'?"),
    (("--budget", "heat=-1"), "above zero"),
    (("--budget-latency", "150ms"), "--budget latency=VALUE"),
    (("--budget", "heat=1", "--run", "nowhere"), "holds no run"),
]


@pytest.mark.parametrize(("arguments", "told"), PICK_MISTAKES)
def test_a_mistake_is_one_clear_line(
    searched: Prompt, arguments: tuple[str, ...], told: str
) -> None:
    line = searched("pick", *arguments).must(2).err
    assert line.startswith("hwnas: ")
    assert line.count("\n") == 1
    assert told in line


def test_budgets_that_exclude_each_other_are_told_together(searched: Prompt) -> None:
    frame = grid(0)
    inside = frame[(frame["ms"] <= 8) & (frame["mj"] <= 4)]
    asked = ("--budget", f"latency={inside['ms'].min()}", "--budget", f"heat={inside['mj'].min()}")
    assert "together, though each can be met alone" in searched("pick", *asked).must(2).err


def test_a_table_that_changed_since_is_told(searched: Prompt) -> None:
    grid(1).to_csv("grid.csv", index=False)
    assert "has changed since" in searched("pick", "--budget", "heat=1").must(2).err


def test_pick_finds_the_table_from_another_folder(
    searched: Prompt, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    searched("pick", "--workspace", str(searched.folder), "--budget", "heat=1").must()


def test_a_search_that_has_not_finished_is_told(searched: Prompt) -> None:
    (searched.folder / "runs/latest/search.json").unlink()
    assert "has not finished" in searched("pick", "--budget", "heat=1").must(2).err


def test_another_budget_for_networks_that_can_be_built(prompt: Prompt) -> None:  # noqa: F811
    prompt(*RCNET, "--budget-params", "1.2M", "--budget-madds", "60M").must()
    found = json.loads((prompt.folder / "runs/latest/search.json").read_text())
    same = prompt("pick", "--budget-params", "1.2M", "--json").must().json
    assert (same["arch"], same["score"]) == (found["arch"], found["score"])
    told = prompt("pick", "--budget-params", "0.8M", "--json").must().json
    assert told["costs"]["params"] <= 0.8e6
    assert told["costs"]["madds"] <= 60e6
    assert {name: b["limit"] for name, b in told["budgets"].items()} == {
        "params": 0.8e6,
        "madds": 60e6,
    }
    added = prompt("pick", "--budget-memory", "1MB", "--json").must().json
    assert set(added["budgets"]) == {"params", "madds", "memory"}
    people = prompt("pick", "--budget-params", "0.8M").must().out
    assert f"--arch '{told['arch']}' --space rcnet-cifar100" in people
    export = people.split("next: hwnas ")[1].split(" (untrained)")[0].replace("'", "").split(" ")
    assert "trained" in prompt(*export, "--json").must().err
    assert "hwnas: none of the" in prompt("pick", "--budget-params", "0.1M").must(2).err
    assert "--budget-latency 150ms" in prompt("pick", "--budget", "params=1").must(2).err


def test_latency_is_told_from_the_table_that_the_search_used(searched_phone: Shell) -> None:
    shell = searched_phone
    done = shell("pick", "--budget-latency", "150ms", "--budget-params", "3M", "--json").must()
    assert done.json["costs"]["latency"] <= 150
    assert done.json["costs"]["params"] <= 3e6
    assert done.json["budgets"]["latency"]["label"] == "ESTIMATED"
    assert "ESTIMATED" in done.err
    meta = shell.folder / "lut/iphone5s/rcnet-imagenet/meta.json"
    values = json.loads(meta.read_text())
    meta.write_text(json.dumps(values | {"created": "another time"}))
    line = shell("pick", "--budget-latency", "150ms").must(2).err.splitlines()[-1]
    assert "the table of iphone5s has changed" in line


A, B, C, START = (1, 0), (2, 0), (3, 0), (0, 0)


def scored(**scores: float) -> dict:
    archs = {"a": A, "b": B, "c": C, "start": START}
    return {archs[name]: Scored(archs[name], value, 0.0, "") for name, value in scores.items()}


def test_the_judge_decides_among_the_best_candidates_only() -> None:
    candidates = scored(a=0.5, b=0.4, c=0.3, start=0.1)
    judged = scored(a=0.7, b=0.8, start=0.6)
    assert best_of([A, B, C, START], candidates, judged).score == 0.8
    assert best_of([A, C, START], candidates, judged).score == 0.7
    # The judge's score of the start network does not compare with a candidate's.
    assert best_of([C, START], candidates, judged) == candidates[C]
    assert best_of([START], candidates, judged).score == 0.6
    assert best_of([A, B], candidates, {}) == candidates[A]


DAMAGES = [
    "",
    "{",
    "{}",
    "null",
    "[]",
    '{"arch": 1, "score_source": 1, "networks": 3, "finalists": []}',
]


@pytest.mark.parametrize("content", DAMAGES)
def test_a_damaged_result_is_told_in_one_line(searched: Prompt, content: str) -> None:
    (path,) = searched.folder.glob("runs/tabular*/search.json")
    path.write_text(content)
    done = searched("pick", "--budget", "heat=4").must(2)
    assert len(done.err.splitlines()) == 1
    assert "search.json" in done.err


@pytest.mark.parametrize("content", ["{", "{}", "null"])
def test_a_damaged_request_is_told_in_one_line_by_every_command(
    searched: Prompt, content: str
) -> None:
    (path,) = searched.folder.glob("runs/tabular*/request.json")
    path.write_text(content)
    again = (*SEARCH, "--budget", "latency=8", "--budget", "heat=4", "--strategy", "exhaustive")
    for command in (("pick", "--budget", "heat=4"), ("export",), ("train",), ("bench",), again):
        done = searched(*command).must(2)
        assert len(done.err.splitlines()) == 1
        assert "request.json" in done.err
