"""`hwnas bench`: right files, all targets in one call, any model file, one line for mistakes."""

from __future__ import annotations

import dataclasses
import json
import shutil
from typing import TYPE_CHECKING, Any

import onnx
import pytest
from conftest import Done
from contents import in_8_bits
from typer.testing import CliRunner

from hwnas.cli.app import app
from hwnas.device import find_target
from hwnas.errors import UserError
from hwnas.files import sha256, write_json
from hwnas.graph import random_weights
from hwnas.models.network import fold
from hwnas.progress import Silent
from hwnas.runs import Run
from hwnas.spaces import find_space, mobilenet_v2
from hwnas.targets.onnx import emitter as onnx_emitter
from hwnas.targets.shared.format import Content
from hwnas.targets.tflite import emitter as tflite_emitter
from hwnas.workflows.bench import run_winner
from hwnas.workflows.bench import timing as benches
from hwnas.workflows.export import calibration
from hwnas.workflows.export.exported_files import about_name, find_exported
from hwnas.workflows.winner import of_run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SPACE = find_space("rcnet", input_size="16", classes=10, width=0.25)
KEYS = {
    *("name", "target", "params", "madds", "size_bytes", "median_ms", "p90_ms", "p99_ms"),
    *("predicted_ms", "prediction_error", "budget_ms", "verdict"),
}


class Told(Silent):
    """Keeps what was said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def info(self, message: str) -> None:
        self.lines.append(message)

    warn = info


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benches, "ROUNDS", 10)
    monkeypatch.setattr(benches, "ATTEMPTS", 1)
    monkeypatch.delenv("HWNAS_WORKSPACE", raising=False)


@pytest.fixture
def run(searched_digits_once: Path, tmp_path: Path) -> Run:
    """A run for iphone5s (ESTIMATED) on bundled data, for one test to change."""
    shutil.copytree(searched_digits_once, tmp_path / "w", symlinks=True)
    name = (tmp_path / "w/runs/latest").resolve().name
    return Run(tmp_path / "w/runs" / name)


def hwnas(*arguments: str, code: int = 0) -> Done:
    """Run a command in this process."""
    found = CliRunner().invoke(app, list(arguments))
    assert found.exit_code == code, (found.output, found.exception)
    return Done(found.exit_code, found.stdout, found.stderr)


def bench(run: Run, *arguments: str, code: int = 0) -> Done:
    place = ("--run", str(run.path), "--workspace", str(run.path.parent.parent))
    return hwnas("bench", *place, *arguments, code=code)


def leave(run: Run, form: str, precision: str, model: bytes, **changes: Any) -> None:
    """Put a file and its JSON where export would."""
    winner = of_run(run)
    name = about_name(form, precision).removesuffix(".json")
    path = run.path / "export" / f"{name}.{form}"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(model)
    about = {
        "file": str(path),
        "format": form,
        "precision": precision,
        "arch": winner.space.format(winner.arch),
        "sha256": sha256(model),
        "size_bytes": len(model),
    }
    write_json(path.parent / about_name(form, precision), {**about, **changes})


def emitted(
    run: Run, emit: Callable[..., bytes], content: Callable[..., Content] = Content
) -> bytes:
    winner = of_run(run)
    return emit(content(winner.space.graph(winner.arch), fold(winner.network())))


def budget(run: Run, **limits_ms: float) -> None:
    """Give the run latency budgets on further targets."""
    request = json.loads((run.path / "request.json").read_text())
    request["limits"] += [
        {"resource": "latency", "target": target.replace("_", "-"), "value": value}
        for target, value in limits_ms.items()
    ]
    run.write("request.json", request)


def test_litert_is_never_handed_the_onnx_file(run: Run) -> None:
    leave(run, "onnx", "fp32", emitted(run, onnx_emitter.emit))
    rows = bench(run, "--target", "tflite", "--json").json["networks"]
    assert [(row["name"], row["file"]) for row in rows] == [
        ("winner", None),
        ("mobilenet_v2", None),
    ]
    leave(run, "tflite", "fp32", emitted(run, tflite_emitter.emit))
    (winner, _) = bench(run, "--target", "tflite", "--json").json["networks"]
    assert winner["file"].endswith("export/tflite.tflite")


def test_an_int8_target_takes_the_int8_file_and_times_the_others_beside_it(run: Run) -> None:
    leave(run, "onnx", "fp32", emitted(run, onnx_emitter.emit))
    leave(run, "onnx", "int8", small := emitted(run, onnx_emitter.emit, in_8_bits))
    budget(run, onnx_cpu_int8=1e-6)
    done = bench(run, "--target", "onnx-cpu-int8", "--json", code=1).json
    rows = {row["name"]: row for row in done["networks"]}
    assert list(rows) == ["winner", "winner fp32", "mobilenet_v2"]
    assert all(rows[name].keys() >= KEYS for name in rows)
    assert rows["winner"]["size_bytes"] == len(small) != rows["winner fp32"]["size_bytes"]
    assert (rows["winner"]["precision"], rows["winner fp32"]["precision"]) == ("int8", "fp32")
    assert rows["mobilenet_v2"]["precision"] == "int8"
    assert [row["verdict"] for row in done["networks"]] == ["FAIL", None, None]


def test_an_int8_file_that_is_not_there_is_quantised_by_training_images(run: Run) -> None:
    winner, told = of_run(run), Told()
    target = benches.Target(find_target("onnx-cpu-int8"))
    images = run_winner.training_images(winner, told)
    assert images is not None
    assert images.shape == (calibration.CALIBRATION_IMAGES, 3, 16, 16)
    (found,) = run_winner.candidates_of(run, winner, target, told)
    graph, weights = winner.space.graph(winner.arch), fold(winner.network())
    assert found.model == onnx_emitter.emit(in_8_bits(graph, weights, images))
    assert found.model != onnx_emitter.emit(in_8_bits(graph, weights))
    assert found.file is None
    assert told.lines == []


def test_data_that_is_gone_is_told_and_noise_takes_its_place(run: Run) -> None:
    told = Told()
    elsewhere = dataclasses.replace(of_run(run), dataset="cifar10")
    assert run_winner.training_images(elsewhere, told) is None
    assert "quantised by noise" in told.lines[0]
    without = dataclasses.replace(elsewhere, dataset=None)
    assert run_winner.training_images(without, told) is None
    assert len(told.lines) == 1


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        ({"arch": "5,0,0,0,0,0"}, "of another network"),
        ({"sha256": "0" * 64}, "changed after its export"),
        ({"file": "gone.onnx"}, "is missing"),
        ({"file": 3}, "is damaged"),
    ],
)
def test_an_exported_file_that_does_not_match_is_not_used_and_told(
    run: Run, damage: dict[str, Any], told: str
) -> None:
    leave(run, "onnx", "int8", b"weights", **damage)
    reporter = Told()
    assert find_exported(run, of_run(run), "onnx", reporter) == {}
    (line,) = reporter.lines
    assert told in line
    assert "hwnas export --format onnx --precision int8" in line
    assert "\n" not in line


def test_a_json_beside_an_export_that_is_no_json_is_told(run: Run) -> None:
    leave(run, "onnx", "fp32", b"weights")
    (run.path / "export/onnx.json").write_text("{")
    reporter = Told()
    assert find_exported(run, of_run(run), "onnx", reporter) == {}
    assert "cannot be read" in reporter.lines[0]


def test_all_targets_with_a_latency_budget_are_benched_in_one_call(run: Run) -> None:
    budget(run, onnx_cpu=1000.0, tflite=1000.0)
    done = bench(run, "--json").json
    assert list(done["targets"]) == ["onnx-cpu", "tflite", "iphone5s"]
    assert done["verdict"] == "PASS"
    by_target = {row["target"]: row for row in done["networks"] if row["name"] == "winner"}
    assert by_target["onnx-cpu"]["verdict"] == by_target["tflite"]["verdict"] == "PASS"
    phone, facts = by_target["iphone5s"], done["targets"]["iphone5s"]
    assert phone.keys() == by_target["onnx-cpu"].keys()
    assert phone["median_ms"] is phone["verdict"] is None
    assert 0 < phone["predicted_ms"] <= phone["budget_ms"] == 9
    assert (facts["measured"], facts["prediction"], facts["busy"]) == (False, "ESTIMATED", None)
    assert done["targets"]["tflite"]["runtime"]["name"] == "tflite"
    assert json.loads((run.path / "bench.json").read_text()) == done


def test_several_targets_are_summed_up_in_one_table(run: Run) -> None:
    targets = ("--target", "onnx-cpu", "--target", "iphone5s", "--target", "onnx-cpu")
    told = bench(run, *targets).out
    assert told.count("measured on onnx-cpu") == 1
    summary = told.split("all targets, median ms:")[1].splitlines()
    assert summary[1].split() == [
        "network",
        "params",
        "MAdds",
        "file",
        "MB",
        "onnx-cpu",
        "iphone5s",
    ]
    assert "ESTIMATED" in summary[2]
    assert "all targets" not in bench(run, "--target", "onnx-cpu").out


def test_a_target_that_is_not_attached_is_an_error_on_its_own(run: Run) -> None:
    assert "is not attached" in bench(run, code=2).err
    assert not (run.path / "bench.json").exists()


def test_a_board_with_a_runtime_of_this_machine_is_not_timed_here() -> None:
    board = dataclasses.replace(find_target("onnx-cpu"), name="board", title="A board", local=False)
    with pytest.raises(UserError, match="A board is not attached"):
        _ = benches.Target(board).backend


def model_file(folder: Path, resolution: int = 16) -> Path:
    space = find_space("rcnet", input_size=str(resolution), classes=10, width=0.25)
    graph = space.graph(space.start())
    path = folder / "other.onnx"
    path.write_bytes(onnx_emitter.emit(Content(graph, random_weights(graph, seed=0))))
    return path


def test_a_model_file_is_timed_beside_baselines_of_its_own_size(tmp_path: Path) -> None:
    path = model_file(tmp_path)
    done = hwnas("bench", "--model", str(path), "--budget-latency", "9s", "--json").json
    own, beside = done["networks"]
    assert own.keys() >= KEYS
    assert (own["name"], own["target"], own["verdict"]) == ("other.onnx", "onnx-cpu", "PASS")
    assert own["params"] is own["madds"] is own["predicted_ms"] is None
    assert own["size_bytes"] == path.stat().st_size
    expected = mobilenet_v2(16, 10)
    assert (beside["params"], beside["madds"]) == (expected.params, expected.madds)
    assert done["targets"]["onnx-cpu"]["speed_against_table"] is None
    told = hwnas("bench", "--model", str(path), "--budget-latency", "onnx-cpu=1us", code=1).out
    row = next(line for line in told.splitlines() if line.startswith("other.onnx"))
    assert row.split()[1:4] == ["given", "-", "-"]
    assert "FAIL" in row


def test_a_model_file_that_is_no_square_image_has_no_baseline(tmp_path: Path) -> None:
    path = tmp_path / "part.tflite"
    graph = SPACE.part_graph(SPACE.lookup_keys()[1])
    path.write_bytes(tflite_emitter.emit(Content(graph, random_weights(graph, seed=0))))
    done = hwnas("bench", "--model", str(path), "--json")
    assert [row["target"] for row in done.json["networks"]] == ["tflite"]
    assert "no baseline" in done.err


def test_weights_that_lie_beside_an_onnx_file_are_read_with_it(tmp_path: Path) -> None:
    path = model_file(tmp_path)
    whole = path.stat().st_size
    onnx.save(onnx.load(path), path, save_as_external_data=True, location="w", size_threshold=0)
    assert path.stat().st_size < whole / 2
    done = hwnas("bench", "--model", str(path), "--json").json
    assert done["networks"][0]["size_bytes"] == pytest.approx(whole, rel=0.1)
    (tmp_path / "w").unlink()
    assert "lie in another file" in hwnas("bench", "--model", str(path), code=2).err


MISTAKES = [
    (("--model", "{folder}/none.onnx"), "none.onnx cannot be read"),
    (("--model", "{folder}/other.pt"), "ends in .onnx or .tflite"),
    (("--model", "{folder}/cut.onnx"), "cut.onnx: ONNX Runtime"),
    (("--model", "{folder}/cut.tflite"), "cut.tflite: LiteRT"),
    (("--model", "{folder}/two.onnx"), "has 2 inputs"),
    (("--model", "{folder}/other.onnx", "--target", "tflite"), "runs .tflite files"),
    (("--model", "{folder}/other.onnx", "--target", "iphone5s"), "not attached"),
    (("--model", "{folder}/other.onnx", "--target", "toaster"), "unknown target 'toaster'"),
    (("--model", "{folder}/other.onnx", "--budget-latency", "3"), "has no unit"),
    (("--model", "{folder}/other.onnx", "--budget-latency", "tflite=3ms"), "--target tflite"),
    (
        ("--model", "{folder}/other.onnx", *2 * ("--budget-latency", "3ms")),
        "two latency budgets for onnx-cpu",
    ),
    (("--model", "{folder}/other.onnx", "--baseline", "resnet"), "unknown baseline 'resnet'"),
    (("--model", "{folder}/other.onnx", "--recalibrate"), "leave --run and --recalibrate out"),
    (("--budget-latency", "3ms"), "is for --model"),
]


@pytest.mark.parametrize(("arguments", "told"), MISTAKES)
def test_a_mistake_about_a_model_file_is_one_clear_line(
    tmp_path: Path, arguments: tuple[str, ...], told: str
) -> None:
    whole = model_file(tmp_path).read_bytes()
    (tmp_path / "other.pt").write_bytes(whole)
    (tmp_path / "cut.onnx").write_bytes(whole[:-500])
    (tmp_path / "cut.tflite").write_bytes(whole)
    parsed = onnx.load_model_from_string(whole)
    parsed.graph.input.append(
        onnx.helper.make_tensor_value_info("second", onnx.TensorProto.FLOAT, [1])
    )
    (tmp_path / "two.onnx").write_bytes(parsed.SerializeToString())
    filled = [text.format(folder=tmp_path) for text in arguments]
    done = hwnas("bench", *filled, code=2)
    lines = done.err.splitlines()
    assert len(lines) == 1
    assert told in lines[0]
