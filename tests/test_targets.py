"""`hwnas targets`: how each device is measured, and which tables there are of it."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

import pytest
from tables import table
from typer.testing import CliRunner

from hwnas.cli.app import app
from hwnas.device import find_target
from hwnas.harness import ASKING, HARNESSES, measure_command, usual_harness
from hwnas.lut.storage import save
from hwnas.profiler.estimated import estimate_table
from hwnas.resources import shipped

if TYPE_CHECKING:
    from pathlib import Path

PI = {"model": "Raspberry Pi 4 Model B Rev 1.4", "cpu": "Cortex-A72", "os": "Linux 6.6"}


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A measured table of another machine, and an estimated one."""
    monkeypatch.chdir(tmp_path)
    made = table()
    meta = {**made.meta, "device": PI}
    board = dataclasses.replace(made, target="raspberry-pi-4", meta=meta)
    save(board, tmp_path / "lut" / "raspberry-pi-4" / "rcnet-digits")
    estimated = estimate_table(find_target("iphone5s"), made.space)
    save(estimated, tmp_path / "lut" / "iphone5s" / "rcnet-digits")
    return tmp_path


def run(*arguments: str, code: int = 0) -> str:
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == code, done.output
    return done.output


def listed() -> dict[str, dict[str, Any]]:
    return {row["target"]: row for row in json.loads(run("targets", "--json"))}


def test_each_target_says_how_it_is_measured(workspace: Path) -> None:
    rows = listed()
    assert rows["onnx-cpu"]["measure"] == "hwnas profile --target onnx-cpu"
    assert rows["onnx-cpu"]["harness"] is None
    for name, harness in (("raspberry-pi-4", "linux"), ("pixel-8", "android"), ("iphone5s", "ios")):
        assert rows[name]["harness"] == harness
        assert rows[name]["measure"] == f"hwnas profile --target {name} --emit DIR"
    lines = {line.split()[0]: line for line in run("targets").splitlines() if line}
    assert " here " in lines["onnx-cpu"]
    assert "by export/android" in lines["pixel-8"]
    assert "--emit DIR" in lines["by"]


def test_each_table_says_where_and_when_it_is_from(workspace: Path) -> None:
    rows = listed()
    (measured,), (estimated,) = rows["raspberry-pi-4"]["tables"], rows["iphone5s"]["tables"]
    assert (measured["source"], measured["device"]) == ("measured", PI["model"])
    assert (estimated["source"], estimated["device"]) == ("ESTIMATED", None)
    assert rows["pixel-8"]["tables"] == []
    lines = {line.split()[0]: line for line in run("targets").splitlines() if line}
    told = "rcnet-digits: measured 2026-01-01 on Raspberry Pi"
    assert told in lines["raspberry-pi-4"]
    assert "rcnet-digits: ESTIMATED" in lines["iphone5s"]
    assert lines["pixel-8"].rstrip().endswith("none")


def test_a_device_that_is_not_here_is_told_how_to_measure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for options in (["--target", "raspberry-pi-4"], ["--target", "iphone5s", "--require-device"]):
        told = CliRunner().invoke(app, ["profile", *options]).stderr.rstrip()
        assert "is another machine" in told
        assert f"hwnas profile --target {options[1]} --emit DIR" in told
        assert ("--listen HOST:PORT" in told) is (options[1] == "raspberry-pi-4")
        assert "\n" not in told


def test_every_harness_has_a_folder_and_a_runtime() -> None:
    assert set(ASKING) <= set(HARNESSES)
    for name in ("linux", "android"):
        assert (shipped("export") / name).is_dir()
    assert usual_harness("coreml") == "ios"
    assert usual_harness("tflite") == "linux"
    assert "--listen" not in measure_command("android", "android")
