"""Several pieces of work side by side in one process, each on a stream of its own on a GPU.

A piece of work is a generator: it queues work on the device, gives way, and ends with its result.
While the GPU works off what one has queued, the next one queues; kernels of different streams run
at the same time, which is what fills a GPU that one small network cannot fill.
"""

from __future__ import annotations

from collections import deque
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator
    from contextlib import AbstractContextManager

T = TypeVar("T")
Job = TypeVar("Job")

Work: TypeAlias = "Generator[None, None, T]"
"""Gives way now and then; its return value is the result."""


def side_by_side(
    jobs: Iterable[Job], start: Callable[[Job], Work[T]], lanes: int, device: torch.device
) -> Iterator[tuple[Job, T | Exception]]:
    """Yield each job with its result, or with what it raised, in the order of completion.

    Args:
        jobs: taken one by one, as lanes become free.
        start: returns the work of a job.
        lanes: how many run at the same time.
        device: a GPU gives each lane its own stream; on a CPU the lanes take turns.
    """
    waiting = iter(jobs)
    free = deque(_stream(device) for _ in range(lanes))
    busy: deque[tuple[Job, Work[T], Any]] = deque()
    while True:
        while free:
            try:
                job = next(waiting)
            except StopIteration:
                break
            busy.append((job, start(job), free.popleft()))
        if not busy:
            return
        job, work, stream = busy.popleft()
        try:
            with _on(stream):
                next(work)
        except StopIteration as end:
            free.append(stream)
            yield job, end.value
        except Exception as error:  # noqa: BLE001 - it is the job's outcome, the caller judges it
            free.append(stream)
            yield job, error
        else:
            busy.append((job, work, stream))


def finish(work: Work[T]) -> T:
    """Do a piece of work alone, and return its result."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            result: T = end.value
            return result


def _stream(device: torch.device) -> Any:
    if device.type != "cuda":
        return None
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]


def _on(stream: Any) -> AbstractContextManager[Any]:
    return torch.cuda.stream(stream) if stream is not None else nullcontext()
