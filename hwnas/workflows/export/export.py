"""`hwnas export`: a model file that was checked against torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hwnas.device import find_target
from hwnas.errors import UserError
from hwnas.files import require_writable
from hwnas.options import refuse
from hwnas.runs import find_run
from hwnas.spaces import find_space
from hwnas.targets.formats import check_precision, find_format
from hwnas.workflows.export.checked_file import hand_over
from hwnas.workflows.export.exported_files import FOLDER
from hwnas.workflows.export.from_graph import emitted
from hwnas.workflows.export.provenance import origin_of
from hwnas.workflows.winner import Winner, of_run

if TYPE_CHECKING:
    from pathlib import Path

    from hwnas.progress import Reporter
    from hwnas.workflows.export.options import ExportOptions


def export(options: ExportOptions, reporter: Reporter) -> dict[str, Any]:
    """Write the verified file and a JSON file beside it; return the content of the latter.

    Args:
        options: name a run, an architecture, or a torch module.
        reporter: is shown progress, and warned of what the file is not good for.

    Raises:
        CheckFailed: the file differs from torch, loses too much accuracy or would not run;
            nothing is written.
        UserError: options that do not go together, something that they name is not there, or the
            folder cannot be written.
    """
    if options.model is not None:
        refuse(
            options,
            "--arch --run --checkpoint",
            "--model stands for itself: leave --arch, --run, --checkpoint out.",
        )
        return _export_module(options, options.model, reporter)
    refuse(
        options,
        "--labels --mean --std",
        "--labels, --mean and --std go with --model: others know their own.",
    )
    if options.arch is not None:
        winner = _named(options, options.arch)
        return _export_network(winner, options, options.workspace / FOLDER, {}, reporter)
    refuse(
        options,
        "--dataset --data-dir --held-out-per-class --skip-damaged",
        "--dataset and its options go with --arch or --model: a run knows its own data.",
    )
    run = find_run(options.workspace, options.run)
    winner = of_run(run)
    origin = origin_of(options.workspace, run, winner)
    return _export_network(winner, options, run.path / FOLDER, origin, reporter)


def _export_module(options: ExportOptions, model: str, reporter: Reporter) -> dict[str, Any]:
    """Export a user's own torch module."""
    from hwnas.models.own import load_own
    from hwnas.spaces.catalog import parse_resolution
    from hwnas.workflows.export.from_module import converted

    if options.input_size is None:
        raise UserError("--model needs the size of its images: --input 3x224x224.")
    resolution = parse_resolution(options.input_size)
    own = load_own(model, (3, resolution, resolution))
    folder = options.out or options.workspace / FOLDER
    require_writable(folder)
    return hand_over(converted(own, options, reporter), options, folder, reporter)


def _named(options: ExportOptions, arch: str) -> Winner:
    if not options.random_weights and options.checkpoint is None:
        raise UserError("--arch needs weights: give --checkpoint FILE or --random-weights.")
    space = find_space(options.space or "rcnet-imagenet", **options.geometry)
    if options.checkpoint is not None and not options.checkpoint.is_file():
        raise UserError(
            f"{options.checkpoint} is missing: give the checkpoint.pt of a trained run."
        )
    return Winner(
        space,
        space.canonical(space.parse(arch)),
        dataset=options.dataset,
        data_dir=options.data_dir,
        selection=options.selection,
        checkpoint=options.checkpoint,
        seed=options.seed,
    )


def _export_network(
    winner: Winner,
    options: ExportOptions,
    folder: Path,
    origin: dict[str, str],
    reporter: Reporter,
) -> dict[str, Any]:
    """Export a network of a space, as usual on its target, warning when the weights are random."""
    usual, precision = "onnx", options.precision
    if winner.target is not None:
        profile = find_target(winner.target)
        usual = profile.export_format
        if precision is None and options.format in {None, usual}:
            precision = profile.precision
    form = find_format(options.format or usual, pixels=options.mediapipe)
    precision = check_precision(form, precision)
    folder = options.out or folder
    require_writable(folder)
    if winner.outdated:
        reporter.warn(
            "the winner has changed since it was trained: `hwnas train` trains this one, and "
            "keeps that training in the run's folder."
        )
    if not winner.trained:
        reporter.warn(
            "this network is not trained: the file holds random weights, good for timing only "
            "(`hwnas train` first, for a useful one)."
        )
    return hand_over(emitted(winner, form, precision, origin, reporter), options, folder, reporter)
