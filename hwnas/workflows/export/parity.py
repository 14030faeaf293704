"""Whether a file computes what it should, before anybody gets it."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hwnas.errors import CheckFailed, UserError
from hwnas.targets.shared.compute import one_thread

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import nn

    from hwnas.data.selection import Selection
    from hwnas.graph import ImageInput
    from hwnas.progress import Reporter
    from hwnas.targets.shared.artifact import Artifact
    from hwnas.targets.shared.format import Format

PARITY_LIMIT = 1e-4
"""Of a file whose values are float32: only the runtime's own rounding is left then."""

ROUNDING_LIMIT = 0.5
"""Of a file that rounds its values, as `rms_rel`: a wrong one is off by about 1 or more."""

PARITY_IMAGES = 8

DEFAULT_DATA = "cluttered-digits"


@dataclass(frozen=True, slots=True)
class Parity:
    """Differences between what a file computes and what it should, on the same images.

    Attributes:
        max_abs: largest absolute difference of an output.
        max_rel: largest difference relative to the largest output of the same image.
        rms_rel: root mean square of the differences over that of the outputs.
        top1_agreement: share of images with the same class on top.
        images: how many images were compared.
        outputs: what was compared, "logits" or "probabilities".
        executor: who ran the file.
        reference: what it was compared with.
        measure: which of `max_rel` and `rms_rel` has the limit.
        limit: the limit.
    """

    max_abs: float
    max_rel: float
    rms_rel: float
    top1_agreement: float
    images: int
    outputs: str
    executor: str
    reference: str
    measure: str
    limit: float

    @property
    def held(self) -> bool:
        """Whether the limit was kept; not a number is not."""
        return bool(getattr(self, self.measure) <= self.limit)


@dataclass(frozen=True, slots=True)
class Difference:
    """Of two arrays of outputs (n, classes)."""

    max_abs: float
    max_rel: float
    rms_rel: float
    top1_agreement: float


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


def compared(
    form: Format,
    found: NDArray[Any],
    expected: NDArray[Any],
    reference: str,
    rounding: float | None = None,
) -> Parity:
    """Return the parity of a file's outputs (n, classes).

    Args:
        form: the format.
        found: by the file.
        expected: by the reference.
        reference: what that is.
        rounding: what the rounding of values changes (`rms_rel`), or None where they are not
            rounded. A runtime may round some values to the other side, and later ones follow; two
            such computations differ by up to the root of two times that.
    """
    limit = PARITY_LIMIT
    if rounding is not None:
        limit = max(limit, min(2 * rounding, ROUNDING_LIMIT))
    return Parity(
        **asdict(difference(found, expected)),
        images=len(expected),
        outputs=form.outputs,
        executor=form.executor,
        reference=reference,
        measure="max_rel" if rounding is None else "rms_rel",
        limit=limit,
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


@dataclass(frozen=True, slots=True)
class Reference:
    """What a file should compute.

    Attributes:
        outputs: (n, classes).
        name: for people.
        rounding: what rounding values changes (`rms_rel`), or None; see `compared`.
    """

    outputs: NDArray[Any]
    name: str
    rounding: float | None = None


REPORT = "please report this with the architecture"


def require(parity: Parity, what: str, remedy: str = REPORT) -> None:
    """Check that the limit was kept.

    Args:
        parity: what was found.
        what: names the file, "the onnx file".
        remedy: what a user can do.

    Raises:
        CheckFailed: it was not.
    """
    if not parity.held:
        raise CheckFailed(
            f"{what} differs from {parity.reference} by {getattr(parity, parity.measure):.1e} "
            f"(limit {parity.limit:.0e}, {parity.measure}), run by {parity.executor}. Nothing was "
            f"written; {remedy}."
        )


def checked(
    form: Format,
    artifact: Artifact,
    pixels: NDArray[np.uint8],
    images: ImageInput,
    reference: Reference,
    reporter: Reporter,
    *,
    what: str,
    remedy: str = REPORT,
) -> dict[str, Any]:
    """Run a file, on the platform's own runtime too where this machine has it, and hold both.

    Args:
        form: the format.
        artifact: the file.
        pixels: RGB images (n, H, W, 3).
        images: normalisation and labels.
        reference: what the file should compute of them.
        reporter: is told when the platform's runtime does not run the file.
        what: names the file, "the onnx file".
        remedy: what a user can do.

    Returns:
        "parity", and "native_parity" where there is one.

    Raises:
        CheckFailed: the file computes something else.
    """
    expected, name, rounding = reference.outputs, reference.name, reference.rounding
    found = form.execute(artifact, pixels, images)
    parity = compared(form, found, expected, name, rounding)
    require(parity, what, remedy)
    result = {"parity": asdict(parity)}
    native = _native(form, artifact, pixels, images, reporter)
    if native is not None:
        runtime, outputs = native
        again = replace(parity, **asdict(difference(outputs, expected)), executor=runtime)
        require(again, what, remedy)
        result["native_parity"] = asdict(again)
    return result


def _native(
    form: Format,
    artifact: Artifact,
    pixels: NDArray[np.uint8],
    images: ImageInput,
    reporter: Reporter,
) -> tuple[str, NDArray[Any]] | None:
    """Return the platform's runtime and its outputs, or None where it is not here or fails."""
    try:
        return form.native(artifact, pixels, images)
    except UserError as error:
        reporter.warn(f"{error} The file was checked by {form.executor} alone.")
        return None


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
