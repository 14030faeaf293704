"""The Android harness, against a simulated phone that really runs the models in LiteRT."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.util
import json
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from phones import BATTERY, ELF_ARM64, ELF_X86, THERMAL, Phone, Phones

from hwnas.bundle import probe
from hwnas.bundle.models import maker_of
from hwnas.bundle.schema import (
    RESULTS_FILE,
    Job,
    Manifest,
    NetworkPlan,
    Protocol,
    Results,
    Setup,
    TensorFacts,
    TimedModel,
)
from hwnas.device import find_target
from hwnas.graph import random_weights
from hwnas.profiler.bundled import emit_bundle
from hwnas.profiler.plan import make_plan
from hwnas.progress import Silent
from hwnas.spaces import find_space
from hwnas.targets.tflite import emitter
from hwnas.targets.tflite.runtime import load_interpreter
from hwnas.workflows.bundle import ingest
from hwnas.workflows.targets import list_targets

if TYPE_CHECKING:
    from collections.abc import Iterator

HARNESS = Path(__file__).parents[1] / "export" / "android" / "hwnas_android.py"
ROUNDS, PANEL, NETWORKS = 2, 2, 2


def load_harness() -> Any:
    spec = importlib.util.spec_from_file_location("hwnas_android", HARNESS)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


harness = load_harness()


@pytest.fixture(scope="session")
def models() -> dict[str, tuple[bytes, TimedModel]]:
    """Three parts of a space, its start network as reference, and four other networks."""
    space = find_space("rcnet-digits")
    rng = np.random.default_rng(3)
    graphs = {str(key): space.part_graph(key) for key in space.lookup_keys()[:PANEL]}
    graphs["reference"] = space.graph(space.start())
    for arch in [space.sample(rng) for _ in range(NETWORKS)]:
        graphs[space.format(arch)] = space.graph(arch)
    return {
        name: timed_model(emitter.emit(graph, random_weights(graph, seed=0)))
        for name, graph in graphs.items()
    }


def timed_model(content: bytes) -> tuple[bytes, TimedModel]:
    model = load_interpreter(content)
    (source,), (result,) = model.get_input_details(), model.get_output_details()
    facts = [
        TensorFacts(shape=tuple(map(int, tensor["shape"])), dtype=np.dtype(tensor["dtype"]).name)
        for tensor in (source, result)
    ]
    model.set_tensor(source["index"], probe.given(facts[0].shape, facts[0].dtype))
    model.invoke()
    return content, TimedModel(
        sha256=hashlib.sha256(content).hexdigest(),
        size_bytes=len(content),
        input=facts[0],
        output=facts[1],
        expected=probe.sampled(model.get_tensor(result["index"])),
        tolerance=probe.TOLERANCES["fp32"],
    )


@dataclass
class Desk:
    """A bundle, phones, and the harness as a user types it."""

    phones: Phones
    bundle: Path
    tool: Path

    def start(self, *options: str, tool: bool = True) -> subprocess.Popen[str]:
        given = ["--benchmark-model", str(self.tool)] if tool else []
        return subprocess.Popen(
            [sys.executable, str(HARNESS), str(self.bundle), *given, *options],
            cwd=self.bundle.parent,
            env=self.phones.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __call__(self, *options: str, code: int = 0, tool: bool = True) -> str:
        out, err = (process := self.start(*options, tool=tool)).communicate(timeout=120)
        assert process.returncode == code, out + err
        assert "Traceback" not in err
        return out + err

    def refused(self, *options: str, code: int = 2, tool: bool = True) -> str:
        """Return the one line of an error."""
        told = self(*options, code=code, tool=tool)
        (line,) = [line for line in told.splitlines() if line.startswith("error: ")]
        return line

    @property
    def manifest(self) -> dict[str, Any]:
        loaded: dict[str, Any] = json.loads((self.bundle / "manifest.json").read_text())
        return loaded

    def change(self, **values: Any) -> None:
        text = json.dumps({**self.manifest, **values})
        (self.bundle / "manifest.json").write_text(text)

    @property
    def results(self) -> Results:
        return Results.model_validate_json((self.bundle / RESULTS_FILE).read_bytes())


@contextmanager
def desk_in(folder: Path, models: dict[str, tuple[bytes, TimedModel]]) -> Iterator[Desk]:
    bundle = folder / "bundle"
    (bundle / "models").mkdir(parents=True)
    for content, model in models.values():
        (bundle / "models" / f"{model.sha256}.tflite").write_bytes(content)
    names = list(models)
    panel, networks = names[: PANEL + 1], names[PANEL + 1 :]
    manifest = Manifest(
        bundle="0a1b2c3d",
        created="2026-01-01T00:00:00Z",
        hwnas="0",
        geometry={"space": "rcnet-digits"},
        setup=Setup(
            target="android",
            space="rcnet-digits",
            runtime="tflite",
            format="tflite",
            precision="fp32",
            threads=1,
        ),
        protocol=Protocol(warm_up_s=0.01),
        plan=NetworkPlan(
            calibration=tuple(networks[:1]),
            validation=tuple(networks[1:]),
            passes=1,
            batch=2,
            rounds=ROUNDS,
        ),
        panel=tuple(panel),
        models={name: model for name, (_, model) in models.items()},
        suffix=".tflite",
        jobs=(
            Job(number=0, networks=tuple(networks[:1]), rounds=ROUNDS),
            Job(number=1, networks=tuple(networks[1:]), rounds=ROUNDS),
        ),
    )
    (bundle / "manifest.json").write_text(manifest.model_dump_json(by_alias=True))
    tool = folder / "android_aarch64_benchmark_model"
    tool.write_bytes(ELF_ARM64)
    with Phones(folder / "p") as phones:
        yield Desk(phones, bundle, tool)


@pytest.fixture
def desk(
    models: dict[str, tuple[bytes, TimedModel]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Desk]:
    with desk_in(tmp_path_factory.mktemp("d"), models) as desk:
        yield desk


@pytest.fixture
def phone(desk: Desk) -> Phone:
    return desk.phones.add()


@dataclass
class Finished:
    """A run that went well."""

    desk: Desk
    phone: Phone
    told: str


@pytest.fixture(scope="module")
def finished(
    models: dict[str, tuple[bytes, TimedModel]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Finished]:
    with desk_in(tmp_path_factory.mktemp("f"), models) as desk:
        phone = desk.phones.add()
        yield Finished(desk, phone, desk())


def test_a_bundle_is_timed_and_told(finished: Finished) -> None:
    assert "2 jobs done on Google Pixel 8" in finished.told
    assert "next: hwnas profile --target android --ingest" in finished.told
    results = finished.desk.results
    assert results.device.model_dump() == {
        "model": "Google Pixel 8",
        "cpu": "Google Tensor G3",
        "cores": 5,
        "os": "Android 14 (UD1A.230803.041)",
        "machine": "aarch64",
        "governor": "sched_pixel",
    }
    tool = hashlib.sha256(ELF_ARM64).hexdigest()[:12]
    assert results.runtime.version == f"benchmark_model {tool}"
    assert results.runtime.harness == "android 1, cores 8, 5 runs without the slowest"
    assert results.models.keys() == finished.desk.manifest["models"].keys()


def test_every_round_times_panel_and_networks_in_an_order_of_its_own(finished: Finished) -> None:
    manifest, orders = finished.desk.manifest, set()
    for job, done in zip(manifest["jobs"], finished.desk.results.jobs, strict=True):
        assert done.number == job["number"]
        assert len(done.rounds) == job["rounds"]
        for samples in done.rounds:
            names = [name for name, _ in samples]
            assert sorted(names) == sorted([*manifest["panel"], *job["networks"]])
            assert all(0 < ms < 1000 for _, ms in samples)
            orders.add(tuple(name for name in names if name in manifest["panel"]))
        assert done.seconds > 0
    assert len(orders) > 1


def test_the_tool_is_asked_for_steady_runs_on_the_fixed_input(finished: Finished) -> None:
    asked = finished.desk.phones.benchmark.asked
    timed = [flags for flags in asked if flags.get("num_runs") == "5"]
    assert len(timed) == 2 * ROUNDS * (PANEL + 1 + NETWORKS // 2)
    for flags in timed:
        assert flags["use_xnnpack"] == "true"
        assert flags["num_threads"] == "1"
        assert (flags["min_secs"], flags["warmup_runs"]) == ("0", "2")
        assert "output_filepath" not in flags
    for name, ran in finished.desk.results.models.items():
        expected = finished.desk.manifest["models"][name]["expected"]
        assert probe.distance(expected, ran.output) < probe.TOLERANCES["fp32"]


def test_conditions_come_from_the_phone(finished: Finished) -> None:
    before = finished.desk.results.jobs[0].before
    assert before.temperature_c == 40.0
    assert before.thermal_state == "none"
    assert before.throttled is False
    assert before.cpu_mhz == 1457.0
    assert before.battery_percent == 87
    assert before.charging is True


def test_only_the_networks_of_a_job_lie_on_the_phone(finished: Finished) -> None:
    calls = finished.phone.calls
    pushed = [call[1:-1] for call in calls if call[0] == "push" and call[-1].endswith("/m/")]
    assert [len(files) for files in pushed] == [PANEL + 1 + NETWORKS // 2, NETWORKS // 2]
    removed = [call[1] for call in calls if ".*" in call[1]]
    assert [text.count(".*") for text in removed] == [NETWORKS // 2] * 2


def test_the_phone_is_left_as_it_was(finished: Finished, desk: Desk, phone: Phone) -> None:
    assert finished.phone.left == []
    desk.phones.benchmark.broken = "Failed to allocate tensors!"
    desk(code=2)
    assert phone.left == []


@pytest.mark.parametrize("percentiles", [True, False])
def test_both_forms_of_its_statistics_are_read(desk: Desk, phone: Phone, percentiles: bool) -> None:
    desk.phones.benchmark.percentiles = percentiles
    desk("--runs", "1" if percentiles else "3")
    assert len(desk.results.jobs) == 2


@pytest.mark.parametrize(
    ("options", "threads", "mask", "told"),
    [
        ((), 2, "120", "cores 5,8"),
        (("--cores", "0-1,4"), 2, "13", "cores 0-1,4"),
    ],
)
def test_processes_keep_to_cores(
    desk: Desk, phone: Phone, options: tuple[str, ...], threads: int, mask: str, told: str
) -> None:
    desk.change(setup={**desk.manifest["setup"], "threads": threads})
    desk(*options)
    assert phone.masks == {mask}
    assert told in desk.results.runtime.harness


def test_pinning_can_be_left_out_or_be_impossible(desk: Desk, phone: Phone) -> None:
    desk("--cores", "any")
    assert not (phone.root / "masks").exists()
    assert "cores not pinned" in desk.results.runtime.harness
    assert "no core 7, only 0-1,4-5,8" in desk.refused("--cores", "7")
    assert "must be auto, any or a list" in desk.refused("--cores", "big")


def test_results_are_kept_over_a_pulled_cable(desk: Desk, phone: Phone) -> None:
    calls_of_a_job = measured_calls(desk, phone)
    phone.breaks_after(calls_of_a_job + 8)
    line = desk.refused("--fresh")
    assert "is gone. Cable, restart or empty battery?" in line
    assert "the same command goes on" in line
    kept = desk.results.jobs
    assert [job.number for job in kept] == [0]
    phone.state("device")
    assert "1 of 2 jobs were done before" in desk()
    assert desk.results.jobs[0] == kept[0]
    assert [job.number for job in desk.results.jobs] == [0, 1]
    assert phone.left == []


def measured_calls(desk: Desk, phone: Phone) -> int:
    """Return after how many calls of adb the first job is done."""
    desk()
    (done, *_) = [index for index, call in enumerate(phone.calls) if ".*" in call[1]]
    return done + 1


@pytest.mark.parametrize("calls", [2, 5, 9, 13])
def test_a_phone_that_goes_away_is_one_line(desk: Desk, phone: Phone, calls: int) -> None:
    phone.breaks_after(calls, "offline")
    assert "PIXEL0001 is offline. Cable, restart" in desk.refused()
    phone.state("device")
    desk()
    assert len(desk.results.jobs) == 2


def test_finished_results_are_not_measured_again(desk: Desk, phone: Phone) -> None:
    desk()
    asked = len(desk.phones.benchmark.asked)
    assert "2 jobs done" in desk()
    assert len(desk.phones.benchmark.asked) == asked
    desk("--fresh")
    assert len(desk.phones.benchmark.asked) == 2 * asked


def test_ctrl_c_keeps_what_was_done_and_cleans_up(desk: Desk, phone: Phone) -> None:
    process = desk.start()
    deadline = time.monotonic() + 60
    while not (desk.bundle / RESULTS_FILE).exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    if process.returncode != 0:  # otherwise the second job was quicker
        assert process.returncode == 130
        assert "interrupted. What was done is in" in err
    assert "Traceback" not in err
    assert phone.left == []
    desk()
    assert len(desk.results.jobs) == 2


def test_results_of_another_phone_or_set_up_are_not_mixed(desk: Desk, phone: Phone) -> None:
    desk()
    phone.state("gone")
    desk.phones.add("PIXEL0002", **{"ro.product.model": "Pixel 6"})
    line = desk.refused()
    assert "of another device (Google Pixel 8" in line
    assert "--fresh" in line
    phone.state("device")
    assert "another runtime" in desk.refused("--serial", "PIXEL0001", "--runs", "6")
    desk.change(bundle="other")
    assert "another bundle" in desk.refused("--serial", "PIXEL0001")
    (desk.bundle / RESULTS_FILE).write_text("{")
    assert "cannot be read" in desk.refused("--serial", "PIXEL0001")


def test_a_hot_phone_is_waited_for(
    desk: Desk, phone: Phone, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.change(protocol={**desk.manifest["protocol"], "hottest_c": 45.0})
    phone.warm(50.0)
    process = desk.start()
    assert process.stderr is not None
    lines = iter(process.stderr.readline, "")
    assert any("waiting for the phone to cool: 50.0 C" in line for line in lines)
    phone.warm(44.0)
    process.communicate(timeout=60)
    assert process.returncode == 0
    assert desk.results.jobs[0].before.temperature_c == 44.0


@pytest.mark.parametrize(
    ("state", "told"),
    [
        ("unauthorized", "accept 'Allow USB debugging?'"),
        ("offline", "plug it in again"),
        (
            "no permissions (missing udev rules? user is in the plugdev group); see [http://x]",
            "install the udev rules",
        ),
        ("recovery", "not ready (recovery)"),
    ],
)
def test_a_phone_that_is_not_ready_is_one_line(
    desk: Desk, phone: Phone, state: str, told: str
) -> None:
    phone.state(state)
    assert told in desk.refused()


def test_the_phone_is_chosen_by_its_serial_number(desk: Desk, phone: Phone) -> None:
    other = desk.phones.add("PIXEL0002")
    assert "--serial (PIXEL0001, PIXEL0002)" in desk.refused()
    assert "no phone has the serial number X" in desk.refused("--serial", "X")
    desk("--serial", "PIXEL0002")
    assert not (phone.folder / "calls").exists()
    phone.state("unauthorized")
    desk("--fresh")
    assert other.left == []


def test_no_phone_and_no_adb_are_one_line(desk: Desk) -> None:
    assert "no phone is attached" in desk.refused()
    (desk.phones.folder / "host" / "adb").unlink()
    environment = {**desk.phones.environment, "PATH": str(desk.phones.folder)}
    done = subprocess.run(
        [sys.executable, str(HARNESS), str(desk.bundle)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: adb is not installed")


def test_the_program_is_looked_for_and_checked(desk: Desk, phone: Phone) -> None:
    desk.tool.rename(desk.bundle.parent / "elsewhere")
    assert "benchmark_model is missing" in desk.refused(tool=False)
    assert "is no file" in desk.refused()
    desk.tool.write_bytes(b"<!doctype html>")
    assert "is no Android program" in desk.refused(tool=False)
    desk.tool.write_bytes(ELF_X86)
    assert "is a program for x86_64, but the phone is arm64-v8a" in desk.refused(tool=False)
    desk.tool.write_bytes(ELF_ARM64)
    desk(tool=False)


def test_a_tool_that_cannot_export_outputs_is_refused(desk: Desk, phone: Phone) -> None:
    desk.phones.benchmark.kind = "compiled"
    line = desk.refused()
    assert "does not know --input_layer" in line
    assert "CompiledModel API" in line
    assert not (desk.bundle / RESULTS_FILE).exists()


def test_wrong_outputs_are_refused(desk: Desk, phone: Phone) -> None:
    desk.phones.benchmark.wrong = True
    assert "computes something else on this phone" in desk.refused(code=1)
    assert not (desk.bundle / RESULTS_FILE).exists()


def test_a_model_that_does_not_run_is_named(desk: Desk, phone: Phone) -> None:
    desk.phones.benchmark.broken = "Failed to allocate tensors!"
    line = desk.refused()
    assert "does not run on this phone (1): ERROR: Failed to allocate tensors!" in line
    assert desk.manifest["panel"][0] in line


def test_files_are_checked_on_both_sides(desk: Desk, phone: Phone) -> None:
    phone.mark("damages")
    assert "arrived damaged on the phone" in desk.refused()
    (phone.root / "damages").unlink()
    file = next((desk.bundle / "models").iterdir())
    file.write_bytes(file.read_bytes()[:-1])
    assert "is damaged" in desk.refused()
    file.unlink()
    assert "Copy the whole bundle again" in desk.refused()


def test_space_is_checked_before_and_while_copying(desk: Desk, phone: Phone) -> None:
    phone.mark("full")
    assert "no space is left on PIXEL0001" in desk.refused()
    phone.command("df", 'echo "F 1K-blocks Used Available Use% M"; echo "/d 9 9 2048 99% /data"')
    assert "has 2 MiB left in /data/local/tmp" in desk.refused()


def test_other_obstacles_are_one_line(desk: Desk, phone: Phone) -> None:
    phone.mark("low_power", "1\n")
    assert "battery saver is on" in desk.refused()
    phone.mark("low_power", "0\n")
    desk.change(setup={**desk.manifest["setup"], "runtime": "onnxruntime", "format": "onnx"})
    assert "is for onnxruntime" in desk.refused()
    desk.change(schema="hwnas-manifest/9")
    assert "is no hwnas-manifest/1" in desk.refused()
    (desk.bundle / "manifest.json").write_text("{")
    assert "cannot be read" in desk.refused()
    (desk.bundle / "manifest.json").unlink()
    assert "give the folder that `hwnas profile --emit` made" in desk.refused()


@pytest.mark.parametrize("dtype", ["float32", "float16", "int8", "uint8"])
def test_input_and_samples_are_those_of_probe(dtype: str) -> None:
    shape = (1, 7, 9, 5)
    values = probe.given(shape, dtype)
    assert harness.given(shape, dtype) == values.tobytes()
    assert harness.sampled(values.tobytes(), shape, dtype) == list(probe.sampled(values))
    small = probe.given((1, 3), dtype)
    assert harness.sampled(small.tobytes(), (1, 3), dtype) == list(probe.sampled(small))
    with pytest.raises(ValueError, match="3 bytes instead of"):
        harness.sampled(b"123", shape, dtype)
    other = probe.sampled(values[::-1, ::-1])
    expected = probe.sampled(values)
    assert harness.distance(expected, other) == pytest.approx(probe.distance(expected, other))
    assert harness.distance(expected, [float("nan")] * len(expected)) == float("inf")


@pytest.mark.parametrize(
    ("line", "us"),
    [
        ("count=50 first=32891 curr=33978 min=32641 max=34005 avg=33209.4 std=450", 33193.163),
        ("INFO: count=3 first=10 curr=10 min=10 max=40 avg=20 std=14 p5=10 median=10 p95=40", 10),
        ("INFO: count=1 curr=905463 p5=905463 median=905463 p95=905463", 905463),
        ("INFO: count=4 curr=12(all same) p5=12 median=12 p95=12", 12),
        ("count=1 curr=633430", 633430),
    ],
)
def test_a_sample_is_the_mean_without_the_slowest_run(line: str, us: float) -> None:
    assert harness.sample_us(line) == pytest.approx(us)


@pytest.mark.parametrize("line", ["", "count=0", "count=1 curr=0", "count=2 avg=nan max=nan"])
def test_a_line_without_a_time_is_refused(line: str) -> None:
    with pytest.raises(harness.Stop, match="no usable time"):
        harness.sample_us(line)


def test_conditions_are_read_from_whatever_the_phone_tells() -> None:
    text = THERMAL.format(celsius=62.5, status=2) + BATTERY + "clock=1000000\nclock=2914000\n"
    hot = harness.conditions(text)
    assert hot["temperature_c"] == 62.5
    assert (hot["thermal_state"], hot["throttled"]) == ("moderate", True)
    assert hot["cpu_mhz"] == 2914.0
    cached = text.partition("Current temperatures")[0]
    assert harness.conditions(cached)["temperature_c"] == 99.0
    zones = "zone=41500 cpu-0-0\nzone=4200000 vbat\nzone= gpu\nzone=39000 soc-thermal\n"
    assert harness.conditions(zones)["temperature_c"] == 41.5
    assert set(harness.conditions("").values()) == {None}


def test_help_is_short_and_has_an_example() -> None:
    done = subprocess.run(
        [sys.executable, str(HARNESS), "--help"], capture_output=True, text=True, check=True
    )
    assert "Example:" in done.stdout
    assert "--serial" in done.stdout


def test_a_bundle_becomes_a_table(tmp_path_factory: pytest.TempPathFactory) -> None:
    """As a user does it, with as few networks as a table takes."""
    folder = tmp_path_factory.mktemp("e")
    space, phone_profile = find_space("rcnet-digits"), find_target("android")
    plan = dataclasses.replace(
        make_plan(space, calibration=20, validation=30), passes=1, batch=25, rounds=2
    )
    emit_bundle(folder / "b", phone_profile, space, plan, maker_of(phone_profile), Silent())
    tool = folder / "android_aarch64_benchmark_model"
    tool.write_bytes(ELF_ARM64)
    with Phones(folder / "p") as phones:
        phones.add()
        desk = Desk(phones, folder / "b", tool)
        desk("--runs", "3")
    done = ingest(folder / "b", folder, Silent(), target="android")
    assert (done.done, done.jobs) == (2, 2)
    table = done.table
    assert table is not None
    assert table.label == "measured"
    assert table.meta["device"]["model"] == "Google Pixel 8"
    assert table.meta["harness"].startswith("android 1, cores 8")
    assert table.meta["conditions"]["hottest_c"] == 40.0
    assert len(table.held_out) == 30
    (row,) = [row for row in list_targets(folder) if row["target"] == "android"]
    assert row["tables"][0]["device"] == "Google Pixel 8"
