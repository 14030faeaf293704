"""`hwnas quickstart`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hwnas.cli import export, options, train
from hwnas.cli.bench.bench import bench
from hwnas.cli.console import TerminalReporter
from hwnas.cli.search import found
from hwnas.workflows.export.options import ExportOptions
from hwnas.workflows.search.options import SearchOptions
from hwnas.workflows.train.options import TrainOptions

if TYPE_CHECKING:
    from collections.abc import Callable


def quickstart(
    workspace: Annotated[
        Path, typer.Option("--workspace", help="Folder that holds lut/ and runs/.")
    ] = Path("runs/quickstart"),
    json: options.Json = False,
) -> None:
    """Run the whole chain on bundled data, in about six minutes.

    Example: hwnas quickstart
    """
    from hwnas.cli.profile import show_table
    from hwnas.device import find_target
    from hwnas.spaces import find_space
    from hwnas.units import LATENCY
    from hwnas.workflows.export.export import export as run_export
    from hwnas.workflows.profile.options import ProfileOptions
    from hwnas.workflows.profile.profile import profile
    from hwnas.workflows.quickstart import SPACE, TARGET, TEACHERS, budget_ms
    from hwnas.workflows.search.search import search
    from hwnas.workflows.train.train import train as run_train

    def show(present: Callable[[Any], None], found: Any) -> None:
        if not json:
            present(found)

    reporter = TerminalReporter()
    target, space = find_target(TARGET), find_space(SPACE)
    reporter.info(f"1/5  hwnas profile --target {TARGET} --space {SPACE}")
    what = ProfileOptions(target=TARGET, space=SPACE, workspace=workspace)
    show(show_table, profile(what, reporter))
    limit = LATENCY.format(budget_ms(target, space, reporter))
    reporter.info(f"2/5  hwnas search --budget-latency {limit} --teachers {TEACHERS}")
    asked = SearchOptions(
        budget_latency=(limit,),
        target=TARGET,
        space=SPACE,
        teachers=TEACHERS,
        workspace=workspace,
    )
    show(found.show_search, search(asked, reporter))
    reporter.info("3/5  hwnas train")
    show(train.show_trained, run_train(TrainOptions(workspace=workspace), reporter))
    reporter.info("4/5  hwnas export --format onnx")
    show(
        export.show_exported,
        run_export(ExportOptions(format="onnx", workspace=workspace), reporter),
    )
    reporter.info("5/5  hwnas bench")
    bench(target=(TARGET,), workspace=workspace, json=json)
