"""How fast a training goes, and how long it will take."""

from __future__ import annotations

import time

MINUTE, HOUR, DAY = 60, 3600, 86400


class Pace:
    """Counts images against the clock, epoch by epoch; what happens between epochs is left out."""

    def __init__(self) -> None:
        self._began = self._since = time.perf_counter()
        self._remaining = self._done = self._images = 0

    def start(self, steps: int) -> None:
        """Begin a training of so many steps."""
        self._remaining, self._began = steps, time.perf_counter()
        self.go_on()

    def count(self, images: int) -> None:
        """Note that one step has been done."""
        self._images += images
        self._done += 1

    @property
    def images_per_s(self) -> float:
        """Speed since the epoch, or its part in this process, began."""
        return self._images / max(time.perf_counter() - self._since, 1e-9)

    def go_on(self) -> None:
        """Begin the next epoch."""
        self._images, self._since = 0, time.perf_counter()

    @property
    def seconds_left(self) -> float:
        """Estimate of what remains, validation and saving included."""
        elapsed = time.perf_counter() - self._began
        return elapsed / max(1, self._done) * (self._remaining - self._done)


def duration(seconds: float) -> str:
    """Return a time for people, in two units at most: "45 s", "12 min", "3 h 20 min"."""
    if seconds < 2 * MINUTE:
        return f"{seconds:.0f} s"
    if seconds < 2 * HOUR:
        return f"{seconds / MINUTE:.0f} min"
    if seconds < 2 * DAY:
        return f"{seconds // HOUR:.0f} h {seconds % HOUR // MINUTE:.0f} min"
    return f"{seconds // DAY:.0f} d {seconds % DAY // HOUR:.0f} h"
