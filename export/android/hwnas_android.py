#!/usr/bin/env python3
"""Time the models of a bundle on an Android phone that is attached to this computer.

    python3 BUNDLE/hwnas_android.py [--serial S] [--benchmark-model PATH]

BUNDLE is the folder that `hwnas profile --emit` made; this file lies in it. The phone runs
`benchmark_model`, the tool of LiteRT (TensorFlow Lite); export/android/README.md says where it
comes from. What the phone answers is written to BUNDLE/results.json after every job. After a pulled
cable or Ctrl-C the same command goes on.

Needs Python 3.8 or later and adb; nothing else, and nothing to be installed on the phone.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import random
import re
import shlex
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from array import array
from contextlib import suppress
from pathlib import Path
from typing import Any, Iterable, Sequence

HARNESS = "android 1"
MANIFEST, RESULTS = "hwnas-manifest/1", "hwnas-results/1"
REMOTE = "/data/local/tmp"
TOOLS = ("android_aarch64_benchmark_model", "benchmark_model")
WHERE = "export/android/README.md says where to get it"

RUNS = 5
"""Timed runs of each sample; the slowest is left out of their mean."""
SETTLE_S = 0.02
"""Untimed seconds of each process: the clock of a core may drop while a model is read."""
SECONDS_PER_MODEL = 60
"""Limit for one process of one model, after which the phone counts as hung."""
COOLING_S, LONGEST_COOLING_S = 5, 900
"""Pause between two looks at the temperature, and how long to wait for it at most."""

THERMAL_STATES = ("none", "light", "moderate", "severe", "critical", "emergency", "shutdown")
HEATED = {0, 1, 3, 9, 10, 13}
"""Types of Android's thermal service that are temperatures of the chip or the case: CPU, GPU, skin,
NPU, TPU, SoC. Others are batteries, radios, voltages and currents."""
MACHINES = {
    "arm64-v8a": (2, 183),
    "armeabi-v7a": (1, 40),
    "armeabi": (1, 40),
    "x86_64": (2, 62),
    "x86": (1, 3),
}
"""Class and machine of an ELF file by Android's name of the processor."""


class Stop(Exception):  # noqa: N818 - the end of this run, not always a mistake
    """What the user should read, in one line, and the exit code."""

    def __init__(self, message: str, code: int = 2) -> None:
        """Keep both."""
        super().__init__(message)
        self.code = code


class Lost(Stop):
    """The phone does not answer any more."""


# The fixed input and the values that are compared; hwnas/bundle/probe.py has the definitions.


def given(shape: Sequence[int], dtype: str) -> bytes:
    """Return the input of a model as its file holds it, little-endian."""
    hashes = ((i * 2654435761) & 0xFFFFFFFF for i in range(1, math.prod(shape) + 1))
    if dtype == "int8":
        return array("b", [(h >> 24) - 128 for h in hashes]).tobytes()
    if dtype == "uint8":
        return bytes(h >> 24 for h in hashes)
    values = [(h >> 8) / 2**23 - 1 for h in hashes]
    return struct.pack(f"<{len(values)}{_code(dtype)}", *values)


def _code(dtype: str) -> str:
    return {"float32": "f", "float16": "e", "int8": "b", "uint8": "B"}[dtype]


def sampled(data: bytes, shape: Sequence[int], dtype: str) -> list[float]:
    """Return the values of an output that are compared; raises ValueError for a wrong size."""
    count, code = math.prod(shape), "<" + _code(dtype)
    if len(data) != count * struct.calcsize(code):
        raise ValueError(f"{len(data)} bytes instead of {count * struct.calcsize(code)}")
    compared = min(count, 64)
    size = struct.calcsize(code)
    places = (index * count // compared for index in range(compared))
    return [float(struct.unpack_from(code, data, place * size)[0]) for place in places]


def distance(expected: Sequence[float], seen: Sequence[float]) -> float:
    """Return how far two samples are apart, relative to the length of the expected one."""
    if len(expected) != len(seen) or not all(map(math.isfinite, seen)):
        return math.inf
    length = math.sqrt(math.fsum(value * value for value in expected))
    gap = math.sqrt(math.fsum((a - b) ** 2 for a, b in zip(expected, seen)))
    return gap / length if length else (0.0 if not gap else math.inf)


# What benchmark_model prints.


def sample_us(line: str) -> float:
    """Return the time of a steady run from a line "count=... avg=... max=...", in microseconds.

    The slowest run is left out, so that one interruption does not count; the mean of the others is
    finer than the tool's median, which is a whole number of microseconds.
    """
    found = {name: float(value) for name, value in re.findall(r"(\w+)=([-+.\deE]+)", line)}
    count = int(found.get("count", 0))
    if count > 1 and {"avg", "max"} <= set(found):
        value = (found["avg"] * count - found["max"]) / (count - 1)
    else:
        value = found.get("curr", math.nan)
    if count < 1 or not (math.isfinite(value) and value > 0):
        raise Stop(f"benchmark_model printed no usable time, but {line.strip()!r}.")
    return value


# Bundle and results on this computer.


class Bundle:
    """A folder with manifest.json and models/, and what was measured of it so far."""

    def __init__(self, folder: Path) -> None:
        """Read the manifest."""
        self.folder, self.results_path = folder, folder / "results.json"
        path = folder / "manifest.json"
        try:
            manifest = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise Stop(
                f"{path} is missing: give the folder that `hwnas profile --emit` made."
            ) from None
        except (OSError, ValueError) as error:
            raise Stop(f"{path} cannot be read ({error}): make the bundle again.") from None
        if not isinstance(manifest, dict) or manifest.get("schema") != MANIFEST:
            raise Stop(f"{path} is no {MANIFEST}: take this file and hwnas of one version.")
        self.manifest: dict[str, Any] = manifest
        self.setup, self.models = manifest["setup"], manifest["models"]
        if (self.setup["runtime"], self.setup["format"]) != ("tflite", "tflite"):
            raise Stop(
                f"{folder} is for {self.setup['runtime']}, but a phone runs tflite files: see "
                "export/README.md for the right harness."
            )
        self._sound: set[str] = set()

    def file(self, digest: str) -> Path:
        """Return the file of a model, which is what the manifest says."""
        path = self.folder / "models" / f"{digest}{self.manifest['suffix']}"
        if digest not in self._sound:
            try:
                found = hashlib.sha256(path.read_bytes()).hexdigest()
            except OSError as error:
                raise Stop(f"{path}: {error.strerror}. Copy the whole bundle again.") from None
            if found != digest:
                raise Stop(f"{path} is damaged (SHA-256 {found[:12]}): copy the bundle again.")
            self._sound.add(digest)
        return path

    def digest(self, name: str) -> str:
        """Return the SHA-256 of a model."""
        return str(self.models[name]["sha256"])

    def earlier(self, facts: dict[str, Any], fresh: bool) -> dict[str, Any]:
        """Return the results so far, if they are of the same bundle, phone and set-up."""
        path = self.results_path
        new: dict[str, Any] = {
            "schema": RESULTS,
            "bundle": self.manifest["bundle"],
            "setup": self.setup,
            **facts,
            "models": {},
            "jobs": [],
        }
        if fresh or not path.exists():
            return new
        try:
            old = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise Stop(f"{path} cannot be read ({error}): remove it to start again.") from None
        for name in ("schema", "bundle", "setup", "device", "runtime"):
            seen = old.get(name) if isinstance(old, dict) else None
            if seen != new[name]:
                raise Stop(
                    f"{path} is of another {name} ({_short(seen)}, and now {_short(new[name])}): "
                    "move it away, or pass --fresh to replace it."
                )
        return {**new, **old}

    def write(self, results: dict[str, Any]) -> None:
        """Write the results whole or not at all."""
        temporary = self.results_path.with_name(f".results.{os.getpid()}.tmp")
        try:
            with temporary.open("w", encoding="utf-8") as stream:
                json.dump(results, stream, allow_nan=False)
                stream.flush()
                os.fsync(stream.fileno())
            temporary.replace(self.results_path)
        except OSError as error:
            with suppress(OSError):
                temporary.unlink()
            raise Stop(f"cannot write {self.results_path}: {error.strerror}.") from None


def _short(value: Any) -> str:
    text = ", ".join(map(str, value.values())) if isinstance(value, dict) else str(value)
    return text if len(text) < 120 else text[:117] + "..."


# The phone.


class Phone:
    """One attached phone, through adb."""

    def __init__(self, adb: str, serial: str) -> None:
        """Know how to reach it."""
        self._adb, self.serial = adb, serial

    def shell(self, command: str, timeout: float = 60) -> str:
        """Return what a command prints; its exit code is of no interest.

        Raises:
            Lost: the phone did not run it to its end.
        """
        done = self._call(["shell", f"{command}\necho @end"], timeout)
        text = done.stdout.replace("\r", "")
        if not text.rstrip().endswith("@end"):
            raise self._lost(done)
        return text.rstrip()[: -len("@end")]

    def push(self, sources: Iterable[Path], target: str) -> None:
        """Copy files into a folder of the phone, some at a time."""
        paths = [str(path) for path in sources]
        for start in range(0, len(paths), 50):
            done = self._call(["push", *paths[start : start + 50], target], 1800)
            if done.returncode:
                raise self._not_copied(done)

    def write(self, content: bytes, target: str) -> None:
        """Make a file on the phone."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "file"
            path.write_bytes(content)
            done = self._call(["push", str(path), target], 1800)
        if done.returncode:
            raise self._not_copied(done)

    def pull(self, source: str, folder: Path) -> None:
        """Copy a folder of the phone into one of this computer."""
        done = self._call(["pull", source, str(folder)], 1800)
        if done.returncode:
            raise self._not_copied(done)

    def _call(self, arguments: list[str], timeout: float) -> subprocess.CompletedProcess[str]:
        command = [self._adb, "-s", self.serial, *arguments]
        try:
            return _run(command, timeout)
        except subprocess.TimeoutExpired:
            raise Lost(f"{self.serial} has not answered for {timeout:.0f} s") from None

    def _not_copied(self, done: subprocess.CompletedProcess[str]) -> Stop:
        said = (done.stderr + done.stdout).strip()
        if "No space left" in said:
            return Stop(f"no space is left on {self.serial}: free some in its storage settings.")
        lost = self._lost(done)
        if "device" in attached(self._adb).get(self.serial, ""):
            return Stop(f"a file could not be copied: {said.splitlines()[-1] if said else 'adb'}.")
        return lost

    def _lost(self, done: subprocess.CompletedProcess[str]) -> Lost:
        state = attached(self._adb).get(self.serial, "gone")
        said = (done.stderr.strip().splitlines() or [""])[-1]
        return Lost(f"{self.serial} is {state}" if state != "device" else f"adb failed ({said})")


def _run(command: list[str], timeout: float) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - adb, with the arguments of this file
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        timeout=timeout,
        check=False,
    )


def find_adb() -> str:
    """Return the path of adb."""
    if (adb := shutil.which("adb")) is None:
        raise Stop(
            'adb is not installed: "sudo apt install adb" on Debian and Ubuntu, "brew install '
            "android-platform-tools\" on a Mac, else Android's SDK Platform-Tools on the PATH."
        )
    return adb


def attached(adb: str) -> dict[str, str]:
    """Return the state of every phone that adb sees, by serial number."""
    try:
        listed = _run([adb, "devices"], 60).stdout
    except subprocess.TimeoutExpired:
        raise Stop("adb does not answer: try `adb kill-server`.") from None
    lines = (line.split(None, 1) for line in listed.splitlines() if not line.startswith("*"))
    return {parts[0]: parts[1].strip() for parts in lines if len(parts) == 2 and parts[0] != "List"}


def choose(phones: dict[str, str], wanted: str | None) -> str:
    """Return the serial number of the phone to use, which is ready."""
    if not phones:
        raise Stop(
            "no phone is attached: connect one by cable, switch on USB debugging in its developer "
            "options, and see whether `adb devices` lists it."
        )
    ready = [serial for serial, state in phones.items() if state == "device"]
    listed = ", ".join(sorted(phones))
    if wanted is None and len(ready) > 1:
        raise Stop(f"{len(ready)} phones are attached: name one with --serial ({listed}).")
    if wanted is not None and wanted not in phones:
        raise Stop(f"no phone has the serial number {wanted}. Attached: {listed}.")
    serial = wanted or (ready or sorted(phones))[0]
    if (state := phones[serial]) != "device":
        raise Stop(f"{serial} is {_not_ready(state)}")
    return serial


def _not_ready(state: str) -> str:
    if state.startswith(("unauthorized", "authorizing")):
        return "not authorised: unlock it and accept 'Allow USB debugging?' on its screen."
    if state.startswith("offline"):
        return "offline: unplug the cable and plug it in again, or restart the phone."
    if state.startswith("no permissions"):
        return (
            "closed to this user: install the udev rules (Debian and Ubuntu: "
            "android-sdk-platform-tools-common), then plug the cable in again."
        )
    return f"not ready ({state}): start Android on it."


# What the phone is, and how it is at the moment.

FACTS = """
for p in ro.product.manufacturer ro.product.model ro.soc.manufacturer ro.soc.model \
  ro.board.platform ro.hardware ro.build.version.release ro.build.id ro.product.cpu.abi; do
  echo "$p=$(getprop $p)"
done
echo "machine=$(uname -m)"
for c in /sys/devices/system/cpu/cpu[0-9]*; do
  echo "core=${c##*/cpu} $(cat $c/cpufreq/cpuinfo_max_freq 2>/dev/null || echo 0) \
$(cat $c/cpufreq/scaling_governor 2>/dev/null)"
done
echo "taskset=$(command -v taskset)"
echo "sha256sum=$(command -v sha256sum)"
echo "low_power=$(settings get global low_power 2>/dev/null)"
echo "space=$(df -k /data/local/tmp | tail -n 1)"
"""

CONDITIONS = """
dumpsys thermalservice 2>/dev/null
dumpsys battery 2>/dev/null
for z in /sys/class/thermal/thermal_zone*; do
  echo "zone=$(cat $z/temp 2>/dev/null) $(cat $z/type 2>/dev/null)"
done
for c in /sys/devices/system/cpu/cpu[0-9]*; do
  echo "clock=$(cat $c/cpufreq/scaling_cur_freq 2>/dev/null)"
done
"""


class Facts:
    """What a phone says of itself."""

    def __init__(self, text: str) -> None:
        """Parse what `FACTS` printed."""
        pairs = [line.partition("=")[::2] for line in text.splitlines() if "=" in line]
        self._values = {name: value.strip() for name, value in pairs}
        self.cores: dict[int, tuple[int, str]] = {}
        for name, value in pairs:
            if name == "core" and value.split():
                index, clock, *governor = value.split()
                self.cores[int(index)] = (int(clock), " ".join(governor))

    def __getitem__(self, name: str) -> str:
        """Return a value, "" where the phone does not say."""
        return self._values.get(name, "")

    @property
    def free_bytes(self) -> int | None:
        """Space for models, None where df is unreadable."""
        fields = self["space"].split()
        return int(fields[3]) * 1024 if len(fields) > 3 and fields[3].isdigit() else None

    def device(self, cores: Sequence[int]) -> dict[str, Any]:
        """Return what identifies the phone, as results have it."""
        maker, model = self["ro.product.manufacturer"], self["ro.product.model"]
        chip = f"{self['ro.soc.manufacturer']} {self['ro.soc.model']}".strip()
        governors = sorted({self.cores[core][1] for core in cores or self.cores} - {""})
        version = f"Android {self['ro.build.version.release']} ({self['ro.build.id']})"
        return {
            "model": (model if model.startswith(maker) else f"{maker} {model}").strip()[:200],
            "cpu": (chip or self["ro.board.platform"] or self["ro.hardware"] or "unknown")[:200],
            "cores": max(1, len(self.cores)),
            "os": version[:200],
            "machine": self["machine"][:200],
            "governor": ", ".join(governors)[:200] or "not readable",
        }


def conditions(text: str) -> dict[str, Any]:
    """Return how the phone is, from what `CONDITIONS` printed; None: it does not say."""
    status = re.search(r"Thermal Status: (\d+)", text)
    level = int(status[1]) if status else None
    battery = re.search(r"^\s*level: (\d+)", text, re.MULTILINE)
    powered = re.findall(r"^\s*\w[\w ]* powered: (true|false)", text, re.MULTILINE)
    clocks = [int(clock) for clock in re.findall(r"^clock=(\d+)", text, re.MULTILINE)]
    known = level is not None and level < len(THERMAL_STATES)
    return {
        "temperature_c": _hottest(text),
        "thermal_state": THERMAL_STATES[level] if known and level is not None else None,
        "throttled": None if level is None else level > 0,
        "cpu_mhz": max(clocks) / 1000 if clocks else None,
        "battery_percent": float(min(100, int(battery[1]))) if battery else None,
        "charging": "true" in powered if powered else None,
    }


def _hottest(text: str) -> float | None:
    """Return the hottest of chip and case: Android's own readings, else the kernel's zones."""
    current = text.partition("Current temperatures from HAL:")[2].partition("Current cooling")[0]
    section = current if "mValue" in current else text.partition("Cached temperatures:")[2]
    readings = re.findall(r"\{mValue=([-.\dE]+), mType=(\d+)", section)
    found = [float(value) for value, kind in readings if int(kind) in HEATED]
    if not found:
        zones = re.findall(r"^zone=(\d+) (\S*)", text, re.MULTILINE)
        found = [int(value) / 1000 for value, name in zones if re.search("cpu|soc|skin|gpu", name)]
    plausible = [value for value in found if 0 < value < 150]
    return round(max(plausible), 1) if plausible else None


def choose_cores(asked: str, facts: Facts, threads: int) -> list[int]:
    """Return the cores to keep to: the fastest, as many as threads; none: do not pin."""
    if asked == "any":
        return []
    if asked != "auto":
        cores = _core_list(asked)
        if unknown := sorted(set(cores) - set(facts.cores)):
            raise Stop(f"--cores: the phone has no core {unknown[0]}, only {_ranges(facts.cores)}.")
        if not facts["taskset"]:
            raise Stop("--cores: this phone has no `taskset`. Pass --cores any.")
        return cores
    if not facts["taskset"]:
        return []
    if threads > len(facts.cores):
        raise Stop(
            f"the bundle asks for {threads} threads, but the phone has {len(facts.cores)} cores: "
            "make one for fewer (hwnas profile --threads N --emit DIR)."
        )
    fastest = sorted(facts.cores, key=lambda core: (facts.cores[core][0], core))
    return sorted(fastest[-threads:])


def _core_list(text: str) -> list[int]:
    cores: set[int] = set()
    for part in text.split(","):
        match = re.fullmatch(r"(\d+)(?:-(\d+))?", part.strip())
        if match is None:
            raise Stop(f"--cores must be auto, any or a list such as 4-7, but is {text!r}.")
        cores |= set(range(int(match[1]), int(match[2] or match[1]) + 1))
    return sorted(cores)


def _ranges(cores: Iterable[int]) -> str:
    """Return cores in short: "4-7", "0,2"."""
    parts: list[list[int]] = []
    for core in sorted(cores):
        if parts and core == parts[-1][-1] + 1:
            parts[-1].append(core)
        else:
            parts.append([core])
    return ",".join(f"{p[0]}-{p[-1]}" if len(p) > 1 else str(p[0]) for p in parts)


# The program that runs on the phone.


def find_tool(given_path: str | None) -> Path:
    """Return benchmark_model on this computer."""
    if given_path is not None:
        path = Path(given_path)
        if not path.is_file():
            raise Stop(f"{path} is no file: give benchmark_model, the program ({WHERE}).")
        return path
    for folder in (Path.cwd(), Path(__file__).resolve().parent):
        for name in TOOLS:
            if (folder / name).is_file():
                return folder / name
    raise Stop(
        f"benchmark_model is missing: put {TOOLS[0]} into this folder, or give it with "
        f"--benchmark-model ({WHERE})."
    )


def check_tool(content: bytes, path: Path, abi: str) -> None:
    """Raise Stop if a program cannot run on a processor."""
    expected = MACHINES.get(abi)
    if content[:4] != b"\x7fELF":
        raise Stop(f"{path} is no Android program (perhaps a web page was saved): {WHERE}.")
    machine = int.from_bytes(content[18:20], "little")
    if expected and (content[4], machine) != expected:
        names = [name for name, kind in MACHINES.items() if kind == (content[4], machine)]
        raise Stop(
            f"{path} is a program for {names[0] if names else 'another processor'}, but the phone "
            f"is {abi}: get that one ({WHERE})."
        )


NEEDED = (
    "graph",
    "num_threads",
    "num_runs",
    "min_secs",
    "warmup_runs",
    "warmup_min_secs",
    "use_xnnpack",
    "input_layer",
    "input_layer_shape",
    "input_layer_value_files",
    "output_filepath",
)


class Bench:
    """A phone with benchmark_model and a folder for the bundle on it."""

    def __init__(self, phone: Phone, bundle: Bundle, options: argparse.Namespace) -> None:
        """Look at the phone and at the program; nothing is copied yet."""
        self.phone, self.bundle, self.runs = phone, bundle, options.runs
        self.setup, self.protocol = bundle.setup, bundle.manifest["protocol"]
        self.facts = Facts(phone.shell(FACTS))
        self.cores = choose_cores(options.cores, self.facts, self.setup["threads"])
        path = find_tool(options.benchmark_model)
        self._tool = path.read_bytes()
        check_tool(self._tool, path, self.facts["ro.product.cpu.abi"])
        if not self.facts["sha256sum"]:
            raise Stop("this phone has no `sha256sum`: its Android is too old for this harness.")
        if self.facts["low_power"] == "1":
            raise Stop("battery saver is on and holds the clock down: switch it off.")
        self.folder = f"{REMOTE}/hwnas-{re.sub('[^A-Za-z0-9]', '', bundle.manifest['bundle'])}"

    @property
    def about(self) -> dict[str, Any]:
        """Return what results say of phone and program."""
        pinned = f"cores {_ranges(self.cores)}" if self.cores else "cores not pinned"
        return {
            "device": self.facts.device(self.cores),
            "runtime": {
                "name": self.setup["runtime"],
                "version": f"benchmark_model {hashlib.sha256(self._tool).hexdigest()[:12]}",
                "harness": f"{HARNESS}, {pinned}, {self.runs} runs without the slowest",
            },
        }

    def install(self) -> None:
        """Copy the program and check what it can do."""
        self._check_space()
        folders = " ".join(f"{self.folder}/{name}" for name in "mio")
        self.phone.shell(f"rm -rf {REMOTE}/hwnas-*; mkdir -p {folders}")
        self.phone.write(self._tool, f"{self.folder}/benchmark_model")
        told = self.phone.shell(
            f"cd {self.folder} && chmod 755 benchmark_model && ./benchmark_model --help 2>&1"
        )
        if missing := [flag for flag in NEEDED if f"--{flag}=" not in told]:
            raise self._unfit(told, missing)

    def _unfit(self, told: str, missing: list[str]) -> Stop:
        if "--graph" not in told and "graph" not in told:
            last = (told.strip().splitlines() or ["it printed nothing"])[-1]
            return Stop(f"benchmark_model does not run on this phone: {last}.")
        return Stop(
            f"this benchmark_model does not know --{missing[0]}, so nobody could tell that it ran "
            "the right model: it is an old one, or that of LiteRT's CompiledModel API. Get the one "
            f"of the Interpreter API ({WHERE})."
        )

    def _check_space(self) -> None:
        size = {entry["sha256"]: entry["size_bytes"] for entry in self.bundle.models.values()}
        panel = {self.bundle.digest(name) for name in self.bundle.manifest["panel"]}
        jobs = [
            {self.bundle.digest(name) for name in job["networks"]}
            for job in self.bundle.manifest["jobs"]
        ]
        most = max((sum(size[each] for each in panel | job) for job in jobs), default=0)
        needed, free = int(1.2 * most) + len(self._tool) + 2**26, self.facts.free_bytes
        if free is not None and free < needed:
            raise Stop(
                f"the phone has {free >> 20} MiB left in {REMOTE}, but {needed >> 20} MiB are "
                "needed: free some in its storage settings."
            )

    def load(self, names: Sequence[str]) -> dict[str, str]:
        """Put models and their inputs on the phone; return their SHA-256 there, by name."""
        suffix = self.bundle.manifest["suffix"]
        present = self._digests()
        wanted = {self.bundle.digest(name) for name in names}
        missing = [self.bundle.file(digest) for digest in sorted(wanted - set(present))]
        self.phone.push(missing, f"{self.folder}/m/")
        found = self._digests()
        for digest in wanted:
            if found.get(digest) != digest:
                raise Stop(f"{digest}{suffix} arrived damaged on the phone: run this again.")
        inputs = {
            self._input(name): (entry["shape"], entry["dtype"])
            for name in names
            for entry in [self.bundle.models[name]["input"]]
        }
        there = self.phone.shell(f"ls {self.folder}/i").split()
        for file, (shape, dtype) in inputs.items():
            if file not in there:
                self.phone.write(given(shape, dtype), f"{self.folder}/i/{file}")
        return {name: found[self.bundle.digest(name)] for name in names}

    def _digests(self) -> dict[str, str]:
        listed = self.phone.shell(f"cd {self.folder}/m && sha256sum * 2>/dev/null", 600)
        pairs = (line.split() for line in listed.splitlines())
        return {pair[1].partition(".")[0]: pair[0] for pair in pairs if len(pair) == 2}

    def drop(self, names: Iterable[str]) -> None:
        """Remove models that no later job needs at once."""
        files = " ".join(sorted(self.bundle.digest(name) + ".*" for name in names))
        self.phone.shell(f"cd {self.folder}/m && rm -f {files} && rm -rf ../o/*")

    def outputs(self, names: Sequence[str]) -> dict[str, list[float]]:
        """Return what models compute on the phone, at the positions that are compared.

        Raises:
            Stop: one computes something else than it should.
        """
        flags = "--num_runs=1 --warmup_runs=1 --warmup_min_secs=0 --output_filepath=o/$1"
        lines = [f"r {self._arguments(name)}" for name in names]
        told = self._script(self._runner(flags, "sed -n '/XNNPACK delegate/p' log"), lines)
        if partly := told.count("partially executed"):
            _say(f"note: {partly} of {len(names)} models run only partly in XNNPACK.")
        with tempfile.TemporaryDirectory() as folder:
            self.phone.pull(f"{self.folder}/o", Path(folder))
            return {name: self._output(name, Path(folder) / "o") for name in names}

    def _output(self, name: str, folder: Path) -> list[float]:
        model = self.bundle.models[name]
        path, output = folder / str(model["sha256"]), model["output"]
        try:
            seen = sampled(path.read_bytes(), output["shape"], output["dtype"])
        except (OSError, ValueError) as error:
            raise Stop(f"model {name!r}: no usable output came from the phone ({error}).") from None
        gap = distance(model["expected"], seen)
        if gap > model["tolerance"]:
            raise Stop(
                f"model {name!r} computes something else on this phone: {gap:.2g} off, and "
                f"{model['tolerance']:g} is allowed. Nothing that it says can be used; try another "
                "benchmark_model.",
                code=1,
            )
        return seen

    def warm_up(self, name: str) -> None:
        """Run one model untimed for as long as the protocol says."""
        flags = f"--num_runs=1 --warmup_runs=1 --warmup_min_secs={self.protocol['warm_up_s']}"
        self._script(self._runner(flags, ""), [f"r {self._arguments(name)}"])

    def round(self, names: Sequence[str]) -> list[tuple[str, float]]:
        """Time each model once, in this order; return (name, milliseconds)."""
        untimed = max(self.protocol["warm_up_rounds"], self.protocol["untimed_runs"])
        flags = (
            f"--num_runs={self.runs} --warmup_runs={max(1, untimed)} --warmup_min_secs={SETTLE_S}"
        )
        lines = [f"r {self._arguments(name)}" for name in names]
        told = self._script(self._runner(flags, "echo t $(grep count= log | tail -n 1)"), lines)
        times = [sample_us(line) / 1000 for line in told.splitlines() if line.startswith("t ")]
        if len(times) != len(names):
            raise Stop(f"benchmark_model told {len(times)} times for {len(names)} models.")
        return list(zip(names, times))

    def _runner(self, flags: str, after: str) -> str:
        """Return a shell function that runs one model: r SHA256 SHAPE INPUT."""
        mask = f"{sum(1 << core for core in self.cores):x}"
        pin = f"taskset {mask} " if self.cores else ""
        suffix = self.bundle.manifest["suffix"]
        return (
            "r() {\n"
            f"  {pin}./benchmark_model --graph=m/$1{suffix} --use_xnnpack=true --min_secs=0 "
            f"--num_threads={self.setup['threads']} --input_layer=x --input_layer_shape=$2 "
            f"--input_layer_value_files=x:i/$3 {flags} > log 2>&1\n"
            "  code=$?\n"
            "  if [ $code != 0 ] || ! grep -q 'Inference timings in us' log; then\n"
            "    echo failed $1 $code; tail -n 5 log; exit 0\n"
            "  fi\n"
            f"  {after}\n"
            "}\n"
        )

    def _script(self, runner: str, lines: Sequence[str]) -> str:
        """Run a script on the phone; what it prints is kept there until it has ended."""
        body = "\n".join([f"cd {self.folder} || exit", "echo $$ > pid", runner, *lines, "echo ran"])
        self.phone.write(body.encode(), f"{self.folder}/round.sh")
        limit = SECONDS_PER_MODEL * (len(lines) + 2)
        told = self.phone.shell(
            f"cd {self.folder} && sh ./round.sh > out 2>&1 < /dev/null; cat out; rm -f pid", limit
        )
        if told.rstrip().endswith("ran"):
            return told
        failed = re.search(r"^failed (\w+) (\d+)\n(.*)", told, re.MULTILINE | re.DOTALL)
        digest, code, said = failed.groups() if failed else ("", "?", told)
        names = [name for name in self.bundle.models if self.bundle.digest(name) == digest]
        reason = (said.strip().splitlines() or ["no reason given"])[-1].strip()
        raise Stop(f"model {(names or ['?'])[0]!r} does not run on this phone ({code}): {reason}")

    def _input(self, name: str) -> str:
        entry = self.bundle.models[name]["input"]
        return f"{entry['dtype']}-{'x'.join(map(str, entry['shape']))}"

    def _arguments(self, name: str) -> str:
        shape = ",".join(map(str, self.bundle.models[name]["input"]["shape"]))
        return f"{self.bundle.digest(name)} {shape} {self._input(name)}"

    def conditions(self) -> dict[str, Any]:
        """Return how the phone is now."""
        return conditions(self.phone.shell(CONDITIONS))

    def cooled(self) -> dict[str, Any]:
        """Wait until the phone is cool enough, and return how it is."""
        hottest, start = self.protocol.get("hottest_c"), time.monotonic()
        while True:
            now = self.conditions()
            warm = now["temperature_c"]
            if not now["throttled"] and (None in (hottest, warm) or warm <= hottest):
                return now
            if time.monotonic() - start > LONGEST_COOLING_S:
                raise Stop(
                    f"the phone stays too warm ({warm} C, thermal state {now['thermal_state']}): "
                    "take it off the charger and out of its case, and run the same command."
                )
            _say(f"waiting for the phone to cool: {warm} C, thermal state {now['thermal_state']}")
            time.sleep(COOLING_S)

    def clean(self) -> None:
        """Leave nothing on the phone, and nothing running."""
        self.phone.shell(
            f"cd {self.folder} 2>/dev/null && [ -f pid ] && kill $(cat pid); rm -rf {self.folder}"
        )


# One run.


def measure(bench: Bench, bundle: Bundle, fresh: bool) -> dict[str, Any]:
    """Do the jobs that are not done yet, and return all results."""
    results = bundle.earlier(bench.about, fresh)
    done = {job["number"] for job in results["jobs"]}
    missing = [job for job in bundle.manifest["jobs"] if job["number"] not in done]
    if not missing:
        return results
    if done:
        _say(f"{len(done)} of {len(bundle.manifest['jobs'])} jobs were done before.")
    bench.install()
    start = time.monotonic()
    for position, job in enumerate(missing):
        _say(_progress(position, len(missing), time.monotonic() - start))
        if position:
            time.sleep(bench.protocol["cool_down_s"])
        models, entry = run_job(bench, bundle, job, set(results["models"]))
        results["models"].update(models)
        results["jobs"].append(entry)
        bundle.write(results)
    return results


def _progress(position: int, jobs: int, seconds: float) -> str:
    left = f", about {seconds / position * (jobs - position) / 60:.0f} min left" if position else ""
    return f"job {position + 1} of {jobs}{left}"


def run_job(
    bench: Bench, bundle: Bundle, job: dict[str, Any], known: set[str]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Load, check and time the models of a job.

    Returns:
        What shows that the right models ran, for those not known yet, and the job's result.
    """
    panel, networks = list(bundle.manifest["panel"]), list(job["networks"])
    names = list(dict.fromkeys(panel + networks))
    found = bench.load(names)
    new = [name for name in names if name not in known]
    outputs = bench.outputs(new) if new else {}
    before = bench.cooled()
    bench.warm_up(panel[-1] if panel else names[0])
    rounds: list[list[tuple[str, float]]] = []
    start = time.monotonic()
    for number in range(job["rounds"]):
        if number:
            bench.cooled()
        order = names.copy()
        random.Random(f"{job['number']}/{number}").shuffle(order)
        rounds.append(bench.round(order))
    seconds = time.monotonic() - start
    entry = {
        "number": job["number"],
        "rounds": rounds,
        "before": before,
        "after": bench.conditions(),
        "seconds": round(seconds, 2),
    }
    bench.drop(set(networks) - set(panel))
    return {name: {"sha256": found[name], "output": outputs[name]} for name in new}, entry


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the options."""
    about = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        description=about[0], epilog="Example: python3 my-bundle/%(prog)s"
    )
    parser.add_argument(
        "bundle",
        type=Path,
        nargs="?",
        default=Path(__file__).resolve().parent,
        help="folder that `hwnas profile --emit` made (default: where this file is)",
    )
    parser.add_argument("--serial", help="which phone, if several are attached (`adb devices`)")
    parser.add_argument("--benchmark-model", metavar="PATH", help=f"the program; {WHERE}")
    parser.add_argument(
        "--cores",
        default="auto",
        help="auto: the fastest, as many as threads; any: not pinned; or a list such as 4-7",
    )
    parser.add_argument(
        "--runs", type=int, default=RUNS, help=f"timed runs of each sample (default {RUNS})"
    )
    parser.add_argument("--fresh", action="store_true", help="measure everything again")
    options = parser.parse_args(arguments)
    if not 1 <= options.runs <= 1000:
        parser.error("--runs must be between 1 and 1000")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program and return its exit code."""
    options = parse(arguments)
    kept = f"What was done is in {options.bundle / 'results.json'}; the same command goes on."
    try:
        run(options)
    except Lost as lost:
        _say(f"error: {lost}. Cable, restart or empty battery? {kept}")
        return lost.code
    except Stop as stop:
        _say(f"error: {stop}")
        return stop.code
    except KeyboardInterrupt:
        _say(f"interrupted. {kept}")
        return 130
    return 0


def run(options: argparse.Namespace) -> None:
    """Measure what is missing and say where it is."""
    bundle, adb = Bundle(options.bundle), find_adb()
    bench = Bench(Phone(adb, choose(attached(adb), options.serial)), bundle, options)
    try:
        results = measure(bench, bundle, options.fresh)
    except Lost:
        raise
    except BaseException:
        with suppress(Stop):
            bench.clean()
        raise
    bench.clean()
    path, target = bundle.results_path, shlex.quote(bundle.setup["target"])
    print(f"{len(results['jobs'])} jobs done on {results['device']['model']}: {path}")
    print(f"next: hwnas profile --target {target} --ingest {shlex.quote(str(path))}")


if __name__ == "__main__":
    sys.exit(main())
