"""Measure a table on this machine: time, correct by whole networks, check on held-out ones."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hwnas import __version__
from hwnas.device import describe_host
from hwnas.files import fingerprint
from hwnas.graph import Graph, find_precision, random_weights
from hwnas.lut.accuracy import compare, conformal_margin
from hwnas.lut.correction import Correction, correct, count_matrix
from hwnas.lut.table import HeldOut, Row, Table
from hwnas.measure import (
    BUSY,
    REFERENCE,
    Statistic,
    measure_round,
    pinned,
    quantile,
    warm_up,
    without_drift,
)
from hwnas.profiler.plan import Plan, make_plan
from hwnas.profiler.recording import Recording, open_recording

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from hwnas.device import DeviceProfile
    from hwnas.measure import Round
    from hwnas.progress import Advance, Reporter
    from hwnas.spaces import Arch, Key, RcnetSpace
    from hwnas.targets.backend import Backend, Session

QUANTILE = 0.10
"""A low quantile, which other load on the machine hardly moves."""
STATISTIC = "10th percentile of runs, drift removed, times typical_factor"
CONFIDENCE = 0.95
UNSTABLE = 0.05
"""Relative half-width of an interval above which a part is called unstable."""


@dataclass(frozen=True, slots=True)
class Profiler:
    """Everything that one measured profile needs."""

    profile: DeviceProfile
    space: RcnetSpace
    backend: Backend
    reporter: Reporter

    def run(
        self,
        partial: Path,
        *,
        fresh: bool = False,
        plan: Plan | None = None,
        finish: Callable[[Table], Table] | None = None,
    ) -> Table:
        """Measure and return the table; `partial` keeps the rounds until it is complete.

        Args:
            partial: JSON lines.
            fresh: do not go on with an interrupted profile.
            plan: what to time.
            finish: what is still to be added to the table (energies); while it fails, the rounds
                are kept.

        Raises:
            UserError: `partial` cannot be written, or the runtime is missing.
        """
        plan = plan or make_plan(self.space)
        recording = open_recording(partial, self._identity(plan), fresh=fresh)
        self._time_everything(plan, recording)
        table = self._to_table(plan, recording)
        if finish is not None:
            table = finish(table)
        recording.discard()
        return table

    def _identity(self, plan: Plan) -> dict[str, Any]:
        batches = [[self.space.format(arch) for arch in batch] for batch in plan.batches]
        return {
            "target": self.profile.name,
            "space": self.space.name,
            "threads": self.profile.threads,
            "runtime": self.backend.version(),
            "host": describe_host(),
            "plan": fingerprint([batches, plan.rounds]),
        }

    def _time_everything(self, plan: Plan, recording: Recording) -> None:
        total = len(plan.batches) * plan.rounds
        if recording.rounds:
            self.reporter.info(
                f"resuming: {len(recording.rounds)} of {total} rounds were timed before"
            )
        with (
            self.reporter.task(f"timing {self.space.name} on {self.profile.name}", total) as step,
            pinned(self.profile.threads),
        ):
            step(len(recording.rounds))
            parts = {
                str(key): self._load(self.space.part_graph(key)) for key in self.space.lookup_keys()
            }
            reference = self._load(self.space.graph(self.space.start()))
            for number, batch in enumerate(plan.batches):
                self._time_batch(plan, recording, number, batch, parts, reference, step)

    def _time_batch(
        self,
        plan: Plan,
        recording: Recording,
        number: int,
        batch: Sequence[Arch],
        parts: dict[str, Session],
        reference: Session,
        step: Advance,
    ) -> None:
        done = recording.done(number)
        if done >= plan.rounds:
            return
        networks = {self.space.format(arch): self._load(self.space.graph(arch)) for arch in batch}
        timers = {name: session.elapsed_ms for name, session in (parts | networks).items()}
        warm_up(timers)
        rng = np.random.default_rng([number, done])
        for _ in range(done, plan.rounds):
            recording.append(number, measure_round(timers, reference.elapsed_ms, rng))
            step(1, f"batch {number + 1} of {len(plan.batches)}")

    def _load(self, graph: Graph) -> Session:
        model = self.backend.emit(graph, random_weights(graph, seed=0))
        return self.backend.load(model, self.profile.threads)

    def _to_table(self, plan: Plan, recording: Recording) -> Table:
        timings = _Timings.of(self.space, plan, [samples for _, samples in recording.rounds])
        if timings.typical_factor > BUSY:
            self.reporter.warn(
                f"this machine was busy: a typical run took {timings.typical_factor:.2f} times an "
                "undisturbed one. Close other programs and profile again with --fresh."
            )
        keys = self.space.lookup_keys()
        correction = correct(
            keys,
            np.array([statistic.value for statistic in timings.parts]),
            [self.space.parts(arch) for arch in plan.calibration],
            timings.calibration_ms,
        )
        counts = count_matrix(keys, [self.space.parts(arch) for arch in plan.validation])
        predicted = counts @ correction.corrected_ms
        rows = {
            key: self._row(key, statistic, corrected)
            for key, statistic, corrected in zip(
                keys, timings.parts, correction.corrected_ms, strict=True
            )
        }
        held_out = tuple(
            HeldOut(self.space.format(arch), float(p), float(m))
            for arch, p, m in zip(plan.validation, predicted, timings.validation_ms, strict=True)
        )
        meta = self._meta(plan, timings, correction, counts)
        return Table(self.profile.name, self.space, rows, meta, held_out)

    def _row(self, key: Key, raw: Statistic, corrected_ms: float) -> Row:
        graph, factor = self.space.part_graph(key), corrected_ms / raw.value
        watts = self.profile.watts
        return Row(
            params=graph.params,
            madds=graph.madds,
            latency_ms=corrected_ms,
            latency_low_ms=raw.low * factor,
            latency_high_ms=raw.high * factor,
            raw_ms=raw.value,
            energy_mj=None if watts is None else watts * corrected_ms,
            peak_bytes=graph.live_bytes(find_precision(self.profile.precision)),
            weight_bytes=graph.stored_bytes(find_precision(self.profile.precision)),
            samples=raw.samples,
            source="measured",
            energy_source="unknown" if watts is None else "estimated",
        )

    def _meta(
        self, plan: Plan, timings: _Timings, correction: Correction, counts: NDArray[np.float64]
    ) -> dict[str, Any]:
        unstable = sum(part.relative_half_width > UNSTABLE for part in timings.parts)
        return {
            "source": "measured",
            "created": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
            "hwnas": __version__,
            "device": describe_host(),
            "runtime": {"name": self.backend.name, "version": self.backend.version()},
            "precision": self.profile.precision,
            "threads": self.profile.threads,
            "energy_source": "unknown" if self.profile.watts is None else "estimated",
            "statistic": STATISTIC,
            "typical_factor": timings.typical_factor,
            "samples_per_part": len(plan.batches) * plan.rounds,
            "samples_per_network": plan.rounds,
            "unstable_parts": unstable,
            "reference": {
                "arch": self.space.format(self.space.start()),
                "median_ms": timings.reference_ms,
            },
            "correction": {
                "networks": correction.networks,
                "scale": correction.scale,
                "offset_ms": correction.offset_ms,
                "ridge_penalty": correction.penalty,
            },
            "validation": _validation(timings, correction, counts),
        }


@dataclass(frozen=True, slots=True)
class _Timings:
    """What the rounds say, in milliseconds of a typical run.

    Attributes:
        parts: by key.
        calibration_ms: whole networks for the correction.
        validation_ms: whole networks for the check.
        typical_factor: median over low quantile, one figure for the machine.
        reference_ms: median of the reference network.
        split_half_noise: mean relative gap between even and odd runs of the same network.
    """

    parts: tuple[Statistic, ...]
    calibration_ms: NDArray[np.float64]
    validation_ms: NDArray[np.float64]
    typical_factor: float
    reference_ms: float
    split_half_noise: float

    @classmethod
    def of(cls, space: RcnetSpace, plan: Plan, rounds: Sequence[Round]) -> _Timings:
        samples = without_drift(rounds)

        def networks(archs: Sequence[Arch], start: int = 0, step: int = 1) -> NDArray[np.float64]:
            runs = (samples[space.format(arch)][start::step] for arch in archs)
            return np.array([np.quantile(times, QUANTILE) for times in runs])

        low = networks(plan.validation)
        medians = [np.median(samples[space.format(arch)]) for arch in plan.validation]
        factor = float(np.median(np.array(medians) / low))
        halves = networks(plan.validation, 0, 2), networks(plan.validation, 1, 2)
        parts = [quantile(samples[str(key)], QUANTILE) for key in space.lookup_keys()]
        return cls(
            parts=tuple(part.scaled(factor) for part in parts),
            calibration_ms=factor * networks(plan.calibration),
            validation_ms=factor * low,
            typical_factor=factor,
            reference_ms=float(np.median(samples[REFERENCE])),
            split_half_noise=float(np.mean(np.abs(halves[0] - halves[1]) / low)),
        )


def _validation(
    timings: _Timings, correction: Correction, counts: NDArray[np.float64]
) -> dict[str, Any]:
    measured, raw = timings.validation_ms, np.array([part.value for part in timings.parts])
    predicted = counts @ correction.corrected_ms
    accuracy = compare(predicted, measured)
    return {
        **accuracy.to_json(),
        "mape_raw": compare(counts @ raw, measured).mape,
        "mape_affine": compare(counts @ correction.affine_ms, measured).mape,
        "split_half_noise": timings.split_half_noise,
        "confidence": CONFIDENCE,
        "margin": conformal_margin(predicted, measured, CONFIDENCE),
        "failures": accuracy.gate(),
    }
