"""`hwnas predict`: what is known of a network without running anything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hwnas.cost import energy, file_bytes, file_size_known
from hwnas.lut.accuracy import CONFIDENCE
from hwnas.lut.library import Library
from hwnas.spaces import PUBLISHED
from hwnas.workflows.search.budgets import deployment
from hwnas.workflows.shared_options import check_confidence
from hwnas.workflows.tables import check_table, choose

if TYPE_CHECKING:
    from hwnas.lut.table import Table
    from hwnas.progress import Reporter
    from hwnas.workflows.predict.options import PredictOptions


def predict(options: PredictOptions, reporter: Reporter) -> dict[str, Any]:
    """Return all costs of a network; what is unknown is None.

    Raises:
        UserError: unknown architecture, space or target, no table for the target, or one that
            does not describe it.
    """
    arch, target, space = options.arch, options.target, options.space
    library = Library(options.workspace)
    published = PUBLISHED.get(arch)
    if published and space is None and target is None:
        space = "rcnet-imagenet" if arch.endswith("imagenet") else "rcnet-cifar100"
    wanted, chosen = choose(library, target, space, options.geometry)
    network = chosen.canonical(chosen.parse(published or arch))
    graph = chosen.graph(network)
    table = None if wanted is None else library.find(wanted, chosen.name)
    if table is not None:
        check_table(table, reporter)
    form, precision = deployment(wanted)
    known = file_size_known(form, precision)
    size_bytes = file_bytes(graph, form, precision) if known else None
    return {
        "arch": chosen.format(network),
        "space": chosen.name,
        "params": graph.params,
        "madds": graph.madds,
        "size_bytes": size_bytes,
        "size_format": form,
        "precision": precision.name,
        "peak_memory_bytes": graph.live_bytes(precision),
        **_timed(table, network, check_confidence(options.confidence)),
    }


def _timed(table: Table | None, arch: tuple[int, ...], confidence: float | None) -> dict[str, Any]:
    if table is None:
        return dict.fromkeys(
            (
                "target",
                "latency_ms",
                "latency_upper_ms",
                "latency_source",
                "confidence",
                "energy_mj",
                "energy_source",
            )
        )
    latency_ms, level = table.latency_ms(arch), confidence or CONFIDENCE
    known = table.meta["energy_source"] != "unknown"
    return {
        "target": table.target,
        "latency_ms": latency_ms,
        "latency_upper_ms": latency_ms * (1 + table.margin(level)),
        "latency_source": table.label,
        "confidence": level,
        "energy_mj": energy(table).of(arch) if known else None,
        "energy_source": table.meta["energy_source"],
    }
