"""What a power counter has to offer, and which ones this machine has."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

SYSFS = Path("/sys/class")


class Counter(Protocol):
    """Tells the mean power between `start` and `watts`."""

    @property
    def name(self) -> str:
        """What is read, e.g. "rapl package-0"."""

    @property
    def block_s(self) -> float:
        """Seconds after which one tick of the counter is about 1% of the reading."""

    def start(self) -> None:
        """Forget what was read before."""

    def sample(self) -> None:
        """Read in between; called every `SAMPLE_EVERY_S`."""

    def watts(self) -> float:
        """Return the mean power since `start`.

        Raises:
            UserError: the counter cannot be read any more.
        """


@dataclass(frozen=True, slots=True)
class Survey:
    """The counters of a machine.

    Attributes:
        counters: those that can be read, the best first.
        unusable: one sentence for each that is there and cannot be used, with the remedy.
    """

    counters: tuple[Counter, ...]
    unusable: tuple[str, ...]


def survey(root: Path = SYSFS, sensors: Sequence[str] = ()) -> Survey:
    """Look for RAPL counters and hwmon sensors.

    Args:
        root: /sys/class, or a copy of it.
        sensors: hwmon sensors to add up, by name ("ina3221/VDD_IN"); they come before RAPL.
            Without it a sensor is used only where it is plain which one sees the whole board.
    """
    from hwnas.energy import hwmon, rapl

    rapl_counter, rapl_problem = rapl.find(root / "powercap")
    board_counter, board_problem = hwmon.find(root / "hwmon", sensors)
    found: list[Counter] = [c for c in (rapl_counter, board_counter) if c is not None]
    if sensors:
        found.reverse()
    return Survey(tuple(found), tuple(p for p in (rapl_problem, board_problem) if p))
