"""The documents of a bundle, and the doubt with which results are read."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from bundles import SPACE, emitted, small_plan
from hypothesis import given as drawn
from hypothesis import settings
from hypothesis import strategies as st

from hwnas.bundle import probe
from hwnas.bundle.check import check_results, merged, parse, read_manifest, read_results
from hwnas.bundle.manifest import Manifest
from hwnas.bundle.results import Conditions, Device, JobResult, RanModel, Results, Runtime
from hwnas.bundle.write import identity
from hwnas.errors import UserError
from hwnas.graph import random_weights
from hwnas.lut.accuracy import MINIMUM_NETWORKS
from hwnas.profiler.bundled import plan_of, summary
from hwnas.profiler.plan import sized_plan
from hwnas.progress import Silent
from hwnas.resources import shipped
from hwnas.targets.backend import local_backend
from hwnas.targets.shared.artifact import Artifact
from hwnas.workflows.profile.bundle import emit, ingest
from hwnas.workflows.profile.options import ProfileOptions
from hwnas.workflows.profile.profiled import Profiling

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PI = Device(model="Raspberry Pi 4", cpu="Cortex-A72", cores=4, os="Linux 6.6", machine="aarch64")
RUNTIME = Runtime(name="onnxruntime", version="1.20.0", harness="linux 1")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundle") / "b"
    emitted(folder, "onnx-cpu")
    return folder


@pytest.fixture(scope="module")
def manifest(bundle: Path) -> Manifest:
    return read_manifest(bundle / "manifest.json")


def answered(manifest: Manifest, *, device: Device = PI, jobs: slice = slice(None)) -> Results:
    """Return what a device would answer whose networks take as long as their parts together."""
    parts_ms = {str(key): 0.01 + 1e-7 * SPACE.part_graph(key).madds for key in SPACE.lookup_keys()}

    def time_ms(name: str) -> float:
        arch = SPACE.start() if name == "reference" else None
        if name in parts_ms:
            return parts_ms[name]
        return sum(parts_ms[str(key)] for key in SPACE.parts(arch or SPACE.parse(name)))

    done = manifest.jobs[jobs]
    names = {*manifest.panel, *(name for job in done for name in job.networks)}
    return Results(
        bundle=manifest.bundle,
        setup=manifest.setup,
        device=device,
        runtime=RUNTIME,
        models={
            name: RanModel(
                sha256=manifest.models[name].sha256, output=manifest.models[name].expected
            )
            for name in names
        },
        jobs=[
            JobResult(
                number=job.number,
                rounds=[
                    [(name, time_ms(name)) for name in (*manifest.panel, *job.networks)]
                    for _ in range(job.rounds)
                ],
                before=Conditions(temperature_c=40.0),
                after=Conditions(temperature_c=61.5, throttled=False),
            )
            for job in done
        ],
    )


def written(folder: Path, results: Results) -> Path:
    path = folder / "results.json"
    path.write_text(results.model_dump_json(by_alias=True))
    return path


def test_a_bundle_holds_every_model_under_its_hash_and_says_what_it_gives(
    bundle: Path, manifest: Manifest
) -> None:
    backend = local_backend("onnxruntime")
    assert backend is not None
    graphs = {SPACE.format(arch): SPACE.graph(arch) for arch in small_plan().networks}
    for name, graph in list(graphs.items())[:4]:
        entry = manifest.models[name]
        path = bundle / "models" / f"{entry.sha256}.onnx"
        assert Artifact.read(path).sha256 == entry.sha256
        assert path.stat().st_size == entry.size_bytes
        assert path.read_bytes() == backend.emit(graph, random_weights(graph, seed=0))
        output = backend.load(path.read_bytes(), 1).respond(
            probe.given(entry.input.shape, entry.input.dtype)
        )
        assert probe.distance(entry.expected, probe.sampled(output)) < 1e-6
    files = {path.name for path in (bundle / "models").iterdir()}
    assert files == {f"{model.sha256}.onnx" for model in manifest.models.values()}
    assert plan_of(manifest, SPACE) == small_plan()


@pytest.mark.parametrize("target", ["onnx-cpu", "tflite", "onnx-cpu-int8", "tflite-int8"])
def test_no_model_of_a_bundle_can_pass_for_another(target: str, tmp_path: Path) -> None:
    models = list(emitted(tmp_path / "b", target).models.values())
    different = 0
    for one in models:
        for other in models:
            if one.sha256 != other.sha256 and one.output == other.output:
                different += 1
                assert probe.distance(one.expected, other.expected) > 1.1 * one.tolerance
    assert different > 500


@pytest.mark.parametrize("target", ["tflite", "tflite-int8"])
def test_what_is_expected_is_close_to_what_another_runtime_gives(
    target: str, tmp_path: Path
) -> None:
    from hwnas.targets.tflite.remote import DEFAULT_PYTHON

    manifest = emitted(tmp_path / "b", target)
    other = local_backend("tflite-runtime", "int8" if "int8" in target else "fp32", DEFAULT_PYTHON)
    assert other is not None
    try:
        other.version()
    except UserError as error:
        pytest.skip(str(error))
    for entry in list(manifest.models.values())[::9]:
        content = (tmp_path / "b" / "models" / f"{entry.sha256}.tflite").read_bytes()
        output = other.load(content, 1).respond(probe.given(entry.input.shape, entry.input.dtype))
        assert probe.distance(entry.expected, probe.sampled(output)) < 0.8 * entry.tolerance


def test_the_fixed_input_is_the_formula() -> None:
    for index, value in enumerate(probe.given((2, 3), "float32").reshape(-1)):
        hashed = (index + 1) * 2654435761 % 2**32
        assert float(value) == math.floor(hashed / 256) / 2**23 - 1
    assert probe.given((2, 2), "uint8").reshape(-1).tolist() == [
        (i + 1) * 2654435761 % 2**32 >> 24 for i in range(4)
    ]
    whole = probe.given((70_000,), "int8")
    assert (whole.min(), whole.max()) == (-128, 127)
    assert abs(float(probe.given((70_000,), "float32").mean())) < 0.01


@drawn(st.integers(1, 5_000))
def test_the_compared_positions_are_spread_over_the_output(count: int) -> None:
    found = probe.positions(count)
    assert len(found) == len(set(found)) == min(count, 64)
    assert found == sorted(found)
    assert found[0] == 0
    assert count - found[-1] <= math.ceil(count / len(found))
    assert probe.sampled(np.arange(count)) == tuple(map(float, found))


def test_a_table_is_made_of_results_and_tells_the_device(
    bundle: Path, manifest: Manifest, tmp_path: Path
) -> None:
    path = written(bundle, answered(manifest))
    done = ingest(path, ProfileOptions(workspace=tmp_path), Silent())
    assert done.profiled is not None
    assert (done.done, done.jobs) == (len(manifest.jobs), len(manifest.jobs))
    meta = done.profiled.table.meta
    assert meta["device"]["cpu"] == "Cortex-A72"
    assert meta["runtime"] == {"name": "onnxruntime", "version": "1.20.0"}
    assert meta["harness"] == "linux 1"
    assert meta["conditions"]["hottest_c"] == 61.5
    assert meta["temperature"] == "62 C"
    assert meta["validation"]["networks"] == 30
    assert list((tmp_path / "lut" / ".partial").glob("*.results.json")) == []


def test_parts_of_results_add_up_in_any_order_and_count_once(
    bundle: Path, manifest: Manifest, tmp_path: Path
) -> None:
    whole = ingest(
        written(bundle, answered(manifest)), ProfileOptions(workspace=tmp_path / "whole"), Silent()
    ).profiled
    first = answered(manifest, jobs=slice(0, 1))
    rest = answered(manifest, jobs=slice(1, None))
    for order in ([first, rest], [rest, first, first], [first, first, answered(manifest)]):
        place = tmp_path / str(len(list(tmp_path.iterdir())))
        done = [
            ingest(written(bundle, each), ProfileOptions(workspace=place), Silent())
            for each in order
        ]
        table = next(each.profiled.table for each in done if each.profiled is not None)
        assert whole is not None
        assert {k: r.samples for k, r in table.rows.items()} == {
            k: r.samples for k, r in whole.table.rows.items()
        }
        assert done[0].profiled is None
        assert done[0].done == len(order[0].jobs)


def changed(results: Results, **values: Any) -> Results:
    return results.model_copy(update=values)


def with_job(results: Results, **values: Any) -> Results:
    first, *others = results.jobs
    return changed(results, jobs=[first.model_copy(update=values), *others])


def of_another_model(results: Results) -> Results:
    (name, ran), (other, theirs), *_ = results.models.items()
    return changed(results, models={**results.models, name: theirs, other: ran})


REFUSED: dict[str, tuple[Callable[[Results], Results], str]] = {
    "bundle": (lambda r: changed(r, bundle="0123456789ab"), "0123456789ab"),
    "threads": (
        lambda r: changed(r, setup=r.setup.model_copy(update={"threads": 4})),
        "threads 4, and 1 was asked for",
    ),
    "job": (lambda r: with_job(r, number=99), "no job 99"),
    "round missing": (lambda r: with_job(r, rounds=r.jobs[0].rounds[1:]), "2 rounds, but 3"),
    "sample missing": (
        lambda r: with_job(r, rounds=[r.jobs[0].rounds[0][1:], *r.jobs[0].rounds[1:]]),
        "0 times in a round, and 1 was asked for",
    ),
    "sample doubled": (
        lambda r: with_job(
            r, rounds=[[*r.jobs[0].rounds[0], r.jobs[0].rounds[0][0]], *r.jobs[0].rounds[1:]]
        ),
        "2 times in a round, and 1 was asked for",
    ),
    "mixed-up models": (of_another_model, "its times are of another model"),
    "no output": (
        lambda r: changed(r, models=dict(list(r.models.items())[1:])),
        "nothing shows that the right model ran",
    ),
    "wrong output": (
        lambda r: changed(
            r,
            models={
                name: ran.model_copy(update={"output": tuple(-v for v in ran.output)})
                for name, ran in r.models.items()
            },
        ),
        "the device ran another model",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_results_of_something_else_are_refused_with_the_reason(
    what: str, bundle: Path, manifest: Manifest, tmp_path: Path
) -> None:
    change, reason = REFUSED[what]
    path = written(bundle, change(answered(manifest)))
    with pytest.raises(UserError, match=reason) as told:
        ingest(path, ProfileOptions(workspace=tmp_path), Silent())
    assert "\n" not in str(told.value)
    assert not (tmp_path / "lut" / "onnx-cpu").exists()


def test_results_of_two_devices_make_no_table(
    bundle: Path, manifest: Manifest, tmp_path: Path
) -> None:
    ingest(
        written(bundle, answered(manifest, jobs=slice(0, 1))),
        ProfileOptions(workspace=tmp_path),
        Silent(),
    )
    other = PI.model_copy(update={"model": "Raspberry Pi 5"})
    rest = answered(manifest, device=other, jobs=slice(1, None))
    with pytest.raises(UserError, match="Raspberry Pi 5"):
        ingest(written(bundle, rest), ProfileOptions(workspace=tmp_path), Silent())
    assert (
        ingest(
            written(bundle, rest), ProfileOptions(workspace=tmp_path, fresh=True), Silent()
        ).profiled
        is None
    )


def test_a_job_that_was_timed_twice_is_refused(manifest: Manifest) -> None:
    once = answered(manifest)
    slower = [[(name, 2 * ms) for name, ms in samples] for samples in once.jobs[0].rounds]
    with pytest.raises(UserError, match="taken in before with other times"):
        merged(once, with_job(once, rounds=slower), "results.json")


VALUES = ["NaN", "Infinity", "-Infinity", "-0.1", "0", "1e400", "null", '"1"', "true", "[]", "1e9"]


@pytest.mark.parametrize("value", VALUES)
def test_times_that_cannot_be_are_refused_where_they_are_read(
    value: str, manifest: Manifest, tmp_path: Path
) -> None:
    text = answered(manifest).model_dump_json(by_alias=True)
    name, ms = answered(manifest).jobs[0].rounds[0][0]
    broken = text.replace(json.dumps([name, ms], separators=(",", ":")), f'["{name}",{value}]', 1)
    assert broken != text
    (tmp_path / "results.json").write_text(broken)
    with pytest.raises(
        UserError, match=r"results.json: .* at jobs\.0\.rounds\.0\.0\.1|Invalid JSON"
    ):
        read_results(tmp_path / "results.json")


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"\xff\xfe", b"[" * 100_000, b'{"schema":"hwnas-results/9"}']
)
def test_what_is_no_document_is_told_in_one_line(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "results.json").write_bytes(content)
    with pytest.raises(UserError, match=r"results\.json") as told:
        read_results(tmp_path / "results.json")
    assert len(str(told.value)) < 400


@settings(max_examples=100)
@drawn(st.data())
def test_a_changed_manifest_is_noticed(manifest: Manifest, data: st.DataObject) -> None:
    content = json.loads(manifest.model_dump_json(by_alias=True))
    name = data.draw(st.sampled_from(sorted(content["models"])))
    change = data.draw(
        st.sampled_from(
            [
                lambda c: c["models"][name].update(sha256="0" * 64),
                lambda c: c["models"][name].update(tolerance=0.5),
                lambda c: c["jobs"].reverse(),
                lambda c: c["jobs"][0].update(rounds=2),
                lambda c: c["setup"].update(threads=2),
                lambda c: c["protocol"].update(untimed_runs=0),
            ]
        )
    )
    change(content)
    assert identity(parse(Manifest, json.dumps(content).encode(), "m")) != manifest.bundle


def test_an_edited_manifest_is_refused(bundle: Path, manifest: Manifest, tmp_path: Path) -> None:
    text = (bundle / "manifest.json").read_text()
    (tmp_path / "manifest.json").write_text(text.replace('"rounds": 3', '"rounds": 4', 1))
    with pytest.raises(UserError, match="changed after it was written"):
        read_manifest(tmp_path / "manifest.json")
    (tmp_path / "results.json").write_text(answered(manifest).model_dump_json(by_alias=True))
    with pytest.raises(UserError, match="changed after it was written"):
        ingest(tmp_path / "results.json", ProfileOptions(workspace=tmp_path), Silent())
    (tmp_path / "manifest.json").unlink()
    with pytest.raises(UserError, match=r"copy the bundle's manifest\.json beside it"):
        ingest(tmp_path / "results.json", ProfileOptions(workspace=tmp_path), Silent())


@pytest.mark.parametrize(
    ("once", "reason"),
    [
        (lambda c: c["plan"].update(rounds=1), r"but got passes=1, rounds=1 at plan"),
        (lambda c: c["jobs"][0].update(rounds=1), r"but got 1 of '.*' in the jobs"),
        (lambda c: c["jobs"].pop(), r"but got 0 of '.*' in the jobs"),
    ],
)
def test_a_manifest_that_times_a_network_once_is_refused(
    manifest: Manifest, once: Callable[[Any], object], reason: str, tmp_path: Path
) -> None:
    content = json.loads(manifest.model_dump_json(by_alias=True))
    once(content)
    (tmp_path / "manifest.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match=reason) as told:
        read_manifest(tmp_path / "manifest.json")
    assert "at least 2 times" in str(told.value)
    assert "\n" not in str(told.value)


def test_a_place_with_something_in_it_is_not_touched(tmp_path: Path) -> None:
    from hwnas.device import find_target

    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep")
    profiling = Profiling(find_target("onnx-cpu"), SPACE, tmp_path, Silent())
    with pytest.raises(UserError, match="is no bundle"):
        emit(profiling, tmp_path / "mine", networks=68)
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["notes.txt"]
    emitted(tmp_path / "b", "onnx-cpu")
    (tmp_path / "b" / "results.partial.jsonl").write_text("{}")
    with pytest.raises(UserError, match="holds results"):
        emit(profiling, tmp_path / "b", networks=68)


def test_fewer_networks_than_a_check_needs_are_refused() -> None:
    with pytest.raises(UserError, match="at least 68") as told:
        sized_plan(SPACE, 60)
    assert str(MINIMUM_NETWORKS) in str(told.value)
    plan = sized_plan(SPACE, 68)
    assert len(plan.validation) == MINIMUM_NETWORKS
    assert len(plan.networks) == 68
    assert sized_plan(SPACE, None) != plan


def test_a_summary_tells_what_is_known_and_nothing_else() -> None:
    assert set(summary([Conditions(), Conditions()]).values()) == {None}
    found = summary([Conditions(temperature_c=50.0, throttled=True), Conditions(cpu_mhz=900.0)])
    assert found == {
        "hottest_c": 50.0,
        "throttled": True,
        "slowest_mhz": 900.0,
        "lowest_battery_percent": None,
    }


def test_what_was_asked_is_accepted(manifest: Manifest) -> None:
    check_results(manifest, answered(manifest), "results.json")
    part = answered(manifest, jobs=slice(0, 0))
    check_results(manifest, changed(part, models={}), "results.json")


@pytest.mark.parametrize(("kind", "name"), [(Manifest, "manifest"), (Results, "results")])
def test_the_published_schemas_are_those_of_the_code(
    kind: type[Manifest | Results], name: str
) -> None:
    path = shipped("export") / "schema" / f"{name}.schema.json"
    assert json.loads(path.read_text()) == kind.model_json_schema(by_alias=True), (
        "run: python tests/bundle_schemas.py"
    )


def test_geometry_is_that_of_the_space(manifest: Manifest) -> None:
    assert manifest.geometry == dataclasses.asdict(SPACE)
