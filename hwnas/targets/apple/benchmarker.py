"""An iPhone at this Mac's cable, timed by coremltools' experimental remote devices (iOS 17 on).

Written to the sources of coremltools 9.0 (`models.ml_program.experimental`: `remote_device`,
`async_wrapper`, on which `perf_utils.MLModelBenchmarker` rests). It has not been run: the tests
replace those modules by ones that note what is asked of them.

The phone itself takes the time of a prediction, so the cable is not in it. But inputs and outputs
travel as files, by several runs of `devicectl` for each prediction: seconds lie between two of
them, in which a phone may lower its clock. The app in export/ios runs them without a pause.
"""

from __future__ import annotations

import asyncio
import functools
import os
import platform
import re
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from hwnas.errors import UserError
from hwnas.targets.apple import require

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from pathlib import Path

    from numpy.typing import NDArray

TEAM = "HWNAS_DEVELOPMENT_TEAM"
"""Environment variable: the team by which Xcode signs coremltools' runner app."""
FIRST_IOS = 17
UNITS = {
    "cpu": "CPU_ONLY",
    "cpu_and_gpu": "CPU_AND_GPU",
    "cpu_and_neural_engine": "CPU_AND_NE",
    "all": "ALL",
}
"""Names of coremltools by those of profiles."""


@dataclass(slots=True)
class RemoteModel:
    """A model in the memory of the phone, and an input."""

    wrapper: Any
    phone: Phone
    input: NDArray[np.generic]

    def respond(self) -> NDArray[np.generic]:
        """Run once and return the output."""
        outputs = self.phone.wait(self.wrapper.predict({"input": self.input}))
        return np.asarray(outputs["output"])

    def elapsed_ms(self) -> float:
        """Return the time of one run on the phone, after an untimed one.

        Raises:
            UserError: the phone is gone, or told no time.
        """
        self.respond()
        self.respond()
        nanoseconds = self.wrapper.last_predict_duration_in_nano_seconds
        if nanoseconds is None:
            raise UserError("the phone told no time of a prediction: use a bundle (--emit DIR).")
        return float(nanoseconds) / 1e6

    def unload(self) -> None:
        """Free its memory on the phone."""
        self.phone.wait(self.wrapper.unload())


@dataclass(slots=True)
class Phone:
    """A phone on which coremltools' runner app runs.

    Attributes:
        device: of coremltools, prepared.
        compute_units: as in a profile.
        errors: what coremltools raises when the phone or Xcode fails.
        loop: on which everything is asked.
    """

    device: Any
    compute_units: str
    errors: tuple[type[Exception], ...]
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)

    @property
    def facts(self) -> dict[str, str]:
        """What identifies it, as far as it tells."""
        system = f"iOS {self.device.os_version} ({self.device.os_build_number})"
        return {"model": f"iPhone {self.device.name!r}", "os": system, "machine": "arm64"}

    @property
    def version(self) -> str:
        """Of Core ML, which is that of the system."""
        return f"Core ML of iOS {self.device.os_version}"

    def load(self, path: Path, values: NDArray[np.generic]) -> RemoteModel:
        """Compile a package here and load it there.

        Args:
            path: a .mlpackage folder.
            values: of its only input, "input".

        Raises:
            UserError: the phone or Xcode fails.
        """
        tools = _experimental("async_wrapper")
        wrapper = tools.MLModelAsyncWrapper.from_spec_or_path(
            spec_or_path=str(path),
            weights_dir=str(path / "Data/com.apple.CoreML/weights"),
            compute_units=getattr(tools.ComputeUnit, UNITS[self.compute_units]),
            device=self.device,
        )
        self.wait(wrapper.load())
        return RemoteModel(wrapper, self, values)

    def wait(self, asked: Coroutine[Any, Any, Any]) -> Any:
        """Return what the phone answers.

        Raises:
            UserError: the phone or Xcode fails.
        """
        try:
            return self.loop.run_until_complete(asked)
        except self.errors as error:
            raise _failed(f"{self.device.name} does not answer", error) from None

    def close(self) -> None:
        """End the runner app."""
        self.device.session.stop()
        self.loop.close()


def attached_phone(compute_units: str | None, otherwise: str) -> Phone:
    """Return the iPhone at this Mac's cable, with coremltools' runner app on it.

    Args:
        compute_units: as in a profile.
        otherwise: how to measure without this, for messages.

    Raises:
        UserError: this is no Mac, Xcode is missing, there is not exactly one phone of iOS 17 or
            later in developer mode, or the app cannot be built or started.
        MissingPackage: coremltools is not installed.
    """
    if platform.system() != "Darwin":  # sys.platform would hide the rest from mypy
        raise UserError(
            f"an attached iPhone is timed from a Mac, and this is {platform.system()}. "
            f"Elsewhere: {otherwise}"
        )
    remote = _experimental("remote_device")
    _silence(remote)
    errors = (ValueError, TypeError, OSError, remote._DeviceCtlError, remote._AppBuilder.Error)
    try:
        found = remote.Device.get_connected_devices(remote.DeviceType.IPHONE)
    except errors as error:
        raise _failed("Xcode 15 or later is needed to reach an iPhone", error) from None
    phone = Phone(_only(found, otherwise), compute_units or "all", errors)
    credentials = remote.AppSigningCredentials(development_team=os.environ.get(TEAM, ""))
    try:
        phone.device = phone.wait(phone.device.prepare_for_model_debugging(credentials=credentials))
    except BaseException:
        phone.loop.close()
        raise
    return phone


def _silence(remote: Any) -> None:
    """Drop the progress bars of every file that coremltools copies: there are four a prediction."""
    bars = remote._tqdm
    remote._tqdm = SimpleNamespace(tqdm=functools.partial(bars.tqdm, disable=True))


def _experimental(module: str) -> Any:
    try:
        return require(f"models.ml_program.experimental.{module}")
    except ModuleNotFoundError:
        raise UserError(
            'an attached iPhone needs coremltools 8.3 or later: pip install -U "hwnas[coreml]"'
        ) from None


def _only(devices: list[Any], otherwise: str) -> Any:
    if len(devices) != 1:
        names = ", ".join(device.name for device in devices) or "none"
        raise UserError(
            f"exactly one iPhone must be connected and trusted, but there are {len(devices)} "
            f"({names})."
        )
    (device,) = devices
    major = re.match(r"\d+", device.os_version)
    if major is None or int(major[0]) < FIRST_IOS:
        raise UserError(
            f"{device.name} runs iOS {device.os_version}, and coremltools reaches iOS {FIRST_IOS} "
            f"and later. Instead: {otherwise}"
        )
    if device.developer_mode_state == "disabled":
        raise UserError(
            f"Developer Mode of {device.name} is off: switch it on in Settings > Privacy & "
            "Security, where it is once Xcode has seen the phone."
        )
    return device


def _failed(what: str, error: Exception) -> UserError:
    told = str(error).strip().splitlines() or [type(error).__name__]
    return UserError(f"{what}: {told[-1][:300]}. {TEAM} names the team that signs the app.")
