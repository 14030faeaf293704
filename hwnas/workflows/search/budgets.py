"""From `--budget-...` texts and tables to a search problem."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hwnas import cost, units
from hwnas.cost import Budget, Cost, Problem
from hwnas.device import find_target, is_target
from hwnas.errors import UserError
from hwnas.graph import FP32, find_precision
from hwnas.lut.accuracy import CONFIDENCE
from hwnas.workflows.tables import check_table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hwnas.graph import Precision
    from hwnas.lut.library import Library
    from hwnas.lut.table import Table
    from hwnas.progress import Reporter
    from hwnas.spaces import RcnetSpace

EXACT = ("params", "madds", "memory", "size")
MEASURED = ("latency", "energy")


@dataclass(frozen=True, slots=True)
class Limit:
    """One parsed budget.

    Attributes:
        resource: "latency", "params", ...
        target: device that it is for, or None for the run's own (or for exact resources).
        value: in the resource's base unit.
    """

    resource: str
    target: str | None
    value: float


def parse_limits(quantities: Mapping[str, Sequence[str]]) -> tuple[Limit, ...]:
    """Parse the texts of every resource, such as "190ms" or "iphone5s=190ms".

    Raises:
        UserError: no number, no unit, not above zero, or a device where none belongs.
    """
    return tuple(_parsed(name, text) for name, texts in quantities.items() for text in texts)


def _parsed(resource: str, text: str) -> Limit:
    target, separator, quantity = text.rpartition("=")
    if separator and resource not in MEASURED:
        raise UserError(f"--budget-{resource} {text!r}: {resource} is the same on every device.")
    value = units.DIMENSIONS[resource].parse(quantity)
    return Limit(resource, target.strip() or None, value)


def find_tables(
    library: Library,
    limits: Sequence[Limit],
    target: str | None,
    space: RcnetSpace,
    reporter: Reporter,
    *,
    force: bool,
) -> dict[str, Table]:
    """Return the tables that the budgets need, the run's own target first; tell what weakens them.

    Raises:
        UserError: a table is missing or damaged, or no target is known for a latency.
        TableError: one was made for another set-up; or failed its validation, unless `force`.
    """
    needed = dict.fromkeys([target] if target else [])
    needed |= dict.fromkeys(limit.target for limit in limits if limit.target)
    if not needed and any(limit.resource in MEASURED for limit in limits):
        raise UserError(
            "no target is known for the latency or energy budget: there is no lookup table in "
            "this workspace. Build one first, for instance: hwnas profile --target onnx-cpu"
        )
    tables = {name: library.find(name, space.name) for name in needed}
    for table in tables.values():
        if table.estimated:
            reporter.warn(
                f"{table.target}: latencies are ESTIMATED from {len(table.meta['anchors'])} "
                f"published networks (+-{table.meta['uncertainty_95pct']:.0%}), no device was "
                "measured."
            )
        check_table(table, reporter, strict=not force)
    return tables


def make_problem(
    space: RcnetSpace,
    limits: Sequence[Limit],
    tables: Mapping[str, Table],
    confidence: float | None,
) -> Problem:
    """Return the problem; costs are named "latency@target" where there are several targets.

    Args:
        space: what is searched.
        limits: at least one.
        tables: by target, the run's own first.
        confidence: of latency bounds; None means 95% for measured tables and the point estimate
            for estimated ones.

    Raises:
        UserError: no budget at all, or two for the same resource.
    """
    if not limits:
        raise UserError(
            "a search needs at least one budget, for instance --budget-latency 190ms "
            "(also: --budget-params, --budget-madds, --budget-energy, --budget-memory, "
            "--budget-size)."
        )
    budgets = tuple(
        Budget(_cost(space, limit, tables, confidence), limit.value) for limit in limits
    )
    names = [budget.cost.name for budget in budgets]
    if repeated := {name for name in names if names.count(name) > 1}:
        raise UserError(f"two budgets for {', '.join(sorted(repeated))}: give one.")
    return Problem(space, budgets)


def _cost(
    space: RcnetSpace, limit: Limit, tables: Mapping[str, Table], confidence: float | None
) -> Cost:
    if limit.resource in EXACT:
        return exact_cost(limit.resource, space, next(iter(tables), None))
    target = limit.target or next(iter(tables))
    table = tables[target]
    name = limit.resource if len(tables) == 1 else f"{limit.resource}@{target}"
    if limit.resource == "energy":
        return cost.energy(table, name=name)
    level = CONFIDENCE if confidence is None and not table.estimated else confidence
    return cost.latency(table, level, name=name)


def exact_cost(name: str, space: RcnetSpace, target: str | None) -> Cost:
    """Return a cost that is counted on the graph.

    Args:
        name: one of `EXACT`.
        space: the space.
        target: whose precision and export format memory and file size are counted in; float32
            and ONNX without one.

    Raises:
        UserError: the size of the target's files is not known.
    """
    if name == "params":
        return cost.params(space)
    if name == "madds":
        return cost.madds(space)
    form, precision = deployment(target)
    return cost.memory(space, precision) if name == "memory" else cost.size(space, form, precision)


def deployment(target: str | None) -> tuple[str, Precision]:
    """Return export format and precision of a target; ONNX and float32 without one."""
    if target is None or not is_target(target):
        return "onnx", FP32
    profile = find_target(target)
    return profile.export_format, find_precision(profile.precision)


def all_costs(space: RcnetSpace, problem: Problem, tables: Mapping[str, Table]) -> list[Cost]:
    """Return every cost that can be told of a network: the budgeted ones first."""
    costs = {budget.cost.name: budget.cost for budget in problem.budgets}
    for table in tables.values():
        name = "latency" if len(tables) == 1 else f"latency@{table.target}"
        costs.setdefault(name, cost.latency(table, None, name=name))
    target = next(iter(tables), None)
    for name in EXACT:
        if name != "size" or cost.file_size_known(*deployment(target)):
            costs.setdefault(name, exact_cost(name, space, target))
    return list(costs.values())
