"""`hwnas quickstart`: the whole chain on bundled data, within a budget that it sets itself."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from hwnas.options import MACHINE, Option

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hwnas.progress import Reporter

TARGET, SPACE = "onnx-cpu", "rcnet-digits"
TEACHERS = 2
SHARE_OF_BASELINE = 0.7
"""The budget is this share of MobileNetV2's own latency at the same geometry."""


@dataclass(frozen=True, kw_only=True)
class QuickstartOptions:
    """Options of `hwnas quickstart`."""

    workspace: Annotated[Path, Option("Folder that holds lut/ and runs/.", MACHINE)] = Path(
        "runs/quickstart"
    )


def quickstart(options: QuickstartOptions, reporter: Reporter) -> Iterator[tuple[str, Any]]:
    """Run one command after the other; yield the name of each, and its result, when it is done."""
    from hwnas.units import LATENCY
    from hwnas.workflows.bench.bench import bench
    from hwnas.workflows.bench.options import BenchOptions
    from hwnas.workflows.export.export import export
    from hwnas.workflows.export.options import ExportOptions
    from hwnas.workflows.profile.options import ProfileOptions
    from hwnas.workflows.profile.profile import profile
    from hwnas.workflows.search.options import SearchOptions
    from hwnas.workflows.search.search import search
    from hwnas.workflows.train.options import TrainOptions
    from hwnas.workflows.train.train import train

    here = options.workspace
    reporter.info(f"1/5  hwnas profile --target {TARGET} --space {SPACE}")
    device = ProfileOptions(target=TARGET, space=SPACE, workspace=here)
    yield "profile", profile(device, reporter)
    limit = LATENCY.format(_budget_ms(reporter))
    reporter.info(f"2/5  hwnas search --budget-latency {limit} --teachers {TEACHERS}")
    within = SearchOptions(
        budget_latency=(limit,), target=TARGET, space=SPACE, teachers=TEACHERS, workspace=here
    )
    yield "search", search(within, reporter)
    reporter.info("3/5  hwnas train")
    yield "train", train(TrainOptions(workspace=here), reporter)
    reporter.info("4/5  hwnas export --format onnx")
    yield "export", export(ExportOptions(format="onnx", workspace=here), reporter)
    reporter.info("5/5  hwnas bench")
    yield "bench", bench(BenchOptions(target=(TARGET,), workspace=here), reporter)


def _budget_ms(reporter: Reporter) -> float:
    """Return a budget that means the same on every machine: a share of MobileNetV2's time.

    MobileNetV2 is timed on this machine at the space's geometry.
    """
    from hwnas.device import find_target
    from hwnas.spaces import find_space
    from hwnas.workflows.bench.timing import Target, baseline, time_networks

    target = Target(find_target(TARGET))
    known = baseline("mobilenet_v2", find_space(SPACE), target.backend)
    (timing,) = time_networks(target, [known], reporter).timings
    reporter.info(
        f"MobileNetV2 at this size takes {timing.median_ms:.4g} ms here; the budget is "
        f"{SHARE_OF_BASELINE:.0%} of that"
    )
    return timing.median_ms * SHARE_OF_BASELINE
