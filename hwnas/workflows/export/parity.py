"""Whether a file computes what it should, before anybody gets it."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hwnas.errors import CheckFailed, UserError
from hwnas.targets.shared.compute import one_thread

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import nn

    from hwnas.data.selection import Selection

PARITY_LIMIT = 1e-4
"""Of a file whose values are float32: only the runtime's own rounding is left then."""

ROUNDING_LIMIT = 0.5
"""Of a file that rounds its values, as `rms_rel`: a wrong one is off by about 1 or more."""

PARITY_IMAGES = 8

DEFAULT_DATA = "cluttered-digits"


@dataclass(frozen=True, slots=True)
class Difference:
    """Of two arrays of outputs (n, classes).

    Attributes:
        max_abs: largest absolute difference of an output.
        max_rel: largest difference relative to the largest output of the same image.
        rms_rel: root mean square of the differences over that of the outputs.
        top1_agreement: share of images with the same class on top.
    """

    max_abs: float
    max_rel: float
    rms_rel: float
    top1_agreement: float


@dataclass(frozen=True, slots=True)
class Parity(Difference):
    """Differences between what a file computes and what it should, on the same images.

    Attributes:
        images: how many images were compared.
        outputs: what was compared, "logits" or "probabilities".
        executor: who ran the file.
        reference: what it was compared with.
        measure: which of `max_rel` and `rms_rel` has the limit.
        limit: the limit.
    """

    images: int
    outputs: str
    executor: str
    reference: str
    measure: str
    limit: float

    def require(self, what: str, remedy: str) -> None:
        """Check that the limit was kept; not a number does not.

        Args:
            what: names the file, "the onnx file".
            remedy: what a user can do.

        Raises:
            CheckFailed: it was not.
        """
        found = getattr(self, self.measure)
        if not found <= self.limit:
            raise CheckFailed(
                f"{what} differs from {self.reference} by {found:.1e} (limit {self.limit:.0e}, "
                f"{self.measure}), run by {self.executor}. Nothing was written; {remedy}."
            )


@dataclass(frozen=True, slots=True)
class Reference:
    """What a file should compute.

    Attributes:
        outputs: (n, classes).
        name: for people.
        rounding: what the rounding of values changes (`rms_rel`), or None where they are not
            rounded. A runtime may round some values to the other side, and later ones follow; two
            such computations differ by up to the root of two times that.
    """

    outputs: NDArray[Any]
    name: str
    rounding: float | None = None

    @property
    def limit(self) -> float:
        """Of the difference between a file and this."""
        if self.rounding is None:
            return PARITY_LIMIT
        return max(PARITY_LIMIT, min(2 * self.rounding, ROUNDING_LIMIT))


def difference(found: NDArray[Any], expected: NDArray[Any]) -> Difference:
    """Return how far outputs (n, classes) are from what is expected."""
    apart = np.abs(found.astype(float) - expected.astype(float))
    largest = np.abs(expected).max(axis=1)
    return Difference(
        max_abs=float(apart.max()),
        max_rel=float((apart.max(axis=1) / largest).max()),
        rms_rel=float(np.sqrt((apart**2).mean() / (expected.astype(float) ** 2).mean())),
        top1_agreement=float((found.argmax(axis=1) == expected.argmax(axis=1)).mean()),
    )


def torch_outputs(
    module: nn.Module, values: NDArray[np.float32], outputs: str
) -> NDArray[np.float64]:
    """Return what a module computes in float64: only a file's own rounding is then compared.

    Args:
        module: in evaluation mode; a copy of it is run.
        values: normalised images (n, 3, H, W).
        outputs: "logits" or "probabilities".
    """
    import torch

    with one_thread(), torch.inference_mode():
        logits = deepcopy(module).double()(torch.from_numpy(values).double())
    return as_outputs(logits.numpy(), outputs)


def as_outputs(logits: NDArray[np.float64], outputs: str) -> NDArray[np.float64]:
    """Return logits (n, classes), or their softmax where "probabilities" are asked for."""
    from scipy.special import softmax

    result: NDArray[np.float64] = logits if outputs == "logits" else softmax(logits, axis=1)
    return result


def parity_images(
    dataset: str | None, data_dir: Path | None, selection: Selection, resolution: int
) -> NDArray[np.uint8]:
    """Return images (n, H, W, 3): real ones where there are some, and noise.

    Args:
        dataset: its name; the bundled one for None.
        data_dir: where it lies.
        selection: what is left out of it.
        resolution: height and width.
    """
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (PARITY_IMAGES // 2, resolution, resolution, 3), np.uint8)
    try:
        from hwnas.data.catalog import find_dataset

        data = find_dataset(dataset or DEFAULT_DATA, data_dir, selection)
        real = data.real_images(PARITY_IMAGES // 2, resolution)
    except UserError:
        return noise
    return np.concatenate([real, noise])
