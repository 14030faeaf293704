"""A training step recorded as a CUDA graph.

Networks this small leave a GPU waiting for the next launch: a step is hundreds of kernels of a few
microseconds each. Recorded once, they are launched together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

WARM_UP = 2
"""Steps before the recording: libraries choose their kernels in them, which cannot be recorded."""


class RecordedStep:
    """Repeats `step` on batches of one shape; what it changes must stay in the same tensors."""

    def __init__(
        self,
        step: Callable[[Tensor, Tensor], Tensor],
        state: Sequence[Tensor],
        images: Tensor,
        labels: Tensor,
    ) -> None:
        """Record.

        Args:
            step: takes images and labels, changes `state` in place, returns the loss.
            state: every tensor that `step` changes; it is left as it was.
            images: a batch on the GPU, for its shape.
            labels: its labels.
        """
        self._images, self._labels = images.clone(), labels.clone()
        before = [value.clone() for value in state]
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP):
                step(self._images, self._labels)
        torch.cuda.current_stream().wait_stream(stream)
        self._graph = torch.cuda.CUDAGraph()
        # Other streams train other networks meanwhile.
        with torch.cuda.graph(self._graph, stream=stream, capture_error_mode="thread_local"):
            self._loss = step(self._images, self._labels)
        torch._foreach_copy_(list(state), before)

    def fits(self, images: Tensor, labels: Tensor) -> bool:
        """Return whether a batch has the recorded shape."""
        return images.shape == self._images.shape and labels.shape == self._labels.shape

    def __call__(self, images: Tensor, labels: Tensor) -> Tensor:
        """Do one step; returns the loss, which the next call overwrites."""
        self._images.copy_(images)
        self._labels.copy_(labels)
        self._graph.replay()
        return self._loss
