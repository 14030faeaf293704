"""The Android harness, against a simulated phone that really runs the models in LiteRT."""

from __future__ import annotations

import hashlib
import signal
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from android_desk import NETWORKS, PANEL, ROUNDS, Desk, desk_in
from bundles import emitted
from phones import ELF_ARM64, Phone, Phones

from hwnas.bundle import probe
from hwnas.bundle.results import RESULTS_FILE
from hwnas.progress import Silent
from hwnas.workflows.profile.bundle import ingest
from hwnas.workflows.profile.options import ProfileOptions
from hwnas.workflows.targets.options import TargetsOptions
from hwnas.workflows.targets.targets import targets

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass
class Finished:
    """A run that went well."""

    desk: Desk
    phone: Phone
    told: str


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Finished]:
    with desk_in(tmp_path_factory.mktemp("f")) as desk:
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


def test_statistics_without_percentiles_are_read_too(desk: Desk, phone: Phone) -> None:
    desk.phones.benchmark.percentiles = False
    desk("--runs", "1")
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


def test_more_threads_than_cores_are_refused(desk: Desk, phone: Phone) -> None:
    desk.change(setup={**desk.manifest["setup"], "threads": 6})
    assert "asks for 6 threads, but the phone has 5 cores" in desk.refused()


def test_pinning_can_be_left_out_or_be_impossible(desk: Desk, phone: Phone) -> None:
    desk("--cores", "any")
    assert not (phone.root / "masks").exists()
    assert "cores not pinned" in desk.results.runtime.harness
    assert "no core 7, only 0-1,4-5,8" in desk.refused("--cores", "7")
    for wrong in ("big", "7-4", ""):
        assert "must be auto, any or a list" in desk.refused("--cores", wrong)


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


def test_a_bundle_becomes_a_table(tmp_path_factory: pytest.TempPathFactory) -> None:
    """As a user does it, with as few networks and rounds as a table takes."""
    folder = tmp_path_factory.mktemp("e")
    emitted(folder / "b", "android", rounds=2)
    tool = folder / "android_aarch64_benchmark_model"
    tool.write_bytes(ELF_ARM64)
    with Phones(folder / "p") as phones:
        phones.add()
        Desk(phones, folder / "b", tool)("--runs", "3")
    done = ingest(folder / "b", ProfileOptions(workspace=folder, target="android"), Silent())
    assert done.profiled is not None
    table = done.profiled.table
    assert table.label == "measured"
    assert table.meta["device"]["model"] == "Google Pixel 8"
    assert table.meta["harness"] == "android 1, cores 8, 3 runs without the slowest"
    assert table.meta["conditions"]["hottest_c"] == 40.0
    assert len(table.held_out) == 30
    listed = targets(TargetsOptions(workspace=folder))
    (row,) = [row for row in listed if row["target"] == "android"]
    assert row["tables"][0]["device"] == "Google Pixel 8"
