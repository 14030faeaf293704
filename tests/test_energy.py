"""Energy from counters and meters whose truth is known: a simulated device under a fake sysfs."""

from __future__ import annotations

import datetime as dt
import json
import time
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tables import DIGITS, table

from hwnas.device import find_target
from hwnas.energy.blocks import IDLE, run_block
from hwnas.energy.counter import survey
from hwnas.energy.log import MeterLog, PowerLog, parse_time, read_log
from hwnas.energy.rapl import Package, Rapl
from hwnas.errors import UserError
from hwnas.lut.storage import load, save
from hwnas.profiler.energy import EnergyProfiler
from hwnas.progress import Silent
from hwnas.workflows.doctor import energy_counters
from hwnas.workflows.profile.options import USUAL, ProfileOptions
from hwnas.workflows.profile.this_machine import power_source

if TYPE_CHECKING:
    from pathlib import Path

    from hwnas.energy.counter import Counter
    from hwnas.graph import Graph
    from hwnas.lut.table import Table
    from hwnas.spaces import RcnetSpace

RANGE_UJ = 262_143_328_850
IDLE_WATTS = 1.5


def rapl_zone(root: Path, zone: str, name: str, uj: int = 0) -> Path:
    folder = root / "powercap" / zone
    folder.mkdir(parents=True)
    (folder / "name").write_text(f"{name}\n")
    (folder / "max_energy_range_uj").write_text(f"{RANGE_UJ}\n")
    (folder / "energy_uj").write_text(f"{uj}\n")
    return folder / "energy_uj"


def chip(root: Path, number: int, name: str, **files: object) -> Path:
    folder = root / "hwmon" / f"hwmon{number}"
    folder.mkdir(parents=True)
    (folder / "name").write_text(f"{name}\n")
    for file, value in files.items():
        (folder / file).write_text(f"{value}\n")
    return folder


class Quick(Rapl):
    """A counter that a few milliseconds are enough for."""

    @property
    def block_s(self) -> float:
        return 0.012


@dataclass
class Device:
    """Draws `watts` while something runs; `read_text` is its RAPL counter, about to wrap round."""

    watts: float = IDLE_WATTS
    uj: float = RANGE_UJ - 5e6
    runs: int = 0
    _last: float = field(default_factory=time.perf_counter)

    def read_text(self) -> str:
        now = time.perf_counter()
        self.uj = (self.uj + self.watts * (now - self._last) * 1e6) % RANGE_UJ
        self._last = now
        return f"{int(self.uj)}\n"

    def counter(self) -> Rapl:
        return Quick((Package("package-0", self, RANGE_UJ),))  # type: ignore[arg-type]

    def run(self, watts: float) -> None:
        self.read_text()
        self.watts = watts
        time.sleep(0.002)
        self.read_text()
        self.watts, self.runs = IDLE_WATTS, self.runs + 1

    def backend(self) -> Any:
        """A runtime whose models draw 3 W and 1 W more per MMAdd: what a `Backend` is used for."""
        return SimpleNamespace(
            name="onnxruntime",
            emit=lambda graph, *_: f"{truth_watts(graph)}".encode(),
            load=lambda model, _: SimpleNamespace(elapsed_ms=lambda: self.run(float(model))),
            version=lambda: "test",
        )


def truth_watts(graph: Graph) -> float:
    return 3 + graph.madds / 1e6


@pytest.fixture
def device() -> Device:
    return Device()


class Told(Silent):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def info(self, message: str) -> None:
        self.lines.append(message)

    def warn(self, message: str) -> None:
        self.lines.append(message)


# Counters ---------------------------------------------------------------------------------------


def test_packages_are_added_and_their_parts_and_doubles_are_not(tmp_path: Path) -> None:
    rapl_zone(tmp_path, "intel-rapl:0", "package-0")
    rapl_zone(tmp_path, "intel-rapl:0:0", "core")
    rapl_zone(tmp_path, "intel-rapl:1", "package-1")
    rapl_zone(tmp_path, "intel-rapl:2", "psys")
    rapl_zone(tmp_path, "intel-rapl-mmio:0", "package-0")
    (counter,) = survey(tmp_path).counters
    assert counter.name == "rapl package-0 + package-1"


@given(st.integers(0, RANGE_UJ - 1), st.lists(st.integers(0, RANGE_UJ - 1), min_size=1, max_size=5))
def test_a_counter_that_wraps_round_loses_nothing(first: int, steps: list[int]) -> None:
    class File:
        uj = first

        def read_text(self) -> str:
            return str(self.uj % RANGE_UJ)

    file = File()
    rapl = Rapl((Package("package-0", file, RANGE_UJ),))  # type: ignore[arg-type]
    rapl.start()
    for step in steps:
        file.uj += step
        rapl.sample()
    assert rapl._used_uj == sum(steps)


def test_power_of_a_block_is_measured_across_a_wrap(device: Device) -> None:
    device.uj = RANGE_UJ - 2e6
    block = run_block("part", lambda: device.run(12.0), 0.3, device.counter())
    assert block.watts == pytest.approx(12.0, rel=0.05)
    assert device.uj < 3e6


def test_what_only_root_may_read_is_told_once_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    energy = rapl_zone(tmp_path, "intel-rapl:0", "package-0")
    rapl_zone(tmp_path, "intel-rapl:1", "package-1")
    _deny(energy.parent.parent, monkeypatch)
    told = Told()
    assert power_source(find_target("onnx-cpu"), USUAL, told, tmp_path) is None
    (line,) = told.lines
    assert "unknown" in line
    assert "sudo chmod" in line
    (finding,) = energy_counters(tmp_path)
    assert finding.state == "missing"


def _deny(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Close energy_uj below a folder, for root too."""
    from pathlib import Path as AnyPath

    read = AnyPath.read_text

    def closed(path: Path, *args: str, **kwargs: str) -> str:
        if path.name == "energy_uj" and path.is_relative_to(folder):
            raise PermissionError(13, "Permission denied", str(path))
        return read(path, *args, **kwargs)

    monkeypatch.setattr(AnyPath, "read_text", closed)


def test_no_counter_is_no_message(tmp_path: Path) -> None:
    told = Told()
    assert power_source(find_target("onnx-cpu"), USUAL, told, tmp_path) is None
    assert told.lines == []
    assert [finding.state for finding in energy_counters(tmp_path)] == ["note"]


def test_an_ina_sensor_is_read_as_microwatts_or_as_volts_times_amperes(tmp_path: Path) -> None:
    chip(tmp_path / "a", 0, "coretemp", temp1_input=40000)
    chip(tmp_path / "a", 1, "ina219", power1_input=2_500_000, update_interval=70)
    (single,) = survey(tmp_path / "a").counters
    assert single.name == "hwmon ina219/power1"
    assert single.block_s == pytest.approx(1.4)
    single.start()
    assert single.watts() == pytest.approx(2.5)
    rails = {"in1_label": "VDD_IN", "in1_input": 5000, "curr1_input": 900}
    rails |= {"in2_label": "VDD_CPU", "in2_input": 5000, "curr2_input": 300}
    chip(tmp_path / "b", 0, "ina3221", **rails, in7_input=12)
    (board,) = survey(tmp_path / "b").counters
    assert board.name == "hwmon ina3221/VDD_IN"
    board.start()
    board.sample()
    assert board.watts() == pytest.approx(4.5)


def test_several_rails_are_never_added_unasked(tmp_path: Path) -> None:
    for number, name in enumerate(("ina219", "ina219", "amdgpu")):
        chip(tmp_path, number, name, power1_input=1_000_000 * (number + 1))
    found = survey(tmp_path)
    assert found.counters == ()
    assert "power_sensors" in found.unusable[0]
    names = ("ina219/power1@hwmon0", "amdgpu/power1")
    (counter,) = survey(tmp_path, names).counters
    counter.start()
    assert counter.watts() == pytest.approx(4)
    with pytest.raises(UserError, match="Known: ina219/power1@hwmon0"):
        survey(tmp_path, ("ina219/power7",))


# Logs -------------------------------------------------------------------------------------------

START = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC).timestamp()


def a_log(path: Path, header: str, rows: list[str]) -> Path:
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


@pytest.mark.parametrize("form", ["iso", "zone", "seconds", "milliseconds"])
@pytest.mark.parametrize("columns", ["watts", "volts,amps"])
def test_every_form_of_a_log_gives_the_same_power(tmp_path: Path, form: str, columns: str) -> None:
    def stamp(time_s: float) -> str:
        local = dt.datetime.fromtimestamp(time_s, dt.UTC).astimezone()
        return {
            "iso": local.replace(tzinfo=None).isoformat(),
            "zone": local.isoformat(),
            "seconds": f"{time_s:.3f}",
            "milliseconds": f"{1000 * time_s:.0f}",
        }[form]

    value = "7.5" if columns == "watts" else "5.0,1.5"
    rows = [f"{n},{stamp(START + n / 10)},{value}" for n in range(50)]
    log = read_log(a_log(tmp_path / "m.csv", f"row,timestamp,{columns}", rows), offset_s=2.0)
    assert log.mean_watts(START + 3, START + 4) == pytest.approx(7.5)
    assert log.interval_s == pytest.approx(0.1, rel=1e-3)


def test_a_line_that_is_still_being_written_does_not_count(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    path.write_text("timestamp,watts\n" + "".join(f"{START + n},3.0\n" for n in range(9)) + "17")
    assert len(read_log(path).watts) == 9


LOG_DAMAGE = {
    "no file": (None, "is missing"),
    "no rows": ("timestamp,watts\n", "0 readings"),
    "milliwatts": ("timestamp,milliwatts\n1,2\n", "milliwatts"),
    "empty": ("", "line 1"),
    "NaN": (f"timestamp,watts\n{START},nan\n", "line 2"),
    "negative": (f"timestamp,watts\n{START},-2\n", "line 2"),
    "words": (f"timestamp,watts\n{START},much\n", "line 2"),
    "no time": ("timestamp,watts\nnoon,2\n", "line 2"),
    "field missing": (f"timestamp,watts\n{START}\n", "line 2"),
    "backwards": (f"timestamp,watts\n{START},2\n{START - 1},2\n", "line 3"),
}


@pytest.mark.parametrize("kind", LOG_DAMAGE)
def test_a_wrong_log_is_one_line_with_the_row(tmp_path: Path, kind: str) -> None:
    text, told = LOG_DAMAGE[kind]
    path = tmp_path / "m.csv"
    if text is not None:
        path.write_text(text)
    with pytest.raises(UserError, match=told) as error:
        read_log(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_gaps_wrong_coverage_and_slow_meters_are_refused(tmp_path: Path) -> None:
    times = START + np.arange(0, 100, 0.1)
    log = PowerLog(tmp_path / "m.csv", times, np.full(len(times), 3.0))
    assert log.mean_watts(START + 10, START + 12) == pytest.approx(3)
    for start in (START - 1, START + 99):
        with pytest.raises(UserError, match="--power-offset"):
            log.mean_watts(start, start + 2)
    with pytest.raises(UserError, match=r"--power-block 1\)"):
        log.mean_watts(START + 10, START + 10.3)
    holed = (times < START + 40) | (times > START + 41)
    torn = PowerLog(log.path, times[holed], log.watts[holed])
    with pytest.raises(UserError, match=r"no reading between 2026-03-01 12:00:39\.900"):
        torn.mean_watts(START + 39, START + 43)


@given(st.text(max_size=12))
def test_a_timestamp_is_a_time_or_an_error(text: str) -> None:
    try:
        assert np.isfinite(parse_time(text))
    except ValueError as error:
        assert "timestamp" in str(error)  # noqa: PT017 - either outcome is right


# Whole tables -----------------------------------------------------------------------------------


def profiler(
    device: Device, power: Counter | MeterLog, reporter: Silent | None = None
) -> EnergyProfiler:
    return EnergyProfiler(find_target("onnx-cpu"), device.backend(), power, reporter or Silent())


def errors(measured: Table) -> list[float]:
    """Relative error of each row's energy against the simulated truth."""
    found = []
    for key, row in measured.rows.items():
        truth_mj = truth_watts(measured.space.part_graph(key)) * row.latency_ms
        assert row.energy_mj is not None
        found.append(row.energy_mj / truth_mj - 1)
    return found


def test_energies_of_a_counter_are_those_of_the_device(device: Device, tmp_path: Path) -> None:
    measured = profiler(device, device.counter()).complete(table(watts=9.0), tmp_path / "p.jsonl")
    assert np.median(np.abs(errors(measured))) < 0.03
    assert {row.energy_source for row in measured.rows.values()} == {"measured"}
    about = measured.meta["energy"]
    assert about["idle_watts"] < about["running_watts"]
    assert about["check"]["networks"] == 8
    assert not (tmp_path / "p.jsonl").exists()
    save(measured, tmp_path / "lut" / "onnx-cpu" / "rcnet-digits")
    assert load(tmp_path / "lut" / "onnx-cpu" / "rcnet-digits").meta["energy"] == about


def meter_trace(partial: Path, space: RcnetSpace, rng: np.random.Generator) -> list[str]:
    """What a meter with readings each millisecond and 2% noise saw of the blocks that ran."""
    blocks = [json.loads(line) for line in partial.read_text().splitlines()[1:]]
    graphs = {str(key): space.part_graph(key) for key in space.lookup_keys()}
    times = np.arange(blocks[0][1] - 1, blocks[-1][2] + 1, 0.001)
    watts = np.full(len(times), IDLE_WATTS)
    for name, start, end, _ in blocks:
        if name != IDLE:
            graph = graphs.get(name) or space.graph(space.parse(name))
            watts[(times >= start) & (times <= end)] = truth_watts(graph)
    noisy = watts * rng.normal(1, 0.02, len(watts))
    return [f"{t:.4f},5.0,{w / 5:.5f}" for t, w in zip(times - 3600, noisy, strict=True)]


def test_a_log_that_is_saved_later_gives_the_energies_without_a_second_run(tmp_path: Path) -> None:
    csv, partial = tmp_path / "meter.csv", tmp_path / "p.jsonl"
    still = Device()
    power = MeterLog(csv, offset_s=3600.0, block_s=0.012)
    with pytest.raises(UserError, match="run the same command again"):
        profiler(still, power).complete(table(), partial)
    a_log(csv, "timestamp,volts,amps", meter_trace(partial, DIGITS, np.random.default_rng(0)))
    wrong = MeterLog(csv, block_s=0.012)
    with pytest.raises(UserError, match="--power-offset"):
        profiler(still, wrong).complete(table(), partial)
    ran = still.runs
    measured = profiler(still, power).complete(table(), partial)
    assert still.runs == ran > 0
    assert max(np.abs(errors(measured))) < 0.03
    about = measured.meta["energy"]
    assert about["idle_watts"] == pytest.approx(IDLE_WATTS, rel=0.03)
    assert about["spread"] < 0.02
    assert about["offset_s"] == 3600


def test_clocks_that_differ_are_seen_in_the_idle_pauses(tmp_path: Path) -> None:
    csv, now = tmp_path / "meter.csv", time.time()
    a_log(csv, "timestamp,watts", [f"{now + n / 500:.4f},3.0" for n in range(-500, 500 * 60)])
    power = MeterLog(csv, block_s=0.012)
    with pytest.raises(UserError, match="no more power while parts ran"):
        profiler(Device(), power).complete(table(), tmp_path / "p.jsonl")


def test_a_counter_that_stands_still_leaves_the_estimate(device: Device, tmp_path: Path) -> None:
    rapl_zone(tmp_path / "dead", "intel-rapl:0", "package-0", uj=7)
    (counter,) = survey(tmp_path / "dead").counters
    told = Told()
    before = table(watts=9.0)
    assert isinstance(counter, Rapl)
    power = Quick(counter.packages)
    assert profiler(device, power, told).complete(before, tmp_path / "p.jsonl") is before
    (line,) = told.lines
    assert "does not move" in line


def test_a_log_that_is_not_right_is_told_before_anything_is_timed(tmp_path: Path) -> None:
    csv = a_log(tmp_path / "m.csv", "time,power", ["1,2"])
    with pytest.raises(UserError, match="timestamp and watts"):
        power_source(find_target("onnx-cpu"), ProfileOptions(power_log=csv), Silent())
    a_log(csv, "timestamp,watts", [f"{START + n},3.0" for n in range(9)])
    with pytest.raises(UserError, match=r"one reading each 1 s, too few .*--power-block 6"):
        power_source(find_target("onnx-cpu"), ProfileOptions(power_log=csv), Silent())
    assert power_source(
        find_target("onnx-cpu"), ProfileOptions(power_log=csv, power_block=6.0), Silent()
    )


@pytest.mark.parametrize("text", ["", "timest", "timestamp,watts\n", "timestamp,watts\n1,2\n"])
def test_a_log_that_has_only_just_begun_is_no_mistake(tmp_path: Path, text: str) -> None:
    (tmp_path / "m.csv").write_text(text)
    assert power_source(
        find_target("onnx-cpu"), ProfileOptions(power_log=tmp_path / "m.csv"), Silent()
    )


def test_an_idle_block_runs_nothing() -> None:
    block = run_block(IDLE, None, 0.05, None)
    assert block.watts is None
    assert 0.05 <= block.end_s - block.start_s < 0.5
