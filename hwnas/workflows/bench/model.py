"""`hwnas bench --model`: a model file of any writer, without a run."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from hwnas.device import find_target
from hwnas.errors import UserError
from hwnas.spaces import RcnetSpace
from hwnas.workflows.bench import timing as benches
from hwnas.workflows.search.budgets import parse_limits

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from hwnas.progress import Reporter
    from hwnas.targets.backend import Backend
    from hwnas.targets.shared.interface import Interface

DEFAULT_TARGETS = {"onnx": "onnx-cpu", "tflite": "tflite"}
"""Targets by the format of the file, which its suffix tells."""
DEFAULT_CLASSES = 1000
"""Of a baseline beside a file whose output is no vector of classes."""


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A file as it is given to a runtime.

    Attributes:
        path: as the user gave it.
        form: "onnx" or "tflite".
        content: the whole model.
    """

    path: Path
    form: str
    content: bytes


@dataclass(frozen=True, slots=True)
class ModelBench:
    """A model file on all targets that were asked for."""

    model: ModelFile
    benches: tuple[benches.Bench, ...]

    @property
    def passed(self) -> bool:
        """Whether it missed no budget."""
        return all(one.passed for one in self.benches)

    def to_json(self) -> dict[str, Any]:
        """Return all rows, and what holds per target."""
        return {
            "model": str(self.model.path),
            "networks": [asdict(timing) for one in self.benches for timing in one.timings],
            "targets": {one.target: one.to_json() for one in self.benches},
            "verdict": "PASS" if self.passed else "FAIL",
        }


def read_model(path: Path) -> ModelFile:
    """Read a model file; its suffix tells the format.

    Raises:
        UserError: it cannot be read, or has another suffix.
    """
    form = path.suffix.lower().removeprefix(".")
    if form not in DEFAULT_TARGETS:
        raise UserError(f"--model {path}: give a file that ends in .onnx or .tflite.")
    try:
        return ModelFile(path, form, _content(path, form))
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}). Give a model file.") from None


def _content(path: Path, form: str) -> bytes:
    if form == "onnx":
        from hwnas.targets.onnx import file

        return file.read(path)
    return path.read_bytes()


def bench_model(
    model: ModelFile,
    targets: Sequence[str],
    budgets: Sequence[str],
    baselines: Sequence[str],
    reporter: Reporter,
) -> ModelBench:
    """Time a model file beside baselines at its own input size.

    Args:
        model: the file.
        targets: names, or none for the usual one of its format.
        budgets: such as "12ms", or "tflite=12ms" for one of several targets.
        baselines: names; left out, and told so, where the input is no square colour image.
        reporter: is shown progress.

    Raises:
        UserError: a target that does not run such files here, a budget that is not right, or a
            file that is no model of one input and one output of fixed shape.
    """
    names = list(dict.fromkeys(targets or [DEFAULT_TARGETS[model.form]]))
    limits = _limits(budgets, names)
    backends = {name: _backend(model, name) for name in names}
    found = [
        _bench(model, name, backend, limits.get(name), baselines, reporter)
        for name, backend in backends.items()
    ]
    return ModelBench(model, tuple(found))


def _limits(budgets: Sequence[str], targets: Sequence[str]) -> Mapping[str, float]:
    """Return the budget of each target that has one."""
    found: dict[str, float] = {}
    for limit in parse_limits({"latency": budgets}):
        named = [limit.target] if limit.target else list(targets)
        for name in named:
            if name not in targets:
                raise UserError(
                    f"--budget-latency {name}=...: the file is timed on {', '.join(targets)} only. "
                    f"Add --target {name}."
                )
            if name in found:
                raise UserError(f"two latency budgets for {name}: give one.")
            found[name] = limit.value
    return found


def _backend(model: ModelFile, target: str) -> Backend:
    backend = benches.backend_for(find_target(target))
    if backend.form != model.form:
        raise UserError(
            f"{target} runs .{backend.form} files, and {model.path} is none. Give --target "
            f"{DEFAULT_TARGETS[model.form]}, or another one for .{model.form}."
        )
    return backend


def _bench(
    model: ModelFile,
    target: str,
    backend: Backend,
    budget_ms: float | None,
    baselines: Sequence[str],
    reporter: Reporter,
) -> benches.Bench:
    file = str(model.path)
    candidate = benches.Candidate(model.path.name, None, model.content, None, budget_ms, file=file)
    profile = find_target(target)
    interface = benches.load(candidate, profile, backend).interface
    space = _geometry(interface, reporter, model.path)
    beside = [] if space is None else [benches.baseline(n, space, backend) for n in baselines]
    return benches.bench(profile, backend, [candidate, *beside], None, None, reporter)


def _geometry(interface: Interface, reporter: Reporter, path: Path) -> RcnetSpace | None:
    """Return a space of networks with the input and output of the file, or None and tell why."""
    match interface.image_size:
        case (height, width) if height == width and height >= 8:
            classes = interface.classes
            known = classes if classes and classes > 1 else DEFAULT_CLASSES
            return RcnetSpace(f"as {path.name}", height, known)
    shape = "x".join(map(str, interface.input_shape))
    reporter.info(
        f"no baseline: the input of {path} ({shape}) is not one square colour image of at least 8 "
        "pixels"
    )
    return None
