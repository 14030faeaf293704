"""The command line as users meet it: the three commands, every mistake, a kill in the middle."""

from __future__ import annotations

import json
import os
import resource
import shlex
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from conftest import COMMAND, Done, Shell, environment
from searching import comparable

from hwnas.spaces import BASELINES

if TYPE_CHECKING:
    from pathlib import Path

RUNTIMES = ("ai_edge_litert", "coremltools", "flatbuffers", "onnx", "onnxruntime", "torch")
HEAVY = (*RUNTIMES, "numpy", "pandas", "scipy", "sklearn", "hwnas.workflows")
TINY = ("--budget-latency", "81ms", "--evaluator", "train", "--images", "64")
TINIEST = ("--space", "rcnet", "--input", "8", "--classes", "10", "--target", "iphone5s")
FEW = ("--dataset", "digits", "--held-out-per-class", "5")
"""Of thousands of held-out images each score would take longer than its training."""


@pytest.mark.parametrize(
    "arguments",
    [
        ("--evaluator", "fake"),
        ("--dataset", "mnist"),
        ("--dataset", "parquet:none"),
        ("--dataset", "imagenet"),
    ],
)
def test_a_search_that_trains_nothing_does_not_wait_for_torch(
    estimated: Shell, arguments: tuple[str, ...]
) -> None:
    tell = "print('torch' in sys.modules)"
    code = f"import sys; from hwnas.cli import main\ntry: main()\nfinally: {tell}"
    search = ("search", "--budget-latency", "100ms", *arguments)
    done = subprocess.run(
        [sys.executable, "-c", code, *search],
        cwd=estimated.folder, env=environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout.splitlines()[-1] == "False", done.stderr


def test_options_of_no_command_import_anything_heavy() -> None:
    code = (
        "import sys; from hwnas.cli.app import COMMANDS, _loaded; "
        f"print([m for m in {HEAVY[:-1]} if [*map(_loaded, COMMANDS)] and m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


def test_help_is_quick_and_imports_nothing_heavy() -> None:
    code = f"import sys, hwnas.cli.app; print([m for m in {HEAVY} if m in sys.modules])"
    imported = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert imported.stdout.strip() == "[]"
    times = []
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([*COMMAND, "--help"], capture_output=True, check=True, env=environment())
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        # Of the processor, since other tests run beside this one.
        times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(times) < 0.3


@pytest.mark.parametrize(
    "command",
    ["profile", "search", "train", "export", "bench", "predict", "targets", "doctor", "quickstart"],
)
def test_every_command_has_help_with_an_example(shell: Shell, command: str) -> None:
    assert f"hwnas {command}" in shell(command, "--help").must().out.split("Example:")[1]


def test_the_three_commands_of_an_iphone_user(shell: Shell) -> None:
    profiled = shell("profile", "--target", "iphone5s", "--json").must().json
    assert all(abs(anchor["error"]) <= 0.035 for anchor in profiled["anchors"])
    assert len(profiled["anchors"]) == 2
    found = shell("search", "--budget-latency", "190ms", "--evaluator", "fake", "--json").must()
    assert "ESTIMATED" in found.err
    assert found.json["costs"]["latency"] <= 190
    assert found.json["budgets"]["latency"]["label"] == "ESTIMATED"
    exported = shell("export", "--format", "coreml", "--json").must()
    assert "not trained" in exported.err
    about = exported.json
    assert about["specification_version"] <= 3
    assert about["parity"]["max_rel"] <= 1e-4
    assert about["parity"]["top1_agreement"] == 1
    assert (shell.folder / about["file"]).stat().st_size == about["size_bytes"]


def test_every_network_of_the_path_keeps_the_budgets(estimated: Shell) -> None:
    budgets = ("--budget-latency", "150ms", "--budget-params", "2.5M", "--budget-memory", "7MB")
    done = estimated("search", *budgets, "--evaluator", "fake", "--json").must().json
    assert set(done["rules"]) == {"uc", "alr", "apr"}
    for step in done["path"]:
        assert step["costs"]["latency"] <= 150
        assert step["costs"]["params"] <= 2.5e6
        assert step["costs"]["memory"] <= 7e6


def test_confidence_makes_the_uncertainty_of_an_estimate_count(estimated: Shell) -> None:
    bounded = ("--budget-latency", "150ms", "--evaluator", "fake", "--confidence", "0.95")
    budget = estimated("search", *bounded, "--json").must().json["budgets"]["latency"]
    assert budget["margin"] > 0.01
    assert budget["bound"] <= 150


def test_onnx_export_and_bench_of_a_table_that_is_not_there(searched_digits: Shell) -> None:
    about = searched_digits("export", "--format", "onnx", "--json").must().json
    assert about["parity"]["max_rel"] <= 1e-4
    missing = searched_digits("bench").must(2)
    assert "iphone5s" in missing.err
    timed = searched_digits("bench", "--target", "onnx-cpu", "--json").must().json
    names = [row["name"] for row in timed["networks"]]
    assert names == ["winner", "mobilenet_v2"]
    assert all(row["median_ms"] > 0 for row in timed["networks"])
    assert timed["networks"][0]["budget_ms"] is None


def test_bench_times_the_baselines_asked_for_and_names_the_known_ones(
    searched_digits: Shell,
) -> None:
    asked = ("--baseline", "shufflenet_v2", "--baseline", "mobilenet_v3_small")
    timed = searched_digits("bench", "--target", "tflite", *asked, "--json").must().json
    names = [row["name"] for row in timed["networks"]]
    assert names == ["winner", "shufflenet_v2", "mobilenet_v3_small"]
    unknown = searched_digits("bench", "--target", "tflite", "--baseline", "resnet50").must(2).err
    shown = searched_digits("bench", "--help").must().out
    for name in BASELINES:
        assert name in unknown
        assert name in shown


def test_tflite_export(searched_digits: Shell) -> None:
    about = searched_digits("export", "--format", "tflite", "--json").must().json
    assert about["parity"]["max_rel"] <= 1e-4
    assert about["parity"]["executor"].startswith("LiteRT ")
    assert (
        "hwnas bench --target tflite" in searched_digits("export", "--format", "tflite").must().out
    )


def test_export_in_fewer_bits_and_as_an_ml_program(searched_digits: Shell) -> None:
    about = (
        searched_digits("export", "--format", "tflite", "--precision", "int8", "--json").must().json
    )
    assert about["file"].endswith("rcnet-digits-int8.tflite")
    assert about["precision_effect"]["accuracy"] is None
    assert (searched_digits.folder / about["file"]).stat().st_size == about["size_bytes"]
    shown = searched_digits("export", "--format", "mlprogram").must().out
    assert "specification version 6, fp16" in shown
    assert "iOS 15 and later" in shown
    assert (searched_digits.folder / "runs/latest/export/rcnet-digits-fp16.mlpackage").is_dir()


def test_a_module_of_ones_own_is_exported_and_mistakes_are_one_line(shell: Shell) -> None:
    (shell.folder / "my_net.py").write_text(
        "from torch import nn\n\ndef build():\n"
        "    return nn.Sequential(nn.Conv2d(3, 4, 3, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(1),\n"
        "                         nn.Flatten(), nn.Linear(4, 3))\n"
    )
    own = ("export", "--model", "my_net.py:build")
    assert "--input 3x224x224" in shell(*own).must(2).err
    about = shell(*own, "--input", "3x32x32", "--json").must().json
    assert about["file"] == "export/my_net.onnx"
    assert about["parity"]["max_rel"] <= 1e-4
    assert "hwnas bench --model export/my_net.onnx" in shell(*own, "--input", "32").must().out
    wrong = shell("export", "--model", "my_net.py:nothing", "--input", "32").must(2).err
    assert wrong.count("\n") == 1


def test_a_precision_that_does_not_exist_is_told(searched_digits: Shell) -> None:
    wrong = searched_digits("export", "--format", "onnx", "--precision", "int4").must(2).err
    assert "unknown precision of onnx 'int4'" in wrong
    assert "Known: fp32, fp16, int8" in wrong
    assert not list(searched_digits.folder.rglob("export"))


def test_export_by_hand_needs_weights(shell: Shell) -> None:
    assert "--random-weights" in shell("export", "--arch", "s0").must(2).err
    by_hand = ("export", "--arch", "s0", "--space", "rcnet-digits", "--random-weights")
    assert shell(*by_hand, "--format", "onnx", "--json").must().json["trained"] is False


COUNTS = [
    ("rcnet-cifar100", "rcnet-cifar100", 1_918_436, 87_253_504),
    ("rcnet-imagenet", "rcnet-imagenet", 3_436_224, 294_401_408),
    ("rcnet-b-imagenet", "rcnet-imagenet", 4_749_024, 471_168_320),
    ("s0", "rcnet-cifar100", 466_868, 21_895_168),
    ("s0", "rcnet-imagenet", 1_619_336, 110_406_016),
]


@pytest.mark.parametrize(("arch", "space", "params", "madds"), COUNTS)
def test_predict_gives_the_published_counts(
    shell: Shell, arch: str, space: str, params: int, madds: int
) -> None:
    told = shell("predict", arch, "--space", space, "--json").must().json
    assert (told["params"], told["madds"]) == (params, madds)


MISTAKES = [
    (("profile", "--target", "iphone6"), "unknown target 'iphone6'"),
    (("profile", "--target", "onnx-cpu", "--space", "resnet"), "unknown space 'resnet'"),
    (("profile", "--target", "onnx-cpu", "--space", "rcnet"), "--input"),
    (("profile", "--target", "iphone5s", "--require-device"), "is another machine"),
    (("profile", "--target", "iphone5s", "--power-log", "m.csv"), "run on this machine"),
    (("profile", "--target", "onnx-cpu", "--power-offset", "3"), "needs --power-log"),
    (("search", "--budget-latency", "190"), "has no unit"),
    (("search", "--budget-latency", "-3ms"), "must be above zero"),
    (("search", "--budget-latency", "3parsec"), "unknown unit 'parsec'"),
    (("search", "--budget-params", "iphone5s=3M"), "the same on every device"),
    (("search",), "at least one budget"),
    (("search", "--budget-latency", "20ms"), "the cheapest one needs"),
    (("search", "--budget-latency", "190ms", "--dataset", "mnist"), "unknown data set 'mnist'"),
    (("search", "--budget-latency", "190ms", "--dataset", "parquet:none"), "none"),
    (("search", "--budget-latency", "190ms", "--rules", "apr"), "--budget-params"),
    (("search", "--budget-latency", "190ms", "--evaluator", "oracle"), "unknown evaluator"),
    (("search", "--budget-latency", "190ms", "--strategy", "luck"), "unknown strategy"),
    (("search", "--budget-latency", "190ms", "--space", "rcnet-cifar10"), "hwnas profile"),
    (("search", "--budget-latency", "190ms", "--max-evaluations", "0"), "at least 1"),
    (("search", "--budget-latency", "190ms", "--teachers", "0"), "--teachers"),
    (("search", "--budget-latensy", "190ms"), "See `python -m hwnas search -h`."),
    (("search", "--budget-latency"), "requires an argument"),
    (("serch",), "Did you mean 'search'"),
    (
        ("search", "--budget-latency", "190ms", "--evaluator", "train", "--teachers", "2"),
        "--teachers is for --evaluator distill",
    ),
    (("search", "--budget-latency", "190ms", "--max-evaluations", "36"), "Give at least 37"),
    (("search", "--budget-latency", "190ms", "--confidence", "2"), "between 0.5 and 1"),
    (("search", "--budget-energy", "5mJ"), "energy on iphone5s is unknown"),
    (("search", "--budget-latency", "190ms", "--budget-latency", "180ms"), "two budgets"),
    (("export",), "there is no run"),
    (("train",), "there is no run"),
    (("bench", "--run", "nowhere"), "holds no run"),
    (("predict", "1,2,3"), "36 type numbers"),
    (("predict", ",".join(["0"] * 36)), "stage 0"),
    (("predict", ",".join(["9"] * 36)), "unknown block type '9'"),
]


@pytest.mark.parametrize(("arguments", "told"), MISTAKES)
def test_a_mistake_is_one_clear_line(
    estimated: Shell, arguments: tuple[str, ...], told: str
) -> None:
    before = sorted(estimated.folder.rglob("*"))
    done = estimated(*arguments).must(2)
    lines = [line for line in done.err.splitlines() if not line.startswith("warning")]
    assert len(lines) == 1
    assert lines[0].startswith("hwnas: ")
    assert told in lines[0]
    assert sorted(estimated.folder.rglob("*")) == before


def test_an_infeasible_budget_is_told_at_once_with_the_cheapest_value(estimated: Shell) -> None:
    line = estimated("search", "--budget-latency", "20ms").must(2).err
    cheapest = line.split("the cheapest one needs ")[1].split(". ")[0]
    feasible = f"{float(cheapest.removesuffix('ms')) * 1.01:.4f}ms"
    estimated("search", "--budget-latency", feasible, "--evaluator", "fake").must()


def test_unknown_formats_and_runs_leave_nothing(searched_phone: Shell) -> None:
    assert (
        "unknown format 'tensorrt'" in searched_phone("export", "--format", "tensorrt").must(2).err
    )
    assert not list(searched_phone.folder.rglob("export"))


def test_a_truncated_table_is_refused_with_file_and_remedy(estimated: Shell) -> None:
    table = estimated.folder / "lut/iphone5s/rcnet-imagenet/table.csv"
    table.write_text("\n".join(table.read_text().splitlines()[:40]) + "\n")
    line = estimated("search", "--budget-latency", "190ms").must(2).err
    assert str(table.relative_to(estimated.folder)) in line
    assert "hwnas profile --target iphone5s" in line


def test_a_place_that_cannot_be_written_is_told_before_any_work(shell: Shell) -> None:
    (shell.folder / "taken").write_text("a file, not a folder")
    done = shell("profile", "--target", "onnx-cpu", "--workspace", "taken").must(2)
    assert "cannot write" in done.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("search", "--budget-latency", "190ms", "--evaluator", "fake"),
        ("profile", "--target", "onnx-cpu", "--space", "rcnet-digits"),
    ],
)
def test_a_full_disk_is_one_clear_line(estimated: Shell, arguments: tuple[str, ...]) -> None:
    """Files cannot grow beyond 100 blocks, which ends in the same system errors."""
    command = f"ulimit -f 100; exec {shlex.join([*COMMAND, *arguments])}"
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=estimated.folder,
        capture_output=True,
        text=True,
        env=environment(),
        timeout=120,
        check=False,
    )
    Done(done.returncode, done.stdout, done.stderr).must(2)
    assert "goes on where it stopped" in done.stderr.splitlines()[-1]


def test_a_damaged_table_is_told_by_bench_too(searched_phone: Shell) -> None:
    folder = searched_phone.folder / "lut/onnx-cpu/rcnet-imagenet"
    shutil.copytree(searched_phone.folder / "lut/iphone5s/rcnet-imagenet", folder)
    copied = searched_phone("bench", "--target", "onnx-cpu").must(2).err
    assert "holds the table of iphone5s" in copied
    (folder / "table.csv").write_text("nothing")
    assert "table.csv" in searched_phone("bench", "--target", "onnx-cpu").must(2).err


def test_train_refuses_data_with_other_classes(searched_phone: Shell) -> None:
    assert "1000 classes" in searched_phone("train").must(2).err


def test_a_failed_gate_is_refused_unless_forced(estimated: Shell) -> None:
    meta = estimated.folder / "lut/iphone5s/rcnet-imagenet/meta.json"
    values = json.loads(meta.read_text())
    values["source"] = "measured"
    check = {"networks": 40, "mape": 0.0, "worst": 0.0}  # what validation.csv comes to
    values["validation"] = {**check, "failures": ["MAPE 20% > 5%"]}
    meta.write_text(json.dumps(values))
    (meta.parent / "validation.csv").write_text(
        "arch,predicted_ms,measured_ms\n" + "x,1.0,1.0\n" * 40
    )
    search = ("search", "--budget-latency", "190ms", "--evaluator", "fake")
    assert "MAPE 20% > 5%" in estimated(*search).must(2).err
    estimated(*search, "--force").must()


def _scored(folder: Path) -> dict[tuple[str, str, int], int]:
    """Row numbers of the stored scores: replacing a row would change its number."""
    store = folder / "runs/evaluations.sqlite"
    if not store.exists():
        return {}
    try:
        with sqlite3.connect(f"file:{store}?mode=ro", uri=True) as connection:
            rows = connection.execute(
                "SELECT network, context, replicate, rowid FROM evaluations"
            ).fetchall()
    except sqlite3.OperationalError:
        return {}
    return {(network, context, number): row for network, context, number, row in rows}


def test_a_killed_search_goes_on_and_trains_no_network_twice(tmp_path: Path) -> None:
    results, profiled = {}, tmp_path / "profiled"
    profiled.mkdir()
    Shell(profiled)("profile", *TINIEST).must()
    for name in ("killed", "whole"):
        folder = tmp_path / name
        shutil.copytree(profiled, folder)
        shell = Shell(folder, fresh=True)
        budget = ("--budget-latency", "3.8ms")
        command = ("search", *TINIEST, *budget, "--evaluator", "train", "--images", "64", *FEW)
        before: dict[tuple[str, str, int], int] = {}
        for scored in (2, 5, 9) if name == "killed" else ():
            now = _kill_after(shell, command, scored)
            assert before.items() <= now.items()
            before = now
        results[name] = shell(*command, "--json").must().json
        after = _scored(folder)
        assert before.items() <= after.items()
        assert len(after) >= results[name]["evaluations"]
        if before:
            assert 9 <= len(before) < len(after)
    assert comparable(results["killed"]) == comparable(results["whole"])


def _kill_after(
    shell: Shell, command: tuple[str, ...], scored: int
) -> dict[tuple[str, str, int], int]:
    process = shell.start(*command)
    deadline = time.monotonic() + 120
    while len(_scored(shell.folder)) < scored:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    return _scored(shell.folder)


def test_interrupting_tells_how_to_go_on(estimated: Shell) -> None:
    process = estimated.start("search", *TINY)
    while len(_scored(estimated.folder)) < 1:
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    Done(process.returncode, out, err).must(130)
    assert "the same command goes on" in err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--model", "a.py:b", "--arch", "s0"), "--model stands for itself"),
        (("--dataset", "cifar10"), "a run knows its own data"),
    ],
)
def test_options_of_export_that_do_not_go_together_are_told(
    shell: Shell, arguments: tuple[str, ...], told: str
) -> None:
    assert told in shell("export", *arguments).must(2).err
