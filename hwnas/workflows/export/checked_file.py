"""Check a file against what it was made of, and only then hand it over."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any

from hwnas.errors import UserError
from hwnas.files import write_json
from hwnas.workflows.export.accuracy import measure_accuracy, require_accuracy
from hwnas.workflows.export.parity import Difference, Parity, difference, require

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray
    from torch import nn

    from hwnas.data.dataset import Dataset
    from hwnas.graph import ImageInput
    from hwnas.progress import Reporter
    from hwnas.targets.shared.artifact import Artifact
    from hwnas.targets.shared.format import Format
    from hwnas.workflows.export.accuracy import Accuracy
    from hwnas.workflows.export.options import ExportOptions
    from hwnas.workflows.export.parity import Reference


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A file that nobody has got yet, and what it is checked by.

    Attributes:
        form: its format.
        precision: of its weights or arithmetic.
        artifact: the file.
        network: what it was made of, in float32 and evaluation mode.
        images: normalisation and labels of the network.
        pixels: RGB images (n, H, W, 3) that both are compared on.
        reference: what the file should compute of them.
        effect: what fewer bits should change; None where the reference is in float.
        data: whose held-out images the accuracy is measured on, or None.
        slow_images: so many of them at most where the format is not `fast`.
        float_accuracy: whether the accuracy of a file in float32 is measured, too.
        name: of the file, without precision and suffix.
        about: name of the JSON file beside it; None: that of the file, with the format.
        what: it is called in messages, "the onnx file".
        remedy: what a user can do if it computes something else.
        facts: further ones for the JSON file.
    """

    form: Format
    precision: str
    artifact: Artifact
    network: nn.Module
    images: ImageInput
    pixels: NDArray[np.uint8]
    reference: Reference
    effect: Difference | None = None
    data: Dataset | None
    slow_images: int
    float_accuracy: bool = False
    name: str
    about: str | None = None
    what: str
    remedy: str = "please report this with the architecture"
    facts: dict[str, Any] = field(default_factory=dict)


def hand_over(
    draft: Draft, options: ExportOptions, folder: Path, reporter: Reporter
) -> dict[str, Any]:
    """Write a checked file and a JSON file beside it; return the content of the latter.

    Args:
        draft: the file.
        options: how many images the accuracy is measured on, and what it may lose.
        folder: made when missing.
        reporter: is shown progress.

    Raises:
        CheckFailed: the file computes something else or loses too much accuracy; nothing is
            written.
        UserError: the folder cannot be written.
    """
    form, artifact = draft.form, draft.artifact
    found = hold(draft, reporter)
    checks: dict[str, Any] = {name: asdict(parity) for name, parity in found.items()}
    if draft.precision != "fp32" or draft.float_accuracy:
        measured = _accuracy(draft, options, reporter)
        accuracy = {"accuracy": measured and measured.to_json()}
        if draft.precision == "fp32":
            checks |= accuracy
        else:
            effect = draft.effect or found["parity"]
            change = {each.name: getattr(effect, each.name) for each in fields(Difference)}
            checks["precision_effect"] = change | accuracy
    name = draft.name if draft.precision == "fp32" else f"{draft.name}-{draft.precision}"
    path = folder / f"{name}{form.suffix}"
    artifact.write(path)
    result = {
        "file": str(path),
        "format": form.name,
        "precision": draft.precision,
        "size_bytes": artifact.size_bytes,
        "sha256": artifact.sha256,
        **form.facts(artifact),
        **draft.facts,
        "slow_paths": form.slow_paths(artifact),
        **checks,
    }
    write_json(folder / (draft.about or f"{name}.{form.name}.json"), result)
    return result


def hold(draft: Draft, reporter: Reporter) -> dict[str, Parity]:
    """Run a file, on the platform's own runtime too where this machine has it, and hold both.

    Returns:
        "parity", and "native_parity" where there is one.

    Raises:
        CheckFailed: the file computes something else.
    """
    found = {}
    reference = draft.reference
    for name, executor, outputs in _executed(draft, reporter):
        found[name] = Parity(
            **asdict(difference(outputs, reference.outputs)),
            images=len(draft.pixels),
            outputs=draft.form.outputs,
            executor=executor,
            reference=reference.name,
            measure="max_rel" if reference.rounding is None else "rms_rel",
            limit=reference.limit,
        )
        require(found[name], draft.what, draft.remedy)
    return found


def _executed(draft: Draft, reporter: Reporter) -> Iterator[tuple[str, str, NDArray[Any]]]:
    """Yield who ran the file, and its outputs, of each runtime that is here."""
    form, given = draft.form, (draft.artifact, draft.pixels, draft.images)
    yield "parity", form.executor, form.execute(*given)
    try:
        native = form.native(*given)
    except UserError as error:
        reporter.warn(f"{error} The file was checked by {form.executor} alone.")
        return
    if native is not None:
        yield "native_parity", *native


def _accuracy(draft: Draft, options: ExportOptions, reporter: Reporter) -> Accuracy | None:
    """Return the accuracy on held-out images, if there are some.

    Raises:
        CheckFailed: it is too far below that of the float network.
    """
    form, images = draft.form, draft.images
    count = options.images if form.fast else min(options.images, draft.slow_images)
    if draft.data is None or count == 0:
        return None
    with reporter.task(f"accuracy of the {draft.precision} file", count) as step:

        def execute(pixels: NDArray[np.uint8]) -> NDArray[Any]:
            found = form.execute(draft.artifact, pixels, images)
            step(len(pixels))
            return found

        resolution = draft.pixels.shape[1]
        found = measure_accuracy(draft.network, execute, draft.data, resolution, count, images)
    require_accuracy(found, options.max_drop, draft.what)
    return found
