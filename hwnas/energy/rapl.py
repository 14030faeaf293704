"""RAPL through Linux' powercap: energy counters of the processor packages.

Source: the kernel's Documentation/power/powercap/powercap.rst. `energy_uj` counts microjoules up to
`max_energy_range_uj` and starts again at zero; it moves about once a millisecond. Only
`intel-rapl:N` zones count: their subzones (core, uncore) are parts of them, and `intel-rapl-mmio`
shows the same package once more. AMD processors appear under the same names.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hwnas.errors import UserError

if TYPE_CHECKING:
    from pathlib import Path

ZONE = re.compile(r"intel-rapl:\d+")


@dataclass(frozen=True, slots=True)
class Package:
    """One package domain."""

    name: str
    energy: Path
    range_uj: int

    def read_uj(self) -> int:
        """Return the counter.

        Raises:
            UserError: it cannot be read any more.
        """
        try:
            return int(self.energy.read_text())
        except (OSError, ValueError) as error:
            raise UserError(f"{self.energy} cannot be read any more ({error}).") from None


@dataclass(slots=True)
class Rapl:
    """All packages of the machine, added up."""

    packages: tuple[Package, ...]
    _last_uj: list[int] = field(default_factory=list)
    _used_uj: int = 0
    _started: float = 0.0

    @property
    def name(self) -> str:
        """What is read."""
        return "rapl " + " + ".join(package.name for package in self.packages)

    @property
    def block_s(self) -> float:
        """A hundred ticks."""
        return 0.1

    def start(self) -> None:
        """Read all counters."""
        self._last_uj = [package.read_uj() for package in self.packages]
        self._used_uj, self._started = 0, time.perf_counter()

    def sample(self) -> None:
        """Add what was used since the last reading; a counter that went back has wrapped round."""
        for index, package in enumerate(self.packages):
            now = package.read_uj()
            used = now - self._last_uj[index]
            self._used_uj += used if used >= 0 else used + package.range_uj
            self._last_uj[index] = now

    def watts(self) -> float:
        """Return the mean power since `start`."""
        self.sample()
        return self._used_uj / 1e6 / (time.perf_counter() - self._started)


def find(root: Path) -> tuple[Rapl | None, str]:
    """Return the counter, or None and why it cannot be used ("" when there is none).

    Args:
        root: /sys/class/powercap.
    """
    packages, denied = [], []
    for zone in sorted(root.glob("intel-rapl:*")):
        if not ZONE.fullmatch(zone.name):
            continue
        try:
            name = (zone / "name").read_text().strip()
            if not name.startswith("package"):
                continue
            range_uj = int((zone / "max_energy_range_uj").read_text())
            package = Package(name, zone / "energy_uj", range_uj)
            int(package.energy.read_text())
        except PermissionError:
            denied.append(zone / "energy_uj")
        except (OSError, ValueError):
            continue
        else:
            packages.append(package)
    if denied:
        return None, (
            f"RAPL is there, but {denied[0]} may be read by root only "
            f"(sudo chmod a+r {root}/intel-rapl:*/energy_uj, until the next start)"
        )
    return (Rapl(tuple(packages)), "") if packages else (None, "")
