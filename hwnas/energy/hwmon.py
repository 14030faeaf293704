"""Power sensors of boards through Linux' hwmon: INA219, INA226, INA3221 and their kin.

Source: the kernel's Documentation/hwmon/sysfs-interface.rst. `powerN_input` is in microwatts;
chips without it give `currN_input` in milliamperes and `inN_input` in millivolts. A reading is the
mean of the chip's last conversions (`update_interval`, milliseconds).
"""

from __future__ import annotations

from collections import Counter as Tally
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hwnas.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

CHIPS = ("ina", "ltc", "power_meter")
"""Starts of the names of chips that are there to measure a supply; others (batteries, graphics
cards) are used only when named."""

WHOLE_BOARD = ("VDD_IN", "POM_5V_IN")
"""Labels of the rail that feeds everything else, on boards with several."""

READINGS = 20
SLOWEST_UPDATE_MS = 50


@dataclass(frozen=True, slots=True)
class Sensor:
    """One measured rail: a file in microwatts, or one in milliamperes and one in millivolts."""

    name: str
    files: tuple[Path, ...]
    update_ms: int

    def read_watts(self) -> float:
        """Return the power now.

        Raises:
            UserError: the sensor cannot be read any more.
        """
        try:
            values = [int(path.read_text()) for path in self.files]
        except (OSError, ValueError) as error:
            raise UserError(f"{self.files[0]} cannot be read any more ({error}).") from None
        product = 1.0
        for value in values:
            product *= value
        return product / 1e6


@dataclass(slots=True)
class Board:
    """Sensors whose readings are added up."""

    sensors: tuple[Sensor, ...]
    _readings: list[float] = field(default_factory=list)

    @property
    def name(self) -> str:
        """What is read."""
        return "hwmon " + " + ".join(sensor.name for sensor in self.sensors)

    @property
    def block_s(self) -> float:
        """Seconds for `READINGS` fresh readings."""
        return READINGS * max(sensor.update_ms for sensor in self.sensors) / 1e3

    def start(self) -> None:
        """Forget all readings."""
        self._readings = []

    def sample(self) -> None:
        """Add one reading."""
        self._readings.append(sum(sensor.read_watts() for sensor in self.sensors))

    def watts(self) -> float:
        """Return the mean of the readings since `start`."""
        if not self._readings:
            self.sample()
        return sum(self._readings) / len(self._readings)


def find(root: Path, wanted: Sequence[str] = ()) -> tuple[Board | None, str]:
    """Return the sensors to add up, or None and why ("" when there is none).

    Args:
        root: /sys/class/hwmon.
        wanted: names of sensors, or empty to choose.

    Raises:
        UserError: a wanted sensor is not there.
    """
    found, denied = _all(root)
    by_name = {sensor.name: sensor for sensor in found}
    if wanted:
        if missing := [name for name in wanted if name not in by_name]:
            raise UserError(
                f"there is no power sensor {missing[0]!r} here. Known: "
                f"{', '.join(by_name) or 'none'}. Mend power_sensors in the target's profile."
            )
        return Board(tuple(by_name[name] for name in wanted)), ""
    meters = [sensor for sensor in found if sensor.name.startswith(CHIPS)]
    whole = [s for s in meters if s.name.partition("/")[2] in WHOLE_BOARD] or meters
    if len(whole) == 1:
        return Board((whole[0],)), ""
    if whole:
        names = ", ".join(sensor.name for sensor in whole)
        return None, (
            f"several power sensors ({names}), and none is known to see the whole board (list "
            "those to add up as power_sensors in the target's profile)"
        )
    return None, (f"{denied[0]} may not be read (sudo chmod a+r {denied[0]})" if denied else "")


def _all(root: Path) -> tuple[list[Sensor], list[Path]]:
    """Return the sensors that can be read, and files that permissions keep closed."""
    sensors: list[Sensor] = []
    denied: list[Path] = []
    for folder in sorted(root.glob("hwmon*")):
        chip = _text(folder / "name") or folder.name
        update_ms = max(int(_text(folder / "update_interval") or 0), SLOWEST_UPDATE_MS)
        for label, files in _rails(folder):
            try:
                [int(path.read_text()) for path in files]
            except PermissionError:
                denied.append(files[0])
            except (OSError, ValueError):
                continue  # a channel that is switched off
            else:
                sensors.append(Sensor(f"{chip}/{label}", files, update_ms))
    times = Tally(sensor.name for sensor in sensors)
    return [
        sensor
        if times[sensor.name] == 1
        else Sensor(f"{sensor.name}@{sensor.files[0].parent.name}", sensor.files, sensor.update_ms)
        for sensor in sensors
    ], denied


def _rails(folder: Path) -> list[tuple[str, tuple[Path, ...]]]:
    rails: dict[str, tuple[str, tuple[Path, ...]]] = {}
    for current in sorted(folder.glob("curr*_input")):
        number = current.name.removeprefix("curr").removesuffix("_input")
        volts = folder / f"in{number}_input"
        if volts.exists():
            label = _text(folder / f"in{number}_label") or _text(folder / f"curr{number}_label")
            rails[number] = label or f"in{number}", (current, volts)
    for power in sorted(folder.glob("power*_input")):
        number = power.name.removeprefix("power").removesuffix("_input")
        label = _text(folder / f"power{number}_label") or _text(folder / f"in{number}_label")
        rails[number] = label or f"power{number}", (power,)
    return list(rails.values())


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
