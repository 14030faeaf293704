"""The processes that train one network together: torchrun starts one per GPU.

Every process draws the same batch, trains on its own part of it, and moves its weights by the
gradient of the whole batch, so that the weights are the same everywhere at any time. Batch norm
normalises by the statistics of a process's own part, as is usual where that part is not tiny
(Goyal et al., "Accurate, Large Minibatch SGD", 2017, section 2.3); the running statistics are
averaged over the processes in every step.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import distributed

from hwnas.errors import HwnasError, UserError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor

IMAGES_PER_PROCESS = 2
"""At least so many of every batch: batch norm needs two ..."""
ADVISED_PER_PROCESS = 16
"""... and errs with fewer than this (Wu & He, "Group Normalization", ECCV 2018, figure 1)."""


class ProcessLost(HwnasError):  # noqa: N818 - reads as what happened
    """Another process of the training has ended; it told why."""


@dataclass(frozen=True, slots=True)
class World:
    """This process among all.

    Attributes:
        rank: its number; 0 alone writes and tells.
        size: number of processes.
        local_rank: its number on this machine, and that of its GPU.
        on: torch device of a process that is alone, such as "cpu"; None: see `device`.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    on: str | None = None

    @property
    def first(self) -> bool:
        """Whether this is the process that writes and tells."""
        return self.rank == 0

    @property
    def device(self) -> torch.device:
        """What was asked for; else the GPU of this process if there is one, else the CPU."""
        if self.on is not None:
            return torch.device(self.on)
        if not torch.cuda.is_available():
            return torch.device("cpu")
        return torch.device("cuda", self.local_rank) if self.size > 1 else torch.device("cuda")

    def part(self, count: int) -> slice:
        """Return which of `count` images are this process's: sizes differ by one at most."""
        return slice(count * self.rank // self.size, count * (self.rank + 1) // self.size)

    def add(self, tensors: Sequence[Tensor], share: float = 1.0) -> None:
        """Replace each tensor, in place, by the sum over all processes of `share` times it.

        Raises:
            ProcessLost: another process is gone.
        """
        if self.size == 1:
            return
        # One message: for many small tensors the calls would take longer than the numbers.
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors]).mul_(share)
        with _others_needed():
            distributed.all_reduce(flat)
        parts = torch.split(flat, [tensor.numel() for tensor in tensors])
        # Copied back, to keep the memory layout of each.
        torch._foreach_copy_(
            list(tensors),
            [part.view(tensor.shape) for part, tensor in zip(parts, tensors, strict=True)],
        )

    def wait(self) -> None:
        """Wait until all processes are here.

        Raises:
            ProcessLost: another process is gone.
        """
        if self.size > 1:
            with _others_needed():
                distributed.barrier()


ALONE = World()


@contextmanager
def joined() -> Iterator[World]:
    """Join the processes that torchrun started, if it did; else be alone.

    Raises:
        UserError: there are fewer GPUs than processes.
        ProcessLost: another process ended before all were there.
    """
    if "WORLD_SIZE" not in os.environ or os.environ["WORLD_SIZE"] == "1":
        yield ALONE
        return
    world = World(_number("RANK"), _number("WORLD_SIZE"), _number("LOCAL_RANK"))
    cuda = torch.cuda.is_available()
    if cuda:
        if _number("LOCAL_WORLD_SIZE") > (gpus := torch.cuda.device_count()):
            raise UserError(
                f"torchrun started more processes than the {gpus} GPUs of this machine: "
                f"torchrun --nproc-per-node {gpus} -m hwnas train ..."
            )
        torch.cuda.set_device(world.local_rank)
    with _others_needed():
        if cuda:
            distributed.init_process_group("nccl", device_id=world.device)
        else:
            distributed.init_process_group("gloo")
    try:
        yield world
    finally:
        distributed.destroy_process_group()


def _number(name: str) -> int:
    try:
        return int(os.environ[name])
    except (KeyError, ValueError):
        raise UserError(
            f"WORLD_SIZE is set, but {name} is not as torchrun sets it: start several processes "
            "with torchrun --nproc-per-node N -m hwnas train ..., or unset WORLD_SIZE."
        ) from None


@contextmanager
def _others_needed() -> Iterator[None]:
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ProcessLost(
            f"another process of this training has ended ({reason}); the same command goes on "
            "where it stopped."
        ) from error
