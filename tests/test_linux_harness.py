"""The harness for Linux boards: real runs, in processes that do not find hwnas."""

from __future__ import annotations

import json
import os
import runpy
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bundles import HARNESS, WITHOUT_HWNAS, emitted, harness

from hwnas.bundle import probe
from hwnas.bundle.check import read_results
from hwnas.device import describe_host
from hwnas.progress import Silent
from hwnas.targets.tflite.remote import DEFAULT_PYTHON
from hwnas.workflows.profile.bundle import ingest
from hwnas.workflows.profile.options import ProfileOptions


@pytest.fixture(scope="module")
def own() -> dict[str, Any]:
    """Return the names of the harness."""
    return runpy.run_path(str(HARNESS))


@pytest.mark.parametrize(
    "target", ["onnx-cpu", "tflite", pytest.param("tflite-runtime", id="another-python")]
)
def test_from_bundle_to_table(target: str, tmp_path: Path) -> None:
    python = DEFAULT_PYTHON if target == "tflite-runtime" else sys.executable
    if not Path(python).exists():
        pytest.skip(f"{python} is missing: make tflite-runtime")
    bundle = tmp_path / "b"
    manifest = emitted(bundle, target)
    ran = harness(bundle, python=python)
    assert ran.returncode == 0, ran.stderr
    assert "hwnas profile --ingest" in ran.stderr
    assert Path(ran.stdout.strip()) == bundle / "results.json"
    done = ingest(bundle, ProfileOptions(workspace=tmp_path), Silent())
    assert done.profiled is not None
    assert done.profiled.table.meta["device"]["cpu"] == describe_host()["cpu"]
    assert done.profiled.table.meta["harness"] == "linux 1"
    expected_rounds = sum(job.rounds for job in manifest.jobs)
    assert {row.samples for row in done.profiled.table.rows.values()} == {expected_rounds}
    assert sorted(path.name for path in bundle.iterdir()) == [
        "manifest.json",
        "models",
        "results.json",
    ]


def test_a_killed_run_goes_on_and_repeats_no_job(tmp_path: Path) -> None:
    bundle = tmp_path / "b"
    manifest = emitted(bundle, "tflite", rounds=12)
    partial = bundle / "results.partial.jsonl"
    command = [sys.executable, "-c", WITHOUT_HWNAS, str(HARNESS), str(bundle)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    while not partial.exists() or partial.read_bytes().count(b"\n") < 2:
        assert process.poll() is None
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    first = partial.read_text().splitlines()
    assert len(first) - 1 < len(manifest.jobs)
    partial.write_text(partial.read_text() + '{"job": {"numb')
    assert harness(bundle).returncode == 0
    results = read_results(bundle / "results.json")
    assert [job.number for job in results.jobs] == [job.number for job in manifest.jobs]
    kept = json.loads(first[1])["job"]["rounds"]
    assert [[list(sample) for sample in samples] for samples in results.jobs[0].rounds] == kept


def test_partial_results_are_taken_in_as_they_come(tmp_path: Path) -> None:
    bundle = tmp_path / "b"
    emitted(bundle, "onnx-cpu")
    assert harness(bundle).returncode == 0
    whole = json.loads((bundle / "results.json").read_text())
    for jobs, complete in ((whole["jobs"][:1], False), (whole["jobs"][1:], True)):
        (bundle / "results.json").write_text(json.dumps({**whole, "jobs": jobs}))
        assert (
            ingest(bundle, ProfileOptions(workspace=tmp_path), Silent()).profiled is not None
        ) is complete


PROBLEMS = {
    "no bundle": (lambda b: (b / "manifest.json").unlink(), "is missing"),
    "not JSON": (lambda b: (b / "manifest.json").write_text("{"), "copy the bundle again"),
    "version": (
        lambda b: (b / "manifest.json").write_text('{"schema": "hwnas-manifest/9"}'),
        "use the hwnas_bench.py of the hwnas that wrote it",
    ),
    "model missing": (lambda b: min((b / "models").iterdir()).unlink(), "copy the bundle"),
    "model damaged": (
        lambda b: min((b / "models").iterdir()).write_bytes(b"x"),
        "is damaged: copy the bundle again",
    ),
    "done before": (lambda b: (b / "results.json").write_text("{}"), "is there already"),
    "another board": (
        lambda b: (b / "results.partial.jsonl").write_text('{"bundle": "x"}\n'),
        "of another bundle, board or runtime: --fresh drops it",
    ),
}


@pytest.mark.parametrize("what", PROBLEMS)
def test_a_problem_is_one_line_and_exit_code_2(what: str, tmp_path: Path) -> None:
    break_it, told = PROBLEMS[what]
    emitted(tmp_path / "b", "onnx-cpu")
    break_it(tmp_path / "b")
    ran = harness(tmp_path / "b")
    assert ran.returncode == 2
    assert told in ran.stderr
    assert ran.stderr.count("\n") == 1
    assert ran.stderr.startswith("hwnas_bench: ")


def test_a_missing_runtime_is_named_with_its_package(tmp_path: Path) -> None:
    emitted(tmp_path / "b", "onnx-cpu")
    blocked = WITHOUT_HWNAS.replace("['hwnas'] = None", "['onnxruntime'] = None")
    ran = subprocess.run(
        [sys.executable, "-c", blocked, str(HARNESS), str(tmp_path / "b")],
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 2
    assert "pip install onnxruntime" in ran.stderr


def test_it_makes_the_same_input_and_compares_the_same_values(own: dict[str, Any]) -> None:
    for shape, dtype in (((1, 3, 7, 5), "float32"), ((11,), "int8"), ((2, 9), "uint8")):
        assert np.array_equal(own["given"](shape, dtype), probe.given(shape, dtype))
    for count in (1, 10, 63, 64, 65, 1000, 40_001):
        output = np.arange(count, dtype=np.float32)
        assert tuple(own["sampled"](output)) == probe.sampled(output)


def test_it_tells_the_processor_as_hwnas_does(own: dict[str, Any]) -> None:
    facts, here = own["device_facts"](), describe_host()
    assert facts["cpu"] == here["cpu"]
    assert facts["os"] == here["os"]
    assert facts["machine"] == here["machine"]


def sysfs(folder: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    return folder


def test_a_board_sensor_tells_watts(own: dict[str, Any], tmp_path: Path) -> None:
    root = sysfs(
        tmp_path,
        {
            "hwmon0/name": "ina226",
            "hwmon0/power1_input": "3250000",
            "hwmon1/name": "ina3221",
            "hwmon1/in1_input": "5000",
            "hwmon1/curr1_input": "400",
            "hwmon1/in1_label": "VDD_IN",
            "hwmon2/name": "coretemp",
            "hwmon2/power1_input": "1",
        },
    )
    sensors = own["board_sensors"](root)
    assert sorted(sensors) == ["hwmon ina226/power1", "hwmon ina3221/VDD_IN"]
    for name, watts in (("hwmon ina226/power1", 3.25), ("hwmon ina3221/VDD_IN", 2.0)):
        sensors[name].start()
        assert sensors[name].watts() == pytest.approx(watts)


def test_an_energy_counter_that_wraps_around_still_counts(
    own: dict[str, Any], tmp_path: Path
) -> None:
    zone = "intel-rapl:0"
    files = {f"{zone}/name": "package-0", f"{zone}/energy_uj": "900", f"{zone}/x": ""}
    root = sysfs(tmp_path, {**files, f"{zone}/max_energy_range_uj": "999"})
    counter = own["rapl_counter"](root)
    assert counter.name == "rapl package-0"
    counter.start()
    (root / zone / "energy_uj").write_text("100")
    counter.sample()
    assert counter._used == 200


def test_power_of_a_board_becomes_energies(
    own: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Steady:
        name, block_s = "hwmon fake/power1", 0.002

        def start(self) -> None:
            pass

        def sample(self) -> None:
            pass

        def watts(self) -> float:
            return 2.5

    emitted(tmp_path / "b", "onnx-cpu")
    monkeypatch.setitem(own["run_bundle"].__globals__, "power_counter", lambda wanted: Steady())
    before = os.sched_getaffinity(0)
    own["run_bundle"](tmp_path / "b")
    assert os.sched_getaffinity(0) == before
    profiled = ingest(tmp_path / "b", ProfileOptions(workspace=tmp_path), Silent()).profiled
    assert profiled is not None
    table = profiled.table
    assert table.meta["energy_source"] == "measured"
    assert table.meta["energy"]["meter"] == "hwmon fake/power1"
    for row in table.rows.values():
        assert row.energy_mj == pytest.approx(2.5 * row.latency_ms)


def test_a_round_waits_until_the_board_is_cool(own: dict[str, Any], tmp_path: Path) -> None:
    names = own["Bench"]._wait_until_cool.__globals__
    warm = iter([90.0, 90.0, 85.0, 85.0, 70.0])
    slept: list[float] = []
    protocol = {"hottest_c": 80.0, "warm_up_rounds": 0, "warm_up_s": 0, "untimed_runs": 0}
    bench = own["Bench"](None, {"threads": 1}, protocol)
    real = names["temperature_c"], names["time"]

    class Clock:
        sleep = staticmethod(slept.append)

    names["temperature_c"], names["time"] = lambda: next(warm), Clock
    try:
        bench._wait_until_cool()
    finally:
        names["temperature_c"], names["time"] = real
    assert slept
    assert next(warm, None) is None
