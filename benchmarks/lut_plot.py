"""Draw docs/lookup-tables.png from what `lut_accuracy.py` measured: prediction against truth.

On the left, predicted over measured milliseconds of fresh networks, by table and by MAdds alone. On
the right, the error of the table by the number of blocks: a sum has more to average out in a long
network.

    python benchmarks/lut_plot.py
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

if TYPE_CHECKING:
    from matplotlib.axes import Axes

HERE = Path(__file__).parent
TARGETS = {"onnx-cpu": ("#0072b2", "o"), "tflite": ("#d55e00", "^")}
SPACES = {"rcnet-imagenet": "224 px", "rcnet-cifar100": "32 px"}
AIM_PCT = 5
STYLE: Any = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
}


def main() -> None:
    """Read the results, write the picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path, default=HERE / "results" / "lut_accuracy.json")
    parser.add_argument("--out", type=Path, default=HERE.parent / "docs" / "lookup-tables.png")
    options = parser.parse_args()
    tables = json.loads(options.results.read_text())["tables"]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9, 7), layout="constrained")
        rows = figure.subplots(len(SPACES), 2)
        for (space, size), (left, right) in zip(SPACES.items(), rows, strict=True):
            networks = {name: tables[f"{name} {space}"]["networks"] for name in TARGETS}
            left.set_title(f"{space} ({size})", loc="left")
            draw_predictions(left, networks)
            draw_errors(right, networks)
        figure.savefig(options.out, dpi=120, metadata={"Software": None})


def draw_predictions(axes: Axes, networks: dict[str, dict[str, list[float]]]) -> None:
    """Draw predicted against measured times on logarithmic axes."""
    for name, (colour, marker) in TARGETS.items():
        measured = networks[name]["measured_ms"]
        at: dict[str, Any] = {"linestyle": "none", "marker": marker, "markersize": 3}
        axes.plot(measured, networks[name]["MAdds"], color="#bbbbbb", **at)
        axes.plot(measured, networks[name]["corrected"], color=colour, label=name, **at)
    ends = [each for columns in networks.values() for each in columns["measured_ms"]]
    line = np.array([min(ends) / 1.1, max(ends) * 1.1])
    axes.plot(line, line, color="black", linewidth=0.6, zorder=0)
    axes.plot([], [], "o", markersize=3, color="#bbbbbb", label="MAdds alone")
    axes.set(xlabel="measured ms", ylabel="predicted ms", xscale="log", yscale="log")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter("{x:g}")
        axis.set_minor_formatter(NullFormatter())
    axes.legend()


def draw_errors(axes: Axes, networks: dict[str, dict[str, list[float]]]) -> None:
    """Draw the relative error against the number of blocks."""
    axes.axhspan(-AIM_PCT, AIM_PCT, color="#eeeeee", zorder=0)
    axes.axhline(0, color="black", linewidth=0.6, zorder=1)
    for shift, (name, (colour, marker)) in zip((-0.15, 0.15), TARGETS.items(), strict=True):
        columns = {key: np.array(values) for key, values in networks[name].items()}
        error = 100 * (columns["corrected"] / columns["measured_ms"] - 1)
        label = f"{name}: MAPE {np.abs(error).mean():.2f}%"
        at: dict[str, Any] = {"linestyle": "none", "marker": marker, "markersize": 3}
        axes.plot(columns["blocks"] + shift, error, color=colour, label=label, **at)
    widest = max(abs(value) for value in axes.get_ylim())
    axes.set(xlabel="blocks", ylabel="error of the table, %", ylim=(-widest, 1.3 * widest))
    axes.legend(loc="upper right", ncols=2)


if __name__ == "__main__":
    main()
