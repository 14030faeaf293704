"""Check a file against what it was made of, and only then hand it over."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

from hwnas.errors import UserError
from hwnas.files import write_json
from hwnas.workflows.export.accuracy import checked_accuracy
from hwnas.workflows.export.parity import Difference, Parity, difference

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from hwnas.progress import Reporter
    from hwnas.workflows.export.draft import Draft
    from hwnas.workflows.export.options import ExportOptions


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
        measured = checked_accuracy(draft, options, reporter)
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
    found, reference = {}, draft.reference
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
        found[name].require(draft.what, draft.remedy)
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
