"""Models for runtimes that run on devices only: what they should give is what torch gives.

The executors read the finished file and nothing else; the other side is the graph by torch.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from bundles import SPACE
from functional import run
from operations import OPERATIONS

from hwnas.bundle import models, probe
from hwnas.bundle.check import read_manifest
from hwnas.bundle.results import Conditions, Device, JobResult, RanModel, Results, Runtime
from hwnas.device import find_target
from hwnas.errors import CheckFailed, TableError, UserError
from hwnas.graph import Graph, Weights, random_weights
from hwnas.profiler.bundled import emit_bundle
from hwnas.profiler.plan import Plan, sized_plan
from hwnas.progress import Silent
from hwnas.targets.apple import require, versions
from hwnas.targets.backend import device_format
from hwnas.targets.coreml import storage as network_storage
from hwnas.targets.mlprogram import emitter, executor, storage
from hwnas.targets.mlprogram.package import MODEL
from hwnas.targets.shared.artifact import Artifact
from hwnas.targets.shared.format import Content
from hwnas.targets.shared.half import halved
from hwnas.workflows.profile.bundle import emit, ingest
from hwnas.workflows.profile.options import ProfileOptions
from hwnas.workflows.profile.profiled import Profiling
from hwnas.workflows.tables import check_table

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from hwnas.bundle.manifest import Job, Manifest
    from hwnas.targets.apple.format import CoreMl

pytest.importorskip("coremltools")

START = SPACE.graph(SPACE.start())
PARTS = [SPACE.part_graph(key) for key in SPACE.lookup_keys()[::9]]


def found(form: str) -> CoreMl:
    made = device_format("coreml", form)
    assert made is not None
    return made


def emitted(form: str, precision: str, graph: Graph, weights: Weights) -> Artifact:
    return found(form).emit(Content(graph, weights, precision=precision))


def answered(form: str, precision: str, graph: Graph, weights: Weights) -> NDArray[Any]:
    face = found(form).interface(graph)
    values = probe.given(face.input_shape, face.input_dtype)
    output = found(form).run(emitted(form, precision, graph, weights), values)
    assert (output.size, output.dtype.name) == (math.prod(face.output_shape), face.output_dtype)
    return output


def by_torch(graph: Graph, weights: Weights) -> NDArray[np.float64]:
    return run(graph, weights, probe.given((1, *graph.input_shape), "float32"))


def off(expected: NDArray[Any], output: NDArray[Any]) -> float:
    return probe.distance(expected.reshape(-1).tolist(), output.reshape(-1).tolist())


@pytest.mark.parametrize("form", ["coreml", "mlprogram"])
@pytest.mark.parametrize("graph", [START, *PARTS], ids=lambda graph: graph.output.name)
def test_a_model_in_float32_computes_what_torch_computes(form: str, graph: Graph) -> None:
    weights = random_weights(graph, seed=0)
    assert off(by_torch(graph, weights), answered(form, "fp32", graph, weights)) < 1e-6


@pytest.mark.parametrize("operation", ["conv", *list(OPERATIONS)[:6], "classifier", "max pool"])
def test_every_kind_of_operation_can_be_timed_alone(operation: str) -> None:
    graph = OPERATIONS.get(operation, START)
    weights = random_weights(graph, 1)
    assert off(by_torch(graph, weights), answered("mlprogram", "fp32", graph, weights)) < 1e-6


def test_weights_of_a_network_are_stored_as_its_precision_says() -> None:
    weights = random_weights(START, seed=0)
    for precision in ("fp16", "int8"):
        stored = network_storage.as_stored(weights, precision)
        output = answered("coreml", precision, START, weights)
        assert off(by_torch(START, stored), output) < 1e-6
        assert off(by_torch(START, weights), output) > 1e-5


def test_a_program_in_half_rounds_weights_and_values() -> None:
    weights = random_weights(START, seed=0)
    output = answered("mlprogram", "fp16", START, weights)
    assert 1e-5 < off(by_torch(START, weights), output) < 0.01
    one = OPERATIONS["linear relu"]
    weights = random_weights(one, seed=0)
    expected = by_torch(one, halved(weights))
    assert off(expected, answered("mlprogram", "fp16", one, weights)) < 1e-3


def test_a_program_in_8_bits_holds_what_its_integers_say() -> None:
    weights = random_weights(START, seed=0)
    stored = storage._quantised(weights)
    output = answered("mlprogram", "int8", START, weights)
    assert off(by_torch(START, stored), output) < 0.01


def test_models_of_every_precision_run_where_the_target_says() -> None:
    graph = PARTS[1]
    weights = random_weights(graph, 0)
    for precision, version in (("fp32", 1), ("fp16", 2), ("int8", 3)):
        model = emitted("coreml", precision, graph, weights).content
        versions.check_ios12(model)
        assert versions.required_version(model) == version
    for precision, version in (("fp32", 6), ("fp16", 6), ("int8", 7)):
        model = emitted("mlprogram", precision, graph, weights).files[MODEL]
        versions.check_stated(model)
        assert versions.required_version(model) == version


# Arrays ---------------------------------------------------------------------------------------


def features(artifact: Artifact) -> list[tuple[str, list[int], str]]:
    spec = require("proto.Model_pb2").Model.FromString(artifact.files[MODEL])
    described = []
    for feature in (*spec.description.input, *spec.description.output):
        array = feature.type.multiArrayType
        kind = array.ArrayDataType.Name(array.dataType)
        described.append((feature.name, list(array.shape), kind))
    return described


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_arrays_are_of_float32_whatever_the_precision(precision: str) -> None:
    graph = OPERATIONS["max pool below zero"]
    weights = random_weights(graph, 0)
    artifact = emitter.emit(Content(graph, weights, None, {"part": "p"}, precision))
    shapes = [1, *graph.input_shape], [1, *graph.output.shape]
    assert features(artifact) == [
        ("input", shapes[0], "FLOAT32"),
        ("output", shapes[1], "FLOAT32"),
    ]
    spec = require("proto.Model_pb2").Model.FromString(artifact.files[MODEL])
    assert spec.specificationVersion == 6
    told = dict(spec.description.metadata.userDefined)
    assert told["part"] == "p"
    assert not any("date" in name for name in told), "equal models would differ by day"
    values = probe.given((1, *graph.input_shape), "float32")
    output = executor.run(artifact, values)
    assert off(run(graph, weights, values.astype(np.float64)), output) < 1e-3


def test_a_float32_input_is_rounded_by_the_program_and_not_by_the_executor() -> None:
    graph = OPERATIONS["slice"]
    values = probe.given((1, *graph.input_shape), "float32")
    exact = executor.run(emitter.emit(Content(graph, {}, None, {}, "fp32")), values)
    assert (exact == values[:, 2:7]).all()
    rounded = executor.run(emitter.emit(Content(graph, {}, None, {}, "fp16")), values)
    assert (rounded == values[:, 2:7].astype(np.float16)).all()


def test_equal_graphs_give_equal_bytes() -> None:
    graph = PARTS[0]
    weights = random_weights(graph, 0)
    for form in ("coreml", "mlprogram"):
        first, again = (emitted(form, "fp32", graph, weights) for _ in range(2))
        assert first.sha256 == again.sha256


def test_a_weight_beyond_float16_is_refused() -> None:
    graph = OPERATIONS["classifier"]
    weights = {
        name: (weight * 1e9, bias) for name, (weight, bias) in random_weights(graph, 0).items()
    }
    for form in ("coreml", "mlprogram"):
        with pytest.raises(CheckFailed, match="float16 ends at 65504"):
            emitted(form, "fp16", graph, weights)


def operations(artifact: Artifact) -> list[tuple[str, list[str]]]:
    """Return type and results of every operation but constants, which have no order."""
    spec = require("proto.Model_pb2").Model.FromString(artifact.files[MODEL])
    (block,) = spec.mlProgram.functions["main"].block_specializations.values()
    return [
        (operation.type, [output.name for output in operation.outputs])
        for operation in block.operations
        if not operation.type.startswith("const")
    ]


@pytest.mark.parametrize("precision", ["fp16", "fp32"])
def test_the_passes_that_are_left_out_change_nothing(
    precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    require("converters")
    import coremltools

    for graph in (START, OPERATIONS["gate"], OPERATIONS["halves of a shuffle"]):
        weights = random_weights(graph, 0)
        short = operations(emitter.emit(Content(graph, weights, None, {}, precision)))
        with monkeypatch.context() as patch:
            patch.setattr(emitter, "PART_PASSES", coremltools.PassPipeline.DEFAULT.passes)
            assert operations(emitter.emit(Content(graph, weights, None, {}, precision))) == short


# In a bundle ----------------------------------------------------------------------------------


def test_nothing_is_written_for_a_runtime_that_is_not_known() -> None:
    assert device_format("onnxruntime", "onnx") is None
    assert device_format("coreml", "onnx") is None
    profile = replace(find_target("iphone"), export_format="onnx")
    with pytest.raises(UserError, match="nothing here makes models for coreml"):
        models.maker_of(profile)


@pytest.mark.parametrize(
    ("target", "suffix", "units"),
    [("iphone5s", ".mlmodel", "all"), ("iphone", ".mlpackage", "all")],
)
def test_a_bundle_for_an_iphone_says_what_each_model_should_give(
    tmp_path: Path, target: str, suffix: str, units: str
) -> None:
    profile = find_target(target)
    rng = np.random.default_rng(0)
    one, other = SPACE.sample(rng), SPACE.sample(rng)
    plan = Plan((one,), (other,), passes=1, batch=1, rounds=2)
    keys = SPACE.lookup_keys()
    emit_bundle(tmp_path / "b", profile, SPACE, plan, models.maker_of(profile), Silent())
    manifest = read_manifest(tmp_path / "b/manifest.json")
    assert (manifest.setup.compute_units, manifest.setup.format) == (units, profile.export_format)
    assert manifest.suffix == suffix
    assert len(manifest.models) == len(keys) + 3
    for name in (SPACE.format(one), "reference", str(keys[0])):
        asked = manifest.models[name]
        artifact = Artifact.read(tmp_path / "b/models" / f"{asked.sha256}{suffix}")
        assert (artifact.sha256, artifact.size_bytes) == (asked.sha256, asked.size_bytes)
    graph = SPACE.graph(one)
    expected = probe.sampled(by_torch(graph, random_weights(graph, seed=0)).astype(np.float32))
    asked = manifest.models[SPACE.format(one)]
    assert probe.distance(expected, asked.expected) < (1e-5 if suffix == ".mlmodel" else 0.03)
    # A GPU computes in float16 whatever the file holds.
    assert asked.tolerance == models.HALF_TOLERANCE


def test_on_the_processor_alone_float32_is_float32() -> None:
    profile = replace(find_target("iphone5s"), compute_units="cpu")
    _, asked = models.maker_of(profile).make(PARTS[0])
    assert asked.tolerance == probe.TOLERANCES["fp32"]


def test_a_phone_with_little_memory_gets_few_networks_at_a_time() -> None:
    few = sized_plan(SPACE, 80, find_target("iphone5s").networks_at_once)
    usual = sized_plan(SPACE, 80)
    assert (few.batch, usual.batch) == (4, 16)
    assert few.networks == usual.networks
    assert max(map(len, few.batches)) == 4


def test_results_of_an_iphone_become_a_table_that_knows_its_compute_units(tmp_path: Path) -> None:
    profile = find_target("iphone5s")
    emitted = emit(Profiling(profile, SPACE, tmp_path, Silent()), tmp_path / "b", networks=70)
    manifest = emitted.manifest
    assert "ios" in emitted.hint
    assert max(len(job.networks) for job in manifest.jobs) == 4
    file = emitted.results
    assert file == tmp_path / "b-results.json"  # as the app names it
    file.write_text(answer_of_a_phone(manifest).model_dump_json(by_alias=True))
    profiled = ingest(file, ProfileOptions(workspace=tmp_path), Silent()).profiled
    assert profiled is not None
    table = profiled.table
    assert table.meta["compute_units"] == "all"
    assert table.meta["device"]["model"] == "iPhone6,1"
    assert table.meta["harness"] == "ios 1"
    assert table.meta["conditions"]["throttled"] is False
    check_table(table, Silent())
    other = replace(table, meta={**table.meta, "compute_units": "cpu"})
    with pytest.raises(TableError, match="compute_units cpu, not all as its profile says"):
        check_table(other, Silent())


def answer_of_a_phone(manifest: Manifest) -> Results:
    """Return what a phone would say on which times are sums over the parts."""
    part_ms = {str(k): 0.1 + 1e-6 * SPACE.part_graph(k).madds for k in SPACE.lookup_keys()}

    def network_ms(name: str) -> float:
        arch = SPACE.start() if name == "reference" else SPACE.parse(name)
        return sum(part_ms[str(key)] for key in SPACE.parts(arch))

    def round_of(job: Job) -> list[tuple[str, float]]:
        return [(n, part_ms.get(n) or network_ms(n)) for n in (*manifest.panel, *job.networks)]

    now = Conditions(thermal_state="nominal", throttled=False, battery_percent=80.0)
    return Results(
        bundle=manifest.bundle,
        setup=manifest.setup,
        device=Device(model="iPhone6,1", cpu="Apple", cores=2, os="iOS 12.5.7", machine="arm64"),
        runtime=Runtime(name="coreml", version="Core ML 1", harness="ios 1"),
        models={
            name: RanModel(sha256=model.sha256, output=model.expected)
            for name, model in manifest.models.items()
        },
        jobs=[
            JobResult(number=job.number, rounds=[round_of(job)] * job.rounds, before=now, after=now)
            for job in manifest.jobs
        ],
    )
