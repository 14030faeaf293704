"""Networks that are rows of a table: the space, its scores and costs, the search, every mistake."""

from __future__ import annotations

import json
import pickle
import sqlite3
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from grids import COLUMNS, GRID, OPERATIONS, SEARCH, Prompt, best, grid, prompt  # noqa: F401
from hypothesis import given, settings
from hypothesis import strategies as st

from hwnas.cost import Budget, Problem, column_cost
from hwnas.errors import InfeasibleError, UserError
from hwnas.evaluate.evaluation import Evaluation
from hwnas.evaluate.tabular import TabularEvaluator
from hwnas.progress import Silent
from hwnas.search.rules import default_rules, make_rules
from hwnas.spaces import neighbours
from hwnas.spaces.tabular import read_tabular
from hwnas.workflows.search.options import SearchOptions
from hwnas.workflows.search.search import request_for, search
from hwnas.workflows.search.table_request import TableRequest

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from hwnas.spaces.tabular import TabularSpace

TABLES = st.builds(grid, st.integers(0, 10**6), st.floats(0.05, 1))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tables")


def space_of(folder: Path, frame: pd.DataFrame) -> TabularSpace:
    frame.to_csv(folder / "grid.csv", index=False)
    return read_tabular(folder / "grid.csv", COLUMNS, "skip")


@settings(max_examples=40, deadline=None)
@given(frame=TABLES, seed=st.integers(0, 100))
def test_every_row_is_a_network_and_nothing_else_is(
    folder: Path, frame: pd.DataFrame, seed: int
) -> None:
    space = space_of(folder, frame)
    networks = list(space.networks())
    assert space.size == len(networks) == len(set(networks)) == len(frame)
    assert sorted(space.starts()) == sorted(networks)
    blocks = [sum(map(bool, arch)) for arch in space.starts()]
    assert blocks == sorted(blocks)
    assert space.start() == next(space.starts())
    assert space.contains(space.sample(np.random.default_rng(seed)))
    for arch, names in zip(networks, frame[list(COLUMNS)].to_numpy(), strict=True):
        assert space.format(arch) == ",".join(names)
        assert space.parse(space.format(arch)) == space.canonical(arch) == arch
        assert sum(map(bool, arch)) == sum(name != "skip" for name in names)


@settings(max_examples=40, deadline=None)
@given(frame=TABLES)
def test_elements_additions_and_neighbours_agree(folder: Path, frame: pd.DataFrame) -> None:
    space = space_of(folder, frame)
    for arch in space.networks():
        larger = {space.add(arch, element): [element] for element in space.elements(arch)}
        assert space.additions(arch) == larger
        near = neighbours(space, arch)
        assert set(larger) <= set(near)
        for other in near:
            assert space.contains(other)
            assert sum(a != b for a, b in zip(arch, other, strict=True)) == 1
            assert arch in neighbours(space, other)


@settings(max_examples=20, deadline=None)
@given(frame=TABLES)
def test_scores_and_costs_are_the_cells(folder: Path, frame: pd.DataFrame) -> None:
    space = space_of(folder, frame)
    evaluator, cost = TabularEvaluator(space, "acc"), column_cost(space, "heat", "mj")
    networks = list(space.networks())
    scored = [evaluator.evaluate(arch, replicate) for replicate, arch in enumerate(networks)]
    assert [one.score for one in scored] == list(frame["acc"])
    assert {(one.accuracy, one.stderr, one.failed) for one in scored} == {(None, 0.0, None)}
    assert [cost.of(arch) for arch in networks] == list(frame["mj"])
    assert list(cost.many(np.array(networks))) == list(frame["mj"])
    assert cost.cheapest() == frame["mj"].min()


def test_an_evaluation_without_accuracy_says_so_and_survives_the_store() -> None:
    for evaluation in (Evaluation.known(-2.5), Evaluation.failure("out of memory")):
        assert Evaluation(**json.loads(json.dumps(asdict(evaluation)))) == evaluation
        assert "accuracy" not in str(evaluation)


def test_scores_are_kept_by_content_operations_and_column(folder: Path) -> None:
    space = space_of(folder, grid(1))
    evaluator = TabularEvaluator(space, "acc")
    arch = space.parse("conv,skip,pool")
    assert pickle.loads(pickle.dumps(evaluator)).evaluate(arch) == evaluator.evaluate(arch)  # noqa: S301
    others = (
        TabularEvaluator(space, "mj"),
        TabularEvaluator(read_tabular(folder / "grid.csv", COLUMNS, "none"), "acc"),
        TabularEvaluator(read_tabular(folder / "grid.csv", COLUMNS[::-1], "skip"), "acc"),
        TabularEvaluator(space_of(folder, grid(2)), "acc"),
    )
    assert all(other.identity() != evaluator.identity() for other in others)
    assert TabularEvaluator(space_of(folder, grid(1)), "acc").identity() == evaluator.identity()


def asked(
    folder: Path, frame: pd.DataFrame, limits: dict[str, float], **more: Any
) -> SearchOptions:
    frame.to_csv(folder / "grid.csv", index=False)
    return SearchOptions(
        space=f"tabular:{folder / 'grid.csv'}",
        ops=",".join(COLUMNS),
        empty="skip",
        score="acc",
        cost=("latency=ms", "heat=mj"),
        budget=tuple(f"{name}={limit!r}" for name, limit in limits.items()),
        workspace=folder,
        **more,
    )


def test_a_request_is_read_as_it_was_written_whatever_the_order_of_its_options(
    folder: Path,
) -> None:
    options = asked(folder, grid(1), {"latency": 5.0, "heat": 4.0}, refreshes=2)
    request = request_for(options)
    opened = request.open(Silent())
    written = request.to_json(opened)
    assert TableRequest.from_json(json.loads(json.dumps(written))).to_json(opened) == written
    turned = replace(options, cost=options.cost[::-1], budget=options.budget[::-1], workers=2)
    assert request_for(turned).to_json(opened) == written
    assert request_for(replace(options, refreshes=3)).to_json(opened) != written


@settings(max_examples=25, deadline=None)
@given(frame=TABLES, latency=st.floats(1, 10), heat=st.floats(0.1, 5))
def test_exhaustive_search_finds_the_constrained_optimum(
    tmp_path_factory: pytest.TempPathFactory, frame: pd.DataFrame, latency: float, heat: float
) -> None:
    folder = tmp_path_factory.mktemp("run")
    options = asked(folder, frame, {"latency": latency, "heat": heat}, strategy="exhaustive")
    if not ((frame["ms"] <= latency) & (frame["mj"] <= heat)).any():
        with pytest.raises(InfeasibleError):
            search(options, Silent())
        return
    found = search(options, Silent())
    truth = best(frame, ms=latency, mj=heat)
    assert found["score"] == truth["acc"]
    assert found["costs"] == {"latency": truth["ms"], "heat": truth["mj"]}


@settings(max_examples=25, deadline=None)
@given(
    frame=TABLES,
    quantile=st.floats(0, 1),
    strategy=st.sampled_from(["rcas", "eager", "paper", "random", "evolution", "local"]),
)
def test_no_strategy_exceeds_a_budget(
    tmp_path_factory: pytest.TempPathFactory, frame: pd.DataFrame, quantile: float, strategy: str
) -> None:
    limit = float(np.quantile(frame["ms"], quantile))
    folder = tmp_path_factory.mktemp("run")
    options = asked(folder, frame, {"latency": limit}, strategy=strategy, seed=3)
    found = search(options, Silent())
    rows = frame.set_index(list(COLUMNS))
    for network in found["networks"]:
        row = rows.loc[tuple(network["arch"].split(","))]
        assert row["ms"] <= limit
        assert row["acc"] == network["score"]
    assert found["score"] == max(network["score"] for network in found["networks"])


def test_a_cost_of_ones_own_has_a_rule_of_its_name(folder: Path) -> None:
    space = space_of(folder, grid(1))
    names = ("latency@pixel", "heat", "params")
    problem = Problem(space, tuple(Budget(column_cost(space, n, "ms"), 5.0) for n in names))
    assert [rule.name for rule in default_rules(problem)] == ["uc", "alr@pixel", "heat", "apr"]
    assert [r.name for r in make_rules(problem, ["sum", "heat"])] == ["sum", "heat"]
    with pytest.raises(UserError, match="--budget madds=VALUE"):
        make_rules(problem, ["amr"])


def test_the_command_tells_winner_costs_and_what_is_next(prompt: Prompt) -> None:  # noqa: F811
    budgets = ("--budget", "latency=6", "--budget", "heat=3")
    told = prompt(*SEARCH, *budgets, "--strategy", "exhaustive").must()
    truth = best(grid(0), ms=6, mj=3)
    line = ", ".join(f"{column}={truth[column]}" for column in COLUMNS)
    assert told.out.startswith(f"winner: {line}\n")
    assert f"{truth['acc']:.4f}" in told.out
    assert "accuracy" not in told.out + told.err
    assert f"{truth['ms']:g} of 6" in told.out
    assert "next: hwnas pick --budget latency=VALUE" in told.out


def test_the_same_command_again_scores_nothing_again(prompt: Prompt) -> None:  # noqa: F811
    command = (*SEARCH, "--budget", "latency=6", "--strategy", "local", "--seed", "4")
    results = []
    for workers in ("1", "2"):
        results.append(prompt(*command, "--json", "--workers", workers).must().json)
        with sqlite3.connect("runs/evaluations.sqlite") as store:
            rows = store.execute("SELECT network, rowid FROM evaluations").fetchall()
        results.append(rows)
    assert results[0] == results[2]
    assert results[1] == results[3]


def test_a_limit_below_the_first_round_is_refused_for_greedy_only(prompt: Prompt) -> None:  # noqa: F811
    limited = (*SEARCH, "--budget", "latency=10", "--max-evaluations", "3")
    assert "Give at least 10" in prompt(*limited).must(2).err
    assert prompt(*limited, "--strategy", "random", "--json").must().json["evaluations"] == 3


def test_greedy_that_cannot_begin_says_so(prompt: Prompt) -> None:  # noqa: F811
    rows = [("skip", "skip", "skip", 1, 1, 1), ("conv", "conv", "skip", 2, 1, 1)]
    text = "\n".join(",".join(map(str, row)) for row in [(*COLUMNS, "acc", "ms", "mj"), *rows])
    (prompt.folder / "grid.csv").write_text(text)
    command = (*SEARCH, "--budget", "latency=5", "--json")
    greedy = prompt(*command).must()
    assert greedy.json["score"] == 1
    assert "ends at once" in greedy.err
    assert prompt(*command, "--strategy", "evolution").must().json["score"] == 2


def test_networks_of_a_table_are_neither_trained_nor_exported(prompt: Prompt) -> None:  # noqa: F811
    prompt(*SEARCH, "--budget", "latency=6").must()
    for command in ("train", "export", "bench"):
        assert "rows of a file" in prompt(command).must(2).err


def test_the_help_names_every_strategy(prompt: Prompt) -> None:  # noqa: F811
    told = " ".join(prompt("search", "--help").must().out.split())
    assert "evolution, exhaustive, local, paper, random, rcas" in told


MISTAKES = [
    (("--cost", "t=ms", "--budget", "t=5"), "needs --ops, --empty, --score"),
    ((*GRID, "--score", "acc"), "needs --cost, --budget"),
    ((*SEARCH[1:], "--budget", "latency=abc"), "'abc' is no number"),
    ((*SEARCH[1:], "--budget", "latency=5ms"), "plain numbers"),
    ((*SEARCH[1:], "--budget", "latency"), "--budget latency=12.5"),
    ((*SEARCH[1:], "--budget", "latency=-5"), "above zero"),
    ((*SEARCH[1:], "--budget", "latency=nan"), "above zero"),
    ((*SEARCH[1:], "--budget", "heart=5"), "Did you mean 'heat'?"),
    ((*SEARCH[1:], "--budget", "heat=5", "--budget", "heat=4"), "two --budget for heat"),
    ((*SEARCH[1:], "--budget", "latency=0.5"), "the cheapest one needs 1.0"),
    ((*SEARCH[1:], "--budget", "latency=5", "--budget-latency", "5ms"), "--cost latency=COLUMN"),
    ((*SEARCH[1:], "--budget", "latency=5", "--target", "onnx-cpu"), "--target has no meaning"),
    ((*SEARCH[1:], "--budget", "latency=5", "--dataset", "cifar10"), "--dataset has no meaning"),
    ((*SEARCH[1:], "--budget", "latency=5", "--evaluator", "train"), "--evaluator has no meaning"),
    ((*SEARCH[1:], "--budget", "latency=5", "--rules", "amr"), "--budget madds=VALUE"),
    ((*SEARCH[1:], "--budget", "latency=5", "--rules", "heat"), "unknown rule 'heat'"),
    ((*SEARCH[1:], "--budget", "latency=5", "--strategy", "luck"), "unknown strategy"),
    ((*SEARCH[1:], "--budget", "latency=5", "--max-evaluations", "0"), "at least 1"),
    ((*SEARCH[1:], "--cost", "uc=ms", "--budget", "uc=5"), "other than those of rules"),
    ((*SEARCH[1:], "--cost", "ms", "--budget", "latency=5"), "--cost latency=latency_ms"),
    ((*GRID, "--score", "ac", "--cost", "t=ms", "--budget", "t=5"), "Did you mean 'acc'?"),
    ((*GRID, "--score", "acc", "--cost", "t=msec", "--budget", "t=5"), "Did you mean 'ms'?"),
    ((*GRID, "--score", "acc", "--cost", "t=acc", "--budget", "t=5"), "cannot be below zero"),
    ((*GRID, "--score", "first", "--cost", "t=ms", "--budget", "t=5"), "holds operations"),
]


@pytest.mark.parametrize(("arguments", "told"), MISTAKES)
def test_a_mistake_is_one_clear_line(
    prompt: Prompt,  # noqa: F811
    arguments: tuple[str, ...],
    told: str,
) -> None:
    """The command leaves nothing behind."""
    given_space = () if "--space" in arguments else GRID[:2]
    done = prompt("search", *given_space, *arguments).must(2)
    assert done.err.startswith("hwnas: ")
    assert done.err.count("\n") == 1
    assert told in done.err
    assert [path.name for path in prompt.folder.iterdir()] == ["grid.csv"]


def test_options_of_tables_need_a_table(prompt: Prompt) -> None:  # noqa: F811
    needs = ("--ops", "a,b"), ("--cost", "latency=ms"), ("--budget", "latency=5")
    for option in needs:
        line = prompt("search", "--budget-params", "2M", *option).must(2).err
        assert "is for --space tabular:FILE.csv" in line


FILES = [
    ("first,second,third,acc,ms,mj\nskip,conv,conv,,1,1\n", "line 2, column acc: ''"),
    ("first,second,third,acc,ms,mj\nskip,skip,skip,1,1,1\n\nskip,conv,conv,1,fast,1\n", "line 4"),
    ("first,second,third,acc,ms,mj\nskip,skip,skip,1,inf,1\n", "'inf' is no finite number"),
    ("first,second,third,acc,ms,mj\nskip,skip,skip,1,1,1,9\n", "cannot be read as CSV"),
    ("first,second,third,acc,ms,mj\nskip,conv,conv\n", "line 2, column acc"),
    (
        "first,second,third,acc,ms,mj\nskip,conv,conv,1,1,1\n\nskip, conv,conv,2,1,1\n",
        "lines 2 and 4 hold the same network",
    ),
    ("first,second,third,acc,ms,mj\nconv,conv,conv,1,1,1\n", "unknown operation 'skip'"),
    ("first,second,acc,ms,mj\nskip,conv,1,1,1\n", "unknown column 'third'"),
    ('first,second,third,acc,ms,mj\nskip,"a,b",conv,1,1,1\n', "holds a comma"),
    ("first,second,third,acc,ms,mj\n", "has no rows"),
    ("", "cannot be read as CSV"),
]


@pytest.mark.parametrize(("content", "told"), FILES)
def test_a_file_that_does_not_do_is_told_by_line(
    prompt: Prompt,  # noqa: F811
    content: str,
    told: str,
) -> None:
    (prompt.folder / "grid.csv").write_text(content)
    line = prompt(*SEARCH, "--budget", "latency=5").must(2).err
    assert told in line
    assert "grid" in line
    assert line.count("\n") == 1


def test_files_that_are_missing_damaged_or_no_text(prompt: Prompt) -> None:  # noqa: F811
    for name, content in (("x.csv.gz", b"no gzip"), ("x.csv", b"\xff\xfe\x00"), ("x.csv.xz", b"x")):
        (prompt.folder / name).write_bytes(content)
        asked = ("search", "--space", f"tabular:{name}", *SEARCH[3:], "--budget", "latency=5")
        assert "cannot be read as CSV" in prompt(*asked).must(2).err
    gone = ("search", "--space", "tabular:none.csv", *SEARCH[3:], "--budget", "latency=5")
    assert "none.csv is missing" in prompt(*gone).must(2).err
    twice = (*SEARCH, "--ops", "first,first,second", "--budget", "latency=5")
    assert "--ops names first twice" in prompt(*twice).must(2).err


def test_a_column_of_hundreds_of_values_is_not_listed_in_full(prompt: Prompt) -> None:  # noqa: F811
    frame = grid(0).assign(first=[f"value{n}" for n in range(len(OPERATIONS) ** 3)])
    frame.to_csv("grid.csv", index=False)
    line = prompt(*SEARCH, "--empty", "nothing", "--budget", "latency=5").must(2).err
    assert "68 in all" in line
    assert len(line) < 1000
