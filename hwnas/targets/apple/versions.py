"""Which specification version a model needs, from what is in it: the gates to iOS 12 and 15.

The version that a file states is a claim; a file of version 4 that states 3 is accepted by
Apple's validator and fails on the device. Rules after Apple's mlmodel/src/Utils.cpp and the
comments of NeuralNetwork.proto (BSD-3, coremltools).
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from hwnas.errors import CheckFailed, UserError
from hwnas.targets.apple import programs, require
from hwnas.targets.apple.releases import (
    IOS11,
    IOS11_2,
    IOS12,
    IOS13,
    IOS14,
    IOS16,
    Requirement,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

# fmt: off
IOS12_LAYERS = frozenset({
    "activation", "add", "average", "batchnorm", "bias", "biDirectionalLSTM", "concat",
    "convolution", "crop", "cropResize", "custom", "dot", "embedding", "flatten", "gru",
    "innerProduct", "l2normalize", "loadConstant", "lrn", "max", "min", "multiply", "mvn",
    "padding", "permute", "pooling", "reduce", "reorganizeData", "reshape", "resizeBilinear",
    "scale", "sequenceRepeat", "simpleRecurrent", "slice", "softmax", "split", "unary",
    "uniDirectionalLSTM", "upsample",
})
"""Layer types, by their names in the protobuf, that iOS 12 runs (with the exceptions below)."""

IOS14_LAYERS = frozenset({
    "argSort", "clampedReLU", "convolution3d", "cumSum", "globalPooling3d", "oneHot", "pooling3d",
    "sliceBySize",
})
# fmt: on

LATER_LAYERS = dict.fromkeys(("resizeBilinear", "cropResize"), IOS12) | {"custom": IOS11_2}
"""Versions of the layers of iOS 12 that iOS 11 lacked."""

NETWORKS = ("neuralNetwork", "neuralNetworkClassifier", "neuralNetworkRegressor")


def required_version(model: Any) -> int:
    """Return the lowest specification version that allows everything in `model`.

    Args:
        model: a serialised model (bytes) or a Model protobuf.

    Raises:
        UserError: the model is neither a neural network nor an ML Program.
    """
    return max((each.version for each in requirements(model)), default=IOS11)


def check_ios12(model: Any) -> None:
    """Check that iOS 12 runs `model` (bytes or protobuf), whatever version it states.

    Raises:
        CheckFailed: the model holds something later, which the message names, or states a version
            that does not fit.
        UserError: the model is neither a neural network nor an ML Program.
    """
    parsed = _parsed(model)
    later = [each for each in requirements(parsed) if each.version > IOS12]
    if later:
        raise CheckFailed(f"iOS 12 cannot run this model: {_summary(later)}")
    needed, stated = required_version(parsed), parsed.specificationVersion
    if not needed <= stated <= IOS12:
        raise CheckFailed(
            f"needed <= stated version <= {IOS12} must hold for iOS 12, but got "
            f"needed={needed}, stated={stated}"
        )


def check_stated(model: Any) -> None:
    """Check that a model states at least the version that its content needs.

    Raises:
        CheckFailed: it states less; the message names what needs more.
        UserError: the model is neither a neural network nor an ML Program.
    """
    parsed = _parsed(model)
    stated = parsed.specificationVersion
    beyond = [each for each in requirements(parsed) if each.version > stated]
    if beyond:
        raise CheckFailed(f"the model states version {stated}, but holds {_summary(beyond)}")


def requirements(model: Any) -> list[Requirement]:
    """Return what needs a later version than the first, in the order of the file.

    Raises:
        UserError: the model is neither a neural network nor an ML Program.
    """
    parsed = _parsed(model)
    kind = parsed.WhichOneof("Type")
    if kind == "mlProgram":
        return [*programs.requirements(parsed.mlProgram), *_of_features(parsed)]
    if kind not in NETWORKS:
        raise UserError(f"expected a Core ML neural network, but got {kind or 'an empty model'}")
    network = getattr(parsed, kind)
    found = [*_of_features(parsed), *_of_mappings(network)]
    for layer in network.layers:
        found += _of_layer(layer)
    return found


def _parsed(model: Any) -> Any:
    return require("proto.Model_pb2").Model.FromString(model) if isinstance(model, bytes) else model


def _summary(found: list[Requirement]) -> str:
    """Name each reason once, with its version and how often it occurs."""
    times: dict[Requirement, int] = defaultdict(int)
    for each in found:
        times[each] += 1
    return ", ".join(f"{each.what} (version {each.version}, x{n})" for each, n in times.items())


def _of_features(model: Any) -> Iterator[Requirement]:
    if model.isUpdatable:
        yield Requirement(IOS13, "an updatable model")
    for feature in (*model.description.input, *model.description.output):
        if feature.type.WhichOneof("Type") == "imageType":
            yield from _of_image(feature.name, feature.type.imageType)


def _of_image(name: str, image: Any) -> Iterator[Requirement]:
    if image.WhichOneof("SizeFlexibility"):
        yield Requirement(IOS12, f"flexible size of {name!r}")
    if image.ColorSpace.Name(image.colorSpace) == "GRAYSCALE_FLOAT16":
        yield Requirement(IOS16, f"float16 image {name!r}")


def _of_mappings(network: Any) -> Iterator[Requirement]:
    if network.arrayInputShapeMapping:
        yield Requirement(IOS13, "exact array mapping")
    if network.imageInputShapeMapping:
        yield Requirement(IOS13, "rank 4 image mapping")


def _of_layer(layer: Any) -> Iterator[Requirement]:
    kind = layer.WhichOneof("layer")
    if kind is None:
        yield Requirement(IOS13, f"layer {layer.name!r} of an unknown type")
    elif kind in IOS14_LAYERS:
        yield Requirement(IOS14, f"layer {kind}")
    elif kind not in IOS12_LAYERS:
        yield Requirement(IOS13, f"layer {kind}")
    else:
        if kind in LATER_LAYERS:
            yield Requirement(LATER_LAYERS[kind], f"layer {kind}")
        yield from _of_options(layer, kind)
        yield from _of_weights(getattr(layer, kind), kind)


def _of_options(layer: Any, kind: str) -> Iterator[Requirement]:
    """Yield the later options of layers that iOS 12 has."""
    params = getattr(layer, kind)
    if layer.isUpdatable:
        yield Requirement(IOS13, f"updatable {kind}")
    if kind == "convolution" and len(layer.input) > 1:
        yield Requirement(IOS13, "convolution with weights as an input")
    if kind == "innerProduct" and params.int8DynamicQuantize:
        yield Requirement(IOS14, "innerProduct with dynamic quantisation")
    if kind == "upsample" and (params.linearUpsampleMode or params.fractionalScalingFactor):
        yield Requirement(IOS14, "upsample with a mode or a fractional factor")
    if kind == "reorganizeData" and params.mode == params.PIXEL_SHUFFLE:
        yield Requirement(IOS14, "reorganizeData as pixel shuffle")


def _of_weights(message: Any, kind: str) -> Iterator[Requirement]:
    """Yield the storage types of all weights below `message`."""
    if message.DESCRIPTOR.name == "WeightParams":
        if message.float16Value:
            yield Requirement(IOS11_2, f"float16 weights of {kind}")
        if message.rawValue or message.int8RawValue:
            yield Requirement(IOS12, f"quantised weights of {kind}")
        return
    for field, value in message.ListFields():
        if field.message_type is None or field.message_type.GetOptions().map_entry:
            continue
        for child in (value,) if hasattr(value, "DESCRIPTOR") else value:
            yield from _of_weights(child, kind)
