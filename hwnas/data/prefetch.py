"""What is needed next, made by threads ahead of need."""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from concurrent.futures import Future

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
        # After Ctrl-C nobody waits for what the threads are at.
        pool.shutdown(wait=False, cancel_futures=True)
