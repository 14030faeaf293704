"""Target profiles: what is known of a device before anything is measured on it."""

from __future__ import annotations

import itertools
import math
import os
import platform
import re
import tomllib
from contextlib import suppress
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from hwnas.errors import UserError, one_of
from hwnas.graph import find_precision
from hwnas.harness import HARNESSES, usual_harness
from hwnas.resources import shipped

THREADS = re.compile(r"(.+)-t([1-9]\d*)")

RUNTIMES = tuple(dict.fromkeys(itertools.chain(*HARNESSES.values())))
COMPUTE_UNITS = ("cpu", "cpu_and_gpu", "cpu_and_neural_engine", "all")


@dataclass(frozen=True, slots=True)
class Anchor:
    """A published or measured time of one whole network.

    Attributes:
        network: "mobilenet_v2", or an architecture of the space, or its published name.
        space: geometry that the time holds for.
        latency_ms: the time.
        source: where it was published.
    """

    network: str
    space: str
    latency_ms: float
    source: str

    def __post_init__(self) -> None:
        _require_positive("latency_ms of an anchor", self.latency_ms)


@dataclass(frozen=True, slots=True)
class Estimation:
    """Assumptions behind an ESTIMATED table; the anchors correct them.

    Attributes:
        dense_gmadds: billions of multiply-accumulates per second in ungrouped convolutions.
        grouped_gmadds: the same in grouped 1x1 convolutions.
        depthwise_gmadds: the same in depthwise convolutions.
        memory_gbps: billions of bytes per second read and written.
        op_overhead_ms: fixed time per operation.
        spread: standard deviation of the logarithm of each of these.
        anchor_error: relative standard error of an anchor's time.
    """

    dense_gmadds: float
    grouped_gmadds: float
    depthwise_gmadds: float
    memory_gbps: float
    op_overhead_ms: float
    spread: float = 0.7
    anchor_error: float = 0.01

    def __post_init__(self) -> None:
        for each in fields(self):
            _require_positive(each.name, getattr(self, each.name))


@dataclass(frozen=True, slots=True)
class DeviceProfile:
    """One file of profiles/.

    Attributes:
        name: the target's name.
        title: one line for people.
        runtime: who runs the model.
        export_format: default of `hwnas export` for this target.
        precision: one of `graph.PRECISIONS`.
        threads: threads that the runtime uses.
        compute_units: of Core ML, one of `COMPUTE_UNITS`; None elsewhere.
        networks_at_once: whole networks that a device is to hold in memory beside all parts, or
            None where that is no matter.
        python: interpreter of the environment that the runtime lives in, if it is not hwnas's own.
        local: whether the target can be measured on the machine hwnas runs on.
        harness: what measures it where it is another machine, one of `HARNESSES`.
        hottest_c: at this temperature the device rests before it goes on; None: no limit.
        cool_down_s: pause of the device between two batches of networks.
        watts: mean power while it runs, if known; makes energy estimates possible.
        watts_source: where that figure comes from.
        power_sensors: hwmon sensors whose sum is the power of the device, e.g. "ina3221/VDD_IN";
            needed only where there are several.
        default_space: space of `hwnas profile` when none is given.
        anchors: whole-network times, for an estimated table.
        estimation: assumptions, for an estimated table.
    """

    name: str
    title: str
    runtime: str
    export_format: str
    default_space: str
    precision: str = "fp32"
    threads: int = 1
    compute_units: str | None = None
    networks_at_once: int | None = None
    python: str | None = None
    local: bool = False
    harness: str = "linux"
    hottest_c: float | None = None
    cool_down_s: float = 0.0
    watts: float | None = None
    watts_source: str | None = None
    power_sensors: tuple[str, ...] = field(default=())
    anchors: tuple[Anchor, ...] = field(default=())
    estimation: Estimation | None = None

    def energy_mj(self, latency_ms: float) -> float | None:
        """Return watts times latency, or None where the watts are unknown."""
        return None if self.watts is None else self.watts * latency_ms

    @property
    def energy_source(self) -> str:
        """What energies are without a meter: "estimated" from the watts, or "unknown"."""
        return "unknown" if self.watts is None else "estimated"

    def __post_init__(self) -> None:
        if self.runtime not in RUNTIMES:
            raise one_of("runtime", self.runtime, list(RUNTIMES))
        find_precision(self.precision)
        _require_count("threads", self.threads)
        if self.networks_at_once is not None:
            _require_count("networks_at_once", self.networks_at_once)
        self._check_compute_units()
        if self.harness not in HARNESSES:
            raise one_of("harness", self.harness, list(HARNESSES))
        if self.runtime not in HARNESSES[self.harness]:
            raise UserError(
                f"harness {self.harness!r} runs {', '.join(HARNESSES[self.harness])}, not "
                f"{self.runtime!r}"
            )
        if self.hottest_c is not None:
            _require_between("hottest_c", self.hottest_c, 20, 150)
        _require_between("cool_down_s", self.cool_down_s, 0, 600)
        if self.watts is not None:
            _require_positive("watts", self.watts)
        if not all(isinstance(name, str) for name in self.power_sensors):
            raise UserError(f"power_sensors must be a list of names, but is {self.power_sensors}")

    def _check_compute_units(self) -> None:
        if self.compute_units is None:
            return
        if self.runtime != "coreml":
            raise UserError(f"compute_units are of runtime coreml, not of {self.runtime}")
        if self.compute_units not in COMPUTE_UNITS:
            raise one_of("compute_units", self.compute_units, list(COMPUTE_UNITS))


def _require_count(name: str, value: object) -> None:
    if not isinstance(value, int) or value < 1:
        raise UserError(f"{name} must be at least 1, but got {value!r}")


def _require_positive(name: str, value: object) -> None:
    if not (isinstance(value, int | float) and math.isfinite(value) and value > 0):
        raise UserError(f"{name} must be a number above zero, but got {value!r}")


def _require_between(name: str, value: object, low: float, high: float) -> None:
    if not (isinstance(value, int | float) and low <= value <= high):
        raise UserError(f"{name} must be a number from {low} to {high}, but got {value!r}")


def profile_folders() -> list[Path]:
    """Return the folders that are searched for profiles, the user's own first."""
    own = [Path("profiles")]
    if home := os.environ.get("HWNAS_HOME"):
        own.append(Path(home) / "profiles")
    return [*own, shipped("profiles")]


def target_names() -> list[str]:
    """Return the names of all known targets."""
    return sorted({path.stem for folder in profile_folders() for path in folder.glob("*.toml")})


def is_target(name: str) -> bool:
    """Return whether `find_target` knows the name."""
    return _file(name) is not None or _with_threads(name) is not None


def _file(name: str) -> Path | None:
    """Return the first file of this very name."""
    paths = (folder / f"{name}.toml" for folder in profile_folders())
    return next((path for path in paths if path.is_file()), None)


def _with_threads(name: str) -> tuple[str, int] | None:
    """Return target and threads of "NAME-t4", where NAME is a target."""
    match = THREADS.fullmatch(name)
    return (match[1], int(match[2])) if match and _file(match[1]) else None


def find_target(name: str) -> DeviceProfile:
    """Return the profile of a target.

    "NAME-t4" is NAME with four threads, unless it has a file of its own: a target in its own
    right, with tables of its own.

    Raises:
        UserError: unknown target, or a profile file that is not right.
    """
    if (path := _file(name)) is not None:
        return _read(path)
    if (found := _with_threads(name)) is not None:
        profile, threads = find_target(found[0]), found[1]
        if threads == profile.threads:
            return replace(profile, name=name)
        # Its watts do not hold for another number of threads.
        return replace(profile, name=name, threads=threads, watts=None, watts_source=None)
    raise one_of("target", name, target_names(), "A new one is a file profiles/NAME.toml.")


def profile_path(name: str) -> Path:
    """Return the file that describes a target ("NAME-t4": that of NAME), there or not."""
    stem, _ = _with_threads(name) or (name, 1)
    return _file(name) or _file(stem) or profile_folders()[0] / f"{name}.toml"


def _read(path: Path) -> DeviceProfile:
    try:
        values: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
        values.setdefault("harness", usual_harness(str(values.get("runtime"))))
        anchors = tuple(Anchor(**anchor) for anchor in values.pop("anchors", ()))
        estimation = values.pop("estimation", None)
        sensors = tuple(values.pop("power_sensors", ()))
        return DeviceProfile(
            name=path.stem,
            anchors=anchors,
            power_sensors=sensors,
            estimation=Estimation(**estimation) if estimation else None,
            **values,
        )
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, TypeError, UserError) as error:
        reason = re.sub(r"\w+\.__init__\(\) ", "", str(error)).rstrip(".")
        raise UserError(f"{path}: {reason}. See profiles/onnx-cpu.toml for an example.") from None


def describe_host() -> dict[str, str]:
    """Return what identifies the machine that measurements are made on."""
    return {
        "cpu": _cpu_model(),
        "cores": str(os.cpu_count()),
        "os": f"{platform.system()} {platform.release()}",
        "machine": platform.machine(),
        "python": platform.python_version(),
        "governor": _first_line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
    }


THERMAL_ZONES = Path("/sys/class/thermal")


def temperature(zones: Path = THERMAL_ZONES) -> str:
    """Return the hottest thermal zone, such as "47 C", or "not readable".

    It changes from moment to moment, so it is no part of what identifies the machine.
    """
    found = []
    for file in zones.glob("thermal_zone*/temp"):
        with suppress(OSError, ValueError):
            found.append(int(file.read_text(encoding="utf-8")) / 1000)
    return f"{max(found):.0f} C" if found else "not readable"


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown"
    fields = dict(line.partition(":")[::2] for line in reversed(lines) if ":" in line)
    values = {name.strip(): value.strip() for name, value in fields.items()}
    name = values.get("model name") or values.get("Model") or platform.processor() or "unknown"
    family, model = values.get("cpu family"), values.get("model")
    return f"{name} (family {family}, model {model})" if family and model else name


def _first_line(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError:
        return "not readable"
