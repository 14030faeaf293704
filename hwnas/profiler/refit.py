"""Fit a measured table again, from its own timings with some of them changed."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from hwnas.measure import Statistic
from hwnas.profiler.assemble import FACTS, Evidence, assemble
from hwnas.profiler.clock import Place

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hwnas.device import DeviceProfile
    from hwnas.lut.table import Row, Table, Timed
    from hwnas.spaces import Key

RECALIBRATED = "recalibrated"
"""Key of meta.json: networks that `hwnas bench` added to the correction."""


def refit(
    table: Table,
    profile: DeviceProfile,
    *,
    parts: Mapping[Key, Statistic] | None = None,
    calibration: tuple[Timed, ...] | None = None,
) -> Table:
    """Return the table corrected and checked again; its held-out networks stay what they are.

    Args:
        table: a measured one.
        profile: its target.
        parts: times of the parts alone, or None for those of the table.
        calibration: whole networks that correct the parts, or None for those of the table.
    """
    found = Evidence(
        parts=own_parts(table) if parts is None else parts,
        calibration=table.calibration if calibration is None else calibration,
        validation=tuple(network.timed for network in table.held_out),
        facts={name: table.meta[name] for name in FACTS},
        split_half_noise=table.meta["validation"]["split_half_noise"],
    )
    new = _keep_powers(assemble(profile, table.space, _place(table), found), table)
    if RECALIBRATED not in table.meta:
        return new
    meta = {**new.meta, RECALIBRATED: table.meta[RECALIBRATED]}
    return dataclasses.replace(new, meta=meta)


def _place(table: Table) -> Place:
    """Return where a table was measured: fitting it again moves it nowhere."""
    meta = table.meta
    return Place(meta["device"], meta["runtime"]["version"], meta["temperature"])


def own_parts(table: Table) -> dict[Key, Statistic]:
    """Return the timings of the parts alone, which a table was made from."""
    return {key: _raw(row) for key, row in table.rows.items()}


def _raw(row: Row) -> Statistic:
    factor = row.raw_ms / row.latency_ms
    return Statistic(
        row.raw_ms, row.latency_low_ms * factor, row.latency_high_ms * factor, row.samples
    )


def _keep_powers(new: Table, old: Table) -> Table:
    """Keep the measured power of each part: only its time has changed."""
    if old.meta["energy_source"] != "measured":
        return new
    rows = {}
    for key, row in new.rows.items():
        watts = (old.rows[key].energy_mj or 0.0) / old.rows[key].latency_ms
        rows[key] = dataclasses.replace(
            row,
            energy_mj=watts * row.latency_ms,
            energy_source=old.rows[key].energy_source,
        )
    meta = {**new.meta, "energy_source": "measured", "energy": old.meta.get("energy")}
    return dataclasses.replace(new, rows=rows, meta=meta)
