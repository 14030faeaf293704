"""Energy of every part: measure the power while it runs, multiply by the table's latency."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hwnas.cost import energy
from hwnas.energy.blocks import IDLE, Block, run_block
from hwnas.energy.log import MeterLog, read_log
from hwnas.errors import UserError
from hwnas.measure import pinned
from hwnas.profiler.clock import here, network_graphs, timer_of
from hwnas.profiler.recording import identity, open_recording

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from hwnas.device import DeviceProfile
    from hwnas.energy.blocks import Work
    from hwnas.energy.counter import Counter
    from hwnas.graph import Graph
    from hwnas.lut.table import Table
    from hwnas.profiler.recording import Recording
    from hwnas.progress import Reporter
    from hwnas.targets.backend import Backend

PASSES = 2
CHECKED = 8
"""Held-out whole networks whose energy is measured too, and compared with the sum of parts."""
QUANTITY = "mean total power while the part runs back to back, idle power included, times latency"


@dataclass(frozen=True, slots=True)
class EnergyProfiler:
    """Everything that the energies of one table need.

    Attributes:
        profile: the target.
        backend: runs it.
        power: a counter that is read while parts run, or a log that is read when they have run.
        reporter: is shown progress.
    """

    profile: DeviceProfile
    backend: Backend
    power: Counter | MeterLog
    reporter: Reporter

    def complete(self, table: Table, path: Path, *, fresh: bool = False) -> Table:
        """Return the table with measured energies.

        Blocks that ran are kept in `path` until the energies are known: when the log is not there
        yet, the same command goes on with it.

        Raises:
            UserError: the log or the counter cannot be used.
        """
        graphs = self._graphs(table)
        order = power_order(list(graphs))
        log = self.power if isinstance(self.power, MeterLog) else None
        what = ["log" if log else self.power.name, self.power.block_s, order]
        header = identity(self.profile, table.space, here(self.backend), what)
        recording = open_recording(path, header, lambda value: Block(*value), fresh=fresh)
        if not self._run(graphs, order, recording):
            recording.discard()
            return table
        if log is None:
            watts = [block.watts or 0.0 for block in recording.entries]
        else:
            readings = read_log(log.path, log.offset_s)
            watts = [readings.mean_watts(block.start_s, block.end_s) for block in recording.entries]
        measured = Powers.of(order, watts)
        if log is not None and not measured.idle < measured.typical:
            raise UserError(
                f"{log.path}: no more power while parts ran ({measured.typical:.3g} W) than in "
                f"idle pauses ({measured.idle:.3g} W). If the meter's clock differs from this "
                "machine's, give --power-offset SECONDS with the same command."
            )
        recording.discard()
        about = describe(measured, self.power.name, self.power.block_s)
        return with_energies(table, measured, about | {"offset_s": log and log.offset_s})

    def _graphs(self, table: Table) -> dict[str, Graph]:
        space = table.space
        parts = {str(key): space.part_graph(key) for key in table.rows}
        return parts | network_graphs(space, checked([n.arch for n in table.held_out]))

    def _run(
        self, graphs: Mapping[str, Graph], order: Sequence[str], recording: Recording[Block]
    ) -> bool:
        """Run the blocks that are missing; return whether the counter moves at all."""
        done, threads = len(recording.entries), self.profile.threads
        if done == len(order):
            return True
        works: dict[str, Work | None] = {
            name: timer_of(self.backend, graph, threads) for name, graph in graphs.items()
        }
        works[IDLE] = None
        counter = None if isinstance(self.power, MeterLog) else self.power
        title = f"power by {self.power.name}"
        with self.reporter.task(title, len(order)) as step, pinned(threads):
            step(done)
            for name in order[done:]:
                block = run_block(name, works[name], self.power.block_s, counter)
                if block.watts is not None and not block.watts > 0:
                    self.reporter.warn(
                        f"{self.power.name} does not move: energy is not measured, but "
                        f"{table_energy(self.profile)}."
                    )
                    return False
                recording.append(block)
                step(1, name)
        return True


def checked(held_out: Sequence[str]) -> list[str]:
    """Return the held-out networks whose energy is measured too."""
    return list(held_out[:: max(1, len(held_out) // CHECKED)][:CHECKED])


def describe(measured: Powers, meter: str, block_s: float) -> dict[str, Any]:
    """Return what meta.json tells of the energies."""
    return {
        "meter": meter,
        "quantity": QUANTITY,
        "idle_watts": measured.idle,
        "running_watts": measured.typical,
        "seconds_per_block": block_s,
        "passes": PASSES,
        "spread": measured.spread,
    }


def table_energy(profile: DeviceProfile) -> str:
    """Return what the energies of a target are without a counter, in words."""
    if profile.watts is None:
        return "unknown (set `watts` in the target's profile for an estimate)"
    return f"estimated as {profile.watts:g} W times latency"


def power_order(names: Sequence[str]) -> list[str]:
    """Return what runs: in each pass everything in random order, between two idle pauses."""
    order: list[str] = []
    for number in range(PASSES):
        mixed = (names[i] for i in np.random.default_rng(number).permutation(len(names)))
        order += [IDLE, *mixed, IDLE]
    return order


@dataclass(frozen=True, slots=True)
class Powers:
    """Mean power by name, in watts.

    Attributes:
        by_name: of parts and whole networks.
        idle: of the pauses.
        typical: median over what ran.
        spread: median relative difference between the passes.
    """

    by_name: Mapping[str, float]
    idle: float
    typical: float
    spread: float

    @classmethod
    def of(cls, names: Sequence[str], watts: Sequence[float]) -> Powers:
        """Reduce the power of each block to one per name of what ran."""
        found: dict[str, list[float]] = {}
        for name, power in zip(names, watts, strict=True):
            found.setdefault(name, []).append(power)
        idle = float(np.mean(found.pop(IDLE)))
        means = {name: float(np.mean(values)) for name, values in found.items()}
        spread = [(max(v) - min(v)) / means[name] for name, v in found.items() if means[name] > 0]
        return cls(means, idle, float(np.median(list(means.values()))), float(np.median(spread)))


def with_energies(table: Table, measured: Powers, about: dict[str, Any]) -> Table:
    """Return the table with the energies that these powers make of its latencies.

    Raises:
        UserError: a part ran, and the meter saw no power.
    """
    watts = measured.by_name
    if dead := [str(key) for key in table.rows if not watts[str(key)] > 0]:
        raise UserError(
            f"the meter saw no power while {dead[0]} ran ({about['meter']}). Check the meter and "
            "profile again (--fresh)."
        )
    rows = {
        key: dataclasses.replace(
            row, energy_mj=watts[str(key)] * row.latency_ms, energy_source="measured"
        )
        for key, row in table.rows.items()
    }
    meta = {**table.meta, "energy_source": "measured"}
    measured_table = dataclasses.replace(table, rows=rows, meta=meta)
    check = _check(measured_table, watts)
    return dataclasses.replace(measured_table, meta=meta | {"energy": about | {"check": check}})


def _check(table: Table, watts: Mapping[str, float]) -> dict[str, Any]:
    """Return how well a table with energies predicts the measured ones of held-out networks."""
    predicted = energy(table)
    errors = [
        predicted.of(table.space.parse(n.arch)) / (watts[n.arch] * n.measured_ms) - 1
        for n in table.held_out
        if n.arch in watts
    ]
    return {
        "networks": len(errors),
        "mape": float(np.mean(np.abs(errors))) if errors else None,
        "worst": float(np.max(np.abs(errors))) if errors else None,
    }
