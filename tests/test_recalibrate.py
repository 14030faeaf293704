"""What bench measured corrects the table: this network first, others hardly, the check anew."""

from __future__ import annotations

import dataclasses
import json
import shutil
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from conftest import Shell
from steady import SteadyClock
from tables import table as synthetic
from typer.testing import CliRunner

from hwnas import resources
from hwnas.cli.app import app
from hwnas.device import find_target
from hwnas.errors import CheckFailed, TableError
from hwnas.lut.accuracy import compare
from hwnas.lut.library import Library
from hwnas.lut.storage import load, save
from hwnas.profiler.clock import LocalClock
from hwnas.profiler.estimated import estimate_table
from hwnas.profiler.plan import make_plan
from hwnas.profiler.protocol import Profiler
from hwnas.profiler.refit import recalibrated, refit, require_refittable
from hwnas.progress import Silent
from hwnas.runs import Run
from hwnas.spaces import SPACES
from hwnas.targets.backend import local_backend
from hwnas.workflows.bench import timing as benches
from hwnas.workflows.winner import of_run

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result

    from hwnas.lut.table import Table
    from hwnas.targets.backend import Backend

SPACE = SPACES["rcnet-digits"]
TARGET = find_target("onnx-cpu")
PLACE = "onnx-cpu/rcnet-digits"


def onnx() -> Backend:
    backend = local_backend("onnxruntime")
    assert backend is not None
    return backend


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Table:
    """A real table, as it is on disk."""
    clock = LocalClock(SPACE, onnx(), TARGET.threads)
    return profiled(clock, tmp_path_factory.mktemp("profile"))


@pytest.fixture(scope="module")
def steady(tmp_path_factory: pytest.TempPathFactory) -> Table:
    """A table of a machine whose networks are 1% from what their parts say, without noise."""
    clock = SteadyClock(SPACE, onnx(), TARGET.threads, table=synthetic(), spread=0.01)
    return profiled(clock, tmp_path_factory.mktemp("steady"))


def profiled(clock: LocalClock, folder: Path) -> Table:
    """Return the table that a clock's times lead to, as it is on disk."""
    plan = dataclasses.replace(make_plan(SPACE, calibration=60, validation=45), passes=2, rounds=12)
    table = Profiler(TARGET, SPACE, clock, Silent()).run(folder / "p.jsonl", plan=plan)
    save(table, folder / PLACE)
    return load(folder / PLACE)


def passing(table: Table) -> Table:
    check = {**table.meta["validation"], "failures": []}
    return dataclasses.replace(table, meta={**table.meta, "validation": check})


def unseen(table: Table) -> tuple[int, ...]:
    rng, own = np.random.default_rng(9), (*table.calibration, *table.held_out)
    seen = {network.arch for network in own}
    return next(a for a in iter(lambda: SPACE.sample(rng), None) if SPACE.format(a) not in seen)


def add(table: Table, arch: tuple[int, ...], factor: float, speed: float = 1.0) -> Any:
    """Recalibrate by a time that is `factor` times the prediction."""
    ms = table.latency_ms(arch) * factor * speed
    return recalibrated(table, TARGET, arch, measured_ms=ms, speed=speed)


def others(table: Table) -> np.ndarray:
    rng = np.random.default_rng(4)
    return np.array([table.latency_ms(SPACE.sample(rng)) for _ in range(200)])


def test_a_table_fitted_again_to_its_own_timings_stays_what_it_is(measured: Table) -> None:
    again = refit(measured, TARGET)
    assert others(again) == pytest.approx(others(measured), rel=1e-4)
    check, before = again.meta["validation"], measured.meta["validation"]
    assert check["mape"] == pytest.approx(before["mape"], rel=1e-2)


@pytest.mark.parametrize("factor", [0.96, 1.04])
def test_the_prediction_moves_towards_the_time_and_others_hardly(
    steady: Table, factor: float
) -> None:
    arch = unseen(steady)
    new, change = add(steady, arch, factor)
    moved = np.log(change.after_ms / change.before_ms) / np.log(factor)
    assert 0 < moved < 1
    assert change.after_ms == pytest.approx(new.latency_ms(arch))
    shifts = np.abs(others(new) / others(steady) - 1)
    assert np.median(shifts) < 0.5 * abs(change.after_ms / change.before_ms - 1)


def test_the_check_is_made_again_on_the_same_networks(measured: Table, tmp_path: Path) -> None:
    new, _ = add(measured, unseen(measured), 1.05)
    assert [n.timed for n in new.held_out] == [n.timed for n in measured.held_out]
    predicted = [new.latency_ms(SPACE.parse(n.arch)) for n in new.held_out]
    assert [n.predicted_ms for n in new.held_out] == pytest.approx(predicted)
    accuracy = compare(predicted, [n.measured_ms for n in new.held_out])
    assert new.meta["validation"]["mape"] == pytest.approx(accuracy.mape)
    assert new.meta["validation"]["mape"] != measured.meta["validation"]["mape"]
    assert new.meta["validation"]["margin"] == pytest.approx(new.margin(0.95))
    save(new, tmp_path / PLACE)
    assert load(tmp_path / PLACE).margin(0.95) == pytest.approx(new.margin(0.95), rel=1e-6)


def test_device_and_day_of_the_profile_stay_and_the_network_is_noted(measured: Table) -> None:
    elsewhere = dataclasses.replace(measured, meta={**measured.meta, "device": {"cpu": "other"}})
    arch = unseen(measured)
    new, change = add(elsewhere, arch, 1.02)
    assert new.meta["device"] == {"cpu": "other"}
    for name in ("created", "runtime", "reference", "typical_factor"):
        assert new.meta[name] == measured.meta[name]
    assert new.meta["recalibrated"] == [asdict(change)]
    assert {"arch", "measured_ms", "before_ms", "after_ms", "time"} <= asdict(change).keys()
    assert new.meta["correction"]["networks"] == 61
    assert refit(new, TARGET).meta["recalibrated"] == [asdict(change)]


def test_the_same_network_twice_replaces_its_own_entry(measured: Table) -> None:
    arch = unseen(measured)
    once, _ = add(measured, arch, 1.04)
    ms = measured.latency_ms(arch)
    twice, change = recalibrated(once, TARGET, arch, measured_ms=ms, speed=1.0)
    only, _ = recalibrated(measured, TARGET, arch, measured_ms=ms, speed=1.0)
    assert len(twice.calibration) == len(once.calibration) == 61
    assert twice.meta["recalibrated"] == [asdict(change)]
    assert others(twice) == pytest.approx(others(only), rel=1e-4)
    assert change.before_ms == pytest.approx(once.latency_ms(arch))


def test_another_network_is_added_beside_the_first(measured: Table) -> None:
    first = unseen(measured)
    once, _ = add(measured, first, 1.02)
    twice, _ = add(once, unseen(once), 0.98)
    assert len(twice.calibration) == 62
    assert len({entry["arch"] for entry in twice.meta["recalibrated"]}) == 2


def test_a_slower_machine_is_divided_out(measured: Table) -> None:
    arch = unseen(measured)
    fast, _ = add(measured, arch, 1.03)
    slow, change = add(measured, arch, 1.03, speed=1.5)
    assert others(slow) == pytest.approx(others(fast))
    assert change.measured_ms == pytest.approx(1.5 * 1.03 * change.before_ms)


def test_a_network_of_the_check_is_never_used_to_correct(measured: Table) -> None:
    arch = SPACE.parse(measured.held_out[3].arch)
    with pytest.raises(TableError, match="its own check"):
        add(measured, arch, 1.0)


def test_a_timing_that_would_spoil_the_check_changes_nothing(measured: Table) -> None:
    """Held-out times that only a failing fit could leave: the check that passed now fails."""
    spoilt = tuple(
        dataclasses.replace(n, measured_ms=n.measured_ms * (1.5 if i % 2 else 0.7))
        for i, n in enumerate(measured.held_out)
    )
    with pytest.raises(CheckFailed, match="would fail its held-out check"):
        add(dataclasses.replace(passing(measured), held_out=spoilt), unseen(measured), 1.0)


def test_tables_that_hold_no_timings_are_refused_with_what_to_do_instead() -> None:
    phone = estimate_table(find_target("iphone5s"), SPACE)
    with pytest.raises(TableError, match=r"ESTIMATED.*\[\[anchors\]\].*profiles/iphone5s.toml"):
        require_refittable(phone, SPACE.start())
    without = synthetic()
    with pytest.raises(TableError, match=r"calibration.csv.*--fresh"):
        require_refittable(without, SPACE.start())
    fitted = dataclasses.replace(without, meta={**without.meta, "source": "fitted"})
    with pytest.raises(TableError, match="hwnas lut fit"):
        require_refittable(fitted, SPACE.start())


@pytest.fixture(scope="module")
def searched(measured: Table, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with the table and a run searched by it, made once."""
    folder = tmp_path_factory.mktemp("searched")
    save(measured, Library(folder).folder("onnx-cpu", SPACE.name))
    search = ("search", "--space", "rcnet-digits", "--budget-latency", "1000ms", "--force")
    Shell(folder)(*search, "--evaluator", "fake", "--max-evaluations", "50").must()
    return folder


@pytest.fixture
def workspace(searched: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """That workspace, for one test to change."""
    folder = tmp_path / "workspace"
    shutil.copytree(searched, folder, symlinks=True)
    monkeypatch.setattr(benches, "ROUNDS", 20)
    monkeypatch.setattr(benches, "ATTEMPTS", 1)
    monkeypatch.setattr(benches, "BUSY", 1e9)
    return folder


def recalibrate(workspace: Path, *arguments: str, code: int = 0) -> Result:
    name = (workspace / "runs/latest").resolve().name
    run = ("--run", str(workspace / "runs" / name), "--workspace", str(workspace))
    found = CliRunner().invoke(app, ["bench", *run, "--recalibrate", *arguments])
    assert found.exit_code == code, (found.output, found.exception)
    return found


def test_the_command_writes_the_table_and_tells_what_changed(
    workspace: Path, measured: Table
) -> None:
    done = json.loads(recalibrate(workspace, "--json").stdout)
    (change,) = done["recalibrated"]
    folder = workspace / "lut" / PLACE
    new = load(folder)
    arch = of_run(Run((workspace / "runs/latest").resolve())).arch
    winner = done["networks"][0]
    assert change["folder"] == str(folder)
    assert change["measured_ms"] == winner["median_ms"]
    assert change["before_ms"] == pytest.approx(winner["predicted_ms"])
    assert change["after_ms"] == pytest.approx(new.latency_ms(arch), rel=1e-6)
    assert change["validation"]["after"] == new.meta["validation"]
    assert change["validation"]["before"] == measured.meta["validation"]
    added = new.calibration[-1]
    assert added.measured_ms == pytest.approx(
        winner["median_ms"] / done["targets"]["onnx-cpu"]["speed_against_table"]
    )
    told = recalibrate(workspace).stdout
    assert "predicted" in told
    assert "held-out check on 45 networks" in told
    assert len(load(folder).calibration) == 61


def test_a_shipped_table_stays_and_the_workspace_gets_its_own(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    shipped = tmp_path / "shipped"
    shutil.move(workspace / "lut", shipped)
    before = {path: path.read_bytes() for path in shipped.rglob("*") if path.is_file()}
    monkeypatch.setattr("hwnas.lut.library.shipped", lambda _: shipped)
    recalibrate(workspace)
    assert {path: path.read_bytes() for path in before} == before
    assert len(load(workspace / "lut" / PLACE).meta["recalibrated"]) == 1
    assert resources.shipped("lut") != shipped


def test_a_busy_machine_tells_its_times_and_changes_no_table(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(benches, "BUSY", 0.0)
    before = (workspace / "lut" / PLACE / "table.csv").read_bytes()
    done = recalibrate(workspace, code=1)
    assert "no table was recalibrated" in done.stderr
    assert "measured on onnx-cpu" in done.stdout
    assert (workspace / "lut" / PLACE / "table.csv").read_bytes() == before


def test_a_table_that_is_missing_or_estimated_is_told_before_anything_is_timed(
    workspace: Path,
) -> None:
    done = recalibrate(workspace, "--target", "tflite", code=2)
    assert "hwnas profile --target tflite --space rcnet-digits" in done.stderr
    save(
        estimate_table(find_target("iphone5s"), SPACE),
        Library(workspace).folder("iphone5s", SPACE.name),
    )
    assert "[[anchors]]" in recalibrate(workspace, "--target", "iphone5s", code=2).stderr
    assert not list(workspace.glob("runs/*/bench.json"))
