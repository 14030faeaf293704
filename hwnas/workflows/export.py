"""`hwnas export`: emit, check against torch on images, and only then hand over."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hwnas import __version__
from hwnas.errors import CheckFailed, UserError, one_of
from hwnas.files import sha256, write_bytes, write_json

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from hwnas.graph import Graph, ImageInput, Weights
    from hwnas.targets.backend import Session
    from hwnas.workflows.winner import Winner

PARITY_LIMIT = 1e-4
"""Largest difference from torch, relative to the largest output of the same image."""
PARITY_IMAGES = 8

Outputs = "NDArray[np.float64]"


@dataclass(frozen=True, slots=True)
class Parity:
    """Differences between the exported file and torch on the same images.

    Attributes:
        max_abs: largest absolute difference of an output.
        max_rel: largest difference relative to the largest output of the same image.
        top1_agreement: share of images with the same class on top.
        images: how many images were compared.
        outputs: what was compared, "logits" or "probabilities".
        executor: who ran the file.
    """

    max_abs: float
    max_rel: float
    top1_agreement: float
    images: int
    outputs: str
    executor: str


@dataclass(frozen=True, slots=True)
class Format:
    """One deployment format.

    Attributes:
        name: as in `--format`.
        suffix: of the file.
        target_os: what it runs on.
        outputs: "logits" or "probabilities".
        executor: who runs the file for the parity check.
        emit: (graph, weights, images, metadata) to bytes.
        execute: (file, pixels (n, H, W, 3) uint8, images) to outputs (n, classes).
        gate: raises CheckFailed when the file would not run on `target_os`.
    """

    name: str
    suffix: str
    target_os: str
    outputs: str
    executor: str
    emit: Callable[[Graph, Weights, ImageInput, dict[str, str]], bytes]
    execute: Callable[[bytes, NDArray[np.uint8], ImageInput], NDArray[Any]]
    gate: Callable[[bytes], None]


FORMATS = ("onnx", "tflite", "coreml")


def find_format(name: str) -> Format:
    """Return a format by name.

    Raises:
        UserError: unknown name.
        MissingPackage: its packages are not installed.
    """
    if name == "onnx":
        return _onnx()
    if name == "tflite":
        return _tflite()
    if name == "coreml":
        return _coreml()
    raise one_of("format", name, list(FORMATS))


def _onnx() -> Format:
    from hwnas.targets.onnx import emitter, runtime

    executor = f"ONNX Runtime {runtime.version()}"
    return _run_here("onnx", "any with ONNX Runtime", executor, emitter.emit, runtime.OnnxRuntime)


def _tflite() -> Format:
    from hwnas.targets.tflite import emitter, runtime

    executor = f"LiteRT {runtime.version()}"
    return _run_here(
        "tflite",
        "any with LiteRT, or TensorFlow Lite 2.14",
        executor,
        emitter.emit,
        runtime.LiteRt,
    )


def _run_here(
    name: str,
    target_os: str,
    executor: str,
    emit: Callable[[Graph, Weights, ImageInput, dict[str, str]], bytes],
    load: Callable[[bytes], Session],
) -> Format:
    """Return a format whose own runtime runs on this machine and takes normalised images."""
    return Format(
        name=name,
        suffix=f".{name}",
        target_os=target_os,
        outputs="logits",
        executor=executor,
        emit=emit,
        execute=lambda model, pixels, images: load(model).predict(normalised(pixels, images)),
        gate=lambda _model: None,
    )


def _coreml() -> Format:
    from hwnas.targets.coreml import emitter, executor, versions

    return Format(
        name="coreml",
        suffix=".mlmodel",
        target_os="iOS 11 and later (checked against the layers of iOS 12)",
        outputs="probabilities",
        executor="hwnas's executor of the NeuralNetwork specification",
        emit=emitter.emit,
        execute=lambda model, pixels, _images: executor.probabilities(model, pixels),
        gate=versions.check_ios12,
    )


def normalised(pixels: NDArray[np.uint8], images: ImageInput) -> NDArray[np.float32]:
    """Return pixels (n, H, W, 3) as a network takes them: float32 (n, 3, H, W)."""
    values = (pixels / 255.0 - np.array(images.mean)) / np.array(images.std)
    return np.ascontiguousarray(values.transpose(0, 3, 1, 2), dtype=np.float32)


def export(winner: Winner, form: Format, folder: Path, origin: dict[str, str]) -> dict[str, Any]:
    """Write the verified file and `<format>.json` beside it; return the content of the latter.

    Args:
        winner: the network.
        form: the format.
        folder: made when missing.
        origin: provenance, for the file's own metadata.

    Raises:
        CheckFailed: the file differs from torch or would not run; nothing is written.
        UserError: the folder cannot be written.
    """
    from hwnas.models.network import fold

    network, images = winner.network(), winner.image_input()
    model = form.emit(
        winner.space.graph(winner.arch), fold(network), images, _metadata(winner, origin)
    )
    form.gate(model)
    pixels = parity_images(winner)
    expected = _torch_outputs(network, normalised(pixels, images), form.outputs)
    parity = compare(form, expected, form.execute(model, pixels, images))
    path = folder / f"{winner.space.name}{form.suffix}"
    write_bytes(path, model)
    result = {
        "file": str(path),
        "format": form.name,
        "precision": "fp32",
        "trained": winner.trained,
        "size_bytes": len(model),
        "sha256": sha256(model),
        "arch": winner.space.format(winner.arch),
        "space": winner.space.name,
        "parity": asdict(parity),
        "target_os": form.target_os,
    }
    if form.name == "coreml":
        from hwnas.targets.coreml.versions import required_version

        result["specification_version"] = required_version(model)
    write_json(folder / f"{form.name}.json", result)
    return result


def _metadata(winner: Winner, origin: dict[str, str]) -> dict[str, str]:
    return {
        "hwnas.version": __version__,
        "hwnas.space": winner.space.name,
        "hwnas.arch": winner.space.format(winner.arch),
        "hwnas.weights": "trained" if winner.trained else "RANDOM: not trained",
        **{f"hwnas.{name}": text for name, text in origin.items()},
    }


def parity_images(winner: Winner) -> NDArray[np.uint8]:
    """Return images (n, H, W, 3): of the run's data where there is some, and noise."""
    resolution = winner.space.resolution
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (PARITY_IMAGES // 2, resolution, resolution, 3), np.uint8)
    try:
        from hwnas.data.catalog import find_dataset

        data = find_dataset(winner.dataset or "cluttered-digits", winner.data_dir)
        real = data.real_images(PARITY_IMAGES // 2, resolution)
    except UserError:
        return noise
    return np.concatenate([real, noise])


def _torch_outputs(network: Any, values: NDArray[np.float32], outputs: str) -> NDArray[Any]:
    """Return what torch computes in float64: only the file's own rounding is then compared."""
    import torch

    with torch.no_grad():
        logits = network.double()(torch.from_numpy(values).double())
        result = logits if outputs == "logits" else logits.softmax(dim=1)
    array: NDArray[Any] = result.numpy()
    return array


def compare(form: Format, expected: NDArray[Any], found: NDArray[Any]) -> Parity:
    """Return the parity of two arrays (n, classes).

    Raises:
        CheckFailed: they differ by more than `PARITY_LIMIT`.
    """
    difference = np.abs(found.astype(float) - expected.astype(float))
    relative = difference.max(axis=1) / np.abs(expected).max(axis=1)
    parity = Parity(
        max_abs=float(difference.max()),
        max_rel=float(relative.max()),
        top1_agreement=float((found.argmax(axis=1) == expected.argmax(axis=1)).mean()),
        images=len(expected),
        outputs=form.outputs,
        executor=form.executor,
    )
    if not parity.max_rel <= PARITY_LIMIT:
        raise CheckFailed(
            f"the {form.name} file differs from torch by {parity.max_rel:.1e} (limit "
            f"{PARITY_LIMIT:.0e}, relative), run by {form.executor}. Nothing was written; please "
            "report this with the architecture."
        )
    return parity
