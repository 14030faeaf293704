"""A user's own torch module, named as `path/to/file.py:function` or `package.module:function`."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from hwnas.errors import UserError

if TYPE_CHECKING:
    from types import ModuleType

    from torch import nn

    from hwnas.graph import Shape

EXAMPLE = "for instance --model my_net.py:build, where build() returns a torch.nn.Module"


@dataclass(frozen=True, slots=True)
class OwnModel:
    """A network that no graph describes.

    Attributes:
        name: for files, from the name that was given.
        module: in evaluation mode; (1, C, H, W) float32 to (1, classes).
        input_shape: (C, H, W).
        classes: number of outputs.
        source: "file.py:function", without the folder.
        source_file: where that lies, or None: the function is built in.
    """

    name: str
    module: nn.Module
    input_shape: Shape
    classes: int
    source: str
    source_file: Path | None


def is_model_name(text: str) -> bool:
    """Return whether a text names a function rather than a model file."""
    head, colon, tail = text.rpartition(":")
    return bool(colon and head and tail.isidentifier())


def load_own(text: str, input_shape: Shape) -> OwnModel:
    """Return what the named function builds.

    Args:
        text: "FILE.py:FUNCTION" or "MODULE:FUNCTION"; the function takes no arguments.
        input_shape: (C, H, W) of its images.

    Raises:
        UserError: there is no such function, it fails, or what it returns is no classifier of
            such images.
    """
    place, _, function = text.rpartition(":")
    if not is_model_name(text):
        raise UserError(f"--model {text} names no function: write FILE.py:FUNCTION, {EXAMPLE}.")
    imported = _imported(place, text)
    build = getattr(imported, function, None)
    if not callable(build):
        raise UserError(f"{place} has no function {function!r}: --model names one, {EXAMPLE}.")
    module = _built(build, text)
    file = getattr(imported, "__file__", None)
    return OwnModel(
        name=Path(place).stem if place.endswith(".py") else place.rpartition(".")[2],
        module=module,
        input_shape=input_shape,
        classes=_classes(module, input_shape, text),
        source=f"{Path(place).name}:{function}",
        source_file=Path(file) if file else None,
    )


def _imported(place: str, text: str) -> ModuleType:
    path = Path(place).expanduser().resolve()
    is_file = place.endswith(".py")
    if is_file and not path.is_file():
        raise UserError(f"{place} is missing: --model needs a file, {EXAMPLE}.")
    # What it imports lies beside it.
    sys.path.insert(0, str(path.parent if is_file else Path.cwd()))
    try:
        return _from_file(path) if is_file else importlib.import_module(place)
    except Exception as error:
        raise _failed(text, "cannot be imported", error) from error


def _from_file(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None  # noqa: S101 - a .py file always has one
    assert spec.loader is not None  # noqa: S101
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _built(build: Any, text: str) -> nn.Module:
    try:
        module = build()
    except Exception as error:
        raise _failed(text, "fails", error) from error
    if not isinstance(module, torch.nn.Module):
        raise UserError(
            f"{text} returns {type(module).__name__}, not a torch.nn.Module: {EXAMPLE}."
        )
    return module.eval()


def _classes(module: nn.Module, input_shape: Shape, text: str) -> int:
    size = "x".join(map(str, input_shape))
    try:
        with torch.inference_mode():
            result = module(torch.zeros(1, *input_shape))
    except Exception as error:
        raise _failed(text, f"does not take an image of {size} (--input)", error) from error
    if not isinstance(result, torch.Tensor) or result.ndim != 2 or len(result) != 1:
        found = tuple(result.shape) if isinstance(result, torch.Tensor) else type(result).__name__
        raise UserError(
            f"{text} returns {found} for one image of {size}, where a classifier returns a tensor "
            "(1, classes)."
        )
    return int(result.shape[1])


def _failed(text: str, what: str, error: Exception) -> UserError:
    message = str(error).strip().splitlines()
    reason = f"{type(error).__name__}: {message[0]}" if message else type(error).__name__
    return UserError(f"--model {text} {what}: {reason}")
