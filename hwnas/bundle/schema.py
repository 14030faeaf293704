"""The two documents that hwnas exchanges with a device: the manifest and the results.

Both are JSON of a version of their own; a bundle carries them as files, an agent over HTTP.
Whatever a device says is checked here before anything else reads it: unknown fields, wrong types,
numbers that are not finite or not possible, and lists and texts beyond their limits are refused.
"""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, model_validator

from hwnas.measure import require_enough_runs

MANIFEST: Literal["hwnas-manifest/1"] = "hwnas-manifest/1"
RESULTS: Literal["hwnas-results/1"] = "hwnas-results/1"

MANIFEST_FILE, RESULTS_FILE = "manifest.json", "results.json"

IDLE = "idle"
"""Name of the pauses between what runs for a power counter."""

LONGEST_MS = 3_600_000.0
"""No run takes an hour."""

Text: TypeAlias = Annotated[str, Field(max_length=200)]
Name: TypeAlias = Annotated[str, Field(min_length=1, max_length=200)]
Count: TypeAlias = Annotated[int, Field(ge=0, le=1_000_000)]
Sha256: TypeAlias = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Milliseconds: TypeAlias = Annotated[float, Field(gt=0, le=LONGEST_MS, allow_inf_nan=False)]
Number: TypeAlias = Annotated[float, Field(allow_inf_nan=False, ge=-1e30, le=1e30)]
Seconds: TypeAlias = Annotated[float, Field(allow_inf_nan=False, ge=0, le=1e12)]
Sample: TypeAlias = tuple[Name, Milliseconds]
Samples: TypeAlias = Annotated[list[Sample], Field(max_length=2_000)]


class _Record(BaseModel):
    """Immutable, and with nothing in it that it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, populate_by_name=True)


class TensorFacts(_Record):
    """The input or the output of a model as its file declares it.

    Attributes:
        shape: in the order of the file.
        dtype: as numpy calls it.
    """

    shape: Annotated[tuple[Annotated[int, Field(gt=0, le=1 << 30)], ...], Field(max_length=8)]
    dtype: Literal["float32", "float16", "int8", "uint8"]


class TimedModel(_Record):
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


class Protocol(_Record):
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


class Job(_Record):
    """One batch: these networks are loaded, then every round times the panel and them once.

    Attributes:
        number: of the batch.
        networks: names of models; they are dropped when the job is done.
        rounds: how many, each in an order of its own.
    """

    number: Count
    networks: Annotated[tuple[Name, ...], Field(max_length=1_000)]
    rounds: Annotated[int, Field(ge=1, le=10_000)]


class Setup(_Record):
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


class NetworkPlan(_Record):
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


class Manifest(_Record):
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


class Device(_Record):
    """What identifies a device: equal for all results that may be put together.

    Attributes:
        model: such as "Raspberry Pi 4 Model B Rev 1.4".
        cpu: model of the processor.
        cores: how many.
        os: name and version.
        machine: such as "aarch64".
        governor: of the clock, or "not readable".
    """

    model: Text
    cpu: Text
    cores: Annotated[int, Field(ge=1, le=10_000)]
    os: Text
    machine: Text
    governor: Text = "not readable"


class Runtime(_Record):
    """Who ran the models.

    Attributes:
        name: as in a profile.
        version: of the runtime.
        harness: what drove it: "linux", "android" or "ios", and its version.
    """

    name: Name
    version: Text
    harness: Text


class Conditions(_Record):
    """How a device was, at one moment; None: not readable there.

    Attributes:
        temperature_c: of the hottest thermal zone.
        thermal_state: in the words of the system, such as "nominal".
        throttled: whether the clock is or was held down.
        cpu_mhz: of the fastest core.
        battery_percent: charge.
        charging: whether it is plugged in.
        watts: of the whole device.
    """

    temperature_c: Annotated[float, Field(ge=-100, le=300, allow_inf_nan=False)] | None = None
    thermal_state: Text | None = None
    throttled: bool | None = None
    cpu_mhz: Annotated[float, Field(ge=0, le=100_000, allow_inf_nan=False)] | None = None
    battery_percent: Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)] | None = None
    charging: bool | None = None
    watts: Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)] | None = None


class RanModel(_Record):
    """What shows that the right model ran.

    Attributes:
        sha256: of the file as the device has it.
        output: what it gave for the input of `probe.given`, at `probe.positions`.
    """

    sha256: Sha256
    output: Annotated[tuple[Number, ...], Field(min_length=1, max_length=64)]


class JobResult(_Record):
    """One job, done.

    Attributes:
        number: of the job.
        rounds: (name, milliseconds) in the order of execution.
        before: how the device was when the first round began.
        after: how it was after the last.
        seconds: from the first round to the last, by the device's clock.
    """

    number: Count
    rounds: Annotated[list[Samples], Field(min_length=1, max_length=10_000)]
    before: Conditions = Conditions()
    after: Conditions = Conditions()
    seconds: Seconds = 0.0


class PowerBlock(_Record):
    """One model that ran back to back for a while; name "idle": nothing ran.

    Attributes:
        name: of the model.
        start_s: seconds since 1970 by the device's clock.
        end_s: the same.
        watts: mean power in between.
    """

    name: Name
    start_s: Seconds
    end_s: Seconds
    watts: Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]


class Power(_Record):
    """Power while models ran, from a counter of the device.

    Attributes:
        counter: what was read, such as "hwmon ina226/power1".
        seconds: how long each block ran.
        blocks: in the order of execution.
    """

    counter: Text
    seconds: Annotated[float, Field(gt=0, le=600, allow_inf_nan=False)]
    blocks: Annotated[list[PowerBlock], Field(max_length=10_000)]


class Results(_Record):
    """Everything that a device answers, in the file results.json of a bundle.

    Attributes:
        schema_version: of this document.
        bundle: that of the manifest.
        setup: as the device ran it.
        device: what it is.
        runtime: who ran the models.
        models: what shows that the right ones ran, by name.
        jobs: those that are done; others may come in another file.
        power: if a counter could be read.
    """

    schema_version: Annotated[Literal["hwnas-results/1"], Field(alias="schema")] = RESULTS
    bundle: Name
    setup: Setup
    device: Device
    runtime: Runtime
    models: dict[Name, RanModel]
    jobs: Annotated[list[JobResult], Field(max_length=100_000)]
    power: Power | None = None
