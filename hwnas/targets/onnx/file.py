"""An ONNX file of any writer as one string of bytes, weights that lie beside it included."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hwnas.errors import MissingPackage, UserError
from hwnas.targets.onnx.model import import_onnx

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

EXTERNAL = b"location"
"""In every file whose weights lie in another one: `torch.onnx.export` may write such files."""


def read(path: Path) -> bytes:
    """Return the whole model.

    Raises:
        MissingPackage: its weights lie in another file, and onnx is not installed.
        UserError: that file is missing or damaged.
        OSError: `path` cannot be read.
    """
    model = path.read_bytes()
    return _with_weights(model, path) if EXTERNAL in model else model


def _with_weights(model: bytes, path: Path) -> bytes:
    try:
        import onnx
        from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
        from onnx.external_data_helper import uses_external_data
    except ImportError:
        raise MissingPackage('the onnx package is missing: pip install "hwnas[onnx]"') from None
    try:
        parsed = onnx.load_model_from_string(model)
    except DecodeError:
        return model  # what is wrong with it, the runtime tells
    if not any(map(uses_external_data, parsed.graph.initializer)):
        return model
    try:
        onnx.load_external_data_for_model(parsed, str(path.parent))
    except (OSError, RuntimeError, ValueError, onnx.checker.ValidationError) as error:
        reason = " ".join(str(error).split()).rstrip(".")
        raise UserError(
            f"the weights of {path} lie in another file, which cannot be read ({reason}). Put both "
            "into one folder."
        ) from None
    whole: bytes = parsed.SerializeToString()
    return whole


def described(model: bytes, metadata: Mapping[str, str]) -> bytes:
    """Return a model whose metadata properties are these texts, and no others.

    Raises:
        MissingPackage: onnx is not installed.
    """
    onnx = import_onnx()
    parsed = onnx.load_model_from_string(model)
    del parsed.metadata_props[:]
    onnx.helper.set_model_props(parsed, dict(metadata))
    whole: bytes = parsed.SerializeToString()
    return whole
