"""How training images get to the device: read ahead of need, or kept there."""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from concurrent.futures import Future

    from numpy.typing import NDArray
    from torch import Tensor

RESIDENT_BYTES = 8 * 10**9
"""Training images up to this size stay in a GPU's memory."""

PART = 4096
"""Images that are sent there at a time."""

Given = TypeVar("Given")
Made = TypeVar("Made")


def ahead(make: Callable[[Given], Made], given: Iterable[Given], threads: int) -> Iterator[Made]:
    """Yield `make` of everything given, in order, while threads are at the next ones.

    Args:
        make: does the same whichever thread calls it; a waiting disk lets other threads go on.
        given: what to make things of.
        threads: how many things are in work beside the one that was yielded; 0 for none.
    """
    if not threads:
        yield from map(make, given)
        return
    pool = ThreadPoolExecutor(threads)
    waiting: deque[Future[Made]] = deque()
    try:
        for one in given:
            waiting.append(pool.submit(make, one))
            if len(waiting) > threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def fits(size: int, device: torch.device) -> bool:
    """Return whether so many bytes of images are kept on a device other than the CPU."""
    return device.type != "cpu" and size <= RESIDENT_BYTES


class TrainingPixels:
    """Training images of one size: on a disk, in memory, or all of them in a GPU's memory."""

    def __init__(
        self,
        read: Callable[[NDArray[np.int64]], NDArray[np.uint8]],
        count: int,
        device: torch.device,
        *,
        resident: bool,
    ) -> None:
        """Take images; nothing is read yet.

        Args:
            read: returns rows (n, s, s, 3) of all images.
            count: number of all images.
            device: where batches are wanted.
            resident: keep all of them there, see `fits`.
        """
        self._read = read
        self._count = count
        self._device = device
        self.resident = resident

    def fetch(self, rows: NDArray[np.int64]) -> Tensor:
        """Return what `place` makes a batch of; threads may do this ahead of need."""
        if self.resident:
            return torch.from_numpy(rows)
        pixels = torch.from_numpy(self._read(rows))
        return pixels if self._device.type == "cpu" else pixels.pin_memory()

    def place(self, fetched: Tensor) -> Tensor:
        """Return the images (n, s, s, 3) uint8 on the device."""
        if self.resident:
            return self._everything[fetched.to(self._device)]
        return fetched.to(self._device, non_blocking=True)

    @cached_property
    def _everything(self) -> Tensor:
        parts = [
            torch.from_numpy(self._read(rows)).to(self._device)
            for rows in np.split(np.arange(self._count), range(PART, self._count, PART))
        ]
        return torch.cat(parts)
