"""What candidates are scored on: proxy geometry, data, device; batches are kept for all of them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from hwnas.data.catalog import find_dataset
from hwnas.data.selection import USUAL, Selection
from hwnas.progress import Silent

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import torch

    from hwnas.data.dataset import Batch, Dataset, Split
    from hwnas.spaces import RcnetSpace

dataset_of = lru_cache(maxsize=4)(find_dataset)
"""Data sets stay loaded: a process scores many candidates on one."""

SHARED_BYTES = 12 * 10**9
"""Training batches up to this size stay in a GPU's memory for the next candidate."""


@dataclass(frozen=True)
class Setting:
    """The same for all candidates of a search.

    Attributes:
        space: the proxy geometry.
        dataset: as the user names it, e.g. "cluttered-digits".
        data_dir: where downloaded data sets lie, or None.
        device: torch device, such as "cpu" or "cuda".
        selection: what is held out or left out of the data.
    """

    space: RcnetSpace
    dataset: str
    data_dir: Path | None = None
    device: str = "cpu"
    selection: Selection = USUAL

    def identity(self) -> dict[str, Any]:
        """Return what decides a score."""
        # Before the fingerprint is asked for: large images would be decoded for that alone.
        self.data.prepare(self.space.resolution, Silent())
        return {
            "space": asdict(self.space),
            "data": self.data.fingerprint,
            "device": self.device,
        }

    @property
    def data(self) -> Dataset:
        """The data set, loaded once per process."""
        return dataset_of(self.dataset, self.data_dir, self.selection)

    @property
    def torch_device(self) -> torch.device:
        """The device as torch has it."""
        import torch

        return torch.device(self.device)

    def batches(
        self, images: int, batch_size: int, seed: int, *, judged: bool = False
    ) -> Iterable[Batch]:
        """Return the training batches of a seed; on a GPU they are made once for all candidates.

        What they train may be scored on "judge" only if it is to be `judged`.
        """
        in_bytes = 12 * images * self.space.resolution**2
        if self.torch_device.type == "cpu" or in_bytes > SHARED_BYTES:
            return self._draw(images, batch_size, seed, judged=judged)
        return _kept_batches(self, images, batch_size, seed, judged=judged)

    def _draw(self, images: int, batch_size: int, seed: int, *, judged: bool) -> Iterable[Batch]:
        size, device = self.space.resolution, self.torch_device
        return self.data.train_batches(images, batch_size, size, seed, device=device, judged=judged)

    def held_out(self, split: Split, count: int) -> list[Batch]:
        """Return held-out images on the device."""
        return _kept_held_out(self, split, count)


@lru_cache(maxsize=2)
def _kept_batches(
    setting: Setting, images: int, batch_size: int, seed: int, *, judged: bool
) -> list[Batch]:
    batches = list(setting._draw(images, batch_size, seed, judged=judged))
    _await_gpu()
    return batches


@lru_cache(maxsize=2)
def _kept_held_out(setting: Setting, split: Split, count: int) -> list[Batch]:
    found = setting.data.held_out(
        split, setting.space.resolution, count, device=setting.torch_device
    )
    batches = list(found)
    if setting.torch_device.type == "cuda":
        _await_gpu()
    return batches


def _await_gpu() -> None:
    """Wait for what was begun: other streams than the one that made batches will read them."""
    import torch

    torch.cuda.synchronize()
