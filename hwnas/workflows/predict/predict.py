"""`hwnas predict`: what is known of a network without running anything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hwnas.cost import energy, file_bytes, file_size_known
from hwnas.device import find_target
from hwnas.errors import UserError
from hwnas.lut.accuracy import CONFIDENCE
from hwnas.lut.library import Library
from hwnas.spaces import PUBLISHED, RcnetSpace, find_space
from hwnas.workflows.lut.trust import check_table
from hwnas.workflows.search.budgets import deployment
from hwnas.workflows.shared_options import geometry_of

if TYPE_CHECKING:
    from hwnas.lut.table import Table
    from hwnas.progress import Reporter
    from hwnas.workflows.predict.options import PredictOptions


def choose(
    library: Library, target: str | None, space: str | None, geometry: dict[str, Any]
) -> tuple[str | None, RcnetSpace]:
    """Return target and space: as given, else those of the newest table of the workspace."""
    latest = library.latest()
    if target is None and latest is not None and space in (None, latest[1]):
        target = latest[0]
    if space is None:
        space = _default_space(library, target, latest)
    return target, find_space(space, **geometry)


def _default_space(library: Library, target: str | None, latest: tuple[str, str] | None) -> str:
    if latest is not None and target in (None, latest[0]):
        return latest[1]
    if target is None:
        return "rcnet-imagenet"
    spaces = [s for t, s in library.names() if t == target]
    default = find_target(target).default_space
    return default if default in spaces or not spaces else spaces[0]


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
    wanted, chosen = choose(library, target, space, geometry_of(options))
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


def check_confidence(confidence: float | None) -> float | None:
    """Return the confidence if it lies strictly between 0.5 and 1.

    Raises:
        UserError: it does not.
    """
    if confidence is not None and not 0.5 < confidence < 1:
        raise UserError(f"--confidence must be between 0.5 and 1, but got {confidence:g}.")
    return confidence


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
