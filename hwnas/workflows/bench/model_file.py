"""A model file of any writer, without a run, to be timed: on which targets, and beside what."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from hwnas.device import find_target
from hwnas.errors import UserError
from hwnas.spaces import RcnetSpace
from hwnas.targets.onnx import file as onnx_file
from hwnas.workflows.bench.timing import Candidate, Target, baseline, load
from hwnas.workflows.search.budgets import parse_limits

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from hwnas.progress import Reporter
    from hwnas.targets.shared.interface import Interface

DEFAULT_TARGETS = {"onnx": "onnx-cpu", "tflite": "tflite"}
"""Targets by the format of the file, which its suffix tells."""
DEFAULT_CLASSES = 1000
"""Of a baseline beside a file whose output is no vector of classes."""


def read_model(path: Path) -> Candidate:
    """Read a model file; its suffix tells the format.

    Raises:
        UserError: it cannot be read, or has another suffix.
    """
    form = _form(path)
    if form not in DEFAULT_TARGETS:
        raise UserError(f"--model {path}: give a file that ends in .onnx or .tflite.")
    try:
        content = path.read_bytes() if form == "tflite" else onnx_file.read(path)
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}). Give a model file.") from None
    return Candidate(path.name, None, content, file=str(path))


def _form(path: Path) -> str:
    return path.suffix.lower().removeprefix(".")


def targets_of(path: Path, names: Sequence[str], budgets: Sequence[str]) -> list[Target]:
    """Return the targets by name, or the usual one of the file's format.

    Args:
        path: of the file.
        names: or none.
        budgets: such as "12ms", or "tflite=12ms" for one of several targets.

    Raises:
        UserError: a target that does not run such files here, or a budget that is not right.
    """
    usual = DEFAULT_TARGETS[_form(path)]
    names = list(dict.fromkeys(names or [usual]))
    limits = _limits_ms(budgets, names)
    found = [Target(find_target(name), limits.get(name)) for name in names]
    for target in found:
        if (form := target.backend.form) != _form(path):
            raise UserError(
                f"{target.profile.name} runs .{form} files, and {path} is none. Give "
                f"--target {usual}, or another one for .{_form(path)}."
            )
    return found


def _limits_ms(budgets: Sequence[str], targets: Sequence[str]) -> dict[str, float]:
    """Return the budget of each target that has one."""
    found: dict[str, float] = {}
    for limit in parse_limits({"latency": budgets}):
        for name in [limit.target] if limit.target else targets:
            if name not in targets:
                raise UserError(
                    f"--budget-latency {name}=...: the file is timed on {', '.join(targets)} only. "
                    f"Add --target {name}."
                )
            if name in found:
                raise UserError(f"two latency budgets for {name}: give one.")
            found[name] = limit.value
    return found


def candidates_of(
    model: Candidate, target: Target, baselines: Sequence[str], reporter: Reporter
) -> list[Candidate]:
    """Return the file with its budget, then baselines at its own input size.

    Args:
        model: the file.
        target: runs it here.
        baselines: names; left out, and told so, where the input is no square colour image.
        reporter: told so.

    Raises:
        UserError: the file is no model of one input and one output of fixed shape.
    """
    own = replace(model, budget_ms=target.budget_ms)
    space = _geometry(load(own, target).interface, reporter, str(model.file))
    beside = [] if space is None else [baseline(name, space, target.backend) for name in baselines]
    return [own, *beside]


def _geometry(interface: Interface, reporter: Reporter, file: str) -> RcnetSpace | None:
    """Return a space of networks with the input and output of the file, or None and tell why."""
    match interface.image_size:
        case (height, width) if height == width and height >= 8:
            classes = interface.classes
            known = classes if classes and classes > 1 else DEFAULT_CLASSES
            return RcnetSpace(f"as {file}", height, known)
    shape = "x".join(map(str, interface.input_shape))
    reporter.info(
        f"no baseline: the input of {file} ({shape}) is not one square colour image of at least 8 "
        "pixels"
    )
    return None
