"""An attached iPhone: what is asked of coremltools' remote devices, by modules that note it.

No phone and no Mac took part: this shows the order and the arguments of the calls, which are those
of coremltools 9.0 (its signatures are held against them where it is installed), and every refusal.
"""

from __future__ import annotations

import inspect
import types
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from bundles import SPACE

from hwnas.bundle.manifest import Job
from hwnas.bundle.models import maker_of
from hwnas.device import find_target
from hwnas.errors import CheckFailed, UserError
from hwnas.profiler.clock import PhoneClock, panel_graphs
from hwnas.progress import Silent
from hwnas.targets.apple import benchmarker, require
from hwnas.targets.mlprogram import executor
from hwnas.targets.shared.artifact import Artifact
from hwnas.workflows.profile.options import ProfileOptions
from hwnas.workflows.profile.profiled import Profiling
from hwnas.workflows.profile.this_machine import profile_here

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

pytest.importorskip("coremltools")

PHONE = find_target("iphone")
STRICT = ProfileOptions(require_device=True)
OTHERWISE = "hwnas profile --target iphone --emit DIR"


class ControlError(Exception):
    """As coremltools raises it."""


@dataclass
class Device:
    """A phone that coremltools would find."""

    calls: list[Any]
    name: str = "Ada's iPhone"
    os_version: str = "17.5.1"
    os_build_number: str = "21F90"
    developer_mode_state: str = "enabled"
    fails: bool = False

    @property
    def session(self) -> Device:
        return self

    def stop(self) -> None:
        self.calls.append("stop")

    async def prepare_for_model_debugging(self, credentials: Any) -> Device:
        if self.fails:
            raise ControlError("xcodebuild\nNo profiles for the app were found")
        self.calls.append(("prepare", credentials.development_team))
        return self


@dataclass
class Wrapper:
    """A model on the phone, run by hwnas's executor."""

    calls: list[Any]
    spec_or_path: str
    weights_dir: str
    compute_units: str
    device: Device
    scale: float = 1.0
    last_predict_duration_in_nano_seconds: int | None = None
    package: Artifact | None = None
    told: list[int] = field(default_factory=list)

    async def load(self) -> None:
        assert (Path(self.weights_dir) / "weight.bin").is_file()
        self.package = Artifact.read(Path(self.spec_or_path))
        self.calls.append(("load", self.compute_units, self.device.name))

    async def predict(self, inputs: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        assert self.package is not None
        (name,) = inputs
        self.calls.append("predict")
        self.told.append(1_500_000 + 1000 * len(self.told))
        self.last_predict_duration_in_nano_seconds = self.told[-1]
        return {"output": executor.run(self.package, inputs[name]) * self.scale}

    async def unload(self) -> None:
        self.calls.append("unload")


@dataclass
class Tools:
    """The experimental modules of coremltools."""

    devices: list[Device]
    calls: list[Any]
    wrappers: list[Wrapper] = field(default_factory=list)
    scale: float = 1.0
    missing: bool = False

    def module(self, name: str) -> Any:
        return {"remote_device": self.remote, "async_wrapper": self.wrapper}[name]()

    def remote(self) -> Any:
        def connected(kind: str) -> list[Device]:
            if self.missing:
                raise ValueError("The 'devicectl' command is required.")
            self.calls.append(("connected", kind))
            return self.devices

        return types.SimpleNamespace(
            Device=types.SimpleNamespace(get_connected_devices=connected),
            DeviceType=types.SimpleNamespace(IPHONE="iphone"),
            AppSigningCredentials=lambda development_team: types.SimpleNamespace(
                development_team=development_team
            ),
            _DeviceCtlError=ControlError,
            _AppBuilder=types.SimpleNamespace(Error=ControlError),
            _tqdm=types.SimpleNamespace(tqdm=lambda things, disable: things),
        )

    def wrapper(self) -> Any:
        def made(**given: Any) -> Wrapper:
            self.wrappers.append(Wrapper(self.calls, scale=self.scale, **given))
            return self.wrappers[-1]

        return types.SimpleNamespace(
            MLModelAsyncWrapper=types.SimpleNamespace(from_spec_or_path=made),
            ComputeUnit=types.SimpleNamespace(ALL="ALL", CPU_ONLY="CPU_ONLY", CPU_AND_NE="NE"),
        )


@pytest.fixture
def tools(monkeypatch: pytest.MonkeyPatch) -> Tools:
    calls: list[Any] = []
    made = Tools([Device(calls)], calls)
    monkeypatch.setattr(benchmarker.platform, "system", lambda: "Darwin")
    monkeypatch.setattr(benchmarker, "_experimental", made.module)
    monkeypatch.setenv(benchmarker.TEAM, "ABCDE12345")
    return made


def clock(tools: Tools, units: str = "all") -> PhoneClock:
    phone = benchmarker.attached_phone(units, OTHERWISE)
    return PhoneClock(SPACE, maker_of(PHONE), phone)


def test_a_round_times_panel_and_networks_by_the_clock_of_the_phone(
    tools: Tools, monkeypatch: pytest.MonkeyPatch
) -> None:
    panel = dict(list(panel_graphs(SPACE).items())[:2])
    monkeypatch.setattr("hwnas.profiler.clock.panel_graphs", lambda space: panel)
    monkeypatch.setattr("hwnas.measure.WARM_UP_S", 0)
    arch = SPACE.start()
    timed = clock(tools)
    with closing(timed.phone), timed.running():
        rounds = list(timed.rounds(Job(number=0, networks=(SPACE.format(arch),), rounds=2)))
    assert [sorted(name for name, _ in samples) for samples in rounds] == [
        sorted([*panel, SPACE.format(arch)])
    ] * 2
    assert tools.calls[:3] == [
        ("connected", "iphone"),
        ("prepare", "ABCDE12345"),
        ("load", "ALL", "Ada's iPhone"),
    ]
    # The network is dropped after its job; then the app ends, and the panel with it.
    assert tools.calls[-2:] == ["unload", "stop"]
    assert tools.calls.count("unload") == 1
    # Each once to be compared, warmed up twice by pairs, then two rounds of pairs.
    assert [len(wrapper.told) for wrapper in tools.wrappers] == [1 + 4 + 4] * 3
    # The second of the last pair is the sample.
    assert rounds[1][-1][1] in {wrapper.told[-1] / 1e6 for wrapper in tools.wrappers}


def test_what_the_phone_is_goes_into_the_table(tools: Tools) -> None:
    timed = clock(tools)
    with closing(timed.phone):
        place = timed.place
    assert place.device == {
        "model": 'iPhone "Ada\'s iPhone"',
        "os": "iOS 17.5.1 (21F90)",
        "machine": "arm64",
    }
    assert (place.version, place.temperature) == ("Core ML of iOS 17.5.1", "not readable")


def test_a_model_that_computes_something_else_there_is_refused(tools: Tools) -> None:
    tools.scale = 2.0
    timed = clock(tools, "cpu")
    refused = pytest.raises(CheckFailed, match="off by 1 of its length")
    with closing(timed.phone), refused, timed.running():
        pass


def none(tools: Tools) -> None:
    tools.devices = []


def two(tools: Tools) -> None:
    tools.devices.append(Device(tools.calls, name="Bob"))


def old(tools: Tools) -> None:
    tools.devices[0].os_version = "12.5.7"


def no_developer(tools: Tools) -> None:
    tools.devices[0].developer_mode_state = "disabled"


def unsigned(tools: Tools) -> None:
    tools.devices[0].fails = True


def no_xcode(tools: Tools) -> None:
    tools.missing = True


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (none, r"exactly one iPhone must be connected and trusted, but there are 0 \(none\)"),
        (two, r"there are 2 \(Ada's iPhone, Bob\)"),
        (old, f"runs iOS 12.5.7, and coremltools reaches iOS 17 and later. Instead: {OTHERWISE}"),
        (no_developer, "Developer Mode of Ada's iPhone is off: switch it on"),
        (unsigned, "does not answer: No profiles for the app were found. HWNAS_DEVELOPMENT_TEAM"),
        (no_xcode, "Xcode 15 or later is needed to reach an iPhone: The 'devicectl' command"),
    ],
)
def test_what_is_wrong_with_the_phone_is_one_line(
    tools: Tools, change: Callable[[Tools], None], told: str
) -> None:
    change(tools)
    with pytest.raises(UserError, match=told):
        benchmarker.attached_phone("all", OTHERWISE)


def test_a_phone_that_tells_no_time_is_refused(tools: Tools) -> None:
    wrapper = types.SimpleNamespace(last_predict_duration_in_nano_seconds=None)

    async def predict(inputs: Any) -> Any:
        return {"output": np.zeros(1)}

    wrapper.predict = predict
    phone = benchmarker.attached_phone("all", OTHERWISE)
    with closing(phone), pytest.raises(UserError, match="told no time"):
        benchmarker.RemoteModel(wrapper, phone, np.zeros(1)).elapsed_ms()


def test_without_a_mac_the_bundle_is_named(tmp_path: Path) -> None:
    told = "is timed from a Mac, and this is Linux. Elsewhere: hwnas profile --target iphone --emit"
    with pytest.raises(UserError, match=told):
        profile_here(Profiling(PHONE, SPACE, tmp_path, Silent()), STRICT)


def test_a_phone_that_coremltools_does_not_reach_is_not_taken_for_the_one_that_is(
    tools: Tools, tmp_path: Path
) -> None:
    other = Profiling(find_target("iphone5s"), SPACE, tmp_path, Silent())
    with pytest.raises(UserError, match=r"iPhone 5s.* is another machine. Measure it: .*--emit"):
        profile_here(other, STRICT)
    assert tools.calls == []


# The real modules -----------------------------------------------------------------------------


def test_coremltools_has_what_is_asked_of_it() -> None:
    remote = benchmarker._experimental("remote_device")
    wrappers = benchmarker._experimental("async_wrapper")
    assert list(inspect.signature(remote.Device.get_connected_devices).parameters) == [
        "device_type"
    ]
    assert remote.DeviceType.IPHONE.value == "iphone"
    prepare = inspect.signature(remote.Device.prepare_for_model_debugging).parameters
    assert "credentials" in prepare
    fields = {*inspect.signature(remote.Device).parameters}
    assert {"name", "os_version", "os_build_number", "developer_mode_state", "session"} <= fields
    assert "development_team" in inspect.signature(remote.AppSigningCredentials).parameters
    make = inspect.signature(wrappers.MLModelAsyncWrapper.from_spec_or_path).parameters
    assert {"spec_or_path", "weights_dir", "compute_units", "device"} <= set(make)
    model = wrappers.RemoteMLModelAsyncWrapper
    assert all(
        inspect.iscoroutinefunction(getattr(model, n)) for n in ("load", "predict", "unload")
    )
    assert isinstance(model.last_predict_duration_in_nano_seconds, property)
    assert all(hasattr(wrappers.ComputeUnit, name) for name in benchmarker.UNITS.values())
    assert issubclass(remote._DeviceCtlError, Exception)
    assert issubclass(remote._AppBuilder.Error, Exception)
    assert hasattr(remote._AppSession, "stop")
    assert callable(remote._tqdm.tqdm)


def test_an_older_coremltools_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=r"coremltools 8\.3 or later"):
        benchmarker._experimental("not_there")


def test_the_compute_units_of_profiles_are_those_of_coremltools() -> None:
    require("models")
    from hwnas.device import COMPUTE_UNITS

    assert set(benchmarker.UNITS) == set(COMPUTE_UNITS)
    assert replace(PHONE, compute_units="cpu").compute_units in benchmarker.UNITS
