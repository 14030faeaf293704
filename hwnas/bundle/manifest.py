"""What hwnas asks a device: the manifest, JSON of a version of its own.

A bundle carries it as a file; an agent hands out its pieces over HTTP.
"""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Literal

from pydantic import Field, model_validator

from hwnas.bundle.fields import Count, Name, Number, Record, Sha256, Text
from hwnas.energy.blocks import IDLE
from hwnas.measure import require_enough_runs

MANIFEST: Literal["hwnas-manifest/1"] = "hwnas-manifest/1"
MANIFEST_FILE = "manifest.json"


class TensorFacts(Record):
    """The input or the output of a model as its file declares it.

    Attributes:
        shape: in the order of the file.
        dtype: as numpy calls it.
    """

    shape: Annotated[tuple[Annotated[int, Field(gt=0, le=1 << 30)], ...], Field(max_length=8)]
    dtype: Literal["float32", "float16", "int8", "uint8"]


class TimedModel(Record):
    """A model that a device is to time.

    Attributes:
        sha256: of the file, or of a folder's list; see `targets.artifact`.
        size_bytes: of the file.
        input: what the device feeds; `probe.given` says which values.
        output: what the device reads.
        expected: what it should read at the positions of `probe.positions`.
        tolerance: how far that may be off, relative to the length of `expected`.
    """

    sha256: Sha256
    size_bytes: Annotated[int, Field(gt=0)]
    input: TensorFacts
    output: TensorFacts
    expected: Annotated[tuple[Number, ...], Field(min_length=1, max_length=64)]
    tolerance: Annotated[float, Field(gt=0, lt=1)]


class Protocol(Record):
    """How everything is timed.

    Attributes:
        warm_up_rounds: untimed runs of each model after it was loaded, at least.
        warm_up_s: seconds of untimed runs after models were loaded, at least.
        untimed_runs: of the same model, right before each timed run.
        cool_down_s: pause between two jobs.
        hottest_c: at this temperature the device waits before the next round; None: no limit.
    """

    warm_up_rounds: Annotated[int, Field(ge=0, le=100)] = 2
    warm_up_s: Annotated[float, Field(ge=0, le=600)] = 0.5
    untimed_runs: Annotated[int, Field(ge=0, le=100)] = 1
    cool_down_s: Annotated[float, Field(ge=0, le=600)] = 0.0
    hottest_c: Annotated[float, Field(ge=20, le=150)] | None = None


class Job(Record):
    """One batch: these networks are loaded, then every round times the panel and them once.

    Attributes:
        number: of the batch.
        networks: names of models; they are dropped when the job is done.
        rounds: how many, each in an order of its own.
    """

    number: Count
    networks: Annotated[tuple[Name, ...], Field(max_length=1_000)]
    rounds: Annotated[int, Field(ge=1, le=10_000)]


class Setup(Record):
    """What decides a time beside the model.

    Attributes:
        target: name of the target's profile.
        space: what the networks are drawn from.
        runtime: as in a profile.
        format: of the model files, as in `--format`.
        precision: of the models.
        threads: of the runtime.
        compute_units: of Core ML, or None elsewhere.
    """

    target: Name
    space: Name
    runtime: Name
    format: Name
    precision: Literal["fp32", "fp16", "int8"]
    threads: Annotated[int, Field(ge=1, le=1024)]
    compute_units: Literal["cpu", "cpu_and_gpu", "cpu_and_neural_engine", "all"] | None = None


class NetworkPlan(Record):
    """Which networks are for what, and how they are spread; see `profiler.plan`.

    Attributes:
        calibration: networks that correct the table.
        validation: networks that only check it.
        passes: how often each is loaded anew.
        batch: networks of a job.
        rounds: of a job.
    """

    calibration: tuple[Name, ...]
    validation: tuple[Name, ...]
    passes: Annotated[int, Field(ge=1, le=100)]
    batch: Annotated[int, Field(ge=1, le=1_000)]
    rounds: Annotated[int, Field(ge=1, le=10_000)]

    @model_validator(mode="after")
    def _tells_noise(self) -> NetworkPlan:
        passes, rounds = self.passes, self.rounds
        require_enough_runs(passes * rounds, f"{passes=}, {rounds=}")
        return self


class Manifest(Record):
    """Everything that a device is asked, in the file manifest.json of a bundle.

    Attributes:
        schema_version: of this document.
        bundle: a short hash of the document without this field and `created`.
        created: UTC, ISO 8601.
        hwnas: version that wrote it.
        geometry: of the space, so that the table can be built elsewhere.
        setup: what decides a time beside the model.
        protocol: how everything is timed.
        plan: what the networks are for.
        panel: models that are in every round, and loaded all the time.
        models: by name; the file is models/<sha256><suffix>.
        suffix: of the model files, such as ".tflite".
        jobs: in the order in which they run.
        power: where the device has a power counter, these run back to back for a while each, in
            this order, when the jobs are done; "idle": nothing runs.
    """

    schema_version: Annotated[Literal["hwnas-manifest/1"], Field(alias="schema")] = MANIFEST
    bundle: Name
    created: Text
    hwnas: Text
    geometry: dict[Name, Name | int | float]
    setup: Setup
    protocol: Protocol
    plan: NetworkPlan
    panel: tuple[Name, ...]
    models: dict[Name, TimedModel]
    suffix: Annotated[str, Field(pattern=r"^\.[a-z]+$")]
    jobs: tuple[Job, ...]
    power: Annotated[tuple[Name, ...], Field(max_length=10_000)] = ()

    @model_validator(mode="after")
    def _names_are_of_models(self) -> Manifest:
        in_jobs = (name for job in self.jobs for name in job.networks)
        named = {*self.panel, *in_jobs, *self.power} - {IDLE}
        if unknown := sorted(named - set(self.models)):
            raise ValueError(f"no model of the name {unknown[0]!r}")
        numbers = [job.number for job in self.jobs]
        if len(set(numbers)) != len(numbers):
            raise ValueError("two jobs of the same number")
        return self

    @model_validator(mode="after")
    def _jobs_time_the_plan(self) -> Manifest:
        runs = Counter[str]()
        for job in self.jobs:
            runs.update(dict.fromkeys(job.networks, job.rounds))
        for name in (*self.plan.calibration, *self.plan.validation):
            require_enough_runs(runs[name], f"{runs[name]} of {name!r} in the jobs")
        return self
