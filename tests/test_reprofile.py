"""After a profile: what was unstable is replaced, what was not is left, fresh networks check it."""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import TYPE_CHECKING

import pytest
from steady import SteadyClock
from tables import table as synthetic

from hwnas.device import find_target
from hwnas.errors import TableError, UserError
from hwnas.lut.library import Library
from hwnas.lut.storage import load, save
from hwnas.lut.table import HeldOut
from hwnas.profiler import fresh
from hwnas.profiler.clock import LocalClock
from hwnas.profiler.fresh import check_fresh
from hwnas.profiler.plan import make_plan
from hwnas.profiler.protocol import Profiler
from hwnas.profiler.refit import replace_unstable
from hwnas.progress import Silent
from hwnas.spaces import SPACES
from hwnas.targets.backend import Backend, local_backend
from hwnas.workflows.lut.options import LutValidateOptions
from hwnas.workflows.lut.validate import validate
from hwnas.workflows.profile.profiled import Profiling
from hwnas.workflows.profile.this_machine import profile_here

if TYPE_CHECKING:
    from pathlib import Path

    from hwnas.lut.table import Row, Table

SPACE = SPACES["rcnet-digits"]
TARGET = find_target("onnx-cpu")
STABLE, SPOILT = SPACE.lookup_keys()[5], SPACE.lookup_keys()[20]


class Told(Silent):
    """Keeps what was said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def info(self, message: str) -> None:
        self.lines.append(message)


def onnx() -> Backend:
    backend = local_backend("onnxruntime")
    assert backend is not None
    return backend


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Table:
    """A real table, whose intervals are set so that every part counts as stable."""
    plan = dataclasses.replace(make_plan(SPACE, calibration=24, validation=30), passes=2, rounds=12)
    partial = tmp_path_factory.mktemp("profile") / "p.jsonl"
    clock = LocalClock(SPACE, onnx(), TARGET.threads)
    table = Profiler(TARGET, SPACE, clock, Silent()).run(partial, plan=plan)
    return dataclasses.replace(table, rows={key: narrow(row) for key, row in table.rows.items()})


def narrow(row: Row) -> Row:
    return dataclasses.replace(
        row, latency_low_ms=0.99 * row.latency_ms, latency_high_ms=1.01 * row.latency_ms
    )


def spoilt(table: Table) -> Table:
    """One part timed 1.6 times too long, with an interval that shows it."""
    row = table.rows[SPOILT]
    wrong = dataclasses.replace(
        row, raw_ms=1.6 * row.raw_ms, latency_high_ms=2 * row.latency_ms, samples=3
    )
    return dataclasses.replace(table, rows={**table.rows, SPOILT: wrong})


def test_only_unstable_parts_are_replaced_and_the_table_is_corrected_again(
    measured: Table, tmp_path: Path
) -> None:
    before = spoilt(measured)
    assert [key for key, row in before.rows.items() if row.unstable] == [SPOILT]
    after = replace_unstable(
        before, TARGET, onnx(), Silent(), tmp_path / "p" / "parts.jsonl", rounds=60
    )
    assert after.rows[SPOILT].raw_ms == pytest.approx(measured.rows[SPOILT].raw_ms, rel=0.25)
    assert after.rows[SPOILT].samples == 60
    others = [key for key in after.rows if key != SPOILT]
    raw = [after.rows[key].raw_ms for key in others]
    assert raw == pytest.approx([measured.rows[key].raw_ms for key in others])
    assert after.calibration == measured.calibration
    assert [n.timed for n in after.held_out] == [n.timed for n in measured.held_out]
    assert after.meta["validation"]["networks"] == 30
    assert not (tmp_path / "p").exists()


def test_a_power_that_was_measured_is_kept_for_the_new_time(
    measured: Table, tmp_path: Path
) -> None:
    rows = {
        key: dataclasses.replace(row, energy_mj=3.0 * row.latency_ms, energy_source="measured")
        for key, row in spoilt(measured).rows.items()
    }
    meta = {**measured.meta, "energy_source": "measured", "energy": {"meter": "m"}}
    before = dataclasses.replace(measured, rows=rows, meta=meta)
    after = replace_unstable(before, TARGET, onnx(), Silent(), tmp_path / "parts.jsonl", rounds=20)
    assert after.meta["energy"] == {"meter": "m"}
    for row in after.rows.values():
        assert row.energy_mj == pytest.approx(3.0 * row.latency_ms)
        assert row.energy_source == "measured"


def test_profiling_again_times_nothing_when_all_is_stable_and_only_parts_when_not(
    measured: Table, tmp_path: Path
) -> None:
    folder = Library(tmp_path).folder("onnx-cpu", SPACE.name)
    save(measured, folder)
    told = Told()
    again = profile_here(Profiling(TARGET, SPACE, tmp_path, told))
    assert again.table.meta["created"] == measured.meta["created"]
    assert "nothing to do" in told.lines[0]
    save(spoilt(measured), folder)
    again = profile_here(Profiling(TARGET, SPACE, tmp_path, told))
    assert "1 of" in told.lines[1]
    assert load(folder).rows[SPOILT].raw_ms == pytest.approx(again.table.rows[SPOILT].raw_ms)
    assert again.table.rows[SPOILT].raw_ms < 1.4 * measured.rows[SPOILT].raw_ms
    assert again.table.rows[STABLE].raw_ms == pytest.approx(measured.rows[STABLE].raw_ms)


def test_a_fresh_check_times_unseen_networks_and_tells_the_coverage(
    measured: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fresh, "PASSES", 1)
    networks, figures = check_fresh(
        measured,
        TARGET,
        onnx(),
        Silent(),
        tmp_path / "c.jsonl",
        networks=30,
        seed=0,
        confidence=0.9,
    )
    seen = {n.arch for n in measured.calibration} | {n.arch for n in measured.held_out}
    assert len({n.arch for n in networks} - seen) == 30
    upper = [n.predicted_ms * (1 + measured.margin(0.9)) for n in networks]
    within = sum(n.measured_ms <= high for n, high in zip(networks, upper, strict=True))
    assert figures["coverage"] == pytest.approx(within / 30)
    assert 0.2 < figures["speed"] < 5  # other tests run beside this one
    assert figures["mape"] < 0.5
    ratio = networks[0].measured_ms / networks[0].predicted_ms
    assert figures["worst"] >= abs(1 / ratio - 1) - 1e-9


def test_a_machine_that_became_slower_is_told_apart_from_a_wrong_table(
    measured: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same table, made when everything took half as long."""
    monkeypatch.setattr(fresh, "PASSES", 1)
    monkeypatch.setattr(fresh, "LocalClock", partial(SteadyClock, table=measured))
    rows = {
        key: dataclasses.replace(
            row,
            latency_ms=row.latency_ms / 2,
            latency_low_ms=row.latency_low_ms / 2,
            latency_high_ms=row.latency_high_ms / 2,
            raw_ms=row.raw_ms / 2,
        )
        for key, row in measured.rows.items()
    }
    curve = measured.curve
    correction = {
        **measured.meta["correction"],
        "curve": curve and dataclasses.asdict(curve.scaled(0.5)),
    }
    meta = {**measured.meta, "correction": correction}
    held_out = tuple(
        HeldOut(n.arch, n.predicted_ms / 2, n.predicted_ms / 2) for n in measured.held_out
    )
    fast = dataclasses.replace(measured, rows=rows, meta=meta, held_out=held_out)
    _, figures = check_fresh(
        fast, TARGET, onnx(), Silent(), tmp_path / "c.jsonl", networks=30, seed=0, confidence=0.9
    )
    assert figures["speed"] == pytest.approx(2)
    assert figures["mape"] < 1e-9
    assert figures["now"]["mape"] == pytest.approx(0.5)


def test_the_stored_check_is_told_without_timing_and_an_estimate_has_none(
    measured: Table, tmp_path: Path
) -> None:
    save(measured, Library(tmp_path).folder("onnx-cpu", SPACE.name))
    told = validate(LutValidateOptions(workspace=tmp_path), Silent()).to_json()
    assert told["mape"] == pytest.approx(measured.meta["validation"]["mape"], abs=1e-6)
    assert (told["networks"], told["fresh"], told["precision"]) == (30, False, "fp32")
    with pytest.raises(UserError, match="confidence"):
        validate(LutValidateOptions(workspace=tmp_path, confidence=0.999), Silent())
    phone, space = find_target("iphone5s"), SPACES["rcnet-cifar10"]
    profile_here(Profiling(phone, space, tmp_path, Silent()))
    with pytest.raises(TableError, match="ESTIMATED"):
        validate(
            LutValidateOptions(
                workspace=tmp_path, target="iphone5s", space="rcnet-cifar10", fresh=True
            ),
            Silent(),
        )


def test_a_table_of_another_machine_is_measured_anew(tmp_path: Path) -> None:
    """The synthetic table says CPU "test": nothing of it may be taken over."""
    table = synthetic()
    save(table, Library(tmp_path).folder("onnx-cpu", SPACE.name))
    told = Told()

    class TimingStartedError(Exception):
        pass

    def stop(*args: object) -> None:
        raise TimingStartedError

    told.task = stop  # type: ignore[method-assign, assignment]
    with pytest.raises(TimingStartedError):
        profile_here(Profiling(TARGET, SPACE, tmp_path, told))
    assert not told.lines or "nothing to do" not in told.lines[0]
