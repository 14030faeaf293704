"""What a device answers: the results, JSON of a version of its own.

A bundle carries them as a file; an agent delivers them job by job over HTTP.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from hwnas.bundle.fields import Count, Name, Number, Record, Samples, Seconds, Sha256, Text
from hwnas.bundle.manifest import Setup

RESULTS: Literal["hwnas-results/1"] = "hwnas-results/1"
RESULTS_FILE = "results.json"


class Device(Record):
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


class Runtime(Record):
    """Who ran the models.

    Attributes:
        name: as in a profile.
        version: of the runtime.
        harness: what drove it: "linux", "android" or "ios", and its version.
    """

    name: Name
    version: Text
    harness: Text


class Conditions(Record):
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


class RanModel(Record):
    """What shows that the right model ran.

    Attributes:
        sha256: of the file as the device has it.
        output: what it gave for the input of `probe.given`, at `probe.positions`.
    """

    sha256: Sha256
    output: Annotated[tuple[Number, ...], Field(min_length=1, max_length=64)]


class JobResult(Record):
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


class PowerBlock(Record):
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


class Power(Record):
    """Power while models ran, from a counter of the device.

    Attributes:
        counter: what was read, such as "hwmon ina226/power1".
        seconds: how long each block ran.
        blocks: in the order of execution.
    """

    counter: Text
    seconds: Annotated[float, Field(gt=0, le=600, allow_inf_nan=False)]
    blocks: Annotated[list[PowerBlock], Field(max_length=10_000)]


class Results(Record):
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
