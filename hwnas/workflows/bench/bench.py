"""`hwnas bench`: a run's winner, or a model file, timed on targets beside baselines."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from hwnas.errors import HwnasError
from hwnas.options import refuse
from hwnas.runs import find_run
from hwnas.workflows.bench import model_file, run_winner
from hwnas.workflows.bench.recalibration import recalibrate, require_recalibratable
from hwnas.workflows.bench.timing import baseline, time_networks
from hwnas.workflows.winner import of_run

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from hwnas.progress import Reporter
    from hwnas.workflows.bench.options import BenchOptions
    from hwnas.workflows.bench.timing import Bench, Target


def bench(options: BenchOptions, reporter: Reporter) -> dict[str, Any]:
    """Time a network on its targets; a run gets the result as bench.json.

    Args:
        options: name a run or a model file.
        reporter: is shown progress.

    Returns:
        All rows as "networks", what holds per target as "targets", and the "verdict".

    Raises:
        UserError: options that do not go together; no target is known, or none can be timed here;
            a file or a table is damaged, or cannot be recalibrated.
        CheckFailed: no table was recalibrated; `result` holds what was timed.
    """
    if options.model is not None:
        refuse(
            options,
            "--run --recalibrate",
            "--model stands for itself: leave --run and --recalibrate out.",
        )
        return _bench_model(options.model, options, reporter)
    refuse(
        options,
        "--budget-latency",
        "--budget-latency is for --model: a run has budgets of its own.",
    )
    return _bench_run(options, reporter)


def _bench_model(path: Path, options: BenchOptions, reporter: Reporter) -> dict[str, Any]:
    model = model_file.read_model(path)
    targets = model_file.targets_of(path, options.target, options.budget_latency)
    timed = [
        time_networks(
            target, model_file.candidates_of(model, target, options.baseline, reporter), reporter
        )
        for target in targets
    ]
    return {"model": str(path), **_result(timed)}


def _bench_run(options: BenchOptions, reporter: Reporter) -> dict[str, Any]:
    run = find_run(options.workspace, options.run)
    winner = of_run(run)
    targets = run_winner.targets_of(run, winner, options.workspace, options.target, reporter)
    if options.recalibrate:
        require_recalibratable(winner, targets)
    timed = []
    for target in [target for target in targets if target.local] or targets[:1]:
        candidates = run_winner.candidates_of(run, winner, target, reporter)
        candidates += (baseline(name, winner.space, target.backend) for name in options.baseline)
        timed.append(time_networks(target, candidates, reporter))
    expected = [(t, run_winner.expected_row(winner, t)) for t in targets if not t.local]
    result = {"run": str(run.path), **_result(timed, expected)}
    run.write("bench.json", result)
    if options.recalibrate:
        try:
            result["recalibrated"] = recalibrate(options.workspace, winner, timed)
        except HwnasError as error:
            error.result = result
            raise
    return result


def _result(
    timed: list[Bench], expected: Sequence[tuple[Target, dict[str, Any]]] = ()
) -> dict[str, Any]:
    """Return what is told of all networks; those that could not be timed come last."""
    facts = {one.target.profile.name: _facts(one.target, one) for one in timed}
    facts |= {target.profile.name: _facts(target, None) for target, _ in expected}
    rows = [asdict(timing) for one in timed for timing in one.timings]
    verdict = "FAIL" if any(row["verdict"] == "FAIL" for row in rows) else "PASS"
    return {
        "networks": [*rows, *(row for _, row in expected)],
        "targets": facts,
        "verdict": verdict,
    }


def _facts(target: Target, timed: Bench | None) -> dict[str, Any]:
    """Return what holds for all networks on a target, which was timed or not."""
    profile, table = target.profile, target.table
    facts: dict[str, Any] = {
        "measured": timed is not None,
        "runtime": {"name": profile.runtime, "version": timed and target.backend.version()},
        "precision": profile.precision,
        "threads": profile.threads,
        "busy": timed and timed.busy,
        "speed_against_table": timed and timed.speed,
    }
    if timed is None:
        facts["prediction"] = table and table.label
        facts["uncertainty_95pct"] = table and table.meta.get("uncertainty_95pct")
    return facts
