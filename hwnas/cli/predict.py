"""`hwnas predict`."""

from __future__ import annotations

from typing import Any

from hwnas.cli.command import command
from hwnas.cli.console import TerminalReporter, print_json, stdout
from hwnas.workflows.predict.options import PredictOptions


@command(PredictOptions)
def predict(options: PredictOptions, *, json: bool) -> None:
    """Tell what a network costs: exact counts, predicted latency.

    Example: hwnas predict s0 --space rcnet-cifar100
    """
    from hwnas.workflows.predict import predict as workflow

    costs = workflow.predict(options, TerminalReporter())
    print_json(costs) if json else _show_costs(costs)


def _show_costs(costs: dict[str, Any]) -> None:
    from hwnas import units

    out = stdout()
    out.print(f"{costs['arch']}  ({costs['space']})")
    out.print(f"params    {costs['params']:,}")
    out.print(f"MAdds     {costs['madds']:,}")
    if costs["size_bytes"] is not None:
        size = units.SIZE.format(costs["size_bytes"])
        out.print(f"file      at most {size} ({costs['size_format']}, {costs['precision']})")
    out.print(f"memory    {units.MEMORY.format(costs['peak_memory_bytes'])} (peak activations)")
    if costs["latency_ms"] is None:
        out.print("latency   unknown: name a device with --target")
        return
    bound = f", at most {costs['latency_upper_ms']:.4g} ms at {costs['confidence']:.0%} confidence"
    out.print(
        f"latency   {costs['latency_ms']:.4g} ms on {costs['target']} ({costs['latency_source']})"
        + bound
    )
    if costs["energy_mj"] is not None:
        out.print(f"energy    {costs['energy_mj']:.4g} mJ ({costs['energy_source']})")
