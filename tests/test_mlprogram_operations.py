"""The executor of ML Programs gives operations their meaning; the gate knows when they came."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from hwnas.errors import CheckFailed, HwnasError, UserError
from hwnas.targets.apple import require, versions
from hwnas.targets.mlprogram import executor
from hwnas.targets.mlprogram.package import MODEL
from hwnas.targets.shared.artifact import Artifact
from hwnas.targets.shared.quiet import quietly

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

pytest.importorskip("coremltools")

RNG = np.random.default_rng(7)
KERNEL = RNG.standard_normal((6, 2, 3, 3)).astype(np.float32)
BIAS = RNG.standard_normal(6).astype(np.float32)
MATRIX = RNG.standard_normal((5, 8)).astype(np.float32)
VECTORS = RNG.uniform(0.5, 2, (4, 4)).astype(np.float32)
VALUES = RNG.standard_normal((1, 4, 7, 8)).astype(np.float32)
INTEGERS = RNG.integers(-127, 128, (6, 2, 3, 3)).astype(np.int8)


def saved(model: Any) -> Artifact:
    return Artifact.read(Path(model.package_path))


def tools() -> Any:
    require("models")
    return sys.modules["coremltools"]


def program(
    body: Callable[[Any, Any], Any], release: str = "iOS15", precision: str = "FLOAT32"
) -> Artifact:
    """Return a program of what `body` builds from a float32 value of the shape of `VALUES`."""
    builder = require("converters.mil").Builder
    target = getattr(tools().target, release)
    spec = builder.TensorSpec(shape=VALUES.shape)
    built = builder.program(input_specs=[spec], opset_version=target)(lambda x: body(builder, x))
    with quietly("coremltools", "a test"):
        model = tools().convert(
            built,
            convert_to="mlprogram",
            compute_precision=getattr(tools().precision, precision),
            minimum_deployment_target=target,
            skip_model_load=True,
        )
        return saved(model)


def conv(**options: Any) -> Callable[[Any, Any], Any]:
    return lambda b, x: b.conv(x=x, weight=KERNEL, bias=BIAS, groups=2, **options)


def conv_by_torch(left: int, right: int, top: int, bottom: int, **options: Any) -> Any:
    def expected(x: Tensor) -> Tensor:
        padded = functional.pad(x, (left, right, top, bottom))
        weight, bias = torch.from_numpy(KERNEL).double(), torch.from_numpy(BIAS).double()
        return functional.conv2d(padded, weight, bias, groups=2, **options)

    return expected


def pooled(kind: str, **options: Any) -> Callable[[Any, Any], Any]:
    return lambda b, x: getattr(b, kind)(x=x, kernel_sizes=[3, 3], strides=[2, 2], **options)


PADDED = {"pad_type": "custom", "pad": [1, 1, 1, 1]}

OPERATIONS: dict[str, tuple[Callable[[Any, Any], Any], Callable[[Tensor], Tensor]]] = {
    "conv": (conv(strides=[2, 1], pad_type="valid"), conv_by_torch(0, 0, 0, 0, stride=(2, 1))),
    "conv-unequal-padding": (
        conv(pad_type="custom", pad=[3, 0, 1, 2]),
        conv_by_torch(1, 2, 3, 0),
    ),
    # Height 7, stride 2: 4 rows need 2 of padding; width 8: 4 columns need 1, at the end.
    "conv-same": (conv(strides=[2, 2], pad_type="same"), conv_by_torch(0, 1, 1, 1, stride=2)),
    "conv-dilated": (
        conv(dilations=[2, 3], pad_type="valid"),
        conv_by_torch(0, 0, 0, 0, dilation=(2, 3)),
    ),
    "linear": (
        lambda b, x: b.linear(x=x, weight=MATRIX, bias=BIAS[:5]),
        lambda x: functional.linear(
            x, torch.from_numpy(MATRIX).double(), torch.from_numpy(BIAS[:5]).double()
        ),
    ),
    "average-pool": (
        pooled("avg_pool", exclude_padding_from_average=False, **PADDED),
        lambda x: functional.avg_pool2d(x, 3, 2, 1),
    ),
    "average-pool-without-padding": (
        pooled("avg_pool", exclude_padding_from_average=True, **PADDED),
        lambda x: functional.avg_pool2d(x, 3, 2, 1, count_include_pad=False),
    ),
    "max-pool": (pooled("max_pool", **PADDED), lambda x: functional.max_pool2d(x, 3, 2, 1)),
    "batch-norm": (
        lambda b, x: b.batch_norm(
            x=b.relu(x=x),
            mean=VECTORS[0],
            variance=VECTORS[1],
            gamma=VECTORS[2],
            beta=VECTORS[3],
            epsilon=1e-3,
        ),
        lambda x: functional.batch_norm(
            x.relu(), *torch.from_numpy(VECTORS).double()[[0, 1, 2, 3]], eps=1e-3
        ),
    ),
    "relu": (lambda b, x: b.relu(x=x), functional.relu),
    "relu6": (lambda b, x: b.relu6(x=b.mul(x=x, y=9.0)), lambda x: functional.relu6(9 * x)),
    "clip": (lambda b, x: b.clip(x=x, alpha=-0.5, beta=0.25), lambda x: x.clamp(-0.5, 0.25)),
    "sigmoid": (lambda b, x: b.sigmoid(x=x), torch.sigmoid),
    "sigmoid-hard": (
        lambda b, x: b.sigmoid_hard(x=x, alpha=0.2, beta=0.4),
        lambda x: (0.2 * x + 0.4).clamp(0, 1),
    ),
    "silu": (lambda b, x: b.silu(x=x), functional.silu),
    "softmax": (lambda b, x: b.softmax(x=x, axis=1), lambda x: x.softmax(1)),
    "arithmetic": (
        lambda b, x: b.real_div(x=b.sub(x=b.mul(x=x, y=x), y=3.0), y=b.add(x=b.relu(x=x), y=2.0)),
        lambda x: (x * x - 3) / (x.relu() + 2),
    ),
    "mean": (
        lambda b, x: b.reduce_mean(x=x, axes=[2, 3], keep_dims=False),
        lambda x: x.mean((2, 3)),
    ),
    "mean-keeping-axes": (
        lambda b, x: b.reduce_mean(x=x, axes=[-1], keep_dims=True),
        lambda x: x.mean(-1, keepdim=True),
    ),
    "shuffle": (
        lambda b, x: b.reshape(
            x=b.transpose(x=b.reshape(x=x, shape=[1, 2, 2, 7, 8]), perm=[0, 2, 1, 3, 4]),
            shape=[1, 4, 7, 8],
        ),
        lambda x: functional.channel_shuffle(x, 2),
    ),
    "squeeze-and-expand": (
        lambda b, x: b.expand_dims(x=b.squeeze(x=b.relu(x=x), axes=[0]), axes=[1]),
        lambda x: x.relu().squeeze(0).unsqueeze(1),
    ),
    "concat": (
        lambda b, x: b.concat(values=[b.relu(x=x), x], axis=1),
        lambda x: torch.cat([x.relu(), x], 1),
    ),
    "concat-of-one-each-in-turn": (
        lambda b, x: b.concat(values=[b.relu(x=x), x], axis=1, interleave=True),
        lambda x: functional.channel_shuffle(torch.cat([x.relu(), x], 1), 2),
    ),
    "split": (
        lambda b, x: b.sub(**dict(zip("xy", b.split(x=x, num_splits=2, axis=1), strict=True))),
        lambda x: x[:, :2] - x[:, 2:],
    ),
    "split-by-sizes": (
        lambda b, x: b.relu(x=b.split(x=x, split_sizes=[1, 3], axis=1)[1]),
        lambda x: x[:, 1:].relu(),
    ),
    "slice": (
        lambda b, x: b.slice_by_index(
            x=x,
            begin=[0, 1, 0, 1],
            end=[0, 3, 0, 7],
            stride=[1, 1, 2, 3],
            begin_mask=[True, False, True, False],
            end_mask=[True, False, True, False],
        ),
        lambda x: x[:, 1:3, ::2, 1:7:3],
    ),
}


def by_torch(function: Callable[[Tensor], Tensor]) -> NDArray[np.float64]:
    return function(torch.from_numpy(VALUES).double()).numpy()


@pytest.mark.parametrize("name", OPERATIONS)
def test_the_executor_gives_an_operation_of_apples_builder_its_meaning(name: str) -> None:
    body, expected = OPERATIONS[name]
    found = executor.run(program(body), VALUES)
    assert found.shape == by_torch(expected).shape
    assert found == pytest.approx(by_torch(expected), abs=1e-6)


def test_weights_of_8_bits_are_scaled_along_their_axis() -> None:
    scale = np.linspace(0.01, 0.06, 6, dtype=np.float32)
    zero = np.arange(6).astype(np.int8)

    def body(b: Any, x: Any) -> Any:
        weight = b.constexpr_affine_dequantize(
            quantized_data=INTEGERS, zero_point=zero, scale=scale, axis=np.int32(0)
        )
        return b.conv(x=x, weight=weight, groups=2, pad_type="valid")

    weight = (INTEGERS - zero.reshape(6, 1, 1, 1).astype(float)) * scale.reshape(6, 1, 1, 1)
    expected = by_torch(lambda x: functional.conv2d(x, torch.from_numpy(weight), groups=2))
    assert executor.run(program(body, "iOS16"), VALUES) == pytest.approx(expected, rel=1e-5)


def test_what_is_declared_float16_is_rounded_to_float16_once() -> None:
    package = program(lambda b, x: b.mul(x=b.add(x=x, y=0.1), y=3.3), precision="FLOAT16")

    def rounded(values: NDArray[Any]) -> NDArray[np.float64]:
        return values.astype(np.float16).astype(np.float64)

    tenth, factor = (rounded(np.array(value, np.float32)) for value in (0.1, 3.3))
    expected = rounded(rounded(rounded(VALUES) + tenth) * factor)
    assert np.array_equal(executor.run(package, VALUES), expected)


def test_beyond_the_range_of_float16_lies_infinity() -> None:
    package = program(lambda b, x: b.mul(x=b.exp(x=x), y=60000.0), precision="FLOAT16")
    with pytest.raises(HwnasError, match=r"does not interpret operation .* of type exp"):
        executor.run(package, VALUES)
    package = program(lambda b, x: b.mul(x=b.relu(x=x), y=60000.0), precision="FLOAT16")
    found = executor.run(package, VALUES)
    assert np.isinf(found[VALUES > 1.1]).all()
    assert np.isfinite(found[VALUES < 1]).all()


class Net(nn.Module):
    """What networks of other people are made of, in the hands of Apple's converter."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(4, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8))
        self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.squeeze = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(8, 8, 1), nn.Hardsigmoid())
        self.classifier = nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        y = functional.hardswish(self.stem(x))
        y = functional.max_pool2d(y, 3, 1, 1) + functional.relu6(self.depthwise(y))
        y = y * self.squeeze(y)
        y = torch.cat([y, y.reshape(1, 2, 4, 4, 4).transpose(1, 2).reshape(1, 8, 4, 4)], 1)
        return self.classifier(y.mean((2, 3))).softmax(1)


@pytest.mark.parametrize("precision", ["FLOAT32", "FLOAT16"])
def test_what_the_converter_makes_of_a_module_computes_what_the_module_does(
    precision: str,
) -> None:
    torch.manual_seed(0)
    module, example = Net().eval(), torch.from_numpy(VALUES)
    with quietly("coremltools", "a test"), torch.no_grad():
        model = tools().convert(
            torch.export.export(module, (example,)).run_decompositions({}),
            inputs=[tools().TensorType("x", example.shape)],
            convert_to="mlprogram",
            compute_precision=getattr(tools().precision, precision),
            minimum_deployment_target=tools().target.iOS15,
            skip_model_load=True,
        )
        package, expected = saved(model), module.double()(example.double()).numpy()
    limit = 1e-6 if precision == "FLOAT32" else 2e-3
    assert executor.run(package, VALUES) == pytest.approx(expected, abs=limit)


# What is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "release", "name"),
    [
        (lambda b, x: b.erf(x=x), "iOS15", "erf"),
        (
            lambda b, x: b.mul(
                x=x,
                y=b.constexpr_cast(source_val=VALUES.astype(np.float16), output_dtype="fp32"),
            ),
            "iOS16",
            "constexpr_cast",
        ),
        (
            lambda b, x: b.max_pool(
                x=x, kernel_sizes=[3, 3], strides=[2, 2], pad_type="valid", ceil_mode=True
            ),
            "iOS15",
            "ceil_mode",
        ),
        (lambda b, x: b.cast(x=x, dtype="int32"), "iOS15", "cast"),
        (
            lambda b, x: b.slice_by_index(
                x=x, begin=[0, 1, 0, 0], end=[1, 4, 7, 8], squeeze_mask=[True] + [False] * 3
            ),
            "iOS15",
            "slices that squeeze",
        ),
    ],
)
def test_what_is_not_interpreted_is_named(body: Any, release: str, name: str) -> None:
    with pytest.raises(HwnasError, match=f"does not interpret .*{name}"):
        executor.run(program(body, release), VALUES)


def test_a_parameter_that_no_operation_reads_is_named(monkeypatch: Any) -> None:
    package = program(lambda b, x: b.softmax(x=x, axis=1))
    monkeypatch.setitem(executor.OPERATIONS, "softmax", lambda i: i["x"].softmax(-3))
    with pytest.raises(HwnasError, match="does not interpret axis of 'softmax_0', a softmax"):
        executor.run(package, VALUES)


def test_values_of_another_shape_are_refused() -> None:
    with pytest.raises(UserError, match=r"reads \(1, 4, 7, 8\), but got \(2, 4, 7, 8\)"):
        executor.run(program(lambda b, x: b.relu(x=x)), np.repeat(VALUES, 2, axis=0))


# The gate -------------------------------------------------------------------------------------


def parsed(package: Artifact) -> Any:
    return require("proto.Model_pb2").Model.FromString(package.files[MODEL])


GATED = {
    "of iOS 15": (lambda b, x: b.relu6(x=x), "iOS15", 6, None),
    "the set itself": (lambda b, x: b.relu6(x=x), "iOS17", 8, "operation set CoreML7"),
    "of iOS 16": (
        lambda b, x: b.pixel_unshuffle(
            x=b.reshape(x=x, shape=[1, 1, 14, 16]), downscale_factor=np.uint32(2)
        ),
        "iOS16",
        7,
        "operation pixel_unshuffle",
    ),
    "of iOS 18": (
        lambda b, x: b.scaled_dot_product_attention(query=x, key=x, value=x),
        "iOS18",
        9,
        "operation scaled_dot_product_attention",
    ),
    "8-bit values": (
        lambda b, x: b.cast(x=b.cast(x=x, dtype="int8"), dtype="fp32"),
        "iOS17",
        8,
        "int8 value of cast",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", GATED)
def test_a_version_is_needed_by_what_is_in_the_program(name: str) -> None:
    body, release, needed, reason = GATED[name]
    model = parsed(program(body, release))
    assert versions.required_version(model) == needed == model.specificationVersion
    versions.check_stated(model)
    reasons = [each.what for each in versions.requirements(model) if each.version == needed]
    assert reason is None or reason in reasons


def test_a_stated_version_that_is_too_low_fails_and_the_reason_is_named() -> None:
    scale = np.ones(6, np.float32)
    model = parsed(
        program(
            lambda b, x: b.conv(
                x=x,
                weight=b.constexpr_affine_dequantize(
                    quantized_data=INTEGERS,
                    zero_point=np.int8(0),
                    scale=scale,
                    axis=np.int32(0),
                ),
                groups=2,
                pad_type="valid",
            ),
            "iOS16",
        )
    )
    versions.check_stated(model)
    model.specificationVersion = 6
    named = r"states version 6, but holds .*operation constexpr_affine_dequantize \(version 7, x1\)"
    with pytest.raises(CheckFailed, match=named):
        versions.check_stated(model)


def test_a_relabelled_operation_set_hides_no_later_operation_or_parameter() -> None:
    model = parsed(program(lambda b, x: b.relu6(x=x)))
    blocks = model.mlProgram.functions["main"].block_specializations
    block = blocks["CoreML5"]
    block.operations[-1].inputs.clear()
    block.operations[-1].type = "constexpr_blockwise_shift_scale"
    assert versions.required_version(model) == 9
    block.operations[-1].type = "no_such_operation"
    assert versions.required_version(model) == 10
    block.operations[-1].type = "gather"
    block.operations[-1].inputs["batch_dims"].SetInParent()
    reasons = {each.what: each.version for each in versions.requirements(model)}
    assert reasons["batch_dims of operation gather"] == 7
    inner = block.operations.add(type="cond").blocks.add()
    inner.operations.add(type="pixel_unshuffle")
    reasons = {each.what: each.version for each in versions.requirements(model)}
    assert reasons["operation pixel_unshuffle"] == 7
