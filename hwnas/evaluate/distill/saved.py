"""Weights of trained units on disk: every process that puts a network together finds them."""

from __future__ import annotations

import io
import pickle
from typing import TYPE_CHECKING

import torch

from hwnas.files import fingerprint, write_bytes

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from hwnas.evaluate.distill.transplant import TransplantEvaluator
    from hwnas.spaces import Arch


def file_of(evaluator: TransplantEvaluator, arch: Arch, replicate: int) -> Path:
    """Return where the weights of a unit lie, beside those of its teacher."""
    folder = f"{evaluator.teacher.checkpoint.stem}-units"
    name = fingerprint([evaluator.identity(), list(arch), replicate])[:16]
    return evaluator.teacher.folder / folder / f"{name}.pt"


def write_unit(path: Path, weights: dict[str, Tensor]) -> None:
    """Write the weights of a unit; the file is whole or not there.

    Raises:
        UserError: it cannot be written, say because the disk is full.
    """
    stream = io.BytesIO()
    torch.save(weights, stream)
    write_bytes(path, stream.getvalue())


def read_unit(path: Path) -> dict[str, Tensor] | None:
    """Return the weights of a unit by name, on the CPU; None where they have to be trained.

    A damaged file is as good as none: what it held can be trained again, to the same numbers.
    """
    try:
        found: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError):
        return None
    return found
