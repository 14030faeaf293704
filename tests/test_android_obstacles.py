"""The Android harness where something is missing or wrong: one line that says what to do."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from android_desk import HARNESS
from phones import ELF_ARM64, ELF_X86

from hwnas.bundle.results import RESULTS_FILE

if TYPE_CHECKING:
    from android_desk import Desk
    from phones import Phone


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
