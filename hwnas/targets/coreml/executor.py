"""An executor of Core ML neural networks: Core ML itself runs on Apple devices only.

It reads the protobuf and nothing else, so that it is a check on what wrote the file. It computes
in float64: what differs from another runtime is then the file or that runtime's rounding. What it
does not interpret is an error.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from hwnas.errors import HwnasError
from hwnas.targets.apple import classifier, require
from hwnas.targets.coreml.layers import LAYERS, SEVERAL_INPUTS, Layer, unknown
from hwnas.targets.shared.compute import one_thread

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

BATCH = 8
"""Images that run at once, so that the blobs of a large network stay within some hundred MB."""


def probabilities(model: bytes, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the probabilities of RGB images (n, height, width, 3) as (n, classes).

    Raises:
        UserError: the images do not have the size that the model states.
        HwnasError: the model is no classifier, or holds something that is not interpreted.
    """
    spec = _parsed(model)
    kind = spec.WhichOneof("Type")
    if kind != "neuralNetworkClassifier":
        raise HwnasError(f"expected a Core ML classifier, but the model is of type {kind}")
    return _run(spec, classifier.pixels_of(spec, images)).reshape(len(images), -1)


def run(model: bytes, values: NDArray[Any]) -> NDArray[np.float32]:
    """Return a network's first output, or its probabilities if it is a classifier.

    Args:
        model: a network with one input.
        values: (n, channels, height, width) or (n, channels); 0 to 255 where its input is an image.

    Returns:
        (n, channels, height, width) of the output blob.

    Raises:
        HwnasError: the model holds something that is not interpreted.
    """
    return _run(_parsed(model), values)


def _parsed(model: bytes) -> Any:
    return require("proto.Model_pb2").Model.FromString(model)


def _network(spec: Any) -> Any:
    kind = spec.WhichOneof("Type")
    if kind not in {"neuralNetwork", "neuralNetworkClassifier"}:
        raise unknown(f"models of type {kind}")
    return getattr(spec, kind)


def _output_blob(spec: Any) -> str:
    network = _network(spec)
    return str(getattr(network, "labelProbabilityLayerName", "") or spec.description.output[0].name)


def _run(spec: Any, values: NDArray[Any]) -> NDArray[np.float32]:
    network = _network(spec)
    if len(spec.description.input) != 1:
        raise unknown(f"models of {len(spec.description.input)} inputs")
    source, target = spec.description.input[0].name, _output_blob(spec)
    prepare = _preprocessing(spec)
    steps = [_step(layer) for layer in network.layers]
    images = torch.from_numpy(np.array(values, np.float64, order="C"))
    with one_thread(), torch.inference_mode():
        results = [
            _forward(steps, source, prepare(_as_blob(chunk)), target).numpy()
            for chunk in torch.split(images, BATCH)
        ]
    return np.concatenate(results, dtype=np.float32)


def _as_blob(values: Tensor) -> Tensor:
    """Return (n, C, H, W) or (n, C) with n as the batch of a blob."""
    return values.reshape(*values.shape, 1, 1)[None] if values.ndim == 2 else values[None]


@dataclass(frozen=True, slots=True)
class _Step:
    apply: Layer
    inputs: tuple[str, ...]
    output: str


def _step(layer: Any) -> _Step:
    kind = layer.WhichOneof("layer")
    if kind not in LAYERS:
        raise unknown(f"layer {layer.name!r} of type {kind}")
    if (len(layer.input) > 1) != (kind in SEVERAL_INPUTS):
        raise unknown(f"layer {layer.name!r}, {kind} of {len(layer.input)} inputs")
    return _Step(LAYERS[kind](getattr(layer, kind)), tuple(layer.input), layer.output[0])


def _forward(steps: list[_Step], source: str, value: Tensor, target: str) -> Tensor:
    """Return blob `target` as (batch, channel, height, width).

    Every blob is dropped after its last reader.
    """
    last = {name: index for index, step in enumerate(steps) for name in step.inputs}
    blobs = {source: value}
    for index, step in enumerate(steps):
        blobs[step.output] = step.apply(*(blobs[name] for name in step.inputs))
        for name in set(step.inputs):
            if last[name] == index and name != target:
                del blobs[name]
    if len(blobs[target]) != 1:
        raise unknown(f"an output that is a sequence of {len(blobs[target])}")
    return blobs[target][0]


def _preprocessing(spec: Any) -> Layer:
    steps = _network(spec).preprocessing
    if not steps:
        return lambda x: x
    if len(steps) > 1 or steps[0].WhichOneof("preprocessor") != "scaler":
        raise unknown("preprocessing other than one scale and its biases")
    scaler = steps[0].scaler
    biases = (scaler.redBias, scaler.greenBias, scaler.blueBias)
    bias = torch.tensor(biases, dtype=torch.float64).reshape(3, 1, 1)
    return lambda x: scaler.channelScale * x + bias
