"""How well four predictors of latency do on whole networks that none of them has seen.

Profiles each target and space from scratch, in a folder of its own, then times fresh networks
(`hwnas lut validate --fresh`) and compares, on the same timings: MAdds times one fitted factor, the
raw sum of parts, the sum after an affine map, and the corrected table. `--twice` builds each table
a second time and tells how far the keys of the two agree. Run it on an idle machine.

    python benchmarks/lut_accuracy.py --targets onnx-cpu tflite --spaces rcnet-imagenet --out F.json
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hwnas.device import describe_host, find_target
from hwnas.lut.accuracy import compare
from hwnas.lut.correction import affine_ms, count_matrix
from hwnas.progress import Silent
from hwnas.spaces import find_space
from hwnas.workflows.lut.options import LutValidateOptions
from hwnas.workflows.lut.validate import validate
from hwnas.workflows.profile.profiled import Profiling
from hwnas.workflows.profile.this_machine import profile_here

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hwnas.lut.table import Table

TARGETS = ("onnx-cpu", "tflite", "onnx-cpu-int8", "tflite-int8")
SPACES = ("rcnet-imagenet", "rcnet-cifar100")
PREDICTORS = ("MAdds", "raw sum", "affine", "corrected")
HEADER = (
    "| target | space | profile s | MAPE MAdds | raw | affine | corrected | within 5% | tau "
    "| worst | margin | covers | noise/2 |"
)


def main() -> None:
    """Measure, print, write after each table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--targets", nargs="*", default=TARGETS)
    parser.add_argument("--spaces", nargs="*", default=SPACES)
    parser.add_argument("--networks", type=int, default=100, help="fresh ones per table")
    parser.add_argument("--twice", action="store_true", help="also build each table again")
    parser.add_argument("--out", type=Path, help="JSON; tables of other runs in it are kept")
    options = parser.parse_args()
    print(HEADER, "|---|---|" + "---:|" * 11, sep="\n", flush=True)
    for space in options.spaces:
        for target in options.targets:
            result = measure(target, space, options.networks, twice=options.twice)
            print(_row(result), flush=True)
            if options.out:
                _write(options.out, f"{target} {space}", result)


def measure(target: str, space: str, networks: int, *, twice: bool) -> dict:
    """Return everything about one table."""
    with tempfile.TemporaryDirectory() as folder:
        workspace = Path(folder)
        start = time.monotonic()
        asked = Profiling(find_target(target), find_space(space), workspace, Silent())
        table = profile_here(asked).table
        seconds = time.monotonic() - start
        again = LutValidateOptions(
            target=target, space=space, fresh=True, networks=networks, workspace=workspace
        )
        checked = validate(again, Silent())
    archs = [network.arch for network in checked.networks]
    measured = [network.measured_ms for network in checked.networks]
    predictions = predict(table, archs)
    result = {
        "target": target,
        "space": space,
        "seconds": seconds,
        "runtime": table.meta["runtime"],
        "correction": table.meta["correction"],
        "unstable_parts": table.meta["unstable_parts"],
        "typical_factor": table.meta["typical_factor"],
        "own_check": table.meta["validation"],
        "fresh_check": checked.figures,
        "predictors": {
            name: compare(predicted, measured).to_json() for name, predicted in predictions.items()
        },
        "networks": {
            "blocks": [sum(op > 0 for op in table.space.parse(arch)) for arch in archs],
            "measured_ms": rounded(measured),
            **{name: rounded(predicted) for name, predicted in predictions.items()},
        },
    }
    if twice:
        result["repeat"] = repeat(table)
    return result


def rounded(times_ms: Iterable[float]) -> list[float]:
    """Return times as they are kept."""
    return [round(float(ms), 5) for ms in times_ms]


def predict(table: Table, archs: list[str]) -> dict[str, np.ndarray]:
    """Return the milliseconds that each predictor says, fitted on the table's own networks."""
    space, keys = table.space, table.space.lookup_keys()
    known = [space.parse(network.arch) for network in table.calibration]
    times = np.array([network.measured_ms for network in table.calibration])
    fresh = [space.parse(arch) for arch in archs]
    raw = np.array([table.rows[key].raw_ms for key in keys])
    seen, counts = (count_matrix(keys, list(map(space.parts, archs))) for archs in (known, fresh))
    madds = np.array([space.graph(arch).madds for arch in known])
    factor = float(np.median(times / madds))
    return {
        "MAdds": factor * np.array([space.graph(arch).madds for arch in fresh]),
        "raw sum": counts @ raw,
        "affine": counts @ affine_ms(raw, seen, times),
        "corrected": np.array([table.latency_ms(arch) for arch in fresh]),
    }


def repeat(table: Table) -> dict[str, float]:
    """Build the table again and return how far its keys moved."""
    with tempfile.TemporaryDirectory() as folder:
        profile = find_target(table.target)
        again = profile_here(Profiling(profile, table.space, Path(folder), Silent())).table
    ratios = np.array(
        [again.rows[key].latency_ms / table.rows[key].latency_ms for key in again.rows]
    )
    archs = [table.space.parse(network.arch) for network in table.held_out]
    whole = np.array([again.latency_ms(arch) / table.latency_ms(arch) for arch in archs])
    return {
        "median_change": float(np.median(np.abs(ratios - 1))),
        "median_change_at_equal_speed": float(np.median(np.abs(ratios / np.median(ratios) - 1))),
        "largest_change": float(np.abs(ratios - 1).max()),
        "speed": float(np.median(ratios)),
        "mean_change_of_networks": float(np.abs(whole - 1).mean()),
    }


def _row(result: dict) -> str:
    fresh, mape = result["fresh_check"], result["predictors"]
    errors = " | ".join(f"{mape[name]['mape']:.2%}" for name in PREDICTORS)
    return (
        f"| `{result['target']}` | `{result['space']}` | {result['seconds']:.0f} | {errors} | "
        f"{fresh['within_5pct']:.0%} | {fresh['kendall_tau']:.3f} | {fresh['worst']:.1%} | "
        f"{fresh['margin']:.1%} | {fresh['coverage']:.0%} | {fresh['split_half_noise'] / 2:.2%} |"
    )


def _write(path: Path, name: str, result: dict) -> None:
    content = json.loads(path.read_text()) if path.exists() else {"tables": {}}
    content["machine"] = describe_host()
    content["tables"][name] = result
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content) + "\n")


if __name__ == "__main__":
    main()
